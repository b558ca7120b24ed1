//! The secret IDs of a role: made, listed, looked up and destroyed. Knows a secret ID by its hash; who made it has it.
//!
//! Each is three records: what is known of it, its accessor, and when it expires, if it does.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::role::{self, Role, checked_bounds};
use super::{AppRole, ID_BYTES_MAX, new_uuid};
use crate::access::cidr;
use crate::access::tokens::nanoseconds;
use crate::api::credential::Credential;
use crate::api::fields::{CommaList, TextMap, Ttl};
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::auth::records;
use crate::barrier::{self, Change, Found, Stored, View};
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint};

/// What is kept of a secret ID.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SecretId {
    pub(super) accessor: String,
    /// Logins that it is still good for; zero is any number.
    num_uses: u64,
    ttl_s: u64,
    created_ns: i64,
    updated_ns: i64,
    /// `None`: never.
    expires_ns: Option<i64>,
    pub(super) metadata: BTreeMap<String, String>,
    /// The networks and addresses that may log in with it; none is all.
    pub(super) cidr_list: Vec<String>,
    /// Those that may use its tokens, in place of the role's.
    pub(super) token_bound_cidrs: Vec<String>,
}

impl Stored for SecretId {
    const VERSION: u8 = 1;
}

/// Leads from an accessor to the secret ID.
#[derive(Serialize, Deserialize)]
struct AccessorRecord {
    hash: String,
}

impl Stored for AccessorRecord {
    const VERSION: u8 = 1;
}

/// Says when a secret ID expires, in its path.
#[derive(Serialize, Deserialize)]
struct ExpiryRecord {}

impl Stored for ExpiryRecord {
    const VERSION: u8 = 1;
}

/// Where a secret ID is kept.
#[derive(Clone)]
pub(super) struct Place {
    /// The role whose it is.
    role: Uuid,
    hash: String,
}

impl Place {
    /// Where a secret ID of a role is, if there is one. Blanks around it do not count.
    pub(super) fn of(on: &AppRole, view: &View<'_>, role: &Role, secret_id: &str) -> Result<Self, Error> {
        Ok(Self { role: role.uuid, hash: on.hash(view, role.uuid, secret_id.trim())? })
    }

    pub(super) fn new(role: Uuid, hash: String) -> Self {
        Self { role, hash }
    }

    fn path(&self) -> String {
        format!("{}{}", folder(self.role), self.hash)
    }

    pub(super) fn read(&self, view: &View<'_>) -> Result<Option<Found<SecretId>>, Error> {
        Ok(view.get(&self.path())?)
    }

    /// As `read`, unless it has expired.
    fn read_alive(&self, view: &View<'_>, now: Timestamp) -> Result<Option<Found<SecretId>>, Error> {
        Ok(self.read(view)?.filter(|found| found.value.is_alive(now)))
    }

    fn add(&self, change: &mut Change<'_>, secret: &SecretId) -> Result<(), Error> {
        change.put(&self.path(), secret)?.expect_absent(&self.path());
        let accessor = AccessorRecord { hash: self.hash.clone() };
        change.put(&accessor_path(self.role, &secret.accessor), &accessor)?;
        if let Some(expires_ns) = secret.expires_ns {
            change.put(&self.expiry_path(expires_ns), &ExpiryRecord {})?;
        }
        Ok(())
    }

    /// Deletes all that there is of a secret ID, if it is still as it was found.
    pub(super) fn remove(&self, change: &mut Change<'_>, found: &Found<SecretId>) {
        change.delete(&self.path()).expect(&self.path(), &found.stamp);
        change.delete(&accessor_path(self.role, &found.value.accessor));
        if let Some(expires_ns) = found.value.expires_ns {
            change.delete(&self.expiry_path(expires_ns));
        }
    }

    /// Destroys a secret ID. That there is none is no error.
    fn destroy(&self, view: &View<'_>) -> Result<(), Error> {
        while let Some(found) = self.read(view)? {
            let mut change = view.change();
            self.remove(&mut change, &found);
            match change.commit() {
                // Used, or destroyed, meanwhile.
                Err(barrier::Error::Conflict) => {}
                committed => return committed.map(drop).map_err(Error::from),
            }
        }
        Ok(())
    }

    /// Takes one of the logins that a secret ID is good for, once `check` allows it. `None`: it is good for none any more.
    pub(super) fn use_once(
        &self,
        view: &View<'_>,
        now: Timestamp,
        check: impl Fn(&SecretId) -> Result<(), Error>,
    ) -> Result<Option<SecretId>, Error> {
        while let Some(found) = self.read_alive(view, now)? {
            check(&found.value)?;
            let mut change = view.change();
            match found.value.num_uses {
                0 => return Ok(Some(found.value)),
                1 => self.remove(&mut change, &found),
                uses => {
                    let left = SecretId { num_uses: uses - 1, updated_ns: nanoseconds(now), ..found.value.clone() };
                    change.put(&self.path(), &left)?.expect(&self.path(), &found.stamp);
                }
            }
            match change.commit() {
                Ok(_) => return Ok(Some(found.value)),
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// In the order of time.
    fn expiry_path(&self, expires_ns: i64) -> String {
        format!("{EXPIRIES}{expires_ns:020}.{}.{}", self.role.as_simple(), self.hash)
    }
}

/// What the path of an expiry says: when, and where the secret ID is.
pub(super) fn read_expiry(name: &str) -> Option<(i64, Place)> {
    let (expires_ns, place) = name.split_once('.')?;
    let (role, hash) = place.split_once('.')?;
    Some((expires_ns.parse().ok()?, Place::new(role.parse().ok()?, hash.to_owned())))
}

impl SecretId {
    fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_ns.is_none_or(|expires| expires > nanoseconds(now))
    }

    pub(super) fn expires_at(&self) -> Option<i64> {
        self.expires_ns
    }

    fn describe(&self, data: &mut Object) {
        data.set("cidr_list", &self.cidr_list).set("creation_time", time(Some(self.created_ns)));
        data.set("expiration_time", time(self.expires_ns)).set("last_updated_time", time(Some(self.updated_ns)));
        data.set("metadata", &self.metadata).set("secret_id_accessor", &self.accessor);
        data.set("secret_id_num_uses", self.num_uses).set("secret_id_ttl", self.ttl_s);
        data.set("token_bound_cidrs", &self.token_bound_cidrs);
    }
}

/// As RFC 3339 has it; never is Go's zero.
fn time(ns: Option<i64>) -> String {
    let time = ns.and_then(|ns| Timestamp::from_nanosecond(ns.into()).ok());
    time.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| time.to_string())
}

/// Makes a random secret ID of a role.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewSecretId {
    /// Name of the role; case does not matter.
    role_name: String,
    #[serde(rename = "$wish")]
    #[schemars(flatten)]
    wish: Wish,
}

impl Endpoint for NewSecretId {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        self.wish.grant(on, call, &self.role_name, &new_uuid().to_string().into())
    }
}

/// Makes a secret ID of a role that the caller has chosen.
#[derive(Deserialize, JsonSchema)]
pub(super) struct OwnSecretId {
    /// Name of the role; case does not matter.
    role_name: String,
    /// The secret ID.
    #[serde(default)]
    secret_id: Credential,
    #[serde(rename = "$wish")]
    #[schemars(flatten)]
    wish: Wish,
}

impl Endpoint for OwnSecretId {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_none(&self.secret_id)?;
        self.wish.grant(on, call, &self.role_name, &self.secret_id)
    }
}

/// What a secret ID is to be like.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Wish {
    /// Facts that its tokens tell.
    metadata: TextMap,
    /// Networks and addresses that may log in with it, all of them among the role's.
    cidr_list: CommaList,
    /// Networks and addresses that may use its tokens, all of them among the role's.
    token_bound_cidrs: CommaList,
    /// Logins that it is good for, no more than the role's; those if absent.
    num_uses: Option<i64>,
    /// Its life, no longer than the role's; that if absent.
    ttl: Option<Ttl>,
}

impl Wish {
    /// Makes a secret ID while its role is as it was found.
    fn grant(self, on: &AppRole, call: &Call<'_>, role_name: &str, secret_id: &Credential) -> Result<Reply, Error> {
        let view = call.view()?;
        let accessor = new_uuid().to_string();
        let secret = loop {
            let (role, stamp) = Role::stamped(&view, role_name)?;
            let place = Place::of(on, &view, &role, secret_id.expose())?;
            let secret = self.secret(on, &role, &accessor, call.now)?;
            if let Some(found) = place.read(&view)? {
                if found.value.is_alive(call.now) {
                    return Err(Error::bare("failed to store secret_id: SecretID is already registered"));
                }
                place.destroy(&view)?;
            }
            let mut change = view.change();
            place.add(&mut change, &secret)?;
            change.expect(&role::record_path(role_name), &stamp);
            match change.commit() {
                Ok(_) => break secret,
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        };
        Ok(Reply::object(|data| {
            data.set("secret_id", secret_id.expose().trim()).set("secret_id_accessor", &secret.accessor);
            data.set("secret_id_num_uses", secret.num_uses).set("secret_id_ttl", secret.ttl_s);
        }))
    }

    fn secret(&self, on: &AppRole, role: &Role, accessor: &str, now: Timestamp) -> Result<SecretId, Error> {
        if !role.bind_secret_id {
            return Err(Error::invalid("bind_secret_id is not set on the role"));
        }
        let cidr_list = checked_bounds(self.cidr_list.0.clone())?;
        let token_bound_cidrs = checked_bounds(self.token_bound_cidrs.0.clone())?;
        refuse_wider(&role.secret_id_bound_cidrs, &cidr_list)?;
        refuse_wider(&role.token.bound_cidrs, &token_bound_cidrs)?;
        let ttl_s = self.ttl_within(role)?.min(on.ttl_max.as_secs());
        let expires = now.checked_add(Duration::from_secs(ttl_s)).unwrap_or(Timestamp::MAX);
        Ok(SecretId {
            accessor: accessor.to_owned(),
            num_uses: self.num_uses_within(role)?,
            ttl_s,
            created_ns: nanoseconds(now),
            updated_ns: nanoseconds(now),
            expires_ns: (ttl_s > 0).then(|| nanoseconds(expires)),
            metadata: self.metadata.0.clone(),
            cidr_list,
            token_bound_cidrs,
        })
    }

    fn num_uses_within(&self, role: &Role) -> Result<u64, Error> {
        let max = role.secret_id_num_uses;
        let Some(uses) = self.num_uses else { return Ok(max) };
        let uses = u64::try_from(uses).map_err(|_| Error::invalid("num_uses cannot be negative"))?;
        if max > 0 && (uses == 0 || uses > max) {
            return Err(Error::invalid("num_uses cannot be higher than the role's secret_id_num_uses"));
        }
        Ok(uses)
    }

    fn ttl_within(&self, role: &Role) -> Result<u64, Error> {
        let max = role.secret_id_ttl_s;
        let Some(Ttl(ttl)) = self.ttl else { return Ok(max) };
        let ttl = ttl.map_or(0, |ttl| ttl.as_secs());
        if max > 0 && (ttl == 0 || ttl > max) {
            return Err(Error::invalid("ttl cannot be longer than the role's secret_id_ttl"));
        }
        Ok(ttl)
    }
}

/// What a secret ID is bound to lies within what its role is bound to.
pub(super) fn refuse_wider(of_role: &[String], of_secret_id: &[String]) -> Result<(), Error> {
    if cidr::contain(of_role, of_secret_id) {
        return Ok(());
    }
    let text = "failed to verify subset relationship between CIDR blocks on the role";
    Err(Error::bare(format!("{text} {of_role:?} and CIDR blocks on the secret ID {of_secret_id:?}")))
}

/// Lists the accessors of a role's secret IDs.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListSecretIds {
    /// Name of the role; case does not matter.
    role_name: String,
}

impl Endpoint for ListSecretIds {
    type On = AppRole;

    fn run(self, _: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let role = Role::find(&view, &self.role_name)?;
        let role = role.ok_or_else(|| Error::invalid(format!("role {:?} does not exist", self.role_name)))?;
        records::list(&view, &accessor_path(role.uuid, ""))
    }
}

/// Describes a secret ID to who has it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LookUp {
    /// Name of the role; case does not matter.
    role_name: String,
    /// The secret ID.
    #[serde(default)]
    secret_id: Credential,
}

impl Endpoint for LookUp {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_none(&self.secret_id)?;
        let view = call.view()?;
        let role = Role::known(&view, &self.role_name)?;
        let place = Place::of(on, &view, &role, self.secret_id.expose())?;
        Ok(match place.read_alive(&view, call.now)? {
            Some(found) => Reply::object(|data| found.value.describe(data)),
            None => Reply::nothing(),
        })
    }
}

/// Destroys a secret ID.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Destroy {
    /// Name of the role; case does not matter.
    role_name: String,
    /// The secret ID.
    #[serde(default)]
    secret_id: Credential,
}

impl Endpoint for Destroy {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_none(&self.secret_id)?;
        let view = call.view()?;
        let role = Role::known(&view, &self.role_name)?;
        Place::of(on, &view, &role, self.secret_id.expose())?.destroy(&view)?;
        Ok(Reply::nothing())
    }
}

/// Describes the secret ID of a role that has an accessor.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LookUpAccessor {
    /// Name of the role; case does not matter.
    role_name: String,
    /// Accessor of the secret ID.
    #[serde(default)]
    secret_id_accessor: String,
}

impl Endpoint for LookUpAccessor {
    type On = AppRole;

    fn run(self, _: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let place = by_accessor(&view, &self.role_name, &self.secret_id_accessor)?;
        let found = match place {
            Some(place) => place.read_alive(&view, call.now)?,
            None => None,
        };
        Ok(match found {
            Some(found) => Reply::object(|data| found.value.describe(data)),
            None => Reply::object(|data| {
                data.set("error", no_accessor(&self.secret_id_accessor));
            })
            .status(404),
        })
    }
}

/// Destroys the secret ID of a role that has an accessor.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DestroyAccessor {
    /// Name of the role; case does not matter.
    role_name: String,
    /// Accessor of the secret ID.
    #[serde(default)]
    secret_id_accessor: String,
}

impl Endpoint for DestroyAccessor {
    type On = AppRole;

    fn run(self, _: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let place = by_accessor(&view, &self.role_name, &self.secret_id_accessor)?;
        place.ok_or_else(|| Error::bare(no_accessor(&self.secret_id_accessor)))?.destroy(&view)?;
        Ok(Reply::nothing())
    }
}

/// The accessors of a role's own secret IDs lead to them; those of others lead nowhere.
fn by_accessor(view: &View<'_>, role_name: &str, accessor: &str) -> Result<Option<Place>, Error> {
    if accessor.is_empty() {
        return Err(Error::invalid("missing secret_id_accessor"));
    }
    let role = Role::known(view, role_name)?;
    let found: Option<AccessorRecord> = records::find(view, &accessor_path(role.uuid, accessor))?;
    Ok(found.map(|found| Place::new(role.uuid, found.hash)))
}

fn no_accessor(accessor: &str) -> String {
    format!("failed to find accessor entry for secret_id_accessor: {accessor:?}")
}

fn refuse_none(secret_id: &Credential) -> Result<(), Error> {
    match secret_id.expose().trim().len() {
        0 => Err(Error::invalid("missing secret_id")),
        1..=ID_BYTES_MAX => Ok(()),
        _ => Err(Error::invalid(format!("secret_id is longer than maximum of {ID_BYTES_MAX} bytes"))),
    }
}

/// Where the secret IDs of a role are; ends in `/`.
pub(super) fn folder(role: Uuid) -> String {
    format!("secret-id/{}/", role.as_simple())
}

fn accessor_path(role: Uuid, accessor: &str) -> String {
    format!("accessor/{}/{accessor}", role.as_simple())
}

/// Where the expiries are, the next one first.
pub(super) const EXPIRIES: &str = "expiry/";
