//! Versions and deletions across starts: an owner's retained tree and its store, which is killed at any commit, against
//! all that ever happened.

use crate::kit::{self, no_wakes, row};
use engine::key::GroupId;
use engine::limits::{VERSION_RESERVE, VERSION_RESERVE_LOW};
use engine::row::change::{Changes, Restored};
use engine::row::numbers::Numbers;
use engine::row::retained::{Lapse, Missed, Newer, Retained, Scope};
use engine::topic::Interner;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use store::memory::Disk;
use store::{ByHand, Inlet};

const GROUPS: usize = 2;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// Of one of two groups, some longer than a key.
    fn topic(&mut self) -> String {
        let mut topic = ["a", "b"][self.below(2) as usize].to_owned();
        for _ in 0..self.below(4) {
            let long = if self.below(12) == 0 { "l".repeat(520) } else { String::new() };
            topic += &format!("/{}{long}", ["x", "y", "z"][self.below(3) as usize]);
        }
        topic
    }
}

fn group_of(topic: &str) -> GroupId {
    GroupId(u16::from(topic.starts_with('b')))
}

/// The topic and what is above it.
fn objects_of(topic: &str) -> impl Iterator<Item = &str> {
    topic.match_indices('/').map(|(at, _)| &topic[..at]).chain([topic])
}

/// What a shard does with the numbers of its groups, in short.
struct Owner {
    interner: Interner,
    retained: Retained,
    numbers: Vec<Numbers>,
    position: u64,
    inlet: Inlet,
    writer: ByHand,
}

impl Owner {
    fn open(disk: &Disk) -> Owner {
        let mut opened = kit::open_on(disk.table(), &[]);
        let (mut interner, mut retained) = (Interner::new(1), Retained::new(1));
        let restored = opened.restore(|restored| match restored {
            Restored::Row(group, row) => {
                retained.put(&mut interner, group, row, 1);
            }
            Restored::Tombstone { group, topic, version, wall_ms } => {
                retained.bury(&mut interner, group, topic, version, 1, wall_ms);
            }
            Restored::Floor { topic, version, .. } => retained.restore_floor(&interner, topic, version),
            other => panic!("{other:?} was never kept"),
        });
        restored.unwrap();
        retained.sort_restored();
        let numbers = opened.groups[..GROUPS].iter().map(store::GroupState::numbers).collect();
        let (mut inlets, writer) = opened.start_by_hand(1, no_wakes(1)).unwrap();
        Owner { interner, retained, numbers, position: 1, inlet: inlets.remove(0), writer }
    }

    fn push(&mut self, mut changes: Changes) {
        changes.last = self.position;
        self.inlet.push(changes);
    }

    fn next_version(&mut self, group: GroupId, changes: &mut Changes) -> u64 {
        let numbers = &mut self.numbers[group.index()];
        numbers.last += 1;
        if numbers.bound < numbers.last + VERSION_RESERVE_LOW {
            numbers.bound = numbers.last + VERSION_RESERVE;
            changes.reserve(group, numbers.bound);
        }
        numbers.last
    }
}

/// What is, and what was, as far as it is committed or may still be.
#[derive(Clone, Default)]
struct State {
    /// Of each topic the last change: its version, and whether a row is there. Nothing is ever forgotten here.
    topics: BTreeMap<String, (u64, bool)>,
    /// Of what is left of them, the highest version that anything in it ever had.
    objects: BTreeMap<String, u64>,
    /// Topics whose tombstones are forgotten, with their versions.
    lapsed: BTreeMap<String, u64>,
    /// By group.
    given: [Vec<u64>; GROUPS],
}

impl State {
    fn change(&mut self, topic: &str, version: u64, is_row: bool) {
        self.topics.insert(topic.into(), (version, is_row));
        self.lapsed.remove(topic);
        for object in objects_of(topic) {
            self.objects.insert(object.into(), version);
        }
    }

    fn lapse(&mut self, topic: &str, version: u64) {
        self.lapsed.insert(topic.into(), version);
        let State { topics, lapsed, objects, .. } = self;
        let is_left = |object: &str| {
            let is_in = |topic: &str| objects_of(topic).any(|at| at == object);
            topics.iter().any(|(at, (version, _))| is_in(at) && lapsed.get(at) != Some(version))
        };
        objects.retain(|object, _| !objects_of(topic).any(|at| at == object) || is_left(object));
    }
}

struct World {
    dice: Dice,
    disk: Disk,
    owner: Owner,
    now: State,
    /// As of the last commit.
    kept: State,
    /// Every number that was ever given, in all lives; by group.
    ever: [Vec<u64>; GROUPS],
    wall_ms: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let disk = Disk::default();
        let owner = Owner::open(&disk);
        let (now, kept) = (State::default(), State::default());
        World { dice: Dice(seed), disk, owner, now, kept, ever: Default::default(), wall_ms: 0 }
    }

    /// Some rows of one group, put or deleted by one change.
    fn change(&mut self) {
        let first = self.dice.topic();
        let group = group_of(&first);
        let mut topics = vec![first];
        topics.extend((0..self.dice.below(3)).map(|_| self.dice.topic()).filter(|topic| group_of(topic) == group));
        let mut changes = Changes::default();
        let version = self.owner.next_version(group, &mut changes);
        self.owner.position += 1;
        self.wall_ms += 1;
        let ever = &mut self.ever[group.index()];
        assert!(ever.last().is_none_or(|last| version > *last), "[MOTE-5.1] {version} was given before");
        ever.push(version);
        self.now.given[group.index()].push(version);
        let Owner { interner, retained, position, .. } = &mut self.owner;
        for topic in topics {
            let is_row = self.dice.below(5) < 2;
            if is_row {
                let row = row(&topic, b"1", version);
                retained.put(interner, group, row, *position);
                changes.put(group, row);
            } else if retained.remove(interner, &topic, version, *position, self.wall_ms).is_some() {
                changes.delete(group, &topic, version, self.wall_ms);
            } else {
                continue;
            }
            self.now.change(&topic, version, is_row);
        }
        changes.used(group, version);
        self.owner.push(changes);
    }

    fn trim(&mut self) {
        let mut changes = Changes::default();
        let (count_max, older_than) = (self.dice.below(8) as usize, self.wall_ms.saturating_sub(self.dice.below(60)));
        let Owner { interner, retained, numbers, .. } = &mut self.owner;
        let now = &mut self.now;
        retained.trim_tombstones(interner, count_max, older_than, 5, |lapse| match lapse {
            Lapse::Tombstone { group, topic, version } => {
                let forgotten = &mut numbers[group.index()].forgotten;
                *forgotten = version.max(*forgotten);
                changes.lapse(group, topic, version);
                now.lapse(topic, version);
            }
            Lapse::Floor { group, topic, version, below } => {
                assert!(objects_of(below).any(|object| object == topic), "{topic} is above {below}");
                changes.floor(group, topic, version);
            }
        });
        self.owner.push(changes);
    }

    fn commit(&mut self) {
        self.owner.writer.commit().unwrap();
        self.kept = self.now.clone();
    }

    /// The process ends: by itself, without a word, or with the power, in the middle of a commit.
    fn end(&mut self) {
        match self.dice.below(4) {
            0 => {
                self.owner.writer.end().unwrap();
                self.kept = self.now.clone();
            }
            1 => {}
            how => {
                let is_kept = how == 2;
                self.disk.cut_power(self.disk.commits() + 1, is_kept);
                let had_any = self.owner.writer.commit() != Ok(false);
                if is_kept && had_any {
                    self.kept = self.now.clone();
                }
            }
        }
        self.owner = Owner::open(&self.disk);
        self.now = self.kept.clone();
    }

    fn check(&mut self) {
        let World { owner, now, ever, .. } = self;
        let Owner { interner, retained, numbers, .. } = owner;
        for topic in now.topics.keys().flat_map(|topic| objects_of(topic)) {
            let expected = now.objects.get(topic).copied().unwrap_or(0);
            assert_eq!(retained.object_version(interner, topic), expected, "[MOTE-5.6] [MOTE-5.7] {topic}");
        }
        for (group, numbers) in numbers.iter().enumerate() {
            assert!(numbers.can_resume(numbers.stand()) || numbers.stand() < numbers.forgotten);
            for version in &ever[group] {
                let is_known = now.given[group].contains(version);
                assert_eq!(!numbers.is_in_gap(*version), is_known, "[MOTE-5.3] [MOTE-5.4] {version} {numbers:?}");
            }
        }
    }

    /// Whoever can resume from a version learns of everything that changed after it.
    fn resume(&mut self) {
        let group = self.dice.below(GROUPS as u64) as usize;
        let ever = &self.ever[group];
        let since = if ever.is_empty() { 0 } else { ever[self.dice.below(ever.len() as u64) as usize] };
        let Owner { interner, retained, numbers, .. } = &self.owner;
        let lapsed = self.now.lapsed.iter().filter(|(topic, _)| group_of(topic).index() == group);
        let newest_lapsed = lapsed.map(|(_, version)| *version).max().unwrap_or(0);
        if !numbers[group].can_resume(since) {
            let is_lost = !self.now.given[group].contains(&since);
            assert!(is_lost || since < numbers[group].forgotten, "{since} {:?}", numbers[group]);
            return;
        }
        assert!(since >= newest_lapsed, "[MOTE-5.36] the deletion {newest_lapsed} is forgotten");
        let scope = Scope { filter: ["a/#", "b/#"][group], group: Some(GroupId(group as u16)) };
        let (mut missed, mut found) = (Missed::new(self.dice.below(9) as usize), BTreeMap::new());
        let complete = retained.missed(interner, scope, &|_| since, &mut missed, usize::MAX, |newer| {
            match newer {
                Newer::Row(row) => found.insert(row.topic.to_owned(), (row.version, true)),
                Newer::Deleted { topic, version } => found.insert(topic.to_owned(), (version, false)),
            };
            ControlFlow::Continue(())
        });
        assert!(complete);
        let is_newer =
            |(topic, (version, _)): &(&String, &(u64, bool))| group_of(topic).index() == group && *version > since;
        let expected: BTreeMap<_, _> = self.now.topics.iter().filter(is_newer).map(|(t, c)| (t.clone(), *c)).collect();
        assert_eq!(found, expected, "[MOTE-5.34] since {since}");
    }
}

#[test]
fn versions_never_come_twice_or_fall_and_no_deletion_is_missed_whatever_is_killed_when() {
    // [MOTE-5.1] [MOTE-5.2] [MOTE-5.6] [MOTE-5.7]
    let mut lapsed = 0;
    for seed in 0..40 {
        let mut world = World::new(seed);
        for _ in 0..30 {
            for _ in 0..world.dice.below(30) {
                match world.dice.below(10) {
                    0..=5 => world.change(),
                    6 | 7 => world.trim(),
                    8 => world.commit(),
                    _ => world.resume(),
                }
            }
            world.check();
            world.end();
            world.check();
            world.resume();
        }
        lapsed += world.now.lapsed.len();
        world.disk.tamper(|kept| {
            let floors = kept.keys().filter(|key| matches!(key.first(), Some(b'f' | b'F'))).count();
            assert!(floors <= world.now.objects.len(), "seed {seed}: {floors} floors");
        });
    }
    assert!(lapsed > 200, "{lapsed}");
}
