//! JSON as Go writes and reads it where serde does not: member names in any case, numbers of any length, bytes in base64,
//! and a time that stands for none. Knows no member by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{self, Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::base64;
use crate::clock::Timestamp;
use crate::crypto::decimal;

/// The members of an object by their names in lower case. Of several with one name the last one counts.
#[derive(Default)]
pub(super) struct Members<'de>(BTreeMap<String, &'de RawValue>);

impl<'de> Members<'de> {
    /// The value of a member; without it, and if it is `null`, zero.
    pub(super) fn read<T: Deserialize<'de> + Default>(&self, name: &str) -> serde_json::Result<T> {
        let value = self.0.get(&name.to_ascii_lowercase()).map(|value| serde_json::from_str::<Option<T>>(value.get()));
        Ok(value.transpose()?.flatten().unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = access.next_entry::<String, &RawValue>()? {
                    members.insert(name.to_ascii_lowercase(), value);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A natural number: decimal digits without quotes there, big-endian bytes without leading zeros here.
#[derive(Default)]
pub(super) struct Integer(pub Zeroizing<Vec<u8>>);

impl From<&[u8]> for Integer {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl Serialize for Integer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = decimal::encode(&self.0);
        serde_json::from_str::<&RawValue>(&digits).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        decimal::decode(<&RawValue>::deserialize(deserializer)?.get()).map(Self).map_err(de::Error::custom)
    }
}

/// Bytes, in base64 there.
#[derive(Default, PartialEq)]
pub(super) struct Bytes(pub Zeroizing<Vec<u8>>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(base64::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        base64::decode(<&str>::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

/// A time, RFC 3339 with any offset; without one, the beginning of year 1.
#[derive(Clone, Copy)]
pub(super) struct Time(pub Timestamp);

impl Default for Time {
    fn default() -> Self {
        Self(Timestamp::constant(-62_135_596_800, 0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer)?.parse().map(Self).map_err(|_| de::Error::custom("not a time"))
    }
}
