//! The third floor of the benchmarks: `examples/epoll_floor.rs` on io_uring.
//!
//! One ring, one thread. What comes in is received without being asked for each time (multishot),
//! into buffers that the kernel takes from a ring of them, and is sent on from there; one system
//! call hands over all that was begun and waits for what is done. `benches/compare.py` measures it
//! beside the floors on epoll and tokio: what differs is what a second driver of pgusher's data
//! path could save, and no more.
//!
//! ```text
//! pgusher-uring-floor LISTEN UPSTREAM
//! ```

use std::{
    collections::VecDeque,
    error::Error,
    io,
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicU16, Ordering},
};

use io_uring::{
    IoUring, cqueue, opcode, squeue,
    types::{BufRingEntry, Fd},
};

/// Buffers that the kernel receives into, and their size: a point read fits in one many times.
const BUFFERS: u16 = 1024;
const SIZE: usize = 8192;
/// The number of their group.
const GROUP: u16 = 0;
/// Operations that can be handed over at once.
const ENTRIES: u32 = 1024;
/// No flag of libc's is needed but this one: a send is over when all is sent.
const MSG_WAITALL: i32 = 0x100;
/// The number of the operation that takes clients.
const ACCEPT: u64 = u64::MAX;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (args.next(), args.next()) else {
        return Err("usage: pgusher-uring-floor LISTEN UPSTREAM".into());
    };
    let listener = TcpListener::bind(listen)?;
    let mut floor = Floor::new(upstream)?;
    floor.push(&accept(&listener))?;
    loop {
        floor.ring.submit_and_wait(1)?;
        let done: Vec<cqueue::Entry> = floor.ring.completion().collect();
        for entry in done {
            match entry.user_data() {
                ACCEPT => {
                    floor.accepted(entry.result())?;
                    if !cqueue::more(entry.flags()) {
                        floor.push(&accept(&listener))?;
                    }
                }
                data if data & SEND == 0 => floor.received(data, &entry)?,
                data => floor.sent(data, entry.result())?,
            }
        }
    }
}

fn accept(listener: &TcpListener) -> squeue::Entry {
    opcode::AcceptMulti::new(Fd(listener.as_raw_fd()))
        .build()
        .user_data(ACCEPT)
}

/// An operation is named by the place of its relay, twice, plus the side it reads; and by this
/// bit if it sends what that side has said.
const SEND: u64 = 1 << 40;

struct Floor {
    ring: IoUring,
    buffers: Buffers,
    upstream: String,
    places: Vec<Option<Relay>>,
    free: Vec<usize>,
}

/// A client and its server.
struct Relay {
    streams: [TcpStream; 2],
    /// What each has said and is not sent on: buffers, and how much is in them. The first is on
    /// its way.
    said: [VecDeque<(u16, usize)>; 2],
    /// Operations that are not over.
    open: usize,
    is_over: bool,
}

impl Floor {
    fn new(upstream: String) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(ENTRIES * 8)
            .build(ENTRIES)?;
        let buffers = Buffers::new();
        // SAFETY: the memory is aligned to pages, large enough, and lives as long as the ring.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                buffers.ring.addr() as u64,
                BUFFERS,
                GROUP,
                0,
            )?;
        }
        Ok(Self {
            ring,
            buffers,
            upstream,
            places: Vec::new(),
            free: Vec::new(),
        })
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: what it points to is a buffer that is ours until the operation is over.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.ring.submit()?;
        }
    }

    fn accepted(&mut self, result: i32) -> io::Result<()> {
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        // SAFETY: the kernel has just given us this one.
        let client = unsafe { <TcpStream as std::os::fd::FromRawFd>::from_raw_fd(result) };
        let server = TcpStream::connect(&self.upstream)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let place = self.free.pop().unwrap_or(self.places.len());
        if place == self.places.len() {
            self.places.push(None);
        }
        self.places[place] = Some(Relay {
            streams: [client, server],
            said: Default::default(),
            open: 0,
            is_over: false,
        });
        self.receive(place, 0)?;
        self.receive(place, 1)
    }

    fn receive(&mut self, place: usize, side: usize) -> io::Result<()> {
        let Some(relay) = self.places[place].as_mut() else {
            return Ok(());
        };
        relay.open += 1;
        let fd = Fd(relay.streams[side].as_raw_fd());
        let data = place as u64 * 2 + side as u64;
        let entry = opcode::RecvMulti::new(fd, GROUP).build().user_data(data);
        self.push(&entry)
    }

    /// Something has come, or nothing will.
    fn received(&mut self, data: u64, entry: &cqueue::Entry) -> io::Result<()> {
        let (place, side) = (data as usize / 2, data as usize % 2);
        let Some(relay) = self.places[place].as_mut() else {
            return Ok(());
        };
        let (more, result) = (cqueue::more(entry.flags()), entry.result());
        relay.open -= usize::from(!more);
        // Nothing to receive into: those on their way come back.
        const ENOBUFS: i32 = -105;
        match cqueue::buffer_select(entry.flags()) {
            Some(buffer) if result > 0 && !relay.is_over => {
                relay.said[side].push_back((buffer, result as usize));
                if relay.said[side].len() == 1 {
                    self.send(place, side)?;
                }
            }
            buffer => {
                if let Some(buffer) = buffer {
                    self.buffers.give(buffer);
                }
                if result <= 0 && result != ENOBUFS {
                    self.end(place);
                }
            }
        }
        let goes_on = self.places[place].as_ref().is_some_and(|it| !it.is_over);
        if !more && goes_on {
            self.receive(place, side)?;
        }
        self.leave(place);
        Ok(())
    }

    fn send(&mut self, place: usize, side: usize) -> io::Result<()> {
        let Some(relay) = self.places[place].as_mut() else {
            return Ok(());
        };
        let Some((buffer, size)) = relay.said[side].front().copied() else {
            return Ok(());
        };
        relay.open += 1;
        let fd = Fd(relay.streams[1 - side].as_raw_fd());
        let entry = opcode::Send::new(fd, self.buffers.at(buffer), size as u32)
            .flags(MSG_WAITALL)
            .build()
            .user_data(SEND | (place as u64 * 2 + side as u64));
        self.push(&entry)
    }

    fn sent(&mut self, data: u64, result: i32) -> io::Result<()> {
        let data = data & !SEND;
        let (place, side) = (data as usize / 2, data as usize % 2);
        let Some(relay) = self.places[place].as_mut() else {
            return Ok(());
        };
        relay.open -= 1;
        let mut is_whole = false;
        if let Some((buffer, size)) = relay.said[side].pop_front() {
            self.buffers.give(buffer);
            is_whole = usize::try_from(result) == Ok(size);
        }
        match is_whole && !relay.is_over {
            true => self.send(place, side)?,
            false => self.end(place),
        }
        self.leave(place);
        Ok(())
    }

    /// One side has hung up: so do we, on both.
    fn end(&mut self, place: usize) {
        let Some(relay) = self.places[place].as_mut() else {
            return;
        };
        relay.is_over = true;
        for stream in &relay.streams {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Its place is free when no operation is left that could speak of it.
    fn leave(&mut self, place: usize) {
        let Some(relay) = self.places[place].take_if(|it| it.is_over && it.open == 0) else {
            return;
        };
        for (buffer, _) in relay.said.into_iter().flatten() {
            self.buffers.give(buffer);
        }
        self.free.push(place);
    }
}

/// Buffers, and the ring in which the kernel finds those that are free.
struct Buffers {
    ring: *mut BufRingEntry,
    memory: *mut u8,
    tail: u16,
}

impl Buffers {
    fn new() -> Self {
        let count = usize::from(BUFFERS);
        let zeroed = |size| {
            let layout = std::alloc::Layout::from_size_align(size, 4096).expect("a size");
            // SAFETY: the size is not zero.
            let memory = unsafe { std::alloc::alloc_zeroed(layout) };
            assert!(!memory.is_null(), "no memory");
            memory
        };
        let mut buffers = Self {
            ring: zeroed(count * size_of::<BufRingEntry>()).cast(),
            memory: zeroed(count * SIZE),
            tail: 0,
        };
        for buffer in 0..BUFFERS {
            buffers.give(buffer);
        }
        buffers
    }

    fn at(&self, buffer: u16) -> *const u8 {
        // SAFETY: there are so many of this size.
        unsafe { self.memory.add(usize::from(buffer) * SIZE) }
    }

    /// A buffer is free.
    fn give(&mut self, buffer: u16) {
        let place = usize::from(self.tail % BUFFERS);
        // SAFETY: the place is in the ring, and the kernel reads it when the tail has passed it;
        // the tail lies in the ring, is aligned, and is written by nobody else.
        unsafe {
            let entry = &mut *self.ring.add(place);
            entry.set_addr(self.at(buffer) as u64);
            entry.set_len(SIZE as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.ring).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}
