//! A store under attack: clients write to it while it is struck down, again and again, and look after each start at what
//! is left; knows how to strike, but no register.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::client::Client;
use crate::http::{read, write};
use crate::oracle::{Slot, Tally};
use crate::random::Rng;
use crate::registers::{self, CANARY, Kind, SECRETS, TRANSIT};
use crate::scan::Secrets;
use crate::scratch::Scratch;
use crate::server::{Handle, Server, Setup, was_killed};
use crate::session::{Gone, Session};
use crate::volume::{Trigger, Volume};

/// What to attack, and how.
pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) program: PathBuf,
    pub(crate) engine: &'static str,
    pub(crate) sabotage: Option<&'static str>,
    pub(crate) fault: Fault,
    pub(crate) seed: u64,
    /// The kinds of register that clients write to.
    pub(crate) kinds: &'static [Kind],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// SIGKILL: what the kernel has been given stays.
    Kill,
    /// The disk loses all that it was not told to keep, and the server is killed.
    PowerCut,
}

pub(crate) struct Campaign {
    setup: Setup,
    fault: Fault,
    rng: Rng,
    kinds: &'static [Kind],
    clients: Vec<Client>,
    /// The mount that all clients use.
    shared: [Slot<()>; 2],
    pub(crate) tally: Tally,
    secrets: Secrets,
    /// Where the store is, if its power can be cut; else it is in `scratch`.
    volume: Option<Volume>,
    scratch: Scratch,
}

/// When a run of the server ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// At a blow, so long after the process was made: while it starts, recovers, or is being checked.
    InStart(Fault, Duration),
    /// At a blow, so long after the first client has checked its registers and gone to work.
    AtWork(Fault, Duration),
    /// When everything was checked, by a signal that it obeys.
    Checked,
}

impl Campaign {
    /// Prepares an empty store. An error says what this machine lacks.
    pub(crate) fn new(plan: Plan<'_>) -> Result<Self, String> {
        let Plan { name, program, engine, sabotage, fault, seed, kinds } = plan;
        let scratch = Scratch::new(name);
        let volume = (fault == Fault::PowerCut).then(|| Volume::new(scratch.path())).transpose()?;
        let mut rng = Rng::new(seed);
        let root_token = rng.word();
        let store = volume.as_ref().map_or(scratch.path(), Volume::path).join("store");
        let setup = Setup { program, engine, sabotage, root_token, store, log: scratch.path().join("log") };
        let (clients, shared, tally, secrets) =
            (recruit(&mut rng, kinds), shared_mounts(), Tally::default(), Secrets::default());
        Ok(Self { setup, fault, rng, kinds, clients, shared, tally, secrets, volume, scratch })
    }

    /// Strikes until `blows` have fallen, with a full check, a scan and a new store now and then, and at the end.
    pub(crate) fn run(&mut self, blows: u32) {
        for round in 1.. {
            self.strike();
            let fallen = match self.fault {
                Fault::Kill => self.tally.kills,
                Fault::PowerCut => self.tally.cuts,
            };
            if round % self.fault.rounds_per_store() == 0 || fallen >= blows {
                self.check();
                self.scan();
                self.renew();
            }
            if fallen >= blows {
                return;
            }
        }
    }

    /// Lets the clients work, then strikes; at times once more, during the recovery.
    pub(crate) fn strike(&mut self) {
        let delay = self.delay(self.fault.within());
        if self.rng.chance(DOUBLE_PERCENT) {
            // What a look shows after a kill was in the page cache only, and must survive a power cut all the same.
            self.start(End::AtWork(Fault::Kill, delay));
            let delay = self.delay(self.tally.start_at(50).max(RECOVERY_MIN) * 2);
            self.start(End::InStart(self.fault, delay));
        } else {
            self.start(End::AtWork(self.fault, delay));
        }
    }

    /// Starts the server undisturbed, checks every register, and stops it by a signal.
    pub(crate) fn check(&mut self) {
        self.start(End::Checked);
    }

    /// Looks for secrets in the files of the store.
    pub(crate) fn scan(&mut self) {
        self.secrets.add("a plaintext", CANARY);
        self.secrets.add("the root token", &*self.setup.root_token);
        // A store that never came up may have no key yet.
        let key = fs::read_to_string(self.setup.unseal_key()).unwrap_or_default();
        if !key.is_empty() {
            self.secrets.add("the unseal key", BASE64_STANDARD.decode(key.trim()).unwrap());
        }
        if self.setup.store.exists() {
            self.tally.exposed.extend(self.secrets.scan(&self.setup.store).unwrap());
        }
    }

    /// Where the files of the store are.
    pub(crate) fn store(&self) -> &Path {
        &self.setup.store
    }

    /// Forgets the store and begins with an empty one.
    pub(crate) fn renew(&mut self) {
        if let Some(volume) = &self.volume {
            volume.renew();
        } else {
            let _ = fs::remove_dir_all(&self.setup.store);
            let _ = fs::remove_file(self.setup.unseal_key());
        }
        (self.shared, self.secrets) = (shared_mounts(), Secrets::default());
        self.clients = recruit(&mut self.rng, self.kinds);
    }

    fn delay(&mut self, max: Duration) -> Duration {
        Duration::from_micros(self.rng.between(1_000, u64::try_from(max.as_micros()).unwrap()))
    }

    /// One run of the server, from its start to its end.
    fn start(&mut self, end: End) {
        let failures = self.tally.failures().len();
        let refused = self.tally.refused.len();
        let trigger = self.volume.as_ref().filter(|_| end.cuts_power()).map(|volume| volume.arm().unwrap());
        let mut server = Server::start(&self.setup);
        let (handle, struck) = (server.handle(), AtomicBool::new(false));
        let ((begin, at_work), (over, is_over)) = (channel(), channel());
        let is_up = thread::scope(|scope| {
            let striker = scope.spawn({
                let struck = &struck;
                move || strike_after(&at_work, end.delay(), &is_over, struck, handle, trigger)
            });
            if !matches!(end, End::AtWork(..)) {
                begin.send(()).unwrap();
            }
            let up = server.wait_until_up();
            match up {
                Some((address, took)) => {
                    self.tally.starts.push(took);
                    self.serve(address, &struck, end, begin);
                }
                None => drop(begin),
            }
            if end == End::Checked {
                handle.terminate();
            }
            if end == End::Checked || up.is_none() {
                drop(over); // There is nothing left to strike.
            }
            striker.join().unwrap();
            up.is_some()
        });
        if end != End::Checked {
            handle.kill(); // All clients gave up before the blow, if it still lives.
        }
        self.judge(end, is_up, struck.into_inner(), server.reap());
        if end.cuts_power() {
            self.volume.as_ref().unwrap().recover();
        }
        if failures == 0 && !self.tally.failures().is_empty() && self.setup.sabotage.is_none() {
            self.keep_for_study();
        }
        if self.tally.refused.len() > refused {
            self.renew();
        }
    }

    /// Lets every client check its registers, and then work until the server is gone, unless this start is for a check.
    fn serve(&mut self, address: SocketAddr, struck: &AtomicBool, end: End, begin: Sender<()>) {
        let (token, shared) = (&*self.setup.root_token, &mut self.shared);
        let mut session = Session::new(address, token, struck);
        let prepared = prepare(&mut session, shared);
        let mut sessions = vec![session];
        if prepared.is_ok() {
            let one = |client: &mut Client, begin: Sender<()>| {
                let mut session = Session::new(address, token, struck);
                let checked = client.check(&mut session);
                if checked.is_ok() && end == End::Checked {
                    let _ = client.finish(&mut session);
                } else if checked.is_ok() {
                    let _ = begin.send(()); // Only the first counts.
                    let Err(Gone) = client.work(&mut session);
                }
                session
            };
            sessions.extend(thread::scope(|scope| {
                let both = self.clients.iter_mut().map(|client| (client, begin.clone()));
                let working: Vec<_> = both.map(|(client, begin)| scope.spawn(|| one(client, begin))).collect();
                drop(begin);
                working.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
            }));
        }
        for session in sessions {
            self.tally.add(session.tally);
            self.secrets.append(session.secrets);
        }
    }

    /// Counts a run, and says what was wrong with its end.
    fn judge(&mut self, end: End, was_up: bool, struck: bool, status: ExitStatus) {
        let log = self.setup.log();
        // Once the disk is gone, a server may end as it likes.
        let (by_itself, excused) = match end {
            End::InStart(Fault::Kill, _) | End::AtWork(Fault::Kill, _) => (!was_killed(status), false),
            End::InStart(Fault::PowerCut, _) | End::AtWork(Fault::PowerCut, _) => (!struck, struck),
            End::Checked => (!status.success(), false),
        };
        match end {
            End::Checked => {}
            _ if end.cuts_power() => self.tally.cuts += 1,
            _ => self.tally.kills += 1,
        }
        match (was_up, by_itself) {
            (false, true) => self.tally.refused.push(format!("{status}: {log}")),
            (false, false) => self.tally.in_start += 1,
            (true, true) => self.tally.complaints.push(format!("the server ended with {status}: {log}")),
            (true, false) => {}
        }
        let failed = self.tally.complaints.iter().any(|complaint| complaint.contains(": status 500: "));
        if !excused && (failed || ALARMS.iter().any(|alarm| log.contains(alarm))) {
            self.tally.complaints.push(format!("the server wrote: {log}"));
        }
    }

    fn keep_for_study(&self) {
        let kept = self.scratch.keep(self.setup.store.parent().unwrap());
        println!("the store of the first failure is kept in {}", kept.display());
    }
}

/// Makes sure of the mounts that all clients use.
fn prepare(session: &mut Session<'_>, shared: &mut [Slot<()>]) -> Result<(), Gone> {
    for mount in shared {
        let path = format!("sys/mounts/{}", mount.name());
        let seen = session.send(&read(&*path))?.is_success().then_some(());
        session.settle(mount, seen);
        if mount.known().is_none() {
            let kind = if mount.name() == SECRETS { "kv-v2" } else { "transit" };
            session.change(mount, Some(()), &write(path, json!({ "type": kind })))?;
        }
    }
    Ok(())
}

/// Waits for the time of the blow, and deals it unless the run is over before.
fn strike_after(
    at_work: &Receiver<()>,
    delay: Duration,
    over: &Receiver<()>,
    struck: &AtomicBool,
    server: Handle,
    trigger: Option<Trigger>,
) {
    if at_work.recv().is_err() || over.recv_timeout(delay) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    struck.store(true, Ordering::SeqCst);
    let cut = trigger.map_or(Ok(()), Trigger::pull);
    server.kill(); // Also after a cut that failed: the clients would work for ever.
    cut.unwrap();
}

impl End {
    fn cuts_power(self) -> bool {
        matches!(self, Self::InStart(Fault::PowerCut, _) | Self::AtWork(Fault::PowerCut, _))
    }

    fn delay(self) -> Duration {
        match self {
            Self::InStart(_, delay) | Self::AtWork(_, delay) => delay,
            Self::Checked => HANGS_AFTER,
        }
    }
}

impl Fault {
    /// How long clients work at most before it.
    fn within(self) -> Duration {
        match self {
            Self::Kill => Duration::from_millis(400),
            Self::PowerCut => Duration::from_millis(950),
        }
    }

    /// A store grows old under kills. Files that grow have the most to lose in a power cut, and young ones grow fastest.
    fn rounds_per_store(self) -> u32 {
        match self {
            Self::Kill => 20,
            Self::PowerCut => 2,
        }
    }
}

/// All clients. Of the first ones, each also sees to the protection of a mount that all use.
fn recruit(rng: &mut Rng, kinds: &'static [Kind]) -> Vec<Client> {
    let mut clients: Vec<_> =
        (1..=CLIENTS).map(|number| Client::new(format!("c{number}"), rng.fork(), kinds)).collect();
    for (client, mount) in clients.iter_mut().zip([TRANSIT, SECRETS]) {
        client.take(registers::protection_of(mount));
    }
    clients
}

fn shared_mounts() -> [Slot<()>; 2] {
    [Slot::new(TRANSIT), Slot::new(SECRETS)]
}

const CLIENTS: usize = 8;
const DOUBLE_PERCENT: u64 = 30;
/// What a start is taken to last before one has been measured.
const RECOVERY_MIN: Duration = Duration::from_millis(10);
/// No start with a full check takes so long.
const HANGS_AFTER: Duration = Duration::from_mins(2);
/// What a log must not have.
const ALARMS: [&str; 2] = ["panicked at", "storage alarm"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_start_is_told_each_time() {
        let plan = Plan {
            name: "refused",
            program: "false".into(),
            engine: "sled",
            sabotage: None,
            fault: Fault::Kill,
            seed: 1,
            kinds: registers::ALL,
        };
        let mut campaign = Campaign::new(plan).unwrap();
        campaign.start(End::AtWork(Fault::Kill, HANGS_AFTER));
        campaign.start(End::InStart(Fault::Kill, HANGS_AFTER));
        campaign.check();
        assert_eq!(campaign.tally.refused.len(), 3);
        assert!(campaign.tally.durability_is_broken());
        fs::remove_dir_all(campaign.scratch.kept()).unwrap();
    }
}
