//! The loop that serves a client: wait for something to happen, ask the session, do what it says.
//!
//! Nothing here decides over a message. Between two waits everything is done at once, so a task
//! that is dropped while it waits leaves nothing half done: what was read is either forwarded or
//! kept, and a server connection is either leased, in the tray, or in the books.

mod begin;
mod end;
mod moving;

use std::{
    future::{Future as _, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tracing::debug;

use super::{
    bell::{Bell, Tray, ring},
    cancel,
    cards::ClientCard,
    cleanup,
    lease::Lease,
    lobby::{Pass, Registration, UserSeat},
    pool::{Membership, Queued},
    side::{Desk, Filled, Side, at_desk},
    worker::Seat,
};
use crate::{
    error::{Error, Kind},
    limit::{Account, Presence},
    meter::Count as _,
    session::{Next, Session, Whose},
};

pub(super) use begin::party_of;

use end::lost;

/// Turns a client may take while others wait, before it lets them (D5).
const MOST_TURNS: u32 = 8;

/// What a client is besides its connection and its session. Dropping it takes the client off all lists.
pub(super) struct Parts {
    pub(super) bell: Arc<Bell>,
    pub(super) membership: Membership,
    /// In whose name it came.
    pub(super) presence: Presence,
    /// As it is seen.
    pub(super) card: Arc<ClientCard>,
    /// Held until the client leaves: dropping it takes the key away.
    pub(super) registration: Registration,
    #[expect(
        dead_code,
        reason = "held until the client leaves: dropping it makes room for the user"
    )]
    pub(super) user_seat: UserSeat,
}

/// A client that has logged in.
pub(crate) struct Client {
    side: Side,
    session: Session,
    lease: Option<Lease>,
    queued: Option<Queued>,
    /// Its transaction may not begin yet.
    delayed: bool,
    /// Until when it waits to be told who its tenant is, if it is that what it waits for.
    looking: Option<Instant>,
    /// Since when it has waited for one of the two.
    asked: Instant,
    /// Who pays for its transaction.
    account: Arc<Account>,
    /// The session wants nothing more of the client until the server has answered.
    held: bool,
    /// A cancel that could not be sent yet.
    cancel_asked: bool,
    stopping: bool,
    /// The operator has sent it away.
    killed: bool,
    /// Which of its database's timeouts it has.
    edition: u64,
    /// Turns since the last time that nothing was to be done.
    turns: u32,
    /// Its transactions that are over.
    transactions: u64,
    /// It was told that this ends its connection.
    dismissed: Option<Kind>,
    parts: Parts,
    seat: Seat,
    /// The worker that it is to move to, when it can.
    moves_to: Option<usize>,
    pass: Pass,
}

/// Something has happened.
enum Event {
    Rung(u8),
    Client,
    ClientTakes,
    Server,
    ServerTakes,
}

/// The client's connection is over, and this is how.
struct Gone(&'static str);

impl Gone {
    /// The session wants it closed: because the client said Terminate, unless it was told why.
    const CLOSED: Self = Self("goodbye");
    /// The client closed it.
    const LEFT: Self = Self("it closed the connection");
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self("the connection broke")
    }
}

/// Serves the client until it goes.
pub(super) async fn run(mut client: Box<Client>) {
    poll_fn(|cx| {
        client.parts.bell.belongs_to(cx.waker());
        Poll::Ready(())
    })
    .await;
    let mut gone = client.begin().err();
    while gone.is_none() {
        let deadline = client.session.deadline();
        client.seat.worker().alarm.set(&client.parts.bell, deadline);
        let event = poll_fn(|cx| client.poll_event(cx)).await;
        let turn = match event {
            Event::Rung(why) => client.rung(why),
            Event::Client => client.client_spoke(),
            Event::ClientTakes => client.client_takes(),
            Event::Server => client.server_spoke(),
            Event::ServerTakes => client.server_takes(),
        };
        gone = turn.err();
        if client.moves_to.is_some() && gone.is_none() && client.can_move() {
            return client.move_on();
        }
    }
    client.part(gone.unwrap_or(Gone::CLOSED));
}

impl Client {
    pub(super) fn new(side: Side, session: Session, parts: Parts, pass: Pass, seat: Seat) -> Self {
        let now = Instant::now();
        Self {
            side,
            session,
            lease: None,
            queued: None,
            delayed: false,
            looking: None,
            asked: now,
            account: Arc::clone(parts.presence.account()),
            held: false,
            cancel_asked: false,
            stopping: false,
            killed: false,
            edition: 0,
            turns: 0,
            transactions: 0,
            dismissed: None,
            parts,
            seat,
            moves_to: None,
            pass,
        }
    }

    /// Bytes that came with the login are the session's first.
    fn begin(&mut self) -> Result<(), Gone> {
        if self.pass.lobby().is_stopping() {
            self.rung(ring::STOP)?;
        }
        if self.side.has_kept() {
            self.resume()
        } else {
            Ok(())
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.turns += 1;
        if self.turns > MOST_TURNS {
            self.turns = 0;
            // Waking oneself is not enough: the runtime runs what is awake dozens of times before it
            // looks what has arrived, an error of this client's own server among it.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        let event = self.poll_ready(cx);
        if event.is_pending() {
            self.turns = 0;
        }
        event
    }

    /// What there is to do, the most urgent first. A side that is not to be read is not asked.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(why) = self.parts.bell.poll_rung() {
            return Poll::Ready(Event::Rung(why));
        }
        let client_backed_up = self.side.is_backed_up();
        if client_backed_up && self.side.poll_writable(cx).is_ready() {
            return Poll::Ready(Event::ClientTakes);
        }
        let mut server_backed_up = false;
        let mut cancelling = false;
        if let Some(lease) = &mut self.lease {
            let conn = lease.conn();
            // A cancel on its way is for what was asked before, and not for what comes now. The
            // bell tells when it has arrived.
            cancelling = conn.cancelling.is_on();
            let server = &conn.side;
            server_backed_up = server.is_backed_up();
            if server_backed_up && server.poll_writable(cx).is_ready() {
                return Poll::Ready(Event::ServerTakes);
            }
            if !client_backed_up && server.poll_readable(cx).is_ready() {
                return Poll::Ready(Event::Server);
            }
        }
        let room = !self.held && !cancelling && !server_backed_up && !self.side.is_full();
        if room && self.side.poll_readable(cx).is_ready() {
            return Poll::Ready(Event::Client);
        }
        Poll::Pending
    }

    /// Somebody rang.
    fn rung(&mut self, why: u8) -> Result<(), Gone> {
        if why & ring::CANCEL != 0 {
            self.cancel_asked = true;
        }
        if why & ring::STOP != 0 {
            self.stopping = true;
        }
        if why & ring::KILLED != 0 {
            return self.be_killed();
        }
        if why & ring::TRAY != 0
            && let Some(tray) = self.parts.bell.take()
        {
            self.queued = None;
            self.served(tray)?;
        }
        if self.cancel_asked {
            self.cancel()?;
        }
        if why & ring::ANSWER != 0 && self.looking.is_some() {
            self.may_begin()?;
        }
        if why & ring::TIME != 0 {
            self.time_passed()?;
        }
        if why & ring::EXPELLED != 0 {
            self.leave_if_expelled()?;
        }
        self.leave_if_stopping()
    }

    /// The queue has come to an end, one way or the other.
    fn served(&mut self, tray: Tray) -> Result<(), Gone> {
        match tray {
            Tray::Granted(lease) => self
                .begin_with(|client, desk, _, now| client.attach(lease, desk, now).map(|()| true)),
            Tray::Refused(error) => self.refused(&error),
            Tray::Closed | Tray::Empty => Ok(()),
        }
    }

    /// It waits for something, and what it says is kept.
    fn is_waiting(&self) -> bool {
        self.queued.is_some() || self.delayed
    }

    /// The client said something.
    fn client_spoke(&mut self) -> Result<(), Gone> {
        at_desk(|desk| match self.side.fill(&mut desk.window)? {
            Filled::End => Err(Gone::LEFT),
            Filled::Nothing => Ok(()),
            Filled::Bytes(filled) if self.is_waiting() => {
                self.side
                    .keep(desk.window.get(..filled).unwrap_or_default());
                Ok(())
            }
            Filled::Bytes(filled) => self.go_on(desk, filled, Instant::now()),
        })
    }

    /// Goes on with what was kept.
    fn resume(&mut self) -> Result<(), Gone> {
        self.held = false;
        at_desk(|desk| {
            let filled = self.side.take_kept(&mut desk.window);
            self.go_on(desk, filled, Instant::now())
        })
    }

    /// Gives the session the client's bytes in the window until it has used them or must wait.
    fn go_on(&mut self, desk: &mut Desk, filled: usize, now: Instant) -> Result<(), Gone> {
        self.go_on_from(desk, 0, filled, now)
    }

    fn go_on_refused(&mut self, desk: &mut Desk, filled: usize, error: &Error) -> Result<(), Gone> {
        let now = Instant::now();
        let used = self.refuse(desk, 0, filled, error, now);
        self.go_on_from(desk, used, filled, now)
    }

    fn go_on_from(
        &mut self,
        desk: &mut Desk,
        mut used: usize,
        filled: usize,
        now: Instant,
    ) -> Result<(), Gone> {
        let mut is_over = false;
        let outcome = loop {
            desk.out.rebase(used);
            let input = desk.window.get(used..filled).unwrap_or_default();
            self.look_around();
            let backend = self.lease.as_mut().map(|lease| &mut lease.conn().backend);
            let progress = self
                .session
                .client_bytes(input, backend, &mut desk.out, now);
            used += progress.used;
            self.follow_owner(now);
            if let Some(name) = desk.out.vacated.take() {
                self.pass
                    .lobby()
                    .vacate(&name, self.parts.membership.pool(), now);
            }
            match progress.next {
                Next::Lease | Next::Admit => match self.start(desk, used, filled, now) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => used += self.refuse(desk, used, filled, &error, now),
                },
                Next::Hold => {
                    self.held = true;
                    break Ok(());
                }
                Next::Close => break Err(Gone::CLOSED),
                Next::Release => {
                    is_over = true;
                    break Ok(());
                }
                _ => break Ok(()),
            }
        };
        self.side
            .keep(desk.window.get(used..filled).unwrap_or_default());
        self.send(desk)?;
        if is_over {
            self.give_back(now)?;
        }
        outcome
    }

    fn refuse(
        &mut self,
        desk: &mut Desk,
        used: usize,
        filled: usize,
        error: &Error,
        now: Instant,
    ) -> usize {
        desk.out.rebase(used);
        if self.lease.is_none() {
            self.parts.card.rests(self.session.statements());
        }
        let input = desk.window.get(used..filled).unwrap_or_default();
        self.session.refused(input, error, &mut desk.out, now).used
    }

    /// Writes what the session wants written, to both sides.
    fn send(&mut self, desk: &mut Desk) -> Result<(), Gone> {
        if let Some(lease) = &mut self.lease
            && let Err(error) = lease
                .conn()
                .side
                .send(&mut desk.out.to_server, &desk.window)
        {
            // Its last words may still be in the socket; reading finds them, or the end.
            debug!(%error, "writing to a server failed");
            lease.conn().side.deafen();
        }
        self.count_told(desk);
        self.side.send(&mut desk.out.to_client, &desk.window)?;
        Ok(())
    }

    /// Counts the errors of our own that the client is told, and notes refusals.
    fn count_told(&mut self, desk: &Desk) {
        if desk.out.told.is_empty() {
            return;
        }
        self.session.has_failed(desk.out.told.len() as u64);
        for error in &desk.out.told {
            self.note(error);
        }
    }

    /// The server said something.
    fn server_spoke(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        let next = at_desk(|desk| {
            let Some(lease) = &mut self.lease else {
                return Ok(Next::Read);
            };
            let conn = lease.conn();
            let filled = match conn.side.fill(&mut desk.window) {
                Ok(Filled::Bytes(filled)) => filled,
                Ok(Filled::Nothing) => return Ok(Next::Read),
                Ok(Filled::End) => {
                    return Ok(Next::Lost(lost("closed the connection unexpectedly")));
                }
                Err(error) => {
                    return Ok(Next::Lost(lost(&format!(
                        "connection failed: {}",
                        error.kind()
                    ))));
                }
            };
            let input = desk.window.get(..filled).unwrap_or_default();
            let progress = self
                .session
                .server_bytes(input, &mut conn.backend, &mut desk.out, now);
            conn.side
                .keep(input.get(progress.used..).unwrap_or_default());
            self.send(desk)?;
            Ok::<_, Gone>(progress.next)
        })?;
        match next {
            Next::Release => self.give_back(now)?,
            Next::Lost(error) => self.lose(error, Lease::abandon)?,
            Next::Close => return Err(Gone::CLOSED),
            _ => self.show_pin(),
        }
        if self.cancel_asked {
            self.cancel()?;
        }
        if self.held { self.resume() } else { Ok(()) }
    }

    /// What the client keeps of its server connection can be seen.
    fn show_pin(&mut self) {
        if let Some(lease) = &mut self.lease {
            self.parts.card.keeps(lease.conn().backend.held());
        }
    }

    fn client_takes(&mut self) -> Result<(), Gone> {
        self.side.flush()?;
        Ok(())
    }

    fn server_takes(&mut self) -> Result<(), Gone> {
        if let Some(lease) = &mut self.lease
            && lease.conn().side.flush().is_err()
        {
            lease.conn().side.deafen();
        }
        Ok(())
    }

    /// The request that waits is refused.
    fn refused(&mut self, error: &Error) -> Result<(), Gone> {
        at_desk(|desk| {
            let filled = self.side.take_kept(&mut desk.window);
            self.go_on_refused(desk, filled, error)
        })
    }

    /// A cancel was asked for: it ends the waiting, or goes to the server once it can hit nothing but the client's own request.
    fn cancel(&mut self) -> Result<(), Gone> {
        let delayed = std::mem::take(&mut self.delayed);
        self.looking = None;
        if self.queued.take().is_some() || delayed {
            self.cancel_asked = false;
            let message = "canceling statement due to user request";
            return self.refused(&Error::new(Kind::Canceled, message));
        }
        let Some(lease) = &mut self.lease else {
            self.cancel_asked = false;
            return Ok(());
        };
        let conn = lease.conn();
        let running = conn.backend.pipeline.head().map(|entry| entry.whose);
        match running {
            // Nothing to cancel; PostgreSQL ignores it too.
            None => self.cancel_asked = false,
            // The client has its answer, and asks for nothing else.
            Some(Whose::Inventory) if !conn.backend.pipeline.owes_client() => {
                self.cancel_asked = false;
            }
            // Settings that travel in front must arrive (B3); asked again when they have.
            Some(
                Whose::Settings
                | Whose::Restoring
                | Whose::Tombstone
                | Whose::Inventory
                | Whose::Cleaning,
            ) => {}
            Some(_) if conn.cancelling.is_on() || conn.backend.is_resetting() => {}
            Some(_) => {
                self.cancel_asked = false;
                self.launch_cancel();
            }
        }
        Ok(())
    }

    fn launch_cancel(&mut self) {
        let patience = self
            .parts
            .membership
            .pool()
            .db
            .timeouts()
            .cancel_wait_timeout;
        if let Some(lease) = &mut self.lease {
            let bell = Some(Arc::clone(&self.parts.bell));
            self.session.traffic().cancels.one();
            cancel::launch(lease.conn(), self.seat.worker(), patience, bell);
        }
    }

    /// The deadline has passed, as far as the bell knows.
    fn time_passed(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        let next = at_desk(|desk| {
            let backend = self.lease.as_mut().map(|lease| &lease.conn().backend);
            let next = self.session.expired(backend, &mut desk.out, now);
            self.send(desk)?;
            Ok::<_, Gone>(next)
        })?;
        match next {
            Next::Close => Err(Gone::CLOSED),
            Next::Cancel => {
                self.launch_cancel();
                Ok(())
            }
            Next::GiveUp(error) if self.queued.take().is_some() => self.refused(&error),
            Next::Admit if self.delayed => self.may_begin(),
            Next::Part(error) => {
                self.lose(error, |lease| cleanup::start(lease, Default::default()))
            }
            Next::Lost(error) => self.lose(error, Lease::abandon),
            _ => Ok(()),
        }
    }
}
