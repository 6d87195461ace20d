//! Folding frames: the one reading of PROTOCOL.md section 2 that tests and `mote sub` share.
//!
//! ```text
//! fold(state, frame):                    frames of kind part, snap and live, in their order
//!   for each value v in the frame, at the place that the wildcards of the filter name:
//!     below a `#` an object is a nesting, and the key "/" is the node's own value
//!     v is null:  the row there is deleted, rows below it stay
//!     else:       v is the row there
//! ```

use std::collections::BTreeMap;

use super::json::{JsonFault, Kind, Scanner, Text, utf8};
use super::merge::{Merge, object_of};
use super::walk::{Leaf, Nesting, Sink, walk};
use crate::dialect::Form;
use crate::limits::{JSON_DEPTH_MAX, TOPIC_LEVELS_MAX};

/// What a merged subscriber knows of the retained tree: topic and value of each row. Values are JSON texts;
/// for a filter without wildcard the payload itself, unless frames are wrapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    filter: String,
    /// The payload says what kind of frame it is, with option `meta`.
    is_wrapped: bool,
    rows: BTreeMap<String, Vec<u8>>,
    /// With option `versions`: of each row, and of the objects that the frames' nestings stand for.
    versions: BTreeMap<String, u64>,
    objects: BTreeMap<String, u64>,
}

impl State {
    /// Nothing yet. `filter` as subscribed, without prefix.
    pub fn new(filter: &str) -> State {
        State {
            filter: filter.to_owned(),
            is_wrapped: false,
            rows: BTreeMap::new(),
            versions: BTreeMap::new(),
            objects: BTreeMap::new(),
        }
    }

    /// The same for frames with option `meta` or `versions`.
    pub fn of_wrapped(filter: &str) -> State {
        State { is_wrapped: true, ..State::new(filter) }
    }

    /// Takes in one frame with what its user property says of it. A body that is no frame of this filter changes
    /// nothing.
    pub fn fold_frame(&mut self, words: &str, body: &[u8]) -> Result<(), JsonFault> {
        if self.is_wrapped {
            return self.fold(body); // it says the same itself
        }
        let changes = read_frame(&self.filter, body)?;
        if self.heed(words) {
            self.apply(changes);
        }
        Ok(())
    }

    /// Takes in one frame: of kind `part`, `snap` or `live`, and without `reset`, unless it is wrapped and says so
    /// itself. A body that is no frame of this filter changes nothing.
    pub fn fold(&mut self, body: &[u8]) -> Result<(), JsonFault> {
        if !self.is_wrapped {
            let changes = read_frame(&self.filter, body)?;
            self.apply(changes);
            return Ok(());
        }
        let wrapped = unwrap(body)?;
        let changes = self.read_wrapped(&wrapped.tree)?;
        let versions = wrapped.versions.map(|tree| self.read_versions(&tree)).transpose()?;
        let (versions, objects) = versions.unwrap_or_default();
        if !self.heed(&wrapped.words) {
            return Ok(());
        }
        self.objects.extend(objects);
        for (topic, version) in &versions {
            self.raise_objects(topic, *version);
        }
        self.versions.extend(versions);
        self.apply(changes);
        Ok(())
    }

    /// Heeds what a frame says about itself: what was folded before may be void. Whether it is to be folded.
    fn heed(&mut self, words: &str) -> bool {
        let mut words = words.split(';');
        if words.nth(1) == Some("event") {
            return false;
        }
        if words.any(|word| word == "reset") {
            self.rows.clear();
            self.versions.clear();
            self.objects.clear();
        }
        true
    }

    /// The same of a tree in its wrapping, where a filter without wildcard has a JSON value too.
    fn read_wrapped(&self, tree: &Text<'_>) -> Result<Vec<Change>, JsonFault> {
        let body = if nesting_of(&self.filter, false).is_none() && tree.raw == b"null" { b"" } else { tree.raw };
        read_frame(&self.filter, body).map_err(|fault| JsonFault { at: tree.at + fault.at, ..fault })
    }

    /// What a tree of versions says of rows and of objects.
    fn read_versions(&self, tree: &Text<'_>) -> Result<(Versions, Versions), JsonFault> {
        let mut read = ReadVersions { read: Read::of(&self.filter), rows: Vec::new(), objects: Vec::new() };
        let within = |fault: JsonFault| JsonFault { at: tree.at + fault.at, ..fault };
        match nesting_of(&self.filter, true) {
            Some(nesting) => walk(utf8(tree.raw)?, nesting, &mut read).map_err(within)?,
            // An event has no version.
            None if tree.raw == b"{}" => {}
            None => read.rows.push((self.filter.clone(), number(tree)?)),
        }
        Ok((read.rows, read.objects))
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for (topic, value) in changes {
            match value {
                Some(value) => drop(self.rows.insert(topic, value)),
                None => self.delete(&topic),
            }
        }
    }

    /// The version of an object is the highest in it, deletions included.
    fn raise_objects(&mut self, topic: &str, version: u64) {
        for object in with_ancestors(topic) {
            if let Some(known) = self.objects.get_mut(object) {
                *known = version.max(*known);
            }
        }
    }

    /// With a row goes what is known of the objects that it was the last row of.
    fn delete(&mut self, topic: &str) {
        self.rows.remove(topic);
        self.versions.remove(topic);
        for object in with_ancestors(topic) {
            if self.objects.contains_key(object) && !self.has_rows(object) {
                self.objects.remove(object);
            }
        }
    }

    /// Whether there is a row at the topic or below it.
    fn has_rows(&self, topic: &str) -> bool {
        let below = format!("{topic}/");
        let first = self.rows.range(below.clone()..).next();
        self.rows.contains_key(topic) || first.is_some_and(|(other, _)| other.starts_with(&below))
    }

    /// Topic and value of each row, in the order of the topics.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.rows.iter().map(|(topic, value)| (topic.as_str(), value.as_slice()))
    }

    /// Topic and version of each row, in the order of the topics, where frames tell them.
    pub fn versions(&self) -> impl Iterator<Item = (&str, u64)> {
        self.versions.iter().map(|(topic, version)| (topic.as_str(), *version))
    }

    /// The same of the objects with rows below their own that frames spoke of.
    pub fn objects(&self) -> impl Iterator<Item = (&str, u64)> {
        self.objects.iter().map(|(topic, version)| (topic.as_str(), *version))
    }

    /// The whole state as one frame says it.
    pub fn to_json(&self, out: &mut Vec<u8>) {
        let mut merge = Merge::new();
        merge.begin(&self.filter, Form::default());
        for (topic, value) in &self.rows {
            merge.row(topic, value, false, false);
        }
        merge.finish(out);
    }
}

/// A row of a frame: topic and value, `None` where the row is deleted. Values are JSON texts; for a filter without
/// wildcard the payload itself.
pub type Change = (String, Option<Vec<u8>>);

/// The rows of one frame of `filter`, in its order. Not of a wrapped one.
pub fn read_frame(filter: &str, body: &[u8]) -> Result<Vec<Change>, JsonFault> {
    let Some(nesting) = nesting_of(filter, false) else {
        let value = (!body.is_empty()).then(|| body.to_vec());
        return Ok(vec![(filter.to_owned(), value)]);
    };
    let mut read = Read::of(filter);
    walk(utf8(body)?, nesting, &mut read)?;
    Ok(read.changes)
}

/// How the objects of a frame nest; `None`: the filter has no wildcard.
fn nesting_of(filter: &str, is_marked: bool) -> Option<Nesting> {
    let levels = filter.split('/');
    let deep = levels.clone().next_back() == Some("#");
    let single = levels.filter(|&level| level == "+").count();
    let depth_max = TOPIC_LEVELS_MAX + JSON_DEPTH_MAX;
    (deep || single > 0).then_some(Nesting { single, deep, is_marked, depth_max })
}

type Versions = Vec<(String, u64)>;

/// A frame with option `meta`, taken apart.
struct Wrapped<'a> {
    words: String,
    tree: Text<'a>,
    versions: Option<Text<'a>>,
}

fn unwrap(body: &[u8]) -> Result<Wrapped<'_>, JsonFault> {
    let mut scanner = Scanner::new(utf8(body)?);
    let (mut words, mut tree, mut versions) = (None, None, None);
    scanner.white();
    if scanner.peek() != b'{' {
        return Err(scanner.fault("a wrapped frame is a JSON object"));
    }
    loop {
        scanner.at += 1; // the brace or a comma
        scanner.white();
        let key = scanner.key()?;
        let start = scanner.at;
        // A tree nests deeper than a value may.
        scanner.skip()?;
        let value = Text { at: start, raw: scanner.since(start), escaped: false };
        if key.is(b"mote") {
            words = Some(value);
        } else if key.is(b"tree") {
            tree = Some(value);
        } else if key.is(b"versions") {
            versions = Some(value);
        }
        scanner.white();
        if scanner.peek() != b',' {
            break;
        }
    }
    if scanner.peek() != b'}' {
        return Err(scanner.fault("expected , or }"));
    }
    scanner.at += 1;
    scanner.end()?;
    let (Some(words), Some(tree)) = (words, tree) else {
        return Err(JsonFault { at: 0, what: "a wrapped frame has the keys mote and tree" });
    };
    let words = String::from_utf8_lossy(words.raw).trim_matches('"').to_owned();
    Ok(Wrapped { words, tree, versions })
}

/// The topic and those above it.
fn with_ancestors(topic: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(topic), |topic| topic.rfind('/').map(|slash| &topic[..slash]))
}

fn number(text: &Text<'_>) -> Result<u64, JsonFault> {
    let digits = std::str::from_utf8(text.raw).unwrap_or_default();
    digits.parse().map_err(|_| JsonFault { at: text.at, what: "a version is a number" })
}

/// Reads one frame into changes of rows.
struct Read<'a> {
    levels: Vec<&'a str>,
    /// Keys of the nestings that are open.
    path: Vec<String>,
    changes: Vec<Change>,
}

impl Read<'_> {
    fn of(filter: &str) -> Read<'_> {
        Read { levels: filter.split('/').collect(), path: Vec::new(), changes: Vec::new() }
    }

    /// The topic that the filter names with these keys for its wildcards.
    fn topic(&self, last: Option<&str>) -> String {
        let mut keys = self.path.iter().map(String::as_str).chain(last);
        let mut topic: Vec<&str> = Vec::new();
        for &level in &self.levels {
            match level {
                "#" => topic.extend(keys.by_ref()),
                "+" => topic.extend(keys.next()),
                literal => topic.push(literal),
            }
        }
        topic.join("/")
    }

    fn change(&mut self, topic: String, leaf: Leaf<'_>) {
        let value = match leaf.kind {
            Kind::Null => None,
            Kind::String => Some([b"\"", leaf.raw.raw, b"\""].concat()),
            _ => Some(leaf.raw.raw.to_vec()),
        };
        self.changes.push((topic, value));
    }
}

fn key_text(key: Text<'_>) -> Result<String, JsonFault> {
    let mut text = Vec::new();
    key.write(&mut text);
    String::from_utf8(text).map_err(|_| JsonFault { at: key.at, what: "not UTF-8" })
}

impl Sink for Read<'_> {
    type Fault = JsonFault;

    fn enter(&mut self, key: Text<'_>) -> Result<(), JsonFault> {
        self.path.push(key_text(key)?);
        Ok(())
    }

    fn leave(&mut self) {
        self.path.pop();
    }

    fn leaf(&mut self, key: Text<'_>, leaf: Leaf<'_>) -> Result<(), JsonFault> {
        let topic = self.topic(Some(&key_text(key)?));
        self.change(topic, leaf);
        Ok(())
    }

    fn own(&mut self, _key: Text<'_>, leaf: Leaf<'_>) -> Result<(), JsonFault> {
        let topic = self.topic(None);
        self.change(topic, leaf);
        Ok(())
    }
}

/// Reads a tree of versions.
struct ReadVersions<'a> {
    read: Read<'a>,
    rows: Versions,
    objects: Versions,
}

impl Sink for ReadVersions<'_> {
    type Fault = JsonFault;

    fn enter(&mut self, key: Text<'_>) -> Result<(), JsonFault> {
        self.read.enter(key)
    }

    fn leave(&mut self) {
        self.read.leave();
    }

    fn leaf(&mut self, key: Text<'_>, leaf: Leaf<'_>) -> Result<(), JsonFault> {
        self.rows.push((self.read.topic(Some(&key_text(key)?)), number(&leaf.raw)?));
        Ok(())
    }

    fn own(&mut self, _key: Text<'_>, leaf: Leaf<'_>) -> Result<(), JsonFault> {
        self.rows.push((self.read.topic(None), number(&leaf.raw)?));
        Ok(())
    }

    fn mark(&mut self, leaf: Leaf<'_>) -> Result<(), JsonFault> {
        let keys = self.read.path.iter().map(String::as_str);
        if let Some(object) = object_of(self.read.levels.iter().copied(), keys) {
            self.objects.push((object, number(&leaf.raw)?));
        }
        Ok(())
    }
}
