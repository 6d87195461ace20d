//! `set`, and `replace` of a tree: what is retained changes without being named (PROTOCOL sections 3 and 4).

use super::conditional::{Acked, acked, said, version};
use super::*;

/// `topic payload` of the retained rows, in order.
fn rows(world: &World) -> Vec<String> {
    world.twin.rows().iter().map(|(topic, payload)| format!("{topic} {}", String::from_utf8_lossy(payload))).collect()
}

fn fill(world: &mut World, client: ClientId, topics: &[&str]) {
    topics.iter().for_each(|topic| publish(world, client, message(topic, "old").retained()));
}

#[test]
fn a_set_writes_into_what_exists_and_creates_nothing() {
    // [MOTE-4.1] [MOTE-4.2] [MOTE-4.3] [MOTE-4.4] [MOTE-5.20]
    both_versions(|world, version| {
        let plain = subscriber(world, version, "plain", "light/#", Q1);
        let merged = subscriber(world, version, "merged", "$tree/light/+/on", Q1);
        let c = client(world, version, "c");
        fill(world, c, &["light/a/on", "light/b/on", "light/b/dim", "other/on", "light"]);
        world.received(plain);
        world.received(merged);
        for (filter, want) in [
            ("$set/light/+/on", vec!["light/a/on 1", "light/b/on 1"]),
            ("$set/light/*/on", vec!["light/a/on 1", "light/b/on 1"]),
            ("$set/light/b/**", vec!["light/b/dim 1", "light/b/on 1"]),
            ("$set/light/#", vec!["light 1", "light/a/on 1", "light/b/dim 1", "light/b/on 1"]),
            ("$set/light/b/dim", vec!["light/b/dim 1"]),
            ("$set/light/c/+", vec![]),
            ("$set/light/+", vec![]),
        ] {
            let packet_id = world.publish(c, message(filter, "1").qos(Q1).retained());
            world.run_until_quiet();
            assert_eq!(acks(&world.received(c)), [(AckKind::Puback, packet_id)]);
            let mut lines = world.lines(plain);
            lines.sort();
            assert_eq!(lines, want, "{filter}");
            let frames = world.messages(merged);
            assert_eq!(frames.len(), usize::from(want.iter().any(|row| row.ends_with("/on 1"))), "{filter}: one frame");
        }
        assert_eq!(rows(world), ["light 1", "light/a/on 1", "light/b/dim 1", "light/b/on 1", "other/on old"]);
    });
}

#[test]
fn an_empty_set_deletes_what_matches() {
    // [MOTE-4.5]
    both_versions(|world, version| {
        let merged = subscriber(world, version, "merged", "$tree/light/#", Q1);
        let c = client(world, version, "c");
        fill(world, c, &["light/a/on", "light/b/on", "light/b/dim", "other/on"]);
        world.received(merged);
        publish(world, c, message("$set/light/*/on", "").qos(Q1).retained());
        assert_eq!(world.lines(merged), [r#"light/# {"a":{"on":null},"b":{"on":null}}"#]);
        assert_eq!(rows(world), ["light/b/dim old", "other/on old"]);
        publish(world, c, message("$set/light/**", "").qos(Q1).retained());
        publish(world, c, message("$set/light/**", "x").qos(Q1).retained());
        assert_eq!(rows(world), ["other/on old"]);
    });
}

#[test]
fn a_set_over_many_groups_is_one_change_of_each_and_is_acknowledged_once() {
    // [MOTE-4.1] [MOTE-5.20]
    for qos in [Q0, Q1, Q2] {
        worlds(|world| {
            let plain = subscriber(world, V5, "plain", "#", Q0);
            let merged = subscriber(world, V5, "merged", "$tree/#", Q0);
            let c = client(world, V5, "c");
            fill(world, c, &["a/1", "a/2", "b/1", "c/1", "d/1", "e/1", "f/1", "f/2/3", "f"]);
            world.received(plain);
            world.received(merged);
            publish(world, c, message("$set/+/1", "new").qos(qos).retained());
            let mut lines = world.lines(plain);
            lines.sort();
            assert_eq!(lines, TOPICS.map(|topic| format!("{topic} new")));
            assert_eq!(world.messages(merged).len(), TOPICS.len(), "one frame of each group");
            let packets = world.received(c);
            assert_eq!(
                acks(&packets).iter().filter(|(kind, _)| *kind != AckKind::Pubcomp).count(),
                usize::from(qos > Q0)
            );
            // Which version it is is said where there is one.
            if qos > Q0 {
                assert_eq!(said(world, c, message("$set/**", "all").qos(qos).retained()), None);
                let one = version(world, c, message("$set/f/**", "one").qos(qos).retained());
                assert_eq!(version(world, c, message("$set/f/2/+", "two").qos(qos).retained()), one + 1);
                assert_eq!(said(world, c, message("$set/g/+", "none").qos(qos).retained()), None);
            }
        });
    }
}

#[test]
fn the_properties_of_a_set_are_those_of_each_row() {
    // [MOTE-4.1]: as if each were published by itself
    worlds(|world| {
        let plain = subscriber(world, V5, "plain", "t/#", Q2);
        let merged = subscriber(world, V5, "merged", "$tree/t/+", Q0);
        let c = client(world, V5, "c");
        fill(world, c, &["t/1", "t/2"]);
        world.received(plain);
        world.received(merged);
        let properties = vec![
            Property::UserProperty("mote", "set"),
            Property::ContentType("text/plain"),
            Property::UserProperty("mine", "1"),
            Property::MessageExpiryInterval(60),
        ];
        publish(world, c, PublishOptions { properties, ..message("t/+", "5").qos(Q2).retained() });
        let messages = world.messages(plain);
        assert_eq!(messages.len(), 2);
        for message in messages {
            let properties = message.properties.read();
            assert_eq!((message.qos, properties.user_property("mine")), (Q2, Some("1")));
            assert_eq!((properties.content_type(), properties.message_expiry()), (Some("text/plain"), Some(60)));
            assert_eq!(properties.user_property("mote"), None);
        }
        assert_eq!(world.lines(merged), [r#"t/+ {"1":"5","2":"5"}"#], "text");
        world.advance_ms(61_000);
        assert!(world.lines(merged)[0].starts_with("t/+ {"));
        assert_eq!(world.messages(plain), []);
        publish(world, c, message("$set/t/+", "x").retained());
        assert_eq!(world.messages(plain), [], "they have expired");
    });
}

#[test]
fn a_set_of_too_many_rows_changes_none_of_its_group() {
    // [MOTE-4.6] [MOTE-3.24] [MOTE-3.26]
    let set = |plan: &mut Plan| plan.broker.limits.set_rows = 2;
    worlds_with(set, |world| {
        let c = client(world, V5, "c");
        let old = client(world, V311, "old");
        fill(world, c, &["a/1", "a/2", "a/3", "b/1", "b/2", "c/1"]);
        publish(world, c, message("$set/a/+", "x").qos(Q1).retained());
        let alone = acked(world, c);
        assert_eq!((alone.reason, alone.mote), (ReasonCode::PayloadFormatInvalid, None));
        assert!(alone.words.is_some_and(|words| words.contains("limits.set_rows")));
        publish(world, c, message("$set/#", "x").qos(Q2).retained());
        let Acked { reason, mote, .. } = acked(world, c);
        assert_eq!((reason, mote.as_deref()), (ReasonCode::PayloadFormatInvalid, Some("partial;applied=2;refused=1")));
        assert_eq!(rows(world), ["a/1 old", "a/2 old", "a/3 old", "b/1 x", "b/2 x", "c/1 x"]);
        publish(world, old, message("$set/a/+", "x").qos(Q1).retained());
        let packets = world.received(old);
        let [OwnedPacket::Publish(told), OwnedPacket::Ack { .. }] = &packets[..] else { panic!("{packets:?}") };
        assert!(told.line().starts_with(r#"$error {"error":"#), "{}", told.line());
        assert!(told.line().ends_with(r#","topic":"a/+","at":null}"#), "{}", told.line());
    });
}

#[test]
fn a_set_respects_what_may_be_retained() {
    // [MOTE-9.8] [MOTE-3.24]
    let set = |plan: &mut Plan| plan.broker.limits.retained_bytes = 20 * plan.shards as u64;
    worlds_with(set, |world| {
        let c = client(world, V5, "c");
        fill(world, c, &["a/1", "a/2"]);
        publish(world, c, message("$set/a/+", &"x".repeat(8)).qos(Q1).retained());
        assert_eq!(acked(world, c).reason, ReasonCode::QuotaExceeded);
        assert_eq!(rows(world), ["a/1 old", "a/2 old"]);
        assert!(said(world, c, message("$set/a/+", &"x".repeat(7)).qos(Q1).retained()).is_some());
    });
}

#[test]
fn bad_sets_are_refused() {
    // [MOTE-9.2] [MOTE-9.14]
    worlds(|world| {
        let c = client(world, V5, "c");
        fill(world, c, &["a/1", "$mine/1"]);
        for (topic, reason) in [
            ("$set/a/#/b", ReasonCode::TopicNameInvalid),
            ("$set/a/**/b", ReasonCode::TopicNameInvalid),
            ("$set/a+/b", ReasonCode::TopicNameInvalid),
            ("$set;if=0/a/1", ReasonCode::TopicNameInvalid),
            ("$set;replace/a/1", ReasonCode::TopicNameInvalid),
            ("$set/$SYS/#", ReasonCode::NotAuthorized),
            ("$set/$error/#", ReasonCode::NotAuthorized),
        ] {
            publish(world, c, message(topic, "x").qos(Q1).retained());
            assert_eq!(acked(world, c).reason, reason, "{topic}");
        }
        publish(world, c, message("$set/#", "x").qos(Q1).retained());
        assert_eq!(rows(world), ["$mine/1 old", "a/1 x"], "# matches no topic that begins with $");
        publish(world, c, message("$set/$mine/#", "x").qos(Q1).retained());
        assert_eq!(rows(world), ["$mine/1 x", "a/1 x"]);
        assert!(!world.is_closed(c));
    });
}

#[test]
fn a_will_may_be_a_set() {
    // [MOTE-1.9]
    both_versions(|world, version| {
        let c = client(world, version, "c");
        fill(world, c, &["light/a/on", "light/b/on"]);
        let will = WillOptions { topic: "$set/light/*/on", payload: b"0", qos: Q1, retain: true, properties: vec![] };
        let dies = world.connected(ConnectOptions { will: Some(will), ..ConnectOptions::new(version, "dies") });
        world.drop_client(dies);
        world.run_until_quiet();
        assert_eq!(rows(world), ["light/a/on 0", "light/b/on 0"]);
        let will = WillOptions { topic: "$set/light/*/on", payload: b"0", qos: Q1, retain: false, properties: vec![] };
        let refused = world.connected(ConnectOptions { will: Some(will), ..ConnectOptions::new(version, "no") });
        assert_eq!(connack(&world.received(refused)).1, if version.is_v5() { 0x90 } else { 3 });
    });
}

#[test]
fn replace_deletes_what_the_pattern_covers_and_the_tree_does_not_name() {
    // [MOTE-3.29] [MOTE-5.5]: in the same change
    both_versions(|world, version| {
        let merged = subscriber(world, version, "merged", "$tree/obj/#", Q1);
        let c = client(world, version, "c");
        fill(world, c, &["obj/1/a", "obj/1/b", "obj/1/c/d", "obj/1", "obj/2/a", "obj/2/b"]);
        world.received(merged);
        for (topic, json, frame, want) in [
            (
                "$tree;replace/obj/1",
                r#"{"a":1,"e":2,"b":null}"#,
                r#"{"1":{"/":null,"a":1,"b":null,"c":{"d":null},"e":2}}"#,
                vec!["obj/1/a 1", "obj/1/e 2", "obj/2/a old", "obj/2/b old"],
            ),
            (
                "$tree;replace/obj/*/a",
                r#"{"3":4}"#,
                r#"{"1":{"a":null},"2":{"a":null},"3":{"a":4}}"#,
                vec!["obj/1/e 2", "obj/2/b old", "obj/3/a 4"],
            ),
            ("$tree;replace/obj/2", "{}", r#"{"2":{"b":null}}"#, vec!["obj/1/e 2", "obj/3/a 4"]),
            ("$tree;replace/obj/+", "{}", "", vec!["obj/1/e 2", "obj/3/a 4"]),
            ("$tree;replace/obj", "{}", r#"{"1":{"e":null},"3":{"a":null}}"#, vec![]),
        ] {
            publish(world, c, message(topic, json).qos(Q1).retained());
            let frames = world.messages(merged);
            let got: Vec<_> = frames.iter().map(|frame| String::from_utf8_lossy(&frame.payload).into_owned()).collect();
            let want_frames: Vec<&str> = if frame.is_empty() { vec![] } else { vec![frame] };
            assert_eq!(got, want_frames, "{topic}");
            assert_eq!(rows(world), want, "{topic}");
            world.received(c);
        }
    });
}

#[test]
fn replace_is_bounded_and_conditional() {
    // [MOTE-4.7] [MOTE-5.17] [MOTE-3.24]
    let set = |plan: &mut Plan| plan.broker.limits.set_rows = 2;
    worlds_with(set, |world| {
        let c = client(world, V5, "c");
        let made = version(world, c, message("$tree/o", r#"{"1":1,"2":2,"3":3,"4":4}"#).qos(Q1).retained());
        publish(world, c, message("$tree;replace/o", r#"{"1":9,"5":5}"#).qos(Q1).retained());
        assert_eq!(acked(world, c).reason, ReasonCode::PayloadFormatInvalid);
        assert_eq!(world.twin.rows().len(), 4);
        let it = message("$tree;replace;if=99/o", r#"{"1":9,"2":9}"#).qos(Q1).retained();
        publish(world, c, it);
        assert_eq!(acked(world, c).mote, Some(format!("conflict;ver={made}")));
        let topic = format!("$tree;if={made};replace/o");
        let next = version(world, c, message(&topic, r#"{"1":9,"2":9}"#).qos(Q1).retained());
        assert!(next > made);
        assert_eq!(rows(world), ["o/1 9", "o/2 9"]);
        // Events replace nothing.
        publish(world, c, message("$tree;replace/o", r#"{"7":7}"#).qos(Q1));
        assert_eq!(rows(world), ["o/1 9", "o/2 9"]);
    });
}
