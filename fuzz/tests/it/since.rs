//! Cursors, and readers that come back with one (PROTOCOL sections 2 and 5).

use super::*;
use crate::merged::{cursor, fold, kept, mark, rows, stand, text};
use engine::row::fold::State;

/// The newest cursor of a subscription.
fn last_cursor(frames: &[Message]) -> String {
    frames.iter().rev().find_map(cursor).expect("some frame has a cursor")
}

fn snapshot(world: &mut World, reader: ClientId, filter: &str) -> Vec<Message> {
    world.subscribe(reader, filter, Q1);
    world.run_until_quiet();
    world.messages(reader)
}

/// Frames of a client that asks for what changed after `cursor`.
fn since(world: &mut World, client_id: &str, cursor: &str, filter: &str) -> (ClientId, Vec<Message>) {
    let reader = client(world, V5, client_id);
    let frames = snapshot(world, reader, &format!("$sync;since={cursor}/{filter}"));
    (reader, frames)
}

fn says(frame: &Message, field: &str) -> bool {
    mark(frame).1.iter().any(|word| word == field)
}

#[test]
fn what_changed_after_a_cursor_comes_as_one_frame_and_then_live() {
    // [MOTE-5.34]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        for topic in ["s/a", "s/b", "s/c"] {
            publish(world, publisher, message(topic, "1").retained());
        }
        let first = client(world, V5, "first");
        let cursor = last_cursor(&snapshot(world, first, "$sync/s/+"));
        publish(world, publisher, message("s/a", "2").retained());
        publish(world, publisher, message("s/b", "").retained());
        publish(world, publisher, message("s/d", "event"));
        publish(world, publisher, message("s/e", "3").qos(Q1).retained());
        let (reader, frames) = since(world, "r", &cursor, "s/+");
        let [snap] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((&*snap.text(), &*mark(snap).0, snap.retain), (r#"{"a":2,"b":null,"e":3}"#, "snap", true));
        assert!(!says(snap, "reset"));
        publish(world, publisher, message("s/c", "4").retained());
        let live = world.messages(reader);
        assert_eq!(
            live.iter().map(|frame| (mark(frame).0, frame.text())).collect::<Vec<_>>(),
            [("live".to_string(), r#"{"c":4}"#.to_string())]
        );
        let (_, nothing) = since(world, "n", &last_cursor(&live), "s/+");
        assert_eq!(nothing.iter().map(Message::text).collect::<Vec<_>>(), ["{}"], "it always comes");
        assert!(mark(&nothing[0]).0 == "snap" && stand(&nothing[0]) == stand(&live[0]));
    });
}

#[test]
fn a_row_of_its_own_comes_as_it_is() {
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("s/a", "1").retained());
        let first = client(world, V5, "first");
        let cursor = last_cursor(&snapshot(world, first, "$sync/s/a"));
        publish(world, publisher, message("s/b", "1").retained());
        for (number, value) in ["1", "2", ""].into_iter().enumerate() {
            let (_, frames) = since(world, &format!("r{number}"), &cursor, "s/a");
            assert_eq!(
                frames.iter().map(Message::text).collect::<Vec<_>>(),
                [value],
                "empty would say that it is gone"
            );
            assert!(!says(&frames[0], "reset"));
            publish(world, publisher, message("s/a", ["2", "", ""][number]).retained());
        }
    });
}

#[test]
fn a_cursor_that_means_nothing_here_is_answered_with_everything_and_reset() {
    // [MOTE-5.35] [MOTE-5.38]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("s/a", "1").retained());
        let first = client(world, V5, "first");
        let cursor = last_cursor(&snapshot(world, first, "$sync/s/+"));
        let mut versions = engine::session::cursor::read_cursor(&cursor, fuzz::EPOCH).unwrap();
        let mut other_store = String::new();
        engine::session::cursor::write_cursor(fuzz::EPOCH + 1, &versions, &mut other_store);
        let group = versions.iter().next().unwrap().0;
        versions.raise(group, 1_000);
        let mut of_the_future = String::new();
        engine::session::cursor::write_cursor(fuzz::EPOCH, &versions, &mut of_the_future);
        let long = "A".repeat(5_000);
        let other_letter = if cursor.ends_with('A') { "B" } else { "A" };
        let damaged = [&cursor[..cursor.len() - 3], other_letter, &cursor[cursor.len() - 2..]].concat();
        for (number, bad) in
            ["", "x", "~!", &damaged, &cursor[1..], &other_store, &of_the_future, &long].iter().enumerate()
        {
            let (_, frames) = since(world, &format!("r{number}"), bad, "s/+");
            assert_eq!(frames.iter().map(Message::text).collect::<Vec<_>>(), [r#"{"a":1}"#], "{bad}");
            assert!(says(&frames[0], "reset") && mark(&frames[0]).0 == "snap", "{bad}: {frames:?}");
        }
    });
}

#[test]
fn a_cursor_before_deletions_that_are_forgotten_is_too_old() {
    // [MOTE-5.36..37]
    let few = |plan: &mut Plan| plan.broker.tombstones.max = 4;
    worlds_with(few, |world| {
        let publisher = client(world, V5, "p");
        for number in 0..20 {
            publish(world, publisher, message(&format!("s/{number}"), "1").qos(Q1).retained());
        }
        let first = client(world, V5, "first");
        let before = last_cursor(&snapshot(world, first, "$sync/s/+"));
        for number in 0..19 {
            publish(world, publisher, message(&format!("s/{number}"), "").qos(Q1).retained());
        }
        let after = last_cursor(&world.messages(first));
        publish(world, publisher, message("s/x", "2").qos(Q1).retained());
        let (_, frames) = since(world, "old", &before, "s/+");
        let mut state = State::new("s/+");
        fold(&mut state, &frames);
        assert_eq!(text(&state), r#"{"19":1,"x":2}"#);
        assert!(says(&frames[0], "reset"), "{frames:?}");
        let (_, frames) = since(world, "new", &after, "s/+");
        assert_eq!(frames.iter().map(Message::text).collect::<Vec<_>>(), [r#"{"x":2}"#]);
        assert!(!says(&frames[0], "reset"), "{frames:?}");
    });
}

#[test]
fn since_as_user_property_is_for_one_filter() {
    // [MOTE-5.39] [MOTE-1.14]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("s/a", "1").retained());
        let reader = client(world, V5, "r");
        let cursor = last_cursor(&snapshot(world, reader, "$sync/s/+"));
        publish(world, publisher, message("s/b", "2").retained());
        world.received(reader);
        let value = format!("sync;since={cursor}");
        let user = [Property::UserProperty("mote", &value)];
        let options = SubscriptionOptions { qos: Q1, ..Default::default() };
        world.subscribe_with(reader, &[("s/+", options), ("t/+", options)], &user);
        world.run_until_quiet();
        let refused = world.received(reader);
        let [OwnedPacket::Suback { reasons, .. }] = &refused[..] else { panic!("{refused:?}") };
        assert_eq!(reasons, &[0x8F, 0x8F]);
        world.subscribe_with(reader, &[("s/+", options)], &user);
        world.run_until_quiet();
        assert_eq!(world.lines(reader), [r#"s/+ {"b":2}"#]);
    });
}

#[test]
fn a_filter_of_many_groups_says_its_cursor_with_the_snapshot_and_once_a_second() {
    // [MOTE-2.54] [MOTE-5.33]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        for topic in TOPICS {
            publish(world, publisher, message(topic, "1").retained());
        }
        let reader = client(world, V5, "r");
        let mut frames = snapshot(world, reader, "$sync/#");
        assert!(cursor(frames.last().unwrap()).is_some(), "{frames:?}");
        assert!(frames.iter().all(|frame| cursor(frame).is_some() == (mark(frame).0 == "snap")));
        let mut said = Vec::new();
        for tick in 0..50 {
            world.advance_ms(100);
            publish(world, publisher, message(TOPICS[tick % 6], &tick.to_string()).retained());
            for frame in world.messages(reader) {
                said.extend(cursor(&frame).map(|_| world.now.mono_ms));
                frames.push(frame);
            }
        }
        assert!(said.len() >= 4 && said.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{said:?}");
        let at = frames.iter().rposition(|frame| cursor(frame).is_some()).unwrap();
        let mut state = State::new("#");
        fold(&mut state, &frames[..=at]);
        publish(world, publisher, message("a/1", "").retained());
        let (_, rest) = since(world, "late", &cursor(&frames[at]).unwrap(), "#");
        fold(&mut state, &rest);
        assert_eq!(rows(&state), kept(world, "#"));
        let sent: usize = rest.iter().map(|frame| frame.text().matches(':').count()).sum();
        assert!(sent < 2 * TOPICS.len(), "only what changed: {rest:?}");
        assert!(frames.iter().filter_map(cursor).all(|cursor| cursor.len() <= 4_096));
    });
}

/// A reader that goes and comes back with its cursor, by `verb`, again and again while rows of `numbers` times three topics
/// change. Returns what it folded all frames to, and the frames since it came back last.
pub(crate) fn come_and_go(world: &mut World, (verb, filter): (&str, &str), numbers: usize) -> (State, Vec<Message>) {
    let writers = ["w1", "w2"].map(|name| client(world, V5, name));
    let write = |world: &mut World, count: usize| {
        for _ in 0..count {
            let topic = format!("{}/{}", ["a", "b", "c"][world.rng.below(3)], world.rng.below(numbers));
            let value = if world.rng.once_in(3) { String::new() } else { world.rng.below(1_000).to_string() };
            let writer = writers[world.rng.below(2)];
            world.publish(writer, message(&topic, &value).qos(Q1).retained());
        }
    };
    write(world, 40);
    world.run_until_quiet();
    let mut reader = client(world, V5, "r0");
    world.subscribe(reader, &format!("$sync/{filter}"), Q1);
    let mut state = State::new(filter);
    for round in 1..6 {
        write(world, 30);
        world.run_turns(round * 7);
        world.advance_ms(400);
        write(world, 5);
        world.run_until_quiet();
        let frames = world.messages(reader);
        let Some(at) = frames.iter().rposition(|frame| cursor(frame).is_some()) else { continue };
        fold(&mut state, &frames[..=at]);
        let cursor = cursor(&frames[at]).unwrap();
        world.drop_client(reader);
        write(world, 20);
        let name = format!("r{round}");
        reader = client(world, V5, &name);
        write(world, 20);
        world.subscribe(reader, &format!("${verb};since={cursor}/{filter}"), Q1);
    }
    world.run_until_quiet();
    let frames = world.messages(reader);
    fold(&mut state, &frames);
    (state, frames)
}

#[test]
fn whoever_comes_back_with_any_cursor_folds_to_what_is_retained() {
    // [MOTE-2.21]
    for filter in ["#", "a/+", "+/+", "b/#"] {
        worlds(|world| {
            let (state, frames) = come_and_go(world, ("sync", filter), 20);
            assert!(frames.iter().all(|frame| !says(frame, "reset")));
            assert_eq!(rows(&state), kept(world, filter));
        });
    }
}

#[test]
fn a_cursor_outlives_the_process() {
    // [MOTE-5.1] and after a crash nothing that was lost is taken for seen [MOTE-5.3]
    for (shards, after) in [(1, 3), (3, 1)] {
        for is_clean in [true, false] {
            let mut world = World::new(Plan { has_store: true, ..Plan::new(5, shards) });
            let world = &mut world;
            let publisher = client(world, V5, "p");
            for topic in TOPICS.iter().chain(&["a/2", "a/3"]) {
                publish(world, publisher, message(topic, "1").qos(Q1).retained());
            }
            let reader = client(world, V5, "r");
            let one = last_cursor(&snapshot(world, reader, "$sync/a/+"));
            let all = last_cursor(&snapshot(world, reader, "$sync/#"));
            publish(world, publisher, message("a/2", "").qos(Q1).retained());
            publish(world, publisher, message("b/1", "2").qos(Q1).retained());
            world.advance_ms(1_000);
            world.restart_with(is_clean, after);
            let publisher = client(world, V5, "p");
            publish(world, publisher, message("a/1", "3").qos(Q1).retained());
            let (_, frames) = since(world, "r1", &one, "a/+");
            assert_eq!(frames.iter().map(Message::text).collect::<Vec<_>>(), [r#"{"1":3,"2":null}"#]);
            assert!(!says(&frames[0], "reset"));
            let (_, frames) = since(world, "r2", &all, "#");
            let mut state = State::new("#");
            fold(&mut state, &frames);
            assert_eq!(text(&state), r##"{"a":{"1":3},"b":{"1":2}}"##, "{frames:?}");
            assert!(frames.iter().all(|frame| !says(frame, "reset")));
        }
    }
}
