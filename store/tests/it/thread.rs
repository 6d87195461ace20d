//! The writer's thread: it wakes, hurries, reports, waits for a failing disk, and ends.

use crate::kit::{self, no_wakes, put, row, tree};
use engine::key::GroupId;
use std::sync::mpsc;
use std::time::Duration;
use store::memory::Disk;
use store::table::TableError;
use store::{Inlet, Settings, StoreError, Wake, Writer};

/// Longer than any test waits: only a hurry makes it commit.
const NEVER_MS: u64 = 3_600_000;

fn start(disk: &Disk, commit_ms: u64, shards: usize) -> (Vec<Inlet>, Writer, mpsc::Receiver<usize>) {
    let settings = Settings { commit_ms, ..Settings::default() };
    let opened = store::open_on(Box::new(disk.table()), &settings, &[], &|_| Box::new(|_| GroupId(0))).unwrap();
    let (told, wakes) = mpsc::channel();
    let wake = |shard| {
        let told = told.clone();
        Box::new(move || told.send(shard).unwrap_or_default()) as Wake
    };
    let (inlets, writer) = opened.start(shards, (0..shards).map(wake).collect()).unwrap();
    (inlets, writer, wakes)
}

#[test]
fn a_push_is_committed_after_a_while_and_its_shard_is_woken() {
    let disk = Disk::default();
    let (inlets, writer, wakes) = start(&disk, 1, 3);
    for n in 1..=20 {
        let shard = n as usize % 3;
        inlets[shard].push(put(n, GroupId(0), row("a", b"1", n)));
        while inlets[shard].committed() < n {
            assert_eq!(wakes.recv(), Ok(shard));
        }
    }
    writer.stop().unwrap();
}

#[test]
fn a_hurry_does_not_wait_for_the_timer() {
    let disk = Disk::default();
    let (inlets, writer, wakes) = start(&disk, NEVER_MS, 1);
    for n in 1..=100 {
        inlets[0].push(put(n, GroupId(0), row("a", b"1", n)));
        inlets[0].hurry();
        while inlets[0].committed() < n {
            assert_eq!(wakes.recv(), Ok(0));
        }
    }
    writer.stop().unwrap();
}

#[test]
fn a_lane_that_fills_up_does_not_wait_for_the_timer() {
    let disk = Disk::default();
    let (inlets, writer, wakes) = start(&disk, NEVER_MS, 1);
    let mut n = 0;
    while inlets[0].committed() == 0 {
        n += 1;
        inlets[0].push(put(n, GroupId(0), row("a", &vec![0; 1 << 17], n)));
        if inlets[0].is_full() {
            assert_eq!(wakes.recv(), Ok(0));
        }
    }
    writer.stop().unwrap();
    assert_eq!(inlets[0].committed(), n);
}

#[test]
fn much_that_is_new_is_committed_before_its_time_and_what_changes_again_and_again_is_not() {
    let half_a_lane = engine::limits::STORE_PENDING_BYTES_DEFAULT / 2;
    let disk = Disk::default();
    let (inlets, writer, wakes) = start(&disk, NEVER_MS, 1);
    for n in 1..=16 {
        inlets[0].push(put(n, GroupId(0), row(&format!("new/{n}"), &vec![0; 1 << 17], n)));
    }
    assert_eq!(wakes.recv(), Ok(0), "twice what a commit may wait for, and no lane is near its half");
    writer.stop().unwrap();

    let (inlets, writer, _wakes) = start(&disk, NEVER_MS, 1);
    let mut pushed_bytes = 0;
    for n in 1.. {
        inlets[0].push(put(n, GroupId(0), row("same", &vec![0; 1 << 17], n)));
        pushed_bytes += 1 << 17;
        if inlets[0].committed() > 0 {
            break;
        }
    }
    assert!(pushed_bytes >= half_a_lane, "committed after {pushed_bytes} bytes");
    writer.stop().unwrap();
}

#[test]
fn shards_push_while_the_disk_is_slow_and_nobody_waits() {
    let disk = Disk::default();
    let (inlets, writer, _wakes) = start(&disk, 0, 4);
    disk.hold(true);
    std::thread::scope(|scope| {
        for (inlet, shard) in inlets.iter().zip(0..) {
            scope.spawn(move || {
                for n in 1..=2_000_u64 {
                    let mut changes = inlet.spare().unwrap_or_default();
                    changes.put(GroupId(shard), row(&format!("{shard}/{}", n % 50), &n.to_be_bytes(), n));
                    changes.last = n;
                    inlet.push(changes);
                }
            });
        }
    });
    assert!(inlets.iter().all(|inlet| inlet.committed() == 0));
    disk.hold(false);
    writer.stop().unwrap();
    assert!(inlets.iter().all(|inlet| inlet.committed() == 2_000 && inlet.pending_bytes() == 0));
    let mut opened = kit::open_on(disk.table(), &[]);
    assert!(opened.clean);
    let found = tree(&mut opened);
    assert_eq!(found.len(), 4 * 50);
    for (shard, n) in (0..4_u16).flat_map(|shard| (1_951..=2_000_u64).map(move |n| (shard, n))) {
        let topic = format!("{shard}/{}", n % 50);
        assert_eq!(found[&topic], kit::seen(GroupId(shard), row(&topic, &n.to_be_bytes(), n)));
    }
}

#[test]
fn a_failing_disk_is_named_and_tried_again() {
    let disk = Disk::default();
    let (inlets, writer, wakes) = start(&disk, 0, 2);
    disk.fail(Some(TableError::DiskFull("no space left".into())));
    inlets[0].push(put(1, GroupId(0), row("a", b"1", 1)));
    while writer.failure().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(inlets[0].is_failing());
    assert!(writer.failure().unwrap().contains("no space left"));
    disk.fail(None);
    assert_eq!([wakes.recv(), wakes.recv()], [Ok(0), Ok(1)], "whoever refused meanwhile goes on");
    assert_eq!(inlets[0].committed(), 1);
    assert!(!inlets[0].is_failing());
    assert_eq!(writer.failure(), None);
    writer.stop().unwrap();
}

#[test]
fn a_stop_that_cannot_write_says_so() {
    let disk = Disk::default();
    let (inlets, writer, _wakes) = start(&disk, NEVER_MS, 1);
    disk.cut_power(disk.commits() + 1, false);
    inlets[0].push(put(1, GroupId(0), row("a", b"1", 1)));
    let error = writer.stop().unwrap_err();
    assert!(matches!(error, StoreError::NotKept(_)), "{error}");
    assert!(!kit::open_on(disk.table(), &[]).clean);
}

#[test]
fn a_writer_without_work_ends_at_once() {
    let disk = Disk::default();
    let (_, writer, _wakes) = start(&disk, NEVER_MS, 1);
    writer.stop().unwrap();
    let opened = kit::open_on(disk.table(), &[]);
    assert!(opened.clean);
    drop(opened.start(1, no_wakes(1)).unwrap());
    assert!(!kit::open_on(disk.table(), &[]).clean);
}
