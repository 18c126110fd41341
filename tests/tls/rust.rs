//! A client with rustls: what it trusts, what it shows, and a stream to speak on.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::support::{Authority, patience};

/// Trusts the authority, and shows nothing.
pub(crate) fn config(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(authority.ca()).unwrap() {
        roots.add(cert.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Asks for TLS and begins it.
pub(crate) fn connect(port: u16, config: ClientConfig, name: &str) -> Stream {
    let mut stream = plain(port);
    stream.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    over(stream, config, name)
}

pub(crate) fn plain(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    // What is sent in two pieces would wait for what is on its way back.
    stream.set_nodelay(true).unwrap();
    stream
}

/// Begins TLS on a stream.
pub(crate) fn over(stream: TcpStream, config: ClientConfig, name: &str) -> Stream {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, stream)
}

/// A startup message.
pub(crate) fn startup(user: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let parameters = [("user", user), ("database", "postgres")];
    let parameters = parameters.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    pgusher::wire::write::startup(&mut out, 3 << 16, parameters);
    out
}

/// Everything up to the end of the stream, or to its error.
pub(crate) fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..read]);
    }
    all
}

/// The next message: its type and its body.
pub(crate) fn next(stream: &mut impl Read) -> Result<(u8, Vec<u8>), String> {
    let mut header = [0; 5];
    let mut body = Vec::new();
    let outcome = stream.read_exact(&mut header).and_then(|()| {
        let size = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
        body.resize(size - 4, 0);
        stream.read_exact(&mut body)
    });
    outcome.map_err(|error| error.to_string())?;
    Ok((header[0], body))
}

/// Reads messages up to a ReadyForQuery; the text of an error is the failure.
pub(crate) fn until_ready(stream: &mut impl Read) -> Result<Vec<(u8, Vec<u8>)>, String> {
    let mut messages = Vec::new();
    loop {
        match next(stream)? {
            (b'E', body) => return Err(body.escape_ascii().to_string()),
            (b'Z', _) => return Ok(messages),
            message => messages.push(message),
        }
    }
}
