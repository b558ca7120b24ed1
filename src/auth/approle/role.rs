//! The roles of a mount, and the role IDs that they are found by at a login. Knows nothing of secret IDs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AppRole, ID_BYTES_MAX, new_uuid};
use crate::access::cidr;
use crate::api::fields::{CommaList, Ttl};
use crate::api::json::Object;
use crate::api::route::Captures;
use crate::api::{Error, Reply, TokenParams};
use crate::auth::older::{Older, OlderFields};
use crate::auth::params::{TokenFields, describe};
use crate::auth::records;
use crate::auth::token::go_duration;
use crate::barrier::{self, Change, Stamp, Stored, View};
use crate::engine::{Call, Endpoint, Upsert};

/// What is kept of a role.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Role {
    /// No other role has it, not even a later one of the same name: what belongs to the role is kept under it.
    pub(super) uuid: Uuid,
    /// The role ID.
    pub(super) id: String,
    pub(super) bind_secret_id: bool,
    pub(super) local_secret_ids: bool,
    /// The networks and addresses that may log in; none is all.
    pub(super) secret_id_bound_cidrs: Vec<String>,
    /// Logins that a secret ID is good for; zero is any number.
    pub(super) secret_id_num_uses: u64,
    /// Zero: for ever.
    pub(super) secret_id_ttl_s: u64,
    pub(super) token: TokenParams,
    pub(super) older: Older,
}

impl Stored for Role {
    const VERSION: u8 = 1;
}

/// Leads from a role ID to the role.
#[derive(Serialize, Deserialize)]
struct RoleIdRecord {
    name: String,
}

impl Stored for RoleIdRecord {
    const VERSION: u8 = 1;
}

/// A role that was deleted, whose secret IDs are deleted by and by.
#[derive(Serialize, Deserialize)]
pub(super) struct Gone {}

impl Stored for Gone {
    const VERSION: u8 = 1;
}

impl Role {
    fn new(id: String) -> Self {
        Self {
            uuid: new_uuid(),
            id,
            bind_secret_id: true,
            local_secret_ids: false,
            secret_id_bound_cidrs: Vec::new(),
            secret_id_num_uses: 0,
            secret_id_ttl_s: 0,
            token: TokenParams::default(),
            older: Older::default(),
        }
    }

    pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Self>, Error> {
        records::find(view, &record_path(name))
    }

    /// As `find`, where there has to be one.
    pub(super) fn known(view: &View<'_>, name: &str) -> Result<Self, Error> {
        Self::find(view, name)?.ok_or_else(|| Error::bare(no_role(name)))
    }

    /// As `known`, with what a change must expect to find.
    pub(super) fn stamped(view: &View<'_>, name: &str) -> Result<(Self, Stamp), Error> {
        let found = view.get::<Self>(&record_path(name))?.ok_or_else(|| Error::Missing(no_role(name).into()))?;
        Ok((found.value, found.stamp))
    }

    /// The role that a role ID leads to, and its name. One that leads nowhere leads to a role that nobody has and that no
    /// secret ID is of. To find out takes the same steps either way: of two records one is there, and a role is.
    pub(super) fn by_role_id(on: &AppRole, view: &View<'_>, role_id: &str) -> Result<(String, Self), Error> {
        let found: Option<RoleIdRecord> = records::find(view, &role_id_path(on, view, role_id)?)?;
        let other: Option<RoleIdRecord> = records::find(view, if found.is_some() { NOWHERE } else { DECOY_ID_PATH })?;
        let path = if found.is_some() { record_path } else { |_: &str| DECOY_PATH.to_owned() };
        let name = found.or(other).map_or_else(String::new, |record| record.name);
        // It may be gone since.
        let role: Option<Self> = records::find(view, &path(&name))?;
        let role = role.filter(|role| name.is_empty() || role.id == role_id);
        Ok((name, role.unwrap_or_else(|| Self::new(String::new()))))
    }

    /// Stores a role, and where its role ID leads.
    fn put(
        &self,
        on: &AppRole,
        view: &View<'_>,
        change: &mut Change<'_>,
        name: &str,
        before: Option<&Self>,
    ) -> Result<(), Error> {
        self.refuse_unconstrained()?;
        change.put(&record_path(name), self)?;
        if before.is_some_and(|before| before.id == self.id) {
            return Ok(());
        }
        let path = role_id_path(on, view, &self.id)?;
        if records::find::<RoleIdRecord>(view, &path)?.is_some() {
            return Err(Error::bare("role_id already in use"));
        }
        change.put(&path, &RoleIdRecord { name: name.to_lowercase() })?.expect_absent(&path);
        if let Some(before) = before {
            change.delete(&role_id_path(on, view, &before.id)?);
        }
        Ok(())
    }

    fn refuse_unconstrained(&self) -> Result<(), Error> {
        if !self.bind_secret_id && self.secret_id_bound_cidrs.is_empty() && self.token.bound_cidrs.is_empty() {
            return Err(Error::bare("at least one constraint should be enabled on the role"));
        }
        Ok(())
    }

    pub(super) fn describe(&self, data: &mut Object) {
        data.set("bind_secret_id", self.bind_secret_id).set("local_secret_ids", self.local_secret_ids);
        data.set("secret_id_bound_cidrs", self.told_cidrs());
        data.set("secret_id_num_uses", self.secret_id_num_uses).set("secret_id_ttl", self.secret_id_ttl_s);
        describe(data, &self.token);
        self.older.describe(data, &self.token);
    }

    pub(super) fn told_cidrs(&self) -> Option<&[String]> {
        Some(self.secret_id_bound_cidrs.as_slice()).filter(|bounds| !bounds.is_empty())
    }
}

/// Makes or changes a role as one commit on what `edit` was given.
pub(super) fn edit(
    on: &AppRole,
    view: &View<'_>,
    name: &str,
    mut edit: impl FnMut(Option<Role>) -> Result<Role, Error>,
) -> Result<(), Error> {
    let path = record_path(name);
    loop {
        let mut change = view.change();
        let found = view.get::<Role>(&path)?;
        match &found {
            Some(found) => change.expect(&path, &found.stamp),
            None => change.expect_absent(&path),
        };
        let before = found.map(|found| found.value);
        edit(before.clone())?.put(on, view, &mut change, name, before.as_ref())?;
        match change.commit() {
            // Somebody else changed it, or took the role ID.
            Err(barrier::Error::Conflict) => {}
            committed => return committed.map(drop).map_err(Error::from),
        }
    }
}

/// Makes the role that nobody has: see [`Role::by_role_id`].
pub(super) fn add_decoy(change: &mut Change<'_>) -> Result<(), Error> {
    change.put(DECOY_ID_PATH, &RoleIdRecord { name: String::new() })?;
    change.put(DECOY_PATH, &Role::new(new_uuid().to_string()))?;
    Ok(())
}

/// Lists the names of all roles.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListRoles {}

impl Endpoint for ListRoles {
    type On = AppRole;

    fn run(self, _: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        records::list(&call.view()?, PREFIX)
    }
}

/// Describes a role, without its IDs.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadRole {
    /// Name of the role; case does not matter.
    role_name: String,
}

impl Endpoint for ReadRole {
    type On = AppRole;

    fn run(self, _: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let role = Role::find(&call.view()?, &self.role_name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| role.describe(data)))
    }
}

/// Makes a role, or changes what is sent of one.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteRole {
    /// Name of the role; case does not matter.
    role_name: String,
    #[serde(rename = "$role")]
    #[schemars(flatten)]
    role: RoleFields,
    #[serde(rename = "$older")]
    #[schemars(flatten)]
    older: OlderFields,
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: TokenFields,
}

impl Endpoint for WriteRole {
    type On = AppRole;

    fn run(mut self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let mut warnings: Vec<String> = self.token.with_one_type().into_iter().collect();
        let mut ttl_max_s = 0;
        edit(on, &call.view()?, &self.role_name, |role| {
            let role = self.applied(on, role)?;
            ttl_max_s = role.token.ttl_max_s;
            Ok(role)
        })?;
        if ttl_max_s > on.ttl_max.as_secs() {
            warnings.push(TTL_MAX_TRUNCATED.to_owned());
        }
        Ok(Reply { warnings, ..Reply::nothing() })
    }
}

impl WriteRole {
    fn applied(&self, on: &AppRole, role: Option<Role>) -> Result<Role, Error> {
        let mut role = match role {
            Some(_) if self.role.local_secret_ids.is_some() => {
                return Err(Error::invalid("local_secret_ids can only be modified during role creation"));
            }
            Some(role) => role,
            None => Role::new(new_uuid().to_string()),
        };
        self.older.clone().apply(&mut role.token, &mut role.older)?;
        self.token.clone().apply(&mut role.token)?;
        self.role.clone().apply(&mut role)?;
        refuse_long_period(on, &role.token)?;
        Ok(role)
    }
}

pub(super) fn refuse_long_period(on: &AppRole, token: &TokenParams) -> Result<(), Error> {
    if token.period_s > on.ttl_max.as_secs() {
        let (period, max) = (std::time::Duration::from_secs(token.period_s), on.ttl_max);
        let (period, max) = (go_duration(period), go_duration(max));
        let text = format!("period of {period:?} is greater than the backend's maximum lease TTL of {max:?}");
        return Err(Error::invalid(text));
    }
    Ok(())
}

impl Upsert for WriteRole {
    fn exists(_: &AppRole, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(Role::find(view, captures.text("role_name"))?.is_some())
    }
}

/// Settings of a role beside those of its tokens. What is absent stays as it is.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct RoleFields {
    /// The role ID; a random one if absent.
    pub(super) role_id: Option<String>,
    /// A login needs a secret ID, which it does if this is absent.
    pub(super) bind_secret_id: Option<bool>,
    /// Secret IDs are not replicated; told back, without effect on a single server. Fixed when the role is made.
    pub(super) local_secret_ids: Option<bool>,
    /// Networks and addresses that may log in.
    pub(super) secret_id_bound_cidrs: Option<CommaList>,
    /// Older name of `secret_id_bound_cidrs`.
    pub(super) bound_cidr_list: Option<CommaList>,
    /// Logins that a secret ID is good for; 0 is any number.
    pub(super) secret_id_num_uses: Option<i64>,
    /// Life of secret IDs; 0 is for ever.
    pub(super) secret_id_ttl: Option<Ttl>,
}

impl RoleFields {
    pub(super) fn apply(self, role: &mut Role) -> Result<(), Error> {
        if let Some(role_id) = self.role_id {
            role.id = checked_role_id(&role_id, "invalid role_id supplied, or failed to generate a role_id")?;
        }
        role.bind_secret_id = self.bind_secret_id.unwrap_or(role.bind_secret_id);
        role.local_secret_ids = self.local_secret_ids.unwrap_or(role.local_secret_ids);
        if let Some(CommaList(bounds)) = self.secret_id_bound_cidrs.or(self.bound_cidr_list) {
            role.secret_id_bound_cidrs = checked_bounds(bounds)?;
        }
        if let Some(uses) = self.secret_id_num_uses {
            role.secret_id_num_uses =
                u64::try_from(uses).map_err(|_| Error::invalid("secret_id_num_uses cannot be negative"))?;
        }
        if let Some(Ttl(ttl)) = self.secret_id_ttl {
            role.secret_id_ttl_s = ttl.map_or(0, |ttl| ttl.as_secs());
        }
        Ok(())
    }
}

pub(super) fn checked_bounds(bounds: Vec<String>) -> Result<Vec<String>, Error> {
    cidr::checked(bounds).map_err(|error| Error::invalid(format!("failed to validate CIDR blocks: {error}")))
}

/// A role ID without the blanks around it, which a login does not see either.
fn checked_role_id(role_id: &str, missing: &'static str) -> Result<String, Error> {
    match role_id.trim() {
        "" => Err(Error::invalid(missing)),
        long if long.len() > ID_BYTES_MAX => {
            Err(Error::invalid(format!("role_id is longer than maximum of {ID_BYTES_MAX} bytes")))
        }
        role_id => Ok(role_id.to_owned()),
    }
}

/// Deletes a role, and with it its secret IDs.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteRole {
    /// Name of the role; case does not matter.
    role_name: String,
}

impl Endpoint for DeleteRole {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let (view, path) = (call.view()?, record_path(&self.role_name));
        loop {
            let Some(found) = view.get::<Role>(&path)? else { return Ok(Reply::nothing()) };
            let role = found.value;
            let mut change = view.change();
            change.delete(&path).expect(&path, &found.stamp).delete(&role_id_path(on, &view, &role.id)?);
            change.put(&format!("{GONE_PREFIX}{}", role.uuid), &Gone {})?;
            match change.commit() {
                Err(barrier::Error::Conflict) => {}
                committed => return committed.map(|_| Reply::nothing()).map_err(Error::from),
            }
        }
    }
}

/// Tells the role ID of a role.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadRoleId {
    /// Name of the role; case does not matter.
    role_name: String,
}

impl Endpoint for ReadRoleId {
    type On = AppRole;

    fn run(self, _: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let role = Role::find(&call.view()?, &self.role_name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("role_id", &role.id);
        }))
    }
}

/// Gives a role another role ID.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SetRoleId {
    /// Name of the role; case does not matter.
    role_name: String,
    /// The role ID, which no other role of the mount has.
    #[serde(default)]
    role_id: String,
}

impl Endpoint for SetRoleId {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        edit(on, &call.view()?, &self.role_name, |role| {
            let role = role.ok_or(Error::UnsupportedPath)?;
            Ok(Role { id: checked_role_id(&self.role_id, "missing role_id")?, ..role })
        })?;
        Ok(Reply::nothing())
    }
}

/// Where the record of a role is, however the name is written.
pub(super) fn record_path(name: &str) -> String {
    format!("{PREFIX}{}", name.to_lowercase())
}

fn role_id_path(on: &AppRole, view: &View<'_>, role_id: &str) -> Result<String, Error> {
    Ok(format!("role-id/{}", on.hash(view, Uuid::nil(), role_id)?))
}

fn no_role(name: &str) -> String {
    format!("role {name:?} does not exist")
}

const PREFIX: &str = "role/";
const DECOY_ID_PATH: &str = "decoy/role-id";
const DECOY_PATH: &str = "decoy/role";
/// Where no record is.
const NOWHERE: &str = "decoy/nothing";
pub(super) const GONE_PREFIX: &str = "gone/";
const TTL_MAX_TRUNCATED: &str = "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max \
                                 TTL value will be truncated";
