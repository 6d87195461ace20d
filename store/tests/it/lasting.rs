//! Records of sessions: what is written is read back, in an order that refers backwards, and nothing else is.

use crate::kit::{no_wakes, open, settings};
use engine::row::change::{Changes, Join};
use engine::row::lasting::{Record, RecordKey, ShareRecord, WillRecord};
use engine::wire::QoS;
use store::StoreError;
use store::memory::Disk;

type Told = Vec<(RecordKey, String)>;

/// Everything about a session that is worth telling, under its keys in the order in which a restore shows them.
fn everything() -> Vec<(RecordKey, Record<&'static [u8]>)> {
    let will = WillRecord {
        topic: &b"will/t"[..],
        payload: b"\xff\x00",
        properties: b"\x01\x00",
        intent: Some(b"tree"),
        qos: QoS::ExactlyOnce,
        retain: true,
        delay_s: 7,
        expiry_s: Some(0),
        due_at_ms: 1 << 40,
    };
    let session = |will| Record::Session { client_id: &b"c"[..], level: 5, expiry_s: u32::MAX, ends_at_ms: 9, will };
    let subscription = |mote| Record::Subscription {
        filter: &b"$share/g/a/+"[..],
        mote,
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        id: 268_435_455,
        cursor: if mote.is_some() { b"\x07cursor" } else { b"" },
    };
    let (topic, payload, properties) = (&b"a/b"[..], &b"payload"[..], &b"\x01\x01"[..]);
    let delivery = |packet_id, released| Record::Delivery {
        message: 3,
        qos: QoS::ExactlyOnce,
        retain: true,
        ids: &b"\x01\0\0\0\xff\xff\xff\x0f"[..],
        packet_id,
        released,
        share: released.then_some(ShareRecord { number: u64::MAX, qos: QoS::AtLeastOnce, retain: true }),
    };
    vec![
        (RecordKey::Session(1), session(Some(will))),
        (RecordKey::Session(u64::MAX), session(None)),
        (RecordKey::Subscription { session: 1, number: 0 }, subscription(None)),
        (RecordKey::Subscription { session: 1, number: u64::MAX }, subscription(Some(b"sync"))),
        (RecordKey::Received { session: 1, packet_id: 65_535 }, Record::Received),
        (RecordKey::Message(3), Record::Message { topic, payload, properties, expires_at_ms: 5 }),
        (RecordKey::Message(4), Record::Message { topic, payload: b"", properties: b"", expires_at_ms: 0 }),
        (RecordKey::Delivery { session: 1, seq: 1 }, delivery(0, false)),
        (RecordKey::Delivery { session: 1, seq: 256 }, delivery(65_535, true)),
    ]
}

fn told(records: &[(RecordKey, Record<&[u8]>)]) -> Told {
    records.iter().map(|(key, record)| (*key, format!("{record:?}"))).collect()
}

fn read(opened: &mut store::Opened) -> Told {
    let mut seen = Vec::new();
    let count = opened.restore_sessions(|key, record| {
        seen.push((key, format!("{record:?}")));
        Ok(())
    });
    assert_eq!(count, Ok(seen.len() as u64));
    seen
}

fn changes(last: u64, act: impl FnOnce(&mut Changes)) -> Changes {
    let mut changes = Changes { last, ..Changes::default() };
    act(&mut changes);
    changes
}

#[test]
fn what_is_written_is_read_back_and_a_session_that_ends_takes_its_own_along() {
    let folder = tempfile::tempdir().unwrap();
    let (inlets, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    inlets[0].push(changes(1, |changes| {
        everything().into_iter().rev().for_each(|(key, record)| changes.keep_record(key, record));
    }));
    writer.stop().unwrap();

    let mut opened = open(&settings(folder.path()), &[]).unwrap();
    assert_eq!(read(&mut opened), told(&everything()));
    let (inlets, writer) = opened.start(1, no_wakes(1)).unwrap();
    inlets[0].push(changes(1, |changes| {
        changes.forget_record(RecordKey::Message(4));
        // What is written of a session and its end in one commit: the end wins.
        changes.keep_record(RecordKey::Received { session: 1, packet_id: 1 }, Record::Received);
        changes.end_session(1);
    }));
    writer.stop().unwrap();
    let left = everything();
    let left = [left[1], left[5]];
    assert_eq!(read(&mut open(&settings(folder.path()), &[]).unwrap()), told(&left));
}

#[test]
fn the_newest_of_several_changes_of_a_record_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (inlets, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    let key = |packet_id| RecordKey::Received { session: 1, packet_id };
    inlets[0].push(changes(1, |changes| {
        changes.keep_record(key(1), Record::Received);
        changes.forget_record(key(2));
    }));
    inlets[0].push(changes(2, |changes| {
        changes.forget_record(key(1));
        changes.keep_record(key(2), Record::Received);
    }));
    writer.stop().unwrap();
    assert_eq!(read(&mut open(&settings(folder.path()), &[]).unwrap()), told(&[(key(2), Record::Received)]));
}

#[test]
fn parts_of_one_publish_are_committed_together_or_not_at_all() {
    let disk = Disk::default();
    let open_on = || crate::kit::open_on(disk.table(), &[]);
    let key = |session| RecordKey::Received { session, packet_id: 1 };
    let part = |last, session, parts| {
        changes(last, |changes| {
            changes.keep_record(key(session), Record::Received);
            changes.joins.push(Join { publish: 8, parts });
        })
    };
    let (inlets, mut by_hand) = open_on().start_by_hand(2, no_wakes(2)).unwrap();
    inlets[0].push(part(1, 1, 0));
    by_hand.commit().unwrap();
    assert_eq!(inlets[0].committed(), 0, "its counterpart is missing");
    drop((inlets, by_hand));
    assert_eq!(read(&mut open_on()), []);

    let (inlets, mut by_hand) = open_on().start_by_hand(2, no_wakes(2)).unwrap();
    inlets[0].push(part(1, 1, 0));
    by_hand.commit().unwrap();
    inlets[1].push(part(1, 2, 2));
    by_hand.commit().unwrap();
    assert_eq!([inlets[0].committed(), inlets[1].committed()], [1, 1]);
    drop((inlets, by_hand));
    assert_eq!(read(&mut open_on()).len(), 2);
}

#[test]
fn a_damaged_record_is_refused_by_name_and_with_recover_set_aside() {
    let disk = Disk::default();
    let (inlets, mut by_hand) = crate::kit::open_on(disk.table(), &[]).start_by_hand(1, no_wakes(1)).unwrap();
    inlets[0].push(changes(1, |changes| {
        everything().into_iter().for_each(|(key, record)| changes.keep_record(key, record));
    }));
    by_hand.end().unwrap();
    drop((inlets, by_hand));
    disk.tamper(|pages| {
        let session = pages.iter_mut().find(|(key, _)| key.starts_with(b"l\x01")).unwrap();
        session.1.truncate(3);
    });
    let refused = crate::kit::open_on(disk.table(), &[]).restore_sessions(|_, _| Ok(()));
    assert!(matches!(&refused, Err(StoreError::Damaged { key, .. }) if key.starts_with("l\\x01")), "{refused:?}");

    // What refers to the damaged one is of no use either.
    let recovering = store::Settings { recover: true, ..store::Settings::default() };
    let rule = |_| -> Box<dyn Fn(&str) -> engine::key::GroupId> { Box::new(|_| engine::key::GroupId(0)) };
    let mut opened = store::open_on(Box::new(disk.table()), &recovering, &[], &rule).unwrap();
    let taken = opened.restore_sessions(|key, _| match key.session() {
        Some(1) => Err("its session is missing".into()),
        _ => Ok(()),
    });
    assert_eq!(taken, Ok(everything().len() as u64));
    assert_eq!(opened.records_set_aside, 6);
    drop(opened);
    assert_eq!(read(&mut crate::kit::open_on(disk.table(), &[])).len(), 3);
}
