//! What would spread the work better: which lines to write into the configuration, and why. Numbers in, words out.
//!
//! A shard is worth a word when it is busy. If one group is more than half of what it does as an owner, that group is to
//! be split: at the deepest prefix that most of its topics share, at as few levels as make no part more than half. If no
//! group is that large, but the shard has several and another shard is idle, one of them is to be pinned there.

use super::picture::ShardPicture;
use engine::key::{GroupId, ShardId};
use engine::topic::Roots;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A shard that is awake for less of the time has room.
const BUSY_MIN: f64 = 0.6;
/// Nor is one busy with rows that takes fewer.
const ROWS_PER_S_MIN: f64 = 1_000.0;
/// A group with more of its shard than this is too much for it.
const SHARE_MAX: f64 = 0.5;
/// A prefix goes on to the next level while one of its parts has this much of it.
const PREFIX_SHARE_MIN: f64 = 0.75;
/// Levels below the prefix that are looked at.
const DEPTH_MAX: usize = 8;
/// Fewer topics say nothing about where to split.
const TOPICS_MIN: usize = 16;
/// A pin is worth it from this difference between the shares of time that two shards are awake.
const GAP_MIN: f64 = 0.3;

/// What to do about one shard.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Advice {
    pub kind: Kind,
    pub shard: usize,
    /// What it is about; empty where it is about no subtree.
    pub root: String,
    /// Why, in a sentence.
    pub why: String,
    /// For the configuration file; empty where no setting is of use.
    pub lines: Vec<String>,
    /// What those lines do, in a sentence.
    pub effect: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One group is more than half of a busy shard and can be divided.
    Split,
    /// One group is, and it is as good as one topic.
    Topic,
    /// A busy shard has several groups and another shard has room.
    Pin,
    /// The only shard is busy and there are cores for more.
    Count,
}

/// A root, with what its shard did for it.
pub(super) struct Hot {
    pub(super) root: String,
    pub(super) group: GroupId,
    pub(super) shard: ShardId,
    /// Part of what the shard does as an owner.
    pub(super) share: f64,
    pub(super) work_per_s: f64,
    /// Each stands for the same part of it.
    pub(super) topics: Vec<String>,
}

/// What is to be said of all shards. `cores`: what the process could use.
pub(super) fn of(shards: &[ShardPicture], hot: &[Hot], roots: &Roots, cores: usize) -> Vec<Advice> {
    let is_busy = |shard: &&ShardPicture| shard.busy >= BUSY_MIN && shard.rows_per_s >= ROWS_PER_S_MIN;
    let busy = shards.iter().filter(is_busy);
    if let [only] = shards {
        return busy.filter(|_| cores > 1).map(|_| count(only, cores)).collect();
    }
    busy.filter_map(|shard| of_shard(shard, shards, hot, roots)).collect()
}

fn count(only: &ShardPicture, cores: usize) -> Advice {
    Advice {
        kind: Kind::Count,
        shard: only.shard,
        root: String::new(),
        why: format!("the only shard is {} busy, and there are {cores} cores", percent(only.busy)),
        lines: vec!["[shards]".to_owned(), format!("count = {cores}")],
        effect: "topics and clients are shared by as many threads".to_owned(),
    }
}

fn of_shard(shard: &ShardPicture, shards: &[ShardPicture], hot: &[Hot], roots: &Roots) -> Option<Advice> {
    let here: Vec<&Hot> = hot.iter().filter(|hot| hot.shard.index() == shard.shard).collect();
    let mut groups: HashMap<GroupId, (f64, &Hot)> = HashMap::new();
    for hot in &here {
        let group = groups.entry(hot.group).or_insert((0.0, hot));
        group.0 += hot.share;
        if hot.share > group.1.share {
            group.1 = hot;
        }
    }
    let (share, hottest) = *groups.values().max_by(|a, b| a.0.total_cmp(&b.0))?;
    if share > SHARE_MAX {
        return too_much(shard, share, hottest);
    }
    pin(shard, shards, groups.values().copied().collect(), roots)
}

fn too_much(shard: &ShardPicture, share: f64, hottest: &Hot) -> Option<Advice> {
    let topics: Vec<&str> = hottest.topics.iter().map(String::as_str).collect();
    if topics.len() < TOPICS_MIN {
        return None;
    }
    let root = hottest.root.clone();
    let why = format!(
        "\"{root}\" is {} of the rows of shard {}, which is {} busy",
        percent(share),
        shard.shard,
        percent(shard.busy)
    );
    let Some(cut) = cut(&root, &topics) else {
        return Some(Advice {
            kind: Kind::Topic,
            shard: shard.shard,
            root,
            why,
            lines: Vec::new(),
            effect: "it is as good as one topic, which has one owner".to_owned(),
        });
    };
    Some(Advice {
        kind: Kind::Split,
        shard: shard.shard,
        root,
        why,
        lines: vec!["[shards.split]".to_owned(), format!("{} = {}", quoted(&cut.prefix), cut.levels)],
        effect: format!(
            "after a restart each \"{}\" is a group of its own, the largest now {} of them; \
             order and atomicity then hold in each, no longer across them",
            cut.example(),
            percent(cut.largest)
        ),
    })
}

/// Where a subtree can be divided.
struct Cut {
    prefix: String,
    levels: usize,
    /// Part of the topics that the largest of the parts has.
    largest: f64,
}

impl Cut {
    /// The roots that it makes, with one word for what differs.
    fn example(&self) -> String {
        let below = self.levels - self.prefix.split('/').count();
        format!("{}{}", self.prefix, "/<x>".repeat(below))
    }
}

fn cut(root: &str, topics: &[&str]) -> Option<Cut> {
    let mut prefix = root.to_owned();
    let mut below: Vec<&str> = topics.to_vec();
    loop {
        let levels = prefix.split('/').count() + 1;
        let (child, count) = largest_part(&below, levels)?;
        let goes_on = count as f64 >= PREFIX_SHARE_MIN * below.len() as f64;
        if !goes_on || child.split('/').count() < levels {
            break;
        }
        let child = child.to_owned();
        below.retain(|topic| is_below(topic, &child));
        prefix = child;
    }
    let has = prefix.split('/').count();
    let share = |levels: usize| -> Option<Cut> {
        let (_, count) = largest_part(&below, levels)?;
        Some(Cut { prefix: prefix.clone(), levels, largest: count as f64 / below.len() as f64 })
    };
    // One that would leave one part with nearly everything is none.
    let cuts: Vec<Cut> = (has + 1..=has + DEPTH_MAX).filter_map(share).collect();
    let first = cuts.iter().position(|cut| cut.largest <= SHARE_MAX);
    let best = first.or_else(|| {
        let least = cuts.iter().map(|cut| cut.largest).fold(1.0, f64::min);
        cuts.iter().position(|cut| cut.largest <= least)
    })?;
    cuts.into_iter().nth(best).filter(|cut| cut.largest < PREFIX_SHARE_MIN)
}

/// Of the beginnings of topics with so many levels, that which most have.
fn largest_part<'t>(topics: &[&'t str], levels: usize) -> Option<(&'t str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for topic in topics {
        *counts.entry(first_levels(topic, levels)).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(part, count)| (*count, std::cmp::Reverse(*part)))
}

fn first_levels(topic: &str, count: usize) -> &str {
    topic.match_indices('/').nth(count - 1).map_or(topic, |(end, _)| &topic[..end])
}

fn is_below(topic: &str, prefix: &str) -> bool {
    topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Moves the group whose share comes nearest to half of the difference.
fn pin(shard: &ShardPicture, shards: &[ShardPicture], groups: Vec<(f64, &Hot)>, roots: &Roots) -> Option<Advice> {
    let idle = shards.iter().filter(|other| other.answered).min_by(|a, b| a.busy.total_cmp(&b.busy))?;
    let gap = shard.busy - idle.busy;
    if gap < GAP_MIN || groups.len() < 2 {
        return None;
    }
    let wanted = gap / 2.0 / shard.busy;
    let distance = |share: f64| (share - wanted).abs();
    let movable = groups.into_iter().filter(|(share, hot)| {
        *share * shard.busy < gap && hot.topics.len() >= TOPICS_MIN && roots.root_of(&hot.root) == hot.root
    });
    let (share, hot) = movable.min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)))?;
    Some(Advice {
        kind: Kind::Pin,
        shard: shard.shard,
        root: hot.root.clone(),
        why: format!(
            "shard {} is {} busy and shard {} is {}; \"{}\" is {} of the rows of the first",
            shard.shard,
            percent(shard.busy),
            idle.shard,
            percent(idle.busy),
            hot.root,
            percent(share)
        ),
        lines: vec!["[shards.pin]".to_owned(), format!("{} = {}", quoted(&hot.root), idle.shard)],
        effect: format!("after a restart \"{}\" lives on shard {}", hot.root, idle.shard),
    })
}

/// As TOML writes a key that has any characters.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

pub fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(shard: usize, busy: f64, rows_per_s: f64) -> ShardPicture {
        ShardPicture {
            shard,
            core: None,
            answered: true,
            connections: 0,
            in_per_s: 0.0,
            out_per_s: 0.0,
            rows_per_s,
            busy,
            turns_per_s: 0.0,
            turn_p99_us: 0,
            turn_max_us: 0,
            links_in: 0,
            links_out: 0,
            links_sent_per_s: 0.0,
            links_held: 0.0,
            retained_rows: 0,
            subscriptions: 0,
        }
    }

    fn hot(root: &str, shard: u16, share: f64, topics: impl IntoIterator<Item = String>) -> Hot {
        let group = GroupId(root.bytes().map(u16::from).sum::<u16>() % 256);
        let topics = topics.into_iter().collect();
        Hot { root: root.to_owned(), group, shard: ShardId(shard), share, work_per_s: 0.0, topics }
    }

    fn advice(shards: &[ShardPicture], hot: &[Hot]) -> Vec<Advice> {
        let roots = Roots::new([0, 0], &[], &[], shards.len() as u16).unwrap();
        of(shards, hot, &roots, 4)
    }

    fn numbered(count: usize, topic: impl Fn(usize) -> String) -> impl Iterator<Item = String> {
        (0..count).map(topic)
    }

    #[test]
    fn the_split_is_where_the_topics_part() {
        let lines = |root: &str, topics: Vec<String>| {
            let advice = advice(&[shard(0, 0.9, 5e5), shard(1, 0.1, 0.0)], &[hot(root, 0, 0.8, topics)]);
            let [Advice { kind: Kind::Split, shard: 0, lines, .. }] = &advice[..] else { panic!("{advice:?}") };
            lines[1].clone()
        };
        let devices = |i: usize| format!("v1/devices/d{i}/temperature");
        assert_eq!(lines("bench", numbered(100, |i| format!("bench/{i}/data")).collect()), "\"bench\" = 2");
        assert_eq!(lines("v1", numbered(100, devices).collect()), "\"v1/devices\" = 3");
        // Outliers do not hide the prefix, and what is under one name at first parts below.
        let mut most: Vec<String> = numbered(80, devices).collect();
        most.extend(numbered(20, |i| format!("v1/status/{i}")));
        assert_eq!(lines("v1", most), "\"v1/devices\" = 3");
        let halls = |i: usize| format!("site/{}/line{}/t", if i.is_multiple_of(3) { "a" } else { "b" }, i % 7);
        assert_eq!(lines("site", numbered(90, halls).collect()), "\"site\" = 3");
        assert_eq!(lines("a\"b", numbered(90, |i| format!("a\"b/{i}")).collect()), "\"a\\\"b\" = 2");
        assert_eq!(lines("v1/x", numbered(90, |i| format!("v1/x/{i}")).collect()), "\"v1/x\" = 3", "one split before");
    }

    #[test]
    fn one_topic_cannot_be_divided() {
        let topics = vec!["alarms/all".to_owned(); 90];
        let advice = advice(&[shard(0, 0.9, 5e5), shard(1, 0.1, 0.0)], &[hot("alarms", 0, 0.9, topics)]);
        assert!(matches!(&advice[..], [Advice { kind: Kind::Topic, lines, .. }] if lines.is_empty()), "{advice:?}");
    }

    #[test]
    fn what_is_not_busy_or_hardly_seen_is_left_alone() {
        let roots = || [hot("bench", 0, 0.9, numbered(100, |i| format!("bench/{i}")))];
        assert_eq!(advice(&[shard(0, 0.5, 5e5), shard(1, 0.1, 0.0)], &roots()), []);
        assert_eq!(advice(&[shard(0, 0.9, 10.0), shard(1, 0.1, 0.0)], &roots()), [], "busy with something else");
        let few = [hot("bench", 0, 0.9, numbered(3, |i| format!("bench/{i}")))];
        assert_eq!(advice(&[shard(0, 0.9, 5e5), shard(1, 0.1, 0.0)], &few), []);
        assert_eq!(advice(&[shard(0, 0.9, 5e5), shard(1, 0.1, 0.0)], &[]), []);
    }

    #[test]
    fn one_of_several_groups_is_pinned_to_a_shard_with_room() {
        let of = |root: &str, share: f64| hot(root, 0, share, numbered(50, |i| format!("{root}/{i}")));
        let hot = [of("a", 0.45), of("bb", 0.35), of("ccc", 0.05)];
        let advice = advice(&[shard(0, 0.95, 5e5), shard(1, 0.3, 0.0), shard(2, 0.2, 0.0)], &hot);
        let [Advice { kind: Kind::Pin, lines, .. }] = &advice[..] else { panic!("{advice:?}") };
        assert_eq!(lines[..], ["[shards.pin]", "\"bb\" = 2"], "0.35 comes next to half of 0.75 of 0.95");
    }

    #[test]
    fn a_busy_shard_that_is_alone_gets_company_where_there_are_cores() {
        let roots = Roots::new([0, 0], &[], &[], 1).unwrap();
        let alone = [shard(0, 0.9, 5e5)];
        assert_eq!(of(&alone, &[], &roots, 4)[0].lines, ["[shards]", "count = 4"]);
        assert_eq!(of(&alone, &[], &roots, 1), []);
    }
}
