//! Shared subscriptions: MQTT 5 section 4.8.2, and the same for MQTT 3.1.1.

use super::*;
use engine::config::Durability;
use fuzz::rng::Rng;
use std::collections::BTreeMap;

/// Eight members, so that with four shards every one is home to some.
const MEMBERS: usize = 8;

fn members(world: &mut World, version: Version, filter: &str, qos: QoS) -> Vec<ClientId> {
    (0..MEMBERS).map(|index| subscriber(world, version, &format!("member {index}"), filter, qos)).collect()
}

/// A member whose session outlives its connection, and that acknowledges nothing by itself.
fn silent(world: &mut World, version: Version, client_id: &str, filter: &str, qos: QoS) -> ClientId {
    let client = world.connected(ConnectOptions::lasting(version, client_id).silent());
    world.subscribe(client, filter, qos);
    world.run_until_quiet();
    world.received(client);
    client
}

/// Client ids at different homes, where there is more than one.
fn apart(world: &World) -> (String, String) {
    let home = |name: &str| world.roots.home(name);
    let names = || (0..64).map(|number| format!("m{number}"));
    let first = "m0".to_owned();
    let other = names().find(|name| home(name) != home(&first)).unwrap_or_else(|| "m1".to_owned());
    (first, other)
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::text).collect()
}

/// Reason codes of the last SUBACK or UNSUBACK.
fn reasons(packets: &[OwnedPacket]) -> Vec<u8> {
    let codes = packets.iter().rev().find_map(|packet| match packet {
        OwnedPacket::Suback { reasons, .. } | OwnedPacket::Unsuback { reasons, .. } => Some(reasons.clone()),
        _ => None,
    });
    codes.unwrap_or_else(|| panic!("no answer in {packets:?}"))
}

#[test]
fn each_message_goes_to_one_member_and_equals_get_as_much() {
    // MQTT 5 section 4.8.2; with a wildcard in the root every owner has its own state of the group
    for filter in ["$share/g/s/#", "$share/g/+/1", "$share/g/#"] {
        both_versions(|world, version| {
            let members = members(world, version, filter, Q2);
            let publisher = client(world, version, "p");
            let topics: &[&str] = if filter.ends_with("s/#") { &["s/1", "s/2"] } else { &TOPICS };
            for number in 0..48 {
                let (topic, qos) = (topics[number % topics.len()], [Q0, Q1, Q2][number % 3]);
                publish(world, publisher, message(topic, &number.to_string()).qos(qos));
            }
            let got: Vec<Vec<usize>> = members
                .iter()
                .map(|member| world.messages(*member).iter().map(|message| message.text().parse().unwrap()).collect())
                .collect();
            let mut all: Vec<usize> = got.iter().flatten().copied().collect();
            all.sort_unstable();
            assert_eq!(all, (0..48).collect::<Vec<_>>(), "each once");
            for numbers in &got {
                assert!((3..=9).contains(&numbers.len()), "six each, roughly: {got:?}");
                assert!(numbers.is_sorted(), "in order");
            }
        });
    }
}

#[test]
fn a_bad_share_name_is_refused() {
    // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    both_versions(|world, version| {
        let client = client(world, version, "s");
        let bad = ["$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/a#/a", "$share/g/a/#/b"];
        let fine = ["$share/g/a", "$share/g//", "$share/g/$SYS/#", "$share/g/$unknown/a", "$share", "$shares/g/a"];
        for filter in bad {
            world.subscribe(client, filter, Q1);
            world.run_until_quiet();
            let refused = if version.is_v5() { 0x8F } else { 0x80 };
            assert_eq!(reasons(&world.received(client)), [refused], "{filter}");
            if version.is_v5() {
                world.unsubscribe(client, filter);
                world.run_until_quiet();
                assert_eq!(reasons(&world.received(client)), [0x8F], "{filter}");
            }
        }
        for filter in fine {
            world.subscribe(client, filter, Q1);
            world.run_until_quiet();
            assert_eq!(reasons(&world.received(client)), [1], "{filter}");
        }
    });
}

#[test]
fn shares_are_available_and_one_with_an_intent_is_not() {
    // CONNACK does not say that they are not available; PROTOCOL section 1: 0x9E for an intent
    both_versions(|world, version| {
        let client = world.connected(ConnectOptions::new(version, "s"));
        let packets = world.received(client);
        let Some(OwnedPacket::Connack { properties, .. }) = packets.first() else { panic!("no CONNACK") };
        assert!(version == V311 || properties.read().shared_subscription_available() != Some(false));
        let refused = if version.is_v5() { 0x9E } else { 0x80 };
        for filter in ["$share/g/$tree/a", "$share/g/$sync/#", "$share/g/$rows/a", "$share/g/$tree;nope/a"] {
            world.subscribe(client, filter, Q1);
            world.run_until_quiet();
            assert_eq!(reasons(&world.received(client)), [refused], "{filter}");
        }
        if version.is_v5() {
            let filter = ("$share/g/a", SubscriptionOptions::default());
            world.subscribe_with(client, &[filter], &[Property::UserProperty("mote", "tree")]);
            world.run_until_quiet();
            assert_eq!(reasons(&world.received(client)), [refused]);
        }
    });
}

#[test]
fn no_local_on_a_share_is_a_protocol_error() {
    // [MQTT-3.8.3-4]
    worlds(|world| {
        let client = client(world, V5, "s");
        let options = SubscriptionOptions { no_local: true, ..Default::default() };
        world.subscribe_with(client, &[("$share/g/a", options)], &[]);
        world.run_until_quiet();
        assert!(world.is_closed(client));
        assert_eq!(disconnect_reason(&world.received(client)), Some(ReasonCode::ProtocolError));
    });
}

#[test]
fn a_share_reads_no_retained_messages_and_passes_on_what_is_published() {
    // MQTT 5 section 4.8.2: no retained messages at first; [MQTT-4.8.2-3]: the granted QoS; [MQTT-3.3.4-3]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("t", "old").retained().qos(Q1));
        let member = client(world, V5, "m");
        let options = SubscriptionOptions { qos: Q1, retain_as_published: true, ..Default::default() };
        for _ in 0..2 {
            world.subscribe_with(member, &[("$share/g/t", options)], &[Property::SubscriptionIdentifier(7)]);
            world.run_until_quiet();
            assert_eq!(world.messages(member), [], "no retained message, at whatever subscription");
        }
        publish(world, publisher, message("t", "new").retained().qos(Q2));
        let got = world.messages(member);
        let [message] = &got[..] else { panic!("{got:?}") };
        assert_eq!((message.text().as_str(), message.qos, message.retain), ("new", Q1, true));
        assert_eq!(message.properties.read().subscription_identifier(), Some(7));
    });
}

#[test]
fn a_share_a_plain_subscription_and_other_groups_each_get_the_message() {
    // MQTT 5 section 4.8.2: a Shared Subscription is another subscription than a non-shared one to the same filter
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "t", Q1);
        for filter in ["$share/g/t", "$share/h/t", "$share/g/+"] {
            world.subscribe(reader, filter, Q1);
        }
        world.run_until_quiet();
        world.received(reader);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "m").qos(Q1));
        assert_eq!(world.lines(reader), ["t m"; 4]);
        for (filter, left) in [("t", 3), ("$share/g/t", 2), ("$share/h/t", 1)] {
            world.unsubscribe(reader, filter);
            world.run_until_quiet();
            let packets = world.received(reader);
            assert_eq!(reasons(&packets), if version.is_v5() { vec![0] } else { Vec::new() });
            publish(world, publisher, message("t", "m").qos(Q1));
            assert_eq!(world.lines(reader).len(), left);
        }
        if version.is_v5() {
            world.unsubscribe(reader, "$share/g/t");
            world.run_until_quiet();
            assert_eq!(reasons(&world.received(reader)), [0x11]);
        }
    });
}

#[test]
fn who_does_not_acknowledge_gets_no_more_than_fits_its_window() {
    worlds(|world| {
        let (slow_id, fast_id) = apart(world);
        let options = ConnectOptions::new(V5, &slow_id).silent();
        let slow = world.connected(ConnectOptions { properties: vec![Property::ReceiveMaximum(3)], ..options });
        world.subscribe(slow, "$share/g/t", Q1);
        let fast = subscriber(world, V5, &fast_id, "$share/g/t", Q1);
        let publisher = client(world, V5, "p");
        for number in 0..40 {
            publish(world, publisher, message("t", &number.to_string()).qos(Q1));
        }
        let (slow, fast) = (world.messages(slow).len(), world.messages(fast).len());
        assert!((1..=3).contains(&slow) && slow + fast == 40, "{slow} and {fast}");
    });
}

#[test]
fn at_qos_0_too_who_does_not_read_does_not_hold_messages_that_others_could_have() {
    for shards in [1, 2, 4] {
        let world = &mut World::new(Plan { piece_bytes_max: 65_536, ..Plan::new(shards as u64, shards) });
        let (slow_id, fast_id) = apart(world);
        let slow = subscriber(world, V311, &slow_id, "$share/g/t", Q0);
        let fast = subscriber(world, V5, &fast_id, "$share/g/t", Q0);
        world.stop_reading(slow);
        let publisher = client(world, V5, "p");
        let large = "x".repeat(200_000);
        for _ in 0..40 {
            publish(world, publisher, message("t", &large));
        }
        let fast = world.messages(fast).len();
        world.read_again(slow);
        world.run_until_quiet();
        let slow = world.messages(slow).len();
        assert!((1..=12).contains(&slow) && slow + fast == 40, "{slow} and {fast}");
    }
}

#[test]
fn what_a_member_leaves_goes_to_others_but_qos_2_that_began() {
    // MQTT 5 section 4.8.2, [MQTT-4.8.2-4]; the 3.1.1 client is treated alike
    both_versions(|world, version| {
        let (first_id, other_id) = apart(world);
        let first = silent(world, version, &first_id, "$share/g/t", Q2);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "once").qos(Q2));
        publish(world, publisher, message("t", "moved").qos(Q1));
        let began = world.messages(first);
        assert_eq!(texts(&began), ["once", "moved"]);
        let other = subscriber(world, version, &other_id, "$share/g/t", Q2);
        world.drop_client(first);
        world.run_until_quiet();
        let moved = world.messages(other);
        assert_eq!(texts(&moved), ["moved"]);
        publish(world, publisher, message("t", "to who is there").qos(Q2));
        assert_eq!(world.lines(other), ["t to who is there"]);
        let back = world.connected(ConnectOptions::lasting(version, &first_id));
        let again = world.messages(back);
        assert_eq!(texts(&again), ["once"], "and not what was moved");
        assert!(again[0].dup && again[0].packet_id == began[0].packet_id);
        assert_eq!(world.messages(other), []);
    });
}

#[test]
fn qos_2_that_began_goes_to_nobody_when_the_session_ends() {
    // [MQTT-4.8.2-5], and QoS 1 goes to another
    both_versions(|world, version| {
        let (first_id, other_id) = apart(world);
        let first = world.connected(ConnectOptions::new(version, &first_id).silent());
        world.subscribe(first, "$share/g/t", Q2);
        world.run_until_quiet();
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "twice never").qos(Q2));
        publish(world, publisher, message("t", "moved").qos(Q1));
        let other = subscriber(world, version, &other_id, "$share/g/t", Q2);
        world.drop_client(first);
        world.run_until_quiet();
        assert_eq!(world.lines(other), ["t moved"]);
    });
}

#[test]
fn what_waits_unsent_goes_to_others_at_every_qos() {
    worlds(|world| {
        let (first_id, other_id) = apart(world);
        let mut options = ConnectOptions::lasting(V5, &first_id).silent();
        options.properties.push(Property::ReceiveMaximum(1));
        let first = world.connected(options);
        world.subscribe(first, "$share/g/t", Q2);
        world.run_until_quiet();
        let publisher = client(world, V5, "p");
        for (text, qos) in [("began", Q2), ("1", Q2), ("2", Q1), ("3", Q2)] {
            publish(world, publisher, message("t", text).qos(qos));
        }
        assert_eq!(world.lines(first), ["t began"]);
        let other = subscriber(world, V5, &other_id, "$share/g/t", Q2);
        assert_eq!(world.messages(other), [], "the first is still there");
        world.drop_client(first);
        world.run_until_quiet();
        assert_eq!(world.lines(other), ["t 1", "t 2", "t 3"]);
    });
}

#[test]
fn a_refused_message_is_discarded() {
    // [MQTT-4.8.2-6]
    worlds(|world| {
        let (first_id, other_id) = apart(world);
        let first = silent(world, V5, &first_id, "$share/g/t", Q2);
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("t", "1").qos(Q1));
        publish(world, publisher, message("t", "2").qos(Q2));
        let other = subscriber(world, V5, &other_id, "$share/g/t", Q2);
        for (first_byte, message) in [0x40, 0x50].into_iter().zip(world.messages(first)) {
            let [high, low] = message.packet_id.to_be_bytes();
            world.send(first, &[first_byte, 3, high, low, 0x80]);
        }
        world.run_until_quiet();
        world.drop_client(first);
        world.run_until_quiet();
        let back = world.connected(ConnectOptions::lasting(V5, &first_id));
        assert_eq!((world.messages(back), world.messages(other)), (Vec::new(), Vec::new()));
    });
}

#[test]
fn what_came_while_all_were_away_is_had_by_who_is_back_first() {
    both_versions(|world, version| {
        let ids: Vec<String> = (0..MEMBERS).map(|index| format!("member {index}")).collect();
        for client_id in &ids {
            let member = silent(world, version, client_id, "$share/g/t/#", Q2);
            world.disconnect(member, ReasonCode::Success);
        }
        world.run_until_quiet();
        let publisher = client(world, version, "p");
        for number in 0..20 {
            publish(world, publisher, message("t/1", &number.to_string()).qos(if number % 2 == 0 { Q1 } else { Q2 }));
            publish(world, publisher, message("t/1", "QoS 0 waits for nobody"));
        }
        let back = world.connected(ConnectOptions::lasting(version, &ids[3]));
        let mut got: Vec<usize> = world.messages(back).iter().map(|message| message.text().parse().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, (0..20).collect::<Vec<_>>());
        for (index, client_id) in ids.iter().enumerate().filter(|(index, _)| *index != 3) {
            let other = world.connected(ConnectOptions::lasting(version, client_id));
            assert_eq!(world.messages(other), [], "{index}");
        }
    });
}

#[test]
fn a_member_alone_gets_its_own_again_with_dup() {
    // [MQTT-4.4.0-1]: nobody else is there to have it
    both_versions(|world, version| {
        let first = silent(world, version, "only", "$share/g/t", Q1);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("t", "m").qos(Q1));
        let before = world.messages(first);
        world.drop_client(first);
        world.run_until_quiet();
        publish(world, publisher, message("t", "later").qos(Q1));
        let back = world.connected(ConnectOptions::lasting(version, "only"));
        let after = world.messages(back);
        assert_eq!(texts(&after), ["m", "later"]);
        assert!(after[0].dup && after[0].packet_id == before[0].packet_id && !after[1].dup);
    });
}

#[test]
fn a_group_ends_with_its_last_member_and_begins_anew() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        for _ in 0..3 {
            let member = subscriber(world, version, "m", "$share/g/+/t", Q1);
            publish(world, publisher, message("a/t", "m").qos(Q1));
            assert_eq!(world.lines(member), ["a/t m"]);
            world.disconnect(member, ReasonCode::Success);
            world.run_until_quiet();
            publish(world, publisher, message("a/t", "to nobody").qos(Q1));
            if version.is_v5() {
                let answers = world.received(publisher);
                let last = answers.iter().rev().find_map(|packet| match packet {
                    OwnedPacket::Ack { reason, .. } => Some(*reason),
                    _ => None,
                });
                assert_eq!(last, Some(ReasonCode::NoMatchingSubscribers));
            }
        }
    });
}

#[test]
fn who_unsubscribes_keeps_what_was_sent_and_leaves_the_rest_to_others() {
    // [MQTT-3.10.4-2] [MQTT-3.10.4-3]
    worlds(|world| {
        let (first_id, other_id) = apart(world);
        let mut options = ConnectOptions::lasting(V5, &first_id).silent();
        options.properties.push(Property::ReceiveMaximum(2));
        let first = world.connected(options);
        world.subscribe(first, "$share/g/t", Q2);
        world.run_until_quiet();
        let publisher = client(world, V5, "p");
        for (text, qos) in [("1", Q1), ("2", Q2), ("3", Q1), ("4", Q2)] {
            publish(world, publisher, message("t", text).qos(qos));
        }
        let other = subscriber(world, V5, &other_id, "$share/g/t", Q2);
        world.unsubscribe(first, "$share/g/t");
        world.run_until_quiet();
        assert_eq!(
            (world.lines(first), world.lines(other)),
            (vec!["t 1".into(), "t 2".into()], vec!["t 3".into(), "t 4".into()])
        );
        world.drop_client(first);
        world.run_until_quiet();
        assert_eq!(world.messages(other), []);
        let back = world.connected(ConnectOptions::lasting(V5, &first_id));
        assert_eq!(texts(&world.messages(back)), ["1", "2"]);
    });
}

#[test]
fn a_takeover_loses_nothing_of_a_share() {
    both_versions(|world, version| {
        for clean in [false, true] {
            let (first_id, other_id) = apart(world);
            let first = silent(world, version, &first_id, "$share/g/t", Q1);
            let publisher = client(world, version, &format!("p{clean}"));
            publish(world, publisher, message("t", "1").qos(Q1));
            assert_eq!(world.lines(first), ["t 1"]);
            let other = subscriber(world, version, &other_id, "$share/g/t", Q1);
            let again = world.connected(ConnectOptions { clean, ..ConnectOptions::lasting(version, &first_id) });
            let mut got = texts(&world.messages(again));
            got.extend(texts(&world.messages(other)));
            assert_eq!(got, ["1"], "with clean start {clean}");
            for client in [again, other, publisher] {
                world.disconnect(client, ReasonCode::Success);
            }
            world.run_until_quiet();
            let end = client_ended(world, version, &first_id);
            assert_eq!(connack(&end).1, 0);
        }
    });
}

/// Ends the session of a client.
fn client_ended(world: &mut World, version: Version, client_id: &str) -> Vec<OwnedPacket> {
    let last = world.connected(ConnectOptions::new(version, client_id));
    let packets = world.received(last);
    world.disconnect(last, ReasonCode::Success);
    world.run_until_quiet();
    packets
}

/// A member of the random test.
struct Player {
    client_id: String,
    version: Version,
    /// Its session outlives its connection.
    is_lasting: bool,
    /// Its connection, while it has one.
    now: Option<ClientId>,
    is_member: bool,
}

impl Player {
    fn new(index: usize, lasting: usize) -> Player {
        let version = if index.is_multiple_of(2) { V5 } else { V311 };
        let client_id = format!("player {index}");
        Player { client_id, version, is_lasting: index < lasting, now: None, is_member: false }
    }

    fn connect(&mut self, world: &mut World) -> ClientId {
        let lasting = ConnectOptions::lasting(self.version, &self.client_id);
        let options = if self.is_lasting { lasting } else { ConnectOptions::new(self.version, &self.client_id) };
        self.is_member &= self.is_lasting;
        *self.now.get_or_insert_with(|| world.connect(options))
    }
}

/// What the players received: by text, the player and whether it had DUP.
#[derive(Default)]
struct Seen {
    by_text: BTreeMap<usize, Vec<(usize, bool)>>,
}

impl Seen {
    fn read(&mut self, player: usize, messages: &[Message]) {
        for message in messages {
            self.by_text.entry(message.text().parse().unwrap()).or_default().push((player, message.dup));
        }
    }

    fn missing(&self, published: usize) -> Vec<usize> {
        (0..published).filter(|number| !self.by_text.contains_key(number)).collect()
    }
}

/// Members subscribe, unsubscribe, vanish and come back at any moment, while messages are published. At the end
/// everybody is back. Returns how many messages there were and what became of them.
fn play(world: &mut World, filter: &str, topics: &[&str], qos: QoS, lasting: usize) -> (usize, Seen) {
    let mut rng = Rng::new(world.plan.seed * 31);
    let keeper = silent(world, V5, "keeper", filter, qos);
    world.disconnect(keeper, ReasonCode::Success);
    world.run_until_quiet();
    let mut seen = Seen::default();
    let mut players: Vec<Player> = (0..MEMBERS).map(|index| Player::new(index, lasting)).collect();
    let publisher = client(world, V5, "p");
    let mut published = 0;
    for _ in 0..200 {
        for _ in 0..rng.below(4) {
            let topic = topics[rng.below(topics.len())];
            world.publish(publisher, message(topic, &published.to_string()).qos(qos));
            published += 1;
        }
        let index = rng.below(MEMBERS);
        let player = &mut players[index];
        match (player.now, rng.below(4)) {
            (None, _) => {
                player.connect(world);
            }
            // What was sent to a member before it unsubscribed is its alone, and would end with its session.
            (Some(now), 0) if player.is_member && player.is_lasting => {
                world.unsubscribe(now, filter);
                player.is_member = false;
            }
            (Some(now), 0 | 1) => {
                world.subscribe(now, filter, qos);
                player.is_member = true;
            }
            (Some(now), 2) => {
                world.drop_client(now);
                seen.read(index, &world.messages(now));
                player.now = None;
            }
            _ => {}
        }
        let turns = rng.below(12);
        world.run_turns(turns);
        if world.plan.has_store && rng.once_in(2) {
            world.commit();
        }
    }
    world.run_until_quiet();
    let kind = if qos == Q2 { AckKind::Pubcomp } else { AckKind::Puback };
    let answers = acks(&world.received(publisher));
    assert_eq!(answers.iter().filter(|(of, _)| *of == kind).count(), published, "each publish is acknowledged");
    for (index, player) in players.iter_mut().enumerate() {
        // A CONNECT may be overtaken by the next one of its client, and then takes over that one's session.
        player.now = player.now.filter(|now| !world.is_closed(*now));
        let now = player.connect(world);
        world.run_until_quiet();
        seen.read(index, &world.messages(now));
    }
    let keeper = world.connected(ConnectOptions::lasting(V5, "keeper"));
    seen.read(MEMBERS, &world.messages(keeper));
    (published, seen)
}

/// Plays in several worlds, and says how often messages moved and went back.
fn plays(qos: QoS, lasting: usize, durability: Durability, check: impl Fn(usize, &Seen, u64)) -> (u64, u64) {
    let (mut all_moved, mut all_returned) = (0, 0);
    for (filter, topics) in [("$share/g/s/#", &["s/1"][..]), ("$share/g/#", &TOPICS[..])] {
        for seed in 1..=9 {
            let shards = [1, 2, 4][seed as usize % 3];
            let lane_parcels = if seed % 2 == 0 { 1 } else { 8 };
            let mut plan = Plan { lane_parcels, piece_bytes_max: 64, ..Plan::new(seed, shards) };
            plan.broker.session.inflight_max = 2;
            plan.broker.durability = durability;
            plan.has_store = durability == Durability::Disk;
            let world = &mut World::new(plan);
            let (published, seen) = play(world, filter, topics, qos, lasting);
            let (moved, returned, dropped) = world.share_counts();
            assert_eq!(dropped, 0);
            assert_eq!(seen.missing(published), [0; 0], "of {published}, in seed {seed}");
            check(published, &seen, moved);
            (all_moved, all_returned) = (all_moved + moved, all_returned + returned);
        }
    }
    (all_moved, all_returned)
}

#[test]
fn whoever_comes_and_goes_no_qos_1_message_is_missed_and_none_comes_twice_that_did_not_move() {
    let (moved, returned) = plays(Q1, MEMBERS / 2, Durability::Memory, |_, seen, moved| {
        let firsts = |of: &Vec<(usize, bool)>| of.iter().filter(|(_, dup)| !dup).count();
        let again: usize = seen.by_text.values().map(|of| firsts(of).saturating_sub(1)).sum();
        assert!(again as u64 <= moved, "{again} came twice, {moved} moved");
    });
    assert!(moved > 200 && returned > 0, "{moved} moved, {returned} went back");
}

#[test]
fn whoever_comes_and_goes_a_qos_2_message_is_had_by_one_member() {
    // [MQTT-4.8.2-4]: where sessions last, exactly one, however often it goes
    plays(Q2, MEMBERS, Durability::Memory, |_, seen, _| {
        for (number, of) in &seen.by_text {
            let first = of[0].0;
            assert!(of.iter().all(|(player, _)| *player == first), "{number} came to {of:?}");
            assert!(of[1..].iter().all(|(_, dup)| *dup), "{number} came to {of:?}");
        }
    });
}

#[test]
fn with_durability_disk_too_a_message_that_goes_from_home_to_home_holds_up_nothing() {
    // What moves is committed with its departure: a part that never came would hold its shard's commits for ever.
    let (moved, returned) = plays(Q1, MEMBERS / 2, Durability::Disk, |_, _, _| {});
    assert!(moved > 200 && returned > 0, "{moved} moved, {returned} went back");
    plays(Q2, MEMBERS, Durability::Disk, |_, _, _| {});
}
