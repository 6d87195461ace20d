//! Publishes with a verb and what they are acknowledged with, conditions and conflicts (PROTOCOL sections 5 and 9).

use super::*;

/// What an acknowledgement says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Acked {
    pub kind: AckKind,
    pub reason: ReasonCode,
    pub words: Option<String>,
    pub mote: Option<String>,
}

/// The only acknowledgement since the last call.
pub(crate) fn acked(world: &mut World, client: ClientId) -> Acked {
    let packets = world.received(client);
    let mut acked = packets.iter().filter_map(|packet| match packet {
        OwnedPacket::Ack { kind: AckKind::Pubcomp, .. } => None,
        OwnedPacket::Ack { kind, reason, properties, .. } => {
            let words = properties.read().reason_string().map(str::to_owned);
            Some(Acked { kind: *kind, reason: *reason, words, mote: properties.mote().map(str::to_owned) })
        }
        _ => None,
    });
    let first = acked.next().unwrap_or_else(|| panic!("no acknowledgement: {packets:?}"));
    assert_eq!(acked.next(), None, "one acknowledgement for each publish");
    first
}

/// Publishes and returns what the acknowledgement says in the user property `mote`.
pub(crate) fn said(world: &mut World, client: ClientId, it: PublishOptions<'_>) -> Option<String> {
    publish(world, client, it);
    let acked = acked(world, client);
    assert!(!acked.reason.is_error(), "{acked:?}");
    acked.mote
}

/// The number in `ok;ver=<n>`.
pub(crate) fn version(world: &mut World, client: ClientId, it: PublishOptions<'_>) -> u64 {
    let said = said(world, client, it);
    let number = said.as_deref().and_then(|said| said.strip_prefix("ok;ver="));
    number.unwrap_or_else(|| panic!("no version: {said:?}")).parse().unwrap()
}

#[test]
fn an_applied_put_says_its_version_and_the_versions_of_a_group_go_up() {
    // [MOTE-5.20] [MOTE-5.5]
    for qos in [Q1, Q2] {
        worlds(|world| {
            let reader = subscriber(world, V5, "r", "obj/#", Q0);
            let client = client(world, V5, "c");
            let first = version(world, client, message("$put/obj/42/name", "Ada").qos(qos).retained());
            let second =
                version(world, client, message("$tree/obj/42", r#"{"name":"Bo","age":7}"#).qos(qos).retained());
            let properties = vec![Property::UserProperty("mote", "put")];
            let third = PublishOptions { properties, ..message("obj/43", "x").qos(qos).retained() };
            let third = version(world, client, third);
            assert!(0 < first && first < second && second < third, "{first} {second} {third}");
            let mut lines = world.lines(reader);
            lines[1..3].sort();
            assert_eq!(lines, ["obj/42/name Ada", "obj/42/age 7", "obj/42/name Bo", "obj/43 x"]);
            // Who does not ask with a verb is told nothing beyond MQTT.
            assert_eq!(said(world, client, message("obj/44", "x").qos(qos).retained()), None);
        });
    }
}

#[test]
fn events_and_trees_of_several_groups_have_no_one_version() {
    // [MOTE-5.20]
    worlds(|world| {
        let client = client(world, V5, "c");
        assert_eq!(said(world, client, message("$put/a", "event").qos(Q1)), None);
        let tree = r#"{"a":{"x":1},"b":{"x":2},"c":{"x":3}}"#;
        assert_eq!(said(world, client, message("$tree/#", tree).qos(Q1).retained()), None);
        assert!(said(world, client, message("$tree/#", r#"{"a":{"y":1}}"#).qos(Q1).retained()).is_some());
    });
}

#[test]
fn who_declined_problem_information_or_speaks_3_1_1_is_told_no_version() {
    // [MQTT-3.1.2-29] [MOTE-5.20]
    worlds(|world| {
        let properties = vec![Property::RequestProblemInformation(0)];
        let quiet = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "quiet") });
        let old = client(world, V311, "old");
        world.received(quiet);
        for client in [quiet, old] {
            assert_eq!(said(world, client, message("$put/obj/1", "x").qos(Q1).retained()), None);
        }
    });
}

#[test]
fn a_put_has_a_topic_and_no_pattern() {
    // [MOTE-9.2] [MOTE-9.5] [MOTE-9.13]
    worlds(|world| {
        let new = client(world, V5, "new");
        for topic in ["$put/a/+", "$put/a/#", "$put;replace/a", "$put;nonsense/a", "$put/$SYS/x", "$put"] {
            publish(world, new, message(topic, "x").qos(Q1).retained());
            let code = if topic.contains("SYS") { ReasonCode::NotAuthorized } else { ReasonCode::TopicNameInvalid };
            let acked = acked(world, new);
            assert_eq!((acked.reason, acked.mote), (code, None), "{topic}");
            assert!(acked.words.is_some());
        }
        let old = client(world, V311, "old");
        publish(world, old, message("$put/a/+", "x").qos(Q1).retained());
        let packets = world.received(old);
        let [OwnedPacket::Publish(told), OwnedPacket::Ack { .. }] = &packets[..] else { panic!("{packets:?}") };
        assert!(told.line().starts_with(r#"$error {"error":""#), "{}", told.line());
        // A star is a wildcard in no topic.
        assert_eq!(said(world, new, message("$put/a/*", "x").qos(Q1)), None);
        assert!(!world.is_closed(new) && !world.is_closed(old));
        assert!(world.twin.rows().is_empty());
    });
}

/// Whether the publish was applied; if not, the version that the conflict names.
fn tried(world: &mut World, client: ClientId, it: PublishOptions<'_>) -> Result<u64, u64> {
    publish(world, client, it);
    let Acked { reason, mote, words, .. } = acked(world, client);
    let mote = mote.expect("what became of it");
    let (word, number) = mote.split_once(";ver=").expect("a version");
    let number = number.parse().unwrap();
    match (word, reason) {
        ("ok", reason) if !reason.is_error() => Ok(number),
        ("conflict", ReasonCode::ImplementationSpecificError) if words.is_some() => Err(number),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_put_with_the_version_of_its_object_is_applied_and_with_another_is_not() {
    // [MOTE-5.16] [MOTE-5.17] [MOTE-5.18] [MOTE-5.19] [MOTE-5.20] [MOTE-5.21] [MOTE-5.22]
    for qos in [Q1, Q2] {
        worlds(|world| {
            let reader = subscriber(world, V5, "r", "obj/#", Q0);
            let c = client(world, V5, "c");
            let put = |world: &mut World, condition: &str, payload: &str| {
                let topic = format!("$put;if={condition}/obj/42");
                tried(world, c, message(&topic, payload).qos(qos).retained())
            };
            assert_eq!(put(world, "any", "x"), Err(0));
            assert_eq!(put(world, "7", "x"), Err(0));
            let first = put(world, "0", "one").unwrap();
            assert_eq!(put(world, "0", "x"), Err(first));
            assert_eq!(put(world, &(first + 1).to_string(), "x"), Err(first));
            let second = put(world, &first.to_string(), "two").unwrap();
            assert!(second > first);
            assert_eq!(put(world, &first.to_string(), "x"), Err(second), "the stale edit");
            let third = put(world, "any", "three").unwrap();
            // What is below belongs to the object, deletions included.
            let below = version(world, c, message("$put/obj/42/a/b", "below").qos(qos).retained());
            assert_eq!(put(world, &third.to_string(), "x"), Err(below));
            let gone = version(world, c, message("$put/obj/42/a/b", "").qos(qos).retained());
            assert_eq!(put(world, &below.to_string(), "x"), Err(gone));
            // A sibling does not.
            version(world, c, message("$put/obj/43", "sibling").qos(qos).retained());
            let last = put(world, &gone.to_string(), "four").unwrap();
            // Deleted, it does not exist, and its version is that of the deletion.
            let deleted = put(world, &last.to_string(), "").unwrap();
            assert!(deleted > last);
            assert_eq!(put(world, "any", "x"), Err(deleted));
            assert_eq!(put(world, &last.to_string(), "x"), Err(deleted));
            assert!(put(world, "0", "anew").unwrap() > deleted);
            let shown = ["one", "two", "three", "four", "", "anew"].map(|payload| format!("obj/42 {payload}"));
            let lines: Vec<String> =
                world.lines(reader).into_iter().filter(|line| line.starts_with("obj/42 ")).collect();
            assert_eq!(lines, shown);
        });
    }
}

#[test]
fn a_deletion_by_the_version_of_the_deletion_is_no_change() {
    // [MOTE-5.8] [MOTE-5.20]: nothing changes, and the acknowledgement says the version that the object has
    worlds(|world| {
        let c = client(world, V5, "c");
        assert_eq!(tried(world, c, message("$put;if=0/obj/1", "").qos(Q1).retained()), Ok(0));
        let made = version(world, c, message("$put/obj/1", "x").qos(Q1).retained());
        let gone = version(world, c, message("$put/obj/1", "").qos(Q1).retained());
        assert!(gone > made);
        assert_eq!(version(world, c, message("$put/obj/1", "").qos(Q1).retained()), gone);
        assert_eq!(tried(world, c, message(&format!("$put;if={gone}/obj/1"), "").qos(Q1).retained()), Ok(gone));
        assert_eq!(tried(world, c, message("$tree;if=0/obj/1", "{}").qos(Q1).retained()), Ok(gone));
    });
}

#[test]
fn a_tree_is_judged_by_the_object_at_its_stem() {
    // [MOTE-5.16] [MOTE-5.17]
    worlds(|world| {
        let c = client(world, V5, "c");
        let tree = |world: &mut World, condition: &str, pattern: &str, json: &str| {
            let mote = format!("tree;if={condition}");
            let properties = vec![Property::UserProperty("mote", &mote)];
            tried(world, c, PublishOptions { properties, ..message(pattern, json).qos(Q1).retained() })
        };
        let first = tree(world, "0", "shop/item/42", r#"{"name":"a","price":{"net":1}}"#).unwrap();
        assert_eq!(tree(world, "0", "shop/item/42", r#"{"name":"b"}"#), Err(first));
        let other = tree(world, "0", "shop/item/43", r#"{"name":"c"}"#).unwrap();
        assert_eq!(
            tree(world, &first.to_string(), "shop/item/*/name", r#"{"42":"d"}"#),
            Err(other),
            "the stem is shop/item"
        );
        let third = tree(world, &other.to_string(), "shop/item/*/name", r#"{"42":"d","44":"e"}"#).unwrap();
        assert_eq!(tree(world, &first.to_string(), "shop/item/42", r#"{"name":null}"#), Err(third));
        assert!(tree(world, &third.to_string(), "shop/item/42", r#"{"name":null}"#).is_ok());
        assert!(!world.twin.rows().contains_key("shop/item/42/name"));
        assert_eq!(world.twin.rows().len(), 3);
    });
}

/// JSON of the conflicts that a client was told of alone, by topic.
fn conflicts(world: &mut World, client: ClientId) -> Vec<(String, String)> {
    let messages = world.messages(client);
    assert!(messages.iter().all(|message| message.qos == Q0 && !message.retain));
    messages.into_iter().map(|it| (it.topic, String::from_utf8(it.payload).unwrap())).collect()
}

#[test]
fn who_cannot_read_the_acknowledgement_is_told_of_a_conflict_alone() {
    // [MOTE-5.24] [MOTE-9.10]: before MQTT 5, with QoS 0, and to who declined problem information; then acknowledged
    worlds(|world| {
        let other = subscriber(world, V5, "other", "$conflict/#", Q0);
        let old = client(world, V311, "old");
        let new = client(world, V5, "new");
        let properties = vec![Property::RequestProblemInformation(0)];
        let quiet = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "quiet") });
        world.received(quiet);
        let made = version(world, new, message("$tree/obj/1", r#"{"/":[1,2],"name":"Ada"}"#).qos(Q1).retained());
        let want = format!(r#"{{"topic":"obj/1","expected":0,"version":{made},"value":[1,2]}}"#);
        for (client, qos) in [(old, Q0), (old, Q1), (old, Q2), (new, Q0), (quiet, Q0), (quiet, Q1)] {
            publish(world, client, message("$put;if=0/obj/1", "x").qos(qos).retained());
            let packets = world.peek(client);
            let told = packets.iter().position(|packet| packet.message().is_some());
            let acked = packets.iter().position(|packet| matches!(packet, OwnedPacket::Ack { .. }));
            assert!(told.is_some() && acked.is_none_or(|acked| told < Some(acked)), "{qos:?}: {packets:?}");
            assert_eq!(acked.is_some(), qos > Q0);
            assert_eq!(conflicts(world, client), [("$conflict/obj/1".to_owned(), want.clone())]);
        }
        // Of a tree: what there is under the pattern.
        publish(world, old, message("$tree;if=any/obj/2", "{}").retained());
        publish(world, old, message("$tree;if=77/obj/1/+", "{}").retained());
        let nothing = r#"{"topic":"obj/2","expected":"any","version":0,"value":null}"#.to_owned();
        let tree = format!(r#"{{"topic":"obj/1/+","expected":77,"version":{made},"value":{{"name":"Ada"}}}}"#);
        assert_eq!(conflicts(world, old), [("$conflict/obj/2".to_owned(), nothing), ("$conflict".to_owned(), tree)]);
        // Whose acknowledgement says it gets no message beside it.
        publish(world, new, message("$put;if=0/obj/1", "x").qos(Q1).retained());
        assert_eq!(world.messages(new), []);
        assert_eq!(world.lines(other), [""; 0]);
        assert!(world.twin.rows().len() == 2);
    });
}

#[test]
fn a_conflict_goes_to_the_response_topic() {
    // [MOTE-5.23] [MOTE-4.12] [MOTE-4.14]
    worlds(|world| {
        let listener = subscriber(world, V5, "l", "+/answers", Q2);
        let c = client(world, V5, "c");
        let made = version(world, c, message("$put/obj/1", "plain").qos(Q1).retained());
        for qos in [Q0, Q1, Q2] {
            let properties = vec![Property::ResponseTopic("my/answers"), Property::CorrelationData(b"17")];
            publish(world, c, PublishOptions { properties, ..message("$put;if=any/obj/2", "x").qos(qos).retained() });
            let packets = world.received(c);
            assert!(packets.iter().all(|packet| packet.message().is_none()), "{packets:?}");
            let told = world.messages(listener);
            let want = r#"{"topic":"obj/2","expected":"any","version":0,"value":null}"#;
            assert_eq!(told.iter().map(Message::line).collect::<Vec<_>>(), [format!("my/answers {want}")]);
            let properties = told[0].properties.read();
            assert_eq!(properties.correlation_data(), Some(&b"17"[..]));
            assert_eq!(
                (properties.payload_format_indicator(), properties.content_type()),
                (Some(1), Some("application/json"))
            );
            assert_eq!((told[0].qos, told[0].retain), (qos, false));
        }
        let properties = vec![Property::ResponseTopic("my/answers")];
        let it = message("$put;if=0/obj/1", "x").qos(Q1).retained();
        assert_eq!(tried(world, c, PublishOptions { properties, ..it }), Err(made));
        let want = format!(r#"my/answers {{"topic":"obj/1","expected":0,"version":{made},"value":"plain"}}"#);
        assert_eq!(world.lines(listener), [want]);
        // Applied, nothing is answered there; and it leads to nothing that is the broker's.
        let properties = vec![Property::ResponseTopic("my/answers")];
        publish(world, c, PublishOptions { properties, ..message("$put;if=0/obj/3", "x").qos(Q1).retained() });
        assert_eq!(world.lines(listener), [""; 0]);
        world.received(c);
        let properties = vec![Property::ResponseTopic("$conflict/x")];
        publish(world, c, PublishOptions { properties, ..message("$put;if=0/obj/4", "x").qos(Q1).retained() });
        assert_eq!(acked(world, c).reason, ReasonCode::TopicNameInvalid);
    });
}

#[test]
fn a_condition_over_several_groups_or_without_retain_is_refused() {
    // [MOTE-9.3] [MOTE-9.4] [MOTE-5.16]
    let split = |plan: &mut Plan| {
        plan.broker.shards.split.push(engine::config::Split { prefix: "v1/devices".into(), levels: 3 });
    };
    worlds_with(split, |world| {
        let c = client(world, V5, "c");
        let old = client(world, V311, "old");
        let spanning = ["$tree;if=0/#", "$tree;if=0/*/x", "$tree;replace/+/x", "$put;if=0/v1", "$put;if=0/v1/devices"];
        for topic in spanning.into_iter().chain(["$tree;if=any/v1/devices", "$tree;replace/v1/devices/+"]) {
            publish(world, c, message(topic, "{}").qos(Q1).retained());
            let acked = acked(world, c);
            assert_eq!(
                (acked.reason, acked.words.as_deref()),
                (ReasonCode::TopicNameInvalid, Some("spans groups")),
                "{topic}"
            );
            publish(world, old, message(topic, "{}").qos(Q1).retained());
            let packets = world.received(old);
            let [OwnedPacket::Publish(told), OwnedPacket::Ack { .. }] = &packets[..] else { panic!("{packets:?}") };
            assert!(told.line().contains(r#"{"error":"spans groups""#));
        }
        for topic in ["$put;if=0/a", "$tree;if=any/a", "$set/a"] {
            publish(world, c, message(topic, "{}").qos(Q1));
            assert_eq!(acked(world, c).reason, ReasonCode::TopicNameInvalid, "{topic}");
        }
        for topic in ["$put;if=0/v1/devices/7", "$tree;if=0/v1/devices/8", "$tree;if=0/v1/other", "$put;if=0/v1x"] {
            assert!(tried(world, c, message(topic, r#"{"a":1}"#).qos(Q1).retained()).is_ok(), "{topic}");
        }
        assert!(!world.is_closed(c) && !world.is_closed(old));
    });
}

#[test]
fn a_will_may_have_a_condition_and_nobody_is_told() {
    // [MOTE-1.9] [MOTE-1.11..12]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "#", Q1);
        for (number, (topic, lines)) in
            [("$put;if=0/w/1", vec!["w/1 {}"]), ("$put;if=0/w/1", vec![]), ("$tree;if=any;replace/w", vec!["w/1 "])]
                .into_iter()
                .enumerate()
        {
            let will = WillOptions { topic, payload: b"{}", qos: Q1, retain: true, properties: vec![] };
            let id = format!("dies{number}");
            let dies = world.connected(ConnectOptions { will: Some(will), ..ConnectOptions::new(version, &id) });
            assert_eq!(connack(&world.received(dies)).1, 0);
            world.drop_client(dies);
            world.run_until_quiet();
            assert_eq!(world.lines(reader), lines, "{topic}");
        }
        // Its syntax is judged at CONNECT.
        for topic in ["$put;if=x/w", "$put;if=0/#", "$tree;if=0/#", "$sync/w"] {
            let will = WillOptions { topic, payload: b"{}", qos: Q1, retain: true, properties: vec![] };
            let refused = world.connected(ConnectOptions { will: Some(will), ..ConnectOptions::new(version, "no") });
            let code = if version.is_v5() { 0x90 } else { 3 };
            assert_eq!(connack(&world.received(refused)).1, code, "{topic}");
        }
    });
}

#[test]
fn a_value_that_is_no_frame_is_left_out_of_a_conflict() {
    // PROTOCOL section 5: null where it is too large for a frame
    let set = |plan: &mut Plan| plan.broker.limits.frame_bytes = 64;
    worlds_with(set, |world| {
        let c = client(world, V311, "c");
        publish(world, c, message("obj/1", &"x".repeat(62)).retained());
        publish(world, c, message("obj/2", &"x".repeat(63)).retained());
        publish(world, c, message("$put;if=0/obj/1", "x").retained());
        publish(world, c, message("$put;if=0/obj/2", "x").retained());
        publish(world, c, message("$tree;if=0/obj", "{}").retained());
        let values: Vec<bool> =
            conflicts(world, c).iter().map(|(_, body)| body.ends_with(r#","value":null}"#)).collect();
        assert_eq!(values, [false, true, true]);
    });
}
