//! An issuer's web server: publishes a text, counts how often it is asked, and can be down.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustls::{ServerConnection, StreamOwned};

/// Answers on a port of its own for as long as it lives.
pub(crate) struct Publisher {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    text: Mutex<String>,
    asked: AtomicUsize,
    is_down: AtomicBool,
    is_over: AtomicBool,
}

impl Publisher {
    pub(crate) fn new(text: &str) -> Self {
        Self::with(text, None)
    }

    /// With a certificate.
    pub(crate) fn with(text: &str, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        *state.text.lock().unwrap() = text.to_owned();
        let own = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.is_over.load(Ordering::SeqCst) {
                    return;
                }
                match &tls {
                    None => own.answer(stream),
                    Some(config) => {
                        let session = ServerConnection::new(Arc::clone(config)).unwrap();
                        own.answer(StreamOwned::new(session, stream));
                    }
                }
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        let host = if scheme == "https" {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{scheme}://{host}:{}/jwks.json", self.port)
    }

    pub(crate) fn publish(&self, text: &str) {
        *self.state.text.lock().unwrap() = text.to_owned();
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Answers nothing but errors, or does again.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.state.is_down.store(is_down, Ordering::SeqCst);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl State {
    fn answer(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut head = String::new();
        while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
            head += &line;
            line.clear();
        }
        if !head.starts_with("GET /jwks.json HTTP/1.1\r\n") {
            return;
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let text = self.text.lock().unwrap().clone();
        let (status, text) = match self.is_down.load(Ordering::SeqCst) {
            true => ("503 Service Unavailable", String::new()),
            false => ("200 OK", text),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        let stream = stream.get_mut();
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.flush();
    }
}
