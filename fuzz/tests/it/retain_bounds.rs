//! How much is retained, and whether anything is: `limits.retained_rows`, `limits.retained_bytes`, `retain.available`.

use super::*;

/// At most `rows` retained rows on every shard: each takes its part, so they are given for all.
fn rows_per_shard(rows: u64) -> impl Fn(&mut Plan) {
    move |plan| plan.broker.limits.retained_rows = rows * plan.shards as u64
}

/// Reason code and Reason String of the only acknowledgement.
fn acked(world: &mut World, client: ClientId) -> (ReasonCode, Option<String>, Option<String>) {
    let packets = world.received(client);
    let acked = packets.iter().find_map(|packet| match packet {
        OwnedPacket::Ack { reason, properties, .. } => {
            let reason_string = properties.read().reason_string().map(str::to_owned);
            Some((*reason, reason_string, properties.mote().map(str::to_owned)))
        }
        _ => None,
    });
    acked.unwrap_or_else(|| panic!("no acknowledgement: {packets:?}"))
}

fn retained(world: &mut World, filter: &str) -> Vec<String> {
    let reader = client(world, V311, "looks");
    world.subscribe(reader, filter, Q0);
    world.run_until_quiet();
    let mut lines = world.lines(reader);
    lines.sort();
    lines
}

#[test]
fn a_row_too_many_is_refused_and_reaches_nobody() {
    // PROTOCOL section 9: a retained limit is 0x97
    for qos in [Q1, Q2] {
        worlds_with(rows_per_shard(2), |world| {
            let reader = subscriber(world, V5, "r", "a/#", Q2);
            let publisher = client(world, V5, "p");
            for topic in ["a/1", "a/2"] {
                publish(world, publisher, message(topic, "kept").qos(qos).retained());
                assert!(!acked(world, publisher).0.is_error());
            }
            publish(world, publisher, message("a/3", "refused").qos(qos).retained());
            let (reason, words, mote) = acked(world, publisher);
            assert_eq!((reason, mote), (ReasonCode::QuotaExceeded, None));
            assert!(words.is_some(), "and says what");
            assert_eq!(world.lines(reader), ["a/1 kept", "a/2 kept"]);
            // What makes it no more goes on; so does everything that is not retained.
            publish(world, publisher, message("a/2", "new").qos(qos).retained());
            publish(world, publisher, message("a/3", "passing").qos(qos));
            publish(world, publisher, message("a/1", "").qos(qos).retained());
            publish(world, publisher, message("a/3", "fits now").qos(qos).retained());
            assert_eq!(world.lines(reader), ["a/2 new", "a/3 passing", "a/1 ", "a/3 fits now"]);
            assert_eq!(retained(world, "a/#"), ["a/2 new", "a/3 fits now"]);
        });
    }
}

#[test]
fn bytes_are_bounded_and_what_becomes_smaller_always_fits() {
    let set = |plan: &mut Plan| plan.broker.limits.retained_bytes = 30 * plan.shards as u64;
    worlds_with(set, |world| {
        let publisher = client(world, V5, "p");
        let try_it = |world: &mut World, topic: &str, payload: &str| {
            publish(world, publisher, message(topic, payload).qos(Q1).retained());
            !acked(world, publisher).0.is_error()
        };
        assert!(try_it(world, "a/1", &"x".repeat(20)), "3 and 20 bytes");
        assert!(!try_it(world, "a/2", "xxxxx"), "3 and 5 are one too many");
        assert!(try_it(world, "a/2", "xxxx"));
        assert!(!try_it(world, "a/1", &"x".repeat(21)));
        assert!(try_it(world, "a/1", &"x".repeat(19)));
        assert!(try_it(world, "a/2", "xxxxx"));
        assert!(try_it(world, "a/1", ""));
        assert!(try_it(world, "a/2", &"x".repeat(27)));
    });
}

#[test]
fn properties_count() {
    let set = |plan: &mut Plan| plan.broker.limits.retained_bytes = 30 * plan.shards as u64;
    worlds_with(set, |world| {
        let publisher = client(world, V5, "p");
        let properties = vec![Property::ContentType("a content type of 27 bytes!")];
        publish(world, publisher, PublishOptions { properties, ..message("t", "m").qos(Q1).retained() });
        assert_eq!(acked(world, publisher).0, ReasonCode::QuotaExceeded);
    });
}

#[test]
fn a_tree_is_refused_whole_where_it_does_not_fit_whole() {
    // [MOTE-3.24] [MOTE-3.27] [MOTE-9.8]
    // PROTOCOL section 3: what an owner judges is judged per group, and each applies its part whole or refuses it whole
    worlds_with(rows_per_shard(3), |world| {
        let reader = subscriber(world, V5, "r", "#", Q1);
        let publisher = client(world, V5, "p");
        let tree = |json| message("$tree/a", json).qos(Q1).retained();
        publish(world, publisher, tree(r#"{"1":1,"2":2}"#));
        assert!(!acked(world, publisher).0.is_error());
        world.lines(reader);
        publish(world, publisher, tree(r#"{"1":9,"3":3,"4":4}"#));
        assert_eq!(acked(world, publisher).0, ReasonCode::QuotaExceeded);
        assert_eq!(world.lines(reader), [""; 0]);
        assert_eq!(retained(world, "a/#"), ["a/1 1", "a/2 2"]);
        // One goes and two come: that is three.
        publish(world, publisher, tree(r#"{"2":null,"3":3,"4":4}"#));
        assert!(!acked(world, publisher).0.is_error());
        assert_eq!(retained(world, "a/#"), ["a/1 1", "a/3 3", "a/4 4"]);
        // A topic that comes twice counts once, whether it is written or deleted.
        publish(world, publisher, tree(r#"{"1":null,"1":null,"5":5,"5":6}"#));
        assert!(!acked(world, publisher).0.is_error());
        publish(world, publisher, tree(r#"{"5":null,"5":null,"6":6,"7":7}"#));
        assert_eq!(acked(world, publisher).0, ReasonCode::QuotaExceeded);
        assert_eq!(retained(world, "a/#"), ["a/3 3", "a/4 4", "a/5 6"]);
    });
}

#[test]
fn a_tree_over_several_groups_says_how_many_refused() {
    // [MOTE-3.26]
    // PROTOCOL section 3: `partial;applied=<k>;refused=<m>`
    worlds_with(rows_per_shard(1), |world| {
        let publisher = client(world, V5, "p");
        let shards: std::collections::BTreeSet<u16> = TOPICS.iter().map(|topic| world.roots.owner(topic).0).collect();
        let rows: Vec<String> = TOPICS.iter().map(|topic| format!("\"{}\":1", &topic[..1])).collect();
        let json = format!("{{{}}}", rows.join(","));
        publish(world, publisher, message("$tree/*/1", &json).qos(Q1).retained());
        let (reason, _, mote) = acked(world, publisher);
        assert_eq!(reason, ReasonCode::QuotaExceeded);
        let (applied, refused) = (shards.len(), TOPICS.len() - shards.len());
        assert_eq!(mote, Some(format!("partial;applied={applied};refused={refused}")));
        assert_eq!(retained(world, "#").len(), applied);
    });
}

#[test]
fn who_declined_problem_information_gets_the_code_alone() {
    // [MQTT-3.1.2-29]
    worlds_with(rows_per_shard(0), |world| {
        let properties = vec![Property::RequestProblemInformation(0)];
        let quiet = world.connected(ConnectOptions { properties, ..ConnectOptions::new(V5, "quiet") });
        world.received(quiet);
        publish(world, quiet, message("$tree/*/1", r#"{"a":1,"b":1,"c":1}"#).qos(Q1).retained());
        assert_eq!(acked(world, quiet), (ReasonCode::QuotaExceeded, None, None));
    });
}

#[test]
fn where_no_acknowledgement_can_say_it_a_message_does() {
    // PROTOCOL section 9: QoS 0 and MQTT 3.1.1, whichever shard owns the topic
    both_versions(|world, version| {
        for qos in [Q0, Q1, Q2].into_iter().filter(|qos| !version.is_v5() || *qos == Q0) {
            let mut plan = world.plan.clone();
            rows_per_shard(0)(&mut plan);
            let world = &mut World::new(plan);
            let publisher = client(world, version, "p");
            let other = subscriber(world, version, "other", "$error/#", Q0);
            for topic in TOPICS {
                let packet_id = world.publish(publisher, message(topic, "m").qos(qos).retained());
                world.run_until_quiet();
                let packets = world.received(publisher);
                let Some(OwnedPacket::Publish(error)) = packets.first() else { panic!("{packets:?}") };
                assert_eq!(error.topic, format!("$error/{topic}"));
                assert_eq!((error.qos, error.retain), (Q0, false));
                let body =
                    format!("{{\"error\":\"no more messages can be retained\",\"topic\":\"{topic}\",\"at\":null}}");
                assert_eq!(error.text(), body);
                let acks = acks(&packets);
                assert_eq!(acks.first().map(|(_, id)| *id), (qos > Q0).then_some(packet_id), "then acknowledged");
            }
            // A tree is named by its pattern.
            publish(world, publisher, message("$tree/a/b", r#"{"c":1}"#).qos(qos).retained());
            assert_eq!(world.messages(publisher)[0].topic, "$error/a/b");
            assert_eq!(world.lines(other), [""; 0], "to the publisher alone");
        }
    });
}

#[test]
fn who_does_not_read_is_not_told_of_every_refusal() {
    let mut plan = Plan::new(5, 2);
    rows_per_shard(0)(&mut plan);
    let world = &mut World::new(plan);
    let publisher = client(world, V311, "p");
    world.stop_reading(publisher);
    let topic = "t".repeat(60_000);
    for _ in 0..100 {
        publish(world, publisher, message(&topic, "m").retained());
    }
    world.read_again(publisher);
    world.run_until_quiet();
    let told = world.messages(publisher).len();
    assert!((1..30).contains(&told), "{told} messages waited for who did not read");
}

#[test]
fn a_will_that_does_not_fit_is_refused_and_nothing_more() {
    worlds_with(rows_per_shard(0), |world| {
        let options = ConnectOptions::new(V5, "w").will("a/1", b"gone");
        let will = options.will.clone().map(|will| WillOptions { retain: true, ..will });
        let reader = subscriber(world, V5, "r", "a/#", Q0);
        let dying = world.connected(ConnectOptions { will, ..options });
        world.drop_client(dying);
        world.run_until_quiet();
        assert_eq!(world.lines(reader), [""; 0]);
        assert_eq!(retained(world, "#"), [""; 0]);
    });
}

fn unavailable(plan: &mut Plan) {
    plan.broker.retain_available = false;
}

#[test]
fn where_nothing_is_retained_connack_says_so_and_retain_is_refused() {
    // [MQTT-3.2.2-14]: DISCONNECT 0x9A
    for available in [true, false] {
        worlds_with(
            |plan| plan.broker.retain_available = available,
            |world| {
                let client = world.connected(ConnectOptions::new(V5, "c"));
                let packets = world.received(client);
                let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
                assert_eq!(properties.read().retain_available(), (!available).then_some(false));
                publish(world, client, message("t", "event").qos(Q1));
                assert!(!world.is_closed(client));
                publish(world, client, message("t", "kept").qos(Q1).retained());
                assert_eq!(world.is_closed(client), !available);
                let reason = disconnect_reason(&world.received(client));
                assert_eq!(reason, (!available).then_some(ReasonCode::RetainNotSupported));
            },
        );
    }
}

#[test]
fn where_nothing_is_retained_a_retained_will_is_refused() {
    // [MQTT-3.2.2-13]: CONNACK 0x9A
    for (version, code) in [(V5, ReasonCode::RetainNotSupported as u8), (V311, 3)] {
        worlds_with(unavailable, |world| {
            for retain in [false, true] {
                let options = ConnectOptions::new(version, "w").will("t", b"gone");
                let will = options.will.clone().map(|will| WillOptions { retain, ..will });
                let client = world.connected(ConnectOptions { will, ..options });
                assert_eq!(connack(&world.received(client)), (false, if retain { code } else { 0 }));
                assert_eq!(world.is_closed(client), retain);
            }
        });
    }
}

#[test]
fn an_old_client_that_cannot_know_is_told_and_acknowledged() {
    // [3.1.1: MQTT-3.3.5-2]: a positive acknowledgement; PROTOCOL section 9 says why nothing came of it
    worlds_with(unavailable, |world| {
        let reader = subscriber(world, V311, "r", "t", Q1);
        let publisher = client(world, V311, "p");
        let packet_id = world.publish(publisher, message("t", "m").qos(Q1).retained());
        world.run_until_quiet();
        let packets = world.received(publisher);
        assert_eq!(acks(&packets), [(AckKind::Puback, packet_id)]);
        assert!(packets.iter().filter_map(OwnedPacket::message).any(|message| message.topic == "$error/t"));
        assert_eq!(world.lines(reader), [""; 0]);
        publish(world, publisher, message("t", "event").qos(Q1));
        assert_eq!(world.lines(reader), ["t event"]);
    });
}
