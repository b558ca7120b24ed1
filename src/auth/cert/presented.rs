//! What a certificate says: whose it is, under which names, from when to when. Verifies nothing.

use der::asn1::ObjectIdentifier;
use der::oid::db::rfc4519;
use der::{Any, Decode, Tag, Tagged};
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, SubjectAltName, SubjectKeyIdentifier};

use crate::clock::Timestamp;
use crate::crypto::decimal;

/// A certificate that was read.
pub(super) struct Presented {
    certificate: Certificate,
}

/// The names that a certificate has for its subject, beside the common one.
#[derive(Default)]
pub(super) struct AltNames {
    pub(super) dns: Vec<String>,
    pub(super) email: Vec<String>,
    pub(super) uri: Vec<String>,
}

impl Presented {
    /// Reads DER.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        Certificate::from_der(der).ok().map(|certificate| Self { certificate })
    }

    /// The last common name; empty if there is none.
    pub(super) fn common_name(&self) -> String {
        self.of_subject(rfc4519::CN).pop().unwrap_or_default()
    }

    pub(super) fn organizational_units(&self) -> Vec<String> {
        self.of_subject(rfc4519::OU)
    }

    fn of_subject(&self, attribute: ObjectIdentifier) -> Vec<String> {
        let subject = self.certificate.tbs_certificate().subject();
        let values = subject.iter().filter(|own| own.oid == attribute);
        values.filter_map(|own| text_of(&own.value)).collect()
    }

    /// None at all if one of them cannot be read.
    pub(super) fn alt_names(&self) -> AltNames {
        let mut names = AltNames::default();
        let found = self.certificate.tbs_certificate().get_extension::<SubjectAltName>();
        let Ok(Some((_, SubjectAltName(found)))) = found else { return names };
        for name in found {
            match name {
                GeneralName::DnsName(name) => names.dns.push(name.to_string()),
                GeneralName::Rfc822Name(name) => names.email.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(name) => names.uri.push(name.to_string()),
                _ => {}
            }
        }
        names
    }

    /// The text that an extension holds, if it holds one.
    pub(super) fn extension(&self, oid: &str) -> Option<String> {
        let extensions = self.certificate.tbs_certificate().extensions()?;
        let extension = extensions.iter().find(|extension| extension.extn_id.to_string() == oid)?;
        text_of(&Any::from_der(extension.extn_value.as_bytes()).ok()?)
    }

    /// In decimal.
    pub(super) fn serial_number(&self) -> String {
        decimal::encode(self.certificate.tbs_certificate().serial_number().as_bytes()).to_string()
    }

    /// In hexadecimal, byte by byte with colons between; empty if the certificate does not say.
    pub(super) fn subject_key_id(&self) -> String {
        let found = self.certificate.tbs_certificate().get_extension::<SubjectKeyIdentifier>();
        found.ok().flatten().map(|(_, SubjectKeyIdentifier(id))| hex(id.as_bytes())).unwrap_or_default()
    }

    /// As `subject_key_id`, of the issuer's key.
    pub(super) fn authority_key_id(&self) -> String {
        let found = self.certificate.tbs_certificate().get_extension::<AuthorityKeyIdentifier>();
        let id = found.ok().flatten().and_then(|(_, authority)| authority.key_identifier);
        id.map(|id| hex(id.as_bytes())).unwrap_or_default()
    }

    /// Whether a path from it to a client has too many certificates between, by its own word.
    pub(super) fn forbids_path_of(&self, between: usize) -> bool {
        let constraints = self.certificate.tbs_certificate().get_extension::<BasicConstraints>();
        match constraints {
            Ok(constraints) => {
                let longest = constraints.and_then(|(_, constraints)| constraints.path_len_constraint);
                longest.is_some_and(|longest| between > usize::from(longest))
            }
            Err(_) => true,
        }
    }

    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        let validity = self.certificate.tbs_certificate().validity();
        let [from, to] = [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
        u64::try_from(now.as_second()).is_ok_and(|now| (from..=to).contains(&now))
    }
}

/// A text in one of the types that texts have in certificates.
fn text_of(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::TeletexString => {
            String::from_utf8(value.value().to_vec()).ok()
        }
        Tag::BmpString => {
            let units = value.value().chunks(2).map(|unit| <[u8; 2]>::try_from(unit).map(u16::from_be_bytes));
            String::from_utf16(&units.collect::<Result<Vec<_>, _>>().ok()?).ok()
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
