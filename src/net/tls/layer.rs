//! TLS between a socket and everybody who reads from it and writes to it.
//!
//! Nothing here waits. A read takes what the socket has and decrypts it; a write encrypts, and what
//! the socket does not take is kept here, where [`owes`](Layer::owes) sees it. Both go through a
//! buffer that belongs to the thread, so that a connection at rest holds its keys and little else.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice, Read, Write},
};

use rustls::{CipherSuite, Connection, ProtocolVersion};

/// How much is read from a socket at once.
const ROOM: usize = 64 << 10;

thread_local! {
    /// What has just been read and not been decrypted yet. Always used up before a read returns.
    static WIRE: RefCell<Vec<u8>> = RefCell::new(vec![0; ROOM]);
}

/// How a connection is encrypted. Shown as `TLSv1.3/TLS_AES_256_GCM_SHA384`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encryption {
    version: ProtocolVersion,
    suite: CipherSuite,
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => "TLSv1.2",
        };
        // rustls has the version in the name, where others have it in front.
        let suite = self.suite.as_str().unwrap_or_default();
        write!(f, "{version}/{}", suite.replacen("TLS13_", "TLS_", 1))
    }
}

/// The TLS state of one connection.
pub(in crate::net) struct Layer {
    session: Connection,
    /// The last read filled all the room that it was given: more may be decrypted already, and the
    /// socket would not tell.
    more: bool,
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

impl Layer {
    /// The handshake is over, `session` is what came of it.
    pub(in crate::net) fn new(session: Connection) -> Self {
        // Who speaks first may have spoken in the packet that ended the handshake.
        let more = true;
        Self { session, more }
    }

    pub(in crate::net) fn encryption(&self) -> Option<Encryption> {
        Some(Encryption {
            version: self.session.protocol_version()?,
            suite: self.session.negotiated_cipher_suite()?.suite(),
        })
    }

    /// Something may have been decrypted that nobody has read.
    pub(in crate::net) fn has_more(&self) -> bool {
        self.more
    }

    /// Something was written that the socket has not taken.
    pub(in crate::net) fn owes(&self) -> bool {
        self.session.wants_write()
    }

    /// Reads what is there; `WouldBlock` if nothing is, or not enough to decrypt.
    pub(in crate::net) fn read(
        &mut self,
        socket: &mut impl Socket,
        buf: &mut [u8],
    ) -> io::Result<usize> {
        if std::mem::take(&mut self.more)
            && let Some(read) = self.take(buf)?
        {
            self.more = read == buf.len();
            return Ok(read);
        }
        WIRE.with_borrow_mut(|wire| {
            // What was kept of a record is at most as long as one; what comes now fits into `buf`.
            let room = wire.len().min(buf.len());
            let room = wire.get_mut(..room).unwrap_or_default();
            let read = socket.read(room)?;
            if read == 0 {
                return Ok(0);
            }
            let mut came = room.get(..read).unwrap_or_default();
            let mut filled = 0;
            let mut ended = false;
            while !came.is_empty() && !ended {
                // Behind its last word nothing is read.
                ended = self.session.read_tls(&mut came)? == 0;
                ended |= self.process(socket)?;
                match self.take(buf.get_mut(filled..).unwrap_or_default())? {
                    Some(0) => ended |= filled < buf.len(),
                    Some(taken) => filled += taken,
                    None => {}
                }
            }
            self.more = filled == buf.len() || ended;
            match filled {
                0 if ended => Ok(0),
                // A part of a record, or one that was not for us.
                0 => Err(io::ErrorKind::WouldBlock.into()),
                filled => Ok(filled),
            }
        })
    }

    /// What is decrypted; `None` if nothing is, `Some(0)` if the peer has said that it was all.
    fn take(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let mut filled = 0;
        loop {
            let room = buf.get_mut(filled..).unwrap_or_default();
            match self.session.reader().read(room) {
                Ok(0) => return Ok(Some(filled)),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok((filled > 0).then_some(filled));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at what was read. An answer to it (an alert, new keys) goes out.
    /// Says whether the peer has closed its side.
    fn process(&mut self, socket: &mut impl Socket) -> io::Result<bool> {
        let state = self.session.process_new_packets();
        // What cannot be written is found again by whoever writes; what was read comes first.
        let _ = self.flush(socket);
        match state {
            Ok(state) => Ok(state.peer_has_closed()),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// Writes `slices` as far as the socket takes them. What is said to be written is no longer the
    /// caller's: the end of it may still be here.
    pub(in crate::net) fn write(
        &mut self,
        socket: &mut impl Socket,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        // Nothing is encrypted while the socket takes nothing: it would only lie here.
        self.flush(socket)?;
        let mut written = self.session.writer().write_vectored(slices)?;
        if self.flushed(socket)? && slices.len() == 1 {
            // One long stretch: as much as there is room for, again and again.
            let rest = slices.first().map_or(&[][..], |all| all);
            while let Some(rest) = rest.get(written..).filter(|rest| !rest.is_empty()) {
                written += self.session.writer().write(rest)?;
                if !self.flushed(socket)? {
                    break;
                }
            }
        }
        Ok(written)
    }

    fn flushed(&mut self, socket: &mut impl Socket) -> io::Result<bool> {
        match self.flush(socket) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes what is encrypted; `WouldBlock` if the socket does not take all of it.
    pub(in crate::net) fn flush(&mut self, socket: &mut impl Socket) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(socket)?;
        }
        Ok(())
    }

    /// Tells the peer that nothing more comes, if the socket takes that now.
    pub(in crate::net) fn farewell(&mut self, socket: &mut impl Socket) {
        self.session.send_close_notify();
        // Who does not hear it finds the socket closed.
        let _ = self.flush(socket);
    }
}

/// What carries the records.
pub(in crate::net) trait Socket: Read + Write {}

impl<T: Read + Write> Socket for T {}
