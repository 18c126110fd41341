//! Certificates for a test: an authority, and what it signs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::temp::TempDir;

/// An authority in a directory of its own. Its certificate is in `ca.crt`.
pub struct Authority {
    home: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// Files of a certificate and its key.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Files {
    /// The key in the binary form of PKCS #8.
    pub fn key_der(&self) -> PathBuf {
        self.key.with_extension("pk8")
    }
}

impl Authority {
    /// One that nobody knows yet.
    pub fn new() -> Self {
        let home = TempDir::new();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority for tests");
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        fs::write(home.path().join("ca.crt"), cert.pem()).expect("ca.crt");
        Self {
            home,
            issuer: Issuer::new(params, key),
        }
    }

    /// Where its certificate is.
    pub fn ca(&self) -> PathBuf {
        self.home.path().join("ca.crt")
    }

    /// Where all its files are.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The certificate of a server that is reached under these names.
    pub fn server(&self, file: &str, names: &[&str]) -> Files {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.sign(file, CertificateParams::new(names).expect("names"))
    }

    /// The certificate of a client with this common name.
    pub fn client(&self, file: &str, common_name: &str) -> Files {
        self.client_with(file, common_name, |_| {})
    }

    /// The same, with more in it.
    pub fn client_with(
        &self,
        file: &str,
        common_name: &str,
        more: impl FnOnce(&mut CertificateParams),
    ) -> Files {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        more(&mut params);
        self.sign(file, params)
    }

    fn sign(&self, file: &str, params: CertificateParams) -> Files {
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = Files {
            cert: self.home().join(format!("{file}.crt")),
            key: self.home().join(format!("{file}.key")),
        };
        fs::write(&files.cert, cert.pem()).expect("the certificate");
        fs::write(&files.key, key.serialize_pem()).expect("the key");
        fs::write(files.key_der(), key.serialize_der()).expect("the key once more");
        for file in [&files.key, &files.key_der()] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(file, mode).expect("the key is its owner's");
        }
        files
    }
}

/// An alternative name that is a URI.
pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("a URI"))
}
