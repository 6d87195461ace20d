//! The thread of the control room: a socket whose clients each ask once, and a look at the shards when it is due.
//!
//! One `poll` for everything. A client has a bounded request, a bounded time to send it, and a bounded time to take its
//! answer; there are so many at once and no more.

use super::picture::{Picture, Pictures};
use super::place::{ControlError, Open, Place};
use super::watch::Watch;
use super::{REQUEST_BYTES_MAX, REQUEST_SHARDS, advice};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::collections::HashSet;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients at once; one more is told so and let go.
const CLIENTS_MAX: usize = 16;
/// Milliseconds that a client has to send its request, and again to take its answer.
const CLIENT_MS: u64 = 2_000;
/// Milliseconds that a picture is of, when somebody asks for one.
const PICTURE_MS: u64 = 1_000;
/// Milliseconds between two looks while nobody asks.
const IDLE_MS: u64 = 10_000;
/// Milliseconds without a new client after the system refused one.
const PAUSE_MS: u64 = 1_000;

/// The thread, while it runs; it ends when this is dropped.
pub(crate) struct Room {
    bell: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Room {
    /// Makes the socket, if there is to be one.
    pub(crate) fn open(place: Option<&Place>) -> Result<Option<Open>, ControlError> {
        let Some(place) = place else { return Ok(None) };
        match Open::at(&place.path) {
            Ok(open) => Ok(Some(open)),
            Err(error) if place.is_named => Err(error),
            Err(error) => {
                tracing::warn!("{error}; `mote shards` shows nothing");
                Ok(None)
            }
        }
    }

    pub(crate) fn start(open: Option<Open>, watch: Watch, pictures: Pictures) -> io::Result<Room> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let desk = Desk {
            bell: bell.clone(),
            open,
            watch,
            pictures,
            clients: Vec::new(),
            looked: None,
            picture: None,
            paused_until: None,
            warned: Warned::default(),
        };
        let thread = std::thread::Builder::new().name("mote-control".into()).spawn(move || desk.run())?;
        Ok(Room { bell, thread: Some(thread) })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Err(error) = rustix::io::write(&*self.bell, &1u64.to_ne_bytes()) {
            tracing::error!(%error, "the control thread is not told to end");
            return;
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the control thread panicked, which is a bug in mote");
        }
    }
}

struct Client {
    stream: UnixStream,
    stage: Stage,
    until: Instant,
}

enum Stage {
    Asking(Vec<u8>),
    /// For a picture that is new enough.
    Waiting,
    Answered {
        answer: Arc<[u8]>,
        written: usize,
    },
}

struct Desk {
    bell: Arc<OwnedFd>,
    open: Option<Open>,
    watch: Watch,
    pictures: Pictures,
    clients: Vec<Client>,
    /// When the shards were last looked at.
    looked: Option<Instant>,
    /// The last picture that is of about `PICTURE_MS`, and when it was made.
    picture: Option<(Instant, Arc<[u8]>)>,
    /// No client is accepted before.
    paused_until: Option<Instant>,
    warned: Warned,
}

impl Desk {
    fn run(mut self) {
        // The first look is what the second is compared with.
        self.look();
        loop {
            match self.wait() {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return tracing::error!(%error, "the control thread cannot wait for anything and ends"),
            }
            self.accept();
            self.serve();
            if self.next_look() <= Instant::now() {
                self.look();
            }
        }
    }

    /// True: it is time to end.
    fn wait(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        let next = self.clients.iter().map(|client| client.until).chain(self.paused_until).chain([self.next_look()]);
        let rest = next.min().unwrap_or(now).saturating_duration_since(now);
        let timeout = Timespec { tv_sec: rest.as_secs() as i64, tv_nsec: rest.subsec_nanos().into() };
        let mut fds = vec![PollFd::new(&*self.bell, PollFlags::IN)];
        fds.extend(self.clients.iter().map(|client| {
            let of = match client.stage {
                Stage::Asking(_) => PollFlags::IN,
                // Nothing but its end, which is told unasked.
                Stage::Waiting => PollFlags::empty(),
                Stage::Answered { .. } => PollFlags::OUT,
            };
            PollFd::from_borrowed_fd(client.stream.as_fd(), of)
        }));
        if let Some(open) = self.open.as_ref().filter(|_| self.paused_until.is_none()) {
            fds.push(PollFd::from_borrowed_fd(open.listener.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_over = !fds[0].revents().is_empty();
        let has_ended = |fd: &PollFd<'_>| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR);
        let ended: Vec<bool> = fds[1..].iter().map(has_ended).collect();
        let mut ended = ended.into_iter();
        self.clients.retain(|_| ended.next() != Some(true));
        Ok(is_over)
    }

    /// While somebody waits, so long after the last look that there is something to see; then the same once more, if
    /// the last look was long ago.
    fn next_look(&self) -> Instant {
        let Some(looked) = self.looked else { return Instant::now() };
        let is_awaited = self.clients.iter().any(|client| matches!(client.stage, Stage::Waiting));
        looked + Duration::from_millis(if is_awaited { PICTURE_MS } else { IDLE_MS })
    }

    fn look(&mut self) {
        let before = self.looked;
        let sights = self.watch.look();
        let now = Instant::now();
        self.looked = Some(now);
        let picture = self.pictures.next(sights);
        self.warned.tell(&picture);
        if before.is_none_or(|before| now - before > 2 * Duration::from_millis(PICTURE_MS)) {
            return; // of a time that is over
        }
        let answer = line(&picture);
        self.picture = Some((now, answer.clone()));
        for client in self.clients.iter_mut().filter(|client| matches!(client.stage, Stage::Waiting)) {
            client.answer(answer.clone());
        }
        self.serve();
    }

    fn accept(&mut self) {
        let Some(open) = self.open.as_ref().filter(|_| self.paused_until.is_none()) else { return };
        loop {
            match open.listener.accept() {
                Ok((stream, _)) => {
                    let until = Instant::now() + Duration::from_millis(CLIENT_MS);
                    let stage = Stage::Asking(Vec::new());
                    let mut client = Client { stream, stage, until };
                    if client.stream.set_nonblocking(true).is_err() {
                        continue; // it is gone
                    }
                    if self.clients.len() == CLIENTS_MAX {
                        client.answer(refusal("too many ask at once"));
                        client.go_on(None);
                    } else {
                        self.clients.push(client);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(%error, "the control socket takes nobody for a moment");
                    self.paused_until = Some(Instant::now() + Duration::from_millis(PAUSE_MS));
                    return;
                }
            }
        }
    }

    /// Goes on with every client, and lets go of those that are done, gone or too slow.
    fn serve(&mut self) {
        let now = Instant::now();
        let is_fresh = |made: &Instant| now - *made < Duration::from_millis(PICTURE_MS);
        let picture = self.picture.as_ref().filter(|(made, _)| is_fresh(made)).map(|(_, answer)| answer.clone());
        self.clients.retain_mut(|client| client.go_on(picture.as_ref()) && client.until > now);
    }
}

impl Client {
    fn answer(&mut self, answer: Arc<[u8]>) {
        self.stage = Stage::Answered { answer, written: 0 };
        self.until = Instant::now() + Duration::from_millis(CLIENT_MS);
    }

    /// As far as it goes without waiting. False: nothing is left to do for it.
    fn go_on(&mut self, picture: Option<&Arc<[u8]>>) -> bool {
        if let Stage::Asking(request) = &mut self.stage {
            match read_request(&mut self.stream, request) {
                Request::Part => return true,
                Request::Gone => return false,
                Request::Whole if request == REQUEST_SHARDS.as_bytes() => match picture {
                    Some(picture) => self.answer(picture.clone()),
                    None => {
                        self.stage = Stage::Waiting;
                        // Two looks, and the time that shards have to answer.
                        self.until = Instant::now() + Duration::from_millis(5 * PICTURE_MS);
                    }
                },
                Request::Whole => self.answer(refusal("what is asked for is not known here; `shards` is")),
            }
        }
        match &mut self.stage {
            Stage::Asking(_) | Stage::Waiting => true,
            Stage::Answered { answer, written } => write_rest(&mut self.stream, answer, written),
        }
    }
}

enum Request {
    Part,
    /// A line, or more bytes than one has.
    Whole,
    Gone,
}

fn read_request(stream: &mut UnixStream, request: &mut Vec<u8>) -> Request {
    let mut piece = [0; REQUEST_BYTES_MAX];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Request::Gone,
            Ok(count) => request.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Request::Part,
            Err(_) => return Request::Gone,
        }
        if request.contains(&b'\n') || request.len() >= REQUEST_BYTES_MAX {
            return Request::Whole;
        }
    }
}

/// True: there is more to write.
fn write_rest(stream: &mut UnixStream, answer: &[u8], written: &mut usize) -> bool {
    while *written < answer.len() {
        match stream.write(&answer[*written..]) {
            Ok(count) => *written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    false
}

fn line(picture: &Picture) -> Arc<[u8]> {
    match serde_json::to_vec(picture) {
        Ok(mut line) => {
            line.push(b'\n');
            line.into()
        }
        Err(error) => refusal(&format!("the picture has no JSON: {error}")),
    }
}

fn refusal(why: &str) -> Arc<[u8]> {
    format!("{}\n", serde_json::json!({ "error": why })).into_bytes().into()
}

/// Which roots the log has a word about already.
#[derive(Default)]
struct Warned {
    /// In the picture before: a moment is no reason for a warning.
    before: HashSet<String>,
    told: HashSet<String>,
}

impl Warned {
    fn tell(&mut self, picture: &Picture) {
        use advice::Kind;
        let is_too_much = |advice: &&advice::Advice| matches!(advice.kind, Kind::Split | Kind::Topic);
        let now: Vec<_> = picture.advice.iter().filter(is_too_much).collect();
        for advice in &now {
            if self.before.contains(&advice.root)
                && self.told.len() < engine::limits::GROUPS
                && self.told.insert(advice.root.clone())
            {
                let lines = advice.lines.join(" ");
                let remedy = if lines.is_empty() { advice.effect.clone() } else { format!("write {lines}") };
                tracing::warn!("{}; {remedy} (`mote shards` shows more)", advice.why);
            }
        }
        self.before = now.iter().map(|advice| advice.root.clone()).collect();
    }
}
