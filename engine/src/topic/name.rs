//! What may be published to.

use crate::limits::STRING_BYTES_MAX;

/// Whether `topic` may be published to: not empty [MQTT-4.7.3-1], no wildcard [MQTT-3.3.2-2], no U+0000
/// [MQTT-4.7.3-2], at most 65 535 bytes [MQTT-4.7.3-3] (a tree publish puts topics together that no packet carried),
/// at most `levels_max` levels. The error says what is wrong, for a reason string.
pub fn check_name(topic: &str, levels_max: usize) -> Result<(), &'static str> {
    if topic.is_empty() {
        return Err("the topic is empty");
    }
    if topic.len() > STRING_BYTES_MAX {
        return Err("the topic is longer than 65535 bytes");
    }
    // One pass without branches: this runs for every publish.
    let mut slashes = 0_usize;
    let mut forbidden = false;
    for byte in topic.bytes() {
        slashes += usize::from(byte == b'/');
        forbidden |= (byte == b'+') | (byte == b'#') | (byte == 0);
    }
    if forbidden {
        return Err(if topic.contains('\0') { "the topic contains U+0000" } else { "the topic contains a wildcard" });
    }
    if slashes >= levels_max {
        return Err("the topic has too many levels");
    }
    Ok(())
}
