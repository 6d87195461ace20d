//! The numbers of one group: what was given, what is reserved, and which numbers say nothing to who comes back with
//! them.
//!
//! ```text
//! 0 ────── forgotten ────── C ─────────────── R ────── last ────── bound
//!          deletions up     committed before  reserved
//!          to here may be   an unclean end │ then:     the latest
//!          unknown          └── a gap ─────┘           change
//! ```

/// Numbers that an unclean end may have used and lost: those above `after`, up to `upto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    pub after: u64,
    pub upto: u64,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Numbers {
    /// The last number given.
    pub last: u64,
    /// Numbers up to here are reserved in the store.
    pub bound: u64,
    /// The highest number of a tombstone that is forgotten.
    pub forgotten: u64,
    /// Of unclean ends, the oldest first; the store bounds how many.
    pub gaps: Vec<Gap>,
}

impl Numbers {
    /// The number that a reader stands at who has everything. Not one of a gap: after an unclean end nothing is newer
    /// than what was committed before it, until something changes.
    pub fn stand(&self) -> u64 {
        let behind = |stand: u64, gap: &Gap| if gap.upto == stand { gap.after } else { stand };
        self.gaps.iter().rev().fold(self.last, behind)
    }

    /// Whether a number may have been given to a change that was lost.
    pub fn is_in_gap(&self, version: u64) -> bool {
        self.gaps.iter().any(|gap| gap.after < version && version <= gap.upto)
    }

    /// Whether a reader who had everything up to `version` can be told what it missed: the number is none of the
    /// future nor of a gap, and no deletion after it is forgotten.
    pub fn can_resume(&self, version: u64) -> bool {
        (self.forgotten..=self.last).contains(&version) && !self.is_in_gap(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_in_a_gap_in_the_future_or_before_what_is_forgotten_cannot_resume() {
        let gaps = vec![Gap { after: 10, upto: 20 }, Gap { after: 25, upto: 30 }];
        let mut numbers = Numbers { last: 33, bound: 99, forgotten: 7, gaps };
        let can = (0..40).filter(|version| numbers.can_resume(*version)).collect::<Vec<_>>();
        assert_eq!(can, [7, 8, 9, 10, 21, 22, 23, 24, 25, 31, 32, 33]);
        assert_eq!(numbers.stand(), 33);
        numbers.last = 30;
        assert_eq!(numbers.stand(), 25);
        numbers.gaps[0].upto = 25;
        assert_eq!(numbers.stand(), 10);
        assert!(numbers.can_resume(numbers.stand()));
        assert!(Numbers::default().can_resume(Numbers::default().stand()));
    }
}
