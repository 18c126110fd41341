//! The floor of the benchmarks: a relay that copies bytes between one client and one server.
//!
//! It knows nothing of the protocol, has no pool and one thread. What it costs is what tokio and
//! the kernel cost; whatever a pooler costs above it is the pooler's own. `benches/compare.py`
//! measures it beside the others.
//!
//! ```text
//! floor LISTEN UPSTREAM        floor 127.0.0.1:7000 127.0.0.1:5432
//! ```

use std::{
    cell::RefCell,
    error::Error,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// As much as one read can take.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    /// One buffer for all connections: it is only used within a single poll, so a connection
    /// at rest holds none.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (args.next(), args.next()) else {
        return Err("usage: floor LISTEN UPSTREAM".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&listen, upstream))
}

async fn serve(listen: &str, upstream: String) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (client, _) = listener.accept().await?;
        let upstream = upstream.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "no pgusher code here, so no net::spawn"
        )]
        tokio::spawn(async move {
            // A relay ends with an error whenever one side hangs up: nothing to report.
            let _ended = relay(client, &upstream).await;
        });
    }
}

/// What could not be written at once, and to whom.
enum Stuck {
    ToServer(Vec<u8>),
    ToClient(Vec<u8>),
}

async fn relay(mut client: TcpStream, upstream: &str) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    loop {
        let stuck = poll_fn(|cx| {
            BUFFER.with_borrow_mut(|buffer| {
                if let Poll::Ready(rest) = copy(&mut server, &client, cx, buffer)? {
                    return Poll::Ready(io::Result::Ok(Stuck::ToClient(rest)));
                }
                copy(&mut client, &server, cx, buffer).map_ok(Stuck::ToServer)
            })
        });
        match stuck.await? {
            Stuck::ToServer(rest) => server.write_all(&rest).await?,
            Stuck::ToClient(rest) => client.write_all(&rest).await?,
        }
    }
}

/// Copies until `from` has nothing more to say; ready with what `to` would not take.
///
/// It reads with `poll_read`, not `try_read`: tokio's `poll_read` takes a short read as a sign that
/// the socket is empty, `try_read` asks the kernel once more to be told so.
fn copy(
    from: &mut TcpStream,
    to: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<Vec<u8>>> {
    loop {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let written = match to.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            result => result?,
        };
        if let Some(rest @ [_, ..]) = bytes.get(written..) {
            return Poll::Ready(Ok(rest.to_vec()));
        }
    }
}
