//! The reader beside the first one of this language, which judged the samples.

use proptest::prelude::*;

use super::*;

/// What both accept.
#[rustfmt::skip]
const ACCEPTED: &[&str] = &[
    "",
    "# nothing\n",
    "path \"a\" { capabilities = [\"read\"] }",
    "path \"a\" { capabilities = [\"read\"] comment = \"two on one line\" }",
    "path \"a\" { capabilities = [\"read\"], comment = \"commas\" }",
    "\"path\" \"a\" { capabilities = [\"read\"] }",
    "path \"a\" { \"capabilities\" = [\"read\"] }",
    "{\"path\":{\"a\":{\"capabilities\":[\"read\"]}}}",
    "path \"a\" { allowed_parameters = { \"a\" = [] \"b\" = [] } }",
    "path \"a/${b}\" { policy = \"read\" }",
    "path \"a/%{b}\" { policy = \"read\" }",
    "path \"a\"\n{\n policy = \"read\"\n}",
    "path \"a\" { allowed_parameters { \"x\" = [\"1\"] } }",
    "a = 010",
    "a = 0x1F",
    "a = -1.5e+3",
    "// c\n/* c\n */ path \"a\" { policy = \"read\" } # c",
    "a = \"\\n\\t\\\"\\\\\"",
    "a = \"\\u00fc\\x41\\101\"",
    "a = \"${x\n\"y\"}\"",
    "a = <<E\nline\nE\n",
    "a = <<-E\n  line\n  E\n",
    "a = [1, 2,]",
    "a = [,]",
    "a = [[1], {b = 2}]",
    "{}",
    "a {} a {}",
    "a = true",
    "a.b-c = 1",
    "ü = 1",
    "a = 1\r\nb = 2\r\n",
    " \n{\"a\":[{\"b\":{}}]}",
    "a = 1.",
    "a = 1e",
    "a \"b\" \"c\" {}",
];

/// What both refuse.
#[rustfmt::skip]
const REFUSED: &[&str] = &[
    "a = 018",
    "a = 0x",
    "path \"a\" { capabilities = [read] }",
    "/ c",
    "/* c",
    "a = \"\\q\"",
    "a = \"x",
    "a = \"x\ny\"",
    "a = \"${x\"",
    "a = <<E\nline\n",
    "a = <<\nx\n",
    "a = [1 2]",
    "a = [1",
    "a = {",
    "a = { b = 1 ",
    "}",
    "a",
    "a b",
    "a = b",
    "a = = 1",
    "= 1",
    "a b = 1",
    "a = 1 a = 2",
    "a = {} a = {}",
    "true = 1",
    "1 = 2",
    "a = 1 ; b = 2",
    "a = 'x'",
    "path \"a\" { policy = \"read\" }}",
    "[]",
    "a = \"\0\"",
    "a = \"\\400\"",
    "a = - 1",
    "a = +1",
    "\u{feff}a = 1",
    "a {\n b = 1\n b = 2\n}",
    "a = \"b\" \"c\"",
];

/// What only this reader refuses: unfinished texts, JSON that is none, and a number without its first digit.
const REFUSED_HERE: &[&str] = &["a =", "a = .5", "{\"a\"", "{\"a\":1,}"];

#[test]
fn samples_are_read_as_hashicorp_reads_them() {
    for text in ACCEPTED {
        assert!(read(text).is_ok(), "{text:?}: {:?}", read(text));
    }
    for text in REFUSED.iter().chain(REFUSED_HERE) {
        assert!(read(text).is_err(), "{text:?}: {:?}", read(text));
    }
}

#[test]
fn texts_are_the_characters_that_they_stand_for() {
    let check = |written: &str, expected: &str| {
        let items = read(&format!("a = {written}\n")).unwrap();
        assert_eq!(items[0].value, Value::Text(expected.to_owned()), "{written}");
    };
    check(r#""plain""#, "plain");
    check(r#""\n\t\"\\""#, "\n\t\"\\");
    check(r#""\u00fc\x41\101\U0001F511""#, "\u{fc}AA\u{1f511}");
    check(r#""a/${b}/c""#, "a/${b}/c");
    check(r#""a/%{b}/c""#, "a/%{b}/c");
    check(r#""${x "y" \n {z} }\n""#, "${x \"y\" \\n {z} }\n");
    check(r#""$x {y} }""#, "$x {y} }");
    check("<<E\n one\ntwo\nE", " one\ntwo\n");
    check("<<-E\n   one\n  two\n  E", " one\ntwo\n");
    check("<<-E\n one\n  two\n  E", " one\n  two\n");
}

#[test]
fn blocks_of_one_name_stay_apart() {
    let items = read("path \"a\" { x = 1 }\npath \"a\" { x = [true, -2] }").unwrap();
    let item = |keys: &[&str], value| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Item { keys, value, line: 0, assigned: false }
    };
    let block = |value| item(&["path", "a"], Value::Object(vec![item(&["x"], value)]));
    let list = Value::List(vec![Value::Bool(true), Value::Number("-2".to_owned())]);
    assert_eq!(items, [block(Value::Number("1".to_owned())), block(list)]);
}

#[test]
fn errors_say_where() {
    let check = |text: &str, expected: &str| assert_eq!(read(text).unwrap_err(), expected, "{text:?}");
    check("garbage", "At 1:9: key 'garbage' expected start of object ('{') or assignment ('=')");
    check("a = 1\n\n b = c", "At 3:6: Unknown token: IDENT");
    check("a = 1\na = 2", "The argument \"a\" at 2:1 was already set. Each argument can only be defined once");
    check("a = [1 2]", "At 1:8: error parsing list, expected comma or list end, got: NUMBER");
    check("a = \"x\ny\"", "At 1:7: literal not terminated");
}

#[test]
fn lines_are_those_of_the_text() {
    let lines =
        |items: Vec<Item>| -> Vec<_> { items.into_iter().map(|item| (item.keys.join(" "), item.line)).collect() };
    let check = |text: &str, expected: &[(&str, usize)]| {
        let expected: Vec<_> = expected.iter().map(|(keys, line)| ((*keys).to_owned(), *line)).collect();
        assert_eq!(lines(read_plain(text).unwrap()), expected, "{text:?}");
    };
    check("a = 1\n\nb \"c\" {\n}\nd\n=\n2", &[("a", 1), ("b c", 3), ("d", 6)]);
    check("{\"a\": 1,\n\"b\":\n {\"c\": {}},\r\n\"d\": []}", &[("a", 1), ("b", 3), ("d", 4)]);
    let labelled = read("{\n\"b\": [{\"c\":\n {}}, {\"c\":\n{}}]}").unwrap();
    assert_eq!(lines(labelled), [("b c".to_owned(), 3), ("b c".to_owned(), 4)]);
    assert_eq!(read("{\n\"a\": 1,\n\"a\": 2}").unwrap_err(), "on line 3: the name \"a\" is there twice");
    assert_eq!(read("{\"a\":\n[{\"b\": nil}]}").unwrap_err(), "expected ident at line 2 column 9");
}

#[test]
fn size_and_depth_have_limits() {
    let nested = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(DEPTH_MAX)).is_ok());
    assert!(read(&nested(DEPTH_MAX + 1)).unwrap_err().ends_with(TOO_DEEP));
    assert!(read(&"a {".repeat(100_000)).unwrap_err().ends_with(TOO_DEEP));
    assert!(read(&"{\"a\":".repeat(100_000)).is_err());
    assert!(read(&" ".repeat(TEXT_LEN_MAX)).is_ok());
    assert!(read(&" ".repeat(TEXT_LEN_MAX + 1)).unwrap_err().contains("longer than 1048576 bytes"));
    assert!(read_json_value(&format!("{}1", " ".repeat(TEXT_LEN_MAX - 1))).is_ok());
    assert!(read_json_value(&format!("{}1", " ".repeat(TEXT_LEN_MAX))).unwrap_err().contains("longer than 1048576"));
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = read(&text);
    }

    /// Pieces of the language in any order come further than any characters would.
    #[test]
    fn no_pieces_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let _ = read(&pieces.concat());
    }
}

const PIECES: &[&str] = &[
    "path", " ", "\"a\"", "\"", "{", "}", "[", "]", "=", ",", "\n", "<<E", "<<-", "E", "$", "${", "\\", "\\x", "\\U",
    "0", "0x", "-1", ".", "e", "true", "#", "/*", "*/", "//", "\u{fc}", "\r", "\0", "{\"a\":", "null",
];

/// Each name was looked for among all before it: a long text, or a long parameter of a request, took minutes.
#[test]
fn names_may_be_many() {
    let names: Vec<_> = (0..80_000).map(|number| format!("a{number}")).collect();
    let json = |names: &[String]| {
        format!("{{{}}}", names.iter().map(|name| format!("\"{name}\":1")).collect::<Vec<_>>().join(","))
    };
    let hcl = |names: &[String]| names.iter().map(|name| format!("{name}=1\n")).collect::<String>();
    for text in [json(&names), hcl(&names)] {
        assert_eq!(read(&text).unwrap().len(), names.len());
    }
    let twice = [&names[..], &names[..1]].concat();
    assert!(read(&json(&twice)).unwrap_err().contains("the name \"a0\" is there twice"));
    assert!(read(&hcl(&twice)).unwrap_err().contains("can only be defined once"));
}
