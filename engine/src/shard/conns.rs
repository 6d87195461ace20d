//! Connections of one shard: what was received and not yet understood, and who speaks.

use super::rate::Rate;
use crate::clock::Now;
use crate::config::{Profile, Terms};
use crate::key::{ConnId, SessionKey};
use crate::session::alias::FromClient;
use crate::wire::Version;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No such connection.
    Free,
    /// CONNECT has not been accepted.
    Fresh,
    /// The client of this session.
    Live(SessionKey),
}

/// One connection.
pub struct Conn {
    generation: u32,
    pub state: State,
    pub version: Version,
    pub profile: Profile,
    /// Where it was accepted.
    pub listener: u16,
    /// The largest packet that it may send.
    pub packet_bytes_max: usize,
    /// How fast it may send, if there is a bound.
    pub rate: Option<Box<Rate>>,
    /// Bytes of an incomplete packet; while `is_blocked`, everything that arrived since.
    pub carry: Vec<u8>,
    /// Not read: something that its next packet needs has no room.
    pub is_blocked: bool,
    /// And that is room in its own send buffer: `Drained` tells, nobody need look.
    pub waits_to_drain: bool,
    /// The loop was told to pause it.
    pub is_paused: bool,
    /// The CONNACK, while it waits until the end of the session before is durable: nothing else is read or sent.
    #[allow(clippy::box_collection)] // 8 bytes of every connection instead of 24
    pub connack: Option<Box<Vec<u8>>>,
    pub last_heard_ms: u64,
    /// One and a half times Keep Alive; 0: none.
    pub silence_max_ms: u32,
    /// Topics that the client gave aliases.
    pub aliases: Option<Box<FromClient>>,
}

impl Conn {
    /// Keeps what was received and cannot be looked at yet.
    pub fn keep(&mut self, parts: &[&[u8]]) {
        debug_assert!(self.carry.is_empty());
        for part in parts {
            self.carry.extend_from_slice(part);
        }
        self.is_blocked = true;
    }
}

/// Connections by index.
#[derive(Default)]
pub struct Conns {
    slots: Vec<Conn>,
    /// Connections of clients: their CONNECT was accepted.
    live: usize,
}

impl Conns {
    pub fn open(&mut self, conn: ConnId, listener: u16, terms: &Terms, now: Now) {
        let fresh = |generation| Conn {
            generation,
            state: State::Free,
            version: Version::V311,
            profile: terms.profile,
            listener,
            packet_bytes_max: terms.packet_bytes,
            rate: None,
            carry: Vec::new(),
            is_blocked: false,
            waits_to_drain: false,
            is_paused: false,
            connack: None,
            last_heard_ms: now.mono_ms,
            silence_max_ms: 0,
            aliases: None,
        };
        while self.slots.len() <= conn.index as usize {
            self.slots.push(fresh(0));
        }
        let slot = &mut self.slots[conn.index as usize];
        *slot = fresh(conn.generation);
        slot.state = State::Fresh;
        slot.rate = Rate::of(terms, now);
    }

    pub fn get(&mut self, conn: ConnId) -> Option<&mut Conn> {
        let slot = self.slots.get_mut(conn.index as usize)?;
        (slot.generation == conn.generation && slot.state != State::Free).then_some(slot)
    }

    /// CONNECT was accepted.
    pub fn establish(&mut self, conn: ConnId, session: SessionKey) {
        let Some(slot) = self.get(conn) else { return };
        debug_assert_eq!(slot.state, State::Fresh);
        slot.state = State::Live(session);
        self.live += 1;
    }

    /// Connections of clients.
    pub fn live(&self) -> usize {
        self.live
    }

    /// The session and version of a client whose topics are taken as they are and as fast as they come, and its largest packet.
    #[inline]
    pub fn plain_client(&self, conn: ConnId) -> Option<(SessionKey, Version, usize)> {
        let slot = self.slots.get(conn.index as usize).filter(|slot| slot.generation == conn.generation)?;
        match slot.state {
            State::Live(session)
                if slot.connack.is_none() && slot.profile != Profile::Classic && slot.rate.is_none() =>
            {
                Some((session, slot.version, slot.packet_bytes_max))
            }
            _ => None,
        }
    }

    /// Whether it speaks MQTT 5.
    pub fn is_v5(&mut self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|this| this.version.is_v5())
    }

    /// Whether its listener speaks the classic profile.
    pub fn is_classic(&mut self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|this| this.profile == Profile::Classic)
    }

    /// CONNACK has left: only then there may be a DISCONNECT, [MQTT-3.14.0-1].
    pub fn is_answered(&mut self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|this| this.connack.is_none())
    }

    pub fn free(&mut self, conn: ConnId) {
        let Some(slot) = self.get(conn) else { return };
        let was_live = matches!(slot.state, State::Live(_));
        slot.state = State::Free;
        slot.carry = Vec::new();
        slot.connack = None;
        slot.aliases = None; // [MQTT-3.3.2-7]
        self.live -= usize::from(was_live);
    }

    /// Every connection that is open, for `Stop`.
    pub fn open_ids(&self) -> Vec<(ConnId, State, Version)> {
        let id = |index: usize, slot: &Conn| ConnId { index: index as u32, generation: slot.generation };
        let open = self.slots.iter().enumerate().filter(|(_, slot)| slot.state != State::Free);
        open.map(|(index, slot)| (id(index, slot), slot.state, slot.version)).collect()
    }
}
