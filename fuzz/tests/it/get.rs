//! Snapshots that are asked for once: verb `get` (PROTOCOL section 4).

use super::*;
use engine::limits::GETS_PER_SESSION_MAX;
use engine::row::fold::State;

/// Retained rows of several groups.
fn fill(world: &mut World) {
    let publisher = client(world, V311, "fills");
    for topic in TOPICS {
        publish(world, publisher, message(topic, &format!("\"{topic}\"")).qos(Q1).retained());
    }
    publish(world, publisher, message("a/2", "2").qos(Q1).retained());
    publish(world, publisher, message("a/3", "gone").qos(Q1).retained());
    publish(world, publisher, message("a/3", "").qos(Q1).retained());
}

/// The state after the parts, as one JSON text.
fn folded(filter: &str, parts: &[Message]) -> String {
    let mut state = State::new(filter);
    parts.iter().for_each(|part| state.fold(&part.payload).unwrap());
    let mut text = Vec::new();
    state.to_json(&mut text);
    String::from_utf8(text).unwrap()
}

/// The parts are one series: numbered from 0, the last one alone marked as such.
fn is_one_series(parts: &[Message]) {
    for (n, part) in parts.iter().enumerate() {
        let kind = if n + 1 == parts.len() { "snap" } else { "part" };
        let says = part.properties.mote().expect("a part says what it is");
        let begins = format!("frame;{kind};n={n}");
        assert!(says == begins || says.starts_with(&format!("{begins};")), "{says}");
    }
}

fn asks(world: &mut World, client: ClientId, topic: &str, qos: QoS) -> Vec<Message> {
    publish(world, client, message(topic, "").qos(qos));
    world.messages(client)
}

const ALL: &str =
    r#"{"a":{"1":"a/1","2":2},"b":{"1":"b/1"},"c":{"1":"c/1"},"d":{"1":"d/1"},"e":{"1":"e/1"},"f":{"1":"f/1"}}"#;

#[test]
fn a_question_is_answered_to_who_asked_and_to_nobody_else() {
    // [MOTE-4.8] [MOTE-4.10]
    both_versions(|world, version| {
        fill(world);
        let other = subscriber(world, version, "other", "#", Q0);
        world.messages(other);
        let asker = client(world, version, "asker");
        for (topic, filter) in [("$get/#", "#"), ("$get/+/+", "+/+"), ("$get/*/*", "+/+"), ("$get/**", "#")] {
            for qos in [Q0, Q1, Q2] {
                let parts = asks(world, asker, topic, qos);
                assert!(parts.iter().all(|part| part.topic == filter && part.retain && part.qos == qos), "{parts:?}");
                assert_eq!(folded(filter, &parts), ALL);
            }
        }
        publish(world, other, message("a/2", "2").qos(Q1).retained());
        assert_eq!(world.lines(other), ["a/2 2"]);
        assert_eq!(world.lines(asker), [""; 0], "it is not subscribed");
    });
}

#[test]
fn an_answer_is_one_series_over_all_owners() {
    // [MOTE-4.11]
    worlds(|world| {
        fill(world);
        let asker = client(world, V5, "asker");
        let parts = asks(world, asker, "$get/#", Q1);
        is_one_series(&parts);
        assert_eq!(folded("#", &parts), ALL);
        let again = asks(world, asker, "$get/a/+", Q1);
        is_one_series(&again);
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].text(), r#"{"1":"a/1","2":2}"#);
        assert!(again[0].properties.mote().unwrap().contains(";ver="), "it lies in one group");
        let properties = again[0].properties.read();
        assert_eq!(
            (properties.payload_format_indicator(), properties.content_type()),
            (Some(1), Some("application/json"))
        );
    });
}

#[test]
fn what_matches_nothing_is_answered_too() {
    both_versions(|world, version| {
        fill(world);
        let asker = client(world, version, "asker");
        for (topic, want) in [
            ("$get/x/+", "x/+ {}"),
            ("$get/+/y", "+/y {}"),
            ("$get/x", "x "),
            ("$get/a/2", "a/2 2"),
            ("$get/a/3", "a/3 "),
            ("$get;topic=safe/x%/#", "$tree/x%25/%23 {}"),
        ] {
            let parts = asks(world, asker, topic, Q0);
            assert_eq!(parts.iter().map(Message::line).collect::<Vec<_>>(), [want], "{topic}");
        }
    });
}

#[test]
fn an_answer_has_the_form_that_is_asked_for() {
    both_versions(|world, version| {
        fill(world);
        let asker = client(world, version, "asker");
        let parts = asks(world, asker, "$get;values=string/a/+", Q0);
        assert_eq!(parts[0].text(), r#"{"1":"\"a/1\"","2":"2"}"#);
        for (topic, tree) in [("$get;meta/a/+", r#"{"1":"a/1","2":2}"#), ("$get;meta;topic=safe/a/2", "2")] {
            let parts = asks(world, asker, topic, Q0);
            let text = parts[0].text();
            assert!(text.starts_with(r#"{"mote":"frame;snap;n=0;ver="#), "{text}");
            assert!(text.ends_with(&format!(r#"","tree":{tree}}}"#)), "{text}");
        }
    });
}

#[test]
fn an_answer_says_versions_and_a_cursor_to_go_on_from() {
    worlds(|world| {
        fill(world);
        let asker = client(world, V5, "asker");
        let parts = asks(world, asker, "$get;versions/a/+", Q1);
        let last = world.twin.last_version(world.roots.group("a"));
        let text = parts[0].text();
        let versions = format!("\"versions\":{{\"#\":{last},\"1\":{},\"2\":{}}}}}", last - 3, last - 2);
        assert!(text.ends_with(&versions), "{text}");
        let says = parts[0].properties.mote().unwrap().to_owned();
        assert!(says.split(';').any(|word| word == format!("obj={last}")), "{says}");
        for filter in ["a/+", "#"] {
            let parts = asks(world, asker, &format!("$get/{filter}"), Q1);
            let says = parts.last().unwrap().properties.mote().unwrap().to_owned();
            let cursor =
                says.split(';').find_map(|word| word.strip_prefix("ver=")).expect("the last part has a cursor");
            let publisher = client(world, V311, "p");
            publish(world, publisher, message("a/2", "3").qos(Q1).retained());
            let reader = client(world, V5, "reader");
            world.subscribe(reader, &format!("$sync;since={cursor}/{filter}"), Q1);
            world.run_until_quiet();
            let frames = world.messages(reader);
            let says = frames.last().unwrap().properties.mote().unwrap();
            assert!(says.starts_with("frame;snap;") && !says.contains("reset"), "{says}");
            let missed = if filter == "#" { r#"{"a":{"2":3}}"# } else { r#"{"2":3}"# };
            assert_eq!(folded(filter, &frames), missed);
            publish(world, publisher, message("a/2", "2").qos(Q1).retained());
        }
    });
}

#[test]
fn the_acknowledgement_leaves_at_once_and_says_success() {
    worlds(|world| {
        fill(world);
        for (qos, kind) in [(Q1, AckKind::Puback), (Q2, AckKind::Pubrec)] {
            let asker = client(world, V5, "asker");
            let packet_id = world.publish(asker, message("$get/#", "").qos(qos));
            world.run_until_quiet();
            let packets = world.received(asker);
            match &packets[0] {
                OwnedPacket::Ack { kind: got, packet_id: id, reason, .. } => {
                    assert_eq!((*got, *id, *reason), (kind, packet_id, ReasonCode::Success));
                }
                other => panic!("{other:?}"),
            }
            assert!(packets.len() > 1);
        }
    });
}

#[test]
fn the_intent_may_be_a_user_property_and_retain_means_nothing() {
    // [MOTE-1.19]
    worlds(|world| {
        fill(world);
        let asker = client(world, V5, "asker");
        for intent in ["get", "get;topic=safe", "get;state"] {
            let properties = vec![Property::UserProperty("mote", intent)];
            let question = PublishOptions { properties, ..message("a/*", "whatever").qos(Q1).retained() };
            publish(world, asker, question);
            let parts = world.messages(asker);
            let topic = if intent == "get;topic=safe" { "$tree/a/%2B" } else { "a/+" };
            assert_eq!(
                parts.iter().map(Message::line).collect::<Vec<_>>(),
                [format!(r#"{topic} {{"1":"a/1","2":2}}"#)]
            );
        }
        assert_eq!(world.twin.rows().len(), 7, "nothing was kept");
    });
}

#[test]
fn an_answer_goes_to_the_response_topic_as_if_its_asker_had_published_it() {
    // [MOTE-4.9] [MOTE-4.12] [MOTE-4.14]
    worlds(|world| {
        fill(world);
        let asker = subscriber(world, V5, "asker", "r/asker", Q1);
        let other = subscriber(world, V311, "other", "r/#", Q2);
        let merged = subscriber(world, V5, "merged", "$tree/r/+", Q1);
        let versions = subscriber(world, V5, "versions", "$rows/r/+", Q1);
        let sealed = client(world, V5, "sealed");
        let options = SubscriptionOptions { qos: Q1, no_local: true, ..Default::default() };
        world.subscribe_with(sealed, &[("r/sealed", options)], &[]);
        world.run_until_quiet();
        world.received(sealed);
        for (asker, name) in [(asker, "r/asker"), (sealed, "r/sealed")] {
            for qos in [Q0, Q1, Q2] {
                let topic = Property::ResponseTopic(name);
                let properties = vec![topic, Property::CorrelationData(b"which"), Property::UserProperty("mine", "1")];
                publish(world, asker, PublishOptions { properties, ..message("$get/a/+", "").qos(qos).retained() });
                let want = [format!(r#"{name} {{"1":"a/1","2":2}}"#)];
                assert_eq!(world.lines(other), want);
                for reader in [asker, versions] {
                    let parts = world.messages(reader);
                    if name == "r/sealed" && reader == asker {
                        assert_eq!(parts, [], "No Local");
                        continue;
                    }
                    is_one_series(&parts);
                    assert_eq!(parts.iter().map(Message::line).collect::<Vec<_>>(), want);
                    let properties = parts[0].properties.read();
                    assert_eq!((parts[0].retain, parts[0].qos), (false, qos.min(Q1)));
                    assert_eq!(properties.correlation_data(), Some(&b"which"[..]));
                    assert_eq!((properties.response_topic(), properties.user_property("mine")), (None, None));
                }
                let frames = world.messages(merged);
                assert_eq!(frames.len(), 1);
                assert!(frames[0].properties.mote().unwrap().starts_with("frame;event;"));
            }
        }
        assert_eq!(world.twin.rows().len(), 7, "nothing was kept");
    });
}

#[test]
fn a_response_topic_of_the_brokers_own_is_refused() {
    // [MOTE-4.13]
    worlds(|world| {
        fill(world);
        let asker = client(world, V5, "asker");
        for topic in ["$tree/r", "$SYS/x", "$error/x", "$x"] {
            let properties = vec![Property::ResponseTopic(topic)];
            publish(world, asker, PublishOptions { properties, ..message("$get/#", "").qos(Q1) });
            match &world.received(asker)[..] {
                [OwnedPacket::Ack { reason: ReasonCode::TopicNameInvalid, properties, .. }] => {
                    assert!(properties.read().reason_string().is_some());
                }
                other => panic!("{topic}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_bad_question_is_refused() {
    both_versions(|world, version| {
        let asker = client(world, version, "asker");
        let bad = ["$get", "$get/", "$get;interval=9/a", "$get;replace/a", "$get;if=1/a", "$get/a/#/b", "$get/a+/b"];
        for topic in bad {
            let packet_id = world.publish(asker, message(topic, "").qos(Q1));
            world.run_until_quiet();
            match (&world.received(asker)[..], version) {
                ([OwnedPacket::Ack { reason, .. }], V5) => {
                    assert_eq!(*reason, ReasonCode::TopicNameInvalid, "{topic}");
                }
                ([OwnedPacket::Publish(error), OwnedPacket::Ack { packet_id: id, .. }], V311) => {
                    assert!(error.topic.starts_with("$error"), "{error:?}");
                    assert_eq!(*id, packet_id);
                }
                (other, _) => panic!("{topic}: {other:?}"),
            }
        }
        assert!(!world.is_closed(asker));
        world.subscribe(asker, "$get/a", Q0);
        world.run_until_quiet();
        let code = if version.is_v5() { 0x8F } else { 0x80 };
        assert!(matches!(&world.received(asker)[..], [OwnedPacket::Suback { reasons, .. }] if reasons == &[code]));
        let refused = world.connected(ConnectOptions::new(version, "w").will("$get/a", b""));
        let code = if version.is_v5() { 0x90 } else { 3 };
        assert_eq!(connack(&world.received(refused)), (false, code));
    });
}

#[test]
fn questions_are_answered_in_their_order_and_are_bounded() {
    worlds(|world| {
        if world.plan.piece_bytes_max < 48 {
            return; // megabytes in crumbs
        }
        fill(world);
        let asker = client(world, V5, "asker");
        world.stop_reading(asker);
        let large = "x".repeat(300_000);
        publish(world, asker, message("large/1", &large).retained());
        // Four megabytes fill its socket, and what follows waits.
        let filters = ["large/1", "large/+", "large/#", "+/1", "large/1", "large/+", "a/1", "a/2", "b/1", "c/1", "d/1"];
        for _ in 0..2 {
            for filter in filters {
                world.publish(asker, message(&format!("$get/{filter}"), "").qos(Q1));
                if world.plan.piece_bytes_max > 48 {
                    world.run_turns(3);
                }
            }
        }
        world.run_until_quiet();
        world.read_again(asker);
        world.run_until_quiet();
        let packets = world.received(asker);
        let refused = packets
            .iter()
            .filter(|packet| matches!(packet, OwnedPacket::Ack { reason: ReasonCode::QuotaExceeded, .. }));
        let (refused, answers) = (refused.count(), packets.iter().filter_map(OwnedPacket::message));
        let last_parts = answers.filter(|part| part.properties.mote().unwrap().starts_with("frame;snap;"));
        let answered: Vec<&str> = last_parts.map(|part| part.topic.as_str()).collect();
        assert_eq!(refused + answered.len(), 2 * filters.len());
        assert!(answered.len() >= GETS_PER_SESSION_MAX, "{answered:?}");
        let asked: Vec<&str> = filters.iter().chain(&filters).copied().collect();
        let mut left = asked.iter();
        assert!(answered.iter().all(|topic| left.any(|asked| asked == topic)), "in their order: {answered:?}");
        // All are done with: as many again are taken.
        assert!(asks(world, asker, "$get/a/1", Q0).len() == 1);
    });
}

/// `count` rows over many groups.
fn many(world: &mut World, count: usize) {
    let publisher = client(world, V311, "many");
    for first in 0..20 {
        let numbers = (0..count).filter(|number| number % 20 == first);
        let rows: Vec<String> = numbers.map(|number| format!("\"{number}\":{number}")).collect();
        let json = format!("{{{}}}", rows.join(","));
        publish(world, publisher, message(&format!("$tree/many{first}/*/x"), &json).qos(Q1).retained());
    }
}

#[test]
fn a_large_answer_is_paced_by_who_asked_and_others_are_served_meanwhile() {
    const ROWS: usize = 60_000;
    for shards in [1, 3] {
        for (qos, response) in [(Q0, None), (Q1, None), (Q2, None), (Q1, Some("r/1"))] {
            let plan = Plan { piece_bytes_max: 65_536, ..Plan::new(17, shards) };
            let world = &mut World::new(plan);
            many(world, ROWS);
            let other = subscriber(world, V311, "other", "live", Q0);
            let asker = subscriber(world, V5, "asker", "r/#", Q1);
            let properties = response.map(Property::ResponseTopic).into_iter().collect();
            world.stop_reading(asker);
            world.publish(asker, PublishOptions { properties, ..message("$get/+/+/x", "").qos(qos) });
            world.run_until_quiet();
            let sent = world.publishes_sent();
            publish(world, other, message("live", "m"));
            assert_eq!(world.lines(other), ["live m"], "nobody waits for who does not read");
            world.read_again(asker);
            world.run_until_quiet();
            let parts = world.messages(asker);
            assert!(parts.len() > 4, "{} parts", parts.len());
            if qos > Q0 && response.is_none() {
                assert!(sent <= 4, "{sent} parts were sent to who acknowledges none");
            }
            is_one_series(&parts);
            let filter = "+/+/x";
            let mut state = State::new(filter);
            parts.iter().for_each(|part| state.fold(&part.payload).unwrap());
            assert_eq!(state.rows().count(), ROWS);
        }
    }
}

#[test]
fn who_is_gone_is_not_answered_and_costs_nothing_more() {
    for (version, lasting) in [(V311, false), (V5, false), (V5, true)] {
        for shards in [1, 3] {
            for response in [None, Some("r/1")] {
                let plan = Plan { piece_bytes_max: 65_536, ..Plan::new(18, shards) };
                let world = &mut World::new(plan);
                many(world, 40_000);
                let options = |name| {
                    if lasting { ConnectOptions::lasting(version, name) } else { ConnectOptions::new(version, name) }
                };
                for round in 0..GETS_PER_SESSION_MAX * 3 {
                    let asker = world.connected(options("asker"));
                    world.received(asker);
                    world.stop_reading(asker);
                    let properties = if version.is_v5() { response.map(Property::ResponseTopic) } else { None };
                    let properties: Vec<_> = properties.into_iter().collect();
                    for _ in 0..3 {
                        let question = message("$get/+/+/x", "").qos(if round % 2 == 0 { Q1 } else { Q0 });
                        world.publish(asker, PublishOptions { properties: properties.clone(), ..question });
                    }
                    world.run_turns(5 + 7 * round);
                    world.drop_client(asker);
                    world.run_turns(5);
                }
                world.run_until_quiet();
                let sent = world.publishes_sent();
                world.run_until_quiet();
                assert_eq!(world.publishes_sent(), sent);
                let asker = world.connected(ConnectOptions::new(version, "asker"));
                world.received(asker);
                let parts = asks(world, asker, "$get/many1/+/x", Q1);
                assert_eq!(folded("many1/+/x", &parts).matches(':').count(), 2_000);
            }
        }
    }
}

#[test]
fn the_parts_are_the_state_at_one_moment() {
    // Rows that always change together are the same in every answer.
    for shards in [1, 3] {
        for seed in 0..6 {
            let plan = Plan { piece_bytes_max: 65_536, ..Plan::new(seed, shards) };
            let world = &mut World::new(plan);
            let writer = client(world, V311, "writer");
            let pad: Vec<String> = (0..4_000).map(|number| format!("\"p{number}\":\"{}\"", "y".repeat(100))).collect();
            publish(world, writer, message("$tree/t/+", &format!("{{{}}}", pad.join(","))).qos(Q1).retained());
            let asker = client(world, V5, "asker");
            world.publish(asker, message("$get/t/+", "").qos(Q1));
            for round in 0..200 {
                let tree = format!("{{\"a\":{round},\"p2000\":{round},\"zz\":{round}}}");
                world.publish(writer, message("$tree/t/+", &tree).qos(Q0).retained());
                world.run_turns(4);
            }
            world.run_until_quiet();
            let parts = world.messages(asker);
            is_one_series(&parts);
            let mut state = State::new("t/+");
            parts.iter().for_each(|part| state.fold(&part.payload).unwrap());
            let of = |name: &str| state.rows().find(|(topic, _)| *topic == name).map(|(_, value)| value.to_vec());
            assert_eq!(of("t/a"), of("t/zz"));
            if of("t/a").is_some() {
                assert_eq!(of("t/a"), of("t/p2000"));
            }
        }
    }
}

#[test]
fn who_asks_and_leaves_at_once_is_answered_at_the_response_topic() {
    // [MOTE-4.9] [MOTE-4.14]
    worlds(|world| {
        fill(world);
        let reader = subscriber(world, V5, "reader", "r/1", Q0);
        for asker in ["a0", "a1", "a2"] {
            let asker = client(world, V5, asker);
            for filter in ["nothing/+", "+/+"] {
                let properties = vec![Property::ResponseTopic("r/1"), Property::CorrelationData(b"7")];
                world.publish(asker, PublishOptions { properties, ..message(&format!("$get/{filter}"), "") });
                world.publish(asker, message(&format!("$get/{filter}"), ""));
            }
            world.disconnect(asker, ReasonCode::Success);
            world.run_until_quiet();
            let parts = world.messages(reader);
            assert!(parts.iter().all(|part| part.properties.read().correlation_data() == Some(b"7")));
            let begins = |part: &Message| part.properties.mote().is_some_and(|mote| mote.contains(";n=0"));
            let second = parts.iter().rposition(begins).expect("an answer");
            let (first, second) = parts.split_at(second);
            assert_eq!(folded("nothing/+", first), "{}");
            assert_eq!(folded("+/+", second), ALL);
            is_one_series(first);
            is_one_series(second);
        }
    });
}
