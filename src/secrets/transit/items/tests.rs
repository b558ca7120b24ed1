//! Tests of the reading of batches.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn batch(json: impl Into<String>) -> Batch {
    Batch(Some(Wiped::from(json.into().into_bytes())))
}

fn check(shape: &Shape, json: &str, expected: Result<usize, &str>) {
    let batch = batch(json);
    let count = batch.items(shape).map(|items| items.unwrap().len()).map_err(|error| error.to_string());
    assert_eq!(count, expected.map_err(|text| format!("failed to parse batch input: {text}")), "{json}");
}

#[test]
fn items_are_read_strictly() {
    let check = |json, expected| check(&Shape::ENCRYPT, json, expected);
    check(r#"[{"plaintext":"AA=="},{"plaintext":"","x":{"y":[1]}}]"#, Ok(2));
    check(r#"[{"plaintext":"","context":null,"key_version":null,"associated_data":null,"reference":null}]"#, Ok(1));
    check(r#"[{"plaintext":"A","plaintext":"B"}]"#, Ok(1));
    check(r#""foo""#, Err("source data must be an array or slice, got string"));
    check(r#"{"plaintext":"AA=="}"#, Err("source data must be an array or slice, got map[string]interface {}"));
    check("12", Err("source data must be an array or slice, got json.Number"));
    check(r#"["foo"]"#, Err("[0] expected a map, got 'string'"));
    check(r#"[{"plaintext":12}]"#, Err("'[0].plaintext' expected type 'string', got unconvertible type 'json.Number'"));
    check(r#"[{"plaintext":null}]"#, Err("'[0].plaintext' expected type 'string', got unconvertible type '<nil>'"));
    check(
        r#"[{"plaintext":""},{"plaintext":"","context":true}]"#,
        Err("'[1].context' expected type 'string', got unconvertible type 'bool'"),
    );
    check(
        r#"[{"plaintext":"","key_version":"1"}]"#,
        Err("'[0].key_version' expected type 'int', got unconvertible type 'string'"),
    );
    check(
        r#"[{"plaintext":"","key_version":1.5}]"#,
        Err("error decoding json.Number into [0].key_version: strconv.ParseInt: invalid syntax"),
    );
    check(
        "[{}, {}]",
        Err("'[0].plaintext' missing plaintext to encrypt\n'[1].plaintext' missing plaintext to encrypt"),
    );
}

#[test]
fn ciphertexts_may_be_null_and_not_missing() {
    check(&Shape::DECRYPT, r#"[{"ciphertext":null}]"#, Ok(1));
    check(&Shape::DECRYPT, "[{}]", Err("'[0].ciphertext' missing ciphertext to decrypt"));
    check(&Shape::DECRYPT, r#"[{"ciphertext":"","key_version":"no member of this shape"}]"#, Ok(1));
}

#[test]
fn rewrap_reads_as_vaults_generic_decoder() {
    let check = |json, expected| check(&Shape::REWRAP, json, expected);
    check(r#"[{}, {"ciphertext":1}, {"ciphertext":null,"associated_data":{}}]"#, Ok(3));
    check(r#""foo""#, Err("'' source data must be an array or slice, got string"));
    check(
        r#"[{"ciphertext":"x","key_version":"1"}]"#,
        Err("decoding failed due to the following error(s):\n\n\
             '[0].key_version' expected type 'int', got unconvertible type 'string'"),
    );
}

#[test]
fn values_come_as_they_are() {
    let batch = batch(r#" [ { "plain\u0074ext": "\u0041A\/A", "key_version": -3, "reference": "\"<" } ] "#.trim());
    let items = batch.items(&Shape::ENCRYPT).unwrap().unwrap();
    assert_eq!(items[0].text.as_deref(), Some("AA/A"));
    assert_eq!(items[0].key_version, -3);
    assert_eq!(&*items[0].reference, "\"<");
    assert_eq!(&*items[0].context, "");
}

#[test]
fn empty_and_absent_differ() {
    assert!(Batch::default().items(&Shape::ENCRYPT).unwrap().is_none());
    assert_eq!(batch("[]").items(&Shape::ENCRYPT).err().unwrap().to_string(), "missing batch input to process");
}

#[test]
fn batches_have_a_limit() {
    let batch_of = |count| batch(json!(vec![json!({"plaintext": ""}); count]).to_string());
    assert!(batch_of(ITEMS_MAX).items(&Shape::ENCRYPT).is_ok());
    let error = batch_of(ITEMS_MAX + 1).items(&Shape::ENCRYPT).err().unwrap();
    assert!(matches!(&error, Error::Invalid(text) if text == "batch input has more than 10000 items"), "{error}");
}

#[test]
fn contexts_are_in_all_items_or_in_none() {
    let check = |contexts: &[&str], accepted: bool| {
        let items: Vec<_> =
            contexts.iter().map(|context| Item { context: Text::from(*context), ..Item::default() }).collect();
        assert_eq!(check_contexts(&items).is_ok(), accepted, "{contexts:?}");
    };
    check(&["", ""], true);
    check(&["YQ==", "Yg=="], true);
    check(&["YQ==", ""], false);
    check(&["", "YQ=="], false);
}

/// Any JSON, and often something like a batch.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        ".{0,8}".prop_map(|value| json!(value)),
    ];
    let name = prop_oneof![
        Just("plaintext".to_owned()),
        Just("ciphertext".to_owned()),
        Just("context".to_owned()),
        Just("key_version".to_owned()),
        Just("associated_data".to_owned()),
        Just("reference".to_owned()),
        ".{0,4}",
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::Array),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever the body holds, it is read or refused, and no text of it comes back in the refusal.
    #[test]
    fn any_json_is_read_or_refused(json in any_json(), secret in "[a-z]{12}") {
        let batch = batch(json!([json, {"plaintext": [&secret], "ciphertext": true, "key_version": &secret}]).to_string());
        for shape in [Shape::ENCRYPT, Shape::DECRYPT, Shape::REWRAP] {
            let error = batch.items(&shape).err().unwrap().to_string();
            prop_assert!(error.starts_with("failed to parse batch input: "));
            prop_assert!(!error.contains(&secret));
        }
        let batch = super::tests::batch(json.to_string());
        for shape in [Shape::ENCRYPT, Shape::DECRYPT, Shape::REWRAP] {
            let _ = batch.items(&shape);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,64}") {
        let batch = batch(text);
        for shape in [Shape::ENCRYPT, Shape::DECRYPT, Shape::REWRAP] {
            let _ = batch.items(&shape);
        }
    }
}
