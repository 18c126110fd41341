//! TLS for those who connect to us.

use std::{io, sync::Arc};

use rustls::{
    ServerConfig, ServerConnection,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{ALPN, chain, provider, roots, unfit};
use crate::{
    auth::certificate,
    config::{
        settings::ClientTls,
        tls::{TlsMode, TlsVersion},
    },
};

/// The longest record that is sent. libpq reads a socket in pieces of 8 kB; told by `poll` that
/// there is nothing more, it would wait for the rest of a longer one while it holds it (I2).
const RECORD: usize = 8192;

/// What lets clients in.
pub(in crate::net) struct Acceptor {
    config: Arc<ServerConfig>,
    mode: TlsMode,
    /// The hash of our certificate, to which a login may be bound.
    end_point: Option<Arc<[u8]>>,
}

impl Acceptor {
    pub(super) fn new(tls: &ClientTls) -> Result<Self, String> {
        let versions: &[_] = match tls.min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?;
        let builder = match &tls.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(roots(ca)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match tls.mode {
                    TlsMode::VerifyCa | TlsMode::VerifyFull => verifier,
                    _ => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build();
                let wrong = |error| format!("{}: {error}", ca.path.display());
                builder.with_client_cert_verifier(verifier.map_err(wrong)?)
            }
        };
        let (certs, key) = chain(&tls.identity)?;
        let end_point = certs.first().and_then(|cert| certificate::end_point(cert));
        let config = builder.with_single_cert(certs, key);
        let mut config = config.map_err(|error| unfit(&tls.identity, &error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_fragment_size = Some(RECORD);
        config.ignore_client_order = true;
        // Drivers begin each connection anew, and a ticket would be sent to all of them.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            config: Arc::new(config),
            mode: tls.mode,
            end_point: end_point.map(Arc::from),
        })
    }

    /// Who comes without TLS is refused.
    pub(in crate::net) fn insists(&self) -> bool {
        self.mode >= TlsMode::Require
    }

    /// The handshake.
    pub(in crate::net) async fn accept(
        &self,
        stream: &mut TcpStream,
    ) -> io::Result<(ServerConnection, Shown)> {
        let accepted = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let (_, session) = accepted.await?.into_inner();
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let shown = Shown {
            certificate: certificate.map(|it| it.as_ref().to_vec()),
            server_name: session.server_name().map(str::to_owned),
            knows_protocol: session.alpn_protocol() == Some(ALPN),
            end_point: self.end_point.clone(),
        };
        Ok((session, shown))
    }
}

/// What a handshake has shown.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct Shown {
    /// The client's own certificate. It is verified, and the client has its key.
    pub(in crate::net) certificate: Option<Vec<u8>>,
    /// The name under which it looked for us.
    pub(in crate::net) server_name: Option<String>,
    /// It has said that it will speak PostgreSQL's protocol.
    pub(in crate::net) knows_protocol: bool,
    /// What a login may be bound to.
    pub(in crate::net) end_point: Option<Arc<[u8]>>,
}
