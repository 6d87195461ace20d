//! Sessions that outlive the process: what a restart, and a kill at any moment, leaves of them.

use super::*;
use engine::config::Durability;

mod flows;

/// Holds the conversation for a process that ends by itself and for one that is killed, with either durability.
fn ends(conversation: impl Fn(&mut World, Version, &dyn Fn(&mut World))) {
    for durability in [Durability::Memory, Durability::Disk] {
        for is_clean in [true, false] {
            for version in [V311, V5] {
                let set = |plan: &mut Plan| {
                    plan.has_store = true;
                    plan.broker.durability = durability;
                };
                let restart = |world: &mut World| {
                    if durability == Durability::Memory && !is_clean {
                        world.advance_ms(200); // what is older than this is not lost
                    }
                    world.restart(is_clean);
                };
                worlds_with(set, |world| conversation(world, version, &restart));
            }
        }
    }
}

/// A lasting session with one subscription, now without a connection.
fn sleeper(world: &mut World, version: Version, filter: &str, qos: QoS) {
    let client = world.connected(ConnectOptions::lasting(version, "sleeper"));
    world.subscribe(client, filter, qos);
    world.run_until_quiet();
    world.disconnect(client, ReasonCode::Success);
    world.run_until_quiet();
}

fn back(world: &mut World, version: Version) -> ClientId {
    let client = world.connected(ConnectOptions::lasting(version, "sleeper"));
    assert_eq!(connack(&world.peek(client)), (true, 0), "the session is present");
    client
}

#[test]
fn subscriptions_and_what_waits_are_there_and_in_order() {
    // [MQTT-3.1.2-5] [MQTT-4.1.0-1] [MQTT-4.6.0-6]
    ends(|world, version, restart| {
        sleeper(world, version, "q/+/t", Q2);
        let publisher = client(world, version, "p");
        for (text, qos) in [("1", Q1), ("2", Q2), ("3", Q1)] {
            publish(world, publisher, message("q/a/t", text).qos(qos));
        }
        restart(world);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("q/a/t", "4").qos(Q2)); // before its client is back: it is routable
        let back = back(world, version);
        let got: Vec<_> = world.messages(back).iter().map(|m| (m.line(), m.qos, m.dup)).collect();
        let wanted = [("1", Q1), ("2", Q2), ("3", Q1), ("4", Q2)];
        assert_eq!(got, wanted.map(|(text, qos)| (format!("q/a/t {text}"), qos, false)));
        publish(world, publisher, message("q/b/t", "live").qos(Q1));
        assert_eq!(world.lines(back), ["q/b/t live"]);
    });
}

#[test]
fn nothing_comes_twice_after_two_restarts() {
    ends(|world, version, restart| {
        sleeper(world, version, "q", Q2);
        let publisher = client(world, version, "p");
        for text in ["1", "2"] {
            publish(world, publisher, message("q", text).qos(Q2));
        }
        restart(world);
        let first = back(world, version);
        assert_eq!(world.lines(first), ["q 1", "q 2"]);
        restart(world);
        let second = back(world, version);
        assert_eq!(world.lines(second), [""; 0]);
        world.disconnect(second, ReasonCode::Success);
        world.run_until_quiet();
        let gone = client(world, version, "sleeper"); // clean: the session ends
        world.disconnect(gone, ReasonCode::Success);
        restart(world);
        assert_eq!(world.twin.records(b'l'), 0, "nothing of it stays in the store");
        let last = world.connected(ConnectOptions::lasting(version, "sleeper"));
        assert_eq!(connack(&world.received(last)), (false, 0));
    });
}

#[test]
fn what_was_unacknowledged_is_sent_again_under_its_identifier() {
    // [MQTT-4.4.0-1] [MQTT-3.3.1-1]
    ends(|world, version, restart| {
        let first = world.connected(ConnectOptions::lasting(version, "sleeper").silent());
        world.subscribe(first, "t", Q2);
        world.run_until_quiet();
        world.received(first);
        let publisher = client(world, version, "p");
        for (text, qos) in [("1", Q1), ("2", Q2), ("3", Q2)] {
            publish(world, publisher, message("t", text).qos(qos));
        }
        let before = world.messages(first);
        assert_eq!(before.len(), 3);
        world.ack(first, AckKind::Pubrec, before[1].packet_id);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(first)), [(AckKind::Pubrel, before[1].packet_id)]);
        restart(world);
        let again = world.connected(ConnectOptions::lasting(version, "sleeper"));
        let packets = world.received(again);
        let released = acks(&packets);
        assert_eq!(released[0], (AckKind::Pubrel, before[1].packet_id), "{packets:?}");
        let got: Vec<_> = packets.iter().filter_map(OwnedPacket::message).collect();
        let key = |m: &Message| (m.text(), m.packet_id, m.dup);
        let wanted = [&before[0], &before[2]].map(|m| (m.text(), m.packet_id, true));
        assert_eq!(got.into_iter().map(key).collect::<Vec<_>>(), wanted);
    });
}

#[test]
fn a_qos_2_publish_is_not_taken_twice() {
    // [MQTT-4.3.3-10] across processes
    ends(|world, version, restart| {
        sleeper(world, version, "t", Q2);
        let first = world.connected(ConnectOptions::lasting(version, "p").silent());
        publish(world, first, PublishOptions { packet_id: 9, ..message("t", "once").qos(Q2) });
        assert_eq!(acks(&world.received(first)), [(AckKind::Pubrec, 9)]);
        restart(world);
        let second = world.connected(ConnectOptions::lasting(version, "p").silent());
        assert_eq!(connack(&world.received(second)), (true, 0));
        publish(world, second, PublishOptions { packet_id: 9, dup: true, ..message("t", "once").qos(Q2) });
        assert_eq!(acks(&world.received(second)), [(AckKind::Pubrec, 9)]);
        world.ack(second, AckKind::Pubrel, 9);
        world.run_until_quiet();
        assert_eq!(acks(&world.received(second)), [(AckKind::Pubcomp, 9)]);
        restart(world);
        let third = world.connected(ConnectOptions::lasting(version, "p").silent());
        world.received(third);
        publish(world, third, PublishOptions { packet_id: 9, ..message("t", "another").qos(Q2) });
        let back = back(world, version);
        assert_eq!(world.lines(back), ["t once", "t another"]);
    });
}

#[test]
fn what_a_message_carries_comes_with_it() {
    // [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.4-3]; the expiry goes on counting, [MQTT-3.3.2-6]
    ends(|world, _, restart| {
        let first = world.connected(ConnectOptions::lasting(V5, "sleeper"));
        for (filter, id) in [("q/t", 7), ("q/+", 9)] {
            let options = SubscriptionOptions { qos: Q1, retain_as_published: true, ..Default::default() };
            world.subscribe_with(first, &[(filter, options)], &[Property::SubscriptionIdentifier(id)]);
        }
        world.run_until_quiet();
        world.disconnect(first, ReasonCode::Success);
        let publisher = client(world, V5, "p");
        let properties = vec![
            Property::MessageExpiryInterval(60),
            Property::ContentType("text/x"),
            Property::UserProperty("b", "1"),
            Property::UserProperty("a", "2"),
        ];
        publish(world, publisher, PublishOptions { retain: true, properties, ..message("q/t", "m").qos(Q1) });
        world.advance_ms(20_000);
        restart(world);
        let back = back(world, V5);
        let got = world.messages(back);
        assert_eq!(got.len(), 1);
        assert!(got[0].retain);
        let properties = got[0].properties.read();
        assert!(matches!(properties.message_expiry(), Some(39 | 40)));
        assert_eq!(properties.content_type(), Some("text/x"));
        assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("b", "1"), ("a", "2")]);
        let mut ids: Vec<u32> = properties.subscription_identifiers().collect();
        ids.sort_unstable();
        assert_eq!(ids, [7, 9]);
    });
}

#[test]
fn sessions_end_in_time_whatever_happens_to_the_process() {
    // [MQTT-3.1.2-23], MQTT 5 section 3.1.2.11.2; DISCONNECT may say 0, section 3.14.2.2.2
    ends(|world, _, restart| {
        let expiring = |client_id| {
            let properties = vec![Property::SessionExpiryInterval(10)];
            ConnectOptions { clean: false, properties, ..ConnectOptions::new(V5, client_id) }
        };
        let away = world.connected(expiring("away"));
        world.disconnect(away, ReasonCode::Success);
        world.connected(expiring("here")); // connected when the process ends
        world.advance_ms(6_000);
        restart(world);
        world.advance_ms(5_000);
        for (client_id, is_present) in [("away", false), ("here", true)] {
            let client = world.connected(expiring(client_id));
            assert_eq!(connack(&world.received(client)), (is_present, 0), "{client_id}");
        }
    });
}

#[test]
fn a_clean_start_is_answered_when_no_crash_can_undo_it() {
    // [MQTT-3.1.2-4]: what the CONNACK says is so, whatever comes after it
    for seed in 0..60 {
        let mut plan = Plan { has_store: true, ..Plan::new(seed, 1 + seed as usize % 4) };
        plan.broker.durability = Durability::Disk;
        let mut world = World::new(plan);
        sleeper(&mut world, V5, "q", Q1);
        let options = ConnectOptions { clean: true, ..ConnectOptions::lasting(V5, "sleeper") };
        let clean = world.connect(options);
        world.subscribe(clean, "other", Q1); // in one segment with the CONNECT
        for _ in 0..seed {
            world.run_turns(2);
            if world.rng.once_in(6) {
                world.commit();
            }
        }
        let answered = world.received(clean);
        world.restart(false);
        let back = world.connected(ConnectOptions::lasting(V5, "sleeper"));
        let publisher = client(&mut world, V5, "p");
        publish(&mut world, publisher, message("q", "m").qos(Q1));
        publish(&mut world, publisher, message("other", "m").qos(Q1));
        let got = world.lines(back);
        if matches!(answered.first(), Some(OwnedPacket::Connack { .. })) {
            assert!(!got.contains(&"q m".to_owned()), "seed {seed}: the session that had ended is back");
        }
        if answered.iter().any(|packet| matches!(packet, OwnedPacket::Suback { .. })) {
            assert_eq!(got, ["other m"], "seed {seed}: a subscription that was acknowledged is lost");
        }
    }
}

#[test]
fn what_was_granted_stays_when_limits_are_lower_at_the_next_start() {
    worlds_with(
        |plan| plan.has_store = true,
        |world| {
            sleeper(world, V5, "one/two/three", Q1);
            let two = world.connected(ConnectOptions::lasting(V5, "sleeper"));
            world.subscribe(two, "other", Q1);
            world.run_until_quiet();
            world.plan.broker.limits.subscriptions = 1;
            world.plan.broker.limits.topic_levels = 2;
            world.restart(true);
            let publisher = client(world, V5, "p");
            publish(world, publisher, message("other", "m").qos(Q1));
            let back = back(world, V5);
            assert_eq!(world.lines(back), ["other m"]);
            world.subscribe(back, "third", Q1);
            world.run_until_quiet();
            assert!(
                matches!(&world.received(back)[..], [OwnedPacket::Suback { reasons, .. }] if reasons[..] == [0x97])
            );
        },
    );
}

#[test]
fn an_unsubscribed_filter_stays_so() {
    // [MQTT-3.10.4-2]
    ends(|world, version, restart| {
        let first = world.connected(ConnectOptions::lasting(version, "sleeper"));
        world.subscribe(first, "one", Q1);
        world.subscribe(first, "two", Q1);
        world.subscribe(first, "$tree/three/+", Q1);
        world.unsubscribe(first, "one");
        world.unsubscribe(first, "$tree/three/+");
        world.run_until_quiet();
        restart(world);
        let publisher = client(world, version, "p");
        for topic in ["one", "two", "three/x"] {
            publish(world, publisher, message(topic, "m").qos(Q1));
        }
        let back = back(world, version);
        assert_eq!(world.lines(back), ["two m"]);
    });
}

#[test]
fn a_merged_subscription_goes_on_from_where_its_reader_stood() {
    // [MOTE-2.36] also over a restart of the process
    ends(|world, version, restart| {
        let publisher = client(world, version, "p");
        for topic in ["light/a", "light/b", "light/c"] {
            publish(world, publisher, PublishOptions { retain: true, ..message(topic, "1").qos(Q1) });
        }
        for filter in ["$sync/light/+", "$sync;interval=0/#", "$sync/light/a"] {
            let first = world.connected(ConnectOptions::lasting(version, "reader"));
            world.subscribe(first, filter, Q1);
            world.run_until_quiet();
            world.advance_ms(1_000);
            let frames = world.messages(first);
            assert!(!frames.is_empty());
            world.drop_client(first);
            world.run_until_quiet();
            restart(world);
            let publisher = client(world, version, "p");
            publish(world, publisher, PublishOptions { retain: true, ..message("light/b", "2").qos(Q1) });
            publish(world, publisher, PublishOptions { retain: true, ..message("light/a", "").qos(Q1) });
            let back = world.connected(ConnectOptions::lasting(version, "reader"));
            let got = world.messages(back);
            let payload = match filter {
                "$sync/light/+" => r#"{"a":null,"b":2}"#,
                "$sync/light/a" => "",
                _ => r#"{"light":{"a":null,"b":2}}"#,
            };
            assert_eq!(got.iter().map(Message::text).collect::<Vec<_>>(), [payload], "only what it missed");
            if version == V5 {
                let about = got[0].properties.read().user_property("mote").unwrap_or_default().to_owned();
                let want = format!("frame;live;n={}", frames.len());
                assert!(about.starts_with(&want) && !about.contains("reset"), "{about}");
            }
            world.advance_ms(1_000);
            world.drop_client(back);
            world.run_until_quiet();
            restart(world);
            let back = world.connected(ConnectOptions::lasting(version, "reader"));
            assert_eq!(world.lines(back), [""; 0], "nothing changed");
            world.unsubscribe(back, filter);
            world.disconnect(back, ReasonCode::Success);
            let publisher = client(world, version, "p");
            publish(world, publisher, PublishOptions { retain: true, ..message("light/b", "1").qos(Q1) });
            publish(world, publisher, PublishOptions { retain: true, ..message("light/a", "1").qos(Q1) });
        }
    });
}

#[test]
fn who_was_connected_when_the_process_was_killed_begins_anew() {
    // What it was shown last may be lost with the process: nobody knows up to where it has what there is.
    for is_clean in [true, false] {
        worlds_with(
            |plan| plan.has_store = true,
            |world| {
                let reader = world.connected(ConnectOptions::lasting(V5, "reader"));
                world.subscribe(reader, "$tree/light/+", Q1);
                let publisher = client(world, V5, "p");
                publish(world, publisher, message("light/a", "1").qos(Q1).retained());
                world.advance_ms(1_000);
                if !is_clean {
                    world.stall_store();
                }
                publish(world, publisher, message("light/b", "1").qos(Q1).retained());
                assert_eq!(world.messages(reader).len(), 2);
                world.restart(is_clean);
                let back = world.connected(ConnectOptions::lasting(V5, "reader"));
                let got = world.messages(back);
                if is_clean {
                    assert_eq!(got, [], "it has everything");
                    return;
                }
                assert_eq!(got.iter().map(Message::text).collect::<Vec<_>>(), [r#"{"a":1}"#], "b was not written yet");
                let about = got[0].properties.mote().unwrap_or_default();
                assert!(about.starts_with("frame;snap;") && about.ends_with(";reset"), "{about}");
            },
        );
    }
}

#[test]
fn unacknowledged_frames_come_again_as_they_were_and_then_what_was_missed() {
    // [MOTE-2.35]
    ends(|world, version, restart| {
        let first = world.connected(ConnectOptions::lasting(version, "reader").silent());
        world.subscribe(first, "$tree/light/+", Q1);
        world.run_until_quiet();
        let publisher = client(world, version, "p");
        for value in ["1", "2", "3", "4"] {
            publish(world, publisher, PublishOptions { retain: true, ..message("light/a", value).qos(Q1) });
        }
        world.advance_ms(1_000);
        let frames = world.messages(first);
        assert_eq!(frames.len(), 2);
        restart(world);
        let back = world.connected(ConnectOptions::lasting(version, "reader"));
        let got = world.messages(back);
        assert_eq!(got.len(), 3, "{got:?}");
        for (again, before) in got.iter().zip(&frames) {
            assert!(again.dup);
            assert_eq!(Message { dup: false, ..again.clone() }, *before);
        }
        assert_eq!(got[2].text(), r#"{"a":4}"#);
    });
}

#[test]
fn a_first_snapshot_that_the_process_ended_in_begins_anew_and_says_so() {
    ends(|world, version, restart| {
        let publisher = client(world, version, "p");
        publish(world, publisher, PublishOptions { retain: true, ..message("light/a", "1").qos(Q1) });
        let first = world.connected(ConnectOptions::lasting(version, "reader"));
        world.stop_reading(first);
        world.subscribe(first, "$sync/light/+", Q1);
        world.drop_client(first);
        world.run_until_quiet();
        restart(world);
        let back = world.connected(ConnectOptions::lasting(version, "reader"));
        for frame in world.messages(back).iter().filter(|_| version == V5) {
            let about = frame.properties.read().user_property("mote").unwrap_or_default().to_owned();
            assert_eq!(frame.text(), r#"{"a":1}"#);
            assert!(about.starts_with("frame;snap;"), "{about}");
        }
    });
}

#[test]
fn wills_outlive_the_process() {
    // [MQTT-3.1.2-8] [MQTT-3.1.3-9]
    let mortal = |delay_s| {
        let mut options = ConnectOptions::lasting(V5, "mortal").will("will/t", b"gone");
        let properties = vec![Property::WillDelayInterval(delay_s)];
        options.will = options.will.map(|will| WillOptions { properties, qos: Q1, ..will });
        options
    };
    ends(|world, _, restart| {
        sleeper(world, V5, "will/#", Q1);
        let first = world.connected(mortal(30));
        world.drop_client(first);
        world.advance_ms(10_000);
        restart(world);
        world.advance_ms(15_000);
        let heir = back(world, V5);
        assert_eq!(world.lines(heir), [""; 0], "its time has not come");
        world.advance_ms(6_000);
        assert_eq!(world.lines(heir), ["will/t gone"], "the delay counts from when its client went");

        world.connected(mortal(5)); // connected when the process ends
        world.run_until_quiet();
        restart(world);
        let heir = back(world, V5);
        world.advance_ms(6_000);
        assert_eq!(world.lines(heir), ["will/t gone"], "its connection ended with the process");

        world.connected(mortal(5));
        world.run_until_quiet();
        restart(world);
        let in_time = world.connected(mortal(5));
        let heir = back(world, V5);
        world.advance_ms(6_000);
        assert_eq!(world.lines(heir), [""; 0], "it came back in time");
        world.disconnect(in_time, ReasonCode::Success);
        world.run_until_quiet();
        restart(world);
        let heir = back(world, V5);
        world.advance_ms(60_000);
        assert_eq!(world.lines(heir), [""; 0], "DISCONNECT took it back");
    });
}

#[test]
fn sessions_follow_their_clients_to_other_shards() {
    for version in [V311, V5] {
        worlds_with(
            |plan| plan.has_store = true,
            |world| {
                let names: Vec<String> = (0..8).map(|number| format!("sleeper{number}")).collect();
                for name in &names {
                    let client = world.connected(ConnectOptions::lasting(version, name));
                    world.subscribe(client, "all/+", Q2);
                    world.run_until_quiet();
                    world.disconnect(client, ReasonCode::Success);
                }
                let mut wanted = Vec::new();
                for (round, shards) in [3, 1, 4, 2].into_iter().enumerate() {
                    let publisher = client(world, version, "p");
                    publish(world, publisher, message(&format!("all/{round}"), "m").qos(Q2));
                    wanted.push(format!("all/{round} m"));
                    world.advance_ms(200);
                    world.restart_with(round % 2 == 0, shards);
                }
                for name in &names {
                    let client = world.connected(ConnectOptions::lasting(version, name));
                    assert_eq!(world.lines(client), wanted, "{name}");
                }
                world.advance_ms(200);
                world.restart(false);
                world.advance_ms(200);
                assert_eq!(world.twin.records(b'l'), 2 * names.len(), "sessions and subscriptions, no message");
            },
        );
    }
}

#[test]
fn a_kill_right_after_the_number_of_shards_changed_loses_no_message() {
    for seed in 0..40 {
        let mut world = World::new(Plan { has_store: true, ..Plan::new(seed, 1) });
        let names: Vec<String> = (0..6).map(|number| format!("sleeper{number}")).collect();
        for name in &names {
            let client = world.connected(ConnectOptions::lasting(V5, name));
            world.subscribe(client, "all", Q1);
            world.run_until_quiet();
            world.disconnect(client, ReasonCode::Success);
        }
        let publisher = client(&mut world, V5, "p");
        publish(&mut world, publisher, message("all", "m").qos(Q1));
        world.advance_ms(200);
        world.restart_with(true, 3);
        // One of them takes its message, and that is written before the others are written anew, or not.
        let first = world.connected(ConnectOptions::lasting(V5, &names[seed as usize % 6]));
        assert_eq!(world.lines(first), ["all m"]);
        world.advance_ms(seed);
        world.restart_with(false, 2);
        for name in names.iter().filter(|name| **name != names[seed as usize % 6]) {
            let client = world.connected(ConnectOptions::lasting(V5, name));
            assert_eq!(world.lines(client), ["all m"], "{name}, seed {seed}");
        }
    }
}

#[test]
fn a_queue_that_overflows_leaves_nothing_in_the_store() {
    for overflow in [engine::config::Overflow::DropOldest, engine::config::Overflow::DropNewest] {
        worlds_with(
            |plan| {
                plan.has_store = true;
                plan.broker.session.queue_messages = 3;
                plan.broker.session.overflow = overflow;
            },
            |world| {
                sleeper(world, V5, "q", Q1);
                let publisher = client(world, V5, "p");
                for number in 0..10 {
                    publish(world, publisher, message("q", &number.to_string()).qos(Q1));
                    world.advance_ms(30);
                }
                world.advance_ms(200);
                assert_eq!(world.twin.records(b'l'), 1 + 1 + 3 + 3, "session, subscription, messages, deliveries");
                world.restart(false);
                let back = back(world, V5);
                let wanted =
                    if overflow == engine::config::Overflow::DropOldest { ["7", "8", "9"] } else { ["0", "1", "2"] };
                assert_eq!(world.lines(back), wanted.map(|text| format!("q {text}")));
            },
        );
    }
}

#[test]
fn a_full_store_stops_who_subscribes_again_and_again_and_nobody_else() {
    for durability in [Durability::Memory, Durability::Disk] {
        let set = |plan: &mut Plan| {
            plan.store_pending_bytes = 2_000;
            plan.piece_bytes_max = plan.piece_bytes_max.min(48);
            plan.broker.durability = durability;
        };
        worlds_with(set, |world| {
            let tireless = world.connected(ConnectOptions::lasting(V311, "tireless"));
            let reader = subscriber(world, V311, "r", "live", Q0);
            let other = client(world, V311, "o");
            world.received(tireless);
            world.stall_store();
            for round in 0..16 {
                for _ in 0..10 {
                    world.subscribe(tireless, &format!("{round}/a/filter/of/some/length"), Q1);
                    world.unsubscribe(tireless, &format!("{round}/a/filter/of/some/length"));
                }
                world.advance_ms(25);
            }
            assert!(world.twin.waiting_bytes() < 9_000, "{} bytes wait", world.twin.waiting_bytes());
            assert!(world.peek(tireless).len() < 160, "nothing is answered that cannot be kept");
            publish(world, other, message("live", "m"));
            assert_eq!(world.lines(reader), ["live m"]);
            world.resume_store();
            world.advance_ms(1_000);
            assert_eq!(world.received(tireless).len(), 320);
        });
    }
}

#[test]
fn what_a_qos_2_publish_retains_is_there_if_it_is_not_taken_again() {
    // [MQTT-4.3.3-10] and [MQTT-3.3.1-5], whenever the process is killed
    for seed in 0..300 {
        let mut plan = Plan { has_store: true, ..Plan::new(seed, 4) };
        plan.broker.durability = Durability::Disk;
        let mut world = World::new(plan);
        let topic = TOPICS[seed as usize % TOPICS.len()];
        let retained = PublishOptions { packet_id: 7, ..message(topic, "kept").qos(Q2).retained() };
        let first = world.connected(ConnectOptions::lasting(V5, "p").silent());
        world.publish(first, retained.clone());
        for _ in 0..seed % 30 {
            world.run_turns(2);
            world.commit();
        }
        world.restart(false);
        let second = world.connected(ConnectOptions::lasting(V5, "p"));
        publish(&mut world, second, PublishOptions { dup: true, ..retained });
        let reader = client(&mut world, V5, "r");
        world.subscribe(reader, topic, Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(reader), [format!("{topic} kept")], "seed {seed}");
    }
}

#[test]
fn a_qos_2_publish_that_was_refused_is_not_acknowledged_when_it_comes_again() {
    // [MQTT-4.3.3-9], also where the connection was lost before the owner had answered
    for durability in [Durability::Memory, Durability::Disk] {
        for seed in 0..60 {
            let mut plan = Plan { has_store: true, ..Plan::new(seed, 4) };
            plan.broker.durability = durability;
            plan.broker.limits.retained_rows = 0;
            let mut world = World::new(plan);
            let topic = TOPICS[seed as usize % TOPICS.len()];
            let retained = PublishOptions { packet_id: 7, ..message(topic, "kept").qos(Q2).retained() };
            let first = world.connected(ConnectOptions::lasting(V5, "p").silent());
            world.publish(first, retained.clone());
            for _ in 0..seed % 15 {
                world.run_turns(1);
                world.commit();
            }
            world.drop_client(first);
            world.advance_ms(100);
            for is_restarted in [false, true] {
                if is_restarted {
                    world.restart(true);
                }
                let again = world.connected(ConnectOptions::lasting(V5, "p").silent());
                world.received(again);
                publish(&mut world, again, PublishOptions { dup: true, ..retained.clone() });
                let answer = world.received(again);
                let Some(OwnedPacket::Ack { kind: AckKind::Pubrec, packet_id: 7, reason, .. }) = answer.last() else {
                    panic!("seed {seed}: {answer:?}");
                };
                assert_eq!(*reason, ReasonCode::QuotaExceeded, "seed {seed}");
            }
        }
    }
}
