//! Any payload under any pattern: refused leaving nothing behind, or rows that merge into a frame, which folds
//! into the same rows, and published again is the same frame. Input: pattern, line feed, payload.

use std::collections::BTreeMap;

use engine::dialect::Form;
use engine::row::batch::Batch;
use engine::row::fold::State;
use engine::row::graft::{Bounds, graft};
use engine::row::merge::Merge;

const BOUNDS: Bounds = Bounds { rows: 1_000, levels: 80 };

pub fn run(input: &[u8]) {
    let Some(end) = input.iter().position(|&b| b == b'\n') else { return };
    let Ok(pattern) = std::str::from_utf8(&input[..end]) else { return };
    let Some((rows, body)) = frame(pattern, &input[end + 1..]) else { return };

    let mut state = State::new(&filter_of(pattern));
    assert_eq!(state.fold(&body), Ok(()));
    let topics: Vec<&str> = state.rows().map(|(topic, _)| topic).collect();
    assert!(topics.iter().eq(rows.keys()), "{topics:?} {:?}", rows.keys());

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

fn filter_of(pattern: &str) -> String {
    let level = |level| match level {
        "*" => "+",
        "**" => "#",
        other => other,
    };
    let filter = pattern.split('/').map(level).collect::<Vec<_>>().join("/");
    if filter.contains(['+', '#']) { filter } else { filter + "/#" }
}
