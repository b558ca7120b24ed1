//! Keeps what a dev server held when it was ready, so that it can go back to that. Does not know what it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::api::Error;
use crate::core::Core;
use crate::core::reset::Origin;
use crate::core::seal::UnsealKey;
use crate::storage::{self, Batch, Store};

/// Lets the server go back to what its store holds now.
pub(super) fn allow(core: &Core, store: Arc<dyn Store>, key: UnsealKey) -> Result<(), String> {
    let kept = contents(&*store).map_err(|error| error.to_string())?;
    let restore = move || restore(&*store, &kept).map_err(|error| Error::Unavailable(error.to_string().into()));
    core.allow_reset(Origin { restore: Box::new(restore), key, going: Mutex::default() });
    Ok(())
}

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

fn contents(store: &dyn Store) -> Result<Contents, storage::Error> {
    let mut contents = Contents::new();
    store.walk(&mut |key, value| {
        contents.insert(key.to_vec(), value.to_vec());
        Ok(())
    })?;
    Ok(contents)
}

/// Makes the store hold just this, in commits of a bounded size.
fn restore(store: &dyn Store, kept: &Contents) -> Result<(), storage::Error> {
    let now = contents(store)?;
    let gone = now.keys().filter(|key| !kept.contains_key(*key)).map(|key| (key, None));
    let changed = kept.iter().filter(|(key, value)| now.get(*key) != Some(value));
    let (mut batch, mut bytes) = (Batch::new(), 0);
    for (key, value) in gone.chain(changed.map(|(key, value)| (key, Some(value)))) {
        bytes += key.len() + value.map_or(0, Vec::len);
        batch = match value {
            Some(value) => batch.put(key.as_slice(), value.as_slice()),
            None => batch.delete(key.as_slice()),
        };
        if bytes > COMMIT_BYTES {
            store.commit(std::mem::take(&mut batch))?;
            bytes = 0;
        }
    }
    store.commit(batch)?;
    Ok(())
}

/// Bytes after which a commit is made.
const COMMIT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Op, Request, Token};
    use crate::barrier::Sealed;
    use crate::clock::Clock;
    use crate::core::{KvVersion, Settings, Thread};
    use crate::storage::Memory;

    #[test]
    fn a_server_goes_back_to_what_it_was() {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let core = Core::new(Sealed::new(store.clone()), Settings::default(), Clock::System);
        let key = UnsealKey::generate();
        core.initialise(&key).unwrap();
        core.dev_mount(KvVersion::V2).unwrap();
        core.dev_root_token(Some("root")).unwrap();
        let ask = |op, path| {
            let request = Request { token: Some(Token::new("root")), ..Request::new(op, path) };
            core.handle(&request, Thread::Worker).unwrap().outcome.map(drop)
        };
        assert!(matches!(ask(Op::Write, "sys/dev/reset"), Err(Error::Invalid(_))), "not every server goes back");
        allow(&core, store, key).unwrap();
        for _ in 0..2 {
            ask(Op::Delete, "sys/mounts/secret").unwrap();
            ask(Op::Read, "sys/mounts/secret").unwrap_err();
            ask(Op::Write, "sys/dev/reset").unwrap();
            ask(Op::Read, "sys/mounts/secret").unwrap();
        }
    }

    #[test]
    fn a_store_holds_what_it_held() {
        let store = Memory::new();
        store.commit(Batch::new().put(*b"a", *b"1").put(*b"b", *b"2").put(*b"c", *b"3")).unwrap();
        let kept = contents(&store).unwrap();
        restore(&store, &kept).unwrap();
        assert_eq!(contents(&store).unwrap(), kept);
        let large = vec![7; COMMIT_BYTES];
        store.commit(Batch::new().put(*b"a", large.clone()).delete(*b"b").put(*b"d", large)).unwrap();
        restore(&store, &kept).unwrap();
        assert_eq!(contents(&store).unwrap(), kept);
    }
}
