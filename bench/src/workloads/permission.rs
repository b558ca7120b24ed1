//! What it costs to decide what a token may do: by itself, and in a request.

use std::{collections::HashSet, hint::black_box, time::Duration};

use anyhow::{Context, Result};
use coffer::access::{acl::Acl, gate, policy};
use coffer::api::{Op, Params};
use serde_json::json;

use crate::{
    alone::{self, Operation},
    client,
    server::{Kind, Server},
    workloads::{
        Load, Measure, Probe, SMALL_BYTES, Script, Wanted, Workload, encrypt, plaintext, text, verify_decrypts,
    },
};

pub(super) const CHECK: Workload = Workload {
    name: "permission",
    about: "decide what ten policies of fifty rules allow",
    measure: Measure::Probe(Probe { sample: check, unit: "ns", limit: 1_000.0 }),
};

pub(super) const ENCRYPT: Workload = Workload {
    name: "encrypt-32-policies",
    about: "encrypt 32 bytes with a token that has ten policies of fifty rules",
    measure: Measure::Load(Load { coffer: bound, bare: encrypt::small, items: 1, wanted: Wanted::Ratio(0.70) }),
};

/// A third of the rules are for single paths, a third for all that begin so, and a third have a `+`.
fn policies() -> Vec<String> {
    let rule = |policy: usize, rule: usize| {
        let path = match rule % 3 {
            _ if (policy, rule) == (7, 48) => "transit/encrypt/k".to_owned(),
            0 => format!("transit/encrypt/app-{policy}-{rule}"),
            1 => format!("secret/data/team-{policy}/app-{rule}/*"),
            _ => format!("secret/+/team-{policy}/app-{rule}/+"),
        };
        format!("path {path:?} {{ capabilities = [\"read\", \"update\"] }}\n")
    };
    (0..POLICIES).map(|policy| (0..RULES).map(|number| rule(policy, number)).collect()).collect()
}

/// ns of CPU time. Of the bare server's kind is a look-up of the same paths in a hash set, which knows no wildcards.
fn check(kind: &Kind) -> Result<f64> {
    let rules: Result<Vec<_>, _> = policies().iter().map(|text| policy::parse(text)).collect();
    let rules: Vec<_> = rules.map_err(anyhow::Error::msg)?.into_iter().flatten().collect();
    let operation: Operation = match kind {
        Kind::Coffer { .. } => {
            let acl = Acl::of(rules);
            Box::new(move |number| {
                let path = PATHS.get(number % PATHS.len()).context("no path")?;
                let ask = gate::Ask { op: Op::Read, path, params: &Params::None, wrap_ttl: None };
                let needed = || gate::needed(Op::Read, coffer::api::route::Access::Token, || None);
                black_box(gate::judge(black_box(&acl), &ask, needed).map(drop)?);
                Ok(())
            })
        }
        Kind::Bare => {
            let known: HashSet<String> = rules.iter().map(|rule| rule.pattern.to_string()).collect();
            Box::new(move |number| {
                let path = PATHS.get(number % PATHS.len()).context("no path")?;
                black_box(known.contains(black_box(*path)));
                Ok(())
            })
        }
    };
    Ok(alone::cost(&operation, WINDOW)? * 1_000.0)
}

fn bound(server: &Server) -> Result<Script> {
    let names: Vec<String> = (0..POLICIES).map(|number| format!("bench-{number}")).collect();
    for (name, policy) in names.iter().zip(policies()) {
        server.post(&format!("/v1/sys/policies/acl/{name}"), &json!({ "policy": policy }).to_string())?;
    }
    let answer = server.post("/v1/auth/token/create", &json!({ "policies": names }).to_string())?;
    let token = answer.pointer("/auth/client_token").and_then(serde_json::Value::as_str).context("no token")?;
    let body = json!({ "plaintext": plaintext(SMALL_BYTES) }).to_string();
    let requests = vec![client::request_as(token, "POST", server.encrypt_path(), &body)];
    let verify = |server: &Server, answer: &_| verify_decrypts(server, text(answer, "ciphertext")?, SMALL_BYTES);
    Ok(Script { requests, verify: Box::new(verify) })
}

const POLICIES: usize = 10;
const RULES: usize = 50;
const WINDOW: Duration = Duration::from_millis(200);
/// One for each kind of rule, a rule with a `+` beside one without, and two for which there is none.
const PATHS: &[&str] = &[
    "transit/encrypt/k",
    "secret/data/team-3/app-25/a/b",
    "secret/metadata/team-4/app-26/a",
    "secret/data/team-5/app-25/app-26",
    "secret/data/team-9/app-50/a",
    "transit/decrypt/k",
];
