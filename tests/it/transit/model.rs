//! Transit against a model of it: whatever happens to keys, the server answers as the plain rules foretell, and what keys
//! made can be used just as long as the rules let it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::client::{Answer, b64, request};
use crate::server::TestServer;
use rules::{Config, Context, Identity, Key, Kind, Made, Maker, Model, Refusal, What};
use steps::{CONTEXTS, Chosen, NAMES, Step, Turn, turns};

mod rules;
mod steps;
mod work;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_do_what_the_rules_say(turns in turns()) {
        let mut game = Game::start();
        for turn in &turns {
            game.play(turn);
        }
        game.use_all();
        game.check_names();
    }
}

/// A server, and what it should answer.
struct Game {
    server: TestServer,
    model: Model,
    made: Vec<Made>,
    backups: Vec<Backup>,
    /// How each version was shown first.
    shown: BTreeMap<Identity, Value>,
}

struct Backup {
    name: &'static str,
    key: Key,
    blob: String,
}

impl Game {
    fn start() -> Self {
        let server = TestServer::start();
        let (made, backups, shown) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { server, model: Model::default(), made, backups, shown }
    }

    fn play(&mut self, turn: &Turn) {
        self.server.clock.advance(Duration::from_secs(1));
        let name = turn.key;
        match &turn.step {
            Step::Create { kind, exportable, plaintext_backup } => {
                let expected = self.model.create(name, *kind, (*exportable, *plaintext_backup));
                let mut body = json!({"exportable": exportable, "allow_plaintext_backup": plaintext_backup});
                add_kind(&mut body, *kind, true);
                self.change(name, "POST", "", &body, expected.map(|()| Vec::new()));
            }
            Step::Configure(config) => {
                let expected = self.model.configure(name, config);
                self.change(name, "POST", "/config", &written(config), expected);
            }
            Step::Rotate { times } => {
                for _ in 0..*times {
                    let expected = self.model.rotate(name).map(|()| Vec::new());
                    self.change(name, "POST", "/rotate", &json!({}), expected);
                }
            }
            Step::Trim(to) => {
                let expected = self.model.trim(name, *to).map(|()| Vec::new());
                let body = to.map_or(json!({}), |to| json!({"min_available_version": to}));
                self.change(name, "POST", "/trim", &body, expected);
            }
            Step::Delete => {
                let expected = self.model.delete(name);
                check_empty(&self.server.delete(&format!("transit/keys/{name}")), expected);
            }
            Step::SoftDelete => self.set_soft_deleted(name, true),
            Step::RestoreSoftDeleted => self.set_soft_deleted(name, false),
            Step::BackUp => self.back_up(name),
            Step::Restore { backup, renamed, force } => self.restore(name, *backup, *renamed, *force),
            Step::Encrypt { kind, version, context, input } => self.encrypt(name, *kind, *version, *context, input),
            Step::Decrypt { made, context } => self.decrypt(name, *made, *context),
            Step::Rewrap { made, version, context } => self.rewrap(name, *made, *version, *context),
            Step::Sign { version, context, input } => self.sign(name, *version, *context, input),
            Step::Mac { what, version, input } => self.mac(name, *what, *version, input),
            Step::Verify { made, context } => self.verify(name, *made, *context),
            Step::UseAll => self.use_all(),
        }
        for name in NAMES {
            self.check_shown(name);
        }
    }

    // === the life of a key ===

    /// A change that answers with the key.
    fn change(
        &mut self,
        name: &'static str,
        method: &str,
        action: &str,
        body: &Value,
        expected: Result<Vec<&str>, Refusal>,
    ) {
        let answer = self.server.send(&request(method, &format!("transit/keys/{name}{action}")).json(body));
        if let Some(warnings) = accepted(&answer, expected) {
            let warnings = if warnings.is_empty() { Value::Null } else { json!(warnings) };
            assert_eq!(answer.json()["warnings"], warnings);
            self.check_key(name, answer.data());
        }
    }

    fn set_soft_deleted(&mut self, name: &'static str, deleted: bool) {
        let (method, action, already) = if deleted {
            ("DELETE", "/soft-delete", "key was already marked as soft deleted")
        } else {
            ("POST", "/soft-delete-restore", "key was already restored")
        };
        match self.model.set_soft_deleted(name, deleted) {
            Some(so_already) => {
                let warnings = if so_already { vec![already] } else { Vec::new() };
                self.change(name, method, action, &json!({}), Ok(warnings));
            }
            None => drop(self.server.send(&request(method, &format!("transit/keys/{name}{action}"))).expect(204)),
        }
    }

    fn back_up(&mut self, name: &'static str) {
        let expected = self.model.back_up(name, &self.now());
        let answer = self.server.get(&format!("transit/backup/{name}"));
        if let Some(key) = accepted(&answer, expected) {
            self.backups.push(Backup { name, key, blob: answer.text_of("backup") });
        }
    }

    fn restore(&mut self, name: &'static str, backup: Index, renamed: bool, force: bool) {
        if self.backups.is_empty() {
            return;
        }
        let now = self.now();
        let Backup { name: old_name, key, blob } = backup.get(&self.backups);
        let (path, name) =
            if renamed { (format!("transit/restore/{name}"), name) } else { (RESTORE.into(), *old_name) };
        let expected = self.model.restore(name, key, force, &now);
        check_empty(&self.server.post(&path, &json!({"backup": blob, "force": force})), expected);
    }

    fn check_shown(&mut self, name: &'static str) {
        let answer = self.server.get(&format!("transit/keys/{name}"));
        if self.model.keys.contains_key(name) {
            self.check_key(name, answer.data());
        } else {
            answer.refused(404, "");
        }
    }

    /// Checks what a key is shown as, and that no version of it was ever shown otherwise.
    fn check_key(&mut self, name: &'static str, mut shown: Value) {
        let key = &self.model.keys[name];
        let versions = shown.as_object_mut().unwrap().remove("keys");
        assert_eq!(shown, key.shown(name));
        let Some(expected) = key.shown_versions() else { return assert_eq!(versions, None) };
        let versions = versions.unwrap();
        let numbers: BTreeSet<i64> =
            versions.as_object().unwrap().keys().map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers, expected.keys().copied().collect());
        for (version, identity) in expected {
            let found = &versions[version.to_string()];
            assert_eq!(self.shown.entry(identity).or_insert_with(|| found.clone()), found, "version {version}");
        }
    }

    fn check_names(&self) {
        let answer = self.server.list("transit/keys");
        if self.model.keys.is_empty() {
            return answer.refused(404, "");
        }
        assert_eq!(answer.data()["keys"], json!(self.model.keys.keys().collect::<Vec<_>>()));
    }

    // === what a key does ===

    fn encrypt(&mut self, name: &'static str, kind: Kind, version: i64, context: Context, input: &'static str) {
        let expected = self.model.encrypter(name, kind, context).and_then(|key| key.encrypt(version, context));
        let mut body = with_context(json!({"plaintext": b64(input), "key_version": version}), context);
        add_kind(&mut body, kind, false);
        let answer = self.server.post(&format!("transit/encrypt/{name}"), &body);
        self.remember(&answer, What::Ciphertext, expected, context, input);
    }

    fn decrypt(&mut self, name: &'static str, made: Index, context: Chosen) {
        let Some(made) = self.made_before(made, true) else { return };
        let context = context.for_made(&made);
        let expected = self.model.decrypter(name).and_then(|key| key.decrypt(&made, context));
        let body = with_context(json!({"ciphertext": made.text}), context);
        let answer = self.server.post(&format!("transit/decrypt/{name}"), &body);
        if accepted(&answer, expected).is_some() {
            assert_eq!(answer.text_of("plaintext"), b64(made.input));
        }
    }

    fn rewrap(&mut self, name: &'static str, made: Index, version: i64, context: Chosen) {
        let Some(made) = self.made_before(made, true) else { return };
        let context = context.for_made(&made);
        let expected = self.model.decrypter(name).and_then(|key| {
            key.decrypt(&made, context)?;
            key.encrypt(version, context)
        });
        let body = with_context(json!({"ciphertext": made.text, "key_version": version}), context);
        let answer = self.server.post(&format!("transit/rewrap/{name}"), &body);
        self.remember(&answer, What::Ciphertext, expected, context, made.input);
    }

    fn sign(&mut self, name: &'static str, version: i64, context: Context, input: &'static str) {
        let expected = self.model.signer(name).and_then(|key| key.sign(version, context));
        let body = with_context(json!({"input": b64(input), "key_version": version}), context);
        let answer = self.server.post(&format!("transit/sign/{name}"), &body);
        self.remember(&answer, What::Signature, expected, context, input);
    }

    fn mac(&mut self, name: &'static str, what: What, version: i64, input: &'static str) {
        let expected = self.model.verifier(name, what).and_then(|key| key.mac(version, what));
        let body = json!({"input": b64(input), "key_version": version});
        let answer = self.server.post(&format!("transit/{}/{name}", what.member()), &body);
        self.remember(&answer, what, expected, None, input);
    }

    fn verify(&mut self, name: &'static str, made: Index, context: Chosen) {
        let Some(made) = self.made_before(made, false) else { return };
        let context = context.for_made(&made);
        let expected = self.model.verifier(name, made.what).and_then(|key| key.verify(&made, context));
        let body = with_context(json!({"input": b64(made.input), made.what.member(): made.text}), context);
        let answer = self.server.post(&format!("transit/verify/{name}"), &body);
        if let Some(valid) = accepted(&answer, expected) {
            assert_eq!(answer.data()["valid"], valid);
        }
    }

    /// Keeps what was made, and checks that it was made by the version that should make it.
    fn remember(
        &mut self,
        answer: &Answer,
        what: What,
        expected: Result<Maker, Refusal>,
        context: Context,
        input: &'static str,
    ) {
        let Some(by) = accepted(answer, expected) else { return };
        let data = answer.data();
        let text = answer.text_of(what.member());
        assert!(text.starts_with(&format!("vault:v{}:", by.version)), "{text}");
        if matches!(what, What::Ciphertext | What::Signature) {
            assert_eq!(data["key_version"], by.version);
        }
        let context = context.filter(|_| by.kind.derived);
        let twin = self.made.iter().find(|made| {
            let (made_by, input_and_context) = (made.by.identity, (made.input, made.context));
            made.what == what && made_by == by.identity && input_and_context == (input, context)
        });
        if let (Some(twin), What::Ciphertext) = (twin, what) {
            assert_eq!(twin.text == text, by.kind.convergent, "{twin:?} and {text}");
        }
        self.made.push(Made { what, by, context, input, text });
    }

    /// Tries all that was made with every key, whether that made it or not. Every item has a context: keys that are not
    /// derived ignore it.
    fn use_all(&self) {
        for name in NAMES {
            for what in [What::Ciphertext, What::Signature, What::Hmac, What::Cmac] {
                let made: Vec<_> = self.made.iter().filter(|made| made.what == what).collect();
                if !made.is_empty() {
                    self.use_all_of(name, what, &made);
                }
            }
        }
    }

    fn use_all_of(&self, name: &str, what: What, made: &[&Made]) {
        let decrypts = what == What::Ciphertext;
        let item = |made: &&Made| {
            let input = if decrypts { Value::Null } else { b64(made.input).into() };
            json!({"input": input, what.member(): made.text, "context": b64(context_of(made))})
        };
        let body = json!({"batch_input": made.iter().map(item).collect::<Value>()});
        let path = if decrypts { "decrypt" } else { "verify" };
        let answer = self.server.post(&format!("transit/{path}/{name}"), &body);
        let key = match self.model.verifier(name, what) {
            Err(refusal) => return check_refused(&answer, &refusal),
            Ok(key) => key,
        };
        let outcomes = made.iter().map(|made| match what {
            What::Ciphertext => {
                key.decrypt(made, Some(context_of(made))).map(|()| json!({"plaintext": b64(made.input)}))
            }
            _ => key.verify(made, Some(context_of(made))).map(|valid| json!({"valid": valid})),
        });
        let outcomes: Vec<_> = outcomes.collect();
        let failed = decrypts && outcomes.iter().any(Result::is_err);
        assert_eq!(answer.status, if failed { 400 } else { 200 }, "{}", answer.text());
        let results = answer.json()["data"]["batch_results"].take();
        assert_eq!(results.as_array().unwrap().len(), made.len());
        for ((outcome, made), found) in outcomes.into_iter().zip(made).zip(results.as_array().unwrap()) {
            let mut expected = match (outcome, what) {
                (Ok(result), _) => result,
                (Err(refusal), What::Ciphertext) => json!({"plaintext": "", "error": refusal.text()}),
                (Err(refusal), What::Signature) => json!({"valid": false, "error": refusal.text()}),
                (Err(refusal), What::Hmac | What::Cmac) => json!({"error": refusal.text()}),
            };
            expected["reference"] = "".into();
            assert_eq!(*found, expected, "{made:?} with {name}");
        }
    }

    /// Something that was made before, if there is any: a ciphertext, or something to verify.
    fn made_before(&self, index: Index, ciphertext: bool) -> Option<Made> {
        let fit: Vec<_> = self.made.iter().filter(|made| (made.what == What::Ciphertext) == ciphertext).collect();
        if fit.is_empty() { None } else { Some((*index.get(&fit)).clone()) }
    }

    fn now(&self) -> String {
        self.server.clock.now().to_string()
    }
}

impl What {
    fn member(self) -> &'static str {
        match self {
            Self::Ciphertext => "ciphertext",
            Self::Signature => "signature",
            Self::Hmac => "hmac",
            Self::Cmac => "cmac",
        }
    }
}

impl Chosen {
    fn for_made(self, made: &Made) -> Context {
        match self {
            Self::Own => made.context,
            Self::Other(context) => context,
        }
    }
}

/// The context that something was made with, or some context.
fn context_of(made: &Made) -> &'static str {
    made.context.unwrap_or(CONTEXTS[0])
}

fn with_context(mut body: Value, context: Context) -> Value {
    if let Some(context) = context {
        body["context"] = b64(context).into();
    }
    body
}

fn add_kind(body: &mut Value, kind: Kind, create: bool) {
    body["type"] = kind.name.into();
    body["convergent_encryption"] = kind.convergent.into();
    if create {
        body["derived"] = kind.derived.into();
    }
}

fn written(config: &Config) -> Value {
    let members: [(&str, Option<Value>); 5] = [
        ("min_decryption_version", config.min_decryption.map(Value::from)),
        ("min_encryption_version", config.min_encryption.map(Value::from)),
        ("deletion_allowed", config.deletion_allowed.map(Value::from)),
        ("exportable", config.exportable.map(Value::from)),
        ("allow_plaintext_backup", config.plaintext_backup.map(Value::from)),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Checks that a request was refused if it should be; else returns what is expected of its success.
#[track_caller]
fn accepted<T>(answer: &Answer, expected: Result<T, Refusal>) -> Option<T> {
    match expected {
        Err(refusal) => {
            check_refused(answer, &refusal);
            None
        }
        Ok(success) => {
            assert_eq!(answer.status, 200, "{}", answer.text());
            Some(success)
        }
    }
}

#[track_caller]
fn check_refused(answer: &Answer, refusal: &Refusal) {
    let found = (answer.status, answer.error_if_any());
    assert_eq!(found, refusal.status_and_text(), "{}", answer.text());
}

#[track_caller]
fn check_empty(answer: &Answer, expected: Result<(), Refusal>) {
    match expected {
        Err(refusal) => check_refused(answer, &refusal),
        Ok(()) => assert_eq!(answer.status, 204, "{}", answer.text()),
    }
}

const RESTORE: &str = "transit/restore";
