//! `sys/metrics` over the wire: who may read it, in which form, and that its figures are true and bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use coffer::core::Settings;
use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

use crate::client::{b64, request};
use crate::server::{ROOT, TestServer, limits};

/// All series and their values; fails on what Prometheus would not read.
fn series(server: &TestServer) -> BTreeMap<String, f64> {
    let answer = server.get("sys/metrics?format=prometheus").expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let (mut series, mut types) = (BTreeMap::new(), BTreeSet::new());
    for line in answer.text().lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(types.insert(rest.split(' ').next().unwrap().to_owned()), "two families in one name: {line}");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let bare = ["_sum", "_count", "_bucket"].iter().find_map(|suffix| family.strip_suffix(suffix));
            assert!(types.contains(family) || bare.is_some_and(|bare| types.contains(bare)), "{line}");
            assert!(series.insert(name.to_owned(), value.parse().unwrap()).is_none(), "two values: {line}");
        }
    }
    series
}

#[track_caller]
fn check(series: &BTreeMap<String, f64>, name: &str, expected: Option<i32>) {
    assert_eq!(series.get(name).copied(), expected.map(f64::from), "{name}");
}

fn with_settings(settings: Settings) -> (TestServer, UnsealKey) {
    let key = UnsealKey::generate();
    let server = TestServer::with_settings(Arc::new(Memory::new()), settings, limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    (server, key)
}

#[test]
fn requests_are_counted_by_their_rows() {
    let server = TestServer::with_all_engines();
    for _ in 0..3 {
        server.post("transit/encrypt/k", &json!({"plaintext": b64("a")})).expect(200);
    }
    server.post("transit/encrypt/k", &json!({"plaintext": "?"})).expect(400);
    server.get("secret/data/none").expect(404);
    let login = request("POST", "auth/userpass/login/nobody").without_token();
    server.send(&login.json(&json!({"password": "p"}))).expect(400);
    let all = series(&server);
    let row = |engine: &str, row: &str, op: &str, status: &str| {
        format!(r#"coffer_requests_total{{engine="{engine}",row="{row}",operation="{op}",status="{status}"}}"#)
    };
    check(&all, &row("transit", "encrypt/{name}", "write", "2xx"), Some(3));
    check(&all, &row("transit", "encrypt/{name}", "write", "4xx"), Some(1));
    check(&all, &row("kv2", "data/{path..}", "read", "4xx"), Some(1));
    check(&all, &row("kv2", "data/{path..}", "read", "2xx"), None);
    let times = r#"coffer_request_duration_seconds_count{engine="transit",row="encrypt/{name}",operation="write"}"#;
    check(&all, times, Some(4));
    check(&all, r#"coffer_logins_total{method="userpass",row="login/{username}",status="4xx"}"#, Some(1));
    check(&all, "vault_core_handle_login_request_count", Some(1));
    let before = all["vault_core_handle_request_count"];
    // The request that asked is noted once it is answered.
    assert!((series(&server)["vault_core_handle_request_count"] - before - 1.0).abs() < 0.1);
}

/// What callers choose must not make new series.
#[test]
fn nobody_makes_series_by_choosing_paths() {
    let server = TestServer::with_all_engines();
    let before = series(&server).len();
    for number in 0..50 {
        server.get(&format!("nosuch-{number}/a")).expect(404);
        server.get(&format!("kv/{number}")).expect(404);
        server.get(&format!("transit/no/such/{number}")).expect(404);
        server.send(&request("GET", "kv/a").token(&format!("guess-{number}"))).expect(403);
    }
    let after = series(&server);
    let row = |name: &str| after.keys().filter(|series| series.contains(name)).count();
    // A counter and a histogram for the row of KV, and for requests that lead to no row; one for that of this test.
    assert!(after.len() - before < 3 * 20, "{} series more", after.len() - before);
    assert_eq!((row("nosuch"), row("guess")), (0, 0));
    check(&after, r#"coffer_requests_total{engine="",row="",operation="",status="4xx"}"#, Some(100));
}

#[test]
fn a_token_is_needed_unless_a_listener_lets_everyone_read() {
    let server = TestServer::start();
    let read = |server: &TestServer| server.send(&request("GET", "sys/metrics").without_token());
    read(&server).expect(403);
    let token = server.token(&json!({"policies": ["default"]}));
    server.send(&request("GET", "sys/metrics").token(&token)).expect(403);
    server.post("sys/policies/acl/m", &json!({"policy": "path \"sys/metrics\" { capabilities = [\"read\"] }"}));
    let token = server.token(&json!({"policies": ["m"]}));
    server.send(&request("GET", "sys/metrics").token(&token)).expect(200);
    let sealed = TestServer::over(server.store.clone(), limits());
    read(&sealed).expect(503);

    let settings = Settings { metrics_open: true, ..Settings::default() };
    let (server, key) = with_settings(settings.clone());
    read(&server).expect(200);
    let sealed = TestServer::with_settings(server.store.clone(), settings, limits());
    assert_eq!(
        read(&sealed).expect(200).json()["Gauges"][0],
        json!({"Name": "vault.core.unsealed", "Value": 0, "Labels": {}})
    );
    sealed.core.unseal(&key).unwrap();
    check(&series(&sealed), "vault_core_unsealed", Some(1));
}

#[test]
fn the_form_is_asked_for_by_the_query_or_by_a_scraper() {
    let (server, _) = with_settings(Settings::default());
    let told = server.get("sys/metrics").expect(200);
    assert_eq!(told.header("content-type"), Some("application/json"));
    let mut members: Vec<_> = told.json().as_object().unwrap().keys().cloned().collect();
    members.sort();
    assert_eq!(members, ["Counters", "Gauges", "Points", "Samples", "Timestamp"]);
    assert_eq!(told.json()["Timestamp"], "2026-11-22 00:00:00 +0000 UTC");
    let sample = told.json()["Samples"]
        .as_array()
        .unwrap()
        .iter()
        .find(|sample| sample["Name"] == "vault.core.handle_request")
        .cloned()
        .unwrap();
    assert!(
        ["Count", "Rate", "Sum", "Min", "Max", "Mean", "Stddev"].iter().all(|name| sample[name].is_number()),
        "{sample}"
    );
    let accepted = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let scraped = server.send(&request("GET", "sys/metrics").header("Accept", accepted)).expect(200);
    assert!(scraped.text().starts_with("# HELP vault_core_unsealed"));
    let browser = server.send(&request("GET", "sys/metrics").header("Accept", "text/html, */*")).expect(200);
    assert!(browser.json()["Gauges"].is_array());
    let refused = server.get("sys/metrics?format=xml").expect(400);
    assert_eq!(
        (refused.text().as_str(), refused.header("content-type")),
        ("metric response format \"xml\" unknown", Some("text/plain"))
    );

    let (server, _) = with_settings(Settings { metrics_retention: Duration::ZERO, ..Settings::default() });
    assert_eq!(server.get("sys/metrics?format=prometheus").expect(400).text(), "prometheus is not enabled");
    server.get("sys/metrics").expect(200);
}

#[test]
fn what_there_is_is_told() {
    let server = TestServer::with_all_engines();
    let before = series(&server);
    server.token(&json!({"ttl": "1h"}));
    server.token(&json!({"type": "batch", "ttl": "1h", "policies": ["default"]}));
    let after = series(&server);
    let grown = |name: &str| after[name] - before[name];
    assert!((grown("vault_token_count") - 1.0).abs() < 0.1);
    assert!((grown("vault_expire_num_leases") - 1.0).abs() < 0.1);
    assert!((grown(r#"vault_token_creation{token_type="service"}"#) - 1.0).abs() < 0.1);
    assert!((grown(r#"vault_token_creation{token_type="batch"}"#) - 1.0).abs() < 0.1);
    assert!(grown("vault_barrier_put_count") > 0.0);
    check(&after, "vault_core_active", Some(1));
    check(&after, r#"vault_core_mount_table_num_entries{type="auth"}"#, Some(6));
    assert!(after["process_resident_memory_bytes"] > 1e6 && after["process_open_fds"] > 2.0);
}

#[test]
fn the_trail_is_told_of() {
    let server = TestServer::with_all_engines();
    let folder = std::env::temp_dir().join(format!("coffer-metrics-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = json!({"file_path": folder.join("trail").to_str().unwrap()});
    server.post("sys/audit/file", &json!({"type": "file", "options": options})).expect(204);
    server.get("kv/a").expect(404);
    check(&series(&server), r#"coffer_audit_device_up{device="file/"}"#, Some(1));
    std::fs::remove_dir_all(&folder).unwrap();
    server.get("kv/a").expect(500);
    std::fs::create_dir_all(&folder).unwrap();
    let all = series(&server);
    check(&all, "vault_audit_log_request_failure", Some(1));
    check(&all, "vault_audit_log_response_failure", Some(0));
    assert!(all["vault_audit_log_request_count"] >= 3.0);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn customers_keys_are_watched() {
    let server = TestServer::with_all_engines();
    server.post("sys/customer-keys/k", &json!({"key": "q8Vt2LxJ5mRk7ZpYwN3sBd9fHcG1uAoE4iTjXyQeKr0="})).expect(200);
    server.post("sys/customer-keys/k/config", &json!({"rotation_period": "10d"})).expect(200);
    let order = json!({"protector": "customer", "customer_key": "k", "skip_proof": true});
    server.post("sys/mounts/kv/protection", &order).expect(200);
    while server.get("sys/mounts/kv/protection").data()["state"] != "active" {}
    let all = series(&server);
    check(&all, "coffer_customer_keys", Some(1));
    check(&all, r#"coffer_mounts{protector="customer",state="active"}"#, Some(1));
    check(&all, "coffer_migrations_running", Some(0));
    check(&all, r#"coffer_migrations_total{outcome="completed"}"#, Some(1));
    check(&all, r#"coffer_customer_key_rotation_due_seconds{customer_key="k"}"#, Some(10 * 24 * 3600));
    check(&all, "coffer_customer_keys_rotation_overdue", Some(0));
    check(&all, "coffer_mounts_locked", Some(0));

    server.clock.advance(Duration::from_hours(24 * 11));
    server.post("sys/customer-keys/k/revoke", &json!({})).expect(200);
    server.get("kv/a").expect(503);
    let all = series(&server);
    check(&all, r#"coffer_customer_key_rotation_due_seconds{customer_key="k"}"#, Some(-24 * 3600));
    check(&all, "coffer_customer_keys_rotation_overdue", Some(1));
    check(&all, "coffer_mounts_locked", Some(1));
    check(&all, r#"coffer_customer_key_versions{state="revoked"}"#, Some(1));
    check(&all, r#"coffer_customer_key_events_total{event="revoke"}"#, Some(1));
    check(&all, r#"coffer_mounts{protector="customer",state="locked"}"#, Some(1));
    let accessor: Value = server.get("sys/mounts/kv").data()["accessor"].clone();
    let refusals = format!(r#"coffer_locked_mount_refusals_total{{mount="kv/",accessor={accessor}}}"#);
    check(&all, &refusals, Some(1));
}
