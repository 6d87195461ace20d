//! Clients that connect, as fast as the broker lets them in, in rounds; between rounds all leave.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::latency::Recorder;
use crate::link::start_dial;
use crate::measured::{self, Subject, figure};
use crate::packets::{self, Received, Version, scan};
use crate::plan::Plan;
use crate::result::Run;
use crate::watch::{Look, Watch, settled};
use crate::worker::Ending;

/// Without any answer for so long the broker lets nobody in.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// A CONNACK is not longer.
const ANSWER_BYTES_MAX: usize = 1024;
const EVENTS_PER_TURN_MAX: usize = 256;

/// Rounds of `plan.subscribers` connections, as many at a time as the plan has in flight, until the plan's time is
/// over. Leaving is not measured.
pub fn run(subject: &Subject, plan: &Plan, is_quiet: bool) -> io::Result<Run> {
    let mut watch = Watch::new(subject.pid, is_quiet)?;
    let (mut seconds, mut broker_s, mut own_s, mut recorder) = (0.0, 0.0, 0.0, Recorder::default());
    let mut ends = None;
    while seconds < plan.duration.as_secs_f64() {
        let before = settled(subject.pid)?;
        let mut round = Round::new(plan, watch.delivered as usize)?;
        let begin = Instant::now();
        round.connect_all(&mut recorder)?;
        seconds += begin.elapsed().as_secs_f64();
        let after = Look::now(subject.pid)?;
        broker_s += after.broker_since(&before).map_or(0.0, |used| used.cpu_s);
        own_s += after.own_since(&before).cpu_s;
        watch.delivered += plan.subscribers as u64;
        ends = Some((ends.map_or(before, |(first, _)| first), after));
        round.leave();
    }
    if let Some((start, end)) = ends {
        watch.between(start, end, seconds);
    }
    if let Some(histogram) = recorder.take() {
        watch.latency = histogram;
    }
    watch.busy = own_s / seconds;
    (watch.published, watch.rows) = (watch.delivered, watch.delivered);
    let count = watch.delivered as f64;
    let mut figures = vec![figure("connects_per_second", count / seconds, "/s")];
    let each_us = broker_s * 1e6 / count;
    if subject.pid.is_some() {
        figures.push(figure("cpu_us_per_connect", each_us, "us"));
    }
    let mut run = measured::run(subject, plan.result(), watch, &Ending::default(), figures)?;
    if let Some(broker) = &mut run.broker {
        (broker.cpu_s, broker.us_per_delivery) = (broker_s, each_us); // without what it took to let them go
    }
    (run.generator.cpu_s, run.generator.us_per_delivery) = (own_s, own_s * 1e6 / count);
    Ok(run)
}

struct Round<'a> {
    plan: &'a Plan,
    /// Connections of earlier rounds.
    first: usize,
    epoll: OwnedFd,
    clients: Vec<Client>,
    connected: usize,
}

struct Client {
    socket: TcpStream,
    begin: Instant,
    has_asked: bool,
    is_in: bool,
}

impl Round<'_> {
    fn new(plan: &Plan, first: usize) -> io::Result<Round<'_>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Round { plan, first, epoll, clients: Vec::with_capacity(plan.subscribers), connected: 0 })
    }

    fn connect_all(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_PER_TURN_MAX);
        let timeout = Timespec { tv_sec: ANSWER_MAX.as_secs() as i64, tv_nsec: 0 };
        while self.connected < self.plan.subscribers {
            while self.clients.len() < self.plan.subscribers
                && ((self.clients.len() - self.connected) as u64) < self.plan.window()
            {
                self.begin()?;
            }
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout))?;
            if events.is_empty() {
                return Err(io::Error::other(format!("the broker lets nobody in after {} clients", self.connected)));
            }
            for epoll::Event { data, .. } in events.iter().copied() {
                self.go_on(data.u64() as usize, recorder)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let number = self.clients.len();
        let begin = Instant::now();
        let socket = start_dial(self.plan.broker, self.first + number)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&self.epoll, &socket, EventData::new_u64(number as u64), flags)?;
        self.clients.push(Client { socket, begin, has_asked: false, is_in: false });
        Ok(())
    }

    fn go_on(&mut self, number: usize, recorder: &mut Recorder) -> io::Result<()> {
        let client = &mut self.clients[number];
        if !client.has_asked {
            client.has_asked = true;
            let name = format!("bench-connect-{}", self.first + number);
            client.socket.write_all(&packets::connect(self.plan.version, &name))?;
        }
        if !client.is_in && client.is_let_in(self.plan.version, self.plan.broker)? {
            client.is_in = true;
            recorder.record(client.begin.elapsed().as_nanos() as u64);
            self.connected += 1;
        }
        Ok(())
    }

    fn leave(self) {
        for mut client in self.clients {
            let _ = client.socket.write_all(&packets::DISCONNECT); // it goes either way
        }
    }
}

impl Client {
    fn is_let_in(&mut self, version: Version, broker: SocketAddr) -> io::Result<bool> {
        let mut answer = [0; ANSWER_BYTES_MAX];
        let count = match self.socket.read(&mut answer) {
            Ok(0) => return Err(io::Error::other(format!("{broker} closes instead of an answer to CONNECT"))),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        match scan(version, &answer[..count]).map_err(io::Error::other)? {
            Some((Received::Connack { code: 0, .. }, _)) => Ok(true),
            other => Err(io::Error::other(format!("CONNECT is answered with {other:?}"))),
        }
    }
}
