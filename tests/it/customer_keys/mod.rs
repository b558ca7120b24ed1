//! `sys/customer-keys` and `sys/mounts/:path/protection`: the six invariants of customer managed keys, and what an
//! administrator sees on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use coffer::storage::{Batch, Durable, Error, Listing, Memory, Read, Seq, Store, Visit};
use serde_json::{Value, json};

use crate::client::{Answer, b64, request};
use crate::server::TestServer;

mod approvals;
mod crashes;
mod import;
mod protection;
mod revocation;

/// Bytes that are a key; each number makes another.
fn key(number: u8) -> Vec<u8> {
    let mut state = u64::from(number) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes()
    };
    (0..4).flat_map(|_| next()).collect()
}

/// Uploads a key.
#[track_caller]
fn upload(server: &TestServer, name: &str, key: &[u8]) -> Answer {
    server.post(&format!("sys/customer-keys/{name}"), &json!({"key": b64(key)}))
}

/// Gives a key as its bytes, as curl does with `--data-binary`.
#[track_caller]
fn send_bytes(server: &TestServer, path: &str, key: &[u8]) -> Answer {
    server.send(&request("POST", path).header("Content-Type", "application/octet-stream").body(key))
}

/// Puts a mount under a key.
#[track_caller]
fn activate(server: &TestServer, mount: &str, name: &str) -> Value {
    let order = json!({"protector": "customer", "customer_key": name, "skip_proof": true});
    server.post(&format!("sys/mounts/{mount}/protection"), &order).expect(200).data()
}

#[track_caller]
fn protection(server: &TestServer, mount: &str) -> Value {
    server.get(&format!("sys/mounts/{mount}/protection")).expect(200).data()
}

/// Waits until a mount is in a state.
#[track_caller]
fn wait_for(server: &TestServer, mount: &str, state: &str) -> Value {
    for _ in 0..POLLS_MAX {
        let told = protection(server, mount);
        if told["state"] == state {
            return told;
        }
        thread::sleep(POLL);
    }
    panic!("{mount} never became {state}: {}", protection(server, mount));
}

const POLLS_MAX: usize = 10_000;
const POLL: Duration = Duration::from_millis(3);

/// A store that remembers every state it was in.
struct Filmed {
    inner: Memory,
    states: Mutex<Vec<BTreeMap<Vec<u8>, Vec<u8>>>>,
}

impl Filmed {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: Memory::new(), states: Mutex::default() })
    }

    fn states(&self) -> usize {
        self.states.lock().unwrap().len()
    }

    /// A store as this one was, as a crash leaves it.
    fn state(&self, index: usize) -> Arc<Memory> {
        let state = self.states.lock().unwrap()[index].clone();
        let store = Memory::new();
        store.commit(state.into_iter().fold(Batch::new(), |batch, (key, value)| batch.put(key, value))).unwrap();
        Arc::new(store)
    }
}

impl Store for Filmed {
    fn get(&self, key: &[u8]) -> Result<Read, Error> {
        self.inner.get(key)
    }

    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Listing, Error> {
        self.inner.list(prefix, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Seq, Error> {
        let mut states = self.states.lock().unwrap();
        let seq = self.inner.commit(batch)?;
        let mut state = BTreeMap::new();
        self.inner.walk(&mut |key, value| {
            state.insert(key.to_vec(), value.to_vec());
            Ok(())
        })?;
        states.push(state);
        Ok(seq)
    }

    fn durable(&self, seq: Seq) -> Durable {
        self.inner.durable(seq)
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.walk(visit)
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        self.inner.size_on_disk()
    }
}
