//! `mote sub` and `mote pub` against a broker that says what a test wants: refusals, ends, and what is printed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread::JoinHandle;

use engine::wire::{
    self, Ack, AckKind, Connack, Disconnect, Packet, Properties, Property, PropertyBuffer, Publish, QoS, ReasonCode,
    Suback, Version,
};

/// Answers each packet of one client by `answer`, which appends to its second argument. Gives back the client's packets.
fn broker(
    version: Version,
    mut answer: impl FnMut(&Packet<'_>, &mut Vec<u8>) + Send + 'static,
) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let thread = std::thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let (mut all, mut at) = (Vec::new(), 0);
        while read(&mut socket, &mut all) {
            while let Some(header) = wire::peek(&all[at..]).unwrap().filter(|header| header.total_len <= all.len() - at)
            {
                let packet = wire::decode_patterns(version, &all[at..at + header.total_len]).unwrap();
                let mut out = Vec::new();
                answer(&packet, &mut out);
                socket.write_all(&out).unwrap();
                at += header.total_len;
            }
        }
        all
    });
    (port, thread)
}

fn read(socket: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4096];
    match socket.read(&mut bytes) {
        Ok(count) if count > 0 => into.extend_from_slice(&bytes[..count]),
        _ => return false,
    }
    true
}

fn mote(port: &str, arguments: &[&str]) -> Output {
    let (verb, rest) = arguments.split_first().unwrap();
    Command::new(env!("CARGO_BIN_EXE_mote")).args([verb, "-h", "127.0.0.1", "-p", port]).args(rest).output().unwrap()
}

fn code_and_error(output: &Output) -> (i32, &str) {
    (output.status.code().unwrap(), std::str::from_utf8(&output.stderr).unwrap())
}

fn welcome(out: &mut Vec<u8>, version: Version) {
    let packet = Packet::Connack(Connack { session_present: false, code: 0, properties: Properties::default() });
    wire::encode(version, &packet, out);
}

fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS, packet_id: u16, retain: bool) -> Packet<'a> {
    Packet::Publish(Publish { dup: false, qos, retain, topic, packet_id, properties: Properties::default(), payload })
}

/// Welcomes, grants every subscription, and after that sends `packets`.
fn subscriber(version: Version, packets: Vec<u8>) -> (String, JoinHandle<Vec<u8>>) {
    broker(version, move |packet, out| match packet {
        Packet::Connect(_) => welcome(out, version),
        Packet::Subscribe(subscribe) => {
            let reasons = vec![0; subscribe.filters.len()];
            let properties = Properties::default();
            wire::encode(
                version,
                &Packet::Suback(Suback { packet_id: subscribe.packet_id, properties, reasons: &reasons }),
                out,
            );
            out.extend_from_slice(&packets);
        }
        _ => {}
    })
}

#[test]
fn what_arrives_is_printed_and_acknowledged_once() {
    let mut packets = Vec::new();
    for packet in [
        publish("a/b", b"old", QoS::AtMostOnce, 0, true),
        publish("light/+/is_on", b"{\"x\":1}", QoS::AtLeastOnce, 7, false),
        publish("c", b"\x1b[1mraw\xff", QoS::ExactlyOnce, 8, false),
        publish("c", b"again, to be left out", QoS::ExactlyOnce, 8, false),
        publish("end", b"", QoS::AtMostOnce, 0, false),
    ] {
        wire::encode(Version::V5, &packet, &mut packets);
    }
    let (port, thread) = subscriber(Version::V5, packets);
    let output = mote(&port, &["sub", "-v", "-C", "3", "-R", "--sync", "-t", "light/+/is_on", "-t", "c"]);
    assert_eq!(code_and_error(&output), (0, ""));
    assert_eq!(output.stdout, b"light/+/is_on {\"x\":1}\nc \x1b[1mraw\xff\nend \n");
    let sent = thread.join().unwrap();
    let count = |packet: &[u8]| sent.windows(packet.len()).filter(|window| *window == packet).count();
    assert_eq!((count(&[0x40, 2, 0, 7]), count(&[0x50, 2, 0, 8])), (1, 2));
    assert_eq!(count(b"\x26\0\x04mote\0\x04sync"), 1, "the intent is a user property of SUBSCRIBE");
}

#[test]
fn before_mqtt_5_the_intent_is_a_prefix() {
    let mut packets = Vec::new();
    wire::encode(Version::V311, &publish("a/+", b"{}", QoS::AtMostOnce, 0, true), &mut packets);
    let (port, thread) = subscriber(Version::V311, packets);
    let output = mote(&port, &["sub", "-V", "mqttv311", "-C", "1", "-v", "--tree", "-t", "a/+"]);
    assert_eq!((code_and_error(&output), output.stdout.as_slice()), ((0, ""), &b"a/+ {}\n"[..]));
    assert!(has(&thread.join().unwrap(), "$tree/a/+"));
    // Where frames are folded they must say of which kind they are.
    let mut packets = Vec::new();
    for frame in [
        r#"{"mote":"frame;part;n=0","tree":{"x":1}}"#,
        r#"{"mote":"frame;snap;n=1","tree":{"y":2}}"#,
        r#"{"mote":"frame;event;n=2","tree":{"y":9}}"#,
        r#"{"mote":"frame;live;n=3","tree":{"x":null}}"#,
    ] {
        wire::encode(Version::V311, &publish("a/+", frame.as_bytes(), QoS::AtMostOnce, 0, true), &mut packets);
    }
    let (port, thread) = subscriber(Version::V311, packets);
    let output = mote(&port, &["sub", "-V", "mqttv311", "-C", "3", "--sync", "--interval", "50", "-t", "a/+"]);
    assert_eq!(code_and_error(&output), (0, ""));
    let event = r#"event {"mote":"frame;event;n=2","tree":{"y":9}}"#;
    let want = format!("{{\n  \"x\": 1,\n  \"y\": 2\n}}\n{event}\n{{\n  \"y\": 2\n}}\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), want);
    assert!(has(&thread.join().unwrap(), "$sync;meta;interval=50/a/+"));
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn flags_become_options_of_the_intent() {
    for (flags, intent) in [
        (&["--tree"][..], "tree"),
        (&["--sync", "--versions"], "sync;versions"),
        (&["--versions"], "tree;versions"),
        (&["--interval", "9"], "tree;interval=9"),
        (&["--sync", "--since", "abc_-9"], "sync;since=abc_-9"),
        (&["--rows"], "rows"),
    ] {
        let (port, thread) = subscriber(Version::V5, Vec::new());
        let output = mote(&port, &[&["sub", "-W", "1", "-t", "a/+"], flags].concat());
        assert_eq!(code_and_error(&output), (27, "mote sub: timed out\n"));
        let property = format!("\x26\0\x04mote\0{}{intent}", char::from(intent.len() as u8));
        assert!(has(&thread.join().unwrap(), &property), "{intent}");
    }
    for (arguments, intent) in [
        (&["pub", "-m", "x", "-t", "a", "--put"][..], "put"),
        (&["pub", "-m", "x", "-t", "a", "--if", "7"], "put;if=7"),
        (
            &["pub", "-m", "{}", "-t", "a", "--tree", "--replace", "--if", "any", "--id", "k"],
            "tree;replace;if=any;id=k",
        ),
        (&["pub", "-m", "x", "-t", "a", "--id", "k"], "put;id=k"),
        (&["set", "a/+", "x"], "set"),
        (&["set", "a/+", "-1", "--id", "k"], "set;id=k"),
    ] {
        for (version, flag) in [(Version::V5, "mqttv5"), (Version::V311, "mqttv311")] {
            let (port, thread) = broker(version, move |packet, out| match packet {
                Packet::Connect(_) => welcome(out, version),
                Packet::Publish(publish) => {
                    assert_eq!((publish.qos, publish.retain), (QoS::AtLeastOnce, intent.starts_with("set")));
                    let (kind, reason, properties) = (AckKind::Puback, ReasonCode::Success, Properties::default());
                    let ack = Ack { kind, packet_id: publish.packet_id, reason, properties };
                    wire::encode(version, &Packet::Ack(ack), out);
                }
                _ => {}
            });
            let output = mote(&port, &[arguments, &["-V", flag]].concat());
            assert_eq!(code_and_error(&output), (0, ""));
            let length = char::from(intent.len() as u8);
            let sent = if version.is_v5() { format!("mote\0{length}{intent}") } else { format!("${intent}/a") };
            assert!(has(&thread.join().unwrap(), &sent), "{sent}");
        }
    }
}

#[test]
fn a_conflict_says_the_version_and_ends_with_1() {
    for (said, text) in [
        ("conflict;ver=7", "; the version is 7"),
        ("conflict;ver=0", "; there is no such object"),
        ("partial;applied=1;refused=2", "; partial;applied=1;refused=2"),
        ("id-reused", "; id-reused"),
    ] {
        let (port, _thread) = broker(Version::V5, move |packet, out| match packet {
            Packet::Connect(_) => welcome(out, Version::V5),
            Packet::Publish(publish) => {
                let mut properties = PropertyBuffer::new();
                properties.push(&Property::ReasonString("no"));
                properties.push(&Property::UserProperty("mote", said));
                let (kind, reason) = (AckKind::Puback, ReasonCode::ImplementationSpecificError);
                let properties = properties.as_properties();
                let ack = Ack { kind, packet_id: publish.packet_id, reason, properties };
                wire::encode(Version::V5, &Packet::Ack(ack), out);
            }
            _ => {}
        });
        let output = mote(&port, &["pub", "-r", "--if", "3", "-t", "t", "-m", "x"]);
        let text = format!("mote pub: publish refused: implementation specific error (0x83): no{text}\n");
        assert_eq!(code_and_error(&output), (1, text.as_str()));
    }
}

#[test]
fn retained_only_ends_at_the_first_that_is_not() {
    let mut packets = Vec::new();
    for (payload, retain) in [(&b"one"[..], true), (b"two", true), (b"three", false)] {
        wire::encode(Version::V5, &publish("t", payload, QoS::AtMostOnce, 0, retain), &mut packets);
    }
    let (port, _thread) = subscriber(Version::V5, packets);
    assert_eq!(mote(&port, &["sub", "--retained-only", "-N", "-t", "t"]).stdout, b"onetwo");
}

#[test]
fn a_refused_connection_ends_with_the_brokers_code() {
    for (version, flag, code, text) in [
        (Version::V5, "mqttv5", 0x87, "connection refused: not authorized (0x87): go away\\u{1b}"),
        (Version::V311, "mqttv311", 5, "connection refused: not authorized (5)"),
    ] {
        let (port, _thread) = broker(version, move |_, out| {
            let mut properties = PropertyBuffer::new();
            properties.push(&Property::ReasonString("go away\u{1b}"));
            let properties = properties.as_properties();
            wire::encode(version, &Packet::Connack(Connack { session_present: false, code, properties }), out);
        });
        let output = mote(&port, &["pub", "-V", flag, "-t", "t", "-n"]);
        assert_eq!(code_and_error(&output), (code.into(), format!("mote pub: {text}\n").as_str()));
    }
}

#[test]
fn a_refused_subscription_is_an_error_only_if_none_is_left() {
    let granting = |reasons: &'static [u8]| {
        broker(Version::V5, move |packet, out| match packet {
            Packet::Connect(_) => welcome(out, Version::V5),
            Packet::Subscribe(subscribe) => {
                let suback = Suback { packet_id: subscribe.packet_id, properties: Properties::default(), reasons };
                wire::encode(Version::V5, &Packet::Suback(suback), out);
                wire::encode(Version::V5, &publish("t", b"x", QoS::AtMostOnce, 0, false), out);
            }
            _ => {}
        })
    };
    let (port, _thread) = granting(&[0x8F, 0x87]);
    let output = mote(&port, &["sub", "-C", "1", "-t", "a", "-t", "b"]);
    let all = "mote sub: subscription refused: a: topic filter invalid (0x8F), b: not authorized (0x87)\n";
    assert_eq!(code_and_error(&output), (1, all));
    let (port, _thread) = granting(&[0, 0x87]);
    let output = mote(&port, &["sub", "-C", "1", "-t", "a", "-t", "b"]);
    assert_eq!(code_and_error(&output), (0, "mote sub: subscription refused: b: not authorized (0x87)\n"));
    assert_eq!(output.stdout, b"x\n");
}

#[test]
fn a_refused_publish_is_told() {
    let (port, _thread) = broker(Version::V5, |packet, out| match packet {
        Packet::Connect(_) => welcome(out, Version::V5),
        Packet::Publish(publish) => {
            let (kind, reason) = (AckKind::Pubrec, ReasonCode::PayloadFormatInvalid);
            let ack = Ack { kind, packet_id: publish.packet_id, reason, properties: Properties::default() };
            wire::encode(Version::V5, &Packet::Ack(ack), out);
        }
        _ => {}
    });
    let output = mote(&port, &["pub", "-q", "2", "--tree", "-t", "t", "-m", "{"]);
    assert_eq!(code_and_error(&output), (1, "mote pub: publish refused: payload format invalid (0x99)\n"));
}

#[test]
fn an_error_message_on_qos_0_is_told() {
    let (port, _thread) = broker(Version::V311, |packet, out| match packet {
        Packet::Connect(_) => welcome(out, Version::V311),
        Packet::Publish(_) => {
            wire::encode(Version::V311, &publish("$error/t", b"{\"error\":\"bad\"}", QoS::AtMostOnce, 0, false), out);
        }
        Packet::Pingreq => wire::encode(Version::V311, &Packet::Pingresp, out),
        _ => {}
    });
    let output = mote(&port, &["pub", "-V", "mqttv311", "--tree", "-t", "t", "-m", "{"]);
    assert_eq!(code_and_error(&output), (1, "mote pub: publish refused: {\"error\":\"bad\"}\n"));
}

#[test]
fn the_end_of_the_connection_and_of_patience_have_their_codes() {
    let (port, _thread) = subscriber(Version::V5, Vec::new());
    assert_eq!(code_and_error(&mote(&port, &["sub", "-W", "1", "-t", "t"])), (27, "mote sub: timed out\n"));
    let mut bye = Vec::new();
    let disconnect = Disconnect { reason: ReasonCode::ServerShuttingDown, properties: Properties::default() };
    wire::encode(Version::V5, &Packet::Disconnect(disconnect), &mut bye);
    let (port, _thread) = subscriber(Version::V5, bye);
    let text = "mote sub: the broker ended the connection: server shutting down (0x8B)\n";
    assert_eq!(code_and_error(&mote(&port, &["sub", "-t", "t"])), (1, text));
    let (port, _thread) = subscriber(Version::V5, vec![0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    let output = mote(&port, &["sub", "-t", "t"]);
    assert!(code_and_error(&output).1.contains("not MQTT"), "{output:?}");
}
