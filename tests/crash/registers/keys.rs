//! Transit keys: their versions, their floors, and everything that was ever encrypted with them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Register, TRANSIT};
use crate::http::{delete, read, write};
use crate::oracle::Slot;
use crate::random::Rng;
use crate::session::{Gone, Session};

pub(super) struct Key {
    slot: Slot<Policy>,
    /// What must decrypt, if the floor allows.
    live: Vec<Sealed>,
    /// What must not decrypt any more: its version was trimmed, or the key deleted.
    dead: Vec<Sealed>,
    sealed: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Policy {
    key_type: String,
    latest: u64,
    min_decryption: u64,
    min_encryption: u64,
    min_available: u64,
    deletable: bool,
}

/// A plaintext in base64, and what the server made of it.
struct Sealed {
    version: u64,
    plaintext: String,
    ciphertext: String,
}

impl Key {
    pub(super) fn new(name: &str) -> Self {
        Self { slot: Slot::new(name), live: Vec::new(), dead: Vec::new(), sealed: 0 }
    }

    fn path(&self, what: &str) -> String {
        format!("{TRANSIT}/{what}/{}", self.slot.name())
    }

    fn create(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let key_type = (*rng.pick(&TYPES)).to_owned();
        let request = write(self.path("keys"), json!({ "type": key_type }));
        let made =
            Policy { key_type, latest: 1, min_decryption: 1, min_encryption: 0, min_available: 0, deletable: false };
        session.change(&mut self.slot, Some(made), &request).map(drop)
    }

    fn rotate(&mut self, policy: Policy, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = write(self.path("keys") + "/rotate", json!({}));
        let next = Policy { latest: policy.latest + 1, ..policy };
        session.change(&mut self.slot, Some(next), &request).map(drop)
    }

    fn move_floors(&mut self, policy: Policy, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let min_decryption = rng.between(policy.min_available.max(1), policy.latest);
        let min_encryption = rng.between(min_decryption, policy.latest);
        let floors = json!({ "min_decryption_version": min_decryption, "min_encryption_version": min_encryption });
        let request = write(self.path("keys") + "/config", floors);
        let next = Policy { min_decryption, min_encryption, ..policy };
        session.change(&mut self.slot, Some(next), &request).map(drop)
    }

    fn trim(&mut self, policy: Policy, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        if policy.min_encryption == 0 {
            return self.move_floors(policy, session, rng);
        }
        let min_available = rng.between(policy.min_available.max(1), policy.min_decryption);
        let request = write(self.path("keys") + "/trim", json!({ "min_available_version": min_available }));
        session.change(&mut self.slot, Some(Policy { min_available, ..policy }), &request)?;
        self.bury();
        Ok(())
    }

    fn delete(&mut self, policy: Policy, session: &mut Session<'_>) -> Result<(), Gone> {
        if !policy.deletable {
            let request = write(self.path("keys") + "/config", json!({ "deletion_allowed": true }));
            return session.change(&mut self.slot, Some(Policy { deletable: true, ..policy }), &request).map(drop);
        }
        let request = delete(self.path("keys"));
        session.change(&mut self.slot, None, &request)?;
        self.bury();
        Ok(())
    }

    fn encrypt(&mut self, policy: &Policy, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        self.sealed += 1;
        let plaintext = BASE64_STANDARD.encode(format!("{CANARY}{}-{}", self.slot.name(), self.sealed));
        let version = rng.between(policy.min_encryption.max(policy.min_decryption), policy.latest);
        let request = write(self.path("encrypt"), json!({ "plaintext": plaintext, "key_version": version }));
        let answer = session.send(&request)?;
        match answer.data()["ciphertext"].as_str() {
            Some(ciphertext) => self.note(session, version, plaintext, ciphertext),
            None => session.complain(&request, &answer),
        }
        Ok(())
    }

    fn make_data_key(&mut self, policy: &Policy, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = write(self.path("datakey/plaintext"), json!({}));
        let answer = session.send(&request)?;
        let data = answer.data();
        match (data["plaintext"].as_str(), data["ciphertext"].as_str()) {
            (Some(plaintext), Some(ciphertext)) => {
                session.secrets.add("a data key", BASE64_STANDARD.decode(plaintext).unwrap());
                self.note(session, policy.latest, plaintext.to_owned(), ciphertext);
            }
            (_, _) => session.complain(&request, &answer),
        }
        Ok(())
    }

    fn note(&mut self, session: &mut Session<'_>, version: u64, plaintext: String, ciphertext: &str) {
        session.tally.ciphertexts += 1;
        self.live.push(Sealed { version, plaintext, ciphertext: ciphertext.to_owned() });
    }

    /// Gives up what cannot be decrypted any more.
    fn bury(&mut self) {
        let kept_from = self.slot.known().map_or(u64::MAX, |policy| policy.min_available);
        self.dead.extend(self.live.extract_if(.., |sealed| sealed.version < kept_from));
    }

    fn look(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = read(self.path("keys"));
        let answer = session.send(&request)?;
        let seen = match answer.status {
            404 => None,
            _ => Policy::seen(answer.data()),
        };
        if answer.status != 404 && seen.is_none() {
            session.complain(&request, &answer);
            return Ok(());
        }
        session.settle(&mut self.slot, seen);
        self.bury();
        Ok(())
    }

    /// Everything that is allowed decrypts to what it was.
    fn check_live(&self, floor: u64, session: &mut Session<'_>) -> Result<(), Gone> {
        let open: Vec<&Sealed> = self.live.iter().filter(|sealed| sealed.version >= floor).collect();
        if open.is_empty() {
            return Ok(());
        }
        let items: Vec<Value> = open.iter().map(|sealed| json!({ "ciphertext": sealed.ciphertext })).collect();
        let answer = session.send(&write(self.path("decrypt"), json!({ "batch_input": items })))?;
        let results = &answer.data()["batch_results"];
        for (index, sealed) in open.iter().enumerate() {
            if results[index]["plaintext"] != sealed.plaintext {
                let (name, version, result) = (self.slot.name(), sealed.version, &results[index]);
                let story = format!("{name}: a ciphertext of version {version}: {}, {result}", answer.status);
                session.tally.lost.push(story);
            }
        }
        Ok(())
    }

    /// What is below the floor, trimmed or deleted does not decrypt. The youngest stand for all.
    fn check_dead(&self, floor: u64, session: &mut Session<'_>) -> Result<(), Gone> {
        let below = self.live.iter().rev().filter(|sealed| sealed.version < floor).take(1);
        for sealed in below.chain(self.dead.iter().rev().take(2)) {
            let answer = session.send(&write(self.path("decrypt"), json!({ "ciphertext": sealed.ciphertext })))?;
            if answer.status != 400 {
                let (name, version) = (self.slot.name(), sealed.version);
                let story = format!("{name}: a ciphertext of the given up version {version} has {}", answer.status);
                session.tally.resurrected.push(story);
            }
        }
        Ok(())
    }
}

impl Register for Key {
    fn act(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let Some(policy) = self.slot.known().cloned() else { return self.create(session, rng) };
        match rng.between(1, 100) {
            1..=40 => self.rotate(policy, session),
            41..=65 => self.encrypt(&policy, session, rng),
            66..=75 => self.make_data_key(&policy, session),
            76..=88 => self.move_floors(policy, session, rng),
            89..=94 => self.trim(policy, session, rng),
            _ => self.delete(policy, session),
        }
    }

    fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        self.look(session)?;
        let floor = self.slot.known().map_or(0, |policy| policy.min_decryption);
        self.check_live(floor, session)?;
        self.check_dead(floor, session)
    }

    fn is_over(&self) -> bool {
        self.slot.is_over()
    }
}

impl Policy {
    fn seen(data: &Value) -> Option<Self> {
        Some(Self {
            key_type: data["type"].as_str()?.to_owned(),
            latest: data["latest_version"].as_u64()?,
            min_decryption: data["min_decryption_version"].as_u64()?,
            min_encryption: data["min_encryption_version"].as_u64()?,
            min_available: data["min_available_version"].as_u64()?,
            deletable: data["deletion_allowed"].as_bool()?,
        })
    }
}

/// How every plaintext begins, so that one word finds any of them.
pub(crate) const CANARY: &str = "plaintext-of-the-crash-tests-";
const TYPES: [&str; 4] = ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"];
