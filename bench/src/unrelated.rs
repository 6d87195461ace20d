//! What a broker holds that the messages measured have nothing to do with: subscriptions of others, retained rows. The
//! cost of a delivery must not grow with them.
//!
//! One blocking client after the other, before anything is measured; the subscribers stay connected until the end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::packets::{Version, connect, publish, subscribe};

/// Subscriptions of one client: what brokers grant without being asked for more.
const SUBSCRIPTIONS_PER_CLIENT: u32 = 5_000;
/// Packets that are sent before their acknowledgements are read.
const BURST: u32 = 256;
/// Seconds that an acknowledgement may take.
const ANSWER_S: u64 = 30;
/// Lengths in MQTT 3.1.1, which these clients speak.
const CONNACK_BYTES: usize = 4;
const SUBACK_BYTES: usize = 5;
const PUBACK_BYTES: usize = 4;

/// As long as it lives, the subscriptions are there; `end` deletes the rows.
pub struct Unrelated {
    broker: SocketAddr,
    rows: u32,
    subscribers: Vec<TcpStream>,
}

impl Unrelated {
    /// Makes so many subscriptions, of which every second has a `+`, and so many retained rows of 32 bytes.
    ///
    /// # Errors
    /// The broker cannot be reached, refuses, or does not answer in time.
    pub fn begin(broker: SocketAddr, subscriptions: u32, rows: u32) -> io::Result<Unrelated> {
        let mut unrelated = Unrelated { broker, rows: 0, subscribers: Vec::new() };
        for first in (0..subscriptions).step_by(SUBSCRIPTIONS_PER_CLIENT as usize) {
            let mut client = client(broker, &format!("unrelated{first}"))?;
            let last = subscriptions.min(first + SUBSCRIPTIONS_PER_CLIENT);
            let packet = |number: u32| subscribe(Version::V4, &filter(number), 0);
            bursts(&mut client, first..last, packet, |answer: &[u8; SUBACK_BYTES]| answer[4] < 0x80)?;
            unrelated.subscribers.push(client);
        }
        unrelated.rows = rows;
        unrelated.publish(&[b'.'; 32])?;
        Ok(unrelated)
    }

    /// Deletes what was retained, and lets go of the subscribers.
    ///
    /// # Errors
    /// As `begin`.
    pub fn end(self) -> io::Result<()> {
        self.publish(b"")
    }

    fn publish(&self, payload: &[u8]) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut client = client(self.broker, "unrelated-rows")?;
        let topic = |number: u32| format!("unrelated/{}/row{number}", number % 1_000);
        let packet = |number: u32| publish(Version::V4, &topic(number), payload, 1, true, (number % BURST + 1) as u16);
        bursts(&mut client, 0..self.rows, packet, |answer: &[u8; PUBACK_BYTES]| answer[0] == 0x40)
    }
}

/// One in two begins with a literal level, and every second has a wildcard before its end.
fn filter(number: u32) -> String {
    match number % 4 {
        0 => format!("unrelated/{number}/data"),
        1 => format!("unrelated/{number}/+/data"),
        2 => format!("other{number}/data"),
        _ => format!("+/unrelated{number}/data"),
    }
}

fn client(broker: SocketAddr, id: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(broker)?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_S)))?;
    stream.write_all(&connect(Version::V4, id))?;
    let mut answer = [0; CONNACK_BYTES];
    stream.read_exact(&mut answer)?;
    if answer[3] == 0 { Ok(stream) } else { Err(io::Error::other(format!("{id} is refused: {}", answer[3]))) }
}

/// Sends the packets of all numbers, and reads an answer to each.
fn bursts<const ANSWER_BYTES: usize>(
    stream: &mut TcpStream,
    numbers: std::ops::Range<u32>,
    packet: impl Fn(u32) -> Vec<u8>,
    is_well: impl Fn(&[u8; ANSWER_BYTES]) -> bool,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    for first in numbers.clone().step_by(BURST as usize) {
        let last = numbers.end.min(first + BURST);
        bytes.clear();
        (first..last).for_each(|number| bytes.extend(packet(number)));
        stream.write_all(&bytes)?;
        for number in first..last {
            let mut answer = [0; ANSWER_BYTES];
            stream.read_exact(&mut answer)?;
            if !is_well(&answer) {
                return Err(io::Error::other(format!("number {number} of what is unrelated is refused: {answer:?}")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_filter_has_a_plus_and_none_is_there_twice() {
        let filters: std::collections::HashSet<String> = (0..1_000).map(filter).collect();
        assert_eq!(filters.len(), 1_000);
        assert_eq!(filters.iter().filter(|filter| filter.contains('+')).count(), 500);
    }
}
