//! Tree publishes: PROTOCOL.md section 3, sentence by sentence.

use engine::limits::TREE_TOPIC_BYTES_MAX;
use engine::row::batch::Batch;
use engine::row::graft::{Bounds, Fault, graft, graft_as_written, without_replace};
use engine::wire::ReasonCode;

const BOUNDS: Bounds = Bounds { rows: 65_536, levels: 200 };

/// Topic, payload and text mark of each row.
pub(crate) fn rows(pattern: &str, payload: &str) -> Vec<(String, Vec<u8>, bool)> {
    let mut batch = Batch::default();
    let (first, count) = graft(pattern, payload.as_bytes(), &BOUNDS, &mut batch).unwrap();
    assert_eq!((first as usize, count as usize), (0, batch.rows.len()));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let read = |row: &engine::row::batch::Row| {
        (text(row.topic.of(&batch.bytes)), row.payload.of(&batch.bytes).to_vec(), row.text)
    };
    batch.rows.iter().map(read).collect()
}

/// The rows as `topic=payload`, `"` behind the `=` of a text row.
fn shown(pattern: &str, payload: &str) -> Vec<String> {
    let show = |(topic, payload, text): (String, Vec<u8>, bool)| {
        format!("{topic}={}{}", if text { "\"" } else { "" }, payload.escape_ascii())
    };
    rows(pattern, payload).into_iter().map(show).collect()
}

fn refused_by(bounds: Bounds, pattern: &str, payload: &[u8]) -> Fault {
    let mut batch = Batch::default();
    batch.keep(b"kept");
    let fault = graft(pattern, payload, &bounds, &mut batch).unwrap_err();
    assert_eq!((batch.bytes.as_slice(), batch.rows.len()), (&b"kept"[..], 0), "nothing is left of a refused tree");
    fault
}

fn refused(pattern: &str, payload: &str) -> Fault {
    refused_by(BOUNDS, pattern, payload.as_bytes())
}

fn bad_payload(pattern: &str, payload: &str) -> usize {
    let fault = refused(pattern, payload);
    assert_eq!(fault.code, ReasonCode::PayloadFormatInvalid, "{pattern} {payload}: {}", fault.what);
    let at = fault.at.unwrap();
    assert!(fault.what.contains(&format!("at byte {at}")), "says where: {}", fault.what);
    at
}

fn bad_pattern(pattern: &str) -> Fault {
    let fault = refused(pattern, "{}");
    assert_eq!((fault.code, fault.at), (ReasonCode::TopicNameInvalid, None), "{pattern}");
    fault
}

#[test]
fn each_wildcard_takes_its_text_from_one_nesting() {
    // [MOTE-3.1]
    assert_eq!(
        shown("light/bedroom/+", r##"{"is_on":1,"brightness":55,"color":"#FFFFFF"}"##),
        ["light/bedroom/is_on=1", "light/bedroom/brightness=55", "light/bedroom/color=\"#FFFFFF"]
    );
    assert_eq!(
        shown("light/+/is_on", r#"{"bedroom":1,"livingroom":0}"#),
        ["light/bedroom/is_on=1", "light/livingroom/is_on=0"]
    );
    assert_eq!(shown("+/a/+/b/+", r#"{"x":{"y":{"z":1}}}"#), ["x/a/y/b/z=1"]);
    assert_eq!(shown("+/+", r#"{"x":{"y":1,"z":2},"w":{"":3}}"#), ["x/y=1", "x/z=2", "w/=3"]);
    assert_eq!(shown("/+", r#"{"x":1}"#), ["/x=1"]);
}

#[test]
fn a_trailing_hash_takes_every_nesting_down_to_the_first_value_that_is_no_object() {
    // [MOTE-3.2]
    assert_eq!(shown("a/#", r#"{"b":{"c":{"d":1}},"e":[{}]}"#), ["a/b/c/d=1", "a/e=[{}]"]);
    assert_eq!(shown("a/+/b/#", r#"{"x":{"c":{"d":1}},"y":2}"#), ["a/x/b/c/d=1", "a/y/b=2"]);
    assert_eq!(shown("+/#", r#"{"x":{"c":1},"y":2}"#), ["x/c=1", "y=2"]);
    assert_eq!(shown("#", r#"{"x":{"c":1},"y":2}"#), ["x/c=1", "y=2"]);
    assert_eq!(shown("/#", r#"{"x":1,"":2}"#), ["/x=1", "/=2"]);
}

#[test]
fn a_pattern_without_wildcards_has_an_implied_trailing_hash() {
    // [MOTE-3.3]
    let tree = r#"{"is_on":1,"deep":{"er":2}}"#;
    assert_eq!(shown("light/bedroom", tree), shown("light/bedroom/#", tree));
    assert_eq!(shown("light/bedroom", tree), ["light/bedroom/is_on=1", "light/bedroom/deep/er=2"]);
}

#[test]
fn stars_stand_for_wildcards() {
    // [MOTE-3.4]
    assert_eq!(shown("light/*/is_on", r#"{"a":1}"#), shown("light/+/is_on", r#"{"a":1}"#));
    assert_eq!(shown("a/*/**", r#"{"x":{"y":{"z":1}}}"#), ["a/x/y/z=1"]);
    assert_eq!(shown("**", r#"{"x":1}"#), ["x=1"]);
    assert_eq!(shown("a*b/***", r#"{"x":1}"#), ["a*b/***/x=1"], "only as a whole level");
}

#[test]
fn a_string_is_its_unescaped_bytes_and_marked_text() {
    // [MOTE-3.5]
    assert_eq!(
        rows("t/+", r#"{"a":"caf\u00e9 \ud83d\ude00\n\"","b":"1","c":" null "}"#),
        [
            ("t/a".to_owned(), "café 😀\n\"".as_bytes().to_vec(), true),
            ("t/b".to_owned(), b"1".to_vec(), true),
            ("t/c".to_owned(), b" null ".to_vec(), true),
        ]
    );
}

#[test]
fn an_empty_string_is_two_bytes_that_say_so() {
    // [MOTE-3.6]
    assert_eq!(rows("t/+", r#"{"a":""}"#), [("t/a".to_owned(), b"\"\"".to_vec(), false)]);
}

#[test]
fn numbers_and_truths_keep_their_text() {
    // [MOTE-3.7]
    assert_eq!(
        shown("t", r#"{"a":1.50,"b": 1E+2 ,"c":true,"d":false,"e":-0}"#),
        ["t/a=1.50", "t/b=1E+2", "t/c=true", "t/d=false", "t/e=-0"]
    );
}

#[test]
fn an_array_and_an_object_without_wildcards_left_keep_their_text() {
    // [MOTE-3.8]
    assert_eq!(rows("t/+", "{\"a\": [ 1,{\"b\" :2} ] }")[0].1, b"[ 1,{\"b\" :2} ]");
    assert_eq!(rows("t/+", "{\"a\": { \"b\" :{}} }")[0].1, b"{ \"b\" :{}}");
    assert_eq!(rows("t/+", "{\"a\":{}}")[0].1, b"{}");
    assert_eq!(rows("t/#", "{\"a\":[]}")[0].1, b"[]");
}

#[test]
fn an_object_whose_sole_key_is_b64_is_the_decoded_bytes() {
    // [MOTE-3.9]
    let payload = |value: &str| rows("t/+", &format!("{{\"a\":{value}}}"))[0].1.clone();
    assert_eq!(payload(r#"{"$b64":"/wD+"}"#), b"\xff\x00\xfe");
    assert_eq!(payload(r#" { "$b64" : "aGVsbG8=" } "#), b"hello");
    assert_eq!(payload(r#"{"\u0024b64":"\/w=="}"#), b"\xff");
    for other in [
        r#"{"$b64":"/w"}"#,
        r#"{"$b64":"/x=="}"#,
        r#"{"$b64":"_w=="}"#,
        r#"{"$b64":"/w==\n"}"#,
        r#"{"$b64":1}"#,
        r#"{"$b64":"/w==","b":1}"#,
        r#"{"b":1,"$b64":"/w=="}"#,
    ] {
        assert_eq!(payload(other), other.as_bytes(), "not canonical, or not the sole key");
    }
    assert_eq!(rows("t", r#"{"a":{"/":{"$b64":"/w=="}}}"#), [("t/a".to_owned(), b"\xff".to_vec(), false)]);
    assert_eq!(shown("t", r#"{"a":{"$b64":"/w=="}}"#), ["t/a/$b64=\"/w=="], "below a # an object is a nesting");
}

#[test]
fn null_is_an_empty_payload() {
    // [MOTE-3.10]
    assert_eq!(rows("t/+", r#"{"a":null}"#), [("t/a".to_owned(), vec![], false)]);
    assert_eq!(rows("t", r#"{"a":{"/":null,"b":null}}"#).len(), 2);
}

#[test]
fn the_key_slash_is_the_nodes_own_value() {
    // [MOTE-3.11]
    assert_eq!(shown("a", r#"{"/":1,"b":{"/":{"c":2},"d":3}}"#), [r"a=1", r#"a/b={\"c\":2}"#, "a/b/d=3"]);
    assert_eq!(shown("a/+/b/#", r#"{"x":{"\/":1}}"#), ["a/x/b=1"]);
    assert_eq!(bad_payload("a/+", r#"{"/":1}"#), 1, "where only + levels are left it is no topic level");
    assert_eq!(bad_payload("a/+/#", r#"{"/":1}"#), 1, "a row `a` is none of this pattern");
    assert_eq!(bad_payload("#", r#"{"/":1}"#), 1, "no topic");
    assert_eq!(bad_payload("/#", r#"{"/":1}"#), 1, "an empty topic");
}

#[test]
fn duplicate_keys_are_rows_in_their_order() {
    assert_eq!(
        shown("t", r#"{"a":1,"b":{"c":1},"a":2,"b":{"d":3,"c":2}}"#),
        ["t/a=1", "t/b/c=1", "t/a=2", "t/b/d=3", "t/b/c=2"]
    );
}

#[test]
fn empty_nestings_are_no_rows() {
    assert!(rows("t", "{}").is_empty());
    assert!(rows("t", r#" { "a" : { } , "b" : {"c":{}} } "#).is_empty());
    assert!(rows("+/+", r#"{"a":{}}"#).is_empty());
}

#[test]
fn keys_must_be_topic_levels() {
    // [MOTE-3.15]
    for bad in ["a/b", "a+", "#", r"a\u0000", r"\u002b", r"\/b"] {
        assert_eq!(bad_payload("t", &format!("{{\"good\":1,\"{bad}\":2}}")), 10, "{bad}");
        assert_eq!(bad_payload("t", &format!("{{\"good\":1,\"{bad}\":{{}}}}")), 10, "{bad} as a nesting");
    }
    assert!(refused("t", r#"{"a+b":1}"#).what.contains("\"a+b\""), "names the key");
    assert_eq!(shown("t", r#"{"":1," ":2,"\t":3,"é":4,"$x":5}"#).len(), 5);
}

#[test]
fn no_rows_first_level_begins_with_a_dollar() {
    // [MOTE-3.16]
    assert_eq!(bad_payload("+", r#"{"$SYS":1}"#), 1);
    assert_eq!(bad_payload("+/x", r#"{"\u0024SYS":1}"#), 1);
    assert_eq!(bad_payload("#", r#"{"$SYS":{"a":1}}"#), 1);
    bad_pattern("$SYS/a");
    bad_pattern("$SYS/+");
    assert_eq!(shown("/+", r#"{"$a":1}"#), ["/$a=1"]);
    assert_eq!(shown("#", r#"{"a":{"$b":1}}"#), ["a/$b=1"]);
}

#[test]
fn bad_patterns_are_refused() {
    for bad in ["", "a/#/b", "a/**/+", "a+", "a/b#", "+a/b", "##", "#/"] {
        bad_pattern(bad);
    }
}

#[test]
fn what_is_no_tree_is_refused_with_its_place() {
    // [MOTE-9.6]
    for (payload, at) in [
        ("", 0),
        ("1", 0),
        (" [1]", 1),
        ("null", 0),
        ("nonsense", 0),
        ("{\"a\":1", 6),
        ("{\"a\":1}x", 7),
        ("{\"a\":01}", 6),
        ("{\"a\":{\"b\":1,}}", 12),
        ("{\"a\":\"\\ud800\"}", 6),
        ("{\"a\":[\"\\udc00\"]}", 7),
    ] {
        assert_eq!(bad_payload("t", payload), at, "{payload}");
    }
    let fault = refused_by(BOUNDS, "t", b"{\"a\":\"\xff\"}");
    assert_eq!((fault.code, fault.at), (ReasonCode::PayloadFormatInvalid, Some(6)));
}

#[test]
fn a_value_where_a_nesting_must_stand_is_refused() {
    assert_eq!(bad_payload("a/+/+", r#"{"x":{"y":1},"z":2}"#), 17);
    assert_eq!(bad_payload("a/+/+", r#"{"x":null}"#), 5);
    assert_eq!(bad_payload("a/+/+/#", r#"{"x":[1]}"#), 5);
}

#[test]
fn rows_are_limited() {
    // [MOTE-3.21]
    let bounds = Bounds { rows: 2, levels: 200 };
    let mut batch = Batch::default();
    assert_eq!(graft("t", br#"{"a":1,"b":2}"#, &bounds, &mut batch).unwrap(), (0, 2));
    assert_eq!(graft("t", br#"{"a":1,"b":2}"#, &bounds, &mut batch).unwrap(), (2, 2), "those before do not count");
    let fault = refused_by(bounds, "t", br#"{"a":1,"b":2,"c":null}"#);
    assert_eq!((fault.code, fault.at), (ReasonCode::PayloadFormatInvalid, Some(13)));
    assert!(fault.what.contains("limits.tree_rows"));
}

#[test]
fn levels_are_limited() {
    let bounds = Bounds { rows: 9, levels: 3 };
    let mut batch = Batch::default();
    assert!(graft("a", br#"{"b":{"/":1,"c":1}}"#, &bounds, &mut batch).is_ok());
    assert!(graft("a/+/c", br#"{"b":1}"#, &bounds, &mut batch).is_ok());
    assert!(graft("+/b/#", br#"{"b":{"c":1}}"#, &bounds, &mut batch).is_ok());
    assert_eq!(refused_by(bounds, "a", br#"{"b":{"c":{"d":1}}}"#).at, Some(11));
    assert_eq!(refused_by(bounds, "+/b/#", br#"{"a":{"c":{"d":1}}}"#).at, Some(11));
    assert_eq!(refused_by(bounds, "a/b/+/d", b"{}").code, ReasonCode::TopicNameInvalid);
}

#[test]
fn nesting_is_limited_values_included() {
    // [MOTE-3.22]
    let nested = |depth: usize| format!("{}1{}", "{\"k\":".repeat(depth), "}".repeat(depth));
    assert_eq!(rows("t", &nested(64))[0].0, format!("t{}", "/k".repeat(64)));
    assert_eq!(bad_payload("t", &nested(65)), 64 * 5);
    assert!(rows("t/+", &nested(64))[0].1.starts_with(b"{\"k\":"));
    assert_eq!(bad_payload("t/+", &nested(65)), 64 * 5);
    assert_eq!(bad_payload("t", &nested(1_000_000)), 64 * 5);
    assert_eq!(bad_payload("t", &format!("{{\"a\":{}", "[".repeat(1_000_000))), 5 + 63);
}

#[test]
fn topics_are_limited_each_and_in_sum() {
    // [MOTE-3.23]
    let stem = "s".repeat(65_533);
    assert_eq!(rows(&stem, r#"{"k":1}"#)[0].0.len(), 65_535);
    assert_eq!(bad_payload(&stem, r#"{"kk":1}"#), 1);
    let many = TREE_TOPIC_BYTES_MAX / 65_535 + 1;
    let members: Vec<String> = (0..many).map(|_| "\"k\":1".to_owned()).collect();
    let fault = refused(&stem, &format!("{{{}}}", members.join(",")));
    assert_eq!((fault.code, fault.at), (ReasonCode::PayloadFormatInvalid, Some(1 + (many - 1) * 6)));
}

#[test]
fn long_keys_are_cut_in_what_is_said_about_them() {
    let fault = refused("t", &format!("{{\"{}+\":1}}", "é".repeat(1_000)));
    assert!(fault.what.len() < 200, "{}", fault.what);
}

/// Rows of the classic profile as `topic=payload`.
fn as_written(pattern: &str, payload: &str) -> Result<Vec<String>, Fault> {
    let mut batch = Batch::default();
    batch.keep(b"kept");
    graft_as_written(pattern, payload.as_bytes(), &BOUNDS, &mut batch)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let show = |row: &engine::row::batch::Row| {
        format!("{}={}", text(row.topic.of(&batch.bytes)), text(row.payload.of(&batch.bytes)))
    };
    Ok(batch.rows.iter().map(show).collect())
}

// [MOTE-8.4]
#[test]
fn in_the_classic_profile_wildcards_are_those_that_are_written() {
    let object = r#"{"a": "1", "b": {"c": 2}}"#;
    assert_eq!(as_written("t/+", object).unwrap(), ["t/a=1", r#"t/b={"c": 2}"#]);
    assert_eq!(as_written("t/#", object).unwrap(), ["t/a=1", "t/b/c=2"]);
    assert_eq!(as_written("t", object).unwrap(), [format!("t={object}")]);
    assert_eq!(as_written("t/*/+", object).unwrap(), ["t/*/a=1", r#"t/*/b={"c": 2}"#]);
    assert_eq!(as_written("t/**", " 5 ").unwrap(), ["t/**=5"]);
    for (payload, row) in [(r#""a\"b""#, "t=a\"b"), ("null", "t="), ("\"\"", "t=\"\""), ("[1, 2]", "t=[1, 2]")] {
        assert_eq!(as_written("t", payload).unwrap(), [row]);
    }
    assert_eq!(as_written("t", "5 5").unwrap_err().at, Some(2));
    assert_eq!(as_written("t/+", "5").unwrap_err().code, ReasonCode::PayloadFormatInvalid);
    assert_eq!(as_written("$t", "5").unwrap_err().code, ReasonCode::TopicNameInvalid);
}

// [MOTE-8.5]
#[test]
fn the_member_that_asks_for_replace_is_blanked_and_nothing_moves() {
    let cases = [
        (r#"{"/": "+", "a": 1}"#, r#"{          "a": 1}"#),
        (r#"{"a": 1, "/": "+"}"#, r#"{"a": 1          }"#),
        (r#"{"a": {"/": "+"},"\/" :"+","b": 2}"#, r#"{"a": {"/": "+"},          "b": 2}"#),
        (r#"{"/":"+"}"#, "{       }"),
        (" {\n\"/\":\"+\"\n} ", " {\n        } "),
    ];
    for (object, without) in cases {
        let (blanked, replace) = without_replace(object.as_bytes());
        assert_eq!(object.len(), without.len());
        assert_eq!((String::from_utf8(blanked).unwrap().as_str(), replace), (without, true));
    }
    for object in
        [r#"{"/": "x"}"#, r#"{"a": {"/": "+"}}"#, "{}", "", "[", r#"{"/": "+""#, r#"{"/" "+"}"#, "{\"/\": \"+\", "]
    {
        let (same, replace) = without_replace(object.as_bytes());
        if !replace {
            assert_eq!(same, object.as_bytes());
        }
    }
}
