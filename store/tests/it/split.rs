//! PROTOCOL.md section 7: a start with another split rewrites the store before anybody listens.

use crate::kit::{Seen, Tree, group_under, no_wakes, open, settings, tree};
use engine::config::Split;
use engine::key::GroupId;
use engine::limits::VERSION_RESERVE;
use engine::row::change::Changes;
use std::path::Path;
use store::{Opened, Settings};

fn deeper() -> Vec<Split> {
    vec![Split { prefix: "v1/devices".into(), levels: 3 }]
}

/// 3 000 devices below one root, some with topics longer than a key, one of ten deleted; and rows elsewhere.
fn fill(folder: &Path) -> (Tree, store::Identity) {
    let opened = open(&settings(folder), &[]).unwrap();
    let identity = opened.identity;
    let (inlets, writer) = opened.start(1, no_wakes(1)).unwrap();
    let mut changes = Changes { last: 1, ..Changes::default() };
    let long = "p".repeat(600);
    for n in 1..=3_000_u64 {
        let topic = match n % 10 {
            0 => format!("v1/devices/{n}/{long}"),
            1 => format!("other{n}/x"),
            _ => format!("v1/devices/{n}/state"),
        };
        let group = group_under(&[], identity.hash_seed, &topic);
        if n % 10 == 2 {
            changes.delete(group, &topic, n, 5);
        } else {
            changes.put(group, crate::kit::row(&topic, topic.as_bytes(), n));
        }
    }
    inlets[0].push(changes);
    writer.stop().unwrap();
    (tree(&mut open(&settings(folder), &[]).unwrap()), identity)
}

fn group_of(seen: &Seen) -> GroupId {
    match seen {
        Seen::Row { group, .. } | Seen::Tombstone { group, .. } => *group,
    }
}

fn without_group(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    for seen in tree.values_mut() {
        match seen {
            Seen::Row { group, .. } | Seen::Tombstone { group, .. } => *group = GroupId(0),
        }
    }
    tree
}

fn check(opened: &mut Opened, split: &[Split], before: &Tree) {
    let seed = opened.identity.hash_seed;
    let found = tree(opened);
    assert_eq!(without_group(&found), without_group(before), "nothing is lost, nothing is twice");
    assert!(found.iter().all(|(topic, seen)| group_of(seen) == group_under(split, seed, topic)));
}

#[test]
fn another_split_moves_every_row_to_its_new_group() {
    // [MOTE-7.6] [MOTE-7.7]
    let folder = tempfile::tempdir().unwrap();
    let (before, identity) = fill(folder.path());
    let top = open(&settings(folder.path()), &[]).unwrap().groups.iter().map(|g| g.last_version).max().unwrap();
    assert!(top >= 2_900);

    let mut opened = open(&settings(folder.path()), &deeper()).unwrap();
    let changed =
        |(topic, seen): &(&String, &Seen)| group_under(&deeper(), identity.hash_seed, topic) != group_of(seen);
    assert_eq!(opened.moved.unwrap().records, before.iter().filter(changed).count() as u64);
    assert_eq!(opened.identity.hash_seed, identity.hash_seed);
    assert_ne!(opened.identity.epoch, identity.epoch, "cursors of before mean nothing");
    let last = opened.groups[0].last_version;
    assert!(last >= VERSION_RESERVE, "above the highest number reserved");
    assert!(opened.groups.iter().all(|g| g.last_version == last && g.bound >= last + VERSION_RESERVE));
    check(&mut opened, &deeper(), &before);
    let epoch = opened.identity.epoch;
    let (_, writer) = opened.start(1, no_wakes(1)).unwrap();
    writer.stop().unwrap();

    let mut opened = open(&settings(folder.path()), &deeper()).unwrap();
    assert_eq!(opened.moved, None, "it is recorded");
    assert_eq!((opened.identity.epoch, opened.groups[0].last_version), (epoch, last));
    check(&mut opened, &deeper(), &before);
    drop(opened);

    let mut opened = open(&settings(folder.path()), &[]).unwrap();
    assert!(opened.moved.unwrap().records > 0);
    assert!(opened.groups[0].last_version > last);
    check(&mut opened, &[], &before);
    assert_ne!(opened.identity.epoch, epoch);
}

#[test]
fn a_damaged_record_stops_the_move_and_nothing_was_moved() {
    let disk = store::memory::Disk::default();
    let (inlets, mut writer) = crate::kit::open_on(disk.table(), &[]).start_by_hand(1, no_wakes(1)).unwrap();
    for n in 1..=2_000 {
        inlets[0].push(crate::kit::put(n, GroupId(0), crate::kit::row(&format!("v1/devices/{n}"), b"1", n)));
    }
    writer.end().unwrap();
    let mut pages = None;
    disk.tamper(|kept| {
        *kept.get_mut(b"r\0\0v1/devices/999".as_slice()).unwrap() = vec![1, 2, 3];
        pages = Some(kept.clone());
    });
    let rule: store::GroupRule<'_> = &|_| Box::new(|topic| GroupId(topic.len() as u16));
    let refused = store::open_on(Box::new(disk.table()), &Settings::default(), &deeper(), rule);
    let said = refused.err().unwrap().to_string();
    assert!(said.contains("v1/devices/999") && said.contains("--recover"), "{said}");
    disk.tamper(|kept| assert_eq!(Some(&*kept), pages.as_ref()));
}

#[test]
fn the_same_split_in_another_order_moves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut split = deeper();
    split.push(Split { prefix: "a".into(), levels: 2 });
    let opened = open(&settings(folder.path()), &split).unwrap();
    let identity = opened.identity;
    let (_, writer) = opened.start(1, no_wakes(1)).unwrap();
    writer.stop().unwrap();
    split.reverse();
    let opened = open(&settings(folder.path()), &split).unwrap();
    assert_eq!((opened.moved, opened.identity), (None, identity));
}
