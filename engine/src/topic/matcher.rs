//! A topic's way through the trie.
//!
//! Depth by depth, not branch by branch: after d levels of the topic the walk stands at some set of nodes, and one
//! more level leads to the next set. The sets of all depths are kept, so the next topic starts where it parts from
//! the last one; rows of one tree differ in their last level only. No recursion; a walk visits each node at most
//! once, so its time and memory are bounded by the trie.
//!
//! ```text
//! filters a/b, a/+/c, a/#    topic a/b/c     depth 0 {root}   1 {a} found a/#   2 {a/b, a/+}   3 {a/+/c}
//! ```

use super::level::Interner;
use super::trie::{FilterId, NONE, ROOT, Trie};

/// See the module. Holds for one state of the trie; `reset` when that changes.
#[derive(Default)]
pub(super) struct Walk {
    /// The levels walked, as they stood in the topic.
    text: String,
    depths: Vec<Depth>,
    /// The sets of nodes, depth after depth.
    nodes: Vec<u32>,
    /// Filters found by their `#`, depth after depth.
    found: Vec<FilterId>,
}

/// Where a depth ends in the columns of [`Walk`].
#[derive(Clone, Copy, Default)]
struct Depth {
    text: usize,
    nodes: usize,
    found: usize,
}

impl Walk {
    /// The trie has changed.
    pub(super) fn reset(&mut self) {
        self.depths.clear();
    }

    /// Whether all levels of `topic` but its last have been walked just now.
    pub(super) fn is_near(&self, topic: &str) -> bool {
        let shared = self.shared(topic);
        shared > 0 && !topic[self.depths[shared].text..].bytes().skip(1).any(|byte| byte == b'/')
    }

    /// The filters of `trie` that match `topic`, each once.
    pub(super) fn walk(&mut self, trie: &Trie, interner: &Interner, topic: &str) -> &[FilterId] {
        self.rewind(trie, topic);
        let mut rest = self.rest(topic);
        while let Some(level) = rest {
            if self.frontier().is_empty() {
                break;
            }
            self.descend(trie, interner, topic, level);
            rest = self.rest(topic);
        }
        if rest.is_none() {
            let here = self.frontier().map(|at| trie.node(self.nodes[at]).here);
            self.found.extend(here.filter(|id| *id != FilterId::NONE));
        }
        &self.found
    }

    /// How many levels `topic` shares with those walked.
    fn shared(&self, topic: &str) -> usize {
        let (walked, topic) = (self.text.as_bytes(), topic.as_bytes());
        let mut start = 0;
        for (levels, depth) in self.depths.iter().skip(1).enumerate() {
            let end = depth.text;
            let is_same = topic.get(start..end) == Some(&walked[start..end]);
            if !is_same || topic.get(end).is_some_and(|byte| *byte != b'/') {
                return levels;
            }
            start = end;
        }
        self.depths.len().saturating_sub(1)
    }

    /// Goes back to the last depth that `topic` shares.
    fn rewind(&mut self, trie: &Trie, topic: &str) {
        let shared = self.shared(topic);
        if shared == 0 {
            return self.begin(trie, topic);
        }
        self.depths.truncate(shared + 1);
        let depth = self.last();
        self.text.truncate(depth.text);
        self.nodes.truncate(depth.nodes);
        self.found.truncate(depth.found);
    }

    fn begin(&mut self, trie: &Trie, topic: &str) {
        self.text.clear();
        self.depths.clear();
        self.nodes.clear();
        self.found.clear();
        self.nodes.push(ROOT);
        // No wildcard of the first level matches a topic that begins with $ [MQTT-4.7.2-1] [3.1.1: MQTT-4.7.2-1].
        let below = trie.node(ROOT).below;
        if below != FilterId::NONE && !topic.starts_with('$') {
            self.found.push(below);
        }
        self.close_depth();
    }

    /// The next level of `topic`; `None` after the last.
    fn rest<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let rest = &topic[self.last().text..];
        // Every level but the first stands behind a slash.
        let rest = if self.depths.len() == 1 { rest } else { rest.strip_prefix('/')? };
        Some(rest.split_once('/').map_or(rest, |(level, _)| level))
    }

    /// One level further down.
    fn descend(&mut self, trie: &Trie, interner: &Interner, topic: &str, level: &str) {
        let is_first = self.depths.len() == 1;
        let takes_plus = !(is_first && topic.starts_with('$'));
        // Looked up only if some node has literal children: below a `+` or a `#` there are often none.
        let mut known = None;
        for at in self.frontier() {
            let node = trie.node(self.nodes[at]);
            if node.literals > 0 {
                let known = *known.get_or_insert_with(|| interner.get(level));
                if let Some(child) = known.and_then(|level| trie.child(self.nodes[at], level)) {
                    self.reach(trie, child);
                }
            }
            if node.plus != NONE && takes_plus {
                self.reach(trie, node.plus);
            }
        }
        if !is_first {
            self.text.push('/');
        }
        self.text.push_str(level);
        self.close_depth();
    }

    fn reach(&mut self, trie: &Trie, node: u32) {
        self.nodes.push(node);
        let below = trie.node(node).below;
        if below != FilterId::NONE {
            self.found.push(below);
        }
    }

    /// The nodes of the last depth, as indices.
    fn frontier(&self) -> std::ops::Range<usize> {
        let before = self.depths.len().checked_sub(2).map_or(0, |before| self.depths[before].nodes);
        before..self.last().nodes
    }

    fn close_depth(&mut self) {
        self.depths.push(Depth { text: self.text.len(), nodes: self.nodes.len(), found: self.found.len() });
    }

    fn last(&self) -> Depth {
        self.depths.last().copied().unwrap_or_default()
    }
}
