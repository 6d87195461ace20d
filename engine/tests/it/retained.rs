//! The retained tree: against a model, and in small plots that each show one promise.

mod model;

use engine::key::GroupId;
use engine::row::change::Kept;
use engine::row::retained::{Catchup, Lapse, Missed, Newer, Retained, Scope, Walk};
use engine::topic::Interner;
use engine::wire::QoS;
use std::ops::ControlFlow;

const GROUP: GroupId = GroupId(3);

fn all(filter: &str) -> Scope<'_> {
    Scope { filter, group: None }
}

/// A tree with no more than is asked for.
struct Plot {
    interner: Interner,
    retained: Retained,
    position: u64,
}

impl Plot {
    fn new() -> Plot {
        Plot { interner: Interner::new(1), retained: Retained::new(1), position: 0 }
    }

    fn of(topics: &[&str]) -> Plot {
        let mut plot = Plot::new();
        for topic in topics {
            plot.put(topic, b"x");
        }
        plot
    }

    fn put(&mut self, topic: &str, payload: &[u8]) {
        self.position += 1;
        let row = Kept {
            topic,
            payload,
            properties: &[],
            qos: QoS::AtMostOnce,
            text: false,
            expires_at_ms: 0,
            version: self.position,
        };
        self.retained.put(&mut self.interner, GROUP, row, self.position);
    }

    fn remove(&mut self, topic: &str) -> Option<u64> {
        self.position += 1;
        self.retained.remove(&self.interner, topic, self.position, self.position, 0)
    }

    fn forget_all(&mut self) {
        self.retained.trim_tombstones(&mut self.interner, 0, 0, usize::MAX, |_| {});
    }

    fn slice(&self, filter: &str, walk: &mut Walk, nodes_max: usize) -> Vec<String> {
        let mut topics = Vec::new();
        self.retained.walk(&self.interner, filter, walk, nodes_max, |row| {
            topics.push(row.topic.to_string());
            ControlFlow::Continue(())
        });
        topics
    }

    fn all(&self, filter: &str) -> Vec<String> {
        let mut topics = self.slice(filter, &mut Walk::new(), usize::MAX);
        topics.sort();
        topics
    }
}

#[test]
fn a_multi_level_wildcard_includes_its_parent() {
    // "sport/tennis/player1/#" matches "sport/tennis/player1" (4.7.1.2).
    let plot = Plot::of(&["a", "a/b", "a/b/c", "ab", "b/a"]);
    assert_eq!(plot.all("a/#"), ["a", "a/b", "a/b/c"]);
    assert_eq!(plot.all("#"), ["a", "a/b", "a/b/c", "ab", "b/a"]);
    assert_eq!(plot.all("+"), ["a", "ab"]);
    assert_eq!(plot.all("+/+"), ["a/b", "b/a"]);
    assert_eq!(plot.all("+/b/#"), ["a/b", "a/b/c"]);
    assert_eq!(plot.all("a/b/c/#"), ["a/b/c"]);
    assert!(plot.all("a/b/c/+").is_empty());
}

#[test]
fn empty_levels_are_levels() {
    // "/finance" matches "+/+" and "/+", but not "+" (4.7.1.3).
    let plot = Plot::of(&["/finance", "a//b", "a/", "/"]);
    assert_eq!(plot.all("+/+"), ["/", "/finance", "a/"]);
    assert_eq!(plot.all("/+"), ["/", "/finance"]);
    assert!(plot.all("+").is_empty());
    assert_eq!(plot.all("a/+/b"), ["a//b"]);
    assert_eq!(plot.all("a//b"), ["a//b"]);
    assert_eq!(plot.all("/#"), ["/", "/finance"]);
}

#[test]
fn a_first_wildcard_never_matches_a_dollar_topic() {
    // [MQTT-4.7.2-1]
    let plot = Plot::of(&["$SYS", "$SYS/monitor/Clients", "a/$b", "c"]);
    assert_eq!(plot.all("#"), ["a/$b", "c"]);
    assert_eq!(plot.all("+"), ["c"]);
    assert!(plot.all("+/monitor/Clients").is_empty());
    assert_eq!(plot.all("$SYS/#"), ["$SYS", "$SYS/monitor/Clients"]);
    assert_eq!(plot.all("a/+"), ["a/$b"]);
}

#[test]
fn a_walk_looks_only_below_the_stem() {
    let mut plot = Plot::new();
    for index in 0..1_000 {
        plot.put(&format!("other/{index}"), b"x");
    }
    plot.put("stem/b/1", b"x");
    plot.put("stem/b/2", b"x");
    let mut walk = Walk::new();
    assert_eq!(plot.slice("stem/+/2", &mut walk, 3), ["stem/b/2"]);
}

/// Three hundred siblings; the one that the walk stands at goes, with its tombstone, and its number is given to new
/// ones. One node a slice: the way back to the place takes many slices, and may itself be torn up.
#[test]
fn a_walk_goes_on_where_its_node_was() {
    for stood_at in [0, 1, 150, 298, 299] {
        let mut plot = Plot::new();
        let topics = (0..300).map(|index| format!("p/{index}")).collect::<Vec<_>>();
        topics.iter().for_each(|topic| plot.put(topic, b"x"));
        let mut walk = Walk::new();
        let mut seen = Vec::new();
        while seen.len() <= stood_at {
            seen.extend(plot.slice("p/+", &mut walk, 1));
        }
        let last = seen.last().unwrap().clone();
        assert_eq!(plot.remove(&last).map(|_| ()), Some(()));
        plot.forget_all();
        let mut slices = 0;
        while !walk.is_complete() {
            seen.extend(plot.slice("p/+", &mut walk, 1));
            if slices < 40 {
                plot.put(&format!("p/new{slices}"), b"x");
                plot.remove(&format!("p/new{}", slices / 2));
                plot.forget_all();
            }
            slices += 1;
            assert!(slices < 10_000);
        }
        let mut old = seen.iter().filter(|topic| !topic.contains("new")).cloned().collect::<Vec<_>>();
        assert_eq!(old.len(), 300);
        old.sort();
        old.dedup();
        assert_eq!(old.len(), 300, "each once");
    }
}

#[test]
fn a_walk_survives_the_end_of_everything() {
    let mut plot = Plot::of(&["a/b/c", "a/b/d", "a/c", "b"]);
    let mut walk = Walk::new();
    assert_eq!(plot.slice("#", &mut walk, 2).len(), 1);
    for topic in ["a/b/c", "a/b/d", "a/c", "b"] {
        plot.remove(topic);
    }
    plot.forget_all();
    assert_eq!((plot.retained.nodes(), plot.interner.len()), (0, 0));
    assert!(plot.slice("#", &mut walk, 100).is_empty());
    assert!(walk.is_complete());
}

#[test]
fn a_topic_of_65_536_levels_is_put_found_walked_listed_and_removed() {
    let mut plot = Plot::new();
    let topic = "/".repeat(65_535);
    plot.put(&topic, b"deep");
    assert_eq!(plot.retained.nodes(), 65_536);
    assert_eq!(plot.retained.get(&plot.interner, &topic).unwrap().payload, b"deep");
    assert_eq!(plot.all(&topic), [topic.as_str()]);
    let any = vec!["+"; 65_536].join("/");
    for filter in ["#", any.as_str()] {
        let (mut walk, mut seen) = (Walk::new(), Vec::new());
        while !walk.is_complete() {
            seen.extend(plot.slice(filter, &mut walk, 5_000));
        }
        assert_eq!(seen, [topic.as_str()]);
    }
    let mut newer = 0;
    plot.retained.newer(&plot.interner, all(&any), 0, &mut Catchup::new(), 1_000_000, |_| {
        newer += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(newer, 1);
    assert_eq!(plot.remove(&topic), Some(1));
    plot.forget_all();
    assert_eq!((plot.retained.nodes(), plot.interner.len()), (0, 0));
}

#[test]
fn a_level_of_65_535_bytes_is_a_level() {
    let level = "x".repeat(65_535);
    let mut plot = Plot::of(&[&level]);
    assert_eq!(plot.all("+"), [level.as_str()]);
    assert_eq!(plot.remove(&level), Some(1));
}

#[test]
fn deleting_what_is_not_there_changes_nothing() {
    let mut plot = Plot::of(&["a/b"]);
    assert_eq!(plot.remove("a"), None);
    assert_eq!(plot.remove("c"), None);
    assert_eq!(plot.remove("a/b"), Some(1));
    assert_eq!(plot.remove("a/b"), None);
    assert_eq!((plot.retained.tombstones(), plot.retained.position()), (1, 4));
}

#[test]
fn a_row_put_on_a_tombstone_did_not_exist() {
    let mut plot = Plot::of(&["a"]);
    plot.remove("a");
    let row = Kept {
        topic: "a",
        payload: b"again",
        properties: b"\x01\x01",
        qos: QoS::ExactlyOnce,
        text: true,
        expires_at_ms: 77,
        version: 9,
    };
    let written = plot.retained.put(&mut plot.interner, GROUP, row, 5);
    assert_eq!(written.previous_version, None);
    assert_eq!(plot.retained.get(&plot.interner, "a"), Some(row));
    assert_eq!((plot.retained.len(), plot.retained.tombstones()), (1, 0));
}

#[test]
fn an_object_keeps_its_version_when_what_gave_it_is_deleted_and_forgotten() {
    let mut plot = Plot::of(&["o/a/x", "o/b", "p/q"]);
    let object = |plot: &Plot, topic| {
        (plot.retained.object_version(&plot.interner, topic), plot.retained.object_exists(&plot.interner, topic))
    };
    assert_eq!((object(&plot, "o"), object(&plot, "o/a"), object(&plot, "o/a/y")), ((2, true), (1, true), (0, false)));
    plot.remove("o/a/x");
    assert_eq!((object(&plot, "o"), object(&plot, "o/a"), object(&plot, "o/b")), ((4, true), (4, false), (2, true)));
    plot.remove("p/q");
    assert_eq!(object(&plot, "p"), (5, false));
    plot.forget_all();
    assert_eq!((object(&plot, "o"), object(&plot, "o/a"), object(&plot, "p")), ((4, true), (0, false), (0, false)));
    plot.put("o/a/x", b"x");
    assert_eq!((object(&plot, "o"), object(&plot, "o/a")), ((6, true), (6, true)));
}

/// A store gives back rows, tombstones and floors: what it is told must be enough for the versions of all objects.
#[test]
fn a_forgotten_tombstone_leaves_a_floor_only_where_nothing_else_has_its_number() {
    // [MOTE-5.7]
    let mut plot = Plot::of(&["o/a/x", "o/a/y", "o/b", "p/q"]);
    for topic in ["o/a/x", "p/q", "o/a/y"] {
        plot.remove(topic);
    }
    let mut told = Vec::new();
    let forget = |plot: &mut Plot, told: &mut Vec<String>| {
        told.clear();
        plot.retained.trim_tombstones(&mut plot.interner, 0, 0, 1, |lapse| match lapse {
            Lapse::Tombstone { topic, version, .. } => told.push(format!("{topic} {version} lapses")),
            Lapse::Floor { topic, version, below, .. } => told.push(format!("{topic} {version} from {below}")),
        });
    };
    forget(&mut plot, &mut told);
    assert_eq!(told, ["o/a/x 5 lapses"], "o/a/y has a greater number");
    forget(&mut plot, &mut told);
    assert_eq!(told, ["p/q 6 lapses"], "nothing is left of p");
    forget(&mut plot, &mut told);
    assert_eq!(told, ["o/a/y 7 lapses", "o 7 from o/a/y"]);
    plot.remove("o/b");
    plot.put("o/c/d", b"x");
    forget(&mut plot, &mut told);
    assert_eq!(told, ["o/b 8 lapses"], "o/c/d has a greater number");
    plot.remove("o/c/d");
    forget(&mut plot, &mut told);
    assert_eq!(told, ["o/c/d 10 lapses", "o 0 from o/c/d"], "nothing is left of o");
    // A topic that is itself above others keeps its own number.
    plot.put("r", b"x");
    plot.put("r/s", b"x");
    plot.remove("r");
    forget(&mut plot, &mut told);
    assert_eq!(told, ["r 13 lapses", "r 13 from r"]);
    plot.retained.restore_floor(&plot.interner, "r", 20);
    plot.retained.restore_floor(&plot.interner, "nothing", 20);
    let version = |topic| plot.retained.object_version(&plot.interner, topic);
    assert_eq!((version("r"), version("r/s"), version("nothing")), (20, 12, 0));
}

#[test]
fn tombstones_of_the_store_are_buried_and_listed() {
    let mut plot = Plot::new();
    plot.retained.bury(&mut plot.interner, GROUP, "a/b", 7, 3, 1_000);
    let mut listed = Vec::new();
    let complete = plot.retained.newer(&plot.interner, all("a/#"), 2, &mut Catchup::new(), 100, |newer| {
        let Newer::Deleted { topic, version } = newer else { panic!("a row") };
        listed.push((topic.to_string(), version));
        ControlFlow::Continue(())
    });
    assert!(complete);
    assert_eq!(listed, [("a/b".to_string(), 7)]);
    assert_eq!(plot.retained.trim_tombstones(&mut plot.interner, 10, 1_000, 10, |_| {}), 0);
    assert_eq!(plot.retained.trim_tombstones(&mut plot.interner, 10, 1_001, 10, |_| {}), 1);
    assert_eq!((plot.retained.forgotten(), plot.retained.nodes()), (3, 0));
}

/// What a store shows has the order of its keys.
#[test]
fn what_is_restored_is_listed_by_version_and_forgotten_by_age() {
    let mut plot = Plot::new();
    let row = |topic, version| Kept {
        topic,
        payload: b"x",
        properties: b"",
        qos: QoS::AtMostOnce,
        text: false,
        expires_at_ms: 0,
        version,
    };
    let (mine, other) = (GroupId(5), GroupId(9));
    for (topic, version) in [("a/1", 7), ("a/2", 3), ("a/3", 9), ("a/4", 3)] {
        plot.retained.put(&mut plot.interner, mine, row(topic, version), 1);
    }
    for (group, topic, version, wall_ms) in [(mine, "a/5", 8, 50), (mine, "a/6", 4, 10), (other, "b/1", 900, 20)] {
        plot.retained.bury(&mut plot.interner, group, topic, version, 1, wall_ms);
    }
    plot.retained.sort_restored();
    let since = |group: GroupId| if group == mine { 3 } else { 899 };
    for listed_max in [0, 100] {
        for (group, expected) in [(None, &[9, 8, 7, 4, 900][..]), (Some(mine), &[9, 8, 7, 4])] {
            let (mut missed, mut versions) = (Missed::new(listed_max), Vec::new());
            let scope = Scope { filter: "#", group };
            let complete = plot.retained.missed(&plot.interner, scope, &since, &mut missed, 100, |newer| {
                versions.push(match newer {
                    Newer::Row(row) => row.version,
                    Newer::Deleted { version, .. } => version,
                });
                ControlFlow::Continue(())
            });
            assert!(complete && missed.reached() == 1);
            if listed_max > 0 {
                assert_eq!(versions, expected);
            } else if group.is_none() {
                versions.sort_unstable();
                assert_eq!(versions, [4, 7, 8, 9, 900]);
            }
        }
    }
    for (older_than, left) in [(10, 3), (11, 2), (21, 1), (50, 1), (51, 0)] {
        plot.retained.trim_tombstones(&mut plot.interner, 10, older_than, 10, |_| {});
        assert_eq!(plot.retained.tombstones(), left, "older than {older_than}");
    }
}

/// A narrow filter in a group of which much has changed: the objects that have not are not looked into.
#[test]
fn what_a_narrow_filter_missed_is_found_along_the_tree() {
    let mut plot = Plot::new();
    for index in 0..2_000 {
        plot.put(&format!("g/{}/{}", index % 20, index / 20), b"x");
    }
    let since = plot.position;
    for index in 0..2_000 {
        plot.put(&format!("g/other/{index}"), b"x");
    }
    plot.put("g/7/5", b"new");
    plot.remove("g/8/5");
    for (filter, expected) in [("g/7/#", &["g/7/5"][..]), ("g/9/#", &[]), ("g/+/5", &["g/7/5", "g/8/5", "g/other/5"])] {
        let (mut missed, mut topics) = (Missed::new(1_000), Vec::new());
        // Twenty objects, and all below those that changed.
        let nodes_max = if filter == "g/+/5" { 300 } else { 120 };
        let complete = plot.retained.missed(&plot.interner, all(filter), &|_| since, &mut missed, nodes_max, |newer| {
            topics.push(match newer {
                Newer::Row(row) => row.topic.to_string(),
                Newer::Deleted { topic, .. } => topic.to_string(),
            });
            ControlFlow::Continue(())
        });
        assert!(complete, "{filter}");
        topics.sort();
        assert_eq!(topics, expected);
    }
}

/// A batch of more rows than 16 bits number, listed in small slices while its records move.
#[test]
fn a_batch_of_many_rows_shares_one_position() {
    let mut plot = Plot::new();
    let rows = 70_000;
    for index in 0..rows {
        plot.position = 0;
        plot.put(&format!("b/{index}"), b"x");
    }
    plot.position = 1;
    let (mut catchup, mut listed, mut slices) = (Catchup::new(), 0, 0);
    let mut moved = 0;
    let mut last = String::new();
    loop {
        let complete = plot.retained.newer(&plot.interner, all("b/+"), 0, &mut catchup, 3_000, |newer| {
            let Newer::Row(row) = newer else { panic!("a tombstone") };
            listed += 1;
            last = row.topic.into();
            ControlFlow::Continue(())
        });
        if complete {
            break;
        }
        // Slices end on what was listed; changing that makes the next slice look for its place.
        plot.put(&last.clone(), b"moved");
        moved += 1;
        slices += 1;
        assert!(slices < 100_000);
    }
    assert_eq!(listed, rows);
    assert!(moved > 20);
    assert_eq!(plot.retained.newer_than(catchup.reached()).min(moved), moved);
}

#[test]
fn the_cheap_count_of_changes_is_near_the_truth() {
    let mut plot = Plot::new();
    for index in 0..10_000 {
        plot.put(&format!("t/{}", index % 5_000), b"x");
    }
    assert_eq!(plot.retained.newer_than(plot.position), 0);
    for back in [1, 100, 1_000, 4_000] {
        let bound = plot.retained.newer_than(plot.position - back) as u64;
        assert!((back..back + 200).contains(&bound), "{back} changes ago: {bound}");
    }
    assert_eq!(plot.retained.newer_than(0), 5_000);
}

/// The target is 200 bytes a row with everything; the interner takes some 30 of them and the allocator 16. Of the rest
/// 12 are for what an object is: its version, and whether it exists.
#[test]
fn a_row_takes_less_than_its_share() {
    let mut plot = Plot::new();
    let rows = 100_000;
    for index in 0..rows {
        plot.put(&format!("sensor/{index:07}"), &[7; 32]);
    }
    let bytes = plot.retained.bytes() / rows;
    assert!(bytes < 132, "{bytes} bytes a row");
}
