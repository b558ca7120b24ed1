//! One secret against a model of it: whatever is done to it, every version of it reads as the plain rules foretell.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use coffer::clock::Timestamp;

use super::patch;
use crate::client::Answer;
use crate::server::TestServer;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_secret_does_what_the_rules_say(steps in vec(step(), 1..30), from_version_1 in any::<bool>()) {
        let mut game = Game::start(from_version_1);
        for step in &steps {
            game.play(step);
            game.check();
        }
    }
}

// === what may happen ===

#[derive(Clone, Debug)]
enum Step {
    /// How far `cas` is from the right one, if it is given.
    Write {
        off: Option<i64>,
        data: Value,
    },
    Patch {
        off: Option<i64>,
        data: Value,
    },
    DeleteLatest,
    Delete(Vec<u64>),
    Undelete(Vec<u64>),
    Destroy(Vec<u64>),
    SetSecret(Rules),
    SetMount(Rules),
    Remove,
    Wait(u32),
    /// The regular work of the server.
    Tick,
}

/// Settings of a secret or a mount; those that are not there stay as they are.
#[derive(Clone, Debug, Default)]
struct Rules {
    max_versions: Option<u64>,
    cas_required: Option<bool>,
    delete_after: Option<u32>,
}

fn step() -> impl Strategy<Value = Step> {
    let off = || option::weighted(0.5, prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(-1)]);
    prop_oneof![
        8 => (off(), data(false)).prop_map(|(off, data)| Step::Write { off, data }),
        4 => (off(), data(true)).prop_map(|(off, data)| Step::Patch { off, data }),
        2 => Just(Step::DeleteLatest),
        2 => numbers().prop_map(Step::Delete),
        2 => numbers().prop_map(Step::Undelete),
        2 => numbers().prop_map(Step::Destroy),
        2 => rules().prop_map(Step::SetSecret),
        2 => rules().prop_map(Step::SetMount),
        1 => Just(Step::Remove),
        3 => (1_u32..8).prop_map(Step::Wait),
        1 => Just(Step::Tick),
    ]
}

fn numbers() -> impl Strategy<Value = Vec<u64>> {
    vec(0_u64..8, 1..4)
}

fn rules() -> impl Strategy<Value = Rules> {
    let rules = (option::of(0_u64..5), option::of(prop::bool::weighted(0.2)), option::of(select(vec![0, 3, 10])));
    rules.prop_map(|(max_versions, cas_required, delete_after)| Rules { max_versions, cas_required, delete_after })
}

/// An object; as a patch, one that may remove.
fn data(removes: bool) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![(0..9).prop_map(Value::from), "[a-b<é]{0,2}".prop_map(Value::from), Just(json!([1, null]))];
    let leaf = if removes { prop_oneof![leaf, Just(Value::Null)].boxed() } else { leaf.boxed() };
    let object = |inner: BoxedStrategy<Value>| {
        let members = prop::collection::btree_map("[a-d]", inner, 0..4);
        members.prop_map(|members| Value::Object(members.into_iter().collect())).boxed()
    };
    object(prop_oneof![leaf.clone(), object(leaf)].boxed())
}

// === the rules ===

#[derive(Default)]
struct Model {
    now: i64,
    mount: Settings,
    secret: Option<Secret>,
}

#[derive(Clone, Default)]
struct Settings {
    max_versions: u64,
    cas_required: bool,
    delete_after: u32,
}

struct Secret {
    settings: Settings,
    created: i64,
    updated: i64,
    written: u64,
    oldest: u64,
    /// How often its settings were written.
    described: u64,
    versions: BTreeMap<u64, Version>,
}

#[derive(Clone)]
struct Version {
    created: i64,
    deletion: Option<i64>,
    destroyed: bool,
    data: Value,
}

type Refusal = &'static str;

impl Settings {
    fn set(&mut self, rules: &Rules) {
        self.max_versions = rules.max_versions.unwrap_or(self.max_versions);
        self.cas_required = rules.cas_required.unwrap_or(self.cas_required);
        self.delete_after = rules.delete_after.unwrap_or(self.delete_after);
    }
}

impl Secret {
    fn new(now: i64) -> Self {
        let (settings, versions) = (Settings::default(), BTreeMap::new());
        Self { settings, created: now, updated: now, written: 0, oldest: 0, described: 0, versions }
    }

    fn metadata(&self, number: u64) -> Value {
        let version = &self.versions[&number];
        json!({
            "created_time": time(version.created), "custom_metadata": null, "destroyed": version.destroyed,
            "deletion_time": version.deletion.map(time).unwrap_or_default(), "version": number,
        })
    }
}

impl Version {
    fn is_alive(&self, now: i64) -> bool {
        !self.destroyed && self.deletion.is_none_or(|deletion| deletion > now)
    }
}

impl Model {
    fn cas(&self, off: Option<i64>) -> Option<i64> {
        let written = self.secret.as_ref().map_or(0, |secret| secret.written);
        off.map(|off| i64::try_from(written).unwrap() + off)
    }

    fn check_cas(&self, off: Option<i64>) -> Result<(), Refusal> {
        let required =
            self.mount.cas_required || self.secret.as_ref().is_some_and(|secret| secret.settings.cas_required);
        match off {
            Some(0) => Ok(()),
            Some(_) => Err("check-and-set parameter did not match the current version"),
            None if required => Err("check-and-set parameter required for this call"),
            None => Ok(()),
        }
    }

    fn expiry(&self) -> Option<i64> {
        let own = self.secret.as_ref().map_or(0, |secret| secret.settings.delete_after);
        let after = match (own, self.mount.delete_after) {
            (0, 0) => return None,
            (0, after) | (after, 0) => after,
            (own, mount) => own.min(mount),
        };
        Some(self.now + i64::from(after))
    }

    fn write(&mut self, off: Option<i64>, data: Value) -> Result<Value, Refusal> {
        self.check_cas(off)?;
        let (now, deletion) = (self.now, self.expiry());
        let secret = self.secret.get_or_insert_with(|| Secret::new(now));
        secret.written += 1;
        secret.updated = now;
        secret.versions.insert(secret.written, Version { created: now, deletion, destroyed: false, data });
        let most = match secret.settings.max_versions.max(self.mount.max_versions) {
            0 => 10,
            most => most,
        };
        if secret.written >= secret.oldest + most {
            secret.oldest = secret.written - most + 1;
            secret.versions.retain(|number, _| *number >= secret.oldest);
        }
        Ok(secret.metadata(secret.written))
    }

    /// What a patch answers: a status and data, or a refusal.
    fn patch(&mut self, off: Option<i64>, changes: &Value) -> Result<(u16, Value), Refusal> {
        if self.secret.is_none() {
            return Ok((404, Value::Null));
        }
        self.check_cas(off)?;
        let secret = self.secret.as_ref().unwrap();
        match secret.versions.get(&secret.written) {
            None => Ok((404, Value::Null)),
            Some(version) if !version.is_alive(self.now) => Ok((404, secret.metadata(secret.written))),
            Some(version) => {
                let data = merged(&version.data, changes);
                self.write(off.or(Some(0)), data).map(|metadata| (200, metadata))
            }
        }
    }

    fn each(&mut self, numbers: &[u64], change: impl Fn(&mut Version, i64)) {
        for number in numbers {
            let version = self.secret.as_mut().and_then(|secret| secret.versions.get_mut(number));
            if let Some(version) = version.filter(|version| !version.destroyed) {
                change(version, self.now);
            }
        }
    }

    fn delete(&mut self, numbers: &[u64]) {
        self.each(numbers, |version, now| {
            if version.is_alive(now) {
                version.deletion = Some(now);
            }
        });
    }

    fn undelete(&mut self, numbers: &[u64]) {
        let expiry = self.expiry();
        self.each(numbers, |version, _| version.deletion = expiry);
    }

    /// What a read answers.
    fn read(&self, number: u64) -> (u16, Value) {
        let Some(secret) = &self.secret else { return (404, Value::Null) };
        let number = if number == 0 { secret.written } else { number };
        let Some(version) = secret.versions.get(&number) else { return (404, Value::Null) };
        let metadata = secret.metadata(number);
        if version.is_alive(self.now) {
            (200, json!({"data": version.data, "metadata": metadata}))
        } else {
            (404, json!({"data": null, "metadata": metadata}))
        }
    }

    fn described(&self) -> (u16, Value) {
        let Some(secret) = &self.secret else { return (404, Value::Null) };
        let mut versions = Map::new();
        for number in secret.versions.keys() {
            let mut shown = secret.metadata(*number);
            let members = shown.as_object_mut().unwrap();
            members.retain(|name, _| !matches!(name.as_str(), "version" | "custom_metadata"));
            versions.insert(number.to_string(), shown);
        }
        let shown = json!({
            "cas_required": secret.settings.cas_required, "created_time": time(secret.created),
            "current_metadata_version": secret.described, "current_version": secret.written, "custom_metadata": null,
            "delete_version_after": format!("{}s", secret.settings.delete_after),
            "max_versions": secret.settings.max_versions, "metadata_cas_required": false,
            "oldest_version": secret.oldest, "updated_time": time(secret.updated), "versions": versions,
        });
        (200, shown)
    }
}

/// RFC 7386, by values.
fn merged(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut members = target.as_object().cloned().unwrap_or_default();
    for (name, change) in changes {
        match change {
            Value::Null => drop(members.remove(name)),
            change => {
                let member = merged(members.get(name).unwrap_or(&Value::Null), change);
                members.insert(name.clone(), member);
            }
        }
    }
    Value::Object(members)
}

fn time(second: i64) -> String {
    let start: Timestamp = "2026-11-22T00:00:00.123456789Z".parse().unwrap();
    (start + Duration::from_secs(u64::try_from(second).unwrap())).to_string()
}

// === the game ===

/// A server, and what it should answer.
struct Game {
    server: TestServer,
    model: Model,
    secret: &'static str,
}

impl Game {
    fn start(from_version_1: bool) -> Self {
        let server = TestServer::with_all_engines();
        let mut game = Self { server, model: Model::default(), secret: "secret" };
        if from_version_1 {
            game.secret = "kv";
            game.server.post("kv/k", &json!({"a": 1})).expect(204);
            game.model.write(None, json!({"a": 1})).unwrap();
            game.model.secret.as_mut().unwrap().oldest = 1;
            let tuned = game.server.post("sys/mounts/kv/tune", &json!({"options": {"version": "2"}}));
            assert!(matches!(tuned.status, 200 | 204), "{}", tuned.text());
        }
        game
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Write { off, data } => {
                let body = self.body(*off, data);
                let answer = self.server.post(&self.path("data"), &body);
                match self.model.write(*off, data.clone()) {
                    Ok(metadata) => assert_eq!(told(&answer), (200, metadata)),
                    Err(refusal) => answer.refused(400, refusal),
                }
            }
            Step::Patch { off, data } => {
                let body = self.body(*off, data);
                let answer = self.server.send(&patch(&self.path("data"), &body));
                match self.model.patch(*off, data) {
                    Ok(expected) => assert_eq!(told(&answer), expected),
                    Err(refusal) => answer.refused(400, refusal),
                }
            }
            Step::DeleteLatest => {
                self.server.delete(&self.path("data")).expect(204);
                let latest = self.model.secret.as_ref().map_or(0, |secret| secret.written);
                self.model.delete(&[latest]);
            }
            Step::Delete(numbers) => {
                self.change("delete", numbers);
                self.model.delete(numbers);
            }
            Step::Undelete(numbers) => {
                self.change("undelete", numbers);
                self.model.undelete(numbers);
            }
            Step::Destroy(numbers) => {
                self.change("destroy", numbers);
                self.model.each(numbers, |version, _| version.destroyed = true);
            }
            Step::SetSecret(rules) => self.describe(rules),
            Step::SetMount(rules) => {
                self.server.post(&format!("{}/config", self.secret), &written(rules)).expect(204);
                self.model.mount.set(rules);
            }
            Step::Remove => {
                self.server.delete(&self.path("metadata")).expect(204);
                self.model.secret = None;
            }
            Step::Wait(seconds) => {
                self.server.clock.advance(Duration::from_secs(u64::from(*seconds)));
                self.model.now += i64::from(*seconds);
            }
            Step::Tick => self.server.core.tick(),
        }
    }

    fn describe(&mut self, rules: &Rules) {
        let answer = self.server.post(&self.path("metadata"), &written(rules));
        let lifted = rules.cas_required == Some(false) && self.model.mount.cas_required;
        answer.expect(if lifted { 200 } else { 204 });
        if written(rules) != json!({}) {
            let now = self.model.now;
            let secret = self.model.secret.get_or_insert_with(|| Secret::new(now));
            secret.settings.set(rules);
            secret.described += 1;
        }
    }

    fn change(&self, action: &str, numbers: &[u64]) {
        self.server.post(&self.path(action), &json!({"versions": numbers})).expect(204);
    }

    /// Reads every version that there may be, and all that is known of the secret.
    fn check(&self) {
        let written = self.model.secret.as_ref().map_or(0, |secret| secret.written);
        for number in 0..=written + 1 {
            let answer = self.server.get(&format!("{}?version={number}", self.path("data")));
            assert_eq!(told(&answer), self.model.read(number), "version {number}");
        }
        assert_eq!(told(&self.server.get(&self.path("metadata"))), self.model.described());
        let listed = self.server.list(&format!("{}/metadata", self.secret)).status == 200;
        assert_eq!(listed, self.model.secret.is_some());
    }

    fn path(&self, operation: &str) -> String {
        format!("{}/{operation}/k", self.secret)
    }

    fn body(&self, off: Option<i64>, data: &Value) -> Value {
        match self.model.cas(off) {
            Some(cas) => json!({"data": data, "options": {"cas": cas}}),
            None => json!({"data": data}),
        }
    }
}

fn written(rules: &Rules) -> Value {
    let mut body = Map::new();
    body.extend(rules.max_versions.map(|most| ("max_versions".to_owned(), json!(most))));
    body.extend(rules.cas_required.map(|required| ("cas_required".to_owned(), json!(required))));
    body.extend(rules.delete_after.map(|after| ("delete_version_after".to_owned(), json!(format!("{after}s")))));
    Value::Object(body)
}

/// Status and data of an answer.
fn told(answer: &Answer) -> (u16, Value) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, body["data"].clone())
}
