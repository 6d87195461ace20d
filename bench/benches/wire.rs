//! Packets decode and encode.

mod room;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::wire::{Packet, Properties, Publish, QoS, Version, decode, encode};
use room::Room;
use std::hint::black_box;

/// Content Type "text/plain" and one User Property, encoded.
const PROPERTIES: &[u8] = b"\x03\x00\x0atext/plain\x26\x00\x04unit\x00\x07celsius";

fn publish<'a>(qos: QoS, payload: &'a [u8], properties: &'static [u8]) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: "building/3/floor/2/room/17/temperature",
        packet_id: if qos == QoS::AtMostOnce { 0 } else { 4_711 },
        properties: Properties::from_encoded(properties),
        payload,
    })
}

fn publishes(criterion: &mut Criterion) {
    let payload = [b'7'; 4_096];
    let cases = [
        ("3.1.1 QoS 0, 32 bytes", Version::V311, publish(QoS::AtMostOnce, &payload[..32], b"")),
        ("3.1.1 QoS 1, 4 KiB", Version::V311, publish(QoS::AtLeastOnce, &payload, b"")),
        ("5.0 QoS 0, 32 bytes", Version::V5, publish(QoS::AtMostOnce, &payload[..32], b"")),
        ("5.0 QoS 1, properties", Version::V5, publish(QoS::AtLeastOnce, &payload[..32], PROPERTIES)),
    ];
    let mut room = Room::new(criterion, "wire/publish");
    for (name, version, packet) in cases {
        let mut bytes = Vec::new();
        encode(version, &packet, &mut bytes);
        room.measure(&format!("decode/{name}"), Throughput::Elements(1), || {
            black_box(decode(version, black_box(&bytes))).is_ok()
        });
        let mut out = Vec::with_capacity(bytes.len());
        room.measure(&format!("encode/{name}"), Throughput::Elements(1), || {
            out.clear();
            encode(version, black_box(&packet), &mut out);
        });
    }
}

criterion_group!(benches, publishes);
criterion_main!(benches);
