//! A folder in which commands are typed, with or without a server. Knows no command.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::server::{ROOT, TestServer};

/// A directory of one test, gone with it.
pub(crate) struct Desk {
    pub(crate) dir: PathBuf,
    /// Where the server is, if the commands need one.
    server: Option<String>,
    token: String,
}

impl Desk {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("coffer-key-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        Self { dir, server: None, token: ROOT.to_owned() }
    }

    pub(crate) fn with_server(name: &str, server: &TestServer) -> Self {
        Self::new(name).at(&format!("http://{}", server.address))
    }

    pub(crate) fn at(mut self, server: &str) -> Self {
        self.server = Some(server.to_owned());
        self
    }

    /// The same desk for somebody else.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.join(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.join(name)).unwrap()
    }

    pub(crate) fn run(&self, program: &str, args: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(program);
        command.current_dir(&self.dir).env_remove("COFFER_FORMAT").env_remove("VAULT_FORMAT").args(args);
        if let Some(address) = &self.server {
            command.env_remove("COFFER_ADDR").env_remove("COFFER_TOKEN");
            command.env("VAULT_ADDR", address).env("VAULT_TOKEN", &self.token);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        // A command that ends without reading its input has closed the pipe.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    pub(crate) fn coffer(&self, args: &[&str]) -> Output {
        self.run(env!("CARGO_BIN_EXE_coffer"), args, b"")
    }

    /// What a command prints that succeeds.
    pub(crate) fn said(&self, args: &[&str]) -> String {
        let output = self.coffer(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.said(&[args, &["-format=json"]].concat())).unwrap()
    }

    pub(crate) fn fails(&self, args: &[&str], code: i32, expected: &str) {
        let output = self.coffer(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{args:?}: {said}");
    }

    pub(crate) fn openssl(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run("openssl", args, input);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A MAC under the key in a file, as the README has it: in hex.
    pub(crate) fn mac(&self, key: &str, kind: &[&str], input: &[u8]) -> String {
        let hex_key = format!("hexkey:{}", hex(&self.read(key)));
        let args =
            [&["mac"], kind, &["-macopt", &hex_key, "-in", "-"], &[if kind[0] == "-cipher" { "CMAC" } else { "HMAC" }]];
        String::from_utf8(self.openssl(&args.concat(), input)).unwrap().trim().to_lowercase()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
