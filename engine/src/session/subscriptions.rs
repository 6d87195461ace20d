//! Where the subscriptions of one session stand in the home's table of filters.
//!
//! Most sessions have one or two and own no memory for them; one that has thousands finds each without looking through
//! the others.

use super::SubscriptionRef;
use crate::key::FilterHandle;
use crate::limits::SUBSCRIPTIONS_SEARCHED_MAX;
use foldhash::{HashMap, HashMapExt};
use std::ops::Deref;

const INLINE: usize = 2;

/// See the module. A slice of references, in no order that means anything; at most one to each filter.
pub enum Subscriptions {
    Few { len: u8, refs: [SubscriptionRef; INLINE] },
    Many(Box<Many>),
}

#[derive(Default)]
pub struct Many {
    refs: Vec<SubscriptionRef>,
    /// Where in `refs` each filter stands; absent while there are few enough to look through.
    places: Option<HashMap<FilterHandle, u32>>,
}

const NOWHERE: SubscriptionRef = SubscriptionRef { handle: FilterHandle(u32::MAX), position: 0 };

impl Default for Subscriptions {
    fn default() -> Subscriptions {
        Subscriptions::Few { len: 0, refs: [NOWHERE; INLINE] }
    }
}

impl Deref for Subscriptions {
    type Target = [SubscriptionRef];

    fn deref(&self) -> &[SubscriptionRef] {
        match self {
            Subscriptions::Few { len, refs } => &refs[..usize::from(*len)],
            Subscriptions::Many(many) => &many.refs,
        }
    }
}

impl Subscriptions {
    pub fn find(&self, handle: FilterHandle) -> Option<SubscriptionRef> {
        self.place(handle).map(|place| self[place])
    }

    /// There must be none to this filter.
    pub fn push(&mut self, at: SubscriptionRef) {
        debug_assert!(self.find(at.handle).is_none());
        match self {
            Subscriptions::Few { len, refs } if usize::from(*len) < INLINE => {
                refs[usize::from(*len)] = at;
                *len += 1;
            }
            Subscriptions::Few { refs, .. } => {
                let refs = refs.iter().copied().chain([at]).collect();
                *self = Subscriptions::Many(Box::new(Many { refs, places: None }));
            }
            Subscriptions::Many(many) => many.push(at),
        }
    }

    pub fn remove(&mut self, handle: FilterHandle) {
        let Some(place) = self.place(handle) else { return };
        match self {
            Subscriptions::Few { len, refs } => {
                *len -= 1;
                refs[place] = refs[usize::from(*len)];
            }
            Subscriptions::Many(many) => {
                many.remove(place);
                if many.refs.is_empty() {
                    *self = Subscriptions::default();
                }
            }
        }
    }

    /// The subscriber moved within its filter.
    pub fn moved(&mut self, at: SubscriptionRef) {
        let Some(place) = self.place(at.handle) else { return };
        match self {
            Subscriptions::Few { refs, .. } => refs[place] = at,
            Subscriptions::Many(many) => many.refs[place] = at,
        }
    }

    fn place(&self, handle: FilterHandle) -> Option<usize> {
        if let Subscriptions::Many(many) = self
            && let Some(places) = &many.places
        {
            return places.get(&handle).map(|place| *place as usize);
        }
        self.iter().position(|at| at.handle == handle)
    }
}

impl Many {
    fn push(&mut self, at: SubscriptionRef) {
        self.refs.push(at);
        let place = self.refs.len() as u32 - 1;
        if let Some(places) = &mut self.places {
            places.insert(at.handle, place);
        } else if self.refs.len() > SUBSCRIPTIONS_SEARCHED_MAX {
            let mut places = HashMap::with_capacity(2 * self.refs.len());
            places.extend(self.refs.iter().zip(0..).map(|(at, place)| (at.handle, place)));
            self.places = Some(places);
        }
    }

    fn remove(&mut self, place: usize) {
        let removed = self.refs.swap_remove(place);
        let Some(places) = &mut self.places else { return };
        places.remove(&removed.handle);
        if let Some(moved) = self.refs.get(place) {
            places.insert(moved.handle, place as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_reference_costs_no_more_than_a_vector() {
        assert!(size_of::<Subscriptions>() <= size_of::<Vec<SubscriptionRef>>());
    }

    #[test]
    fn few_and_many_answer_as_a_map_does() {
        let (mut subscriptions, mut map) = (Subscriptions::default(), BTreeMap::new());
        let mut state = 1_u32;
        let mut draw = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        // It grows, shrinks to nothing, and grows again.
        for bound in [3, 200, 2, 40, 1] {
            for _ in 0..2_000 {
                let at = SubscriptionRef { handle: FilterHandle(draw(300)), position: draw(9) };
                match (map.contains_key(&at.handle), draw(2)) {
                    (true, 0) => {
                        subscriptions.moved(at);
                        map.insert(at.handle, at);
                    }
                    (true, _) => {
                        subscriptions.remove(at.handle);
                        map.remove(&at.handle);
                    }
                    (false, _) if map.len() < bound => {
                        subscriptions.push(at);
                        map.insert(at.handle, at);
                    }
                    (false, _) => subscriptions.remove(at.handle),
                }
                assert_eq!(subscriptions.find(at.handle), map.get(&at.handle).copied());
                assert_eq!(subscriptions.len(), map.len());
            }
            let mut all: Vec<SubscriptionRef> = subscriptions.to_vec();
            all.sort_unstable_by_key(|at| at.handle);
            assert_eq!(all, map.values().copied().collect::<Vec<_>>());
            while map.len() >= bound.min(2) {
                let (handle, _) = map.pop_last().unwrap();
                subscriptions.remove(handle);
            }
        }
    }
}
