//! Asks a cluster whose a token is (its API `authentication.k8s.io/v1`, `TokenReview`).

use serde::Deserialize;

use super::account::Account;
use super::config::Config;
use crate::api::json::Object;
use crate::crypto::wiped::Wiped;
use crate::outbound::{self, Outbound, Outgoing};

/// Why a token is not good, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Call(#[from] outbound::Error),
    #[error("the cluster answers with status {0}")]
    Status(u16),
    #[error("the cluster's answer is malformed")]
    Malformed,
    #[error("the cluster says that the token is not valid: {0}")]
    Invalid(String),
    #[error("the token is for {0:?}")]
    Audience(Vec<String>),
    #[error("the token is not a service account's")]
    NoAccount,
}

/// The account whose token it is, by the cluster's word; for one of the audiences, if there is any.
pub(super) fn review(
    outbound: &Outbound,
    config: &Config,
    token: &str,
    audiences: &[&str],
) -> Result<Account, Refusal> {
    let (url, ca_pem, reviewer) = (config.reviews_url(), config.ca_pem(), config.reviewer_jwt());
    let answer = outbound.permit()?.call(Outgoing {
        url: &url,
        ca_pem: &ca_pem,
        bearer: Some(reviewer.as_ref().map_or(token, |jwt| jwt.as_str())),
        body: Some(("application/json", question(token, audiences))),
        ..Outgoing::default()
    })?;
    if !(200..=206).contains(&answer.status) {
        return Err(Refusal::Status(answer.status));
    }
    let Review { status } = serde_json::from_slice(&answer.body).map_err(|_| Refusal::Malformed)?;
    if !status.authenticated || !status.error.is_empty() {
        return Err(Refusal::Invalid(status.error));
    }
    // A cluster that does not look at audiences says nothing of them.
    if !audiences.is_empty() && !status.audiences.iter().any(|own| audiences.contains(&own.as_str())) {
        return Err(Refusal::Audience(status.audiences));
    }
    Account::of_user(&status.user.username, &status.user.uid).ok_or(Refusal::NoAccount)
}

fn question(token: &str, audiences: &[&str]) -> Wiped {
    let mut review = Object::with_capacity(1_024 + 6 * token.len());
    review.set_object("metadata", |metadata| {
        metadata.set("creationTimestamp", ());
    });
    review.set_object("spec", |spec| {
        spec.set("token", token);
        if !audiences.is_empty() {
            spec.set("audiences", audiences);
        }
    });
    review.set_object("status", |status| {
        status.set_object("user", |_| {});
    });
    review.finish().0
}

/// What is read of the answer.
#[derive(Deserialize)]
struct Review {
    status: Status,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Status {
    authenticated: bool,
    user: User,
    audiences: Vec<String>,
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_reads_as_clusters_know_it() {
        let check = |audiences: &[&str], expected: &str| {
            assert_eq!(String::from_utf8_lossy(&question("a.b.c", audiences)), expected);
        };
        check(&[], r#"{"metadata":{"creationTimestamp":null},"spec":{"token":"a.b.c"},"status":{"user":{}}}"#);
        check(
            &["x", "y"],
            r#"{"metadata":{"creationTimestamp":null},"spec":{"token":"a.b.c","audiences":["x","y"]},"status":{"user":{}}}"#,
        );
    }
}
