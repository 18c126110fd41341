//! What is served over HTTP: health and metrics for machines, the dashboard for people.
//!
//! `/healthz` says that the process serves; `/readyz` says whether new clients should be sent
//! here; `/metrics` is for Prometheus; `/` is the dashboard's page ([`page`]) and `/api/state` its
//! data. Who may see which is decided in [`access`].
//!
//! It is as much of HTTP/1.1 as that takes. One request is answered on each connection, which is
//! then closed. No body is read, and whoever is slow or long-winded is hung up on. Everything runs
//! on the thread that accepts clients, never on those that relay, and what takes long on threads
//! of its own.

mod access;
mod answer;
mod page;
mod probe;
mod request;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tracing::{info, warn};

use self::{
    access::{Access, Room},
    answer::{Answer, Status},
    request::Request,
};
use crate::{
    config::settings,
    metrics::{Format, Observatory},
    sync::Mutex,
};

pub use self::probe::check_health;

/// Connections at once: a few probes, a few dashboards, which open one for each request.
const MOST_CONNECTIONS: usize = 64;

/// How long a request may take from its first byte to its last.
const ASKING: Duration = Duration::from_secs(5);

/// How long an answer may take. A phone far away gets a large one in this time.
const ANSWERING: Duration = Duration::from_secs(15);

/// What a wrong password costs: with so many connections, about a hundred guesses a second.
const WRONG_GUESS: Duration = Duration::from_millis(500);

/// Wrong passwords are logged once in this time.
const QUIET: Duration = Duration::from_secs(10);

/// Answers that are written at once; the others wait for their turn. However many ask, clients
/// keep nearly all of the machine.
const MOST_WRITERS: usize = 2;

/// Longer answers are compressed on a thread of their own.
const QUICK_GZIP: usize = 64 * 1024;

/// The pause after an accept that failed for want of something (H3).
const PAUSE: Duration = Duration::from_millis(100);

/// What there is to be seen, by whoever knows it.
pub(crate) trait House: Send + Sync + 'static {
    /// Whether new clients should be sent here; if not, why.
    fn readiness(&self) -> Result<(), String>;

    /// The dashboard's data: JSON.
    fn state(&self) -> impl Future<Output = String> + Send;

    /// All metrics in the form that this `Accept` header prefers, and the name of that form.
    fn metrics(&self, accept: &str) -> impl Future<Output = (&'static str, String)> + Send;
}

impl House for Arc<Observatory> {
    fn readiness(&self) -> Result<(), String> {
        self.is_ready()
    }

    async fn state(&self) -> String {
        Observatory::state(self).await
    }

    async fn metrics(&self, accept: &str) -> (&'static str, String) {
        let format = Format::negotiate(accept);
        (format.content_type(), self.page(format).await)
    }
}

/// Where requests are answered.
pub(crate) struct Http {
    listener: TcpListener,
    access: Access,
    address: SocketAddr,
}

/// What all connections share.
struct Site<H> {
    house: H,
    access: Access,
    /// Whose turn it is to have an answer written that is work.
    turns: Semaphore,
    /// When a wrong password was last logged.
    wrong: Mutex<Option<Instant>>,
}

impl Http {
    /// Listens.
    pub(crate) async fn bind(settings: &settings::Http) -> io::Result<Self> {
        let address = settings.address;
        let cannot = |error: io::Error| {
            let text = format!("cannot serve [http] on {address}: {error}");
            io::Error::new(error.kind(), text)
        };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self {
            access: Access::new(settings, address),
            listener,
            address,
        })
    }

    /// Answers until it is dropped.
    pub(crate) async fn run<H: House>(self, house: H) {
        info!(address = %self.address, "answering /healthz and /readyz");
        if self.access.is_closed() {
            info!(address = %self.address, "answering /metrics; {}", access::CLOSED);
        } else {
            info!(
                "answering /metrics; the dashboard is at http://{}/",
                self.address
            );
        }
        let site = Arc::new(Site {
            house,
            access: self.access,
            turns: Semaphore::new(MOST_WRITERS),
            wrong: Mutex::new(None),
        });
        let mut answering = Answering::default();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let site = Arc::clone(&site);
                    answering.add(async move {
                        // Whoever hangs up has the answer, or does not want one.
                        let _ = serve(stream, peer, &site).await;
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection to [http]");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// The connections that are being served. When there are too many, the one that came first has had
/// the longest time, and goes: those who hold connections must not keep probes from being answered.
#[derive(Default)]
struct Answering {
    tasks: JoinSet<()>,
    order: VecDeque<AbortHandle>,
}

impl Answering {
    fn add(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.order.retain(|task| !task.is_finished());
        if self.order.len() >= MOST_CONNECTIONS
            && let Some(first) = self.order.pop_front()
        {
            first.abort();
        }
        self.order.push_back(self.tasks.spawn(task));
    }
}

async fn serve<H: House>(
    mut stream: TcpStream,
    peer: SocketAddr,
    site: &Site<H>,
) -> io::Result<()> {
    let read = timeout(ASKING, read(&mut stream)).await??;
    let (head_only, answer) = match read {
        None => return Ok(()),
        Some(Err(answer)) => (false, answer),
        Some(Ok(request)) => {
            let answer = timeout(ANSWERING, site.answer(&request, peer)).await?;
            (request.head_only, answer)
        }
    };
    timeout(ANSWERING, async {
        stream.write_all(&answer.bytes(head_only)).await?;
        stream.shutdown().await
    })
    .await?
}

/// The request; `None` if there is none.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Result<Request, Answer>>> {
    let mut head = Vec::new();
    while !request::is_complete(&head) {
        if head.len() >= request::MOST_HEAD {
            return Ok(Some(Err(Answer::text(Status::HeadTooLarge, "too long"))));
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Request::parse(&head)))
}

impl<H: House> Site<H> {
    async fn answer(&self, request: &Request, peer: SocketAddr) -> Answer {
        match request.path.as_str() {
            "/healthz" => Answer::text(Status::Ok, "ok"),
            "/readyz" => match self.house.readiness() {
                Ok(()) => Answer::text(Status::Ok, "ready"),
                Err(why) => Answer::text(Status::Unavailable, why),
            },
            "/" => match self.admit(Room::Dashboard, request, peer).await {
                Ok(()) => page::answer().compressed(request.takes_gzip()),
                Err(refusal) => refusal,
            },
            "/api/state" => match self.admit(Room::Dashboard, request, peer).await {
                Ok(()) => {
                    let _turn = self.turns.acquire().await;
                    let state = self.house.state().await;
                    compressed("application/json", state, request).await
                }
                Err(refusal) => refusal,
            },
            "/metrics" => match self.admit(Room::Metrics, request, peer).await {
                Ok(()) => {
                    let _turn = self.turns.acquire().await;
                    let (form, text) = self.house.metrics(&request.accept).await;
                    compressed(form, text, request).await
                }
                Err(refusal) => refusal,
            },
            _ => Answer::text(
                Status::NotFound,
                "there is /, /metrics, /healthz and /readyz",
            ),
        }
    }

    /// Whether whoever asks may; a wrong guess takes its time, and is logged.
    async fn admit(&self, room: Room, request: &Request, peer: SocketAddr) -> Result<(), Answer> {
        let admitted = self.access.check(room, request);
        let guessed = request.authorization.is_some();
        if guessed
            && admitted
                .as_ref()
                .is_err_and(|it| it.status == Status::Unauthorized)
        {
            if self.is_news() {
                warn!(%peer, "a wrong password or token was sent to [http]");
            }
            tokio::time::sleep(WRONG_GUESS).await;
        }
        admitted
    }

    /// No wrong password was logged for a while.
    fn is_news(&self) -> bool {
        let now = Instant::now();
        let mut logged = self.wrong.lock();
        let news = logged.is_none_or(|logged| now - logged >= QUIET);
        if news {
            *logged = Some(now);
        }
        news
    }
}

/// The answer as the client takes it. Compressing much of it must not keep clients waiting, who
/// are accepted on this thread.
async fn compressed(form: &'static str, text: String, request: &Request) -> Answer {
    let takes_gzip = request.takes_gzip();
    let is_long = takes_gzip && text.len() > QUICK_GZIP;
    let answer = Answer::new(Status::Ok, form, text.into_bytes());
    if !is_long {
        return answer.compressed(takes_gzip);
    }
    let compressing = tokio::task::spawn_blocking(move || answer.compressed(true));
    compressing
        .await
        .unwrap_or_else(|_| Answer::text(Status::Unavailable, "cannot compress"))
}

#[cfg(test)]
mod tests;
