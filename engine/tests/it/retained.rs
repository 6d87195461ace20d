//! The retained tree against a map, and the promises of a walk and of a catch-up while the tree changes.

use engine::key::GroupId;
use engine::row::change::Kept;
use engine::row::retained::{Catchup, Newer, Retained, Walk};
use engine::topic::Interner;
use engine::wire::QoS;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

const GROUP: GroupId = GroupId(3);

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
    catchup: Catchup,
    filter: String,
    since: u64,
    /// What was newer at the start, less what changed or was forgotten since.
    owed: BTreeSet<String>,
    seen: BTreeSet<String>,
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
        let written = self.retained.put(&mut self.interner, GROUP, row.kept(&topic), self.position);
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
        oldest.sort_by_key(|(gone, _)| gone.version);
        let over = oldest.len().saturating_sub(count_max);
        let due = oldest.iter().enumerate().take_while(|(at, (gone, _))| *at < over || gone.wall_ms < older_than);
        let due = due.count().min(trimmed_max);
        let trimmed = self.retained.trim_tombstones(&mut self.interner, count_max, older_than, trimmed_max);
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
            assert_eq!(group, GROUP);
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
        let back = [3, 30, self.position][self.dice.below(3)];
        let since = self.position - self.dice.roll() % back.min(self.position);
        let rows = self.rows.iter().map(|(topic, row)| (topic, row.position));
        let tombstones = self.tombstones.iter().map(|(topic, gone)| (topic, gone.position));
        let newer = rows.chain(tombstones).filter(|(topic, position)| *position > since && matches(&filter, topic));
        let owed = newer.map(|(topic, _)| topic.clone()).collect();
        let catchup = Catchup::new();
        self.catchups.push(CatchupWatch { catchup, filter, since, owed, seen: BTreeSet::new() });
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
        let CatchupWatch { catchup, filter, since, seen, .. } = &mut catchups[index];
        let mut shown = 0;
        let mut positions = Vec::new();
        let complete = retained.newer(interner, filter, *since, catchup, nodes_max, |newer| {
            let (topic, position) = match newer {
                Newer::Row(row) => {
                    assert_eq!(row, rows[row.topic].kept(row.topic));
                    (row.topic, rows[row.topic].position)
                }
                Newer::Deleted { topic, version } => {
                    assert_eq!(version, tombstones[topic].version);
                    (topic, tombstones[topic].position)
                }
            };
            assert!(matches(filter, topic) && position > *since);
            assert!(seen.insert(topic.into()), "{topic} comes twice");
            positions.push(position);
            shown += 1;
            if shown > stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(positions.is_sorted_by(|newer, older| newer >= older));
        assert!(positions.iter().all(|position| *position <= catchup.reached()));
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
        self.retained.trim_tombstones(&mut self.interner, 0, 0, usize::MAX);
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

/// A tree with no more than is asked for.
struct Plot {
    interner: Interner,
    retained: Retained,
    position: u64,
}

impl Plot {
    fn new() -> Plot {
        Plot { interner: Interner::new(1), retained: Retained::new(1), position: 0 }
    }

    fn of(topics: &[&str]) -> Plot {
        let mut plot = Plot::new();
        for topic in topics {
            plot.put(topic, b"x");
        }
        plot
    }

    fn put(&mut self, topic: &str, payload: &[u8]) {
        self.position += 1;
        let row = Kept {
            topic,
            payload,
            properties: &[],
            qos: QoS::AtMostOnce,
            text: false,
            expires_at_ms: 0,
            version: self.position,
        };
        self.retained.put(&mut self.interner, GROUP, row, self.position);
    }

    fn remove(&mut self, topic: &str) -> Option<u64> {
        self.position += 1;
        self.retained.remove(&self.interner, topic, self.position, self.position, 0)
    }

    fn forget_all(&mut self) {
        self.retained.trim_tombstones(&mut self.interner, 0, 0, usize::MAX);
    }

    fn slice(&self, filter: &str, walk: &mut Walk, nodes_max: usize) -> Vec<String> {
        let mut topics = Vec::new();
        self.retained.walk(&self.interner, filter, walk, nodes_max, |row| {
            topics.push(row.topic.to_string());
            ControlFlow::Continue(())
        });
        topics
    }

    fn all(&self, filter: &str) -> Vec<String> {
        let mut topics = self.slice(filter, &mut Walk::new(), usize::MAX);
        topics.sort();
        topics
    }
}

#[test]
fn a_multi_level_wildcard_includes_its_parent() {
    // "sport/tennis/player1/#" matches "sport/tennis/player1" (4.7.1.2).
    let plot = Plot::of(&["a", "a/b", "a/b/c", "ab", "b/a"]);
    assert_eq!(plot.all("a/#"), ["a", "a/b", "a/b/c"]);
    assert_eq!(plot.all("#"), ["a", "a/b", "a/b/c", "ab", "b/a"]);
    assert_eq!(plot.all("+"), ["a", "ab"]);
    assert_eq!(plot.all("+/+"), ["a/b", "b/a"]);
    assert_eq!(plot.all("+/b/#"), ["a/b", "a/b/c"]);
    assert_eq!(plot.all("a/b/c/#"), ["a/b/c"]);
    assert!(plot.all("a/b/c/+").is_empty());
}

#[test]
fn empty_levels_are_levels() {
    // "/finance" matches "+/+" and "/+", but not "+" (4.7.1.3).
    let plot = Plot::of(&["/finance", "a//b", "a/", "/"]);
    assert_eq!(plot.all("+/+"), ["/", "/finance", "a/"]);
    assert_eq!(plot.all("/+"), ["/", "/finance"]);
    assert!(plot.all("+").is_empty());
    assert_eq!(plot.all("a/+/b"), ["a//b"]);
    assert_eq!(plot.all("a//b"), ["a//b"]);
    assert_eq!(plot.all("/#"), ["/", "/finance"]);
}

#[test]
fn a_first_wildcard_never_matches_a_dollar_topic() {
    // [MQTT-4.7.2-1]
    let plot = Plot::of(&["$SYS", "$SYS/monitor/Clients", "a/$b", "c"]);
    assert_eq!(plot.all("#"), ["a/$b", "c"]);
    assert_eq!(plot.all("+"), ["c"]);
    assert!(plot.all("+/monitor/Clients").is_empty());
    assert_eq!(plot.all("$SYS/#"), ["$SYS", "$SYS/monitor/Clients"]);
    assert_eq!(plot.all("a/+"), ["a/$b"]);
}

#[test]
fn a_walk_looks_only_below_the_stem() {
    let mut plot = Plot::new();
    for index in 0..1_000 {
        plot.put(&format!("other/{index}"), b"x");
    }
    plot.put("stem/b/1", b"x");
    plot.put("stem/b/2", b"x");
    let mut walk = Walk::new();
    assert_eq!(plot.slice("stem/+/2", &mut walk, 3), ["stem/b/2"]);
}

/// Three hundred siblings; the one that the walk stands at goes, with its tombstone, and its number is given to new
/// ones. One node a slice: the way back to the place takes many slices, and may itself be torn up.
#[test]
fn a_walk_goes_on_where_its_node_was() {
    for stood_at in [0, 1, 150, 298, 299] {
        let mut plot = Plot::new();
        let topics = (0..300).map(|index| format!("p/{index}")).collect::<Vec<_>>();
        topics.iter().for_each(|topic| plot.put(topic, b"x"));
        let mut walk = Walk::new();
        let mut seen = Vec::new();
        while seen.len() <= stood_at {
            seen.extend(plot.slice("p/+", &mut walk, 1));
        }
        let last = seen.last().unwrap().clone();
        assert_eq!(plot.remove(&last).map(|_| ()), Some(()));
        plot.forget_all();
        let mut slices = 0;
        while !walk.is_complete() {
            seen.extend(plot.slice("p/+", &mut walk, 1));
            if slices < 40 {
                plot.put(&format!("p/new{slices}"), b"x");
                plot.remove(&format!("p/new{}", slices / 2));
                plot.forget_all();
            }
            slices += 1;
            assert!(slices < 10_000);
        }
        let mut old = seen.iter().filter(|topic| !topic.contains("new")).cloned().collect::<Vec<_>>();
        assert_eq!(old.len(), 300);
        old.sort();
        old.dedup();
        assert_eq!(old.len(), 300, "each once");
    }
}

#[test]
fn a_walk_survives_the_end_of_everything() {
    let mut plot = Plot::of(&["a/b/c", "a/b/d", "a/c", "b"]);
    let mut walk = Walk::new();
    assert_eq!(plot.slice("#", &mut walk, 2).len(), 1);
    for topic in ["a/b/c", "a/b/d", "a/c", "b"] {
        plot.remove(topic);
    }
    plot.forget_all();
    assert_eq!((plot.retained.nodes(), plot.interner.len()), (0, 0));
    assert!(plot.slice("#", &mut walk, 100).is_empty());
    assert!(walk.is_complete());
}

#[test]
fn a_topic_of_65_536_levels_is_put_found_walked_listed_and_removed() {
    let mut plot = Plot::new();
    let topic = "/".repeat(65_535);
    plot.put(&topic, b"deep");
    assert_eq!(plot.retained.nodes(), 65_536);
    assert_eq!(plot.retained.get(&plot.interner, &topic).unwrap().payload, b"deep");
    assert_eq!(plot.all(&topic), [topic.as_str()]);
    let any = vec!["+"; 65_536].join("/");
    for filter in ["#", any.as_str()] {
        let (mut walk, mut seen) = (Walk::new(), Vec::new());
        while !walk.is_complete() {
            seen.extend(plot.slice(filter, &mut walk, 5_000));
        }
        assert_eq!(seen, [topic.as_str()]);
    }
    let mut newer = 0;
    plot.retained.newer(&plot.interner, &any, 0, &mut Catchup::new(), 1_000_000, |_| {
        newer += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(newer, 1);
    assert_eq!(plot.remove(&topic), Some(1));
    plot.forget_all();
    assert_eq!((plot.retained.nodes(), plot.interner.len()), (0, 0));
}

#[test]
fn a_level_of_65_535_bytes_is_a_level() {
    let level = "x".repeat(65_535);
    let mut plot = Plot::of(&[&level]);
    assert_eq!(plot.all("+"), [level.as_str()]);
    assert_eq!(plot.remove(&level), Some(1));
}

#[test]
fn deleting_what_is_not_there_changes_nothing() {
    let mut plot = Plot::of(&["a/b"]);
    assert_eq!(plot.remove("a"), None);
    assert_eq!(plot.remove("c"), None);
    assert_eq!(plot.remove("a/b"), Some(1));
    assert_eq!(plot.remove("a/b"), None);
    assert_eq!((plot.retained.tombstones(), plot.retained.position()), (1, 4));
}

#[test]
fn a_row_put_on_a_tombstone_did_not_exist() {
    let mut plot = Plot::of(&["a"]);
    plot.remove("a");
    let row = Kept {
        topic: "a",
        payload: b"again",
        properties: b"\x01\x01",
        qos: QoS::ExactlyOnce,
        text: true,
        expires_at_ms: 77,
        version: 9,
    };
    let written = plot.retained.put(&mut plot.interner, GROUP, row, 5);
    assert_eq!(written.previous_version, None);
    assert_eq!(plot.retained.get(&plot.interner, "a"), Some(row));
    assert_eq!((plot.retained.len(), plot.retained.tombstones()), (1, 0));
}

#[test]
fn an_object_keeps_its_version_when_what_gave_it_is_deleted_and_forgotten() {
    let mut plot = Plot::of(&["o/a/x", "o/b", "p/q"]);
    let object = |plot: &Plot, topic| {
        (plot.retained.object_version(&plot.interner, topic), plot.retained.object_exists(&plot.interner, topic))
    };
    assert_eq!((object(&plot, "o"), object(&plot, "o/a"), object(&plot, "o/a/y")), ((2, true), (1, true), (0, false)));
    plot.remove("o/a/x");
    assert_eq!((object(&plot, "o"), object(&plot, "o/a"), object(&plot, "o/b")), ((4, true), (4, false), (2, true)));
    plot.remove("p/q");
    assert_eq!(object(&plot, "p"), (5, false));
    plot.forget_all();
    assert_eq!((object(&plot, "o"), object(&plot, "o/a"), object(&plot, "p")), ((4, true), (0, false), (0, false)));
    plot.put("o/a/x", b"x");
    assert_eq!((object(&plot, "o"), object(&plot, "o/a")), ((6, true), (6, true)));
}

#[test]
fn tombstones_of_the_store_are_buried_and_listed() {
    let mut plot = Plot::new();
    plot.retained.bury(&mut plot.interner, GROUP, "a/b", 7, 3, 1_000);
    let mut listed = Vec::new();
    let complete = plot.retained.newer(&plot.interner, "a/#", 2, &mut Catchup::new(), 100, |newer| {
        let Newer::Deleted { topic, version } = newer else { panic!("a row") };
        listed.push((topic.to_string(), version));
        ControlFlow::Continue(())
    });
    assert!(complete);
    assert_eq!(listed, [("a/b".to_string(), 7)]);
    assert_eq!(plot.retained.trim_tombstones(&mut plot.interner, 10, 1_000, 10), 0);
    assert_eq!(plot.retained.trim_tombstones(&mut plot.interner, 10, 1_001, 10), 1);
    assert_eq!((plot.retained.forgotten(), plot.retained.nodes()), (3, 0));
}

/// A batch of more rows than 16 bits number, listed in small slices while its records move.
#[test]
fn a_batch_of_many_rows_shares_one_position() {
    let mut plot = Plot::new();
    let rows = 70_000;
    for index in 0..rows {
        plot.position = 0;
        plot.put(&format!("b/{index}"), b"x");
    }
    plot.position = 1;
    let (mut catchup, mut listed, mut slices) = (Catchup::new(), 0, 0);
    let mut moved = 0;
    let mut last = String::new();
    loop {
        let complete = plot.retained.newer(&plot.interner, "b/+", 0, &mut catchup, 3_000, |newer| {
            let Newer::Row(row) = newer else { panic!("a tombstone") };
            listed += 1;
            last = row.topic.into();
            ControlFlow::Continue(())
        });
        if complete {
            break;
        }
        // Slices end on what was listed; changing that makes the next slice look for its place.
        plot.put(&last.clone(), b"moved");
        moved += 1;
        slices += 1;
        assert!(slices < 100_000);
    }
    assert_eq!(listed, rows);
    assert!(moved > 20);
    assert_eq!(plot.retained.newer_than(catchup.reached()).min(moved), moved);
}

#[test]
fn the_cheap_count_of_changes_is_near_the_truth() {
    let mut plot = Plot::new();
    for index in 0..10_000 {
        plot.put(&format!("t/{}", index % 5_000), b"x");
    }
    assert_eq!(plot.retained.newer_than(plot.position), 0);
    for back in [1, 100, 1_000, 4_000] {
        let bound = plot.retained.newer_than(plot.position - back) as u64;
        assert!((back..back + 200).contains(&bound), "{back} changes ago: {bound}");
    }
    assert_eq!(plot.retained.newer_than(0), 5_000);
}

/// The target is 200 bytes a row with everything; the interner takes some 30 of them and the allocator 16. Of the rest
/// 12 are for what an object is: its version, and whether it exists.
#[test]
fn a_row_takes_less_than_its_share() {
    let mut plot = Plot::new();
    let rows = 100_000;
    for index in 0..rows {
        plot.put(&format!("sensor/{index:07}"), &[7; 32]);
    }
    let bytes = plot.retained.bytes() / rows;
    assert!(bytes < 132, "{bytes} bytes a row");
}
