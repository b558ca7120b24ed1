//! Secrets that are asked for at a terminal: nothing of them is shown, and the terminal is as before afterwards.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::server::TestServer;

/// Types this at the question for an unseal key. Returns the exit code, and what was said.
fn type_key(server: &TestServer, typed: &[u8]) -> (Option<i32>, String) {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let nocontrol = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(nocontrol).open(name.to_str().unwrap());
    let terminal = terminal.unwrap();
    let before = tcgetattr(&terminal).unwrap();
    assert!(before.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.args(["operator", "unseal"]).env("VAULT_ADDR", format!("http://{}", server.address));
    command.stdin(terminal.try_clone().unwrap()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = child.stderr.take().unwrap();
    let mut question = vec![0; "Unseal Key (will be hidden): ".len()];
    said.read_exact(&mut question).unwrap();
    while tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO) {
        std::thread::yield_now();
    }
    File::from(keyboard.try_clone().unwrap()).write_all(typed).unwrap();
    let code = child.wait().unwrap().code();
    let after = tcgetattr(&terminal).unwrap();
    assert_eq!(after.local_modes, before.local_modes, "{typed:?}");
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    (code, text)
}

/// Whoever broke off did not see any longer what he typed.
#[test]
fn a_terminal_shows_again_what_is_typed_however_a_question_ends() {
    let server = TestServer::start();
    assert_eq!(type_key(&server, b"half\x03"), (Some(1), "\ncoffer: interrupted\n".to_owned()));
    assert_eq!(type_key(&server, b"\x1c"), (Some(1), "\ncoffer: interrupted\n".to_owned()));
    let (code, said) = type_key(&server, b"\n");
    assert!(code == Some(1) && said.contains("nothing was given"), "{said}");
    let (code, said) = type_key(&server, b"bm8gc2hhcmU=\n");
    assert!(code != Some(1) && !said.contains("bm8g"), "{code:?} {said}");
}
