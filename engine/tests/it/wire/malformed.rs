//! What must be refused, byte for byte, with the code and the words it is refused with.

use super::framed;
use Version::{V5, V31, V311};
use engine::wire::*;

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;
const VERSION: ReasonCode = ReasonCode::UnsupportedProtocolVersion;
const ALIAS: ReasonCode = ReasonCode::TopicAliasInvalid;

/// Version, first byte, body (the Remaining Length is right), code, words.
pub type Row = (Version, u8, &'static [u8], ReasonCode, &'static str);

/// Every row of this file.
pub fn all_rows() -> Vec<Row> {
    [
        fixed_headers_rows(),
        bytes_that_are_too_few_or_too_many_rows(),
        texts_rows(),
        connect_rows(),
        publish_rows(),
        subscribe_and_unsubscribe_rows(),
        answers_rows(),
        properties_rows(),
    ]
    .concat()
}

#[test]
fn the_rows_are_many() {
    assert!(all_rows().len() >= 180);
}

fn check(rows: &[Row]) {
    for (version, first, body, code, what) in rows {
        let bytes = framed(*first, body);
        let fault = decode(*version, &bytes).expect_err(&format!("{version:?} {bytes:02X?} must be refused"));
        assert_eq!(fault, Fault { code: *code, what }, "{version:?} {bytes:02X?}");
    }
}

#[test]
fn fixed_headers() {
    check(&fixed_headers_rows());
}

fn fixed_headers_rows() -> Vec<Row> {
    const FLAGS: &str = "reserved flags of the fixed header";
    vec![
        (V311, 0x00, b"", MALFORMED, "packet type 0 is reserved"),
        (V5, 0x0F, b"", MALFORMED, "packet type 0 is reserved"),
        (V311, 0xF0, b"", MALFORMED, "packet type 15 is reserved before MQTT 5"),
        (V31, 0xF0, b"\x18\0", MALFORMED, "packet type 15 is reserved before MQTT 5"),
        // [MQTT-2.1.3-1] [3.1.1: MQTT-2.2.2-1], each type.
        (V311, 0x11, b"\0\x04MQTT\x04\x02\0\x3C\0\0", MALFORMED, FLAGS),
        (V5, 0x12, b"\0\x04MQTT\x05\x02\0\x3C\0\0\0", MALFORMED, FLAGS),
        (V311, 0x21, b"\0\0", MALFORMED, FLAGS),
        (V311, 0x42, b"\0\x01", MALFORMED, FLAGS),
        (V5, 0x51, b"\0\x01", MALFORMED, FLAGS),
        // [MQTT-3.6.1-1] [3.1.1: MQTT-3.6.1-1]
        (V311, 0x60, b"\0\x01", MALFORMED, FLAGS),
        (V5, 0x6A, b"\0\x01", MALFORMED, FLAGS),
        (V31, 0x6B, b"\0\x01", MALFORMED, FLAGS),
        (V311, 0x78, b"\0\x01", MALFORMED, FLAGS),
        // [MQTT-3.8.1-1] [3.1.1: MQTT-3.8.1-1]
        (V5, 0x80, b"\0\x01\0\0\x01a\0", MALFORMED, FLAGS),
        (V311, 0x80, b"\0\x01\0\x01a\0", MALFORMED, FLAGS),
        (V311, 0x8A, b"\0\x01\0\x01a\0", MALFORMED, FLAGS),
        (V311, 0x91, b"\0\x01\0", MALFORMED, FLAGS),
        // [MQTT-3.10.1-1] [3.1.1: MQTT-3.10.1-1]
        (V5, 0xA0, b"\0\x01\0\0\x01a", MALFORMED, FLAGS),
        (V311, 0xA0, b"\0\x01\0\x01a", MALFORMED, FLAGS),
        (V311, 0xB2, b"\0\x01", MALFORMED, FLAGS),
        (V311, 0xC1, b"", MALFORMED, FLAGS),
        (V5, 0xD8, b"", MALFORMED, FLAGS),
        // [MQTT-3.14.1-1] [3.1.1: MQTT-3.14.1-1]
        (V5, 0xE1, b"", MALFORMED, FLAGS),
        (V311, 0xE1, b"", MALFORMED, FLAGS),
        // [MQTT-3.15.1-1]
        (V5, 0xF2, b"", MALFORMED, FLAGS),
    ]
}

#[test]
fn bytes_that_are_too_few_or_too_many() {
    check(&bytes_that_are_too_few_or_too_many_rows());
}

fn bytes_that_are_too_few_or_too_many_rows() -> Vec<Row> {
    const EARLY: &str = "the packet ends inside a field";
    const BEHIND: &str = "bytes behind the last field";
    vec![
        (V311, 0x10, b"", MALFORMED, EARLY),
        (V311, 0x10, b"\0\x04MQTT", MALFORMED, EARLY),
        (V311, 0x10, b"\0\x04MQTT\x04\x02\0\x3C", MALFORMED, EARLY),
        (V311, 0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\x02a", MALFORMED, EARLY),
        // [MQTT-3.1.2-17] [3.1.1: MQTT-3.1.2-19] User Name Flag, [MQTT-3.1.2-19] [3.1.1: MQTT-3.1.2-21] Password Flag,
        // [MQTT-3.1.2-9] [3.1.1: MQTT-3.1.2-9] Will Flag, [MQTT-3.1.3-3] [3.1.1: MQTT-3.1.3-3] Client Identifier:
        // what must follow does not.
        (V311, 0x10, b"\0\x04MQTT\x04\x82\0\x3C\0\0", MALFORMED, EARLY),
        (V5, 0x10, b"\0\x04MQTT\x05\x82\0\x3C\0\0\0", MALFORMED, EARLY),
        (V311, 0x10, b"\0\x04MQTT\x04\xC2\0\x3C\0\0\0\x01u", MALFORMED, EARLY),
        (V5, 0x10, b"\0\x04MQTT\x05\x42\0\x3C\0\0\0", MALFORMED, EARLY),
        (V311, 0x10, b"\0\x04MQTT\x04\x06\0\x3C\0\0", MALFORMED, EARLY),
        (V311, 0x10, b"\0\x04MQTT\x04\x06\0\x3C\0\0\0\x01w", MALFORMED, EARLY),
        (V5, 0x10, b"\0\x04MQTT\x05\x06\0\x3C\0\0\0", MALFORMED, EARLY),
        (V5, 0x10, b"\0\x04MQTT\x05\x06\0\x3C\0\0\0\0\0\x01w", MALFORMED, EARLY),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\0", MALFORMED, EARLY),
        // [MQTT-3.1.2-16] [3.1.1: MQTT-3.1.2-18] no User Name Flag, [MQTT-3.1.2-18] [3.1.1: MQTT-3.1.2-20] no Password
        // Flag, [3.1.1: MQTT-3.1.2-11] no Will Flag: what must not follow does.
        (V311, 0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\0\0\x01u", MALFORMED, BEHIND),
        (V311, 0x10, b"\0\x04MQTT\x04\x82\0\x3C\0\0\0\x01u\0\x01p", MALFORMED, BEHIND),
        (V5, 0x10, b"\0\x04MQTT\x05\x82\0\x3C\0\0\0\0\x01u\0\x01p", MALFORMED, BEHIND),
        (V311, 0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\0\0\x01w\0\0", MALFORMED, BEHIND),
        (V311, 0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\0\0", MALFORMED, BEHIND),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\0\0\0\0\x01u", MALFORMED, BEHIND),
        (V311, 0x20, b"\0", MALFORMED, EARLY),
        (V311, 0x20, b"\0\0\0", MALFORMED, BEHIND),
        (V5, 0x20, b"\0\0", MALFORMED, EARLY),
        (V311, 0x30, b"", MALFORMED, EARLY),
        (V311, 0x30, b"\0\x02a", MALFORMED, EARLY),
        (V311, 0x32, b"\0\x01a\0", MALFORMED, EARLY),
        (V5, 0x30, b"\0\x01a", MALFORMED, EARLY),
        (V5, 0x30, b"\0\x01a\x02\x01", MALFORMED, EARLY),
        (V311, 0x40, b"\0", MALFORMED, EARLY),
        (V311, 0x40, b"\0\x01\0", MALFORMED, BEHIND),
        (V5, 0x40, b"\0\x01\0\0\0", MALFORMED, BEHIND),
        (V311, 0x82, b"\0\x01\0\x01a", MALFORMED, EARLY),
        (V311, 0x82, b"\0\x01\0\x01a\0\0", MALFORMED, EARLY),
        (V311, 0xA2, b"\0\x01\0\x02a", MALFORMED, EARLY),
        (V311, 0xB0, b"\0\x01\0", MALFORMED, BEHIND),
        (V311, 0xC0, b"\0", MALFORMED, BEHIND),
        (V5, 0xD0, b"\0", MALFORMED, BEHIND),
        (V311, 0xE0, b"\0", MALFORMED, BEHIND),
        (V5, 0xE0, b"\0\0\0", MALFORMED, BEHIND),
        (V5, 0xF0, b"\x18", MALFORMED, EARLY),
        (V5, 0xF0, b"\x18\0\0", MALFORMED, BEHIND),
    ]
}

#[test]
fn texts() {
    check(&texts_rows());
}

fn texts_rows() -> Vec<Row> {
    const UTF8: &str = "text that is not UTF-8";
    const NUL: &str = "U+0000 in a UTF-8 string";
    vec![
        // [MQTT-1.5.4-1] [3.1.1: MQTT-1.5.3-1]: a lone continuation byte, an overlong form, a surrogate, beyond U+10FFFF.
        (V311, 0x30, b"\0\x01\x80", MALFORMED, UTF8),
        (V311, 0x30, b"\0\x02\xC0\xAF", MALFORMED, UTF8),
        (V5, 0x30, b"\0\x03\xED\xA0\x80\0", MALFORMED, UTF8),
        (V5, 0x30, b"\0\x04\xF4\x90\x80\x80\0", MALFORMED, UTF8),
        // Topic Name [MQTT-3.3.2-1] [3.1.1: MQTT-3.3.2-1]; Client Identifier [MQTT-3.1.3-4] [3.1.1: MQTT-3.1.3-4],
        // User Name [MQTT-3.1.3-12] [3.1.1: MQTT-3.1.3-11], Will Topic [MQTT-3.1.3-11] [3.1.1: MQTT-3.1.3-10]
        (V311, 0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\x01\xFF", MALFORMED, UTF8),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\0\0\x01\xFF", MALFORMED, UTF8),
        (V311, 0x10, b"\0\x04MQTT\x04\x82\0\x3C\0\0\0\x01\xFF", MALFORMED, UTF8),
        (V5, 0x10, b"\0\x04MQTT\x05\x82\0\x3C\0\0\0\0\x01\xFF", MALFORMED, UTF8),
        (V311, 0x10, b"\0\x04MQTT\x04\x06\0\x3C\0\0\0\x01\xFF\0\0", MALFORMED, UTF8),
        (V5, 0x10, b"\0\x04MQTT\x05\x06\0\x3C\0\0\0\0\0\x01\xFF\0\0", MALFORMED, UTF8),
        // Topic Filters [MQTT-3.8.3-1] [MQTT-3.10.3-1] [3.1.1: MQTT-3.8.3-1] [3.1.1: MQTT-3.10.3-1]
        (V311, 0x82, b"\0\x01\0\x01\xFF\0", MALFORMED, UTF8),
        (V5, 0x82, b"\0\x01\0\0\x01\xFF\0", MALFORMED, UTF8),
        (V311, 0xA2, b"\0\x01\0\x01\xFF", MALFORMED, UTF8),
        (V5, 0xA2, b"\0\x01\0\0\x01\xFF", MALFORMED, UTF8),
        // Content Type [MQTT-3.3.2-19], Response Topic [MQTT-3.3.2-13], both parts of a User Property [MQTT-1.5.7-1]
        (V5, 0x30, b"\0\x01a\x04\x03\0\x01\xFF", MALFORMED, UTF8),
        (V5, 0x30, b"\0\x01a\x04\x08\0\x01\xFF", MALFORMED, UTF8),
        (V5, 0x30, b"\0\x01a\x07\x26\0\x01\xFF\0\x01v", MALFORMED, UTF8),
        (V5, 0x30, b"\0\x01a\x07\x26\0\x01k\0\x01\xFF", MALFORMED, UTF8),
        // [MQTT-1.5.4-2] [3.1.1: MQTT-1.5.3-2]
        (V311, 0x30, b"\0\x03a\0b", MALFORMED, NUL),
        (V5, 0x30, b"\0\x03+\0b\0", MALFORMED, NUL),
        (V311, 0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\x01\0", MALFORMED, NUL),
        (V311, 0x10, b"\0\x04MQTT\x04\x82\0\x3C\0\0\0\x01\0", MALFORMED, NUL),
        (V311, 0x10, b"\0\x04MQTT\x04\x06\0\x3C\0\0\0\x01\0\0\0", MALFORMED, NUL),
        (V5, 0x82, b"\0\x01\0\0\x01\0\0", MALFORMED, NUL),
        (V5, 0xA2, b"\0\x01\0\0\x01\0", MALFORMED, NUL),
        (V5, 0x30, b"\0\x01a\x04\x08\0\x01\0", MALFORMED, NUL),
        (V5, 0x30, b"\0\x01a\x07\x26\0\x01\0\0\x01v", MALFORMED, NUL),
    ]
}

#[test]
fn connect() {
    check(&connect_rows());
}

fn connect_rows() -> Vec<Row> {
    const LEVEL: &str = "Protocol Level that is not spoken here";
    const NAME: &str = "Protocol Name that is not MQTT";
    const WILL: &str = "Will QoS or Will Retain without a Will";
    vec![
        // [MQTT-3.1.2-2] [3.1.1: MQTT-3.1.2-2]
        (V311, 0x10, b"\0\x04MQTT\x03\x02\0\x3C\0\0", VERSION, LEVEL),
        (V5, 0x10, b"\0\x04MQTT\x06\x02\0\x3C\0\0\0", VERSION, LEVEL),
        (V5, 0x10, b"\0\x06MQIsdp\x04\x02\0\x3C\0\0", VERSION, LEVEL),
        // A bridge of mosquitto.
        (V311, 0x10, b"\0\x04MQTT\x84\x02\0\x3C\0\0", VERSION, LEVEL),
        (V31, 0x10, b"\0\x06MQIsdp\x83\x02\0\x3C\0\0", VERSION, LEVEL),
        // [MQTT-3.1.2-1] [3.1.1: MQTT-3.1.2-1]
        (V311, 0x10, b"\0\x04MQtt\x04\x02\0\x3C\0\0", MALFORMED, NAME),
        (V311, 0x10, b"\0\x06MQIsDp\x03\x02\0\x3C\0\0", MALFORMED, NAME),
        (V311, 0x10, b"\0\0\x04\x02\0\x3C\0\0", MALFORMED, NAME),
        // [MQTT-3.1.2-3] [3.1.1: MQTT-3.1.2-3]
        (V311, 0x10, b"\0\x04MQTT\x04\x03\0\x3C\0\0", MALFORMED, "reserved Connect Flag"),
        (V31, 0x10, b"\0\x06MQIsdp\x03\x03\0\x3C\0\x01a", MALFORMED, "reserved Connect Flag"),
        (V5, 0x10, b"\0\x04MQTT\x05\x03\0\x3C\0\0\0", MALFORMED, "reserved Connect Flag"),
        // [MQTT-3.1.2-12] [3.1.1: MQTT-3.1.2-14]
        (V311, 0x10, b"\0\x04MQTT\x04\x1E\0\x3C\0\0\0\x01w\0\0", MALFORMED, "Will QoS 3"),
        (V5, 0x10, b"\0\x04MQTT\x05\x1A\0\x3C\0\0\0", MALFORMED, "Will QoS 3"),
        // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [3.1.1: MQTT-3.1.2-13] [3.1.1: MQTT-3.1.2-15]
        (V311, 0x10, b"\0\x04MQTT\x04\x0A\0\x3C\0\0", PROTOCOL, WILL),
        (V5, 0x10, b"\0\x04MQTT\x05\x12\0\x3C\0\0\0", PROTOCOL, WILL),
        (V311, 0x10, b"\0\x04MQTT\x04\x22\0\x3C\0\0", PROTOCOL, WILL),
        // [3.1.1: MQTT-3.1.2-22]
        (V311, 0x10, b"\0\x04MQTT\x04\x42\0\x3C\0\0\0\x01p", PROTOCOL, "Password without User Name"),
        (V31, 0x10, b"\0\x06MQIsdp\x03\x42\0\x3C\0\x01a\0\x01p", PROTOCOL, "Password without User Name"),
        // [MQTT-4.7.3-1] [3.1.1: MQTT-4.7.3-1], [MQTT-3.3.2-2] [3.1.1: MQTT-3.3.2-2]
        (V311, 0x10, b"\0\x04MQTT\x04\x06\0\x3C\0\0\0\0\0\0", MALFORMED, "empty Will Topic"),
        (V5, 0x10, b"\0\x04MQTT\x05\x06\0\x3C\0\0\0\0\0\0\0\0", MALFORMED, "empty Will Topic"),
        (V311, 0x10, b"\0\x04MQTT\x04\x06\0\x3C\0\0\0\x01#\0\0", MALFORMED, "wildcard in a Topic Name"),
        // Section 3.1.2.11.10
        (
            V5,
            0x10,
            b"\0\x04MQTT\x05\x02\0\x3C\x04\x16\0\x01d\0\0",
            PROTOCOL,
            "Authentication Data without Authentication Method",
        ),
    ]
}

#[test]
fn publish() {
    check(&publish_rows());
}

fn publish_rows() -> Vec<Row> {
    const WILDCARD: &str = "wildcard in a Topic Name";
    vec![
        // [MQTT-3.3.1-4] [3.1.1: MQTT-3.3.1-4]
        (V311, 0x36, b"\0\x01a\0\x01", MALFORMED, "QoS 3"),
        (V5, 0x3E, b"\0\x01a\0\x01\0", MALFORMED, "QoS 3"),
        // [MQTT-3.3.1-2] [3.1.1: MQTT-3.3.1-2]
        (V311, 0x38, b"\0\x01a", MALFORMED, "DUP with QoS 0"),
        (V5, 0x39, b"\0\x01a\0", MALFORMED, "DUP with QoS 0"),
        // [MQTT-2.2.1-3] [3.1.1: MQTT-2.3.1-1]
        (V311, 0x32, b"\0\x01a\0\0", PROTOCOL, "Packet Identifier 0"),
        (V5, 0x34, b"\0\x01a\0\0\0", PROTOCOL, "Packet Identifier 0"),
        // [MQTT-3.3.2-2] [MQTT-4.7.0-1] [3.1.1: MQTT-3.3.2-2] [3.1.1: MQTT-4.7.1-1]
        (V311, 0x30, b"\0\x03a/+", MALFORMED, WILDCARD),
        (V311, 0x30, b"\0\x01#", MALFORMED, WILDCARD),
        (V5, 0x30, b"\0\x03a+b\0", MALFORMED, WILDCARD),
        // [MQTT-4.7.3-1] [3.1.1: MQTT-4.7.3-1] and section 3.3.2.1
        (V31, 0x30, b"\0\0x", MALFORMED, "empty Topic Name"),
        (V311, 0x30, b"\0\0x", MALFORMED, "empty Topic Name"),
        (V5, 0x30, b"\0\0\0x", PROTOCOL, "empty Topic Name without Topic Alias"),
        // [MQTT-3.3.2-8]
        (V5, 0x30, b"\0\x01a\x03\x23\0\0", ALIAS, "Topic Alias 0"),
        // [MQTT-3.3.2-14]
        (V5, 0x30, b"\0\x01a\x04\x08\0\x01#", PROTOCOL, "Response Topic that is no Topic Name"),
        (V5, 0x30, b"\0\x01a\x04\x08\0\x01+", PROTOCOL, "Response Topic that is no Topic Name"),
        (V5, 0x30, b"\0\x01a\x03\x08\0\0", PROTOCOL, "Response Topic that is no Topic Name"),
    ]
}

#[test]
fn subscribe_and_unsubscribe() {
    check(&subscribe_and_unsubscribe_rows());
}

fn subscribe_and_unsubscribe_rows() -> Vec<Row> {
    const RESERVED: &str = "reserved bits of the Subscription Options";
    vec![
        (V311, 0x82, b"\0\0\0\x01a\0", PROTOCOL, "Packet Identifier 0"),
        (V5, 0xA2, b"\0\0\0\0\x01a", PROTOCOL, "Packet Identifier 0"),
        // [MQTT-3.8.3-2] [MQTT-3.10.3-2] [3.1.1: MQTT-3.8.3-3] [3.1.1: MQTT-3.10.3-2]
        (V311, 0x82, b"\0\x01", PROTOCOL, "SUBSCRIBE without a Topic Filter"),
        (V5, 0x82, b"\0\x01\0", PROTOCOL, "SUBSCRIBE without a Topic Filter"),
        (V311, 0xA2, b"\0\x01", PROTOCOL, "UNSUBSCRIBE without a Topic Filter"),
        (V5, 0xA2, b"\0\x01\0", PROTOCOL, "UNSUBSCRIBE without a Topic Filter"),
        // [MQTT-4.7.3-1] [3.1.1: MQTT-4.7.3-1]
        (V311, 0x82, b"\0\x01\0\0\0", MALFORMED, "empty Topic Filter"),
        (V5, 0xA2, b"\0\x01\0\0\0", MALFORMED, "empty Topic Filter"),
        // [MQTT-3.8.3-5] [3.1.1: MQTT-3.8.3-4]
        (V311, 0x82, b"\0\x01\0\x01a\x04", MALFORMED, RESERVED),
        (V31, 0x82, b"\0\x01\0\x01a\x80", MALFORMED, RESERVED),
        (V5, 0x82, b"\0\x01\0\0\x01a\x40", MALFORMED, RESERVED),
        (V5, 0x82, b"\0\x01\0\0\x01a\0\0\x01b\x80", MALFORMED, RESERVED),
        (V311, 0x82, b"\0\x01\0\x01a\x03", MALFORMED, "QoS 3"),
        (V5, 0x82, b"\0\x01\0\0\x01a\x03", PROTOCOL, "QoS 3 or Retain Handling 3"),
        (V5, 0x82, b"\0\x01\0\0\x01a\x31", PROTOCOL, "QoS 3 or Retain Handling 3"),
        // [MQTT-3.8.3-4]
        (V5, 0x82, b"\0\x01\0\0\x0A$share/g/a\x04", PROTOCOL, "No Local on a Shared Subscription"),
    ]
}

#[test]
fn answers() {
    check(&answers_rows());
}

fn answers_rows() -> Vec<Row> {
    const UNKNOWN: &str = "unknown Reason Code";
    const OTHER: &str = "Reason Code of another packet type";
    vec![
        // [MQTT-3.2.2-1]
        (V311, 0x20, b"\x02\0", MALFORMED, "reserved Connect Acknowledge Flags"),
        (V5, 0x20, b"\x81\0\0", MALFORMED, "reserved Connect Acknowledge Flags"),
        // [3.1.1: MQTT-3.2.2-4] [MQTT-3.2.2-6]
        (V311, 0x20, b"\x01\x02", PROTOCOL, "Session Present in a refusal"),
        (V5, 0x20, b"\x01\x87\0", PROTOCOL, "Session Present in a refusal"),
        (V311, 0x20, b"\0\x06", PROTOCOL, "reserved Connect Return code"),
        (V5, 0x20, b"\0\x05\0", PROTOCOL, UNKNOWN),
        (V5, 0x20, b"\0\x01\0", PROTOCOL, OTHER),
        (V311, 0x40, b"\0\0", PROTOCOL, "Packet Identifier 0"),
        (V5, 0x62, b"\0\0", PROTOCOL, "Packet Identifier 0"),
        (V5, 0x40, b"\0\x01\x92", PROTOCOL, OTHER),
        (V5, 0x50, b"\0\x01\x03", PROTOCOL, UNKNOWN),
        (V5, 0x62, b"\0\x01\x80", PROTOCOL, OTHER),
        (V5, 0x70, b"\0\x01\xFF\0", PROTOCOL, UNKNOWN),
        (V311, 0x90, b"\0\0\0", PROTOCOL, "Packet Identifier 0"),
        (V311, 0x90, b"\0\x01", PROTOCOL, "SUBACK without a Reason Code"),
        (V5, 0x90, b"\0\x01\0", PROTOCOL, "SUBACK without a Reason Code"),
        // [3.1.1: MQTT-3.9.3-2]
        (V311, 0x90, b"\0\x01\x03", PROTOCOL, "reserved SUBACK return code"),
        (V5, 0x90, b"\0\x01\0\0\x03", PROTOCOL, UNKNOWN),
        (V5, 0x90, b"\0\x01\0\0\x10", PROTOCOL, OTHER),
        (V311, 0xB0, b"\0\0", PROTOCOL, "Packet Identifier 0"),
        (V5, 0xB0, b"\0\x01\0", PROTOCOL, "UNSUBACK without a Reason Code"),
        (V5, 0xB0, b"\0\x01\0\x01", PROTOCOL, OTHER),
        (V5, 0xE0, b"\x10", PROTOCOL, OTHER),
        (V5, 0xE0, b"\x05\0", PROTOCOL, UNKNOWN),
        (V5, 0xF0, b"\x87\0", PROTOCOL, OTHER),
    ]
}

#[test]
fn properties() {
    check(&properties_rows());
}

fn properties_rows() -> Vec<Row> {
    const OTHER: &str = "property of another packet type";
    const TWICE: &str = "property more than once";
    const FLAG: &str = "property that is neither 0 nor 1";
    vec![
        // Section 2.2.2.2
        (V5, 0x30, b"\0\x01a\x02\0\0", MALFORMED, "unknown Property Identifier"),
        (V5, 0x30, b"\0\x01a\x02\x2B\0", MALFORMED, "unknown Property Identifier"),
        (V5, 0x30, b"\0\x01a\x02\x81\0", MALFORMED, "unknown Property Identifier"),
        (V5, 0x30, b"\0\x01a\x05\x11\0\0\0\x01", MALFORMED, OTHER),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\x02\x01\x01\0\0", MALFORMED, OTHER),
        // Will Delay Interval in CONNECT, Receive Maximum in the Will.
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\x05\x18\0\0\0\x01\0\0", MALFORMED, OTHER),
        (V5, 0x10, b"\0\x04MQTT\x05\x06\0\x3C\0\0\0\x03\x21\0\x01\0\x01w\0\0", MALFORMED, OTHER),
        (V5, 0x82, b"\0\x01\x03\x1F\0\0\0\x01a\0", MALFORMED, OTHER),
        (V5, 0xA2, b"\0\x01\x02\x0B\x01\0\x01a", MALFORMED, OTHER),
        (V5, 0x30, b"\0\x01a\x04\x01\x01\x01\x01", PROTOCOL, TWICE),
        (V5, 0x30, b"\0\x01a\x06\x03\0\0\x03\0\0", PROTOCOL, TWICE),
        (V5, 0x82, b"\0\x01\x04\x0B\x01\x0B\x02\0\x01a\0", PROTOCOL, TWICE),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\x06\x21\0\x01\x21\0\x02\0\0", PROTOCOL, TWICE),
        (V5, 0x40, b"\0\x01\0\x06\x1F\0\0\x1F\0\0", PROTOCOL, TWICE),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\x03\x21\0\0\0\0", PROTOCOL, "Receive Maximum 0"),
        (V5, 0x20, b"\0\0\x03\x21\0\0", PROTOCOL, "Receive Maximum 0"),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\x05\x27\0\0\0\0\0\0", PROTOCOL, "Maximum Packet Size 0"),
        (V5, 0x82, b"\0\x01\x02\x0B\0\0\x01a\0", PROTOCOL, "Subscription Identifier 0"),
        (V5, 0x30, b"\0\x01a\x02\x0B\0", PROTOCOL, "Subscription Identifier 0"),
        (V5, 0x30, b"\0\x01a\x02\x01\x02", PROTOCOL, FLAG),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\x02\x17\x02\0\0", PROTOCOL, FLAG),
        (V5, 0x10, b"\0\x04MQTT\x05\x02\0\x3C\x02\x19\x02\0\0", PROTOCOL, FLAG),
        (V5, 0x20, b"\0\0\x02\x24\x02", PROTOCOL, FLAG),
        (V5, 0x20, b"\0\0\x02\x25\xFF", PROTOCOL, FLAG),
        (V5, 0x20, b"\0\0\x02\x28\x02", PROTOCOL, FLAG),
        (V5, 0x20, b"\0\0\x02\x29\x02", PROTOCOL, FLAG),
        (V5, 0x20, b"\0\0\x02\x2A\x02", PROTOCOL, FLAG),
        // A property that reaches beyond the Property Length.
        (V5, 0x30, b"\0\x01a\x01\x01\x01", MALFORMED, "the packet ends inside a field"),
        (V5, 0x30, b"\0\x01a\x03\x02\0\0\0\0", MALFORMED, "the packet ends inside a field"),
        // [MQTT-1.5.5-1]
        (V5, 0x30, b"\0\x01a\x80\0", MALFORMED, "Variable Byte Integer that is not in its shortest form"),
        (V5, 0x20, b"\0\0\x80\0", MALFORMED, "Variable Byte Integer that is not in its shortest form"),
        (V5, 0x30, b"\0\x01a\x03\x0B\x81\0", MALFORMED, "Variable Byte Integer that is not in its shortest form"),
        (V5, 0x30, b"\0\x01a\x80\x80\x80\x80\x01", MALFORMED, "Variable Byte Integer of more than four bytes"),
        (V5, 0x30, b"\0\x01a\x06\x0B\xFF\xFF\xFF\xFF\x01", MALFORMED, "Variable Byte Integer of more than four bytes"),
    ]
}

#[test]
fn remaining_length() {
    let refused = |version, bytes: &[u8], what| assert_eq!(decode(version, bytes), Err(Fault::malformed(what)));
    let five_bytes = "Variable Byte Integer of more than four bytes";
    refused(V311, b"\xC0\x80\x80\x80\x80\x00", five_bytes);
    refused(V5, b"\x30\xFF\xFF\xFF\xFF\x7F", five_bytes);
    // Known without the fifth byte.
    assert_eq!(peek(b"\xC0\x80\x80\x80\x80"), Err(Fault::malformed(five_bytes)));
    refused(V311, b"", "the packet ends inside its fixed header");
    refused(V311, b"\xC0", "the packet ends inside its fixed header");
    refused(V311, b"\xC0\x80", "the packet ends inside its fixed header");
    refused(V311, b"\xC0\x01", "Remaining Length is not what follows");
    refused(V311, b"\xC0\x00\x00", "Remaining Length is not what follows");
    // [MQTT-1.5.5-1] is new in MQTT 5.
    refused(V5, b"\xC0\x80\x00", "Remaining Length is not in its shortest form");
    assert_eq!(decode(V311, b"\xC0\x80\x00"), Ok(Packet::Pingreq));
    assert_eq!(decode(V31, b"\xC0\x80\x80\x80\x00"), Ok(Packet::Pingreq));
    // CONNECT is judged by the version that it names.
    refused(V311, b"\x10\x8D\0\0\x04MQTT\x05\x02\0\x3C\0\0\0", "Remaining Length is not in its shortest form");
    assert!(decode(V5, b"\x10\x8C\0\0\x04MQTT\x04\x02\0\x3C\0\0").is_ok());
}

/// Table 2-6 of MQTT 5: the packets that each Reason Code may be in, by their type's number. What is sent is held to
/// it by assertions: CONNACK [MQTT-3.2.2-8], PUBACK [MQTT-3.4.2-1], PUBREC [MQTT-3.5.2-1], PUBREL [MQTT-3.6.2-1],
/// PUBCOMP [MQTT-3.7.2-1], SUBACK [MQTT-3.9.3-2], UNSUBACK [MQTT-3.11.3-2], DISCONNECT [MQTT-3.14.2-1], AUTH
/// [MQTT-3.15.2-1].
const REASON_CODES: &[(u8, &[u8])] = &[
    (0x00, &[2, 4, 5, 6, 7, 9, 11, 14, 15]),
    (0x01, &[9]),
    (0x02, &[9]),
    (0x04, &[14]),
    (0x10, &[4, 5]),
    (0x11, &[11]),
    (0x18, &[15]),
    (0x19, &[15]),
    (0x80, &[2, 4, 5, 9, 11, 14]),
    (0x81, &[2, 14]),
    (0x82, &[2, 14]),
    (0x83, &[2, 4, 5, 9, 11, 14]),
    (0x84, &[2]),
    (0x85, &[2]),
    (0x86, &[2]),
    (0x87, &[2, 4, 5, 9, 11, 14]),
    (0x88, &[2]),
    (0x89, &[2, 14]),
    (0x8A, &[2]),
    (0x8B, &[14]),
    (0x8C, &[2, 14]),
    (0x8D, &[14]),
    (0x8E, &[14]),
    (0x8F, &[9, 11, 14]),
    (0x90, &[2, 4, 5, 14]),
    (0x91, &[4, 5, 9, 11]),
    (0x92, &[6, 7]),
    (0x93, &[14]),
    (0x94, &[14]),
    (0x95, &[2, 14]),
    (0x96, &[14]),
    (0x97, &[2, 4, 5, 9, 14]),
    (0x98, &[14]),
    (0x99, &[2, 4, 5, 14]),
    (0x9A, &[2, 14]),
    (0x9B, &[2, 14]),
    (0x9C, &[2, 14]),
    (0x9D, &[2, 14]),
    (0x9E, &[9, 14]),
    (0x9F, &[2, 14]),
    (0xA0, &[14]),
    (0xA1, &[9, 14]),
    (0xA2, &[9, 14]),
];

#[test]
fn every_reason_code_in_every_packet() {
    for byte in 0..=255u8 {
        let listed = REASON_CODES.iter().find(|(code, _)| *code == byte);
        assert_eq!(ReasonCode::from_byte(byte).map(|code| code as u8), listed.map(|(code, _)| *code));
        assert_eq!(ReasonCode::from_byte(byte).is_some_and(ReasonCode::is_error), listed.is_some() && byte >= 0x80);
        for packet_type in [2, 4, 5, 6, 7, 9, 11, 14, 15u8] {
            let body = match packet_type {
                2 => vec![0, byte, 0],
                4..=7 => vec![0, 1, byte],
                9 | 11 => vec![0, 1, 0, byte],
                _ => vec![byte, 0],
            };
            let flags = if packet_type == 6 { 2 } else { 0 };
            let legal = listed.is_some_and(|(_, packets)| packets.contains(&packet_type));
            let bytes = framed(packet_type << 4 | flags, &body);
            let read = decode(V5, &bytes);
            assert_eq!(read.is_ok(), legal, "0x{byte:02X} in packet type {packet_type}: {read:?}");
        }
    }
}

/// Table 2-4 of MQTT 5: identifier, a value, the packets that it may be in (0: Will Properties).
const PROPERTIES: &[(u8, &[u8], &[u8])] = &[
    (0x01, b"\x01", &[0, 3]),
    (0x02, b"\0\0\0\x01", &[0, 3]),
    (0x03, b"\0\x01a", &[0, 3]),
    (0x08, b"\0\x01a", &[0, 3]),
    (0x09, b"\0\x01a", &[0, 3]),
    (0x0B, b"\x01", &[3, 8]),
    (0x11, b"\0\0\0\x01", &[1, 2, 14]),
    (0x12, b"\0\x01a", &[2]),
    (0x13, b"\0\x01", &[2]),
    (0x15, b"\0\x01a", &[1, 2, 15]),
    (0x16, b"\0\x01a\x15\0\x01a", &[1, 2, 15]),
    (0x17, b"\x01", &[1]),
    (0x18, b"\0\0\0\x01", &[0]),
    (0x19, b"\x01", &[1]),
    (0x1A, b"\0\x01a", &[2]),
    (0x1C, b"\0\x01a", &[2, 14]),
    (0x1F, b"\0\x01a", &[2, 4, 5, 6, 7, 9, 11, 14, 15]),
    (0x21, b"\0\x01", &[1, 2]),
    (0x22, b"\0\x01", &[1, 2]),
    (0x23, b"\0\x01", &[3]),
    (0x24, b"\x01", &[2]),
    (0x25, b"\x01", &[2]),
    (0x26, b"\0\x01a\0\x01b", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15]),
    (0x27, b"\0\0\0\x01", &[1, 2]),
    (0x28, b"\x01", &[2]),
    (0x29, b"\x01", &[2]),
    (0x2A, b"\x01", &[2]),
];

/// A packet of `packet_type` (0: a CONNECT with a Will) with these properties.
fn with_properties(packet_type: u8, properties: &[u8]) -> Vec<u8> {
    let list = [&[properties.len() as u8], properties].concat();
    let (flags, before, after): (u8, &[u8], &[u8]) = match packet_type {
        0 => (0, b"\0\x04MQTT\x05\x06\0\x3C\0\0\0", b"\0\x01w\0\0"),
        1 => (0, b"\0\x04MQTT\x05\x02\0\x3C", b"\0\0"),
        2 => (0, b"\0\0", b""),
        3 => (0, b"\0\x01a", b""),
        4 | 5 | 7 => (0, b"\0\x01\0", b""),
        6 => (2, b"\0\x01\0", b""),
        8 => (2, b"\0\x01", b"\0\x01a\0"),
        9 | 11 => (0, b"\0\x01", b"\0"),
        10 => (2, b"\0\x01", b"\0\x01a"),
        14 => (0, b"\0", b""),
        _ => (0, b"\0", b""),
    };
    framed(packet_type.max(1) << 4 | flags, &[before, &list, after].concat())
}

#[test]
fn every_property_in_every_packet() {
    for id in 0..=255u8 {
        let listed = PROPERTIES.iter().find(|(listed, ..)| *listed == id);
        for packet_type in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15] {
            let value = listed.map_or(&b"\0\0\0\0"[..], |(_, value, _)| value);
            let once = [&[id], value].concat();
            let read = decode(V5, &with_properties(packet_type, &once)).map(drop);
            let Some((_, _, packets)) = listed else {
                assert_eq!(read, Err(Fault::malformed("unknown Property Identifier")), "0x{id:02X}");
                continue;
            };
            if !packets.contains(&packet_type) {
                let fault = Fault::malformed("property of another packet type");
                assert_eq!(read, Err(fault), "0x{id:02X} in {packet_type}");
                continue;
            }
            assert_eq!(read, Ok(()), "0x{id:02X} in {packet_type}");
            let twice = decode(V5, &with_properties(packet_type, &[&once[..], &once].concat())).map(drop);
            let repeats = id == 0x26 || (id == 0x0B && packet_type == 3);
            let expected = if repeats { Ok(()) } else { Err(Fault::protocol("property more than once")) };
            assert_eq!(twice, expected, "0x{id:02X} twice in {packet_type}");
        }
    }
}
