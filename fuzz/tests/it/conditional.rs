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
