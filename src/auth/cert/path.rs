//! Whether a trusted authority stands for a client's certificate (RFC 5280, section 6). Knows no names.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::presented::Presented;
use crate::clock::Timestamp;
use crate::crypto::certificates::{Certificate, Purpose};
use crate::trust;

/// Why no authority stands for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPath {
    /// It is not one that TLS clients have, or it is not the time for it.
    Unusable,
    /// Nobody trusted has issued it.
    Unknown,
}

/// Checks that there is a path from the client's certificate, the first of `chain`, by way of the others to an authority;
/// one on which no serial number is revoked.
pub(super) fn check(
    chain: &[Vec<u8>],
    authorities: &[Certificate],
    now: Timestamp,
    is_revoked: &dyn Fn(&Presented) -> bool,
) -> Result<(), NoPath> {
    let Some((leaf, others)) = chain.split_first() else { return Err(NoPath::Unusable) };
    if let Some(found) = check_directly(leaf, authorities, now, is_revoked) {
        return found;
    }
    let leaf = CertificateDer::from(leaf.as_slice());
    let leaf = EndEntityCert::try_from(&leaf).map_err(|_| NoPath::Unknown)?;
    let others: Vec<_> =
        others.iter().take(INTERMEDIATES_MAX).map(|other| CertificateDer::from(other.as_slice())).collect();
    let mut worst = NoPath::Unknown;
    for authority in authorities {
        match check_by(&leaf, &others, authority, now, is_revoked) {
            Ok(()) => return Ok(()),
            Err(NoPath::Unusable) => worst = NoPath::Unusable,
            Err(NoPath::Unknown) => {}
        }
    }
    Err(worst)
}

/// What holds without a path: the client's certificate is the authority's own, or an old one that it signed. None where
/// that is not so.
fn check_directly(
    leaf: &[u8],
    authorities: &[Certificate],
    now: Timestamp,
    is_revoked: &dyn Fn(&Presented) -> bool,
) -> Option<Result<(), NoPath>> {
    let leaf = Certificate::from_der(leaf.to_vec()).ok()?;
    let authority = authorities.iter().find(|authority| authority.is_ca() && trust::takes(authority, &leaf))?;
    let now_s = u64::try_from(now.as_second()).ok()?;
    let usable = leaf.is_valid_at(now_s) && leaf.is_for(Purpose::Client);
    let stands = authority.is_valid_at(now_s)
        && [authority, &leaf].iter().all(|one| Presented::read(one.as_der()).is_some_and(|one| !is_revoked(&one)));
    Some(match (usable, stands) {
        (true, true) => Ok(()),
        (false, _) => Err(NoPath::Unusable),
        (true, false) => Err(NoPath::Unknown),
    })
}

/// One authority at a time, for what it says of itself holds as well: its dates, and how long its paths may be.
fn check_by(
    leaf: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    authority: &Certificate,
    now: Timestamp,
    is_revoked: &dyn Fn(&Presented) -> bool,
) -> Result<(), NoPath> {
    let own = Presented::read(authority.as_der()).ok_or(NoPath::Unknown)?;
    if !authority.is_ca() || !own.is_valid_at(now) || is_revoked(&own) {
        return Err(NoPath::Unknown);
    }
    let der = CertificateDer::from(authority.as_der());
    let anchors = [webpki::anchor_from_trusted_cert(&der).map_err(|_| NoPath::Unknown)?];
    let seconds = u64::try_from(now.as_second()).map_err(|_| NoPath::Unusable)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let client = leaf.der();
    let accept = |path: &VerifiedPath<'_>| {
        let between: Vec<_> = path.intermediate_certificates().map(webpki::Cert::der).collect();
        if own.forbids_path_of(between.len()) {
            return Err(webpki::Error::PathLenConstraintViolated);
        }
        let mut all = between.iter().chain([&client]);
        let revoked = all.any(|der| Presented::read(der).is_none_or(|one| is_revoked(&one)));
        if revoked { Err(webpki::Error::CertRevoked) } else { Ok(()) }
    };
    let verified = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        others,
        time,
        KeyUsage::client_auth(),
        None,
        Some(&accept),
    );
    verified.map(drop).map_err(|error| match error {
        webpki::Error::CertExpired { .. }
        | webpki::Error::CertNotValidYet { .. }
        | webpki::Error::RequiredEkuNotFoundContext(_) => NoPath::Unusable,
        _ => NoPath::Unknown,
    })
}

/// Certificates that a client may send besides its own.
const INTERMEDIATES_MAX: usize = 10;
