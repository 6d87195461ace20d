//! The classic profile (PROTOCOL section 8): conversations as clients of the first Mote broker hold them.

use super::*;

/// A client of the first broker with a clean session.
fn classic(world: &mut World, version: Version, client_id: &str) -> ClientId {
    classic_with(world, ConnectOptions::new(version, client_id))
}

fn classic_with(world: &mut World, options: ConnectOptions<'_>) -> ClientId {
    let client = world.connect(options);
    world.at_classic_listener(client);
    world.run_until_quiet();
    assert_eq!(connack(&world.received(client)).1, 0);
    client
}

/// Topic, payload and RETAIN of each message.
fn said(world: &mut World, client: ClientId) -> Vec<(String, bool)> {
    world.messages(client).iter().map(|message| (message.line(), message.retain)).collect()
}

fn plain(lines: &[&str]) -> Vec<(String, bool)> {
    lines.iter().map(|line| (line.to_string(), false)).collect()
}

// [MOTE-8.1] [MOTE-8.2] [MOTE-8.7] [MOTE-8.8] [MOTE-8.9]
#[test]
fn a_leading_slash_asks_for_a_snapshot() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("light/bedroom/is_on", "1").retained());
        publish(world, publisher, message("light/küche/is_on", "{\"a\": [1]}").retained());
        let reader = classic(world, version, "r");
        world.subscribe(reader, "/light/+/is_on", Q1);
        world.run_until_quiet();
        assert!(matches!(world.peek(reader)[0], OwnedPacket::Suback { .. }));
        let snapshot = r#"light/+/is_on {"bedroom": "1", "k\u00fcche": "{\"a\": [1]}"}"#;
        assert_eq!(said(world, reader), plain(&[snapshot]));
        publish(world, publisher, message("light/bedroom/is_on", "0").retained());
        publish(world, publisher, message("light/bedroom/is_on", "").retained());
        publish(world, publisher, message("light/bedroom/is_on", "2"));
        let later = [
            r#"light/+/is_on {"bedroom": "0"}"#,
            r#"light/+/is_on {"bedroom": null}"#,
            r#"light/+/is_on {"bedroom": "2"}"#,
        ];
        assert_eq!(said(world, reader), plain(&later));
    });
}

// [MOTE-8.2] [MOTE-8.10]
#[test]
fn without_one_it_is_a_tree_and_all_subscriptions_are_merged() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("a/x", "1").retained());
        let reader = classic(world, version, "r");
        world.subscribe(reader, "a/#", Q0);
        world.subscribe(reader, "a/x", Q0);
        world.subscribe(reader, "$share/g/a/+", Q0);
        world.run_until_quiet();
        let refused = world.received(reader).iter().any(
            |packet| matches!(packet, OwnedPacket::Suback { reasons, .. } if reasons[0] == if version.is_v5() { 0x9E } else { 0x80 }),
        );
        assert!(refused, "a shared subscription is not merged");
        publish(world, publisher, message("$tree/a", r#"{"x":{"/":3,"y":2}}"#).retained());
        let mut got = said(world, reader);
        got.sort();
        assert_eq!(got, plain(&[r#"a/# {"x": {"/": "3", "y": "2"}}"#, "a/x 3"]), "without wildcard untouched");
    });
}

// [MOTE-8.3]
#[test]
fn unsubscribe_names_a_filter_with_or_without_the_slash() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let reader = classic(world, version, "r");
        for (made, ended) in [("/u/+", "u/+"), ("u/+", "/u/+"), ("/u/+", "/u/+"), ("//u/+", "//u/+")] {
            world.subscribe(reader, made, Q1);
            world.unsubscribe(reader, ended);
            world.run_until_quiet();
            world.received(reader);
            publish(world, publisher, message("u/a", "1").retained());
            publish(world, publisher, message("/u/a", "1").retained());
            assert_eq!(said(world, reader), [], "{made} {ended}");
        }
    });
}

// [MOTE-8.4]
#[test]
fn a_retained_publish_with_a_trailing_slash_is_a_tree() {
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "#", Q1);
        let publisher = classic(world, version, "p");
        let tree = r#"{"bedroom": {"is_on": "1", "name": "Bett"}, "hall": {"is_on": 0}}"#;
        publish(world, publisher, message("light/+/+/", tree).qos(Q1).retained());
        publish(world, publisher, message("dim/#/", r#"{"a": {"/": "5", "b": "6"}}"#).qos(Q1).retained());
        publish(world, publisher, message("one/", r#"{"not": "spread"}"#).qos(Q1).retained());
        publish(world, publisher, message("two/", r#""text""#).qos(Q1).retained());
        publish(world, publisher, message("a/*/+/", r#"{"k": "v"}"#).qos(Q1).retained());
        publish(world, publisher, message("event/", "{").qos(Q1));
        let mut lines = world.lines(reader);
        lines.sort();
        let expected = [
            "a/*/k v",
            "dim/a 5",
            "dim/a/b 6",
            "event/ {",
            "light/bedroom/is_on 1",
            "light/bedroom/name Bett",
            "light/hall/is_on 0",
            "one {\"not\": \"spread\"}",
            "two text",
        ];
        assert_eq!(lines, expected);
    });
}

// [MOTE-8.5]
#[test]
fn a_plus_under_the_slash_replaces() {
    both_versions(|world, version| {
        let publisher = classic(world, version, "p");
        let reader = classic(world, version, "r");
        publish(world, publisher, message("r/+/", r#"{"a": "1", "b": "2", "c": "3"}"#).qos(Q1).retained());
        world.subscribe(reader, "/r/#", Q1);
        world.run_until_quiet();
        assert_eq!(said(world, reader), plain(&[r#"r/# {"a": "1", "b": "2", "c": "3"}"#]));
        for object in [r#"{"/": "+", "b": "5"}"#, r#"{"b": "5", "\/": "+"}"#, r#"{ "d": "6" , "/" : "+" , "b": "5"}"#] {
            publish(world, publisher, message("r/+/", object).qos(Q1).retained());
        }
        let said = said(world, reader);
        assert_eq!(said[0].0, r#"r/# {"a": null, "b": "5", "c": null}"#);
        assert_eq!(said[1].0, r#"r/# {"b": "5"}"#);
        assert_eq!(said[2].0, r#"r/# {"b": "5", "d": "6"}"#);
        publish(world, publisher, message("r/+/", r#"{"/": "+"}"#).qos(Q1).retained());
        assert_eq!(world.lines(reader), [r#"r/# {"b": null, "d": null}"#]);
        // What no group owns alone is refused.
        publish(world, publisher, message("+/x/", r#"{"/": "+", "a": "1"}"#).retained());
        let error = world.lines(publisher).pop().unwrap_or_default();
        assert!(error.starts_with("$error") && error.contains("spans groups"), "{error}");
    });
}

// [MOTE-8.6]
#[test]
fn a_retained_publish_to_wildcards_sets_what_is_there() {
    both_versions(|world, version| {
        let publisher = classic(world, version, "p");
        let reader = classic(world, version, "r");
        publish(
            world,
            publisher,
            message("s/+/+/", r#"{"a": {"on": "1"}, "b": {"on": "1", "x": "1"}}"#).qos(Q1).retained(),
        );
        world.subscribe(reader, "/s/+/on", Q1);
        world.run_until_quiet();
        world.received(reader);
        publish(world, publisher, message("s/+/on", "0").qos(Q1).retained());
        assert_eq!(said(world, reader), plain(&[r#"s/+/on {"a": "0", "b": "0"}"#]));
        publish(world, publisher, message("s/#", "").qos(Q1).retained());
        assert_eq!(said(world, reader), plain(&[r#"s/+/on {"a": null, "b": null}"#]));
        assert!(world.twin.rows().is_empty());
    });
}

// [MOTE-8.11]
#[test]
fn slashes_are_ordinary_on_every_other_listener() {
    both_versions(|world, version| {
        let (old, new) = (classic(world, version, "old"), client(world, version, "new"));
        let reader = subscriber(world, version, "r", "/s/+/", Q1);
        publish(world, new, message("/s/a/", "1").retained());
        publish(world, old, message("/s/b/", "2"));
        assert_eq!(world.lines(reader), ["/s/a/ 1", "/s/b/ 2"]);
        // And intents are as elsewhere on the classic one.
        world.subscribe(old, "$sync//s/+/", Q1);
        world.run_until_quiet();
        assert_eq!(said(world, old), [(r#"/s/+/ {"a":1}"#.to_string(), true)]);
    });
}

// [MOTE-8.1]
#[test]
fn a_lasting_session_keeps_what_it_asked_for_there() {
    let has_store = |plan: &mut Plan| plan.has_store = true;
    worlds_with(has_store, |world| {
        let options = || ConnectOptions::lasting(V311, "r");
        let reader = classic_with(world, options());
        world.subscribe(reader, "/l/+", Q1);
        world.run_until_quiet();
        world.restart(true);
        let reader = classic_with(world, options());
        let publisher = client(world, V311, "p");
        publish(world, publisher, message("l/a", "1").retained());
        assert_eq!(said(world, reader), plain(&[r#"l/+ {"a": "1"}"#]));
        world.unsubscribe(reader, "l/+");
        world.run_until_quiet();
        world.restart(true);
        let reader = classic_with(world, options());
        let publisher = client(world, V311, "p");
        publish(world, publisher, message("l/a", "2").retained());
        assert_eq!(said(world, reader), []);
    });
}

// [MOTE-8.4]
#[test]
fn a_will_is_spelled_as_a_publish_is() {
    worlds(|world| {
        let reader = subscriber(world, V311, "r", "#", Q1);
        let mut options = ConnectOptions::new(V311, "w").will("w/+/", br#"{"a": "1", "b": "2"}"#);
        if let Some(will) = &mut options.will {
            will.retain = true;
        }
        let client = classic_with(world, options);
        world.drop_client(client);
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["w/a 1", "w/b 2"]);
    });
}

/// A session of the first broker's client, byte for byte. [MOTE-8.9]
#[test]
fn the_bytes_of_a_conversation() {
    worlds(|world| {
        let socket = world.socket();
        world.at_classic_listener(socket);
        // CONNECT, clean session, client "c".
        world.send(socket, b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c");
        world.run_until_quiet();
        assert_eq!(world.received_bytes(socket), b"\x20\x02\x00\x00");
        // PUBLISH QoS 1, RETAIN, packet 1.
        let (topic, tree) = (b"l/+/", br#"{"a": "1", "b": "x"}"#);
        let mut publish = vec![0x33, (2 + topic.len() + 2 + tree.len()) as u8, 0, topic.len() as u8];
        publish.extend_from_slice(topic);
        publish.extend_from_slice(b"\x00\x01");
        publish.extend_from_slice(tree);
        world.send(socket, &publish);
        world.run_until_quiet();
        assert_eq!(world.received_bytes(socket), b"\x40\x02\x00\x01");
        // SUBSCRIBE packet 2, "/l/+" with QoS 0.
        world.send(socket, b"\x82\x09\x00\x02\x00\x04/l/+\x00");
        world.run_until_quiet();
        let mut expected = b"\x90\x03\x00\x02\x00".to_vec();
        expected.extend_from_slice(&[0x30, (2 + 3 + tree.len()) as u8, 0, 3]);
        expected.extend_from_slice(b"l/+");
        expected.extend_from_slice(tree);
        assert_eq!(world.received_bytes(socket), expected);
        // UNSUBSCRIBE packet 3, "l/+".
        world.send(socket, b"\xA2\x07\x00\x03\x00\x03l/+");
        world.run_until_quiet();
        assert_eq!(world.received_bytes(socket), b"\xB0\x02\x00\x03");
    });
}
