//! Frames as a person reads them: folded, as indented JSON, with what is new since the last time in colour.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use engine::row::fold::State;
use engine::row::json::write_string;

use super::{Failure, Outcome};

/// What is known of the rows of one filter, and of its frames.
pub(super) struct Shown {
    filter: String,
    state: State,
    /// Frames tell versions, and they are shown.
    versions: bool,
    /// Topic and value of each row when it was last shown; none before the first time.
    before: Option<BTreeMap<String, Vec<u8>>>,
    /// The number that the next frame has.
    next: Option<u64>,
}

/// What a frame says about itself, as far as a person is concerned.
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    is_event: bool,
    /// More of the same follows: it is shown with that.
    goes_on: bool,
    n: Option<u64>,
}

impl<'a> Words<'a> {
    /// `property`: the user property `mote`; without it the payload may say the same.
    pub(super) fn of(property: Option<&'a str>, payload: &'a [u8]) -> Words<'a> {
        let wrapped = || {
            let words = payload.strip_prefix(b"{\"mote\":\"")?;
            let end = words.iter().position(|byte| *byte == b'"')?;
            std::str::from_utf8(&words[..end]).ok()
        };
        let text = property.or_else(wrapped).unwrap_or_default();
        let mut words = text.split(';').skip(1);
        let kind = words.next().unwrap_or_default();
        let n = words.clone().find_map(|word| word.strip_prefix("n=")).and_then(|n| n.parse().ok());
        let goes_on = kind == "part" || words.any(|word| word == "more");
        Words { text, is_event: kind == "event", goes_on, n }
    }

    /// The last or only part of a snapshot.
    pub(super) fn is_snap(&self) -> bool {
        self.text.starts_with("frame;snap")
    }
}

impl Shown {
    /// `is_wrapped`: frames have option `meta`.
    pub(super) fn new(filter: &str, is_wrapped: bool, versions: bool) -> Shown {
        let state = if is_wrapped { State::of_wrapped(filter) } else { State::new(filter) };
        Shown { filter: filter.to_owned(), state, versions, before: None, next: None }
    }

    /// Takes in a frame; appends what is to be shown of it, if anything is. True: something was.
    pub(super) fn take(&mut self, words: &Words<'_>, payload: &[u8], colour: bool, to: &mut Vec<u8>) -> Outcome<bool> {
        self.count(words);
        if words.is_event {
            to.extend_from_slice(b"event ");
            to.extend_from_slice(payload);
            to.push(b'\n');
            return Ok(true);
        }
        let unfoldable =
            |fault| Failure::new(format_args!("the broker sent what is no frame of {}: {fault:?}", self.filter));
        self.state.fold_frame(words.text, payload).map_err(unfoldable)?;
        if words.goes_on {
            return Ok(false);
        }
        self.show(colour, to);
        Ok(true)
    }

    /// Frames are numbered without gaps.
    fn count(&mut self, words: &Words<'_>) {
        if let (Some(next), Some(n)) = (self.next, words.n)
            && n > next
        {
            eprintln!("mote: {} frames of {} were lost", n - next, crate::logs::Escaped(&self.filter));
        }
        self.next = words.n.map(|n| n + 1);
    }

    fn show(&mut self, colour: bool, to: &mut Vec<u8>) {
        let rows: BTreeMap<String, Vec<u8>> =
            self.state.rows().map(|(topic, value)| (topic.to_owned(), value.to_vec())).collect();
        let mut entries = Vec::new();
        let is_wild = self.filter.split('/').any(|level| matches!(level, "+" | "#"));
        if !is_wild && !self.versions {
            let mark = mark(self.before.as_ref(), &self.filter, rows.get(&self.filter));
            let value = rows.get(&self.filter).map_or(&b""[..], Vec::as_slice);
            write_line(&Line { depth: 0, text: value.to_vec(), comma: false, mark }, colour, to);
        } else {
            let roots: &[&str] = if self.versions { &["tree"] } else { &[] };
            for (topic, value) in &rows {
                let mark = mark(self.before.as_ref(), topic, Some(value));
                entries.push(Entry { path: path(roots, &self.filter, topic), value: value.clone(), mark });
            }
            // What is gone is shown once, where colours tell that it is not part of the state.
            let gone = self.before.iter().flatten().filter(|(topic, _)| colour && !rows.contains_key(*topic));
            for (topic, value) in gone {
                let path = path(roots, &self.filter, topic);
                entries.push(Entry { path, value: value.clone(), mark: Mark::Deleted });
            }
            if self.versions {
                for (topic, version) in self.state.versions() {
                    let path = path(&["versions"], &self.filter, topic);
                    entries.push(Entry { path, value: version.to_string().into_bytes(), mark: Mark::Same });
                }
                for (topic, version) in self.state.objects() {
                    let mut path = path(&["versions"], &self.filter, topic);
                    path.push("#".to_owned()); // as the frames say it
                    entries.push(Entry { path, value: version.to_string().into_bytes(), mark: Mark::Same });
                }
            }
            let is_deep = self.filter.ends_with('#');
            for line in lines(entries, is_deep) {
                write_line(&line, colour, to);
            }
        }
        self.before = Some(rows);
    }
}

/// Whether what is printed may have colours: on a terminal, unless its user wants none (no-color.org).
pub(super) fn has_colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !unwanted
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Same,
    Added,
    Changed,
    Deleted,
}

fn mark(before: Option<&BTreeMap<String, Vec<u8>>>, topic: &str, now: Option<&Vec<u8>>) -> Mark {
    let Some(before) = before else { return Mark::Same };
    match (before.get(topic), now) {
        (None, Some(_)) => Mark::Added,
        (Some(_), None) => Mark::Deleted,
        (old, new) if old == new => Mark::Same,
        _ => Mark::Changed,
    }
}

/// A value and the keys that lead to it.
struct Entry {
    path: Vec<String>,
    value: Vec<u8>,
    mark: Mark,
}

struct Line {
    depth: usize,
    text: Vec<u8>,
    comma: bool,
    mark: Mark,
}

/// The keys of a topic: what stands in it for the wildcards of its filter.
fn path(roots: &[&str], filter: &str, topic: &str) -> Vec<String> {
    let mut path: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    let mut levels = topic.split('/');
    for level in filter.split('/') {
        match level {
            "#" => path.extend(levels.by_ref().map(str::to_owned)),
            "+" => path.extend(levels.next().map(str::to_owned)),
            _ => drop(levels.next()),
        }
    }
    path
}

/// Indented JSON: a line for each value, brace and nesting.
fn lines(mut entries: Vec<Entry>, is_deep: bool) -> Vec<Line> {
    entries.sort_by(|a, b| a.path.cmp(&b.path)); // a node comes before what is below it
    // Below a `#` an object is a nesting, so what is one itself stands under "/", as does the value of a node.
    for at in 0..entries.len() {
        let has_below = entries.get(at + 1).is_some_and(|next| next.path.starts_with(&entries[at].path));
        let Entry { path, value, .. } = &mut entries[at];
        if path.is_empty() || is_deep && (has_below || value.first() == Some(&b'{')) {
            path.push("/".to_owned());
        }
    }
    let (mut lines, mut open) = (Vec::new(), Vec::<String>::new());
    let mut has_items = vec![false];
    lines.push(Line { depth: 0, text: b"{".to_vec(), comma: false, mark: Mark::Same });
    for Entry { path, value, mark } in entries {
        let Some((key, nestings)) = path.split_last() else { continue };
        let common = open.iter().zip(nestings).take_while(|(a, b)| a == b).count();
        close(&mut lines, &mut open, &mut has_items, common);
        for nesting in &nestings[common..] {
            begin_item(&mut lines, &mut has_items);
            let text = [keyed(nesting), b"{".to_vec()].concat();
            lines.push(Line { depth: open.len() + 1, text, comma: false, mark: Mark::Same });
            open.push(nesting.clone());
            has_items.push(false);
        }
        begin_item(&mut lines, &mut has_items);
        let text = [keyed(key), value].concat();
        lines.push(Line { depth: open.len() + 1, text, comma: false, mark });
    }
    close(&mut lines, &mut open, &mut has_items, 0);
    match lines.len() {
        1 => lines[0].text.push(b'}'),
        _ => lines.push(Line { depth: 0, text: b"}".to_vec(), comma: false, mark: Mark::Same }),
    }
    lines
}

/// Ends the nestings that are open beyond so many.
fn close(lines: &mut Vec<Line>, open: &mut Vec<String>, has_items: &mut Vec<bool>, left: usize) {
    while open.len() > left {
        open.pop();
        has_items.pop();
        lines.push(Line { depth: open.len() + 1, text: b"}".to_vec(), comma: false, mark: Mark::Same });
    }
}

/// A comma behind the item before, which ends with the last line.
fn begin_item(lines: &mut [Line], has_items: &mut [bool]) {
    if let (Some(has_items), Some(line)) = (has_items.last_mut(), lines.last_mut()) {
        line.comma = std::mem::replace(has_items, true);
    }
}

fn keyed(key: &str) -> Vec<u8> {
    let mut text = Vec::new();
    write_string(key, &mut text);
    text.extend_from_slice(b": ");
    text
}

fn write_line(line: &Line, colour: bool, to: &mut Vec<u8>) {
    let begin: &[u8] = match line.mark {
        _ if !colour => b"",
        Mark::Same => b"",
        Mark::Added => b"\x1b[32m",
        Mark::Changed => b"\x1b[33m",
        Mark::Deleted => b"\x1b[31m",
    };
    to.extend_from_slice(begin);
    // The sign stands in the indentation, for who sees no colours.
    let sign = if line.mark == Mark::Deleted && colour { "- " } else { "  " };
    to.extend_from_slice("  ".repeat(line.depth.saturating_sub(1)).as_bytes());
    to.extend_from_slice(if line.depth > 0 { sign.as_bytes() } else { b"" });
    to.extend_from_slice(&line.text);
    to.extend_from_slice(if line.comma { b"," } else { b"" });
    to.extend_from_slice(if begin.is_empty() { b"" } else { b"\x1b[0m" });
    to.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(frames: &[(&str, &str)], filter: &str, colour: bool) -> Vec<String> {
        let mut shown = Shown::new(filter, false, false);
        let each = |(words, body): &(&str, &str)| {
            let mut out = Vec::new();
            shown.take(&Words::of(Some(words), body.as_bytes()), body.as_bytes(), colour, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        frames.iter().map(each).collect()
    }

    #[test]
    fn a_state_is_indented_json() {
        let frames = [
            ("frame;part;n=0", r#"{"b":{"x":1}}"#),
            ("frame;snap;n=1", r#"{"a":{"/":0,"y":[1,2],"z":{"/":{"k":1}}},"c":"t"}"#),
            ("frame;event;n=2", r#"{"e":1}"#),
            ("frame;live;n=3", r#"{"a":{"/":null,"y":null,"z":null},"b":{"x":null},"c":null}"#),
        ];
        let state = "{\n  \"a\": {\n    \"/\": 0,\n    \"y\": [1,2],\n    \"z\": {\n      \"/\": {\"k\":1}\n    }\n  },\n  \"b\": {\n    \"x\": 1\n  },\n  \"c\": \"t\"\n}\n";
        assert_eq!(shown(&frames, "r/#", false), ["", state, "event {\"e\":1}\n", "{}\n"]);
        assert_eq!(shown(&[("frame;live;n=0", "55")], "a/b", false), ["55\n"]);
        assert_eq!(shown(&[("frame;snap;n=0", "{\"a\":{\"/\":1}}")], "r/+", false), ["{\n  \"a\": {\"/\":1}\n}\n"]);
        assert_eq!(shown(&[("frame;snap;n=0", "{\"/\":1}")], "r/#", false), ["{\n  \"/\": 1\n}\n"]);
    }

    #[test]
    fn what_is_new_is_coloured_and_what_is_gone_shown_once() {
        let frames = [
            ("frame;snap;n=0", r#"{"a":1,"b":2,"c":3}"#),
            ("frame;live;n=1", r#"{"a":null,"b":5,"d":4}"#),
            ("frame;live;n=2", "{}"),
        ];
        let second =
            "{\n\x1b[31m- \"a\": 1,\x1b[0m\n\x1b[33m  \"b\": 5,\x1b[0m\n  \"c\": 3,\n\x1b[32m  \"d\": 4\x1b[0m\n}\n";
        let same = |a: &str| format!("{{\n{a}}}\n");
        let want = [
            same("  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n"),
            second.to_owned(),
            same("  \"b\": 5,\n  \"c\": 3,\n  \"d\": 4\n"),
        ];
        assert_eq!(shown(&frames, "r/+", true), want);
    }

    #[test]
    fn versions_are_shown_beside_the_tree() {
        let mut shown = Shown::new("r/+", true, true);
        let body = br#"{"mote":"frame;snap;n=0","tree":{"a":1},"versions":{"a":7}}"#;
        let mut out = Vec::new();
        let words = Words::of(None, body);
        assert!(words.is_snap());
        shown.take(&words, body, false, &mut out).unwrap();
        let want = "{\n  \"tree\": {\n    \"a\": 1\n  },\n  \"versions\": {\n    \"a\": 7\n  }\n}\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
