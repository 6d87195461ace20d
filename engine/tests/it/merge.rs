//! Frames: PROTOCOL.md section 2 ("Payload", "Values", "Below a #", splitting), folding, and the law of section 3.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use engine::dialect::Form;
use engine::limits::MERGE_SCRATCH_BYTES_MAX;
use engine::row::fold::State;
use engine::row::merge::Merge;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::graft::rows as grafted;

/// One row as `Merge` takes it: topic, payload, text, deleted.
type Given<'a> = (&'a str, &'a [u8], bool, bool);

fn merged(filter: &str, rows: &[Given<'_>]) -> Vec<u8> {
    merged_as(Form::default(), filter, rows)
}

fn merged_as(form: Form, filter: &str, rows: &[Given<'_>]) -> Vec<u8> {
    let mut merge = Merge::new();
    merge.begin(filter, form);
    for &(topic, payload, text, deleted) in rows {
        merge.row(topic, payload, text, deleted);
    }
    let mut out = b"before".to_vec();
    merge.finish(&mut out);
    out.split_off(b"before".len())
}

/// The body for plain rows.
fn body(filter: &str, rows: &[(&str, &str)]) -> String {
    let rows: Vec<Given<'_>> = rows.iter().map(|&(topic, payload)| (topic, payload.as_bytes(), false, false)).collect();
    String::from_utf8(merged(filter, &rows)).unwrap()
}

/// How one payload stands under `t/+`.
fn value(payload: &[u8], text: bool, deleted: bool) -> String {
    let body = String::from_utf8(merged("t/+", &[("t/k", payload, text, deleted)])).unwrap();
    body.strip_prefix("{\"k\":").unwrap().strip_suffix('}').unwrap().to_owned()
}

fn plain(payload: &str) -> String {
    value(payload.as_bytes(), false, false)
}

#[test]
fn a_filter_without_wildcard_gives_the_payload_untouched() {
    // [MOTE-2.6]
    assert_eq!(body("a/b", &[("a/b", " {1} ")]), " {1} ");
    assert_eq!(body("a/b", &[("a/b", "1"), ("a/b", "2")]), "2", "the last row wins");
    assert_eq!(body("a/b", &[]), "");
    assert_eq!(merged("a/b", &[("a/b", b"\xff", true, false)]), b"\xff");
    assert_eq!(merged("a/b", &[("a/b", b"1", false, false), ("a/b", b"", false, true)]), b"", "deleted");
}

#[test]
fn one_nesting_per_wildcard_level_and_none_for_literal_levels() {
    // [MOTE-2.7]
    assert_eq!(
        body("light/+/is_on", &[("light/livingroom/is_on", "0"), ("light/bedroom/is_on", "1")]),
        r#"{"bedroom":1,"livingroom":0}"#
    );
    assert_eq!(body("+/x/+", &[("a/x/b", "1"), ("a/x/c", "2"), ("d/x/b", "3")]), r#"{"a":{"b":1,"c":2},"d":{"b":3}}"#);
    assert_eq!(body("a/+/b/+", &[("a/1/b/2", "3")]), r#"{"1":{"2":3}}"#);
    assert_eq!(body("+", &[("a", "1"), ("b", "2")]), r#"{"a":1,"b":2}"#);
    assert_eq!(body("+/+", &[("/", "1"), ("a/", "2"), ("/a", "3")]), r#"{"":{"":1,"a":3},"a":{"":2}}"#);
    assert_eq!(body("/+", &[("/a", "1")]), r#"{"a":1}"#);
}

#[test]
fn a_hash_nests_all_the_levels_that_it_stands_for() {
    // [MOTE-2.8]
    assert_eq!(
        body("a/#", &[("a/b/c/d", "1"), ("a/b/c/e", "2"), ("a/f", "3"), ("a/b/g", "4")]),
        r#"{"b":{"c":{"d":1,"e":2},"g":4},"f":3}"#
    );
    assert_eq!(
        body("+/x/#", &[("a/x/b/c", "1"), ("d/x/e", "2"), ("f/x", "3")]),
        r#"{"a":{"b":{"c":1}},"d":{"e":2},"f":3}"#
    );
    assert_eq!(body("#", &[("a/b", "1"), ("c", "2"), ("/", "3")]), r#"{"":{"":3},"a":{"b":1},"c":2}"#);
    assert_eq!(body("a/+/b/+/#", &[("a/1/b/2/3/4", "5"), ("a/1/b/2", "6")]), r#"{"1":{"2":{"/":6,"3":{"4":5}}}}"#);
}

#[test]
fn nothing_that_matches_is_an_empty_object() {
    assert_eq!(body("a/#", &[]), "{}");
    assert_eq!(body("+", &[]), "{}");
}

#[test]
fn keys_are_escaped() {
    assert_eq!(body("t/+", &[("t/\"\\\u{1}é", "1")]), "{\"\\\"\\\\\\u0001é\":1}");
}

#[test]
fn a_text_row_is_a_json_string() {
    // [MOTE-2.11]
    assert_eq!(value(b"1", true, false), r#""1""#);
    assert_eq!(value(b"{\"a\":\n}", true, false), r#""{\"a\":\n}""#);
    assert_eq!(value(b"", true, false), r#""""#);
    assert_eq!(value(b"\xff", true, false), r#"{"$b64":"/w=="}"#, "marked text and none");
}

#[test]
fn a_complete_json_text_is_embedded_byte_for_byte_without_white_space_around_it() {
    // [MOTE-2.12]
    for json in ["1.50", "-0", "1E+2", "true", "\"a\\u00e9\\/\"", "[ 1 , 2 ]", "{ \"b\" : { } }", "\"\""] {
        assert_eq!(plain(json), json);
        assert_eq!(plain(&format!(" \r\n\t{json} \r\n\t")), json);
    }
}

#[test]
fn json_null_is_no_value_but_a_string() {
    // [MOTE-2.13]
    assert_eq!(plain("null"), r#""null""#);
    assert_eq!(plain(" null "), r#"" null ""#);
    assert_eq!(plain("[null]"), "[null]");
}

#[test]
fn what_is_embedded_is_at_most_64_deep() {
    // [MOTE-2.13]
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(plain(&nested(64)), nested(64));
    assert_eq!(plain(&nested(65)), format!("\"{}\"", nested(65)));
    let topic = format!("t{}", "/k".repeat(199));
    let body = body("#", &[(&topic, &nested(64))]);
    assert!(body.contains(&nested(64)), "the nestings of the frame do not count");
    assert_eq!(plain(&nested(1_000_000)).len(), 2_000_002);
}

#[test]
fn what_is_embedded_has_no_unpaired_surrogate_escapes() {
    // [MOTE-2.13]
    assert_eq!(plain(r#""\ud83d\ude00""#), r#""\ud83d\ude00""#);
    assert_eq!(plain(r#""\ud83d""#), r#""\"\\ud83d\"""#);
    assert_eq!(plain(r#"["\ude00"]"#), r#""[\"\\ude00\"]""#);
}

#[test]
fn other_utf8_is_a_json_string() {
    // [MOTE-2.14]
    assert_eq!(plain("hello"), r#""hello""#);
    assert_eq!(plain("1 2"), r#""1 2""#);
    assert_eq!(plain("{\"a\":1"), r#""{\"a\":1""#);
    assert_eq!(plain("01"), r#""01""#);
    assert_eq!(plain(" "), r#"" ""#);
    assert_eq!(plain("\u{feff}1"), "\"\u{feff}1\"");
}

#[test]
fn bytes_that_are_not_utf8_are_wrapped() {
    // [MOTE-2.15]
    assert_eq!(value(b"\xff", false, false), r#"{"$b64":"/w=="}"#);
    assert_eq!(value(b"\xff\x00\xfe", false, false), r#"{"$b64":"/wD+"}"#);
    assert_eq!(value(b"\xfe\xff\xfe\xff", false, false), r#"{"$b64":"/v/+/w=="}"#);
}

const STRINGS: Form = Form { strings: true, meta: false, versions: false, classic: false };
const META: Form = Form { strings: false, meta: true, versions: false, classic: false };

/// How one payload stands in a frame of this form.
fn value_as(form: Form, payload: &[u8], text: bool) -> String {
    String::from_utf8(merged_as(form, "t/#", &[("t/k", payload, text, false)])).unwrap()
}

// [MOTE-2.62]
#[test]
fn where_every_value_is_a_string_payloads_are_not_looked_into() {
    for payload in ["1", " 2.50 ", "null", "{}", "[1, 2]", "", "\"x\"", "true"] {
        for text in [false, true] {
            let expected = serde_json::json!({ "k": payload }).to_string();
            assert_eq!(value_as(STRINGS, payload.as_bytes(), text), expected);
        }
    }
    assert_eq!(value_as(STRINGS, b"\xff", false), r#"{"k":"{\"$b64\":\"/w==\"}"}"#);
    assert_eq!(merged_as(STRINGS, "t/+", &[("t/k", b"1", false, true)]), br#"{"k":null}"#);
    let nested = [("t/k", &b"{}"[..], false, false), ("t/k/l", b"1", false, false)];
    assert_eq!(merged_as(STRINGS, "t/#", &nested), br#"{"k":{"/":"{}","l":"1"}}"#);
    assert_eq!(merged_as(STRINGS, "t", &[("t", b"1", false, false)]), b"1", "no tree, no value");
}

// [MOTE-8.9]
#[test]
fn the_classic_spelling_is_that_of_pythons_json_dumps() {
    assert_eq!(
        value_as(Form::CLASSIC, "é\u{1F600}\u{7f}\n\"\\/\u{1}".as_bytes(), false),
        "{\"k\": \"\\u00e9\\ud83d\\ude00\\u007f\\n\\\"\\\\/\\u0001\"}"
    );
    let rows = [("t/é", &b"1"[..], false, false), ("t/a", b"", false, true), ("t/b/c", b"x", true, false)];
    assert_eq!(merged_as(Form::CLASSIC, "t/#", &rows), br#"{"a": null, "b": {"c": "x"}, "\u00e9": "1"}"#);
    assert_eq!(merged_as(Form::CLASSIC, "t/#", &[]), b"{}");
}

/// Tree and versions of rows with these versions, where each object has the highest number in it.
fn versioned(filter: &str, rows: &[(&str, &[u8], u64)]) -> String {
    let mut merge = Merge::new();
    merge.begin(filter, Form { versions: true, ..META });
    for (topic, payload, version) in rows {
        merge.row_at(topic, payload, false, payload.is_empty(), *version);
    }
    let object = |object: &str| {
        let is_in = |topic: &str| topic == object || topic.starts_with(&format!("{object}/"));
        rows.iter().filter(|(topic, ..)| is_in(topic)).map(|(.., version)| *version).max()
    };
    let mut made = String::new();
    merge.finish_parts(10_000, &object, |parts| {
        made = format!("{} {}", String::from_utf8_lossy(parts.tree), String::from_utf8_lossy(parts.versions));
    });
    made
}

// [MOTE-2.60] [MOTE-2.61]
#[test]
fn versions_nest_as_their_tree_does() {
    let rows: [(&str, &[u8], u64); 3] = [("l/a/on", b"1", 7), ("l/b/on", b"", 9), ("l/c/on", b"{}", 8)];
    // The outermost nesting stands for the stem.
    assert_eq!(versioned("l/+/on", &rows), r##"{"a":1,"b":null,"c":{}} {"#":9,"a":7,"b":9,"c":8}"##);
    // One between two `+` stands for the topic up to the second.
    let rows: [(&str, &[u8], u64); 3] = [("l/a/x/u", b"1", 7), ("l/a/x/v", b"2", 6), ("l/b/x/u", b"3", 9)];
    let versions = r##"{"#":9,"a":{"#":7,"u":7,"v":6},"b":{"#":9,"u":9}}"##;
    assert_eq!(versioned("l/+/x/+", &rows), format!(r#"{{"a":{{"u":1,"v":2}},"b":{{"u":3}}}} {versions}"#));
    // A filter that begins with a wildcard has no object at its stem.
    assert_eq!(versioned("+/+", &[("a/b", b"1", 7)]), r##"{"a":{"b":1}} {"a":{"#":7,"b":7}}"##);
}

// [MOTE-2.60] [MOTE-2.61]
#[test]
fn below_a_hash_a_node_has_its_version_and_that_of_its_object() {
    let rows: [(&str, &[u8], u64); 4] = [("t/a", b"1", 3), ("t/a/b", b"2", 7), ("t/c", b"{}", 5), ("t/d", b"4", 6)];
    let tree = r#"{"a":{"/":1,"b":2},"c":{"/":{}},"d":4}"#;
    assert_eq!(versioned("t/#", &rows), format!(r##"{tree} {{"#":7,"a":{{"#":7,"/":3,"b":7}},"c":{{"/":5}},"d":6}}"##));
    assert_eq!(versioned("t/#", &[("t", b"1", 3)]), r#"{"/":1} {"/":3}"#, "nothing below");
    assert_eq!(versioned("t/#", &[]), "{} {}");
    assert_eq!(versioned("t", &[("t", b"x", 3)]), r#""x" 3"#, "no wildcard");
    assert_eq!(versioned("t", &[("t", b"", 4)]), "null 4");
    assert_eq!(versioned("t", &[]), "null 0", "no row");
}

// [MOTE-2.59]
#[test]
fn in_a_wrapping_a_row_without_wildcard_is_a_value() {
    assert_eq!(merged_as(META, "t", &[("t", b" [1] ", false, false)]), b"[1]");
    assert_eq!(merged_as(META, "t", &[("t", b"x", false, false)]), b"\"x\"");
    assert_eq!(merged_as(META, "t", &[("t", b"1", true, false)]), b"\"1\"");
    assert_eq!(merged_as(META, "t", &[("t", b"1", false, true)]), b"null");
    assert_eq!(merged_as(META, "t", &[]), b"null");
}

#[test]
fn a_deleted_row_is_null_and_an_event_with_empty_payload_an_empty_string() {
    // [MOTE-2.16] [MOTE-2.24]
    assert_eq!(value(b"", false, true), "null");
    assert_eq!(value(b"", true, true), "null");
    assert_eq!(value(b"", false, false), r#""""#);
}

#[test]
fn below_a_hash_what_is_an_object_goes_under_the_key_slash() {
    // [MOTE-2.17] [MOTE-2.18]
    assert_eq!(body("a/#", &[("a/b", r#"{"c":1}"#)]), r#"{"b":{"/":{"c":1}}}"#);
    assert_eq!(body("a/#", &[("a/b", "{}")]), r#"{"b":{"/":{}}}"#);
    assert_eq!(body("a/#", &[("a/b", "[{}]")]), r#"{"b":[{}]}"#);
    assert_eq!(merged("a/#", &[("a/b", b"\xff", false, false)]), br#"{"b":{"/":{"$b64":"/w=="}}}"#);
    assert_eq!(merged("a/#", &[("a/b", b"{}", true, false)]), br#"{"b":"{}"}"#, "a text row is no object");
    assert_eq!(body("+/#", &[("a", "{}")]), r#"{"a":{"/":{}}}"#, "the node where the # begins");
}

#[test]
fn below_a_hash_the_value_of_a_node_with_rows_below_it_goes_under_the_key_slash() {
    // [MOTE-2.18]
    assert_eq!(body("a/#", &[("a/b/c", "1"), ("a/b", "2")]), r#"{"b":{"/":2,"c":1}}"#);
    assert_eq!(body("a/#", &[("a/b", "2"), ("a/bc", "1"), ("a/b!", "3")]), r#"{"b":2,"b!":3,"bc":1}"#, "no rows below");
    assert_eq!(body("a/#", &[("a/b", "2"), ("a/b/", "1")]), r#"{"b":{"/":2,"":1}}"#, "an empty level is a level");
    assert_eq!(
        merged("a/#", &[("a/b", b"", false, true), ("a/b/c", b"1", false, false)]),
        br#"{"b":{"/":null,"c":1}}"#
    );
}

#[test]
fn a_hash_matches_its_parent_whose_value_is_the_top_level_slash() {
    // [MOTE-2.19]
    assert_eq!(body("a/#", &[("a", "1")]), r#"{"/":1}"#);
    assert_eq!(body("a/#", &[("a", "1"), ("a/", "2"), ("a/b", "3")]), r#"{"/":1,"":2,"b":3}"#);
    assert_eq!(merged("a/#", &[("a", b"", false, true)]), br#"{"/":null}"#);
    assert_eq!(body("/#", &[("/", "1"), ("/a", "2")]), r#"{"":1,"a":2}"#);
    assert_eq!(body("a/+/#", &[("a/x", "1")]), r#"{"x":1}"#);
}

#[test]
fn where_only_plus_levels_are_left_the_value_is_the_rows_whatever_its_type() {
    // [MOTE-2.20]
    assert_eq!(body("a/+", &[("a/b", r#"{"c":1}"#)]), r#"{"b":{"c":1}}"#);
    assert_eq!(merged("a/+/b", &[("a/x/b", b"\xff", false, false)]), br#"{"x":{"$b64":"/w=="}}"#);
}

#[test]
fn the_last_row_of_a_topic_wins() {
    // [MOTE-2.28]
    assert_eq!(body("a/+", &[("a/b", "1"), ("a/c", "2"), ("a/b", "3")]), r#"{"b":3,"c":2}"#);
    assert_eq!(merged("a/+", &[("a/b", b"1", false, false), ("a/b", b"", false, true)]), br#"{"b":null}"#);
    assert_eq!(merged("a/+", &[("a/b", b"", false, true), ("a/b", b"1", false, false)]), br#"{"b":1}"#);
}

#[test]
fn a_merge_is_used_again() {
    let mut merge = Merge::new();
    for (filter, topic, expected) in
        [("a/#", "a/b", r#"{"b":1}"#), ("+", "x", r#"{"x":1}"#), ("x", "x", "1"), ("a/#", "a", r#"{"/":1}"#)]
    {
        merge.begin(filter, Form::default());
        assert!(merge.is_empty());
        merge.row(topic, b"1", false, false);
        assert_eq!(merge.len(), 1);
        let mut out = Vec::new();
        merge.finish(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_merge_that_has_grown_large_begins_anew() {
    let mut merge = Merge::new();
    let large = vec![b'9'; MERGE_SCRATCH_BYTES_MAX + 1];
    for (payload, body_bytes) in [(&large[..], large.len() + 6), (b"1", 7), (&large[..], large.len() + 6)] {
        merge.begin("t/+", Form::default());
        merge.row("t/k", payload, false, false);
        let mut out = Vec::new();
        merge.finish(&mut out);
        assert_eq!(out.len(), body_bytes);
    }
}

fn split(filter: &str, bytes_max: usize, rows: &[Given<'_>]) -> (Vec<(String, usize)>, u32) {
    let mut merge = Merge::new();
    merge.begin(filter, Form::default());
    for &(topic, payload, text, deleted) in rows {
        merge.row(topic, payload, text, deleted);
    }
    let (mut parts, mut ended) = (Vec::new(), false);
    let skipped = merge.finish_split(bytes_max, |body, rows, last| {
        assert!(!ended, "nothing follows the last part");
        assert!(body.len() <= bytes_max);
        ended = last;
        parts.push((String::from_utf8(body.to_vec()).unwrap(), rows));
    });
    assert!(ended, "there is a last part");
    (parts, skipped)
}

fn split_plain(filter: &str, bytes_max: usize, rows: &[(&str, &str)]) -> (Vec<(String, usize)>, u32) {
    let rows: Vec<Given<'_>> = rows.iter().map(|&(topic, payload)| (topic, payload.as_bytes(), false, false)).collect();
    split(filter, bytes_max, &rows)
}

#[test]
fn a_frame_too_large_is_split_into_trees() {
    let rows = [("t/a/x", "1"), ("t/a/y", "2"), ("t/b/x", "3")];
    let whole = body("t/+/+", &rows);
    assert_eq!(split_plain("t/+/+", whole.len(), &rows), (vec![(whole.clone(), 3)], 0));
    let parts = vec![(r#"{"a":{"x":1,"y":2}}"#.to_owned(), 2), (r#"{"b":{"x":3}}"#.to_owned(), 1)];
    assert_eq!(split_plain("t/+/+", whole.len() - 1, &rows), (parts.clone(), 0));
    assert_eq!(split_plain("t/+/+", 19, &rows), (parts, 0));
    assert_eq!(split_plain("t/+/+", 18, &rows).0.len(), 3);
    assert_eq!(split_plain("t/+", 2, &[]), (vec![("{}".to_owned(), 0)], 0));
}

#[test]
fn a_row_that_alone_does_not_fit_is_left_out_and_counted() {
    let long = "9".repeat(100);
    assert_eq!(
        split_plain("t/+", 20, &[("t/a", "1"), ("t/b", &long), ("t/c", "3")]),
        (vec![(r#"{"a":1}"#.to_owned(), 1), (r#"{"c":3}"#.to_owned(), 1)], 1)
    );
    assert_eq!(split_plain("t/+", 20, &[("t/a", "1"), ("t/b", &long)]), (vec![(r#"{"a":1}"#.to_owned(), 1)], 1));
    assert_eq!(split_plain("t/+", 20, &[("t/b", &long), ("t/c", &long)]), (vec![("{}".to_owned(), 0)], 2));
    assert_eq!(split_plain("t/k", 20, &[("t/k", &long)]), (vec![(String::new(), 0)], 1));
    assert_eq!(split_plain("t/k", 20, &[("t/k", "1")]), (vec![("1".to_owned(), 1)], 0));
    assert_eq!(split_plain("t/k", 20, &[]), (vec![(String::new(), 0)], 0));
}

#[test]
fn a_part_that_ends_between_a_node_and_what_is_below_it_is_still_right() {
    let rows = [("t/a", "1"), ("t/a/b", "2")];
    let parts = vec![(r#"{"a":{"/":1}}"#.to_owned(), 1), (r#"{"a":{"b":2}}"#.to_owned(), 1)];
    assert_eq!(split_plain("t/#", 15, &rows), (parts, 0));
}

fn folded(filter: &str, frames: &[&str]) -> Vec<(String, String)> {
    let mut state = State::new(filter);
    for frame in frames {
        state.fold(frame.as_bytes()).unwrap();
    }
    let text = |(topic, value): (&str, &[u8])| (topic.to_owned(), String::from_utf8(value.to_vec()).unwrap());
    state.rows().map(text).collect()
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|&(topic, value)| (topic.to_owned(), value.to_owned())).collect()
}

#[test]
fn folding_sets_and_deletes_where_only_plus_levels_are_left() {
    let frames = [r#"{"a":{"x":1,"y":{"o":null}}}"#, r#"{"a":{"x":null},"b":{"x":[2]}}"#];
    assert_eq!(folded("t/+/u/+", &frames), pairs(&[("t/a/u/y", r#"{"o":null}"#), ("t/b/u/x", "[2]")]));
}

#[test]
fn folding_below_a_hash_leaves_the_children_of_a_value_alone() {
    // [MOTE-2.17]
    let first = r#"{"/":0,"a":{"/":{"o":1},"b":1,"c":{"d":"\u0041"}}}"#;
    let all = [("t", "0"), ("t/a", r#"{"o":1}"#), ("t/a/b", "1"), ("t/a/c/d", r#""\u0041""#)];
    assert_eq!(folded("t/#", &[first]), pairs(&all));
    assert_eq!(folded("t/#", &[first, r#"{"a":null,"/":null}"#]), pairs(&all[2..]));
    assert_eq!(folded("t/#", &[first, r#"{"a":{"/":7,"b":null,"c":{}}}"#]), pairs(&[all[0], ("t/a", "7"), all[3]]));
    assert_eq!(folded("t/#", &[first, r#"{"a":7}"#])[1], ("t/a".to_owned(), "7".to_owned()));
}

#[test]
fn folding_a_filter_without_wildcard_takes_the_payload() {
    assert_eq!(folded("t", &[" x "]), pairs(&[("t", " x ")]));
    assert_eq!(folded("t", &["x", ""]), pairs(&[]));
}

#[test]
fn what_is_no_frame_changes_nothing() {
    let mut state = State::new("t/+/+");
    state.fold(br#"{"a":{"b":1}}"#).unwrap();
    let before = state.clone();
    assert_eq!(state.fold(br#"{"a":{"b":2},"c":3}"#).unwrap_err().at, 17);
    assert_eq!(state.fold(br#"{"a":{"b":2}"#).unwrap_err().at, 12);
    assert_eq!(state.fold(b"[1]").unwrap_err().at, 0);
    assert_eq!(state.fold(b"{\"a\":{\"\xff\":2}}").unwrap_err().at, 7);
    assert_eq!(state, before);
}

#[test]
fn a_state_says_itself_as_one_frame() {
    let mut state = State::new("t/#");
    state.fold(br#"{"b":{"c":1},"a":{"/":{"x":"\u0041"}}}"#).unwrap();
    state.fold(br#"{"b":2}"#).unwrap();
    let mut out = Vec::new();
    state.to_json(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":{"/":{"x":"\u0041"}},"b":{"/":2,"c":1}}"#);
}

/// What a payload is in a frame, said without any of our code.
fn naive_value(payload: &[u8], text: bool) -> Value {
    let Ok(utf8) = std::str::from_utf8(payload) else {
        return serde_json::json!({ "$b64": BASE64.encode(payload) });
    };
    match serde_json::from_str(utf8) {
        Ok(value) if !text && value != Value::Null => value,
        _ => Value::String(utf8.to_owned()),
    }
}

/// Filters, with the topics that histories use below them.
const FILTERS: [(&str, &[&str]); 8] = [
    ("t/+", &["t/a", "t/b", "t/c", "t/a!", "t/"]),
    ("t/+/u/+", &["t/a/u/x", "t/a/u/y", "t/b/u/x", "t/c/u/", "t//u/x"]),
    ("t/#", &["t", "t/", "t/a", "t/a/b", "t/a/b/c", "t/a!", "t/a/", "t/b/c/d/e"]),
    ("+/u/#", &["a/u", "a/u/b", "a/u/b/c", "b/u/", "b/u", "b!/u/x"]),
    ("#", &["a", "a/b", "a/b/c", "/", "//", "b", "b/$b64", "a!"]),
    ("+/+", &["a/b", "a/c", "/", "b/", "b/é\u{1}\""]),
    ("t/+/#", &["t/a", "t/a/b", "t/a/b/c", "t/b/c", "t//x", "t/"]),
    ("t/k", &["t/k"]),
];

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let some: &[&[u8]] = &[
        b"1",
        b" 2.50 ",
        b"null",
        b"{}",
        b" {\"a\":{\"b\":1}}",
        b"[{}]",
        b"\"\"",
        b"\"x\\u0041\"",
        b"hello",
        b"\xff\xfe",
        b"{\"/\":1}",
        b"{\"$b64\":\"aGk=\"}",
        b"\n",
        b"true",
        b"1e400",
    ];
    prop_oneof![prop::sample::select(some).prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 1..6)]
}

/// Which topic (by index), what payload (`None`: deleted), marked text.
type Step = (Index, Option<Vec<u8>>, bool);

fn history() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (any::<Index>(), prop::option::weighted(0.7, payload()), prop::bool::weighted(0.2));
    prop::collection::vec(prop::collection::vec(step, 0..8), 1..8)
}

/// What a history leaves: payloads of rows, and the version of each row that there ever was.
#[derive(Default)]
struct Model<'a> {
    rows: BTreeMap<&'a str, (Vec<u8>, bool)>,
    versions: BTreeMap<&'a str, u64>,
}

impl Model<'_> {
    fn object_version(&self, object: &str) -> u64 {
        let is_in =
            |topic: &str| topic == object || topic.strip_prefix(object).is_some_and(|rest| rest.starts_with('/'));
        self.versions.iter().filter(|(topic, _)| is_in(topic)).map(|(_, version)| *version).max().unwrap_or(0)
    }

    /// Values as a state has them.
    fn values(&self, filter: &str, form: Form) -> Vec<(&str, Value)> {
        let is_value = form.meta || filter.contains(['+', '#']);
        let value = |payload: &[u8], text: bool| match naive_value(payload, text || form.strings || !is_value) {
            Value::Object(wrapper) if form.strings && is_value => Value::String(Value::Object(wrapper).to_string()),
            value => value,
        };
        self.rows.iter().map(|(&topic, (payload, text))| (topic, value(payload, *text))).collect()
    }
}

fn wrapped(tree: &[u8], versions: &[u8], form: Form) -> Vec<u8> {
    if !form.meta {
        return tree.to_vec();
    }
    let versions = if form.versions { [b",\"versions\":", versions].concat() } else { Vec::new() };
    [b"{\"mote\":\"frame;live;n=0\",\"tree\":", tree, &versions, b"}"].concat()
}

fn fold_history(
    form: Form,
    (filter, topics): (&str, &[&str]),
    history: &[Vec<Step>],
    bytes_max: usize,
) -> Result<(), TestCaseError> {
    let mut state = if form.meta { State::of_wrapped(filter) } else { State::new(filter) };
    let (mut merge, mut model) = (Merge::new(), Model::default());
    for (number, batch) in history.iter().enumerate() {
        let version = number as u64 + 1;
        merge.begin(filter, form);
        for (topic, payload, text) in batch {
            let topic = topics[topic.index(topics.len())];
            merge.row_at(topic, payload.as_deref().unwrap_or_default(), *text, payload.is_none(), version);
            model.versions.insert(topic, version);
            match payload {
                Some(payload) => drop(model.rows.insert(topic, (payload.clone(), *text))),
                None => drop(model.rows.remove(topic)),
            }
        }
        // A filter without wildcard has no frame that says that nothing happened.
        if batch.is_empty() {
            continue;
        }
        let mut faults = Vec::new();
        let skipped = merge.finish_parts(bytes_max, &|object| Some(model.object_version(object)), |made| {
            assert!(made.tree.len() + made.versions.len() <= bytes_max);
            faults.extend(state.fold(&wrapped(made.tree, made.versions, form)).err());
        });
        prop_assert_eq!((skipped, faults), (0, vec![]));
    }
    let is_value = form.meta || filter.contains(['+', '#']);
    let said = |value: &[u8]| if is_value { serde_json::from_slice(value).unwrap() } else { naive_value(value, true) };
    let folded: Vec<_> = state.rows().map(|(topic, value)| (topic, said(value))).collect();
    prop_assert_eq!(folded, model.values(filter, form));
    if form.versions {
        let live = model.versions.iter().filter(|(topic, _)| model.rows.contains_key(*topic));
        let versions: Vec<_> = live.map(|(&topic, &version)| (topic, version)).collect();
        prop_assert_eq!(state.versions().collect::<Vec<_>>(), versions);
        for (object, version) in state.objects() {
            prop_assert_eq!(version, model.object_version(object), "{}", object);
        }
    }
    if !form.meta {
        let (mut again, mut whole) = (State::new(filter), Vec::new());
        state.to_json(&mut whole);
        again.fold(&whole).unwrap();
        prop_assert_eq!(again, state);
    }
    Ok(())
}

/// Patterns of tree publishes that have rows at any depth.
const PATTERNS: [&str; 10] = ["t", "t/#", "t/**", "t/+", "t/+/u", "+/t/*", "+/+/+", "t/+/u/#", "+/#", "#"];

fn filter_of(pattern: &str) -> String {
    let filter = pattern.replace("**", "#").replace('*', "+");
    if filter.contains(['+', '#']) { filter } else { filter + "/#" }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&["a", "b", "c", "", "a!", "é", "\"\\", "\u{1}"][..]).prop_map(str::to_owned),
        "[a-z]{1,9}"
    ]
}

/// A value as it stands where no more wildcard levels are left.
fn leaf_value() -> impl Strategy<Value = Value> {
    let binary =
        prop::collection::vec(128..=255_u8, 1..5).prop_filter("not UTF-8", |b| std::str::from_utf8(b).is_err());
    prop_oneof![
        3 => crate::json::json_text().prop_filter_map("whole JSON", |text| serde_json::from_str(&text).ok()),
        1 => any::<String>().prop_map(Value::String),
        1 => Just(Value::String(String::new())),
        1 => Just(Value::Null),
        1 => binary.prop_map(|bytes| serde_json::json!({ "$b64": BASE64.encode(bytes) })),
    ]
}

/// A nesting of at most so many levels below a `#`, with values of nodes among them.
fn deep_tree() -> impl Strategy<Value = Value> {
    let leaf = leaf_value().prop_filter("an object is a nesting", |value| !value.is_object());
    leaf.prop_recursive(4, 30, 5, |inner| {
        (prop::collection::btree_map(key(), inner, 0..5), prop::option::of(leaf_value())).prop_map(|(members, own)| {
            let own = own.map(|own| ("/".to_owned(), own));
            Value::Object(members.into_iter().chain(own).collect())
        })
    })
}

fn tree(pattern: &'static str) -> BoxedStrategy<Value> {
    let single = pattern.split('/').filter(|level| matches!(*level, "+" | "*")).count();
    let deep = single == 0 || pattern.ends_with('#');
    let mut tree = if deep { deep_tree().boxed() } else { leaf_value().boxed() };
    for _ in 0..single {
        tree = prop::collection::btree_map(key(), tree, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
            .boxed();
    }
    tree.prop_filter("a tree is an object", |tree| tree.is_object())
        .prop_filter("no topic is empty", move |tree| match pattern {
            "#" => tree.get("/").is_none() && tree.get("").is_none(),
            "+/#" => tree.get("").is_none(),
            _ => true,
        })
        .boxed()
}

/// The tree without null leaves and empty nestings; below a `#`, `{"/": v}` is v where v is no object.
fn normal(value: &Value, single: usize, deep: bool, top: bool) -> Option<Value> {
    let nesting = single > 0 || deep;
    let Value::Object(members) = value else { return (*value != Value::Null).then(|| value.clone()) };
    if !nesting {
        return Some(value.clone());
    }
    let mut kept = serde_json::Map::new();
    for (key, value) in members {
        let value = if single == 0 && key == "/" {
            (*value != Value::Null).then(|| value.clone())
        } else if single == 1 && !deep {
            (*value != Value::Null).then(|| value.clone())
        } else {
            normal(value, single.saturating_sub(1), deep, false)
        };
        kept.extend(value.map(|value| (key.clone(), value)));
    }
    match kept.get("/") {
        Some(own) if single == 0 && kept.len() == 1 && !own.is_object() && !top => Some(own.clone()),
        _ if kept.is_empty() => None,
        _ => Some(Value::Object(kept)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    // [MOTE-2.21] [MOTE-2.60] [MOTE-2.62]
    #[test]
    fn folding_frames_in_order_gives_the_retained_rows_in_every_form(
        which in 0..FILTERS.len(),
        form in prop::sample::select(&Form::ALL[..]),
        history in history(),
        bytes_max in 80_usize..200,
    ) {
        let bytes_max = if form.versions { 3 * bytes_max } else { bytes_max };
        fold_history(form, FILTERS[which], &history, bytes_max)?;
    }

    #[test]
    fn the_order_of_rows_does_not_matter(which in 0..FILTERS.len(), payloads in prop::collection::vec(payload(), 8), order in Just([0, 1, 2, 3, 4, 5, 6, 7]).prop_shuffle()) {
        let (filter, topics) = FILTERS[which];
        let rows: Vec<Given<'_>> = topics.iter().zip(&payloads).map(|(&topic, payload)| (topic, payload.as_slice(), false, false)).collect();
        let shuffled: Vec<Given<'_>> = order.iter().filter_map(|&at| rows.get(at).copied()).collect();
        prop_assert_eq!(merged(filter, &rows), merged(filter, &shuffled));
    }

    #[test]
    fn a_tree_published_and_read_back_over_the_same_pattern_is_the_same(
        (pattern, tree) in prop::sample::select(&PATTERNS[..]).prop_flat_map(|pattern| (Just(pattern), tree(pattern))),
    ) {
        // [MOTE-3.14]
        let rows = grafted(pattern, &tree.to_string());
        let given: Vec<Given<'_>> = rows
            .iter()
            .filter(|(_, payload, _)| !payload.is_empty())
            .map(|(topic, payload, text)| (topic.as_str(), payload.as_slice(), *text, false))
            .collect();
        let body = merged(&filter_of(pattern), &given);
        let read: Value = serde_json::from_slice(&body).unwrap();
        let single = pattern.split('/').filter(|level| matches!(*level, "+" | "*")).count();
        let deep = filter_of(pattern).ends_with('#');
        let expected = normal(&tree, single, deep, true).unwrap_or_else(|| serde_json::json!({}));
        prop_assert_eq!(&read, &expected, "{}", String::from_utf8_lossy(&body));
        // And a tree in, the same rows out: what was read back can be published again.
        prop_assert_eq!(grafted(pattern, &read.to_string()).len(), given.len());
    }
}
