//! Whose certificates TLS takes: what RFC 5280 says, and beside it what Go's TLS takes and certificates made by hand need.
//! Knows no file and no connection.
//!
//! `openssl req -x509` makes certificates of authorities, and servers use them as their own; `openssl x509 -req` makes
//! certificates of the first version of X.509, which have no extensions. Strict verification has no place for either.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, ProtocolVersion,
    RootCertStore, SignatureScheme,
};
use webpki::RawPublicKeyEntity;

use crate::crypto::certificates::{Certificate, Purpose};

/// Certificates that somebody trusts.
#[derive(Clone)]
pub struct Authorities {
    anchors: RootCertStore,
    /// Those that are also taken from the very server or client that shows them.
    listed: Vec<Certificate>,
}

impl Authorities {
    pub fn none() -> Self {
        Self { anchors: RootCertStore::empty(), listed: Vec::new() }
    }

    /// Every one of these; one that cannot be read is an error.
    pub fn of(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<Self, Error> {
        let mut authorities = Self::none();
        for certificate in certificates {
            authorities.listed.extend(Certificate::from_der(certificate.to_vec()));
            authorities.anchors.add(certificate)?;
        }
        Ok(authorities)
    }

    /// Those of these that can be read; none is taken but from whom it certifies.
    pub fn of_system(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let mut anchors = RootCertStore::empty();
        anchors.add_parsable_certificates(certificates);
        Self { anchors, listed: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Takes servers that they stand for.
    pub fn servers(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let anchors = Arc::new(self.anchors.clone());
        let builder = WebPkiServerVerifier::builder_with_provider(anchors, Arc::clone(provider));
        let strict = if self.is_empty() { None } else { Some(builder.build().map_err(other)?) };
        Ok(Arc::new(Servers { strict, listed: self.listed.clone(), handshakes: Handshakes::with(provider) }))
    }

    /// Takes clients that they stand for.
    pub fn clients(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let anchors = Arc::new(self.anchors.clone());
        let strict = WebPkiClientVerifier::builder_with_provider(anchors, Arc::clone(provider)).build();
        let strict = strict.map_err(other)?;
        Ok(Arc::new(Clients { strict, listed: self.listed.clone(), handshakes: Handshakes::with(provider) }))
    }

    /// Asks clients for a certificate, best one that they stand for, and takes any, or none.
    pub fn any_clients(&self, provider: &CryptoProvider) -> Arc<dyn ClientCertVerifier> {
        Arc::new(AnyClients { hints: self.anchors.subjects(), handshakes: Handshakes::with(provider) })
    }
}

/// Takes every server.
pub fn any_server(provider: &CryptoProvider) -> Arc<dyn ServerCertVerifier> {
    Arc::new(AnyServer { handshakes: Handshakes::with(provider) })
}

/// Certificates of any version of X.509, one's own first, with its key.
pub fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let key = provider.key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    let own = chain.first().map(|own| Certificate::from_der(own.to_vec()).and_then(|own| own.spki()));
    let own = own.transpose().map_err(|error| error.to_string())?;
    if key.public_key().is_some_and(|public| own.as_deref() != Some(public.as_ref())) {
        return Err("the key is not the certificate's".to_owned());
    }
    Ok(CertifiedKey::new(chain, key))
}

/// How a client speaks TLS: with servers that `verifier` takes, and a certificate of its own if it is asked for one.
pub fn client(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    own: Option<Arc<SingleCertAndKey>>,
) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(verifier);
    Ok(match own {
        None => config.with_no_client_auth(),
        Some(own) => config.with_client_cert_resolver(own),
    })
}

/// Whether a certificate is taken though strict verification has no place for it: it is the very one that is trusted, or
/// it has no extensions and an authority that is trusted has signed it. Its dates are not looked at.
pub fn takes(trusted: &Certificate, shown: &Certificate) -> bool {
    shown.as_der() == trusted.as_der() || (shown.is_of_version_1() && trusted.is_ca() && is_signed_by(shown, trusted))
}

/// Whether a client is taken whose certificate may certify others, as Go's TLS takes it: an authority that is trusted has
/// signed it, and neither limits names. Strict verification has it only between a client and an authority. Nobody gets in
/// who could not by a certificate that he makes with this one.
fn takes_authority(trusted: &Certificate, shown: &Certificate) -> bool {
    shown.may_certify()
        && trusted.may_certify()
        && ![trusted, shown].into_iter().any(Certificate::has_other_demands)
        && is_signed_by(shown, trusted)
}

fn is_signed_by(certificate: &Certificate, authority: &Certificate) -> bool {
    let (Ok(signed), Ok(spki)) = (certificate.signed(), authority.spki()) else { return false };
    let spki = SubjectPublicKeyInfoDer::from(spki);
    let Ok(key) = RawPublicKeyEntity::try_from(&spki) else { return false };
    let mut known = webpki::ALL_VERIFICATION_ALGS.iter().filter(|known| {
        // Both without the tag and the length of the SEQUENCE: two bytes, for no algorithm is long.
        signed.algorithm.get(2..) == Some(known.signature_alg_id().as_ref())
    });
    certificate.names_as_issuer(authority)
        && known.any(|known| key.verify_signature(*known, &signed.contents, &signed.signature).is_ok())
}

/// Checks that who shows a certificate has its key, whatever else it says.
#[derive(Clone, Copy, Debug)]
struct Handshakes(WebPkiSupportedAlgorithms);

impl Handshakes {
    fn with(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }

    fn verify(
        self,
        version: ProtocolVersion,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = Certificate::from_der(certificate.to_vec()).and_then(|certificate| certificate.spki());
        let spki = SubjectPublicKeyInfoDer::from(spki.map_err(|_| CertificateError::BadEncoding)?);
        if version == ProtocolVersion::TLSv1_3 {
            return verify_tls13_signature_with_raw_key(message, &spki, signed, &self.0);
        }
        let key = RawPublicKeyEntity::try_from(&spki).map_err(|_| CertificateError::BadEncoding)?;
        let fitting = self.0.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) = fitting.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        if algorithms.iter().any(|known| key.verify_signature(*known, message, signed.signature()).is_ok()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

/// The part of a verifier that is the same in all of them.
macro_rules! handshakes {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            shown: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.handshakes.verify(ProtocolVersion::TLSv1_2, message, shown, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            shown: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.handshakes.verify(ProtocolVersion::TLSv1_3, message, shown, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.handshakes.0.supported_schemes()
        }
    };
}

#[derive(Debug)]
struct Servers {
    /// None where nobody is trusted.
    strict: Option<Arc<WebPkiServerVerifier>>,
    listed: Vec<Certificate>,
    handshakes: Handshakes,
}

impl Servers {
    /// A server may be known by its very certificate; its name and dates must be right all the same.
    fn knows(&self, shown: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        let found = self.listed.iter().find(|listed| listed.as_der() == shown.as_ref());
        check(found.ok_or(CertificateError::UnknownIssuer)?, Purpose::Server, now)?;
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.knows(shown, name, now).is_ok() {
            return Ok(ServerCertVerified::assertion());
        }
        let strict = self.strict.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        strict.verify_server_cert(shown, others, name, ocsp, now)
    }

    handshakes!();
}

#[derive(Debug)]
struct Clients {
    strict: Arc<dyn ClientCertVerifier>,
    listed: Vec<Certificate>,
    handshakes: Handshakes,
}

impl Clients {
    fn knows(&self, shown: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let shown = Certificate::from_der(shown.to_vec()).map_err(|_| CertificateError::BadEncoding)?;
        let found = self.listed.iter().find(|listed| takes(listed, &shown));
        let found = found.or_else(|| self.listed.iter().find(|listed| takes_authority(listed, &shown)));
        check(found.ok_or(CertificateError::UnknownIssuer)?, Purpose::Client, now)?;
        check(&shown, Purpose::Client, now)
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.knows(shown, now).is_ok() {
            return Ok(ClientCertVerified::assertion());
        }
        self.strict.verify_client_cert(shown, others, now)
    }

    handshakes!();
}

#[derive(Debug)]
struct AnyClients {
    hints: Vec<DistinguishedName>,
    handshakes: Handshakes,
}

impl ClientCertVerifier for AnyClients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    handshakes!();
}

#[derive(Debug)]
struct AnyServer {
    handshakes: Handshakes,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    handshakes!();
}

fn check(certificate: &Certificate, purpose: Purpose, now: UnixTime) -> Result<(), Error> {
    if !certificate.is_valid_at(now.as_secs()) {
        return Err(CertificateError::Expired.into());
    }
    if certificate.is_for(purpose) { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) }
}

fn other(error: impl fmt::Display) -> Error {
    Error::General(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn der(name: &str) -> CertificateDer<'static> {
        let path = format!("{}/tests/vectors/logins/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        CertificateDer::from_pem_file(path).unwrap()
    }

    fn trusting(names: &[&str]) -> (Authorities, Arc<CryptoProvider>) {
        (Authorities::of(names.iter().map(|name| der(name))).unwrap(), Arc::new(aws_lc_rs::default_provider()))
    }

    /// In the year 2026.
    fn now() -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(1_790_000_000))
    }

    #[test]
    fn servers_are_known_by_their_authority_or_by_their_very_certificate() {
        let check = |trusted: &[&str], shown: &str, name: &'static str, taken: bool| {
            let (authorities, provider) = trusting(trusted);
            let name = ServerName::try_from(name).unwrap();
            let outcome =
                authorities.servers(&provider).unwrap().verify_server_cert(&der(shown), &[], &name, &[], now());
            assert_eq!(outcome.is_ok(), taken, "{shown} at {name:?} with {trusted:?}: {outcome:?}");
        };
        check(&["ca"], "server", "localhost", true);
        check(&["ca"], "server", "127.0.0.1", true);
        check(&["own"], "own", "localhost", true);
        check(&["ca", "own"], "own", "127.0.0.1", true);
        check(&["server"], "server", "localhost", true);
        check(&["own"], "own", "example.com", false);
        check(&["own"], "own", "127.0.0.2", false);
        check(&["own-expired"], "own-expired", "localhost", false);
        check(&["own"], "own-expired", "localhost", false);
        check(&["alice"], "alice", "www.example.com", false); // for clients
        check(&["ca"], "own", "localhost", false);
        check(&["own"], "server", "localhost", false);
        check(&["old-pinned"], "old-pinned", "localhost", false); // has no name that counts
        check(&[], "server", "localhost", false);
    }

    #[test]
    fn clients_are_known_by_their_authority_or_by_their_very_certificate() {
        let check = |trusted: &[&str], shown: &str, taken: bool| {
            let (authorities, provider) = trusting(trusted);
            let outcome = authorities.clients(&provider).unwrap().verify_client_cert(&der(shown), &[], now());
            assert_eq!(outcome.is_ok(), taken, "{shown} with {trusted:?}: {outcome:?}");
        };
        check(&["ca"], "alice", true);
        check(&["ca"], "old", true);
        check(&["other-ca", "ca"], "old", true);
        check(&["old-pinned"], "old-pinned", true);
        check(&["own"], "own", true);
        check(&["ca"], "server", false); // for servers
        check(&["ca"], "old-eve", false); // an authority of the same name
        check(&["old-pinned"], "old-eve", false);
        check(&["own-expired"], "own-expired", false);
        check(&["own"], "own-expired", false);
        check(&["alice"], "old", false); // no authority
        check(&["intermediate"], "old", false);
        // Those that may certify others.
        check(&["ca"], "intermediate", true);
        check(&["other-ca", "ca"], "ca-client", true);
        check(&["ca-client"], "ca-client", true);
        check(&["other-ca"], "ca-client", false); // an authority of the same name
        check(&["intermediate"], "ca-client", false);
        check(&["alice"], "ca-client", false); // no authority
        check(&["ca"], "ca-server", false); // for servers
        check(&["ca"], "ca-odd", false); // demands what nobody knows
        check(&["ca"], "ca-expired", false);
        check(&["narrow-ca"], "narrow-client", false); // limits names
        check(&["unable-ca"], "unable-client", false); // signs no certificates
    }

    /// Every byte that an authority signed counts.
    #[test]
    fn a_forged_certificate_of_the_first_version_is_not_taken() {
        let authority = Certificate::from_der(der("ca").to_vec()).unwrap();
        let own = der("old").to_vec();
        assert!(takes(&authority, &Certificate::from_der(own.clone()).unwrap()));
        for at in 0..own.len() {
            let mut forged = own.clone();
            forged[at] ^= 1;
            let taken = Certificate::from_der(forged).is_ok_and(|forged| takes(&authority, &forged));
            assert!(!taken, "byte {at}");
        }
    }
}
