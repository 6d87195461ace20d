//! The home's table of filters: who of its clients wants what. Owners know only that this home wants it.

use super::backlog::Backlog;
use super::members::{ABSENT, Members};
use crate::key::{FilterHandle, SessionKey};
use crate::session::cursor::Versions;
use crate::session::{Standing, SubscriptionRef, Wish};
use crate::topic::{Kind, Owners};
use crate::wire::QoS;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;

/// One subscriber of one filter.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber {
    pub session: SessionKey,
    pub wish: Wish,
    /// Its merged state; meaningless for a plain one.
    pub merged: u32,
    /// In a share group: where it stands among the members that are connected, or `ABSENT`.
    pub present: u32,
}

impl Subscriber {
    pub fn new(session: SessionKey, wish: Wish, merged: u32) -> Subscriber {
        Subscriber { session, wish, merged, present: ABSENT }
    }
}

pub struct Slot {
    pub text: Box<str>,
    pub kind: Kind,
    pub owners: Owners,
    /// Stands for it in the store, `Roots::number_of_filter`.
    pub number: u64,
    pub subscribers: Vec<Subscriber>,
    /// Merged: up to where those have everything that are behind with nothing.
    pub versions: Option<Arc<Versions>>,
    /// Merged: events that wait for subscribers that are behind.
    pub backlog: Option<Box<Backlog>>,
    /// Of a share group: who of the subscribers is connected.
    pub members: Option<Box<Members>>,
    /// Owners that have not confirmed that they dropped it; 0 while it is in use.
    dropping: u32,
}

/// See the module. Slots are reused only when every owner has confirmed that nothing with the handle is under way.
pub struct Filters {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_text: HashTable<u32>,
    hasher: FixedState,
    subscriptions: usize,
    shared: usize,
}

impl Filters {
    pub fn new(seed: u64) -> Filters {
        let hasher = FixedState::with_seed(seed);
        Filters { slots: Vec::new(), free: Vec::new(), by_text: HashTable::new(), hasher, subscriptions: 0, shared: 0 }
    }

    pub fn slot(&self, handle: FilterHandle) -> &Slot {
        &self.slots[handle.index()]
    }

    pub fn slot_mut(&mut self, handle: FilterHandle) -> &mut Slot {
        &mut self.slots[handle.index()]
    }

    pub fn find(&self, text: &str, kind: Kind) -> Option<FilterHandle> {
        // Letter by letter [MQTT-3.10.4-1] [3.1.1: MQTT-3.10.4-1].
        let is_it = |index: &u32| {
            let slot = &self.slots[*index as usize];
            slot.kind == kind && &*slot.text == text
        };
        self.by_text.find(self.hash(text, kind), is_it).map(|index| FilterHandle(*index))
    }

    /// The handle of the filter, made where there is none.
    pub fn find_or_insert(&mut self, text: &str, kind: Kind, owners: Owners, number: u64) -> FilterHandle {
        if let Some(handle) = self.find(text, kind) {
            return handle;
        }
        let members = (kind == Kind::Shared).then(Box::default);
        let slot = Slot {
            text: text.into(),
            kind,
            owners,
            number,
            subscribers: Vec::new(),
            versions: None,
            backlog: None,
            members,
            dropping: 0,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        let hash = self.hash(text, kind);
        let Filters { slots, by_text, hasher, .. } = self;
        by_text.insert_unique(hash, index, |other| {
            let slot = &slots[*other as usize];
            hasher.hash_one((&*slot.text, slot.kind))
        });
        FilterHandle(index)
    }

    /// Who is behind with nothing has everything up to `versions`.
    pub fn raise(&mut self, handle: FilterHandle, versions: &Versions) {
        Arc::make_mut(self.slot_mut(handle).versions.get_or_insert_default()).raise_all(versions);
    }

    /// The last subscriber is gone: the text is free for a new handle, this one when `owners` have confirmed.
    pub fn retire(&mut self, handle: FilterHandle, owners: u32) {
        let (hash, index) = {
            let slot = &self.slots[handle.index()];
            debug_assert!(slot.subscribers.is_empty() && slot.dropping == 0);
            (self.hash(&slot.text, slot.kind), handle.0)
        };
        if let Ok(entry) = self.by_text.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
        self.slots[handle.index()].dropping = owners;
    }

    /// One owner confirmed the drop.
    pub fn dropped(&mut self, handle: FilterHandle) {
        let slot = &mut self.slots[handle.index()];
        debug_assert!(slot.dropping > 0, "a drop that nobody asked for");
        slot.dropping -= 1;
        if slot.dropping == 0 {
            slot.text = Box::default();
            slot.subscribers = Vec::new();
            slot.members = None;
            self.free.push(handle.0);
        }
    }

    /// Appends a subscriber and says where it stands.
    pub fn subscribe(&mut self, handle: FilterHandle, subscriber: Subscriber) -> SubscriptionRef {
        let slot = &mut self.slots[handle.index()];
        slot.subscribers.push(subscriber);
        slot.count_keeping(0, u32::from(subscriber.wish.qos > QoS::AtMostOnce));
        self.subscriptions += 1;
        self.shared += usize::from(slot.kind == Kind::Shared);
        SubscriptionRef { handle, position: slot.subscribers.len() as u32 - 1 }
    }

    /// The subscriber that stands there asks for something else now. Returns it as it was.
    pub fn replace(&mut self, at: SubscriptionRef, wish: Wish, merged: u32) -> Subscriber {
        let slot = &mut self.slots[at.handle.index()];
        let subscriber = &mut slot.subscribers[at.position as usize];
        let replaced = *subscriber;
        (subscriber.wish, subscriber.merged) = (wish, merged);
        let keeps = |wish: &Wish| u32::from(wish.qos > QoS::AtMostOnce);
        slot.count_keeping(keeps(&replaced.wish), keeps(&wish));
        replaced
    }

    /// Removes a subscriber. The last one moves into its place: returns whose reference must now point there.
    pub fn unsubscribe(&mut self, at: SubscriptionRef) -> (Subscriber, Option<SessionKey>) {
        let slot = &mut self.slots[at.handle.index()];
        slot.stand(at.position, Standing::Absent);
        let removed = slot.subscribers.swap_remove(at.position as usize);
        slot.count_keeping(u32::from(removed.wish.qos > QoS::AtMostOnce), 0);
        slot.stands_now_at(at.position);
        self.subscriptions -= 1;
        self.shared -= usize::from(slot.kind == Kind::Shared);
        (removed, slot.subscribers.get(at.position as usize).map(|moved| moved.session))
    }

    /// The merged subscription that stands there, if it is one.
    pub fn merged_at(&self, at: SubscriptionRef) -> Option<u32> {
        let slot = self.slot(at.handle);
        slot.kind.is_merged().then(|| slot.subscribers[at.position as usize].merged)
    }

    /// Subscriptions of all sessions.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Those of them that are shared.
    pub fn shared_subscriptions(&self) -> usize {
        self.shared
    }

    /// The merged subscription of a session to the filter, if it is one.
    pub fn merged_in(&self, handle: FilterHandle, session: SessionKey) -> Option<u32> {
        let slot = self.slot(handle);
        let subscriber = slot.subscribers.iter().rev().find(|subscriber| subscriber.session == session)?;
        slot.kind.is_merged().then_some(subscriber.merged)
    }

    /// Filters in use.
    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A number that clients cannot guess from its neighbours.
    pub fn hash_number(&self, number: u64) -> u64 {
        self.hasher.hash_one(number)
    }

    fn hash(&self, text: &str, kind: Kind) -> u64 {
        self.hasher.hash_one((text, kind))
    }
}
