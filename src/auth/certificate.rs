//! What stands in a certificate. Whether it is to be believed was said before, by whoever verified it.

use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::{
    Certificate,
    der::{Decode, asn1::ObjectIdentifier},
    ext::pkix::{SubjectAltName, name::DirectoryString, name::GeneralName},
};

/// The part of a certificate that says whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The subject's common name.
    CommonName,
    /// An organizational unit of the subject.
    Unit,
    /// The subject's organization.
    Organization,
    /// A host name among the alternative names.
    Dns,
    /// An address among the alternative names.
    Email,
    /// A URI among the alternative names, as SPIFFE has it.
    Uri,
}

impl Field {
    /// What X.500 calls it, if it is of the subject.
    const fn attribute(self) -> Option<ObjectIdentifier> {
        match self {
            Self::CommonName => Some(ObjectIdentifier::new_unwrap("2.5.4.3")),
            Self::Organization => Some(ObjectIdentifier::new_unwrap("2.5.4.10")),
            Self::Unit => Some(ObjectIdentifier::new_unwrap("2.5.4.11")),
            Self::Dns | Self::Email | Self::Uri => None,
        }
    }
}

/// All values of a field of the certificate in `der`; none if it cannot be read.
///
/// A value that is no plain line of text is left out: a NUL or a newline in a name is there to
/// deceive somebody.
pub fn values(der: &[u8], field: Field) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(der) else {
        return Vec::new();
    };
    let found = match field.attribute() {
        Some(attribute) => of_subject(&certificate, attribute),
        None => alternatives(&certificate, field),
    };
    let is_plain = |value: &String| !value.is_empty() && !value.chars().any(char::is_control);
    found.into_iter().filter(is_plain).collect()
}

fn of_subject(certificate: &Certificate, attribute: ObjectIdentifier) -> Vec<String> {
    let subject = certificate.tbs_certificate().subject();
    let named = subject.iter().filter(|it| it.oid == attribute);
    let text = named.map(|it| it.value.decode_as::<DirectoryString>());
    text.flatten()
        .map(|text| text.value().into_owned())
        .collect()
}

fn alternatives(certificate: &Certificate, field: Field) -> Vec<String> {
    let found = certificate.tbs_certificate().get_extension();
    let Ok(Some((_, SubjectAltName(names)))) = found else {
        return Vec::new();
    };
    let named = names.iter().filter_map(|name| match (name, field) {
        (GeneralName::DnsName(text), Field::Dns)
        | (GeneralName::Rfc822Name(text), Field::Email)
        | (GeneralName::UniformResourceIdentifier(text), Field::Uri) => Some(text.to_string()),
        _ => None,
    });
    named.collect()
}

/// Whether the certificate in `der` is valid at this time, in seconds since 1970.
pub fn is_valid_at(der: &[u8], seconds: u64) -> bool {
    Certificate::from_der(der).is_ok_and(|certificate| {
        let validity = certificate.tbs_certificate().validity();
        let begins = validity.not_before.to_unix_duration().as_secs();
        let ends = validity.not_after.to_unix_duration().as_secs();
        (begins..=ends).contains(&seconds)
    })
}

/// The binding `tls-server-end-point` (RFC 5929): a hash of a server's certificate, which both
/// sides of a connection can compute. `None` where PostgreSQL has none either: the hash is that of
/// the certificate's signature, and not every signature has one.
pub fn end_point(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(der).ok()?;
    let hashed = match certificate.signature_algorithm().oid.to_string().as_str() {
        // MD5 and SHA-1 count as SHA-256.
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => {
            Sha256::digest(der).to_vec()
        }
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => Sha256::digest(der).to_vec(),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(der).to_vec(),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(der).to_vec(),
        _ => return None,
    };
    Some(hashed)
}
