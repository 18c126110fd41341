//! `pgusher health`: asks the process that serves whether it is healthy.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// How long the process may take for each step.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the process that serves `[http].address` whether it is healthy: `pgusher health`.
///
/// # Errors
/// When it is not, or nobody answers; the text says which.
pub fn check_health(address: Option<SocketAddr>) -> Result<(), String> {
    let address =
        address.ok_or("the configuration has no [http] section: nothing answers for health")?;
    let address = reachable(address);
    let code = ask(address, "/healthz")
        .map_err(|error| format!("no answer from http://{address}/healthz: {error}"))?;
    match code.as_str() {
        "200" => Ok(()),
        code => Err(format!("http://{address}/healthz answered {code}")),
    }
}

/// What listens on every address of the machine is asked on the one that is always there.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The status code that a GET is answered with.
fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    // "HTTP/1.1 200"
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    let status = std::str::from_utf8(&status)
        .ok()
        .filter(|it| it.starts_with("HTTP/1."));
    let code = status.and_then(|it| it.split(' ').nth(1));
    code.map(str::to_owned)
        .ok_or_else(|| io::Error::other("this is not HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_on_the_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:9930", "127.0.0.1:9930"),
            ("[::]:9930", "[::1]:9930"),
            ("10.0.0.7:1", "10.0.0.7:1"),
        ] {
            let address: SocketAddr = listening.parse().expect("an address");
            assert_eq!(reachable(address).to_string(), asked);
        }
    }
}
