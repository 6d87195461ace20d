//! A tree publish: pattern and JSON object become rows, in one pass and without a tree of values in between.
//!
//! ```text
//! light/+/is_on     light/ KEY /is_on           before ["light/"]  tail "/is_on"
//! light/bedroom     light/bedroom [/ KEY]...    before []          tail "light/bedroom"  deep
//! a/+/b/#           a/ KEY /b [/ KEY]...        before ["a/"]      tail "/b"             deep
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use smallvec::SmallVec;

use super::batch::{Batch, Row};
use super::json::{JsonFault, Kind, Scanner, Text, utf8};
use super::walk::{Leaf, Nesting, Sink, walk};
use crate::key::Span;
use crate::limits::{JSON_DEPTH_MAX, STRING_BYTES_MAX, TREE_TOPIC_BYTES_MAX};
use crate::wire::ReasonCode;

/// Why a tree publish is refused; nothing of it is applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub code: ReasonCode,
    /// Offset in the payload in bytes, where there is one.
    pub at: Option<usize>,
    /// What and where, in words: goes into reason strings and `$error` messages.
    pub what: String,
}

impl From<JsonFault> for Fault {
    fn from(fault: JsonFault) -> Fault {
        Fault {
            code: ReasonCode::PayloadFormatInvalid,
            at: Some(fault.at),
            what: format!("bad JSON at byte {}: {}", fault.at, fault.what),
        }
    }
}

/// Settings that bound one tree publish.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// `limits.tree_rows`
    pub rows: usize,
    /// `limits.topic_levels`
    pub levels: usize,
}

/// Appends the rows that `payload` spreads into: the index of the first in `into.rows`, and how many.
/// A topic that comes twice is two rows, in the order of the text. If it fails, `into` is as it was.
pub fn graft(pattern: &str, payload: &[u8], bounds: &Bounds, into: &mut Batch) -> Result<(u32, u32), Fault> {
    graft_to((pattern, false), payload, bounds, into)
}

fn graft_to(pattern: (&str, bool), payload: &[u8], bounds: &Bounds, into: &mut Batch) -> Result<(u32, u32), Fault> {
    let (rows, bytes) = (into.rows.len(), into.bytes.len());
    if let Err(fault) = spread(pattern, payload, bounds, into) {
        into.rows.truncate(rows);
        into.bytes.truncate(bytes);
        return Err(fault);
    }
    Ok((rows as u32, (into.rows.len() - rows) as u32))
}

/// The same where the wildcards are those that the pattern has: none is implied, and `*` is a level. Without any the
/// payload is the value of one row.
pub fn graft_as_written(pattern: &str, payload: &[u8], bounds: &Bounds, into: &mut Batch) -> Result<(u32, u32), Fault> {
    let parsed = Pattern::parse(pattern, bounds, true)?;
    if parsed.deep || !parsed.before.is_empty() {
        return graft_to((pattern, true), payload, bounds, into);
    }
    let mut scanner = Scanner::new(utf8(payload)?);
    scanner.white();
    let at = scanner.at;
    let kind = scanner.value(JSON_DEPTH_MAX)?;
    let raw = scanner.since(at);
    scanner.end()?;
    let leaf = match kind {
        Kind::String => Leaf { kind, raw: Text { at, raw: &raw[1..raw.len() - 1], escaped: raw.contains(&b'\\') } },
        _ => Leaf { kind, raw: Text { at, raw, escaped: false } },
    };
    let first = into.rows.len() as u32;
    let topic = into.keep(pattern.as_bytes());
    let start = into.bytes.len();
    let text = write_payload(leaf, &mut into.bytes);
    into.rows.push(Row { topic, payload: Span::new(start, into.bytes.len() - start), text });
    Ok((first, 1))
}

/// The object without its outermost member `"/": "+"`, which in the classic profile asks for `replace`, and whether it
/// had it. Offsets stay: blanks take its place.
pub fn without_replace(object: &[u8]) -> (Vec<u8>, bool) {
    let mut out = object.to_vec();
    let found = find_replace(object);
    if let Some((from, to)) = found {
        out[from..to].fill(b' ');
    }
    (out, found.is_some())
}

/// Where that member is, with one of the commas beside it. What is wrong with the object is found by others.
fn find_replace(object: &[u8]) -> Option<(usize, usize)> {
    let mut scanner = Scanner::new(utf8(object).ok()?);
    scanner.white();
    if scanner.peek() != b'{' {
        return None;
    }
    loop {
        let before = scanner.at; // the brace or a comma
        scanner.at += 1;
        scanner.white();
        let start = scanner.at;
        let key = scanner.key().ok()?;
        let value = scanner.at;
        scanner.skip().ok()?;
        let is_it = key.is(b"/") && scanner.since(value) == b"\"+\"";
        scanner.white();
        let has_next = scanner.peek() == b',';
        match (is_it, has_next) {
            (true, true) => return Some((start, scanner.at + 1)),
            (true, false) if before > 0 && object[before] == b',' => return Some((before, scanner.at)),
            (true, false) => return Some((start, scanner.at)),
            (false, true) => {}
            (false, false) => return None,
        }
    }
}

/// `is_exact`: wildcards are those that are written.
fn spread((pattern, is_exact): (&str, bool), payload: &[u8], bounds: &Bounds, into: &mut Batch) -> Result<(), Fault> {
    let pattern = Pattern::parse(pattern, bounds, is_exact)?;
    let nesting =
        Nesting { single: pattern.before.len(), deep: pattern.deep, is_marked: false, depth_max: JSON_DEPTH_MAX };
    let text = utf8(payload)?;
    // Payloads never take more than they take in JSON.
    let room = (u32::MAX as usize).saturating_sub(into.bytes.len() + payload.len());
    let mut graft = Graft {
        path: SmallVec::new(),
        joint: "",
        behind: "",
        marks: SmallVec::new(),
        rows_max: into.rows.len() + bounds.rows,
        topic_bytes_left: room.min(TREE_TOPIC_BYTES_MAX),
        levels_max: bounds.levels,
        pattern,
        into,
    };
    graft.begin();
    walk(text, nesting, &mut graft)
}

/// A pattern, cut at its wildcards.
struct Pattern<'p> {
    /// For each `+`: the text between it and the one before.
    before: SmallVec<[&'p str; 8]>,
    /// What follows the last `+`, without the `/#`.
    tail: &'p str,
    deep: bool,
    /// The pattern is `#` alone: the outermost nesting is no topic.
    bare: bool,
    /// Levels, without the `#`.
    levels: usize,
}

impl<'p> Pattern<'p> {
    /// `is_exact`: wildcards are those that are written.
    fn parse(text: &'p str, bounds: &Bounds, is_exact: bool) -> Result<Pattern<'p>, Fault> {
        let mut pattern = Pattern { before: SmallVec::new(), tail: text, deep: false, bare: false, levels: 0 };
        if text.is_empty() || text.starts_with('$') {
            return Err(bad_pattern("a tree's pattern is not empty and does not begin with $"));
        }
        let (mut at, mut from) = (0, 0);
        for level in text.split('/') {
            if pattern.deep {
                return Err(bad_pattern("# must be the last level of a pattern"));
            }
            let is_wild = matches!(level, "+" | "#") || !is_exact;
            match level {
                "+" | "*" if is_wild => {
                    pattern.before.push(&text[from..at]);
                    from = at + 1;
                }
                "#" | "**" if is_wild => {
                    pattern.deep = true;
                    pattern.bare = at == 0;
                    pattern.tail = &text[from..at.saturating_sub(1).max(from)];
                }
                _ if level.contains(['+', '#', '\0']) => {
                    return Err(bad_pattern("a wildcard must be a whole level of a pattern"));
                }
                _ => {}
            }
            pattern.levels += usize::from(!pattern.deep);
            at += level.len() + 1;
        }
        if !pattern.deep {
            pattern.tail = &text[from..];
            pattern.deep = pattern.before.is_empty() && !is_exact;
        }
        if pattern.levels > bounds.levels {
            return Err(bad_pattern("the pattern has too many levels"));
        }
        Ok(pattern)
    }
}

fn bad_pattern(what: &str) -> Fault {
    Fault { code: ReasonCode::TopicNameInvalid, at: None, what: format!("bad pattern: {what}") }
}

impl<'p> Pattern<'p> {
    /// What stands in a topic before and behind a key that has `depth` keys above it.
    fn around(&self, depth: usize) -> (&'p str, &'p str) {
        match self.before.get(depth) {
            Some(before) if depth + 1 == self.before.len() => (before, self.tail),
            Some(before) => (before, ""),
            None if depth == 0 && self.bare => ("", ""),
            None => ("/", ""),
        }
    }

    /// How many levels a topic has whose last key has `depth` keys above it: each key below the last `+` adds one.
    fn levels(&self, depth: usize) -> usize {
        self.levels + (depth + 1).saturating_sub(self.before.len())
    }

    /// Whether a key with `depth` keys above it begins its topic.
    fn begins(&self, depth: usize) -> bool {
        depth == 0 && (self.bare || self.before.first().is_some_and(|before| before.is_empty()))
    }
}

struct Graft<'a> {
    pattern: Pattern<'a>,
    /// What topics of the innermost nesting begin with, up to the key.
    path: SmallVec<[u8; 256]>,
    /// The end of `path` that is no part of the nesting's own topic.
    joint: &'a str,
    /// What follows the key.
    behind: &'a str,
    /// Where `path` ended before each nesting that is open.
    marks: SmallVec<[usize; JSON_DEPTH_MAX]>,
    into: &'a mut Batch,
    rows_max: usize,
    topic_bytes_left: usize,
    levels_max: usize,
}

impl Sink for Graft<'_> {
    type Fault = Fault;

    fn enter(&mut self, key: Text<'_>) -> Result<(), Fault> {
        let mut scratch = Vec::new();
        let level = unescaped(key, &mut scratch);
        self.check_key(key, level)?;
        self.marks.push(self.path.len());
        self.path.extend_from_slice(level);
        self.path.extend_from_slice(self.behind.as_bytes());
        (self.joint, self.behind) = self.pattern.around(self.marks.len());
        self.path.extend_from_slice(self.joint.as_bytes());
        Ok(())
    }

    fn leave(&mut self) {
        self.path.truncate(self.marks.pop().unwrap_or(0));
        (self.joint, self.behind) = self.pattern.around(self.marks.len());
    }

    fn leaf(&mut self, key: Text<'_>, leaf: Leaf<'_>) -> Result<(), Fault> {
        let mut scratch = Vec::new();
        let level = unescaped(key, &mut scratch);
        self.check_key(key, level)?;
        self.check_row(key, self.path.len() + level.len() + self.behind.len())?;
        let bytes = &mut self.into.bytes;
        let start = bytes.len();
        bytes.extend_from_slice(&self.path);
        bytes.extend_from_slice(level);
        bytes.extend_from_slice(self.behind.as_bytes());
        let topic = Span::new(start, bytes.len() - start);
        self.push(topic, leaf);
        Ok(())
    }

    fn own(&mut self, key: Text<'_>, leaf: Leaf<'_>) -> Result<(), Fault> {
        if self.pattern.bare && self.marks.is_empty() {
            return Err(bad_key(key, "stands for no topic: the pattern is # alone"));
        }
        let len = self.path.len() - self.joint.len();
        self.check_row(key, len)?;
        let topic = self.into.keep(&self.path[..len]);
        self.push(topic, leaf);
        Ok(())
    }
}

impl Graft<'_> {
    /// Stands in the outermost nesting.
    fn begin(&mut self) {
        if self.pattern.before.is_empty() {
            self.path.extend_from_slice(self.pattern.tail.as_bytes());
        }
        (self.joint, self.behind) = self.pattern.around(0);
        self.path.extend_from_slice(self.joint.as_bytes());
    }

    fn check_key(&self, key: Text<'_>, level: &[u8]) -> Result<(), Fault> {
        if level.iter().fold(false, |bad, &byte| bad | matches!(byte, b'/' | b'+' | b'#' | 0)) {
            return Err(bad_key(key, "is no topic level"));
        }
        let depth = self.marks.len();
        if self.pattern.levels(depth) > self.levels_max {
            return Err(bad_key(key, "makes a topic of too many levels"));
        }
        if self.pattern.begins(depth) && level.starts_with(b"$") {
            return Err(bad_key(key, "begins a topic with $"));
        }
        Ok(())
    }

    fn check_row(&mut self, key: Text<'_>, topic_bytes: usize) -> Result<(), Fault> {
        if topic_bytes == 0 {
            return Err(bad_key(key, "makes an empty topic"));
        }
        if topic_bytes > STRING_BYTES_MAX {
            return Err(bad_key(key, "makes a topic longer than 65535 bytes"));
        }
        if self.into.rows.len() >= self.rows_max {
            return Err(bad_key(key, "is one row more than limits.tree_rows"));
        }
        let Some(left) = self.topic_bytes_left.checked_sub(topic_bytes) else {
            return Err(bad_key(key, "makes the topics of this tree too long in sum"));
        };
        self.topic_bytes_left = left;
        Ok(())
    }

    fn push(&mut self, topic: Span, leaf: Leaf<'_>) {
        let bytes = &mut self.into.bytes;
        let start = bytes.len();
        let text = write_payload(leaf, bytes);
        let payload = Span::new(start, bytes.len() - start);
        self.into.rows.push(Row { topic, payload, text });
    }
}

/// Appends the payload that a leaf stands for, and says whether it is text.
fn write_payload(leaf: Leaf<'_>, out: &mut Vec<u8>) -> bool {
    let raw = leaf.raw;
    match leaf.kind {
        Kind::Null => {}
        // An empty payload would delete the row.
        Kind::String if raw.raw.is_empty() => out.extend_from_slice(b"\"\""),
        Kind::String => {
            raw.write(out);
            return true;
        }
        Kind::Object => match unwrap_binary(raw.raw) {
            Some(decoded) => out.extend_from_slice(&decoded),
            None => out.extend_from_slice(raw.raw),
        },
        Kind::Bool | Kind::Number | Kind::Array => out.extend_from_slice(raw.raw),
    }
    false
}

/// The bytes in `{"$b64":"…"}`, if that is what this valid object is and the base64 is canonical.
pub fn unwrap_binary(object: &[u8]) -> Option<Vec<u8>> {
    let mut scanner = Scanner::new(utf8(object).ok()?);
    scanner.at = 1;
    scanner.white();
    if !scanner.key().ok()?.is(b"$b64") || scanner.peek() != b'"' {
        return None;
    }
    let value = scanner.string().ok()?;
    scanner.white();
    if scanner.peek() != b'}' {
        return None;
    }
    let mut text = Vec::new();
    BASE64.decode(unescaped(value, &mut text)).ok()
}

fn unescaped<'t>(text: Text<'t>, scratch: &'t mut Vec<u8>) -> &'t [u8] {
    if !text.escaped {
        return text.raw;
    }
    text.write(scratch);
    scratch
}

/// Longer keys are cut in what is said about them.
const KEY_CHARS_SHOWN: usize = 60;

fn bad_key(key: Text<'_>, why: &str) -> Fault {
    let shown: String = String::from_utf8_lossy(key.raw).chars().take(KEY_CHARS_SHOWN).collect();
    let what = format!("key \"{shown}\" at byte {} {why}", key.at);
    Fault { code: ReasonCode::PayloadFormatInvalid, at: Some(key.at), what }
}
