//! Tombstones are forgotten, the oldest first, and what was forgotten is known.

use crate::kit::{self, Tree, delete, no_wakes, put, row, tree};
use engine::key::GroupId;
use store::memory::Disk;
use store::{GroupRule, Opened, Settings};

const GROUP: GroupId = GroupId(1);

fn open(disk: &Disk, tombstone_s: u64, tombstones_max: u64) -> Opened {
    let settings = Settings { tombstone_s, tombstones_max, ..Settings::default() };
    let rule: GroupRule<'_> = &|_| Box::new(|_| GROUP);
    store::open_on(Box::new(disk.table()), &settings, &[], rule).unwrap()
}

/// Writes and deletes row after row; commits after every `per_commit`; what is there at the end.
fn delete_many(disk: &Disk, from: u64, rows: u64, per_commit: u64, terms: (u64, u64)) -> (Tree, u64) {
    let (inlets, mut writer) = open(disk, terms.0, terms.1).start_by_hand(1, no_wakes(1)).unwrap();
    inlets[0].push(put(1, GROUP, row("stays", b"1", 1)));
    for n in from..from + rows {
        // Every third topic is longer than a key.
        let topic = format!("{n}/{}", "l".repeat(if n % 3 == 0 { 600 } else { 1 }));
        inlets[0].push(put(n, GROUP, row(&topic, b"1", n)));
        if n % per_commit == 0 {
            writer.commit().unwrap();
        }
        inlets[0].push(delete(n, GROUP, &topic, n));
    }
    writer.end().unwrap();
    drop(writer);
    let mut opened = open(disk, terms.0, terms.1);
    (tree(&mut opened), opened.groups[1].forgotten)
}

fn number(topic: &str) -> u64 {
    topic.split('/').next().unwrap().parse().unwrap()
}

#[test]
fn no_more_than_the_maximum_are_kept() {
    let disk = Disk::default();
    let (found, forgotten) = delete_many(&disk, 10, 1_000, 10, (1_000_000, 100));
    assert_eq!(found.len(), 101);
    assert_eq!(forgotten, 909);
    assert!(found.keys().filter(|topic| *topic != "stays").all(|topic| number(topic) > forgotten));
    // Nothing of what was forgotten is left on the disk, and a restart goes on counting.
    disk.tamper(|kept| assert!(kept.len() < 101 + 101 + 300));
    let (found, forgotten) = delete_many(&disk, 2_000, 50, 7, (1_000_000, 100));
    assert_eq!((found.len(), forgotten), (101, 959));
}

#[test]
fn none_is_kept_longer_than_its_time() {
    // `delete` counts the version as milliseconds.
    let (found, forgotten) = delete_many(&Disk::default(), 10_000, 5_000, 10, (2, 1_000_000));
    assert_eq!(forgotten, 12_998);
    assert_eq!(found.len(), 1 + 2_001);
}

#[test]
fn a_row_that_came_back_is_not_forgotten() {
    let disk = Disk::default();
    let (inlets, mut writer) = open(&disk, 1, 10).start_by_hand(1, no_wakes(1)).unwrap();
    for n in 1..200 {
        inlets[0].push(put(n, GROUP, row("back", b"1", 10 * n)));
        writer.commit().unwrap();
        inlets[0].push(delete(n, GROUP, "back", 10 * n + 1));
        inlets[0].push(delete(n, GROUP, &format!("gone/{n}"), 10 * n + 2));
        writer.commit().unwrap();
        inlets[0].push(put(n, GROUP, row("back", b"2", 10 * n + 3)));
        writer.commit().unwrap();
    }
    writer.end().unwrap();
    let found = tree(&mut open(&disk, 1, 10));
    assert_eq!(found["back"], kit::seen(GROUP, row("back", b"2", 1_993)));
    assert!(found.len() <= 11);
}
