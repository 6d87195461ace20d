//! A full disk: reported, tried again, nothing lost.

use crate::kit::{self, no_wakes, put, row, tree};
use engine::key::GroupId;
use store::Settings;
use store::memory::Disk;
use store::table::TableError;

#[test]
fn what_finds_the_disk_full_waits_and_is_written_when_there_is_room() {
    let disk = Disk::default();
    let (inlets, mut writer) = kit::open_on(disk.table(), &[]).start_by_hand(2, no_wakes(2)).unwrap();
    inlets[0].push(put(1, GroupId(0), row("a", b"1", 1)));
    writer.commit().unwrap();
    disk.limit(Some(0));
    inlets[0].push(put(2, GroupId(0), row("a", b"2", 2)));
    inlets[1].push(put(1, GroupId(1), row("b", b"1", 1)));
    assert!(matches!(writer.commit(), Err(TableError::DiskFull(_))));
    assert!(inlets[0].is_failing() && inlets[1].is_failing());
    assert_eq!((inlets[0].committed(), inlets[1].committed()), (1, 0));
    assert!(inlets[1].pending_bytes() > 0);
    inlets[1].push(put(2, GroupId(1), row("b", b"2", 2)));
    assert!(writer.commit().is_err());

    disk.limit(None);
    writer.commit().unwrap();
    assert!(!inlets[0].is_failing());
    assert_eq!((inlets[0].committed(), inlets[1].committed()), (2, 2));
    assert_eq!(inlets[1].pending_bytes(), 0);
    drop(writer);
    let found = tree(&mut kit::open_on(disk.table(), &[]));
    assert_eq!(found["a"], kit::seen(GroupId(0), row("a", b"2", 2)));
    assert_eq!(found["b"], kit::seen(GroupId(1), row("b", b"2", 2)));
}

#[test]
fn a_shard_is_told_when_its_part_of_the_waiting_bytes_is_used() {
    let disk = Disk::default();
    let settings = Settings { pending_bytes: 20_000, ..Settings::default() };
    let opened = store::open_on(Box::new(disk.table()), &settings, &[], &|_| Box::new(|_| GroupId(0))).unwrap();
    let (inlets, mut writer) = opened.start_by_hand(2, no_wakes(2)).unwrap();
    let mut pushed = 0;
    while !inlets[0].is_full() {
        pushed += 1;
        inlets[0].push(put(pushed, GroupId(0), row("a", &[0; 1_000], pushed)));
    }
    assert_eq!(pushed, 10, "half of it is the other shard's");
    assert!(!inlets[1].is_full());
    writer.commit().unwrap();
    assert!(!inlets[0].is_full());
    assert_eq!(inlets[0].pending_bytes(), 0);
}
