//! rumqttc, MQTT 3.1.1 and 5, against the broker's binary with one shard and with four: a client that knows no
//! extension needs none [3.1.1: MQTT-7.0.0-2].

use crate::clients::{Message, Mqtt, Options, v5, v311};
use crate::process::Broker;

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

fn all<M: Mqtt>(shards: usize) {
    let checks: [fn(&Broker); 7] =
        [wildcards::<M>, qos_levels::<M>, retained::<M>, will_and_takeover::<M>, resumed::<M>, large::<M>, trees::<M>];
    for check in checks {
        let broker = Broker::start(shards);
        check(&broker);
        broker.stop();
    }
}

#[test]
fn mqtt_311_one_shard() {
    all::<v311::Client>(1);
}

#[test]
fn mqtt_311_four_shards() {
    all::<v311::Client>(4);
}

#[test]
fn mqtt_5_one_shard() {
    all::<v5::Client>(1);
}

#[test]
fn mqtt_5_four_shards() {
    all::<v5::Client>(4);
}
