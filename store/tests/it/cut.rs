//! A commit's cut lies between batches: at whatever commit the power goes, what is there is what each shard had
//! pushed up to some moment, never half a batch, and at least what was reported durable.

use crate::kit::{self, Seen, Tree, no_wakes, tree};
use engine::key::GroupId;
use engine::row::change::{Change, Changes, Kept};
use engine::wire::QoS;
use proptest::prelude::*;
use store::memory::Disk;
use store::table::TableError;

const SHARDS: usize = 3;
const TOPICS: u8 = 6;

#[derive(Clone, Debug)]
enum Step {
    /// A batch of one shard: (topic, payload or deletion) of each row.
    Push(usize, Vec<(u8, Option<u8>)>),
    Commit,
    /// The table fails once.
    Fail,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = prop::collection::vec((0..TOPICS, prop::option::of(any::<u8>())), 1..4);
    let step = prop_oneof![
        6 => (0..SHARDS, rows).prop_map(|(shard, rows)| Step::Push(shard, rows)),
        2 => Just(Step::Commit),
        1 => Just(Step::Fail),
    ];
    prop::collection::vec(step, 1..60)
}

/// Each shard owns one group; topics of a shard are its own. One topic is longer than a key.
fn topic(shard: usize, topic: u8) -> String {
    let long = if topic == 0 { "l".repeat(700) } else { String::new() };
    format!("s{shard}/{topic}{long}")
}

fn batch(shard: usize, rows: &[(u8, Option<u8>)], version: u64) -> Changes {
    let mut changes = Changes { last: version, ..Changes::default() };
    let group = GroupId(shard as u16);
    for &(name, payload) in rows {
        let topic = topic(shard, name);
        match payload {
            Some(byte) => changes.put(group, kit::row(&topic, &[byte], version)),
            None => changes.delete(group, &topic, version, version),
        }
    }
    changes
}

/// What the naive store does with a batch.
fn apply(tree: &mut Tree, changes: &Changes) {
    for change in &changes.list {
        let text = |span: engine::key::Span| String::from_utf8(span.of(&changes.bytes).to_vec()).unwrap();
        match *change {
            Change::Put { group, topic, payload, version, .. } => {
                let (topic, payload) = (text(topic), payload.of(&changes.bytes));
                let kept = Kept {
                    topic: &topic,
                    payload,
                    properties: b"",
                    qos: QoS::AtLeastOnce,
                    text: false,
                    expires_at_ms: 0,
                    version,
                };
                let seen = kit::seen(group, kept);
                tree.insert(topic, seen);
            }
            Change::Delete { group, topic, version, wall_ms } => {
                tree.insert(text(topic), Seen::Tombstone { group, version, wall_ms });
            }
            _ => {}
        }
    }
}

/// The states that a shard went through, from none of its batches to all.
fn states(pushed: &[Changes]) -> Vec<Tree> {
    let mut states = vec![Tree::new()];
    for changes in pushed {
        let mut next = states[states.len() - 1].clone();
        apply(&mut next, changes);
        states.push(next);
    }
    states
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_cut_lies_between_batches(steps in steps(), cut in 1..12_u64, kept in any::<bool>()) {
        // [MOTE-3.28]
        let disk = Disk::default();
        let (inlets, mut writer) = kit::open_on(disk.table(), &[]).start_by_hand(SHARDS, no_wakes(SHARDS)).unwrap();
        disk.cut_power(disk.commits() + cut, kept);
        let mut pushed: [Vec<Changes>; SHARDS] = std::array::from_fn(|_| Vec::new());
        for step in steps {
            match step {
                Step::Push(shard, rows) => {
                    let version = pushed[shard].len() as u64 + 1;
                    pushed[shard].push(batch(shard, &rows, version));
                    inlets[shard].push(batch(shard, &rows, version));
                }
                Step::Commit => drop(writer.commit()),
                Step::Fail => {
                    disk.fail(Some(TableError::Failed("not now".into())));
                    drop(writer.commit());
                    disk.fail(None);
                }
            }
        }
        let committed: Vec<u64> = inlets.iter().map(|inlet| inlet.committed()).collect();
        let mut opened = kit::open_on(disk.table(), &[]);
        let found = tree(&mut opened);
        for shard in 0..SHARDS {
            let own: Tree = found.iter().filter(|(t, _)| t.starts_with(&format!("s{shard}/")))
                .map(|(t, s)| (t.clone(), s.clone())).collect();
            let states = states(&pushed[shard]);
            let since = committed[shard] as usize;
            prop_assert!(states[since..].contains(&own), "shard {shard}: {own:?} is no state since {since}");
            let last = &opened.groups[shard];
            prop_assert!(last.last_version >= pushed[shard].len() as u64, "numbers that were used come again");
        }
    }

    #[test]
    fn what_was_committed_or_pushed_before_a_clean_end_is_all_there(steps in steps()) {
        let disk = Disk::default();
        let (inlets, mut writer) = kit::open_on(disk.table(), &[]).start_by_hand(SHARDS, no_wakes(SHARDS)).unwrap();
        let mut pushed: [Vec<Changes>; SHARDS] = std::array::from_fn(|_| Vec::new());
        for step in steps {
            match step {
                Step::Push(shard, rows) => {
                    let version = pushed[shard].len() as u64 + 1;
                    pushed[shard].push(batch(shard, &rows, version));
                    // What the writer gave back is used again.
                    let mut changes = inlets[shard].spare().unwrap_or_default();
                    prop_assert!(changes.is_empty() && changes.bytes.is_empty());
                    let new = batch(shard, &rows, version);
                    changes.bytes.extend_from_slice(&new.bytes);
                    changes.list.extend_from_slice(&new.list);
                    changes.last = new.last;
                    inlets[shard].push(changes);
                }
                Step::Commit => prop_assert!(writer.commit().is_ok()),
                Step::Fail => {
                    disk.fail(Some(TableError::DiskFull("not now".into())));
                    let waiting = inlets.iter().any(|inlet| inlet.pending_bytes() > 0);
                    prop_assert_eq!(writer.commit().is_err(), waiting);
                    prop_assert_eq!(inlets[0].is_failing(), waiting);
                    disk.fail(None);
                }
            }
        }
        prop_assert!(writer.end().is_ok());
        prop_assert!(!inlets[0].is_failing());
        prop_assert!(inlets.iter().all(|inlet| inlet.pending_bytes() == 0));
        drop(writer);
        let mut opened = kit::open_on(disk.table(), &[]);
        prop_assert!(opened.clean);
        let mut expected = Tree::new();
        pushed.iter().flatten().for_each(|changes| apply(&mut expected, changes));
        prop_assert_eq!(tree(&mut opened), expected);
        for (shard, pushed) in pushed.iter().enumerate() {
            prop_assert_eq!(opened.groups[shard].last_version, pushed.len() as u64);
        }
    }
}
