//! Events to merged subscribers at a home. They are sent as they come to readers that take them; for the others they
//! wait, merged, in the backlog of the filter. What is retained comes first: a reader that is behind with that, or in its
//! snapshot, gets events when it has caught up, or in turns where it never does. Nothing waits for who is not connected.

use super::backlog::Taker;
use super::filters::Subscriber;
use super::home::Home;
use super::merged::{Sending, Sent};
use super::outbox::Outbox;
use super::pace::Paced;
use super::parcel::Frame;
use crate::clock::Now;
use crate::key::{Client, SessionKey, Span};
use crate::row::fold::read_frame;
use crate::session::frame::FrameKind;
use crate::topic::is_wildcard;
use smallvec::SmallVec;

/// Whether events have to be kept for a reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    No,
    Yes,
    /// In smaller frames it takes them at once.
    InParts,
}

impl Home {
    /// A frame of events for those of its subscribers that are to get it. Returns those that take it in smaller ones.
    pub(super) fn events_to_all<'s>(
        &mut self,
        now: Now,
        frame: &Frame,
        body: &[u8],
        subscribers: impl Iterator<Item = &'s Subscriber>,
        out: &mut Outbox,
    ) -> SmallVec<[u32; 4]> {
        let (mut is_kept, mut in_parts) = (false, SmallVec::new());
        for subscriber in subscribers {
            let keeping = self.events_to_one(now, frame, body, subscriber, out);
            is_kept |= keeping != Keeping::No;
            in_parts.extend((keeping == Keeping::InParts).then_some(subscriber.merged));
        }
        if is_kept {
            self.keep_events(frame, body);
        }
        in_parts
    }

    fn events_to_one(
        &mut self,
        now: Now,
        frame: &Frame,
        body: &[u8],
        subscriber: &Subscriber,
        out: &mut Outbox,
    ) -> Keeping {
        let (index, wish) = (subscriber.merged, subscriber.wish);
        let is_connected = self.sessions.get(subscriber.session).is_some_and(|session| session.conn.is_some());
        let Some(merged) = self.merged.get_mut(index) else { return Keeping::No };
        if merged.options.state {
            return Keeping::No;
        }
        if !is_connected {
            merged.lost += u64::from(frame.rows);
            self.stats.events_lost += u64::from(frame.rows);
            return Keeping::No;
        }
        if merged.lacks_events.is_some() {
            return Keeping::Yes;
        }
        let is_behind = merged.snapshot_left > 0 || !merged.standing.is_empty();
        let mut keeping = Keeping::Yes;
        if !is_behind && self.is_ready(index, out) && !self.is_early(index, Paced::Events) {
            let sending = Sending { kind: FrameKind::Event, frame, body, more: frame.more, stands: None };
            keeping = match self.send_frame(now, index, wish, sending, out) {
                Sent::Yes => Keeping::No,
                Sent::TooLarge => Keeping::InParts,
                Sent::NoPlace => Keeping::Yes,
            };
        }
        match keeping {
            Keeping::No => self.begin_interval(index, Paced::Events),
            _ => self.join_backlog(index, subscriber),
        }
        keeping
    }

    fn join_backlog(&mut self, index: u32, subscriber: &Subscriber) {
        let Some(merged) = self.merged.get_mut(index) else { return };
        let client = Client { home: self.me, session: subscriber.session };
        let backlog = self.filters.slot_mut(merged.handle).backlog.get_or_insert_default();
        merged.lacks_events = Some(backlog.join(subscriber.wish.no_local.then_some(client)));
    }

    fn keep_events(&mut self, frame: &Frame, body: &[u8]) {
        let slot = self.filters.slot_mut(frame.handle);
        let Some(backlog) = slot.backlog.as_deref_mut() else { return };
        let rows = read_frame(&slot.text, body).expect("an owner's frame is a tree of its filter");
        let rows_max = self.config.limits.events_waiting;
        for (topic, value) in rows {
            // An event is never a deletion; the empty one of a filter without wildcard reads like one.
            backlog.push(&topic, &value.unwrap_or_default(), frame.qos, frame.publisher, rows_max);
        }
    }

    /// A reader gives up what waits for it: that is lost.
    pub(super) fn leave_backlog(&mut self, index: u32) {
        let Some(merged) = self.merged.get_mut(index) else { return };
        let Some(stand) = merged.lacks_events.take() else { return };
        let client = Client { home: self.me, session: merged.session };
        let slot = self.filters.slot_mut(merged.handle);
        let Some(backlog) = slot.backlog.as_deref_mut() else { return };
        let lost = backlog.lost(stand, client) + backlog.count(stand, None);
        merged.lost += lost;
        self.stats.events_lost += lost;
        backlog.leave(stand, client);
        if backlog.is_empty() {
            slot.backlog = None;
        }
    }

    /// Sends what waits for a reader, as far as it takes it.
    pub(super) fn send_waiting_events(&mut self, index: u32, out: &mut Outbox) {
        while let Some((stand, session)) = self.next_to_send(index, out) {
            if !self.send_waiting(index, stand, session, out) {
                return;
            }
        }
    }

    fn next_to_send(&mut self, index: u32, out: &mut Outbox) -> Option<(u64, SessionKey)> {
        let merged = self.merged.get(index)?;
        let (stand, session) = (merged.lacks_events?, merged.session);
        let is_turn = merged.standing.is_empty() || merged.is_turn_of_events;
        let may_be_sent = merged.is_announced && merged.snapshot_left == 0 && is_turn;
        let takes = may_be_sent && self.is_ready(index, out) && !self.is_early(index, Paced::Events);
        takes.then_some((stand, session))
    }

    /// One frame of what waits. False: it could not be sent.
    fn send_waiting(&mut self, index: u32, stand: u64, session: SessionKey, out: &mut Outbox) -> bool {
        let Some(merged) = self.merged.get(index) else { return false };
        let (handle, group) = (merged.handle, merged.group.unwrap_or_default());
        let Some(wish) = self.wish_of(session, handle) else { return false };
        let client = Client { home: self.me, session };
        let not_of = wish.no_local.then_some(client);
        let body_bytes_max = self.body_bytes_max(session, handle, Some(index)) as usize;
        let slot = self.filters.slot_mut(handle);
        let Some(backlog) = slot.backlog.as_deref_mut() else { return false };
        let is_tree = is_wildcard(&slot.text);
        let lost = backlog.lost(stand, client);
        let made = backlog.make(&slot.text, slot.kind.form(), Taker { stand, not_of, body_bytes_max }, &mut self.merge);
        let Some(merged) = self.merged.get_mut(index) else { return false };
        merged.lost += lost;
        let Some(made) = made else {
            self.stats.events_lost += lost;
            self.step_in_backlog(index, stand, None);
            return false;
        };
        let frame = Frame {
            handle,
            body: Span::EMPTY,
            versions_len: 0,
            event: true,
            qos: made.qos,
            publisher: Client { home: self.me, session: SessionKey::NONE },
            rows: made.rows,
            skipped: made.skipped,
            more: made.more,
            position: 0,
            group,
            version: 0, // it raises nothing
            object: 0,
        };
        let sending =
            Sending { kind: FrameKind::Event, frame: &frame, body: &made.body, more: made.more, stands: None };
        let can_be_said = made.rows > 0 || is_tree;
        let sent = if can_be_said { self.send_frame(self.now, index, wish, sending, out) } else { Sent::TooLarge };
        match sent {
            Sent::Yes if !made.more => self.begin_interval(index, Paced::Events),
            Sent::Yes => {}
            Sent::TooLarge => self.stats.oversize_dropped += u64::from(made.rows + made.skipped),
            Sent::NoPlace => {
                if let Some(merged) = self.merged.get_mut(index) {
                    merged.lost -= lost;
                }
                return false;
            }
        }
        self.stats.events_lost += lost;
        self.step_in_backlog(index, stand, made.more.then_some(made.stand));
        true
    }

    /// A reader has what waited, up to `to` or all of it.
    fn step_in_backlog(&mut self, index: u32, stand: u64, to: Option<u64>) {
        let Some(merged) = self.merged.get_mut(index) else { return };
        (merged.lacks_events, merged.is_turn_of_events) = (to, false);
        let client = Client { home: self.me, session: merged.session };
        let slot = self.filters.slot_mut(merged.handle);
        let Some(backlog) = slot.backlog.as_deref_mut() else { return };
        match to {
            Some(to) => backlog.advance(stand, to, client),
            None => backlog.leave(stand, client),
        }
        if backlog.is_empty() {
            slot.backlog = None;
        }
    }
}
