//! Bodies, queries and forms as their senders write them.

use super::*;

/// The names and the untouched values of what was read.
fn read(params: &Params) -> Result<String, String> {
    let members = Members::of(params).map_err(|error| error.to_string())?;
    let shown = members.as_slice().iter().map(|(name, value)| match value {
        Value::Text(text) => format!("{name}={text}"),
        Value::Json(json) => format!("{name}:{json}"),
    });
    Ok(shown.collect::<Vec<_>>().join(" "))
}

fn body(text: &[u8]) -> Params {
    Params::Json(text.to_vec().into())
}

#[test]
fn a_body_is_nothing_null_or_an_object() {
    let check =
        |text: &str, expected: &str| assert_eq!(read(&body(text.as_bytes())).as_deref(), Ok(expected), "{text}");
    check("", "");
    check(" \r\n\t", "");
    check("null", "");
    check(" null ", "");
    check("{}", "");
    check("\n{ } \n", "");
    check(r#" {"a": 1.50 , "b":[ 1, {"x":null} ],"a":"\u0062"}"#, r#"a:1.50 b:[ 1, {"x":null} ] a:"\u0062""#);
    check(r#"{"\u0061\"":true}"#, "a\":true");
    check(r#"{"t":1}{"u":2}"#, "t:1");
    check(r#"{"t":1} 5"#, "t:1");
}

#[test]
fn other_bodies_are_refused_without_their_content() {
    let check = |text: &[u8]| {
        let error = read(&body(text)).unwrap_err();
        let shown = String::from_utf8_lossy(text);
        assert!(error.starts_with("failed to decode JSON input: "), "{shown}: {error}");
        assert!(!error.contains("secret"), "{shown}: {error}");
    };
    check(br#""secret""#);
    check(br#"["secret"]"#);
    check(b"5");
    check(b"true");
    check(b"secret");
    check(b"nothing-secret");
    check(br#"{"secret":"#);
    check(br#"{"secret":secret}"#);
    check(br#"{"a":"secret"#);
    check(br#"{"a":"secret",}"#);
    check(b"{secret:1}");
    check(br#"{1:"secret"}"#);
    check(br#"{"a":1} secret"#);
    check(br#"{"a":1} ["secret""#);
    check(br#"{"a":"secret\x"}"#);
    check(br#"{"a":01}"#);
    check(b"{\"secret\":\"\xff\"}");
    check(b"\xef\xbb\xbf{}");
}

#[test]
fn deep_bodies_are_read() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(&body(deep.as_bytes())).unwrap().len(), "a:".len() + 200_000);
    assert!(read(&body("{\"a\":[".repeat(100_000).as_bytes())).is_err());
}

#[test]
fn an_object_has_a_limit_of_members() {
    let object = |len: usize| format!("{{{}}}", (0..len).map(|n| format!("\"m{n}\":0")).collect::<Vec<_>>().join(","));
    assert!(read(&body(object(MEMBERS_MAX).as_bytes())).is_ok());
    let error = read(&body(object(MEMBERS_MAX + 1).as_bytes())).unwrap_err();
    assert!(error.contains("more than 10000 members in one object"), "{error}");
}

#[test]
fn pairs_of_one_name_are_joined() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read(&Params::Pairs(pairs)).as_deref(), Ok(expected));
    };
    check(&[], "");
    check(&[("a", "1"), ("b", "x,y"), ("a", "2"), ("a", ""), ("A", "3")], "a=1,2, b=x,y A=3");
    assert_eq!(read(&Params::None).as_deref(), Ok(""));
}
