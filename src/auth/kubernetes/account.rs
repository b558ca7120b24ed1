//! The service account that a token names. Whether the token is good is others' business.

use serde_json::Value;

use crate::auth::jwt::claims::Claims;

/// A service account.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
}

impl Account {
    /// The account of a token's claims: of one made for a pod, or of an older one that lives in a secret.
    pub(super) fn of(claims: &Claims) -> Result<Self, &'static str> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let flat = |name: &str| text(claims.named(&format!("kubernetes.io/serviceaccount/{name}")));
        let account = match claims.named("kubernetes.io") {
            Some(of_pod) => Self {
                name: text(of_pod.pointer("/serviceaccount/name")),
                namespace: text(of_pod.get("namespace")),
                uid: text(of_pod.pointer("/serviceaccount/uid")),
            },
            None => Self {
                name: flat("service-account.name"),
                namespace: flat("namespace"),
                uid: flat("service-account.uid"),
            },
        };
        if account.uid.is_empty() {
            return Err("could not parse UID from claims");
        }
        Ok(account)
    }

    /// The name of the secret that an older token lives in.
    pub(super) fn secret_of(claims: &Claims) -> String {
        let name = claims.named("kubernetes.io/serviceaccount/secret.name");
        name.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The account of a user of the cluster, which must be one.
    pub(super) fn of_user(name: &str, uid: &str) -> Option<Self> {
        let (namespace, name) = name.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        let plain = !name.is_empty() && !namespace.is_empty() && !name.contains(':');
        plain.then(|| Self { name: name.to_owned(), namespace: namespace.to_owned(), uid: uid.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, namespace: &str, uid: &str) -> Account {
        Account { name: name.to_owned(), namespace: namespace.to_owned(), uid: uid.to_owned() }
    }

    #[test]
    fn tokens_name_their_account_in_two_ways() {
        let check = |claims: &str, expected: Result<Account, &'static str>| {
            assert_eq!(Account::of(&Claims::parse(claims.as_bytes()).unwrap()), expected, "{claims}");
        };
        let of_pod =
            r#"{"kubernetes.io":{"namespace":"n","pod":{"name":"p"},"serviceaccount":{"name":"a","uid":"u"}}}"#;
        check(of_pod, Ok(account("a", "n", "u")));
        let older = r#"{"kubernetes.io/serviceaccount/namespace":"n","kubernetes.io/serviceaccount/service-account.name":"a",
            "kubernetes.io/serviceaccount/service-account.uid":"u"}"#;
        check(older, Ok(account("a", "n", "u")));
        for none in ["{}", r#"{"kubernetes.io":{"namespace":"n"}}"#, r#"{"kubernetes.io":1,"uid":"u"}"#] {
            check(none, Err("could not parse UID from claims"));
        }
    }

    #[test]
    fn users_that_are_no_accounts_are_none() {
        assert_eq!(Account::of_user("system:serviceaccount:n:a", "u"), Some(account("a", "n", "u")));
        for name in [
            "",
            "a",
            "system:node:n:a",
            "system:serviceaccount:a",
            "system:serviceaccount:n:a:b",
            "x:system:serviceaccount:n:a",
        ] {
            assert_eq!(Account::of_user(name, "u"), None, "{name}");
        }
        assert_eq!(Account::of_user("system:serviceaccount::a", "u"), None);
    }
}
