//! Snapshots of merged subscriptions: large ones, cut ones, and those beside writers (PROTOCOL section 2).

use super::merged::{counter, fold, kept, mark, rows, text};
use super::*;
use engine::row::fold::State;

#[test]
fn a_long_row_of_a_filter_without_wildcard_is_one_frame() {
    // A second frame of its snapshot, empty, said that it is gone.
    worlds(|world| {
        if world.plan.piece_bytes_max < 1_000 {
            return;
        }
        let publisher = client(world, V5, "p");
        let long = "x".repeat(600_000);
        publish(world, publisher, message("l/x", &long).qos(Q1).retained());
        let reader = client(world, V5, "r");
        world.subscribe(reader, "$sync/l/x", Q1);
        world.run_until_quiet();
        let frames = world.messages(reader);
        assert_eq!(frames.iter().map(|frame| frame.payload.len()).collect::<Vec<_>>(), [600_000]);
        assert_eq!(mark(&frames[0]).0, "snap");
    });
}

#[test]
fn a_snapshot_of_many_small_frames_keeps_to_two_unacknowledged() {
    let small = |plan: &mut Plan| plan.broker.limits.frame_bytes = 100;
    worlds_with(small, |world| {
        let publisher = client(world, V5, "p");
        let rows: Vec<String> = (0..60).map(|number| format!("\"k{number:03}\":{number}")).collect();
        let tree = format!("{{{}}}", rows.join(","));
        publish(world, publisher, message("$tree/z", &tree).qos(Q1).retained());
        let reader = world.connected(ConnectOptions::new(V5, "r").silent());
        world.subscribe(reader, "$sync/z/#", Q1);
        world.run_until_quiet();
        let mut state = State::new("z/#");
        let mut series = 0;
        loop {
            let frames = world.messages(reader);
            assert!(frames.len() <= 2, "limits.frames_unacked");
            if frames.is_empty() {
                break;
            }
            series += frames.len();
            fold(&mut state, &frames);
            frames.iter().for_each(|frame| world.ack(reader, AckKind::Puback, frame.packet_id));
            world.run_until_quiet();
        }
        assert!(series > 2);
        assert_eq!(text(&state), tree);
    });
}

#[test]
fn a_session_that_returns_in_the_middle_of_a_snapshot_learns_what_was_deleted() {
    // The parts that it has hold rows that a second walk does not find.
    let small = |plan: &mut Plan| plan.broker.limits.frame_bytes = 100;
    for version in [V311, V5] {
        worlds_with(small, |world| {
            let publisher = client(world, version, "p");
            for number in 0..60 {
                let topic = format!("{}/{number}", ["a", "b", "c"][number % 3]);
                world.publish(publisher, message(&topic, "1").qos(Q1).retained());
            }
            world.run_until_quiet();
            let first = world.connected(ConnectOptions::lasting(version, "s").silent());
            world.subscribe(first, "$sync/#", Q1);
            world.run_until_quiet();
            let parts = world.messages(first);
            assert_eq!(parts.len(), 2);
            let mut state = State::new("#");
            fold(&mut state, &parts);
            world.drop_client(first);
            world.run_until_quiet();
            for number in 0..60 {
                let topic = format!("{}/{number}", ["a", "b", "c"][number % 3]);
                world.publish(publisher, message(&topic, if number % 2 == 0 { "" } else { "2" }).qos(Q1).retained());
            }
            world.run_until_quiet();
            let second = world.connected(ConnectOptions::lasting(version, "s"));
            world.run_until_quiet();
            fold(&mut state, &world.messages(second));
            assert_eq!(rows(&state), kept(world, "#"));
            assert_eq!(state.rows().count(), 30);
        });
    }
}

#[test]
fn a_large_snapshot_beside_a_writer_folds_to_what_is_retained() {
    // [MOTE-2.49]
    // [MOTE-2.43] [MOTE-2.44] [MOTE-2.46]
    for (seed, shards) in [(1, 1), (2, 4)] {
        let mut world = World::new(Plan { piece_bytes_max: 65_536, ..Plan::new(seed, shards) });
        let world = &mut world;
        let writer = client(world, V5, "w");
        for root in ["a", "b", "c", "d"] {
            let rows: Vec<String> = (0..2_500).map(|number| format!("\"{number}\":{number}")).collect();
            let tree = format!("{{{}}}", rows.join(","));
            publish(world, writer, message(&format!("$tree/{root}"), &tree).qos(Q1).retained());
        }
        let readers = [("r0", "#", Q0), ("r1", "#", Q1), ("r2", "a/+", Q1), ("r3", "+/+", Q0)];
        let readers = readers.map(|(name, filter, qos)| {
            let reader = client(world, V5, name);
            world.subscribe(reader, &format!("$sync/{filter}"), qos);
            (reader, filter)
        });
        for round in 0..60 {
            if round % 10 == 0 {
                let (reader, _) = readers[world.rng.below(4)];
                world.stop_reading(reader);
            }
            for _ in 0..50 {
                let topic = format!("{}/{}", ["a", "b", "c", "d"][world.rng.below(4)], world.rng.below(2_600));
                let value = if world.rng.once_in(3) { "" } else { "7" };
                world.publish(writer, message(&topic, value).qos(Q1).retained());
            }
            world.run_turns(5);
        }
        readers.iter().for_each(|(reader, _)| world.read_again(*reader));
        world.run_until_quiet();
        for (reader, filter) in readers {
            let frames = world.messages(reader);
            let mut state = State::new(filter);
            fold(&mut state, &frames);
            assert_eq!(frames.iter().map(counter).collect::<Vec<_>>(), (0..frames.len() as u64).collect::<Vec<_>>());
            assert!(rows(&state) == kept(world, filter), "{filter}");
        }
    }
}

#[test]
fn deletions_that_are_forgotten_while_a_snapshot_goes_on_are_not_missed() {
    let small = |plan: &mut Plan| {
        plan.broker.limits.frame_bytes = 100;
        plan.broker.tombstones.max = 1;
    };
    worlds_with(small, |world| {
        let publisher = client(world, V5, "p");
        let leaves: Vec<String> = (0..200).map(|number| format!("\"k{number:03}\":{number}")).collect();
        let tree = format!("{{{}}}", leaves.join(","));
        publish(world, publisher, message("$tree/z", &tree).qos(Q1).retained());
        let reader = world.connected(ConnectOptions::new(V5, "r").silent());
        world.subscribe(reader, "$sync/z/#", Q1);
        world.run_until_quiet();
        let (mut state, mut resets, mut deleted) = (State::new("z/#"), 0, 0);
        loop {
            let frames = world.messages(reader);
            if frames.is_empty() {
                break;
            }
            for frame in &frames {
                if mark(frame).1.iter().any(|word| word == "reset") {
                    resets += 1;
                    state = State::new("z/#");
                }
                fold(&mut state, std::slice::from_ref(frame));
            }
            // What it has already, in the order in which it came.
            if deleted < 60 {
                let known: Vec<String> = state.rows().map(|(topic, _)| topic.to_owned()).take(10).collect();
                deleted += known.len();
                known.iter().for_each(|topic| publish(world, publisher, message(topic, "").qos(Q1).retained()));
            }
            frames.iter().for_each(|frame| world.ack(reader, AckKind::Puback, frame.packet_id));
            world.run_until_quiet();
        }
        assert!(rows(&state) == kept(world, "z/#") && resets > 0, "{resets} resets");
    });
}
