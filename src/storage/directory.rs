//! The directory around an engine's files: who may use it, what it must contain, and its permissions. Knows no file
//! format of an engine.
//!
//! ```text
//! DIR/lock          held with flock(2) for as long as the store is open
//! DIR/coffer-store  the mark: which engine made this store; `.new` until the first database in it is durable
//! DIR/data/         the engine's own files
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{self, Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::on;
use super::{Engine, Error};

/// A directory that this process holds alone, until it is dropped.
pub(super) struct Directory {
    path: PathBuf,
    fresh: bool,
    _lock: File,
}

/// What a directory holds.
enum Found {
    /// Nothing, or a store whose making was cut short before anyone could write to it.
    Nothing,
    Store(Engine),
}

impl Directory {
    /// Takes the directory at `dir` for `engine`, making it where it is missing. A directory that is not ours is left as
    /// it was.
    pub(super) fn claim(dir: &Path, engine: Engine) -> Result<Self, Error> {
        let path = path::absolute(dir).map_err(on("find", dir))?;
        make_private(&path)?;
        survey(&path)?;
        tighten(&path, DIRECTORY_MODE)?;
        let lock = lock(&path)?;
        // Only now nobody else can be at work here, so only now is what the directory holds what it will hold.
        let fresh = match survey(&path)? {
            Found::Nothing => true,
            Found::Store(made) if made == engine => false,
            Found::Store(made) => return Err(Error::OtherEngine { dir: path, made, asked: engine }),
        };
        let directory = Self { path, fresh, _lock: lock };
        let data = directory.data();
        match fresh {
            true => directory.begin(engine)?,
            false if data.is_dir() => tighten_tree(&data)?,
            false => return Err(directory.damaged(format!("{DATA} is missing"))),
        }
        Ok(directory)
    }

    /// Where the engine keeps its files.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Whether this store is only being made; nothing was ever committed to it.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The engine has opened its files. Makes them private and, for a new store, durable, before anything relies on them.
    pub(super) fn opened(&self) -> Result<(), Error> {
        tighten_tree(&self.data())?;
        if self.fresh {
            sync_tree(&self.data())?;
            let mark = self.path.join(MARK);
            fs::rename(self.path.join(MARK_NEW), &mark).map_err(on("write", &mark))?;
            sync(&self.path)?;
        }
        Ok(())
    }

    /// The refusal to go on with a database that does not open.
    pub(super) fn damaged(&self, what: impl Into<String>) -> Error {
        Error::Damaged { dir: self.path.clone(), what: what.into() }
    }

    /// Refuses a store that has lost one of the engine's files, which the engine would silently make anew.
    pub(super) fn expect_file(&self, name: &str) -> Result<(), Error> {
        match fs::metadata(self.data().join(name)) {
            Ok(file) if file.len() > 0 => Ok(()),
            Ok(_) => Err(self.damaged(format!("{DATA}/{name} is empty"))),
            Err(error) => Err(self.damaged(format!("{DATA}/{name}: {error}"))),
        }
    }

    /// Bytes that the engine's files occupy.
    pub(super) fn size_on_disk(&self) -> Result<u64, Error> {
        let mut bytes = 0;
        each_entry(&self.data(), &mut |path| {
            match fs::symlink_metadata(path) {
                Ok(entry) => bytes += entry.blocks() * BLOCK_BYTES,
                Err(error) if error.kind() == ErrorKind::NotFound => {} // The engine removed it just now.
                Err(error) => return Err(on("read", path)(error)),
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    fn begin(&self, engine: Engine) -> Result<(), Error> {
        let data = self.data();
        match fs::remove_dir_all(&data) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(on("remove", &data)(error)),
            _ => {}
        }
        let mark = self.path.join(MARK_NEW);
        write_mark(&mark, engine).map_err(on("write", &mark))?;
        make_private(&data)?;
        sync(&self.path)
    }
}

fn write_mark(path: &Path, engine: Engine) -> io::Result<()> {
    let mut file = private().truncate(true).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.write_all(mark_of(engine).as_bytes())?;
    file.sync_all()
}

fn mark_of(engine: Engine) -> String {
    format!("coffer store, format 1, engine {engine}\n")
}

fn survey(dir: &Path) -> Result<Found, Error> {
    let not_a_store = |found: String| Err(Error::NotAStore { dir: dir.to_owned(), found });
    let mark = dir.join(MARK);
    match fs::read_to_string(&mark) {
        Ok(text) => {
            return match Engine::ALL.into_iter().find(|engine| text == mark_of(*engine)) {
                Some(engine) => Ok(Found::Store(engine)),
                None => not_a_store(format!("its file {MARK} is none that this version writes")),
            };
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(on("read", &mark)(error)),
        Err(_) => {}
    }
    let being_made = dir.join(MARK_NEW).exists();
    for entry in fs::read_dir(dir).map_err(on("read", dir))? {
        let name = entry.map_err(on("read", dir))?.file_name();
        match name.to_str() {
            Some(LOCK | MARK_NEW | "lost+found") => {}
            Some(DATA) if being_made => {}
            Some(DATA) => return not_a_store(format!("it has {DATA} without the file {MARK}")),
            _ => return not_a_store(format!("it has {} in it", name.display())),
        }
    }
    Ok(Found::Nothing)
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let file = private().open(&path).map_err(on("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse { dir: dir.to_owned() }),
        Err(error) => return Err(on("lock", &path)(error.into())),
    }
    tighten(&path, FILE_MODE)?;
    Ok(file)
}

/// Makes `dir` and what is missing above it, readable by nobody else from the first moment on, and makes that durable.
pub(super) fn make_private(dir: &Path) -> Result<(), Error> {
    let missing: Vec<_> = dir.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    for dir in missing.into_iter().rev() {
        match DirBuilder::new().mode(DIRECTORY_MODE).create(dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(on("create", dir)(error)),
            _ => {}
        }
        tighten(dir, DIRECTORY_MODE)?; // The umask may have taken away even the owner's rights.
        dir.parent().map_or(Ok(()), sync)?;
    }
    Ok(())
}

/// To write a file that is readable by nobody else from the first moment on.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    options
}

fn tighten_tree(dir: &Path) -> Result<(), Error> {
    tighten(dir, DIRECTORY_MODE)?;
    each_entry(dir, &mut |path| tighten(path, if path.is_dir() { DIRECTORY_MODE } else { FILE_MODE }))
}

fn tighten(path: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(on("set the permissions of", path))
}

fn sync_tree(dir: &Path) -> Result<(), Error> {
    each_entry(dir, &mut |path| sync(path))?;
    sync(dir)
}

pub(super) fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(on("sync", path))
}

/// Calls `act` on everything below `dir`, on a directory before what is in it.
fn each_entry(dir: &Path, act: &mut dyn FnMut(&Path) -> Result<(), Error>) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(on("read", dir))? {
        let path = entry.map_err(on("read", dir))?.path();
        act(&path)?;
        if path.is_dir() {
            each_entry(&path, act)?;
        }
    }
    Ok(())
}

const LOCK: &str = "lock";
const MARK: &str = "coffer-store";
const MARK_NEW: &str = "coffer-store.new";
const DATA: &str = "data";
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The unit of `st_blocks`, whatever the file system's own block size.
const BLOCK_BYTES: u64 = 512;
