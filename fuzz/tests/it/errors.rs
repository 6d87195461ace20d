//! What a publisher is told of a publish that is wrong, and where it is wrong (PROTOCOL section 9).

use super::conditional::acked;
use super::*;

/// One publish that is refused, for each way of being told. Returns the Reason String, and the bodies of the messages to
/// a client of MQTT 3.1.1 and to one that published with QoS 0.
fn told(world: &mut World, topic: &str, payload: &[u8], reason: ReasonCode) -> (String, Vec<(String, String)>) {
    let listener = subscriber(world, V5, "listener", "$error/#", Q0);
    let other = subscriber(world, V5, "other", "#", Q0);
    let (new, old) = (client(world, V5, "new"), client(world, V311, "old"));
    let it = |qos| PublishOptions::new(topic, payload).qos(qos).retained();
    let mut words = Vec::new();
    for qos in [Q1, Q2] {
        publish(world, new, it(qos));
        let acked = acked(world, new);
        assert_eq!((acked.reason, acked.mote), (reason, None), "{topic}");
        words.push(acked.words.expect("a reason in words"));
    }
    assert_eq!(words[0], words[1]);
    let mut messages = Vec::new();
    for (client, qos) in [(old, Q0), (old, Q1), (old, Q2), (new, Q0)] {
        publish(world, client, it(qos));
        let packets = world.received(client);
        let Some(OwnedPacket::Publish(message)) = packets.first() else { panic!("{topic}: {packets:?}") };
        assert_eq!((message.qos, message.retain, packets.len() > 1), (Q0, false, qos > Q0));
        messages.push((message.topic.clone(), String::from_utf8(message.payload.clone()).unwrap()));
        assert!(!world.is_closed(client));
    }
    assert_eq!(world.messages(listener), [], "the publisher alone");
    assert_eq!(world.messages(other), [], "nothing of it is applied");
    assert!(world.twin.rows().is_empty());
    [listener, other, new, old].into_iter().for_each(|client| world.drop_client(client));
    world.run_until_quiet();
    (words.remove(0), messages)
}

fn small_worlds(conversation: impl Fn(&mut World)) {
    for shards in [1, 3] {
        let mut plan = Plan::new(shards as u64, shards);
        plan.broker.limits.tree_rows = 3;
        conversation(&mut World::new(plan));
    }
}

#[test]
fn what_is_wrong_with_a_tree_is_said_with_its_place() {
    // [MOTE-9.5] [MOTE-9.6] [MOTE-9.9] [MOTE-9.10] [MOTE-9.12] [MOTE-9.13] [MOTE-3.20] [MOTE-3.21] [MOTE-3.15]
    small_worlds(|world| {
        for (payload, at) in [
            ("", 0),
            ("{", 1),
            (r#"{"a":1,"b":}"#, 11),
            (r#"{"a":1,}"#, 7),
            (r#"{"a":01}"#, 6),
            (r#"{"a":1}x"#, 7),
            ("[1]", 0),
            ("7", 0),
            (r#"{"a":"\x"}"#, 7),
            (r#"{"a":tru}"#, 8),
            (r#"{"a" 1}"#, 5),
            (r#"{"a":1,"b/c":2}"#, 7),
            (r#"{"a":1,"+":2}"#, 7),
            (r##"{"a":{"x":1,"#":2}}"##, 12),
            (r#"{"a":1,"b":2,"c":{"d":3,"e":4}}"#, 24),
        ] {
            let (words, messages) = told(world, "$tree/t/x", payload.as_bytes(), ReasonCode::PayloadFormatInvalid);
            assert!(words.contains(&format!("byte {at}")), "{payload}: {words}");
            for (topic, body) in messages {
                assert_eq!(topic, "$error/t/x");
                let words = words.replace('"', "\\\"").replace("\\x", "\\\\x");
                assert_eq!(body, format!(r#"{{"error":"{words}","topic":"t/x","at":{at}}}"#), "{payload}");
            }
        }
    });
}

#[test]
fn bytes_that_are_not_utf_8_and_too_deep_a_nesting_are_bad_json() {
    // [MOTE-9.6] [MOTE-3.22]
    small_worlds(|world| {
        let (words, _) = told(world, "$tree/t", b"{\"a\":\"\xFF\"}", ReasonCode::PayloadFormatInvalid);
        assert!(words.contains("byte 6"), "{words}");
        let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let (words, _) = told(world, "$tree/t", deep(65).as_bytes(), ReasonCode::PayloadFormatInvalid);
        assert!(words.contains("byte 320"), "{words}");
        let c = client(world, V5, "c");
        publish(world, c, message("$tree/t", &deep(64)).qos(Q1));
        assert!(!acked(world, c).reason.is_error());
    });
}

#[test]
fn a_bad_intent_or_pattern_has_no_place_in_the_payload() {
    // [MOTE-9.2] [MOTE-9.5] [MOTE-9.12]
    small_worlds(|world| {
        for (topic, named) in [
            ("$tree;since=x/t", "t"),
            ("$put;if=/t", "t"),
            ("$sync/t", "t"),
            ("$tree/t+", ""),
            ("$tree/#/t", ""),
            ("$tree/$t", "$t"),
        ] {
            let (words, messages) = told(world, topic, b"{}", ReasonCode::TopicNameInvalid);
            assert!(!words.is_empty());
            for (on, body) in messages {
                assert_eq!(
                    on,
                    if named.is_empty() { "$error".to_owned() } else { format!("$error/{named}") },
                    "{topic}"
                );
                assert!(body.starts_with(r#"{"error":""#) && body.ends_with(r#","at":null}"#), "{body}");
                assert!(!body.contains("$tree") && !body.contains("$put"), "{body}");
            }
        }
    });
}

#[test]
fn where_the_topic_is_too_long_it_is_left_out() {
    // [MOTE-9.11]: $error or $conflict alone
    small_worlds(|world| {
        let c = client(world, V5, "c");
        for (bytes, mote, retain, on) in [
            (65_528, "set", false, "$error/"),
            (65_529, "set", false, "$error"),
            (65_525, "put;if=1", true, "$conflict/"),
            (65_526, "put;if=1", true, "$conflict"),
        ] {
            let topic = "t".repeat(bytes);
            let properties = vec![Property::UserProperty("mote", mote)];
            let it = PublishOptions { properties, retain, ..message(&topic, "x") };
            publish(world, c, it);
            let told = world.messages(c);
            let wanted = if on.ends_with('/') { format!("{on}{topic}") } else { on.to_owned() };
            assert!(told.len() == 1 && told[0].topic == wanted, "{on}");
            assert!(String::from_utf8_lossy(&told[0].payload).contains(&topic), "the body names it");
        }
    });
}

#[test]
fn the_intent_is_taken_out_and_other_properties_pass() {
    // [MOTE-9.15] [MOTE-9.17] [MOTE-3.17]: every row has the QoS, the expiry and the properties of its packet
    both_worlds(|world, verb, payload| {
        let reader = subscriber(world, V5, "r", "t/#", Q2);
        let c = client(world, V5, "c");
        let properties = vec![
            Property::UserProperty("mote", verb),
            Property::UserProperty("mote", "not a verb"),
            Property::UserProperty("mine", "1"),
            Property::UserProperty("mote", verb),
            Property::MessageExpiryInterval(60),
            Property::ContentType("application/x"),
            Property::CorrelationData(b"c"),
        ];
        publish(world, c, PublishOptions { properties, ..message("t/x", payload).qos(Q2).retained() });
        let messages = world.messages(reader);
        assert_eq!(messages.len(), if verb == "tree" { 2 } else { 1 });
        for message in messages {
            let properties = message.properties.read();
            let user: Vec<_> = properties.user_properties().collect();
            assert_eq!(user, [("mote", "not a verb"), ("mine", "1")]);
            assert_eq!((message.qos, properties.message_expiry()), (Q2, Some(60)));
            assert_eq!(
                (properties.content_type(), properties.correlation_data()),
                (Some("application/x"), Some(&b"c"[..]))
            );
        }
        assert!(!world.twin.rows().is_empty());
        world.advance_ms(60_000);
        assert!(world.twin.rows().is_empty(), "each row expires");
    });
}

fn both_worlds(conversation: impl Fn(&mut World, &str, &str)) {
    for (verb, payload) in [("put", "x"), ("tree", r#"{"a":1,"b":2}"#)] {
        worlds(|world| conversation(world, verb, payload));
    }
}

#[test]
fn words_that_do_not_fit_the_clients_packets_are_left_out() {
    // [MQTT-3.4.2-3] [MQTT-3.5.2-3]: what is for people first, then what is for programs
    for qos in [Q1, Q2] {
        small_worlds(|world| {
            let mut seen = std::collections::BTreeSet::new();
            for max in 20..200 {
                let properties = vec![Property::MaximumPacketSize(max)];
                let c = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "c") });
                if world.is_closed(c) {
                    continue; // it does not even take CONNACK
                }
                world.received(c);
                publish(world, c, message("$put;if=7/obj/1", "x").qos(qos).retained());
                let acked = acked(world, c);
                assert_eq!(acked.reason, ReasonCode::ImplementationSpecificError);
                seen.insert((acked.mote.is_some(), acked.words.is_some()));
                world.drop_client(c);
                world.run_until_quiet();
            }
            assert!(seen.contains(&(true, true)) && !seen.contains(&(false, true)), "{seen:?}");
        });
    }
}
