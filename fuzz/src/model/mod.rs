//! PROTOCOL.md, said as naively as possible: what is retained, what a publish does to it, what a frame has to say.
//!
//! Shares with the engine only the hash that deals topics to groups. [`history::run`] lets random clients loose on a
//! world and holds every frame, verdict and stored change against this.

pub mod frame;
pub mod history;
pub mod json;
mod reader;
mod storm;
mod writer;

use engine::key::GroupId;
use engine::topic::Roots;
use frame::{base64, matches};
use json::{Value, What, parse};
use std::collections::BTreeMap;

/// One retained row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub payload: Vec<u8>,
    pub text: bool,
    pub version: u64,
}

pub type Rows = BTreeMap<String, Row>;

/// What a change does to rows, by topic; None: deleted.
pub type Written = BTreeMap<String, Option<(Vec<u8>, bool)>>;

/// What is retained of a group between two changes.
#[derive(Clone, Default, Debug)]
pub struct Moment {
    /// Of the change before it.
    pub version: u64,
    pub rows: Rows,
    /// Deleted rows and the version that deleted them.
    pub graves: BTreeMap<String, u64>,
}

impl Moment {
    fn is_at_or_below(topic: &str, object: &str) -> bool {
        topic == object || topic.strip_prefix(object).is_some_and(|rest| rest.starts_with('/'))
    }

    pub fn object_exists(&self, object: &str) -> bool {
        self.rows.keys().any(|topic| Moment::is_at_or_below(topic, object))
    }

    /// The highest version at the topic and below it, deletions included.
    pub fn object_version(&self, object: &str) -> u64 {
        let rows = self.rows.iter().map(|(topic, row)| (topic, row.version));
        let all = rows.chain(self.graves.iter().map(|(topic, version)| (topic, *version)));
        all.filter(|(topic, _)| Moment::is_at_or_below(topic, object)).map(|(_, version)| version).max().unwrap_or(0)
    }

    fn after(&self, version: u64, written: &Written) -> Moment {
        let mut moment = Moment { version, ..self.clone() };
        for (topic, value) in written {
            match value {
                Some((payload, text)) => {
                    moment.rows.insert(topic.clone(), Row { payload: payload.clone(), text: *text, version });
                    moment.graves.remove(topic);
                }
                None => {
                    moment.rows.remove(topic);
                    moment.graves.insert(topic.clone(), version);
                }
            }
        }
        moment
    }
}

/// The unit that numbers its changes.
#[derive(Debug)]
pub struct Group {
    /// Beginning with nothing at 0. The last is now.
    pub past: Vec<Moment>,
    /// Highest number that anybody can have seen, also of changes that a crash took back.
    pub highest: u64,
}

impl Group {
    fn new() -> Group {
        Group { past: vec![Moment::default()], highest: 0 }
    }

    pub fn now(&self) -> &Moment {
        &self.past[self.past.len() - 1]
    }

    pub fn rows(&self) -> &Rows {
        &self.now().rows
    }

    /// A change becomes what is retained.
    pub fn change(&mut self, version: u64, written: &Written) {
        assert!(version > self.highest, "version {version} after {}", self.highest);
        self.highest = version;
        self.past.push(self.now().after(version, written));
    }

    /// A crash took back what came after `version`.
    pub fn roll_back(&mut self, version: u64) {
        self.past.retain(|moment| moment.version <= version);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    Plain,
    Put,
    Tree,
    Set,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Version(u64),
    Exists,
}

/// A publish.
#[derive(Clone, Debug)]
pub struct Op {
    pub writer: usize,
    pub verb: Verb,
    /// Topic, pattern or filter.
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
    pub qos: u8,
    /// Its Content Type begins with `text/`.
    pub text: bool,
    pub condition: Option<Condition>,
    pub replace: bool,
}

/// What an op does in one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    Nothing,
    /// With the current version of the object.
    Conflict(u64),
    Change(Written),
}

/// See the module.
pub struct Model {
    roots: Roots,
    pub groups: BTreeMap<GroupId, Group>,
}

/// A pattern's levels: `*` and `**` are wildcards too, and without any a `#` is meant.
pub fn pattern(op: &Op) -> String {
    let star = |level: &str| match level {
        "*" => "+".to_string(),
        "**" => "#".to_string(),
        level => level.to_string(),
    };
    let levels: Vec<String> = op.topic.split('/').map(star).collect();
    let is_wild = levels.iter().any(|level| level == "+" || level == "#");
    let tail = if op.verb == Verb::Tree && !is_wild { "/#" } else { "" };
    levels.join("/") + tail
}

/// What a condition of the op is about.
pub fn object(op: &Op) -> String {
    stem(&pattern(op))
}

/// The literal levels before the first wildcard.
pub fn stem(filter: &str) -> String {
    let literal = |level: &&str| *level != "+" && *level != "#";
    filter.split('/').take_while(literal).collect::<Vec<&str>>().join("/")
}

impl Model {
    pub fn new(roots: Roots, topics: &[&str]) -> Model {
        let groups = topics.iter().map(|topic| (roots.group(topic), Group::new())).collect();
        Model { roots, groups }
    }

    pub fn group_of(&self, topic: &str) -> GroupId {
        self.roots.group(topic)
    }

    /// The one group that everything the filter matches lies in, if it is one: its first level is literal.
    pub fn group_of_filter(&self, filter: &str) -> Option<GroupId> {
        let stem = stem(filter);
        (!stem.is_empty()).then(|| self.group_of(&stem))
    }

    pub fn group(&self, topic: &str) -> &Group {
        &self.groups[&self.group_of(topic)]
    }

    /// Everything that is retained and matches, by topic.
    pub fn matching(&self, filter: &str) -> Rows {
        let all = self.groups.values().flat_map(|group| group.rows().iter());
        all.filter(|(topic, _)| matches(filter, topic)).map(|(topic, row)| (topic.clone(), row.clone())).collect()
    }

    /// Topic, payload and text mark of each row, the last of a topic; None: the payload is no tree of this pattern.
    pub fn spread(op: &Op) -> Option<BTreeMap<String, (Vec<u8>, bool)>> {
        if op.verb != Verb::Tree {
            return Some([(op.topic.clone(), (op.payload.clone(), op.text))].into());
        }
        let pattern = pattern(op);
        let levels: Vec<&str> = pattern.split('/').collect();
        let mut rows = BTreeMap::new();
        let tree = parse(&op.payload)?;
        tree.object()?;
        spread(&levels, &[], &tree, &mut rows)?;
        Some(rows)
    }

    /// Groups that an op touches: those of its rows, and of rows that it may find.
    pub fn groups_of(&self, op: &Op) -> Vec<GroupId> {
        let filter = pattern(op);
        let found = op.verb == Verb::Set || op.replace;
        let by_filter = self
            .groups
            .keys()
            .filter(|_| found)
            .copied()
            .filter(|group| self.group_of_filter(&filter).is_none_or(|one| one == *group));
        let spread = if op.verb == Verb::Set { None } else { Model::spread(op) };
        let rows = spread.into_iter().flatten().map(|(topic, _)| self.group_of(&topic));
        let judged = op.condition.map(|_| self.group_of(&object(op)));
        let mut groups: Vec<GroupId> = by_filter.chain(rows).chain(judged).collect();
        groups.sort();
        groups.dedup();
        groups
    }

    /// What the op does now to the retained rows of a group.
    pub fn effect(&self, op: &Op, id: GroupId) -> Effect {
        self.effect_at(op, id, self.groups[&id].now())
    }

    fn effect_at(&self, op: &Op, id: GroupId, moment: &Moment) -> Effect {
        let (filter, object) = (pattern(op), object(op));
        let (exists, version) = (moment.object_exists(&object), moment.object_version(&object));
        let holds = match op.condition {
            None => true,
            Some(Condition::Exists) => exists,
            Some(Condition::Version(0)) => !exists,
            Some(Condition::Version(number)) => version == number,
        };
        if !holds {
            return Effect::Conflict(version);
        }
        let mut written = Written::new();
        let matching = || moment.rows.keys().filter(|topic| matches(&filter, topic)).cloned();
        if op.verb == Verb::Set {
            written.extend(matching().map(|topic| (topic, Some((op.payload.clone(), op.text)))));
        } else {
            if op.replace {
                written.extend(matching().map(|topic| (topic, None)));
            }
            let rows = Model::spread(op).into_iter().flatten().filter(|(topic, _)| self.group_of(topic) == id);
            written.extend(rows.map(|(topic, value)| (topic, Some(value))));
        }
        for (topic, value) in &mut written {
            if value.as_ref().is_some_and(|(payload, _)| payload.is_empty()) {
                *value = None;
            }
            debug_assert_eq!(self.group_of(topic), id);
        }
        written.retain(|topic, value| value.is_some() || moment.rows.contains_key(topic));
        if written.is_empty() { Effect::Nothing } else { Effect::Change(written) }
    }
}

/// Rows of a tree below `keys`; None: a bad key or a value where a nesting has to be.
fn spread(levels: &[&str], keys: &[String], tree: &Value, rows: &mut BTreeMap<String, (Vec<u8>, bool)>) -> Option<()> {
    let single = levels.iter().filter(|level| **level == "+").count();
    let is_deep = levels.last() == Some(&"#");
    for (key, value) in tree.object()? {
        if key == "/" && is_deep && keys.len() >= single {
            rows.insert(frame::topic(levels, keys), leaf(value));
            continue;
        }
        if key.contains(['/', '+', '#', '\0']) {
            return None;
        }
        let below = [keys, std::slice::from_ref(key)].concat();
        if below.len() < single || (is_deep && value.object().is_some()) {
            spread(levels, &below, value, rows)?;
        } else {
            rows.insert(frame::topic(levels, &below), leaf(value));
        }
    }
    Some(())
}

/// Payload and text mark of a leaf.
fn leaf(value: &Value) -> (Vec<u8>, bool) {
    match &value.what {
        What::Null => (Vec::new(), false),
        What::Text(text) if text.is_empty() => (b"\"\"".to_vec(), false),
        What::Text(text) => (text.clone().into_bytes(), true),
        What::Object(fields) => match &fields[..] {
            [(key, Value { what: What::Text(text), .. })] if key == "$b64" => (bytes_of(text), false),
            _ => (value.raw.clone().into_bytes(), false),
        },
        _ => (value.raw.clone().into_bytes(), false),
    }
}

/// The bytes that base64 writes so.
fn bytes_of(text: &str) -> Vec<u8> {
    let six = |letter: u8| (0..64).find(|bits| base64(&[bits << 2]).as_bytes()[0] == letter).unwrap_or(0);
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').collect();
    let bits = |at: usize| {
        u32::from(six(letters[at * 8 / 6])) << 6
            | u32::from(letters.get(at * 8 / 6 + 1).map_or(0, |letter| six(*letter)))
    };
    (0..letters.len() * 6 / 8).map(|at| (bits(at) >> (12 - 8 - at * 8 % 6)) as u8).collect()
}
