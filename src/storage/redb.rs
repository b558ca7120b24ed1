//! redb as an engine: the second one, which keeps the trait honest and stands by should sled fail us; the only file that
//! knows redb.

use std::ops::Bound;

use ::redb::backends::FileBackend;
use ::redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition};

use super::batch::Changes;
use super::commit::Raw;
use super::directory::{Directory, private};
use super::error::on;
use super::memory::first;
use super::{CACHE_BYTES_MAX, Error};
use crate::sabotage;

pub(super) struct Redb {
    database: Database,
    directory: Directory, // Last: the lock is held until redb has closed its file.
}

impl Redb {
    pub(super) fn open(directory: Directory) -> Result<Self, Error> {
        if !directory.is_fresh() {
            directory.expect_file(FILE)?;
        }
        let path = directory.data().join(FILE);
        let file = private().open(&path).map_err(on("open", &path))?;
        let database = FileBackend::new(file)
            .and_then(|file| Builder::new().set_cache_size(CACHE_BYTES_MAX).create_with_backend(file))
            .map_err(|error| directory.damaged(error.to_string()))?;
        let redb = Self { database, directory };
        redb.write(Durability::Immediate, &Changes::new())?;
        redb.directory.opened()?;
        Ok(redb)
    }

    fn write(&self, durability: Durability, changes: &Changes) -> Result<(), Error> {
        let mut transaction = self.database.begin_write().map_err(failed)?;
        transaction.set_durability(durability).map_err(failed)?;
        {
            let mut table = transaction.open_table(PAIRS).map_err(failed)?;
            for (key, value) in changes {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice()).map_err(failed)?,
                    None => table.remove(key.as_slice()).map_err(failed)?,
                };
            }
        }
        transaction.commit().map_err(failed)
    }

    fn table(&self) -> Result<::redb::ReadOnlyTable<&'static [u8], &'static [u8]>, Error> {
        self.database.begin_read().map_err(failed)?.open_table(PAIRS).map_err(failed)
    }
}

impl Raw for Redb {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.table()?.get(key).map_err(failed)?.map(|value| value.value().to_vec()))
    }

    fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        let table = self.table()?;
        let range = table.range::<&[u8]>((first(prefix, after), Bound::Unbounded)).map_err(failed)?;
        let keys = range.map(|pair| pair.map(|(key, _)| key.value().to_vec()).map_err(failed));
        keys.take_while(|key| key.as_ref().map_or(true, |key| key.starts_with(prefix))).take(limit).collect()
    }

    fn apply(&self, changes: &Changes) -> Result<(), Error> {
        self.write(Durability::None, changes)
    }

    fn flush(&self) -> Result<(), Error> {
        let durability = if sabotage::asked("no-fdatasync") { Durability::None } else { Durability::Immediate };
        self.write(durability, &Changes::new())
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        self.directory.size_on_disk()
    }
}

fn failed(error: impl Into<::redb::Error>) -> Error {
    match error.into() {
        ::redb::Error::Corrupted(what) => Error::Corrupt { what },
        error => Error::Engine(error.to_string()),
    }
}

const FILE: &str = "pairs.redb";
const PAIRS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("pairs");
