//! What may be published to.

use crate::limits::STRING_BYTES_MAX;

/// Slashes of one part are counted in one byte.
const PART_BYTES: usize = 240;
const _: () = assert!(PART_BYTES <= u8::MAX as usize);

/// Whether `topic` may be published to: not empty [MQTT-4.7.3-1], no wildcard [MQTT-3.3.2-2], no U+0000
/// [MQTT-4.7.3-2], at most 65 535 bytes [MQTT-4.7.3-3] (a tree publish puts topics together that no packet carried),
/// at most `levels_max` levels. [3.1.1: MQTT-4.7.3-1..3] [3.1.1: MQTT-3.3.2-2]. The error says what is wrong, for a reason
/// string.
pub fn check_name(topic: &str, levels_max: usize) -> Result<(), &'static str> {
    if topic.is_empty() {
        return Err("the topic is empty");
    }
    if topic.len() > STRING_BYTES_MAX {
        return Err("the topic is longer than 65535 bytes");
    }
    // One pass without branches, in bytes: this runs for every publish, and so the compiler takes 16 at a time.
    let (mut slashes, mut forbidden) = (0_usize, 0_u8);
    for part in topic.as_bytes().chunks(PART_BYTES) {
        let mut count = 0_u8;
        for &byte in part {
            count += u8::from(byte == b'/');
            forbidden |= u8::from(byte == b'+') | u8::from(byte == b'#') | u8::from(byte == 0);
        }
        slashes += usize::from(count);
    }
    if forbidden != 0 {
        return Err(if topic.contains('\0') { "the topic contains U+0000" } else { "the topic contains a wildcard" });
    }
    if slashes >= levels_max {
        return Err("the topic has too many levels");
    }
    Ok(())
}
