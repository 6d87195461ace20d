//! PROTOCOL.md section 5: no number is used twice, not even after a crash.

use crate::kit::{no_wakes, open, put, row, settings};
use engine::key::GroupId;
use engine::limits::{GROUPS, VERSION_RESERVE};
use engine::row::change::Changes;
use store::Gap;

#[test]
fn a_new_store_begins_at_one_in_every_group() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&settings(folder.path()), &[]).unwrap();
    assert!(opened.first_start && opened.clean);
    assert_eq!(opened.groups.len(), GROUPS);
    for (state, group) in opened.groups.iter().zip(0..) {
        assert_eq!(state.group, GroupId(group));
        assert_eq!((state.last_version, state.bound), (0, VERSION_RESERVE));
    }
}

#[test]
fn after_a_clean_end_a_group_continues_at_its_last_number() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&settings(folder.path()), &[]).unwrap();
    let identity = opened.identity;
    let (inlets, writer) = opened.start(1, no_wakes(1)).unwrap();
    inlets[0].push(put(1, GroupId(4), row("a", b"1", 55)));
    writer.stop().unwrap();
    let opened = open(&settings(folder.path()), &[]).unwrap();
    assert!(opened.clean && !opened.first_start);
    assert_eq!(opened.identity, identity);
    assert_eq!((opened.groups[4].last_version, opened.groups[4].bound), (55, 55 + VERSION_RESERVE));
    assert_eq!(opened.groups[5].last_version, 0);
    assert!(opened.groups.iter().all(|state| state.gaps.is_empty()));
}

#[test]
fn a_number_that_was_used_for_what_is_not_kept_is_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let (inlets, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    inlets[0].push(put(1, GroupId(4), row("a", b"1", 55)));
    let mut used = Changes { last: 1, ..Changes::default() };
    used.used(GroupId(4), 90);
    inlets[0].push(used);
    writer.stop().unwrap();
    let opened = open(&settings(folder.path()), &[]).unwrap();
    assert!(opened.clean);
    assert_eq!((opened.groups[4].last_version, opened.groups[4].bound), (90, 90 + VERSION_RESERVE));
}

#[test]
fn after_an_unclean_end_every_group_continues_above_what_was_reserved() {
    // [MOTE-5.1] [MOTE-5.2]
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&settings(folder.path()), &[]).unwrap();
    let (inlets, mut writer) = opened.start_by_hand(1, no_wakes(1)).unwrap();
    inlets[0].push(put(1, GroupId(4), row("a", b"1", 55)));
    let mut reserve = Changes { last: 2, ..Changes::default() };
    reserve.reserve(GroupId(6), 9 * VERSION_RESERVE);
    inlets[0].push(reserve);
    writer.commit().unwrap();
    inlets[0].push(put(3, GroupId(4), row("lost", b"1", 56)));
    drop(writer);

    let opened = open(&settings(folder.path()), &[]).unwrap();
    assert!(!opened.clean);
    let state = |group: usize| (opened.groups[group].last_version, opened.groups[group].bound);
    assert_eq!(state(4), (VERSION_RESERVE, 2 * VERSION_RESERVE));
    assert_eq!(state(5), (VERSION_RESERVE, 2 * VERSION_RESERVE));
    assert_eq!(state(6), (9 * VERSION_RESERVE, 10 * VERSION_RESERVE));
    assert_eq!(opened.groups[4].gaps, [Gap { after: 55, upto: VERSION_RESERVE }]);
}

#[test]
fn numbers_reserved_at_a_start_are_lost_only_if_it_really_started() {
    let folder = tempfile::tempdir().unwrap();
    let (_, writer) = open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap();
    writer.stop().unwrap();
    for _ in 0..3 {
        let opened = open(&settings(folder.path()), &[]).unwrap();
        assert!(opened.clean, "opening alone changes nothing");
        assert_eq!(opened.groups[0].last_version, 0);
    }
    drop(open(&settings(folder.path()), &[]).unwrap().start(1, no_wakes(1)).unwrap());
    let opened = open(&settings(folder.path()), &[]).unwrap();
    assert!(!opened.clean, "a writer that is dropped is a process that was killed");
    assert_eq!(opened.groups[0].last_version, VERSION_RESERVE);
}

#[test]
fn what_an_unclean_end_lost_is_remembered_and_the_memory_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut used = 0;
    for round in 1..=70_u64 {
        let opened = open(&settings(folder.path()), &[]).unwrap();
        let state = &opened.groups[2];
        assert!(state.last_version >= used, "round {round}: {} was used, {} comes next", used, state.last_version + 1);
        assert!(state.gaps.len() <= 64);
        assert!(state.gaps.iter().all(|gap| gap.after < gap.upto));
        assert!(state.gaps.windows(2).all(|pair| pair[0].upto <= pair[1].after));
        used = state.last_version + 1;
        let (inlets, mut writer) = opened.start_by_hand(1, no_wakes(1)).unwrap();
        inlets[0].push(put(round, GroupId(2), row("a", b"1", used)));
        if round % 2 == 0 {
            writer.commit().unwrap();
        }
    }
    let opened = open(&settings(folder.path()), &[]).unwrap();
    let gaps = &opened.groups[2].gaps;
    assert_eq!(gaps.len(), 64);
    assert_eq!(gaps[0].after, 0, "the oldest ones became one that covers them");
}
