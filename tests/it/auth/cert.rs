//! `auth/cert`: client certificates, handed to the core as TLS would hand them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use coffer::api::{Error, Login, Op, Params, Reply, Request, Token};
use coffer::core::Thread;

use crate::client::request;
use crate::remote::pem;
use crate::server::TestServer;

fn der(name: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem(name).as_bytes()).unwrap().to_vec()
}

/// A server with a mount, and with what is trusted under these names.
fn trusting(certs: &[(&str, &str)]) -> TestServer {
    let server = TestServer::start();
    server.post("sys/auth/cert", &json!({"type": "cert"})).expect(204);
    for (name, certificate) in certs {
        trust(&server, name, &json!({"certificate": pem(certificate)}));
    }
    server
}

fn trust(server: &TestServer, name: &str, parameters: &Value) {
    server.post(&format!("auth/cert/certs/{name}"), parameters).expect(204);
}

/// A request over TLS, with these certificates of the client.
fn over_tls(
    server: &TestServer,
    path: &str,
    chain: &[&str],
    token: Option<&str>,
    body: &Value,
) -> Result<Reply, Error> {
    let mut request = Request::new(Op::Write, path);
    request.params = Params::Json(body.to_string().into_bytes().into());
    request.certificates = Some(chain.iter().map(|name| der(name)).collect::<Arc<[_]>>());
    request.token = token.map(Token::new);
    server.core.handle(&request, Thread::Worker).unwrap().outcome
}

fn log_in_as(server: &TestServer, name: &str, chain: &[&str]) -> Result<Login, String> {
    let reply = over_tls(server, "auth/cert/login", chain, None, &json!({"name": name}));
    reply.map(|reply| *reply.login.unwrap()).map_err(|error| error.to_string())
}

fn log_in(server: &TestServer, chain: &[&str]) -> Result<Login, String> {
    log_in_as(server, "", chain)
}

#[track_caller]
fn refused(server: &TestServer, chain: &[&str], text: &str) {
    assert_eq!(log_in(server, chain).err().as_deref(), Some(text), "{chain:?}");
}

const UNTRUSTED: &str =
    "invalid certificate or no client certificate supplied; additionally got errors during verification: <nil>";
const UNFIT: &str = "no chain matching all constraints could be found for this login certificate";
const UNUSABLE: &str = "failed to verify client's certificate: x509: certificate has expired or is not yet valid";

#[test]
fn a_certificate_of_a_trusted_authority_logs_in() {
    let server = trusting(&[]);
    let metadata = json!({"certificate": pem("ca"), "token_policies": "p", "token_ttl": "1h",
        "allowed_metadata_extensions": ["1.2.3.4.5", "1.2.3.4.6"]});
    trust(&server, "Web", &metadata);
    let login = log_in(&server, &["alice"]).unwrap();
    let told = login.metadata.unwrap();
    let keys = ["authority_key_id", "subject_key_id"].map(|name| told[name].clone());
    assert!(keys.iter().all(|key| key.len() == 59 && key.split(':').all(|byte| byte.len() == 2)), "{keys:?}");
    let [authority_key_id, subject_key_id] = keys;
    let expected = [
        ("1-2-3-4-5", "hello"),
        ("authority_key_id", &authority_key_id),
        ("cert_name", "web"),
        ("common_name", "alice"),
        ("serial_number", "4"),
        ("subject_key_id", &subject_key_id),
    ];
    assert_eq!(told, BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    assert_eq!((login.policies, login.ttl), (vec!["default".to_owned(), "p".to_owned()], Duration::from_hours(1)));
    let own = request("GET", "auth/token/lookup-self").token(login.token.expose());
    assert_eq!(server.send(&own).data()["display_name"], "cert-web");
}

#[test]
fn paths_lead_to_a_trusted_authority() {
    let server = trusting(&[("a", "ca")]);
    log_in(&server, &["bob", "intermediate"]).unwrap();
    log_in(&server, &["bob", "alice", "intermediate", "other-ca"]).unwrap();
    refused(&server, &["bob"], UNTRUSTED);
    refused(&server, &["bob", "ca"], UNTRUSTED);
    // One of the same name by another authority of the same name, whatever comes with it.
    refused(&server, &["eve"], UNTRUSTED);
    refused(&server, &["eve", "other-ca"], UNTRUSTED);
    refused(&server, &["eve", "ca"], UNTRUSTED);
    refused(&server, &["eve", "alice"], UNTRUSTED);
    // Nobody is his own authority, and an authority is no client.
    refused(&server, &["pinned"], UNTRUSTED);
    refused(&server, &["other-ca"], UNTRUSTED);
    let intermediate = trusting(&[("a", "intermediate")]);
    log_in(&intermediate, &["bob"]).unwrap();
    refused(&intermediate, &["alice"], UNTRUSTED);
    refused(&trusting(&[]), &["alice"], UNTRUSTED);
}

#[test]
fn certificates_are_for_their_time_and_purpose() {
    let server = trusting(&[("a", "ca")]);
    refused(&server, &["expired"], UNUSABLE);
    refused(&server, &["future"], UNUSABLE);
    refused(&server, &["server"], UNUSABLE);
    log_in(&server, &["plain"]).unwrap();
    let later = trusting(&[("a", "ca"), ("p", "pinned")]);
    log_in(&later, &["pinned"]).unwrap();
    // In 2119 all are still good, in 2120 none is; not even the authority.
    later.clock.advance(Duration::from_hours(24 * 365 * 93));
    log_in(&later, &["alice"]).unwrap();
    log_in(&later, &["future"]).unwrap();
    later.clock.advance(Duration::from_hours(24 * 365 * 2));
    assert!(log_in(&later, &["alice"]).is_err());
    assert!(log_in(&later, &["future"]).is_err());
    refused(&later, &["pinned"], UNUSABLE);
}

/// Regression R44: of a client that was trusted by itself, only the serial number and the issuer's key were compared, or
/// the public key; whoever had another certificate like it, or signed one, was that client.
#[test]
fn a_client_that_is_trusted_by_itself_is_compared_in_whole() {
    let server = trusting(&[("p", "pinned")]);
    log_in(&server, &["pinned"]).unwrap();
    refused(&server, &["pinned-twin"], UNTRUSTED);
    refused(&server, &["pinned-renewed"], UNTRUSTED);
    refused(&server, &["pinned-twin", "pinned"], UNTRUSTED);
    assert_eq!(log_in_as(&server, "p", &["pinned-twin"]).err().as_deref(), Some(UNTRUSTED));
    // It is a client and no authority, even of its own twin.
    let server = trusting(&[("a", "alice")]);
    refused(&server, &["eve"], UNTRUSTED);
    refused(&server, &["eve", "alice"], UNTRUSTED);
    log_in(&server, &["alice"]).unwrap();
}

/// What `openssl x509 -req` and `openssl req -x509` make without a configuration: no extensions, or those of an authority.
#[test]
fn certificates_made_by_hand_log_in() {
    let server = trusting(&[("a", "ca")]);
    log_in(&server, &["old"]).unwrap();
    log_in(&server, &["ca"]).unwrap();
    refused(&server, &["old-eve"], UNTRUSTED);
    refused(&server, &["old-pinned"], UNTRUSTED);
    refused(&server, &["own"], UNTRUSTED);
    for name in ["old-pinned", "own"] {
        let server = trusting(&[("itself", name)]);
        let login = log_in(&server, &[name]).unwrap();
        assert_eq!(login.metadata.unwrap()["cert_name"], "itself");
        refused(&server, &["old"], UNTRUSTED);
    }
    refused(&trusting(&[("a", "own-expired")]), &["own-expired"], UNUSABLE);
    // Serial number 4 of the same authority is revoked, and no other.
    server.post("auth/cert/crls/c", &json!({"crl": pem("crl")})).expect(204);
    log_in(&server, &["old"]).unwrap();
}

/// A client behind the certificates of an authority was an authority as well.
#[test]
fn only_authorities_stand_for_others() {
    let server = trusting(&[]);
    trust(&server, "a", &json!({"certificate": pem("other-ca") + &pem("pinned") + &pem("intermediate")}));
    log_in(&server, &["eve"]).unwrap();
    log_in(&server, &["bob"]).unwrap();
    refused(&server, &["pinned"], UNTRUSTED);
    refused(&server, &["pinned-renewed"], UNTRUSTED);
}

#[test]
fn a_client_must_be_what_is_allowed() {
    let server = trusting(&[]);
    let check = |constraints: Value, fits: bool| {
        let mut parameters = json!({"certificate": pem("ca")});
        for (name, value) in constraints.as_object().unwrap() {
            parameters[name] = value.clone();
        }
        trust(&server, "a", &parameters);
        if fits {
            log_in(&server, &["alice"]).unwrap();
        } else {
            refused(&server, &["alice"], UNFIT);
        }
        server.delete("auth/cert/certs/a").expect(204);
    };
    for (name, fitting, others) in [
        ("allowed_names", ["alice", "www.*", "*@example.com", "x,alice"], ["bob", "", "*.example.org"]),
        ("allowed_common_names", ["alice", "al*", "*", "bob,alice"], ["www.example.com", "Alice", "alice.example.com"]),
        ("allowed_dns_sans", ["www.example.com", "*.example.com", "alice.*", "*"], ["alice", "example.com", "*.org"]),
        ("allowed_email_sans", ["alice@example.com", "*@example.com", "a*", "*"], ["alice", "*.org", "@example.com"]),
        ("allowed_uri_sans", ["spiffe://example.com/alice", "spiffe://*", "*/alice", "*"], ["alice", "http*", "*bob"]),
        ("allowed_organizational_units", ["engineering", "eng*", "*", "sales,*"], ["sales", "eng", "Test CA"]),
        (
            "required_extensions",
            ["1.2.3.4.5:hello", "1.2.3.4.5:h*", "1.2.3.4.5:*", "1.2.3.4.5:*l*"],
            ["1.2.3.4.5:x", "1.2.3.4:hello", "2.5.29.14:*"],
        ),
    ] {
        for pattern in fitting {
            check(json!({name: pattern}), true);
        }
        for pattern in others {
            check(json!({name: pattern}), pattern.is_empty());
        }
    }
    check(json!({"allowed_common_names": "alice", "allowed_organizational_units": "sales"}), false);
    check(json!({"required_extensions": ["1.2.3.4.5:hello", "1.2.3.4.6:hello"]}), false);
}

#[test]
fn the_first_name_that_fits_is_taken_or_the_one_that_is_asked_for() {
    let server = trusting(&[("b", "ca"), ("c", "ca"), ("d", "other-ca")]);
    trust(&server, "a", &json!({"certificate": pem("ca"), "allowed_common_names": "nobody"}));
    let name = |login: Login| login.metadata.unwrap()["cert_name"].clone();
    assert_eq!(name(log_in(&server, &["alice"]).unwrap()), "b");
    assert_eq!(name(log_in_as(&server, "C", &["alice"]).unwrap()), "c");
    let refusal = |name: &str| log_in_as(&server, name, &["alice"]).err();
    assert_eq!(refusal("a").as_deref(), Some(UNFIT));
    assert_eq!(refusal("d").as_deref(), Some(UNTRUSTED));
    assert_eq!(refusal("none").as_deref(), Some(UNTRUSTED));
    trust(&server, "b", &json!({"token_bound_cidrs": "10.0.0.0/8"}));
    assert_eq!(refusal("b").as_deref(), Some("permission denied"));
}

#[test]
fn without_tls_and_without_a_certificate_nobody_logs_in() {
    let server = trusting(&[("a", "ca")]);
    let plain = request("POST", "auth/cert/login").without_token();
    server.send(&plain).refused(400, "tls connection required");
    refused(&server, &[], "client certificate must be supplied");
    let mut request = Request::new(Op::Write, "auth/cert/login");
    for garbage in [vec![], b"no DER".to_vec(), der("alice")[..100].to_vec(), [der("alice"), vec![0]].concat()] {
        request.certificates = Some(Arc::from([garbage]));
        let outcome = server.core.handle(&request, Thread::Worker).unwrap().outcome;
        assert_eq!(outcome.err().unwrap().to_string(), UNTRUSTED);
    }
    let forged = |at: usize| {
        let mut der = der("alice");
        der[at] ^= 1;
        der
    };
    for at in 0..der("alice").len() {
        request.certificates = Some(Arc::from([forged(at)]));
        assert!(server.core.handle(&request, Thread::Worker).unwrap().outcome.is_err(), "byte {at}");
    }
}

#[test]
fn revoked_certificates_log_nobody_in() {
    let server = trusting(&[("a", "ca"), ("p", "pinned")]);
    server.get("auth/cert/crls/c").refused(400, "no such CRL c");
    server.delete("auth/cert/crls/c").refused(400, "no such CRL c");
    server.post("auth/cert/crls/c", &json!({})).refused(400, "one of 'crl' or 'url' must be provided");
    server.post("auth/cert/crls/c", &json!({"crl": pem("ca")})).refused(400, "failed to parse CRL");
    let text = "CRLs are not fetched from a URL; send the list itself as 'crl'";
    server.post("auth/cert/crls/c", &json!({"url": "http://127.0.0.1/crl"})).refused(400, text);
    log_in(&server, &["alice"]).unwrap();
    server.post("auth/cert/crls/C", &json!({"crl": pem("crl")})).expect(204);
    assert_eq!(server.get("auth/cert/crls/c").data(), json!({"cdp": null, "serials": {"4": {}}}));
    assert_eq!(server.list("auth/cert/crls").data(), json!({"keys": ["c"]}));
    refused(&server, &["alice"], UNTRUSTED);
    log_in(&server, &["plain"]).unwrap();
    log_in(&server, &["pinned"]).unwrap();
    server.delete("auth/cert/crls/c").expect(204);
    log_in(&server, &["alice"]).unwrap();
}

/// Regression R44: a token was renewed with another certificate than that of its login.
#[test]
fn a_token_is_renewed_with_the_certificate_of_its_login_only() {
    let server = trusting(&[]);
    trust(&server, "a", &json!({"certificate": pem("ca"), "token_policies": "p"}));
    let login = log_in(&server, &["alice"]).unwrap();
    let renew = |chain: &[&str]| {
        let reply = over_tls(&server, "auth/token/renew-self", chain, Some(login.token.expose()), &json!({}));
        reply.map(drop).map_err(|error| error.to_string())
    };
    let other = Err("client identity during renewal not matching client identity used during login".to_owned());
    assert_eq!(renew(&["alice"]), Ok(()));
    assert_eq!(renew(&["plain"]), other, "another of the same authority");
    assert_eq!(renew(&["plain", "alice"]), other);
    assert_eq!(renew(&["eve"]), other, "one of the same name and number");
    assert_eq!(renew(&[]), Err("client certificate must be supplied".to_owned()));
    let plain = request("POST", "auth/token/renew-self").token(login.token.expose());
    server.send(&plain).refused(400, "tls connection required");
    server.post("auth/cert/crls/c", &json!({"crl": pem("crl")})).expect(204);
    assert_eq!(renew(&["alice"]), Err(UNTRUSTED.to_owned()));
    server.delete("auth/cert/crls/c").expect(204);
    server.post("auth/cert/config", &json!({"disable_binding": true})).expect(204);
    server.send(&plain).expect(200);
    trust(&server, "a", &json!({"token_policies": "q"}));
    assert_eq!(renew(&["alice"]), Err("policies have changed, not renewing".to_owned()));
    server.delete("auth/cert/certs/a").expect(204);
    assert_eq!(renew(&["alice"]), Err("certificate a is not trusted any more".to_owned()));
}

#[test]
fn what_is_trusted_is_kept() {
    let server = trusting(&[]);
    server.list("auth/cert/certs").refused(404, "");
    let parameters = json!({"certificate": pem("ca"), "allowed_names": "a,b", "policies": "p", "ttl": 60,
        "required_extensions": "1.2:x"});
    trust(&server, "Some.Name", &parameters);
    let expected = json!({
        "allowed_common_names": [], "allowed_dns_sans": [], "allowed_email_sans": [],
        "allowed_metadata_extensions": [], "allowed_names": ["a", "b"], "allowed_organizational_units": [],
        "allowed_uri_sans": [], "certificate": pem("ca"), "display_name": "some.name", "policies": ["p"],
        "required_extensions": ["1.2:x"], "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0,
        "token_no_default_policy": false, "token_num_uses": 0, "token_period": 0, "token_policies": ["p"],
        "token_ttl": 60, "token_type": "default", "ttl": 60,
    });
    assert_eq!(server.get("auth/cert/certs/some.name").data(), expected);
    trust(&server, "some.name", &json!({"display_name": "d"}));
    assert_eq!(server.get("auth/cert/certs/some.name").data()["display_name"], "d");
    assert_eq!(server.get("auth/cert/certs/some.name").data()["allowed_names"], json!(["a", "b"]));
    assert_eq!(server.list("auth/cert/certs").data(), json!({"keys": ["some.name"]}));
    server.delete("auth/cert/certs/Some.Name").expect(204);
    server.get("auth/cert/certs/some.name").refused(404, "");
    let refused = |parameters: Value, text: &str| server.post("auth/cert/certs/x", &parameters).refused(400, text);
    refused(json!({}), "failed to parse certificate");
    refused(json!({"certificate": "x"}), "failed to parse certificate");
    refused(json!({"certificate": pem("rsa")}), "failed to parse certificate");
    refused(
        json!({"certificate": pem("ca"), "required_extensions": "1.2"}),
        "the required extension \"1.2\" is not of the form oid:value",
    );
    refused(
        json!({"certificate": pem("server")}),
        "nonCA certificates should have TLS client authentication set as an extended key usage",
    );
    refused(
        json!({"certificate": pem("ca"), "ocsp_enabled": true}),
        "OCSP is not supported; revoke certificates by lists at crls/",
    );
    server.list("auth/cert/certs").refused(404, "");
}

#[test]
fn settings_are_kept() {
    let server = trusting(&[]);
    let expected = json!({"disable_binding": false, "enable_identity_alias_metadata": false, "ocsp_cache_size": 0});
    assert_eq!(server.get("auth/cert/config").data(), expected);
    server.post("auth/cert/config", &json!({"enable_identity_alias_metadata": true})).expect(204);
    server.post("auth/cert/config", &json!({"ocsp_cache_size": 100})).expect(204);
    let expected = json!({"disable_binding": false, "enable_identity_alias_metadata": true, "ocsp_cache_size": 100});
    assert_eq!(server.get("auth/cert/config").data(), expected);
    let text = "invalid cache size, must be >= 2 and <= 100000";
    server.post("auth/cert/config", &json!({"ocsp_cache_size": 1})).refused(400, text);
}
