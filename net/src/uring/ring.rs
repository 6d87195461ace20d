//! A shard's own ring: what it asks of the kernel about sockets, and what comes back.
//!
//! The `unsafe` here has one reason: an order in the submission queue names memory and descriptors by number, and
//! whoever writes it promises that they stay. The promise is kept by owning all of that memory in [`Ring`]: send
//! buffers in `InFlight` until their completion, receive buffers in `Provided`, the words of the event descriptors
//! in a box; and by `Drop`, which waits until the kernel has let go or else leaks them.
#![allow(unsafe_code)]

use super::inflight::InFlight;
use super::provided::{Filled, GROUP, Provided};
use super::token::{INDEX_MAX, Kind, Token};
use crate::plan::RingPlan;
use engine::key::ConnId;
use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// Bytes that one order to send names: its length is 32 bits wide, and what is left goes with the next.
const SEND_BYTES_MAX: usize = 1 << 30;
/// Tries to hand a full submission queue to a kernel that says it is busy, before that is an error.
const SUBMIT_TRIES_MAX: usize = 1_000;
/// Milliseconds that a ring waits at its end for the kernel to let go of its memory.
const LET_GO_MS: u64 = 1_000;

/// A result as the kernel wrote it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

/// What a completion means.
#[derive(Debug)]
pub(crate) enum Event {
    /// `more`: the accept goes on; else it must be armed again.
    Accepted { listener: usize, outcome: io::Result<OwnedFd>, more: bool },
    /// `more`: the receive goes on; else none is armed.
    Received { conn: ConnId, outcome: Received, more: bool },
    /// `sent` bytes have left, or never will.
    Sent { conn: ConnId, sent: usize, end: SendEnd },
    /// The receive could not be cancelled, so it may still be armed.
    NotCancelled { conn: ConnId },
    /// The shard's bell was rung; it is to be silenced.
    Rung,
    /// Bookkeeping of this room.
    Nothing,
}

#[derive(Debug)]
pub(crate) enum Received {
    Bytes(Filled),
    /// The peer has sent its last byte.
    End,
    /// No receive buffer was free.
    NoBuffer,
    Cancelled,
    Failed(io::Error),
}

#[derive(Debug)]
pub(crate) enum SendEnd {
    /// A short send: the rest is on its way already.
    Continues,
    Done {
        buffer: Vec<u8>,
    },
    Failed {
        buffer: Vec<u8>,
        error: io::Error,
    },
}

#[derive(Default)]
struct Counters {
    event: u64,
    rung: u64,
}

/// See the module.
pub(crate) struct Ring {
    io: IoUring,
    provided: Option<Provided>,
    inflight: InFlight,
    /// Readable when something completes while it is armed.
    event: OwnedFd,
    /// Where the counters of `event` and of the shard's bell are read to; nobody looks at them.
    counters: Box<Counters>,
    is_draining: bool,
    is_listening: bool,
    /// Completions taken out of the way of a full submission queue.
    aside: Vec<Completion>,
    /// Orders whose last completion is still to come.
    pending: usize,
}

/// The ring's flags: one thread submits, and completions happen when that thread asks for them.
pub(super) fn builder() -> io_uring::Builder {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp();
    builder
}

impl Ring {
    /// On the thread that will use it.
    pub(crate) fn new(plan: RingPlan) -> io::Result<Ring> {
        // Not blocking, so that draining it when it is empty says so instead of waiting.
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let mut io = builder().setup_cqsize(plan.completions).build(plan.submissions)?;
        let provided = Provided::register(&io.submitter(), plan.buffers, plan.buffer_bytes)?;
        io.submitter().register_eventfd(event.as_raw_fd())?;
        io.completion().disable_eventfd();
        Ok(Ring {
            io,
            provided: Some(provided),
            inflight: InFlight::default(),
            event,
            counters: Box::default(),
            is_draining: false,
            is_listening: false,
            aside: Vec::new(),
            pending: 0,
        })
    }

    // Orders. All of them are memory until `enter`.

    /// Accepts from `listener` until a completion says that there is no more.
    pub(crate) fn accept(&mut self, listener: usize, fd: BorrowedFd<'_>) -> io::Result<()> {
        let token = Token::alone(Kind::Accept, listener as u32);
        // Blocking sockets: the ring waits for them; a non-blocking one would answer "again" instead.
        self.push(opcode::AcceptMulti::new(Fd(fd.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build(), token)
    }

    /// Accepts one connection.
    pub(crate) fn accept_one(&mut self, listener: usize, fd: BorrowedFd<'_>) -> io::Result<()> {
        let accept = opcode::Accept::new(Fd(fd.as_raw_fd()), std::ptr::null_mut(), std::ptr::null_mut());
        self.push(accept.flags(libc::SOCK_CLOEXEC).build(), Token::alone(Kind::Accept, listener as u32))
    }

    /// Ends the accept of `listener`.
    pub(crate) fn stop_accepting(&mut self, listener: usize) -> io::Result<()> {
        let accept = Token::alone(Kind::Accept, listener as u32).pack();
        self.push(opcode::AsyncCancel::new(accept).build(), Token::alone(Kind::Hush, listener as u32))
    }

    /// Receives once, into a buffer of the ring that is chosen when bytes are there.
    pub(crate) fn receive_once(&mut self, conn: ConnId, fd: BorrowedFd<'_>) -> io::Result<()> {
        let len = self.provided().buffer_bytes();
        let receive = opcode::Recv::new(Fd(fd.as_raw_fd()), std::ptr::null_mut(), len).buf_group(GROUP).build();
        self.push(receive.flags(squeue::Flags::BUFFER_SELECT), Token::of(Kind::Receive, conn))
    }

    /// Receives until a completion says that there is no more.
    pub(crate) fn receive_many(&mut self, conn: ConnId, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.push(opcode::RecvMulti::new(Fd(fd.as_raw_fd()), GROUP).build(), Token::of(Kind::Receive, conn))
    }

    /// Ends the receive of `conn`; its last completion says so.
    pub(crate) fn cancel_receive(&mut self, conn: ConnId) -> io::Result<()> {
        let receive = Token::of(Kind::Receive, conn).pack();
        self.push(opcode::AsyncCancel::new(receive).build(), Token::of(Kind::Cancel, conn))
    }

    /// Sends all of `bytes` (not empty), however many completions it takes. One send per connection at a time.
    pub(crate) fn send(&mut self, conn: ConnId, fd: BorrowedFd<'_>, bytes: Vec<u8>) -> io::Result<()> {
        debug_assert!(!bytes.is_empty());
        self.inflight.start(conn, bytes);
        self.send_rest(conn, fd)
    }

    /// Goes on with a send that said `SendEnd::Continues`.
    pub(crate) fn send_rest(&mut self, conn: ConnId, fd: BorrowedFd<'_>) -> io::Result<()> {
        let rest = self.inflight.rest(conn.index);
        let len = rest.len().min(SEND_BYTES_MAX) as u32;
        let send = opcode::Send::new(Fd(fd.as_raw_fd()), rest.as_ptr(), len).flags(libc::MSG_NOSIGNAL).build();
        self.push(send, Token::of(Kind::Send, conn))
    }

    /// Closes a socket that no order names any more.
    pub(crate) fn close(&mut self, fd: OwnedFd) -> io::Result<()> {
        self.push(opcode::Close::new(Fd(fd.into_raw_fd())).build(), Token::alone(Kind::Hush, 0))
    }

    // Completions.

    /// Moves up to `burst` completions into `into`.
    pub(crate) fn collect(&mut self, into: &mut Vec<Completion>, burst: usize) {
        let early = self.aside.len().min(burst);
        into.extend(self.aside.drain(..early));
        into.extend(self.io.completion().take(burst - early).map(Completion::from));
    }

    /// Says what a completion means. Each must be asked about exactly once.
    pub(crate) fn event(&mut self, completion: Completion) -> Event {
        let more = cqueue::more(completion.flags);
        self.pending -= usize::from(!more);
        let Some(token) = Token::unpack(completion.user_data) else { return Event::Nothing };
        match token.kind {
            Kind::Accept => {
                let outcome = result(completion.result).map(|fd| {
                    // SAFETY: the kernel just made this descriptor for this completion; nobody else knows it.
                    unsafe { OwnedFd::from_raw_fd(fd as i32) }
                });
                Event::Accepted { listener: token.index as usize, outcome, more }
            }
            Kind::Receive => Event::Received { conn: token.conn(), outcome: self.received(completion), more },
            Kind::Send => self.sent(token.conn(), completion.result),
            Kind::Cancel if completion.result < 0 => Event::NotCancelled { conn: token.conn() },
            Kind::Drain => {
                self.is_draining = false;
                Event::Nothing
            }
            Kind::Rung => {
                self.is_listening = false;
                Event::Rung
            }
            Kind::Cancel | Kind::Hush => Event::Nothing,
        }
    }

    fn received(&mut self, completion: Completion) -> Received {
        let filled =
            cqueue::buffer_select(completion.flags).map(|id| Filled { id, len: completion.result.max(0) as u32 });
        match (completion.result, filled) {
            (1.., Some(filled)) => Received::Bytes(filled),
            (_, Some(filled)) => {
                self.recycle(filled);
                end_of(completion.result)
            }
            (_, None) => {
                let end = end_of(completion.result);
                if matches!(end, Received::NoBuffer) {
                    self.provided.as_mut().expect("there until the drop").widen();
                }
                end
            }
        }
    }

    fn sent(&mut self, conn: ConnId, outcome: i32) -> Event {
        let rest = self.inflight.rest(conn.index).len();
        let (sent, error) = match result(outcome) {
            // Nothing of something: the socket takes no more, and asking again would not end.
            Ok(0) => (rest, Some(io::ErrorKind::WriteZero.into())),
            Ok(sent) => (sent as usize, None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (0, None),
            Err(error) => (rest, Some(error)),
        };
        let end = if let Some(error) = error {
            SendEnd::Failed { buffer: self.inflight.finish(conn.index), error }
        } else if self.inflight.advance(conn.index, sent) {
            SendEnd::Done { buffer: self.inflight.finish(conn.index) }
        } else {
            SendEnd::Continues
        };
        Event::Sent { conn, sent, end }
    }

    /// The bytes of a receive.
    pub(crate) fn bytes(&self, filled: &Filled) -> &[u8] {
        self.provided().bytes(filled)
    }

    /// Gives the buffer back to the ring; the kernel sees it after the next `enter`.
    pub(crate) fn recycle(&mut self, filled: Filled) {
        self.provided.as_mut().expect("there until the drop").recycle(filled);
    }

    // The one system call of a turn, and the way to sleep.

    /// Hands all orders to the kernel and lets it complete what it can. No system call where there is nothing to
    /// hand over and nothing to complete.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        self.provided.as_mut().expect("there until the drop").publish();
        let submission = self.io.submission();
        let is_needed = !submission.is_empty() || submission.taskrun() || submission.cq_overflow();
        drop(submission);
        if is_needed { self.submit() } else { Ok(()) }
    }

    fn submit(&mut self) -> io::Result<()> {
        for _ in 0..SUBMIT_TRIES_MAX {
            let count = self.io.submission().len() as u32;
            // Always with "get events": what completes while the orders are carried out completes in this call.
            let flags = EnterFlags::GETEVENTS.bits();
            // SAFETY: `count` orders lie in the queue, complete (see `push`), and there is no argument.
            match unsafe { self.io.submitter().enter::<libc::sigset_t>(count, 0, flags, None) } {
                Ok(_) => return Ok(()),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    // The completion queue is in the way: take it aside, so that the kernel can go on.
                    Some(libc::EBUSY | libc::EAGAIN) => {
                        self.aside.extend(self.io.completion().map(Completion::from));
                    }
                    _ => return Err(error),
                },
            }
        }
        Err(io::Error::other("io_uring takes no orders: the kernel stays busy"))
    }

    /// From now on what completes makes the event descriptor readable.
    pub(crate) fn arm_event(&mut self) {
        self.io.completion().enable_eventfd();
        // Orders the flag before the look that follows; the kernel writes its queues and then reads the flag.
        fence(Ordering::SeqCst);
    }

    pub(crate) fn disarm_event(&mut self) {
        self.io.completion().disable_eventfd();
    }

    /// Whether there is nothing to submit, nothing to collect, and nothing that waits to be completed.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let submission = self.io.submission();
        let is_still = submission.is_empty() && !submission.taskrun() && !submission.cq_overflow();
        drop(submission);
        is_still && self.aside.is_empty() && self.io.completion().is_empty()
    }

    /// What `arm_event` arms.
    pub(crate) fn armed_event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Empties the event descriptor with the next `enter`, so that it is not readable for what is over.
    pub(crate) fn drain_event(&mut self) -> io::Result<()> {
        if self.is_draining {
            return Ok(());
        }
        self.is_draining = true;
        let word = (&raw mut self.counters.event).cast::<u8>();
        let read = opcode::Read::new(Fd(self.event.as_raw_fd()), word, size_of::<u64>() as u32).build();
        self.push(read, Token::alone(Kind::Drain, 0))
    }

    /// Has the ring itself wait for the shard's bell, so that a nap hears it.
    pub(crate) fn listen_to(&mut self, rung: BorrowedFd<'_>) -> io::Result<()> {
        if self.is_listening {
            return Ok(());
        }
        self.is_listening = true;
        let poll = opcode::PollAdd::new(Fd(rung.as_raw_fd()), libc::POLLIN as u32).build();
        self.push(poll, Token::alone(Kind::Rung, 0))
    }

    /// Empties the bell that was heard, with the next `enter`. Whoever rings between is not missed: a shard looks
    /// for work after it announced its sleep.
    pub(crate) fn silence(&mut self, rung: BorrowedFd<'_>) -> io::Result<()> {
        let word = (&raw mut self.counters.rung).cast::<u8>();
        let read = opcode::Read::new(Fd(rung.as_raw_fd()), word, size_of::<u64>() as u32).build();
        self.push(read, Token::alone(Kind::Hush, 0))
    }

    /// Rings the bell of another shard with the next `enter`.
    pub(crate) fn ring_bell(&mut self, rung: BorrowedFd<'_>) -> io::Result<()> {
        static ONE: u64 = 1;
        let word = (&raw const ONE).cast::<u8>();
        let write = opcode::Write::new(Fd(rung.as_raw_fd()), word, size_of::<u64>() as u32).build();
        self.push(write, Token::alone(Kind::Hush, 0))
    }

    /// Sleeps in the kernel until something completes, at most `at_most`. False: nothing did.
    pub(crate) fn nap(&mut self, at_most: Duration) -> io::Result<bool> {
        let at_most = Timespec::from(at_most);
        match self.io.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&at_most)) {
            Ok(_) => Ok(true),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME) => Ok(false),
                Some(libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(true),
                _ => Err(error),
            },
        }
    }

    fn push(&mut self, order: squeue::Entry, token: Token) -> io::Result<()> {
        assert!(token.index <= INDEX_MAX);
        let order = order.user_data(token.pack());
        if self.io.submission().is_full() {
            self.submit()?;
        }
        // SAFETY: the order names descriptors, memory of `provided`, `inflight` or `counters`, and nothing else;
        // all of that stays where it is until the completion (see the module).
        unsafe { self.io.submission().push(&order) }.map_err(|_| io::Error::other("the submission queue is full"))?;
        self.pending += 1;
        Ok(())
    }

    fn provided(&self) -> &Provided {
        self.provided.as_ref().expect("there until the drop")
    }

    /// Cancels everything and waits, a bounded time, until the kernel has let go.
    fn let_go(&mut self) -> io::Result<()> {
        let cancel = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
        self.push(cancel, Token::alone(Kind::Hush, 0))?;
        let wait = Timespec::new().nsec(LET_GO_MS as u32 * 1_000_000 / 10);
        let mut completions = Vec::new();
        for _ in 0..10 {
            self.collect(&mut completions, usize::MAX);
            for completion in completions.drain(..) {
                match self.event(completion) {
                    Event::Received { outcome: Received::Bytes(filled), .. } => self.recycle(filled),
                    Event::Sent { conn, end: SendEnd::Continues, .. } => drop(self.inflight.finish(conn.index)),
                    _ => {}
                }
            }
            if self.pending == 0 {
                return Ok(());
            }
            match self.io.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&wait)) {
                Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Err(error) = self.let_go() {
            tracing::warn!(%error, "a ring could not be wound up");
        }
        if self.pending > 0 {
            tracing::warn!(orders = self.pending, "the kernel still holds memory of a ring at its end: it is left");
            std::mem::forget(self.provided.take());
            std::mem::forget(std::mem::take(&mut self.inflight));
            std::mem::forget(std::mem::take(&mut self.counters));
        }
    }
}

impl From<cqueue::Entry> for Completion {
    fn from(entry: cqueue::Entry) -> Completion {
        Completion { user_data: entry.user_data(), result: entry.result(), flags: entry.flags() }
    }
}

/// A kernel's result: a number, or an error as its negative.
fn result(result: i32) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// What a receive without bytes says.
fn end_of(outcome: i32) -> Received {
    match result(outcome) {
        Ok(_) => Received::End,
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOBUFS) => Received::NoBuffer,
            // Interrupted or cancelled: not the socket's fault; who wants to read on arms it again.
            Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => Received::Cancelled,
            _ => Received::Failed(error),
        },
    }
}
