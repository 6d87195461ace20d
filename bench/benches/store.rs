//! The store: what shards push is committed, and shown again at a start. On a disk in memory, where the code is
//! measured, and on the disk below the temporary folder, where the disk is.

mod room;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::key::GroupId;
use engine::row::change::{Changes, Kept};
use engine::wire::QoS;
use room::Room;
use store::memory::Disk;
use store::{Opened, Settings, Wake};

const ROWS: usize = 1_000;

fn topics() -> Vec<String> {
    (0..ROWS).map(|index| format!("t/{:03}/tmp", index)).collect()
}

fn group(_: &str) -> GroupId {
    GroupId(1)
}

fn no_wakes() -> Vec<Wake> {
    vec![Box::new(|| {})]
}

fn open_in_memory(disk: &Disk) -> Opened {
    store::open_on(Box::new(disk.table()), &Settings::default(), &[], &|_| Box::new(group)).expect("the disk is good")
}

/// Appends every row once, as one change each.
fn put_all(changes: &mut Changes, topics: &[String], version: &mut u64) {
    for topic in topics {
        *version += 1;
        let payload = &[7; 32];
        changes.put(
            GroupId(1),
            Kept {
                topic,
                payload,
                properties: b"",
                qos: QoS::AtLeastOnce,
                text: false,
                expires_at_ms: 0,
                version: *version,
            },
        );
        changes.advance();
    }
}

fn commit(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "store/commit").slow();
    let topics = topics();
    let folder = std::env::temp_dir().join(format!("mote-store-bench-{}", std::process::id()));
    let settings = Settings { folder: Some(folder.clone()), ..Settings::default() };
    let on_disk = store::open(&settings, &[], &|_| Box::new(group)).expect("a temporary folder takes a store");
    for (name, opened) in [("1000 rows, in memory", open_in_memory(&Disk::default())), ("1000 rows, LMDB", on_disk)] {
        let (inlets, mut writer) = opened.start_by_hand(1, no_wakes()).expect("the store starts");
        let (mut version, mut last) = (0, 0);
        room.measure(name, Throughput::Elements(ROWS as u64), || {
            let mut changes = inlets[0].spare().unwrap_or_default();
            changes.last = last;
            put_all(&mut changes, &topics, &mut version);
            last = changes.last;
            inlets[0].push(changes);
            while writer.commit().expect("the store commits") {}
        });
        writer.end().expect("the store ends");
    }
    // Nothing is lost where it cannot be removed: it is a temporary folder.
    let _ = std::fs::remove_dir_all(&folder);
}

fn restore(criterion: &mut Criterion) {
    let mut room = Room::new(criterion, "store/restore").slow();
    let disk = Disk::default();
    let (inlets, mut writer) = open_in_memory(&disk).start_by_hand(1, no_wakes()).expect("the store starts");
    let mut changes = Changes::default();
    put_all(&mut changes, &topics(), &mut 0);
    inlets[0].push(changes);
    while writer.commit().expect("the store commits") {}
    writer.end().expect("the store ends");
    drop((inlets, writer));
    room.measure("1000 rows", Throughput::Elements(ROWS as u64), || {
        let mut rows = 0;
        open_in_memory(&disk).restore(|_| rows += 1).expect("the store is whole");
        rows
    });
}

criterion_group!(benches, commit, restore);
criterion_main!(benches);
