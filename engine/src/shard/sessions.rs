//! Sessions of one home, by key and by client identifier.

use crate::key::SessionKey;
use crate::session::Session;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

struct Slot {
    generation: u32,
    session: Option<Box<Session>>,
}

/// See the module.
pub struct Sessions {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_client_id: HashTable<u32>,
    hasher: FixedState,
}

impl Sessions {
    pub fn new(seed: u64) -> Sessions {
        let hasher = FixedState::with_seed(seed);
        Sessions { slots: Vec::new(), free: Vec::new(), by_client_id: HashTable::new(), hasher }
    }

    pub fn len(&self) -> usize {
        self.by_client_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, key: SessionKey) -> Option<&Session> {
        let slot = self.slots.get(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        slot.session.as_deref()
    }

    pub fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        let slot = self.slots.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        slot.session.as_deref_mut()
    }

    pub fn find(&self, client_id: &str) -> Option<SessionKey> {
        let is_it = |index: &u32| self.client_id(*index) == Some(client_id);
        let index = *self.by_client_id.find(self.hasher.hash_one(client_id), is_it)?;
        Some(SessionKey { index, generation: self.slots[index as usize].generation })
    }

    /// There must be no session of this client identifier.
    pub fn insert(&mut self, session: Session) -> SessionKey {
        debug_assert!(self.find(&session.client_id).is_none());
        let hash = self.hasher.hash_one(&*session.client_id);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, session: None });
                self.slots.len() as u32 - 1
            }
        };
        self.slots[index as usize].session = Some(Box::new(session));
        let Sessions { slots, by_client_id, hasher, .. } = self;
        by_client_id.insert_unique(hash, index, |other| {
            hasher.hash_one(slots[*other as usize].session.as_ref().map_or("", |session| &session.client_id))
        });
        SessionKey { index, generation: self.slots[index as usize].generation }
    }

    pub fn remove(&mut self, key: SessionKey) -> Option<Box<Session>> {
        let hash = self.hasher.hash_one(&*self.get(key)?.client_id);
        if let Ok(entry) = self.by_client_id.find_entry(hash, |index| *index == key.index) {
            entry.remove();
        }
        let slot = &mut self.slots[key.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        slot.session.take()
    }

    fn client_id(&self, index: u32) -> Option<&str> {
        self.slots[index as usize].session.as_ref().map(|session| &*session.client_id)
    }
}
