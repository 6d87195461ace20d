//! Publishes of more rows than one turn takes (`limits.rows_per_turn`): others are served between the slices, and nobody
//! sees half of one.

use super::conditional::{acked, version};
use super::*;

const ROWS: usize = 60;

fn worlds_of_slices(conversation: impl Fn(&mut World)) {
    let set = |plan: &mut Plan| {
        plan.broker.limits.rows_per_turn = 2;
        plan.has_store = true;
    };
    worlds_with(set, conversation);
}

/// `{"r0":value,"r1":value ...}`
fn tree(value: usize) -> String {
    let rows: Vec<String> = (0..ROWS).map(|row| format!("\"r{row}\":{value}")).collect();
    format!("{{{}}}", rows.join(","))
}

/// Lets the world run until the plain subscriber has some of a tree's messages and not all.
fn run_into_the_middle(world: &mut World, plain: ClientId) {
    let before = world.peek(plain).len();
    for _ in 0..20_000 {
        world.run_turns(1);
        let got = world.peek(plain).len() - before;
        assert!(got < ROWS, "it is applied in slices");
        if got > 2 {
            return;
        }
    }
    panic!("it is never applied");
}

/// What frames of `a/+` lead to: value of each row.
fn values(frames: &[Message]) -> Vec<String> {
    let mut state = engine::row::fold::State::new("a/+");
    frames.iter().for_each(|frame| state.fold(&frame.payload).unwrap());
    state.rows().map(|(_, value)| String::from_utf8(value.to_vec()).unwrap()).collect()
}

#[test]
fn others_are_served_while_a_large_tree_is_applied() {
    worlds_of_slices(|world| {
        let other = subscriber(world, V311, "other", "b/#", Q1);
        let plain = subscriber(world, V311, "plain", "a/#", Q0);
        let (device, neighbour) = (client(world, V5, "device"), client(world, V5, "neighbour"));
        world.publish(device, message("$tree/a", &tree(1)).qos(Q1).retained());
        run_into_the_middle(world, plain);
        world.publish(neighbour, message("b/1", "meanwhile").qos(Q1).retained());
        run_until_heard(world, other);
        assert_eq!(world.lines(other), ["b/1 meanwhile"]);
        let got = world.peek(plain).len();
        // Crumbs of three bytes take longer than the tree.
        assert!(got < ROWS || world.plan.piece_bytes_max == 3, "{got} rows before a neighbour is served");
        world.run_until_quiet();
        assert_eq!(world.lines(plain).len(), ROWS);
        assert_eq!(acked(world, device).reason, ReasonCode::Success);
    });
}

#[test]
fn what_is_published_to_its_topics_meanwhile_comes_after_it() {
    // [MQTT-4.6.0-5]
    worlds_of_slices(|world| {
        let plain = subscriber(world, V311, "plain", "a/#", Q0);
        let merged = subscriber(world, V5, "merged", "$tree/a/+", Q1);
        let (device, other) = (client(world, V5, "device"), client(world, V5, "other"));
        world.publish(device, message("$tree/a", &tree(1)).qos(Q1).retained());
        // The same client goes on, with a run too.
        for value in ["2", "3", "4"] {
            world.publish(device, message("a/r59", value));
        }
        world.publish(device, message("a/r0", "5").retained());
        run_into_the_middle(world, plain);
        world.publish(other, message("a/r1", "6").qos(Q2).retained());
        world.publish(other, message("$tree/a", &tree(7)).qos(Q1).retained());
        world.run_until_quiet();
        let lines = world.lines(plain);
        assert_eq!(lines.len(), 2 * ROWS + 5);
        let of = |topic: &str| lines.iter().filter(|line| line.starts_with(topic)).cloned().collect::<Vec<_>>();
        let of_device = of("a/r59 ").into_iter().filter(|line| line != "a/r59 7").collect::<Vec<_>>();
        assert_eq!(of_device, ["a/r59 1", "a/r59 2", "a/r59 3", "a/r59 4"]);
        assert_eq!(*of("a/r1 ").first().unwrap(), "a/r1 1");
        assert_eq!(*of("a/r0 ").first().unwrap(), "a/r0 1");
        let frames: Vec<Message> = world.messages(merged);
        let retained: Vec<Message> = frames.into_iter().filter(|frame| !is_event(frame)).collect();
        let want: Vec<String> = {
            let rows = world.twin.rows();
            rows.values().map(|value| String::from_utf8(value.clone()).unwrap()).collect()
        };
        assert_eq!(values(&retained), want);
        assert!(!acked(world, device).reason.is_error());
    });
}

fn is_event(frame: &Message) -> bool {
    frame.properties.mote().is_some_and(|mote| mote.contains(";event"))
}

#[test]
fn a_snapshot_that_is_asked_for_meanwhile_shows_all_of_it_or_nothing() {
    worlds_of_slices(|world| {
        let plain = subscriber(world, V311, "plain", "a/#", Q0);
        let early = client(world, V5, "early");
        let device = client(world, V5, "device");
        publish(world, device, message("$tree/a", &tree(1)).qos(Q1).retained());
        world.received(plain);
        world.publish(device, message("$tree/a", &tree(2)).qos(Q1).retained());
        run_into_the_middle(world, plain);
        world.subscribe(early, "$sync/a/+", Q1);
        world.publish(early, message("$get/#", "").qos(Q1));
        world.run_until_quiet();
        for frames in [of_filter(world, early, "a/+")] {
            assert!(!frames.is_empty());
            let mut state = engine::row::fold::State::new("a/+");
            for frame in &frames {
                state.fold(&frame.payload).unwrap();
                let seen: std::collections::BTreeSet<&[u8]> = state.rows().map(|(_, value)| value).collect();
                assert!(seen.len() == 1, "of two trees at once: {seen:?}");
            }
            assert_eq!(values(&frames), vec!["2"; ROWS]);
        }
    });
}

fn of_filter(world: &mut World, client: ClientId, filter: &str) -> Vec<Message> {
    world.messages(client).into_iter().filter(|message| message.topic == filter).collect()
}

#[test]
fn a_reader_that_falls_behind_meanwhile_misses_nothing() {
    worlds_of_slices(|world| {
        let plain = subscriber(world, V311, "plain", "a/#", Q0);
        let reader = subscriber(world, V5, "reader", "$sync/#", Q0);
        let (device, other) = (client(world, V5, "device"), client(world, V5, "other"));
        world.publish(device, message("$tree/a", &tree(1)).qos(Q1).retained());
        run_into_the_middle(world, plain);
        world.stop_reading(reader);
        // Far more than a socket holds.
        let long = "x".repeat(3_000);
        for index in 0..30 {
            world.publish(other, message(&format!("b/{}", index % 3), &format!("{long}{index}")).retained());
        }
        world.run_until_quiet();
        world.read_again(reader);
        world.run_until_quiet();
        let mut state = engine::row::fold::State::new("#");
        world.messages(reader).iter().for_each(|frame| state.fold(&frame.payload).unwrap());
        let got: Vec<(String, Vec<u8>)> =
            state.rows().map(|(topic, value)| (topic.to_owned(), value.to_vec())).collect();
        let bare =
            |value: &[u8]| value.strip_prefix(b"\"").map_or(value.to_vec(), |rest| rest[..rest.len() - 1].to_vec());
        let got: Vec<(String, Vec<u8>)> = got.into_iter().map(|(topic, value)| (topic, bare(&value))).collect();
        let want: Vec<(String, Vec<u8>)> = world.twin.rows().clone().into_iter().collect();
        assert_eq!(got.len(), ROWS + 3);
        assert_eq!(got, want);
    });
}

#[test]
fn a_crash_in_the_middle_leaves_nothing_of_it_and_uses_its_number_up() {
    worlds_of_slices(|world| {
        let plain = subscriber(world, V311, "plain", "a/#", Q0);
        let device = client(world, V5, "device");
        let first = version(world, device, message("$tree/a", r#"{"r0":0}"#).qos(Q1).retained());
        world.advance_ms(1_000);
        world.received(plain);
        world.publish(device, message("$tree/a", &tree(1)).qos(Q1).retained());
        run_into_the_middle(world, plain);
        world.restart(false);
        let reader = client(world, V311, "reader");
        world.subscribe(reader, "a/#", Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["a/r0 0"]);
        let device = client(world, V5, "device");
        let next = version(world, device, message("$tree/a", &tree(2)).qos(Q1).retained());
        assert!(next > first + 1, "{next} after {first}: somebody may have seen the number of the lost one");
    });
}

#[test]
fn who_stops_the_broker_in_the_middle_stops_it_after_the_tree() {
    worlds_of_slices(|world| {
        let plain = subscriber(world, V311, "plain", "a/#", Q0);
        let device = client(world, V5, "device");
        world.publish(device, message("$tree/a", &tree(1)).qos(Q1).retained());
        run_into_the_middle(world, plain);
        world.restart(true);
        let reader = client(world, V311, "reader");
        world.subscribe(reader, "a/#", Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(reader).len(), ROWS);
    });
}

#[test]
fn rows_that_are_under_way_count_against_what_may_be_retained() {
    let set = |plan: &mut Plan| {
        plan.broker.limits.rows_per_turn = 2;
        plan.broker.limits.retained_rows = (ROWS + 1) as u64 * plan.shards as u64;
        // One owner.
        plan.broker.shards.pin = ["a", "b"].map(|root| engine::config::Pin { root: root.to_owned(), shard: 0 }).into();
    };
    worlds_with(set, |world| {
        let plain = subscriber(world, V311, "plain", "a/#", Q0);
        let (device, other) = (client(world, V5, "device"), client(world, V5, "other"));
        world.publish(device, message("$tree/a", &tree(1)).qos(Q1).retained());
        run_into_the_middle(world, plain);
        for (topic, reason) in [("b/1", ReasonCode::NoMatchingSubscribers), ("b/2", ReasonCode::QuotaExceeded)] {
            world.publish(other, message(topic, "x").qos(Q1).retained());
            world.run_until_quiet();
            assert_eq!(acked(world, other).reason, reason, "{topic}");
        }
        assert_eq!(acked(world, device).reason, ReasonCode::Success);
        // The next as a whole does not fit.
        publish(world, other, message("$tree/b", &tree(1)).qos(Q1).retained());
        assert_eq!(acked(world, other).reason, ReasonCode::QuotaExceeded);
        assert_eq!(world.lines(plain).len(), ROWS);
    });
}

#[test]
fn a_large_set_or_replace_or_repeat_is_one_change_of_each_group() {
    // [MOTE-4.1] [MOTE-5.25]
    worlds_of_slices(|world| {
        let c = client(world, V5, "c");
        let made = version(world, c, message("$tree;id=k/a", &tree(1)).qos(Q1).retained());
        assert_eq!(version(world, c, message("$tree;id=k/a", &tree(1)).qos(Q1).retained()), made);
        publish(world, c, message("$tree/b", &tree(1)).qos(Q1).retained());
        world.received(c);
        let merged = subscriber(world, V5, "merged", "$tree/#", Q1);
        publish(world, c, message("$set/#", "9").qos(Q2).retained());
        let frames = world.messages(merged);
        assert_eq!(frames.len(), 2, "one of each group");
        assert!(world.twin.rows().values().all(|value| value == b"9"));
        world.received(c);
        let replaced = version(world, c, message("$tree;replace/a", r#"{"r0":1}"#).qos(Q1).retained());
        assert!(replaced > made);
        assert_eq!(world.messages(merged).len(), 1);
        assert_eq!(world.twin.rows().keys().filter(|topic| topic.starts_with("a/")).count(), 1);
        // What deletes nothing that exists has the version that is there.
        let nothing: Vec<String> = (1..ROWS).map(|row| format!("\"r{row}\":null")).collect();
        let nothing = format!("{{{}}}", nothing.join(","));
        assert_eq!(version(world, c, message("$tree/a", &nothing).qos(Q1).retained()), replaced);
        assert!(world.messages(merged).is_empty());
    });
}

#[test]
fn a_large_tree_over_many_groups_is_acknowledged_once_with_disk_too() {
    let set = |plan: &mut Plan| {
        plan.broker.limits.rows_per_turn = 2;
        plan.broker.durability = engine::config::Durability::Disk;
        plan.has_store = true;
    };
    worlds_with(set, |world| {
        let lasting = world.connected(ConnectOptions::lasting(V5, "lasting"));
        world.subscribe(lasting, "#", Q2);
        let c = client(world, V5, "c");
        let objects: Vec<String> = ["a", "b", "c", "d"].map(|root| format!("\"{root}\":{}", tree(3))).into();
        let all = format!("{{{}}}", objects.join(","));
        for qos in [Q1, Q2] {
            world.publish(c, message("$tree/+/+", &all).qos(qos).retained());
            world.run_until_quiet();
            let kinds: Vec<AckKind> = acks(&world.received(c)).into_iter().map(|(kind, _)| kind).collect();
            let want = if qos == Q1 { vec![AckKind::Puback] } else { vec![AckKind::Pubrec, AckKind::Pubcomp] };
            assert_eq!(kinds, want);
        }
        assert_eq!(world.twin.rows().len(), 4 * ROWS);
        assert_eq!(world.messages(lasting).len(), 8 * ROWS);
    });
}
