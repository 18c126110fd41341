//! TLS: what is typed about it, in `[listen.tls]` and in the URLs of servers, and what that means.
//!
//! Certificates and keys are read here, as text. Whether they are what they should be says whoever
//! knows TLS, before the configuration is taken over.

use std::{
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::file::File;
use super::problems::Problems;
use super::schema::section;
use super::secret::Sources;

/// All authorities that a system trusts take a quarter of it.
const MAX_PEM_BYTES: u64 = 4 << 20;

section! {
    /// TLS for clients.
    Tls {
        /// What clients must do. `allow` and `prefer`: those that ask for TLS get it. `require`: all
        /// must ask for it, but on unix sockets. `verify-ca` and `verify-full`: and they must show a
        /// certificate that `client_ca` has signed.
        mode: TlsMode = TlsMode::Prefer;
        /// The certificate and its chain, PEM. Relative paths start beside this file. What is in the
        /// files counts at the start and from each reload on, for connections that come then.
        cert: Option<PathBuf> = None, unset "must be given" example r#""server.crt""#;
        /// Its private key, PEM.
        key: Option<PathBuf> = None, unset "must be given" example r#""server.key""#;
        /// Who signs client certificates, PEM; the `verify-` modes need it. With another mode
        /// clients may show a certificate, and one that they show must be signed so.
        client_ca: Option<PathBuf> = None, unset "none" example r#""clients-ca.crt""#;
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = TlsVersion::V1_2;
    }
}

/// How much TLS there must be; on a server's side what libpq's `sslmode` of that name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsMode {
    /// None.
    Disable,
    /// Where the other side insists.
    Allow,
    /// Where the other side can.
    Prefer,
    /// Always.
    Require,
    /// And a certificate of a known authority.
    VerifyCa,
    /// And, of a server, one with its name in it.
    VerifyFull,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2: older ones are not spoken at all.
    V1_2,
    /// 1.3.
    V1_3,
}

/// A file of certificates, or of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// Where it was read.
    pub path: PathBuf,
    /// What stood there.
    pub text: Zeroizing<String>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({})", self.path.display())
    }
}

/// A certificate with its chain, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain.
    pub cert: Pem,
    /// The key.
    pub key: Pem,
}

/// TLS for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// What they must do.
    pub mode: TlsMode,
    /// What they are shown.
    pub identity: Identity,
    /// Who signs theirs; `None` = they are not asked for one.
    pub client_ca: Option<Pem>,
    /// The oldest version.
    pub min_version: TlsVersion,
}

/// TLS to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// How much there must be.
    pub mode: TlsMode,
    /// It begins at once, without asking.
    pub direct: bool,
    /// Who signs servers' certificates.
    pub roots: Roots,
    /// What the server is shown, if it asks.
    pub identity: Option<Identity>,
    /// Whether a login is bound to the connection.
    pub binding: Binding,
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Of the authorities that the system trusts.
    System,
    /// Of these.
    Of(Pem),
}

/// Whether a login must prove that it is made on this very connection (SCRAM-SHA-256-PLUS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// It does not.
    Disable,
    /// If the server can.
    Prefer,
    /// Otherwise there is none.
    Require,
}

/// What a URL says of TLS.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub(super) mode: Option<TlsMode>,
    pub(super) direct: bool,
    pub(super) roots: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) binding: Option<Binding>,
}

impl ServerTls {
    /// None at all: on sockets of this machine's files.
    pub const NONE: Self = Self {
        mode: TlsMode::Disable,
        direct: false,
        roots: Roots::System,
        identity: None,
        binding: Binding::Prefer,
    };
}

pub(super) fn pem(path: &Path, sources: &Sources<'_>) -> Result<Pem, String> {
    Ok(Pem {
        path: sources.directory().join(path),
        text: Zeroizing::new(sources.file(path, MAX_PEM_BYTES)?),
    })
}

fn is_open_to_all(path: &Path) -> bool {
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|it| it.permissions().mode() & 0o004 != 0)
}

/// TLS for clients; `None` if there is none. What is missing is noted.
pub(super) fn for_clients(
    file: &File,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> Option<ClientTls> {
    let typed = file.listen.tls.as_ref()?;
    if typed.mode == TlsMode::Disable {
        return None;
    }
    if typed.mode >= TlsMode::VerifyCa && typed.client_ca.is_none() {
        let text = "[listen.tls] has no client_ca, and its mode asks for client certificates";
        problems.at("listen.tls", "mode", text);
    }
    let mut read = |key: &str, path: Option<&PathBuf>| {
        let read = path.map(|path| pem(path, sources)).transpose();
        read.map_err(|error| problems.key("listen.tls", key, error))
            .ok()
            .flatten()
    };
    let cert = read("cert", typed.cert.as_ref());
    let key = read("key", typed.key.as_ref());
    let client_ca = read("client_ca", typed.client_ca.as_ref());
    for (key, path) in [("cert", &typed.cert), ("key", &typed.key)] {
        if path.is_none() {
            problems.at("listen.tls", "", format_args!("[listen.tls] has no {key}"));
        }
    }
    let identity = Identity {
        cert: cert?,
        key: key?,
    };
    if is_open_to_all(&identity.key.path) {
        let text = "the key in [listen.tls] can be read by everybody on this machine";
        problems.warn("listen.tls", "key", text);
    }
    Some(ClientTls {
        mode: typed.mode,
        identity,
        client_ca,
        min_version: typed.min_version,
    })
}

/// TLS to the server of a URL. The error goes on from the key's name.
pub(super) fn for_server(typed: &Typed, sources: &Sources<'_>) -> Result<ServerTls, String> {
    let mode = typed.mode.unwrap_or(TlsMode::Prefer);
    if typed.direct && mode < TlsMode::Require {
        return Err(
            "asks for sslnegotiation=direct: that takes sslmode=require or stronger".to_owned(),
        );
    }
    let roots = match typed.roots.as_deref() {
        None | Some("system") => Roots::System,
        Some(path) => Roots::Of(pem(Path::new(path), sources)?),
    };
    // As libpq: who gives authorities wants them to count, and the system's vouch for names only.
    let mode = match (mode, typed.roots.as_deref()) {
        (TlsMode::Require, Some("system")) => TlsMode::VerifyFull,
        (TlsMode::Require, Some(_)) => TlsMode::VerifyCa,
        (TlsMode::VerifyCa, None | Some("system")) => {
            return Err(
                "has sslmode=verify-ca and names no sslrootcert: anybody has a certificate of the system's authorities, so take verify-full"
                    .to_owned(),
            );
        }
        (mode, _) => mode,
    };
    let identity = match (&typed.cert, &typed.key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(Identity {
            cert: pem(Path::new(cert), sources)?,
            key: pem(Path::new(key), sources)?,
        }),
        _ => return Err("has one of sslcert and sslkey, and takes both".to_owned()),
    };
    Ok(ServerTls {
        mode,
        direct: typed.direct,
        roots,
        identity,
        binding: typed.binding.unwrap_or(Binding::Prefer),
    })
}
