//! Deleting, undeleting and destroying single versions of a secret.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::Kv2;
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Deletes versions of a secret; they can be undeleted.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteVersions {
    /// The secret.
    path: String,
    /// The numbers of the versions.
    #[serde(default)]
    versions: Numbers,
}

/// Undeletes versions of a secret.
#[derive(Deserialize, JsonSchema)]
pub(super) struct UndeleteVersions {
    /// The secret.
    path: String,
    /// The numbers of the versions.
    #[serde(default)]
    versions: Numbers,
}

/// Removes the data of versions of a secret for good.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DestroyVersions {
    /// The secret.
    path: String,
    /// The numbers of the versions.
    #[serde(default)]
    versions: Numbers,
}

impl Endpoint for DeleteVersions {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let numbers = self.versions.some("No version number provided")?;
        kv.change(&call.view()?, &self.path, |entry, _| {
            if let Some(entry) = entry {
                entry.delete(&numbers, call.now);
            }
            Ok(Reply::nothing())
        })
    }
}

impl Endpoint for UndeleteVersions {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let numbers = self.versions.some("No version number provided")?;
        let view = call.view()?;
        let config = kv.config(&view)?;
        kv.change(&view, &self.path, |entry, _| {
            if let Some(entry) = entry {
                entry.undelete(&numbers, call.now, &config);
            }
            Ok(Reply::nothing())
        })
    }
}

impl Endpoint for DestroyVersions {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let numbers = self.versions.some("no version number provided")?;
        kv.change(&call.view()?, &self.path, |entry, versions| {
            if let Some(entry) = entry {
                let destroyed = entry.destroy(&numbers);
                versions.delete(entry, destroyed);
            }
            Ok(Reply::nothing())
        })
    }
}

/// Numbers of versions: a list, or one text with commas. Those that no version can have are left out.
#[derive(Default)]
struct Numbers {
    given: bool,
    numbers: Vec<u64>,
}

impl Numbers {
    /// The numbers, if any were given.
    fn some(self, none: &'static str) -> Result<Vec<u64>, Error> {
        if self.given { Ok(self.numbers) } else { Err(Error::invalid(none)) }
    }

    fn add<E: de::Error>(&mut self, number: &str) -> Result<(), E> {
        let parsed = number.trim().parse::<i64>();
        let parsed = parsed.map_err(|_| E::custom(format_args!("'' cannot parse value as 'int': {number:?}")))?;
        self.given = true;
        self.numbers.extend(u64::try_from(parsed));
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers")
            }

            fn visit_unit<E>(self) -> Result<Numbers, E> {
                Ok(Numbers::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Numbers, E> {
                let mut numbers = Numbers::default();
                text.split(',').filter(|number| !number.is_empty()).try_for_each(|number| numbers.add(number))?;
                Ok(numbers)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Numbers, A::Error> {
                let mut numbers = Numbers::default();
                while let Some(number) = seq.next_element::<String>()? {
                    numbers.add(&number)?;
                }
                Ok(numbers)
            }
        }
        deserializer.deserialize_any(Items)
    }
}

impl JsonSchema for Numbers {
    fn schema_name() -> Cow<'static, str> {
        Vec::<u64>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<u64>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}
