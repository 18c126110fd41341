//! A TCP line between two parties that a test can stall, slow down and cut.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use super::eventually;

/// Forwards every connection to one port of this machine. Two threads per connection, one per
/// direction: dull, and therefore to be trusted.
#[derive(Debug)]
pub struct Line {
    port: u16,
    shared: Arc<Shared>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stalled: bool,
    refusing: bool,
    closing: bool,
    delay: Duration,
    /// Bytes are passed on in pieces of this size.
    piece: Option<usize>,
    /// Bytes towards the caller that are still let through.
    allowance: Option<u64>,
    accepted: usize,
    to_target: u64,
    to_caller: u64,
    open: Vec<Pair>,
}

#[derive(Debug)]
struct Pair {
    number: usize,
    caller: TcpStream,
    target: TcpStream,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Line {
    /// A line to a port of this machine.
    pub fn to(port: u16) -> Self {
        let shared = Arc::new(Shared {
            target: SocketAddr::from(([127, 0, 0, 1], port)),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().unwrap().port();
        let thread = listen(listener, Arc::clone(&shared));
        Self {
            port,
            shared,
            listener: Mutex::new(Some(thread)),
        }
    }

    /// Where to connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections with a reset on both sides. New ones are forwarded again.
    pub fn cut(&self) {
        for pair in self.shared.state().open.drain(..) {
            for stream in [pair.caller, pair.target] {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                // Wakes the thread that reads here; the reset goes out with the last handle.
                let _ = stream.shutdown(Shutdown::Read);
            }
        }
        self.shared.changed.notify_all();
    }

    /// Closes all connections in order on both sides.
    pub fn close(&self) {
        for pair in self.shared.state().open.drain(..) {
            pair.shut();
        }
        self.shared.changed.notify_all();
    }

    /// Nothing passes any more, though all connections stand; new ones are taken and stall too.
    pub fn stall(&self) {
        self.shared.state().stalled = true;
    }

    /// Undoes [`Self::stall`]; nothing was lost.
    pub fn resume(&self) {
        self.shared.state().stalled = false;
        self.shared.changed.notify_all();
    }

    /// What passes from now on takes this much longer in each direction.
    pub fn delay(&self, delay: Duration) {
        self.shared.state().delay = delay;
    }

    /// What passes from now on arrives in pieces of this many bytes, as far as the kernel does
    /// not join them again. Of what came at once the first few hundred bytes are cut up.
    pub fn cut_up(&self, piece: usize) {
        self.shared.state().piece = Some(piece.max(1));
    }

    /// Lets this many bytes more pass towards the caller, then closes the connection that
    /// wanted more: in the middle of a row, if the number says so.
    pub fn close_after(&self, bytes: u64) {
        self.shared.state().allowance = Some(bytes);
    }

    /// From now on nobody listens here; connections that stand are not touched.
    pub fn refuse(&self) {
        self.shared.state().refusing = true;
        // A connection of our own wakes the thread out of `accept`.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.listener.lock().unwrap().take() {
            thread.join().expect("the listening thread");
        }
    }

    /// Undoes [`Self::refuse`].
    pub fn accept(&self) {
        self.shared.state().refusing = false;
        let mut listener = None;
        eventually("the port is ours again", || {
            listener = TcpListener::bind(("127.0.0.1", self.port)).ok();
            listener.is_some()
        });
        let thread = listen(listener.unwrap(), Arc::clone(&self.shared));
        *self.listener.lock().unwrap() = Some(thread);
    }

    /// How many connections were ever taken.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// How many connections stand.
    pub fn open(&self) -> usize {
        self.shared.state().open.len()
    }

    /// How many bytes went towards the target.
    pub fn bytes_to_target(&self) -> u64 {
        self.shared.state().to_target
    }

    /// How many bytes came back.
    pub fn bytes_to_caller(&self) -> u64 {
        self.shared.state().to_caller
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.refuse();
        self.close();
    }
}

impl Pair {
    fn shut(&self) {
        let _ = self.caller.shutdown(Shutdown::Both);
        let _ = self.target.shutdown(Shutdown::Both);
    }
}

fn listen(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            if shared.state().refusing {
                return;
            }
            let Ok(target) = TcpStream::connect(shared.target) else {
                continue; // nobody is there: the caller sees its connection closed
            };
            let _ = caller.set_nodelay(true);
            let _ = target.set_nodelay(true);
            let mut state = shared.state();
            state.accepted += 1;
            let number = state.accepted;
            let pair = || Some((caller.try_clone().ok()?, target.try_clone().ok()?));
            if let (Some(to), Some(back), Some((a, b))) = (pair(), pair(), pair()) {
                state.open.push(Pair {
                    number,
                    caller: a,
                    target: b,
                });
                forward(to.0, to.1, number, true, &shared);
                forward(back.1, back.0, number, false, &shared);
            }
        }
    })
}

/// Copies one direction until it ends, then passes the end on.
fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    number: usize,
    towards_target: bool,
    shared: &Arc<Shared>,
) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let Some(passed) = shared.admit(number, count, towards_target) else {
                break;
            };
            let piece = shared.state().piece;
            if write_in_pieces(&mut to, &buffer[..passed], piece).is_err() || passed < count {
                break;
            }
        }
        if shared.ended(number, towards_target) {
            let _ = to.shutdown(Shutdown::Write);
        }
    });
}

/// Headers stand where the kernel's own pieces begin, so that is where cutting is worth its time.
const CUT_UP: usize = 300;

fn write_in_pieces(to: &mut TcpStream, bytes: &[u8], piece: Option<usize>) -> io::Result<()> {
    let Some(piece) = piece else {
        return to.write_all(bytes);
    };
    let (cut_up, rest) = bytes.split_at(bytes.len().min(CUT_UP));
    for bytes in cut_up.chunks(piece) {
        to.write_all(bytes)?;
        std::thread::yield_now();
    }
    to.write_all(rest)
}

impl Shared {
    /// Waits until these bytes may pass, and counts them. `None` when the connection is gone.
    fn admit(&self, number: usize, count: usize, towards_target: bool) -> Option<usize> {
        let delay = self.state().delay;
        // This is the delay that was asked for, not a wait for something.
        std::thread::sleep(delay);
        let mut state = self.state();
        while state.stalled && !state.closing && state.has(number) {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(|poison| poison.into_inner());
        }
        if !state.has(number) {
            return None;
        }
        if towards_target {
            state.to_target += count as u64;
            return Some(count);
        }
        let passed = match &mut state.allowance {
            None => count,
            Some(left) => {
                let passed = usize::try_from(*left).unwrap_or(usize::MAX).min(count);
                *left -= passed as u64;
                passed
            }
        };
        if passed < count {
            state.allowance = None;
        }
        state.to_caller += passed as u64;
        Some(passed)
    }

    /// One direction ended; says whether its end is to be passed on, which it is not when the
    /// whole connection was cut: then a reset is on its way. Once the target has said its last,
    /// the other direction has no purpose either.
    fn ended(&self, number: usize, towards_target: bool) -> bool {
        let mut state = self.state();
        let Some(at) = state.open.iter().position(|pair| pair.number == number) else {
            return false;
        };
        if !towards_target {
            let _ = state.open.swap_remove(at).target.shutdown(Shutdown::Both);
        }
        true
    }
}

impl State {
    fn has(&self, number: usize) -> bool {
        self.open.iter().any(|pair| pair.number == number)
    }
}
