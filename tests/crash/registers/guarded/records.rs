//! What is in a mount whose protection changes: secrets with or without versions, or transit's keys and what they encrypted.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::http::{Answer, Request, read, write};
use crate::oracle::Slot;
use crate::random::Rng;
use crate::registers::CANARY;
use crate::session::{Gone, Session};

pub(super) struct Records {
    engine: Engine,
    /// Each with its text; a key's is the number of its versions.
    by_name: BTreeMap<String, Slot<String>>,
    sealed: Vec<Sealed>,
}

#[derive(Clone, Copy, PartialEq)]
enum Engine {
    Plain,
    Versioned,
    Transit,
}

/// What a key of transit encrypted.
struct Sealed {
    key: String,
    plaintext: String,
    ciphertext: String,
}

impl Records {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let engine = *rng.pick(&[Engine::Plain, Engine::Versioned, Engine::Transit]);
        Self { engine, by_name: BTreeMap::new(), sealed: Vec::new() }
    }

    /// What makes the mount.
    pub(super) fn mount(&self) -> Value {
        match self.engine {
            Engine::Plain => json!({ "type": "kv", "options": { "version": "1" } }),
            Engine::Versioned => json!({ "type": "kv", "options": { "version": "2" } }),
            Engine::Transit => json!({ "type": "transit" }),
        }
    }

    /// The mount is gone, and they with it.
    pub(super) fn forget(&mut self) {
        self.by_name.clear();
        self.sealed.clear();
    }

    /// Reads them all. `is_open` says whether they can be read at all, as far as that is known.
    pub(super) fn check(&mut self, mount: &str, is_open: Option<bool>, session: &mut Session<'_>) -> Result<(), Gone> {
        for slot in self.by_name.values_mut() {
            if !look(self.engine, mount, slot, is_open, session)? {
                return Ok(()); // If one is locked, all are.
            }
        }
        for sealed in &self.sealed {
            let request = write(format!("{mount}/decrypt/{}", sealed.key), json!({ "ciphertext": sealed.ciphertext }));
            let answer = session.ask(&request)?;
            if answer.status != 200 || answer.data()["plaintext"] != sealed.plaintext {
                let story = format!("{mount}: a ciphertext of {}: {}, {}", sealed.key, answer.status, answer.body);
                session.tally.lost.push(story);
            }
        }
        Ok(())
    }

    /// Writes one, or encrypts.
    pub(super) fn act(
        &mut self,
        mount: &str,
        is_open: Option<bool>,
        session: &mut Session<'_>,
        rng: &mut Rng,
    ) -> Result<(), Gone> {
        let name = format!("r{}", rng.between(1, NAMES));
        let engine = self.engine;
        let slot = self.by_name.entry(name.clone()).or_insert_with(|| Slot::new(format!("{mount}/{name}")));
        // What became of the last change may be open still, if the mount was locked at the last look.
        if !look(engine, mount, slot, is_open, session)? {
            return Ok(());
        }
        if engine == Engine::Transit && slot.known().is_some() && rng.chance(50) {
            return self.encrypt(mount, name, session, rng);
        }
        let text = match (engine, slot.known()) {
            (Engine::Transit, None) => "1".to_owned(),
            (Engine::Transit, Some(versions)) => (versions.parse::<u64>().unwrap() + 1).to_string(),
            (Engine::Plain | Engine::Versioned, _) => format!("{CANARY}{}", rng.word()),
        };
        let request = engine.write(mount, &name, &text);
        let answer = session.attempt(slot, Some(text), &request)?;
        if !answer.is_success() && (answer.status != 503 || is_open == Some(true)) {
            session.complain(&request, &answer);
        }
        Ok(())
    }

    fn encrypt(&mut self, mount: &str, key: String, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let plaintext = BASE64_STANDARD.encode(format!("{CANARY}{}", rng.word()));
        let request = write(format!("{mount}/encrypt/{key}"), json!({ "plaintext": plaintext }));
        let answer = session.ask(&request)?;
        match (answer.status, answer.data()["ciphertext"].as_str()) {
            (200, Some(ciphertext)) if self.sealed.len() < SEALED_MAX => {
                session.tally.ciphertexts += 1;
                self.sealed.push(Sealed { key, plaintext, ciphertext: ciphertext.to_owned() });
            }
            (200 | 503, _) => {}
            (_, _) => session.complain(&request, &answer),
        }
        Ok(())
    }
}

/// Reads one record. Returns whether the mount is open.
fn look(
    engine: Engine,
    mount: &str,
    slot: &mut Slot<String>,
    is_open: Option<bool>,
    session: &mut Session<'_>,
) -> Result<bool, Gone> {
    let request = engine.read(slot.name());
    let answer = session.ask(&request)?;
    let locked = answer.status == 503 && answer.body.to_string().contains("customer key");
    if is_open.is_some_and(|is_open| is_open == locked) || (answer.status >= 500 && !locked) {
        session.tally.lost.push(format!(
            "{mount} should be open: {is_open:?}, and {} has {}",
            slot.name(),
            answer.body
        ));
    }
    if !locked {
        session.settle(slot, engine.text(&answer));
    }
    Ok(!locked)
}

impl Engine {
    fn write(self, mount: &str, name: &str, text: &str) -> Request {
        match (self, text) {
            (Self::Plain, _) => write(format!("{mount}/{name}"), json!({ "text": text })),
            (Self::Versioned, _) => write(format!("{mount}/data/{name}"), json!({ "data": { "text": text } })),
            (Self::Transit, "1") => write(format!("{mount}/keys/{name}"), json!({})),
            (Self::Transit, _) => write(format!("{mount}/keys/{name}/rotate"), json!({})),
        }
    }

    /// `path` is the mount's and the name.
    fn read(self, path: &str) -> Request {
        let (mount, name) = path.split_once('/').unwrap();
        read(match self {
            Self::Plain => path.to_owned(),
            Self::Versioned => format!("{mount}/data/{name}"),
            Self::Transit => format!("{mount}/keys/{name}"),
        })
    }

    /// The text that an answer shows.
    fn text(self, answer: &Answer) -> Option<String> {
        let data = answer.data();
        match self {
            Self::Plain => data["text"].as_str().map(str::to_owned),
            Self::Versioned => data["data"]["text"].as_str().map(str::to_owned),
            Self::Transit => data["latest_version"].as_u64().map(|versions| versions.to_string()),
        }
    }
}

/// Records of a mount.
const NAMES: u64 = 24;
const SEALED_MAX: usize = 20;
