//! The rules of transit's keys, continued: which version of which key may do what.

use super::rules::{Context, Key, Kind, Made, Maker, Model, Refusal, SOFT_DELETED, What, caller, server};

impl Model {
    /// A key that works, if it is there: `missing` is said if it is not.
    fn working(&self, name: &str, missing: &str) -> Result<&Key, Refusal> {
        match self.keys.get(name) {
            None => caller(missing),
            Some(key) if key.soft_deleted => caller(SOFT_DELETED),
            Some(key) => Ok(key),
        }
    }

    /// The key to encrypt with, which is made if it is not there.
    pub(super) fn encrypter(&mut self, name: &'static str, wanted: Kind, context: Context) -> Result<&Key, Refusal> {
        if !self.keys.contains_key(name) {
            if wanted.convergent && context.is_none() {
                return caller("convergent encryption requires derivation to be enabled, so context is required");
            }
            if wanted.name.starts_with("ecdsa-") {
                return caller(format!("key type {} not supported for this operation", wanted.name));
            }
            if !wanted.encrypts() {
                return caller(format!("unknown key type {}", wanted.name));
            }
            self.create(name, Kind { derived: context.is_some(), ..wanted }, (false, false))?;
        }
        self.decrypter(name)
    }

    pub(super) fn decrypter(&self, name: &str) -> Result<&Key, Refusal> {
        self.working(name, "encryption key not found")
    }

    pub(super) fn signer(&self, name: &str) -> Result<&Key, Refusal> {
        let Some(key) = self.keys.get(name) else { return caller("signing key not found") };
        if key.soft_deleted {
            return server(SOFT_DELETED);
        }
        let text = format!("key type {} does not support signing", key.kind.name);
        key.kind.signs().then_some(key).ok_or(Refusal::Caller(text))
    }

    /// The key that makes or verifies something.
    pub(super) fn verifier(&self, name: &str, what: What) -> Result<&Key, Refusal> {
        match what {
            What::Ciphertext | What::Hmac => self.decrypter(name),
            What::Signature => {
                let key = self.working(name, "signature verification key not found")?;
                let text = format!("key type {} does not support verification", key.kind.name);
                key.kind.signs().then_some(key).ok_or(Refusal::Caller(text))
            }
            What::Cmac => {
                let key = self.working(name, &format!("invalid request: key {name} not found"))?;
                let text = format!("key {name} is not a supported CMAC key type: {}", key.kind.name);
                key.kind.makes_cmacs().then_some(key).ok_or(Refusal::Caller(text))
            }
        }
    }
}

impl Key {
    pub(super) fn encrypt(&self, requested: i64, context: Context) -> Result<Maker, Refusal> {
        if !self.kind.encrypts() {
            return caller(format!("message encryption not supported for key type {}", self.kind.name));
        }
        let maker = self.maker(requested, "encryption").or_else(caller)?;
        if self.lacks_context(context) { caller(MISSING_CONTEXT) } else { Ok(maker) }
    }

    pub(super) fn sign(&self, requested: i64, context: Context) -> Result<Maker, Refusal> {
        let maker = self.maker(requested, "signing").or_else(server)?;
        if self.lacks_context(context) { server(format!("error deriving key: {MISSING_CONTEXT}")) } else { Ok(maker) }
    }

    fn maker(&self, requested: i64, purpose: &str) -> Result<Maker, String> {
        let version = if requested == 0 { self.latest } else { requested };
        let requested = format!("requested version for {purpose} is");
        match version {
            _ if version < 0 => Err(format!("{requested} negative")),
            _ if version > self.latest => Err(format!("{requested} higher than the latest key version")),
            _ if version < self.min_encryption => {
                Err(format!("{requested} less than the minimum encryption key version"))
            }
            _ => self.at_work(version).ok_or_else(|| "no such key version".to_owned()),
        }
    }

    /// An HMAC, which keys of nearly every type make, or a CMAC.
    pub(super) fn mac(&self, requested: i64, what: What) -> Result<Maker, Refusal> {
        let version = if requested == 0 { self.latest } else { requested };
        if version < 0 {
            return caller("key version does not exist (cannot be negative)");
        }
        if version > self.latest {
            return caller(format!("key version does not exist; latest key version is {}", self.latest));
        }
        if version < self.min_encryption {
            return caller("cannot generate HMAC: version is too old (disallowed by policy)");
        }
        let Some(maker) = self.at_work(version) else { return caller("no such key version") };
        self.check_has_hmac_key(what)?;
        Ok(maker)
    }

    pub(super) fn decrypt(&self, made: &Made, context: Context) -> Result<(), Refusal> {
        if !self.kind.encrypts() {
            return caller(format!("message decryption not supported for key type {}", self.kind.name));
        }
        let own = self.maker_of(made, "invalid ciphertext: version is too new", TOO_OLD)?;
        if self.lacks_context(context) {
            return caller(MISSING_CONTEXT);
        }
        match own.identity == made.by.identity && (!self.kind.derived || context == made.context) {
            true => Ok(()),
            false if self.kind.name.starts_with("aes") => caller("cipher: message authentication failed"),
            false => caller("chacha20poly1305: message authentication failed"),
        }
    }

    pub(super) fn verify(&self, made: &Made, context: Context) -> Result<bool, Refusal> {
        let mac = |name| {
            let too_new = format!("invalid {name}: version is too new");
            self.maker_of(made, &too_new, &format!("cannot verify {name}: version is too old (disallowed by policy)"))
        };
        let own = match made.what {
            What::Ciphertext => return caller("a ciphertext is nothing to verify"),
            What::Signature => self.maker_of(made, "invalid signature: version is too new", TOO_OLD)?,
            What::Hmac => mac("HMAC")?,
            What::Cmac => mac("CMAC")?,
        };
        self.check_has_hmac_key(made.what)?;
        if made.what != What::Signature {
            return Ok(own.identity == made.by.identity);
        }
        if self.lacks_context(context) {
            return server(format!("error deriving key: {MISSING_CONTEXT}"));
        }
        if self.kind.name != "ed25519" && made.by.kind.name == "ed25519" {
            return caller("supplied signature is invalid");
        }
        Ok(own.identity == made.by.identity && (!self.kind.derived || context == made.context))
    }

    fn maker_of(&self, made: &Made, too_new: &str, too_old: &str) -> Result<Maker, Refusal> {
        match made.by.version {
            version if version > self.latest => caller(too_new),
            version if version < self.min_decryption => caller(too_old),
            version => self.at_work(version).ok_or_else(|| Refusal::Caller(too_old.to_owned())),
        }
    }

    /// A version that may be used.
    fn at_work(&self, version: i64) -> Option<Maker> {
        let identity = *self.versions.get(&version).filter(|_| version >= self.min_decryption)?;
        Some(Maker { kind: self.kind, version, identity })
    }

    fn check_has_hmac_key(&self, what: What) -> Result<(), Refusal> {
        if what == What::Hmac && self.kind.makes_cmacs() {
            return caller("no HMAC key exists for that key version");
        }
        Ok(())
    }

    fn lacks_context(&self, context: Context) -> bool {
        self.kind.derived && context.is_none()
    }
}

const TOO_OLD: &str = "ciphertext or signature version is disallowed by policy (too old)";
const MISSING_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived key, which means \
    additional, per-request information must be included in order to perform operations with the key";
