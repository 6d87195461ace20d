//! What belongs to a group beside its rows: floors, outcomes of `id`, histories.

use crate::kit::{self, no_wakes, row};
use engine::config::Split;
use engine::key::GroupId;
use engine::row::change::{Changes, Outcome, Restored};
use std::collections::BTreeMap;
use store::memory::Disk;
use store::table::Table;
use store::{ByHand, Inlet, LmdbTable, Opened, Settings, StoreError};

const GROUP: GroupId = GroupId(7);

struct Begun {
    inlet: Inlet,
    writer: ByHand,
    last: u64,
}

fn begin(opened: Opened) -> Begun {
    let (mut inlets, writer) = opened.start_by_hand(1, no_wakes(1)).unwrap();
    Begun { inlet: inlets.remove(0), writer, last: 0 }
}

impl Begun {
    fn push(&mut self, act: impl FnOnce(&mut Changes)) {
        self.last += 1;
        let mut changes = Changes { last: self.last, ..Changes::default() };
        act(&mut changes);
        self.inlet.push(changes);
    }

    fn commit(&mut self, act: impl FnOnce(&mut Changes)) {
        self.push(act);
        self.writer.commit().unwrap();
    }
}

/// What is there beside rows, in words.
fn shown(opened: &mut Opened) -> Vec<String> {
    let mut shown = Vec::new();
    let short = |topic: &str| if topic.len() > 20 { format!("long{}", topic.len()) } else { topic.to_owned() };
    opened
        .restore(|restored| {
            shown.push(match restored {
                Restored::Row(..) | Restored::Tombstone { .. } => return,
                Restored::Floor { group, topic, version } => format!("floor {} {} {version}", group.0, short(topic)),
                Restored::Outcome(group, Outcome { key, payload, version, matched, wall_ms }) => {
                    format!("outcome {} {key:x} {payload:x} {version} {matched} {wall_ms}", group.0)
                }
                Restored::Past(group, past) => {
                    let payload = String::from_utf8(past.payload.to_vec()).unwrap();
                    let (topic, qos) = (short(past.topic), past.qos as u8);
                    let marks = format!("{} {}", past.text, past.deleted);
                    format!("past {} {}.{} {topic} {payload:?} {qos} {marks}", group.0, past.version, past.index)
                }
            });
        })
        .unwrap();
    shown
}

fn outcome(key: u128, version: u64) -> Outcome {
    Outcome { key, payload: u128::MAX - 5, version, matched: true, wall_ms: 99 }
}

#[test]
fn a_floor_is_kept_raised_and_deleted() {
    let (disk, long) = (Disk::default(), "l".repeat(700));
    let mut begun = begin(kit::open_on(disk.table(), &[]));
    // A floor and a row of one topic are two records, in one commit too.
    begun.commit(|changes| {
        changes.put(GROUP, row("o", b"1", 3));
        changes.floor(GROUP, "o", 9);
        changes.put(GROUP, row(&long, b"1", 4));
        changes.floor(GROUP, &long, 8);
        changes.floor(GROUP, "p", 5);
    });
    begun.push(|changes| changes.floor(GROUP, "o", 10));
    begun.commit(|changes| changes.floor(GROUP, "o", 12));
    begun.commit(|changes| changes.floor(GROUP, "p", 0));
    begun.writer.end().unwrap();
    let mut opened = kit::open_on(disk.table(), &[]);
    assert_eq!(shown(&mut opened), ["floor 7 o 12", "floor 7 long700 8"]);
    assert_eq!(kit::tree(&mut opened).len(), 2);
    let mut begun = begin(opened);
    begun.commit(|changes| changes.floor(GROUP, &long, 0));
    begun.commit(|changes| changes.floor(GROUP, "never was", 0));
    begun.writer.end().unwrap();
    assert_eq!(shown(&mut kit::open_on(disk.table(), &[])), ["floor 7 o 12"]);
}

#[test]
fn a_tombstone_goes_when_its_owner_says_so_and_that_is_known() {
    // [MOTE-5.36] [MOTE-5.37]
    let (disk, long) = (Disk::default(), "l".repeat(700));
    let mut begun = begin(kit::open_on(disk.table(), &[]));
    for (topic, version) in [("a", 10), (&long, 20), ("b", 30), ("c", 40)] {
        begun.push(|changes| changes.put(GROUP, row(topic, b"1", version)));
        begun.commit(|changes| changes.delete(GROUP, topic, version + 1, 5));
    }
    begun.push(|changes| changes.lapse(GROUP, "a", 11));
    begun.push(|changes| changes.lapse(GROUP, &long, 21));
    // Deleted, forgotten and written again between two commits: the row is there.
    begun.push(|changes| changes.lapse(GROUP, "b", 31));
    begun.commit(|changes| changes.put(GROUP, row("b", b"2", 50)));
    begun.push(|changes| changes.delete(GROUP, "b", 51, 6));
    begun.commit(|changes| changes.lapse(GROUP, "b", 51));
    begun.writer.end().unwrap();
    let mut opened = kit::open_on(disk.table(), &[]);
    assert_eq!(kit::tree(&mut opened).into_keys().collect::<Vec<_>>(), ["c"]);
    assert_eq!(opened.groups[7].forgotten, 51);
    assert_eq!(opened.groups[8].forgotten, 0);
    assert!(!opened.groups[7].numbers().can_resume(50));
}

/// Topics that are too long for a key and have one hash.
#[test]
fn topics_with_one_hash_have_their_own_tombstones_and_floors() {
    let disk = Disk::default();
    let open =
        || store::open_with(Box::new(disk.table()), &Settings::default(), &[], &|_| Box::new(|_| GROUP), |_, _| 7);
    let topics = ["x", "y", "z"].map(|letter| letter.repeat(600));
    let mut begun = begin(open().unwrap());
    for topic in &topics {
        begun.commit(|changes| changes.delete(GROUP, topic, 1, 1));
        begun.commit(|changes| changes.floor(GROUP, topic, 2));
    }
    begun.commit(|changes| changes.lapse(GROUP, &topics[0], 1));
    begun.commit(|changes| changes.lapse(GROUP, "w".repeat(600).as_str(), 1));
    begun.commit(|changes| changes.floor(GROUP, &topics[1], 0));
    begun.commit(|changes| changes.floor(GROUP, &topics[2], 3));
    begun.writer.end().unwrap();
    let (mut rows, mut floors) = (Vec::new(), Vec::new());
    let report = open().unwrap().restore(|restored| match restored {
        Restored::Tombstone { topic, .. } => rows.push(topic[..1].to_owned()),
        Restored::Floor { topic, version, .. } => floors.push((topic[..1].to_owned(), version)),
        other => panic!("{other:?}"),
    });
    assert_eq!((report.unwrap().floors, rows), (2, vec!["y".to_owned(), "z".to_owned()]));
    assert_eq!(floors, [("x".to_owned(), 2), ("z".to_owned(), 3)]);
}

#[test]
fn outcomes_are_kept_replaced_and_forgotten() {
    // [MOTE-5.31]
    let disk = Disk::default();
    let mut begun = begin(kit::open_on(disk.table(), &[]));
    begun.push(|changes| changes.outcome(GROUP, "a", outcome(1 << 100, 3)));
    begun.push(|changes| changes.outcome(GROUP, "a", outcome(2, 4)));
    begun.commit(|changes| changes.outcome(GroupId(8), "b", outcome(2, 0)));
    begun.push(|changes| changes.outcome(GROUP, "a", outcome(2, 5)));
    begun.commit(|changes| changes.forget_outcome(GroupId(8), 2));
    begun.push(|changes| changes.outcome(GROUP, "a", outcome(6, 6)));
    begun.commit(|changes| changes.forget_outcome(GROUP, 6));
    begun.writer.end().unwrap();
    let payload = "fffffffffffffffffffffffffffffffa";
    let expected = [
        format!("outcome 7 2 {payload} 5 true 99"),
        format!("outcome 7 10000000000000000000000000 {payload} 3 true 99"),
    ];
    assert_eq!(shown(&mut kit::open_on(disk.table(), &[])), expected);
}

#[test]
fn a_history_comes_back_in_the_order_of_versions_and_is_cut() {
    // [MOTE-5.40]
    let (disk, long) = (Disk::default(), "l".repeat(700));
    let mut begun = begin(kit::open_on(disk.table(), &[]));
    for version in [1, 300, 70_000] {
        // Written in one commit, of the row the newest is kept, of the history all.
        begun.push(|changes| {
            changes.put(GROUP, row("a", version.to_string().as_bytes(), version));
            changes.remember(0);
            changes.put(GROUP, row(&long, b"", version));
            changes.remember(1);
        });
    }
    begun.commit(|changes| {
        changes.delete(GROUP, "a", 80_000, 1);
        changes.remember(0);
    });
    begun.push(|changes| changes.cut(GROUP, 1, 0));
    begun.commit(|changes| changes.cut(GROUP, 300, 1));
    begun.writer.end().unwrap();
    let mut opened = kit::open_on(disk.table(), &[]);
    let expected = [
        r#"past 7 1.1 long700 "" 1 false false"#,
        r#"past 7 300.0 a "300" 1 false false"#,
        r#"past 7 70000.0 a "70000" 1 false false"#,
        r#"past 7 70000.1 long700 "" 1 false false"#,
        r#"past 7 80000.0 a "" 0 false true"#,
    ];
    assert_eq!(shown(&mut opened), expected);
    assert_eq!(kit::tree(&mut opened).len(), 2);
}

/// One record of each kind, in a twin.
fn one_of_each() -> Disk {
    let disk = Disk::default();
    let mut begun = begin(kit::open_on(disk.table(), &[]));
    begun.push(|changes| changes.floor(GROUP, "floor", 5));
    begun.push(|changes| changes.floor(GROUP, &"f".repeat(600), 5));
    begun.push(|changes| changes.outcome(GROUP, "topic", outcome(3, 3)));
    begun.push(|changes| {
        changes.put(GROUP, row("past", b"1", 2));
        changes.remember(0);
    });
    begun.writer.end().unwrap();
    disk
}

#[test]
fn a_damaged_record_of_any_kind_is_named_and_with_recover_set_aside() {
    for letter in [b'r', b'f', b'F', b'o', b'h'] {
        let disk = one_of_each();
        disk.tamper(|kept| {
            let found = kept.iter_mut().find(|(key, _)| key.first() == Some(&letter));
            *found.unwrap().1 = vec![9, 9];
        });
        let error = kit::open_on(disk.table(), &[]).restore(|_| {}).unwrap_err();
        let StoreError::Damaged { key, .. } = error else { panic!("{error}") };
        assert!(key.starts_with(char::from(letter)), "{key}");
        let recovering = Settings { recover: true, ..Settings::default() };
        let rule: store::GroupRule<'_> = &|_| Box::new(|_| GROUP);
        let mut opened = store::open_on(Box::new(disk.table()), &recovering, &[], rule).unwrap();
        assert_eq!(opened.records_set_aside, 1);
        assert!(opened.restore(|_| {}).is_ok());
        disk.tamper(|kept| {
            assert!(
                kept.contains_key([b"x", &key.as_bytes()[..1]].concat().as_slice())
                    || kept.keys().any(|key| key.starts_with(&[b'x', letter]))
            )
        });
    }
}

#[test]
fn any_flipped_byte_is_refused() {
    for letter in [b'f', b'F', b'o', b'h'] {
        for at in 0..60 {
            for flip in [0x01, 0x80, 0xff] {
                let disk = one_of_each();
                disk.tamper(|kept| {
                    let value = kept.iter_mut().find(|(key, _)| key.first() == Some(&letter)).unwrap().1;
                    let index = at % value.len();
                    value[index] ^= flip;
                });
                let read = kit::open_on(disk.table(), &[]).restore(|_| {});
                assert!(matches!(read, Err(StoreError::Damaged { .. })));
            }
        }
    }
}

/// One flipped bit makes a letter of a key another: nobody would read the record, and nobody would miss it.
#[test]
fn a_key_that_nobody_wrote_is_refused_and_recovers_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = kit::settings(folder.path());
    let (inlets, writer) = kit::open(&settings, &[]).unwrap().start(1, no_wakes(1)).unwrap();
    inlets[0].push(kit::put(1, GROUP, row("past", b"1", 1)));
    writer.stop().unwrap();
    let mut table = LmdbTable::open(folder.path(), 1 << 20).unwrap();
    table.commit(&mut |edit| edit.put(b"v\0\x01past", b"1")).unwrap();
    drop(table);
    let said = kit::open(&settings, &[]).err().unwrap().to_string();
    assert!(said.contains("v\\x00\\x01past") && said.contains("--recover"), "{said}");
    let mut opened = kit::open(&Settings { recover: true, ..settings }, &[]).unwrap();
    assert_eq!(kit::tree(&mut opened).keys().collect::<Vec<_>>(), ["past"]);
    assert!(opened.moved_aside.is_some());
}

/// Floors and outcomes go with their topics. Histories are read with cursors, and these are void: they are gone.
#[test]
fn another_split_moves_floors_and_outcomes_and_ends_histories() {
    // [MOTE-7.6]
    let disk = Disk::default();
    let rule = |group: u16| {
        move |_: [u64; 2]| -> Box<dyn Fn(&str) -> GroupId> {
            Box::new(move |topic| if topic.starts_with("stays") { GROUP } else { GroupId(group) })
        }
    };
    let open = |group: u16, split: &[Split]| {
        store::open_on(Box::new(disk.table()), &Settings::default(), split, &rule(group)).unwrap()
    };
    let long = "l".repeat(600);
    let mut begun = begin(open(7, &[]));
    begun.push(|changes| {
        changes.put(GROUP, row("moves/a", b"1", 2));
        changes.remember(0);
        changes.floor(GROUP, "moves", 5);
        changes.floor(GROUP, "stays", 6);
        changes.floor(GROUP, &long, 7);
        changes.outcome(GROUP, "moves/a", outcome(1, 2));
        changes.outcome(GROUP, "stays/a", outcome(2, 3));
        changes.lapse(GROUP, "moves/b", 4);
    });
    begun.writer.end().unwrap();
    let epoch = open(7, &[]).identity.epoch;
    let split = [Split { prefix: "moves".into(), levels: 2 }];
    let mut opened = open(9, &split);
    assert_eq!(opened.moved.unwrap().records, 4);
    assert_ne!(opened.identity.epoch, epoch, "[MOTE-7.8] cursors of before mean nothing");
    let payload = "fffffffffffffffffffffffffffffffa";
    let expected = [
        "floor 7 stays 6".to_owned(),
        "floor 9 moves 5".to_owned(),
        "floor 9 long600 7".to_owned(),
        format!("outcome 7 2 {payload} 3 true 99"),
        format!("outcome 9 1 {payload} 2 true 99"),
    ];
    assert_eq!(shown(&mut opened), expected);
    begin(opened).writer.end().unwrap();
    assert_eq!(shown(&mut open(9, &split)), expected);
}

/// What was written before there were floors: its queue of tombstones goes, everything else is read.
#[test]
fn a_store_of_before_floors_starts() {
    let text = include_str!("before_floors.txt");
    let bytes = |hex: &str| -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    };
    let pages: BTreeMap<Vec<u8>, Vec<u8>> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .map(|(key, value)| (bytes(key), bytes(value)))
        .collect();
    let disk = Disk::default();
    disk.tamper(|kept| *kept = pages.clone());
    let queued = |disk: &Disk| {
        let mut count = 0;
        disk.tamper(|kept| count = kept.keys().filter(|key| key.first() == Some(&b't')).count());
        count
    };
    assert_eq!(queued(&disk), 2);
    let mut opened = kit::open_on(disk.table(), &[]);
    assert!(opened.clean && opened.moved.is_none());
    let report = opened.restore(|_| {}).unwrap();
    assert_eq!((report.rows, report.tombstones, report.floors), (2, 2, 0));
    assert_eq!(
        (opened.groups[1].last_version, opened.groups[2].last_version, opened.groups[3].last_version),
        (4, 2, 77)
    );
    let mut records = 0;
    assert_eq!(
        opened
            .restore_sessions(|_, _| {
                records += 1;
                Ok(())
            })
            .unwrap(),
        records
    );
    assert_eq!(records, 4);
    let (tree, identity) = (kit::tree(&mut opened), opened.identity);
    let mut begun = begin(opened);
    assert_eq!(queued(&disk), 0);
    begun.commit(|changes| changes.lapse(GroupId(1), "a/gone", 4));
    begun.writer.end().unwrap();
    let mut opened = kit::open_on(disk.table(), &[]);
    assert_eq!(opened.identity, identity);
    assert_eq!(kit::tree(&mut opened).len(), tree.len() - 1);
    assert_eq!(opened.groups[1].forgotten, 4);
}
