//! What the owner of a token may do: what its policies allow, and those of the entity whose token it is. Knows nothing of how
//! tokens are kept.

use std::sync::Arc;

use super::acl::Acl;
use super::identity::{Editions, Identity, Snapshot};
use super::policies::{Compiled, Policies};
use crate::api::Error;
use crate::barrier::{Seq, View};

/// The rights of one caller, as they were when they were loaded.
#[derive(Clone)]
pub(super) struct Rights {
    compiled: Compiled,
    /// With what templates of policies become for this caller.
    acl: Arc<Acl>,
    entity: Option<Arc<Standing>>,
}

/// How things stand with the entity whose token it is.
struct Standing {
    editions: Editions,
    seq: Seq,
    /// The policies that come from the entity.
    policies: Vec<String>,
    /// These and the token's own.
    together: Vec<String>,
    /// It is there, and nobody has disabled it.
    is_good: bool,
}

impl Rights {
    /// Loads what the policies of a token allow, together with those of an entity. The empty identifier is nobody's.
    pub(super) fn load(
        view: &View<'_>,
        all: &Policies,
        identity: &Identity,
        policies: &[String],
        entity_id: &str,
    ) -> Result<Self, Error> {
        if entity_id.is_empty() {
            let compiled = all.compile(view, policies)?;
            return Ok(Self { acl: compiled.acl.clone(), compiled, entity: None });
        }
        let Snapshot { person, editions, seq } = identity.snapshot(view, entity_id)?;
        let person = person.filter(|person| !person.entity.disabled);
        let Some(person) = person else {
            let (policies, together) = (Vec::new(), policies.to_vec());
            let standing = Arc::new(Standing { editions, seq, policies, together, is_good: false });
            return Ok(Self { compiled: all.compile(view, &[])?, acl: Arc::default(), entity: Some(standing) });
        };
        let from_entity = person.policies();
        let mut together = [policies, &from_entity].concat();
        together.sort();
        together.dedup();
        let compiled = all.compile(view, &together)?;
        let acl = compiled.filled(|parameter| person.value(parameter));
        let standing = Standing { editions, seq, policies: from_entity, together, is_good: true };
        Ok(Self { compiled, acl, entity: Some(Arc::new(standing)) })
    }

    /// Whether nothing changed since that they are made of.
    pub(super) fn are_current(&self, all: &Policies, identity: &Identity) -> bool {
        all.is_current(&self.compiled)
            && self.entity.as_ref().is_none_or(|standing| identity.are_current(&standing.editions))
    }

    /// Makes an answer wait for the changes that these are made of.
    pub(super) fn wait(&self, view: &View<'_>) {
        self.compiled.wait(view);
        if let Some(standing) = &self.entity {
            view.wait_for(standing.seq);
        }
    }

    pub(super) fn acl(&self) -> &Arc<Acl> {
        &self.acl
    }

    /// The policies that come from the entity and its groups.
    pub(super) fn identity_policies(&self) -> &[String] {
        self.entity.as_ref().map_or(&[], |standing| &standing.policies)
    }

    /// All policies that these are made of; those of the token where it is nobody's.
    pub(super) fn policies<'a>(&'a self, of_token: &'a [String]) -> &'a [String] {
        self.entity.as_ref().map_or(of_token, |standing| &standing.together)
    }

    /// Whether the entity whose token it is was deleted or disabled.
    pub(super) fn are_suspended(&self) -> bool {
        self.entity.as_ref().is_some_and(|standing| !standing.is_good)
    }
}

#[cfg(test)]
impl From<Acl> for Rights {
    fn from(acl: Acl) -> Self {
        let compiled = Compiled::from(acl);
        Self { acl: compiled.acl.clone(), compiled, entity: None }
    }
}
