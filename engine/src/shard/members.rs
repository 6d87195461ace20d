//! Members of share groups at their home: who of them gets a message, what their owners are told of them, and what
//! becomes of the messages of one that goes. MQTT 5 section 4.8.2.
//!
//! ```text
//! owner ── Share ──▶ home ── to the member with the least to do
//!   ▲                 │
//!   └──── Return ◀────┘ nobody is connected here: the owner takes another home
//! ```
//! An owner learns how many members here are connected and ready (`Presence`), always ahead of what is returned to it.
//! When all members of a home are away while there are others elsewhere it says so (`Recall`), and gets what waits.

use super::Shard;
use super::fanout::Cast;
use super::filters::{Slot, Subscriber};
use super::home::{Ask, Home, takes_more};
use super::outbox::Outbox;
use super::parcel::{Counts, Offer};
use crate::clock::Now;
use crate::key::{Client, FilterHandle, SessionKey, ShardId};
use crate::limits::{SHARE_LOOK_MAX, SHARE_RETURNS_MAX, SHARE_RETURNS_WAITING_MAX};
use crate::row::batch::{Batch, Packet, Row, View};
use crate::session::deliver::is_expired;
use crate::session::inflight::{Delivered, Ids};
use crate::session::message::Message;
use crate::session::share::ShareOf;
use crate::session::{Session, Standing, SubscriptionRef};
use crate::topic::Kind;
use crate::wire::QoS;
use foldhash::HashSet;

/// In place of where a member stands that is not connected.
pub const ABSENT: u32 = u32::MAX;

/// Of the subscribers of one shared filter, who is connected: their positions, first those that are ready.
#[derive(Default)]
pub struct Members {
    present: Vec<u32>,
    ready: u32,
    /// Subscribers that were granted a QoS above 0.
    keeping: u32,
    /// Where the next look begins.
    turn: usize,
    /// A bit per owner that is to be told and was not yet.
    untold: u64,
}

/// A message that left a member, or found none.
#[derive(Debug)]
pub struct Returned {
    /// One packet with one row.
    pub batch: Batch,
    /// The shared filter as text: when this is sent the handle may mean another.
    pub share: Box<str>,
    pub returns: u8,
}

/// What is to be done for share groups at the end of a step.
#[derive(Default)]
pub struct ShareWork {
    /// Groups that somebody came for while nobody was connected, here or, where an owner asks, elsewhere: what waits
    /// for absent members is theirs.
    recalls: Vec<(FilterHandle, bool)>,
    /// Members that went: what waits for them goes to others, if there are any here.
    leavers: Vec<SessionKey>,
    /// Messages without a member.
    loose: Vec<Returned>,
}

impl ShareWork {
    pub fn waits(&self) -> bool {
        !self.recalls.is_empty() || !self.leavers.is_empty() || !self.loose.is_empty()
    }
}

impl Slot {
    /// What owners are told.
    pub fn counts(&self) -> Counts {
        let Some(members) = &self.members else { return Counts::default() };
        Counts { present: members.present.len() as u32, ready: members.ready, keeping: members.keeping }
    }

    /// One that keeps messages comes or goes.
    pub fn count_keeping(&mut self, before: u32, after: u32) {
        if let Some(members) = &mut self.members {
            members.keeping = members.keeping - before + after;
        }
    }

    /// The member at `position` stands otherwise now.
    pub fn stand(&mut self, position: u32, standing: Standing) {
        let Slot { members: Some(members), subscribers, .. } = self else { return };
        let at = subscribers[position as usize].present;
        let was_present = at != ABSENT;
        let was_ready = was_present && at < members.ready;
        let is_ready = standing == Standing::Ready;
        let is_present = is_ready || standing == Standing::Busy;
        if !was_present && is_present {
            subscribers[position as usize].present = members.present.len() as u32;
            members.present.push(position);
        }
        if was_ready && !is_ready {
            members.ready -= 1;
            members.swap(subscribers, at, members.ready);
        }
        if is_ready && !was_ready {
            let at = subscribers[position as usize].present;
            members.swap(subscribers, at, members.ready);
            members.ready += 1;
        }
        if was_present && !is_present {
            let at = subscribers[position as usize].present;
            members.swap(subscribers, at, members.present.len() as u32 - 1);
            members.present.pop();
            subscribers[position as usize].present = ABSENT;
        }
    }

    /// Another subscriber moved to `position`.
    pub fn stands_now_at(&mut self, position: u32) {
        let Slot { members: Some(members), subscribers, .. } = self else { return };
        if let Some(moved) = subscribers.get(position as usize).filter(|moved| moved.present != ABSENT) {
            members.present[moved.present as usize] = position;
        }
    }
}

impl Members {
    fn swap(&mut self, subscribers: &mut [Subscriber], a: u32, b: u32) {
        self.present.swap(a as usize, b as usize);
        for at in [a, b] {
            subscribers[self.present[at as usize] as usize].present = at;
        }
    }

    /// Whom to look at for the next message: those that are ready, else those that are connected, as many as a look
    /// takes, in turns.
    fn candidates(&self) -> impl Iterator<Item = u32> + '_ {
        let count = if self.ready > 0 { self.ready as usize } else { self.present.len() };
        (0..count.min(SHARE_LOOK_MAX)).map(move |step| self.present[(self.turn + step) % count])
    }
}

impl Home {
    /// A message for one member of a group. False: there is none for it here.
    pub fn take_offer(&mut self, now: Now, view: &View<'_>, row: &Row, offer: Offer, out: &mut Outbox) -> bool {
        let mut cast = Cast::new(view, row);
        if is_expired(cast.expires_at_ms, now) {
            self.stats.expired_dropped += 1;
            self.writing.arrived(view.packet);
            return true;
        }
        let kept = |home: &mut Home| if offer.keep { home.pick_keeper(offer.handle) } else { None };
        let present = self.pick_present(offer.handle, out);
        let Some(position) = present.or_else(|| kept(self)) else { return false };
        let subscriber = self.filters.slot(offer.handle).subscribers[position as usize];
        let wish = subscriber.wish;
        let number = self.filters.slot(offer.handle).number;
        cast.share = Some(ShareOf { handle: offer.handle, number, qos: cast.qos, retain: cast.retain });
        let ids = if wish.subscription_id == 0 { Ids::new() } else { Ids::from_slice(&[wish.subscription_id]) };
        let retain = wish.retain_as_published && cast.retain;
        self.deliver_one(now, &mut cast, subscriber.session, wish.qos, retain, &ids, out); // [MQTT-4.8.2-3]
        self.writing.arrived(view.packet);
        if let Some(message) = cast.message {
            self.messages.release(message);
        }
        if let Some(session) = self.sessions.get(subscriber.session) {
            let standing = session.standing_now(is_blocked(session, out)); // `Drained` looks again
            self.set_standing(subscriber.session, standing);
        }
        true
    }

    /// As `take_offer`; what cannot be taken goes back to the owner, a bounded number of times.
    pub fn take_or_return(
        &mut self,
        now: Now,
        view: &View<'_>,
        row: &Row,
        (offer, owner): (Offer, ShardId),
        out: &mut Outbox,
    ) {
        if self.take_offer(now, view, row, offer, out) {
            return;
        }
        let mut batch = Batch::default();
        batch.copy_rows(*view, std::iter::once(*row));
        // What is said to be kept here is kept where this ends. One that had moved has come to its end here and goes on
        // in the same commit.
        self.writing.arrived(view.packet);
        self.writing.departs(&mut batch.packets[0]);
        let share = self.filters.slot(offer.handle).text.clone();
        self.stats.share_returned += 1;
        let returned = Returned { batch, share, returns: offer.returns.saturating_add(1) };
        self.give_back(now, returned, owner, out);
    }

    /// Sends a message back to its owner, if that may be.
    fn give_back(&mut self, now: Now, returned: Returned, owner: ShardId, out: &mut Outbox) {
        let has_room = self.asks[owner.index()].len() < SHARE_RETURNS_WAITING_MAX;
        if has_room && returned.returns <= SHARE_RETURNS_MAX {
            return self.ask(owner, Ask::Return(Box::new(returned)));
        }
        let view = returned.batch.view(0);
        let kept = self.filters.find(&returned.share, Kind::Shared).is_some_and(|handle| {
            let offer = Offer { handle, keep: true, returns: returned.returns };
            self.take_offer(now, &view, &view.rows[0], offer, out)
        });
        self.stats.share_dropped += u64::from(!kept);
        if !kept {
            self.writing.arrived(view.packet);
        }
    }

    /// The connected member with the least to do among those that the present look takes in; equals take turns.
    fn pick_present(&mut self, handle: FilterHandle, out: &mut Outbox) -> Option<u32> {
        let Home { filters, sessions, .. } = self;
        let slot = filters.slot_mut(handle);
        let Slot { members: Some(members), subscribers, .. } = slot else { return None };
        let mut best: Option<(usize, usize, u32)> = None;
        for (step, position) in members.candidates().enumerate() {
            let session = sessions.get(subscribers[position as usize].session);
            let load = session.filter(|session| !is_blocked(session, out)).map_or(usize::MAX, load);
            if best.is_none_or(|(least, ..)| load < least) {
                best = Some((load, step, position));
            }
            if load == 0 {
                break;
            }
        }
        let (_, step, position) = best?;
        members.turn = members.turn.wrapping_add(step + 1) % subscribers.len().max(1);
        Some(position)
    }

    /// A member that keeps a message until it is back, as `pick_present`.
    fn pick_keeper(&mut self, handle: FilterHandle) -> Option<u32> {
        let Home { filters, sessions, .. } = self;
        let slot = filters.slot_mut(handle);
        let Slot { members: Some(members), subscribers, .. } = slot else { return None };
        let count = subscribers.len();
        let mut best: Option<(usize, usize, u32)> = None;
        for step in 0..count {
            let position = (members.turn + step) % count;
            let subscriber = &subscribers[position];
            if subscriber.wish.qos == QoS::AtMostOnce {
                continue;
            }
            let load = sessions.get(subscriber.session).map_or(usize::MAX, load);
            if best.is_none_or(|(least, ..)| load < least) {
                best = Some((load, step, position as u32));
            }
            if load == 0 || step >= SHARE_LOOK_MAX {
                break;
            }
        }
        let (_, step, position) = best?;
        members.turn = members.turn.wrapping_add(step + 1) % count;
        Some(position)
    }

    /// A session that may be a member came, went, or can take more or less than before.
    pub fn look_at_member(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.standing == Standing::Outsider {
            return;
        }
        let standing = session.standing_now(false);
        self.set_standing(key, standing);
    }

    fn set_standing(&mut self, key: SessionKey, standing: Standing) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if standing == session.standing {
            return;
        }
        session.standing = standing;
        if standing == Standing::Absent {
            self.share_work.leavers.push(key);
        }
        for at in 0..session.subscriptions.len() {
            let Some(at) = self.sessions.get(key).and_then(|session| session.subscriptions.get(at)).copied() else {
                return;
            };
            self.member_stands(at, standing);
        }
    }

    fn member_stands(&mut self, at: SubscriptionRef, standing: Standing) {
        let slot = self.filters.slot_mut(at.handle);
        if slot.members.is_none() {
            return;
        }
        let before = slot.counts();
        slot.stand(at.position, standing);
        let after = slot.counts();
        if before.present == 0 && after.present > 0 {
            self.share_work.recalls.push((at.handle, false));
        }
        if before != after {
            self.tell_presence(at.handle);
        }
    }

    /// A session has a new subscription, which is a share group's.
    pub fn become_member(&mut self, key: SessionKey, at: SubscriptionRef) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let standing = session.standing_now(false);
        let was = std::mem::replace(&mut session.standing, standing);
        if was != Standing::Outsider && was != standing {
            session.standing = was;
            self.look_at_member(key); // its other groups, and this one
        } else {
            self.member_stands(at, standing);
        }
    }

    /// Subscriptions to share groups ended: what waits for them unsent goes to others.
    pub fn leave_groups(&mut self, key: SessionKey, left: &HashSet<FilterHandle>) {
        let Some(session) = self.sessions.get_mut(key).filter(|_| !left.is_empty()) else { return };
        let taken = session.take_shares(false, &self.messages, |handle| left.contains(&handle));
        self.writing.list_dirty(key, session);
        session.leave_shares(|handle| left.contains(&handle));
        self.loosen(taken);
    }

    /// A session ends: also the QoS 1 messages that are unacknowledged go to others; a QoS 2 message that was sent does
    /// not, [MQTT-4.8.2-5].
    pub fn end_member(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.standing != Standing::Outsider {
            let taken = session.take_shares(true, &self.messages, |_| true);
            self.writing.list_dirty(key, session);
            self.loosen(taken);
        }
    }

    /// Deliveries become messages without a member.
    fn loosen(&mut self, taken: Vec<Delivered>) {
        self.stats.share_moved += taken.len() as u64;
        for delivered in taken {
            let Some(of) = delivered.share else { continue };
            let share = self.filters.slot(of.handle).text.clone();
            let mut batch = batch_of(self.messages.get(delivered.message), *of);
            self.writing.departs(&mut batch.packets[0]);
            self.messages.release(delivered.message);
            self.share_work.loose.push(Returned { batch, share, returns: 0 });
        }
    }

    /// What waits for members that are not connected, while others are, becomes loose.
    fn loosen_absent(&mut self) {
        let Home { filters, sessions, messages, share_work, writing, .. } = self;
        let (recalls, leavers) = (std::mem::take(&mut share_work.recalls), std::mem::take(&mut share_work.leavers));
        let others_are_here = |handle: FilterHandle| filters.slot(handle).counts().present > 0;
        let is_due = |(handle, is_asked): &(FilterHandle, bool)| *is_asked || others_are_here(*handle);
        let due: HashSet<FilterHandle> = recalls.into_iter().filter(is_due).map(|(handle, _)| handle).collect();
        let members = due.iter().flat_map(|handle| &filters.slot(*handle).subscribers);
        let mut absent: Vec<SessionKey> =
            members.filter(|member| member.present == ABSENT).map(|member| member.session).collect();
        absent.sort_unstable();
        absent.dedup();
        let mut taken = Vec::new();
        for key in absent {
            if let Some(session) = sessions.get_mut(key) {
                taken.extend(session.take_shares(true, messages, |handle| due.contains(&handle)));
                writing.list_dirty(key, session);
            }
        }
        for key in leavers {
            if let Some(session) = sessions.get_mut(key).filter(|session| session.conn.is_none()) {
                taken.extend(session.take_shares(true, messages, others_are_here));
                writing.list_dirty(key, session);
            }
        }
        self.loosen(taken);
    }

    /// An owner says that members of the group are connected elsewhere.
    pub fn recall(&mut self, handle: FilterHandle) {
        self.share_work.recalls.push((handle, true));
    }

    /// Owners are to learn what the members here are now.
    pub fn tell_presence(&mut self, handle: FilterHandle) {
        if self.filters.slot(handle).members.is_none() {
            return;
        }
        for owner in self.owner_list(handle) {
            let Some(members) = &mut self.filters.slot_mut(handle).members else { return };
            let bit = 1_u64 << owner.index();
            if members.untold & bit == 0 {
                members.untold |= bit;
                self.ask(owner, Ask::Presence { handle });
            }
        }
    }

    /// What `owner` is told now.
    pub fn presence_to_tell(&mut self, handle: FilterHandle, owner: ShardId) -> Counts {
        let slot = self.filters.slot_mut(handle);
        if let Some(members) = &mut slot.members {
            members.untold &= !(1 << owner.index());
        }
        slot.counts()
    }
}

impl Shard {
    /// Messages without a member go to one here, or back to their owners.
    pub(super) fn settle_shares(&mut self, now: Now, out: &mut Outbox) {
        while self.home.share_work.waits() {
            self.home.loosen_absent();
            for returned in std::mem::take(&mut self.home.share_work.loose) {
                let view = returned.batch.view(0);
                let taken = self.home.filters.find(&returned.share, Kind::Shared).is_some_and(|handle| {
                    let offer = Offer { handle, keep: false, returns: returned.returns };
                    self.home.take_offer(now, &view, &view.rows[0], offer, out)
                });
                if !taken {
                    let owner = self.roots.owner(view.topic(&view.rows[0]));
                    self.home.give_back(now, returned, owner, out);
                }
            }
        }
    }
}

/// Whether the socket of a connected member takes nothing that may be dropped; if so `Drained` tells when it does.
fn is_blocked(session: &Session, out: &mut Outbox) -> bool {
    session.conn.is_some() && !takes_more(session, out)
}

/// What a member has to do already.
fn load(session: &Session) -> usize {
    let inflight = session.delivery.inflight.as_ref().map_or(0, |inflight| inflight.len());
    inflight + session.delivery.queue.as_ref().map_or(0, |queue| queue.len())
}

/// A message as it was published.
fn batch_of(message: &Message, ShareOf { qos, retain, .. }: ShareOf) -> Batch {
    let mut batch = Batch::default();
    let topic = batch.keep(message.topic().as_bytes());
    let payload = batch.keep(message.payload());
    let properties = batch.keep(message.properties());
    batch.rows.push(Row { topic, payload, text: false });
    batch.packets.push(Packet {
        properties,
        expires_at_ms: message.expires_at_ms,
        ..Packet::new(Client { home: ShardId(0), session: SessionKey::NONE }, qos, retain)
    });
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::topic::Owners;

    fn batch() -> Batch {
        let mut batch = Batch::default();
        let message = Message::new("t", b"m", b"", 0);
        let share = ShareOf { handle: FilterHandle(0), qos: QoS::AtLeastOnce, retain: false, number: 0 };
        batch.copy_packet(batch_of(&message, share).view(0));
        batch
    }

    #[test]
    fn what_nobody_takes_goes_back_so_often_and_no_more_and_never_to_a_full_lane() {
        let mut home = Home::new(ShardId(0), 2, Config::default(), 1, 1, false);
        let handle = home.filters.find_or_insert("$share/g/t", Kind::Shared, Owners::One(ShardId(1)), 0);
        let (mut out, batch) = (Outbox::new(2), batch());
        let view = batch.view(0);
        let mut offer = |home: &mut Home, returns| {
            let offer = Offer { handle, keep: false, returns };
            home.take_or_return(Now::default(), &view, &view.rows[0], (offer, ShardId(1)), &mut out);
            (home.asks[1].len(), home.stats.share_dropped)
        };
        assert_eq!(offer(&mut home, 0), (1, 0));
        assert_eq!(offer(&mut home, SHARE_RETURNS_MAX - 1), (2, 0));
        assert_eq!(offer(&mut home, SHARE_RETURNS_MAX), (2, 1));
        let drop = || Ask::Drop { handle };
        home.asks[1].resize_with(SHARE_RETURNS_WAITING_MAX, drop);
        assert_eq!(offer(&mut home, 0), (SHARE_RETURNS_WAITING_MAX, 2));
    }
}
