//! What all tests here begin with.

use engine::config::Split;
use engine::key::GroupId;
use engine::row::change::{Changes, Kept};
use engine::wire::QoS;
use std::collections::BTreeMap;
use std::path::Path;
use store::{OpenError, Opened, Restored, Settings, Wake};

pub fn settings(folder: &Path) -> Settings {
    Settings { folder: Some(folder.to_owned()), commit_ms: 1, map_bytes_initial: 1 << 20, ..Settings::default() }
}

/// The first levels of the topic, hashed: as the broker does it, with a hash of its own.
pub fn group_under(split: &[Split], seed: [u64; 2], topic: &str) -> GroupId {
    let starts = |s: &&Split| topic == s.prefix || topic.starts_with(&format!("{}/", s.prefix));
    let levels = split.iter().find(starts).map_or(1, |s| s.levels);
    let root = topic.match_indices('/').nth(levels - 1).map_or(topic, |(at, _)| &topic[..at]);
    let hash =
        root.bytes().fold(seed[0] ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    GroupId(((hash >> 32) % engine::limits::GROUPS as u64) as u16)
}

pub fn open(settings: &Settings, split: &[Split]) -> Result<Opened, OpenError> {
    let table = split.to_vec();
    store::open(settings, split, &|seed| {
        let table = table.clone();
        Box::new(move |topic| group_under(&table, seed, topic))
    })
}

pub fn open_on(table: impl store::table::Table + 'static, split: &[Split]) -> Opened {
    let rule = split.to_vec();
    store::open_on(Box::new(table), &Settings::default(), split, &|seed| {
        let rule = rule.clone();
        Box::new(move |topic| group_under(&rule, seed, topic))
    })
    .unwrap()
}

pub fn no_wakes(shards: usize) -> Vec<Wake> {
    (0..shards).map(|_| Box::new(|| {}) as Wake).collect()
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    Row {
        group: GroupId,
        payload: Vec<u8>,
        properties: Vec<u8>,
        qos: QoS,
        text: bool,
        expires_at_ms: u64,
        version: u64,
    },
    Tombstone {
        group: GroupId,
        version: u64,
        wall_ms: u64,
    },
}

pub type Tree = BTreeMap<String, Seen>;

pub fn seen(group: GroupId, kept: Kept<'_>) -> Seen {
    let Kept { payload, properties, qos, text, expires_at_ms, version, .. } = kept;
    Seen::Row { group, payload: payload.to_vec(), properties: properties.to_vec(), qos, text, expires_at_ms, version }
}

pub fn tree(opened: &mut Opened) -> Tree {
    let mut tree = Tree::new();
    let mut twice = Vec::new();
    let report = opened
        .restore(|restored| {
            let (topic, seen) = match restored {
                Restored::Row(group, kept) => (kept.topic, seen(group, kept)),
                Restored::Tombstone { group, topic, version, wall_ms } => {
                    (topic, Seen::Tombstone { group, version, wall_ms })
                }
                _ => return,
            };
            if tree.insert(topic.to_owned(), seen).is_some() {
                twice.push(topic.to_owned());
            }
        })
        .unwrap();
    assert!(twice.is_empty(), "shown twice: {twice:?}");
    assert_eq!(report.rows + report.tombstones, tree.len() as u64);
    tree
}

pub fn row<'a>(topic: &'a str, payload: &'a [u8], version: u64) -> Kept<'a> {
    Kept { topic, payload, properties: b"", qos: QoS::AtLeastOnce, text: false, expires_at_ms: 0, version }
}

/// One batch of one row.
pub fn put(last: u64, group: GroupId, kept: Kept<'_>) -> Changes {
    let mut changes = Changes { last, ..Changes::default() };
    changes.put(group, kept);
    changes
}

pub fn delete(last: u64, group: GroupId, topic: &str, version: u64) -> Changes {
    let mut changes = Changes { last, ..Changes::default() };
    changes.delete(group, topic, version, 1_000 + version);
    changes
}
