//! What is done on a token: it is found, a session is opened and logged in, and a key encrypts or decrypts; then the session
//! ends. This is done seldom, so nothing is kept that could be lost meanwhile. Does not know who asks.

use cryptoki::context::{Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::library::said;
use super::{Cipher, Failure, KeyName, OaepHash, Pkcs11Place, Record};
use crate::barrier::StoredBytes;
use crate::crypto::hex;
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// A token, logged in.
struct Token<'c> {
    context: &'c Pkcs11,
    slot: Slot,
    session: Session,
}

/// The two ends of a key: one object, or the halves of a pair.
struct Key {
    encrypts: ObjectHandle,
    decrypts: ObjectHandle,
    cipher: Cipher,
}

pub(super) fn wrap(context: &Pkcs11, place: &Pkcs11Place, secret: &[u8]) -> Result<Record, Failure> {
    let token = Token::open(context, place, place.writes || place.generates)?;
    let name = &place.key;
    let key = match token.key(name, place)? {
        Some(key) => key,
        None if place.generates => token.generate(name, place)?,
        None => return Err(missing(name, "correct key_label and key_id, or set generate_key = \"true\"")),
    };
    token.check_offers(key.cipher)?;
    let mut iv = key.cipher.new_iv();
    let ciphertext = token.encrypt(&key, name, &mut iv, secret)?;
    let ciphertext = StoredBytes(Zeroizing::new(ciphertext));
    let record = Record { key: name.clone(), cipher: key.cipher, iv: StoredBytes(Zeroizing::new(iv)), ciphertext };
    // What does not open now never will.
    if *token.decrypt(key.decrypts, &record)? != secret {
        return Err(Failure::Lasting(format!(
            "the key \"{name}\" does not open what it has wrapped: take another key"
        )));
    }
    Ok(record)
}

pub(super) fn unwrap(context: &Pkcs11, place: &Pkcs11Place, record: &Record) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let token = Token::open(context, place, place.writes)?;
    token.check_offers(record.cipher)?;
    let key = token.one(record.cipher.class_that_decrypts(), &record.key)?;
    let key =
        key.ok_or_else(|| missing(&record.key, "the store was sealed with it: put it there, or name its token"))?;
    token.decrypt(key, record)
}

impl<'c> Token<'c> {
    fn open(context: &'c Pkcs11, place: &Pkcs11Place, writes: bool) -> Result<Self, Failure> {
        let slot = find_slot(context, place)?;
        let session = if writes { context.open_rw_session(slot)? } else { context.open_ro_session(slot)? };
        let pin = AuthPin::from(place.pin.as_str());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(not_logged_in(&error)),
        }
        Ok(Self { context, slot, session })
    }

    fn check_offers(&self, cipher: Cipher) -> Result<(), Failure> {
        let (mechanism, name, number) = match cipher {
            Cipher::AesGcm => (MechanismType::AES_GCM, "CKM_AES_GCM", "0x1087"),
            Cipher::RsaOaep(_) => (MechanismType::RSA_PKCS_OAEP, "CKM_RSA_PKCS_OAEP", "0x0009"),
        };
        match self.context.get_mechanism_info(self.slot, mechanism) {
            Ok(_) => Ok(()),
            Err(Error::Pkcs11(RvError::MechanismInvalid, _)) => Err(Failure::Lasting(format!(
                "the token does not offer {name} ({number}): take another mechanism or another token"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// The key of this name, and what it can, unless that is said.
    fn key(&self, name: &KeyName, place: &Pkcs11Place) -> Result<Option<Key>, Failure> {
        if matches!(place.cipher, None | Some(Cipher::AesGcm))
            && let Some(key) = self.one(ObjectClass::SECRET_KEY, name)?
        {
            return Ok(Some(Key { encrypts: key, decrypts: key, cipher: Cipher::AesGcm }));
        }
        let cipher = place.cipher.unwrap_or(Cipher::RsaOaep(place.oaep_hash));
        if cipher == Cipher::AesGcm {
            return Ok(None);
        }
        let halves = self.one(ObjectClass::PUBLIC_KEY, name)?.zip(self.one(ObjectClass::PRIVATE_KEY, name)?);
        Ok(halves.map(|(encrypts, decrypts)| Key { encrypts, decrypts, cipher }))
    }

    /// The one object of a class that has this name.
    fn one(&self, class: ObjectClass, name: &KeyName) -> Result<Option<ObjectHandle>, Failure> {
        let mut template = vec![Attribute::Class(class)];
        template.extend(name.attributes());
        let found = self.session.find_objects(&template)?;
        if found.len() > 1 {
            let count = found.len();
            return Err(Failure::Lasting(format!(
                "the token has {count} keys \"{name}\": name one of them by key_label and key_id together"
            )));
        }
        Ok(found.first().copied())
    }

    fn generate(&self, name: &KeyName, place: &Pkcs11Place) -> Result<Key, Failure> {
        let cipher = place.cipher.unwrap_or(Cipher::AesGcm);
        self.check_offers(cipher)?;
        let with = |own: &[Attribute]| own.iter().cloned().chain(name.attributes()).collect::<Vec<_>>();
        let hidden = [Attribute::Token(true), Attribute::Private(true), Attribute::Sensitive(true)];
        let hidden = [&hidden[..], &[Attribute::Extractable(false), Attribute::Decrypt(true)]].concat();
        let made = match cipher {
            Cipher::AesGcm => {
                let key = [&hidden[..], &[Attribute::Encrypt(true), Attribute::ValueLen(AES_BYTES.into())]].concat();
                self.session.generate_key(&Mechanism::AesKeyGen, &with(&key)).map(|key| (key, key))
            }
            Cipher::RsaOaep(_) => {
                let public = [
                    Attribute::Token(true),
                    Attribute::Encrypt(true),
                    Attribute::ModulusBits(RSA_BITS.into()),
                    Attribute::PublicExponent(vec![1, 0, 1]),
                ];
                self.session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &with(&public), &with(&hidden))
            }
        };
        let (encrypts, decrypts) = made.map_err(|error| {
            let why = said(&error);
            Failure::Passing(format!(
                "the token does not make the key \"{name}\": {why}: make it with the module's tools"
            ))
        })?;
        tracing::info!(key = %name, "the token has made a key for the seal");
        Ok(Key { encrypts, decrypts, cipher })
    }

    /// Modules that choose the IV themselves write theirs into `iv`.
    fn encrypt(&self, key: &Key, name: &KeyName, iv: &mut [u8], secret: &[u8]) -> Result<Vec<u8>, Failure> {
        let aad = aad(name);
        let mechanism = key.cipher.mechanism(iv, &aad)?;
        self.session.encrypt(&mechanism, key.encrypts, secret).map_err(|error| {
            let (why, advice) = (said(&error), key.cipher.advice(&error));
            Failure::Passing(format!("the key \"{name}\" does not encrypt: {why}{advice}"))
        })
    }

    fn decrypt(&self, key: ObjectHandle, record: &Record) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let Record { key: name, cipher, iv, ciphertext } = record;
        let (mut iv, aad) = (iv.0.to_vec(), aad(name));
        let opened = self.session.decrypt(&cipher.mechanism(&mut iv, &aad)?, key, &ciphertext.0);
        opened.map(Zeroizing::new).map_err(|error| {
            let why = said(&error);
            if matches!(error, Error::Pkcs11(_, Function::Decrypt)) {
                let other = "it may be another key than the one of this name that the store was sealed with";
                Failure::Passing(format!("the key \"{name}\" does not open the seal record: {why}: {other}"))
            } else {
                let advice = cipher.advice(&error);
                Failure::Passing(format!("the key \"{name}\" does not decrypt: {why}{advice}"))
            }
        })
    }
}

impl Cipher {
    fn class_that_decrypts(self) -> ObjectClass {
        match self {
            Self::AesGcm => ObjectClass::SECRET_KEY,
            Self::RsaOaep(_) => ObjectClass::PRIVATE_KEY,
        }
    }

    fn new_iv(self) -> Vec<u8> {
        let mut iv = match self {
            Self::AesGcm => vec![0; GCM_IV_BYTES],
            Self::RsaOaep(_) => Vec::new(),
        };
        Entropy.fill(&mut iv);
        iv
    }

    fn mechanism<'m>(self, iv: &'m mut [u8], aad: &'m [u8]) -> Result<Mechanism<'m>, Failure> {
        Ok(match self {
            Self::AesGcm => Mechanism::AesGcm(GcmParams::new(iv, aad, GCM_TAG_BITS.into())?),
            // Who knows the public half can encrypt as well, but not a root key that opens the store.
            Self::RsaOaep(hash) => {
                let (hash, mask) = hash.mechanisms();
                Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
            }
        })
    }

    /// What to do about an answer that speaks of parameters.
    fn advice(self, error: &Error) -> String {
        let parameters = matches!(error, Error::Pkcs11(RvError::ArgumentsBad | RvError::MechanismParamInvalid, _));
        match self {
            Self::RsaOaep(hash) if parameters => {
                let hash = format!("{hash:?}").to_ascii_lowercase();
                format!(": the token may not know {hash} here: set rsa_oaep_hash to one that it knows, as sha1")
            }
            Self::AesGcm | Self::RsaOaep(_) => String::new(),
        }
    }
}

impl OaepHash {
    fn mechanisms(self) -> (MechanismType, PkcsMgfType) {
        match self {
            Self::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
            Self::Sha224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        }
    }
}

impl KeyName {
    fn attributes(&self) -> Vec<Attribute> {
        let label = self.label.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec()));
        let id = self.id.as_ref().and_then(|id| hex::decode(id)).map(|id| Attribute::Id(id.to_vec()));
        label.into_iter().chain(id).collect()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Passing(said(&error))
    }
}

/// The slot of the token that was configured.
fn find_slot(context: &Pkcs11, place: &Pkcs11Place) -> Result<Slot, Failure> {
    let (mut found, mut seen) = (Vec::new(), Vec::new());
    for slot in context.get_slots_with_token()? {
        // Another token may be broken.
        let Ok(token) = context.get_token_info(slot) else { continue };
        let is_slot = place.slot.is_none_or(|wanted| wanted == slot.id());
        if is_slot && place.token_label.as_ref().is_none_or(|wanted| wanted == token.label()) {
            found.push(slot);
        }
        if token.token_initialized() {
            seen.push(format!("{:?} in slot {}", token.label(), slot.id()));
        }
    }
    let slot = place.slot.map(|slot| format!(" in slot {slot}")).unwrap_or_default();
    let label = place.token_label.as_ref().map(|label| format!(" labelled {label:?}")).unwrap_or_default();
    match found[..] {
        [slot] => Ok(slot),
        [] => {
            let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
            let advice = "correct token_label and slot, or see to it that the module is there";
            Err(Failure::Passing(format!("there is no token{label}{slot}, there is {seen}: {advice}")))
        }
        _ => Err(Failure::Lasting(format!("there are {} tokens{label}: say in which slot", found.len()))),
    }
}

/// What a token says that does not let us in. Where that is for the PIN, it is not tried again.
fn not_logged_in(error: &Error) -> Failure {
    use RvError::{PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked, UserPinNotInitialized};
    let why = said(error);
    let Error::Pkcs11(PinExpired | PinIncorrect | PinInvalid | PinLenRange | PinLocked | UserPinNotInitialized, _) =
        error
    else {
        return Failure::Passing(why);
    };
    Failure::Pin(format!(
        "the token does not take the PIN: {why}: correct pin and start the server anew. Until then it is not tried again, for \
         tokens lock themselves after a few wrong ones"
    ))
}

fn missing(name: &KeyName, advice: &str) -> Failure {
    Failure::Lasting(format!("the token has no key \"{name}\": {advice}"))
}

/// Bound to the name of the key, so that a record that names another does not open.
fn aad(name: &KeyName) -> Vec<u8> {
    format!("coffer pkcs11 seal\0{name}").into_bytes()
}

const GCM_IV_BYTES: usize = 12;
const GCM_TAG_BITS: u64 = 128;
const AES_BYTES: u64 = 32;
const RSA_BITS: u64 = 4096;
