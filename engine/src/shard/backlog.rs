//! Events that wait at a home for the readers of one merged filter that are behind: of each topic the newest.
//!
//! The rows are numbered as they come; a reader stands at a number and lacks what has a higher one. So it costs its
//! number, however much waits, and what waits is there once for all of them.
//!
//! ```text
//! rows       …  7: a=1   9: c=4   10: a=2 (7 is gone, the newest wins)   12: b=1
//! readers    ▲ at 6: lacks c, a, b        ▲ at 9: lacks a, b
//! ```
//! Beyond its bounds the oldest rows go. Each that goes is counted where the last reader stands that lacked it; a reader
//! has lost what is counted there and behind it.

use crate::dialect::Form;
use crate::key::Client;
use crate::limits::EVENTS_WAITING_BYTES_MAX;
use crate::row::merge::Merge;
use crate::wire::QoS;
use foldhash::HashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// See the module. There is one only while somebody is behind.
#[derive(Default)]
pub struct Backlog {
    /// Number of the last row that came.
    last: u64,
    rows: HashMap<Arc<str>, Waiting>,
    order: BTreeMap<u64, Arc<str>>,
    bytes: usize,
    readers: BTreeMap<u64, Standing>,
    /// Readers with No Local: where each stands, and how many of the rows that went were its own, so that it lost nothing.
    no_local: HashMap<Client, (u64, u64)>,
    /// What was made last, for the next reader at the same stand.
    made: Option<Made>,
}

/// Readers at one number.
#[derive(Default)]
struct Standing {
    readers: u32,
    /// Rows that went, behind this stand and not behind the next.
    gone: u64,
}

/// The newest event of a topic.
struct Waiting {
    event: Event,
    /// The newest of another publisher, where that is asked for: for a reader whose own event is the newest.
    other: Option<Box<Event>>,
}

struct Event {
    number: u64,
    publisher: Client,
    qos: QoS,
    /// As it stands in a frame.
    value: Box<[u8]>,
}

/// Who takes what waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Taker {
    pub stand: u64,
    /// With No Local: whose events it does not get.
    pub not_of: Option<Client>,
    /// Largest body that it takes.
    pub body_bytes_max: usize,
}

/// One frame of what waited.
#[derive(Clone)]
pub struct Made {
    taker: Taker,
    /// The last row that had come when it was made.
    last: u64,
    pub body: Arc<[u8]>,
    pub rows: u32,
    pub skipped: u32,
    pub qos: QoS,
    /// Where a reader stands that has it.
    pub stand: u64,
    /// More waits behind it.
    pub more: bool,
}

impl Backlog {
    /// A reader is behind from here on: `no_local` where it does not get its own events. Returns where it stands.
    pub fn join(&mut self, no_local: Option<Client>) -> u64 {
        self.readers.entry(self.last).or_default().readers += 1;
        if let Some(client) = no_local {
            self.no_local.insert(client, (self.last, 0));
        }
        self.last
    }

    /// A reader is behind no longer.
    pub fn leave(&mut self, stand: u64, client: Client) {
        self.no_local.remove(&client);
        self.step_off(stand);
    }

    /// A reader has everything up to `to`.
    pub fn advance(&mut self, stand: u64, to: u64, client: Client) {
        if let Some(own) = self.no_local.get_mut(&client) {
            *own = (to, 0);
        }
        self.readers.entry(to).or_default().readers += 1;
        self.step_off(stand);
    }

    /// How many rows went that a reader lacked.
    pub fn lost(&self, stand: u64, client: Client) -> u64 {
        let gone: u64 = self.readers.range(stand..).map(|(_, standing)| standing.gone).sum();
        gone - self.no_local.get(&client).map_or(0, |(_, own)| *own)
    }

    /// How many rows wait for a reader.
    pub fn count(&self, stand: u64, not_of: Option<Client>) -> u64 {
        self.lacked(stand, not_of).count() as u64
    }

    /// What a reader lacks, the oldest first: number and topic, and the event that it is to get.
    fn lacked(&self, stand: u64, not_of: Option<Client>) -> impl Iterator<Item = (u64, &str, &Event)> {
        let behind = self.order.range((Bound::Excluded(stand), Bound::Unbounded));
        behind.filter_map(move |(number, topic)| {
            let waiting = self.rows.get(topic)?;
            let event = match &waiting.other {
                _ if not_of != Some(waiting.event.publisher) => &waiting.event,
                Some(other) if other.number > stand => other,
                _ => return None,
            };
            Some((*number, &**topic, event))
        })
    }

    fn step_off(&mut self, stand: u64) {
        let Some(standing) = self.readers.get_mut(&stand) else { return };
        standing.readers -= 1;
        if standing.readers > 0 {
            return;
        }
        let gone = standing.gone;
        self.readers.remove(&stand);
        match self.readers.range_mut(..stand).next_back() {
            Some((_, before)) => before.gone += gone,
            None => self.drop_taken(),
        }
    }

    /// Nobody lacks what is not behind the first reader.
    fn drop_taken(&mut self) {
        let first = self.readers.first_key_value().map_or(u64::MAX, |(stand, _)| *stand);
        while let Some(entry) = self.order.first_entry().filter(|entry| *entry.key() <= first) {
            let topic = entry.remove();
            self.forget(&topic);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Bytes that wait, and how many rows.
    pub fn held(&self) -> (usize, usize) {
        (self.bytes, self.rows.len())
    }

    /// An event came; at most `rows_max` wait.
    pub fn push(&mut self, topic: &str, value: &[u8], qos: QoS, publisher: Client, rows_max: usize) {
        self.last += 1;
        let keeps_other = !self.no_local.is_empty();
        let event = Event { number: self.last, publisher, qos, value: value.into() };
        self.bytes += value.len();
        if let Some(waiting) = self.rows.get_mut(topic) {
            let before = std::mem::replace(&mut waiting.event, event);
            if let Some(topic) = self.order.remove(&before.number) {
                self.order.insert(self.last, topic);
            }
            if before.publisher == publisher || !keeps_other {
                self.bytes -= before.value.len();
            } else {
                self.bytes -= waiting.other.take().map_or(0, |other| other.value.len());
                waiting.other = Some(Box::new(before));
            }
        } else {
            let topic: Arc<str> = topic.into();
            self.bytes += topic.len();
            self.order.insert(self.last, Arc::clone(&topic));
            self.rows.insert(topic, Waiting { event, other: None });
        }
        while self.rows.len() > rows_max || self.bytes > EVENTS_WAITING_BYTES_MAX {
            let Some((number, topic)) = self.order.pop_first() else { return };
            self.lose(number, &topic);
        }
    }

    /// A row goes: counted where the last reader stands that lacked it.
    fn lose(&mut self, number: u64, topic: &str) {
        if let Some((_, standing)) = self.readers.range_mut(..number).next_back() {
            standing.gone += 1;
        }
        if let Some(waiting) = self.rows.get(topic)
            && let Some((stand, own)) = self.no_local.get_mut(&waiting.event.publisher)
            && *stand < number
            && waiting.other.as_ref().is_none_or(|other| other.number <= *stand)
        {
            *own += 1;
        }
        self.forget(topic);
    }

    fn forget(&mut self, topic: &str) {
        if let Some((topic, waiting)) = self.rows.remove_entry(topic) {
            let other = waiting.other.map_or(0, |other| other.value.len());
            self.bytes -= topic.len() + waiting.event.value.len() + other;
        }
    }

    /// One frame of what a reader lacks, the oldest first; `None`: nothing.
    pub fn make(&mut self, filter: &str, form: Form, taker: Taker, merge: &mut Merge) -> Option<Made> {
        let last = self.last;
        if let Some(made) = self.made.as_ref().filter(|made| made.taker == taker && made.last == last) {
            return Some(made.clone());
        }
        let (mut bytes, mut rows) = (0, Vec::new());
        let mut lacked = self.lacked(taker.stand, taker.not_of);
        while bytes < taker.body_bytes_max
            && let Some(row) = lacked.next()
        {
            bytes += row.1.len() + row.2.value.len();
            rows.push(row);
        }
        let mut next = lacked.next().map(|(number, ..)| number);
        drop(lacked);
        let (body, merged, skipped) = loop {
            merge.begin(filter, form.of_values());
            rows.iter().for_each(|(_, topic, event)| merge.row(topic, &event.value, false, false));
            let mut bodies: SmallVec<[(Vec<u8>, u32); 1]> = SmallVec::new();
            let skipped = merge.finish_split(taker.body_bytes_max, |body, rows, _| {
                bodies.push((body.to_vec(), rows as u32));
            });
            if let [(body, merged)] = &mut bodies[..] {
                break (std::mem::take(body), *merged, skipped);
            }
            // Keys and nestings take more than was reckoned.
            let half = rows.len() / 2;
            next = Some(rows[half].0);
            rows.truncate(half);
        };
        let qos = rows.iter().map(|(.., event)| event.qos).max()?;
        let stand = next.map_or(last, |number| number - 1);
        let more = next.is_some();
        let made = Made { taker, last, body: body.into(), rows: merged, skipped, qos, stand, more };
        self.made = Some(made.clone());
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{SessionKey, ShardId};

    fn client(index: u32) -> Client {
        Client { home: ShardId(0), session: SessionKey { index, generation: 0 } }
    }

    fn text(backlog: &mut Backlog, stand: u64, not_of: Option<Client>) -> String {
        let taker = Taker { stand, not_of, body_bytes_max: 1_000 };
        let made = backlog.make("#", Form::default(), taker, &mut Merge::new());
        made.map_or(String::new(), |made| String::from_utf8_lossy(&made.body).into_owned())
    }

    fn push(backlog: &mut Backlog, topic: &str, value: &str, publisher: u32) {
        backlog.push(topic, value.as_bytes(), QoS::AtMostOnce, client(publisher), 3);
    }

    #[test]
    fn each_reader_gets_and_loses_what_came_after_its_stand() {
        let mut backlog = Backlog::default();
        let first = backlog.join(None);
        push(&mut backlog, "a", "1", 9);
        push(&mut backlog, "b", "1", 9);
        let second = backlog.join(None);
        push(&mut backlog, "a", "2", 9);
        push(&mut backlog, "c", "1", 9);
        assert_eq!(text(&mut backlog, first, None), r#"{"a":2,"b":1,"c":1}"#);
        assert_eq!(text(&mut backlog, second, None), r#"{"a":2,"c":1}"#);
        push(&mut backlog, "d", "1", 9); // b goes, which the second had
        assert_eq!((backlog.lost(first, client(1)), backlog.lost(second, client(2))), (1, 0));
        push(&mut backlog, "e", "1", 9); // a goes
        assert_eq!((backlog.lost(first, client(1)), backlog.lost(second, client(2))), (2, 1));
        backlog.leave(second, client(2));
        assert_eq!(backlog.lost(first, client(1)), 2, "what was counted where the other stood");
        assert_eq!(text(&mut backlog, first, None), r#"{"c":1,"d":1,"e":1}"#);
        backlog.leave(first, client(1));
        assert!(backlog.is_empty());
        assert_eq!(backlog.held(), (0, 0), "nobody lacks anything");
    }

    #[test]
    fn who_does_not_get_its_own_gets_the_newest_of_another() {
        let mut backlog = Backlog::default();
        let other = backlog.join(None);
        let own = backlog.join(Some(client(1)));
        push(&mut backlog, "a", "1", 2);
        push(&mut backlog, "a", "2", 1);
        push(&mut backlog, "b", "3", 1);
        assert_eq!(text(&mut backlog, own, Some(client(1))), r#"{"a":1}"#);
        assert_eq!(text(&mut backlog, other, None), r#"{"a":2,"b":3}"#);
        for topic in ["c", "d"] {
            push(&mut backlog, topic, "4", 2); // a goes with c, b with d
        }
        push(&mut backlog, "e", "4", 2);
        assert_eq!((backlog.lost(other, client(3)), backlog.lost(own, client(1))), (2, 1), "b was its own");
    }

    #[test]
    fn a_body_is_no_larger_than_its_reader_takes() {
        let mut backlog = Backlog::default();
        let stand = backlog.join(None);
        for number in 0..50 {
            let topic = format!("x/{number}/\"long\"");
            backlog.push(&topic, b"1", QoS::AtLeastOnce, client(9), 100);
        }
        backlog.push("y", &[b'1'; 300], QoS::AtMostOnce, client(9), 100);
        let (mut taker, mut rows) = (Taker { stand, not_of: None, body_bytes_max: 100 }, 0);
        loop {
            let made = backlog.make("#", Form::default(), taker, &mut Merge::new()).expect("something waits");
            assert!(made.body.len() <= 100);
            (taker.stand, rows) = (made.stand, rows + made.rows);
            if !made.more {
                assert_eq!((rows, made.skipped), (50, 1));
                return;
            }
        }
    }
}
