//! TLS: what is made of the configuration once, and used for each connection.

pub(super) mod clients;
pub(crate) mod layer;
mod porters;
pub(super) mod servers;
mod verifier;

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    RootCertStore, ServerConnection, SupportedCipherSuite,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use socket2::SockRef;
use tokio::net::TcpStream;

use self::{
    clients::{Acceptor, Shown},
    porters::Porters,
    servers::Connector,
};
use crate::{
    config::{
        settings::{Config, ServerTls},
        tls::{Identity, Pem},
    },
    sync::Mutex,
};

/// The name of PostgreSQL's protocol among those that may be spoken inside of TLS.
const ALPN: &[u8] = b"postgresql";

/// The cryptography behind all of it.
///
/// With TLS 1.2 ChaCha20 goes first: with AES a connection has to end after 2^24 records, because
/// that version has no way to change its keys.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| match suite {
        SupportedCipherSuite::Tls13(_) => 0,
        SupportedCipherSuite::Tls12(suite) if suite.common.confidentiality_limit == u64::MAX => 1,
        SupportedCipherSuite::Tls12(_) => 2,
    });
    Arc::new(provider)
}

/// What holds now, for everybody who begins a connection.
#[derive(Default)]
pub(crate) struct Tls {
    made: Mutex<Made>,
    /// Started when there is something for them to do; `None` = they could not be.
    porters: OnceLock<Option<Porters>>,
}

/// What was made of one configuration.
#[derive(Clone, Default)]
pub(crate) struct Made {
    acceptor: Option<Arc<Acceptor>>,
    connectors: Vec<(Arc<ServerTls>, Arc<Connector>)>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").finish_non_exhaustive()
    }
}

impl Made {
    /// What `config` asks for.
    ///
    /// # Errors
    /// What is wrong with its certificates and keys, in one line.
    pub(crate) fn of(config: &Config) -> Result<Self, String> {
        let acceptor = config.listen.tls.as_ref().map(Acceptor::new);
        let acceptor = acceptor.transpose();
        let mut made = Self {
            acceptor: acceptor
                .map_err(|error| format!("[listen.tls]: {error}"))?
                .map(Arc::new),
            connectors: Vec::new(),
        };
        for (what, tls) in config.servers() {
            made.connector(tls)
                .map_err(|error| format!("{what}: {error}"))?;
        }
        Ok(made)
    }

    /// What leads to these servers; made if there is none yet.
    fn connector(&mut self, tls: &Arc<ServerTls>) -> Result<Arc<Connector>, String> {
        // Comparing them compares pointers first.
        if let Some((_, connector)) = self.connectors.iter().find(|(of, _)| of == tls) {
            return Ok(Arc::clone(connector));
        }
        let connector = Arc::new(Connector::new(tls)?);
        self.connectors
            .push((Arc::clone(tls), Arc::clone(&connector)));
        Ok(connector)
    }
}

impl Tls {
    /// From now on this holds.
    pub(crate) fn replace(&self, made: Made) {
        *self.made.lock() = made;
    }

    /// What lets clients in; `None` if there is no TLS for them.
    pub(super) fn acceptor(&self) -> Option<Arc<Acceptor>> {
        self.made.lock().acceptor.clone()
    }

    /// The handshake with a client, where it holds up nobody else. `stream` must not be read or
    /// written meanwhile.
    pub(super) async fn accept(
        &self,
        acceptor: &Arc<Acceptor>,
        stream: &mut TcpStream,
    ) -> io::Result<(ServerConnection, Shown)> {
        let started = self.porters.get_or_init(|| Porters::start().ok());
        let Some(porters) = started else {
            return acceptor.accept(stream).await;
        };
        let socket = SockRef::from(&*stream).try_clone()?;
        porters
            .shake_hands(Arc::clone(acceptor), socket.into())
            .await
    }

    /// What leads to a server. One that was not made yet is made now.
    pub(super) fn connector(&self, tls: &Arc<ServerTls>) -> Result<Arc<Connector>, String> {
        self.made.lock().connector(tls)
    }
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.as_bytes()).collect();
    let wrong = |what: &str| format!("{} {what}", pem.path.display());
    match read {
        Ok(found) if found.is_empty() => Err(wrong("has no certificate in it")),
        Ok(found) => Ok(found),
        Err(_) => Err(wrong("is no PEM file of certificates")),
    }
}

fn chain(identity: &Identity) -> Result<Chain, String> {
    let key = PrivateKeyDer::from_pem_slice(identity.key.text.as_bytes());
    let path = identity.key.path.display();
    // What the reader has to say may hold a piece of the key.
    let key = key.map_err(|_| format!("{path} has no private key in it that is not encrypted"))?;
    Ok((certificates(&identity.cert)?, key))
}

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The authorities in a file.
pub(super) fn roots(pem: &Pem) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{}: {error}", pem.path.display()))?;
    }
    Ok(roots)
}

/// What rustls says of a certificate and its key.
fn unfit(identity: &Identity, error: &rustls::Error) -> String {
    let (cert, key) = (identity.cert.path.display(), identity.key.path.display());
    match error {
        rustls::Error::InconsistentKeys(_) => format!("{key} is not the key of {cert}"),
        error => format!("{cert} and {key} cannot be used: {error}"),
    }
}
