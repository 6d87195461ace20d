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

use super::json::{JsonFault, Kind, Text, utf8};
use super::merge::Merge;
use super::walk::{Leaf, Nesting, Sink, walk};
use crate::limits::{JSON_DEPTH_MAX, TOPIC_LEVELS_MAX};

/// What a merged subscriber knows of the retained tree: topic and value of each row. Values are JSON texts;
/// for a filter without wildcard the payload itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    filter: String,
    rows: BTreeMap<String, Vec<u8>>,
}

impl State {
    /// Nothing yet. `filter` as subscribed, without prefix.
    pub fn new(filter: &str) -> State {
        State { filter: filter.to_owned(), rows: BTreeMap::new() }
    }

    /// Takes in one frame; a body that is no frame of this filter changes nothing.
    pub fn fold(&mut self, body: &[u8]) -> Result<(), JsonFault> {
        for (topic, value) in read_frame(&self.filter, body)? {
            self.apply(topic, value);
        }
        Ok(())
    }

    fn apply(&mut self, topic: String, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.rows.insert(topic, value),
            None => self.rows.remove(&topic),
        };
    }

    /// Topic and value of each row, in the order of the topics.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.rows.iter().map(|(topic, value)| (topic.as_str(), value.as_slice()))
    }

    /// The whole state as one frame says it.
    pub fn to_json(&self, out: &mut Vec<u8>) {
        let mut merge = Merge::new();
        merge.begin(&self.filter);
        for (topic, value) in &self.rows {
            merge.row(topic, value, false, false);
        }
        merge.finish(out);
    }
}

/// A row of a frame: topic and value, `None` where the row is deleted. Values are JSON texts; for a filter without
/// wildcard the payload itself.
pub type Change = (String, Option<Vec<u8>>);

/// The rows of one frame of `filter`, in its order.
pub fn read_frame(filter: &str, body: &[u8]) -> Result<Vec<Change>, JsonFault> {
    let levels: Vec<&str> = filter.split('/').collect();
    let deep = levels.last() == Some(&"#");
    let single = levels.iter().filter(|&&level| level == "+").count();
    if !deep && single == 0 {
        let value = (!body.is_empty()).then(|| body.to_vec());
        return Ok(vec![(filter.to_owned(), value)]);
    }
    let nesting = Nesting { single, deep, depth_max: TOPIC_LEVELS_MAX + JSON_DEPTH_MAX };
    let mut read = Read { levels, path: Vec::new(), changes: Vec::new() };
    walk(utf8(body)?, nesting, &mut read)?;
    Ok(read.changes)
}

/// Reads one frame into changes of rows.
struct Read<'a> {
    levels: Vec<&'a str>,
    /// Keys of the nestings that are open.
    path: Vec<String>,
    changes: Vec<Change>,
}

impl Read<'_> {
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
