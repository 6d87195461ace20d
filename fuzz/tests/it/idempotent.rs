//! Publishes with option `id`: applied once (PROTOCOL section 5, idempotency).

use super::conditional::{acked, said, version};
use super::*;

#[test]
fn a_repeat_is_answered_as_the_first_was_and_not_applied_again() {
    // [MOTE-5.25] [MOTE-5.27]
    for qos in [Q1, Q2] {
        worlds(|world| {
            let reader = subscriber(world, V5, "r", "obj/#", Q0);
            let (c, other) = (client(world, V5, "c"), client(world, V5, "other"));
            let put = message("$put;id=k1/obj/1", "a").qos(qos).retained();
            let first = version(world, c, put.clone());
            version(world, c, message("$put/obj/1", "b").qos(qos).retained());
            for again in [c, other, c] {
                assert_eq!(version(world, again, put.clone()), first);
            }
            assert_eq!(world.lines(reader), ["obj/1 a", "obj/1 b"]);
            // Another topic, pattern or key is another publish.
            let one = version(world, c, message("$put;id=k2/obj/1", "a").qos(qos).retained());
            let two = version(world, c, message("$put;id=k1/obj/2", "a").qos(qos).retained());
            let three = version(world, c, message("$tree;id=k1/obj/2/+", r#"{"x":1}"#).qos(qos).retained());
            assert!(first < one && one < two && two < three);
            // The condition held when it was applied; a repeat does not ask again.
            let tree = message("$tree;if=0;replace;id=k/obj/7", r#"{"x":1}"#).qos(qos).retained();
            let made = version(world, c, tree.clone());
            assert_eq!(version(world, c, tree), made);
            // The key as a user property, and events.
            let event = || {
                let properties = vec![Property::UserProperty("mote", "put;id=e")];
                PublishOptions { properties, ..message("obj/8", "x").qos(qos) }
            };
            world.received(reader);
            assert_eq!((said(world, c, event()), said(world, c, event())), (None, None));
            assert_eq!(world.lines(reader), ["obj/8 x"]);
            let set = message("$set;id=s/obj/*", "z").qos(qos).retained();
            let all = version(world, c, set.clone());
            publish(world, c, message("obj/1", "y").retained());
            assert_eq!(version(world, c, set), all);
            assert_eq!(world.twin.rows()["obj/1"], b"y");
            let nothing = || message("$set;id=s/none/*", "z").qos(qos).retained();
            assert_eq!((said(world, c, nothing()), said(world, c, nothing())), (None, None));
        });
    }
}

#[test]
fn repeats_with_qos_0_or_before_mqtt_5_are_not_applied_either() {
    // [MOTE-5.25]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "obj/#", Q0);
        let c = client(world, version, "c");
        for qos in [Q0, Q1, Q0, Q2] {
            publish(world, c, message("$put;id=k/obj/1", "a").qos(qos).retained());
        }
        assert_eq!(world.lines(reader), ["obj/1 a"]);
        let packets = world.received(c);
        assert_eq!(packets.len(), 3, "two acknowledgements and a PUBCOMP: {packets:?}");
    });
}

#[test]
fn a_key_with_another_payload_is_refused() {
    // [MOTE-5.29] [MOTE-9.5] [MOTE-9.9]
    worlds(|world| {
        let c = client(world, V5, "c");
        let old = client(world, V311, "old");
        version(world, c, message("$put;id=k/obj/1", "a").qos(Q1).retained());
        publish(world, c, message("$put;id=k/obj/1", "b").qos(Q1).retained());
        let said = acked(world, c);
        assert_eq!((said.reason, said.mote.as_deref()), (ReasonCode::ImplementationSpecificError, Some("id-reused")));
        assert!(said.words.is_some_and(|words| words.starts_with("id-reused")));
        for qos in [Q0, Q1] {
            publish(world, old, message("$put;id=k/obj/1", "b").qos(qos).retained());
            let told = world.lines(old);
            assert_eq!(told.len(), 1);
            assert!(told[0].starts_with(r#"$error/obj/1 {"error":"id-reused"#), "{}", told[0]);
        }
        assert_eq!(world.twin.rows()["obj/1"], b"a");
    });
}

#[test]
fn a_refusal_is_not_remembered() {
    // [MOTE-5.28]
    worlds(|world| {
        let c = client(world, V5, "c");
        let put = |payload| message("$put;if=any;id=k/obj/1", payload).qos(Q1).retained();
        publish(world, c, put("a"));
        assert_eq!(acked(world, c).mote.as_deref(), Some("conflict;ver=0"));
        version(world, c, message("$put/obj/1", "x").qos(Q1).retained());
        let made = version(world, c, put("b"));
        assert_eq!(version(world, c, put("b")), made);
        // Nor is what no owner saw.
        publish(world, c, message("$tree;id=t/obj", "{").qos(Q1).retained());
        assert_eq!(acked(world, c).reason, ReasonCode::PayloadFormatInvalid);
        version(world, c, message("$tree;id=t/obj", r#"{"2":3}"#).qos(Q1).retained());
    });
}

#[test]
fn keys_are_forgotten_after_their_time_and_beyond_their_number() {
    // [MOTE-5.25] [MOTE-5.32]
    let set = |plan: &mut Plan| (plan.broker.limits.idempotency_s, plan.broker.limits.idempotency_max) = (60, 3);
    worlds_with(set, |world| {
        let c = client(world, V5, "c");
        let put = |world: &mut World, id: &str| {
            let topic = format!("$put;id={id}/obj/1");
            version(world, c, message(&topic, id).qos(Q1).retained())
        };
        let first = put(world, "a");
        world.advance_ms(59_000);
        assert_eq!(put(world, "a"), first);
        world.advance_ms(1_000);
        let second = put(world, "a");
        assert!(second > first, "it is too old");
        assert_eq!(put(world, "a"), second);
        let versions: Vec<u64> = ["b", "c"].iter().map(|id| put(world, id)).collect();
        assert_eq!((put(world, "a"), put(world, "b"), put(world, "c")), (second, versions[0], versions[1]));
        let fourth = put(world, "d");
        assert_eq!((put(world, "b"), put(world, "c"), put(world, "d")), (versions[0], versions[1], fourth));
        assert!(put(world, "a") > fourth, "the oldest went first");
        // Another group has its own.
        let elsewhere = version(world, c, message("$put;id=a/other/1", "a").qos(Q1).retained());
        for id in ["e", "f", "g", "h"] {
            put(world, id);
        }
        assert_eq!(version(world, c, message("$put;id=a/other/1", "a").qos(Q1).retained()), elsewhere);
    });
}

#[test]
fn a_repeat_waits_for_the_disk_as_the_first_does() {
    // [MOTE-5.30]
    for qos in [Q1, Q2] {
        let set = |plan: &mut Plan| plan.broker.durability = engine::config::Durability::Disk;
        worlds_with(set, |world| {
            let (c, other) = (client(world, V5, "c"), client(world, V5, "other"));
            world.stall_store();
            for client in [c, other] {
                world.publish(client, message("$put;id=k/obj/1", "a").qos(qos).retained());
            }
            world.run_until_quiet();
            assert_eq!((acks(&world.received(c)), acks(&world.received(other))), (vec![], vec![]));
            world.resume_store();
            world.run_until_quiet();
            let (first, second) = (acked(world, c), acked(world, other));
            assert!(first.mote.is_some() && first == second, "{first:?} {second:?}");
            assert_eq!(
                version(world, other, message("$put;id=k/obj/1", "a").qos(qos).retained()).to_string(),
                first.mote.unwrap()[7..]
            );
        });
    }
}

#[test]
fn an_id_is_short_and_its_publish_lies_in_one_group() {
    // [MOTE-5.26] [MOTE-9.3]
    worlds(|world| {
        let c = client(world, V5, "c");
        let (long, longer) = ("k".repeat(64), "k".repeat(65));
        for (topic, words) in [
            (format!("$put;id={longer}/a"), None),
            ("$put;id=/a".to_owned(), None),
            ("$tree;id=k/#".to_owned(), Some("spans groups")),
            ("$set;id=k/+/x".to_owned(), Some("spans groups")),
        ] {
            publish(world, c, message(&topic, "{}").qos(Q1).retained());
            let acked = acked(world, c);
            assert_eq!(acked.reason, ReasonCode::TopicNameInvalid, "{topic}");
            assert!(words.is_none() || acked.words.as_deref() == words, "{topic}");
        }
        version(world, c, message(&format!("$put;id={long}/a"), "x").qos(Q1).retained());
    });
}

#[test]
fn keys_outlive_the_process() {
    // [MOTE-5.31] [MOTE-5.32]: with the rows, after a clean end and a killed process, with another number of shards
    for is_clean in [true, false] {
        let set = |plan: &mut Plan| {
            (plan.has_store, plan.broker.limits.idempotency_max) = (true, 3);
            plan.broker.durability = engine::config::Durability::Disk;
        };
        worlds_with(set, |world| {
            let c = client(world, V5, "c");
            let put = |world: &mut World, c: ClientId, id: &str, payload: &str| {
                let topic = format!("$put;if=0;id={id}/obj/{id}");
                said(world, c, message(&topic, payload).qos(Q1).retained())
            };
            let ids = ["a", "b", "c", "d"];
            let firsts = ids.map(|id| {
                world.advance_ms(1_000);
                put(world, c, id, "x")
            });
            assert!(firsts.iter().all(Option::is_some));
            world.restart_with(is_clean, 3);
            let c = client(world, V5, "c");
            assert_eq!(ids[1..].iter().map(|id| put(world, c, id, "x")).collect::<Vec<_>>(), firsts[1..]);
            publish(world, c, message("$put;id=d/obj/d", "y").qos(Q1).retained());
            assert_eq!(acked(world, c).mote.as_deref(), Some("id-reused"));
            // The oldest went, here and in the store, and they still go by their age.
            publish(world, c, message("$put;if=0;id=a/obj/a", "x").qos(Q1).retained());
            assert!(acked(world, c).mote.is_some_and(|mote| mote.starts_with("conflict")));
            assert!(put(world, c, "e", "x").is_some());
            world.restart_with(is_clean, 2);
            let c = client(world, V5, "c");
            assert_eq!(ids[2..].iter().map(|id| put(world, c, id, "x")).collect::<Vec<_>>(), firsts[2..]);
            publish(world, c, message("$put;if=0;id=b/obj/b", "x").qos(Q1).retained());
            assert!(acked(world, c).mote.is_some_and(|mote| mote.starts_with("conflict")));
        });
    }
}
