//! The walks of one session that bring retained messages to its plain subscriptions, in the order in which they are to
//! begin. Most sessions have one or none; one that subscribes to a hundred thousand filters has as many, and finds each
//! without looking through the others.

use crate::key::FilterHandle;
use crate::limits::SUBSCRIPTIONS_SEARCHED_MAX;
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// See the module.
#[derive(Default)]
pub struct Reading(Option<Box<Walks>>);

enum Walks {
    Few(SmallVec<[(FilterHandle, u32); 4]>),
    Many(Many),
}

#[derive(Default)]
struct Many {
    /// Walks are named upwards, so their names say their order, but where these begin at 0 again.
    order: BTreeSet<(u32, FilterHandle)>,
    by_filter: BTreeSet<(FilterHandle, u32)>,
}

impl Reading {
    pub fn len(&self) -> usize {
        match self.0.as_deref() {
            None => 0,
            Some(Walks::Few(walks)) => walks.len(),
            Some(Walks::Many(many)) => many.order.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let (few, many) = match self.0.as_deref() {
            None => (None, None),
            Some(Walks::Few(walks)) => (Some(walks.iter().map(|(_, walk)| *walk)), None),
            Some(Walks::Many(many)) => (None, Some(many.order.iter().map(|(walk, _)| *walk))),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// The walks for one filter: one at each of its owners.
    pub fn of(&self, handle: FilterHandle) -> SmallVec<[u32; 4]> {
        match self.0.as_deref() {
            None => SmallVec::new(),
            Some(Walks::Few(walks)) => walks.iter().filter(|(of, _)| *of == handle).map(|(_, walk)| *walk).collect(),
            Some(Walks::Many(many)) => {
                many.by_filter.range((handle, 0)..=(handle, u32::MAX)).map(|(_, walk)| *walk).collect()
            }
        }
    }

    /// A walk for this filter, behind all others.
    pub fn push(&mut self, handle: FilterHandle, walk: u32) {
        let walks = self.0.get_or_insert_with(|| Box::new(Walks::Few(SmallVec::new())));
        match &mut **walks {
            Walks::Few(few) if few.len() < SUBSCRIPTIONS_SEARCHED_MAX => few.push((handle, walk)),
            Walks::Few(few) => {
                let mut many = Many::default();
                few.drain(..).chain([(handle, walk)]).for_each(|(handle, walk)| many.push(handle, walk));
                **walks = Walks::Many(many);
            }
            Walks::Many(many) => many.push(handle, walk),
        }
    }

    pub fn remove(&mut self, handle: FilterHandle, walk: u32) {
        match self.0.as_deref_mut() {
            None => {}
            Some(Walks::Few(walks)) => walks.retain(|other| *other != (handle, walk)),
            Some(Walks::Many(many)) => {
                many.order.remove(&(walk, handle));
                many.by_filter.remove(&(handle, walk));
            }
        }
        if self.is_empty() {
            self.0 = None;
        }
    }
}

impl Many {
    fn push(&mut self, handle: FilterHandle, walk: u32) {
        self.order.insert((walk, handle));
        self.by_filter.insert((handle, walk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_answer_as_a_list_does() {
        let (mut reading, mut list) = (Reading::default(), Vec::new());
        let mut state = 1_u32;
        let mut draw = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for walk in 1..4_000_u32 {
            // It grows beyond what is searched, and shrinks to nothing.
            let grows = walk / 200 % 2 == 0;
            let handle = FilterHandle(draw(50));
            if grows || draw(3) == 0 {
                reading.push(handle, walk);
                list.push((handle, walk));
            }
            if !list.is_empty() && (!grows || draw(3) == 0) {
                let (handle, walk) = list.remove(draw(list.len() as u32) as usize);
                reading.remove(handle, walk);
            }
            assert_eq!(reading.len(), list.len());
            assert_eq!(reading.is_empty(), list.is_empty());
            let of_it: Vec<u32> = list.iter().filter(|(of, _)| *of == handle).map(|(_, walk)| *walk).collect();
            assert_eq!(reading.of(handle).to_vec(), of_it);
            assert_eq!(reading.iter().collect::<Vec<_>>(), list.iter().map(|(_, walk)| *walk).collect::<Vec<_>>());
        }
    }
}
