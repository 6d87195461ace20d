//! Frames as the model reads them: what one says of itself, and of rows.

use super::Row;
use super::json::{Value, What, parse};
use crate::packet::Message;
use std::collections::BTreeMap;

/// A topic matches a filter: level by level.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (filter, topic): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    if topic[0].starts_with('$') && (filter[0] == "+" || filter[0] == "#") {
        return false;
    }
    for (at, level) in filter.iter().enumerate() {
        match topic.get(at) {
            _ if *level == "#" => return true,
            Some(text) if level == text || *level == "+" => {}
            _ => return false,
        }
    }
    filter.len() == topic.len()
}

/// What a frame says of itself.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Mark {
    pub kind: String,
    pub n: u64,
    pub fields: BTreeMap<String, String>,
}

impl Mark {
    pub fn parse(mote: &str) -> Mark {
        let mut words = mote.split(';');
        assert_eq!(words.next(), Some("frame"), "{mote}");
        let kind = words.next().unwrap_or_default().to_string();
        assert!(["part", "snap", "live", "event"].contains(&kind.as_str()), "{mote}");
        let pair = |word: &str| {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            (name.to_string(), value.to_string())
        };
        let fields: BTreeMap<String, String> = words.map(pair).collect();
        let n = fields.get("n").and_then(|n| n.parse().ok());
        Mark { kind, n: n.unwrap_or_else(|| panic!("no number: {mote}")), fields }
    }

    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }
}

/// Options of a merged subscription that change how its frames look.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Form {
    pub meta: bool,
    pub versions: bool,
    pub strings: bool,
    pub safe: bool,
}

/// One frame, read.
#[derive(Clone, Debug)]
pub struct Frame {
    /// None: nothing says what it is (MQTT 3.1.1 without `meta`).
    pub mark: Option<Mark>,
    pub is_retain: bool,
    pub qos: u8,
    /// Topic and value, in the order of the body; None: deleted.
    pub rows: Vec<(String, Option<Seen>)>,
    /// With `versions`: version by topic, and object version by topic of a node.
    pub versions: BTreeMap<String, u64>,
    pub objects: BTreeMap<String, u64>,
}

/// A value as a receiver sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Of a filter without wildcard: the payload.
    Payload(Vec<u8>),
    Json(Value),
}

impl Seen {
    /// This is how the row has to look.
    pub fn shows(&self, row: &Row, form: Form) -> bool {
        let value = match self {
            Seen::Payload(payload) => return *payload == row.payload,
            Seen::Json(value) => value,
        };
        let Ok(text) = std::str::from_utf8(&row.payload) else {
            let letters = base64(&row.payload);
            let [(key, wrapped)] = value.object().unwrap_or_default() else {
                return form.strings && value.text() == Some(&format!("{{\"$b64\":\"{letters}\"}}"));
            };
            return !form.strings && key == "$b64" && wrapped.text() == Some(&letters);
        };
        match parse(&row.payload) {
            Some(json) if json.what != What::Null && !row.text && !form.strings => value.raw == json.raw,
            _ => value.text() == Some(text),
        }
    }
}

/// Standard alphabet, padded.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

impl Frame {
    pub fn read(filter: &str, form: Form, message: &Message) -> Frame {
        let mote = message.properties.mote();
        let mut frame = Frame {
            mark: mote.map(Mark::parse),
            is_retain: message.retain,
            qos: message.qos as u8,
            rows: Vec::new(),
            versions: BTreeMap::new(),
            objects: BTreeMap::new(),
        };
        let is_wild = filter.split('/').any(|level| level == "+" || level == "#");
        if form.meta || form.versions {
            let body = parse(&message.payload).unwrap_or_else(|| panic!("no JSON: {}", message.line()));
            let mark = Mark::parse(body.get("mote").and_then(Value::text).expect("meta wraps the mark"));
            assert!(frame.mark.as_ref().is_none_or(|said| *said == mark), "two marks: {}", message.line());
            frame.mark = Some(mark);
            let tree = body.get("tree").expect("meta wraps the tree");
            frame.rows = rows(filter, is_wild, tree);
            if let Some(versions) = body.get("versions") {
                frame.read_versions(filter, is_wild, versions);
            }
        } else if is_wild {
            let body = parse(&message.payload).unwrap_or_else(|| panic!("no JSON: {}", message.line()));
            frame.rows = rows(filter, true, &body);
        } else {
            let payload = &message.payload;
            frame.rows.push((filter.to_string(), (!payload.is_empty()).then(|| Seen::Payload(payload.clone()))));
        }
        frame
    }

    fn read_versions(&mut self, filter: &str, is_wild: bool, versions: &Value) {
        let number = |value: &Value| value.raw.parse::<u64>().unwrap_or_else(|_| panic!("no version: {}", value.raw));
        // Events have none.
        if !is_wild && versions.object().is_none() {
            self.versions.insert(filter.to_string(), number(versions));
            return;
        }
        let levels: Vec<&str> = filter.split('/').collect();
        let mut open = vec![(versions.clone(), Vec::new())];
        while let Some((nesting, keys)) = open.pop() {
            for (key, value) in nesting.object().unwrap_or_else(|| panic!("no nesting: {}", nesting.raw)) {
                let below = [&keys[..], std::slice::from_ref(key)].concat();
                match value.object() {
                    Some(_) => open.push((value.clone(), below)),
                    None if key == "#" => _ = self.objects.insert(object(&levels, &keys), number(value)),
                    None if key == "/" => _ = self.versions.insert(topic(&levels, &keys), number(value)),
                    None => _ = self.versions.insert(topic(&levels, &below), number(value)),
                }
            }
        }
    }
}

/// The object that a nesting stands for: its topic up to the next wildcard.
fn object(levels: &[&str], keys: &[String]) -> String {
    let mut keys = keys.iter();
    let mut topic = Vec::new();
    for level in levels {
        match *level {
            "#" => topic.extend(keys.by_ref().cloned()),
            "+" => match keys.next() {
                Some(key) => topic.push(key.clone()),
                None => break,
            },
            literal => topic.push(literal.to_string()),
        }
    }
    topic.join("/")
}

/// What a tree says of rows, in its order; None: deleted.
pub fn rows(filter: &str, is_wild: bool, tree: &Value) -> Vec<(String, Option<Seen>)> {
    let mut out = Vec::new();
    if is_wild {
        let levels: Vec<&str> = filter.split('/').collect();
        let open = levels.iter().filter(|level| **level == "+").count();
        nest(&levels, tree, &mut Vec::new(), open, &mut out);
    } else {
        out.push((filter.to_string(), seen(tree)));
    }
    out
}

fn seen(value: &Value) -> Option<Seen> {
    (value.what != What::Null).then(|| Seen::Json(value.clone()))
}

/// As the protocol's page has it: `open` levels `+` still take a key.
fn nest(levels: &[&str], object: &Value, keys: &mut Vec<String>, open: usize, out: &mut Vec<(String, Option<Seen>)>) {
    let fields = object.object().unwrap_or_else(|| panic!("{levels:?}: no object: {}", object.raw));
    let is_deep = levels.last() == Some(&"#");
    for (key, value) in fields {
        if open == 0 && key == "/" {
            out.push((topic(levels, keys), seen(value)));
            continue;
        }
        keys.push(key.clone());
        if open > 1 || (is_deep && value.object().is_some()) {
            nest(levels, value, keys, open.saturating_sub(1), out);
        } else {
            out.push((topic(levels, keys), seen(value)));
        }
        keys.pop();
    }
}

pub fn topic(levels: &[&str], keys: &[String]) -> String {
    let mut keys = keys.iter();
    let mut topic = Vec::new();
    for level in levels {
        match *level {
            "+" => topic.extend(keys.next().cloned()),
            "#" => topic.extend(keys.by_ref().cloned()),
            literal => topic.push(literal.to_string()),
        }
    }
    topic.join("/")
}
