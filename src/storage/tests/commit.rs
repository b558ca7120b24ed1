//! When commits become durable, and who is told, on an engine whose flush waits for the test.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use super::super::batch::Changes;
use super::super::commit::{Committed, Raw};
use super::super::directory::Directory;
use super::super::redb::Redb;
use super::super::sled::Sled;
use super::super::{Batch, Durable, Engine, Error, Seq, Store, WALK_BYTES_MAX};
use super::{Place, list_all, noise, run_again, told, walked};

#[test]
fn a_reader_learns_what_a_power_cut_could_take_back() {
    let (store, disk) = stub();
    let old = store.commit(Batch::new().put("old", "1")).unwrap();
    disk.flush();
    store.durable(old).wait();
    assert_eq!(store.get(b"old").unwrap().seq, Seq::SETTLED);
    assert_eq!(store.list(b"", None, 9).unwrap().seq, Seq::SETTLED);

    let new = store.commit(Batch::new().put("new", "1").delete("gone")).unwrap();
    assert!(new > old);
    assert_eq!(store.get(b"new").unwrap().value.as_deref(), Some(&b"1"[..]));
    for (key, seq) in [("new", new), ("gone", new), ("old", Seq::SETTLED)] {
        assert_eq!(store.get(key.as_bytes()).unwrap().seq, seq, "{key}");
    }
    assert_eq!(store.list(b"", None, 9).unwrap().seq, new);
    assert_eq!(store.commit(Batch::new().expect_value("new", "1")).unwrap(), new);
    assert!(!store.durable(new).is_done());
    assert!(store.durable(old).is_done());

    disk.flush();
    store.durable(new).wait();
    assert!(store.durable(new).is_done());
    assert_eq!(store.get(b"new").unwrap().seq, Seq::SETTLED);
    assert_eq!(store.list(b"", None, 9).unwrap().seq, Seq::SETTLED);
    assert_eq!(store.commit(Batch::new().expect_value("new", "1")).unwrap(), Seq::SETTLED);
}

#[test]
fn a_later_commit_to_a_key_is_what_its_readers_wait_for() {
    let (store, disk) = stub();
    let first = store.commit(Batch::new().put("key", "1")).unwrap();
    disk.begun();
    let second = store.commit(Batch::new().put("key", "2")).unwrap();
    disk.finish();
    store.durable(first).wait();
    assert_eq!(store.get(b"key").unwrap().seq, second);
    disk.flush();
    store.durable(second).wait();
    assert_eq!(store.get(b"key").unwrap().seq, Seq::SETTLED);
}

#[test]
fn all_who_commit_during_a_flush_share_the_next_one() {
    const WRITERS: usize = 32;
    let (store, disk) = stub();
    let first = store.commit(Batch::new().put("first", "")).unwrap();
    disk.begun();
    let during: Vec<_> = (0..WRITERS).map(|n| store.commit(Batch::new().put(format!("{n}"), "")).unwrap()).collect();
    thread::scope(|scope| {
        for seq in &during {
            scope.spawn(|| store.durable(*seq).wait());
        }
        disk.finish();
        store.durable(first).wait();
        disk.flush();
    });
    assert!(during.iter().all(|seq| store.durable(*seq).is_done()));
    assert_eq!(disk.flushes(), 2);
}

#[test]
fn a_commit_during_a_flush_is_not_durable_with_it() {
    let (store, disk) = stub();
    let first = store.commit(Batch::new().put("a", "")).unwrap();
    disk.begun();
    let second = store.commit(Batch::new().put("b", "")).unwrap();
    disk.finish();
    store.durable(first).wait();
    assert!(!store.durable(second).is_done());
    disk.flush();
    store.durable(second).wait();
}

#[test]
fn a_future_is_woken_when_its_commit_is_durable() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Release);
        }
    }
    let (store, disk) = stub();
    let count = Arc::new(Count::default());
    let poll =
        |durable: &mut Durable| Pin::new(durable).poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count))));
    let seq = store.commit(Batch::new().put("a", "")).unwrap();
    let mut durable = store.durable(seq);
    assert_eq!(poll(&mut durable), Poll::Pending);
    assert_eq!(count.0.load(Ordering::Acquire), 0);
    disk.flush();
    drop(store); // Joins the flusher, which has then woken everyone.
    assert_eq!(count.0.load(Ordering::Acquire), 1);
    assert_eq!(poll(&mut durable), Poll::Ready(()));
}

#[test]
fn closing_flushes_what_is_left() {
    let (store, disk) = stub();
    let seq = store.commit(Batch::new().put("a", "")).unwrap();
    let durable = store.durable(seq);
    disk.finish();
    drop(store);
    assert!(durable.is_done());
    assert_eq!(disk.flushes(), 1);
}

#[test]
fn a_walk_begins_when_its_point_in_time_is_durable() {
    let (store, disk) = stub();
    store.commit(Batch::new().put("a", "1")).unwrap();
    thread::scope(|scope| {
        let walk = scope.spawn(|| {
            store.walk(&mut |_, _| {
                assert_eq!(disk.flushes(), 1);
                Ok(())
            })
        });
        while store.waiters() == 0 && !walk.is_finished() {
            thread::yield_now();
        }
        disk.flush();
        walk.join().unwrap().unwrap();
    });
}

#[test]
fn a_walk_that_writers_outrun_ends_with_an_error() {
    let (store, disk) = stub();
    disk.finish_all();
    let huge = vec![0; 32 << 20];
    let count = u32::try_from(WALK_BYTES_MAX / huge.len()).unwrap() + 1;
    let keys: Vec<_> = (0..=count).map(|index| format!("{index}")).collect();
    for key in &keys {
        store.commit(Batch::new().put(key.as_str(), huge.clone())).unwrap();
    }
    let mut first = true;
    let outcome = store.walk(&mut |_, _| {
        if std::mem::take(&mut first) {
            keys.iter().try_for_each(|key| store.commit(Batch::new().delete(key.as_str())).map(drop))?;
        }
        Ok(())
    });
    assert!(matches!(outcome, Err(Error::WalkOutrun { bytes }) if bytes > WALK_BYTES_MAX));
    assert_eq!(walked(&store).len(), 0);
}

#[test]
fn concurrent_writers_share_flushes_on_sled() {
    let place = Place::new();
    check_sharing(Sled::open(Directory::claim(&place.store(), Engine::Sled).unwrap()).unwrap());
}

#[test]
fn concurrent_writers_share_flushes_on_redb() {
    let place = Place::new();
    check_sharing(Redb::open(Directory::claim(&place.store(), Engine::Redb).unwrap()).unwrap());
}

fn check_sharing(engine: impl Raw) {
    const WRITERS: usize = 32;
    const COMMITS: usize = 10;
    let flushes = Arc::new(AtomicUsize::new(0));
    let store = Committed::new(Counted(engine, Arc::clone(&flushes))).unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for commit in 0..COMMITS {
                    let key = format!("{writer}/{commit}");
                    let seq = store.commit(Batch::new().put(key.as_str(), noise(200))).unwrap();
                    store.durable(seq).wait();
                    assert_eq!(store.get(key.as_bytes()).unwrap().seq, Seq::SETTLED);
                }
            });
        }
    });
    assert_eq!(list_all(&store).len(), WRITERS * COMMITS);
    assert!(flushes.load(Ordering::Relaxed) < WRITERS * COMMITS / 2);
}

#[test]
fn a_failed_flush_ends_the_process() {
    check_death("a_failed_flush_ends_the_process", "the disk did not take a flush", |store, disk| {
        let seq = store.commit(Batch::new().put("a", "")).unwrap();
        disk.tell(Outcome::Fail);
        store.durable(seq).wait();
    });
}

#[test]
fn a_panic_in_a_flush_ends_the_process() {
    check_death("a_panic_in_a_flush_ends_the_process", "the disk did not take a flush", |store, disk| {
        let seq = store.commit(Batch::new().put("a", "")).unwrap();
        disk.tell(Outcome::Panic);
        store.durable(seq).wait();
    });
}

#[test]
fn a_write_that_fails_half_way_ends_the_process() {
    check_death("a_write_that_fails_half_way_ends_the_process", "a write failed half-way", |store, _| {
        let _ = store.commit(Batch::new().put(BROKEN_KEY, ""));
    });
}

/// Runs `die` in a process of its own, which must abort with one line that says `why`.
fn check_death(name: &str, why: &str, die: impl FnOnce(&dyn Store, &Disk)) {
    if told().is_some() {
        let (store, disk) = stub();
        die(&store, &disk);
        return;
    }
    let output = run_again(module_path!(), name, "077", ".".as_ref());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.signal(), Some(6), "{told}");
    assert_eq!(told.matches("fatal storage error").count(), 1, "{told}");
    assert!(told.contains(why), "{told}");
}

/// A store whose flushes take place when the test says so.
fn stub() -> (Committed<Stub>, Disk) {
    let ((announce, begun), (tell, answers)) = (channel(), channel());
    let flushes = Arc::default();
    let disk = Disk { begun: Mutex::new(begun), tell: Mutex::new(Some(tell)), flushes: Arc::clone(&flushes) };
    let stub = Stub { map: Mutex::default(), announce, answers: Mutex::new(answers), flushes };
    (Committed::new(stub).unwrap(), disk)
}

/// The test's side of the stub.
struct Disk {
    begun: Mutex<Receiver<()>>,
    tell: Mutex<Option<Sender<Outcome>>>,
    flushes: Arc<AtomicUsize>,
}

enum Outcome {
    Succeed,
    Fail,
    Panic,
}

impl Disk {
    /// Waits until a flush has begun.
    fn begun(&self) {
        self.begun.lock().unwrap().recv().unwrap();
    }

    /// Lets the flush that has begun, or the next one, succeed.
    fn finish(&self) {
        self.tell(Outcome::Succeed);
    }

    fn flush(&self) {
        self.finish();
        self.begun();
    }

    /// Lets all flushes succeed from now on.
    fn finish_all(&self) {
        self.tell.lock().unwrap().take();
    }

    fn tell(&self, outcome: Outcome) {
        self.tell.lock().unwrap().as_ref().unwrap().send(outcome).unwrap();
    }

    fn flushes(&self) -> usize {
        self.flushes.load(Ordering::Acquire)
    }
}

struct Stub {
    map: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    announce: Sender<()>,
    answers: Mutex<Receiver<Outcome>>,
    flushes: Arc<AtomicUsize>,
}

const BROKEN_KEY: &str = "broken";

impl Raw for Stub {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.map.lock().unwrap().get(key).cloned())
    }

    fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        let map = self.map.lock().unwrap();
        let keys = map.keys().filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after));
        Ok(keys.take(limit).cloned().collect())
    }

    fn apply(&self, changes: &Changes) -> Result<(), Error> {
        let mut map = self.map.lock().unwrap();
        for (key, value) in changes {
            if key == BROKEN_KEY.as_bytes() {
                return Err(Error::Engine("broken".into()));
            }
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let _ = self.announce.send(());
        match self.answers.lock().unwrap().recv() {
            Ok(Outcome::Fail) => return Err(Error::Engine("no space".into())),
            Ok(Outcome::Panic) => panic!("as told"),
            Ok(Outcome::Succeed) | Err(_) => {}
        }
        self.flushes.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

/// An engine whose flushes are counted.
struct Counted<E>(E, Arc<AtomicUsize>);

impl<E: Raw> Raw for Counted<E> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(key)
    }

    fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.0.keys(prefix, after, limit)
    }

    fn apply(&self, changes: &Changes) -> Result<(), Error> {
        self.0.apply(changes)
    }

    fn flush(&self) -> Result<(), Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.flush()
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        self.0.size_on_disk()
    }
}
