//! The other floor of the benchmarks: `floor`, on the kernel's epoll with nothing in between.
//!
//! What `floor` costs above it is tokio's. One thread, one read and one write for each direction
//! of a query, and no other system call but the wait. `benches/compare.py` measures both.
//!
//! ```text
//! epoll_floor LISTEN UPSTREAM        epoll_floor 127.0.0.1:7000 127.0.0.1:5432
//! ```

use std::{
    error::Error,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, EventData, EventFlags},
    fd::OwnedFd,
    io::retry_on_intr,
};

/// As much as one read can take.
const SCRATCH: usize = 64 * 1024;
/// As many events as one wait can give.
const EVENTS: usize = 256;
/// What the listener's events carry; those of a relay carry twice its place, plus its side.
const LISTENER: u64 = u64::MAX;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (args.next(), args.next()) else {
        return Err("usage: epoll_floor LISTEN UPSTREAM".into());
    };
    let listener = TcpListener::bind(listen)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    // Not edge-triggered: it takes one client each time that it is told of some.
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut relays = Relays {
        epoll,
        upstream,
        places: Vec::new(),
        free: Vec::new(),
    };
    let mut events = Vec::with_capacity(EVENTS);
    let mut buffer = vec![0; SCRATCH];
    loop {
        // A tracer that comes or goes interrupts it.
        retry_on_intr(|| epoll::wait(&relays.epoll, spare_capacity(&mut events), None))?;
        let mut ended = Vec::new();
        for event in events.drain(..) {
            let (data, flags): (EventData, EventFlags) = (event.data, event.flags);
            match data.u64() {
                LISTENER => relays.add(listener.accept()?.0)?,
                which => ended.extend(relays.handle(which, flags, &mut buffer)),
            }
        }
        // Only now: an event of this turn must not meet another relay in the same place.
        relays.free.extend(ended);
    }
}

/// All of them, and who tells about them.
struct Relays {
    epoll: OwnedFd,
    upstream: String,
    places: Vec<Option<Relay>>,
    free: Vec<usize>,
}

impl Relays {
    /// Connects a client to a server of its own; that it waits for this is no loss on loopback.
    fn add(&mut self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.upstream)?;
        let place = self.free.pop().unwrap_or(self.places.len());
        for (side, stream) in (0..).zip([&client, &server]) {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            // Once for all: with edges, nothing has to be changed when a write has to wait.
            epoll::add(
                &self.epoll,
                stream,
                EventData::new_u64(place as u64 * 2 + side),
                EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET,
            )?;
        }
        let relay = Relay {
            streams: [client, server],
            unsent: Default::default(),
        };
        match self.places.get_mut(place) {
            Some(it) => *it = Some(relay),
            None => self.places.push(Some(relay)),
        }
        Ok(())
    }

    /// Does what one side is ready for; gives the place that is free if that was the end.
    fn handle(&mut self, which: u64, flags: EventFlags, buffer: &mut [u8]) -> Option<usize> {
        let place = usize::try_from(which / 2).ok()?;
        let side = usize::from(which % 2 == 1);
        let relay = self.places.get_mut(place)?;
        if relay.as_mut()?.ready(side, flags, buffer).is_ok() {
            return None;
        }
        *relay = None;
        Some(place)
    }
}

/// A client and its server.
struct Relay {
    streams: [TcpStream; 2],
    /// What could not be written at once to each of them.
    unsent: [Vec<u8>; 2],
}

impl Relay {
    fn ready(&mut self, side: usize, flags: EventFlags, buffer: &mut [u8]) -> io::Result<()> {
        let closing = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.contains(EventFlags::OUT) && !self.unsent[side].is_empty() {
            let rest = std::mem::take(&mut self.unsent[side]);
            self.write(side, &rest)?;
            // What has come from the other one meanwhile had its edge long ago.
            self.copy(1 - side, true, buffer)?;
        }
        if flags.intersects(EventFlags::IN | closing) {
            self.copy(side, flags.intersects(closing), buffer)?;
        }
        Ok(())
    }

    /// Copies what one side has said to the other.
    ///
    /// A short read means that the socket is empty, and whatever comes next has an edge of its
    /// own; unless that is the end, which may have come together with the last bytes.
    fn copy(&mut self, from: usize, to_the_end: bool, buffer: &mut [u8]) -> io::Result<()> {
        while self.unsent[1 - from].is_empty() {
            let count = match (&self.streams[from]).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.write(1 - from, bytes)?;
            if count < buffer.len() && !to_the_end {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, to: usize, bytes: &[u8]) -> io::Result<()> {
        let written = match (&self.streams[to]).write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            result => result?,
        };
        self.unsent[to] = bytes.get(written..).unwrap_or_default().to_vec();
        Ok(())
    }
}
