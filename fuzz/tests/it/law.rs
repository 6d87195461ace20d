//! The law of trees: published retained and read back by `sync` over the same pattern, a tree is the same JSON value, but
//! for `null` leaves, empty nestings and keys that came twice.

use super::*;
use engine::dialect::Form;
use engine::key::GroupId;
use engine::row::batch::Batch;
use engine::row::change::Kept;
use engine::row::fold::State;
use engine::row::graft::{Bounds, graft};
use engine::row::merge::Merge;
use engine::row::retained::{Retained, Walk};
use engine::topic::Interner;
use fuzz::model::frame::{Seen, rows};
use fuzz::model::json::{Value, What, parse, quoted};
use fuzz::rng::Rng;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const PATTERNS: [&str; 10] = ["l/#", "l/+", "l/+/#", "l/+/x/+", "+/x", "#", "l/+/+", "+/#", "+/+/x/#", "/+"];
const KEYS: [&str; 12] = ["a", "b", "x", "ä", "", "q\"q", "日本", " ", "0", "$b64", "\\u0041", "\\n"];

/// Random trees.
struct Trees(Rng);

impl Trees {
    fn leaf(&mut self, is_deep: bool) -> String {
        let kinds = if is_deep { 12 } else { 16 };
        let leaf = match self.0.below(kinds) {
            0 => "null",
            1 => "\"\"",
            2 => "true",
            3 => "-0.00e+7",
            4 => "123456789012345678901234567890.5",
            5 => "[ 1, {\"a\" : null} ]",
            6 => "\"text \\u0000 \\ud83d\\ude00 \\/ \\\"\"",
            7 => "\"null\"",
            8 => "\" 5\"",
            9 => "\"{\\\"$b64\\\":1}\"",
            10 => "[]",
            11 => return self.0.draw().to_string(),
            12 => "{}",
            13 => "{ \"any\" : [\"thing\"] , \"/\":1 }",
            14 => "{\"$b64\":\"AP8=\"}",
            _ => "{\"$b64\":\"AP8\"}",
        };
        leaf.to_string()
    }

    fn tree(&mut self, levels: &[&str], is_outermost: bool, depth: usize) -> String {
        let Some(at) = levels.iter().position(|level| ["+", "#"].contains(level)) else { return self.leaf(false) };
        let below = &levels[at + 1..];
        let is_deep = levels[at] == "#";
        let mut fields = Vec::new();
        for _ in 0..self.0.below(5) {
            let key = *self.0.pick(&KEYS);
            if is_outermost && at == 0 && (key.starts_with('$') || key.is_empty()) {
                continue;
            }
            let value = match () {
                () if is_deep && depth < 6 && self.0.once_in(3) => self.tree(&["#"], false, depth + 1),
                () if is_deep || (below == ["#"] && self.0.once_in(2)) => self.leaf(true),
                () => self.tree(below, false, depth + 1),
            };
            let key = if key.starts_with('\\') { format!("\"{key}\"") } else { quoted(key) };
            fields.push(format!("{key} :{value}"));
        }
        if is_deep && !(is_outermost && at == 0) && self.0.once_in(4) {
            fields.push(format!("\"/\":{}", self.leaf(false)));
        }
        format!("{{{} }}", fields.join(" ,"))
    }
}

/// The value at each topic, the last of each; a leaf that deletes leaves none.
fn told(pattern: &str, tree: &Value) -> BTreeMap<String, Value> {
    let mut told = BTreeMap::new();
    for (topic, seen) in rows(pattern, true, tree) {
        match seen {
            Some(Seen::Json(value)) => told.insert(topic, value),
            _ => told.remove(&topic),
        };
    }
    told
}

/// The same JSON value: numbers, arrays and objects as they were written, texts by what they say.
fn is_same(a: &Value, b: &Value) -> bool {
    match (&a.what, &b.what) {
        (What::Text(a), What::Text(b)) => a == b,
        (What::Object(a), What::Object(b)) if matches!(&a[..], [(key, _)] if key == "$b64") => {
            a.len() == b.len() && a.iter().zip(b).all(|((_, a), (_, b))| a.text() == b.text())
        }
        _ => a.raw == b.raw,
    }
}

fn assert_law(pattern: &str, tree: &str, read: &[u8]) {
    let (published, read) = (parse(tree.as_bytes()).unwrap(), parse(read).unwrap());
    let (want, got) = (told(pattern, &published), told(pattern, &read));
    let is_same = want.keys().eq(got.keys()) && want.values().zip(got.values()).all(|(a, b)| is_same(a, b));
    assert!(is_same, "{pattern} {tree}\nreads back as {}", read.raw);
}

/// A tree becomes rows, the rows are retained, walked, and merged.
fn there_and_back(pattern: &str, tree: &str) -> Vec<u8> {
    let mut batch = Batch::default();
    let bounds = Bounds { rows: 65_536, levels: 128 };
    graft(pattern, tree.as_bytes(), &bounds, &mut batch).unwrap_or_else(|fault| panic!("{pattern} {tree}: {fault:?}"));
    let (mut interner, mut retained) = (Interner::new(1), Retained::new(1));
    for (at, row) in batch.rows.iter().enumerate() {
        let (topic, payload) = (row.topic.of(&batch.bytes), row.payload.of(&batch.bytes));
        let (topic, version) = (std::str::from_utf8(topic).unwrap(), at as u64 + 1);
        if payload.is_empty() {
            retained.remove(&interner, topic, version, version, 0);
        } else {
            let (qos, text) = (Q0, row.text);
            let kept = Kept { topic, payload, properties: &[], qos, text, expires_at_ms: 0, version };
            retained.put(&mut interner, GroupId(1), kept, version);
        }
    }
    let mut merge = Merge::new();
    merge.begin(pattern, Form::default());
    retained.walk(&interner, pattern, &mut Walk::new(), usize::MAX, |row| {
        merge.row(row.topic, row.payload, row.text, false);
        ControlFlow::Continue(())
    });
    let mut body = Vec::new();
    merge.finish(&mut body);
    body
}

#[test]
fn a_hundred_thousand_trees_read_back_are_what_was_published() {
    // [MOTE-3.14]
    let mut trees = Trees(Rng::new(3));
    let mut rows = 0;
    for number in 0..100_000 {
        let pattern = PATTERNS[number % PATTERNS.len()];
        let levels: Vec<&str> = pattern.split('/').collect();
        let tree = trees.tree(&levels, true, 0);
        let body = there_and_back(pattern, &tree);
        assert_law(pattern, &tree, &body);
        let mut state = State::new(pattern);
        state.fold(&body).unwrap();
        rows += state.rows().count();
    }
    assert!(rows > 200_000, "{rows} rows");
}

#[test]
fn trees_read_back_over_the_whole_broker_are_what_was_published() {
    // [MOTE-3.14]
    let mut trees = Trees(Rng::new(4));
    for (version, shards) in [(V311, 1), (V5, 3)] {
        for pattern in PATTERNS {
            let mut world = World::new(Plan { piece_bytes_max: 65_536, ..Plan::new(5, shards) });
            let publisher = client(&mut world, version, "p");
            let reader = client(&mut world, version, "r");
            let levels: Vec<&str> = pattern.split('/').collect();
            for _ in 0..15 {
                let kept: Vec<String> = world.twin.rows().keys().cloned().collect();
                kept.iter().for_each(|topic| publish(&mut world, publisher, message(topic, "").retained()));
                let tree = trees.tree(&levels, true, 0);
                publish(&mut world, publisher, message(&format!("$tree/{pattern}"), &tree).qos(Q1).retained());
                world.subscribe(reader, &format!("$sync/{pattern}"), Q1);
                world.run_until_quiet();
                let mut state = State::new(pattern);
                world.messages(reader).iter().for_each(|frame| state.fold(&frame.payload).unwrap());
                let mut read = Vec::new();
                state.to_json(&mut read);
                assert_law(pattern, &tree, &read);
            }
        }
    }
}
