//! The parameter types with rules of their own: durations, base64, lists, maps of text.
//!
//! Each reads what Vault's clients send under that name. Knows nothing of any endpoint.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::base64::{self, CorruptInput};
use super::weak::is_empty_list;

/// A duration: seconds, or Go's notation (`1h30m`, `90s`), or days (`30d`). Absent, and `null`, are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ttl(pub Option<Duration>);

impl Ttl {
    /// Reads the text of a duration; the error is Go's.
    pub fn parse(text: &str) -> Result<Duration, String> {
        if text.is_empty() {
            return Ok(Duration::ZERO);
        }
        if let Ok(seconds) = text.parse::<i64>() {
            return u64::try_from(seconds).map(Duration::from_secs).map_err(|_| negative(text));
        }
        if let Some(Ok(days)) = text.strip_suffix('d').map(str::parse::<i64>) {
            let days = u64::try_from(days).map_err(|_| negative(text))?;
            return days.checked_mul(SECONDS_PER_DAY).map(Duration::from_secs).ok_or_else(|| invalid_duration(text));
        }
        go_duration(text)
    }
}

fn negative(text: &str) -> String {
    format!("cannot provide negative value '{text}'")
}

fn invalid_duration(text: &str) -> String {
    format!("time: invalid duration {text:?}")
}

/// Go's `time.ParseDuration`: decimal numbers, each with a unit.
fn go_duration(text: &str) -> Result<Duration, String> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned.starts_with('-') {
        return Err(negative(text));
    }
    let mut rest = unsigned;
    let mut total_ns = 0_u64;
    while !rest.is_empty() {
        let number_len = rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        if unit.is_empty() && !number.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let unit_ns = unit_ns(unit).ok_or_else(|| match number {
            "" => invalid_duration(text),
            _ => format!("time: unknown unit {unit:?} in duration {text:?}"),
        })?;
        let part_ns = decimal_times(number, unit_ns).ok_or_else(|| invalid_duration(text))?;
        total_ns = total_ns.checked_add(part_ns).ok_or_else(|| invalid_duration(text))?;
        rest = tail;
    }
    Ok(Duration::from_nanos(total_ns))
}

fn unit_ns(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` × `unit_ns` with the fraction cut to whole nanoseconds; nothing is rounded through a float.
fn decimal_times(number: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit_ns)?;
    let mut scale = u128::from(unit_ns);
    for digit in fraction.chars() {
        scale /= 10;
        total = total.checked_add(u64::try_from(u128::from(digit.to_digit(10)?) * scale).ok()?)?;
    }
    Some(total)
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Ttl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ttl, E> {
                Ttl::parse(text).map(|duration| Ttl(Some(duration))).map_err(E::custom)
            }

            fn visit_unit<E>(self) -> Result<Ttl, E> {
                Ok(Ttl(None))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// The whole seconds of a duration, if Go could hold it.
pub fn whole_seconds(duration: Duration) -> Result<i64, String> {
    let seconds = i64::try_from(duration.as_secs()).ok().filter(|seconds| *seconds <= DURATION_S_MAX);
    seconds.ok_or_else(|| format!("time: invalid duration \"{}s\"", duration.as_secs()))
}

/// A duration in seconds, as [`Ttl`] but for the sign. `null` is `None`.
#[derive(Clone, Copy)]
pub struct Seconds(pub Option<i64>);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Seconds, E> {
                let (sign, magnitude) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
                if magnitude.is_empty() && sign < 0 {
                    return Err(E::custom(invalid_duration(text)));
                }
                let seconds = Ttl::parse(magnitude).and_then(whole_seconds).map_err(E::custom)?;
                Ok(Seconds(Some(sign * seconds)))
            }

            fn visit_unit<E>(self) -> Result<Seconds, E> {
                Ok(Seconds(None))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// Base64 as Go reads it. Whether it was good is asked when the bytes are needed, since handlers check other things first.
pub struct Base64(Result<Zeroizing<Vec<u8>>, CorruptInput>);

impl Base64 {
    /// The decoded bytes, or where the text stops being base64.
    pub fn decoded(self) -> Result<Zeroizing<Vec<u8>>, CorruptInput> {
        self.0
    }

    /// As `decoded`, of a parameter that may be absent: no bytes then.
    pub fn or_empty(parameter: Option<Self>) -> Result<Zeroizing<Vec<u8>>, CorruptInput> {
        parameter.map_or_else(|| Ok(Zeroizing::default()), Self::decoded)
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E>(self, text: &str) -> Result<Base64, E> {
                Ok(Base64(base64::decode(text)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A list of texts: a JSON list, or one text with commas. Blanks around an item, and empty items, are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommaList(pub Vec<String>);

impl<'de> Deserialize<'de> for CommaList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = CommaList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<CommaList, E> {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Ok(CommaList(items.map(str::to_owned).collect()))
            }

            fn visit_unit<E>(self) -> Result<CommaList, E> {
                Ok(CommaList::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CommaList, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<String>()? {
                    items.push(item.trim().to_owned());
                }
                items.retain(|item| !item.is_empty());
                Ok(CommaList(items))
            }
        }
        deserializer.deserialize_any(Items)
    }
}

/// A map of texts: a JSON object, or `key=value` texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextMap(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = TextMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_unit<E>(self) -> Result<TextMap, E> {
                Ok(TextMap::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TextMap, E> {
                if text.trim_start().starts_with('{') {
                    return serde_json::from_str(text).map(TextMap).map_err(E::custom);
                }
                text.split(',')
                    .filter(|pair| !pair.is_empty())
                    .map(key_value)
                    .collect::<Option<_>>()
                    .map(TextMap)
                    .ok_or_else(|| E::custom("expected a JSON object or key=value pairs"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TextMap, A::Error> {
                let mut map = BTreeMap::new();
                while let Some(pair) = seq.next_element::<String>()? {
                    map.extend([key_value(&pair).ok_or_else(|| de::Error::custom("expected key=value pairs"))?]);
                }
                Ok(TextMap(map))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some(entry) = map.next_entry::<String, String>()? {
                    texts.extend([entry]);
                }
                Ok(TextMap(texts))
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

/// A map of anything: a JSON object, and nothing in its place.
#[derive(Clone, Default)]
pub struct JsonMap(pub serde_json::Map<String, serde_json::Value>);

impl<'de> Deserialize<'de> for JsonMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Json;
        impl Visitor<'_> for Json {
            type Value = JsonMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_str<E: de::Error>(self, json: &str) -> Result<JsonMap, E> {
                if is_empty_list(json) {
                    return Ok(JsonMap::default());
                }
                match serde_json::from_str(json).map_err(E::custom)? {
                    serde_json::Value::Object(map) => Ok(JsonMap(map)),
                    serde_json::Value::Null => Ok(JsonMap::default()),
                    _ => Err(E::custom("'' expected a map")),
                }
            }
        }
        deserializer.deserialize_newtype_struct(super::weak::RAW, Json)
    }
}

fn key_value(pair: &str) -> Option<(String, String)> {
    pair.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
}

/// Describes a type to the API documentation as another one.
macro_rules! documented_as {
    ($($type:ty => $like:ty),*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                <$like>::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$like>::json_schema(generator)
            }

            fn inline_schema() -> bool {
                true
            }
        }
    )*};
}

documented_as!(Ttl => String, Seconds => String, Base64 => String, CommaList => Vec<String>);
documented_as!(TextMap => BTreeMap<String, String>, JsonMap => BTreeMap<String, serde_json::Value>);

const SECONDS_PER_DAY: u64 = 86_400;
/// What Go's durations hold.
const DURATION_S_MAX: i64 = i64::MAX / 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::request::Params;
    use crate::api::route::Captures;
    use crate::api::weak;
    use crate::crypto::wiped::Wiped;

    const S: u64 = 1_000_000_000;

    #[test]
    fn durations_are_read_as_vault_reads_them() {
        let check = |text: &str, expected: Result<u64, &str>| {
            assert_eq!(
                Ttl::parse(text).map(|d| d.as_nanos()),
                expected.map(u128::from).map_err(str::to_owned),
                "{text}"
            );
        };
        check("", Ok(0));
        check("90", Ok(90 * S));
        check("1h30m", Ok(5_400 * S));
        check("1.5h", Ok(5_400 * S));
        check("30d", Ok(30 * 86_400 * S));
        check("7200s0ns", Ok(7_200 * S));
        check("0.3s", Ok(300_000_000));
        check(".5s", Ok(S / 2));
        check("1.0000000001s", Ok(S));
        check("-1", Err("cannot provide negative value '-1'"));
        check("-1h", Err("cannot provide negative value '-1h'"));
        check("3600.5", Err("time: missing unit in duration \"3600.5\""));
        check("bogus", Err("time: invalid duration \"bogus\""));
        check("1y", Err("time: unknown unit \"y\" in duration \"1y\""));
        check(".s", Err("time: invalid duration \".s\""));
        check("99999999999999h", Err("time: invalid duration \"99999999999999h\""));
    }

    fn read<T: de::DeserializeOwned>(json: &str) -> Result<T, String> {
        #[derive(serde::Deserialize)]
        struct Request<T> {
            value: T,
        }
        let params = Params::Json(Wiped::from(format!("{{\"value\":{json}}}").into_bytes()));
        let decoded = weak::decode::<Request<T>>(&Captures::default(), &params);
        decoded.map(|decoded| decoded.request.value).map_err(|error| error.to_string())
    }

    #[test]
    fn ttls_come_as_numbers_and_as_texts() {
        let check = |json: &str, expected: Result<Option<u64>, &str>| {
            let ttl = read::<Ttl>(json).map(|ttl| ttl.0.map(|ttl| ttl.as_secs()));
            assert_eq!(ttl, expected.map_err(str::to_owned), "{json}");
        };
        check("null", Ok(None));
        check("0", Ok(Some(0)));
        check("90", Ok(Some(90)));
        check(r#""90""#, Ok(Some(90)));
        check(r#""1h""#, Ok(Some(3_600)));
        check(r#""""#, Ok(Some(0)));
        check("-1", Err("cannot provide negative value '-1'"));
        check("3600.5", Err("time: missing unit in duration \"3600.5\""));
        check(r#""-5d""#, Err("cannot provide negative value '-5d'"));
        check(r#""99999999999999999d""#, Err("time: invalid duration \"99999999999999999d\""));
    }

    #[test]
    fn lists_come_as_lists_and_as_one_text() {
        let check = |json: &str, expected: &[&str]| assert_eq!(read::<CommaList>(json).unwrap().0, expected, "{json}");
        check(r#"["a","b,c"," d ",""]"#, &["a", "b,c", "d"]);
        check(r#""a, b ,,c,""#, &["a", "b", "c"]);
        check(r#""""#, &[]);
        check("null", &[]);
        check("[]", &[]);
        check("[1,true,null]", &["1", "1"]);
        check("7", &["7"]);
        assert!(read::<CommaList>(r#"[["a"]]"#).is_err());
        assert!(read::<CommaList>(r#"{"a":1}"#).is_err());
    }

    #[test]
    fn maps_come_as_objects_and_as_pairs() {
        let check = |json: &str, expected: &[(&str, &str)]| {
            let expected = expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(read::<TextMap>(json), Ok(TextMap(expected)), "{json}");
        };
        check(r#"{"a":"1","b":2,"c":true,"d":null,"a":"3"}"#, &[("a", "3"), ("b", "2"), ("c", "1"), ("d", "")]);
        check(r#""a=1, b = x=y ,c=""#, &[("a", "1"), ("b", "x=y"), ("c", "")]);
        check(r#"["a=1","b=2,3"]"#, &[("a", "1"), ("b", "2,3")]);
        check(r#"" {\"a\":\"1\"}""#, &[("a", "1")]);
        check(r#""""#, &[]);
        check("{}", &[]);
        check("null", &[]);
        assert!(read::<TextMap>(r#""a""#).is_err());
        assert!(read::<TextMap>(r#"["a"]"#).is_err());
        assert!(read::<TextMap>(r#"{"a":{"b":1}}"#).is_err());
    }

    #[test]
    fn base64_is_judged_when_it_is_needed() {
        let check = |json: &str, expected: Result<&str, &str>| {
            let decoded = read::<Base64>(json).unwrap_or_else(|error| panic!("{json}: {error}")).decoded();
            let decoded = decoded.map(|bytes| bytes.to_vec()).map_err(|error| error.to_string());
            assert_eq!(decoded, expected.map(|text| text.as_bytes().to_vec()).map_err(str::to_owned), "{json}");
        };
        check(r#""aGVsbG8=""#, Ok("hello"));
        check(r#""aGVs\nbG8=""#, Ok("hello"));
        check(r#""aGVs\u0062G8\u003d""#, Ok("hello"));
        check(r#""""#, Ok(""));
        check("null", Ok(""));
        check("1400", Ok("\u{5cd}4"));
        check(r#""aGVsbG8""#, Err("illegal base64 data at input byte 4"));
        check(r#""a_b=""#, Err("illegal base64 data at input byte 1"));
        assert!(read::<Base64>("[]").is_err());
        assert!(Base64::or_empty(None).unwrap().is_empty());
        assert_eq!(*Base64::or_empty(Some(read(r#""aA==""#).unwrap())).unwrap(), b"h");
    }
}
