//! What became of the messages of one publisher at one audience: which came, which did not, which came twice or late.
//!
//! An audience is whoever should get each message once: a subscriber, or all members of a share group together.
//! Nothing is written down while messages come one after the other; a gap is, until what is missing comes after all.

use std::collections::VecDeque;

/// Gaps that are remembered; what is missing in older ones is lost for good, and counts as twice if it comes.
const GAPS_MAX: usize = 4096;

#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// The lowest number that nobody has waited for yet.
    next: u64,
    /// `None` while nothing was ever amiss.
    amiss: Option<Box<Amiss>>,
}

#[derive(Clone, Default, Debug)]
struct Amiss {
    /// First and end of each range below `next` that has not come, in rising order.
    gaps: VecDeque<(u64, u64)>,
    missing: u64,
    /// Of `missing`, what is no longer waited for: all below `waived_below`.
    waived: u64,
    waived_below: u64,
    forgotten: u64,
    /// `next` was raised by giving up: the highest number that came is below the first, as long as `next` is the second.
    raised: (u64, u64),
    duplicates: u64,
    reordered: u64,
}

impl Tally {
    /// A message has come.
    #[inline]
    pub fn take(&mut self, sequence: u64) {
        if sequence == self.next {
            self.next += 1;
        } else {
            self.take_other(sequence);
        }
    }

    #[cold]
    fn take_other(&mut self, sequence: u64) {
        let amiss = self.amiss.get_or_insert_default();
        if sequence > self.next {
            amiss.miss(self.next, sequence);
            self.next = sequence + 1;
            return;
        }
        let is_raised = amiss.raised.1 == self.next;
        let high = if is_raised { amiss.raised.0 } else { self.next };
        if !amiss.find(sequence) {
            amiss.duplicates += 1;
        } else if sequence < high {
            amiss.reordered += 1;
        } else {
            amiss.raised.0 = sequence + 1;
        }
    }

    /// Everything below `sent` that has not come is no longer waited for. How many those are.
    pub fn give_up(&mut self, sent: u64) -> u64 {
        let outstanding = self.outstanding(sent);
        if outstanding > 0 {
            let amiss = self.amiss.get_or_insert_default();
            if sent > self.next {
                let high = if amiss.raised.1 == self.next { amiss.raised.0 } else { self.next };
                amiss.miss(self.next, sent);
                amiss.raised = (high, sent);
                self.next = sent;
            }
            amiss.waived = amiss.missing;
            amiss.waived_below = sent;
        }
        outstanding
    }

    /// Messages of `sent` that are still waited for.
    pub fn outstanding(&self, sent: u64) -> u64 {
        let awaited = self.amiss.as_ref().map_or(0, |amiss| amiss.missing - amiss.waived);
        sent.saturating_sub(self.next) + awaited
    }

    /// What came up to here was overtaken by nothing, or has been given up: how far this audience is.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many came or were given up: how far an audience is whose members overtake each other.
    pub fn settled(&self) -> u64 {
        self.next - self.amiss.as_ref().map_or(0, |amiss| amiss.missing - amiss.waived)
    }

    /// Messages below `next` that have not come.
    pub fn lost(&self) -> u64 {
        self.amiss.as_ref().map_or(0, |amiss| amiss.missing + amiss.forgotten)
    }

    pub fn duplicates(&self) -> u64 {
        self.amiss.as_ref().map_or(0, |amiss| amiss.duplicates)
    }

    /// Messages that came after one with a higher number.
    pub fn reordered(&self) -> u64 {
        self.amiss.as_ref().map_or(0, |amiss| amiss.reordered)
    }
}

impl Amiss {
    fn miss(&mut self, from: u64, to: u64) {
        self.gaps.push_back((from, to));
        self.missing += to - from;
        self.bound();
    }

    fn bound(&mut self) {
        if self.gaps.len() > GAPS_MAX
            && let Some((from, to)) = self.gaps.pop_front()
        {
            self.missing -= to - from;
            self.forgotten += to - from;
            self.waived -= self.waived_below.min(to).saturating_sub(from);
        }
    }

    /// Takes a number out of its gap. False if it is in none.
    fn find(&mut self, sequence: u64) -> bool {
        let at = self.gaps.partition_point(|(_, to)| *to <= sequence);
        let Some((from, to)) = self.gaps.get(at).copied().filter(|(from, _)| *from <= sequence) else { return false };
        match (sequence == from, sequence + 1 == to) {
            (true, true) => drop(self.gaps.remove(at)),
            (true, false) => self.gaps[at].0 += 1,
            (false, true) => self.gaps[at].1 -= 1,
            (false, false) => {
                self.gaps[at].1 = sequence;
                self.gaps.insert(at + 1, (sequence + 1, to));
            }
        }
        self.missing -= 1;
        self.waived -= u64::from(sequence < self.waived_below);
        self.bound();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(sequences: impl IntoIterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        sequences.into_iter().for_each(|sequence| tally.take(sequence));
        tally
    }

    fn counts(tally: &Tally) -> (u64, u64, u64) {
        (tally.lost(), tally.duplicates(), tally.reordered())
    }

    #[test]
    fn in_order_nothing_is_amiss() {
        let tally = tally(0..1000);
        assert_eq!((counts(&tally), tally.next(), tally.outstanding(1003)), ((0, 0, 0), 1000, 3));
        assert!(tally.amiss.is_none());
    }

    #[test]
    fn what_is_left_out_doubled_and_swapped_is_told_apart() {
        assert_eq!(counts(&tally([0, 1, 3, 4])), (1, 0, 0));
        assert_eq!(counts(&tally([0, 1, 1, 2])), (0, 1, 0));
        assert_eq!(counts(&tally([0, 2, 1, 3])), (0, 0, 1));
        assert_eq!(counts(&tally([5, 3, 3, 2, 9, 0])), (5, 1, 3)); // 1, 4, 6, 7, 8 are missing
    }

    #[test]
    fn a_redelivery_of_what_was_missing_is_no_duplicate() {
        let mut tally = tally([0, 3]);
        tally.take(1);
        tally.take(2);
        assert_eq!(counts(&tally), (0, 0, 2));
        tally.take(2);
        assert_eq!(counts(&tally), (0, 1, 2));
    }

    #[test]
    fn what_comes_after_it_was_given_up_is_late_but_in_order() {
        let mut tally = tally(0..10);
        assert_eq!((tally.give_up(15), tally.give_up(15), tally.lost(), tally.outstanding(16)), (5, 0, 5, 1));
        (10..13).for_each(|sequence| tally.take(sequence));
        assert_eq!((counts(&tally), tally.outstanding(15)), ((2, 0, 0), 0));
        tally.take(15);
        tally.take(14);
        assert_eq!((counts(&tally), tally.settled()), ((1, 0, 1), 16));
    }

    #[test]
    fn members_that_overtake_each_other_leave_nothing_settled_that_has_not_come() {
        let mut tally = tally([0, 2, 4, 6]);
        assert_eq!((tally.next(), tally.settled(), tally.outstanding(8)), (7, 4, 4));
        tally.take(1);
        assert_eq!((tally.settled(), tally.outstanding(8)), (5, 3));
        tally.give_up(8);
        assert_eq!((tally.settled(), tally.outstanding(8), tally.lost()), (8, 0, 3));
    }

    #[test]
    fn forgotten_gaps_stay_lost() {
        let mut tally = tally((0..4 * GAPS_MAX as u64).map(|number| number * 2));
        assert_eq!(tally.lost(), 4 * GAPS_MAX as u64 - 1);
        tally.give_up(tally.next());
        (0..1000).for_each(|number| tally.take(1_000_000 + number * 2));
        assert_eq!(tally.lost(), tally.next() - 4 * GAPS_MAX as u64 - 1000);
        assert_eq!(tally.lost(), tally.next() - 4 * GAPS_MAX as u64 - 1000);
        assert!(tally.amiss.unwrap().gaps.len() <= GAPS_MAX);
    }
}
