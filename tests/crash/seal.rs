//! Rekeying and rotation under blows: after each one the old share opens the store, or the new one, and if the change was
//! acknowledged the new one alone. Making a store and opening it are struck in every other campaign, at its starts.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Connection, read, write};
use crate::random::Rng;
use crate::scratch::Scratch;
use crate::server::{Server, Setup, was_killed};

/// One store, whose only share is known.
struct Store {
    setup: Setup,
    /// The share that opens it.
    share: String,
    /// The newest term that was acknowledged.
    term: u64,
    _scratch: Scratch,
}

/// What a run knows of itself when it is struck.
#[derive(Default)]
struct Run {
    /// A share that is told, and may count.
    new: Option<String>,
    /// It does.
    acknowledged: bool,
    term: u64,
}

/// Strikes so often. Returns how often a change of shares was acknowledged, and how often it was cut off.
pub(crate) fn strike(name: &str, setup: impl FnOnce(&Scratch) -> Setup, seed: u64, blows: u32) -> (u32, u32) {
    let scratch = Scratch::new(name);
    let mut rng = Rng::new(seed);
    let setup = setup(&scratch);
    drop(up(&setup).expect("a new store is made"));
    let share = fs::read_to_string(setup.unseal_key()).unwrap();
    let mut store = Store { setup, share, term: 1, _scratch: scratch };
    let (mut acknowledged, mut cut_off) = (0, 0);
    for _ in 0..blows {
        let run = store.struck(Duration::from_micros(rng.between(0, WORK_MAX_US)));
        acknowledged += u32::from(run.acknowledged);
        cut_off += u32::from(run.new.is_some() && !run.acknowledged);
        store.look(run);
    }
    (acknowledged, cut_off)
}

/// A server over the store, if its share opens it.
fn up(setup: &Setup) -> Option<(Server, SocketAddr)> {
    let mut server = Server::start(setup);
    let (address, _) = server.wait_until_up()?;
    Some((server, address))
}

impl Store {
    /// One run that ends by a blow, so long after its work has begun.
    fn struck(&self, delay: Duration) -> Run {
        let (server, address) = up(&self.setup).unwrap_or_else(|| panic!("it does not start: {}", self.setup.log()));
        let handle = server.handle();
        let run = thread::scope(|scope| {
            let working = scope.spawn(|| self.work(address));
            thread::sleep(delay);
            handle.kill();
            working.join().unwrap()
        });
        assert!(was_killed(server.reap()), "it ended by itself: {}", self.setup.log());
        run
    }

    /// Changes the share and the key of records until there is no answer any more.
    fn work(&self, address: SocketAddr) -> Run {
        let mut connection = Connection::new(address);
        let mut run = Run { term: self.term, ..Run::default() };
        let mut send = |path: &str, body: Value| {
            let answer = connection.exchange(&write(path, body), &self.setup.root_token).ok()?;
            assert!(answer.is_success(), "{path}: {} {}", answer.status, answer.body);
            Some(answer.body)
        };
        let mut change = || {
            send("sys/rotate", json!({}))?;
            run.term += 1;
            let order = json!({"secret_shares": 1, "secret_threshold": 1, "require_verification": true});
            let begun = send("sys/rekey/init", order)?;
            let made = send("sys/rekey/update", json!({"key": self.share.trim(), "nonce": begun["nonce"]}))?;
            let new = made["keys_base64"][0].as_str()?.to_owned();
            run.new = Some(new.clone());
            send("sys/rekey/verify", json!({"key": new, "nonce": made["verification_nonce"]}))?;
            run.acknowledged = true;
            send("sys/rotate", json!({}))?;
            run.term += 1;
            Some(())
        };
        change();
        run
    }

    /// Finds the share that opens the store, and looks whether it is one that may.
    fn look(&mut self, run: Run) {
        let old = self.share.clone();
        let candidates = match run.new {
            Some(new) if run.acknowledged => {
                fs::write(self.setup.unseal_key(), &old).unwrap();
                assert!(up(&self.setup).is_none(), "the old share opens the store after the change was acknowledged");
                vec![new]
            }
            Some(new) => vec![old, new],
            None => vec![old],
        };
        let opens = |share: &String| {
            fs::write(self.setup.unseal_key(), share).unwrap();
            up(&self.setup).map(|(_server, address)| {
                let answer =
                    Connection::new(address).exchange(&read("sys/key-status"), &self.setup.root_token).unwrap();
                (share.clone(), answer.data()["term"].as_u64().unwrap())
            })
        };
        let opened = candidates.iter().find_map(opens);
        let (share, term) = opened.unwrap_or_else(|| panic!("no share opens the store: {}", self.setup.log()));
        assert!(term >= run.term, "term {} was acknowledged, and {term} is there", run.term);
        (self.share, self.term) = (share, term);
    }
}

/// About as long as the work takes.
const WORK_MAX_US: u64 = 60_000;
