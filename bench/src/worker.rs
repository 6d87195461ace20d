//! One thread of the generator: its clients, one epoll, one buffer.
//!
//! Every turn it makes the messages that may be made, waits, and takes what came. Publishers learn how far their
//! audiences are from numbers that each thread writes for all, so that the ends of a message may be on two threads.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Instant;

use hdrhistogram::Histogram;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::time::{ClockId, clock_gettime};

use crate::latency::Recorder;
use crate::link::READ_BYTES;
use crate::packets::{PUBACK, scan};
use crate::plan::{Pace, Plan, Scenario};
use crate::publisher::{Publisher, Timetable};
use crate::subscriber::{Audience, Counts, Reading, Subscriber};

/// Reads of one socket before the others get their turn.
const READS_PER_TURN_MAX: usize = 8;
const EVENTS_PER_TURN_MAX: usize = 1024;
/// Without any delivery for so long, what is in flight counts as lost.
const STALL_NS: u64 = 1_000_000_000;
/// For so long at most what is under way is waited for in the end.
const DRAIN_NS_MAX: u64 = 10_000_000_000;
const WAIT_NS_MAX: u64 = 50_000_000;
const STEP_NS: u64 = 1_000_000_000;
/// What epoll calls the bell; clients have lower numbers.
const BELL: u64 = u64::MAX;

/// What all threads of a run know.
#[derive(Debug)]
pub struct Shared<'a> {
    pub plan: &'a Plan,
    pub reading: Reading,
    /// When the run began.
    epoch: Instant,
    /// Per publisher, how many messages it has made.
    sent: Vec<AtomicU64>,
    /// Per thread and publisher, how far the audiences on that thread are; `u64::MAX` where none hears it.
    settled: Vec<Vec<AtomicU64>>,
    /// Per thread: it waits, and wants its bell rung when something was settled.
    is_asleep: Vec<AtomicBool>,
    bells: Vec<OwnedFd>,
    /// Threads that make no more messages; that have all they wait for.
    ended: AtomicUsize,
    drained: AtomicUsize,
    has_failed: AtomicBool,
}

impl<'a> Shared<'a> {
    pub fn new(plan: &'a Plan, run: u8) -> io::Result<Shared<'a>> {
        let begin = plan.warmup.as_nanos() as u64;
        let numbers = |start: u64| (0..plan.publishers).map(|_| AtomicU64::new(start)).collect::<Vec<_>>();
        let bell = |_| Ok(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        Ok(Shared {
            plan,
            reading: Reading {
                version: plan.version,
                run,
                is_merged: plan.scenario.is_merged(),
                is_shared: plan.scenario == Scenario::Shared,
                measured: (begin, begin + plan.duration.as_nanos() as u64),
            },
            epoch: Instant::now(),
            sent: numbers(0),
            settled: (0..plan.threads).map(|_| numbers(u64::MAX)).collect(),
            is_asleep: (0..plan.threads).map(|_| AtomicBool::new(false)).collect(),
            bells: (0..plan.threads).map(bell).collect::<io::Result<_>>()?,
            ended: AtomicUsize::new(0),
            drained: AtomicUsize::new(0),
            has_failed: AtomicBool::new(false),
        })
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// How far the slowest audience of a publisher is.
    fn base(&self, publisher: usize) -> u64 {
        let settled = self.settled.iter().map(|thread| thread[publisher].load(Ordering::SeqCst));
        settled.min().unwrap_or(u64::MAX)
    }

    fn wake(&self, thread: usize) {
        if self.is_asleep[thread].swap(false, Ordering::SeqCst) {
            let _ = rustix::io::write(&self.bells[thread], &1u64.to_ne_bytes()); // full means that it rings already
        }
    }

    /// Tells all threads to stop: the run is worth nothing.
    pub fn fail(&self) {
        self.has_failed.store(true, Ordering::SeqCst);
    }

    fn is_all(&self, count: &AtomicUsize) -> bool {
        count.load(Ordering::SeqCst) == self.plan.threads
    }
}

/// What one thread did from one boundary of time to the next.
#[derive(Debug)]
pub struct Step {
    /// Nanoseconds since the run began.
    pub at_ns: u64,
    pub published: u64,
    pub delivered: u64,
    pub rows: u64,
    pub latency: Option<Histogram<u64>>,
    /// How late the generator itself was.
    pub lag: Option<Histogram<u64>>,
    /// CPU seconds of the thread since it began.
    pub cpu_s: f64,
}

/// What one thread knows when all is over.
#[derive(Debug, Default)]
pub struct Ending {
    pub lost: u64,
    /// Messages whose row was overwritten by a later one before a frame was made.
    pub folded: u64,
    pub duplicates: u64,
    pub reordered: u64,
    pub stalls: u64,
    pub foreign: u64,
    pub refused: u64,
    pub unacked: u64,
    /// Messages that were due and never made.
    pub unsent: u64,
    /// Of messages that came when the time was over, but were due before.
    pub late: Option<Histogram<u64>>,
}

impl Ending {
    pub fn add(&mut self, other: Ending) {
        self.lost += other.lost;
        self.folded += other.folded;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.stalls += other.stalls;
        self.foreign += other.foreign;
        self.refused += other.refused;
        self.unacked += other.unacked;
        self.unsent += other.unsent;
        match (&mut self.late, other.late) {
            (Some(late), other) => crate::latency::add(late, other.as_ref()),
            (late, other) => *late = other,
        }
    }
}

/// The clients of one thread.
#[derive(Debug, Default)]
pub struct Clients {
    pub publishers: Vec<Publisher>,
    pub subscribers: Vec<Subscriber>,
    pub audiences: Vec<Audience>,
}

pub struct Worker<'a> {
    shared: &'a Shared<'a>,
    number: usize,
    clients: Clients,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    timetable: Option<Timetable>,
    /// Of an open loop: which of its publishers is next, and in which round.
    cursor: (usize, u64),
    /// Publishers of this thread that may be able to make messages.
    dirty: Vec<usize>,
    /// Publishers, of any thread, that audiences here have heard from in this turn.
    heard: Vec<usize>,
    is_heard: Vec<bool>,
    /// Sockets that stopped at `READS_PER_TURN_MAX`.
    unread: Vec<usize>,
    counts: Counts,
    published: u64,
    recorder: Recorder,
    lag: Recorder,
    stalls: u64,
    /// Deliveries and acknowledgements, and when they last grew.
    progress: (u64, u64),
    acks: u64,
}

impl<'a> Worker<'a> {
    pub fn new(shared: &'a Shared<'a>, number: usize, clients: Clients) -> io::Result<Worker<'a>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let links = clients.subscribers.iter().map(|it| &it.link).chain(clients.publishers.iter().map(|it| &it.link));
        for (token, link) in links.enumerate() {
            link.register(&epoll, token as u64)?;
        }
        epoll::add(&epoll, &shared.bells[number], EventData::new_u64(BELL), EventFlags::IN)?;
        let timetable = match shared.plan.pace {
            Pace::Open { rate } => Some(Timetable::new(shared.plan.publishers, rate)),
            Pace::Closed { .. } => None,
        };
        let mut worker = Worker {
            shared,
            number,
            dirty: (0..clients.publishers.len()).collect(),
            clients,
            epoll,
            events: Vec::with_capacity(EVENTS_PER_TURN_MAX),
            buffer: vec![0; READ_BYTES],
            timetable,
            cursor: (0, 0),
            heard: Vec::new(),
            is_heard: vec![false; shared.plan.publishers],
            unread: Vec::new(),
            counts: Counts::default(),
            published: 0,
            recorder: Recorder::default(),
            lag: Recorder::default(),
            stalls: 0,
            progress: (0, 0),
            acks: 0,
        };
        worker.hear_all();
        Ok(worker)
    }

    /// Publishes and receives for as long as the plan says. A step for each second that is measured goes to `steps`,
    /// the first with what was before.
    pub fn run(mut self, steps: &Sender<(usize, Step)>) -> io::Result<Ending> {
        rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?; // else the kernel wakes it later
        self.publish_until_end(steps)?;
        self.drain()?;
        Ok(self.ending())
    }

    fn publish_until_end(&mut self, steps: &Sender<(usize, Step)>) -> io::Result<()> {
        let (mut boundary, end) = self.shared.reading.measured;
        loop {
            let now = self.shared.now_ns();
            if now >= boundary {
                let _ = steps.send((self.number, self.step(now))); // who listens may have failed
                if boundary >= end {
                    return Ok(());
                }
                boundary = (boundary + STEP_NS).min(end);
            }
            if self.shared.has_failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.publish(now.min(end - 1), now)?;
            self.turn(boundary)?;
            self.look_for_stall();
        }
    }

    fn step(&mut self, now: u64) -> Step {
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        let counts = std::mem::take(&mut self.counts);
        self.counts.foreign = counts.foreign;
        self.progress.0 = 0;
        Step {
            at_ns: now,
            published: std::mem::take(&mut self.published),
            delivered: counts.delivered,
            rows: counts.rows,
            latency: self.recorder.take(),
            lag: self.lag.take(),
            cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        }
    }

    fn publish(&mut self, until: u64, now: u64) -> io::Result<()> {
        match self.timetable {
            Some(timetable) => self.publish_due(&timetable, until, now),
            None => self.publish_window(now),
        }
        while let Some(at) = self.dirty.pop() {
            let publisher = &mut self.clients.publishers[at];
            publisher.is_dirty = false;
            publisher.link.flush()?;
            self.shared.sent[publisher.number].store(publisher.next, Ordering::Relaxed);
        }
        Ok(())
    }

    fn publish_window(&mut self, now: u64) {
        let window = self.shared.plan.window();
        if self.is_elsewhere() {
            (0..self.clients.publishers.len()).for_each(|at| self.mark(at)); // others may have heard more
        }
        for at in 0..self.dirty.len() {
            let publisher = &mut self.clients.publishers[self.dirty[at]];
            let base = self.shared.base(publisher.number);
            self.published += publisher.fill(base, window, now);
        }
    }

    /// Audiences on other threads hear publishers of this one.
    fn is_elsewhere(&self) -> bool {
        self.shared.plan.threads > 1 && self.shared.plan.scenario != Scenario::Pairs && self.timetable.is_none()
    }

    fn publish_due(&mut self, timetable: &Timetable, until: u64, now: u64) {
        while self.next_due(timetable) <= until {
            self.mark(self.cursor.0);
            self.cursor.0 += 1;
            if self.cursor.0 == self.clients.publishers.len() {
                self.cursor = (0, self.cursor.1 + 1);
            }
        }
        for at in &self.dirty {
            self.published += self.clients.publishers[*at].fill_due(timetable, until, now, &mut self.lag);
        }
    }

    fn next_due(&self, timetable: &Timetable) -> u64 {
        let publisher = self.clients.publishers.get(self.cursor.0);
        publisher.map_or(u64::MAX, |publisher| timetable.due_ns(publisher.number, self.cursor.1))
    }

    /// A publisher of this thread has something to make or to send.
    fn mark(&mut self, at: usize) {
        if !std::mem::replace(&mut self.clients.publishers[at].is_dirty, true) {
            self.dirty.push(at);
        }
    }

    /// One wait, until `boundary` at most, and everything that it brings.
    fn turn(&mut self, boundary: u64) -> io::Result<()> {
        let wait = self.wait_ns(boundary);
        let timeout = Timespec { tv_sec: (wait / 1_000_000_000) as i64, tv_nsec: (wait % 1_000_000_000) as i64 };
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            other => drop(other?),
        }
        self.shared.is_asleep[self.number].store(false, Ordering::SeqCst);
        for at in std::mem::take(&mut self.unread) {
            self.receive(at)?;
        }
        for at in 0..self.events.len() {
            let epoll::Event { flags, data, .. } = self.events[at];
            match data.u64() {
                BELL => drop(rustix::io::read(&self.shared.bells[self.number], &mut [0; 8])),
                token => self.serve(token as usize, flags)?,
            }
        }
        self.tell_progress();
        Ok(())
    }

    fn wait_ns(&self, boundary: u64) -> u64 {
        if !self.unread.is_empty() {
            return 0;
        }
        let due = self.timetable.as_ref().map_or(u64::MAX, |timetable| self.next_due(timetable));
        let due = if due < self.shared.reading.measured.1 { due } else { u64::MAX };
        let until = due.min(boundary).saturating_sub(self.shared.now_ns()).min(WAIT_NS_MAX);
        if self.is_elsewhere() {
            // Said before it looks: who settles something after that rings.
            self.shared.is_asleep[self.number].store(true, Ordering::SeqCst);
            let window = self.shared.plan.window();
            let mut all = self.clients.publishers.iter();
            if all.any(|publisher| publisher.may_fill(self.shared.base(publisher.number), window)) {
                return 0;
            }
        }
        until
    }

    fn serve(&mut self, token: usize, flags: EventFlags) -> io::Result<()> {
        let publisher = token.checked_sub(self.clients.subscribers.len());
        if flags.contains(EventFlags::OUT) {
            match publisher {
                Some(at) => {
                    self.clients.publishers[at].link.is_writable = true;
                    self.mark(at);
                }
                None => {
                    let link = &mut self.clients.subscribers[token].link;
                    link.is_writable = true;
                    link.flush()?;
                }
            }
        }
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            self.receive(token)?;
        }
        Ok(())
    }

    fn receive(&mut self, token: usize) -> io::Result<()> {
        for _ in 0..READS_PER_TURN_MAX {
            let more = match token.checked_sub(self.clients.subscribers.len()) {
                None => self.receive_deliveries(token)?,
                Some(at) => self.receive_acks(at)?,
            };
            if !more {
                return Ok(());
            }
        }
        self.unread.push(token);
        Ok(())
    }

    fn receive_deliveries(&mut self, at: usize) -> io::Result<bool> {
        let subscriber = &mut self.clients.subscribers[at];
        let Some(filled) = subscriber.read(&mut self.buffer)? else { return Ok(false) };
        let audience = &mut self.clients.audiences[subscriber.audience];
        let (bytes, now) = (&self.buffer[..filled.bytes], self.shared.now_ns());
        subscriber.take(bytes, audience, &self.shared.reading, now, &mut self.counts, &mut self.recorder)?;
        subscriber.link.flush()?;
        if self.timetable.is_none() {
            for publisher in audience.hears.clone() {
                if !std::mem::replace(&mut self.is_heard[publisher], true) {
                    self.heard.push(publisher);
                }
            }
        }
        Ok(filled.is_full)
    }

    fn receive_acks(&mut self, at: usize) -> io::Result<bool> {
        let publisher = &mut self.clients.publishers[at];
        let Some(filled) = publisher.link.read(&mut self.buffer)? else { return Ok(false) };
        let mut rest = &self.buffer[..filled.bytes];
        loop {
            if let [PUBACK, 2, _, _, behind @ ..] = rest {
                publisher.unacked = publisher.unacked.saturating_sub(1);
                rest = behind;
            } else if let Some((received, length)) = scan(self.shared.plan.version, rest).map_err(io::Error::other)? {
                publisher.hear(&received);
                rest = &rest[length..];
            } else {
                break;
            }
            self.acks += 1;
        }
        publisher.link.keep(rest)?;
        self.mark(at);
        Ok(filled.is_full)
    }

    fn hear_all(&mut self) {
        for audience in &self.clients.audiences {
            for publisher in audience.hears.clone() {
                if !std::mem::replace(&mut self.is_heard[publisher], true) {
                    self.heard.push(publisher);
                }
            }
        }
        self.tell_progress();
    }

    /// Writes down for all how far the audiences of this thread are with those that they have heard from.
    fn tell_progress(&mut self) {
        let (plan, is_shared) = (self.shared.plan, self.shared.reading.is_shared);
        while let Some(publisher) = self.heard.pop() {
            self.is_heard[publisher] = false;
            let local = match plan.scenario {
                Scenario::Pairs => publisher / plan.threads..publisher / plan.threads + 1,
                _ => 0..self.clients.audiences.len(),
            };
            let far = self.clients.audiences[local].iter().map(|audience| {
                let tally = &audience.tallies[publisher - audience.hears.start];
                if is_shared { tally.settled() } else { tally.next() }
            });
            let far = far.min().unwrap_or(u64::MAX);
            self.shared.settled[self.number][publisher].store(far, Ordering::SeqCst);
            let owner = plan.thread_of_publisher(publisher);
            if owner == self.number {
                self.mark(publisher_at(plan, publisher));
            } else {
                self.shared.wake(owner);
            }
        }
    }

    /// Is called after each turn: counts when nothing comes although something should, and lets publishers go on.
    fn look_for_stall(&mut self) {
        let (now, seen) = (self.shared.now_ns(), self.counts.delivered);
        if seen != self.progress.0 {
            self.progress = (seen, now);
        } else if now - self.progress.1 > STALL_NS {
            if self.outstanding() > 0 {
                self.stalls += 1;
                if self.timetable.is_none() {
                    self.give_up();
                }
            }
            self.progress.1 = now;
        }
    }

    fn outstanding(&self) -> u64 {
        self.each_tally().map(|(tally, sent)| tally.outstanding(sent)).sum()
    }

    /// Every tally, with how much its publisher has sent.
    fn each_tally(&self) -> impl Iterator<Item = (&crate::tally::Tally, u64)> {
        let sent = &self.shared.sent;
        self.clients.audiences.iter().flat_map(move |audience| {
            audience.tallies.iter().zip(&sent[audience.hears.clone()]).map(|(it, n)| (it, n.load(Ordering::SeqCst)))
        })
    }

    fn give_up(&mut self) {
        for audience in &mut self.clients.audiences {
            for (tally, sent) in audience.tallies.iter_mut().zip(&self.shared.sent[audience.hears.clone()]) {
                tally.give_up(sent.load(Ordering::SeqCst));
            }
        }
        self.hear_all();
    }

    /// Waits for what is under way; what does not come is lost.
    fn drain(&mut self) -> io::Result<()> {
        let end = self.shared.reading.measured.1;
        let (mut has_ended, mut has_drained) = (false, false);
        let mut last = (0, self.shared.now_ns());
        loop {
            let now = self.shared.now_ns();
            if self.timetable.is_some() {
                self.publish(end - 1, now)?;
            } else {
                self.flush()?;
            }
            if !has_ended && self.unsent() == 0 {
                has_ended = true;
                self.shared.ended.fetch_add(1, Ordering::SeqCst);
            }
            if !has_drained && self.is_drained() {
                has_drained = true;
                self.shared.drained.fetch_add(1, Ordering::SeqCst);
            }
            let seen = (self.counts.delivered + self.acks, now);
            last = if seen.0 == last.0 { last } else { seen };
            let is_over = now - last.1 > STALL_NS || now - end > DRAIN_NS_MAX;
            if self.shared.is_all(&self.shared.drained) || is_over || self.shared.has_failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.turn(now + 1_000_000)?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.dirty.clear();
        for publisher in &mut self.clients.publishers {
            publisher.is_dirty = false;
            publisher.link.flush()?;
            self.shared.sent[publisher.number].store(publisher.next, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Messages that were due before the end and are not made.
    fn unsent(&self) -> u64 {
        let (Some(timetable), end) = (&self.timetable, self.shared.reading.measured.1) else { return 0 };
        let due = |publisher: &Publisher| timetable.due_before(publisher.number, end).saturating_sub(publisher.next);
        self.clients.publishers.iter().map(due).sum()
    }

    fn is_drained(&self) -> bool {
        let is_quiet = |publisher: &Publisher| publisher.unacked == 0 && publisher.link.unsent() == 0;
        self.shared.is_all(&self.shared.ended)
            && self.clients.publishers.iter().all(is_quiet)
            && self.outstanding() == 0
    }

    fn ending(mut self) -> Ending {
        let merged = self.shared.reading.is_merged;
        let mut ending = Ending {
            stalls: self.stalls,
            foreign: self.counts.foreign,
            unsent: self.unsent(),
            late: self.recorder.take(),
            ..Ending::default()
        };
        for (tally, sent) in self.each_tally() {
            let missing = sent.saturating_sub(tally.next());
            ending.lost += if merged { missing } else { missing + tally.lost() };
            ending.folded += if merged { tally.lost() } else { 0 };
            ending.duplicates += tally.duplicates();
            ending.reordered += if self.shared.reading.is_shared { 0 } else { tally.reordered() };
        }
        ending.reordered += self.clients.audiences.iter().map(|audience| audience.reordered).sum::<u64>();
        for publisher in &self.clients.publishers {
            ending.refused += publisher.refused;
            ending.unacked += publisher.unacked;
        }
        ending
    }
}

/// Where on its thread a publisher is.
fn publisher_at(plan: &Plan, publisher: usize) -> usize {
    publisher / plan.threads
}
