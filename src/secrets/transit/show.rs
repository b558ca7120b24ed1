//! Showing a key, never its material: what reading it and most changes of it answer.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Transit;
use super::key::{Key, Version};
use super::key_type::{Family, curve_name};
use super::material::Material;
use super::policy::{Kdf, Mark, Policy};
use super::uses::Use;
use crate::api::fields::Base64;
use crate::api::json::Object;
use crate::api::{Error, Reply, base64};
use crate::barrier::View;
use crate::crypto::containers::PublicKey;
use crate::engine::{Call, Endpoint};

/// Shows a key, never its material.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadKey {
    /// The key.
    name: String,
    /// What a derived key is derived with, in base64: shows the public key of that context.
    context: Option<Base64>,
    /// Whether to show how often each version was used since the server started, as far as it remembers.
    #[serde(default)]
    uses: bool,
}

impl Endpoint for ReadKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let found = transit.find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        let context = Base64::or_empty(self.context);
        let context = context.map_err(|_| Error::invalid("failed to base64-decode context"))?;
        let mut data = describe(&self.name, &found.key, &context)?;
        if self.uses {
            data.set_object("uses", |versions| {
                for version in found.key.versions() {
                    versions.set_object(&version.number.to_string(), |uses| {
                        for of in Use::ALL {
                            uses.set(of.name(), version.uses.so_far(of));
                        }
                    });
                }
            });
        }
        Ok(Reply::json(data.finish()))
    }
}

impl Transit {
    /// The answer that shows a key after a change.
    pub(super) fn described(&self, view: &View<'_>, name: &str) -> Result<Reply, Error> {
        let found = self.find(view, name)?.ok_or(Error::NotFound)?;
        Ok(Reply::json(describe(name, &found.key, &[])?.finish()))
    }
}

fn describe(name: &str, key: &Key, context: &[u8]) -> Result<Object, Error> {
    let mut data = Object::default();
    data.set("name", name);
    write_policy(&mut data, &key.policy);
    let mut outcome = Ok(());
    match key.policy.key_type.family() {
        Family::Cipher(_) => {
            data.set_object("keys", |keys| {
                for version in key.versions() {
                    keys.set_entry(&version.number.to_string(), version.created.as_second());
                }
            });
        }
        Family::Ed25519 | Family::Ecdsa(_) | Family::Rsa(_) | Family::MlDsa(_) => {
            data.set_object("keys", |keys| {
                for version in key.versions() {
                    keys.set_object(&version.number.to_string(), |entry| {
                        if let Err(error) = write_asymmetric(entry, &key.policy, version, context) {
                            outcome = Err(error);
                        }
                    });
                }
            });
        }
        Family::Hmac | Family::Cmac(_) => {}
    }
    outcome?;
    Ok(data)
}

fn write_asymmetric(entry: &mut Object, policy: &Policy, version: &Version, context: &[u8]) -> Result<(), Error> {
    let name = match policy.key_type.family() {
        Family::Ecdsa(curve) => curve_name(curve),
        _ => policy.key_type.exact_name(),
    };
    entry
        .set("name", name)
        .set("public_key", public_key(version, context)?)
        .set("certificate_chain", &version.certificate_chain)
        .set("creation_time", version.created.to_string());
    Ok(())
}

/// The public key as clients see it. That of a derived key belongs to a context, and is empty without one.
fn public_key(version: &Version, context: &[u8]) -> Result<String, Error> {
    if let Material::Ed25519Base(_) = version.material {
        if context.is_empty() {
            return Ok(String::new());
        }
        return Ok(base64::encode(&version.material.ed25519_of(context)?.public_key()));
    }
    match &version.public_key {
        Some(PublicKey::Ed25519(key)) => Ok(base64::encode(key)),
        Some(key) => key.to_pem().map_err(Error::internal),
        None => Ok(String::new()),
    }
}

fn write_policy(data: &mut Object, policy: &Policy) {
    let key_type = policy.key_type;
    data.set("type", key_type.name())
        .set("derived", policy.derived.is_some())
        .set("deletion_allowed", policy.deletion_allowed)
        .set("min_available_version", policy.min_available_version)
        .set("min_decryption_version", policy.min_decryption_version)
        .set("min_encryption_version", policy.min_encryption_version)
        .set("latest_version", policy.latest_version)
        .set("exportable", policy.exportable)
        .set("allow_plaintext_backup", policy.allow_plaintext_backup)
        .set("supports_encryption", key_type.encrypts())
        .set("supports_decryption", key_type.encrypts())
        .set("supports_signing", key_type.signs())
        .set("supports_derivation", key_type.derives())
        .set("auto_rotate_period", policy.auto_rotate_period_s)
        .set("imported_key", policy.imported)
        .set("soft_deleted", policy.soft_deleted);
    if policy.imported {
        data.set("imported_key_allow_rotation", policy.allow_imported_rotation);
    }
    if policy.key_size > 0 {
        data.set("key_size", policy.key_size);
    }
    if let Some(set) = key_type.parameter_set() {
        data.set("parameter_set", set);
    }
    if let Some(kdf) = policy.derived {
        data.set("kdf", kdf.name()).set("convergent_encryption", policy.convergent);
        if kdf == Kdf::Counter {
            data.set("kdf_mode", kdf.name());
        }
        if policy.convergent {
            data.set("convergent_encryption_version", policy.convergent_version);
        }
    }
    write_mark(data, "backup_info", policy.backup_info.as_ref());
    write_mark(data, "restore_info", policy.restore_info.as_ref());
}

fn write_mark(data: &mut Object, name: &str, mark: Option<&Mark>) {
    if let Some(mark) = mark {
        data.set_object(name, |info| {
            info.set("time", mark.time.to_string()).set("version", mark.version);
        });
    }
}
