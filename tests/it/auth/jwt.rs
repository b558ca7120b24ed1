//! `auth/jwt`: tokens of other issuers, signed with real keys.

mod key_sets;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::remote::pem;
use crate::server::TestServer;

/// What the server's clock says at first.
const NOW: i64 = 1_795_305_600;

/// A server with a mount that trusts these PEM keys.
fn trusting(keys: &[&str]) -> TestServer {
    let server = TestServer::start();
    server.post("sys/auth/jwt", &json!({"type": "jwt"})).expect(204);
    let keys: Vec<_> = keys.iter().map(|key| pem(key)).collect();
    server.post("auth/jwt/config", &json!({"jwt_validation_pubkeys": keys})).expect(204);
    server
}

/// Makes the role `r`, which takes tokens for `coffer` of anybody, and changes in it what `changes` says.
fn role(server: &TestServer, changes: &Value) {
    let mut role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": "coffer", "token_policies": "p", "token_ttl": "1h",
    });
    merge(&mut role, changes);
    server.post("auth/jwt/role/r", &role).expect(204);
}

/// Claims that are good for role `r`, but for `changes`; null removes a claim.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({"sub": "alice", "aud": "coffer", "iat": NOW, "exp": NOW + 600});
    merge(&mut claims, changes);
    claims
}

fn merge(into: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(into.as_object_mut().unwrap().remove(name)),
            value => into[name] = value.clone(),
        }
    }
}

fn key(algorithm: Algorithm, name: &str) -> EncodingKey {
    let pem = pem(&format!("{name}-key"));
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()).unwrap(),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
    }
}

fn signed(algorithm: Algorithm, name: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &key(algorithm, name)).unwrap()
}

/// A token by the RSA key, which names the key `id`.
fn by(id: &str, name: &str, claims: &Value) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::RS256) };
    encode(&header, claims, &key(Algorithm::RS256, name)).unwrap()
}

fn log_in(server: &TestServer, token: &str) -> Answer {
    server.send(&request("POST", "auth/jwt/login").without_token().json(&json!({"role": "r", "jwt": token})))
}

#[track_caller]
fn refused(server: &TestServer, claims: &Value, text: &str) {
    log_in(server, &signed(Algorithm::RS256, "rsa", claims)).refused(400, text);
}

#[track_caller]
fn admitted(server: &TestServer, claims: &Value) -> Value {
    log_in(server, &signed(Algorithm::RS256, "rsa", claims)).expect(200).json()["auth"].take()
}

#[test]
fn a_token_of_a_trusted_issuer_becomes_one_of_this_server() {
    let server = trusting(&["rsa"]);
    role(&server, &json!({"claim_mappings": {"/org/team": "team", "mail": "email", "absent": "absent"}}));
    let auth = admitted(&server, &claims(&json!({"org": {"team": "blue"}, "mail": "a@example.com"})));
    assert_eq!(auth["metadata"], json!({"email": "a@example.com", "role": "r", "team": "blue"}));
    assert_eq!(auth["token_policies"], json!(["default", "p"]));
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(3600), &json!(true)));
    let token = auth["client_token"].as_str().unwrap();
    let data = server.send(&request("GET", "auth/token/lookup-self").token(token)).data();
    assert_eq!((&data["display_name"], &data["path"]), (&json!("jwt-alice"), &json!("auth/jwt/login")));
}

#[test]
fn every_algorithm_verifies_with_its_key_and_with_no_other() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let all = ["rsa", "p256", "p384", "ed25519"];
    for (name, algorithms) in [
        ("rsa", [RS256, RS384, RS512, PS256, PS384, PS512].as_slice()),
        ("p256", &[ES256]),
        ("p384", &[ES384]),
        ("ed25519", &[EdDSA]),
    ] {
        let others: Vec<_> = all.into_iter().filter(|other| *other != name).collect();
        let (own, other) = (trusting(&all), trusting(&others));
        for server in [&own, &other] {
            role(server, &json!({}));
        }
        for algorithm in algorithms {
            let token = signed(*algorithm, name, &claims(&json!({})));
            log_in(&own, &token).expect(200);
            log_in(&other, &token).refused(400, UNVERIFIED);
            let (rest, signature) = token.rsplit_once('.').unwrap();
            let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
            signature[20] ^= 1;
            let forged = format!("{rest}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
            log_in(&own, &forged).refused(400, UNVERIFIED);
        }
    }
}

/// Transit signs as a JWS wants it on curves that the library of this test has not.
#[test]
fn es512_verifies() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({"type": "ecdsa-p521"})).expect(200);
    let public = server.get("transit/keys/k").data()["keys"]["1"]["public_key"].take();
    server.post("sys/auth/jwt", &json!({"type": "jwt"})).expect(204);
    server.post("auth/jwt/config", &json!({"jwt_validation_pubkeys": [public]})).expect(204);
    role(&server, &json!({}));
    let text = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", text(&json!({"alg": "ES512"})), text(&claims(&json!({}))));
    let body =
        json!({"input": crate::client::b64(&message), "marshaling_algorithm": "jws", "hash_algorithm": "sha2-512"});
    let signature = server.post("transit/sign/k", &body).text_of("signature");
    log_in(&server, &format!("{message}.{}", signature.rsplit_once(':').unwrap().1)).expect(200);
}

/// A public key was taken for the secret of a MAC, a token without a signature for a signed one, and a key in a token's
/// own header for a trusted one.
#[test]
fn what_a_token_says_of_its_algorithm_does_not_choose_how_a_key_is_used() {
    let server = trusting(&["rsa", "p256", "ed25519"]);
    role(&server, &json!({}));
    let good = claims(&json!({}));
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for secret in [pem("rsa"), pem("rsa").trim().to_owned(), pem("p256"), String::new()] {
            let secret = EncodingKey::from_secret(secret.as_bytes());
            log_in(&server, &encode(&Header::new(algorithm), &good, &secret).unwrap()).refused(400, UNVERIFIED);
        }
    }
    let text = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = signed(Algorithm::RS256, "rsa", &good).rsplit_once('.').unwrap().1.to_owned();
    for algorithm in ["none", "None", "NONE", "", "rs256", "RS256 ", "HS256"] {
        for signature in ["", signature.as_str()] {
            let token = format!("{}.{}.{signature}", text(&json!({"alg": algorithm})), text(&good));
            log_in(&server, &token).refused(400, UNVERIFIED);
        }
    }
    let own = key(Algorithm::RS256, "rsa2");
    let jwk = Jwk::from_encoding_key(&own, Algorithm::RS256).unwrap();
    let header = Header { jwk: Some(jwk), ..Header::new(Algorithm::RS256) };
    log_in(&server, &encode(&header, &good, &own).unwrap()).refused(400, UNVERIFIED);
    let critical =
        format!("{}.{}.{signature}", text(&json!({"alg": "RS256", "crit": ["b64"], "b64": false})), text(&good));
    log_in(&server, &critical).refused(
        400,
        "error validating token: error verifying token signature: the token demands an unsupported extension (crit)",
    );
}

#[test]
fn only_supported_algorithms_are_taken() {
    let server = trusting(&["rsa"]);
    role(&server, &json!({}));
    let config = json!({"jwt_validation_pubkeys": [pem("rsa")], "jwt_supported_algs": "PS256,RS512"});
    server.post("auth/jwt/config", &config).expect(204);
    log_in(&server, &signed(Algorithm::PS256, "rsa", &claims(&json!({})))).expect(200);
    log_in(&server, &signed(Algorithm::RS512, "rsa", &claims(&json!({})))).expect(200);
    refused(
        &server,
        &claims(&json!({})),
        "error validating token: invalid algorithm (alg) header parameter: token signed with unexpected algorithm",
    );
}

/// Regression R45: an audience that is one text and no list was not checked.
#[test]
fn the_audience_is_checked_whether_it_is_a_text_or_a_list() {
    const WRONG: &str =
        "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience";
    let server = trusting(&["rsa"]);
    role(&server, &json!({"bound_audiences": ["coffer", "vault"]}));
    for audience in [json!("coffer"), json!("vault"), json!(["coffer"]), json!(["other", "vault"])] {
        admitted(&server, &claims(&json!({"aud": audience})));
    }
    for audience in [json!("other"), json!("cof"), json!("coffer,vault"), json!(""), json!([]), json!(["Coffer"])] {
        refused(&server, &claims(&json!({"aud": audience})), WRONG);
    }
    refused(&server, &claims(&json!({"aud": null})), WRONG);
    for audience in [json!(1), json!([1]), json!({"coffer": 1})] {
        let text = "error validating token: the audience (aud) claim is no text and no list of texts";
        refused(&server, &claims(&json!({"aud": audience})), text);
    }
    role(&server, &json!({"bound_audiences": [], "bound_subject": "alice"}));
    for audience in [json!("coffer"), json!(["coffer"])] {
        let text = "audience claim found in JWT but no audiences bound to the role";
        refused(&server, &claims(&json!({"aud": audience})), text);
    }
    admitted(&server, &claims(&json!({"aud": null})));
}

#[test]
fn a_token_is_good_between_its_times() {
    const EARLY: &str = "error validating token: invalid not before (nbf) claim: token not yet valid";
    const LATE: &str = "error validating token: invalid expiration time (exp) claim: token is expired";
    const FUTURE: &str = "error validating token: invalid issued at (iat) claim: token issued in the future";
    let server = trusting(&["rsa"]);
    role(&server, &json!({}));
    let check = |times: Value, expected: Option<&str>| {
        let mut all = claims(&json!({"iat": null, "exp": null}));
        merge(&mut all, &times);
        match expected {
            None => drop(admitted(&server, &all)),
            Some(text) => refused(&server, &all, text),
        }
    };
    check(json!({"exp": NOW}), None);
    check(json!({"exp": NOW - 60}), None);
    check(json!({"exp": NOW - 61}), Some(LATE));
    check(json!({"exp": NOW + 210}), None);
    check(json!({"exp": NOW + 211}), Some(EARLY));
    check(json!({"exp": NOW + 1000, "nbf": NOW + 60}), None);
    check(json!({"exp": NOW + 1000, "nbf": NOW + 61}), Some(EARLY));
    check(json!({"exp": NOW + 1000, "nbf": NOW - 5, "iat": NOW + 61}), Some(FUTURE));
    check(json!({"iat": NOW - 210}), None);
    check(json!({"iat": NOW - 211}), Some(LATE));
    check(json!({"nbf": NOW - 211, "iat": NOW - 300}), Some(LATE));
    let half_a_second_later: f64 = format!("{NOW}.5").parse().unwrap();
    check(json!({"exp": half_a_second_later}), None);
    check(
        json!({}),
        Some("error validating token: no issued at (iat), not before (nbf), or expiration time (exp) claims in token"),
    );
    check(json!({"exp": "soon"}), Some("error validating token: the claim \"exp\" is no time"));
    role(&server, &json!({"clock_skew_leeway": -1, "expiration_leeway": "-1s", "not_before_leeway": 10}));
    check(json!({"exp": NOW - 1}), Some(LATE));
    check(json!({"iat": NOW - 1}), Some(LATE));
    check(json!({"exp": NOW + 10}), None);
    check(json!({"exp": NOW + 11}), Some(EARLY));
}

#[test]
fn bound_claims_are_demanded() {
    let server = trusting(&["rsa"]);
    let check = |kind: &str, bound: Value, have: Value, expected: Option<&str>| {
        role(&server, &json!({"bound_claims_type": kind, "bound_claims": bound}));
        match expected {
            None => drop(admitted(&server, &claims(&have))),
            Some(text) => refused(&server, &claims(&have), &format!("error validating claims: {text}")),
        }
    };
    let other = Some("claim \"c\" does not match any associated bound claim values");
    check("string", json!({"c": "a"}), json!({"c": "a"}), None);
    check("string", json!({"c": "a"}), json!({"c": ["b", "a"]}), None);
    check("string", json!({"c": ["b", "a"]}), json!({"c": "a"}), None);
    check("string", json!({"c": "a"}), json!({"c": "b"}), other);
    check("string", json!({"c": "a*"}), json!({"c": "ab"}), other);
    check("string", json!({"c": []}), json!({"c": "a"}), other);
    check("string", json!({"c": "a"}), json!({}), Some("claim \"c\" is missing"));
    check("string", json!({"c": 1}), json!({"c": 1}), None);
    check("string", json!({"c": 1}), json!({"c": 1.0}), None);
    check("string", json!({"c": 1}), json!({"c": "1"}), other);
    check("string", json!({"c": true}), json!({"c": [false, true]}), None);
    check("string", json!({"c": true}), json!({"c": "true"}), other);
    check("string", json!({"/c/d": "a"}), json!({"c": {"d": "a"}}), None);
    check("string", json!({"/c/0": "a"}), json!({"c": ["a"]}), None);
    check(
        "string",
        json!({"c": "a"}),
        json!({"c": {"a": "a"}}),
        Some("received claim is not a string, bool, int or list: {\"a\":\"a\"}"),
    );
    check("glob", json!({"c": "a*"}), json!({"c": "ab"}), None);
    check("glob", json!({"c": ["x", "*b"]}), json!({"c": [1, "ab"]}), None);
    check("glob", json!({"c": "a*"}), json!({"c": "ba"}), other);
    check("glob", json!({"c": "a*", "d": "*"}), json!({"c": "a"}), Some("claim \"d\" is missing"));
    role(&server, &json!({"bound_subject": "bob"}));
    refused(&server, &claims(&json!({})), "error validating token: invalid subject (sub) claim");
    let config = json!({"jwt_validation_pubkeys": [pem("rsa")], "bound_issuer": "https://issuer"});
    server.post("auth/jwt/config", &config).expect(204);
    role(&server, &json!({"bound_subject": "alice", "bound_claims": {}}));
    admitted(&server, &claims(&json!({"iss": "https://issuer"})));
    for issuer in [json!("https://issuer/"), json!(""), Value::Null] {
        refused(&server, &claims(&json!({"iss": issuer})), "error validating token: invalid issuer (iss) claim");
    }
}

#[test]
fn claims_say_who_it_is() {
    let server = trusting(&["rsa"]);
    role(&server, &json!({"user_claim": "/who/name"}));
    refused(&server, &claims(&json!({"who": {"name": "a"}})), "claim \"/who/name\" not found in token");
    role(&server, &json!({"user_claim": "/who/name", "user_claim_json_pointer": true}));
    admitted(&server, &claims(&json!({"who": {"name": "a"}})));
    for name in [json!(1), json!(""), json!(["a"])] {
        let text = "claim \"/who/name\" could not be converted to string";
        refused(&server, &claims(&json!({"who": {"name": name}})), text);
    }
    role(&server, &json!({"user_claim_json_pointer": false, "groups_claim": "groups"}));
    refused(&server, &claims(&json!({})), "failed to fetch groups: \"groups\" claim not found in token");
    refused(&server, &claims(&json!({"groups": {}})), "\"groups\" claim could not be converted to string list");
    refused(&server, &claims(&json!({"groups": [1]})), "value 1 in groups claim could not be parsed as string");
    admitted(&server, &claims(&json!({"groups": ["a", ""]})));
    admitted(&server, &claims(&json!({"groups": "a"})));
    role(&server, &json!({"groups_claim": "", "claim_mappings": {"c": "c"}}));
    refused(&server, &claims(&json!({"c": 1})), "error converting claim 'c' to string");
}

#[test]
fn logins_that_say_too_little_are_told_what_is_missing() {
    let server = TestServer::start();
    server.post("sys/auth/jwt", &json!({"type": "oidc"})).expect(204);
    let check = |body: Value, text: &str| {
        server.send(&request("POST", "auth/jwt/login").without_token().json(&body)).refused(400, text);
    };
    check(json!({"role": "r", "jwt": "x"}), "could not load configuration");
    server.post("auth/jwt/config", &json!({"jwt_validation_pubkeys": pem("rsa")})).expect(204);
    check(json!({"jwt": "x"}), "missing role");
    check(json!({"role": "zz", "jwt": "x"}), "role \"zz\" could not be found");
    role(&server, &json!({"token_bound_cidrs": "127.0.0.0/8"}));
    check(json!({"role": "r"}), "missing token");
    let malformed = "error validating token: error verifying token signature: compact JWS format must have three parts";
    check(json!({"role": "R", "jwt": "x"}), malformed);
    let config = json!({"jwt_validation_pubkeys": pem("rsa"), "default_role": "R"});
    server.post("auth/jwt/config", &config).expect(204);
    check(json!({"jwt": "a.b"}), malformed);
    let token = signed(Algorithm::RS256, "rsa", &claims(&json!({})));
    server.send(&request("POST", "auth/jwt/login").without_token().json(&json!({"jwt": token}))).expect(200);
    let browser = json!({"role_type": "oidc", "user_claim": "sub", "allowed_redirect_uris": "http://localhost"});
    server.post("auth/jwt/role/o", &browser).expect(204);
    check(json!({"role": "o", "jwt": token}), "role with oidc role_type is not allowed");
    role(&server, &json!({"token_bound_cidrs": "10.0.0.0/8"}));
    log_in(&server, &token).refused_wrapped(403, "permission denied");
}

/// Regression R22: a login that failed had made a token all the same.
#[test]
fn a_login_that_fails_makes_no_token() {
    let server = trusting(&["rsa"]);
    role(&server, &json!({"bound_claims": {"c": "a"}}));
    let before = server.stored();
    for changes in [json!({}), json!({"c": "b"}), json!({"aud": "x"}), json!({"exp": 1})] {
        log_in(&server, &signed(Algorithm::RS256, "rsa", &claims(&changes))).expect(400);
    }
    assert_eq!(server.stored(), before);
}

#[test]
fn a_token_is_renewed_as_its_role_says_by_then_and_not_without_it() {
    let server = trusting(&["rsa"]);
    role(&server, &json!({}));
    let auth = admitted(&server, &claims(&json!({})));
    let renew = || {
        let token = auth["client_token"].as_str().unwrap();
        server.send(&request("POST", "auth/token/renew-self").token(token).json(&json!({})))
    };
    renew().expect(200);
    server.delete("auth/jwt/role/r").expect(204);
    renew().refused(400, "role r does not exist during renewal");
}

// === roles and configuration ===

#[test]
fn roles_are_kept() {
    let server = trusting(&["rsa"]);
    server.list("auth/jwt/role").refused(404, "");
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_claims": {"a": ["b", 1]}, "claim_mappings": {"c": "d"},
        "bound_audiences": "x,y", "expiration_leeway": "1m", "policies": "p", "ttl": "1h", "token_num_uses": 3,
    });
    server.post("auth/jwt/role/Some.Role", &role).expect(204);
    let expected = json!({
        "allowed_redirect_uris": null, "bound_audiences": ["x", "y"], "bound_claims": {"a": ["b", 1]},
        "bound_claims_type": "string", "bound_subject": "", "claim_mappings": {"c": "d"}, "clock_skew_leeway": 0,
        "expiration_leeway": 60, "groups_claim": "", "max_age": 0, "not_before_leeway": 0, "oauth2_metadata": null,
        "oidc_scopes": null, "policies": ["p"], "role_type": "jwt", "token_bound_cidrs": [],
        "token_explicit_max_ttl": 0, "token_max_ttl": 0, "token_no_default_policy": false, "token_num_uses": 3,
        "token_period": 0, "token_policies": ["p"], "token_ttl": 3600, "token_type": "default", "ttl": 3600,
        "user_claim": "sub", "user_claim_json_pointer": false, "verbose_oidc_logging": false,
    });
    assert_eq!(server.get("auth/jwt/role/some.role").data(), expected);
    server.post("auth/jwt/role/some.role", &json!({"role_type": "jwt", "bound_subject": "s"})).expect(204);
    assert_eq!(server.get("auth/jwt/role/SOME.ROLE").data()["bound_subject"], "s");
    assert_eq!(server.get("auth/jwt/role/some.role").data()["bound_audiences"], json!(["x", "y"]));
    assert_eq!(server.list("auth/jwt/role").data(), json!({"keys": ["some.role"]}));
    server.delete("auth/jwt/role/Some.role").expect(204);
    server.get("auth/jwt/role/some.role").refused(404, "");
}

#[test]
fn roles_that_would_admit_nobody_or_everybody_are_refused() {
    let server = trusting(&["rsa"]);
    let check = |changes: Value, text: &str| {
        let mut role = json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "s"});
        merge(&mut role, &changes);
        server.post("auth/jwt/role/r", &role).refused(400, text);
        server.get("auth/jwt/role/r").refused(404, "");
    };
    check(json!({"user_claim": ""}), "a user claim must be defined on the role");
    check(json!({"bound_subject": ""}), "must have at least one bound constraint when creating/updating a role");
    check(json!({"role_type": null}), "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.");
    check(json!({"role_type": "saml"}), "invalid 'role_type': saml");
    check(json!({"bound_claims_type": "regex"}), "invalid 'bound_claims_type': regex");
    check(json!({"bound_claims_type": "glob", "bound_claims": {"a": [1]}}), "claim is not a string: 1");
    check(
        json!({"claim_mappings": {"a": "role"}}),
        "metadata key \"role\" is reserved and may not be a mapping destination",
    );
    check(json!({"claim_mappings": {"a": "x", "b": "x"}}), "multiple keys are mapped to metadata key \"x\"");
    check(json!({"token_ttl": 5, "token_max_ttl": 4}), "'token_ttl' cannot be greater than 'token_max_ttl'");
}

#[test]
fn a_configuration_names_exactly_one_source_of_keys() {
    const ONE: &str = "exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set";
    let server = TestServer::start();
    server.post("sys/auth/jwt", &json!({"type": "jwt"})).expect(204);
    server.get("auth/jwt/config").refused(404, "");
    let check = |body: Value, text: &str| server.post("auth/jwt/config", &body).refused(400, text);
    let key = pem("rsa");
    check(json!({}), ONE);
    check(json!({"jwt_validation_pubkeys": key, "jwks_url": "http://127.0.0.1:1"}), ONE);
    check(json!({"jwks_url": "http://127.0.0.1:1", "oidc_discovery_url": "http://127.0.0.1:1"}), ONE);
    check(
        json!({"oidc_discovery_url": "http://127.0.0.1:1", "oidc_client_id": "c"}),
        "both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC",
    );
    check(
        json!({"jwt_validation_pubkeys": key, "oidc_client_id": "c", "oidc_client_secret": "s"}),
        "'oidc_discovery_url' must be set for OIDC",
    );
    check(json!({"jwks_url": "http://127.0.0.1:1", "jwks_ca_pem": "x"}), "error checking jwks_ca_pem");
    check(json!({"jwks_url": "http://127.0.0.1:1"}), "error checking jwks URL");
    check(json!({"jwks_url": "file:///etc/hostname"}), "error checking jwks URL");
    check(json!({"oidc_discovery_url": "http://127.0.0.1:1"}), "error checking oidc discovery URL");
    let text = "error parsing public key: data does not contain any valid public keys";
    check(json!({"jwt_validation_pubkeys": "x"}), text);
    check(json!({"jwt_validation_pubkeys": [key, pem("rsa-key")]}), text);
    for algorithm in ["HS256", "none", "RS1"] {
        let body = json!({"jwt_validation_pubkeys": key, "jwt_supported_algs": [algorithm]});
        check(body, &format!("Invalid supported algorithm: {algorithm}"));
    }
    server.get("auth/jwt/config").refused(404, "");
    let body = json!({"jwt_validation_pubkeys": [key, pem("server")], "jwt_supported_algs": "RS256,ES256"});
    server.post("auth/jwt/config", &body).expect(204);
    let expected = json!({
        "bound_issuer": "", "default_role": "", "jwks_ca_pem": "", "jwks_url": "",
        "jwt_supported_algs": ["RS256", "ES256"], "jwt_validation_pubkeys": [key.trim(), pem("server").trim()],
        "namespace_in_state": true, "oidc_client_id": "", "oidc_discovery_ca_pem": "", "oidc_discovery_url": "",
        "oidc_response_mode": "", "oidc_response_types": [], "provider_config": {},
    });
    assert_eq!(server.get("auth/jwt/config").data(), expected);
}

// === key sets ===

const UNVERIFIED: &str =
    "error validating token: error verifying token signature: no known key successfully validated the token signature";
