//! Many publishers and subscribers on one thread: a closed loop in which every publisher stays a fixed number of
//! messages ahead of its slowest subscriber.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::packets::{self, Received, Template, scan};

/// Bytes that one read may bring, and the largest packet that is understood.
const READ_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A publisher with more unsent bytes than this makes no further messages.
const UNSENT_BYTES_MAX: usize = 256 * 1024;
/// Reads of one socket before the others get their turn.
const READS_PER_TURN_MAX: usize = 4;
const SETUP_TIMEOUT: Duration = Duration::from_secs(20);
/// Without any delivery for so long, what is in flight counts as lost.
const STALL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// Each publisher to its own subscriber.
    Pairs,
    /// All publishers to one subscriber of a wildcard filter.
    FanIn,
    /// One publisher to all subscribers.
    FanOut,
}

impl Scenario {
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Pairs => "pairs",
            Scenario::FanIn => "fan-in",
            Scenario::FanOut => "fan-out",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub scenario: Scenario,
    pub broker: SocketAddr,
    /// Pairs, publishers of a fan-in, or subscribers of a fan-out.
    pub clients: usize,
    pub qos: u8,
    /// Bytes of a payload.
    pub size: usize,
    /// Messages of one publisher that may be under way.
    pub in_flight: u64,
    pub warmup: Duration,
    pub duration: Duration,
}

impl Plan {
    pub fn publishers(&self) -> usize {
        if self.scenario == Scenario::FanOut { 1 } else { self.clients }
    }

    pub fn subscribers(&self) -> usize {
        if self.scenario == Scenario::FanIn { 1 } else { self.clients }
    }

    fn topic(&self, publisher: usize) -> String {
        match self.scenario {
            Scenario::Pairs => format!("b{publisher}/data"),
            Scenario::FanIn => format!("bench/p{publisher}"),
            Scenario::FanOut => "bench/data".to_owned(),
        }
    }

    /// What the topics look like.
    pub fn layout(&self) -> &'static str {
        match self.scenario {
            Scenario::Pairs => "b{i}/data",
            Scenario::FanIn => "bench/p{i}",
            Scenario::FanOut => "bench/data",
        }
    }

    fn filter(&self, subscriber: usize) -> String {
        match self.scenario {
            Scenario::FanIn => "bench/#".to_owned(),
            _ => self.topic(subscriber),
        }
    }

    /// Subscribers that hear a publisher.
    fn heard_by(&self, publisher: usize) -> Range<usize> {
        match self.scenario {
            Scenario::Pairs => publisher..publisher + 1,
            _ => 0..self.subscribers(),
        }
    }

    /// Publishers that a subscriber hears.
    fn hears(&self, subscriber: usize) -> Range<usize> {
        match self.scenario {
            Scenario::Pairs => subscriber..subscriber + 1,
            _ => 0..self.publishers(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    pub published: u64,
    pub delivered: u64,
    pub lost: u64,
    /// Deliveries with a number below one that came before: out of order, or twice.
    pub reordered: u64,
    /// Times that nothing came for a second although messages were under way.
    pub stalls: u64,
}

/// One socket with what it has not sent and what it has received in part.
struct Link {
    socket: mio::net::TcpStream,
    carry: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    writable: bool,
}

impl Link {
    fn flush(&mut self) -> io::Result<()> {
        while self.writable && self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Ok(())
    }

    fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Calls `each` for every packet that one read brings. False when nothing more is there.
    fn read(&mut self, buffer: &mut [u8], mut each: impl FnMut(Received, &mut Vec<u8>)) -> io::Result<bool> {
        let kept = self.carry.len();
        buffer[..kept].copy_from_slice(&self.carry);
        let count = match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed a connection")),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        let filled = &buffer[..kept + count];
        let mut at = 0;
        while let Some((packet, length)) = scan(&filled[at..]).map_err(io::Error::other)? {
            each(packet, &mut self.out);
            at += length;
        }
        self.carry.clear();
        self.carry.extend_from_slice(&filled[at..]);
        if self.carry.len() == buffer.len() {
            return Err(io::Error::other("a packet larger than this generator reads"));
        }
        Ok(kept + count == buffer.len())
    }
}

struct Publisher {
    link: Link,
    template: Template,
    next: u64,
    unacked: u64,
    last_id: u16,
    dirty: bool,
}

impl Publisher {
    /// Makes messages until `window` of them are ahead of `base`.
    fn fill(&mut self, base: u64, window: u64, qos: u8) {
        while self.next - base < window && self.unacked < window && self.link.unsent() < UNSENT_BYTES_MAX {
            if qos > 0 {
                self.last_id = if self.last_id == u16::MAX { 1 } else { self.last_id + 1 };
                self.unacked += 1;
            }
            self.template.write(&mut self.link.out, self.next, self.last_id);
            self.next += 1;
        }
    }
}

struct Subscriber {
    link: Link,
    hears: Range<usize>,
    /// Per publisher heard: the number that should come next.
    expected: Vec<u64>,
}

/// Counts one delivery.
fn count(expected: &mut u64, sequence: u64, totals: &mut Totals) {
    totals.delivered += 1;
    if sequence >= *expected {
        totals.lost += sequence - *expected;
        *expected = sequence + 1;
    } else {
        totals.reordered += 1;
    }
}

/// All clients, connected and subscribed.
pub struct Load {
    plan: Plan,
    poll: Poll,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    totals: Totals,
    buffer: Vec<u8>,
    dirty: Vec<usize>,
    /// Sockets that stopped at `READS_PER_TURN_MAX`.
    unread: Vec<usize>,
}

impl Load {
    /// Connects all clients; subscribers first.
    pub fn connect(plan: Plan) -> io::Result<Load> {
        let poll = Poll::new()?;
        let mut load = Load {
            poll,
            publishers: Vec::new(),
            subscribers: Vec::new(),
            totals: Totals::default(),
            buffer: vec![0; READ_BYTES_MAX],
            dirty: Vec::new(),
            unread: Vec::new(),
            plan,
        };
        for number in 0..load.plan.subscribers() {
            let filter = load.plan.filter(number);
            let link = load.open(&format!("bench-sub-{number}"), Some(&filter), number)?;
            let hears = load.plan.hears(number);
            load.subscribers.push(Subscriber { link, expected: vec![0; hears.len()], hears });
        }
        for number in 0..load.plan.publishers() {
            let plan = &load.plan;
            let template = Template::new(&plan.topic(number), plan.qos, plan.size, number as u32);
            let link = load.open(&format!("bench-pub-{number}"), None, load.plan.subscribers() + number)?;
            load.publishers.push(Publisher { link, template, next: 0, unacked: 0, last_id: 0, dirty: true });
            load.dirty.push(number);
        }
        Ok(load)
    }

    fn open(&self, client_id: &str, filter: Option<&str>, token: usize) -> io::Result<Link> {
        let mut socket = TcpStream::connect_timeout(&self.plan.broker, SETUP_TIMEOUT)?;
        socket.set_read_timeout(Some(SETUP_TIMEOUT))?;
        socket.set_nodelay(true)?;
        socket.write_all(&packets::connect(client_id))?;
        expect(&mut socket, Received::Connack { code: 0 })?;
        if let Some(filter) = filter {
            socket.write_all(&packets::subscribe(filter, self.plan.qos))?;
            expect(&mut socket, Received::Suback { code: self.plan.qos })?;
        }
        socket.set_nonblocking(true)?;
        let mut socket = mio::net::TcpStream::from_std(socket);
        self.poll.registry().register(&mut socket, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Link { socket, carry: Vec::new(), out: Vec::new(), sent: 0, writable: true })
    }

    /// Publishes for as long as the plan says and returns what happened after the warm-up, with the seconds that it
    /// took. `mark` is called at the start and at the end of that time.
    pub fn run(&mut self, mut mark: impl FnMut()) -> io::Result<(Totals, f64)> {
        self.publish_until(Instant::now() + self.plan.warmup)?;
        let before = (self.totals.delivered, self.published());
        let start = Instant::now();
        mark();
        self.publish_until(start + self.plan.duration)?;
        let seconds = start.elapsed().as_secs_f64();
        mark();
        let (delivered, published) = (self.totals.delivered - before.0, self.published() - before.1);
        self.drain()?;
        Ok((Totals { delivered, published, ..self.totals }, seconds))
    }

    fn published(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.next).sum()
    }

    fn publish_until(&mut self, end: Instant) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut last = (self.totals.delivered, Instant::now());
        loop {
            self.publish()?;
            self.turn(&mut events)?;
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            if self.totals.delivered != last.0 {
                last = (self.totals.delivered, now);
            } else if now - last.1 > STALL {
                self.totals.stalls += 1;
                self.give_up();
                last.1 = now;
            }
        }
    }

    /// Waits for what is under way; what does not come is lost.
    fn drain(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut last = (self.totals.delivered, Instant::now());
        while self.outstanding() > 0 && last.1.elapsed() < STALL {
            for publisher in &mut self.publishers {
                publisher.link.flush()?;
            }
            self.turn(&mut events)?;
            if self.totals.delivered != last.0 {
                last = (self.totals.delivered, Instant::now());
            }
        }
        self.give_up();
        Ok(())
    }

    fn outstanding(&self) -> u64 {
        let each = self.subscribers.iter().map(|subscriber| {
            let heard = &self.publishers[subscriber.hears.clone()];
            heard.iter().zip(&subscriber.expected).map(|(publisher, expected)| publisher.next - expected).sum::<u64>()
        });
        each.sum()
    }

    fn give_up(&mut self) {
        self.totals.lost += self.outstanding();
        for subscriber in &mut self.subscribers {
            for (expected, publisher) in subscriber.expected.iter_mut().zip(&self.publishers[subscriber.hears.clone()])
            {
                *expected = publisher.next;
            }
        }
        self.mark_dirty(0..self.publishers.len());
    }

    fn mark_dirty(&mut self, publishers: Range<usize>) {
        for number in publishers {
            if !std::mem::replace(&mut self.publishers[number].dirty, true) {
                self.dirty.push(number);
            }
        }
    }

    fn publish(&mut self) -> io::Result<()> {
        while let Some(number) = self.dirty.pop() {
            let base = self.plan.heard_by(number).map(|subscriber| {
                let subscriber = &self.subscribers[subscriber];
                subscriber.expected[number - subscriber.hears.start]
            });
            let publisher = &mut self.publishers[number];
            publisher.dirty = false;
            publisher.fill(base.min().unwrap_or(publisher.next), self.plan.in_flight, self.plan.qos);
            publisher.link.flush()?;
        }
        Ok(())
    }

    /// One wait, and everything that it brings.
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let wait = if self.unread.is_empty() { Duration::from_millis(50) } else { Duration::ZERO };
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for number in std::mem::take(&mut self.unread) {
            self.receive(number)?;
        }
        for event in events.iter() {
            let number = event.token().0;
            if event.is_writable() {
                self.link(number).writable = true;
                if number >= self.subscribers.len() {
                    self.mark_dirty(number - self.subscribers.len()..number - self.subscribers.len() + 1);
                } else {
                    self.link(number).flush()?;
                }
            }
            if event.is_readable() {
                self.receive(number)?;
            }
        }
        Ok(())
    }

    fn link(&mut self, number: usize) -> &mut Link {
        let subscribers = self.subscribers.len();
        if number < subscribers {
            &mut self.subscribers[number].link
        } else {
            &mut self.publishers[number - subscribers].link
        }
    }

    fn receive(&mut self, number: usize) -> io::Result<()> {
        for _ in 0..READS_PER_TURN_MAX {
            let more = match number.checked_sub(self.subscribers.len()) {
                None => self.receive_deliveries(number)?,
                Some(publisher) => self.receive_acks(publisher)?,
            };
            if !more {
                return Ok(());
            }
        }
        self.unread.push(number);
        Ok(())
    }

    fn receive_deliveries(&mut self, number: usize) -> io::Result<bool> {
        let Subscriber { link, hears, expected } = &mut self.subscribers[number];
        let (first, totals) = (hears.start, &mut self.totals);
        let more = link.read(&mut self.buffer, |packet, out| {
            let Received::Publish { publisher, sequence, qos, id } = packet else { return };
            if let Some(expected) = (publisher as usize).checked_sub(first).and_then(|at| expected.get_mut(at)) {
                count(expected, sequence, totals);
            }
            if qos == 1 {
                out.extend([0x40, 2, (id >> 8) as u8, id as u8]);
            }
        })?;
        link.flush()?;
        let hears = hears.clone();
        self.mark_dirty(hears);
        Ok(more)
    }

    fn receive_acks(&mut self, number: usize) -> io::Result<bool> {
        let Publisher { link, unacked, .. } = &mut self.publishers[number];
        let more = link.read(&mut self.buffer, |packet, _| {
            if packet == Received::Puback {
                *unacked = unacked.saturating_sub(1);
            }
        })?;
        self.mark_dirty(number..number + 1);
        Ok(more)
    }
}

/// Reads one packet, byte by byte so that nothing behind it is taken, and compares.
fn expect(socket: &mut TcpStream, wanted: Received) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        bytes.push(byte[0]);
        match scan(&bytes).map_err(io::Error::other)? {
            Some((packet, _)) if packet == wanted => return Ok(()),
            Some((packet, _)) => return Err(io::Error::other(format!("expected {wanted:?}, got {packet:?}"))),
            None => {}
        }
    }
}
