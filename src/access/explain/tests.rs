//! Explanations, judged by the gate: they say what it does, and what they propose changes its mind.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::access::policies::Policies;
use crate::access::tokens::{Caller, TokenRecord, Tokens, new_token};
use crate::api::route::Access;
use crate::api::{Op, Params};
use crate::barrier::{Horizon, Scope, Sealed, View};
use crate::clock::Timestamp;
use crate::crypto::secret::Secret;
use crate::storage::Memory;

fn named(texts: &[&str]) -> Vec<Named> {
    let named =
        |(index, text): (usize, &&str)| Named::filled(&format!("p{index}"), policy::parse(text).unwrap(), |_| None);
    texts.iter().enumerate().map(named).collect()
}

fn question<'a>(op: Op, path: &'a str, params: &'a Params, needed: Capabilities) -> Question<'a> {
    Question { ask: Ask { op, path, params, wrap_ttl: None }, needed }
}

/// What is said of reading `a/b`, the smallest policy without its line ends.
fn check(policies: &[&str], word: &str, text: &str, smallest: Option<&str>) {
    let question = question(Op::Read, "a/b", &Params::None, Capabilities::READ);
    let explanation = explain(&named(policies), &question).unwrap();
    let policy =
        explanation.smallest_policy.as_ref().map(|policy| policy.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!((explanation.reason.word(), policy.as_deref()), (word, smallest), "{policies:?}");
    assert_eq!(explanation.cause(), text, "{policies:?}");
}

#[test]
fn the_deciding_rule_and_its_policies_are_named() {
    const EXACT: &str = "path \"a/b\" { capabilities = [\"read\"] }";
    check(&[], "no_rule", "no rule for this path is in the policies", Some(EXACT));
    check(&["path \"b\" {}"], "no_rule", "no rule for this path is in the policy \"p0\"", Some(EXACT));
    let (read, list) = ("path \"a/*\" { capabilities = [\"read\"] }", "path \"/a/*\" { capabilities = [\"list\"] }");
    check(&[read], "granted", "the rule for \"a/*\" in the policy \"p0\" allows it", Some(EXACT));
    check(&["", list, read], "granted", "the rule for \"a/*\" in the policies \"p1\", \"p2\" allows it", Some(EXACT));
    let lacks = "the rule for \"a/*\" in the policy \"p0\" does not grant read";
    check(&[list], "capability_missing", lacks, Some(EXACT));
    check(&["path \"a/*\" {}"], "capability_missing", lacks, Some(EXACT));
    let deny = "the rule for \"a/*\" in the policies \"p0\", \"p1\" denies it";
    check(&[read, "path \"a/*\" { policy = \"deny\" }"], "deny", deny, Some(EXACT));
    let exact = "the rule for \"a/b\" in the policy \"p1\" denies it";
    check(&[read, "path \"a/b\" { policy = \"deny\" }"], "deny", exact, None);
    let plus = "path \"+/b\" { capabilities = [\"list\"] }";
    let lacks = "the rule for \"+/b\" in the policy \"p0\" does not grant read";
    check(&[plus], "capability_missing", lacks, Some(EXACT));
}

#[test]
fn conditions_are_told_by_the_names_of_parameters() {
    let check = |attributes: &str, word: &str, cause: &str, added: Option<&str>| {
        let params = Params::Json(br#"{"x":"secret","y":1}"#.to_vec().into());
        let mut question = question(Op::Write, "a", &params, Capabilities::UPDATE);
        question.ask.wrap_ttl = Some(Duration::from_secs(30));
        let policy = format!("path \"a\" {{ capabilities = [\"update\"] {attributes} }}");
        let explanation = explain(&named(&[&policy]), &question).unwrap();
        assert_eq!(explanation.reason.word(), word, "{attributes}");
        assert_eq!(explanation.cause(), format!("the rule for \"a\" in the policy \"p0\" {cause}"), "{attributes}");
        let policy = explanation.smallest_policy.as_deref();
        assert_eq!(policy.is_some(), added.is_some(), "{attributes}: {policy:?}");
        assert!(policy.is_none_or(|policy| policy.contains(added.unwrap())), "{attributes}: {policy:?}");
        assert!(!explanation.text().contains("secret"));
    };
    check("required_parameters = [\"z\"]", "parameter_refused", "asks for the parameter \"z\"", None);
    check("denied_parameters = { y = [] }", "parameter_refused", "refuses the parameter \"y\", or its value", None);
    check("denied_parameters = { y = [2] }", "granted", "allows it", Some("[\"update\"]"));
    let both = "allowed_parameters = {\n    \"x\" = []\n    \"y\" = []\n  }";
    let unlisted = "does not list the parameter \"x\", or its value";
    check("allowed_parameters = { z = [] }", "parameter_refused", unlisted, Some(both));
    let unlisted = "does not list the parameter \"y\", or its value";
    let y = "allowed_parameters = {\n    \"y\" = []\n  }";
    check("allowed_parameters = { x = [] }", "parameter_refused", unlisted, Some(y));
    let wrapped = "asks for an answer that is wrapped, for 60 s at least, for 90 s at most";
    let min = "min_wrapping_ttl = 60 max_wrapping_ttl = 90";
    check(min, "wrapping_ttl", wrapped, Some("min_wrapping_ttl = \"30s\""));
    check("max_wrapping_ttl = 20", "wrapping_ttl", "asks for an answer that is wrapped, for 20 s at most", None);
}

#[test]
fn root_needs_no_rule() {
    let policies = [Named { name: ROOT_POLICY.to_owned(), rules: Vec::new() }];
    let question = question(Op::List, "a/", &Params::None, Capabilities::LIST | Capabilities::SUDO);
    let explanation = explain(&policies, &question).unwrap();
    assert!(explanation.is_allowed() && explanation.rule.is_none());
    assert_eq!(explanation.text(), "the policy \"root\" allows everything");
    let policy = explanation.smallest_policy.unwrap();
    assert_eq!(policy, "path \"a/\" {\n  capabilities = [\"list\", \"sudo\"]\n}\n");
}

// === the gate is right ===

struct Bench {
    platform: Scope,
    horizon: Horizon,
}

impl Bench {
    fn new() -> Self {
        let sealed = Sealed::new(Arc::new(Memory::new()));
        let platform = sealed.initialise(&Secret::new([7; 32]), Vec::new()).unwrap().platform();
        Self { platform, horizon: Horizon::default() }
    }

    fn view(&self) -> View<'_> {
        self.platform.view(&self.horizon)
    }

    /// Someone with these policies and no others.
    fn caller(&self, texts: &[String]) -> (Arc<Caller>, Vec<Named>) {
        let (view, tokens) = (self.view(), Tokens::open(&self.view()).unwrap());
        let names: Vec<_> = (0..texts.len()).map(|index| format!("p{index}")).collect();
        for (name, text) in names.iter().zip(texts) {
            tokens.policies.write(&view, name, text.clone()).unwrap();
        }
        let rules = Policies::named(&view, &names, |_| None).unwrap();
        let record = TokenRecord { policies: names, ..TokenRecord::root("auth/token/create", "token", NOW) };
        (tokens.create(&view, &new_token(), record).unwrap(), rules)
    }
}

/// Whether the gate admits someone with these policies.
fn admits(bench: &Bench, texts: &[String], access: Access, ask: &Ask<'_>, exists: Option<bool>) -> bool {
    match gate::admit(&bench.caller(texts).0, access, ask, || exists.map(Ok)) {
        Ok(_) => true,
        Err(Error::Denied) => false,
        Err(error) => panic!("{error}"),
    }
}

fn rule() -> impl Strategy<Value = String> {
    let path = prop_oneof![4 => "(a|ab|\\+|b)(/(a|ab|\\+|b)){0,3}(/?\\*)?", 1 => "(a\\+|a/\\+b|b\\*)(/b)?\\*?"];
    let path = path.prop_filter("a wildcard behind a wildcard", |path| !path.contains("+*"));
    let word = select(&["create", "read", "update", "patch", "delete", "list", "scan", "sudo", "deny"][..]);
    let attributes = select(&[
        "",
        "",
        "",
        "",
        "required_parameters = [\"x\"]",
        "denied_parameters = { x = [1] }",
        "allowed_parameters = { x = [1, 2] y = [] }",
        "min_wrapping_ttl = 60",
        "max_wrapping_ttl = 60",
    ]);
    (path, vec(word, 0..5), attributes)
        .prop_map(|(path, words, attributes)| format!("path {path:?} {{ capabilities = {words:?} {attributes} }}\n"))
}

fn params() -> impl Strategy<Value = &'static str> {
    select(&["{}", r#"{"x":1}"#, r#"{"x":2,"y":"v"}"#, r#"{"z":1}"#, r#"{"x":1,"z":[]}"#])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The verdict is the gate's, and the gate admits whoever has the smallest policy beside his own. Where there is none, a
    /// rule for just this path denies it, or the request is one that its conditions never allow.
    #[test]
    fn an_explanation_is_what_the_gate_does(
        texts in vec(vec(rule(), 0..4).prop_map(|rules| rules.concat()), 0..4),
        path in "(a|ab|b|abc|a\\+|\\+b|b\\*|\\{\\{a\\}\\}|\\$\\{\")(/(a|ab|b|abc|\\+|\\*)){0,4}",
        op in select(&Op::ALL),
        (sudo, exists) in (any::<bool>(), any::<Option<bool>>()),
        params in params(),
        wrap_ttl in select(WRAP_TTLS),
    ) {
        let bench = Bench::new();
        let path = if op.is_of_folders() { path + "/" } else { path };
        let access = if sudo { Access::Sudo } else { Access::Token };
        let params = Params::Json(params.as_bytes().to_vec().into());
        let ask = || Ask { op, path: &path, params: &params, wrap_ttl };
        let needed = gate::needed(op, access, || exists.map(Ok)).unwrap();

        let explanation = explain(&bench.caller(&texts).1, &Question { ask: ask(), needed }).unwrap();
        prop_assert_eq!(explanation.is_allowed(), admits(&bench, &texts, access, &ask(), exists));
        if let Some(policy) = &explanation.smallest_policy {
            let more = [texts.as_slice(), std::slice::from_ref(policy)].concat();
            prop_assert!(admits(&bench, &more, access, &ask(), exists), "{}", policy);
        } else {
            // A rule that lacks the capability may have conditions, too, which are the same for what is added to it.
            let told = match &explanation.reason {
                Reason::Deny | Reason::Unmet(_) => true,
                Reason::Lacks(_) => texts.concat().contains("_parameters") || texts.concat().contains("_wrapping_ttl"),
                Reason::Root | Reason::Granted | Reason::NoRule => false,
            };
            prop_assert!(told, "{:?}", explanation.reason);
        }
    }
}

const WRAP_TTLS: &[Option<Duration>] = &[None, Some(Duration::from_secs(30)), Some(Duration::from_secs(90))];
const NOW: Timestamp = Timestamp::UNIX_EPOCH;
