//! Row versions for plain subscribers: verb `rows` (PROTOCOL sections 1, 5 and 9).

use super::*;
use engine::config::Durability;

/// A v5 client whose SUBSCRIBE of `filter` is acknowledged.
fn reader(world: &mut World, name: &str, filter: &str, qos: QoS) -> ClientId {
    subscriber(world, V5, name, filter, qos)
}

/// `topic payload [mote]` of what came since.
fn told(world: &mut World, client: ClientId) -> Vec<String> {
    world.messages(client).iter().map(told_of).collect()
}

fn told_of(message: &Message) -> String {
    format!("{} [{}]", message.line(), message.properties.mote().unwrap_or("-"))
}

/// What a SUBSCRIBE answers, retained messages behind it included.
fn suback(world: &mut World, client: ClientId) -> Vec<u8> {
    match &world.received(client)[..] {
        [OwnedPacket::Suback { reasons, .. }, ..] => reasons.clone(),
        other => panic!("no SUBACK first: {other:?}"),
    }
}

#[test]
fn a_delivery_says_the_version_of_its_row_and_the_one_before() {
    // [MOTE-5.13] [MOTE-5.14]: prev 0 where it did not exist, and again after it was deleted
    worlds(|world| {
        for qos in [Q0, Q1, Q2] {
            let topic = format!("v/{}", qos as u8);
            let rows = reader(world, "rows", &format!("$rows/{topic}"), qos);
            let plain = subscriber(world, V311, "plain", &topic, qos);
            let publisher = client(world, V311, "p");
            let group = world.roots.group(&topic);
            let first = world.twin.last_version(group);
            for text in ["1", "2", "", "3"] {
                publish(world, publisher, message(&topic, text).qos(qos).retained());
            }
            let row = |text: &str, ver: u64, prev: u64| format!("{topic} {text} [row;ver={ver};prev={prev}]");
            let (a, b, c, d) = (first + 1, first + 2, first + 3, first + 4);
            assert_eq!(told(world, rows), [row("1", a, 0), row("2", b, a), row("", c, b), row("3", d, 0)]);
            assert_eq!(told(world, plain).len(), 4, "others get it as ever");
        }
    });
}

#[test]
fn what_changes_nothing_carries_no_version() {
    // events, and the deletion of what does not exist [MOTE-5.8]
    worlds(|world| {
        let rows = reader(world, "rows", "$rows/#", Q1);
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("a/1", "event").qos(Q1));
        publish(world, publisher, message("a/1", "").qos(Q1).retained());
        assert_eq!(told(world, rows), ["a/1 event [-]", "a/1  [-]"]);
    });
}

#[test]
fn rows_of_a_tree_have_one_version_and_each_its_own_before() {
    // [MOTE-5.5]: one batch in one group is one change
    worlds(|world| {
        let rows = reader(world, "rows", "$rows/o/#", Q1);
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("o/a", "0").qos(Q1).retained());
        publish(world, publisher, message("o/c", "0").qos(Q1).retained());
        publish(world, publisher, message("o/c", "1").qos(Q1).retained());
        world.received(rows);
        let tree = r#"{"a":1,"b":2,"c":3,"none":null}"#;
        publish(world, publisher, message("$tree/o/+", tree).qos(Q1).retained());
        let mut got = told(world, rows);
        got.sort();
        let first = world.twin.last_version(world.roots.group("o")) - 3;
        let row = |text: &str, prev: u64| format!("o/{text} [row;ver={};prev={prev}]", first + 3);
        let want = [row("a 1", first), row("b 2", 0), row("c 3", first + 2), "o/none  [-]".to_owned()];
        assert_eq!(got, want);
        // A topic twice: the second stands on the first.
        publish(world, publisher, message("$tree/o/+", r#"{"a":4,"a":5}"#).qos(Q1).retained());
        let (ver, before) = (first + 4, first + 3);
        let want = [format!("o/a 4 [row;ver={ver};prev={before}]"), format!("o/a 5 [row;ver={ver};prev={ver}]")];
        assert_eq!(told(world, rows), want);
    });
}

#[test]
fn a_tree_of_many_rows_over_many_groups_tells_each_its_version() {
    worlds(|world| {
        let rows = reader(world, "rows", "$rows/#", Q1);
        let publisher = client(world, V5, "p");
        let fields: Vec<String> = (0..600).map(|number| format!("\"{number}\":{number}")).collect();
        let tree = fields.join(",");
        let tree = format!("{{\"a\":{{{tree}}},\"b\":{{{tree}}},\"c\":{{{tree}}}}}");
        for round in 0..2 {
            publish(world, publisher, message("$tree/#", &tree).qos(Q1).retained());
            let got = world.messages(rows);
            assert_eq!(got.len(), 1_800);
            for message in got {
                let version = world.twin.last_version(world.roots.group(&message.topic));
                let before = if round == 0 { 0 } else { version - 1 };
                assert_eq!(message.properties.mote(), Some(&*format!("row;ver={version};prev={before}")));
            }
        }
    });
}

#[test]
fn retained_messages_say_their_version_and_that_nothing_was_before() {
    worlds(|world| {
        let publisher = client(world, V5, "p");
        for topic in TOPICS {
            publish(world, publisher, message(topic, "old").qos(Q1).retained());
            publish(world, publisher, message(topic, "kept").qos(Q1).retained());
        }
        for qos in [Q0, Q1, Q2] {
            let rows = client(world, V5, "rows");
            world.subscribe(rows, "$rows/#", qos);
            world.run_until_quiet();
            let mut got = told(world, rows);
            got.sort();
            let kept = |topic: &str| {
                let version = world.twin.last_version(world.roots.group(topic));
                format!("{topic} kept [row;ver={version};prev=0]")
            };
            assert_eq!(got, TOPICS.map(kept));
        }
    });
}

#[test]
fn an_expired_row_is_told_to_who_asked_for_versions_and_to_no_other() {
    // [MOTE-5.9] [MOTE-5.10] [MOTE-5.11] [MOTE-5.12]
    worlds(|world| {
        let rows = reader(world, "rows", "$rows/x/+", Q1);
        let plain = subscriber(world, V5, "plain", "x/+", Q1);
        let shared = subscriber(world, V5, "shared", "$share/g/x/+", Q1);
        let merged = subscriber(world, V5, "merged", "$tree/x/+", Q1);
        let both = reader(world, "both", "$rows/x/#", Q0);
        world.subscribe(both, "x/+", Q2);
        let publisher = client(world, V5, "p");
        let properties = vec![Property::MessageExpiryInterval(5)];
        publish(world, publisher, PublishOptions { properties, ..message("x/1", "soon").qos(Q1).retained() });
        for client in [rows, plain, shared, merged, both] {
            assert_eq!(world.messages(client).len(), 1);
        }
        let version = world.twin.last_version(world.roots.group("x"));
        world.advance_ms(6_000);
        let want = [format!("x/1  [row;ver={};prev={version};expired]", version + 1)];
        let expired = world.messages(rows);
        assert_eq!(expired.iter().map(told_of).collect::<Vec<_>>(), want);
        assert_eq!((expired[0].qos, expired[0].retain), (Q1, false));
        let once = world.messages(both);
        assert_eq!(once.iter().map(|m| (told_of(m), m.qos)).collect::<Vec<_>>(), [(want[0].clone(), Q0)]);
        assert_eq!(world.lines(merged), [r#"x/+ {"1":null}"#]);
        for client in [plain, shared] {
            assert_eq!(world.messages(client).len(), 0);
        }
    });
}

#[test]
fn the_intent_may_be_a_user_property_and_an_old_client_is_refused() {
    // [MOTE-1.5] [MOTE-1.15]: MQTT 5 only, and no options; [MOTE-1.9]
    worlds(|world| {
        let rows = client(world, V5, "rows");
        let options = SubscriptionOptions { qos: Q1, ..Default::default() };
        world.subscribe_with(rows, &[("a/+", options)], &[Property::UserProperty("mote", "rows")]);
        world.run_until_quiet();
        assert_eq!(suback(world, rows), [1]);
        publish(world, rows, message("a/1", "m").qos(Q1).retained());
        assert_eq!(told(world, rows), ["a/1 m [row;ver=1;prev=0]"]);
        for (version, code) in [(V311, 0x80), (V5, 0x8F)] {
            let other = client(world, version, "other");
            for filter in ["$rows;interval=3/a", "$rows;topic=safe/a", "$rows"] {
                world.subscribe(other, filter, Q1);
                world.run_until_quiet();
                assert_eq!(suback(world, other), [code], "{filter}");
            }
        }
        let old = client(world, V311, "old");
        world.subscribe(old, "$rows/a/+", Q1);
        world.run_until_quiet();
        assert_eq!(suback(world, old), [0x80]);
        publish(world, rows, message("a/1", "m").qos(Q1).retained());
        assert_eq!(world.lines(old), [""; 0]);
        let shared = client(world, V5, "shared");
        world.subscribe(shared, "$share/g/$rows/a/+", Q1);
        world.run_until_quiet();
        assert_eq!(suback(world, shared), [0x9E]);
    });
}

#[test]
fn with_and_without_versions_are_one_subscription_and_the_later_replaces_the_earlier() {
    // [MOTE-1.24]
    worlds(|world| {
        let reader = reader(world, "r", "$rows/a/+", Q1);
        let publisher = client(world, V5, "p");
        let mut version = 0;
        let mut says = |world: &mut World, says_version: bool| {
            publish(world, publisher, message("a/1", "m").qos(Q1).retained());
            let mote = if says_version { format!("row;ver={};prev={version}", version + 1) } else { "-".to_owned() };
            version += 1;
            assert_eq!(told(world, reader), [format!("a/1 m [{mote}]")], "one copy");
        };
        says(world, true);
        for (filter, says_version) in [("a/+", false), ("$rows/a/+", true), ("a/+", false)] {
            let options = SubscriptionOptions { qos: Q1, retain_handling: 1, ..Default::default() };
            world.subscribe_with(reader, &[(filter, options)], &[]);
            world.run_until_quiet();
            assert_eq!(world.received(reader).len(), 1, "{filter} was there: no retained message");
            says(world, says_version);
        }
    });
}

#[test]
fn unsubscribe_names_it_either_way() {
    // [MOTE-1.24] [MOTE-1.23]
    worlds(|world| {
        let client = client(world, V5, "c");
        let rows = [Property::UserProperty("mote", "rows")];
        for subscribed in ["$rows/a/+", "a/+"] {
            for (filter, properties) in [("$rows/a/+", &[][..]), ("a/+", &[]), ("a/+", &rows)] {
                world.subscribe(client, subscribed, Q1);
                world.run_until_quiet();
                world.received(client);
                world.unsubscribe_with(client, &[filter], properties);
                world.run_until_quiet();
                match &world.received(client)[..] {
                    [OwnedPacket::Unsuback { reasons, .. }] => assert_eq!(reasons, &[0], "{subscribed} as {filter}"),
                    other => panic!("{other:?}"),
                }
                publish(world, client, message("a/1", "m"));
                assert_eq!(world.lines(client), [""; 0]);
            }
        }
    });
}

#[test]
fn of_overlapping_subscriptions_one_that_asks_is_enough() {
    worlds(|world| {
        let reader = client(world, V5, "r");
        let id = |id: u32| [Property::SubscriptionIdentifier(id)];
        let options = |qos| SubscriptionOptions { qos, ..Default::default() };
        world.subscribe_with(reader, &[("o/#", options(Q1))], &id(7));
        world.subscribe_with(reader, &[("$rows/o/+", options(Q0))], &id(8));
        let other = subscriber(world, V5, "other", "o/#", Q1);
        world.subscribe(other, "o/+", Q0);
        world.run_until_quiet();
        world.received(reader);
        publish(world, other, message("o/1", "m").qos(Q1).retained());
        let got = world.messages(reader);
        assert_eq!(
            got.iter().map(|m| (told_of(m), m.qos)).collect::<Vec<_>>(),
            [("o/1 m [row;ver=1;prev=0]".to_owned(), Q1)]
        );
        let mut ids: Vec<u32> = got[0].properties.read().subscription_identifiers().collect();
        ids.sort_unstable();
        assert_eq!(ids, [7, 8]);
        assert_eq!(told(world, other), ["o/1 m [-]"]);
        publish(world, other, message("o/1/2", "m").qos(Q1).retained());
        assert_eq!(told(world, reader), ["o/1/2 m [-]"], "the one that matches did not ask");
    });
}

#[test]
fn who_alone_may_say_what_a_row_is() {
    // [MOTE-9.16] [MOTE-9.17]: words of the broker that a publisher forged reach no reader of versions, and others unaltered
    worlds(|world| {
        let rows = reader(world, "rows", "$rows/#", Q1);
        let plain = reader(world, "plain", "#", Q1);
        let merged = reader(world, "merged", "$tree/f/#", Q1);
        let publisher = client(world, V5, "p");
        let forged = ["frame;live;n=0", "row;ver=9;prev=8", "ok;ver=1", "conflict;ver=1", "reset", "partial;applied=1"];
        for retain in [false, true] {
            for mote in forged {
                let mine = Property::UserProperty("mine", "1");
                let properties = vec![Property::UserProperty("mote", mote), mine];
                let publish_it = PublishOptions { properties, retain, ..message("f/1", "m").qos(Q1) };
                publish(world, publisher, publish_it);
                let [message] = &world.messages(rows)[..] else { panic!("one message") };
                let motes: Vec<&str> = message.properties.read().user_properties().map(|(name, _)| name).collect();
                assert_eq!(motes, if retain { &["mote", "mine"][..] } else { &["mine"] });
                assert_eq!(message.properties.mote().is_some_and(|mote| mote.starts_with("row;ver=")), retain);
                assert_ne!(message.properties.mote(), Some(mote));
                let [message] = &world.messages(plain)[..] else { panic!("one message") };
                assert_eq!(message.properties.mote(), Some(mote));
                let [frame] = &world.messages(merged)[..] else { panic!("one frame") };
                assert_eq!(frame.properties.read().user_properties().count(), 1);
                assert!(frame.properties.mote().unwrap().starts_with("frame;"));
            }
        }
        let late = client(world, V5, "late");
        world.subscribe(late, "$rows/#", Q1);
        world.run_until_quiet();
        let [kept] = &world.messages(late)[..] else { panic!("one message") };
        assert_eq!(kept.properties.read().user_properties().count(), 2, "the version and `mine`");
        // A word of nobody's is passed on to all.
        let properties = vec![Property::UserProperty("mote", "framework=1")];
        publish(world, publisher, PublishOptions { properties, ..message("f/1", "m").qos(Q1) });
        assert_eq!(told(world, rows), ["f/1 m [framework=1]"]);
    });
}

#[test]
fn versions_wait_with_their_messages_and_outlive_the_process() {
    for durability in [Durability::Memory, Durability::Disk] {
        let set = |plan: &mut Plan| {
            plan.has_store = true;
            plan.broker.durability = durability;
        };
        worlds_with(set, |world| {
            let sleeper = world.connected(ConnectOptions::lasting(V5, "sleeper"));
            world.subscribe(sleeper, "$rows/a/+", Q2);
            world.run_until_quiet();
            world.disconnect(sleeper, ReasonCode::Success);
            let publisher = client(world, V5, "p");
            for (text, qos) in [("1", Q1), ("2", Q2), ("event", Q1)] {
                let message = message("a/1", text).qos(qos);
                publish(world, publisher, if text == "event" { message } else { message.retained() });
            }
            world.restart(true);
            let publisher = client(world, V5, "p");
            publish(world, publisher, message("a/1", "4").qos(Q1).retained());
            let back = world.connected(ConnectOptions::lasting(V5, "sleeper"));
            let got = told(world, back);
            let last = world.twin.last_version(world.roots.group("a"));
            assert_eq!(
                got,
                [
                    "a/1 1 [row;ver=1;prev=0]".to_owned(),
                    "a/1 2 [row;ver=2;prev=1]".to_owned(),
                    "a/1 event [-]".to_owned(),
                    format!("a/1 4 [row;ver={last};prev=2]"),
                ]
            );
        });
    }
}

#[test]
fn many_readers_of_one_filter_are_each_told() {
    worlds(|world| {
        let readers: Vec<ClientId> = (0..6)
            .map(|number| {
                let filter = if number % 2 == 0 { "$rows/a/+" } else { "a/+" };
                reader(world, &format!("r{number}"), filter, if number < 3 { Q0 } else { Q1 })
            })
            .collect();
        publish(world, readers[0], message("a/1", "m").qos(Q1).retained());
        for (number, reader) in readers.iter().enumerate() {
            let want = if number % 2 == 0 { "a/1 m [row;ver=1;prev=0]" } else { "a/1 m [-]" };
            assert_eq!(told(world, *reader), [want], "{number}");
        }
    });
}
