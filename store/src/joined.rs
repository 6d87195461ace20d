//! Changes of several shards that must be committed together: a part is held until all its counterparts are there.
//!
//! A shard's changes are committed in its order, so what is behind a held part is held with it. Parts are told apart by
//! `row::change::Join`; shards make them without waiting for the disk, so every held part's counterparts come.

use engine::row::change::Changes;
use foldhash::HashMap;
use std::collections::VecDeque;

/// See the module. By shard, in the order in which they came.
pub struct Joined {
    lanes: Vec<VecDeque<Changes>>,
}

/// Parts of one publish.
#[derive(Clone, Copy, Default)]
struct Parts {
    there: u32,
    /// 0: not known yet.
    needed: u32,
}

impl Joined {
    pub fn new(shards: usize) -> Joined {
        Joined { lanes: (0..shards).map(|_| VecDeque::new()).collect() }
    }

    pub fn push(&mut self, shard: usize, changes: Changes) {
        self.lanes[shard].push_back(changes);
    }

    /// Gives out, of each shard in its order, the most that needs nothing of the rest.
    pub fn take_whole(&mut self, mut each: impl FnMut(usize, Changes)) {
        let ends = self.whole();
        for (shard, (lane, end)) in self.lanes.iter_mut().zip(ends).enumerate() {
            lane.drain(..end).for_each(|changes| each(shard, changes));
        }
    }

    pub fn take_all(&mut self, mut each: impl FnMut(usize, Changes)) {
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            lane.drain(..).for_each(|changes| each(shard, changes));
        }
    }

    /// How many of each lane. Each round cuts at least one lane, so there are no more rounds than changes.
    fn whole(&self) -> Vec<usize> {
        let mut ends: Vec<usize> = self.lanes.iter().map(VecDeque::len).collect();
        if self.lanes.iter().flatten().all(|changes| changes.joins.is_empty()) {
            return ends;
        }
        loop {
            let mut parts: HashMap<u64, Parts> = HashMap::default();
            for (lane, end) in self.lanes.iter().zip(&ends) {
                for join in lane.iter().take(*end).flat_map(|changes| &changes.joins) {
                    let parts = parts.entry(join.publish).or_default();
                    parts.there += 1;
                    parts.needed = parts.needed.max(join.parts);
                }
            }
            let is_whole = |publish: &u64| parts.get(publish).is_some_and(|parts| parts.there == parts.needed);
            let mut is_cut = false;
            for (lane, end) in self.lanes.iter().zip(&mut ends) {
                let first = lane
                    .iter()
                    .take(*end)
                    .position(|changes| !changes.joins.iter().all(|join| is_whole(&join.publish)));
                if let Some(first) = first {
                    *end = first;
                    is_cut = true;
                }
            }
            if !is_cut {
                return ends;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::row::change::Join;

    fn changes(last: u64, joins: &[(u64, u32)]) -> Changes {
        let joins = joins.iter().map(|(publish, parts)| Join { publish: *publish, parts: *parts }).collect();
        Changes { last, joins, ..Changes::default() }
    }

    fn taken(joined: &mut Joined) -> Vec<(usize, u64)> {
        let mut taken = Vec::new();
        joined.take_whole(|shard, changes| taken.push((shard, changes.last)));
        taken
    }

    #[test]
    fn a_part_waits_for_its_counterparts_and_holds_back_what_is_behind_it() {
        let mut joined = Joined::new(3);
        joined.push(0, changes(1, &[]));
        joined.push(0, changes(2, &[(7, 3)]));
        joined.push(0, changes(3, &[]));
        joined.push(1, changes(1, &[(7, 0)]));
        assert_eq!(taken(&mut joined), [(0, 1)]);
        joined.push(1, changes(2, &[]));
        assert_eq!(taken(&mut joined), []);
        joined.push(2, changes(1, &[(7, 0)]));
        assert_eq!(taken(&mut joined), [(0, 2), (0, 3), (1, 1), (1, 2), (2, 1)]);
    }

    #[test]
    fn a_cut_of_one_lane_cuts_what_another_needs_of_it() {
        let mut joined = Joined::new(2);
        // 1 is whole but lies behind 2, which is not.
        joined.push(0, changes(1, &[(2, 0)]));
        joined.push(0, changes(2, &[(1, 2)]));
        joined.push(1, changes(1, &[(1, 0)]));
        assert_eq!(taken(&mut joined), []);
        joined.push(1, changes(2, &[(2, 2)]));
        assert_eq!(taken(&mut joined).len(), 4);
    }

    #[test]
    fn parts_of_one_lane_are_counted_too_and_the_count_may_come_before_them() {
        let mut joined = Joined::new(1);
        joined.push(0, changes(1, &[(5, 2)]));
        assert_eq!(taken(&mut joined), []);
        joined.push(0, changes(2, &[(5, 0), (6, 1)]));
        assert_eq!(taken(&mut joined), [(0, 1), (0, 2)]);
    }
}
