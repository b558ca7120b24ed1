//! Policies from being written to being forgotten.

use super::*;
use crate::access::acl::Capabilities;
use crate::barrier::{Horizon, Scope, Sealed};
use crate::crypto::secret::Secret;
use crate::storage::Memory;

fn platform() -> Scope {
    Sealed::new(Arc::new(Memory::new())).initialise(&Secret::new([7; 32]), Vec::new()).unwrap().platform()
}

fn read(path: &str) -> String {
    format!("path {path:?} {{ capabilities = [\"read\"] }}")
}

#[test]
fn the_default_policy_cares_for_ones_own_token() {
    let (platform, horizon) = (platform(), Horizon::default());
    let rights = Policies::default().compile(&platform.view(&horizon), &[DEFAULT_POLICY.to_owned()]).unwrap();
    let check = |path: &str, expected: &[&str]| assert_eq!(rights.acl.capabilities(path).names(), expected, "{path}");
    check("auth/token/lookup-self", &["read"]);
    check("auth/token/renew-self", &["update"]);
    check("auth/token/create", &["deny"]);
    check("cubbyhole/a/b", &["create", "delete", "list", "read", "update"]);
    check("cubbyhole", &["deny"]);
    check("sys/tools/hash/sha2-256", &["update"]);
    check("identity/entity/id/{{identity.entity.id}}", &["deny"]);
    check("transit/encrypt/k", &["deny"]);
}

#[test]
fn what_was_compiled_before_a_change_is_out_of_date() {
    let (platform, horizon) = (platform(), Horizon::default());
    let (view, policies) = (platform.view(&horizon), Policies::default());
    let names = ["p".to_owned(), "unknown".to_owned()];
    let reads =
        |path: &str| policies.compile(&view, &names).unwrap().acl.capabilities(path).contain(Capabilities::READ);
    assert!(!reads("a"));
    let before = policies.compile(&view, &names).unwrap();
    policies.write(&view, "p", read("a")).unwrap();
    assert!(!policies.is_current(&before) && reads("a"));
    policies.write(&view, "p", read("b")).unwrap();
    assert!(!reads("a") && reads("b"));
    assert!(policies.write(&view, "p", "garbage".to_owned()).is_err());
    assert!(reads("b"), "a refused text changes nothing");
    policies.delete(&view, "p").unwrap();
    assert!(!reads("b"));
}

#[test]
fn root_beside_other_policies_is_root() {
    let (platform, horizon) = (platform(), Horizon::default());
    let compile = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Policies::default().compile(&platform.view(&horizon), &names).unwrap().acl.is_root()
    };
    assert!(compile(&["root"]) && compile(&["default", "root"]));
    assert!(!compile(&["default", "Root", "root ", "response-wrapping", "control-group"]) && !compile(&[]));
}

#[test]
fn names_are_kept_as_they_are() {
    let (platform, horizon) = (platform(), Horizon::default());
    let (view, policies) = (platform.view(&horizon), Policies::default());
    let names = ["a/b", "a%2Fb", "a", "z y", "%", "a/../b"];
    for name in names {
        policies.write(&view, name, read(name)).unwrap();
    }
    let mut expected: Vec<&str> = names.into_iter().chain(["default", "root"]).collect();
    expected.sort_unstable();
    assert_eq!(Policies::list(&view).unwrap(), expected);
    for name in names {
        assert_eq!(Policies::read(&view, name).unwrap().unwrap(), read(name), "{name}");
        policies.delete(&view, name).unwrap();
        assert!(Policies::read(&view, name).unwrap().is_none(), "{name}");
    }
    let long = "n".repeat(NAME_LEN_MAX + 1);
    assert!(policies.write(&view, &long, read("a")).is_err() && Policies::read(&view, &long).unwrap().is_none());
}

#[test]
fn what_belongs_to_the_server_stays() {
    let (platform, horizon) = (platform(), Horizon::default());
    let (view, policies) = (platform.view(&horizon), Policies::default());
    for name in ["root", "response-wrapping", "control-group"] {
        assert_eq!(
            policies.write(&view, name, read("a")).unwrap_err().to_string(),
            format!("cannot update {name:?} policy")
        );
        assert_eq!(policies.delete(&view, name).unwrap_err().to_string(), format!("cannot delete {name:?} policy"));
        assert_eq!(is_reserved(name), name != "root");
    }
    assert_eq!(policies.delete(&view, "default").unwrap_err().to_string(), "cannot delete default policy");
    policies.write(&view, "default", read("a")).unwrap();
    assert_eq!(Policies::read(&view, "default").unwrap().unwrap(), read("a"));
    assert_eq!(Policies::list(&view).unwrap(), ["default", "root"]);
}

/// Regression R26: another spelling of `root` got past the filter, on an entity and then on a group.
#[test]
fn nobody_is_given_root_in_disguise() {
    let check = |name: &str, expected: bool| assert_eq!(looks_like_root(name), expected, "{name:?}");
    for name in [
        "root",
        "ROOT",
        " root",
        "Root\t",
        "r oot",
        "ｒｏｏｔ",
        "ＲＯＯＴ",
        "ro\u{200b}ot",
        "\u{feff}root",
        "root\n",
        "r\u{ad}oot",
    ] {
        check(name, true);
        assert!(given_to_identity(&["a".to_owned(), name.to_owned()]).is_err(), "{name:?}");
    }
    for name in ["", "roots", "root-", "root_ca", "my root", "rooot", "r00t"] {
        check(name, false);
    }
    let given = [" b ", "a", "", "b"].map(str::to_owned);
    assert_eq!(given_to_identity(&given).unwrap(), ["a", "b"]);
}

/// Regression R31: what was compiled for each refused request stayed. One set of policies is compiled once, however often it
/// refuses, and of many sets only so many are kept.
#[test]
fn r31_what_is_compiled_is_bounded() {
    let (platform, horizon) = (platform(), Horizon::default());
    let (view, policies) = (platform.view(&horizon), Policies::default());
    for number in 0..10 * COMPILED_MAX {
        let compiled = policies.compile(&view, &["p".to_owned()]).unwrap();
        assert!(!compiled.acl.capabilities(&format!("a/{number}")).contain(Capabilities::READ));
    }
    assert_eq!(policies.compiled.len(), 1);
    for number in 0..3 * COMPILED_MAX {
        policies.compile(&view, &[format!("p{number}")]).unwrap();
    }
    assert!(policies.compiled.len() <= COMPILED_MAX, "{}", policies.compiled.len());
}
