//! The mesh under every interleaving (`--cfg loom`), or under many (without).
//!
//! Bounds: two threads, or three where two ring one bell, lanes of one or two parcels, and at most
//! [`loom_tests::PREEMPTIONS_MAX`] preemptions. Mistakes that were planted in the mesh, and a model that failed then:
//!
//! | mistake | model |
//! | --- | --- |
//! | `announce_sleep` or `ring` with an `AcqRel` fence | `no_wake_up_is_lost`, and seven more |
//! | `Published::store` or `load` relaxed | `a_durable_position_covers_what_was_written_before_it` |
//! | `Ends::close` or `is_closed` relaxed | `what_was_pushed_before_the_end_is_seen_after_it` |
//! | `free` says one too many | `credit_seen_by_the_producer_is_never_more_than_there_is` |
#![allow(clippy::unwrap_used)] // a test that unwraps says what it expected

use engine::key::ShardId;
use engine::mesh::{Ports, Published, build};
use loom_tests::{Arc, AtomicU64, Ordering, Sleeper, check, thread};

const RECEIVER: ShardId = ShardId(0);
const SENDER: ShardId = ShardId(1);
const OTHER_SENDER: ShardId = ShardId(2);

/// The ports of `N` shards, each to be moved to its thread.
fn mesh<const N: usize>(lane_parcels: usize) -> [Ports<u32>; N] {
    build(N, lane_parcels).try_into().unwrap_or_else(|_| unreachable!("build makes one per shard"))
}

/// The sleeping half of a loop, exactly as `Bell` tells it: takes one parcel from anybody.
fn take(ports: &Ports<u32>, senders: &[ShardId], sleeper: &Sleeper) -> u32 {
    let look = || senders.iter().find_map(|from| ports.down.pop(*from).or_else(|| ports.up.pop(*from)));
    loop {
        if let Some(parcel) = look() {
            return parcel;
        }
        ports.bell.announce_sleep();
        if let Some(parcel) = look() {
            ports.bell.awake();
            return parcel;
        }
        sleeper.sleep();
        ports.bell.awake();
    }
}

/// The sending half.
fn give(ports: &Ports<u32>, parcel: u32, sleeper: &Sleeper) {
    ports.up.push(RECEIVER, parcel).unwrap();
    if ports.bell.ring(RECEIVER) {
        sleeper.wake();
    }
}

#[test]
fn no_wake_up_is_lost() {
    check(|| {
        let [receiver, sender] = mesh(1);
        let sleeper = Arc::new(Sleeper::new());
        let wakes = sleeper.clone();
        let sending = thread::spawn(move || give(&sender, 7, &wakes));
        assert_eq!(take(&receiver, &[SENDER], &sleeper), 7);
        sending.join().unwrap();
    });
}

#[test]
fn parcels_of_one_lane_keep_their_order_while_the_receiver_sleeps_between_them() {
    check(|| {
        let [receiver, sender] = mesh(2);
        let sleeper = Arc::new(Sleeper::new());
        let wakes = sleeper.clone();
        let sending = thread::spawn(move || {
            give(&sender, 1, &wakes);
            give(&sender, 2, &wakes);
        });
        assert_eq!(take(&receiver, &[SENDER], &sleeper), 1);
        assert_eq!(take(&receiver, &[SENDER], &sleeper), 2);
        sending.join().unwrap();
    });
}

#[test]
fn of_two_who_ring_at_most_one_wakes_and_one_does_if_the_receiver_sleeps() {
    check(|| {
        let [receiver, sender, other] = mesh(1);
        let push_and_ring = |ports: Ports<u32>| {
            thread::spawn(move || {
                ports.up.push(RECEIVER, 1).unwrap();
                ports.bell.ring(RECEIVER)
            })
        };
        let threads = [push_and_ring(sender), push_and_ring(other)];
        receiver.bell.announce_sleep();
        let sleeps = receiver.up.is_empty();
        let wakers = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|rang| *rang).count();
        assert!(wakers <= 1, "one announcement, one wake-up");
        assert!(wakers == 1 || !sleeps, "it sleeps and nobody wakes it");
        assert!(receiver.up.pop(SENDER).is_some() && receiver.up.pop(OTHER_SENDER).is_some());
    });
}

#[test]
fn nobody_wakes_a_shard_that_is_awake() {
    check(|| {
        let [receiver, sender] = mesh(1);
        receiver.bell.announce_sleep();
        receiver.bell.awake();
        let sending = thread::spawn(move || sender.bell.ring(RECEIVER));
        assert!(!sending.join().unwrap());
    });
}

#[test]
fn a_wake_up_for_an_old_announcement_does_not_eat_the_new_one() {
    check(|| {
        let [receiver, sender, other] = mesh(1);
        let sleeper = Arc::new(Sleeper::new());
        let (wakes, also_wakes) = (sleeper.clone(), sleeper.clone());
        let threads =
            [thread::spawn(move || give(&sender, 1, &wakes)), thread::spawn(move || give(&other, 2, &also_wakes))];
        let senders = [SENDER, OTHER_SENDER];
        let sum = take(&receiver, &senders, &sleeper) + take(&receiver, &senders, &sleeper);
        assert_eq!(sum, 3);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn credit_seen_by_the_producer_is_never_more_than_there_is() {
    check(|| {
        let [receiver, sender] = mesh(2);
        let sending = thread::spawn(move || {
            let mut pushed = 0;
            for parcel in 0..3 {
                let free = sender.up.free(RECEIVER);
                assert!(free <= 2);
                if free > 0 {
                    sender.up.push(RECEIVER, parcel).unwrap();
                    assert!(sender.up.free(RECEIVER) >= free - 1, "only a push of its own takes room");
                    pushed += 1;
                }
            }
            pushed
        });
        let early = [receiver.up.pop(SENDER), receiver.up.pop(SENDER)].iter().flatten().count();
        let pushed = sending.join().unwrap();
        let late = std::iter::from_fn(|| receiver.up.pop(SENDER)).count();
        assert_eq!(early + late, pushed, "every parcel pushed arrives once");
    });
}

#[test]
fn a_full_up_lane_does_not_hold_back_the_down_lane() {
    check(|| {
        let [receiver, sender] = mesh(1);
        let sleeper = Arc::new(Sleeper::new());
        let wakes = sleeper.clone();
        let sending = thread::spawn(move || {
            sender.up.push(RECEIVER, 1).unwrap();
            assert_eq!(sender.up.push(RECEIVER, 2), Err(2), "credit is used up and the parcel comes back");
            sender.down.push(RECEIVER, 3).unwrap();
            if sender.bell.ring(RECEIVER) {
                wakes.wake();
            }
            sender
        });
        let mut taken = None;
        while taken.is_none() {
            receiver.bell.announce_sleep();
            taken = receiver.down.pop(SENDER);
            if taken.is_none() {
                sleeper.sleep();
            }
            receiver.bell.awake();
        }
        assert_eq!(taken, Some(3));
        sending.join().unwrap();
        assert_eq!(receiver.up.pop(SENDER), Some(1));
    });
}

#[test]
fn two_shards_that_send_to_each_other_and_sleep_both_end() {
    check(|| {
        let [zero, one] = mesh(1);
        let sleepers = [Arc::new(Sleeper::new()), Arc::new(Sleeper::new())];
        let [own, others] = [sleepers[1].clone(), sleepers[0].clone()];
        let thread = thread::spawn(move || {
            one.down.push(RECEIVER, 10).unwrap();
            if one.bell.ring(RECEIVER) {
                others.wake();
            }
            take(&one, &[RECEIVER], &own)
        });
        zero.down.push(SENDER, 20).unwrap();
        if zero.bell.ring(SENDER) {
            sleepers[1].wake();
        }
        assert_eq!(take(&zero, &[SENDER], &sleepers[0]), 10);
        assert_eq!(thread.join().unwrap(), 20);
    });
}

#[test]
fn what_was_pushed_before_the_end_is_seen_after_it() {
    check(|| {
        let [receiver, sender] = mesh(1);
        let sending = thread::spawn(move || {
            sender.up.push(RECEIVER, 5).unwrap();
            sender.ends.close();
        });
        let closed = receiver.ends.is_closed(SENDER);
        let last_look = receiver.up.pop(SENDER);
        assert!(!closed || last_look == Some(5), "closed, and its last parcel is not there");
        sending.join().unwrap();
        assert!(receiver.ends.others_closed());
    });
}

#[test]
fn a_published_sequence_wakes_its_reader() {
    check(|| {
        let [shard] = mesh(1);
        let durable = Arc::new(Published::new());
        let sleeper = Arc::new(Sleeper::new());
        let (raised, wakes, ringer) = (durable.clone(), sleeper.clone(), shard.bell.ringer());
        let writer = thread::spawn(move || {
            for position in [1, 2] {
                raised.store(position);
                if ringer.ring(RECEIVER) {
                    wakes.wake();
                }
            }
        });
        let mut seen = 0;
        while seen < 2 {
            shard.bell.announce_sleep();
            let now = durable.load();
            assert!(now >= seen, "a sequence never falls");
            if now == seen {
                sleeper.sleep();
            }
            shard.bell.awake();
            seen = now;
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_durable_position_covers_what_was_written_before_it() {
    check(|| {
        let durable = Arc::new(Published::new());
        // Stands for the disk: a plain number that orders nothing by itself.
        let disk = Arc::new(AtomicU64::new(0));
        let (raised, written) = (durable.clone(), disk.clone());
        let writer = thread::spawn(move || {
            for position in [1, 2] {
                written.store(position, Ordering::Relaxed);
                raised.store(position);
            }
        });
        let position = durable.load();
        assert!(disk.load(Ordering::Relaxed) >= position, "told durable before it was written");
        writer.join().unwrap();
        assert_eq!(durable.load(), 2);
    });
}

#[test]
fn with_a_credit_of_one_both_ways_nothing_is_refused_and_nothing_lost() {
    check(|| {
        let [zero, one] = mesh(1);
        // Pushes while there is credit, takes what is there, and never waits.
        let trade = |ports: &Ports<u32>, other: ShardId| {
            let (mut pushed, mut taken) = (0, 0);
            for parcel in 0..2 {
                if ports.up.free(other) > 0 {
                    ports.up.push(other, parcel).unwrap();
                    pushed += 1;
                }
                taken += u32::from(ports.up.pop(other).is_some());
            }
            (pushed, taken)
        };
        let thread = thread::spawn(move || (trade(&one, RECEIVER), one));
        let (pushed, mut taken) = trade(&zero, SENDER);
        let ((others_pushed, mut others_taken), one) = thread.join().unwrap();
        taken += u32::from(zero.up.pop(SENDER).is_some());
        others_taken += u32::from(one.up.pop(RECEIVER).is_some());
        assert_eq!((pushed, others_pushed), (others_taken, taken));
    });
}

#[test]
fn who_closes_while_another_pushes_is_seen_closed_and_the_other_goes_on() {
    check(|| {
        let [receiver, sender] = mesh(1);
        let sleeper = Arc::new(Sleeper::new());
        let wakes = sleeper.clone();
        let closing = thread::spawn(move || {
            // The last parcel, the end, and the bell, as a shard that stops does.
            sender.up.push(RECEIVER, 5).unwrap();
            sender.ends.close();
            if sender.bell.ring(RECEIVER) {
                wakes.wake();
            }
            sender.down.pop(RECEIVER)
        });
        receiver.down.push(SENDER, 9).unwrap();
        loop {
            receiver.bell.announce_sleep();
            let is_closed = receiver.ends.is_closed(SENDER);
            if !is_closed {
                sleeper.sleep();
            }
            receiver.bell.awake();
            if is_closed {
                break;
            }
        }
        assert_eq!(receiver.up.pop(SENDER), Some(5));
        let taken = closing.join().unwrap();
        assert!(taken.is_none_or(|parcel| parcel == 9), "what is pushed to who has ended is taken whole or not at all");
    });
}
