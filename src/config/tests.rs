//! Files that are read, and files that are not.

use std::fs;

use serde_json::json;

use super::listener::{Clients, CustomHeaders, Forwarded, Limits, Proxy, Socket, Statuses, Version};
use super::*;

fn parse(text: &str) -> Result<Config, String> {
    parse_in(text, &Environment::default())
}

fn parse_in(text: &str, environment: &Environment) -> Result<Config, String> {
    let mut config = Config::default();
    config.add("f.hcl", text, environment)?;
    config.override_by(environment)?;
    config.check().map(|()| config)
}

fn notes(text: &str) -> Vec<String> {
    parse(text).unwrap().notes.iter().map(str::to_owned).collect()
}

const WHOLE: &str = r#"
ui = true
api_addr = "https://coffer.example:8200"
cluster_addr = "https://coffer.example:8201"
cluster_name = "here"
default_lease_ttl = "24h"
max_lease_ttl = 172800
disable_mlock = 1
log_level = "debug"
log_format = "json"
pid_file = "/run/coffer.pid"
listener "tcp" {
  address = ":8200"
  tls_cert_file = "cert.pem"
  tls_key_file = "key.pem"
  tls_client_ca_file = "ca.pem"
  tls_require_and_verify_client_cert = "true"
  tls_min_version = "tls13"
  max_request_size = 1048576
  max_request_duration = "30s"
  http_idle_timeout = "1m"
  x_forwarded_for_authorized_addrs = "10.0.0.1, 10.1.0.0/16"
  x_forwarded_for_hop_skips = 1
  proxy_protocol_behavior = "allow_authorized"
  proxy_protocol_authorized_addrs = ["127.0.0.1"]
  custom_response_headers {
    "default" = { "X-One" = ["a, b", "c"] }
    "4xx" = { "X-Two" = "d" }
  }
  telemetry { unauthenticated_metrics_access = true }
}
listener "unix" { address = "/run/coffer.sock" socket_mode = "660" socket_group = "coffer" }
storage "sled" { path = "/var/lib/coffer" }
seal "static" { current_key = "file:///k" disabled = "true" }
user_lockout "all" { lockout_threshold = "3" }
user_lockout "userpass" { disable_lockout = true }
telemetry { prometheus_retention_time = "30s" circonus_api_token = "canary" }
"#;

#[test]
fn a_whole_file() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.api_addr(), Some("https://coffer.example:8200"));
    assert_eq!(
        (config.cluster_name(), config.log_level(), config.log_format()),
        (Some("here"), Some("debug"), Some("json"))
    );
    assert_eq!(
        (config.default_lease_ttl(), config.max_lease_ttl()),
        (Duration::from_hours(24), Duration::from_hours(48))
    );
    assert!(config.disable_mlock());
    assert_eq!(config.pid_file(), Some(Path::new("/run/coffer.pid")));
    assert_eq!(config.storage, Some(Storage::Sled("/var/lib/coffer".into())));
    let Seal { place, stanza } = &config.seals[0];
    assert_eq!((place.as_str(), stanza.kind.as_str(), stanza.disabled), ("f.hcl:34", "static", true));
    assert_eq!(stanza.values, [("current_key".to_owned(), "file:///k".to_owned())].into());
    assert_eq!((config.lockouts["all"].threshold, config.lockouts["userpass"].disable), (Some(3), Some(true)));
    assert_eq!(config.telemetry.as_ref().unwrap().prometheus_retention, Some(Duration::from_secs(30)));
    let unix = Socket::Unix {
        path: "/run/coffer.sock".into(),
        mode: Some(0o660),
        user: None,
        group: Some("coffer".to_owned()),
    };
    assert_eq!(config.listeners[1].socket, unix);
    assert!(config.listeners[1].tls.is_none());
    let told = config.sanitized(&config.listeners, &Storage::Memory);
    assert!(!told.to_string().contains("canary"));
}

#[test]
fn a_listener() {
    let config = parse(WHOLE).unwrap();
    let listener = &config.listeners[0];
    assert_eq!(listener.place, "f.hcl:12");
    assert_eq!(listener.socket, Socket::Tcp { address: "[::]:8200".to_owned() });
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!((tls.clients, tls.min, tls.max), (Clients::Verified, Version::Tls13, Version::Tls13));
    let limits = Limits {
        request_bytes_max: Some(1 << 20),
        request_time_max: Some(Duration::from_secs(30)),
        idle_time_max: Some(Duration::from_mins(1)),
        ..Limits::default()
    };
    assert_eq!(listener.limits, limits);
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(listener.proxy, Some(Proxy::Allowed(networks(&["127.0.0.1/32"]))));
    let forwarded = Forwarded {
        authorized: networks(&["10.0.0.1/32", "10.1.0.0/16"]),
        hop_skips: 1,
        reject_not_present: true,
        reject_not_authorized: true,
    };
    assert_eq!(listener.forwarded, Some(forwarded));
    let headers = |statuses, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        CustomHeaders { statuses, headers }
    };
    let all = headers(Statuses::All, &[("X-One", "a, b; c")]);
    assert_eq!(listener.headers, [all, headers(Statuses::Hundred(4), &[("X-Two", "d")])]);
    assert!(listener.metrics_open);
}

#[test]
fn json_says_the_same_as_hcl() {
    let hcl = r#"
        listener "tcp" { address = "a:1" tls_disable = true }
        listener "tcp" { address = "b:1" tls_disable = true }
        backend "inmem" {}
        seal "transit" { address = "x" }
        telemetry { prometheus_retention_time = "1s" }
        max_lease_ttl = "800h""#;
    let forms = [
        r#"{"listener": [{"tcp": {"address": "a:1", "tls_disable": 1}}, {"tcp": {"address": "b:1", "tls_disable": "1"}}],
            "backend": {"inmem": {}}, "seal": {"transit": {"address": "x"}},
            "telemetry": {"prometheus_retention_time": "1s"}, "max_lease_ttl": "800h"}"#,
        r#"{"listener": {"tcp": [{"address": "a:1", "tls_disable": true}, {"address": "b:1", "tls_disable": true}]},
            "storage": [{"inmem": {}}], "seal": [{"transit": [{"address": "x"}]}],
            "telemetry": [{"prometheus_retention_time": "1s"}], "max_lease_ttl": 2880000}"#,
    ];
    let summary = |text: &str| {
        let Config { listeners, storage, seals, telemetry, settings, .. } = parse(text).unwrap();
        let sockets: Vec<_> = listeners.into_iter().map(|listener| (listener.socket, listener.tls.is_some())).collect();
        let seals: Vec<_> = seals.into_iter().map(|seal| (seal.stanza.kind, seal.stanza.values)).collect();
        (sockets, storage, seals, telemetry.unwrap().prometheus_retention, settings)
    };
    assert_eq!(summary(hcl).0.len(), 2);
    for form in forms {
        assert!(summary(form) == summary(hcl), "{form}");
    }
}

#[test]
fn the_files_of_client_test_suites_are_read() {
    let config = parse(
        r#"{"backend": {"inmem": {}}, "disable_mlock": true, "default_lease_ttl": "768h", "max_lease_ttl": "768h",
            "raw_storage_endpoint": true, "listener": {"tcp": {"address": "127.0.0.1:8200",
            "tls_cert_file": "/t/server-cert.pem", "tls_key_file": "/t/server-key.pem"}}}"#,
    );
    let config = config.unwrap();
    assert_eq!(config.storage, Some(Storage::Memory));
    assert_eq!(config.listeners[0].tls.as_ref().unwrap().clients, Clients::Asked);
}

#[test]
fn storage_of_vault_has_its_counterpart() {
    let check = |text: &str, expected: Result<(Storage, &str), &str>| {
        let read = parse(text).map(|config| {
            let notes: Vec<_> = config.notes.iter().map(str::to_owned).collect();
            (config.storage.unwrap(), notes.join("; "))
        });
        let expected = expected.map(|(storage, note)| (storage, note.to_owned())).map_err(str::to_owned);
        assert_eq!(read, expected, "{text}");
    };
    let sled = |path: &str| Storage::Sled(path.into());
    check("storage \"sled\" { path = \"/d\" }", Ok((sled("/d"), "")));
    check("storage \"redb\" { path = \"/d\" }", Ok((Storage::Redb("/d".into()), "")));
    check(
        "backend \"inmem\" {}",
        Ok((Storage::Memory, "f.hcl:1: storage \"inmem\" is memory: everything is LOST when the server ends")),
    );
    check(
        "storage \"file\" { path = \"/d\" }",
        Ok((sled("/d"), "f.hcl:1: storage \"file\" is storage \"sled\" at /d")),
    );
    check(
        "\nstorage \"raft\" {\n path = \"/d\"\n node_id = \"a\"\n retry_join { leader_api_addr = \"x\" }\n}",
        Ok((
            sled("/d"),
            "f.hcl:2: storage \"raft\" is storage \"sled\" at /d, and this server is the only one of its cluster",
        )),
    );
    check(
        "\n\nstorage \"consul\" { address = \"127.0.0.1:8500\" }",
        Err("f.hcl:3: storage \"consul\" is not there, for the server keeps its data itself: \
             write storage \"sled\" { path = \"/var/lib/coffer\" }"),
    );
    check("storage \"sled\" {}", Err("f.hcl:1: storage \"sled\" needs path, the directory of its data"));
    check(
        "storage \"sled\" { path = \"/d\" }\nbackend \"inmem\" {}",
        Err("f.hcl:2: only one block \"storage\" (or \"backend\", its old name) is permitted"),
    );
    let raft = Environment { raft_path: Some("/elsewhere".to_owned()), ..Environment::default() };
    let config = parse_in("storage \"raft\" { path = \"/d\" }", &raft).unwrap();
    assert_eq!(config.storage, Some(sled("/elsewhere")));
}

#[test]
fn mistakes_are_named_with_their_place_and_the_way_out() {
    let check = |text: &str, expected: &str| assert_eq!(parse(text).err().unwrap_or_default(), expected, "{text}");
    check("ui = true\nlistener \"tcp\" {", "f.hcl:2:17: expected: IDENT | STRING | ASSIGN | LBRACE got: EOF");
    check("{\"ui\": tru}", "f.hcl: expected ident at line 1 column 11");
    check("\nui = \"maybe\"", "f.hcl:2: ui is true or false, not \"maybe\"");
    check("cache_size = -1", "f.hcl:1: cache_size is a whole number, not \"-1\"");
    check(
        "max_lease_ttl = \"1 day\"",
        "f.hcl:1: max_lease_ttl is a duration such as \"768h\", or seconds, not \"1 day\"",
    );
    check("api_addr = [\"a\"]", "f.hcl:1: api_addr is a text");
    check(
        "default_lease_ttl = \"800h\"",
        "default_lease_ttl, 2880000 seconds, is above max_lease_ttl, 2764800 seconds: raise max_lease_ttl",
    );
    check("listener = \"tcp\"", "f.hcl:1: listener is a block");
    check("listener \"quic\" {}", "f.hcl:1: there is no listener \"quic\": use \"tcp\" or \"unix\"");
    check("telemetry {}\ntelemetry {}", "f.hcl:1: only one block \"telemetry\" is permitted");
    check("telemetry \"x\" {}", "f.hcl:1: telemetry is a block without a label");
    check("seal \"static\" { key = [1] }", "f.hcl:1: seal \"static\": key is a text");
    let listener = |attributes: &str, expected: &str| {
        let text = format!("\nlistener \"tcp\" {{\n{attributes}\n}}");
        assert_eq!(parse(&text).err().unwrap_or_default(), expected, "{text}");
    };
    listener("", "f.hcl:2: TLS needs tls_cert_file and tls_key_file; tls_disable = true goes without TLS");
    listener(
        "tls_cert_file = \"c\"",
        "f.hcl:2: TLS needs tls_cert_file and tls_key_file; tls_disable = true goes without TLS",
    );
    listener("tls_disable = 2", "f.hcl:3: tls_disable is true or false, not \"2\"");
    listener("tls_min_version = \"tls11\"", "f.hcl:3: tls_min_version is \"tls12\" or \"tls13\", not \"tls11\"");
    listener("address = \"0.0.0.0\"", "f.hcl:2: address \"0.0.0.0\" has no port: write \"HOST:8200\"");
    let tls = "tls_cert_file = \"c\"\ntls_key_file = \"k\"\n";
    listener(
        &format!("{tls}tls_require_and_verify_client_cert = true"),
        "f.hcl:2: tls_require_and_verify_client_cert needs tls_client_ca_file",
    );
    listener(
        &format!("{tls}tls_disable_client_certs = true\ntls_require_and_verify_client_cert = true"),
        "f.hcl:2: tls_disable_client_certs and tls_require_and_verify_client_cert exclude each other",
    );
    listener(
        &format!("{tls}tls_min_version = \"tls13\"\ntls_max_version = \"tls12\""),
        "f.hcl:2: tls_max_version is below tls_min_version",
    );
    let plain = "tls_disable = true\n";
    listener(
        &format!("{plain}x_forwarded_for_authorized_addrs = [\"here\"]"),
        "f.hcl:2: x_forwarded_for_authorized_addrs has \"here\", which is neither an address nor a network",
    );
    listener(
        &format!("{plain}proxy_protocol_behavior = \"deny_unauthorized\""),
        "f.hcl:2: proxy_protocol_behavior \"deny_unauthorized\" needs proxy_protocol_authorized_addrs",
    );
    listener(
        &format!("{plain}custom_response_headers {{ \"6xx\" = {{}} }}"),
        "f.hcl:4: custom_response_headers has \"6xx\": use \"default\", \"2xx\" or \"200\"",
    );
    listener(
        &format!("{plain}custom_response_headers {{ \"200\" = {{ \"x-vault-a\" = [\"b\"] }} }}"),
        "f.hcl:4: header \"x-vault-a\" is the server's own",
    );
    check(
        "listener \"unix\" { socket_mode = \"660\" }",
        "f.hcl:1: listener \"unix\" needs address, the path of its socket",
    );
    check(
        "listener \"unix\" { address = \"/s\" socket_mode = \"888\" }",
        "f.hcl:1: socket_mode is permissions such as \"660\", not \"888\"",
    );
}

#[test]
fn what_has_no_effect_is_told() {
    let check = |text: &str, expected: &[&str]| assert_eq!(notes(text), expected, "{text}");
    check(
        "\n\nlisteners \"tcp\" {}\nuy = true",
        &["f.hcl:3: \"listenerstcp\" is unknown and ignored", "f.hcl:4: \"uy\" is unknown and ignored"],
    );
    check(
        "{\"a\": 1,\n\"b\": {}}",
        &["f.hcl:1: \"a\" is unknown and ignored", "f.hcl:2: \"b\" is unknown and ignored"],
    );
    check(
        "listener \"tcp\" {\n tls_disable = true\n tls_cert = \"c\"\n agent_api {}\n}",
        &["f.hcl:4: agent_api has no effect on this server", "f.hcl:3: \"tls_cert\" is unknown and ignored"],
    );
    check(
        "ha_storage \"consul\" {}\nservice_registration \"kubernetes\" {}\n",
        &[
            "f.hcl:1: ha_storage has no effect on this server",
            "f.hcl:2: service_registration has no effect on this server",
        ],
    );
    check("disable_mlock = true\ndisable_sealwrap = true\ncluster_addr = \"https://a:1\"", &[]);
    check("telemetry {\n statsd_address = \"x\"\n}", &["f.hcl:2: statsd_address has no effect on this server"]);
}

#[test]
fn the_environment_has_the_last_word() {
    let environment = Environment {
        api_addr: Some("https://b".to_owned()),
        log_level: Some("trace".to_owned()),
        log_format: Some(String::new()),
        ..Environment::default()
    };
    let config = parse_in("api_addr = \"https://a\"\nlog_format = \"json\"", &environment).unwrap();
    assert_eq!((config.api_addr(), config.log_level()), (Some("https://b"), Some("trace")));
    assert_eq!(config.log_format(), Some("json"), "empty is not set");
}

#[test]
fn files_of_a_directory_are_one_configuration() {
    let dir = std::env::temp_dir().join(format!("coffer-config-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let listener = |port: u16| format!("listener \"tcp\" {{ address = \"a:{port}\" tls_disable = true }}\n");
    fs::write(dir.join("b.hcl"), listener(2) + "log_level = \"info\"").unwrap();
    fs::write(
        dir.join("a.json"),
        r#"{"log_level": "warn", "listener": {"tcp": {"address": "a:1", "tls_disable": true}}}"#,
    )
    .unwrap();
    fs::write(dir.join(".b.hcl"), "broken").unwrap();
    fs::write(dir.join("notes.txt"), "broken").unwrap();
    let local = Environment { local_config: Some("{\"log_level\": \"error\"}".to_owned()), ..Environment::default() };
    let config = read(std::slice::from_ref(&dir), &Environment::default()).unwrap();
    assert_eq!((config.listeners.len(), config.log_level()), (2, Some("info")));
    assert!(config.listeners[0].place.ends_with("a.json:1"), "{}", config.listeners[0].place);
    assert_eq!(read(std::slice::from_ref(&dir), &local).unwrap().log_level(), Some("error"));
    fs::write(dir.join("c.hcl"), "log_level = [").unwrap();
    let error = read(std::slice::from_ref(&dir), &local).err().unwrap();
    assert!(error.starts_with(&format!("{}:1:14: ", dir.join("c.hcl").display())), "{error}");
    fs::remove_dir_all(&dir).unwrap();
    let error = read(std::slice::from_ref(&dir), &local).err().unwrap();
    assert!(error.starts_with(&format!("cannot read configuration {}: ", dir.display())), "{error}");
}

#[test]
fn sanitized() {
    let text = "storage \"inmem\" {}\nlistener \"tcp\" { address = \"127.0.0.1:8200\" tls_disable = 1 }
        api_addr = \"http://a\"\nmax_lease_ttl = \"800h\"\nui = true\nseal \"static\" { current_key = \"canary\" }";
    let config = parse(text).unwrap();
    let told = config.sanitized(&config.listeners, &Storage::Memory);
    assert!(!told.to_string().contains("canary"));
    let listener = json!({"type": "tcp", "config": {"address": "127.0.0.1:8200", "tls_disable": 1}});
    assert_eq!(told["listeners"], json!([listener]));
    assert_eq!(told["seals"], json!([{"type": "static", "disabled": false}]));
    let storage =
        json!({"type": "inmem", "redirect_addr": "http://a", "cluster_addr": "", "disable_clustering": false});
    assert_eq!(told["storage"], storage);
    assert_eq!(
        (&told["max_lease_ttl"], &told["enable_ui"], &told["disable_mlock"]),
        (&json!(2_880_000), &json!(true), &json!(false))
    );
    assert_eq!((&told["default_lease_ttl"], &told["log_level"]), (&json!(0), &json!("")));
}

#[test]
fn what_is_said_of_a_method_stands_above_what_is_said_of_all() {
    let second = |seconds| Some(Duration::from_secs(seconds));
    let all = Lockout { threshold: Some(9), duration: second(8), counter_reset: second(7), disable: Some(true) };
    let own = Lockout { threshold: Some(1), duration: second(2), counter_reset: second(3), disable: Some(false) };
    assert_eq!(own.or(all), own);
    assert_eq!(Lockout::default().or(all), all);
    assert_eq!(Lockout { threshold: None, ..own }.or(all), Lockout { threshold: Some(9), ..own });
}
