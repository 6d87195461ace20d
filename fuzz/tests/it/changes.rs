//! Readers that come back with a cursor and get each change where a history has it (PROTOCOL section 5).

use super::*;
use crate::merged::{cursor, fold, kept, mark, rows, text};
use crate::since::come_and_go;
use engine::config::History;
use engine::row::fold::State;

/// In worlds where histories are kept of `s/#`.
fn histories(depth: usize, conversation: impl Fn(&mut World)) {
    let set = |plan: &mut Plan| plan.broker.history = vec![History { filter: "s/#".into(), depth }];
    worlds_with(set, conversation);
}

fn put(world: &mut World, publisher: ClientId, rows: &[(&str, &str)]) {
    for (topic, value) in rows {
        publish(world, publisher, message(topic, value).qos(Q1).retained());
    }
}

fn frames_of(world: &mut World, client_id: &str, filter: &str) -> Vec<Message> {
    let reader = client(world, V5, client_id);
    world.subscribe(reader, filter, Q1);
    world.run_until_quiet();
    world.messages(reader)
}

fn cursor_of(world: &mut World, filter: &str) -> String {
    frames_of(world, "cursor", &format!("$sync/{filter}")).last().and_then(cursor).expect("a snapshot says it")
}

fn kinds(frames: &[Message]) -> Vec<(String, String)> {
    frames.iter().map(|frame| (mark(frame).0, frame.text())).collect()
}

fn are(frames: &[Message], expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(kind, text)| (kind.to_string(), text.to_string())).collect();
    assert_eq!(kinds(frames), expected);
    assert!(frames.iter().all(|frame| frame.retain != (mark(frame).0 == "live")));
}

#[test]
fn each_change_comes_as_its_own_frame_in_order() {
    // [MOTE-5.41]
    histories(10, |world| {
        let publisher = client(world, V5, "p");
        put(world, publisher, &[("s/a", "1"), ("s/b", "1")]);
        let since = cursor_of(world, "s/+");
        put(world, publisher, &[("s/a", "2"), ("s/b", ""), ("s/a", "3")]);
        publish(world, publisher, message("$tree/s", r#"{"a":4,"c":1}"#).qos(Q1).retained());
        put(world, publisher, &[("s/c", ""), ("s/x/y", "1")]);
        publish(world, publisher, message("s/a", "event").qos(Q1));
        let reader = client(world, V5, "r");
        world.subscribe(reader, &format!("$sync;events;since={since}/s/+"), Q1);
        world.run_until_quiet();
        let frames = world.messages(reader);
        // What is told is not told again: the last is the end.
        are(
            &frames,
            &[
                ("part", r#"{"a":2}"#),
                ("part", r#"{"b":null}"#),
                ("part", r#"{"a":3}"#),
                ("part", r#"{"a":4,"c":1}"#),
                ("snap", r#"{"c":null}"#),
            ],
        );
        assert!(frames.iter().enumerate().all(|(n, frame)| mark(frame).1[0] == format!("n={n}")));
        let objects = frames
            .iter()
            .map(|frame| mark(frame).1.into_iter().find_map(|word| Some(word.strip_prefix("obj=")?.to_string())));
        assert_eq!(objects.map(Option::unwrap).collect::<Vec<_>>(), ["3", "4", "5", "6", "8"]);
        // Who comes back with a cursor of a part gets all of it again, with that of the last nothing.
        assert_eq!(cursor(&frames[2]).as_deref(), Some(&*since));
        put(world, publisher, &[("s/a", "5")]);
        are(&world.messages(reader), &[("live", r#"{"a":5}"#)]);
        let after = cursor(frames.last().unwrap()).unwrap();
        are(&frames_of(world, "r2", &format!("$sync;since={after};events/s/+")), &[("snap", r#"{"a":5}"#)]);
        let now = cursor_of(world, "s/+");
        are(&frames_of(world, "r3", &format!("$sync;since={now};events/s/+")), &[("snap", "{}")]);
    });
}

#[test]
fn what_no_history_has_comes_behind_as_it_is() {
    // [MOTE-5.41]
    histories(2, |world| {
        let publisher = client(world, V5, "p");
        put(world, publisher, &[("s/a", "0"), ("t/a", "0"), ("t/b", "0")]);
        let since = cursor_of(world, "#");
        for value in ["1", "2", "3"] {
            put(world, publisher, &[("s/a", value), ("t/a", value)]);
        }
        put(world, publisher, &[("t/b", "")]);
        let frames = frames_of(world, "r", &format!("$sync;events;since={since}/#"));
        let of_s: Vec<String> = frames.iter().map(Message::text).filter(|text| text.contains("\"s\"")).collect();
        assert_eq!(of_s, [r#"{"s":{"a":2}}"#, r#"{"s":{"a":3}}"#], "as many as are kept, each once");
        let of_t: Vec<String> = frames.iter().map(Message::text).filter(|text| text.contains("\"t\"")).collect();
        assert_eq!(of_t, [r#"{"t":{"a":3,"b":null}}"#], "where there is no history the newest");
        assert_eq!(frames.iter().filter(|frame| mark(frame).0 == "snap").count(), 1);
        assert_eq!(mark(frames.last().unwrap()).0, "snap");
    });
}

#[test]
fn a_row_of_its_own_comes_as_each_payload_that_it_had() {
    // [MOTE-5.41]
    histories(10, |world| {
        let publisher = client(world, V5, "p");
        put(world, publisher, &[("s/a", "1"), ("t/a", "1")]);
        let since = cursor_of(world, "s/a");
        put(world, publisher, &[("s/b", "1")]);
        let asked = format!("$sync;events;since={since}/s/a");
        are(&frames_of(world, "r0", &asked), &[("snap", "1")]);
        put(world, publisher, &[("s/a", "{\"x\": 1}"), ("s/a", ""), ("s/a", "3")]);
        are(&frames_of(world, "r1", &asked), &[("part", "{\"x\": 1}"), ("part", ""), ("snap", "3")]);
        put(world, publisher, &[("s/a", "")]);
        are(&frames_of(world, "r2", &asked), &[("part", "{\"x\": 1}"), ("part", ""), ("part", "3"), ("snap", "")]);
        let other = cursor_of(world, "t/a");
        put(world, publisher, &[("t/a", "2"), ("t/a", "3")]);
        are(&frames_of(world, "r3", &format!("$sync;events;since={other}/t/a")), &[("snap", "3")]);
    });
}

#[test]
fn a_change_is_told_with_the_versions_that_it_had() {
    histories(10, |world| {
        let publisher = client(world, V5, "p");
        put(world, publisher, &[("s/a/x", "1")]);
        let since = cursor_of(world, "s/#");
        put(world, publisher, &[("s/a/x", "2"), ("s/b", "1"), ("s/a/x", "3")]);
        let both = [V311, V5].map(|version| {
            let reader = client(world, version, "r");
            world.subscribe(reader, &format!("$sync;versions;events;since={since}/s/#"), Q1);
            world.run_until_quiet();
            world.messages(reader).iter().map(Message::text).collect::<Vec<_>>()
        });
        assert_eq!(both[0].len(), 3);
        for texts in &both {
            for (text, (tree, versions)) in texts.iter().zip([
                (r#"{"a":{"x":2}}"#, r##"{"#":2,"a":{"#":2,"x":2}}"##),
                (r#"{"b":1}"#, r##"{"#":3,"b":3}"##),
                (r#"{"a":{"x":3}}"#, r##"{"#":4,"a":{"#":4,"x":4}}"##),
            ]) {
                assert!(text.contains(&format!(r#""tree":{tree}"#)), "{text}");
                assert!(text.contains(&format!(r#""versions":{versions}"#)), "{text}");
            }
        }
    });
}

#[test]
fn who_begins_anew_is_told_no_changes() {
    histories(10, |world| {
        let publisher = client(world, V5, "p");
        put(world, publisher, &[("s/a", "1"), ("s/a", "2"), ("s/a", "3")]);
        let frames = frames_of(world, "r", "$sync;events;since=nonsense/s/+");
        are(&frames, &[("snap", r#"{"a":3}"#)]);
        assert!(mark(&frames[0]).1.iter().any(|word| word == "reset"));
    });
    let few = |plan: &mut Plan| {
        plan.broker.history = vec![History { filter: "s/#".into(), depth: 9 }];
        plan.broker.tombstones.max = 0;
    };
    worlds_with(few, |world| {
        let publisher = client(world, V5, "p");
        put(world, publisher, &[("s/a", "1"), ("s/b", "1")]);
        let since = cursor_of(world, "s/+");
        put(world, publisher, &[("s/a", "2"), ("s/b", ""), ("s/a", "3")]);
        let frames = frames_of(world, "r", &format!("$sync;events;since={since}/s/+"));
        are(&frames, &[("snap", r#"{"a":3}"#)]);
        assert!(mark(&frames[0]).1.iter().any(|word| word == "reset"));
    });
}

#[test]
fn events_needs_since() {
    // [MOTE-9.1] [MOTE-9.2]
    both_versions(|world, version| {
        let reader = client(world, version, "r");
        let refused: &[u8] = if version.is_v5() { &[0x8F] } else { &[0x80] };
        for filter in ["$sync;events/s/+", "$tree;events/s/+", "$tree;events;since=AA/s/+"] {
            world.subscribe(reader, filter, Q1);
            world.run_until_quiet();
            let packets = world.received(reader);
            let [OwnedPacket::Suback { reasons, .. }] = &packets[..] else { panic!("{packets:?}") };
            assert_eq!(reasons, refused, "{filter}");
        }
    });
}

#[test]
fn thousands_of_changes_come_in_slices_while_others_follow() {
    // [MOTE-5.41] [MOTE-2.21]
    for shards in [1, 3] {
        let mut plan = Plan::new(1, shards);
        plan.broker.history = vec![History { filter: "s/#".into(), depth: 4_000 }];
        let mut world = World::new(plan);
        let world = &mut world;
        let publisher = client(world, V5, "p");
        put(world, publisher, &[("s/a", "0"), ("s/b", "0"), ("s/c", "0"), ("t", "0")]);
        let since = cursor_of(world, "#");
        for value in 1..=2_500 {
            world.publish(publisher, message("s/a", &value.to_string()).qos(Q1).retained());
            if value % 100 == 0 {
                world.run_until_quiet();
            }
        }
        let reader = client(world, V5, "r");
        world.subscribe(reader, &format!("$sync;events;since={since}/#"), Q1);
        let mut frames = Vec::new();
        for turn in 0..40 {
            world.run_turns(5);
            let topic = ["s/b", "s/c", "t"][turn % 3];
            let value = if turn % 2 == 0 { String::new() } else { turn.to_string() };
            world.publish(publisher, message(topic, &value).qos(Q1).retained());
            frames.extend(world.messages(reader));
        }
        world.run_until_quiet();
        frames.extend(world.messages(reader));
        let told: Vec<u32> = frames
            .iter()
            .filter_map(|frame| frame.text().strip_prefix(r#"{"s":{"a":"#)?.trim_end_matches('}').parse().ok())
            .collect();
        assert_eq!(told, (1..=2_500).collect::<Vec<u32>>(), "each once and in order");
        let mut state = State::new("#");
        state.fold(br#"{"s":{"a":0,"b":0,"c":0},"t":0}"#).unwrap();
        fold(&mut state, &frames);
        assert_eq!(rows(&state), kept(world, "#"));
    }
}

#[test]
fn whoever_gets_each_change_folds_to_what_is_retained() {
    // [MOTE-5.41] [MOTE-2.21]
    for filter in ["#", "a/+", "+/+", "b/#"] {
        let set = |plan: &mut Plan| {
            plan.broker.history = ["a/#", "b/1"].map(|filter| History { filter: filter.into(), depth: 3 }).into();
        };
        worlds_with(set, |world| {
            let (state, _) = come_and_go(world, ("sync;events", filter), 9);
            assert_eq!(rows(&state), kept(world, filter));
        });
    }
}

#[test]
fn changes_are_told_after_a_restart_and_to_a_session_that_lasts() {
    // [MOTE-5.41] [MOTE-5.40]
    for (shards, after) in [(1, 3), (3, 1)] {
        for is_clean in [true, false] {
            let mut plan = Plan { has_store: true, ..Plan::new(5, shards) };
            plan.broker.history = vec![History { filter: "s/#".into(), depth: 9 }];
            let mut world = World::new(plan);
            let world = &mut world;
            let publisher = client(world, V5, "p");
            put(world, publisher, &[("s/a", "1")]);
            let since = cursor_of(world, "s/+");
            put(world, publisher, &[("s/a", "2"), ("s/b", "1")]);
            let lasting = || ConnectOptions::lasting(V5, "lasting");
            let reader = world.connected(lasting());
            let asked = format!("$sync;events;since={since}/s/+");
            world.subscribe(reader, &asked, Q1);
            world.run_until_quiet();
            let mut state = State::new("s/+");
            fold(&mut state, &world.messages(reader));
            world.advance_ms(1_000);
            world.restart_with(is_clean, after);
            let publisher = client(world, V5, "p");
            put(world, publisher, &[("s/a", "3"), ("s/b", "")]);
            are(
                &frames_of(world, "r", &asked),
                &[("part", r#"{"a":2}"#), ("part", r#"{"b":1}"#), ("part", r#"{"a":3}"#), ("snap", r#"{"b":null}"#)],
            );
            let reader = world.connected(lasting());
            world.run_until_quiet();
            let frames = world.messages(reader);
            if !is_clean {
                state = State::new("s/+"); // who was connected when the process was killed begins anew
                assert!(mark(&frames[0]).1.iter().any(|word| word == "reset"));
            }
            fold(&mut state, &frames);
            assert_eq!(text(&state), r#"{"a":3}"#);
            assert!(frames.iter().all(|frame| !frame.text().contains(r#""a":2"#)), "nothing is told again");
        }
    }
}
