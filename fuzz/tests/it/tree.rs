//! Tree publishes (PROTOCOL section 3) and how intents are refused (section 9).

use super::*;

#[test]
fn one_tree_is_three_messages_and_one_frame() {
    // [MOTE-3.1] [MOTE-3.19] [MOTE-2.26]
    both_versions(|world, version| {
        let plain = subscriber(world, version, "plain", "light/bedroom/#", Q1);
        let merged = subscriber(world, version, "merged", "$tree/light/bedroom/+", Q1);
        let publisher = client(world, version, "p");
        let tree = r##"{"is_on":1,"brightness":55,"color":"#FFFFFF"}"##;
        publish(world, publisher, message("$tree/light/bedroom", tree).qos(Q1).retained());
        let rows = ["light/bedroom/is_on 1", "light/bedroom/brightness 55", "light/bedroom/color #FFFFFF"];
        let mut got = world.lines(plain);
        got.sort();
        let mut want = rows.map(str::to_string);
        want.sort();
        assert_eq!(got, want);
        let frames = world.messages(merged);
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert_eq!(frames[0].topic, "light/bedroom/+");
        assert_eq!(
            folded("light/bedroom/+", &frames),
            json(&[("brightness", "55"), ("color", "\"#FFFFFF\""), ("is_on", "1")])
        );
        let late = client(world, version, "late");
        world.subscribe(late, "light/bedroom/is_on", Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(late), ["light/bedroom/is_on 1"]);
    });
}

/// The state after the frames, as one JSON text.
fn folded(filter: &str, frames: &[Message]) -> String {
    let mut state = engine::row::fold::State::new(filter);
    frames.iter().for_each(|frame| state.fold(&frame.payload).unwrap());
    let mut text = Vec::new();
    state.to_json(&mut text);
    String::from_utf8(text).unwrap()
}

fn json(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn stars_and_plus_stand_for_levels() {
    // [MOTE-3.4]
    both_versions(|world, version| {
        let plain = subscriber(world, version, "plain", "light/#", Q0);
        let publisher = client(world, version, "p");
        for pattern in ["$tree/light/+/is_on", "$tree/light/*/is_on"] {
            publish(world, publisher, message(pattern, r#"{"bedroom":1,"livingroom":0}"#).qos(Q1));
            let mut got = world.lines(plain);
            got.sort();
            assert_eq!(got, ["light/bedroom/is_on 1", "light/livingroom/is_on 0"], "{pattern}");
        }
        assert!(!world.is_closed(publisher));
    });
}

#[test]
fn a_tree_over_many_groups_reaches_them_all_and_is_acknowledged_once() {
    // [MOTE-3.25]
    both_versions(|world, version| {
        let plain = subscriber(world, version, "plain", "#", Q1);
        let publisher = client(world, version, "p");
        let tree = r#"{"a":{"x":1},"b":{"x":2},"c":{"x":3},"d":{"x":4},"e":{"x":5},"f":{"y":{"z":6}}}"#;
        let packet_id = world.publish(publisher, message("$tree/#", tree).qos(Q1).retained());
        world.run_until_quiet();
        let mut got = world.lines(plain);
        got.sort();
        assert_eq!(got, ["a/x 1", "b/x 2", "c/x 3", "d/x 4", "e/x 5", "f/y/z 6"]);
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Puback, packet_id)]);
        assert_eq!(world.twin.rows().len(), 6);
    });
}

#[test]
fn the_intent_may_be_a_user_property() {
    // [MOTE-1.4] [MOTE-1.5]
    worlds(|world| {
        let plain = subscriber(world, V5, "plain", "h/#", Q0);
        let merged = client(world, V5, "merged");
        let options = SubscriptionOptions { qos: Q1, ..Default::default() };
        world.subscribe_with(merged, &[("h/+", options)], &[Property::UserProperty("mote", "tree")]);
        world.run_until_quiet();
        world.received(merged);
        let properties = vec![Property::UserProperty("mote", "tree"), Property::UserProperty("mine", "1")];
        let publisher = client(world, V5, "p");
        publish(world, publisher, PublishOptions { properties, ..message("h", r#"{"a":1,"b":2}"#) });
        let rows = world.messages(plain);
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.properties.mote().is_none()), "the intent is consumed");
        assert!(rows.iter().all(|row| row.properties.read().user_property("mine") == Some("1")));
        let frames = world.messages(merged);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].properties.mote().map(|mote| mote.starts_with("frame;event;n=0")), Some(true));
    });
}

#[test]
fn a_fault_in_the_tree_applies_nothing_and_says_where() {
    // [MOTE-3.20] [MOTE-9.6]
    // PROTOCOL section 3: all or nothing; section 9: 0x99
    worlds(|world| {
        let plain = subscriber(world, V5, "plain", "#", Q0);
        let publisher = client(world, V5, "p");
        for payload in [r#"{"a":1,"b":}"#, r#"{"a":1,"b/c":2}"#, "[1]x", r#"{"a":1,"b+":2}"#] {
            let packet_id = world.publish(publisher, message("$tree/t", payload).qos(Q1).retained());
            world.run_until_quiet();
            match &world.received(publisher)[..] {
                [OwnedPacket::Ack { kind: AckKind::Puback, packet_id: id, reason, .. }] => {
                    assert_eq!((*id, *reason), (packet_id, ReasonCode::PayloadFormatInvalid), "{payload}");
                }
                other => panic!("{payload}: {other:?}"),
            }
        }
        assert_eq!(world.lines(plain), [""; 0]);
        assert!(world.twin.rows().is_empty());
    });
}

#[test]
fn an_old_client_is_told_of_a_fault_by_a_message() {
    // [MOTE-9.5] [MOTE-9.10] [MOTE-9.12] [MOTE-9.13]
    // PROTOCOL section 9: message to the publisher alone on $error/<topic>, then acknowledged
    worlds(|world| {
        let other = subscriber(world, V311, "other", "$error/#", Q0);
        let publisher = client(world, V311, "p");
        let packet_id = world.publish(publisher, message("$tree/t", "{").qos(Q1));
        world.run_until_quiet();
        let packets = world.received(publisher);
        let told = packets.iter().position(|packet| packet.message().is_some_and(|m| m.topic.starts_with("$error/")));
        let acked = packets
            .iter()
            .position(|packet| matches!(packet, OwnedPacket::Ack { packet_id: id, .. } if *id == packet_id));
        assert!(told.is_some() && told < acked, "{packets:?}");
        assert_eq!(world.lines(other), [""; 0]);
    });
}

#[test]
fn a_bad_intent_is_refused_and_an_unknown_verb_is_an_ordinary_topic() {
    // [MOTE-1.7] [MOTE-9.1] [MOTE-9.2]
    both_versions(|world, version| {
        let client = client(world, version, "c");
        for filter in ["$tree;nonsense=1/a/+", "$sync;replace/a/+", "$put/a"] {
            world.subscribe(client, filter, Q1);
            world.run_until_quiet();
            let packets = world.received(client);
            let Some(OwnedPacket::Suback { reasons, .. }) = packets.first() else { panic!("{filter}: {packets:?}") };
            let want: &[u8] = if version.is_v5() { &[0x8F, 0x83] } else { &[0x80] };
            assert!(want.contains(&reasons[0]), "{filter}: {reasons:?}");
        }
        world.subscribe(client, "$other/+", Q0);
        publish(world, client, message("$other/x", "m"));
        assert_eq!(world.lines(client), ["$other/x m"]);
    });
}

#[test]
fn a_tree_without_retain_is_an_event_and_keeps_nothing() {
    // [MOTE-3.18]
    both_versions(|world, version| {
        let merged = subscriber(world, version, "m", "$tree/e/#", Q1);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("$tree/e", r#"{"a":{"b":1},"c":2}"#).qos(Q1));
        let frames = world.messages(merged);
        assert_eq!(frames.len(), 1);
        assert_eq!(folded("e/#", &frames), r#"{"a":{"b":1},"c":2}"#);
        assert!(world.twin.rows().is_empty());
    });
}

#[test]
fn a_tree_larger_than_a_parcel_over_many_groups_keeps_to_the_credit_of_the_lanes() {
    // A lane may have room for one parcel only; a step that says more must not push a second.
    let large = |plan: &mut Plan| plan.broker.session.queue_bytes = usize::MAX;
    worlds_with(large, |world| {
        if world.plan.piece_bytes_max < 48 {
            return; // two megabytes in crumbs
        }
        let plain = subscriber(world, V5, "plain", "#", Q1);
        let merged = subscriber(world, V5, "merged", "$sync/#", Q1);
        let publisher = client(world, V5, "p");
        let long = "x".repeat(20_000);
        let rows: Vec<String> = (0..80).map(|number| format!("\"r{number}\":{{\"x\":\"{long}\"}}")).collect();
        let tree = format!("{{{}}}", rows.join(","));
        let packet_id = world.publish(publisher, message("$tree/#", &tree).qos(Q1).retained());
        world.run_until_quiet();
        assert_eq!(acks(&world.received(publisher)), [(AckKind::Puback, packet_id)]);
        assert_eq!(world.messages(plain).len(), 80);
        let frames = world.messages(merged);
        let mut state = engine::row::fold::State::new("#");
        frames.iter().for_each(|frame| state.fold(&frame.payload).unwrap());
        assert_eq!(state.rows().count(), 80);
    });
}

#[test]
fn a_will_may_be_a_tree() {
    // [MOTE-1.10]
    both_versions(|world, version| {
        let merged = subscriber(world, version, "m", "$tree/w/#", Q0);
        let options = ConnectOptions::new(version, "p").will("$tree/w/p", br#"{"on":0,"why":"lost"}"#);
        let publisher = world.connected(options);
        world.drop_client(publisher);
        world.run_until_quiet();
        assert_eq!(world.lines(merged), [r#"w/# {"p":{"on":0,"why":"lost"}}"#]);
    });
}

#[test]
fn a_tree_with_qos_2_is_applied_once_and_one_without_rows_is_acknowledged() {
    both_versions(|world, version| {
        let plain = subscriber(world, version, "plain", "#", Q2);
        let publisher = client(world, version, "p");
        for (tree, want) in [(r#"{"a":{"x":1},"b":{"x":2},"e":{"x":3}}"#, 3), ("{}", 0), (r#"{"a":{}}"#, 0)] {
            let packet_id = world.publish(publisher, message("$tree/#", tree).qos(Q2));
            world.run_until_quiet();
            assert_eq!(world.messages(plain).len(), want, "{tree}");
            let done = [(AckKind::Pubrec, packet_id), (AckKind::Pubcomp, packet_id)];
            assert_eq!(acks(&world.received(publisher)), done, "{tree}");
        }
    });
}
