//! Lenient decoding against Vault's rules, value by value and type by type.

use std::collections::BTreeMap;
use std::fmt::Debug;

use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::api::Op;
use crate::api::route::{Access, Match, Row, Shape, Table, Work};

fn json(text: &str) -> Params {
    Params::Json(text.as_bytes().to_vec().into())
}

fn pairs(pairs: &[(&str, &str)]) -> Params {
    Params::Pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// What a pattern captures of a path.
fn captures<'p>(pattern: &'static str, path: &'p str) -> Captures<'p> {
    let (access, shape, work) = (Access::Token, Shape::Enveloped, Work::Quick);
    let row = Row {
        op: Op::Write,
        path: pattern,
        access,
        while_sealed: false,
        shape,
        work,
        creates: false,
        takes_octets: false,
        schema: String::json_schema,
    };
    match Table::new([&row].into_iter()).find(Op::Write, path) {
        Match::Row(_, captures) => captures,
        Match::NoOperation | Match::NoPath => panic!("{pattern:?} does not fit {path:?}"),
    }
}

#[derive(Deserialize)]
struct Lone<T> {
    value: T,
}

fn read<T: DeserializeOwned>(params: &Params) -> Result<T, String> {
    let decoded = decode::<Lone<T>>(&Captures::default(), params);
    decoded.map(|decoded| decoded.request.value).map_err(|error| error.into_error(true).to_string())
}

/// Reads a JSON value as a type.
fn check<T: DeserializeOwned + Debug + PartialEq>(value: &str, expected: Result<T, &str>) {
    check_in(&json(&format!("{{\"value\": {value} }}")), value, expected);
}

/// Reads a text of a path, query or form as a type.
fn check_text<T: DeserializeOwned + Debug + PartialEq>(value: &str, expected: Result<T, &str>) {
    check_in(&pairs(&[("value", value)]), value, expected);
}

fn check_in<T: DeserializeOwned + Debug + PartialEq>(params: &Params, value: &str, expected: Result<T, &str>) {
    let prefix = "Field validation failed: error converting input for field \"value\": ";
    let expected = expected.map_err(|detail| format!("{prefix}{detail}"));
    assert_eq!(read::<T>(params), expected, "{value}");
}

#[test]
fn texts() {
    let check = |value: &str, expected: Result<&str, &str>| check(value, expected.map(str::to_owned));
    check(r#""text""#, Ok("text"));
    check(r#""""#, Ok(""));
    check(r#""a\"b\\\u00e9\ud83d\ude00\/""#, Ok("a\"b\\é😀/"));
    check("5", Ok("5"));
    check("1.50", Ok("1.50"));
    check("-1e400", Ok("-1e400"));
    check("123456789012345678901234567890", Ok("123456789012345678901234567890"));
    check("true", Ok("1"));
    check("false", Ok("0"));
    check("null", Ok(""));
    check("[]", Err("'' expected type 'string', got unconvertible type '[]interface {}'"));
    check(r#"["text"]"#, Err("'' expected type 'string', got unconvertible type '[]interface {}'"));
    check("{}", Err("'' expected type 'string', got unconvertible type 'map[string]interface {}'"));
    check_text("null", Ok("null".to_owned()));
    check_text("\"5\"", Ok("\"5\"".to_owned()));
}

#[test]
fn numbers() {
    const UNPARSABLE: &str = "'' cannot parse value as 'int': strconv.ParseInt: invalid syntax";
    check::<i64>("5", Ok(5));
    check::<i64>("-5", Ok(-5));
    check::<i64>("9223372036854775807", Ok(i64::MAX));
    check::<i64>("-9223372036854775808", Ok(i64::MIN));
    check::<i64>("9223372036854775808", Err(UNPARSABLE));
    check::<i64>("1.5", Err(UNPARSABLE));
    check::<i64>("1e3", Err(UNPARSABLE));
    check::<i64>("true", Ok(1));
    check::<i64>("false", Ok(0));
    check::<i64>("null", Ok(0));
    check::<i64>("[1]", Err("'' expected type 'int', got unconvertible type '[]interface {}'"));
    check::<i64>("{}", Err("'' expected type 'int', got unconvertible type 'map[string]interface {}'"));
    check::<u64>("7", Ok(7));
    assert!(read::<u64>(&json(r#"{"value":-7}"#)).is_err());
    check::<u32>("7", Ok(7));
    assert!(read::<u32>(&json(r#"{"value":-7}"#)).is_err());
    assert!(read::<u32>(&json(r#"{"value":4294967296}"#)).is_err());
    for (text, expected) in NUMBER_TEXTS {
        check_text(text, expected.ok_or(UNPARSABLE));
        check::<i64>(&format!("\"{text}\""), expected.ok_or(UNPARSABLE));
    }
}

/// Go's `strconv.ParseInt` with base 0, and empty for zero.
const NUMBER_TEXTS: &[(&str, Option<i64>)] = &[
    ("", Some(0)),
    ("12", Some(12)),
    ("+12", Some(12)),
    ("-12", Some(-12)),
    ("-0", Some(0)),
    ("0x40", Some(64)),
    ("0X4f", Some(79)),
    ("-0x40", Some(-64)),
    ("0b101", Some(5)),
    ("0B1", Some(1)),
    ("0o17", Some(15)),
    ("017", Some(15)),
    ("0", Some(0)),
    ("1_000", Some(1_000)),
    ("0x_1", Some(1)),
    ("0_7", Some(7)),
    ("9223372036854775807", Some(i64::MAX)),
    ("-9223372036854775808", Some(i64::MIN)),
    ("-0x8000000000000000", Some(i64::MIN)),
    ("9223372036854775808", None),
    ("999999999999999999999999999999999999999999", None),
    ("1__0", None),
    ("_1", None),
    ("1_", None),
    ("08", None),
    ("0b2", None),
    ("0x", None),
    ("0xg", None),
    ("--1", None),
    ("+-1", None),
    ("-", None),
    ("+", None),
    ("1.5", None),
    ("1e3", None),
    (" 1", None),
    ("abc", None),
    ("0é", None),
    ("١", None),
];

#[test]
fn booleans() {
    const UNPARSABLE: &str = "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax";
    check("true", Ok(true));
    check("false", Ok(false));
    check("1", Ok(true));
    check("0", Ok(false));
    check("null", Ok(false));
    check::<bool>("2", Err(UNPARSABLE));
    check::<bool>("1.0", Err(UNPARSABLE));
    check::<bool>("[1]", Err("'' expected type 'bool', got unconvertible type '[]interface {}'"));
    check::<bool>("[]", Err("'' expected type 'bool', got unconvertible type '[]interface {}'"));
    check::<bool>("{}", Err("'' expected type 'bool', got unconvertible type 'map[string]interface {}'"));
    let yes = ["1", "t", "T", "TRUE", "true", "True"].map(|text| (text, Some(true)));
    let no = ["0", "f", "F", "FALSE", "false", "False", ""].map(|text| (text, Some(false)));
    let neither = ["maybe", "yes", "no", "tRUE", " true", "2"].map(|text| (text, None));
    for (text, expected) in yes.into_iter().chain(no).chain(neither) {
        check_text(text, expected.ok_or(UNPARSABLE));
        check(&format!("\"{text}\""), expected.ok_or(UNPARSABLE));
    }
}

#[test]
fn lists_maps_and_structs() {
    let texts = |list: &[&str]| Ok(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    check(r#"["a",1,true,null]"#, texts(&["a", "1", "1", ""]));
    check(r#""a""#, texts(&["a"]));
    check("null", texts(&[]));
    check("[]", texts(&[]));
    check_text("a,b", Ok(vec!["a,b".to_owned()]));
    check("[1,\"0x2\",true]", Ok(vec![1_i64, 2, 1]));
    check("[[1],2]", Ok(vec![vec![1_i64], vec![2]]));
    check(r#"{"a":"1","b":2,"a":3}"#, Ok(BTreeMap::from([("a".to_owned(), 3_i64), ("b".to_owned(), 2)])));
    check("null", Ok(BTreeMap::<String, i64>::new()));
    check::<BTreeMap<String, i64>>("1", Err("'' expected type 'map', got unconvertible type 'json.Number'"));
    check(r#"{"x":"5","unknown":[1]}"#, Ok(Nested { x: 5, flag: None }));
    check(r#"[{"flag":"t"},{}]"#, Ok(vec![Nested { x: 0, flag: Some(true) }, Nested { x: 0, flag: None }]));
    check("null", Ok(Nested { x: 0, flag: None }));
    check("[ ]", Ok(Nested { x: 0, flag: None }));
    check("[]", Ok(BTreeMap::<String, i64>::new()));
    check::<Nested>("[1]", Err("'' expected type 'map', got unconvertible type '[]interface {}'"));
    check::<Nested>("\"x\"", Err("'' expected type 'map', got unconvertible type 'string'"));
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Nested {
    x: i64,
    flag: Option<bool>,
}

#[test]
fn null_is_the_zero_of_its_type_and_absence_is_not() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Defaults {
        #[serde(default = "aes")]
        kind: String,
        #[serde(default)]
        bytes: Option<i64>,
    }
    fn aes() -> String {
        "aes".to_owned()
    }
    let check = |params: &Params, kind: &str, bytes: Option<i64>| {
        let decoded = decode::<Defaults>(&Captures::default(), params).unwrap();
        assert_eq!(decoded.request, Defaults { kind: kind.to_owned(), bytes });
    };
    check(&Params::None, "aes", None);
    check(&json("{}"), "aes", None);
    check(&json(r#"{"kind":null,"bytes":null}"#), "", Some(0));
    check(&json(r#"{"kind":"x","bytes":"0x10","kind":"y"}"#), "y", Some(16));
    check(&pairs(&[("kind", "x"), ("bytes", "")]), "x", Some(0));
    check(&pairs(&[("kind", "x"), ("bytes", "1"), ("kind", "y")]), "x,y", Some(1));
}

#[test]
fn the_path_beats_the_body_even_where_it_is_silent() {
    #[derive(Deserialize)]
    struct Request {
        source: String,
        bytes: i64,
    }
    let check = |path: &str, body: &str, source: &str, bytes: i64| {
        let (captures, body) = (captures("random/{source?}/{bytes?..}", path), json(body));
        let Request { source: found, bytes: count } = decode::<Request>(&captures, &body).unwrap().request;
        assert_eq!((found.as_str(), count), (source, bytes), "{path}");
    };
    check("random/seal/32", "{}", "seal", 32);
    check("random/seal/0x20", r#"{"source":"all","bytes":1}"#, "seal", 32);
    check("random", r#"{"source":"all","bytes":1}"#, "", 0);
}

#[test]
fn warns_of_parameters_without_effect() {
    #[derive(Deserialize)]
    struct Request {
        #[serde(rename = "type")]
        _kind: Option<String>,
        _name: Option<String>,
    }
    const IGNORED: &str = "Endpoint ignored these unrecognized parameters: ";
    const REPLACED: &str =
        "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: ";
    let check = |params: &Params, expected: &[&str]| {
        let captures = captures("keys/{_name}/{version?}", "keys/k");
        assert_eq!(decode::<Request>(&captures, params).unwrap().warnings, expected);
    };
    check(&Params::None, &[]);
    check(&json(r#"{"type":"aes"}"#), &[]);
    check(&json(r#"{"c":1,"type":1,"a":{"x":1},"b":2,"a":3}"#), &[&format!("{IGNORED}[a b c]")]);
    check(&json(r#"{"_name":"k"}"#), &[&format!("{REPLACED}[_name]")]);
    check(
        &json(r#"{"version":1,"_name":"k","z":1}"#),
        &[&format!("{IGNORED}[z]"), &format!("{REPLACED}[_name version]")],
    );
    check(&json(r#"{"kind":"aes"}"#), &[&format!("{IGNORED}[kind]")]);
    check(&pairs(&[("list", "true"), ("list", "1")]), &[&format!("{IGNORED}[list]")]);
}

#[test]
fn errors_name_the_field_and_whether_it_was_validated() {
    let error = || decode::<Lone<bool>>(&Captures::default(), &json(r#"{"value":"maybe"}"#)).err().unwrap();
    let detail = "error converting input for field \"value\": '' cannot parse value as 'bool': strconv.ParseBool: invalid syntax";
    assert_eq!(error().into_error(false).to_string(), detail);
    assert_eq!(error().into_error(true).to_string(), format!("Field validation failed: {detail}"));
    let syntax = decode::<Lone<bool>>(&Captures::default(), &json("{")).err().unwrap();
    assert!(syntax.into_error(true).to_string().starts_with("failed to decode JSON input: "));
}

#[test]
fn raw_values_are_the_untouched_text() {
    struct Raw(String);
    impl<'de> Deserialize<'de> for Raw {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Text;
            impl Visitor<'_> for Text {
                type Value = Raw;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("JSON")
                }

                fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
                    Ok(Raw(text.to_owned()))
                }
            }
            deserializer.deserialize_newtype_struct(RAW, Text)
        }
    }
    let check = |params: &Params, expected: &str| assert_eq!(read::<Raw>(params).unwrap().0, expected);
    check(&json(r#"{"value": [ {"a": 1.50}, null ] }"#), r#"[ {"a": 1.50}, null ]"#);
    check(&json(r#"{"value":"a\u0062"}"#), r#""a\u0062""#);
    check(&json(r#"{"value":null}"#), "null");
    check(&pairs(&[("value", "[1]")]), r#""[1]""#);
    check(&pairs(&[("value", "say \"a\"")]), r#""say \"a\"""#);
}
