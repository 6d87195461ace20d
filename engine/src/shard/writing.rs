//! What a home writes of its sessions, and what waits until that is durable.
//!
//! ```text
//! a session changes ─▶ listed (token) ─▶ written with all that are listed ─▶ committed ─▶ token durable
//!                                                                                         packets that quote it leave
//! ```
//! With `durability = "memory"` sessions are written a moment after they changed and nobody waits. With `"disk"` they are
//! written in the next turn, and these wait: PUBACK and PUBREC until every home says that it keeps the message (`Kept`),
//! PUBREC also until it is durable that its PUBLISH was received, SUBACK, UNSUBACK and PUBCOMP for what they confirm,
//! and to the client a PUBLISH for its Packet Identifier, PUBREL for the PUBREC before it.
//!
//! That a QoS 2 PUBLISH was received, what it retains, and the deliveries that it led to, at any home, are parts of one
//! commit (`row::change::Join`): after a crash there is all of it, and it is not taken again, or nothing, and it comes again.

use super::home::Home;
use super::outbox::Outbox;
use super::parcel::{DownItem, Verdict};
use super::stands::keep_stands;
use crate::clock::Now;
use crate::key::{Client, SessionKey, ShardId};
use crate::limits::{SESSIONS_WRITTEN_EVERY_MS, SESSIONS_WRITTEN_PER_TURN_MAX};
use crate::row::batch::Packet;
use crate::row::change::Join;
use crate::session::Session;
use crate::session::inflight::Token;
use crate::session::lasting::{Lasting, Numbering, write};
use crate::wire::QoS;
use foldhash::HashMap;
use std::collections::VecDeque;

/// A QoS 2 publish of a lasting session whose owners have not all answered.
struct Spreading {
    session: SessionKey,
    packet_id: u16,
    ticket: u32,
    owners_left: u32,
    keepers: u32,
    opens: u32,
    is_refused: bool,
}

/// See the module.
pub struct Writing {
    pub waits_for_disk: bool,
    /// Token of the newest listing.
    listed: Token,
    /// Sessions listed and not written, the oldest first. `SessionKey::NONE` for what concerns none.
    dirty: VecDeque<SessionKey>,
    /// Sessions that have ended, by their number in the store.
    ended: Vec<u64>,
    /// When the dirty ones are written at the latest; milliseconds, monotonic.
    due_ms: Option<u64>,
    pub numbers: Numbering,
    joins: Vec<Join>,
    /// Who is to be told that what was listed up to a token is durable.
    confirms: VecDeque<(Token, Client, u32)>,
    /// Sessions whose packets may leave when a token is durable.
    awaiting: VecDeque<(Token, SessionKey)>,
    /// What was listed up to a token stands before this position of the shard's changes.
    barriers: VecDeque<(Token, u64)>,
    /// The newest token that is durable.
    pub durable: Token,
    /// The newest position that is.
    position: u64,
    spreading: HashMap<u64, Spreading>,
    /// Names publishes whose parts are committed together.
    publishes: Numbering,
}

impl Writing {
    pub fn new(me: ShardId, shards: u16, waits_for_disk: bool) -> Writing {
        let numbers = Numbering { next: u64::from(me.0) + 1, step: u64::from(shards) };
        Writing {
            waits_for_disk,
            listed: 0,
            dirty: VecDeque::new(),
            ended: Vec::new(),
            due_ms: None,
            numbers,
            joins: Vec::new(),
            confirms: VecDeque::new(),
            awaiting: VecDeque::new(),
            barriers: VecDeque::new(),
            durable: 0,
            position: 0,
            spreading: HashMap::default(),
            publishes: numbers,
        }
    }

    /// Lists a session that is about to change; 0 where it does not outlive its connection.
    #[inline]
    pub fn list(&mut self, key: SessionKey, session: &mut Session) -> Token {
        let Some(lasting) = session.delivery.lasting.as_deref_mut() else { return 0 };
        if !lasting.is_listed {
            (lasting.is_listed, lasting.token) = (true, self.list_key(key));
        }
        lasting.token
    }

    /// Deliveries of a session may be about to change: with which token they would be written.
    #[inline]
    pub fn expect(&self, session: &mut Session) {
        if let Some(lasting) = session.delivery.lasting.as_deref_mut().filter(|lasting| !lasting.is_listed) {
            lasting.token = self.listed + 1;
        }
    }

    /// Lists the session if they did change.
    #[inline]
    pub fn list_dirty(&mut self, key: SessionKey, session: &mut Session) {
        if session.delivery.lasting.as_ref().is_some_and(|lasting| lasting.is_dirty) {
            self.list(key, session);
        }
    }

    /// The session itself, not only what waits in it, is different from now on.
    pub fn change(&mut self, key: SessionKey, session: &mut Session) {
        if let Some(lasting) = session.delivery.lasting.as_deref_mut() {
            lasting.is_changed = true;
            self.list(key, session);
        }
    }

    fn list_key(&mut self, key: SessionKey) -> Token {
        self.listed += 1;
        self.dirty.push_back(key);
        self.listed
    }

    /// From here on the session outlives its connection.
    pub fn begin(&mut self, key: SessionKey, session: &mut Session) {
        if session.delivery.lasting.is_none() {
            session.delivery.lasting = Some(Box::new(Lasting::new(self.numbers.take())));
            self.list(key, session);
        }
    }

    /// The session is not to outlive its connection, or has ended: nothing of it stays in the store.
    pub fn end(&mut self, session: &mut Session) {
        if let Some(lasting) = session.delivery.lasting.take() {
            self.ended.push(lasting.id);
            self.list_nobody();
        }
    }

    /// A session is told when the end of the one before it is durable.
    pub fn await_end(&mut self, key: SessionKey) {
        self.list_key(key);
    }

    /// What is to be written concerns no session.
    pub fn list_nobody(&mut self) {
        self.list_key(SessionKey::NONE);
    }

    /// Up to which token deliveries may leave that wait for the disk.
    pub fn way_durable(&self) -> Option<Token> {
        self.waits_for_disk.then_some(self.durable)
    }

    /// Things that are to be written, or wait for others that are.
    pub fn waiting(&self) -> usize {
        self.dirty.len() + self.ended.len() + self.joins.len() + self.confirms.len() + self.awaiting.len()
    }

    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// When to write; milliseconds, monotonic.
    pub fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// At the end of a step: says when what it listed is to be written.
    pub fn settle(&mut self, now: Now, is_stopping: bool) {
        if self.is_dirty() && self.due_ms.is_none() {
            let wait_ms = if self.waits_for_disk || is_stopping { 0 } else { SESSIONS_WRITTEN_EVERY_MS };
            self.due_ms = Some(now.mono_ms + wait_ms);
        }
    }

    /// The writer takes no more at present.
    pub fn look_again(&mut self, now: Now) {
        self.due_ms = Some(now.mono_ms + SESSIONS_WRITTEN_EVERY_MS);
    }

    /// Writing must not wait longer.
    pub fn hurry(&mut self, now: Now) {
        self.due_ms = self.due_ms.map(|due_ms| due_ms.min(now.mono_ms));
    }

    /// Everything up to `position` of the shard's changes is durable.
    pub fn committed(&mut self, position: u64) {
        self.position = position;
        while let Some((token, _)) = self.barriers.front().copied().filter(|(_, at)| *at <= position) {
            self.durable = token;
            self.barriers.pop_front();
        }
    }

    /// The next session whose packets may leave.
    pub fn pop_awaiting(&mut self) -> Option<SessionKey> {
        let (_, key) = self.awaiting.front().copied().filter(|(token, _)| *token <= self.durable)?;
        self.awaiting.pop_front();
        Some(key)
    }

    /// Whether somebody is to be told now that a publish is kept.
    pub fn has_confirms(&self) -> bool {
        self.confirms.front().is_some_and(|(token, ..)| *token <= self.durable)
    }

    /// Tells homes that what they published is kept here, as far as the lanes have room.
    pub fn send_confirms(&mut self, out: &mut Outbox, local: &mut super::parcel::Down, me: ShardId) {
        while self.has_confirms() && out.has_down_room() {
            let Some((_, client, ticket)) = self.confirms.pop_front() else { return };
            let down = if client.home == me { &mut *local } else { out.down_to(client.home) };
            down.items.push(DownItem::Kept { to: client.session, ticket });
        }
    }

    /// What a publish leads to at this home begins. It may come in several turns, each of which is written by itself.
    pub fn open(&mut self, publish: u64) {
        self.joins.push(Join { publish, parts: 0 });
        self.list_nobody();
    }

    /// What a publish led to at this home is complete: its publisher is told when that is durable.
    pub fn confirm(&mut self, publisher: Client, ticket: u32, publish: u64) {
        if publish != 0 {
            self.joins.push(Join { publish, parts: 0 });
            self.list_nobody();
        }
        self.confirms.push_back((self.listed, publisher, ticket));
    }

    /// A message of a share group leaves the member that had it, or could not be had here: that it is gone here and kept
    /// elsewhere is committed together.
    pub fn departs(&mut self, packet: &mut Packet) {
        (packet.wants_verdict, packet.publish) = (false, 0);
        if self.waits_for_disk && packet.qos > QoS::AtMostOnce {
            packet.publish = self.publishes.take();
            self.joins.push(Join { publish: packet.publish, parts: 2 });
            self.list_nobody();
        }
    }

    /// It came to its end here, kept or not.
    pub fn arrived(&mut self, packet: &Packet) {
        if packet.is_moved() {
            self.joins.push(Join { publish: packet.publish, parts: 0 });
            self.list_nobody();
        }
    }

    /// A QoS 2 publish of a lasting session goes to `owners`; names it. 0: nothing waits for the disk.
    pub fn spread(&mut self, session: SessionKey, packet_id: u16, ticket: u32, owners: u32) -> u64 {
        if !self.waits_for_disk {
            return 0;
        }
        let publish = self.publishes.take();
        let spreading =
            Spreading { session, packet_id, ticket, owners_left: owners, keepers: 0, opens: 0, is_refused: false };
        self.spreading.insert(publish, spreading);
        publish
    }
}

impl Home {
    /// Lists a session that is about to change; 0 where it does not outlive its connection.
    pub fn list(&mut self, key: SessionKey) -> Token {
        self.sessions.get_mut(key).map_or(0, |session| self.writing.list(key, session))
    }

    /// One owner's verdict on a publish.
    pub fn settle_verdict(&mut self, key: SessionKey, ticket: u32, publish: u64, verdict: Verdict) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.acks.settle(ticket, verdict);
        }
        if publish != 0 {
            self.settle_spreading(publish, verdict);
        }
    }

    fn settle_spreading(&mut self, publish: u64, verdict: Verdict) {
        let Some(spreading) = self.writing.spreading.get_mut(&publish) else { return };
        spreading.owners_left -= 1;
        spreading.keepers += verdict.keepers;
        spreading.opens += verdict.opens;
        spreading.is_refused |= verdict.refusal.is_some();
        if spreading.owners_left > 0 {
            return;
        }
        let Some(spreading) = self.writing.spreading.remove(&publish) else { return };
        let Spreading { session: key, packet_id, ticket, keepers, opens, is_refused, .. } = spreading;
        self.writing.joins.push(Join { publish, parts: keepers + opens + 1 });
        self.writing.list_nobody();
        let Some(session) = self.sessions.get_mut(key) else { return };
        let token = self.writing.list(key, session);
        if !is_refused
            && session.acks.is_unreleased(packet_id)
            && let Some(lasting) = session.delivery.lasting.as_deref_mut()
        {
            lasting.received(packet_id);
        }
        session.acks.hold(ticket, token);
    }

    /// Writes the listed sessions: with `durability = "disk"` all, since what is committed together is written together,
    /// and at the end of the process, when there may be no other turn.
    pub fn write_sessions(&mut self, now: Now, is_stopping: bool, out: &mut Outbox) {
        let Home { writing, sessions, messages, filters, merged, epoch, .. } = self;
        let at_once = if writing.waits_for_disk || is_stopping { usize::MAX } else { SESSIONS_WRITTEN_PER_TURN_MAX };
        let count = writing.dirty.len().min(at_once);
        let before = out.changes.list.len() + out.changes.joins.len();
        let first = writing.listed + 1 - writing.dirty.len() as Token;
        for (token, key) in (first..).zip(writing.dirty.drain(..count)) {
            let Some(session) = sessions.get_mut(key) else { continue };
            if let Some(lasting) = session.delivery.lasting.as_deref_mut() {
                (lasting.is_listed, lasting.is_dirty) = (false, false);
            }
            keep_stands(session, filters, merged, *epoch);
            write(session, messages, &mut writing.numbers, now, &mut out.changes);
            if writing.waits_for_disk {
                writing.awaiting.push_back((token, key));
            }
        }
        for session in writing.ended.drain(..) {
            out.changes.end_session(session);
        }
        if writing.dirty.is_empty() {
            messages.write_gone(&mut out.changes); // every delivery that was of one is deleted before or with it
        }
        out.changes.joins.append(&mut writing.joins);
        if out.changes.list.len() + out.changes.joins.len() > before {
            out.changes.advance();
        }
        out.changes.is_awaited |= writing.waits_for_disk;
        writing.due_ms = None;
        if writing.waits_for_disk {
            writing.barriers.push_back((first + count as Token - 1, out.changes.last));
            writing.committed(writing.position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::shard::attach::new_session;

    /// How many of more sessions than a turn takes are left to be written after one turn.
    fn left(waits_for_disk: bool, is_stopping: bool) -> usize {
        let mut home = Home::new(ShardId(0), 1, Config::default(), 1, 1, waits_for_disk);
        for number in 0..SESSIONS_WRITTEN_PER_TURN_MAX + 9 {
            let key = home.sessions.insert(new_session(&number.to_string()));
            if let Some(session) = home.sessions.get_mut(key) {
                home.writing.begin(key, session);
            }
        }
        home.write_sessions(Now::default(), is_stopping, &mut Outbox::new(1));
        home.writing.dirty.len()
    }

    #[test]
    fn a_turn_writes_a_bounded_number_of_sessions_but_the_last_one_all() {
        assert_eq!(left(false, false), 9);
        assert_eq!(left(false, true), 0);
        assert_eq!(left(true, false), 0);
    }
}
