//! What a message is beside its payload, and what bounds its way: expiry, properties, windows, sizes, queues.

use super::*;
use engine::config::Overflow;

fn with<'a>(version: Version, client_id: &'a str, properties: Vec<Property<'a>>) -> ConnectOptions<'a> {
    ConnectOptions { properties, ..ConnectOptions::new(version, client_id) }
}

/// Seconds that are left to each message.
fn expiries(messages: &[Message]) -> Vec<Option<u32>> {
    messages.iter().map(|message| message.properties.read().message_expiry()).collect()
}

fn expiring<'a>(topic: &'a str, payload: &'a str, seconds: u32) -> PublishOptions<'a> {
    PublishOptions { properties: vec![Property::MessageExpiryInterval(seconds)], ..message(topic, payload) }
}

#[test]
fn expiry_counts_down_while_a_session_is_away_and_ends_what_waits() {
    // [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    for qos in [Q1, Q2] {
        worlds(|world| {
            let first = world.connected(ConnectOptions::lasting(V5, "r"));
            world.subscribe(first, "+/1", qos);
            world.run_until_quiet();
            world.drop_client(first);
            let publisher = client(world, V5, "p");
            publish(world, publisher, expiring("a/1", "long", 100).qos(qos));
            publish(world, publisher, expiring("b/1", "short", 30).qos(qos));
            publish(world, publisher, message("c/1", "for ever").qos(qos));
            world.advance_ms(39_500);
            let back = world.connected(ConnectOptions::lasting(V5, "r"));
            let mut got = world.messages(back);
            got.sort_by_key(|message| message.topic.clone());
            assert_eq!(got.iter().map(Message::line).collect::<Vec<_>>(), ["a/1 long", "c/1 for ever"]);
            assert_eq!(expiries(&got), [Some(61), None], "rounded up");
        });
    }
}

#[test]
fn expiry_counts_down_behind_a_window_and_on_what_is_sent_again() {
    // [MQTT-3.3.2-5] [MQTT-3.3.2-6]; what was sent is being delivered, so it does not expire any more
    for qos in [Q1, Q2] {
        worlds(|world| {
            let properties = || vec![Property::SessionExpiryInterval(1_000), Property::ReceiveMaximum(1)];
            let options = || ConnectOptions { clean: false, ..with(V5, "r", properties()) };
            let reader = world.connected(options().silent());
            world.subscribe(reader, "t", qos);
            world.run_until_quiet();
            world.received(reader);
            let publisher = client(world, V5, "p");
            publish(world, publisher, expiring("t", "1", 100).qos(qos));
            publish(world, publisher, expiring("t", "2", 20).qos(qos));
            publish(world, publisher, expiring("t", "3", 100).qos(qos));
            assert_eq!(expiries(&world.messages(reader)), [Some(100)]);
            world.advance_ms(40_000);
            world.drop_client(reader);
            world.run_until_quiet();
            let back = world.connected(options());
            let got = world.messages(back);
            assert_eq!(got.iter().map(Message::text).collect::<Vec<_>>(), ["1", "3"]);
            assert_eq!(expiries(&got), [Some(60), Some(60)]);
            assert!(got[0].dup && !got[1].dup);
        });
    }
}

#[test]
fn a_retained_message_says_what_is_left_and_goes_when_nothing_is() {
    // [MQTT-3.3.2-5] [MQTT-3.3.2-6]; a tree is as many messages, each with the expiry of the packet
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, expiring("t/plain", "m", 100).retained());
        publish(world, publisher, expiring("$tree/t/tree", r#"{"x":1}"#, 50).retained());
        let look = |world: &mut World, version, name| {
            let reader = client(world, version, name);
            world.subscribe(reader, "t/#", Q1);
            world.run_until_quiet();
            let mut got = world.messages(reader);
            got.sort_by_key(|message| message.topic.clone());
            (got.iter().map(Message::line).collect::<Vec<_>>(), expiries(&got))
        };
        world.advance_ms(30_000);
        let lines = vec!["t/plain m".to_owned(), "t/tree/x 1".to_owned()];
        assert_eq!(look(world, V5, "r"), (lines.clone(), vec![Some(70), Some(20)]));
        assert_eq!(look(world, V311, "old"), (lines, vec![None, None]));
        world.advance_ms(30_000);
        assert_eq!(look(world, V5, "r"), (vec!["t/plain m".to_owned()], vec![Some(40)]));
        world.advance_ms(40_000);
        assert_eq!(look(world, V5, "r"), (vec![], vec![]));
    });
}

#[test]
fn a_will_expires_from_when_it_is_published() {
    // [MQTT-3.1.3-9] with [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    worlds(|world| {
        let options = ConnectOptions::lasting(V5, "w").will("t", b"gone");
        let properties = vec![Property::WillDelayInterval(10), Property::MessageExpiryInterval(50)];
        let will = options.will.clone().map(|will| WillOptions { qos: Q1, properties, ..will });
        let sleeper = world.connected(ConnectOptions::lasting(V5, "r"));
        world.subscribe(sleeper, "t", Q1);
        world.run_until_quiet();
        world.drop_client(sleeper);
        let dying = world.connected(ConnectOptions { will, ..options });
        world.drop_client(dying);
        world.advance_ms(40_000);
        let back = world.connected(ConnectOptions::lasting(V5, "r"));
        assert_eq!(expiries(&world.messages(back)), [Some(20)], "ten of delay, thirty in the queue");
    });
}

#[test]
fn properties_come_unaltered_and_in_order_by_every_way() {
    // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    worlds(|world| {
        let properties = vec![
            Property::UserProperty("z", "first"),
            Property::ContentType("text/plain; charset=\"π\""),
            Property::UserProperty("a", ""),
            Property::CorrelationData(b"\x00\xFF"),
            Property::ResponseTopic("answer/$/here"),
            Property::UserProperty("z", "again"),
            Property::PayloadFormatIndicator(1),
        ];
        let want: Vec<u8> = {
            let mut buffer = engine::wire::PropertyBuffer::new();
            properties.iter().for_each(|property| buffer.push(property));
            buffer.as_properties().bytes().to_vec()
        };
        let sleeper = world.connected(ConnectOptions::lasting(V5, "sleeper"));
        world.subscribe(sleeper, "+/1", Q2);
        world.run_until_quiet();
        world.drop_client(sleeper);
        let live = [Q0, Q1, Q2].map(|qos| subscriber(world, V5, &format!("live{qos:?}"), "+/1", qos));
        let publisher = client(world, V5, "p");
        for topic in TOPICS {
            let options = PublishOptions { properties: properties.clone(), ..message(topic, "π").qos(Q2).retained() };
            publish(world, publisher, options);
        }
        let late = client(world, V5, "late");
        world.subscribe(late, "+/1", Q2);
        world.run_until_quiet();
        let woken = world.connected(ConnectOptions::lasting(V5, "sleeper"));
        for reader in live.into_iter().chain([late, woken]) {
            let got = world.messages(reader);
            assert_eq!(got.len(), TOPICS.len());
            assert!(got.iter().all(|message| message.properties.read().bytes() == want));
        }
    });
}

#[test]
fn a_payload_that_is_not_the_text_it_is_said_to_be_is_refused() {
    // MQTT 5 section 3.3.2.3.2: the receiver may validate; 0x99
    worlds(|world| {
        let reader = subscriber(world, V5, "r", "+/1", Q2);
        let publisher = client(world, V5, "p");
        let publish_with = |world: &mut World, topic, payload, indicator, qos| {
            let properties = vec![Property::PayloadFormatIndicator(indicator)];
            publish(world, publisher, PublishOptions { properties, ..PublishOptions::new(topic, payload) }.qos(qos));
            world.received(publisher)
        };
        for qos in [Q1, Q2] {
            let packets = publish_with(world, "a/1", b"ab\xC3\x28", 1, qos);
            let Some(OwnedPacket::Ack { kind, reason, properties, .. }) = packets.first() else {
                panic!("{packets:?}")
            };
            assert_eq!(*kind, if qos == Q1 { AckKind::Puback } else { AckKind::Pubrec });
            assert_eq!(*reason, ReasonCode::PayloadFormatInvalid);
            assert!(properties.read().reason_string().is_some());
        }
        // With QoS 0 there is nothing to say it in: a message to the publisher alone says where it is wrong.
        let packets = publish_with(world, "b/1", b"ab\xC3\x28", 1, Q0);
        let error = packets.first().and_then(OwnedPacket::message).expect("told");
        assert_eq!(error.topic, "$error/b/1");
        assert!(error.text().ends_with(r#""at":2}"#), "{}", error.text());
        assert_eq!(world.lines(reader), [""; 0]);
        publish_with(world, "c/1", b"ab\xC3\x28", 0, Q1);
        publish_with(world, "c/1", "π".as_bytes(), 1, Q1);
        let got: Vec<Vec<u8>> = world.messages(reader).into_iter().map(|message| message.payload).collect();
        assert_eq!(got, [b"ab\xC3\x28".to_vec(), "π".as_bytes().to_vec()]);
        assert!(!world.is_closed(publisher));
    });
}

#[test]
fn a_will_that_is_not_the_text_it_is_said_to_be_is_refused() {
    // MQTT 5 section 3.1.3.2.3, CONNACK 0x99
    worlds(|world| {
        for (indicator, code) in [(1, 0x99), (0, 0)] {
            let options = ConnectOptions::new(V5, "w").will("t", b"\xFF");
            let properties = vec![Property::PayloadFormatIndicator(indicator)];
            let will = options.will.clone().map(|will| WillOptions { properties, ..will });
            let client = world.connected(ConnectOptions { will, ..options });
            assert_eq!(connack(&world.received(client)), (false, code));
        }
    });
}

#[test]
fn a_response_topic_is_a_topic_name() {
    // [MQTT-3.3.2-13] [MQTT-3.3.2-14]: a Protocol Error
    worlds(|world| {
        for response_topic in ["answers/#", "answers/+/x", ""] {
            let bad = client(world, V5, "bad");
            let properties = vec![Property::ResponseTopic(response_topic)];
            publish(world, bad, PublishOptions { properties, ..message("t", "m").qos(Q1) });
            assert_eq!(disconnect_reason(&world.received(bad)), Some(ReasonCode::ProtocolError), "{response_topic}");
        }
    });
}

#[test]
fn response_information_is_for_who_asks_where_there_is_some() {
    // [MQTT-3.1.2-28], MQTT 5 section 3.2.2.3.15
    for told in ["", "answers/"] {
        worlds_with(
            |plan| plan.broker.session.response_information = told.to_owned(),
            |world| {
                for (asks, expected) in [(None, false), (Some(0), false), (Some(1), !told.is_empty())] {
                    let properties = asks.map(Property::RequestResponseInformation).into_iter().collect();
                    let client = world.connected(with(V5, "c", properties));
                    let packets = world.received(client);
                    let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
                    assert_eq!(properties.read().response_information(), expected.then_some(told));
                }
                let old = client(world, V311, "old");
                assert!(!world.is_closed(old));
            },
        );
    }
}

#[test]
fn who_declines_problem_information_is_told_reasons_in_connack_and_disconnect_at_most() {
    // [MQTT-3.1.2-29]
    for (wants, in_words) in [(1, true), (0, false)] {
        worlds(|world| {
            let client = world.connected(with(V5, "c", vec![Property::RequestProblemInformation(wants)]));
            world.received(client);
            for qos in [Q1, Q2] {
                publish(world, client, message("$error/x", "m").qos(qos));
                let packets = world.received(client);
                let Some(OwnedPacket::Ack { reason, properties, .. }) = packets.first() else { panic!("{packets:?}") };
                assert_eq!(*reason, ReasonCode::NotAuthorized);
                assert_eq!(properties.read().reason_string().is_some(), in_words);
                assert!(in_words || properties.read().is_empty());
            }
        });
    }
}

#[test]
fn a_receive_maximum_of_one_is_one_at_a_time_and_none_is_an_error() {
    // [MQTT-3.3.4-9]; MQTT 5 section 3.1.2.11.3: 0 is a Protocol Error
    for qos in [Q1, Q2] {
        worlds(|world| {
            let reader = world.connected(with(V5, "r", vec![Property::ReceiveMaximum(1)]).silent());
            world.subscribe(reader, "+/1", qos);
            world.run_until_quiet();
            world.received(reader);
            let publisher = client(world, V5, "p");
            for topic in TOPICS {
                publish(world, publisher, message(topic, "m").qos(qos));
            }
            for topic in TOPICS {
                let got = world.messages(reader);
                assert_eq!(got.iter().map(|m| m.topic.clone()).collect::<Vec<_>>(), [topic]);
                let kinds = if qos == Q1 { vec![AckKind::Puback] } else { vec![AckKind::Pubrec, AckKind::Pubcomp] };
                for kind in kinds {
                    assert_eq!(world.messages(reader), [], "the window is closed until {kind:?}");
                    world.ack(reader, kind, got[0].packet_id);
                    world.run_until_quiet();
                }
            }
        });
    }
    worlds(|world| {
        let bad = world.connected(with(V5, "bad", vec![Property::ReceiveMaximum(0)]));
        assert_eq!(connack(&world.received(bad)), (false, 0x82));
        assert!(world.is_closed(bad));
    });
}

#[test]
fn a_receive_maximum_does_not_hold_up_qos_0() {
    // MQTT 5 section 4.9: it limits QoS 1 and 2 only
    worlds(|world| {
        let reader = world.connected(with(V5, "r", vec![Property::ReceiveMaximum(1)]).silent());
        world.subscribe(reader, "t", Q1);
        world.run_until_quiet();
        world.received(reader);
        let publisher = client(world, V5, "p");
        for (qos, text) in [(Q1, "1"), (Q1, "2"), (Q0, "zero")] {
            publish(world, publisher, message("t", text).qos(qos));
        }
        assert_eq!(world.lines(reader), ["t 1", "t zero"]);
    });
}

#[test]
fn what_is_too_large_for_a_client_is_counted_as_sent() {
    // [MQTT-3.1.2-24] [MQTT-3.1.2-25]: it neither fills the window nor comes again, also where it waited
    for qos in [Q0, Q1, Q2] {
        worlds(|world| {
            let small = vec![Property::MaximumPacketSize(60), Property::ReceiveMaximum(1)];
            let reader = world.connected(with(V5, "r", small));
            world.subscribe(reader, "t", qos);
            world.run_until_quiet();
            world.received(reader);
            let large = subscriber(world, V5, "large", "t", qos);
            let publisher = client(world, V5, "p");
            let long = "x".repeat(100);
            for text in ["1", &long, &long, "2", &long, "3"] {
                world.publish(publisher, message("t", text).qos(qos));
            }
            world.run_until_quiet();
            assert_eq!(world.lines(reader), ["t 1", "t 2", "t 3"]);
            assert_eq!(world.messages(large).len(), 6);
            // Retained messages and frames keep to it as well.
            publish(world, publisher, message("t", &long).qos(qos).retained());
            world.unsubscribe(reader, "t");
            world.subscribe(reader, "t", qos);
            world.run_until_quiet();
            assert_eq!(world.lines(reader), [""; 0]);
        });
    }
}

#[test]
fn a_maximum_packet_size_of_none_is_an_error() {
    // MQTT 5 section 3.1.2.11.4
    worlds(|world| {
        let bad = world.connected(with(V5, "bad", vec![Property::MaximumPacketSize(0)]));
        assert_eq!(connack(&world.received(bad)), (false, 0x82));
    });
}

#[test]
fn a_packet_larger_than_the_broker_takes_closes_the_connection() {
    // MQTT 5 sections 3.2.2.3.6 and 4.13: 0x95, told before in CONNACK; in MQTT 3.1.1 without a word
    let narrow = |plan: &mut Plan| plan.broker.limits.packet_bytes = 1_024;
    for version in [V311, V5] {
        worlds_with(narrow, |world| {
            let greedy = world.connected(ConnectOptions::new(version, "greedy"));
            let packets = world.received(greedy);
            let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
            let told = properties.read().maximum_packet_size();
            assert_eq!(told, version.is_v5().then_some(1_024));
            let around = if version.is_v5() { 7 } else { 6 };
            publish(world, greedy, message("t", &"x".repeat(1_024 - around)));
            assert!(!world.is_closed(greedy), "as large as it may be");
            publish(world, greedy, message("t", &"x".repeat(1_025 - around)));
            assert!(world.is_closed(greedy));
            let reason = disconnect_reason(&world.received(greedy));
            assert_eq!(reason, version.is_v5().then_some(ReasonCode::PacketTooLarge));
        });
    }
}

#[test]
fn a_full_queue_does_what_the_setting_says() {
    // [MOTE-6.1] [MOTE-6.3]
    for (overflow, kept) in [(Overflow::DropNewest, ["0", "1", "2"]), (Overflow::DropOldest, ["5", "6", "7"])] {
        let small = |plan: &mut Plan| {
            plan.broker.session.queue_messages = 3;
            plan.broker.session.overflow = overflow;
        };
        worlds_with(small, |world| {
            let away = world.connected(ConnectOptions::lasting(V5, "s"));
            world.subscribe(away, "t", Q1);
            world.run_until_quiet();
            world.drop_client(away);
            let publisher = client(world, V5, "p");
            for number in 0..8 {
                publish(world, publisher, message("t", &number.to_string()).qos(Q1));
            }
            let back = world.connected(ConnectOptions::lasting(V5, "s"));
            let got: Vec<String> = world.messages(back).iter().map(Message::text).collect();
            assert_eq!(got, kept, "{overflow:?}");
        });
    }
    let disconnects = |plan: &mut Plan| {
        plan.broker.session.queue_messages = 3;
        plan.broker.session.overflow = Overflow::Disconnect;
    };
    worlds_with(disconnects, |world| {
        let slow = world.connected(with(V5, "slow", vec![Property::ReceiveMaximum(1)]).silent());
        world.subscribe(slow, "t", Q1);
        world.run_until_quiet();
        let publisher = client(world, V5, "p");
        for number in 0..4 {
            publish(world, publisher, message("t", &number.to_string()).qos(Q1));
        }
        assert!(!world.is_closed(slow), "one in the window, three in the queue");
        publish(world, publisher, message("t", "4").qos(Q1));
        assert!(world.is_closed(slow));
        assert_eq!(disconnect_reason(&world.received(slow)), Some(ReasonCode::QuotaExceeded));
        assert!(!world.is_closed(publisher));
    });
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    // [MOTE-6.1]
    let small = |plan: &mut Plan| plan.broker.session.queue_bytes = 3_000;
    worlds_with(small, |world| {
        let away = world.connected(ConnectOptions::lasting(V311, "s"));
        world.subscribe(away, "t", Q1);
        world.run_until_quiet();
        world.drop_client(away);
        let publisher = client(world, V311, "p");
        for _ in 0..8 {
            publish(world, publisher, message("t", &"x".repeat(800)).qos(Q1));
        }
        let back = world.connected(ConnectOptions::lasting(V311, "s"));
        assert_eq!(world.messages(back).len(), 3);
    });
}

#[test]
fn a_keep_alive_that_is_too_long_is_replaced_and_the_new_one_is_kept() {
    // [MQTT-3.1.2-21] [MQTT-3.1.2-22], MQTT 5 section 3.2.2.3.14
    let bounded = |plan: &mut Plan| plan.broker.session.keep_alive_max_s = 20;
    worlds_with(bounded, |world| {
        for (asked, told) in [(0, Some(20)), (60, Some(20)), (20, None), (10, None)] {
            let client = world.connected(ConnectOptions { keep_alive: asked, ..ConnectOptions::new(V5, "c") });
            let packets = world.received(client);
            let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("{packets:?}") };
            assert_eq!(properties.read().server_keep_alive(), told);
            let granted_ms = u64::from(told.unwrap_or(asked)) * 1_000;
            world.advance_ms(granted_ms * 3 / 2 - 100);
            assert!(!world.is_closed(client), "one and a half times {granted_ms} ms have not passed");
            world.advance_ms(200);
            assert!(world.is_closed(client));
            assert_eq!(disconnect_reason(&world.received(client)), Some(ReasonCode::KeepAliveTimeout));
        }
    });
}

#[test]
fn the_largest_keep_alive_and_none_are_kept_as_asked() {
    both_versions(|world, version| {
        let [none, longest] = [0, u16::MAX].map(|keep_alive| {
            world.connected(ConnectOptions { keep_alive, ..ConnectOptions::new(version, &format!("k{keep_alive}")) })
        });
        world.advance_ms(u64::from(u16::MAX) * 1_500 - 1_000);
        assert!(!world.is_closed(none) && !world.is_closed(longest));
        world.advance_ms(2_000);
        assert!(!world.is_closed(none) && world.is_closed(longest));
    });
}

#[test]
fn overlapping_filters_bring_one_copy_with_every_identifier() {
    // [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]; filters at one owner and at all
    for qos in [Q0, Q1, Q2] {
        worlds(|world| {
            let reader = client(world, V5, "r");
            for (filter, granted, id) in [("a/1", Q0, 1), ("a/+", Q1, 2), ("+/1", Q2, 268_435_455), ("#", Q0, 0)] {
                let options = SubscriptionOptions { qos: granted, ..Default::default() };
                let id: Vec<Property<'_>> =
                    (id > 0).then_some(Property::SubscriptionIdentifier(id)).into_iter().collect();
                world.subscribe_with(reader, &[(filter, options)], &id);
            }
            world.run_until_quiet();
            world.received(reader);
            let publisher = client(world, V5, "p");
            publish(world, publisher, message("a/1", "m").qos(qos));
            let got = world.messages(reader);
            assert_eq!(got.iter().map(|m| m.qos).collect::<Vec<_>>(), [qos]);
            let mut ids: Vec<u32> = got[0].properties.read().subscription_identifiers().collect();
            ids.sort_unstable();
            assert_eq!(ids, [1, 2, 268_435_455]);
            publish(world, publisher, message("b/x", "m").qos(qos));
            let got = world.messages(reader);
            assert_eq!(got[0].properties.read().subscription_identifier(), None);
        });
    }
}

#[test]
fn a_subscription_identifier_of_none_is_an_error_and_so_is_one_in_a_publish() {
    // MQTT 5 section 3.8.2.1.2; [MQTT-3.3.4-6]
    worlds(|world| {
        let bad = client(world, V5, "bad");
        world.subscribe_with(bad, &[("t", SubscriptionOptions::default())], &[Property::SubscriptionIdentifier(0)]);
        world.run_until_quiet();
        assert_eq!(disconnect_reason(&world.received(bad)), Some(ReasonCode::ProtocolError));
        let bad = client(world, V5, "bad");
        let properties = vec![Property::SubscriptionIdentifier(1)];
        publish(world, bad, PublishOptions { properties, ..message("t", "m") });
        assert_eq!(disconnect_reason(&world.received(bad)), Some(ReasonCode::ProtocolError));
    });
}

#[test]
fn the_identifier_comes_with_retained_and_queued_messages_too() {
    // [MQTT-3.3.4-3]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        for topic in TOPICS {
            publish(world, publisher, message(topic, "kept").qos(Q1).retained());
        }
        let reader = world.connected(ConnectOptions::lasting(V5, "r"));
        let options = SubscriptionOptions { qos: Q1, retain_as_published: true, ..Default::default() };
        world.subscribe_with(reader, &[("+/1", options)], &[Property::SubscriptionIdentifier(77)]);
        world.run_until_quiet();
        let mut got = world.messages(reader);
        world.drop_client(reader);
        world.run_until_quiet();
        for topic in TOPICS {
            publish(world, publisher, message(topic, "waited").qos(Q1).retained());
        }
        let back = world.connected(ConnectOptions::lasting(V5, "r"));
        got.extend(world.messages(back));
        assert_eq!(got.len(), 2 * TOPICS.len());
        for message in got {
            assert_eq!(message.properties.read().subscription_identifiers().collect::<Vec<_>>(), [77]);
            assert!(message.retain, "[MQTT-3.3.1-13]");
        }
    });
}

#[test]
fn no_local_is_of_the_subscription_and_not_of_the_client() {
    // [MQTT-3.8.3-3]: one of two overlapping subscriptions declines the client's own messages, the other does not
    worlds(|world| {
        let reader = client(world, V5, "r");
        let no_local = SubscriptionOptions { qos: Q1, no_local: true, ..Default::default() };
        world.subscribe_with(reader, &[("+/1", no_local)], &[Property::SubscriptionIdentifier(1)]);
        world.run_until_quiet();
        world.received(reader);
        for topic in TOPICS {
            publish(world, reader, message(topic, "own").qos(Q1));
            assert_eq!(world.messages(reader), [], "{topic}");
        }
        let local = SubscriptionOptions { qos: Q0, ..Default::default() };
        world.subscribe_with(reader, &[("a/#", local)], &[Property::SubscriptionIdentifier(2)]);
        world.run_until_quiet();
        world.received(reader);
        publish(world, reader, message("a/1", "own").qos(Q1));
        let got = world.messages(reader);
        assert_eq!(got.iter().map(|m| m.qos).collect::<Vec<_>>(), [Q0], "by the other subscription alone");
        assert_eq!(got[0].properties.read().subscription_identifiers().collect::<Vec<_>>(), [2]);
    });
}
