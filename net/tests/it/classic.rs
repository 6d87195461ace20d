//! The classic profile with the broker's binary: a listener of its own beside an ordinary one, and a stock client.

use crate::broker::PATIENCE;
use crate::clients::{Message, Mqtt, Options, v311};
use crate::process::Broker;
use std::io::{Read, Write};
use std::net::TcpStream;

const LISTENERS: &str = r#"listener=[{address="127.0.0.1:0"},{address="127.0.0.1:0",profile="classic"}]"#;

fn frame(payload: &str) -> Message {
    Message { topic: "light/+/is_on".to_owned(), payload: payload.as_bytes().to_vec(), qos: 1, retain: false }
}

/// A PUBLISH of the first broker's clients, whose topics no library of today sends: QoS 1, RETAIN 1.
fn publish_retained(socket: &mut TcpStream, topic: &str, payload: &str) {
    let len = 2 + topic.len() + 2 + payload.len();
    let mut packet = vec![0x33, len as u8, 0, topic.len() as u8];
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet.extend_from_slice(payload.as_bytes());
    socket.write_all(&packet).unwrap();
    expect(socket, &[0x40, 2, 0, 1]);
}

fn expect(socket: &mut TcpStream, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    socket.read_exact(&mut received).unwrap();
    assert_eq!(received, bytes);
}

// [MOTE-8.1] [MOTE-8.4]
#[test]
fn a_classic_listener_stands_beside_an_ordinary_one() {
    let (broker, classic) = Broker::listening(4, LISTENERS);
    let mut old = TcpStream::connect(("127.0.0.1", classic)).unwrap();
    old.set_read_timeout(Some(PATIENCE)).unwrap();
    old.write_all(b"\x10\x0F\x00\x04MQTT\x04\x02\x00\x3C\x00\x03old").unwrap();
    expect(&mut old, &[0x20, 2, 0, 0]);
    publish_retained(&mut old, "light/+/+/", r#"{"hall": {"is_on": "1"}, "attic": {"is_on": "0"}}"#);
    // Many ids, so that some live at another shard than the one that accepts them.
    for id in 0..8 {
        let name = format!("reader {id}");
        let mut reader = v311::Client::open(classic, &Options { id: &name, ..Options::default() });
        reader.subscribe("/light/+/is_on", 1);
        assert_eq!(reader.take(), frame(r#"{"attic": "0", "hall": "1"}"#));
        publish_retained(&mut old, "light/+/is_on", "1");
        assert_eq!(reader.take(), frame(r#"{"attic": "1", "hall": "1"}"#));
        publish_retained(&mut old, "light/+/+/", r#"{"attic": {"is_on": "0"}}"#);
        assert_eq!(reader.take(), frame(r#"{"attic": "0"}"#));
        reader.close();
    }
    let mut new = v311::Client::open(broker.port, &Options { id: "new", ..Options::default() });
    new.subscribe("/light/+", 1);
    new.publish("/light/hall", b"2", 1, true);
    let plain = Message { topic: "/light/hall".to_owned(), payload: b"2".to_vec(), qos: 1, retain: false };
    assert_eq!(new.take(), plain, "slashes are ordinary there");
    new.close();
    broker.stop();
}
