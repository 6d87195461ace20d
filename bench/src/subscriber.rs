//! A client that subscribes, and what its audience makes of what it gets.

use std::io;
use std::ops::Range;

use memchr::memchr_iter;

use crate::latency::Recorder;
use crate::link::{Filled, Link};
use crate::packets::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, Received, Version, scan};
use crate::shape::Shape;
use crate::stamp::{STAMP_MARK, Stamp};
use crate::tally::Tally;

#[derive(Debug)]
pub struct Subscriber {
    pub link: Link,
    /// Number of its audience on its thread.
    pub audience: usize,
    shape: Shape,
    /// Where the order is that of each member: per publisher heard, one more than the highest number that came.
    highest: Vec<u64>,
}

/// Whoever should get each message once.
#[derive(Debug)]
pub struct Audience {
    pub hears: Range<usize>,
    /// Per publisher heard.
    pub tallies: Vec<Tally>,
    /// Of messages that one member got in another order than they were sent.
    pub reordered: u64,
}

impl Audience {
    pub fn new(hears: Range<usize>) -> Audience {
        Audience { tallies: vec![Tally::default(); hears.len()], hears, reordered: 0 }
    }
}

/// How a run's deliveries are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub version: Version,
    /// What the stamps of this run say.
    pub run: u8,
    /// Payloads are frames: JSON in which a stamp may stand in any row.
    pub is_merged: bool,
    /// Members overtake each other, so that only the order at each of them means something.
    pub is_shared: bool,
    /// Latency is recorded of what was due from the first to the second, in nanoseconds since the run began.
    pub measured: (u64, u64),
}

/// What came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub delivered: u64,
    pub rows: u64,
    /// Messages that are not of this run.
    pub foreign: u64,
}

impl Subscriber {
    pub fn new(link: Link, audience: usize) -> Subscriber {
        Subscriber { link, audience, shape: Shape::default(), highest: Vec::new() }
    }

    /// Takes what one read brought.
    pub fn take(
        &mut self,
        bytes: &[u8],
        audience: &mut Audience,
        reading: &Reading,
        now_ns: u64,
        counts: &mut Counts,
        recorder: &mut Recorder,
    ) -> io::Result<()> {
        let mut arrival = Arrival { audience, highest: &mut self.highest, reading, now_ns, counts, recorder };
        let mut at = 0;
        loop {
            if let Some(packet) = self.shape.find(&bytes[at..]) {
                arrival.payload(&packet[self.shape.payload_at..]);
                acknowledge(self.shape.qos(), self.shape.id(packet), &mut self.link.out);
                at += self.shape.length;
                continue;
            }
            let rest = &bytes[at..];
            let Some((received, length)) = scan(reading.version, rest).map_err(io::Error::other)? else { break };
            match received {
                Received::Publish(publish) => {
                    is_a_frame(reading, rest, &publish)?;
                    arrival.payload(&rest[publish.payload.clone()]);
                    acknowledge(publish.qos(), publish.id, &mut self.link.out);
                    self.shape = Shape::of(reading.version, rest, &publish);
                }
                Received::Acknowledged { first: PUBREL, id, .. } => {
                    self.link.out.extend(packets::acknowledge(PUBCOMP, id));
                }
                _ => {}
            }
            at += length;
        }
        self.link.keep(&bytes[at..])
    }

    pub fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Filled>> {
        self.link.read(buffer)
    }
}

#[inline]
fn acknowledge(qos: u8, id: u16, out: &mut Vec<u8>) {
    match qos {
        0 => {}
        1 => out.extend(packets::acknowledge(PUBACK, id)),
        _ => out.extend(packets::acknowledge(PUBREC, id)),
    }
}

/// A broker that knows no trees hands on what was published, to the very topic.
fn is_a_frame(reading: &Reading, packet: &[u8], publish: &Publish) -> io::Result<()> {
    if reading.is_merged && packet[publish.topic.clone()].starts_with(b"$tree") {
        return Err(io::Error::other("this broker makes no frames: it passed on `$tree` as it was published"));
    }
    Ok(())
}

/// One read's messages on their way into the counts.
struct Arrival<'a> {
    audience: &'a mut Audience,
    highest: &'a mut Vec<u64>,
    reading: &'a Reading,
    now_ns: u64,
    counts: &'a mut Counts,
    recorder: &'a mut Recorder,
}

impl Arrival<'_> {
    #[inline]
    fn payload(&mut self, payload: &[u8]) {
        if self.reading.is_merged {
            return self.frame(payload);
        }
        match Stamp::read(payload) {
            Some(stamp) if self.stamp(stamp) => {
                self.counts.delivered += 1;
                self.counts.rows += 1;
            }
            _ => self.counts.foreign += 1,
        }
    }

    /// A JSON object of rows, each but the first behind a comma; no value contains one.
    fn frame(&mut self, payload: &[u8]) {
        let mut stamps = 0;
        for at in memchr_iter(STAMP_MARK, payload) {
            stamps += u64::from(Stamp::read_text(&payload[at + 1..]).is_some_and(|stamp| self.stamp(stamp)));
        }
        if stamps == 0 {
            self.counts.foreign += 1;
            return;
        }
        self.counts.delivered += 1;
        self.counts.rows += 1 + memchr_iter(b',', payload).count() as u64;
    }

    /// False if it is not of this run.
    #[inline]
    fn stamp(&mut self, stamp: Stamp) -> bool {
        let number = stamp.publisher().wrapping_sub(self.audience.hears.start);
        let Some(tally) = self.audience.tallies.get_mut(number).filter(|_| stamp.run() == self.reading.run) else {
            return false;
        };
        tally.take(stamp.sequence());
        if self.reading.is_shared {
            self.order(number, stamp.sequence());
        }
        let (from, to) = self.reading.measured;
        if stamp.due_ns >= from && stamp.due_ns < to {
            self.recorder.record(self.now_ns.saturating_sub(stamp.due_ns));
        }
        true
    }

    fn order(&mut self, number: usize, sequence: u64) {
        if self.highest.is_empty() {
            self.highest.resize(self.audience.hears.len(), 0);
        }
        let highest = &mut self.highest[number];
        if sequence < *highest {
            self.audience.reordered += 1;
        }
        *highest = (*highest).max(sequence + 1);
    }
}
