//! TLS to servers.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    ALPN, certificates, chain, provider, roots, unfit,
    verifier::{Trusted, Verifier},
};
use crate::{
    auth::{certificate, upstream::Channel},
    config::{
        settings::ServerTls,
        tls::{Binding, Roots, TlsMode},
    },
    wire::write,
};

/// What leads to the servers of one URL.
pub(in crate::net) struct Connector {
    /// `None` = there is no TLS at all.
    config: Option<Arc<ClientConfig>>,
    mode: TlsMode,
    direct: bool,
    binding: Binding,
}

/// One way to begin a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Try {
    /// Without TLS.
    Plain,
    /// With TLS, if the server has it.
    Offered,
    /// With TLS.
    Encrypted,
}

/// Why there is no TLS.
#[derive(Debug)]
pub(in crate::net) enum NoTls {
    /// The socket broke, or what was said on it makes no sense.
    Io(io::Error),
    /// The server has none.
    Declined,
}

impl NoTls {
    /// It is so by configuration, here or there: trying again changes nothing.
    pub(in crate::net) fn is_lasting(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::InvalidData,
            Self::Declined => true,
        }
    }
}

impl From<io::Error> for NoTls {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for NoTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "TLS: {error}"),
            Self::Declined => f.write_str("it has no TLS, and sslmode asks for it"),
        }
    }
}

impl Connector {
    pub(super) fn new(tls: &ServerTls) -> Result<Self, String> {
        let config = match tls.mode {
            TlsMode::Disable => None,
            _ => Some(Arc::new(config(tls)?)),
        };
        Ok(Self {
            config,
            mode: tls.mode,
            direct: tls.direct,
            binding: tls.binding,
        })
    }

    /// The ways to try, one after the other.
    pub(in crate::net) fn tries(&self) -> &'static [Try] {
        match self.mode {
            TlsMode::Disable => &[Try::Plain],
            TlsMode::Allow => &[Try::Plain, Try::Encrypted],
            TlsMode::Prefer => &[Try::Offered, Try::Plain],
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => &[Try::Encrypted],
        }
    }

    /// Begins TLS on a connection to `host`; `None` if the server has none and need not.
    pub(in crate::net) async fn secure(
        &self,
        how: Try,
        host: &str,
        mut stream: TcpStream,
    ) -> Result<(TcpStream, Option<ClientConnection>), NoTls> {
        if how == Try::Plain {
            return Ok((stream, None));
        }
        if !self.direct && !asks(&mut stream).await? {
            return match how {
                Try::Offered => Ok((stream, None)),
                _ => Err(NoTls::Declined),
            };
        }
        let (stream, session) = self.shake_hands(host, stream).await?.into_inner();
        Ok((stream, Some(session)))
    }

    /// What a login on such a connection can be bound to, and must be.
    pub(in crate::net) fn channel(&self, session: Option<&ClientConnection>) -> Channel {
        let chain = session.and_then(|session| session.peer_certificates());
        let end_point = chain.and_then(|chain| certificate::end_point(chain.first()?));
        match (self.binding, end_point) {
            (Binding::Disable, _) | (Binding::Prefer, None) => Channel::Open,
            (Binding::Prefer, Some(hash)) => Channel::Bindable(hash),
            (Binding::Require, Some(hash)) => Channel::Binding(hash),
            (Binding::Require, None) => Channel::Unbindable,
        }
    }

    async fn shake_hands(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, NoTls> {
        let Some(config) = &self.config else {
            return Err(NoTls::Declined);
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the host is no name"))?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, stream).await?;
        // As libpq: what is not PostgreSQL would have to be told by its first bytes.
        if self.direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            let text = "the server did not agree to speak PostgreSQL's protocol";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
        }
        Ok(stream)
    }
}

/// How a connection was encrypted, for another one to the same server.
#[derive(Clone)]
pub(crate) struct Secured {
    connector: Arc<Connector>,
    host: Arc<str>,
}

impl std::fmt::Debug for Secured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secured").field(&self.host).finish()
    }
}

impl Secured {
    pub(in crate::net) fn new(connector: &Arc<Connector>, host: &str) -> Self {
        Self {
            connector: Arc::clone(connector),
            host: Arc::from(host),
        }
    }

    /// The same once more, on `stream`.
    pub(in crate::net) async fn over(
        &self,
        mut stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let connector = &self.connector;
        let secured = match connector.direct || asks(&mut stream).await? {
            true => connector.shake_hands(&self.host, stream).await,
            false => Err(NoTls::Declined),
        };
        secured.map_err(|error| match error {
            NoTls::Io(error) => error,
            declined => io::Error::new(io::ErrorKind::ConnectionRefused, declined.to_string()),
        })
    }
}

/// Asks a server for TLS.
///
/// Its answer is read alone: what somebody between us has put behind it would else be taken for a
/// part of what was said inside. An error is not listened to, for it could be anybody's (A1).
async fn asks(stream: &mut TcpStream) -> io::Result<bool> {
    let mut request = Vec::new();
    write::ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        _ => {
            let text = "it did not say whether it has it";
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

fn config(tls: &ServerTls) -> Result<ClientConfig, String> {
    let provider = provider();
    let verifier = Verifier {
        provider: Arc::clone(&provider),
        trusted: trusted(tls)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (certs, key) = chain(identity)?;
            let config = builder.with_client_auth_cert(certs, key);
            config.map_err(|error| unfit(identity, &error))?
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    // PostgreSQL keeps no sessions to come back to.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Whom the servers of a URL are to be vouched for by; `None` if by nobody.
fn trusted(tls: &ServerTls) -> Result<Option<Trusted>, String> {
    let with_name = match tls.mode {
        TlsMode::Disable | TlsMode::Allow | TlsMode::Prefer | TlsMode::Require => return Ok(None),
        TlsMode::VerifyCa => false,
        TlsMode::VerifyFull => true,
    };
    let (roots, own) = match &tls.roots {
        Roots::System => (system_roots()?.clone(), Vec::new()),
        Roots::Of(pem) => (roots(pem)?, certificates(pem)?),
    };
    Ok(Some(Trusted {
        roots,
        own,
        with_name,
    }))
}

/// The authorities that the system trusts: looked up once, they are many.
pub(in crate::net) fn system_roots() -> Result<&'static RootCertStore, String> {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found: Vec<CertificateDer<'static>> = rustls_native_certs::load_native_certs().certs;
        roots.add_parsable_certificates(found);
        roots
    });
    match roots.is_empty() {
        true => Err(
            "the system trusts no authorities that could be found: name some with sslrootcert"
                .to_owned(),
        ),
        false => Ok(roots),
    }
}
