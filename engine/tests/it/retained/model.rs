//! The retained tree against maps, and the promises of a walk and of a catch-up while the tree changes.

use engine::key::GroupId;
use engine::row::change::Kept;
use engine::row::retained::{Catchup, Lapse, Missed, Newer, Retained, Scope, Walk};
use engine::topic::Interner;
use engine::wire::QoS;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Three groups, by the first level.
fn group_of(topic: &str) -> GroupId {
    let first = topic.split('/').next().unwrap_or_default();
    GroupId(u16::from(first.bytes().next().unwrap_or(0) % GROUPS as u8))
}

const GROUPS: usize = 3;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }
}

/// The rule of section 4.7 read literally.
fn matches(filter: &str, topic: &str) -> bool {
    let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
    if topic[0].starts_with('$') && (filter[0] == "+" || filter[0] == "#") {
        return false;
    }
    for (index, level) in filter.iter().enumerate() {
        match *level {
            "#" => return true,
            _ if index >= topic.len() => return false,
            "+" => {}
            level if level != topic[index] => return false,
            _ => {}
        }
        if filter.get(index + 1) == Some(&"#") && topic.len() == index + 1 {
            return true;
        }
    }
    filter.len() == topic.len()
}

/// The objects that a topic is in: itself and what is above it.
fn objects_of(topic: &str) -> impl Iterator<Item = &str> {
    topic.match_indices('/').map(|(at, _)| &topic[..at]).chain([topic])
}

fn is_in(topic: &str, object: &str) -> bool {
    topic.strip_prefix(object).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[derive(Clone, PartialEq, Debug)]
struct Row {
    payload: Vec<u8>,
    properties: Vec<u8>,
    qos: QoS,
    text: bool,
    expires_at_ms: u64,
    version: u64,
    position: u64,
    /// Counts the insertions of the whole test: a row deleted and put again is another one.
    incarnation: u64,
}

impl Row {
    fn kept<'a>(&'a self, topic: &'a str) -> Kept<'a> {
        Kept {
            topic,
            payload: &self.payload,
            properties: &self.properties,
            qos: self.qos,
            text: self.text,
            expires_at_ms: self.expires_at_ms,
            version: self.version,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Tombstone {
    version: u64,
    position: u64,
    wall_ms: u64,
}

/// A walk on its way, and what it has to keep to.
struct WalkWatch {
    walk: Walk,
    filter: String,
    until: Option<u64>,
    /// What was there at the start, with the position of its change, less what was deleted since.
    owed: BTreeMap<String, (u64, u64)>,
    seen: BTreeSet<(String, u64)>,
}

struct CatchupWatch {
    from: From,
    filter: String,
    group: Option<GroupId>,
    /// What was newer at the start, less what changed or was forgotten since.
    owed: BTreeSet<String>,
    seen: BTreeSet<String>,
}

/// Where a reader stood.
enum From {
    Position(u64, Catchup),
    Versions([u64; GROUPS], Missed),
}

impl From {
    fn is_before(&self, group: GroupId, version: u64, position: u64) -> bool {
        match self {
            From::Position(since, _) => position > *since,
            From::Versions(since, _) => version > since[group.index()],
        }
    }
}

struct World {
    dice: Dice,
    levels: &'static [&'static str],
    depth_max: usize,
    interner: Interner,
    retained: Retained,
    rows: BTreeMap<String, Row>,
    tombstones: BTreeMap<String, Tombstone>,
    /// Of each object of which something is left the highest version that anything in it ever had.
    objects: BTreeMap<String, u64>,
    /// What a store was told.
    floors: BTreeMap<String, u64>,
    version: u64,
    position: u64,
    wall_ms: u64,
    forgotten: u64,
    walks: Vec<WalkWatch>,
    catchups: Vec<CatchupWatch>,
    completed: usize,
}

impl World {
    fn new(seed: u64, levels: &'static [&'static str], depth_max: usize) -> World {
        World {
            dice: Dice(seed),
            levels,
            depth_max,
            interner: Interner::new(seed),
            retained: Retained::new(seed),
            rows: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            objects: BTreeMap::new(),
            floors: BTreeMap::new(),
            version: 0,
            position: 1,
            wall_ms: 1_000,
            forgotten: 0,
            walks: Vec::new(),
            catchups: Vec::new(),
            completed: 0,
        }
    }

    fn topic(&mut self) -> String {
        let depth = 1 + self.dice.below(self.depth_max);
        let topic = (0..depth).map(|_| self.dice.one(self.levels)).collect::<Vec<_>>().join("/");
        if topic.is_empty() { "a".into() } else { topic }
    }

    fn filter(&mut self) -> String {
        let mut filter = self.topic().split('/').map(String::from).collect::<Vec<_>>();
        for level in &mut filter {
            if self.dice.below(3) == 0 {
                *level = "+".into();
            }
        }
        match self.dice.below(3) {
            0 => filter.push("#".into()),
            1 => *filter.last_mut().unwrap() = "#".into(),
            _ => {}
        }
        filter.join("/")
    }

    fn some_row(&mut self) -> Option<String> {
        let index = self.dice.below(self.rows.len().max(1));
        self.rows.keys().nth(index).cloned()
    }

    fn step(&mut self) {
        if self.dice.below(3) > 0 {
            self.position += 1;
            self.wall_ms += 10;
        }
        match self.dice.below(20) {
            0..=5 => self.put(),
            6..=9 => self.remove(),
            10 => self.look_up(),
            11 => self.trim(),
            12 => self.expire(),
            13 if self.walks.len() < 4 => self.start_walk(),
            14 if self.catchups.len() < 4 => self.start_catchup(),
            13..=16 => self.walk_on(),
            _ => self.catch_up_on(),
        }
    }

    fn put(&mut self) {
        let topic = self.topic();
        self.version += 1;
        let mut bytes = |max| (0..self.dice.below(max)).map(|byte| byte as u8).collect::<Vec<_>>();
        let (payload, properties) = (bytes(20), bytes(3));
        let before = self.rows.get(&topic);
        let row = Row {
            payload,
            properties,
            qos: [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][self.dice.below(3)],
            text: self.dice.below(2) == 0,
            expires_at_ms: if self.dice.below(4) == 0 { self.wall_ms + self.dice.roll() % 2_000 } else { 0 },
            version: self.version,
            position: self.position,
            incarnation: before.map_or(self.version, |row| row.incarnation),
        };
        let written = self.retained.put(&mut self.interner, group_of(&topic), row.kept(&topic), self.position);
        assert_eq!(written.previous_version, before.map(|row| row.version));
        self.changed(&topic);
        self.tombstones.remove(&topic);
        self.rows.insert(topic, row);
        let cost = |(topic, row): (&String, &Row)| topic.len() + row.payload.len() + row.properties.len();
        assert_eq!(self.retained.cost_bytes(), self.rows.iter().map(cost).sum::<usize>());
    }

    fn remove(&mut self) {
        let of_a_row = self.dice.below(4) > 0;
        let topic = if of_a_row { self.some_row() } else { None };
        let topic = topic.unwrap_or_else(|| self.topic());
        self.delete(&topic);
    }

    fn delete(&mut self, topic: &str) {
        self.version += 1;
        let Tombstone { version, position, wall_ms } =
            Tombstone { version: self.version, position: self.position, wall_ms: self.wall_ms };
        let previous = self.retained.remove(&self.interner, topic, version, position, wall_ms);
        let before = self.rows.remove(topic);
        assert_eq!(previous, before.as_ref().map(|row| row.version));
        if before.is_some() {
            self.changed(topic);
            self.tombstones.insert(topic.into(), Tombstone { version, position, wall_ms });
            for watch in &mut self.walks {
                watch.owed.remove(topic);
            }
        }
    }

    fn changed(&mut self, topic: &str) {
        for object in objects_of(topic) {
            self.objects.insert(object.into(), self.version);
        }
        for watch in &mut self.catchups {
            watch.owed.remove(topic);
        }
        for watch in self.walks.iter_mut().filter(|watch| watch.until.is_some_and(|until| until < self.position)) {
            watch.owed.remove(topic);
        }
    }

    fn look_up(&mut self) {
        let topic = self.topic();
        let object_version = self.retained.object_version(&self.interner, &topic);
        assert_eq!(object_version, self.objects.get(&topic).copied().unwrap_or(0), "{topic}");
        let rows = self.rows.iter().map(|(at, row)| (at, row.version));
        let tombstones = self.tombstones.iter().map(|(at, gone)| (at, gone.version));
        let kept = rows.chain(tombstones).chain(self.floors.iter().map(|(at, floor)| (at, *floor)));
        let of_kept = kept.filter(|(at, _)| is_in(at, &topic)).map(|(_, version)| version).max();
        assert_eq!(of_kept.unwrap_or(0), object_version, "[MOTE-5.7] what is kept tells the version of {topic}");
        let exists = self.rows.keys().any(|row| is_in(row, &topic));
        assert_eq!(self.retained.object_exists(&self.interner, &topic), exists, "{topic}");
        let found = self.retained.get(&self.interner, &topic);
        assert_eq!(found, self.rows.get(&topic).map(|row| row.kept(&topic)));
        assert_eq!(self.retained.contains(&self.interner, &topic), found.is_some());
        assert_eq!(self.retained.len(), self.rows.len());
        assert_eq!(self.retained.tombstones(), self.tombstones.len());
        assert_eq!(self.retained.forgotten(), self.forgotten);
        let next = self.rows.values().map(|row| row.expires_at_ms).filter(|at| *at > 0).min();
        assert_eq!(self.retained.next_expiry_ms(), next);
        let since = self.position - self.dice.roll() % self.position;
        let newer = self.positions().filter(|position| *position > since).count();
        assert!(self.retained.newer_than(since) >= newer);
        assert!(self.retained.newer_than(since) <= self.rows.len() + self.tombstones.len());
    }

    fn positions(&self) -> impl Iterator<Item = u64> {
        self.rows.values().map(|row| row.position).chain(self.tombstones.values().map(|gone| gone.position))
    }

    fn trim(&mut self) {
        let count_max = self.dice.below(30);
        let older_than = self.wall_ms.saturating_sub(self.dice.roll() % 3_000);
        let trimmed_max = self.dice.below(20);
        let mut oldest = self.tombstones.iter().map(|(topic, gone)| (*gone, topic.clone())).collect::<Vec<_>>();
        oldest.sort_by_key(|(gone, topic)| (gone.wall_ms, group_of(topic), gone.version));
        let over = oldest.len().saturating_sub(count_max);
        let due = oldest.iter().enumerate().take_while(|(at, (gone, _))| *at < over || gone.wall_ms < older_than);
        let due = due.count().min(trimmed_max);
        let World { retained, interner, floors, .. } = self;
        let trimmed = retained.trim_tombstones(interner, count_max, older_than, trimmed_max, |lapse| match lapse {
            Lapse::Tombstone { .. } => {}
            Lapse::Floor { topic, version: 0, .. } => assert!(floors.remove(topic).is_some(), "{topic} has a floor"),
            Lapse::Floor { topic, version, .. } => drop(floors.insert(topic.into(), version)),
        });
        assert_eq!(trimmed, due);
        for (gone, topic) in oldest.drain(..due) {
            self.forgotten = self.forgotten.max(gone.position);
            self.changed_by_oblivion(&topic);
        }
    }

    fn changed_by_oblivion(&mut self, topic: &str) {
        self.tombstones.remove(topic);
        let is_left = |object: &str| self.rows.keys().chain(self.tombstones.keys()).any(|at| is_in(at, object));
        let gone = objects_of(topic).filter(|object| !is_left(object)).collect::<Vec<_>>();
        self.objects.retain(|object, _| !gone.contains(&object.as_str()));
        for watch in &mut self.catchups {
            watch.owed.remove(topic);
        }
    }

    fn expire(&mut self) {
        let max = self.dice.below(5);
        let mut named = Vec::new();
        self.retained.expire(&self.interner, self.wall_ms, max, |topic, group| {
            assert_eq!(group, group_of(topic));
            named.push(topic.to_string());
        });
        let wall_ms = self.wall_ms;
        let is_due = |row: &&Row| row.expires_at_ms > 0 && row.expires_at_ms <= wall_ms;
        assert_eq!(named.len(), self.rows.values().filter(is_due).count().min(max));
        for topic in named {
            assert!(is_due(&&self.rows[&topic]));
            self.delete(&topic);
        }
    }

    fn start_walk(&mut self) {
        let filter = self.filter();
        let until = (self.dice.below(2) == 0).then_some(self.position);
        if until.is_some() {
            self.position += 1;
        }
        let owed = self.rows.iter().filter(|(topic, _)| matches(&filter, topic));
        let owed = owed.map(|(topic, row)| (topic.clone(), (row.incarnation, row.position))).collect();
        let walk = until.map_or_else(Walk::new, Walk::until);
        self.walks.push(WalkWatch { walk, filter, until, owed, seen: BTreeSet::new() });
    }

    fn walk_on(&mut self) {
        if self.walks.is_empty() {
            return;
        }
        let index = self.dice.below(self.walks.len());
        let (nodes_max, stop_after) = (1 + self.dice.below(12), self.dice.below(6));
        let World { retained, interner, rows, walks, .. } = self;
        let WalkWatch { walk, filter, until, seen, .. } = &mut walks[index];
        let mut shown = 0;
        let complete = retained.walk(interner, filter, walk, nodes_max, |row| {
            let model = &rows[row.topic];
            assert_eq!(row, model.kept(row.topic), "the walk shows what is");
            assert!(matches(filter, row.topic), "{filter} {}", row.topic);
            assert!(until.is_none_or(|until| model.position <= until));
            assert!(seen.insert((row.topic.into(), model.incarnation)), "{} comes twice", row.topic);
            shown += 1;
            if shown > stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(shown <= nodes_max && shown <= stop_after + 1);
        if complete {
            let watch = self.walks.swap_remove(index);
            for (topic, (incarnation, _)) in watch.owed {
                assert!(watch.seen.contains(&(topic.clone(), incarnation)), "{} misses {topic}", watch.filter);
            }
            self.completed += 1;
        }
    }

    fn start_catchup(&mut self) {
        let filter = self.filter();
        let group = (!filter.starts_with(['+', '#']) && self.dice.below(2) == 0).then(|| group_of(&filter));
        let back = [3, 30, u64::MAX][self.dice.below(3)];
        let mut ago = |now: u64| now - self.dice.roll() % back.min(now.max(1));
        let from = if ago(2) == 1 {
            From::Position(ago(self.position), Catchup::new())
        } else {
            From::Versions(std::array::from_fn(|_| ago(self.version)), Missed::new(self.dice.below(40)))
        };
        let rows = self.rows.iter().map(|(topic, row)| (topic, row.version, row.position));
        let tombstones = self.tombstones.iter().map(|(topic, gone)| (topic, gone.version, gone.position));
        let newer = rows.chain(tombstones).filter(|(topic, version, position)| {
            from.is_before(group_of(topic), *version, *position) && matches(&filter, topic)
        });
        let owed = newer.map(|(topic, ..)| topic.clone()).collect();
        self.catchups.push(CatchupWatch { from, filter, group, owed, seen: BTreeSet::new() });
        let index = self.catchups.len() - 1;
        self.catch_up(index);
        self.position += 1; // what changes from here on is after the start
    }

    fn catch_up_on(&mut self) {
        if !self.catchups.is_empty() {
            let index = self.dice.below(self.catchups.len());
            self.catch_up(index);
        }
    }

    fn catch_up(&mut self, index: usize) {
        let (nodes_max, stop_after) = (1 + self.dice.below(20), self.dice.below(6));
        let World { retained, interner, rows, tombstones, catchups, .. } = self;
        let CatchupWatch { from, filter, group, seen, .. } = &mut catchups[index];
        let mut shown = Vec::new();
        let mut each = |newer: Newer<'_>| {
            let (topic, version, position) = match newer {
                Newer::Row(row) => {
                    assert_eq!(row, rows[row.topic].kept(row.topic));
                    (row.topic, row.version, rows[row.topic].position)
                }
                Newer::Deleted { topic, version } => {
                    assert_eq!(version, tombstones[topic].version);
                    (topic, version, tombstones[topic].position)
                }
            };
            assert!(matches(filter, topic));
            assert!(seen.insert(topic.into()), "{topic} comes twice");
            shown.push((group_of(topic), version, position));
            if shown.len() > stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let scope = Scope { filter, group: *group };
        let (complete, reached) = match from {
            From::Position(since, catchup) => {
                let complete = retained.newer(interner, scope, *since, catchup, nodes_max, &mut each);
                (complete, catchup.reached())
            }
            From::Versions(since, missed) => {
                let since = |group: GroupId| since.get(group.index()).copied().unwrap_or(0);
                let complete = retained.missed(interner, scope, &since, missed, nodes_max, &mut each);
                (complete, missed.reached())
            }
        };
        for (group, version, position) in &shown {
            assert!(from.is_before(*group, *version, *position) && *position <= reached);
        }
        if matches!(from, From::Position(..)) {
            assert!(shown.is_sorted_by_key(|(group, _, position)| (*group, Reverse(*position))));
        }
        if complete {
            let watch = self.catchups.swap_remove(index);
            assert!(watch.owed.is_subset(&watch.seen), "{} misses {:?}", watch.filter, watch.owed);
            self.completed += 1;
        }
    }

    /// Deletes and forgets everything, in the midst of whatever is on its way.
    fn end(mut self) {
        while let Some(topic) = self.some_row() {
            self.position += 1;
            self.delete(&topic);
        }
        assert!(self.retained.is_empty());
        assert_eq!(self.retained.cost_bytes(), 0);
        let nodes = self.retained.nodes();
        assert!(nodes >= self.tombstones.len());
        self.retained.trim_tombstones(&mut self.interner, 0, 0, usize::MAX, |_| {});
        assert_eq!((self.retained.nodes(), self.retained.tombstones(), self.interner.len()), (0, 0, 0));
        assert!(self.retained.bytes() <= Retained::new(0).bytes(), "memory is given back");
        while !self.walks.is_empty() {
            self.walk_on();
        }
    }
}

fn run(seeds: std::ops::Range<u64>, steps: usize, levels: &'static [&'static str], depth_max: usize) {
    for seed in seeds {
        let mut world = World::new(seed, levels, depth_max);
        for _ in 0..steps {
            world.step();
        }
        assert!(world.completed > steps / 200, "seed {seed}: only {} walks came to an end", world.completed);
        world.end();
    }
}

#[test]
fn a_small_tree_agrees_with_a_map() {
    run(0..12, 20_000, &["", "a", "b", "$x", "ü"], 4);
}

#[test]
fn a_wide_tree_agrees_with_a_map() {
    const LEVELS: &[&str] = &[
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l",
        "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z",
    ];
    run(100..106, 20_000, LEVELS, 2);
}

#[test]
fn a_deep_tree_agrees_with_a_map() {
    run(200..206, 20_000, &["", "a"], 12);
}
