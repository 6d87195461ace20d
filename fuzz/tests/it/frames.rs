//! What frames and snapshots are to those who read them, whatever else goes on (PROTOCOL sections 1 and 2).

use super::merged::{fold, mark, text};
use super::*;
use engine::row::fold::State;

#[test]
fn an_intent_before_a_wildcard_spares_topics_that_begin_with_a_dollar() {
    // [MOTE-1.3]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("$mine/a", "1").retained());
        publish(world, publisher, message("a/b", "2").retained());
        let reader = client(world, version, "r");
        for filter in ["$sync/#", "$sync/+/+", "$sync/$mine/+"] {
            world.subscribe(reader, filter, Q0);
        }
        world.run_until_quiet();
        let frames = world.messages(reader);
        let of = |topic: &str| {
            let mut state = State::new(topic);
            fold(&mut state, &frames.iter().filter(|frame| frame.topic == topic).cloned().collect::<Vec<_>>());
            text(&state)
        };
        assert_eq!(of("#"), r#"{"a":{"b":2}}"#);
        assert_eq!(of("+/+"), r#"{"a":{"b":2}}"#);
        assert_eq!(of("$mine/+"), r#"{"a":1}"#);
        publish(world, publisher, message("$mine/a", "3").retained());
        assert_eq!(world.lines(reader), [r#"$mine/+ {"a":3}"#]);
    });
}

#[test]
fn to_subscribe_again_with_sync_is_a_new_snapshot_and_a_new_count() {
    // [MOTE-1.20] [MOTE-1.21]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("a/b", "1").retained());
        let reader = client(world, V5, "r");
        for verb in ["tree", "sync", "sync"] {
            world.subscribe(reader, &format!("${verb}/a/+"), Q0);
            world.run_until_quiet();
            let frames = world.messages(reader);
            let lines: Vec<String> = frames.iter().map(Message::line).collect();
            let wanted: &[&str] = if verb == "sync" { &[r#"a/+ {"b":1}"#] } else { &[] };
            assert_eq!(lines, wanted, "{verb}");
            let is_first = |frame: &Message| mark(frame).0 == "snap" && mark(frame).1[0] == "n=0";
            assert!(frames.iter().all(is_first));
        }
        publish(world, publisher, message("a/b", "2").retained());
        assert_eq!(world.lines(reader), [r#"a/+ {"b":2}"#], "once: it is one subscription");
    });
}

#[test]
fn frames_have_properties_of_their_own_and_none_of_their_rows() {
    // [MOTE-2.9] [MOTE-2.10]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        let properties = vec![
            Property::ContentType("text/plain"),
            Property::ResponseTopic("answer/here"),
            Property::CorrelationData(b"7"),
            Property::UserProperty("unit", "lux"),
        ];
        let of_row = PublishOptions { properties, ..message("a/b", "1").retained() };
        let reader = subscriber(world, V5, "r", "$sync/a/+", Q0);
        publish(world, publisher, of_row.clone());
        let later = client(world, V5, "later");
        world.subscribe(later, "$sync/a/+", Q0);
        world.run_until_quiet();
        for frame in [world.messages(reader).pop(), world.messages(later).pop()] {
            let frame = frame.expect("a live frame and a snapshot");
            assert_eq!(frame.line(), r#"a/+ {"b":"1"}"#);
            let properties = &frame.properties.read();
            assert_eq!(properties.content_type(), Some("application/json"));
            assert_eq!(properties.payload_format_indicator(), Some(1));
            assert_eq!(properties.response_topic(), None);
            assert_eq!(properties.correlation_data(), None);
            assert!(properties.user_properties().all(|(name, _)| name == "mote"));
        }
    });
}

#[test]
fn frames_that_were_unacknowledged_are_sent_again_as_they_were_before_what_was_missed() {
    // [MOTE-2.35] [MOTE-2.36]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let first = world.connected(ConnectOptions::lasting(version, "s").silent());
        world.subscribe(first, "$tree/a/+", Q1);
        world.run_until_quiet();
        world.received(first);
        publish(world, publisher, message("a/x", "1").qos(Q1).retained());
        publish(world, publisher, message("a/y", "2").qos(Q1).retained());
        let before = world.messages(first);
        assert_eq!(before.len(), 2);
        world.drop_client(first);
        world.run_until_quiet();
        for value in ["3", "4"] {
            publish(world, publisher, message("a/x", value).qos(Q1).retained());
            publish(world, publisher, message("a/z", value).qos(Q1).retained());
        }
        let second = world.connected(ConnectOptions::lasting(version, "s"));
        world.run_until_quiet();
        let after = world.messages(second);
        let same =
            |message: &Message| (message.packet_id, message.line(), message.properties.mote().map(str::to_string));
        assert_eq!(after[..2].iter().map(same).collect::<Vec<_>>(), before.iter().map(same).collect::<Vec<_>>());
        assert!(after[..2].iter().all(|frame| frame.dup));
        assert_eq!(after[2..].iter().map(Message::line).collect::<Vec<_>>(), [r#"a/+ {"x":4,"z":4}"#]);
    });
}

#[test]
fn a_snapshot_of_many_rows_waits_for_its_reader_and_slows_no_other() {
    // [MOTE-2.49]
    const ROWS: usize = 100_000;
    for shards in [1, 4] {
        let world = &mut World::new(Plan { piece_bytes_max: 65_536, ..Plan::new(31, shards) });
        let publisher = client(world, V5, "p");
        for first in 0..20 {
            let rows: Vec<String> = (0..ROWS / 20).map(|number| format!("\"{number:060}\":{number}")).collect();
            let tree = format!("{{{}}}", rows.join(","));
            publish(world, publisher, message(&format!("$tree/many{first}"), &tree).qos(Q1).retained());
        }
        let other = subscriber(world, V5, "other", "live", Q0);
        let slow = client(world, V5, "slow");
        world.stop_reading(slow);
        let sent = world.publishes_sent();
        world.subscribe(slow, "$sync/+/#", Q0);
        let mut served = 0;
        for _ in 0..100 {
            world.publish(publisher, message("live", "m"));
            world.run_turns(4 * shards);
            served += world.lines(other).len();
        }
        assert!(served >= 95, "others were served {served} of 100 times");
        let slices = world.publishes_sent() - sent - served as u64;
        assert!((1..60).contains(&slices), "{slices} frames wait for who does not read");
        world.read_again(slow);
        world.run_until_quiet();
        let mut state = State::new("+/#");
        let frames = world.messages(slow);
        fold(&mut state, &frames.into_iter().filter(|frame| mark(frame).0 != "event").collect::<Vec<_>>());
        assert_eq!(state.rows().count(), ROWS);
    }
}
