//! What readers of frames ask for themselves: `interval` and `state` (PROTOCOL section 2), and what happens
//! to those that are slow (section 6).

use super::*;
use crate::merged::{fold, kept, mark, rows, text};
use engine::row::fold::State;

/// Milliseconds at which live frames began, and all frames: one that more parts follow begins once.
fn begin_each_ms(
    world: &mut World,
    reader: ClientId,
    ms: u64,
    mut act: impl FnMut(&mut World, u64),
) -> (Vec<u64>, Vec<Message>) {
    let (mut begun, mut frames, mut is_part) = (Vec::new(), Vec::new(), false);
    for at in 0..2 * ms {
        // What is published comes at the moment that it is now, what waited at the next.
        if at % 2 == 0 {
            act(world, at / 2);
            world.run_until_quiet();
        } else {
            world.advance_ms(1);
        }
        for frame in world.messages(reader) {
            if mark(&frame).0 == "live" && !is_part {
                begun.push(at.div_ceil(2));
            }
            is_part = mark(&frame).1.contains(&"more".to_string());
            frames.push(frame);
        }
    }
    assert!(!is_part, "every series has its end");
    (begun, frames)
}

#[test]
fn changes_within_an_interval_are_one_frame() {
    // PROTOCOL section 2: at most one live frame in so many milliseconds; changes in between are merged [MOTE-2.63]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let reader = subscriber(world, version, "r", "$tree;interval=100/i/+", Q1);
        let mut state = State::new("i/+");
        let mut lines = |world: &mut World| {
            let frames = world.messages(reader);
            fold(&mut state, &frames);
            (frames.len(), text(&state))
        };
        publish(world, publisher, message("i/a", "1").retained());
        assert_eq!(lines(world), (1, r#"{"a":1}"#.to_string()), "the first comes at once");
        for value in ["2", "3", "4"] {
            publish(world, publisher, message("i/a", value).retained());
            publish(world, publisher, message("i/b", value).retained());
        }
        publish(world, publisher, message("i/b", "").retained());
        world.advance_ms(99);
        assert_eq!(lines(world).0, 0);
        world.advance_ms(1);
        assert_eq!(lines(world), (1, r#"{"a":4}"#.to_string()));
        world.advance_ms(1_000);
        assert_eq!(lines(world).0, 0, "nothing changed");
        publish(world, publisher, message("i/a", "5").retained());
        assert_eq!(lines(world), (1, r#"{"a":5}"#.to_string()), "the interval has passed long ago");
    });
}

#[test]
fn an_interval_holds_over_many_groups_and_beside_a_snapshot() {
    worlds(|world| {
        if world.plan.piece_bytes_max < 1_000 {
            return;
        }
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("$tree/+/+", r#"{"a":{"1":0},"b":{"1":0},"c":{"1":0}}"#).retained());
        let reader = client(world, V5, "r");
        world.subscribe(reader, "$sync;interval=20/#", Q1);
        world.run_until_quiet();
        let mut state = State::new("#");
        fold(&mut state, &world.messages(reader));
        let (begun, frames) = begin_each_ms(world, reader, 300, |world, at| {
            if at < 250 {
                let topic = TOPICS[world.rng.below(TOPICS.len())];
                world.publish(publisher, message(topic, &at.to_string()).qos(Q1).retained());
            }
        });
        assert!(begun.len() > 5, "{begun:?}");
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= 20), "{begun:?}");
        fold(&mut state, &frames);
        assert_eq!(rows(&state), kept(world, "#"), "and the newest state comes");
    });
}

#[test]
fn a_reader_of_state_gets_no_events_and_misses_none() {
    // PROTOCOL section 2: option `state` leaves events out [MOTE-2.25]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        let state = subscriber(world, V5, "s", "$sync;state/e/+", Q1);
        let both = subscriber(world, V5, "b", "$sync/e/+", Q1);
        for (topic, is_event) in [("e/a", true), ("e/b", false), ("e/c", true), ("e/d", false)] {
            let row = message(topic, "1");
            publish(world, publisher, if is_event { row } else { row.retained() });
        }
        let kinds = |world: &mut World, reader| -> Vec<String> {
            world.messages(reader).iter().map(|frame| mark(frame).0).collect()
        };
        assert_eq!(kinds(world, state), ["live", "live"]);
        assert_eq!(kinds(world, both), ["event", "live", "event", "live"]);
        let user = [Property::UserProperty("mote", "tree;state;interval=0")];
        let options = SubscriptionOptions { qos: Q1, ..Default::default() };
        world.subscribe_with(both, &[("e/+", options)], &user);
        world.run_until_quiet();
        publish(world, publisher, message("e/x", "event"));
        publish(world, publisher, message("e/y", "2").retained());
        assert_eq!(world.lines(both), [r#"e/+ {"y":2}"#], "subscribed again with other options");
    });
}

/// Whether the mark of a frame has this field.
fn says(frame: &Message, field: &str) -> bool {
    mark(frame).1.iter().any(|word| word == field)
}

/// Kinds and payloads.
fn kinds(frames: &[Message]) -> Vec<(String, String)> {
    frames.iter().map(|frame| (mark(frame).0, frame.text())).collect()
}

fn pair(kind: &str, text: &str) -> (String, String) {
    (kind.to_string(), text.to_string())
}

/// A reader that acknowledges nothing and has two frames that it did not acknowledge.
fn full_reader(world: &mut World, publisher: ClientId, filter: &str, options: SubscriptionOptions) -> (ClientId, u16) {
    let reader = world.connected(ConnectOptions::new(V5, "slow").silent());
    world.subscribe_with(reader, &[(filter, SubscriptionOptions { qos: Q1, ..options })], &[]);
    world.run_until_quiet();
    world.received(reader);
    for value in ["1", "2"] {
        publish(world, publisher, message("w/first", value).qos(Q1));
    }
    let frames = world.messages(reader);
    assert_eq!(frames.len(), 2, "limits.frames_unacked");
    (reader, frames[0].packet_id)
}

#[test]
fn waiting_events_are_merged_by_topic_and_the_newest_wins() {
    // [MOTE-6.7] [MOTE-2.22]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        let (reader, first) = full_reader(world, publisher, "$tree/w/#", Default::default());
        for (topic, value) in [("w/a", "1"), ("w/b", "1"), ("w/a", "2"), ("w/c/d", ""), ("w/c", "{}"), ("w/b", "x y")] {
            publish(world, publisher, message(topic, value).qos(Q1));
        }
        publish(world, publisher, message("w/r", "kept").qos(Q1).retained());
        assert_eq!(world.lines(reader), [""; 0]);
        world.ack(reader, AckKind::Puback, first);
        world.run_until_quiet();
        let live = world.messages(reader);
        assert_eq!(kinds(&live), [pair("live", r#"{"r":"kept"}"#)], "what is retained comes first");
        world.ack(reader, AckKind::Puback, live[0].packet_id);
        world.run_until_quiet();
        let frames = world.messages(reader);
        assert_eq!(kinds(&frames), [pair("event", r#"{"a":2,"b":"x y","c":{"/":{},"d":""}}"#)]);
        assert!(!mark(&frames[0]).1.iter().any(|word| word.starts_with("lost=")), "none is lost: {frames:?}");
        world.ack(reader, AckKind::Puback, frames[0].packet_id);
        publish(world, publisher, message("w/a", "3").qos(Q1));
        assert_eq!(kinds(&world.messages(reader)), [pair("event", r#"{"a":3}"#)], "and it goes on");
    });
}

#[test]
fn events_beyond_their_bound_are_lost_the_oldest_first_and_counted() {
    // [MOTE-6.8] [MOTE-6.9]
    worlds_with(
        |plan| plan.broker.limits.events_waiting = 3,
        |world| {
            let publisher = client(world, V5, "p");
            let (reader, first) = full_reader(world, publisher, "$tree/w/+", Default::default());
            for topic in ["w/a", "w/b", "w/c", "w/a", "w/d", "w/e"] {
                publish(world, publisher, message(topic, "1").qos(Q1));
            }
            world.ack(reader, AckKind::Puback, first);
            world.run_until_quiet();
            let frames = world.messages(reader);
            assert_eq!(kinds(&frames), [pair("event", r#"{"a":1,"d":1,"e":1}"#)]);
            assert!(says(&frames[0], "lost=2"), "{frames:?}");
            world.ack(reader, AckKind::Puback, frames[0].packet_id);
            publish(world, publisher, message("w/a", "2").qos(Q1));
            let frames = world.messages(reader);
            assert!(!mark(&frames[0]).1.iter().any(|word| word.starts_with("lost=")), "it is said once");
        },
    );
}

#[test]
fn each_slow_reader_gets_the_events_since_it_was_slow_and_not_its_own() {
    worlds(|world| {
        let publisher = client(world, V5, "p");
        let no_local = SubscriptionOptions { no_local: true, ..Default::default() };
        let (own, first) = full_reader(world, publisher, "$tree/w/+", no_local);
        let quick = subscriber(world, V5, "q", "$tree/w/+", Q1);
        publish(world, publisher, message("w/a", "other").qos(Q1));
        publish(world, own, message("w/a", "own"));
        publish(world, own, message("w/b", "own"));
        assert_eq!(world.lines(quick).len(), 3);
        world.ack(own, AckKind::Puback, first);
        world.run_until_quiet();
        assert_eq!(kinds(&world.messages(own)), [pair("event", r#"{"a":"other"}"#)], "[MOTE-2.31]");
    });
}

#[test]
fn events_wait_until_the_snapshot_is_there_and_not_for_who_is_away() {
    // [MOTE-6.10]
    let small = |plan: &mut Plan| plan.broker.limits.frame_bytes = 1_024;
    worlds_with(small, |world| {
        let publisher = client(world, V5, "p");
        for number in 0..300 {
            world.publish(publisher, message(&format!("w/{number:03}/long-enough"), "1").qos(Q1).retained());
        }
        world.run_until_quiet();
        let reader = world.connected(ConnectOptions::lasting(V5, "r").silent());
        world.subscribe(reader, "$sync/w/#", Q1);
        world.run_until_quiet();
        publish(world, publisher, message("w/event", "1").qos(Q1));
        let mut all: Vec<Message> = Vec::new();
        loop {
            let frames = world.messages(reader);
            if frames.is_empty() {
                break;
            }
            frames.iter().for_each(|frame| world.ack(reader, AckKind::Puback, frame.packet_id));
            all.extend(frames);
            world.run_until_quiet();
        }
        let last = kinds(&all[all.len() - 2..]);
        assert_eq!((&*last[0].0, &last[1]), ("snap", &pair("event", r#"{"event":1}"#)));
        world.drop_client(reader);
        world.run_until_quiet();
        for value in ["2", "3"] {
            publish(world, publisher, message("w/event", value).qos(Q1));
        }
        let reader = world.connected(ConnectOptions::lasting(V5, "r"));
        assert_eq!(world.messages(reader), []);
        publish(world, publisher, message("w/other", "4").qos(Q1));
        let frames = world.messages(reader);
        assert_eq!(kinds(&frames), [pair("event", r#"{"other":4}"#)]);
        assert!(says(&frames[0], "lost=2"), "{frames:?}");
    });
}

#[test]
fn events_larger_than_their_reader_takes_come_in_parts() {
    // [MOTE-2.37] [MOTE-2.39..40]
    worlds(|world| {
        let options =
            ConnectOptions { properties: vec![Property::MaximumPacketSize(600)], ..ConnectOptions::new(V5, "r") };
        let reader = world.connected(options);
        world.subscribe(reader, "$tree/y/+", Q1);
        world.run_until_quiet();
        world.received(reader);
        let publisher = client(world, V5, "p");
        let rows: Vec<String> = (0..100).map(|number| format!("\"k{number:03}\":{number}")).collect();
        let tree = format!("{{{},\"long\":\"{}\"}}", rows.join(","), "x".repeat(700));
        for retained in [false, true] {
            let tree = message("$tree/y", &tree).qos(Q1);
            publish(world, publisher, if retained { tree.retained() } else { tree });
            let frames = world.messages(reader);
            assert!(frames.len() > 2 && frames.iter().all(|frame| frame.payload.len() < 600));
            let mut state = State::new("y/+");
            fold(&mut state, &frames);
            assert_eq!(state.rows().count(), 100);
            let (last, parts) = frames.split_last().unwrap();
            assert!(parts.iter().all(|part| says(part, "more")) && !says(last, "more"));
            let skipped = frames.iter().filter(|frame| says(frame, "skipped=1")).count();
            assert_eq!(skipped, 1, "{frames:?}");
            let kind = if retained { "live" } else { "event" };
            assert!(frames.iter().all(|frame| mark(frame).0 == kind));
        }
        publish(world, publisher, message("y/a", "1").qos(Q1));
        assert_eq!(kinds(&world.messages(reader)), [pair("event", r#"{"a":1}"#)]);
    });
}

#[test]
fn events_keep_to_the_interval_as_changes_do() {
    worlds(|world| {
        let publisher = client(world, V5, "p");
        let reader = subscriber(world, V5, "r", "$tree;interval=50/i/+", Q0);
        for value in ["1", "2", "3"] {
            publish(world, publisher, message("i/a", value));
            publish(world, publisher, message("i/a", value).retained());
        }
        let frames = world.messages(reader);
        assert_eq!(kinds(&frames), [pair("event", r#"{"a":1}"#), pair("live", r#"{"a":1}"#)]);
        world.advance_ms(50);
        let frames = world.messages(reader);
        assert_eq!(kinds(&frames), [pair("live", r#"{"a":3}"#), pair("event", r#"{"a":3}"#)]);
    });
}

#[test]
fn many_stopped_readers_hold_nothing_that_grows_with_the_changes() {
    // [MOTE-6.4..6]
    for shards in [1, 3] {
        let mut world = World::new(Plan { piece_bytes_max: 65_536, ..Plan::new(3, shards) });
        let world = &mut world;
        let publisher = client(world, V5, "p");
        let readers: Vec<ClientId> = (0..300)
            .map(|number| {
                let reader = world.connected(ConnectOptions::new(V5, &format!("r{number}")).silent());
                world.subscribe(reader, "$tree/m/#", Q1);
                reader
            })
            .collect();
        let write = |world: &mut World, count: usize| {
            for number in 0..count {
                let row = message("m/row", "").qos(Q1).retained();
                let topic = format!("m/{}", number % 100);
                let value = format!("{number}{}", "0".repeat(200));
                world.publish(publisher, PublishOptions { topic: &topic, payload: value.as_bytes(), ..row });
                if number % 100 == 99 {
                    world.run_until_quiet();
                }
            }
            world.run_until_quiet();
        };
        write(world, 200);
        let before = world.waiting();
        write(world, 10_000);
        assert_eq!(world.waiting(), before, "no message and no timer more");
        for reader in readers {
            let frames = world.messages(reader);
            assert!(frames.len() == 2 || frames.is_empty(), "limits.frames_unacked");
            let mut state = State::new("m/#");
            fold(&mut state, &frames);
            frames.iter().for_each(|frame| world.ack(reader, AckKind::Puback, frame.packet_id));
            world.run_until_quiet();
            let more = world.messages(reader);
            fold(&mut state, &more);
            assert!(more.len() == 1 && rows(&state) == kept(world, "m/#"), "{} frames with the newest", more.len());
        }
    }
}
