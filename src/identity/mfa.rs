//! `identity/mfa`: the methods of second factors, the secrets that entities have for them, and which logins need one.

use schemars::JsonSchema;
use serde::Deserialize;

use super::listing::{page, tell};
use super::{IdentityEngine, mfa_enforcement as enforcement};
use crate::access::Identity;
use crate::access::mfa::{Method, MethodFields, Mfa};
use crate::api::fields::Ttl;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint, Route, delete, list, read, write};

#[rustfmt::skip]
pub(super) const ROUTES: &[Route<IdentityEngine>] = &[
    list::<ListMethods>                         ("mfa/method"),
    read::<ReadMethod>                          ("mfa/method/{method_id}"),
    write::<WriteOther>                         ("mfa/method/{method_id}"),
    list::<ListMethods>                         ("mfa/method/totp"),
    write::<WriteMethod>                        ("mfa/method/totp"),
    read::<ReadMethod>                          ("mfa/method/totp/{method_id}"),
    write::<WriteMethod>                        ("mfa/method/totp/{method_id}"),
    delete::<DeleteMethod>                      ("mfa/method/totp/{method_id}"),
    write::<Generate>                           ("mfa/method/totp/generate"),
    write::<AdminGenerate>                      ("mfa/method/totp/admin-generate"),
    write::<AdminDestroy>                       ("mfa/method/totp/admin-destroy"),
    list::<enforcement::ListEnforcements>       ("mfa/login-enforcement"),
    read::<enforcement::ReadEnforcement>        ("mfa/login-enforcement/{name}"),
    write::<enforcement::WriteEnforcement>      ("mfa/login-enforcement/{name}"),
    delete::<enforcement::DeleteEnforcement>    ("mfa/login-enforcement/{name}"),
];

/// Lists the methods of second factors. All of them are TOTP.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListMethods {}

impl Endpoint for ListMethods {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let methods = Mfa::methods(&call.view()?)?;
        tell(&methods, page("", 0), |method| &method.id, |method| &method.id, describe)
    }
}

/// Reads a method of second factors.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadMethod {
    /// Identifier of the method.
    method_id: String,
}

impl Endpoint for ReadMethod {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let method = Mfa::method(&call.view()?, &self.method_id)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| describe(data, &method)))
    }
}

fn describe(data: &mut Object, method: &Method) {
    data.set("algorithm", method.algorithm.name()).set("digits", method.digits).set("id", &method.id);
    data.set("issuer", &method.issuer).set("key_size", method.key_bytes);
    data.set("max_validation_attempts", method.tries_max).set("name", &method.name).set("namespace_id", "root");
    data.set("namespace_path", "").set("period", method.period_s).set("qr_size", method.qr_size);
    data.set("skew", method.skew).set("type", "totp");
}

/// Sets up a method that makes one-time codes by the time.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteMethod {
    /// Identifier of the method to change.
    #[serde(default)]
    method_id: String,
    /// Name of the method, good in place of its identifier when somebody logs in.
    #[serde(default)]
    method_name: String,
    /// Who issues the codes, as apps show it.
    #[serde(default)]
    issuer: String,
    /// For how long there is one code.
    #[serde(default)]
    period: Ttl,
    /// Bytes of the secrets.
    #[serde(default = "key_size_usual")]
    key_size: i64,
    /// 0 leaves out the picture; its size is such that every module has 8 pixels.
    #[serde(default = "qr_size_usual")]
    qr_size: i64,
    /// `SHA1`, `SHA256` or `SHA512`.
    #[serde(default = "algorithm_usual")]
    algorithm: String,
    /// Digits of a code, 6 or 8.
    #[serde(default = "digits_usual")]
    digits: i64,
    /// Whether the codes before and behind are good, too: 0 or 1.
    #[serde(default = "skew_usual")]
    skew: i64,
    /// Tries while a code is good.
    #[serde(default)]
    max_validation_attempts: i64,
}

fn key_size_usual() -> i64 {
    20
}

fn qr_size_usual() -> i64 {
    200
}

fn algorithm_usual() -> String {
    "SHA1".to_owned()
}

fn digits_usual() -> i64 {
    6
}

fn skew_usual() -> i64 {
    1
}

impl Endpoint for WriteMethod {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let period_s =
            self.period.0.map_or(PERIOD_S_USUAL, |period| i64::try_from(period.as_secs()).unwrap_or(i64::MAX));
        let is_update = !self.method_id.is_empty();
        let fields = MethodFields {
            id: self.method_id,
            name: self.method_name,
            issuer: self.issuer,
            period_s,
            key_bytes: self.key_size,
            qr_size: self.qr_size,
            algorithm: self.algorithm,
            digits: self.digits,
            skew: self.skew,
            tries_max: self.max_validation_attempts,
        };
        let written = on.identity().mfa.write_method(&call.view()?, &fields)?;
        let (method, _) = written.ok_or(Error::NotFound)?;
        if is_update {
            return Ok(Reply::nothing());
        }
        Ok(Reply::object(|data| {
            data.set("method_id", &method.id);
        }))
    }
}

/// Sets up a method that asks a service elsewhere; this server has none.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteOther {
    /// `duo`, `okta` or `pingid`.
    method_id: String,
}

impl Endpoint for WriteOther {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, _: &Call<'_>) -> Result<Reply, Error> {
        let text = format!("MFA methods of type {:?} are not available on this server; \"totp\" is", self.method_id);
        Err(Error::invalid(text))
    }
}

/// Deletes a method that no enforcement needs, and the secrets made for it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteMethod {
    /// Identifier of the method.
    method_id: String,
}

impl Endpoint for DeleteMethod {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        on.identity().mfa.delete_method(&call.view()?, &self.method_id)?;
        Ok(Reply::nothing())
    }
}

/// Makes a secret for the caller's own entity, once.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Generate {
    /// Identifier of the method.
    #[serde(default)]
    method_id: String,
}

impl Endpoint for Generate {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        generate(on, call, &self.method_id, &call.admitted.known_caller()?.record.entity_id)
    }
}

/// Makes a secret for an entity, once.
#[derive(Deserialize, JsonSchema)]
pub(super) struct AdminGenerate {
    /// Identifier of the method.
    #[serde(default)]
    method_id: String,
    /// Identifier of the entity.
    #[serde(default)]
    entity_id: String,
}

impl Endpoint for AdminGenerate {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        generate(on, call, &self.method_id, &self.entity_id)
    }
}

fn generate(on: &IdentityEngine, call: &Call<'_>, method: &str, entity: &str) -> Result<Reply, Error> {
    let view = call.view()?;
    let method = known_method(call, method)?;
    if entity.is_empty() {
        return Err(Error::invalid("missing entityID"));
    }
    // A token may still name an entity that became part of another.
    let person = on.identity().person(&view, entity)?.ok_or_else(|| Error::invalid("invalid entity ID"))?;
    let enrolment = on.identity().edit(&view, |edit| {
        let entity = edit.entity(&person.entity.id)?.ok_or_else(|| Error::invalid("invalid entity ID"))?;
        Mfa::enrol(edit, &method, &entity.id)
    })?;
    Ok(match enrolment {
        None => Reply::nothing().warn(format!("Entity already has a secret for MFA method {:?}", method.name)),
        Some(enrolment) => Reply::json({
            let mut data = Object::with_capacity(enrolment.barcode.len() + 2 * enrolment.url.len() + 64);
            data.set("barcode", enrolment.barcode.as_str()).set("url", enrolment.url.as_str());
            data.finish()
        }),
    })
}

/// Deletes the secret that an entity has for a method.
#[derive(Deserialize, JsonSchema)]
pub(super) struct AdminDestroy {
    /// Identifier of the method.
    #[serde(default)]
    method_id: String,
    /// Identifier of the entity.
    #[serde(default)]
    entity_id: String,
}

impl Endpoint for AdminDestroy {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let method = known_method(call, &self.method_id)?;
        if self.entity_id.is_empty() {
            return Err(Error::invalid("missing entity ID"));
        }
        if Identity::read(&view).entity(&self.entity_id)?.is_none() {
            return Err(Error::invalid("invalid entity ID"));
        }
        Mfa::unenrol(&view, &method.id, &self.entity_id)?;
        Ok(Reply::nothing())
    }
}

fn known_method(call: &Call<'_>, id: &str) -> Result<Method, Error> {
    if id.is_empty() {
        return Err(Error::invalid("missing method ID"));
    }
    let method = Mfa::method(&call.view()?, id)?;
    method.ok_or_else(|| Error::invalid(format!("configuration for method ID {id:?} does not exist")))
}

const PERIOD_S_USUAL: i64 = 30;
