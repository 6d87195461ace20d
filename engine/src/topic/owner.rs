//! Who owns a topic, and where a client is at home. The same on every shard, every machine and every build.
//!
//! ```text
//! topic  v1/devices/d7/temperature
//! root   v1/devices/d7               its first L levels: 1, or what the longest prefix in `shards.split` says
//! group  hash(root) mod GROUPS       one atomic unit, one sequence of versions; recorded in the store.
//!                                    `$SYS` has the last to itself: what the broker says about itself must not
//!                                    take numbers of anybody's objects
//! shard  group mod shards            or where `shards.pin` puts the group; may change with every start
//! ```

use super::Kind;
use super::filter::{is_wildcard, stem};
use super::name::check_name;
use crate::config::{Pin, Split};
use crate::key::{GroupId, ShardId};
use crate::limits::{GROUPS, GROUPS_OF_ROOTS, SHARDS_MAX, TOPIC_LEVELS_MAX};
use siphasher::sip::SipHasher13;
use siphasher::sip128::{self, Hasher128};
use std::hash::Hasher;

/// The owners that a filter is registered at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owners {
    One(ShardId),
    /// A wildcard inside the root: every shard.
    All,
}

/// See the module.
#[derive(Clone)]
pub struct Roots {
    groups: SipHasher13,
    homes: SipHasher13,
    digests: sip128::SipHasher13,
    /// The prefix with most levels first.
    splits: Vec<Split>,
    shards: u16,
    shard_of_group: [ShardId; GROUPS],
}

/// What the broker says about itself lies below it.
pub const SYS_ROOT: &str = "$SYS";
const SYS_GROUP: GroupId = GroupId(GROUPS_OF_ROOTS as u16);
/// Keeps the hash of client ids apart from that of roots, and both from digests.
const HOMES_KEY: u64 = 0x686f_6d65_7320_2121;
const DIGESTS_KEY: u64 = 0x6469_6765_7374_7321;
const _: () = assert!(SHARDS_MAX <= GROUPS);

impl Roots {
    /// `seed` is recorded in the store together with `split`; another seed or split is another tree of groups.
    ///
    /// A pin names a root. What moves is the whole group of that root, since a group is never divided: other roots
    /// that hash to the same group move with it.
    ///
    /// Refuses, naming the setting: a prefix or root that is no topic name; a prefix listed twice; a split at fewer
    /// levels than its prefix has; a pin of something that is no root, or to a shard that does not exist; two pins
    /// of one group to different shards.
    pub fn new(seed: [u64; 2], split: &[Split], pin: &[Pin], shards: u16) -> Result<Roots, String> {
        if shards == 0 || usize::from(shards) > SHARDS_MAX {
            return Err(format!("there can be 1 to {SHARDS_MAX} shards, not {shards}"));
        }
        let mut roots = Roots {
            groups: SipHasher13::new_with_keys(seed[0], seed[1]),
            homes: SipHasher13::new_with_keys(seed[0] ^ HOMES_KEY, seed[1]),
            digests: sip128::SipHasher13::new_with_keys(seed[0] ^ DIGESTS_KEY, seed[1]),
            splits: checked_splits(split)?,
            shards,
            shard_of_group: std::array::from_fn(|group| ShardId(group as u16 % shards)),
        };
        roots.pin(pin)?;
        Ok(roots)
    }

    /// The first levels of `topic` that decide its group; a topic with fewer is its own root.
    pub fn root_of<'t>(&self, topic: &'t str) -> &'t str {
        first_levels(topic, self.root_levels(topic))
    }

    pub fn group(&self, topic: &str) -> GroupId {
        let root = self.root_of(topic);
        if root == SYS_ROOT {
            return SYS_GROUP;
        }
        let hash = self.groups.hash(root.as_bytes());
        match GroupId((hash % GROUPS as u64) as u16) {
            SYS_GROUP => GroupId((hash / GROUPS as u64 % GROUPS_OF_ROOTS as u64) as u16),
            group => group,
        }
    }

    pub fn shard_of_group(&self, group: GroupId) -> ShardId {
        self.shard_of_group[group.index()]
    }

    pub fn owner(&self, topic: &str) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        self.shard_of_group(self.group(topic))
    }

    /// One shard if every topic that the valid `filter` can match has the same root; else all.
    pub fn owners_of_filter(&self, filter: &str) -> Owners {
        if self.shards == 1 {
            return Owners::One(ShardId(0));
        }
        self.group_of_filter(filter).map_or(Owners::All, |group| Owners::One(self.shard_of_group(group)))
    }

    /// The group that everything lies in that the valid `filter` can match, if it has one root.
    pub fn group_of_filter(&self, filter: &str) -> Option<GroupId> {
        if !is_wildcard(filter) {
            return Some(self.group(filter));
        }
        if filter.starts_with(['+', '#']) {
            return None;
        }
        // Topics that begin with no longer listed prefix than the stem does have the root that the stem has, if
        // that ends inside it; those that do have a root with more levels than the stem, one each.
        let stem = stem(filter);
        let root_in_stem = self.root_levels(stem) <= levels(stem);
        let is_split = |split: &Split| is_deeper(&split.prefix, stem) && can_begin(&split.prefix, filter);
        (root_in_stem && !self.splits.iter().any(is_split)).then(|| self.group(stem))
    }

    /// The group that a topic and everything below it lies in, if that is one.
    pub fn group_of_object(&self, topic: &str) -> Option<GroupId> {
        if topic.is_empty() { None } else { self.group_of_filter(&format!("{topic}/#")) }
    }

    /// The shard that a client's session lives on.
    pub fn home(&self, client_id: &str) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        ShardId((self.homes.hash(client_id.as_bytes()) % u64::from(self.shards)) as u16)
    }

    /// A number for a filter, the same in every process on one store, whatever the form of its frames.
    pub fn number_of_filter(&self, filter: &str, kind: Kind) -> u64 {
        let kind = match kind {
            Kind::Plain => 0,
            Kind::Merged(_) => 1,
            Kind::Shared => 2,
        };
        self.homes.hash(filter.as_bytes()) ^ kind
    }

    /// Stands for bytes that clients choose, in every process on one store.
    pub fn digest(&self, parts: &[&[u8]]) -> u128 {
        let mut hasher = self.digests;
        parts.iter().for_each(|part| hasher.write(part));
        hasher.finish128().as_u128()
    }

    fn root_levels(&self, topic: &str) -> usize {
        self.splits.iter().find(|split| begins_with(topic, &split.prefix)).map_or(1, |split| split.levels)
    }

    fn pin(&mut self, pins: &[Pin]) -> Result<(), String> {
        let mut pinned: [Option<&Pin>; GROUPS] = [None; GROUPS];
        for pin in pins {
            self.check_pin(pin)?;
            let group = self.group(&pin.root);
            match pinned[group.index()] {
                Some(other) if other.shard != pin.shard => {
                    return Err(format!(
                        "shards.pin: \"{}\" and \"{}\" lie in the same group and cannot be pinned to different shards ({} and {})",
                        other.root, pin.root, other.shard, pin.shard
                    ));
                }
                _ => pinned[group.index()] = Some(pin),
            }
            self.shard_of_group[group.index()] = ShardId(pin.shard);
        }
        Ok(())
    }

    fn check_pin(&self, pin: &Pin) -> Result<(), String> {
        let Pin { root, shard } = pin;
        check_name(root, TOPIC_LEVELS_MAX).map_err(|why| format!("shards.pin: \"{root}\": {why}"))?;
        if *shard >= self.shards {
            return Err(format!("shards.pin: \"{root}\" names shard {shard}, but there are {}", self.shards));
        }
        let (has, needs) = (levels(root), self.root_levels(root));
        if has != needs {
            return Err(format!("shards.pin: \"{root}\" has {has} levels; what can be pinned here has {needs}"));
        }
        Ok(())
    }
}

fn checked_splits(splits: &[Split]) -> Result<Vec<Split>, String> {
    for (at, Split { prefix, levels: to }) in splits.iter().enumerate() {
        check_name(prefix, TOPIC_LEVELS_MAX).map_err(|why| format!("shards.split: \"{prefix}\": {why}"))?;
        if splits[..at].iter().any(|other| other.prefix == *prefix) {
            return Err(format!("shards.split: \"{prefix}\" is listed twice"));
        }
        if begins_with(prefix, SYS_ROOT) {
            return Err(format!("shards.split: \"{prefix}\": what the broker says about itself lies in one group"));
        }
        // At fewer levels, topics below a longer prefix would share the root of topics above it, and a filter
        // between the two would have one root with a gap in it.
        if *to < levels(prefix) || *to > TOPIC_LEVELS_MAX {
            let has = levels(prefix);
            return Err(format!(
                "shards.split: \"{prefix}\" can be split at {has} to {TOPIC_LEVELS_MAX} levels, not {to}"
            ));
        }
    }
    let mut splits = splits.to_vec();
    splits.sort_by_key(|split| std::cmp::Reverse(levels(&split.prefix)));
    Ok(splits)
}

fn levels(topic: &str) -> usize {
    topic.split('/').count()
}

fn first_levels(topic: &str, count: usize) -> &str {
    let end = topic.bytes().enumerate().filter(|(_, byte)| *byte == b'/').nth(count - 1);
    end.map_or(topic, |(end, _)| &topic[..end])
}

/// Whether the first levels of `topic` are those of `prefix`.
fn begins_with(topic: &str, prefix: &str) -> bool {
    topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_deeper(prefix: &str, stem: &str) -> bool {
    prefix.len() > stem.len() && begins_with(prefix, stem)
}

/// Whether some topic that `filter` matches begins with the levels of `prefix`.
fn can_begin(prefix: &str, filter: &str) -> bool {
    let mut wanted = filter.split('/');
    for level in prefix.split('/') {
        match wanted.next() {
            Some("#") => return true,
            Some("+") => {}
            Some(literal) if literal == level => {}
            _ => return false,
        }
    }
    true
}
