//! Random publishes.

use super::{Condition, Op, Verb, base64, stem};
use crate::rng::Rng;

pub const ROOTS: [&str; 4] = ["a", "b", "c", "d"];
const KEYS: [&str; 3] = ["1", "2", "x"];
const PATTERNS: [&str; 14] =
    ["a", "b", "c/1", "a/#", "b/**", "a/+", "d/*", "+/1", "#", "b/+/x", "a/1", "*/+/x", "c/+/#", "d/x/+"];
pub const FILTERS: [&str; 16] = [
    "#", "+/+", "+/#", "a/#", "b/#", "c/+", "a/1", "b", "+/1", "+/+/x", "a/+/#", "d/x/#", "d/+", "b/+/x", "a/1/#", "+",
];

/// Nestings of a tree: its longest row fits the smallest frame.
const DEPTH_MAX: usize = 4;

/// Makes publishes, each value another than all before.
pub struct Writer {
    pub rng: Rng,
    tag: u64,
}

impl Writer {
    pub fn new(seed: u64) -> Writer {
        Writer { rng: Rng::new(seed ^ 0x77), tag: 1_000 }
    }

    fn tag(&mut self) -> u64 {
        self.tag += 1;
        self.tag
    }

    fn topic(&mut self) -> String {
        let mut topic = self.rng.pick(&ROOTS).to_string();
        for _ in 0..self.rng.below(3) {
            topic = format!("{topic}/{}", self.rng.pick(&KEYS));
        }
        topic
    }

    /// A payload and whether its Content Type says that it is text.
    fn payload(&mut self) -> (Vec<u8>, bool) {
        let tag = self.tag();
        let text = match self.rng.below(12) {
            0 | 1 => String::new(),
            2 => format!("plain \"text\" {tag}\n"),
            3 => format!("{{\"v\":{tag},\"w\":[ 1 ]}}"),
            4 => format!("[{tag}, null]"),
            5 => format!(" {tag}.50e0\n"),
            6 => format!("\"quoted \\u00e4 {tag}\""),
            7 => return (format!("{tag}").into_bytes(), true),
            8 => return ([&[0xff, 0x00][..], tag.to_string().as_bytes()].concat(), false),
            9 => format!("{{\"broken\":{tag}"),
            10 => format!("\"\\ud800 {tag}\""),
            _ => tag.to_string(),
        };
        (text.into_bytes(), false)
    }

    /// A value of a tree that is no nesting; an object only where one can be a value.
    fn leaf(&mut self, is_deep: bool) -> String {
        let tag = self.tag();
        match self.rng.below(10) {
            0 | 1 => "null".to_string(),
            2 => format!("\"text {tag} \\n \\u0041\""),
            3 => format!("[{tag}]"),
            4 => format!("-{tag}.25E+1"),
            5 if !is_deep => format!("{{ \"an\": {{\"object\":{tag}}} }}"),
            6 if !is_deep => format!("{{\"$b64\":\"{}\"}}", base64(&[&[0xfe], tag.to_string().as_bytes()].concat())),
            7 => format!("\"{tag}\""),
            _ => tag.to_string(),
        }
    }

    /// A tree for these levels, at this depth in the whole.
    fn tree(&mut self, levels: &[&str], depth: usize) -> String {
        let Some(at) = levels.iter().position(|level| ["+", "*", "#", "**"].contains(level)) else {
            return self.leaf(false);
        };
        let (level, below) = (levels[at], &levels[at + 1..]);
        let is_deep = level == "#" || level == "**";
        let begins = depth == 0 && at == 0;
        let mut fields = Vec::new();
        let keys: &[&str] = if begins { &ROOTS } else { &KEYS };
        for key in keys.iter().filter(|_| self.rng.once_in(2)).copied().collect::<Vec<&str>>() {
            let has_more = below.iter().any(|level| ["+", "*", "#", "**"].contains(level));
            let value = match is_deep {
                true if depth < DEPTH_MAX && self.rng.once_in(3) => self.tree(&["#"], depth + 1),
                true => self.leaf(true),
                false if has_more && below == ["#"] && self.rng.once_in(2) => self.leaf(true),
                false => self.tree(below, depth + 1),
            };
            fields.push(format!("\"{key}\":{value}"));
        }
        if is_deep && !begins && self.rng.once_in(5) {
            let own = self.leaf(false);
            fields.push(format!("\"/\":{own}"));
        }
        let space = if self.rng.once_in(4) { " " } else { "" };
        format!("{{{space}{}}}", fields.join(&format!(",{space}")))
    }

    fn condition(&mut self, object_version: u64) -> Option<Condition> {
        match self.rng.below(8) {
            0 => Some(Condition::Exists),
            1 => Some(Condition::Version(0)),
            2 => Some(Condition::Version(object_version.saturating_sub(1))),
            3 | 4 => Some(Condition::Version(object_version)),
            _ => None,
        }
    }

    /// Any publish that is not at fault. `version_of` says the version of an object.
    pub fn op(&mut self, writer: usize, verbs: &[Verb], version_of: impl Fn(&str) -> u64) -> Op {
        let verb = *self.rng.pick(verbs);
        let (payload, text) = self.payload();
        let qos = self.rng.below(3) as u8;
        let retain = verb == Verb::Set || !self.rng.once_in(4);
        let topic = self.topic();
        let mut op = Op { writer, verb, topic, payload, retain, qos, text, condition: None, replace: false };
        match verb {
            Verb::Plain => {}
            Verb::Put if retain => op.condition = self.condition(version_of(&op.topic)),
            Verb::Put => {}
            Verb::Set => op.topic = self.rng.pick(&FILTERS).to_string(),
            Verb::Tree => {
                op.topic = self.rng.pick(&PATTERNS).to_string();
                let pattern = super::pattern(&op);
                let levels: Vec<&str> = pattern.split('/').collect();
                op.payload = self.tree(&levels, 0).into_bytes();
                op.text = false;
                let stem = stem(&pattern);
                if retain && !stem.is_empty() {
                    op.condition = self.condition(version_of(&stem));
                    op.replace = self.rng.once_in(4);
                }
            }
        }
        op
    }
}
