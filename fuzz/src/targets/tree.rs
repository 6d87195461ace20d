//! Any payload under any pattern: refused leaving nothing behind, or rows that merge into a frame, which folds
//! into the same rows, and published again is the same frame. Cut into small frames, in each form that a reader may ask
//! for and as the first Mote broker's readers have them, it folds into the same topics, and what deletes them leaves
//! nothing. Kept, the rows are there until they expire. Input: pattern, line feed, payload.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use engine::dialect::Form;
use engine::key::GroupId;
use engine::row::batch::Batch;
use engine::row::change::Kept;
use engine::row::fold::State;
use engine::row::graft::{Bounds, graft};
use engine::row::merge::Merge;
use engine::row::retained::{Retained, Walk};
use engine::topic::level::Interner;
use engine::wire::QoS;

const BOUNDS: Bounds = Bounds { rows: 1_000, levels: 80 };
/// Bodies of so many bytes, by the length of the input.
const BODY_BYTES: [usize; 4] = [8, 32, 100, 1_000];

pub fn run(input: &[u8]) {
    let Some(end) = input.iter().position(|&b| b == b'\n') else { return };
    let Ok(pattern) = std::str::from_utf8(&input[..end]) else { return };
    let Some((rows, body)) = frame(pattern, &input[end + 1..]) else { return };

    let mut state = State::new(&filter_of(pattern));
    assert_eq!(state.fold(&body), Ok(()));
    let topics: Vec<&str> = state.rows().map(|(topic, _)| topic).collect();
    assert!(topics.iter().eq(rows.keys()), "{topics:?} {:?}", rows.keys());
    for form in Form::ALL {
        check_split(&filter_of(pattern), &rows, &state, form, BODY_BYTES[input.len() % BODY_BYTES.len()]);
    }
    check_kept(&filter_of(pattern), &rows, input.len());

    // Bytes that were published wrapped and are text come back as text.
    let wrapped = input.windows(2).any(|two| two == b"64" || two == b"\\u");
    // A value that moved under the key `/` of a node may have become one level too deep.
    let too_deep =
        || graft(pattern, &body, &BOUNDS, &mut Batch::default()).is_err_and(|f| f.what.contains("too deeply"));
    if !wrapped && !too_deep() {
        let again = frame(pattern, &body).map(|(_, body)| body);
        assert_eq!(again.map(lossy), Some(lossy(body)));
    }
}

fn lossy(body: Vec<u8>) -> String {
    String::from_utf8_lossy(&body).into_owned()
}

/// What is retained at each topic, and whether it was published as text.
type Rows = BTreeMap<String, (Vec<u8>, bool)>;

/// Rows and their frame.
fn frame(pattern: &str, payload: &[u8]) -> Option<(Rows, Vec<u8>)> {
    let mut batch = Batch::default();
    if let Err(fault) = graft(pattern, payload, &BOUNDS, &mut batch) {
        assert!(batch.rows.is_empty() && batch.bytes.is_empty());
        assert!(fault.at.is_none_or(|at| at <= payload.len()));
        return None;
    }
    let mut rows = BTreeMap::new();
    for row in &batch.rows {
        let topic = std::str::from_utf8(row.topic.of(&batch.bytes)).expect("a topic is UTF-8");
        assert!(!topic.is_empty() && !topic.starts_with('$') && !topic.contains(['+', '#', '\0']));
        match row.payload.of(&batch.bytes) {
            [] => drop(rows.remove(topic)),
            payload => drop(rows.insert(topic.to_owned(), (payload.to_vec(), row.text))),
        }
    }
    let mut merge = Merge::new();
    merge.begin(&filter_of(pattern), Form::default());
    // Not in the order of their paths: `/` is not the lowest byte.
    for (topic, (payload, text)) in rows.iter().rev() {
        merge.row(topic, payload, *text, false);
    }
    let mut body = Vec::new();
    merge.finish(&mut body);
    Some((rows, body))
}

/// Frames of at most `bytes_max` bytes each fold into what the one frame folds into, but for rows that fit in none.
fn check_split(filter: &str, rows: &Rows, whole: &State, form: Form, bytes_max: usize) {
    let mut state = State::new(filter);
    let mut merge = Merge::new();
    for deleted in [false, true] {
        merge.begin(filter, form);
        for (topic, (payload, text)) in rows {
            merge.row(topic, payload, *text, deleted);
        }
        let (mut count, mut ended) = (0, false);
        let skipped = merge.finish_split(bytes_max, |body, rows, is_last| {
            assert!(body.len() <= bytes_max && !ended, "{} bytes", body.len());
            (count, ended) = (count + rows, is_last);
            assert_eq!(state.fold(body), Ok(()), "{form:?}");
        });
        assert!(ended && count + skipped as usize == rows.len(), "{count} and {skipped} of {}", rows.len());
        // A value of one digit may fit where `null` does not: then it stays.
        let (left, most) = (state.rows().count(), if deleted { skipped as usize } else { count });
        assert!(left <= most && (deleted || left == count), "{left} left, {count} and {skipped}: {form:?}");
        let values: BTreeMap<&str, &[u8]> = whole.rows().collect();
        for (topic, value) in state.rows() {
            let same = form.strings || values[topic] == value;
            assert!(values.contains_key(topic) && same, "{topic} in {form:?}");
        }
    }
}

/// Rows that are kept are found, few nodes at a time, until they expire, and then they are not.
fn check_kept(filter: &str, rows: &Rows, seed: usize) {
    let mut interner = Interner::new(seed as u64);
    let mut retained = Retained::new(seed as u64);
    // Some never do.
    let expires_at_ms = |at: usize| (at + seed) as u64 % 4;
    for (at, (topic, (payload, text))) in rows.iter().enumerate() {
        let (version, qos, expires_at_ms) = (at as u64 + 1, QoS::AtLeastOnce, expires_at_ms(at));
        let row = Kept { topic, payload, properties: b"", qos, text: *text, expires_at_ms, version };
        retained.put(&mut interner, GroupId(0), row, version);
    }
    for wall_ms in 0..4 {
        let position = rows.len() as u64 + 1 + wall_ms;
        loop {
            let mut expired = Vec::new();
            retained.expire(&interner, wall_ms, 1 + seed % 3, |topic, _| expired.push(topic.to_owned()));
            for topic in &expired {
                assert!(retained.remove(&interner, topic, position, position, wall_ms).is_some(), "{topic}");
            }
            if expired.is_empty() {
                break;
            }
        }
        let is_left = |at: usize| expires_at_ms(at) == 0 || expires_at_ms(at) > wall_ms;
        let left = rows.iter().enumerate().filter(|(at, _)| is_left(*at));
        let left: BTreeMap<&str, &[u8]> = left.map(|(_, (topic, (payload, _)))| (&topic[..], &payload[..])).collect();
        let mut found = BTreeMap::new();
        let mut walk = Walk::new();
        while !retained.walk(&interner, filter, &mut walk, 1 + seed % 7, |row| {
            assert!(found.insert(row.topic.to_owned(), row.payload.to_vec()).is_none(), "{} twice", row.topic);
            ControlFlow::Continue(())
        }) {}
        assert!(found.iter().map(|(topic, payload)| (&topic[..], &payload[..])).eq(left), "at {wall_ms} ms");
    }
    assert_eq!(retained.len() + retained.tombstones(), rows.len());
}

fn filter_of(pattern: &str) -> String {
    let level = |level| match level {
        "*" => "+",
        "**" => "#",
        other => other,
    };
    let filter = pattern.split('/').map(level).collect::<Vec<_>>().join("/");
    if filter.contains(['+', '#']) { filter } else { filter + "/#" }
}
