//! rumqttc, MQTT 3.1.1 and 5, against the broker's binary with one shard and with four: a client that knows no
//! extension needs none [3.1.1: MQTT-7.0.0-2].

use crate::clients::{Message, Mqtt, Options, v5, v311};
use crate::cutter::{Cut, Cutter, Direction, Way};
use crate::process::Broker;

/// Messages of one cut exchange, and with it as many packets of one kind in one direction.
const CUT_MESSAGES: usize = 3;
const DOWN: Direction = Direction::Down;
const UP: Direction = Direction::Up;
const WAYS: [Way; 3] = [Way::Swallowed, Way::Torn, Way::Passed];

fn open<M: Mqtt>(broker: &Broker, id: &str) -> M {
    M::open(broker.port, &Options { id, ..Options::default() })
}

fn message(topic: &str, payload: &str, qos: u8, retain: bool) -> Message {
    Message { topic: topic.to_owned(), payload: payload.as_bytes().to_vec(), qos, retain }
}

/// The marker is published after what should not have come, so the next message shows that it did not.
fn nothing_before_marker<M: Mqtt>(publisher: &mut M, reader: &mut M, topic: &str) {
    publisher.publish(topic, b"marker", 1, false);
    assert_eq!(reader.take().payload, b"marker");
}

fn wildcards<M: Mqtt>(broker: &Broker) {
    let (mut plus, mut all, mut publisher) = (open::<M>(broker, "p"), open::<M>(broker, "a"), open::<M>(broker, "w"));
    plus.subscribe("w/+/x", 1);
    all.subscribe("w/#", 1);
    for topic in ["w/a/x", "w/a/y", "w", "w/b/x", "v/a/x"] {
        publisher.publish(topic, topic.as_bytes(), 1, false);
    }
    for topic in ["w/a/x", "w/b/x"] {
        assert_eq!(plus.take(), message(topic, topic, 1, false));
    }
    for topic in ["w/a/x", "w/a/y", "w", "w/b/x"] {
        assert_eq!(all.take(), message(topic, topic, 1, false));
    }
    nothing_before_marker(&mut publisher, &mut plus, "w/m/x");
    nothing_before_marker(&mut publisher, &mut all, "w/m/x");
}

fn qos_levels<M: Mqtt>(broker: &Broker) {
    let mut publisher: M = open(broker, "pub");
    for granted in 0..=2 {
        let mut reader: M = open(broker, "sub");
        reader.subscribe("q/l", granted);
        for sent in 0..=2 {
            for number in 0..10 {
                publisher.publish("q/l", number.to_string().as_bytes(), sent, false);
                assert_eq!(reader.take(), message("q/l", &number.to_string(), sent.min(granted), false));
            }
        }
        reader.close();
    }
}

fn retained<M: Mqtt>(broker: &Broker) {
    let mut publisher: M = open(broker, "pub");
    publisher.publish("r/x", b"one", 1, true);
    publisher.publish("r/x", b"two", 2, true);
    let mut reader: M = open(broker, "sub");
    reader.subscribe("r/+", 1);
    assert_eq!(reader.take(), message("r/x", "two", 1, true));
    publisher.publish("r/x", b"", 1, true);
    assert_eq!(reader.take(), message("r/x", "", 1, false));
    let mut later: M = open(broker, "later");
    later.subscribe("r/+", 1);
    nothing_before_marker(&mut publisher, &mut later, "r/m");
}

fn will_and_takeover<M: Mqtt>(broker: &Broker) {
    let mut reader: M = open(broker, "reader");
    reader.subscribe("will/+", 1);
    let dying = M::open(broker.port, &Options { id: "dying", will: Some(("will/a", "gone")), ..Options::default() });
    drop(dying);
    assert_eq!(reader.take(), message("will/a", "gone", 1, false));
    let mut first: M = open(broker, "same");
    let mut second: M = open(broker, "same");
    first.ended();
    second.publish("will/b", b"alive", 1, false);
    assert_eq!(reader.take(), message("will/b", "alive", 1, false));
}

fn resumed<M: Mqtt>(broker: &Broker) {
    let keep = Options { id: "keep", keep_session: true, ..Options::default() };
    let mut publisher: M = open(broker, "pub");
    let mut first = M::open(broker.port, &keep);
    assert!(!first.session_present());
    first.subscribe("s/t", 1);
    first.close();
    for number in 0..20 {
        publisher.publish("s/t", number.to_string().as_bytes(), 1, false);
    }
    let mut second = M::open(broker.port, &keep);
    assert!(second.session_present());
    for number in 0..20 {
        assert_eq!(second.take(), message("s/t", &number.to_string(), 1, false));
    }
    second.close();
    assert!(!open::<M>(broker, "keep").session_present());
}

fn large<M: Mqtt>(broker: &Broker) {
    let payload: Vec<u8> = (0..1 << 20).map(|i| (i % 251) as u8).collect();
    let topic = "l".repeat(65_535);
    let (mut reader, mut publisher) = (open::<M>(broker, "sub"), open::<M>(broker, "pub"));
    reader.subscribe(&topic, 2);
    for qos in 0..=2 {
        publisher.publish(&topic, &payload, qos, false);
        assert_eq!(reader.take(), Message { topic: topic.clone(), payload: payload.clone(), qos, retain: false });
    }
}

fn trees<M: Mqtt>(broker: &Broker) {
    let mut publisher: M = open(broker, "pub");
    publisher.publish("light/bedroom/is_on", b"1", 1, true);
    publisher.publish("light/livingroom/is_on", b"0", 1, true);
    let (mut merged, mut branch, mut plain) =
        (open::<M>(broker, "merged"), open::<M>(broker, "branch"), open::<M>(broker, "plain"));
    merged.subscribe("$sync/light/+/is_on", 1);
    assert_eq!(merged.take(), message("light/+/is_on", r#"{"bedroom":1,"livingroom":0}"#, 1, true));
    publisher.publish("light/livingroom/is_on", b"1", 1, true);
    assert_eq!(merged.take(), message("light/+/is_on", r#"{"livingroom":1}"#, 1, false));
    branch.subscribe("$tree/light/bedroom/+", 1);
    plain.subscribe("light/bedroom/#", 1);
    assert!(plain.take().retain);
    let value = r##"{"is_on":0,"brightness":55,"color":"#FFFFFF"}"##;
    publisher.publish("$tree/light/bedroom", value.as_bytes(), 1, true);
    // keys of a frame stand in the order of their bytes
    let frame = r##"{"brightness":55,"color":"#FFFFFF","is_on":0}"##;
    assert_eq!(branch.take(), message("light/bedroom/+", frame, 1, false));
    for (level, payload) in [("is_on", "0"), ("brightness", "55"), ("color", "#FFFFFF")] {
        assert_eq!(plain.take(), message(&format!("light/bedroom/{level}"), payload, 1, false));
    }
    assert_eq!(merged.take(), message("light/+/is_on", r#"{"bedroom":0}"#, 1, false));
}

fn numbers() -> [Vec<u8>; CUT_MESSAGES] {
    std::array::from_fn(|number| number.to_string().into_bytes())
}

/// A publisher whose connection ends at each packet in turn: QoS 2 is exactly once, in order, whoever lost what.
/// rumqttc keeps PUBLISH and PUBREL of its session and sends them again.
fn publisher_is_cut<M: Mqtt>(broker: &Broker) {
    let mut reader: M = open(broker, "reader");
    reader.subscribe("cut/#", 2);
    for qos in [1, 2] {
        let packets = CUT_MESSAGES * usize::from(qos);
        for (direction, count) in [UP, DOWN].into_iter().flat_map(|d| (1..=packets).map(move |count| (d, count))) {
            for way in WAYS {
                let cutter = Cutter::to(broker.port);
                let id = format!("cut{qos}{direction:?}{count}{way:?}");
                let options = Options { id: &id, keep_session: true, through_losses: true, ..Options::default() };
                let mut client = M::open(cutter.port, &options);
                cutter.arm(&[Cut { direction, count, way }]);
                let topic = format!("cut/{id}");
                for payload in numbers() {
                    client.send(&topic, &payload, qos);
                }
                client.settle(CUT_MESSAGES);
                client.publish(&topic, b"end", qos, false);
                let mut got = Vec::new();
                while got.last().is_none_or(|last| last != b"end") {
                    let message = reader.take();
                    assert_eq!(message.topic, topic);
                    // at least once: a number comes again only after the numbers that it came before
                    if qos == 2 || !got.contains(&message.payload) {
                        got.push(message.payload);
                    }
                }
                assert_eq!(got[..CUT_MESSAGES], numbers(), "{id}");
                assert_eq!(got.len(), CUT_MESSAGES + 1, "{id}");
                cutter.has_cut();
                client.close();
            }
        }
    }
}

/// A subscriber whose connection ends at each packet in turn. With QoS 2 only before the broker has a PUBREC: rumqttc
/// forgets at a loss which identifiers it has received, calls the PUBREL that follows unsolicited, and ends every
/// connection because of it.
fn subscriber_is_cut<M: Mqtt>(broker: &Broker) {
    let mut publisher: M = open(broker, "pub");
    let at_publish = WAYS.map(|way| Cut { direction: DOWN, count: 1, way });
    let at_answer = [Way::Swallowed, Way::Torn].map(|way| Cut { direction: UP, count: 1, way });
    let at_any = WAYS.map(|way| Cut { direction: UP, count: 2, way });
    for (qos, cuts) in [(2, [at_publish.to_vec(), at_answer.to_vec()].concat()), (1, [at_publish, at_any].concat())] {
        for cut in cuts {
            let cutter = Cutter::to(broker.port);
            let id = format!("cut{qos}{cut:?}");
            let options = Options { id: &id, keep_session: true, through_losses: true, ..Options::default() };
            let mut client = M::open(cutter.port, &options);
            client.subscribe(&id, qos);
            cutter.arm(&[cut]);
            let wanted = if qos == 2 { &numbers()[..1] } else { &numbers()[..] };
            let mut got = Vec::new();
            for payload in wanted {
                publisher.publish(&id, payload, qos, false);
            }
            while got.len() < wanted.len() {
                let payload = client.take().payload;
                if qos == 2 || !got.contains(&payload) {
                    got.push(payload);
                }
            }
            assert_eq!(got, wanted, "{id}");
            publisher.publish(&id, b"end", qos, false);
            while client.take().payload != b"end" {
                assert_eq!(qos, 1, "{id}");
            }
            cutter.has_cut();
            client.close();
        }
    }
}

/// [MQTT-3.3.4-9]: as many as the client said, and the rest when it has acknowledged.
fn receive_maximum_one<M: Mqtt>(broker: &Broker) {
    let cutter = Cutter::to(broker.port);
    let options =
        Options { id: "one", keep_session: true, through_losses: true, receive_maximum: Some(1), ..Options::default() };
    let mut reader = M::open(cutter.port, &options);
    let mut publisher: M = open(broker, "pub");
    reader.subscribe("rm/t", 2);
    for number in 0..40_usize {
        publisher.send("rm/t", number.to_string().as_bytes(), if number % 2 == 0 { 1 } else { 2 });
        if number % 10 == 9 {
            publisher.settle(number + 1);
        }
    }
    for number in 0..40 {
        assert_eq!(reader.take().payload, number.to_string().as_bytes());
    }
    assert_eq!(cutter.waiting_max(), 1);
}

/// QoS 2 messages and those of QoS 1 that waited for a session, each once and in order.
fn resumed_with_qos_2<M: Mqtt>(broker: &Broker) {
    let keep = Options { id: "keep2", keep_session: true, ..Options::default() };
    let mut publisher: M = open(broker, "pub");
    let mut reader = M::open(broker.port, &keep);
    reader.subscribe("s2/t", 2);
    for round in 0..3 {
        reader.close();
        for number in 0..20 {
            publisher.publish("s2/t", format!("{round} {number}").as_bytes(), 1 + number % 2, false);
        }
        reader = M::open(broker.port, &keep);
        assert!(reader.session_present());
        for number in 0..20 {
            assert_eq!(reader.take(), message("s2/t", &format!("{round} {number}"), 1 + number % 2, false));
        }
        // rumqttc forgets at the end of a connection what is not released
        reader.released();
        nothing_before_marker(&mut publisher, &mut reader, "s2/t");
    }
}

/// Sessions are there after the broker was ended and started again: of a client that was away, with what waited for it,
/// and of one that sees its connection end, and publishes while there is no broker.
fn through_a_restart<M: Mqtt>(name: &str, shards: usize, killed: bool) {
    let folder = std::env::temp_dir().join(format!("mote-rumqttc-{}-{name}-{shards}-{killed}", std::process::id()));
    let folder = folder.to_str().unwrap();
    let durability = if killed { "disk" } else { "memory" };
    let broker = Broker::on(folder, shards, durability);
    let cutter = Cutter::to(broker.port);
    let keep = |id| Options { id, keep_session: true, ..Options::default() };
    let mut staying = M::open(cutter.port, &Options { through_losses: true, ..keep("staying") });
    let (mut away, mut reader) = (M::open(broker.port, &keep("away")), M::open(broker.port, &keep("reader")));
    for (client, topic) in [(&mut staying, "r/stays"), (&mut away, "r/away"), (&mut reader, "r/published")] {
        client.subscribe(topic, 2);
    }
    away.close();
    reader.close();
    let mut publisher: M = open(&broker, "pub");
    for number in 0..20 {
        publisher.publish("r/away", number.to_string().as_bytes(), 1 + number % 2, false);
    }
    if killed {
        drop(broker);
    } else {
        broker.stop();
    }
    for number in 0..5 {
        staying.send("r/published", number.to_string().as_bytes(), 2);
    }
    let broker = Broker::on(folder, shards, durability);
    cutter.turn_to(broker.port);
    staying.settle(5);
    assert!(staying.session_present());
    let mut publisher: M = open(&broker, "pub");
    assert!(!publisher.session_present());
    publisher.publish("r/stays", b"after", 2, false);
    assert_eq!(staying.take().payload, b"after");
    for (id, topic, count) in [("away", "r/away", 20), ("reader", "r/published", 5)] {
        let mut client = M::open(broker.port, &keep(id));
        assert!(client.session_present());
        for number in 0..count {
            let qos = if id == "away" { 1 + number % 2 } else { 2 };
            assert_eq!(client.take(), message(topic, &number.to_string(), qos, false));
        }
        nothing_before_marker(&mut publisher, &mut client, topic);
    }
    broker.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

fn all<M: Mqtt>(name: &str, shards: usize) {
    for killed in [false, true] {
        through_a_restart::<M>(name, shards, killed);
    }
    let checks: [fn(&Broker); 10] = [
        wildcards::<M>,
        qos_levels::<M>,
        retained::<M>,
        will_and_takeover::<M>,
        resumed::<M>,
        resumed_with_qos_2::<M>,
        publisher_is_cut::<M>,
        subscriber_is_cut::<M>,
        large::<M>,
        trees::<M>,
    ];
    for check in checks {
        let broker = Broker::start(shards);
        check(&broker);
        broker.stop();
    }
}

#[test]
fn mqtt_311_one_shard() {
    all::<v311::Client>("311", 1);
}

#[test]
fn mqtt_311_four_shards() {
    all::<v311::Client>("311", 4);
}

#[test]
fn mqtt_5_one_shard() {
    all::<v5::Client>("5", 1);
    receive_maximum_one::<v5::Client>(&Broker::start(1));
}

#[test]
fn mqtt_5_four_shards() {
    all::<v5::Client>("5", 4);
    receive_maximum_one::<v5::Client>(&Broker::start(4));
}
