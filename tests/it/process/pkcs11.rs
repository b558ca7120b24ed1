//! A server that a token of a hardware module unseals. The module is `softhsm2`, where that is installed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Process, Scratch, coffer};
use crate::client::{Answer, request};

/// A module without tokens, and a place for a server.
struct Module {
    scratch: Scratch,
    lib: &'static str,
}

/// Where systems put the library of `softhsm2`.
const LIBRARIES: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

impl Module {
    /// Nothing where `softhsm2` is missing.
    #[allow(clippy::print_stdout, reason = "the test that asks has not run")]
    fn new() -> Option<Self> {
        let tool = Command::new("softhsm2-util").arg("--version").output();
        let lib = LIBRARIES.iter().find(|lib| Path::new(lib).exists());
        let (Ok(_), Some(lib)) = (tool, lib) else {
            println!("skipped: softhsm2 is not installed");
            return None;
        };
        let scratch = Scratch::new();
        scratch.write(
            "softhsm2.conf",
            "directories.tokendir = DIR/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
        );
        fs::create_dir(scratch.path("tokens")).unwrap();
        Some(Self { scratch, lib })
    }

    /// Makes a token with this label and the PIN 1234.
    fn token(&self, label: &str) {
        self.util(&["--free", "--label", label, "--pin", "1234"]);
    }

    /// Makes it anew, without keys and with this PIN.
    fn clear(&self, label: &str, pin: &str) {
        self.util(&["--token", label, "--label", label, "--pin", pin]);
    }

    fn util(&self, args: &[&str]) {
        let mut util = Command::new("softhsm2-util");
        util.args(["--init-token", "--so-pin", "567890"]).args(args);
        let ran = util.env("SOFTHSM2_CONF", self.scratch.path("softhsm2.conf")).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    /// A stanza for a key on the token `coffer`; `more` comes first, and wins over what it names as well.
    fn stanza(&self, more: &str) -> String {
        let usual = [("lib", self.lib), ("token_label", "coffer"), ("pin", "1234"), ("key_label", "first")];
        let mut stanza = format!("seal \"pkcs11\" {{\n{more}\n");
        for (key, value) in usual.iter().filter(|(key, _)| !more.contains(key)) {
            stanza += &format!("{key} = \"{value}\"\n");
        }
        stanza + "}\n"
    }

    fn start(&self, stanzas: &str) -> Process {
        self.start_with(stanzas, &[])
    }

    fn start_with(&self, stanzas: &str, environment: &[(&str, &str)]) -> Process {
        let config = "storage \"sled\" { path = \"DIR/data\" }\ndisable_mlock = true\n\
            listener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }\n";
        let file = self.scratch.write("config.hcl", &format!("{config}{stanzas}"));
        let mut command = coffer();
        command.arg("server").arg("-config").arg(file).env("SOFTHSM2_CONF", self.scratch.path("softhsm2.conf"));
        command.envs(environment.iter().copied());
        Process::run(&self.scratch, command)
    }

    /// Starts a server that is new or sealed, and stays so until its log has this.
    #[track_caller]
    fn assert_sealed(&self, stanzas: &str, said: &str) {
        let server = self.start(stanzas);
        until(said, || server.log().contains(said), || server.log());
        assert!(!server.log().contains("1234") && !server.log().contains("9999"), "a PIN: {}", server.log());
        assert_eq!(status(&server)["sealed"], true);
    }
}

/// Waits, but not forever.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool, told: impl Fn() -> String) {
    for _ in 0..1500 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("{what:?} does not come: {}", told());
}

fn put(server: &Process, path: &str, body: &Value) -> Answer {
    server.connect(0).send(&request("PUT", path).without_token().json(body)).unwrap()
}

fn status(server: &Process) -> Value {
    server.connect(0).send(&request("GET", "sys/seal-status").without_token()).unwrap().expect(200).json()
}

/// Kind, whether sealed, whether it is to move.
#[track_caller]
fn assert_state(server: &Process, kind: &str, sealed: bool, migration: bool) {
    let status = status(server);
    assert_eq!((&status["type"], &status["sealed"]), (&json!(kind), &json!(sealed)), "{}", server.log());
    assert_eq!((&status["recovery_seal"], &status["migration"]), (&json!(kind != "shamir"), &json!(migration)));
}

#[track_caller]
fn assert_unseals_itself(server: &Process, root: &str) {
    until("unsealed", || status(server)["sealed"] == false, || server.log());
    let read = server.connect(0).send(&request("GET", "cubbyhole/a").token(root)).unwrap();
    assert_eq!(read.data()["a"], "b");
}

/// Initialises a server that has a seal, and writes what `assert_unseals_itself` reads: its root token and recovery keys.
fn initialise(server: &Process) -> (String, Vec<Value>) {
    let made = put(server, "sys/init", &json!({"recovery_shares": 3, "recovery_threshold": 2})).expect(200).json();
    let root = made["root_token"].as_str().unwrap().to_owned();
    write(server, &root);
    (root, made["recovery_keys"].as_array().unwrap().clone())
}

fn write(server: &Process, root: &str) {
    let body = json!({"a": "b"});
    server.connect(0).send(&request("PUT", "cubbyhole/a").token(root).json(&body)).unwrap().expect(204);
}

#[test]
fn a_token_unseals_at_every_start() {
    let Some(module) = Module::new() else { return };
    module.token("other");
    module.token("coffer");
    let mut server = module.start(&module.stanza("generate_key = \"true\""));
    assert_state(&server, "pkcs11", true, false);
    let (root, keys) = initialise(&server);
    assert_state(&server, "pkcs11", false, false);
    assert!(server.log().contains("the token has made a key for the seal"), "{}", server.log());
    assert_eq!(server.end().code(), Some(0));

    // Killed and started anew, without leave to make a key.
    for _ in 0..2 {
        let server = module.start(&module.stanza(""));
        assert_unseals_itself(&server, &root);
        assert!(!server.log().contains("ERROR"), "{}", server.log());
    }
    // Sealed by somebody it waits for people, whose shares unseal it with the token's help.
    let server = module.start(&module.stanza(""));
    assert_unseals_itself(&server, &root);
    server.connect(0).send(&request("PUT", "sys/seal").token(&root)).unwrap().expect(204);
    assert_state(&server, "pkcs11", true, false);
    put(&server, "sys/unseal", &json!({"key": keys[0]})).expect(200);
    assert_eq!(put(&server, "sys/unseal", &json!({"key": keys[2]})).expect(200).json()["sealed"], false);
}

#[test]
fn a_new_key_takes_over_from_the_one_before() {
    let Some(module) = Module::new() else { return };
    module.token("coffer");
    let (root, _) = initialise(&module.start(&module.stanza("generate_key = \"1\"\nkey_id = \"0x0A0b\"")));
    // The token still has the old key, and the server knows which that is.
    let server = module.start(&module.stanza("key_label = \"second\"\ngenerate_key = \"true\""));
    assert_unseals_itself(&server, &root);
    assert!(server.log().contains("the root key is under the new key of the seal"), "{}", server.log());
    drop(server);
    let server = module.start(&module.stanza("key_label = \"second\""));
    assert_unseals_itself(&server, &root);
    assert!(!server.log().contains("under the new key"), "{}", server.log());
}

#[test]
fn an_rsa_key_unseals_as_well() {
    let Some(module) = Module::new() else { return };
    module.token("coffer");
    let stanza = |hash: &str| {
        module.stanza(&format!("mechanism = \"0x0009\"\nrsa_oaep_hash = {hash:?}\ngenerate_key = \"true\""))
    };
    let server = module.start(&stanza("sha256"));
    let why = put(&server, "sys/init", &json!({"recovery_shares": 1, "recovery_threshold": 1})).refused_with(503);
    assert!(why.ends_with("set rsa_oaep_hash to one that it knows, as sha1"), "{why}");
    drop(server);
    let (root, _) = initialise(&module.start(&stanza("sha1")));
    // What kind of key it is is seen.
    let server = module.start(&module.stanza("rsa_oaep_hash = \"sha1\""));
    assert_unseals_itself(&server, &root);
}

#[test]
fn the_environment_stands_above_the_file() {
    let Some(module) = Module::new() else { return };
    module.token("coffer");
    module.scratch.write("pin", "1234\n");
    let pin = format!("file://{}", module.scratch.path("pin").display());
    let all = [
        ("BAO_SEAL_TYPE", "pkcs11"),
        ("BAO_HSM_LIB", module.lib),
        ("VAULT_HSM_TOKEN_LABEL", "coffer"),
        ("VAULT_HSM_PIN", &pin),
        ("VAULT_HSM_KEY_LABEL", "of the environment"),
        ("VAULT_HSM_GENERATE_KEY", "true"),
    ];
    let (root, _) = initialise(&module.start_with("", &all));
    let server = module
        .start_with(&module.stanza("hmac_key_label = \"none\""), &[("VAULT_HSM_KEY_LABEL", "of the environment")]);
    assert_unseals_itself(&server, &root);
    assert!(server.log().contains("hmac_key_label has no effect on this server"), "{}", server.log());
}

#[test]
fn a_server_that_its_token_does_not_unseal_says_why() {
    let Some(module) = Module::new() else { return };
    module.token("coffer");
    module.token("empty");
    let server = module.start(&module.stanza(""));
    let why = put(&server, "sys/init", &json!({"recovery_shares": 1, "recovery_threshold": 1})).refused_with(503);
    assert_eq!(
        why,
        "the seal \"pkcs11\" does not work now: the token has no key \"first\": correct key_label and key_id, or set \
         generate_key = \"true\""
    );
    drop(server);
    let (root, keys) = initialise(&module.start(&module.stanza("generate_key = \"true\"")));
    let check = |more: &str, said: &str| module.assert_sealed(&module.stanza(more), said);
    check("lib = \"/nowhere.so\"", "the library /nowhere.so cannot be loaded: ");
    check("token_label = \"gone\"", "there is no token labelled \"gone\", there is ");
    check("token_label = \"coffer\"\nslot = \"0x7\"", "there is no token labelled \"coffer\" in slot 7, there is ");
    check("token_label = \"empty\"", "the token has no key \"first\": the store was sealed with it");
    check("key_label = \"second\"", "the token has no key \"second\": correct key_label");
    check("pin = \"9999\"", "the token does not take the PIN: C_Login answers CKR_PIN_INCORRECT: correct pin");
    module.assert_sealed("", "the server is sealed");

    // While the module is away people cannot unseal either, and are told; once it is back the server unseals itself.
    let away = module.scratch.path("away");
    fs::rename(module.scratch.path("tokens"), &away).unwrap();
    fs::create_dir(module.scratch.path("tokens")).unwrap();
    let server = module.start(&module.stanza(""));
    until("no token", || server.log().contains("there is no token labelled"), || server.log());
    put(&server, "sys/unseal", &json!({"key": keys[0]})).expect(200);
    let why = put(&server, "sys/unseal", &json!({"key": keys[1]})).refused_with(503);
    assert!(why.contains("see to it that the module is there"), "{why}");
    fs::remove_dir(module.scratch.path("tokens")).unwrap();
    fs::rename(&away, module.scratch.path("tokens")).unwrap();
    assert_unseals_itself(&server, &root);
}

/// Tokens lock themselves after a few wrong PINs, so a server that tries again and again would lock its own.
#[test]
fn a_pin_that_is_refused_is_not_tried_again() {
    let Some(module) = Module::new() else { return };
    module.token("coffer");
    let (_, keys) = initialise(&module.start(&module.stanza("generate_key = \"true\"")));
    let server = module.start(&module.stanza("pin = \"9999\""));
    until("no PIN", || server.log().contains("does not take the PIN"), || server.log());
    // From now on it would be the right one.
    module.clear("coffer", "9999");
    put(&server, "sys/unseal", &json!({"key": keys[0]})).expect(200);
    let why = put(&server, "sys/unseal", &json!({"key": keys[1]})).refused_with(503);
    assert!(why.contains("C_Login answers CKR_PIN_INCORRECT") && why.contains("it is not tried again"), "{why}");
    drop(server);
    module.assert_sealed(&module.stanza("pin = \"9999\""), "the token has no key \"first\"");
}

/// From shares to a token, on to another one, and back to the same shares.
#[test]
fn a_server_moves_to_a_token_and_away() {
    let Some(module) = Module::new() else { return };
    module.token("coffer");
    module.token("other");
    let server = module.start("");
    let made = put(&server, "sys/init", &json!({"secret_shares": 3, "secret_threshold": 2})).expect(200).json();
    let (keys, root) = (&made["keys"], made["root_token"].as_str().unwrap());
    let bring = |server: &Process, at: usize, migrate: bool| {
        put(server, "sys/unseal", &json!({"key": keys[at], "migrate": migrate}))
    };
    bring(&server, 0, false).expect(200);
    bring(&server, 1, false).expect(200);
    write(&server, root);
    drop(server);

    let first = "generate_key = \"true\"";
    let second = "token_label = \"other\"\nkey_label = \"second\"\ngenerate_key = \"true\"";
    let mut seal = "shamir";
    for (stanzas, to) in [
        (module.stanza(first), "pkcs11"),
        (module.stanza(&format!("{first}\ndisabled = \"true\"")) + &module.stanza(second), "pkcs11"),
        (module.stanza(&format!("{second}\ndisabled = \"true\"")), "shamir"),
    ] {
        let server = module.start(&stanzas);
        assert_state(&server, seal, true, true);
        bring(&server, 2, false).expect(400);
        bring(&server, 2, true).expect(200);
        assert_eq!(bring(&server, 0, true).expect(200).json()["sealed"], false);
        assert_state(&server, to, false, false);
        drop(server);
        seal = to;
        if to == "pkcs11" {
            let server = module
                .start(stanzas.rsplit_once("seal \"").map(|(_, own)| format!("seal \"{own}")).as_deref().unwrap());
            assert_unseals_itself(&server, root);
        }
    }
    let server = module.start("");
    bring(&server, 0, false).expect(200);
    bring(&server, 2, false).expect(200);
    assert_unseals_itself(&server, root);
}
