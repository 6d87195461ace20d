//! Shared subscriptions, MQTT 5 section 4.8.2 (MQTT 3.1.1 clients write them alike): how their filters are written, and
//! what an owner knows of the share groups of one filter: which homes have members, and how many of them can take a
//! message. Members themselves are known to their home alone.

use crate::key::{FilterHandle, ShardId};
use smallvec::SmallVec;

/// What a shared filter begins with, [MQTT-4.8.2-1].
const PREFIX: &str = "$share/";

/// The share name and the filter of `$share/<name>/<filter>`; `None` where `text` is no shared filter. The filter is
/// not judged. The error says what is wrong with the rest, [MQTT-4.8.2-1], [MQTT-4.8.2-2].
pub fn parse_share(text: &str) -> Option<Result<(&str, &str), &'static str>> {
    let rest = text.strip_prefix(PREFIX)?;
    let Some((name, filter)) = rest.split_once('/') else { return Some(Err("no filter follows the share name")) };
    Some(if name.is_empty() {
        Err("the share name is empty")
    } else if name.contains(['+', '#']) {
        Err("the share name contains a wildcard")
    } else {
        Ok((name, filter))
    })
}

/// Members of a group at one home, as that home tells.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Connected.
    pub present: u32,
    /// Connected, and with room for a message that can leave at once.
    pub ready: u32,
    /// Granted a QoS above 0, connected or not: they can keep a message until they are back.
    pub keeping: u32,
}

/// The members of a group at one home.
#[derive(Debug)]
struct Part {
    home: ShardId,
    handle: FilterHandle,
    counts: Counts,
    /// Grows until the home is picked.
    turn: i64,
}

/// Where a message of a group goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pick {
    pub home: ShardId,
    pub handle: FilterHandle,
    /// Nobody is connected: a member there is to keep it.
    pub keep: bool,
}

/// One share group of one filter; some home has members of it.
#[derive(Debug)]
pub struct Share {
    name: Box<str>,
    parts: SmallVec<[Part; 2]>,
}

/// The share groups of one filter; there is at least one.
#[derive(Default, Debug)]
pub struct Shares {
    groups: Vec<Share>,
}

impl Shares {
    pub fn find(&mut self, name: &str) -> Option<&mut Share> {
        self.groups.iter_mut().find(|share| *share.name == *name)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Share> {
        self.groups.iter_mut()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// `home` has members of the group `name` and calls it `handle`.
    pub(super) fn join(&mut self, name: &str, home: ShardId, handle: FilterHandle, counts: Counts) -> &mut Share {
        let at = self.groups.iter().position(|share| *share.name == *name).unwrap_or_else(|| {
            self.groups.push(Share { name: name.into(), parts: SmallVec::new() });
            self.groups.len() - 1
        });
        let share = &mut self.groups[at];
        match share.part(home) {
            Some(part) => (part.handle, part.counts) = (handle, counts),
            None => share.parts.push(Part { home, handle, counts, turn: 0 }),
        }
        share
    }

    /// `home` has no members of it any longer. Returns whether it had.
    pub(super) fn leave(&mut self, name: &str, home: ShardId) -> bool {
        let Some(share) = self.find(name) else { return false };
        let before = share.parts.len();
        share.parts.retain(|part| part.home != home);
        let had = share.parts.len() < before;
        self.groups.retain(|share| !share.parts.is_empty());
        had
    }
}

impl Share {
    fn part(&mut self, home: ShardId) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.home == home)
    }

    /// What `home` tells of the members that it knows as `handle`.
    pub fn tell(&mut self, home: ShardId, handle: FilterHandle, counts: Counts) {
        if let Some(part) = self.part(home).filter(|part| part.handle == handle) {
            part.counts = counts;
        }
    }

    /// `home` did not take a message: until it tells otherwise nobody is there.
    pub fn is_away(&mut self, home: ShardId) {
        if let Some(part) = self.part(home) {
            part.counts = Counts::default();
        }
    }

    /// The homes where nobody is connected, while somebody is elsewhere: what absent members wait for there can be had
    /// by others.
    pub fn asleep(&self) -> impl Iterator<Item = (ShardId, FilterHandle)> + '_ {
        let is_awake = self.parts.iter().any(|part| part.counts.present > 0);
        let asleep =
            self.parts.iter().filter(move |part| is_awake && part.counts.present == 0 && part.counts.keeping > 0);
        asleep.map(|part| (part.home, part.handle))
    }

    /// Whether anybody is connected.
    pub fn is_awake(&self) -> bool {
        self.parts.iter().any(|part| part.counts.present > 0)
    }

    /// The home that gets the next message: in turns by how many members there can take it at once; where none can, by
    /// how many are connected; and where none is, by how many can keep it, if it `may_wait`. With `keepers_first` those
    /// come before all others.
    pub fn pick(&mut self, may_wait: bool, keepers_first: bool) -> Option<Pick> {
        let by_keeping = |counts: &Counts| if may_wait { counts.keeping } else { 0 };
        let kept = if keepers_first { self.pick_by(by_keeping, true) } else { None };
        kept.or_else(|| self.pick_by(|counts| counts.ready, false))
            .or_else(|| self.pick_by(|counts| counts.present, false))
            .or_else(|| self.pick_by(by_keeping, true))
    }

    /// Smooth weighted turns: each home gains its weight, who has most is picked and pays the sum.
    fn pick_by(&mut self, weight: impl Fn(&Counts) -> u32, keep: bool) -> Option<Pick> {
        let mut sum = 0;
        let mut best: Option<usize> = None;
        for at in 0..self.parts.len() {
            let gain = i64::from(weight(&self.parts[at].counts));
            if gain == 0 {
                continue;
            }
            sum += gain;
            self.parts[at].turn += gain;
            if best.is_none_or(|best| self.parts[at].turn > self.parts[best].turn) {
                best = Some(at);
            }
        }
        let part = &mut self.parts[best?];
        part.turn -= sum;
        Some(Pick { home: part.home, handle: part.handle, keep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_filter_has_a_name_without_wildcards_and_a_filter() {
        // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
        assert_eq!(parse_share("$share/g/a/+"), Some(Ok(("g", "a/+"))));
        assert_eq!(parse_share("$share/g//"), Some(Ok(("g", "/"))));
        assert_eq!(parse_share("$share/g/"), Some(Ok(("g", ""))), "the empty filter is judged as a filter");
        for plain in ["a", "$share", "$shared/g/a", "share/g/a", "$SYS/share/a"] {
            assert_eq!(parse_share(plain), None, "{plain}");
        }
        for bad in ["$share/", "$share/g", "$share//a", "$share/+/a", "$share/a#/a", "$share/#/a"] {
            assert!(parse_share(bad).is_some_and(|parsed| parsed.is_err()), "{bad}");
        }
    }

    fn shares(counts: &[(u32, u32, u32)]) -> Shares {
        let mut shares = Shares::default();
        for (home, (present, ready, keeping)) in counts.iter().enumerate() {
            let counts = Counts { present: *present, ready: *ready, keeping: *keeping };
            shares.join("g", ShardId(home as u16), FilterHandle(7), counts);
        }
        shares
    }

    fn picks(shares: &mut Shares, count: usize) -> Vec<usize> {
        let mut picked = vec![0; 4];
        for _ in 0..count {
            if let Some(pick) = shares.find("g").and_then(|share| share.pick(true, false)) {
                picked[pick.home.index()] += 1;
            }
        }
        picked
    }

    #[test]
    fn homes_take_turns_by_the_members_that_are_ready_then_connected_then_able_to_wait() {
        assert_eq!(picks(&mut shares(&[(3, 3, 0), (1, 1, 0), (9, 0, 0), (0, 0, 9)]), 8), [6, 2, 0, 0]);
        assert_eq!(picks(&mut shares(&[(3, 0, 0), (1, 0, 0), (0, 0, 9), (0, 0, 0)]), 8), [6, 2, 0, 0]);
        assert_eq!(picks(&mut shares(&[(0, 0, 1), (0, 0, 3), (0, 0, 0)]), 8), [2, 6, 0, 0]);
        assert_eq!(picks(&mut shares(&[(0, 0, 0)]), 8), [0, 0, 0, 0]);
    }

    #[test]
    fn a_group_goes_with_its_last_home_and_others_stay() {
        let mut shares = shares(&[(1, 1, 1), (1, 1, 1)]);
        shares.join("h", ShardId(0), FilterHandle(1), Counts::default());
        assert!(shares.leave("g", ShardId(0)) && !shares.leave("g", ShardId(0)));
        assert!(shares.leave("g", ShardId(1)) && shares.find("g").is_none());
        assert!(!shares.is_empty() && shares.leave("h", ShardId(0)) && shares.is_empty());
    }

    #[test]
    fn what_sleeps_is_told_apart_while_somebody_is_awake() {
        let mut two = shares(&[(0, 0, 2), (1, 0, 1), (0, 0, 0)]);
        let asleep = |shares: &mut Shares| shares.find("g").map(|share| share.asleep().count());
        assert_eq!(asleep(&mut two), Some(1));
        two.find("g").unwrap().tell(ShardId(1), FilterHandle(7), Counts::default());
        assert_eq!(asleep(&mut two), Some(0));
    }
}
