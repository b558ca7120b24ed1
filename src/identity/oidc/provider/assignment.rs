//! Assignments: which people may log in to a client. Knows nothing of clients but that they name assignments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{client, refuse_more, without_doubles};
use crate::access::identity::Person;
use crate::api::fields::CommaList;
use crate::api::route::Captures;
use crate::api::{Error, Reply};
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint, Upsert, records};
use crate::identity::IdentityEngine;
use crate::identity::oidc::{named_key, refuse_used};

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Assignment {
    entity_ids: Vec<String>,
    group_ids: Vec<String>,
}

impl Stored for Assignment {
    const VERSION: u8 = 1;
}

/// The assignment of a name. That of everybody is always there.
pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Assignment>, Error> {
    if name == EVERYBODY {
        let all = || vec!["*".to_owned()];
        return Ok(Some(Assignment { entity_ids: all(), group_ids: all() }));
    }
    records::find(view, &path(name))
}

/// Whether one of the assignments is of a person.
pub(super) fn admit(view: &View<'_>, names: &[String], person: &Person) -> Result<bool, Error> {
    if person.entity.disabled {
        return Ok(false);
    }
    for name in names {
        let Some(assignment) = find(view, name)? else { continue };
        let is_meant = name == EVERYBODY
            || assignment.entity_ids.contains(&person.entity.id)
            || person.all_groups().any(|group| assignment.group_ids.contains(&group.id));
        if is_meant {
            return Ok(true);
        }
    }
    Ok(false)
}

fn path(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Lists the names of the assignments.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListAssignments {}

impl Endpoint for ListAssignments {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let names = named_key::names_with(&call.view()?, PREFIX, super::THINGS_MAX, EVERYBODY)?;
        Ok(Reply::object(|data| {
            data.set("keys", names);
        }))
    }
}

/// Reads who an assignment is of.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadAssignment {
    /// Name of the assignment.
    name: String,
}

impl Endpoint for ReadAssignment {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let assignment = find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::of(&assignment))
    }
}

/// Makes or changes an assignment. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteAssignment {
    /// Name of the assignment.
    name: String,
    /// Identifiers of entities that it is of.
    entity_ids: Option<CommaList>,
    /// Identifiers of groups whose members it is of.
    group_ids: Option<CommaList>,
}

impl Endpoint for WriteAssignment {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        if self.name == EVERYBODY {
            return Err(Error::invalid(format!("modification of assignment {EVERYBODY:?} not allowed")));
        }
        on.oidc.change(|| {
            if find(&view, &self.name)?.is_none() {
                refuse_more("assignments", view.list(PREFIX, "", super::THINGS_MAX)?.len())?;
            }
            let ids = |sent: &Option<CommaList>| {
                sent.as_ref().map(|sent| without_doubles(sent.0.iter().map(|id| id.to_lowercase()).collect()))
            };
            records::edit(&view, &path(&self.name), |assignment: Option<Assignment>| {
                let mut assignment = assignment.unwrap_or_default();
                assignment.entity_ids = ids(&self.entity_ids).unwrap_or(assignment.entity_ids);
                assignment.group_ids = ids(&self.group_ids).unwrap_or(assignment.group_ids);
                Ok(assignment)
            })?;
            Ok(Reply::nothing())
        })
    }
}

impl Upsert for WriteAssignment {
    fn exists(_: &IdentityEngine, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(find(view, captures.text("name"))?.is_some())
    }
}

/// Deletes an assignment that no client names.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteAssignment {
    /// Name of the assignment.
    name: String,
}

impl Endpoint for DeleteAssignment {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        if self.name == EVERYBODY {
            return Err(Error::invalid(format!("deletion of assignment {EVERYBODY:?} not allowed")));
        }
        on.oidc.change(|| {
            let users = client::all(&view)?.into_iter().filter(|(_, client)| client.assignments.contains(&self.name));
            refuse_used("assignment", &self.name, "clients", users.map(|(name, _)| name))?;
            records::delete(&view, &path(&self.name))
        })
    }
}

/// The assignment that is of everybody.
const EVERYBODY: &str = "allow_all";
const PREFIX: &str = "identity/oidc/assignment/";
