//! What may be subscribed to, and the rule by which a filter matches a topic.

use crate::limits::STRING_BYTES_MAX;

/// Whether `filter` may be subscribed to: not empty [MQTT-4.7.3-1], no U+0000 [MQTT-4.7.3-2], at most 65 535 bytes
/// [MQTT-4.7.3-3], `#` alone in the last level [MQTT-4.7.1-1], `+` alone in its level [MQTT-4.7.1-2], at most
/// `levels_max` levels. In MQTT 3.1.1 these are [3.1.1: MQTT-4.7.3-1..3] and [3.1.1: MQTT-4.7.1-2..3]. The error says
/// what is wrong, for a reason string.
pub fn check_filter(filter: &str, levels_max: usize) -> Result<(), &'static str> {
    if filter.is_empty() {
        return Err("the filter is empty");
    }
    if filter.len() > STRING_BYTES_MAX {
        return Err("the filter is longer than 65535 bytes");
    }
    let mut levels = 0_usize;
    let mut ended = false;
    for level in filter.split('/') {
        if ended {
            return Err("# stands before the last level of the filter");
        }
        ended = level == "#";
        levels += 1;
        if level.len() > 1 && level.contains(['+', '#']) {
            return Err("a wildcard shares a level of the filter with other characters");
        }
        if level.contains('\0') {
            return Err("the filter contains U+0000");
        }
    }
    if levels > levels_max {
        return Err("the filter has too many levels");
    }
    Ok(())
}

/// Whether `filter` matches `topic`; both must be valid. `#` also matches the level above it, and a wildcard in the
/// first level matches no topic that begins with `$` [MQTT-4.7.2-1] [3.1.1: MQTT-4.7.2-1]. Level by level, byte by byte
/// [MQTT-4.7.3-4] [3.1.1: MQTT-4.7.3-4], without a table: for single questions, and the measure of the trie in the tests.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether a valid filter contains a wildcard.
pub fn is_wildcard(filter: &str) -> bool {
    filter.bytes().any(|byte| byte == b'+' || byte == b'#')
}

/// The literal levels of a valid filter before its first wildcard, without trailing `/`. Empty both for `+/a` (no
/// level) and for `/+` (one level, which is empty): where that matters ask [`stem_levels`].
pub fn stem(filter: &str) -> &str {
    match filter.find(['+', '#']) {
        Some(at) => &filter[..at.saturating_sub(1)],
        None => filter,
    }
}

/// How many literal levels stand before the first wildcard.
pub fn stem_levels(filter: &str) -> usize {
    filter.split('/').take_while(|level| *level != "+" && *level != "#").count()
}
