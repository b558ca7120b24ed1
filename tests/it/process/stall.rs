//! A server whose audit trail is on a file system that stops taking writes, and takes them again.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use coffer::clock::Stopwatch;

use super::{Process, Scratch};
use crate::client::{Connection, Request, request};

/// A file system in a file, which can be made to keep waiting whoever writes to it.
struct Frozen(PathBuf);

impl Frozen {
    /// `None` where the machine does not allow it.
    fn new(scratch: &Scratch) -> Option<Self> {
        let (image, mount) = (scratch.path("image"), scratch.path("mount"));
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        fs::create_dir(&mount).unwrap();
        let made = Self::run(Command::new("mkfs.ext4").arg("-q").arg(&image))
            && Self::run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        let mounted = made.then(|| Self(mount))?;
        // Not all that mount can freeze.
        (mounted.freeze() && mounted.thaw()).then_some(mounted)
    }

    fn freeze(&self) -> bool {
        Self::run(Command::new("fsfreeze").arg("--freeze").arg(&self.0))
    }

    fn thaw(&self) -> bool {
        Self::run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.0))
    }

    fn run(command: &mut Command) -> bool {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Frozen {
    /// Whatever happened, nobody is kept waiting after the test.
    fn drop(&mut self) {
        self.thaw();
        Self::run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

/// The status of an answer with its text, or none if the connection was closed instead; and how long that took.
type Outcome = (Option<(u16, String)>, Duration);

fn timed(connection: &mut Connection, request: &Request) -> Outcome {
    let began = Stopwatch::start();
    let answer = connection.send(request).map(|answer| (answer.status, answer.text()));
    (answer, began.elapsed())
}

/// Sends each request on a connection of its own, all at one time.
fn all_at_once(connections: Vec<Connection>, requests: &[Request]) -> Vec<Outcome> {
    thread::scope(|scope| {
        let sent = connections.into_iter().zip(requests);
        let sent: Vec<_> = sent.map(|(mut own, request)| scope.spawn(move || timed(&mut own, request))).collect();
        sent.into_iter().map(|sent| sent.join().unwrap()).collect()
    })
}

/// Requests that change something: those that sockets' threads carry out, and two that others do.
fn changes(round: &str) -> Vec<Request> {
    let secret = |number| request("POST", &format!("secret/data/{round}-{number}")).json(&json!({"data": {"a": "b"}}));
    let key = |number| request("POST", &format!("transit/keys/{round}-{number}")).json(&json!({}));
    (0..6).map(secret).chain((0..2).map(key)).collect()
}

/// As many connections as there are changes, each of which has been used.
fn connections(server: &Process) -> Vec<Connection> {
    let connection = || {
        let mut connection = server.connect(0);
        connection.send(&request("GET", "auth/token/lookup-self")).unwrap().expect(200);
        connection
    };
    (0..8).map(|_| connection()).collect()
}

fn health(server: &Process) -> Outcome {
    timed(&mut server.connect(0), &request("GET", "sys/health"))
}

/// Waits for the server to be well again.
fn wait_until_well(server: &Process) {
    let began = Stopwatch::start();
    while !matches!(health(server).0, Some((200, _))) {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not become well again: {}", server.log());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Nothing of what was refused is there, and what comes now is served.
fn check_nothing_was_done(server: &Process, round: &str) {
    let mut root = server.connect(0);
    for number in 0..6 {
        root.send(&request("GET", &format!("secret/data/{round}-{number}"))).unwrap().expect(404);
    }
    for number in 0..2 {
        root.send(&request("GET", &format!("transit/keys/{round}-{number}"))).unwrap().expect(404);
    }
    for (number, change) in changes(&format!("after-{round}")).iter().enumerate() {
        assert!(matches!(root.send(change).unwrap().status, 200 | 204), "{number}");
    }
}

#[test]
fn a_stalled_trail_fails_requests_in_two_seconds_and_stops_no_others() {
    let scratch = Scratch::new();
    // Dropped before the server is waited for, which cannot end while it is frozen.
    let server = Process::start_dev(&scratch, "disable_mlock = true\n");
    let Some(trail) = Frozen::new(&scratch) else {
        println!("skipped: it takes root, loop devices, mkfs.ext4, mount and fsfreeze");
        return;
    };
    let mut root = server.connect(0);
    let file = trail.0.join("trail");
    let device = json!({"type": "file", "options": {"file_path": file}});
    root.send(&request("POST", "sys/mounts/transit").json(&json!({"type": "transit"}))).unwrap().expect(204);
    root.send(&request("POST", "sys/audit/trail").json(&device)).unwrap().expect(204);

    // The first time, a thread of the sockets may be the one that writes: its connections are closed.
    let kept = connections(&server);
    assert!(trail.freeze());
    let outcomes = all_at_once(kept, &changes("first"));
    println!("first: {outcomes:?}");
    assert!(outcomes.iter().any(|(answer, _)| answer.is_some()), "{outcomes:?}");
    check_refused(&outcomes);
    check_others_are_served(&server);
    assert!(trail.thaw());
    wait_until_well(&server);
    check_nothing_was_done(&server, "first");

    // From then on, it is none of them: all are answered, and whoever needs no entry does not notice.
    let kept = connections(&server);
    assert!(trail.freeze());
    let outcomes = thread::scope(|scope| {
        let outcomes = scope.spawn(|| all_at_once(kept, &changes("second")));
        while !outcomes.is_finished() {
            let (answer, took) = health(&server);
            assert!(answer.is_some() && took < Duration::from_secs(1), "{took:?}");
        }
        outcomes.join().unwrap()
    });
    println!("second: {outcomes:?}");
    assert!(outcomes.iter().all(|(answer, _)| answer.is_some()), "{outcomes:?}");
    check_refused(&outcomes);
    check_others_are_served(&server);
    assert!(trail.thaw());
    wait_until_well(&server);
    check_nothing_was_done(&server, "second");

    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{text}");
    let log = server.log();
    assert!(log.contains("an audit device failed") && log.contains("an audit device works again"), "{log}");
}

/// None was answered as done, and none waited for much longer than a device may take.
fn check_refused(outcomes: &[Outcome]) {
    for (answer, took) in outcomes {
        assert!(*took < Duration::from_secs(6), "{answer:?} took {took:?}");
        if let Some((status, text)) = answer {
            assert!(*status == 500 && text.contains("internal error"), "{status} {text}");
        }
    }
}

/// Whoever needs no entry is answered, on every thread; whoever needs one is refused at once.
fn check_others_are_served(server: &Process) {
    for _ in 0..8 {
        let (answer, took) = health(server);
        assert!(matches!(answer, Some((503, _))) && took < Duration::from_secs(1), "{answer:?} {took:?}");
        let (answer, took) = timed(&mut server.connect(0), &request("GET", "secret/data/a"));
        assert!(matches!(answer, Some((500, _))) && took < Duration::from_secs(1), "{answer:?} {took:?}");
    }
}
