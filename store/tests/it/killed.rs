//! A process that is killed with SIGKILL, on LMDB: it always starts again, and what it had reported durable is there.

use crate::kit::{Seen, no_wakes, open, row, settings, tree};
use engine::key::GroupId;
use engine::row::change::Changes;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "MOTE_STORE_TEST_FOLDER";
/// Rows of one batch: all of them have one number.
const ROWS: u64 = 5;

/// Writes batches and prints each position that was reported durable: `batches` of them, or until it is killed.
fn write(folder: &Path, batches: Option<u64>) {
    let opened = open(&settings(folder), &[]).unwrap();
    let first = opened.groups[7].last_version + 1;
    let (inlets, writer) = opened.start(1, no_wakes(1)).unwrap();
    let mut told = 0;
    for n in first.. {
        if batches.is_some_and(|batches| n >= first + batches) {
            break;
        }
        let mut changes = Changes { last: n, ..inlets[0].spare().unwrap_or_default() };
        for r in 0..ROWS {
            changes.put(GroupId(7), row(&format!("batch/{r}"), &n.to_be_bytes(), n));
        }
        changes.put(GroupId(7), row(&format!("each/{}", n % 97), &n.to_be_bytes(), n));
        inlets[0].push(changes);
        if n % 8 == 0 {
            inlets[0].hurry();
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        if inlets[0].committed() > told {
            told = inlets[0].committed();
            println!("durable {told}");
        }
        while inlets[0].is_full() {
            std::thread::yield_now();
        }
    }
    writer.stop().unwrap();
}

fn version(seen: &Seen) -> u64 {
    match seen {
        Seen::Row { version, .. } | Seen::Tombstone { version, .. } => *version,
    }
}

/// Also the body of the child: told a folder, it writes there until it is killed.
#[test]
fn a_writer_that_ends_by_itself_keeps_everything() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        write(Path::new(&folder), None);
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Some(500));
    let mut opened = open(&settings(folder.path()), &[]).unwrap();
    assert!(opened.clean);
    assert_eq!(opened.groups[7].last_version, 500);
    let found = tree(&mut opened);
    assert!((0..ROWS).all(|r| version(&found[&format!("batch/{r}")]) == 500));
    assert_eq!(found.len() as u64, ROWS + 97);
}

#[test]
fn a_killed_process_loses_nothing_that_was_durable() {
    let folder = tempfile::tempdir().unwrap();
    let mut used = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "killed::a_writer_that_ends_by_itself_keeps_everything"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut durable = 0;
        // Where in its work it dies differs from round to round.
        for line in lines
            .map_while(Result::ok)
            .filter_map(|l| l.strip_prefix("durable ")?.parse().ok())
            .take(1 + round as usize * 5)
        {
            durable = line;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut opened = open(&settings(folder.path()), &[]).unwrap();
        assert!(!opened.clean && !opened.first_start);
        let found = tree(&mut opened);
        let newest = version(&found["batch/0"]);
        assert!(newest >= durable, "{newest} is older than {durable}, which was durable");
        assert!((0..ROWS).all(|r| version(&found[&format!("batch/{r}")]) == newest), "half a batch");
        assert!(found.values().all(|seen| version(seen) <= newest));
        assert!(newest > used, "a number came twice");
        used = opened.groups[7].last_version;
        assert!(used >= newest);
    }
}
