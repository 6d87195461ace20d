//! The JSON scanner takes what serde_json takes, to the depth that it goes to.

use engine::limits::JSON_DEPTH_MAX;
use engine::row::json::validate;
use serde_json::Value;

pub fn run(text: &[u8]) {
    let ours = validate(text);
    match serde_json::from_slice::<Value>(text) {
        Ok(value) => assert_eq!(ours.is_ok(), depth(&value) <= JSON_DEPTH_MAX, "{ours:?}"),
        Err(theirs) if theirs.to_string().starts_with("recursion limit") => assert!(ours.is_err()),
        Err(theirs) => {
            let fault = ours.expect_err(&theirs.to_string());
            assert!(fault.at <= text.len());
        }
    }
}

/// serde_json itself stops at 128, so recursion is bounded.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
