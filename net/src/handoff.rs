//! Sockets on their way to their home shard: one bounded queue per shard, and what waits for room in it.
//!
//! A socket travels with every byte that was received from it and no order about it in any ring. Where the queue
//! is full it waits here, unread, and is closed when it waited too long.

use crate::wake::Waker;
use crossbeam::queue::ArrayQueue;
use engine::key::ShardId;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Sockets that wait for one shard to take them.
pub(crate) const SOCKETS_MAX: usize = 256;
/// Milliseconds between two looks whether a full queue has room again.
pub(crate) const RETRY_MS: u64 = 2;

/// A socket without a shard.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) fd: OwnedFd,
    pub(crate) peer: SocketAddr,
    /// The listener that accepted it.
    pub(crate) listener: u16,
    pub(crate) bytes: Vec<u8>,
}

/// The queues of all shards; every shard has a copy.
#[derive(Clone)]
pub(crate) struct Doors {
    queues: Arc<Vec<ArrayQueue<Moving>>>,
}

impl Doors {
    pub(crate) fn new(shards: usize) -> Doors {
        Doors { queues: Arc::new((0..shards).map(|_| ArrayQueue::new(SOCKETS_MAX)).collect()) }
    }

    pub(crate) fn take(&self, shard: ShardId) -> Option<Moving> {
        self.queues[shard.index()].pop()
    }

    pub(crate) fn is_empty(&self, shard: ShardId) -> bool {
        self.queues[shard.index()].is_empty()
    }
}

/// One shard's way out for sockets.
pub(crate) struct Handoff {
    doors: Doors,
    /// In the order given up, each with the moment at which it is closed instead.
    waiting: VecDeque<(u64, ShardId, Moving)>,
}

impl Handoff {
    pub(crate) fn new(doors: Doors) -> Handoff {
        Handoff { doors, waiting: VecDeque::new() }
    }

    pub(crate) fn give(&mut self, home: ShardId, moving: Moving, by_ms: u64) {
        self.waiting.push_back((by_ms, home, moving));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Moves what has room, and returns how many were closed instead. A home that is full does not hold up the others.
    pub(crate) fn carry(&mut self, now_ms: u64, waker: &Waker) -> usize {
        let mut closed = 0;
        for _ in 0..self.waiting.len() {
            let Some((by_ms, home, moving)) = self.waiting.pop_front() else { break };
            match self.doors.queues[home.index()].push(moving) {
                Ok(()) => waker.wake(home),
                Err(moving) if now_ms < by_ms => self.waiting.push_back((by_ms, home, moving)),
                Err(moving) => {
                    closed += 1;
                    tracing::warn!(peer = %moving.peer, home = home.0, "a shard took no sockets in time");
                }
            }
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::mesh;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_full_home_keeps_sockets_waiting_and_then_they_are_closed() {
        let ports = mesh::build::<()>(2, 1);
        let waker = Waker::new(ports[0].bell.ringer(), 2).unwrap();
        let doors = Doors::new(2);
        let mut handoff = Handoff::new(doors.clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        for _ in 0..=SOCKETS_MAX {
            let fd = TcpStream::connect(peer).unwrap().into();
            drop(listener.accept().unwrap());
            handoff.give(ShardId(1), Moving { fd, peer, listener: 0, bytes: Vec::new() }, 10);
        }
        assert_eq!(handoff.carry(0, &waker), 0);
        assert_eq!(handoff.waiting.len(), 1);
        assert!(doors.take(ShardId(1)).is_some());
        assert_eq!(handoff.carry(0, &waker), 0);
        assert!(handoff.is_empty());
        let fd = TcpStream::connect(peer).unwrap().into();
        handoff.give(ShardId(1), Moving { fd, peer, listener: 0, bytes: Vec::new() }, 10);
        assert_eq!(handoff.carry(9, &waker), 0);
        assert!(!handoff.is_empty());
        assert_eq!(handoff.carry(10, &waker), 1);
        assert!(handoff.is_empty());
    }
}
