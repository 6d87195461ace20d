//! What was pushed and committed is what comes back.

use crate::kit::{self, Seen, delete, no_wakes, open, put, row, settings, tree};
use engine::key::GroupId;
use engine::row::change::{Changes, Kept};
use engine::wire::QoS;
use store::memory::Disk;
use store::{LmdbTable, Settings};

#[test]
fn every_field_of_a_row_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let kept = [
        Kept {
            topic: "a/b",
            payload: b"\x00\xff",
            properties: b"\x01\x01",
            qos: QoS::ExactlyOnce,
            text: true,
            expires_at_ms: 1_700_000_000_000,
            version: 7,
        },
        Kept {
            topic: "/",
            payload: b"1",
            properties: b"",
            qos: QoS::AtMostOnce,
            text: false,
            expires_at_ms: 0,
            version: u64::MAX - 1,
        },
        Kept {
            topic: "h\u{e4}\u{1F600}",
            payload: &vec![9; 300_000],
            properties: b"\x26\0\x01a\0\x01b",
            qos: QoS::AtLeastOnce,
            text: false,
            expires_at_ms: u64::MAX,
            version: 1,
        },
    ];
    let (inlets, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    let mut changes = Changes { last: 3, ..Changes::default() };
    for (group, kept) in (250..).zip(kept) {
        changes.put(GroupId(group), kept);
    }
    inlets[0].push(changes);
    writer.stop().unwrap();
    assert_eq!(inlets[0].committed(), 3);
    assert_eq!(inlets[0].pending_bytes(), 0);

    let found = tree(&mut open(&settings(folder.path()), &[]).unwrap());
    let expected = (250..).zip(kept).map(|(group, kept)| (kept.topic.to_owned(), kit::seen(GroupId(group), kept)));
    assert_eq!(found, expected.collect());
}

#[test]
fn a_deleted_row_leaves_a_tombstone_and_a_new_row_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let group = GroupId(3);
    let (inlets, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    inlets[0].push(put(1, group, row("gone", b"x", 1)));
    inlets[0].push(put(2, group, row("back", b"x", 2)));
    inlets[0].push(delete(3, group, "gone", 3));
    inlets[0].push(delete(4, group, "back", 4));
    writer.stop().unwrap();

    let mut opened = open(&settings(folder.path()), &[]).unwrap();
    assert_eq!(tree(&mut opened)["back"], Seen::Tombstone { group, version: 4, wall_ms: 1_004 });
    let (inlets, writer) = opened.start(1, no_wakes(1)).unwrap();
    inlets[0].push(put(1, group, row("back", b"y", 5)));
    writer.stop().unwrap();

    let found = tree(&mut open(&settings(folder.path()), &[]).unwrap());
    assert_eq!(found["gone"], Seen::Tombstone { group, version: 3, wall_ms: 1_003 });
    assert_eq!(found["back"], kit::seen(group, row("back", b"y", 5)));
    assert_eq!(found.len(), 2);
}

#[test]
fn of_a_topic_changed_often_within_one_commit_the_newest_is_written_once() {
    let disk = Disk::default();
    let group = GroupId(9);
    let (inlets, mut writer) = kit::open_on(disk.table(), &[]).start_by_hand(1, no_wakes(1)).unwrap();
    let commits = disk.commits();
    for version in 1..=1_000_u64 {
        inlets[0].push(put(version, group, row("hot", &version.to_be_bytes(), version)));
    }
    inlets[0].push(put(1_001, group, row("cold", b"", 1_001)));
    assert_eq!(writer.commit(), Ok(true));
    assert_eq!(disk.commits(), commits + 1);
    assert_eq!(inlets[0].committed(), 1_001);
    assert_eq!(writer.commit(), Ok(false), "nothing is left");
    assert_eq!(disk.commits(), commits + 1);

    let mut opened = kit::open_on(disk.table(), &[]);
    assert_eq!(opened.groups[9].gaps[0].after, 1_001, "numbers of changes that were replaced count");
    let found = tree(&mut opened);
    assert_eq!(found["hot"], kit::seen(group, row("hot", &1_000_u64.to_be_bytes(), 1_000)));
    assert_eq!(found.len(), 2);
}

/// Topics of every length at which something changes: the key's end, LMDB's key, a page, the longest of MQTT.
#[test]
fn topics_of_every_length_come_back() {
    let around = |n: usize| n - 3..=n + 3;
    let lengths: Vec<usize> = (1..=20)
        .chain(around(store::TOPIC_KEY_BYTES_MAX))
        .chain(around(511))
        .chain(around(4_096))
        .chain(65_532..=65_535)
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let (inlets, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    let topics: Vec<String> =
        lengths.iter().flat_map(|&n| ["x".repeat(n), format!("{}y", "/".repeat(n - 1))]).collect();
    let mut changes = Changes { last: 1, ..Changes::default() };
    for (topic, version) in topics.iter().zip(1..) {
        changes.put(GroupId(0), row(topic, topic.as_bytes(), version));
    }
    inlets[0].push(changes);
    inlets[0].push(delete(2, GroupId(0), &"x".repeat(65_535), 900));
    writer.stop().unwrap();

    let mut opened = open(&settings(folder.path()), &[]).unwrap();
    let found = tree(&mut opened);
    assert_eq!(found.len(), topics.len());
    assert_eq!(found[&"x".repeat(65_535)], Seen::Tombstone { group: GroupId(0), version: 900, wall_ms: 1_900 });
    for (topic, version) in topics.iter().zip(1..).filter(|(topic, _)| **topic != "x".repeat(65_535)) {
        assert_eq!(found[topic], kit::seen(GroupId(0), row(topic, topic.as_bytes(), version)));
    }
    // Written again they replace themselves.
    let (inlets, writer) = opened.start(1, no_wakes(1)).unwrap();
    for (topic, version) in topics.iter().zip(1_000..) {
        inlets[0].push(put(version, GroupId(0), row(topic, b"again", version)));
    }
    writer.stop().unwrap();
    let found = tree(&mut open(&settings(folder.path()), &[]).unwrap());
    assert_eq!(found.len(), topics.len());
    assert!(topics.iter().zip(1_000..).all(|(t, v)| found[t] == kit::seen(GroupId(0), row(t, b"again", v))));
}

#[test]
fn long_topics_with_one_hash_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let table = LmdbTable::open(folder.path(), 1 << 20).unwrap();
        let rule: store::GroupRule<'_> = &|_| Box::new(|_| GroupId(1));
        store::open_with(Box::new(table), &Settings::default(), &[], rule, |_, _| 42).unwrap()
    };
    let topics: Vec<String> = (0..4).map(|n| format!("{}{n}", "l".repeat(600))).collect();
    for round in 0..3_u64 {
        let (inlets, mut writer) = open().start_by_hand(1, no_wakes(1)).unwrap();
        for (topic, n) in topics.iter().rev().zip(1..) {
            inlets[0].push(put(n, GroupId(1), row(topic, topic.as_bytes(), round * 10 + n)));
        }
        writer.commit().unwrap();
        drop(writer);
        let found = tree(&mut open());
        assert_eq!(found.len(), 4);
        for (topic, n) in topics.iter().rev().zip(1..) {
            assert_eq!(found[topic], kit::seen(GroupId(1), row(topic, topic.as_bytes(), round * 10 + n)));
        }
    }
}

#[test]
fn the_table_grows_by_itself_also_within_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (inlets, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    let payload = vec![7; 100_000];
    for n in 1..=200 {
        inlets[0].push(put(n, GroupId(5), row(&format!("big/{n}"), &payload, n)));
    }
    writer.stop().unwrap();
    let found = tree(&mut open(&settings(folder.path()), &[]).unwrap());
    assert_eq!(found.len(), 200);
    assert!((1..=200).all(|n| {
        let topic = format!("big/{n}");
        found[&topic] == kit::seen(GroupId(5), row(&topic, &payload, n))
    }));
}

#[test]
fn with_no_folder_nothing_is_kept_and_everything_is_acknowledged() {
    let settings = Settings::default();
    let (inlets, writer) = open(&settings, &[]).unwrap().start(2, no_wakes(2)).unwrap();
    inlets[1].push(put(8, GroupId(1), row("a", b"1", 1)));
    writer.stop().unwrap();
    assert_eq!((inlets[0].committed(), inlets[1].committed()), (0, 8));
    assert_eq!(inlets[1].pending_bytes(), 0);
    let mut opened = open(&settings, &[]).unwrap();
    assert!(opened.first_start);
    assert!(tree(&mut opened).is_empty());
}
