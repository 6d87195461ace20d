//! Intents: PROTOCOL.md section 1, and forgery (section 9).

use engine::dialect::{
    Intent, Parsed, Verb, allowed_on_publish, allowed_on_subscribe, allowed_on_will, combine, is_forged,
    is_shared_intent, parse_prefix, parse_property, parse_unsubscribe, safe_topic,
};
use proptest::prelude::*;

fn intent(text: &str) -> Intent<'_> {
    parse_property(text).unwrap().unwrap()
}

fn prefix(text: &str) -> (Verb, &str) {
    match parse_prefix(text) {
        Parsed::Intent(intent, rest) => (intent.verb, rest),
        other => panic!("{text}: {other:?}"),
    }
}

fn is_bad(text: &str) -> bool {
    matches!(parse_prefix(text), Parsed::Bad(_))
}

#[test]
fn the_first_level_is_dollar_and_intent() {
    // [MOTE-1.1] [MOTE-1.2]
    assert_eq!(prefix("$sync/light/+/is_on"), (Verb::Sync, "light/+/is_on"));
    assert_eq!(prefix("$tree;interval=100/sensors/#"), (Verb::Tree, "sensors/#"));
    assert_eq!(prefix("$tree/light/bedroom"), (Verb::Tree, "light/bedroom"));
    assert_eq!(prefix("$rows/a"), (Verb::Rows, "a"));
    assert_eq!(prefix("$put;if=7/obj/42/name"), (Verb::Put, "obj/42/name"));
    assert_eq!(prefix("$set/#"), (Verb::Set, "#"));
    assert_eq!(prefix("$get/a"), (Verb::Get, "a"));
    assert_eq!(prefix("$tree//a"), (Verb::Tree, "/a"), "what follows is an ordinary topic or filter");
    assert_eq!(prefix("$tree/$SYS/a"), (Verb::Tree, "$SYS/a"));
}

#[test]
fn an_unknown_verb_is_an_ordinary_topic() {
    // [MOTE-1.7]
    for plain in [
        "",
        "a/b",
        "a/$tree/b",
        "$SYS/x",
        "$share/g/a",
        "$Tree/a",
        "$treehouse/a",
        "$tree /a",
        "$/a",
        "$",
        "tree/a",
        "$nope;x=1/a",
    ] {
        assert_eq!(parse_prefix(plain), Parsed::Plain(plain));
    }
}

#[test]
fn a_topic_must_follow_the_intent() {
    for bad in ["$tree", "$tree/", "$sync;state", "$sync;state/"] {
        assert!(is_bad(bad), "{bad}");
    }
}

#[test]
fn options_are_read() {
    let options = intent("tree;topic=safe;interval=100;state").options;
    let all: Vec<_> = options.iter().collect();
    assert_eq!(all, [("topic", Some("safe")), ("interval", Some("100")), ("state", None)]);
    assert!(options.has("state") && options.has("topic") && !options.has("meta"));
    assert_eq!((options.value("interval"), options.value("state"), options.value("meta")), (Some("100"), None, None));
    assert!(intent("tree").options.is_empty());
    assert_eq!(intent("put;id=a=b").options.value("id"), Some("a=b"), "a value may contain =");
}

#[test]
fn an_unknown_option_or_one_that_the_verb_does_not_take_is_a_bad_intent() {
    // [MOTE-1.8]
    for bad in [
        "tree;nope",
        "tree;since=x",
        "tree;events",
        "rows;state",
        "set;if=1",
        "put;replace",
        "get;interval=5",
        "get;id=1",
        "sync;replace",
        "sync;if=1",
        "tree;",
        "tree;;state",
        "tree;state;",
        "tree;=1",
        "tree;Topic=safe",
        "tree; state",
    ] {
        assert!(parse_property(bad).is_err(), "{bad}");
        assert!(is_bad(&format!("${bad}/a")), "{bad}");
    }
}

#[test]
fn options_have_the_values_that_they_take() {
    for good in [
        "tree;topic=safe;meta;versions;values=string;interval=0;state",
        "tree;replace;if=0;id=k",
        "put;if=any",
        "put;if=18446744073709551615",
        "sync;since=abc-_;events",
        "sync;since=",
        "get;topic=safe;meta;versions;values=string;state",
    ] {
        assert!(parse_property(good).unwrap().is_some(), "{good}");
    }
    let long_id = format!("put;id={}", "k".repeat(65));
    for bad in [
        "tree;topic",
        "tree;topic=unsafe",
        "tree;values=number",
        "tree;interval",
        "tree;interval=",
        "tree;interval=-1",
        "tree;interval=+1",
        "tree;interval=1s",
        "tree;state=1",
        "tree;meta=",
        "tree;replace=yes",
        "put;if",
        "put;if=",
        "put;if=x",
        "put;if=18446744073709551616",
        "put;id",
        "put;id=",
        "sync;since",
        "tree;state;state",
        "put;if=1;if=2",
        &long_id,
    ] {
        assert!(parse_property(bad).is_err(), "{bad}");
    }
    assert!(parse_property(&format!("put;id={}", "k".repeat(64))).is_ok());
}

#[test]
fn a_value_contains_no_separator_wildcard_or_control_character() {
    // [MOTE-1.2]
    for bad in ["a/b", "a+b", "a#b", "a\u{1}b", "a\nb", "a\u{7f}b", "a\u{85}b"] {
        assert!(parse_property(&format!("put;id={bad}")).is_err(), "{bad:?}");
    }
    assert!(is_bad("$put;id=a+b/t"));
    assert_eq!(intent("put;id=ä b$").options.value("id"), Some("ä b$"));
}

#[test]
fn each_packet_takes_its_verbs_and_options() {
    // [MOTE-1.13] [MOTE-1.14] [MOTE-1.16] [MOTE-1.17] [MOTE-1.18] [MOTE-1.19]
    let on = |text: &'static str| {
        let intent = intent(text);
        (allowed_on_subscribe(intent).is_ok(), allowed_on_publish(intent).is_ok())
    };
    assert_eq!(on("tree"), (true, true));
    for subscribe in ["tree;interval=1", "tree;state;topic=safe", "sync", "sync;since=x;events", "rows"] {
        assert_eq!(on(subscribe), (true, false), "{subscribe}");
    }
    for publish in
        ["tree;replace", "tree;if=1", "tree;id=k", "put", "put;if=1;id=k", "set", "set;id=k", "get", "get;state;meta"]
    {
        assert_eq!(on(publish), (false, true), "{publish}");
    }
    assert_eq!(on("tree;state;replace"), (false, false));
}

#[test]
fn a_will_carries_tree_put_or_set() {
    // [MOTE-1.10]
    for (text, good) in [
        ("tree;replace", true),
        ("put;if=1", true),
        ("set", true),
        ("get", false),
        ("sync", false),
        ("rows", false),
        ("tree;state", false),
    ] {
        assert_eq!(allowed_on_will(intent(text)).is_ok(), good, "{text}");
    }
}

#[test]
fn a_property_whose_first_word_is_no_verb_is_not_ours() {
    for other in ["", "hello", "frame;live;n=4", "treehouse", "Tree", " tree", "$tree"] {
        assert_eq!(parse_property(other), Ok(None), "{other}");
    }
}

#[test]
fn prefix_and_property_must_be_equal() {
    // [MOTE-1.6]
    let (tree, safe) = (Some(intent("tree")), Some(intent("tree;topic=safe")));
    assert_eq!(combine(None, None), Ok(None));
    assert_eq!(combine(tree, None), Ok(tree));
    assert_eq!(combine(None, safe), Ok(safe));
    assert_eq!(combine(safe, safe), Ok(safe));
    assert!(combine(tree, safe).is_err());
    assert!(combine(tree, Some(intent("sync"))).is_err());
}

#[test]
fn unsubscribe_ignores_options() {
    assert_eq!(parse_unsubscribe("$sync/a/+"), Some((Verb::Sync, "a/+")));
    assert_eq!(parse_unsubscribe("$tree;whatever=1;/a"), Some((Verb::Tree, "a")));
    assert_eq!(parse_unsubscribe("$tree"), Some((Verb::Tree, "")));
    assert_eq!(parse_unsubscribe("$SYS/a"), None);
    assert_eq!(parse_unsubscribe("a"), None);
}

#[test]
fn a_shared_subscription_has_no_intent() {
    // [MOTE-1.9]
    for refused in ["$share/g/$tree/a", "$share/g/$sync;nope/a", "$share/g/$rows/#", "$share/g/$tree"] {
        assert!(is_shared_intent(refused), "{refused}");
    }
    for fine in ["$share/g/a", "$share/g/$SYS/a", "$share/$tree/a", "$tree/a", "$share/g", "a"] {
        assert!(!is_shared_intent(fine), "{fine}");
    }
}

#[test]
fn what_only_the_broker_says_is_told_apart() {
    for forged in [
        "frame",
        "frame;live;n=4",
        "row;ver=1",
        "ok;ver=1",
        "conflict;ver=3",
        "reset",
        "partial;applied=1",
        "frame live",
    ] {
        assert!(is_forged(forged), "{forged}");
    }
    for other in ["", "frames", "rows", "tree", "okay", "hello;frame", ";frame"] {
        assert!(!is_forged(other), "{other}");
    }
}

#[test]
fn the_safe_topic_is_legal_for_every_client() {
    // [MOTE-2.4]
    assert_eq!(safe_topic("light/+/is_on"), "$tree/light/%2B/is_on");
    assert_eq!(safe_topic("a%2B/#"), "$tree/a%252B/%23");
    assert_eq!(safe_topic("é"), "$tree/é");
}

proptest! {
    #[test]
    fn safe_topics_tell_their_filters_apart(one in "[a%+#2B/]{0,6}", other in "[a%+#2B/]{0,6}") {
        prop_assert_eq!(safe_topic(&one) == safe_topic(&other), one == other);
        prop_assert!(!safe_topic(&one).contains(['+', '#']));
    }

    #[test]
    fn reading_never_fails_and_loses_nothing(text in "\\$?(tree|sync|put|\\PC{0,3})?[;=/a-z+#]{0,12}\\PC{0,4}") {
        match parse_prefix(&text) {
            Parsed::Plain(plain) => prop_assert_eq!(plain, &text),
            Parsed::Intent(_, rest) => prop_assert!(text.strip_suffix(rest).is_some_and(|intent| intent.ends_with('/'))),
            Parsed::Bad(why) => prop_assert!(!why.is_empty()),
        }
    }
}
