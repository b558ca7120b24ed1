//! A secret in memory, with the answer to the read that everybody makes. Does not know where it came from.

use super::entry::Entry;
use super::text::Text;
use crate::api::json::{Json, Object};
use crate::barrier::Seq;
use crate::clock::Timestamp;
use crate::crypto::wiped::Wiped;
use crate::secrets::cache::Weigh;

/// A secret as it was found.
pub(super) struct Secret {
    pub entry: Entry,
    latest: Option<Latest>,
    /// The lease that the data of a secret of version 1 name.
    pub lease_s: Option<u64>,
    /// The youngest commit that is part of it.
    pub seq: Seq,
}

/// What a read of the latest version answers.
struct Latest {
    answer: Wiped,
    data_len: usize,
}

impl Secret {
    /// `data` are those of the latest version, if there are any.
    pub(super) fn new(entry: Entry, data: Option<&Text>, seq: Seq) -> Self {
        let latest = data.and_then(|data| {
            let Json(answer) = answer(&entry, entry.current, Some(data.as_bytes()))?;
            Some(Latest { answer, data_len: data.as_bytes().len() })
        });
        Self { entry, latest, lease_s: None, seq }
    }

    /// The answer to a read of the latest version, if that is alive.
    pub(super) fn latest(&self, now: Timestamp) -> Option<Json> {
        self.latest_alive(now).map(|latest| copy(&latest.answer))
    }

    /// Only the data of the latest version, if that is alive.
    pub(super) fn latest_data(&self, now: Timestamp) -> Option<&[u8]> {
        let latest = self.latest_alive(now)?;
        latest.answer.get(DATA_AT..DATA_AT + latest.data_len)
    }

    fn latest_alive(&self, now: Timestamp) -> Option<&Latest> {
        self.entry.version(self.entry.current).filter(|version| version.is_alive(now))?;
        self.latest.as_ref()
    }
}

impl Weigh for Secret {
    fn bytes(&self) -> usize {
        let answer = self.latest.as_ref().map_or(0, |latest| latest.answer.capacity());
        size_of::<Self>() + self.entry.bytes() + answer
    }
}

/// What a read of one version answers, with data or without. `None` if the version is not kept.
pub(super) fn answer(entry: &Entry, number: u64, data: Option<&[u8]>) -> Option<Json> {
    let version = entry.version(number)?;
    let data = data.unwrap_or(b"null");
    let mut answer = Object::with_capacity(data.len() + METADATA_BYTES_USUAL + entry.bytes());
    answer.set_json("data", data);
    answer.set_object("metadata", |metadata| entry.show_version(number, version, metadata));
    Some(answer.finish())
}

pub(super) fn copy(text: &[u8]) -> Json {
    Json(Wiped::joined([text].into_iter()))
}

/// Where the data stand in an answer.
const DATA_AT: usize = br#"{"data":"#.len();
/// Bytes of a version's metadata without custom metadata.
const METADATA_BYTES_USUAL: usize = 224;
