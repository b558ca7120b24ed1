//! How lists are told: the keys, and something about each; in parts where they are long.

use crate::access::identity::Page;
use crate::api::json::Object;
use crate::api::{Error, Reply};

/// What a request asks to see of a list.
pub(super) fn page(after: &str, limit: i64) -> Page<'_> {
    let limit = usize::try_from(limit).ok().filter(|limit| (1..LISTED_MAX).contains(limit)).unwrap_or(LISTED_MAX);
    Page { after, limit }
}

/// Tells a part of a list. `key` is what an item is listed as, `id` what it is described under.
pub(super) fn tell<T>(
    items: &[T],
    page: Page<'_>,
    key: impl Fn(&T) -> &str,
    id: impl Fn(&T) -> &str,
    mut describe: impl FnMut(&mut Object, &T),
) -> Result<Reply, Error> {
    if items.is_empty() {
        return Err(Error::NotFound);
    }
    let reply = Reply::object(|data| {
        data.set_object("key_info", |infos| {
            for item in items {
                infos.set_object(id(item), |info| describe(info, item));
            }
        });
        data.set("keys", items.iter().map(&key).collect::<Vec<_>>());
    });
    let is_part = items.len() == page.limit && page.limit == LISTED_MAX;
    Ok(if is_part { reply.warn(format!("only {LISTED_MAX} are listed; `after` continues the list")) } else { reply })
}

/// Items in one answer.
const LISTED_MAX: usize = 10_000;
