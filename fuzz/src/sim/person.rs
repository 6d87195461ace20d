//! One client through all its connections, as far as it knows itself: sessions, subscriptions, what it published and
//! what it was owed.

use super::oracle::{Owed, Set};
use crate::world::ClientId;
use engine::row::fold::State;
use engine::wire::{QoS, Version};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What becomes of a session when its client is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It ends.
    Fleeting,
    /// It ends after `SHORT_S` seconds.
    Short,
    Lasting,
}

/// Whether the broker has a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    No,
    Yes,
    Maybe,
}

/// A plain subscription: what it may be, and what was asked since and is not acknowledged.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub is: Set,
    pub pending: VecDeque<Set>,
}

impl Wanted {
    /// Everything that it may be at this moment.
    pub fn all(&self) -> Set {
        self.pending.iter().fold(self.is, |all, one| all.or(*one))
    }
}

/// A merged subscription and what its frames fold to.
pub struct Folded {
    pub filter: &'static str,
    pub state: State,
    pub granted: QoS,
    /// Number of the next frame.
    pub next: u64,
    /// Frames may have been lost: the state is not known until a snapshot begins.
    pub has_gap: bool,
    /// Its connection broke since the last rest.
    pub was_cut: bool,
    /// It broke since the last frame: one with QoS 0 may be lost.
    pub may_skip: bool,
    pub is_leaving: bool,
    /// The connection ended before it was known whether the subscription did: what came before may still come.
    pub may_be_gone: bool,
    /// Acknowledged, and at rest since.
    pub is_settled: bool,
}

/// What a SUBSCRIBE or UNSUBSCRIBE with a packet identifier was about.
#[derive(Clone, Debug)]
pub enum Asked {
    Plain(Vec<String>),
    Merged,
    Shared,
    MergedAway(String),
}

/// A connection.
pub struct Conn {
    pub id: ClientId,
    pub is_accepted: bool,
    pub is_clean: bool,
    pub is_reading: bool,
    /// What `Oracle::flights` was when it was made.
    pub since: u64,
    /// When the session that it found was to end, if that was open.
    pub session_ended_ms: Option<u64>,
    /// SUBSCRIBE and UNSUBSCRIBE packets that are not answered, by their identifiers.
    pub asked: BTreeMap<u16, Asked>,
    /// Messages that it published since the last rest, or that are unacknowledged.
    pub sent: Vec<u32>,
    pub will: Option<(u32, u32)>,
}

/// A publish whose acknowledgement is not complete.
#[derive(Clone, Debug)]
pub struct Unacked {
    /// The connection that it was sent on last.
    pub by: ClientId,
    pub packet_id: u16,
    pub qos: QoS,
    /// As it was published.
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
    pub messages: Vec<u32>,
    /// PUBREC has come.
    pub is_received: bool,
}

/// See the module.
pub struct Person {
    pub name: String,
    pub version: Version,
    pub kind: Kind,
    pub receive_max: Option<u16>,
    pub alias_max: u16,
    pub group: Option<usize>,
    pub conn: Option<Conn>,
    /// The connection before, whose session was taken over, until that is answered.
    pub old: Option<ClientId>,
    pub session: Known,
    pub wanted: BTreeMap<&'static str, Wanted>,
    pub merged: BTreeMap<&'static str, Folded>,
    /// Merged subscriptions that ended since the last rest.
    pub left: Vec<Folded>,
    /// A member of a share group: whether it is one.
    pub is_member: bool,
    pub owed: BTreeMap<u32, Owed>,
    pub unacked: Vec<Unacked>,
    pub last_packet_id: u16,
    /// QoS 2: identifiers of messages that it has and that are not released.
    pub unreleased: BTreeSet<u16>,
    /// The same of a broker that may have forgotten them.
    pub maybe_unreleased: BTreeSet<u16>,
    /// Of each publisher, topic and QoS the message that came last.
    pub last: BTreeMap<(usize, &'static str, QoS), u32>,
    /// It began a new session since the last rest.
    pub has_begun_anew: bool,
    /// It wants a new session, and was refused.
    pub is_clean_next: bool,
    /// It does not connect before the next rest.
    pub is_barred: bool,
    /// Connections that broke.
    pub deaths: u64,
    /// The same at the last rest.
    pub deaths_before: u64,
    /// Retained messages that came since the last rest, by topic.
    pub replays: BTreeMap<String, u32>,
    /// The round in which the oldest subscription began whose retained messages may still be on their way.
    pub replays_since: u64,
    /// Filters subscribed to in this round, whose retained messages must come.
    pub fresh: Vec<&'static str>,
    /// A will that waits for its delay: the message, and when it is due; milliseconds of the world.
    pub due_will: Option<(u32, u64)>,
    /// A will that was due since it asked for a new session.
    pub sent_will: Option<u32>,
    /// A will that it took back since the last rest.
    pub taken_back: Option<u32>,
    /// When its session ends, if it is away.
    pub ends_ms: Option<u64>,
    /// Session and subscriptions at the last rest.
    pub before: (Known, BTreeMap<&'static str, Set>),
}

impl Person {
    pub fn new(
        name: String,
        version: Version,
        kind: Kind,
        receive_max: Option<u16>,
        alias_max: u16,
        group: Option<usize>,
    ) -> Person {
        Person {
            name,
            version,
            kind,
            receive_max,
            alias_max,
            group,
            conn: None,
            old: None,
            session: Known::No,
            wanted: BTreeMap::new(),
            merged: BTreeMap::new(),
            left: Vec::new(),
            is_member: false,
            owed: BTreeMap::new(),
            unacked: Vec::new(),
            last_packet_id: 0,
            unreleased: BTreeSet::new(),
            maybe_unreleased: BTreeSet::new(),
            last: BTreeMap::new(),
            has_begun_anew: false,
            is_clean_next: false,
            is_barred: false,
            deaths: 0,
            deaths_before: 0,
            replays: BTreeMap::new(),
            replays_since: 0,
            fresh: Vec::new(),
            due_will: None,
            sent_will: None,
            taken_back: None,
            ends_ms: None,
            before: (Known::No, BTreeMap::new()),
        }
    }

    pub fn is_lasting(&self) -> bool {
        self.kind != Kind::Fleeting
    }

    /// It is connected and takes what it is sent.
    pub fn is_present(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.is_reading)
    }

    /// Identifiers of its own publishes are apart from those of its subscriptions.
    pub fn next_packet_id(&mut self) -> u16 {
        const FIRST: u16 = 20_000;
        loop {
            self.last_packet_id = self.last_packet_id % (u16::MAX - FIRST) + 1;
            let packet_id = FIRST + self.last_packet_id;
            if self.unacked.iter().all(|unacked| unacked.packet_id != packet_id) {
                return packet_id;
            }
        }
    }

    /// What a message to a topic may come with.
    pub fn granted(&self, topic: &str) -> Set {
        let matching = self.wanted.iter().filter(|(filter, _)| super::oracle::matches(filter, topic));
        matching.fold(Set::NONE, |all, (_, wanted)| all.highest(wanted.all()))
    }

    /// What changed since the last rest may be as it was then.
    pub fn lose(&mut self) {
        for wanted in self.wanted.values_mut() {
            wanted.is = wanted.is.or(Set::NONE);
        }
        for (filter, before) in &self.before.1 {
            let wanted = self.wanted.entry(filter);
            let wanted = wanted.or_insert(Wanted { is: Set::NONE, pending: VecDeque::new() });
            wanted.is = wanted.is.or(*before);
        }
        for folded in std::mem::take(&mut self.left) {
            self.merged.entry(folded.filter).or_insert(folded);
        }
        self.doubt_session();
        // The session that it ended may be back, with all that waited there.
        self.is_clean_next |= self.has_begun_anew;
    }

    /// The session may be as it was at the last rest.
    pub fn doubt_session(&mut self) {
        if self.is_lasting() && self.session != self.before.0 {
            self.session = Known::Maybe;
        }
    }

    /// Remembers how things are at rest.
    pub fn settle(&mut self) {
        let wanted = self.wanted.iter().map(|(filter, wanted)| (*filter, wanted.all()));
        self.before = (self.session, wanted.collect());
        self.deaths_before = self.deaths;
        if self.is_present() {
            self.left.clear();
        }
        (self.is_barred, self.taken_back, self.has_begun_anew) = (false, None, false);
    }

    /// The broker has no session of it any more.
    pub fn forget_session(&mut self) {
        self.session = Known::No;
        self.wanted.clear();
        self.merged.clear();
        self.left.clear();
        self.owed.clear();
        self.unreleased.clear();
        self.maybe_unreleased.clear();
        self.fresh.clear();
        self.is_member = false;
        self.last.clear();
    }
}
