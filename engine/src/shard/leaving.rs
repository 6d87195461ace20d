//! Sessions that ended with very many subscriptions: these go some in a turn, so that nobody waits for all of them.
//!
//! The session itself is gone at once: its key finds nothing, whatever still comes for it through a filter goes to nobody,
//! and its client may be back with a new session. Only plain subscriptions are left to be removed here; those that keep
//! something for their session, merged ones and those in share groups, end with it.

use super::Shard;
use crate::key::SessionKey;
use crate::limits::SUBSCRIPTIONS_ENDED_PER_TURN_MAX;
use crate::session::SubscriptionRef;
use crate::session::subscriptions::Subscriptions;
use crate::topic::Kind;
use foldhash::HashMap;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// See the module.
#[derive(Default)]
pub struct Leaving {
    order: VecDeque<SessionKey>,
    left: HashMap<SessionKey, Subscriptions>,
}

impl Leaving {
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// What is left of a session that ended, if anything is.
    pub fn add(&mut self, key: SessionKey, left: Subscriptions) {
        if !left.is_empty() {
            self.order.push_back(key);
            self.left.insert(key, left);
        }
    }

    /// A subscriber moved within its filter, and its session is gone.
    pub fn moved(&mut self, key: SessionKey, at: SubscriptionRef) {
        if let Some(left) = self.left.get_mut(&key) {
            left.moved(at);
        }
    }

    /// The next one to remove.
    fn next(&mut self) -> Option<(SessionKey, SubscriptionRef)> {
        let key = *self.order.front()?;
        let left = self.left.get_mut(&key)?;
        let at = *left.last()?;
        left.remove(at.handle);
        if left.is_empty() {
            self.left.remove(&key);
            self.order.pop_front();
        }
        Some((key, at))
    }
}

impl Shard {
    /// Removes the subscriptions of a session that ends; of very many it returns those that may wait.
    pub(super) fn leave_subscriptions(&mut self, key: SessionKey) -> Subscriptions {
        let Some(session) = self.home.sessions.get_mut(key) else { return Subscriptions::default() };
        let mut left = std::mem::take(&mut session.subscriptions);
        let is_large = left.len() > SUBSCRIPTIONS_ENDED_PER_TURN_MAX;
        let may_wait = |at: &SubscriptionRef| is_large && self.home.filters.slot(at.handle).kind == Kind::Plain;
        let at_once: SmallVec<[SubscriptionRef; 4]> = left.iter().rev().filter(|at| !may_wait(at)).copied().collect();
        for at in at_once {
            left.remove(at.handle);
            self.remove_subscription(key, at);
        }
        left
    }

    /// Removes some of what sessions that ended left behind.
    pub(super) fn go_on_leaving(&mut self) {
        for _ in 0..SUBSCRIPTIONS_ENDED_PER_TURN_MAX {
            if self.home.has_many_asks() {
                return; // owners are to be told, and take no more at present
            }
            let Some((key, at)) = self.home.leaving.next() else { return };
            self.remove_subscription(key, at);
        }
    }
}
