//! Forms of frames: options `meta`, `versions` and `values=string` (PROTOCOL section 2).

use super::*;
use engine::row::fold::State;

/// Topic and value of each row.
fn rows(state: &State) -> Vec<(String, String)> {
    let text = |(topic, value): (&str, &[u8])| (topic.to_string(), String::from_utf8_lossy(value).into_owned());
    state.rows().map(text).collect()
}

fn fold(state: &mut State, frames: &[Message]) {
    for frame in frames {
        let folded = state.fold_frame(frame.properties.mote().unwrap_or_default(), &frame.payload);
        folded.unwrap_or_else(|fault| panic!("{fault:?} in {}", frame.line()));
    }
}

// [MOTE-2.62]
#[test]
fn values_may_all_be_strings() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(
            world,
            publisher,
            message("$tree/v", r#"{"a":1.50,"b":{"c":true},"d":"x","e":[1, 2],"f":""}"#).retained(),
        );
        publish(world, publisher, message("v/b", "{\"o\": 1}").retained());
        let reader = client(world, version, "r");
        world.subscribe(reader, "$sync;values=string/v/#", Q0);
        world.run_until_quiet();
        let all = r#"{"a":"1.50","b":{"/":"{\"o\": 1}","c":"true"},"d":"x","e":"[1, 2]","f":"\"\""}"#;
        assert_eq!(world.lines(reader), [format!("v/# {all}")]);
        publish(world, publisher, message("v/a", "").retained());
        publish(world, publisher, message("v/b/c", " null ").retained());
        publish(world, publisher, message("v/a", ""));
        let later = [r#"v/# {"a":null}"#, r#"v/# {"b":{"c":" null "}}"#, r#"v/# {"a":""}"#];
        assert_eq!(world.lines(reader), later);
        // Bytes that are not UTF-8 are the text of their wrapper.
        world.publish(publisher, PublishOptions::new("v/a", b"\xff").retained());
        world.run_until_quiet();
        assert_eq!(world.lines(reader), [r#"v/# {"a":"{\"$b64\":\"/w==\"}"}"#]);
        // Without wildcard there is no value.
        world.subscribe(reader, "$sync;values=string/v/e", Q0);
        world.run_until_quiet();
        assert_eq!(world.lines(reader), ["v/e [1, 2]"]);
    });
}

// [MOTE-2.59]
#[test]
fn the_payload_may_say_what_the_frame_is() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("m/a", "1").retained());
        let reader = client(world, version, "r");
        world.subscribe(reader, "$sync;meta/m/+", Q1);
        world.run_until_quiet();
        publish(world, publisher, message("m/b", "2").retained());
        publish(world, publisher, message("m/a", "9"));
        publish(world, publisher, message("m/a", "").retained());
        let frames = world.messages(reader);
        let said: Vec<(String, String)> = frames.iter().map(|frame| split(&frame.text())).collect();
        let kinds: Vec<&str> = said.iter().map(|(words, _)| words.split(';').nth(1).unwrap()).collect();
        assert_eq!(kinds, ["snap", "live", "event", "live"]);
        let trees: Vec<&str> = said.iter().map(|(_, tree)| tree.as_str()).collect();
        assert_eq!(trees, [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":9}"#, r#"{"a":null}"#]);
        for (n, (frame, (words, _))) in frames.iter().zip(&said).enumerate() {
            assert!(words.split(';').any(|word| word == format!("n={n}")), "{words}");
            // In MQTT 5 the property says the same.
            assert_eq!(frame.properties.mote(), version.is_v5().then_some(words.as_str()));
        }
        let mut state = State::of_wrapped("m/+");
        fold(&mut state, &frames);
        assert_eq!(rows(&state), [("m/b".to_string(), "2".to_string())]);
    });
}

/// Words and tree of a wrapped frame.
fn split(frame: &str) -> (String, String) {
    let rest = frame.strip_prefix(r#"{"mote":""#).unwrap_or_else(|| panic!("{frame}"));
    let (words, rest) = rest.split_once(r#"","tree":"#).unwrap();
    (words.to_string(), rest.strip_suffix('}').unwrap().to_string())
}

// [MOTE-2.59]
#[test]
fn a_wrapped_row_without_wildcard_is_a_json_value() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let reader = client(world, version, "r");
        world.subscribe(reader, "$sync;meta/x/y", Q0);
        world.run_until_quiet();
        publish(world, publisher, message("x/y", " {\"a\":1} ").retained());
        publish(world, publisher, message("x/y", "raw \"").retained());
        publish(world, publisher, message("x/y", "").retained());
        publish(world, publisher, message("x/y", ""));
        world.publish(publisher, PublishOptions::new("x/y", b"\xff").retained());
        world.run_until_quiet();
        let frames = world.messages(reader);
        let trees: Vec<String> = frames.iter().map(|frame| split(&frame.text()).1).collect();
        assert_eq!(trees, ["null", r#"{"a":1}"#, r#""raw \"""#, "null", r#""""#, r#"{"$b64":"/w=="}"#]);
        if version.is_v5() {
            assert_eq!(frames[0].properties.read().content_type(), Some("application/json"));
        }
        let mut state = State::of_wrapped("x/y");
        fold(&mut state, &frames);
        assert_eq!(rows(&state), [("x/y".to_string(), r#"{"$b64":"/w=="}"#.to_string())]);
    });
}

// [MOTE-1.20] [MOTE-1.22]
#[test]
fn a_session_has_one_merged_subscription_to_a_filter_in_whatever_form() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let reader = client(world, version, "r");
        for filter in ["$tree/f/+", "$tree;values=string/f/+", "$tree;meta/f/+", "$tree;values=string/f/+"] {
            world.subscribe(reader, filter, Q1);
            world.run_until_quiet();
        }
        publish(world, publisher, message("f/a", "1").retained());
        assert_eq!(world.lines(reader), [r#"f/+ {"a":"1"}"#]);
        world.unsubscribe(reader, "$sync;meta/f/+");
        world.run_until_quiet();
        publish(world, publisher, message("f/a", "2").retained());
        assert_eq!(world.lines(reader), [""; 0]);
    });
}

// [MOTE-2.38] [MOTE-2.59]
#[test]
fn what_stands_around_a_tree_counts_where_it_is_split() {
    let small = |plan: &mut Plan| plan.broker.limits.frame_bytes = 1_024;
    worlds_with(small, |world| {
        let publisher = client(world, V5, "p");
        let keys: Vec<String> = (0..200).map(|key| format!(r#""key{key}":{key}"#)).collect();
        let tree = format!("{{{}}}", keys.join(","));
        let reader = client(world, V5, "r");
        world.subscribe(reader, "$tree;meta/s/+", Q0);
        world.run_until_quiet();
        publish(world, publisher, message("$tree/s/+", &tree).retained());
        world.subscribe(reader, "$sync;meta/s/+", Q0);
        world.run_until_quiet();
        let frames = world.messages(reader);
        assert!(frames.len() > 4);
        assert!(frames.iter().all(|frame| frame.payload.len() <= 1_024));
        for kind in [";live;", ";part;", ";snap;"] {
            assert!(frames.iter().any(|frame| frame.text().contains(kind)), "{kind}");
        }
        let mut state = State::of_wrapped("s/+");
        fold(&mut state, &frames);
        assert_eq!(rows(&state).len(), 200);
    });
}

// [MOTE-1.20]
#[test]
fn a_lasting_session_keeps_the_form_over_a_restart() {
    let has_store = |plan: &mut Plan| plan.has_store = true;
    worlds_with(has_store, |world| {
        let lasting = || ConnectOptions::lasting(V5, "r");
        let reader = world.connected(lasting());
        for filter in ["$tree/f/+", "$tree;meta/f/+", "$sync;values=string/f/+"] {
            world.subscribe(reader, filter, Q1);
            world.run_until_quiet();
        }
        world.restart(true);
        let reader = world.connected(lasting());
        world.received(reader);
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("f/a", "1").retained());
        assert_eq!(world.lines(reader), [r#"f/+ {"a":"1"}"#]);
        world.unsubscribe(reader, "$tree/f/+");
        world.run_until_quiet();
        world.restart(true);
        let reader = world.connected(lasting());
        world.received(reader);
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("f/a", "2").retained());
        assert_eq!(world.lines(reader), [""; 0]);
    });
}

/// The value of a field of a frame's words.
fn field(frame: &Message, name: &str) -> Option<u64> {
    let text = frame.text();
    let words = frame.properties.mote().map_or_else(|| split(&text).0, str::to_string);
    words.split(';').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

// [MOTE-2.60] [MOTE-2.61]
#[test]
fn beside_the_tree_stands_one_of_versions() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let reader = client(world, version, "r");
        world.subscribe(reader, "$sync;versions/o/#", Q1);
        world.run_until_quiet();
        publish(world, publisher, message("$tree/o", r#"{"a":{"x":1,"y":2},"b":3}"#).retained());
        publish(world, publisher, message("o/a", "4").retained());
        publish(world, publisher, message("o/a/x", "").retained());
        publish(world, publisher, message("o/b", "5"));
        let frames = world.messages(reader);
        let said: Vec<String> = frames.iter().map(|frame| split(&frame.text()).1).collect();
        let expected = [
            r##"{},"versions":{}"##,
            r##"{"a":{"x":1,"y":2},"b":3},"versions":{"#":1,"a":{"#":1,"x":1,"y":1},"b":1}"##,
            r##"{"a":4},"versions":{"#":2,"a":2}"##,
            r##"{"a":{"x":null}},"versions":{"#":3,"a":{"#":3,"x":3}}"##,
            r##"{"b":5},"versions":{}"##,
        ];
        assert_eq!(said, expected);
        world.subscribe(reader, "$sync;versions/o/#", Q1);
        world.run_until_quiet();
        let again = world.messages(reader);
        let all = r##"{"a":{"/":4,"y":2},"b":3},"versions":{"#":3,"a":{"#":3,"/":2,"y":1},"b":1}"##;
        assert_eq!(again.iter().map(|frame| split(&frame.text()).1).collect::<Vec<_>>(), [all]);
        let (mut live, mut snapshot) = (State::of_wrapped("o/#"), State::of_wrapped("o/#"));
        fold(&mut live, &frames);
        fold(&mut snapshot, &again);
        assert_eq!(live, snapshot);
        publish(world, reader, message("$get;versions/o/#", ""));
        assert_eq!(world.messages(reader).iter().map(|frame| split(&frame.text()).1).collect::<Vec<_>>(), [all]);
    });
}

// [MOTE-2.60]
#[test]
fn the_version_of_a_row_without_wildcard_is_a_number() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let reader = client(world, version, "r");
        world.subscribe(reader, "$sync;versions/n", Q0);
        world.run_until_quiet();
        publish(world, publisher, message("n", "x").retained());
        publish(world, publisher, message("n", "").retained());
        publish(world, publisher, message("n", "y"));
        let said: Vec<String> = world.messages(reader).iter().map(|frame| split(&frame.text()).1).collect();
        let expected = [r#"null,"versions":0"#, r#""x","versions":1"#, r#"null,"versions":2"#, r#""y","versions":{}"#];
        assert_eq!(said, expected);
    });
}

// [MOTE-2.55]
#[test]
fn a_frame_says_the_version_of_the_object_at_its_stem() {
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        publish(world, publisher, message("j/a/x", "1").retained());
        publish(world, publisher, message("j/b/x", "2").retained());
        let reader = client(world, version, "r");
        for (filter, expected) in
            [("j/a/+", Some(1)), ("j/#", Some(2)), ("j/b/x", Some(2)), ("j/c/+", Some(0)), ("+/a/x", None), ("#", None)]
        {
            world.subscribe(reader, &format!("$sync;meta/{filter}"), Q0);
            world.run_until_quiet();
            let frames = world.messages(reader);
            assert_eq!(field(frames.last().unwrap(), "obj"), expected, "{filter}");
            world.unsubscribe(reader, &format!("$sync/{filter}"));
        }
        // What the filter does not match is part of the object all the same, and so are deletions.
        world.subscribe(reader, "$sync;meta/j/a/+", Q0);
        publish(world, publisher, message("j/a/y/z", "3").retained());
        publish(world, publisher, message("j/a/y/z", "").retained());
        publish(world, publisher, message("j/a/x", "4").retained());
        publish(world, publisher, message("j/a/x", "5"));
        let objects: Vec<Option<u64>> = world.messages(reader).iter().map(|frame| field(frame, "obj")).collect();
        assert_eq!(objects[objects.len() - 2..], [Some(5), None], "an event says none");
    });
}

// [MOTE-2.61]
#[test]
fn an_object_over_several_groups_has_no_version() {
    let is_split = |plan: &mut Plan| {
        plan.broker.shards.split = vec![engine::config::Split { prefix: "v1/devices".into(), levels: 3 }];
    };
    worlds_with(is_split, |world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("v1/devices/a/x", "1").retained());
        let reader = client(world, V5, "r");
        for (filter, tree) in [
            ("v1/#", r##"{"devices":{"a":{"x":1}}},"versions":{"devices":{"a":{"#":1,"x":1}}}"##),
            ("v1/devices/a/+", r##"{"x":1},"versions":{"#":1,"x":1}"##),
            ("v1/+/a/+", r##"{"devices":{"x":1}},"versions":{"devices":{"#":1,"x":1}}"##),
        ] {
            world.subscribe(reader, &format!("$sync;versions/{filter}"), Q0);
            world.run_until_quiet();
            let frames = world.messages(reader);
            let full = frames.iter().find(|frame| frame.text().contains("\"x\"")).unwrap();
            assert_eq!(split(&full.text()).1, tree);
            assert_eq!(field(full, "obj").is_some(), filter.starts_with("v1/devices"));
        }
    });
}

// [MOTE-2.38] [MOTE-2.60]
#[test]
fn a_frame_with_versions_is_split_by_both_trees() {
    let small = |plan: &mut Plan| plan.broker.limits.frame_bytes = 1_024;
    worlds_with(small, |world| {
        let publisher = client(world, V5, "p");
        let members: Vec<String> = (0..100).map(|key| format!(r#""k{}":{{"x":{key},"y":0}}"#, key % 50 * 2)).collect();
        let tree = format!("{{{}}}", members.join(","));
        let reader = client(world, V5, "r");
        world.subscribe(reader, "$tree;versions/s/#", Q1);
        world.run_until_quiet();
        publish(world, publisher, message("$tree/s", &tree).retained());
        world.run_until_quiet();
        let frames = world.messages(reader);
        assert!(frames.len() > 2 && frames.iter().all(|frame| frame.payload.len() <= 1_024));
        let mut state = State::of_wrapped("s/#");
        fold(&mut state, &frames);
        assert_eq!((rows(&state).len(), state.versions().count()), (100, 100));
        assert_eq!(state.objects().count(), 51);
    });
}
