//! A store that cannot be opened is refused, with words that help, and left as it is; `--recover` moves aside.

use crate::kit::{self, no_wakes, open, put, row, settings, tree};
use engine::key::GroupId;
use std::path::{Path, PathBuf};
use store::memory::Disk;
use store::{OpenError, Restored, Settings, StoreError};

fn recovering(folder: &Path) -> Settings {
    Settings { recover: true, ..settings(folder) }
}

fn fill(folder: &Path, rows: u64) {
    let (inlets, writer) = open(&settings(folder), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    for n in 1..=rows {
        inlets[0].push(put(n, GroupId(1), row(&format!("t/{n}"), b"value", n)));
    }
    writer.stop().unwrap();
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data.mdb")
}

/// Refused and untouched, then moved aside and fresh.
fn refused_then_recovered(folder: &Path) {
    let before = std::fs::read(data(folder)).unwrap();
    let said = open(&settings(folder), &[]).err().unwrap().to_string();
    assert!(said.contains("--recover") && said.contains("left as it is"), "{said}");
    assert!(std::fs::read(data(folder)).unwrap() == before, "untouched");

    let mut opened = open(&recovering(folder), &[]).unwrap();
    assert!(tree(&mut opened).is_empty());
    let aside = opened.moved_aside.clone().unwrap();
    assert!(std::fs::read(data(&aside.folder)).unwrap() == before, "moved, not deleted");
}

#[test]
fn garbage_is_refused_and_untouched() {
    for garbage in [vec![b'x'; 100], vec![0; 4_096], (0..100_000_u32).map(|n| (n * 7) as u8).collect()] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(data(folder.path()), &garbage).unwrap();
        refused_then_recovered(folder.path());
    }
}

#[test]
fn a_file_that_was_cut_short_is_refused_and_untouched() {
    for keep in [1, 4_000, 4_096, 8_192, 12_000] {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 2_000);
        let file = std::fs::OpenOptions::new().write(true).open(data(folder.path())).unwrap();
        file.set_len(keep).unwrap();
        refused_then_recovered(folder.path());
    }
}

#[test]
fn rows_without_an_identity_are_refused() {
    let disk = Disk::default();
    disk.tamper(|kept| drop(kept.insert(b"r\0\0a".to_vec(), b"?".to_vec())));
    let refused = store::open_on(Box::new(disk.table()), &Settings::default(), &[], &|_| Box::new(|_| GroupId(0)));
    assert!(matches!(refused, Err(OpenError::Damaged { .. })));
}

#[test]
fn recovering_a_sound_store_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 10);
    let mut opened = open(&recovering(folder.path()), &[]).unwrap();
    assert!(opened.moved_aside.is_none() && opened.records_set_aside == 0 && opened.clean);
    assert_eq!(tree(&mut opened).len(), 10);
}

/// A twin with rows, whose records are then damaged.
fn damaged(with: impl FnOnce(&mut std::collections::BTreeMap<Vec<u8>, Vec<u8>>)) -> Disk {
    let disk = Disk::default();
    let (inlets, mut writer) = kit::open_on(disk.table(), &[]).start_by_hand(1, no_wakes(1)).unwrap();
    for n in 1..=10 {
        inlets[0].push(put(n, GroupId(1), row(&format!("t/{n}"), b"value", n)));
    }
    writer.end().unwrap();
    disk.tamper(with);
    disk
}

#[test]
fn a_damaged_record_is_named_and_with_recover_set_aside() {
    let disk = damaged(|kept| *kept.get_mut(b"r\0\x01t/7".as_slice()).unwrap() = b"nonsense".to_vec());
    let mut opened = kit::open_on(disk.table(), &[]);
    let mut shown = 0;
    let error = opened.restore(|_| shown += 1).unwrap_err();
    assert!(shown < 10);
    assert!(matches!(&error, StoreError::Damaged { key, .. } if key.contains("t/7")), "{error}");
    assert!(error.to_string().contains("--recover"));
    drop(opened);

    let settings = Settings { recover: true, ..Settings::default() };
    let rule: store::GroupRule<'_> = &|_| Box::new(|_| GroupId(1));
    let mut opened = store::open_on(Box::new(disk.table()), &settings, &[], rule).unwrap();
    assert_eq!(opened.records_set_aside, 1);
    assert_eq!(tree(&mut opened).len(), 9);
    disk.tamper(|kept| assert_eq!(kept[b"xr\0\x01t/7".as_slice()], b"nonsense", "kept, where nobody looks"));
}

/// Also in a text, where a record stays one that can be read.
#[test]
fn any_flipped_byte_of_a_record_is_refused() {
    let disk = damaged(|_| {});
    let mut record = Vec::new();
    disk.tamper(|kept| record = kept[b"r\0\x01t/7".as_slice()].clone());
    for at in 0..record.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = record.clone();
            bytes[at] ^= flip;
            disk.tamper(|kept| drop(kept.insert(b"r\0\x01t/7".to_vec(), bytes)));
            let read = kit::open_on(disk.table(), &[]).restore(|_| {});
            assert!(matches!(read, Err(StoreError::Damaged { .. })));
        }
    }
}

#[test]
fn numbers_that_cannot_be_read_are_refused_and_recovered_above_all_others() {
    let disk = damaged(|kept| drop(kept.remove(b"g\0\x01".as_slice())));
    let rule: store::GroupRule<'_> = &|_| Box::new(|_| GroupId(1));
    let refused = store::open_on(Box::new(disk.table()), &Settings::default(), &[], rule);
    assert!(matches!(refused, Err(OpenError::Damaged { what }) if what.contains("group 1")));
    let settings = Settings { recover: true, ..Settings::default() };
    let opened = store::open_on(Box::new(disk.table()), &settings, &[], rule).unwrap();
    let highest = opened.groups.iter().map(|g| g.last_version).max().unwrap();
    assert_eq!(opened.groups[1].last_version, highest);
    assert!(highest > 10 + engine::limits::VERSION_RESERVE);
}

#[test]
fn a_second_opener_is_refused_and_told_who_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (_, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    for settings in [settings(folder.path()), recovering(folder.path())] {
        let said = open(&settings, &[]).err().unwrap().to_string();
        let expected = format!("another mote uses this folder (pid {})", std::process::id());
        assert!(said.starts_with(&expected), "{said}");
    }
    writer.stop().unwrap();
    assert!(open(&settings(folder.path()), &[]).is_ok(), "after a stop the folder is free");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let said = open(&settings(&file), &[]).err().unwrap().to_string();
    assert!(said.contains(file.to_str().unwrap()), "{said}");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 1);
    let disk = damaged(|kept| {
        let identity = kept.get_mut(b"i".as_slice()).unwrap();
        // The one field whose value is 2 with four bytes: the format.
        let at = identity.windows(4).position(|w| w == 2_u32.to_le_bytes()).unwrap();
        identity[at] = 3;
        let end = identity.len() - 4;
        let sum = crc32fast::hash(&[b"i", &identity[..end]].concat());
        identity[end..].copy_from_slice(&sum.to_le_bytes());
    });
    let refused = store::open_on(Box::new(disk.table()), &Settings::default(), &[], &|_| Box::new(|_| GroupId(1)));
    assert!(matches!(refused, Err(OpenError::Newer { format: 3 })));
}

/// A store on LMDB with rows of every kind: short, long, on overflow pages, deleted; written in several commits.
fn varied(folder: &Path) -> kit::Tree {
    let (inlets, writer) = open(&settings(folder), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    for n in 1..=600_u64 {
        let topic = format!("{n}/{}", "l".repeat(if n % 50 == 0 { 700 } else { 5 }));
        let payload = vec![n as u8; if n % 40 == 0 { 9_000 } else { 20 }];
        inlets[0].push(put(n, GroupId((n % 7) as u16), row(&topic, &payload, n)));
        if n % 9 == 0 {
            inlets[0].push(kit::delete(n, GroupId((n % 7) as u16), &topic, n));
        }
        if n % 100 == 0 {
            inlets[0].hurry();
            while inlets[0].committed() < n {
                std::thread::yield_now();
            }
        }
    }
    writer.stop().unwrap();
    tree(&mut open(&settings(folder), &[]).unwrap())
}

/// LMDB itself would end the process on many of these. Damage is found, or it lies in what nobody reads.
#[test]
fn a_damaged_file_is_refused_or_read_and_never_ends_the_process() {
    let sound = tempfile::tempdir().unwrap();
    let expected = varied(sound.path());
    let bytes = std::fs::read(data(sound.path())).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut refused, mut kept) = (0, 0);
    for round in 0..250 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + round % 3 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Half of them where pages say what they are.
            let page = (random >> 33) as usize % (bytes.len() / 4_096) * 4_096;
            let within = (random >> 13) as usize % if round % 2 == 0 { 64 } else { 4_096 };
            damaged[page + within] ^= 1 << (random >> 61);
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(data(folder.path()), &damaged).unwrap();
        let opened = open(&settings(folder.path()), &[]);
        let Ok(mut opened) = opened else {
            refused += 1;
            let mut opened = match open(&recovering(folder.path()), &[]) {
                Err(OpenError::Newer { .. }) => continue,
                other => other.unwrap(),
            };
            let found = tree(&mut opened);
            kept += found.len();
            assert!(
                found.iter().all(|(topic, seen)| expected.get(topic) == Some(seen)),
                "what was saved is what was written"
            );
            if let Some(aside) = &opened.moved_aside {
                assert!(std::fs::read(data(&aside.folder)).unwrap() == damaged);
            }
            // What was saved can be written on.
            let (inlets, writer) = opened.start(1, no_wakes(1)).unwrap();
            inlets[0].push(put(1, GroupId(1), row("new", b"1", u64::MAX / 2)));
            writer.stop().unwrap();
            let mut new = 0;
            let mut opened = open(&settings(folder.path()), &[]).unwrap();
            opened
                .restore(|restored| new += u32::from(matches!(restored, Restored::Row(_, kept) if kept.topic == "new")))
                .unwrap();
            assert_eq!(new, 1);
            continue;
        };
        match opened.restore(|_| {}) {
            Ok(_) => {
                assert!(tree(&mut opened) == expected, "round {round}: a start without a word has what was written")
            }
            Err(_) => refused += 1,
        }
        if let Ok((inlets, writer)) = opened.start(1, no_wakes(1)) {
            inlets[0].push(put(1, GroupId(1), row("new", b"1", u64::MAX / 2)));
            let _ = writer.stop();
        }
    }
    assert!(refused > 50, "{refused} of 250 were refused");
    assert!(kept > refused * expected.len() / 4, "{kept} records were saved");
}

#[test]
fn what_can_be_read_of_a_file_that_was_cut_short_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let expected = varied(folder.path());
    let bytes = std::fs::metadata(data(folder.path())).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(data(folder.path())).unwrap();
    file.set_len(bytes * 3 / 4).unwrap();
    drop(file);
    let epoch = |opened: &store::Opened| opened.identity.epoch;
    assert!(open(&settings(folder.path()), &[]).is_err());
    let mut opened = open(&recovering(folder.path()), &[]).unwrap();
    let found = tree(&mut opened);
    let aside = opened.moved_aside.clone().unwrap();
    assert!(aside.damaged > 0 && !found.is_empty() && found.len() < expected.len());
    assert!(found.iter().all(|(topic, seen)| expected[topic] == *seen), "what was saved is what was written");
    assert!(opened.groups.iter().all(|group| group.last_version >= engine::limits::VERSION_RESERVE));
    let kept = epoch(&opened);
    let (_, writer) = opened.start(1, no_wakes(1)).unwrap();
    writer.stop().unwrap();
    assert_eq!(epoch(&open(&settings(folder.path()), &[]).unwrap()), kept);
}

/// The tree before the last commit is in the file too, and a copy of the store's identity beside it: so one lost page, the
/// root or one of the first two, takes little more than the last commit.
#[test]
fn one_lost_page_takes_no_more_than_the_last_commit() {
    let sound = tempfile::tempdir().unwrap();
    let expected = varied(sound.path());
    let bytes = std::fs::read(data(sound.path())).unwrap();
    let (mut refused, mut without_rows) = (0, 0);
    for page in 0..bytes.len() / 4_096 {
        let folder = tempfile::tempdir().unwrap();
        let mut damaged = bytes.clone();
        damaged[page * 4_096..][..4_096].fill(0);
        std::fs::write(data(folder.path()), &damaged).unwrap();
        std::fs::copy(sound.path().join("mote.identity"), folder.path().join("mote.identity")).unwrap();
        // A page in the middle of a payload is seen when that is read.
        if let Ok(mut opened) = open(&settings(folder.path()), &[])
            && opened.restore(|_| {}).is_ok()
        {
            assert!(tree(&mut opened) == expected, "page {page} is free");
            continue;
        }
        refused += 1;
        let mut opened = open(&recovering(folder.path()), &[]).unwrap();
        let found = tree(&mut opened);
        // Their groups may be others where the identity was lost.
        let payload = |seen: &kit::Seen| match seen {
            kit::Seen::Row { payload, version, .. } => (payload.clone(), *version),
            kit::Seen::Tombstone { version, .. } => (Vec::new(), *version),
        };
        let same = found.iter().filter(|(topic, seen)| payload(&expected[*topic]) == payload(seen)).count();
        without_rows += u32::from(same < expected.len() - 50);
    }
    assert!(refused > 10 && without_rows == 0, "{without_rows} of {refused} lost pages took more");
}
