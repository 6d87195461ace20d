//! Rows become the body of a frame: one JSON tree for one filter.
//!
//! A row's *path* is what the filter's wildcards stand for, each level behind a NUL (which no topic contains).
//! So paths compare bytewise as their levels do, a node comes before what is below it, and no level is not
//! the same as one empty level:
//!
//! ```text
//! filter a/+/b/#   topic a/x/b/y/z   path ␀x␀y␀z
//! filter a/#       topic a           path (empty)
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use smallvec::SmallVec;
use std::io::Write as _;

use super::json::{Kind, trim, validate_str, write_ascii_string, write_string_bytes};
use crate::dialect::Form;
use crate::limits::MERGE_SCRATCH_BYTES_MAX;

/// Gathers the rows of one frame. Kept and used again, so that it allocates nothing in steady state.
#[derive(Default)]
pub struct Merge {
    shape: Shape,
    form: Form,
    /// Path and payload of each row.
    bytes: Vec<u8>,
    rows: Vec<MergeRow>,
    /// Rows to sort, by the first bytes of their paths.
    order: Vec<Place>,
    sorted: Vec<MergeRow>,
    /// Whether the rows came in the order of their paths, each once.
    ascending: bool,
    /// Ends of the levels that are open, in the path of the row before.
    open: Vec<usize>,
    part: Part,
    held: Part,
    /// The filter, where frames have versions.
    filter: String,
    /// How far the frames are made, between two calls that make them.
    stand: Option<Stand>,
}

/// How far the frames of sorted rows are made.
#[derive(Default)]
struct Stand {
    row: usize,
    held_rows: Option<usize>,
    part_rows: usize,
    skipped: u32,
}

/// The trees of one frame. They nest alike.
#[derive(Default)]
struct Part {
    tree: Vec<u8>,
    /// With option `versions`, else nothing.
    versions: Vec<u8>,
}

/// One frame of several that the rows were split into.
pub struct Made<'a> {
    pub tree: &'a [u8],
    /// With option `versions`, else nothing.
    pub versions: &'a [u8],
    pub rows: usize,
    pub is_last: bool,
}

/// What is the version of the object at a topic? `None`: it does not lie in one group.
pub type Objects<'a> = &'a dyn Fn(&str) -> Option<u64>;

#[derive(Clone, Copy)]
struct MergeRow {
    start: usize,
    path_len: u32,
    payload_len: u32,
    text: bool,
    deleted: bool,
    version: u64,
}

#[derive(Clone, Copy)]
struct Place {
    prefix: u64,
    row: u32,
}

/// What a filter says about paths.
#[derive(Default)]
struct Shape {
    /// Bytes of the stem with its slash.
    stem: usize,
    /// The levels behind the stem, without the `#`: is it a `+`?
    levels: SmallVec<[bool; 16]>,
    /// How many of them are `+`.
    single: usize,
    deep: bool,
    wild: bool,
}

impl Shape {
    fn of(filter: &str) -> Shape {
        let mut shape = Shape::default();
        for level in filter.split('/') {
            match level {
                "+" => shape.levels.push(true),
                "#" => shape.deep = true,
                _ if shape.levels.is_empty() => shape.stem += level.len() + 1,
                _ => shape.levels.push(false),
            }
        }
        shape.single = shape.levels.iter().filter(|&&plus| plus).count();
        shape.wild = shape.deep || shape.single > 0;
        shape
    }

    /// Appends the path of `topic`.
    fn write_path(&self, topic: &str, out: &mut Vec<u8>) {
        // Only `a` under `a/#` is shorter than its stem.
        let Some(rest) = topic.as_bytes().get(self.stem..) else { return };
        if self.single == self.levels.len() {
            out.push(0);
            out.extend(rest.iter().map(|&b| if b == b'/' { 0 } else { b }));
            return;
        }
        for (index, level) in rest.split(|&b| b == b'/').enumerate() {
            if self.levels.get(index).copied().unwrap_or(self.deep) {
                out.push(0);
                out.extend_from_slice(level);
            }
        }
    }
}

/// What a payload is in a frame.
enum Value<'a> {
    Null,
    Json(&'a [u8], Kind),
    String(&'a str),
    Binary(&'a [u8]),
}

impl Value<'_> {
    fn of(payload: &[u8], text: bool, deleted: bool, form: Form) -> Value<'_> {
        if deleted {
            return Value::Null;
        }
        let Ok(utf8) = std::str::from_utf8(payload) else { return Value::Binary(payload) };
        if text || form.strings {
            return Value::String(utf8);
        }
        match validate_str(utf8) {
            Ok(Kind::Null) | Err(_) => Value::String(utf8),
            Ok(kind) => Value::Json(trim(payload), kind),
        }
    }

    /// Below a `#` an object is a nesting, so a value that is one goes under the key `/`.
    fn is_object(&self, form: Form) -> bool {
        match self {
            Value::Json(_, kind) => *kind == Kind::Object,
            Value::Binary(_) => !form.strings,
            Value::Null | Value::String(_) => false,
        }
    }

    fn write(&self, form: Form, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Json(json, _) => out.extend_from_slice(json),
            Value::String(text) => write_text(text.as_bytes(), form, out),
            Value::Binary(bytes) => {
                // Where every value is a string this is the wrapper's text.
                let quote: (&[u8], &[u8]) =
                    if form.strings { (b"\"{\\\"$b64\\\":\\\"", b"\\\"}\"") } else { (b"{\"$b64\":\"", b"\"}") };
                out.extend_from_slice(quote.0);
                write_base64(bytes, out);
                out.extend_from_slice(quote.1);
            }
        }
    }
}

/// A JSON string of bytes that are known to be UTF-8.
fn write_text(text: &[u8], form: Form, out: &mut Vec<u8>) {
    if form.classic { write_ascii_string(text, out) } else { write_string_bytes(text, out) }
}

/// Appends the value of a row that stands for itself, as JSON.
pub fn write_value(payload: &[u8], text: bool, out: &mut Vec<u8>) {
    Value::of(payload, text, false, Form::default()).write(Form::default(), out);
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written, Ok(out.len() - start));
}

impl Merge {
    pub fn new() -> Merge {
        Merge::default()
    }

    /// Begins a frame for `filter` as subscribed, without prefix.
    pub fn begin(&mut self, filter: &str, form: Form) {
        if self.scratch_bytes() > MERGE_SCRATCH_BYTES_MAX {
            *self = Merge::default();
        }
        self.shape = Shape::of(filter);
        self.form = form;
        self.bytes.clear();
        self.rows.clear();
        self.stand = None;
        self.ascending = true;
        self.filter.clear();
        if form.versions {
            self.filter.push_str(filter);
        }
    }

    fn scratch_bytes(&self) -> usize {
        let rows = self.rows.capacity() * size_of::<MergeRow>();
        let parts = [&self.part, &self.held].map(|part| part.tree.capacity() + part.versions.capacity());
        rows + self.bytes.capacity() + parts[0] + parts[1]
    }

    /// A row whose topic matches the filter. A later row of the same topic wins. `deleted`: a retained row
    /// is gone (`null`); an event with an empty payload is not deleted (`""`).
    pub fn row(&mut self, topic: &str, payload: &[u8], text: bool, deleted: bool) {
        self.row_at(topic, payload, text, deleted, 0);
    }

    /// The same with the version that the row has since, or was deleted with.
    pub fn row_at(&mut self, topic: &str, payload: &[u8], text: bool, deleted: bool, version: u64) {
        let start = self.bytes.len();
        if self.shape.wild {
            self.shape.write_path(topic, &mut self.bytes);
        }
        let path_len = self.bytes.len() - start;
        if self.ascending
            && let Some(last) = self.rows.last()
        {
            self.ascending = self.path(last) < &self.bytes[start..];
        }
        let payload = if deleted { &[] } else { payload };
        self.bytes.extend_from_slice(payload);
        let (path_len, payload_len) = (path_len as u32, payload.len() as u32);
        self.rows.push(MergeRow { start, path_len, payload_len, text, deleted, version });
    }

    /// Rows so far, those that a later one replaces included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Roughly what the body will take.
    pub fn body_bytes_estimate(&self) -> usize {
        const QUOTES_COLON_COMMA: usize = 6;
        self.bytes.len() + self.rows.len() * QUOTES_COLON_COMMA + 2
    }

    /// Appends the body, without versions: for a filter without wildcard the payload as it is (empty if deleted or
    /// missing; with `meta` its value, `null` if deleted or missing), else a JSON object.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.form.versions = false;
        if !self.shape.wild {
            return self.write_single(out);
        }
        self.sort();
        let mut open = std::mem::take(&mut self.open);
        let mut part = Part { tree: std::mem::take(out), versions: Vec::new() };
        open.clear();
        part.tree.push(b'{');
        for at in 0..self.rows.len() {
            self.write_row(at, &mut open, &mut part, &no_objects);
        }
        part.close(open.len());
        *out = part.tree;
        self.open = open;
    }

    /// Makes bodies of at most `bytes_max` bytes, each a tree of its own: `each(body, rows, is_last)`, at
    /// least once. Returns how many rows were left out because they alone do not fit. Where the payload for a
    /// filter without wildcard does not fit, the body is empty and says 0 rows.
    pub fn finish_split(&mut self, bytes_max: usize, mut each: impl FnMut(&[u8], usize, bool)) -> u32 {
        self.form.versions = false;
        self.finish_parts(bytes_max, &no_objects, |made| each(made.tree, made.rows, made.is_last))
    }

    /// The same with versions, where the form has them: both trees together take at most `bytes_max`.
    pub fn finish_parts(&mut self, bytes_max: usize, objects: Objects<'_>, each: impl FnMut(Made<'_>)) -> u32 {
        self.finish_some(usize::MAX, bytes_max, objects, each).unwrap_or_default()
    }

    /// The same, with so many more rows. `None`: there are rows left, and the next call goes on.
    pub fn finish_some(
        &mut self,
        rows_max: usize,
        bytes_max: usize,
        objects: Objects<'_>,
        mut each: impl FnMut(Made<'_>),
    ) -> Option<u32> {
        if !self.shape.wild {
            return Some(self.finish_single(bytes_max, each));
        }
        let mut open = std::mem::take(&mut self.open);
        let mut part = std::mem::take(&mut self.part);
        // A part is held until it is known that another follows: all rows left may be too large.
        let mut held = std::mem::take(&mut self.held);
        let mut stand = self.stand.take().unwrap_or_else(|| {
            self.sort();
            part.restart(&mut open, self.form);
            Stand::default()
        });
        let end = self.rows.len().min(stand.row.saturating_add(rows_max));
        for at in stand.row..end {
            if self.try_row(at, bytes_max, &mut open, &mut part, objects) {
                stand.part_rows += 1;
                continue;
            }
            if stand.part_rows > 0 {
                if let Some(rows) = stand.held_rows.replace(stand.part_rows) {
                    each(held.made(rows, false));
                }
                std::mem::swap(&mut held, &mut part);
                part.restart(&mut open, self.form);
                if self.try_row(at, bytes_max, &mut open, &mut part, objects) {
                    stand.part_rows = 1;
                    continue;
                }
                stand.part_rows = 0;
            }
            stand.skipped += 1;
            part.restart(&mut open, self.form);
        }
        stand.row = end;
        let is_over = end == self.rows.len();
        if is_over {
            part.close(open.len());
            if let Some(rows) = stand.held_rows {
                each(held.made(rows, stand.part_rows == 0));
            }
            if stand.held_rows.is_none() || stand.part_rows > 0 {
                each(part.made(stand.part_rows, true));
            }
        }
        let skipped = stand.skipped;
        self.stand = (!is_over).then_some(stand);
        (self.open, self.part, self.held) = (open, part, held);
        is_over.then_some(skipped)
    }

    fn finish_single(&mut self, bytes_max: usize, mut each: impl FnMut(Made<'_>)) -> u32 {
        let mut part = std::mem::take(&mut self.part);
        self.write_single_part(&mut part);
        let is_skipped = part.len() > bytes_max && !self.rows.is_empty();
        if is_skipped {
            self.rows.clear();
            self.write_single_part(&mut part);
        }
        each(part.made(usize::from(!self.rows.is_empty()), true));
        self.part = part;
        u32::from(is_skipped)
    }

    fn write_single_part(&self, part: &mut Part) {
        part.clear();
        self.write_single(&mut part.tree);
        if self.form.versions {
            write_number(self.rows.last().map_or(0, |row| row.version), &mut part.versions);
        }
    }

    fn write_single(&self, out: &mut Vec<u8>) {
        let row = self.rows.last();
        if self.form.meta {
            let value = row.map(|row| Value::of(self.payload(row), row.text, row.deleted, self.form));
            return value.unwrap_or(Value::Null).write(self.form, out);
        }
        out.extend_from_slice(row.map_or(&[], |row| self.payload(row)));
    }

    fn path(&self, row: &MergeRow) -> &[u8] {
        &self.bytes[row.start..row.start + row.path_len as usize]
    }

    fn payload(&self, row: &MergeRow) -> &[u8] {
        let start = row.start + row.path_len as usize;
        &self.bytes[start..start + row.payload_len as usize]
    }

    /// Brings the rows into the order of their paths and keeps the last of each path.
    fn sort(&mut self) {
        if self.ascending {
            return;
        }
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(
            self.rows
                .iter()
                .enumerate()
                .map(|(row, entry)| Place { prefix: prefix(self.path(entry)), row: row as u32 }),
        );
        order.sort_unstable_by(|a, b| {
            let paths = || self.path_of(a).cmp(self.path_of(b));
            a.prefix.cmp(&b.prefix).then_with(paths).then(a.row.cmp(&b.row))
        });
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        for (at, place) in order.iter().enumerate() {
            let replaced = order.get(at + 1).is_some_and(|next| self.path_of(next) == self.path_of(place));
            if !replaced {
                sorted.push(self.rows[place.row as usize]);
            }
        }
        self.sorted = std::mem::replace(&mut self.rows, sorted);
        self.order = order;
        self.ascending = true;
    }

    fn path_of(&self, place: &Place) -> &[u8] {
        self.path(&self.rows[place.row as usize])
    }

    /// Writes the row if the part, closed, is then at most `bytes_max` long; else closes the part without it.
    fn try_row(
        &self,
        at: usize,
        bytes_max: usize,
        open: &mut Vec<usize>,
        part: &mut Part,
        objects: Objects<'_>,
    ) -> bool {
        let (tree_len, versions_len, depth) = (part.tree.len(), part.versions.len(), open.len());
        self.write_row(at, open, part, objects);
        let braces = (open.len() + 1) * (1 + usize::from(self.form.versions));
        let closed = part.len() + braces;
        if closed > bytes_max {
            part.tree.truncate(tree_len);
            part.versions.truncate(versions_len);
            part.close(depth);
        }
        closed <= bytes_max
    }

    /// Writes one row into an open tree: closes and opens nestings as needed between the row before and this.
    fn write_row(&self, at: usize, open: &mut Vec<usize>, part: &mut Part, objects: Objects<'_>) {
        let row = &self.rows[at];
        let path = self.path(row);
        let form = self.form;
        let value = Value::of(self.payload(row), row.text, row.deleted, form);
        let has_below = self.shape.deep && self.has_below(at, path);
        // Every row of such a filter is where the `#` stands or below.
        let own = self.shape.deep && (has_below || value.is_object(form));
        let common = match at.checked_sub(1) {
            Some(before) => common_levels(open, self.path(&self.rows[before]), path),
            None => 0,
        };
        let mut from = open[..common].last().copied().unwrap_or(0);
        if form.versions {
            part.leave_versions(open.len() - common);
            if part.versions.len() == 1 && (has_below || !path.is_empty()) {
                self.write_object(&[], objects, &mut part.versions);
            }
            self.write_version(row, (from, own, has_below), objects, &mut part.versions);
        }
        let out = &mut part.tree;
        out.resize(out.len() + open.len() - common, b'}');
        open.truncate(common);
        while from < path.len() {
            let end = level_end(path, from);
            write_key(&path[from + 1..end], form, out);
            if end < path.len() || own {
                out.push(b'{');
                open.push(end);
            }
            from = end;
        }
        if own || path.is_empty() {
            write_key(b"/", form, out);
        }
        value.write(form, out);
    }

    /// The same for the tree of versions, behind the nestings that go on.
    fn write_version(
        &self,
        row: &MergeRow,
        (mut from, own, has_below): (usize, bool, bool),
        objects: Objects<'_>,
        out: &mut Vec<u8>,
    ) {
        let (path, form) = (self.path(row), self.form);
        while from < path.len() {
            let end = level_end(path, from);
            write_key(&path[from + 1..end], form, out);
            if end < path.len() || own {
                out.push(b'{');
            }
            if end < path.len() || has_below {
                self.write_object(&path[..end], objects, out);
            }
            from = end;
        }
        if own || path.is_empty() {
            write_key(b"/", form, out);
        }
        write_number(row.version, out);
    }

    /// The version of the object that the nesting with this path stands for, where it has one.
    fn write_object(&self, path: &[u8], objects: Objects<'_>, out: &mut Vec<u8>) {
        let keys = path.split(|&b| b == 0).skip(1).map(|key| std::str::from_utf8(key).unwrap_or_default());
        let version = object_of(self.filter.split('/'), keys).and_then(|object| objects(&object));
        if let Some(version) = version {
            write_key(b"#", self.form, out);
            write_number(version, out);
        }
    }

    /// Whether the row after this is below it: at once behind it, as the paths are sorted.
    fn has_below(&self, at: usize, path: &[u8]) -> bool {
        self.rows.get(at + 1).is_some_and(|next| {
            let next = self.path(next);
            next.len() > path.len() && next.starts_with(path) && next[path.len()] == 0
        })
    }
}

/// The topic whose object a nesting stands for: the filter with the keys of the nestings around it for its wildcards,
/// up to the next wildcard. `None`: no topic, since the filter begins with that.
pub(super) fn object_of<'a>(
    levels: impl Iterator<Item = &'a str>,
    mut keys: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let mut topic: Vec<&str> = Vec::new();
    for level in levels {
        match level {
            "#" => topic.extend(keys.by_ref()),
            "+" => match keys.next() {
                Some(key) => topic.push(key),
                None => break,
            },
            literal => topic.push(literal),
        }
    }
    Some(topic.join("/")).filter(|topic| !topic.is_empty())
}

/// How many of the open levels of `before` are levels of `path` too.
fn common_levels(open: &[usize], before: &[u8], path: &[u8]) -> usize {
    let shares = |end: usize| path.len() > end && path[end] == 0 && path[..end] == before[..end];
    // Mostly a sibling of the row before.
    if open.last().is_none_or(|&end| shares(end)) {
        return open.len();
    }
    open.partition_point(|&end| shares(end))
}

/// Where the level ends whose NUL is at `from`.
fn level_end(path: &[u8], from: usize) -> usize {
    path[from + 1..].iter().position(|&b| b == 0).map_or(path.len(), |len| from + 1 + len)
}

/// The eight bytes behind the first NUL, as a number that sorts as they do.
fn prefix(path: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let rest = path.get(1..).unwrap_or_default();
    let len = rest.len().min(8);
    bytes[..len].copy_from_slice(&rest[..len]);
    u64::from_be_bytes(bytes)
}

fn write_key(level: &[u8], form: Form, out: &mut Vec<u8>) {
    let (comma, colon): (&[u8], &[u8]) = if form.classic { (b", ", b": ") } else { (b",", b":") };
    // No value ends in an opening brace.
    if out.last() != Some(&b'{') {
        out.extend_from_slice(comma);
    }
    write_text(level, form, out);
    out.extend_from_slice(colon);
}

fn write_number(number: u64, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{number}");
}

fn no_objects(_: &str) -> Option<u64> {
    None
}

impl Part {
    fn len(&self) -> usize {
        self.tree.len() + self.versions.len()
    }

    fn clear(&mut self) {
        self.tree.clear();
        self.versions.clear();
    }

    /// Begins another.
    fn restart(&mut self, open: &mut Vec<usize>, form: Form) {
        open.clear();
        self.clear();
        self.tree.push(b'{');
        if form.versions {
            self.versions.push(b'{');
        }
    }

    fn leave_versions(&mut self, nestings: usize) {
        self.versions.resize(self.versions.len() + nestings, b'}');
    }

    /// Closes the open nestings and the trees.
    fn close(&mut self, open: usize) {
        self.tree.resize(self.tree.len() + open + 1, b'}');
        if !self.versions.is_empty() {
            self.leave_versions(open + 1);
        }
    }

    fn made(&self, rows: usize, is_last: bool) -> Made<'_> {
        Made { tree: &self.tree, versions: &self.versions, rows, is_last }
    }
}
