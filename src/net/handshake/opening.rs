//! How a client opens the conversation: what it asks for before it says who it is.

use std::{future::poll_fn, io, sync::Arc};

use super::{Broken, Dialogue, End, Lobby};
use crate::{
    error::{Error, Kind},
    net::tls::{
        Tls,
        clients::{Acceptor, Shown},
    },
    wire::{
        startup::{self, Negotiated, Opening, Startup},
        write,
    },
};

/// Encryption requests that are answered before a client must begin: one of each kind (A9).
const MOST_REQUESTS: usize = 2;

/// How the first message of a TLS handshake begins. As the length of a startup packet it would be
/// an impossible one.
const HANDSHAKE: u8 = 0x16;

/// What a client has said so far.
pub(super) struct Opened {
    pub(super) startup: Startup,
    /// What its TLS handshake has shown; `None` = it is not encrypted.
    pub(super) shown: Option<Shown>,
}

/// A proxy comes in, and says for whom. Who is none, or says nothing that can be understood, hears
/// nothing.
pub(super) async fn announced(lobby: &Lobby, dialogue: &mut Dialogue) -> Result<(), End> {
    let noted = |text: String| End::Noted(Error::new(Kind::ProtocolViolation, text));
    let from = dialogue.source();
    let config = lobby.config();
    let is_proxy = |from| config.listen.proxies.iter().any(|it| it.has(from));
    if !from.is_none_or(is_proxy) {
        let text = "a connection to listen.proxy.address comes from none of its networks";
        return Err(noted(text.to_owned()));
    }
    match dialogue.announced().await {
        Err(Broken::Proxy(bad)) => Err(noted(Broken::Proxy(bad).to_string())),
        other => Ok(other?),
    }
}

/// The first messages, up to the startup message or a cancel request.
pub(super) async fn open(lobby: &Lobby, dialogue: &mut Dialogue) -> Result<Opened, End> {
    let tls = &lobby.keys.tls;
    let acceptor = tls.acceptor();
    let insists = !dialogue.is_local() && acceptor.as_ref().is_some_and(|it| it.insists());
    // On a unix socket there is none, as in PostgreSQL: not even for a proxy's clients.
    let acceptor = acceptor.filter(|_| !dialogue.stream().is_unix());
    let mut shown = match &acceptor {
        Some(acceptor) => begin_encrypted(tls, acceptor, dialogue).await?,
        None => None,
    };
    for answered in 0..=MOST_REQUESTS {
        let packet = dialogue.startup_packet().await?;
        let asked = startup::parse(&packet).map_err(Broken::Startup)?;
        match asked {
            Opening::Startup(startup) => {
                if shown.is_none() && insists {
                    return Err(unencrypted());
                }
                announce(dialogue, &startup).await?;
                return Ok(Opened { startup, shown });
            }
            Opening::Cancel { pid, secret } => {
                lobby.cancel(pid, &secret);
                return Err(End::Silent);
            }
            // Inside of TLS nobody asks for more of it, as in PostgreSQL.
            _ if answered == MOST_REQUESTS || shown.is_some() => break,
            Opening::Ssl | Opening::Gss => {
                // What was sent behind the request, before its answer, can only come from
                // somebody who pretends to be the client (A1).
                if dialogue.has_more() {
                    let message = "received unencrypted data after an encryption request";
                    return Err(Error::new(Kind::ProtocolViolation, message).into());
                }
                match acceptor.as_ref().filter(|_| asked == Opening::Ssl) {
                    Some(acceptor) => {
                        dialogue.write(b"S").await?;
                        shown = Some(encrypt(tls, acceptor, dialogue).await?);
                    }
                    None => dialogue.write(b"N").await?,
                }
            }
        }
    }
    Err(Error::new(Kind::ProtocolViolation, "too many encryption requests").into())
}

/// A client may begin with the handshake at once, if it says in it which protocol it will speak:
/// the bytes of another one may be made to look like ours.
async fn begin_encrypted(
    tls: &Tls,
    acceptor: &Arc<Acceptor>,
    dialogue: &mut Dialogue,
) -> Result<Option<Shown>, End> {
    let first = poll_fn(|cx| dialogue.stream().poll_first_byte(cx)).await?;
    if first != Some(HANDSHAKE) {
        return Ok(None);
    }
    let shown = encrypt(tls, acceptor, dialogue).await?;
    if !shown.knows_protocol {
        let message =
            "received direct SSL connection request without ALPN protocol negotiation extension";
        return Err(Error::new(Kind::ProtocolViolation, message).into());
    }
    Ok(Some(shown))
}

async fn encrypt(
    tls: &Tls,
    acceptor: &Arc<Acceptor>,
    dialogue: &mut Dialogue,
) -> Result<Shown, End> {
    dialogue.secure(tls, acceptor).await.map_err(failed)
}

/// A handshake that fails has told the client why, in its own way.
fn failed(error: io::Error) -> End {
    match error.kind() {
        // It is TLS that found something wrong, and not the socket that broke.
        io::ErrorKind::InvalidData => {
            let error = Error::new(
                Kind::TlsFailed,
                format!("the TLS handshake failed: {error}"),
            );
            End::Noted(error)
        }
        _ => End::Silent,
    }
}

fn unencrypted() -> End {
    Error::new(Kind::TlsRequired, "this server requires TLS")
        .hint("Connect with sslmode=require, or a stronger one.")
        .into()
}

/// Tells a client that asked for more than there is what it gets (A8).
async fn announce(dialogue: &mut Dialogue, startup: &Startup) -> Result<(), End> {
    if let Some(announcement) = negotiated(startup).announce {
        let mut out = Vec::new();
        write::negotiate_protocol(
            &mut out,
            announcement.version.number(),
            announcement.unknown,
        );
        dialogue.write(&out).await?;
    }
    Ok(())
}

pub(super) fn negotiated(startup: &Startup) -> Negotiated<'_> {
    startup::negotiate(startup.version, &startup.unknown_options)
}

/// What can be refused before anybody is asked for a password.
pub(super) fn check(lobby: &Lobby, startup: &Startup) -> Result<(), End> {
    if lobby.is_closed() {
        return Err(Error::new(Kind::ShuttingDown, "pgusher is shutting down").into());
    }
    let most = lobby.config().listen.max_clients;
    if lobby.clients() > most {
        let hint = format!("The limit is max_clients = {most}.");
        return Err(
            Error::new(Kind::TooManyClients, "sorry, too many clients already")
                .hint(hint)
                .into(),
        );
    }
    if startup.replication {
        let message = "replication connections cannot be pooled";
        let hint = "Connect to the database server directly.";
        return Err(Error::new(Kind::UnsupportedProtocol, message)
            .hint(hint)
            .into());
    }
    Ok(())
}
