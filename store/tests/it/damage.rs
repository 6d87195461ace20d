//! A store that cannot be opened is refused, with words that help, and left as it is; `--recover` moves aside.

use crate::kit::{self, no_wakes, open, put, row, settings, tree};
use engine::key::GroupId;
use std::path::{Path, PathBuf};
use store::memory::Disk;
use store::{OpenError, Settings, StoreError};

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
    assert!(opened.first_start);
    assert!(tree(&mut opened).is_empty());
    let aside = opened.moved_aside.clone().unwrap();
    assert!(std::fs::read(data(&aside)).unwrap() == before, "moved, not deleted");
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
    for keep in [1, 4_000, 4_096, 8_192, 20_000, 60_000] {
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

/// Whatever bytes a record has: an error or a row, never a panic.
#[test]
fn any_flipped_byte_of_a_record_is_read_or_refused() {
    let disk = damaged(|_| {});
    let mut record = Vec::new();
    disk.tamper(|kept| record = kept[b"r\0\x01t/7".as_slice()].clone());
    for at in 0..record.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = record.clone();
            bytes[at] ^= flip;
            disk.tamper(|kept| drop(kept.insert(b"r\0\x01t/7".to_vec(), bytes)));
            let read = kit::open_on(disk.table(), &[]).restore(|_| {});
            assert!(matches!(read, Ok(_) | Err(StoreError::Damaged { .. })));
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
        // The one field whose value is 1 with four bytes: the format.
        let at = identity.windows(4).position(|w| w == 1_u32.to_le_bytes()).unwrap();
        identity[at] = 2;
    });
    let refused = store::open_on(Box::new(disk.table()), &Settings::default(), &[], &|_| Box::new(|_| GroupId(1)));
    assert!(matches!(refused, Err(OpenError::Newer { format: 2 })));
}
