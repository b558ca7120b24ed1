//! Entities, groups and aliases one after the other. Knows nothing of answers.

use super::records::{
    ALIAS_IDS, ENTITIES, ENTITY_NAMES, Entity, GROUP_ALIAS_IDS, GROUP_NAMES, GROUPS, Group, Pointer, folded,
};
use super::{Edit, Identity};
use crate::api::Error;
use crate::barrier::View;

/// By what to list, and so in which order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    Id,
    Name,
}

/// A part of a list.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    /// The list goes on behind this identifier or name.
    pub after: &'a str,
    pub limit: usize,
}

impl Identity {
    pub fn entities(view: &View<'_>, by: By, page: Page<'_>) -> Result<Vec<Entity>, Error> {
        let mut edit = Edit::new(*view);
        let ids = match by {
            By::Id => view.list(ENTITIES, page.after, page.limit)?,
            By::Name => pointed(view, ENTITY_NAMES, &folded(page.after), page.limit)?,
        };
        existing(&ids, |id| edit.entity(id))
    }

    /// How many entities there are.
    pub fn entity_count(view: &View<'_>) -> Result<usize, Error> {
        Ok(view.count(ENTITIES)?)
    }

    pub fn groups(view: &View<'_>, by: By, page: Page<'_>) -> Result<Vec<Group>, Error> {
        let mut edit = Edit::new(*view);
        let ids = match by {
            By::Id => view.list(GROUPS, page.after, page.limit)?,
            By::Name => pointed(view, GROUP_NAMES, &folded(page.after), page.limit)?,
        };
        existing(&ids, |id| edit.group(id))
    }

    /// Identifiers of aliases, each with its owner.
    pub fn aliases(view: &View<'_>, page: Page<'_>) -> Result<Vec<(String, Entity)>, Error> {
        let mut edit = Edit::new(*view);
        existing(&view.list(ALIAS_IDS, page.after, page.limit)?, |id| {
            Ok(edit.entity_by_alias_id(id)?.map(|owner| (id.to_owned(), owner)))
        })
    }

    /// As `aliases`, those of groups.
    pub fn group_aliases(view: &View<'_>, page: Page<'_>) -> Result<Vec<(String, Group)>, Error> {
        let mut edit = Edit::new(*view);
        existing(&view.list(GROUP_ALIAS_IDS, page.after, page.limit)?, |id| {
            Ok(edit.group_by_alias_id(id)?.map(|owner| (id.to_owned(), owner)))
        })
    }
}

/// Those that are still there.
fn existing<T>(ids: &[String], mut read: impl FnMut(&str) -> Result<Option<T>, Error>) -> Result<Vec<T>, Error> {
    let found = ids.iter().map(|id| read(id)).collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

fn pointed(view: &View<'_>, prefix: &str, after: &str, limit: usize) -> Result<Vec<String>, Error> {
    let names = view.list(prefix, after, limit)?;
    existing(&names, |name| Ok(view.get::<Pointer>(&format!("{prefix}{name}"))?.map(|found| found.value.id)))
}
