//! Sessions of an earlier process, put back before the first client comes: record by record, as the store has them.
//!
//! The last step lets the shards talk among themselves until every filter is known to its owners, so that a message that
//! the very first client publishes finds every session that is to have it.

use super::attach::new_session;
use super::home::Home;
use super::{Input, Outbox, Shard};
use crate::clock::Now;
use crate::key::{SessionKey, ShardId};
use crate::row::lasting::{Record, RecordKey, ShareRecord, WillRecord};
use crate::session::Session;
use crate::session::inflight::{Delivered, Stage};
use crate::session::lasting::{Lasting, Place, Wanted, Written, ends_at_ms, read_ids, version_of};
use crate::session::message::{Message, MessageKey};
use crate::session::share::ShareOf;
use crate::session::will::Will;
use crate::shard::wheel::Timer;
use crate::wire::SubscriptionOptions;
use std::collections::{HashMap, HashSet};

/// A message that deliveries refer to, and where it was put.
struct Restored {
    message: Option<Message>,
    at: Vec<(ShardId, MessageKey)>,
}

/// See the module. Takes sessions before what belongs to them.
pub struct Restoring<'a> {
    shards: &'a mut [Shard],
    now: Now,
    sessions: HashMap<u64, (ShardId, SessionKey)>,
    messages: HashMap<u64, Restored>,
    /// Sessions that are to be written anew.
    changed: Vec<(ShardId, SessionKey)>,
    /// Those whose clients were connected when the process ended without notice: what they were sent since they were
    /// written last is not known, and may be of changes that are lost.
    cut_off: HashSet<u64>,
    last_number: u64,
}

impl<'a> Restoring<'a> {
    /// `shards` are all of a broker, in order. Their rows are back already.
    pub fn new(shards: &'a mut [Shard], now: Now) -> Restoring<'a> {
        shards.iter_mut().for_each(|shard| shard.subtree.retained.sort_restored());
        Restoring {
            shards,
            now,
            sessions: HashMap::new(),
            messages: HashMap::new(),
            changed: Vec::new(),
            cut_off: HashSet::new(),
            last_number: 0,
        }
    }

    /// Takes one record. Refuses one that says nothing possible, in words.
    pub fn take(&mut self, key: RecordKey, record: Record<&[u8]>) -> Result<(), String> {
        let number = match key {
            RecordKey::Message(number) => number,
            _ => key.session().unwrap_or(0),
        };
        self.last_number = self.last_number.max(number);
        match (key, record) {
            (RecordKey::Session(id), Record::Session { .. }) => self.session(id, record),
            (RecordKey::Message(number), Record::Message { topic, payload, properties, expires_at_ms }) => {
                let message = Message::new(text(topic)?, payload, properties, expires_at_ms);
                self.messages.insert(number, Restored { message: Some(message), at: Vec::new() });
                Ok(())
            }
            (RecordKey::Received { session, packet_id }, Record::Received) => {
                self.with_session(session, |session| session.acks.restore(packet_id))
            }
            (RecordKey::Subscription { session, .. }, Record::Subscription { .. }) => {
                self.subscription(session, record)
            }
            (RecordKey::Delivery { session, seq }, Record::Delivery { .. }) => self.delivery(session, seq, record),
            _ => Err("its content is of another kind than its key".into()),
        }
    }

    fn with_session(&mut self, id: u64, act: impl FnOnce(&mut Session)) -> Result<(), String> {
        let (home, key) = *self.sessions.get(&id).ok_or(NO_SESSION)?;
        let session = self.shards[home.index()].home.sessions.get_mut(key).ok_or(NO_SESSION)?;
        act(session);
        Ok(())
    }

    fn session(&mut self, id: u64, record: Record<&[u8]>) -> Result<(), String> {
        let Record::Session { client_id, level, expiry_s, ends_at_ms: ends, will } = record else { return Ok(()) };
        let client_id = text(client_id)?;
        let home = self.shards[0].roots.home(client_id);
        let shard = &mut self.shards[home.index()];
        if shard.home.sessions.find(client_id).is_some() {
            return Err(format!("there are two sessions of the client \"{client_id}\""));
        }
        let mut lasting = Lasting::new(id);
        // A client that was connected has been away since the process ended: that is to be written.
        lasting.is_changed = ends == 0;
        let mut session = new_session(client_id);
        session.version = version_of(level);
        session.expiry_s = expiry_s.max(1);
        session.ends_at_ms = ends_at_ms(expiry_s, ends, self.now);
        session.will = will.map(|will| restored_will(&will, self.now)).transpose()?.map(Box::new);
        let timers = (session.ends_at_ms, session.will.as_ref().map(|will| will.due_ms));
        session.delivery.lasting = Some(Box::new(lasting));
        let key = shard.home.sessions.insert(session);
        if timers.0 != u64::MAX {
            shard.home.wheel.set(timers.0, Timer::SessionExpiry(key));
        }
        if let Some(due_ms) = timers.1 {
            shard.home.wheel.set(due_ms, Timer::Will(key));
        }
        if ends == 0 {
            self.cut_off.insert(id);
            self.changed.push((home, key));
        }
        self.sessions.insert(id, (home, key));
        Ok(())
    }

    fn subscription(&mut self, id: u64, record: Record<&[u8]>) -> Result<(), String> {
        let Record::Subscription { filter, mote, qos, no_local, retain_as_published, id: number, cursor } = record
        else {
            return Ok(());
        };
        let (home, key) = *self.sessions.get(&id).ok_or(NO_SESSION)?;
        let mote = mote.map(text).transpose()?.map(Into::into);
        let options = SubscriptionOptions { qos, no_local, retain_as_published, retain_handling: 2 };
        let wanted = Wanted { filter: text(filter)?.into(), mote, options, id: number, cursor: cursor.to_vec() };
        let is_cut_off = self.cut_off.contains(&id);
        self.shards[home.index()].restore_subscription(key, wanted, is_cut_off)
    }

    fn delivery(&mut self, id: u64, seq: u64, record: Record<&[u8]>) -> Result<(), String> {
        let Record::Delivery { message: number, qos, retain, ids, packet_id, released, share: of_share } = record
        else {
            return Ok(());
        };
        let (home, key) = *self.sessions.get(&id).ok_or(NO_SESSION)?;
        let message = if released {
            // Only its identifier is needed again.
            let messages = &mut self.shards[home.index()].home.messages;
            let message = messages.insert(Message::new("", &[], &[], 0));
            messages.hold(message);
            messages.release(message);
            message
        } else {
            self.message(number, home)?
        };
        let Home { messages, sessions, filters, .. } = &mut self.shards[home.index()].home;
        let is_copy = !released && !messages.is_in_store(message);
        let written = match (released, packet_id) {
            (true, _) => Written::Released,
            (false, 0) => Written::Queued,
            (false, _) => Written::Sent,
        };
        let place = Place { seq, written };
        let (ids, share, is_paced) = (read_ids(ids), None, false);
        let delivered = Delivered { message, qos, retain, ids, merged: None, share, is_paced, place };
        let session = sessions.get_mut(key).ok_or(NO_SESSION)?;
        // Where the subscription is gone the delivery stays with its session.
        let share = of_share.and_then(|ShareRecord { number, qos, retain }| {
            let handles = session.subscriptions.iter().map(|at| at.handle);
            let handle = handles.into_iter().find(|handle| filters.slot(*handle).number == number)?;
            Some(Box::new(ShareOf { handle, number, qos, retain }))
        });
        let delivered = Delivered { share, ..delivered };
        if let Some(lasting) = session.delivery.lasting.as_deref_mut() {
            lasting.restored(seq);
            lasting.is_moved |= is_copy;
        }
        if is_copy {
            self.changed.push((home, key));
        }
        match written {
            Written::Queued | Written::Nothing => {
                session.delivery.queue.get_or_insert_default().restore(delivered, messages);
            }
            Written::Sent | Written::Released => {
                let stage = if released { Stage::Released } else { Stage::Published };
                if !released {
                    messages.hold(message);
                }
                session.delivery.inflight.get_or_insert_default().restore(packet_id, stage, delivered);
            }
        }
        Ok(())
    }

    /// The message at this home; where its sessions now have several homes, a copy at each but the first.
    fn message(&mut self, number: u64, home: ShardId) -> Result<MessageKey, String> {
        let Restoring { shards, messages, .. } = self;
        let restored = messages.get_mut(&number).ok_or("its message is missing")?;
        if let Some((_, key)) = restored.at.iter().find(|(at, _)| *at == home) {
            return Ok(*key);
        }
        let key = match (restored.message.take(), restored.at.first()) {
            (Some(message), _) => shards[home.index()].home.messages.restore(message, number),
            (None, Some((first, key))) => {
                let messages = &mut shards[first.index()].home.messages;
                // A number is one home's: the copy gets its own when it is next written. Until then its deliveries name
                // this one in the store, so it stays there for as long as this process lives.
                messages.hold(*key);
                let kept = messages.get(*key);
                let copy = Message::new(kept.topic(), kept.payload(), kept.properties(), kept.expires_at_ms);
                shards[home.index()].home.messages.insert(copy)
            }
            (None, None) => return Err("its message is missing".into()),
        };
        restored.at.push((home, key));
        Ok(key)
    }

    /// Everything is there: the shards learn of each other's filters. Returns how many sessions there are.
    pub fn end(self) -> usize {
        let Restoring { shards, now, sessions, messages, changed, last_number, cut_off: _ } = self;
        for shard in shards.iter_mut() {
            shard.home.writing.numbers.next += last_number;
        }
        introduce(shards, now);
        let unwanted = messages.into_iter().filter(|(_, restored)| restored.at.is_empty());
        for (number, _) in unwanted {
            shards[0].home.messages.forget(number);
            shards[0].home.writing.list_nobody();
        }
        for (home, key) in changed {
            shards[home.index()].home.list(key);
        }
        sessions.len()
    }
}

const NO_SESSION: &str = "its session is missing";

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("its text is not UTF-8: {error}"))
}

fn restored_will(will: &WillRecord<&[u8]>, now: Now) -> Result<Will, String> {
    let delay_ms = u64::from(will.delay_s) * 1000;
    // Not decided: its client was connected, and its connection ended with the process.
    let wait_ms = if will.due_at_ms == 0 { delay_ms } else { will.due_at_ms.saturating_sub(now.wall_ms) };
    Ok(Will {
        topic: text(will.topic)?.into(),
        payload: will.payload.into(),
        properties: will.properties.into(),
        intent: will.intent.map(text).transpose()?.map(Into::into),
        qos: will.qos,
        retain: will.retain,
        delay_s: will.delay_s,
        expiry_s: will.expiry_s,
        due_ms: (now.mono_ms + wait_ms).max(1),
    })
}

/// Carries what the shards have to say to each other, until they have said it.
fn introduce(shards: &mut [Shard], now: Now) {
    let count = shards.len();
    let mut outs: Vec<Outbox> = (0..count).map(|_| Outbox::new(count)).collect();
    let mut is_moving = true;
    while is_moving {
        is_moving = false;
        for at in 0..count {
            outs[at].up_credit.fill(usize::MAX / 2);
            outs[at].down_credit.fill(usize::MAX / 2);
            shards[at].step(now, Input::Turn, &mut outs[at]);
            for to in 0..count {
                let (ups, downs) = outs[at].take_parcels(ShardId(to as u16));
                let (ups, downs): (Vec<_>, Vec<_>) = (ups.collect(), downs.collect());
                is_moving |= !ups.is_empty() || !downs.is_empty();
                let from = ShardId(at as u16);
                for parcel in ups {
                    outs[to].down_credit.fill(usize::MAX / 2);
                    shards[to].step(now, Input::Up { from, parcel }, &mut outs[to]);
                }
                for parcel in downs {
                    shards[to].step(now, Input::Down { from, parcel }, &mut outs[to]);
                }
            }
        }
    }
    debug_assert!(outs.iter().all(|out| out.changes.is_empty() && out.orders.is_empty()), "nothing has happened yet");
}
