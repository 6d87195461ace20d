//! What a client is owed for its QoS 1 and 2 publishes and its subscriptions, in the order it sent them.
//!
//! PUBACK and PUBREC leave in the order of the PUBLISHes [3.1.1: MQTT-4.6.0-2], [3.1.1: MQTT-4.6.0-3], and each only when every
//! owner has given its verdict. What waits holds back later acknowledgements, never later work.

use super::inflight::Token;
use super::verdict::Verdict;
use crate::key::FilterHandle;
use crate::wire::{AckKind, ReasonCode};
use smallvec::SmallVec;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// An acknowledgement that is owed.
#[derive(Debug)]
pub struct Owed {
    pub kind: OwedKind,
    pub packet_id: u16,
    /// Owners that have not answered.
    waiting: u32,
    /// Shards that are still to say that they keep it durably, less those that said so before their number was known.
    unkept: i32,
    /// It leaves when this is durable.
    token: Token,
    /// The connection that it was owed on is gone: it is waited for, and not sent.
    is_silent: bool,
    /// What the owners that answered say together.
    verdict: Verdict,
    /// It came with a verb and RETAIN 1: the acknowledgement says which version it made.
    says_version: bool,
    /// The fault of what no owner saw.
    refused: Option<ReasonCode>,
    /// What the Reason String says.
    what: Option<Box<str>>,
}

#[derive(Debug)]
pub enum OwedKind {
    Ack(AckKind),
    /// Reason codes, and the subscriptions whose retained rows follow the SUBACK.
    Suback {
        codes: Box<[u8]>,
        reading: SmallVec<[FilterHandle; 1]>,
    },
    /// Reason codes.
    Unsuback(Box<[u8]>),
}

/// An acknowledgement that may leave.
#[derive(Debug)]
pub struct Due {
    pub kind: OwedKind,
    pub packet_id: u16,
    pub reason: ReasonCode,
    pub what: Option<Box<str>>,
    /// What the owners said together.
    pub verdict: Verdict,
    /// The acknowledgement says which version was made.
    pub says_version: bool,
    /// It is over and not sent: the connection that it was owed on is gone.
    pub is_silent: bool,
}

/// See the module.
#[derive(Default, Debug)]
pub struct Acks {
    owed: VecDeque<Owed>,
    /// Ticket of the front of `owed`.
    first_ticket: u32,
    /// Packet identifiers of QoS 2 publishes received and not released, [MQTT-4.3.3-10], each with the connection
    /// that it last came by. Lasts as long as the session.
    /// Absent until the first: most clients never send one.
    #[allow(clippy::box_collection)] // 8 bytes of every session instead of 48
    unreleased: Option<Box<HashMap<u16, u32>>>,
    /// Numbers the connections of the session.
    connection: u32,
    /// Of `unreleased`, those that came by the present connection.
    unreleased_here: u32,
    /// PUBACKs that are owed.
    pubacks: u32,
}

impl Acks {
    /// The ticket that the next `owe` gives.
    pub fn next_ticket(&self) -> u32 {
        self.first_ticket.wrapping_add(self.owed.len() as u32)
    }

    pub fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Nothing is owed, and no Packet Identifier is in use: a publish that is answered at once is answered in its turn.
    pub fn is_idle(&self) -> bool {
        self.owed.is_empty() && self.unreleased.as_ref().is_none_or(|unreleased| unreleased.is_empty())
    }

    /// Takes up a debt that `waiting` owners decide about.
    pub fn owe(&mut self, kind: OwedKind, packet_id: u16, waiting: u32) -> u32 {
        let ticket = self.next_ticket();
        self.pubacks += u32::from(matches!(kind, OwedKind::Ack(AckKind::Puback)));
        self.owed.push_back(Owed {
            kind,
            packet_id,
            waiting,
            unkept: 0,
            token: 0,
            is_silent: false,
            verdict: Verdict::default(),
            says_version: false,
            refused: None,
            what: None,
        });
        ticket
    }

    /// A QoS 2 publish that was received before is acknowledged again, in its turn, [MQTT-4.6.0-3].
    pub fn owe_again(&mut self, packet_id: u16) {
        let ticket = self.owe(OwedKind::Ack(AckKind::Pubrec), packet_id, 0);
        self.succeed(ticket);
    }

    /// What no owner decides about is acknowledged as one that found its subscribers.
    pub fn succeed(&mut self, ticket: u32) {
        if let Some(owed) = self.owed_mut(ticket) {
            owed.verdict.matched = true;
        }
    }

    /// A subscription was replaced and what it reads follows a later SUBACK: no earlier one is to start it.
    pub fn forget_reading(&mut self, handle: FilterHandle) {
        for owed in &mut self.owed {
            if let OwedKind::Suback { reading, .. } = &mut owed.kind {
                reading.retain(|other| *other != handle);
            }
        }
    }

    fn owed_mut(&mut self, ticket: u32) -> Option<&mut Owed> {
        self.owed.get_mut(ticket.wrapping_sub(self.first_ticket) as usize)
    }

    /// A debt is paid only when everything up to `token` is durable.
    pub fn hold(&mut self, ticket: u32, token: Token) {
        if let Some(owed) = self.owed_mut(ticket) {
            owed.token = token;
        }
    }

    /// A shard keeps the publish durably.
    pub fn kept(&mut self, ticket: u32) {
        if let Some(owed) = self.owed_mut(ticket) {
            owed.unkept -= 1;
        }
    }

    /// One owner answered; so many keepers will say when they keep it durably.
    pub fn settle(&mut self, ticket: u32, verdict: Verdict) {
        let Some(owed) = self.owed_mut(ticket) else { return };
        owed.unkept += verdict.keepers as i32;
        debug_assert!(owed.waiting > 0, "more verdicts than owners");
        owed.waiting = owed.waiting.saturating_sub(1);
        owed.verdict = owed.verdict.and(verdict);
    }

    /// The acknowledgement is to say which version the publish made.
    pub fn say_version(&mut self, ticket: u32) {
        if let Some(owed) = self.owed_mut(ticket) {
            owed.says_version = true;
        }
    }

    /// Why some filter of a SUBSCRIBE was refused, in words.
    pub fn explain(&mut self, ticket: u32, what: &str) {
        if let Some(owed) = self.owed_mut(ticket) {
            owed.what = Some(what.into());
        }
    }

    /// The fault of a publish that no owner saw.
    pub fn refuse(&mut self, ticket: u32, code: ReasonCode, what: &str) {
        if let Some(owed) = self.owed_mut(ticket) {
            owed.refused = Some(code);
            owed.what = Some(what.into());
        }
    }

    /// The next acknowledgement that is due, when everything up to `durable` is durable.
    pub fn pop_due(&mut self, durable: Token) -> Option<Due> {
        let is_due = |owed: &Owed| owed.waiting == 0 && owed.unkept == 0 && owed.token <= durable;
        is_due(self.owed.front()?).then_some(())?;
        let owed = self.owed.pop_front()?;
        self.first_ticket = self.first_ticket.wrapping_add(1);
        Some(self.due(owed))
    }

    fn due(&mut self, owed: Owed) -> Due {
        self.pubacks -= u32::from(!owed.is_silent && matches!(owed.kind, OwedKind::Ack(AckKind::Puback)));
        let refused = owed.refused.or(owed.verdict.refusal.map(|refusal| refusal.code()));
        let reason = match (refused, &owed.kind) {
            (Some(code), _) => code,
            (None, OwedKind::Ack(AckKind::Puback | AckKind::Pubrec)) if !owed.verdict.matched => {
                ReasonCode::NoMatchingSubscribers
            }
            _ => ReasonCode::Success,
        };
        if reason.is_error() && matches!(owed.kind, OwedKind::Ack(AckKind::Pubrec)) {
            self.release(owed.packet_id); // [MQTT-4.3.3-9]: the identifier is free again
        }
        if self.owed.is_empty() && matches!(owed.kind, OwedKind::Suback { .. } | OwedKind::Unsuback(_)) {
            // Who subscribed may only listen from now on; who publishes keeps the memory.
            self.owed = VecDeque::new();
        }
        Due {
            kind: owed.kind,
            packet_id: owed.packet_id,
            reason,
            what: owed.what,
            verdict: owed.verdict,
            says_version: owed.says_version,
            is_silent: owed.is_silent,
        }
    }

    /// The connection is gone and the session lasts: what was owed on it is still waited for, so that a QoS 2 publish is
    /// known as received when it stands in the queues that it was for, and not when it was refused, but nothing of it is
    /// sent.
    pub fn fall_silent(&mut self) {
        self.owed.iter_mut().for_each(|owed| owed.is_silent = true);
        if self.owed.is_empty() {
            self.owed = VecDeque::new(); // it may be away for long
        }
        self.begin_connection();
    }

    fn begin_connection(&mut self) {
        (self.pubacks, self.unreleased_here) = (0, 0);
        self.connection = self.connection.wrapping_add(1);
    }

    /// The connection is gone: what was owed on it will not be sent. Verdicts that still come find nothing.
    pub fn forget_owed(&mut self) {
        self.first_ticket = self.next_ticket();
        self.owed = VecDeque::new();
        self.begin_connection();
    }

    /// A QoS 2 PUBLISH arrived. False: it was received before and only its acknowledgement is due again.
    pub fn receive(&mut self, packet_id: u16) -> bool {
        // [MQTT-4.3.3-10] [3.1.1: MQTT-4.3.3-2]
        match self.unreleased.get_or_insert_default().entry(packet_id) {
            Entry::Vacant(place) => {
                place.insert(self.connection);
                self.unreleased_here += 1;
                true
            }
            Entry::Occupied(mut place) => {
                let before = place.insert(self.connection);
                self.unreleased_here += u32::from(before != self.connection);
                false
            }
        }
    }

    /// PUBREL. False: no such publish.
    pub fn release(&mut self, packet_id: u16) -> bool {
        let Some(connection) = self.unreleased.as_mut().and_then(|unreleased| unreleased.remove(&packet_id)) else {
            return false;
        };
        // From now on the identifier is a new message [MQTT-4.3.3-12] [3.1.1: MQTT-4.3.3-2].
        self.unreleased_here -= u32::from(connection == self.connection);
        true
    }

    /// Whether this acknowledgement is owed already; from here on on the present connection.
    pub fn is_owed(&mut self, kind: AckKind, packet_id: u16) -> bool {
        let is_it = |owed: &&mut Owed| {
            owed.packet_id == packet_id && matches!(owed.kind, OwedKind::Ack(other) if other == kind)
        };
        let owed = self.owed.iter_mut().find(is_it);
        owed.map(|owed| owed.is_silent = false).is_some()
    }

    /// A QoS 2 publish that an earlier process took.
    pub fn restore(&mut self, packet_id: u16) {
        self.unreleased.get_or_insert_default().insert(packet_id, self.connection.wrapping_sub(1));
    }

    /// Whether this is a QoS 2 publish that is not released, so that nothing else may have its identifier,
    /// [MQTT-2.2.1-3].
    pub fn is_unreleased(&self, packet_id: u16) -> bool {
        self.came_by(packet_id).is_some()
    }

    /// Whether the client may not give this identifier to something new, [MQTT-2.2.1-3].
    pub fn is_in_use(&self, packet_id: u16) -> bool {
        self.is_unreleased(packet_id) || self.owed.iter().any(|owed| owed.packet_id == packet_id && !owed.is_silent)
    }

    /// Whether one more publish would exceed the client's send quota: publishes of this connection that neither PUBACK
    /// nor PUBCOMP was sent for, [MQTT-3.3.4-7]. The client cannot know of fewer, so nobody is accused wrongly; what
    /// is left of earlier connections does not count, MQTT 5 section 4.9.
    pub fn is_exhausted(&self, publish: Received, receive_max: u16) -> bool {
        let is_counted = match publish {
            Received::AtLeastOnce => false,
            Received::ExactlyOnce(packet_id) => self.came_by(packet_id) == Some(self.connection),
        };
        !is_counted && self.pubacks + self.unreleased_here >= u32::from(receive_max)
    }
}

impl Acks {
    /// The connection that a QoS 2 publish last came by, if it is not released.
    fn came_by(&self, packet_id: u16) -> Option<u32> {
        self.unreleased.as_ref()?.get(&packet_id).copied()
    }
}

/// A publish that is to be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    AtLeastOnce,
    ExactlyOnce(u16),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_send_quota_is_used_up_exactly_and_begins_anew_with_each_connection() {
        let mut acks = Acks::default();
        acks.owe(OwedKind::Suback { codes: Box::default(), reading: SmallVec::new() }, 9, 1);
        assert!(acks.receive(1));
        assert!(!acks.is_exhausted(Received::AtLeastOnce, 2), "a SUBACK is no publish");
        acks.owe(OwedKind::Ack(AckKind::Puback), 2, 1);
        assert!(acks.is_exhausted(Received::AtLeastOnce, 2));
        assert!(acks.is_exhausted(Received::ExactlyOnce(3), 2));
        assert!(!acks.is_exhausted(Received::ExactlyOnce(1), 2), "it is counted already");
        acks.forget_owed();
        assert!(!acks.is_exhausted(Received::AtLeastOnce, 1));
        assert!(!acks.receive(1), "the session remembers it");
        assert!(acks.is_exhausted(Received::AtLeastOnce, 1));
        assert!(acks.release(1) && !acks.release(1));
        assert!(!acks.is_exhausted(Received::AtLeastOnce, 1));
    }

    #[test]
    fn who_only_listens_keeps_no_memory_for_acknowledgements() {
        let mut acks = Acks::default();
        let suback = || OwedKind::Suback { codes: Box::default(), reading: SmallVec::new() };
        let first = acks.owe(suback(), 1, 0);
        acks.owe(suback(), 2, 0);
        assert!(acks.pop_due(0).is_some() && acks.pop_due(0).is_some());
        assert_eq!(acks.owed.capacity(), 0);
        assert_eq!(acks.next_ticket(), first.wrapping_add(2), "tickets go on");
        acks.owe(OwedKind::Ack(AckKind::Puback), 3, 0);
        assert!(acks.pop_due(0).is_some());
        assert!(acks.owed.capacity() > 0, "who publishes will do so again");
    }
}
