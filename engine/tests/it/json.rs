//! The scanner against RFC 8259 and against serde_json, which nobody here wrote.

use engine::limits::JSON_DEPTH_MAX;
use engine::row::json::{JsonFault, Kind, trim, validate, write_string};
use proptest::prelude::*;
use serde_json::Value;

fn fault(text: &[u8]) -> (usize, &'static str) {
    let JsonFault { at, what } = validate(text).unwrap_err();
    (at, what)
}

fn fault_at(text: &str) -> usize {
    fault(text.as_bytes()).0
}

#[test]
fn says_what_a_value_is() {
    let kinds = [
        ("null", Kind::Null),
        ("true", Kind::Bool),
        ("false", Kind::Bool),
        ("-0.5e+7", Kind::Number),
        ("\"x\"", Kind::String),
        ("[]", Kind::Array),
        ("{}", Kind::Object),
        (" \t\r\n [ 1 , { \"a\" : [ ] } ] \n", Kind::Array),
    ];
    for (text, kind) in kinds {
        assert_eq!(validate(text.as_bytes()), Ok(kind), "{text}");
    }
}

#[test]
fn numbers_are_those_of_rfc_8259() {
    for good in ["0", "-0", "10", "1.0", "1e5", "1E-5", "0.10", "123456789012345678901234567890", "1e999999"] {
        assert_eq!(validate(good.as_bytes()), Ok(Kind::Number), "{good}");
    }
    for (bad, at) in [
        ("01", 1),
        ("-", 1),
        ("+1", 0),
        (".5", 0),
        ("1.", 2),
        ("1.e3", 2),
        ("1e", 2),
        ("1e+", 3),
        ("--1", 1),
        ("0x10", 1),
        ("1 2", 2),
        ("NaN", 0),
        ("Infinity", 0),
        ("1_000", 1),
    ] {
        assert_eq!(fault_at(bad), at, "{bad}");
    }
}

#[test]
fn strings_take_every_escape_and_no_other() {
    assert_eq!(validate(br#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00""#), Ok(Kind::String));
    for (bad, at) in [
        (r#""\x""#, 2),
        (r#""\u12G4""#, 5),
        (r#""\u12"#, 5),
        ("\"a\nb\"", 2),
        ("\"tab\tinside\"", 4),
        ("\"no end", 7),
        ("\"back\\", 6),
        ("'single'", 0),
    ] {
        assert_eq!(fault_at(bad), at, "{bad:?}");
    }
    assert_eq!(
        validate("\"\u{7f}\u{80}é\u{ffff}😀\"".as_bytes()),
        Ok(Kind::String),
        "DEL and above may stand as they are"
    );
}

#[test]
fn escapes_of_unpaired_surrogates_are_refused() {
    for bad in
        [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800\u0041""#, r#""\ud83dx\ude00""#, r#""\udbff\n""#]
    {
        assert_eq!(fault(bad.as_bytes()), (1, "escape of an unpaired surrogate"), "{bad}");
    }
    assert_eq!(fault(br#"{"k":["a\udfff"]}"#).0, 8);
}

#[test]
fn what_is_not_utf8_is_refused_where_it_ceases_to_be() {
    assert_eq!(fault(b"\"ab\xff\""), (3, "not UTF-8"));
    assert_eq!(fault(b"\"\xc0\xaf\"").0, 1, "overlong");
    assert_eq!(fault(b"\"\xed\xa0\x80\"").0, 1, "a surrogate in UTF-8");
    assert_eq!(fault(b"\"\xe2\x82").0, 1, "cut");
    assert_eq!(fault(b"\xef\xbb\xbf1").0, 0, "a byte order mark is no white space");
}

#[test]
fn offsets_point_at_the_first_byte_that_is_wrong() {
    for (bad, at) in [
        ("", 0),
        ("   ", 3),
        ("{", 1),
        ("[1,", 3),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[1}", 2),
        ("{]", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{\"a\":1 \"b\":2}", 7),
        ("{a:1}", 1),
        ("{1:1}", 1),
        ("{\"a\":1}}", 7),
        ("[[[]]", 5),
        ("tru", 3),
        ("trux", 3),
        ("nul l", 3),
        ("True", 0),
        ("[1]\u{0}", 3),
        ("\u{a0}1", 0),
    ] {
        assert_eq!(fault_at(bad), at, "{bad:?}");
    }
    assert_eq!(fault(b"[1"), (2, "the text ends too early"));
}

#[test]
fn nests_64_deep_and_no_deeper() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(validate(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        let bad = fault(nested(JSON_DEPTH_MAX + 1).as_bytes()).0;
        assert_eq!(bad, open.len() * JSON_DEPTH_MAX, "the bracket that is too deep");
    }
    let empty = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(validate(empty(64).as_bytes()).is_ok());
    assert!(validate(empty(65).as_bytes()).is_err());
}

#[test]
fn a_million_brackets_overflow_no_stack() {
    assert_eq!(fault_at(&"[".repeat(1_000_000)), 64);
    assert_eq!(fault_at(&"{\"a\":".repeat(1_000_000)), 64 * 5);
    let wide = format!("[{}0]", "[],".repeat(1_000_000));
    assert_eq!(validate(wide.as_bytes()), Ok(Kind::Array));
}

#[test]
fn strings_are_written_with_the_fewest_escapes() {
    let written = |text: &str| {
        let mut out = b"before".to_vec();
        write_string(text, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(""), "before\"\"");
    assert_eq!(written("a/é\u{7f}😀"), "before\"a/é\u{7f}😀\"");
    assert_eq!(written("\"\\\u{8}\u{9}\n\u{c}\r\u{0}\u{1f}"), r#"before"\"\\\b\t\n\f\r\u0000\u001f""#);
}

#[test]
fn trims_the_white_space_of_json_and_no_other() {
    assert_eq!(trim(b" \t\r\n1 \n"), b"1");
    assert_eq!(trim("\u{a0}1".as_bytes()), "\u{a0}1".as_bytes());
    assert_eq!(trim(b"  "), b"");
}

/// What serde_json takes, and how deep it is.
fn oracle(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok() && depth(text) <= JSON_DEPTH_MAX
}

/// Depth of a text that is valid JSON.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in text {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn agrees(text: &[u8]) -> Result<(), TestCaseError> {
    let ours = validate(text);
    prop_assert_eq!(ours.is_ok(), oracle(text), "{:?} of {:?}", ours, String::from_utf8_lossy(text));
    if let Err(fault) = ours {
        prop_assert!(fault.at <= text.len());
    }
    Ok(())
}

/// JSON as a text, spelled in many ways.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number.prop_map(|number| number),
        string_text(),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        let white = "[ \t\r\n]{0,2}";
        prop_oneof![
            (white, prop::collection::vec(inner.clone(), 0..6))
                .prop_map(|(white, items)| format!("[{white}{}{white}]", items.join(&format!("{white},")))),
            (white, prop::collection::vec((string_text(), inner), 0..6)).prop_map(|(white, members)| {
                let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}{white}:{value}")).collect();
                format!("{{{white}{}}}", members.join(&format!(",{white}")))
            }),
        ]
    })
}

fn string_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9 /+#$]{0,12}",
        "\\PC{0,4}",
        r#"\\["\\/bfnrt]"#,
        r"\\u[0-9a-fA-F]{4}",
        r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn agrees_with_serde_json_on_json(text in json_text()) {
        agrees(text.as_bytes())?;
    }

    #[test]
    fn agrees_with_serde_json_on_damaged_json(
        text in json_text(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..4),
    ) {
        let mut text = text.into_bytes();
        for (index, byte, edit) in edits {
            let at = index.index(text.len() + 1);
            let telling = b"{}[]\",:\\0-.eEtfn \x00\x1f\x7f\x80\xff";
            match edit {
                0 => text.truncate(at),
                1 => text.insert(at, telling[usize::from(byte) % telling.len()]),
                2 if at < text.len() => text[at] = byte,
                _ if at < text.len() => drop(text.remove(at)),
                _ => {}
            }
        }
        agrees(&text)?;
    }

    #[test]
    fn agrees_with_serde_json_on_bytes_that_look_like_json(
        text in prop::collection::vec(prop::sample::select(&b"{}[]\"\":,,0123-+.eEtruefalsn\\u d8c \n\xc3\xa9"[..]), 0..40),
    ) {
        agrees(&text)?;
    }

    #[test]
    fn agrees_with_serde_json_on_depth(depths in prop::collection::vec(any::<bool>(), 55..75), scalar in "1|\\[\\]|\\{\\}|\"\"") {
        let mut text: String = depths.iter().map(|&object| if object { "{\"k\":" } else { "[" }).collect();
        text.push_str(&scalar);
        text.extend(depths.iter().rev().map(|&object| if object { '}' } else { ']' }));
        agrees(text.as_bytes())?;
    }

    #[test]
    fn a_written_string_is_the_string(text in any::<String>()) {
        let mut out = Vec::new();
        write_string(&text, &mut out);
        prop_assert_eq!(validate(&out), Ok(Kind::String));
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}
