//! Names, filters, the trie against the naive rule, and owners against what filters can match.

use engine::config::{Pin, Split};
use engine::dialect::Form;
use engine::key::{FilterHandle, GroupId, ShardId};
use engine::limits::{GROUPS, SHARDS_MAX, TOPIC_CACHE_FILTERS_MAX, TOPIC_LEVELS_MAX};
use engine::topic::filter::stem_levels;
use engine::topic::{
    FilterId, Interner, Kind, Owners, Roots, Subscriptions, check_filter, check_name, is_wildcard, matches, stem,
};
use std::collections::BTreeMap;

/// A small generator of our own: the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let once = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let twice = (once ^ once >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((twice ^ twice >> 31) % bound as u64) as usize
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn topic(&mut self, alphabet: &[&str], levels_max: usize) -> String {
        let levels = 1 + self.below(levels_max);
        let topic = (0..levels).map(|_| self.one_of(alphabet)).collect::<Vec<_>>().join("/");
        if topic.is_empty() { "a".into() } else { topic }
    }

    fn filter(&mut self, alphabet: &[&str], levels_max: usize) -> String {
        let levels = 1 + self.below(levels_max);
        let level = |dice: &mut Dice| if dice.below(3) == 0 { "+" } else { dice.one_of(alphabet) };
        let mut filter: Vec<_> = (0..levels).map(|_| level(self)).collect();
        if self.below(3) == 0 {
            filter[levels - 1] = "#";
        }
        let filter = filter.join("/");
        if filter.is_empty() { "+".into() } else { filter }
    }
}

#[test]
fn a_topic_name_has_text_and_no_wildcard() {
    let good = ["a", "/", "a/b", "//", "/finance", "a b", "$SYS/x", "é/ß", " ", "sport/tennis/"];
    for topic in good {
        assert_eq!(check_name(topic, 200), Ok(()), "{topic}");
    }
    // [MQTT-4.7.3-1..3] [3.1.1: MQTT-4.7.3-1..3], [MQTT-3.3.2-2] [3.1.1: MQTT-3.3.2-2]
    let long = "x".repeat(65_536);
    for topic in ["", "+", "#", "a/+/b", "a/b#", "a+", "a\0b", &long] {
        assert!(check_name(topic, 200).is_err(), "{topic:?}");
    }
    assert_eq!(check_name(&long[..65_535], 1), Ok(()));
    for at in [0, 239, 240, 1_000, 65_534] {
        let mut topic = long[..65_535].to_owned();
        topic.replace_range(at..at + 1, "#");
        assert!(check_name(&topic, 1).is_err());
        topic.replace_range(at..at + 1, "/");
        assert_eq!((check_name(&topic, 2), check_name(&topic, 1).is_ok()), (Ok(()), false));
    }
}

#[test]
fn levels_are_counted_with_the_empty_ones() {
    assert_eq!(check_name("a/b/c", 3), Ok(()));
    assert!(check_name("a/b/c/", 3).is_err());
    assert_eq!(check_filter("a/+/#", 3), Ok(()));
    assert!(check_filter("a/+/c/#", 3).is_err());
    assert!(check_filter("/a/b/c", 3).is_err());
    let slashes = "/".repeat(65_535);
    assert_eq!(check_name(&slashes, TOPIC_LEVELS_MAX), Ok(()));
    assert_eq!(check_filter(&slashes, TOPIC_LEVELS_MAX), Ok(()));
    assert!(check_name(&slashes, TOPIC_LEVELS_MAX - 1).is_err());
}

#[test]
fn a_wildcard_has_a_level_to_itself_and_the_hash_is_last() {
    let good = ["#", "+", "/", "/+", "+/+", "a/#", "sport/tennis/+", "+/tennis/#", "sport/+/player1", "/#", "a//#"];
    for filter in good {
        assert_eq!(check_filter(filter, 200), Ok(()), "{filter}");
    }
    // [MQTT-4.7.1-1] [3.1.1: MQTT-4.7.1-2] gives `sport/tennis#` and `sport/tennis/#/ranking` as invalid,
    // [MQTT-4.7.1-2] [3.1.1: MQTT-4.7.1-3] gives `sport+`.
    for filter in ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "#/", "##", "++", "+a/b", "a/#b", "a\0/#"] {
        assert!(check_filter(filter, 200).is_err(), "{filter:?}");
    }
}

#[test]
fn the_examples_of_the_specification_match() {
    // Section 4.7.1.2, multi-level wildcard.
    for topic in ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"] {
        assert!(matches("sport/tennis/player1/#", topic));
    }
    assert!(matches("sport/#", "sport"));
    assert!(matches("#", "any/thing"));
    // Section 4.7.1.3, single-level wildcard.
    assert!(matches("sport/tennis/+", "sport/tennis/player1") && matches("sport/tennis/+", "sport/tennis/player2"));
    assert!(!matches("sport/tennis/+", "sport/tennis/player1/ranking"));
    assert!(!matches("sport/+", "sport") && matches("sport/+", "sport/"));
    assert!(matches("+/+", "/finance") && matches("/+", "/finance") && !matches("+", "/finance"));
    // Section 4.7.2, topics beginning with $ [MQTT-4.7.2-1] [3.1.1: MQTT-4.7.2-1].
    assert!(!matches("#", "$SYS/x") && !matches("+/monitor/Clients", "$SYS/monitor/Clients"));
    assert!(matches("$SYS/#", "$SYS/x") && matches("$SYS/#", "$SYS"));
    assert!(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
    assert!(matches("a/+", "a/$b") && matches("a/#", "a/$b"));
    // Section 4.7.3: case, spaces and empty levels count, [MQTT-4.7.3-4] [3.1.1: MQTT-4.7.3-4].
    assert!(!matches("ACCOUNTS", "Accounts") && !matches("/finance", "finance") && !matches("a/b", "a/b/"));
}

#[test]
fn the_stem_ends_before_the_first_wildcard() {
    let stems = [("a/b", "a/b", 2), ("a/+/b", "a", 1), ("a/b/#", "a/b", 2), ("+/a", "", 0), ("#", "", 0)];
    for (filter, text, levels) in stems.into_iter().chain([("/+", "", 1), ("//#", "/", 2), ("a//+", "a/", 2)]) {
        assert_eq!((stem(filter), stem_levels(filter)), (text, levels), "{filter}");
        assert_eq!(is_wildcard(filter), filter.contains(['+', '#']));
    }
}

#[test]
fn a_level_is_there_from_its_first_use_to_its_last() {
    let mut interner = Interner::new(1);
    let light = interner.acquire("light");
    assert_eq!(interner.acquire("light"), light);
    interner.hold(light);
    let empty = interner.acquire("");
    assert_eq!((interner.text(light), interner.text(empty), interner.len()), ("light", "", 2));
    interner.release(light);
    interner.release(light);
    assert_eq!(interner.get("light"), Some(light));
    interner.release(light);
    assert_eq!((interner.get("light"), interner.get(""), interner.len()), (None, Some(empty), 1));
    assert_eq!(interner.acquire("door"), light, "the number is used again");
}

#[test]
fn levels_keep_their_text_while_others_come_and_go() {
    let mut dice = Dice(2);
    let mut interner = Interner::new(2);
    let mut model = BTreeMap::new();
    for step in 0..30_000 {
        let mut text = format!("level-{}", dice.below(600));
        if step % 500 == 0 {
            text = "é".repeat(dice.below(32_767));
        }
        if dice.below(2) == 0 {
            let (level, uses) = model.entry(text.clone()).or_insert((interner.acquire(&text), 0));
            assert_eq!(interner.text(*level), text);
            *uses += 1;
        } else if let Some((level, uses)) = model.get_mut(&text) {
            interner.release(*level);
            *uses -= 1;
        }
        model.retain(|_, (_, uses)| *uses > 0);
        assert_eq!(interner.len(), model.len());
    }
    for (text, (level, uses)) in model {
        assert_eq!((interner.get(&text), interner.text(level)), (Some(level), text.as_str()));
        (0..uses).for_each(|_| interner.release(level));
    }
    assert!(interner.is_empty());
}

/// The table under test beside the plainest thing that says the same.
struct Twin {
    interner: Interner,
    table: Subscriptions,
    model: BTreeMap<String, BTreeMap<(Kind, ShardId), FilterHandle>>,
}

impl Twin {
    fn new(seed: u64) -> Twin {
        Twin { interner: Interner::new(seed), table: Subscriptions::new(seed), model: BTreeMap::new() }
    }

    fn add(&mut self, filter: &str, kind: Kind, home: ShardId, handle: FilterHandle) {
        let id = self.table.add(filter, kind, home, handle, &mut self.interner);
        self.model.entry(filter.into()).or_default().insert((kind, home), handle);
        self.check_entry(id, filter);
        assert_eq!(self.table.find(filter, &self.interner), Some(id));
    }

    fn remove(&mut self, filter: &str, kind: Kind, home: ShardId) {
        let wishes = self.model.get_mut(filter);
        let was_there = wishes.is_some_and(|wishes| wishes.remove(&(kind, home)).is_some());
        self.model.retain(|_, wishes| !wishes.is_empty());
        assert_eq!(self.table.remove(filter, kind, home, &mut self.interner), was_there, "{filter}");
        assert_eq!(self.table.find(filter, &self.interner).is_some(), self.model.contains_key(filter));
        assert_eq!(self.table.len(), self.model.len());
    }

    fn check_entry(&self, id: FilterId, filter: &str) {
        let entry = self.table.entry(id);
        assert_eq!(&*entry.text, filter);
        let plain = entry.plain.iter().map(|(home, handle)| ((Kind::Plain, *home), *handle));
        let merged = entry.merged.iter().map(|(form, home, handle)| ((Kind::Merged(*form), *home), *handle));
        let mut wishes: Vec<_> = plain.chain(merged).collect();
        wishes.sort();
        assert_eq!(wishes, self.model[filter].clone().into_iter().collect::<Vec<_>>());
    }

    /// That `found` is what the model has for `topic`, each once.
    fn check_found(&self, topic: &str, found: &[FilterId]) {
        let mut texts: Vec<&str> = found.iter().map(|id| &*self.table.entry(*id).text).collect();
        texts.sort_unstable();
        let expected: Vec<&str> = self.model.keys().map(String::as_str).filter(|f| matches(f, topic)).collect();
        assert_eq!(texts, expected, "{topic}");
    }

    fn check(&mut self, topic: &str) {
        let mut found = Vec::new();
        self.table.matching(topic, &self.interner, &mut found);
        self.check_found(topic, &found);
    }

    fn check_batch(&mut self, topics: &[String]) {
        let mut rows = Vec::new();
        let each = |row: usize, found: &[FilterId]| rows.push((row, found.to_vec()));
        self.table.matching_batch(topics.iter().map(String::as_str), &self.interner, each);
        assert_eq!(rows.len(), topics.len());
        for (index, (row, found)) in rows.into_iter().enumerate() {
            assert_eq!(row, index);
            self.check_found(&topics[row], &found);
        }
    }

    fn remove_all(&mut self) {
        for (filter, wishes) in self.model.clone() {
            for (kind, home) in wishes.into_keys() {
                self.remove(&filter, kind, home);
            }
        }
        assert_eq!((self.table.len(), self.table.nodes(), self.interner.len()), (0, 1, 0));
    }
}

/// Adds, removals, single topics (some again and again, so that they are cached) and batches, interleaved.
fn run_twin(seed: u64, steps: usize, alphabet: &[&str], levels_max: usize) {
    let mut dice = Dice(seed);
    let mut twin = Twin::new(seed);
    let mut recent = vec![String::from("a"); 8];
    for step in 0..steps {
        // Times of growth and times of decline.
        let growing = (step / 500) % 2 == 0;
        let kinds = [Kind::Plain, Kind::Plain, Kind::Merged(Form::default()), Kind::Merged(Form::CLASSIC)];
        let kind = kinds[dice.below(4)];
        let home = ShardId(dice.below(3) as u16);
        match dice.below(10) {
            0..3 if growing || dice.below(4) == 0 => {
                let filter = dice.filter(alphabet, levels_max);
                twin.add(&filter, kind, home, FilterHandle(step as u32));
            }
            0..3 => {
                let at = dice.below(twin.model.len().max(1));
                let known = twin.model.iter().nth(at).map(|(filter, wishes)| (filter.clone(), wishes.clone()));
                for (filter, (kind, home)) in known.iter().flat_map(|(f, w)| w.keys().map(move |key| (f, *key))) {
                    twin.remove(filter, kind, home);
                }
                let filter = dice.filter(alphabet, levels_max);
                twin.remove(&filter, kind, home);
            }
            3..6 => {
                let at = dice.below(recent.len());
                recent[at] = dice.topic(alphabet, levels_max + 1);
                twin.check(&recent[at]);
            }
            6..9 => twin.check(&recent[dice.below(8)]),
            _ => {
                let stem = dice.topic(alphabet, levels_max - 1);
                let row = |dice: &mut Dice| match dice.below(4) {
                    0 => dice.topic(alphabet, levels_max + 1),
                    1 => stem.clone(),
                    _ => format!("{stem}/{}", dice.topic(alphabet, 2)),
                };
                let topics: Vec<_> = (0..1 + dice.below(12)).map(|_| row(&mut dice)).collect();
                twin.check_batch(&topics);
            }
        }
    }
    twin.remove_all();
}

#[test]
fn the_trie_finds_what_the_rule_says() {
    for seed in 0..4 {
        run_twin(seed, 8_000, &["a", "b", "c", "", "$s"], 5);
    }
}

#[test]
fn the_trie_finds_what_the_rule_says_in_a_small_world() {
    run_twin(11, 10_000, &["a", "$"], 3);
}

#[test]
fn the_trie_finds_what_the_rule_says_for_topics_too_long_to_cache() {
    let long = "x".repeat(90);
    run_twin(12, 8_000, &[&long, "a", "é"], 3);
}

#[test]
fn more_filters_than_the_cache_keeps_are_found_again_and_again() {
    let mut twin = Twin::new(5);
    for turn in 0..(2 << 7) {
        let filter: Vec<_> = (0..7).map(|bit| if turn >> bit & 1 == 1 { "+" } else { "a" }).collect();
        let filter = filter.join("/") + if turn >> 7 == 1 { "/#" } else { "" };
        twin.add(&filter, Kind::Plain, ShardId(0), FilterHandle(turn));
        (0..4).for_each(|_| twin.check("a/a/a/a/a/a/a"));
    }
    assert!(twin.model.len() > TOPIC_CACHE_FILTERS_MAX);
    twin.remove_all();
}

/// More topics than the cache ever holds, each often enough to be let in, through all of its growth.
#[test]
fn a_flood_of_topics_finds_what_a_first_topic_finds() {
    let mut interner = Interner::new(6);
    let mut table = Subscriptions::new(6);
    let mut add = |filter: &str| table.add(filter, Kind::Plain, ShardId(0), FilterHandle(0), &mut interner);
    let (all, sevens) = (add("flood/#"), add("flood/+/7"));
    let mut found = Vec::new();
    for sight in 0..4 {
        for n in 0..30_000 {
            // In the later half most is cached; every topic comes twice in a row now and then.
            for _ in 0..1 + sight % 2 {
                found.clear();
                table.matching(&format!("flood/{n}/{}", n % 8), &interner, &mut found);
                found.sort_unstable();
                assert_eq!(found, if n % 8 == 7 { vec![all, sevens] } else { vec![all] });
            }
        }
    }
}

/// A filter without wildcard comes and goes for one cached topic and leaves its neighbours cached.
#[test]
fn a_cached_topic_follows_its_filters() {
    let mut twin = Twin::new(7);
    twin.add("a/+", Kind::Plain, ShardId(0), FilterHandle(0));
    let check = |twin: &mut Twin| (0..4).for_each(|_| ["a/b", "a/c", "a/b/d"].iter().for_each(|t| twin.check(t)));
    check(&mut twin);
    for filter in ["a/b", "a/#", "#", "a/b/d", "+/b/#"] {
        twin.add(filter, Kind::Merged(Form::default()), ShardId(1), FilterHandle(1));
        check(&mut twin);
        twin.add(filter, Kind::Merged(Form::default()), ShardId(1), FilterHandle(2));
        check(&mut twin);
        twin.remove(filter, Kind::Merged(Form::default()), ShardId(1));
        check(&mut twin);
    }
    twin.remove_all();
}

#[test]
fn the_longest_topics_walk_without_a_stack() {
    let mut twin = Twin::new(8);
    let slashes = "/".repeat(65_535);
    let pluses = vec!["+"; 32_768].join("/");
    let filters = [slashes.as_str(), &pluses, &format!("{}/", &pluses[2..]), "#", "/#", "+/+/+"].map(String::from);
    let half = "/".repeat(32_767);
    for filter in filters.iter().chain([&format!("{half}#"), &half]) {
        assert_eq!(check_filter(filter, TOPIC_LEVELS_MAX), Ok(()));
        twin.add(filter, Kind::Plain, ShardId(0), FilterHandle(0));
    }
    let one_level = "x".repeat(65_535);
    let halves = "/".repeat(32_768);
    for topic in [&slashes, &half, &halves, &one_level, &format!("{half}x")] {
        assert_eq!(check_name(topic, TOPIC_LEVELS_MAX), Ok(()));
        twin.check(topic);
        twin.check(topic);
    }
    twin.check_batch(&[slashes.clone(), half, slashes, one_level]);
    twin.remove_all();
}

/// Filters that send the walk to every node there is, and match nothing.
#[test]
fn the_worst_filters_cost_no_more_than_their_nodes() {
    let mut twin = Twin::new(9);
    for turn in 0..1 << 11 {
        let filter: Vec<_> = (0..11).map(|bit| if turn >> bit & 1 == 1 { "+" } else { "a" }).collect();
        twin.add(&(filter.join("/") + "/x"), Kind::Plain, ShardId(0), FilterHandle(turn));
    }
    // 2 + 4 + … + 2^11 nodes for the branches, 2^11 for the x, the root.
    assert_eq!(twin.table.nodes(), (1 << 12) - 2 + (1 << 11) + 1);
    let deep = "a/".repeat(11);
    let topics = ["y", "x", "a/x", "x/x"].map(|end| format!("{deep}{end}"));
    topics.iter().for_each(|topic| twin.check(topic));
    twin.check_batch(&topics);
    twin.remove_all();
}

fn split(prefix: &str, levels: usize) -> Split {
    Split { prefix: prefix.into(), levels }
}

fn pin(root: &str, shard: u16) -> Pin {
    Pin { root: root.into(), shard }
}

#[test]
fn the_root_is_the_first_level_or_what_the_longest_split_says() {
    // [MOTE-7.1] [MOTE-7.2]
    let splits = [split("v1/devices", 3), split("v1/devices/eu", 5), split("/x", 2), split("site", 1)];
    let roots = Roots::new([1, 2], &splits, &[], 4).unwrap();
    let cases = [
        ("light/bedroom/is_on", "light"),
        ("light", "light"),
        ("/light", ""),
        ("/x/y/z", "/x"),
        ("$SYS/a", "$SYS"),
        ("v1", "v1"),
        ("v1/users/u", "v1"),
        ("v1/devicesX/d7/t", "v1"),
        ("v1/devices", "v1/devices"),
        ("v1/devices/", "v1/devices/"),
        ("v1/devices/d7", "v1/devices/d7"),
        ("v1/devices/d7/t/u", "v1/devices/d7"),
        ("v1/devices/eu/a", "v1/devices/eu/a"),
        ("v1/devices/eu/a/b/c", "v1/devices/eu/a/b"),
        ("site/a/b", "site"),
    ];
    for (topic, root) in cases {
        assert_eq!(roots.root_of(topic), root, "{topic}");
        assert_eq!(roots.group(topic), roots.group(topic));
    }
    assert_eq!(roots.group("v1/devices/d7"), roots.group("v1/devices/d7/t/u"));
}

/// Groups are recorded in the store. The numbers are those of another implementation of SipHash-1-3 (CPython's
/// hash of bytes under PYTHONHASHSEED=0, which is the key 0, 0), modulo 256.
#[test]
fn the_group_of_a_root_never_changes() {
    let roots = Roots::new([0, 0], &[split("v1/devices", 3), split("a", 2)], &[], 1).unwrap();
    let groups = [("light/bedroom", 2), ("v1/devices/d7/x", 174), ("$SYS/broker", 255), ("a/b/c", 225)];
    for (topic, group) in groups {
        assert_eq!(roots.group(topic), GroupId(group), "{topic}");
    }
}

#[test]
fn what_the_broker_says_about_itself_shares_its_group_with_nobody() {
    let roots = Roots::new([7, 8], &[], &[], 3).unwrap();
    let sys = roots.group("$SYS/broker/uptime");
    let mut taken = [false; GROUPS];
    for root in 0..20_000 {
        let group = roots.group(&format!("root-{root}/a"));
        assert_ne!(group, sys, "root-{root}");
        taken[group.index()] = true;
    }
    assert_eq!(taken.iter().filter(|taken| !**taken).count(), 1, "every other group is in use");
}

#[test]
fn groups_are_dealt_evenly() {
    // [MOTE-7.5]
    for shards in 1..=SHARDS_MAX as u16 {
        let roots = Roots::new([3, 4], &[], &[], shards).unwrap();
        let mut counts = vec![0; shards.into()];
        (0..GROUPS as u16).for_each(|group| counts[roots.shard_of_group(GroupId(group)).index()] += 1);
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    }
}

#[test]
fn clients_spread_over_all_homes() {
    let roots = Roots::new([3, 4], &[], &[], 8).unwrap();
    let mut counts = [0; 8];
    (0..8_000).for_each(|n| counts[roots.home(&format!("client-{n}")).index()] += 1);
    assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
}

#[test]
fn one_shard_owns_everything() {
    let roots = Roots::new([3, 4], &[split("a", 3)], &[pin("b", 0)], 1).unwrap();
    assert_eq!((roots.owner("a/b/c"), roots.home("x")), (ShardId(0), ShardId(0)));
    assert_eq!(roots.owners_of_filter("#"), Owners::One(ShardId(0)));
}

#[test]
fn a_pin_moves_a_subtree_and_what_shares_its_group() {
    // [MOTE-7.5]
    let splits = [split("v1/devices", 3)];
    let free = Roots::new([5, 6], &splits, &[], 4).unwrap();
    for root in ["light", "v1", "v1/devices/d7", "$SYS"] {
        for shard in 0..4 {
            let pinned = Roots::new([5, 6], &splits, &[pin(root, shard)], 4).unwrap();
            assert_eq!(pinned.owner(&format!("{root}/below/it")), ShardId(shard));
            for group in (0..GROUPS as u16).map(GroupId).filter(|group| *group != free.group(root)) {
                assert_eq!(pinned.shard_of_group(group), free.shard_of_group(group));
            }
        }
    }
}

#[test]
fn what_cannot_be_pinned_or_split_is_named() {
    let splits = [split("v1/devices", 3)];
    let refusal = |splits: &[Split], pins: &[Pin]| Roots::new([0, 0], splits, pins, 4).err().unwrap();
    assert!(refusal(&splits, &[pin("v1/devices", 0)]).contains("v1/devices"), "many roots lie below it");
    assert!(refusal(&splits, &[pin("light/bedroom", 0)]).contains("light/bedroom"), "part of a root");
    assert!(refusal(&splits, &[pin("light/+", 0)]).contains("light/+"));
    assert!(refusal(&splits, &[pin("light", 4)]).contains("shard 4"));
    assert!(refusal(&[split("a", 2), split("a", 3)], &[]).contains("twice"));
    assert!(refusal(&[split("a/b", 1)], &[]).contains("a/b"));
    assert!(refusal(&[split("a", 0)], &[]).contains("\"a\""));
    assert!(refusal(&[split("a", TOPIC_LEVELS_MAX + 1)], &[]).contains("\"a\""));
    assert!(refusal(&[split("a/#", 3)], &[]).contains("a/#"));
    assert!(Roots::new([0, 0], &[], &[], 0).is_err());
    assert!(Roots::new([0, 0], &[], &[], SHARDS_MAX as u16 + 1).is_err());
}

#[test]
fn two_pins_of_one_group_must_agree() {
    let roots = Roots::new([0, 0], &[], &[], 4).unwrap();
    let other = (0..).map(|n| format!("root-{n}")).find(|root| roots.group(root) == roots.group("light")).unwrap();
    let refused = Roots::new([0, 0], &[], &[pin("light", 1), pin(&other, 2)], 4).err().unwrap();
    assert!(refused.contains("\"light\"") && refused.contains(&format!("\"{other}\"")), "{refused}");
    let agreed = Roots::new([0, 0], &[], &[pin("light", 1), pin(&other, 1)], 4).unwrap();
    assert_eq!((agreed.owner("light/x"), agreed.owner(&other)), (ShardId(1), ShardId(1)));
}

#[test]
fn a_filter_is_kept_where_its_topics_can_be() {
    let roots = Roots::new([5, 6], &[split("v1/devices", 3), split("v1/devices/eu", 5)], &[], 64).unwrap();
    let one = |filter: &str, topic: &str| {
        assert_eq!(roots.owners_of_filter(filter), Owners::One(roots.owner(topic)), "{filter}");
    };
    one("a", "a/x");
    one("a/#", "a");
    one("a/+/c", "a/b/c");
    one("/+", "/x");
    one("/#", "/x/y");
    one("$SYS/#", "$SYS");
    one("v1/users/#", "v1/users/u");
    one("v1/devices/d7/#", "v1/devices/d7");
    one("v1/devices/d7/+/x", "v1/devices/d7/y/x");
    one("v1/devices/eu/a/b/#", "v1/devices/eu/a/b/c");
    one("v1/devices", "v1/devices");
    // `v1/+` matches the topic `v1/devices` too, whose root is itself.
    for filter in ["#", "+", "+/a", "v1/#", "v1/+", "v1/+/d7", "v1/devices/#", "v1/devices/+", "v1/devices/+/x"] {
        assert_eq!(roots.owners_of_filter(filter), Owners::All, "{filter}");
    }
    for filter in ["v1/devices/eu/#", "v1/devices/eu/a/#", "v1/devices/eu/a/+"] {
        assert_eq!(roots.owners_of_filter(filter), Owners::All, "{filter}");
    }
}

fn random_roots(dice: &mut Dice, alphabet: &[&str]) -> Roots {
    let mut splits: Vec<Split> = Vec::new();
    for _ in 0..dice.below(4) {
        let prefix = dice.topic(alphabet, 3);
        let levels = prefix.split('/').count() + dice.below(3);
        if splits.iter().all(|split| split.prefix != prefix) {
            splits.push(Split { prefix, levels });
        }
    }
    let seed = [dice.below(usize::MAX) as u64, dice.below(usize::MAX) as u64];
    let shards = [2, 3, 7, 64][dice.below(4)];
    let free = Roots::new(seed, &splits, &[], shards).unwrap();
    let root = free.root_of("a/b/c/d/e/f/g").to_owned();
    Roots::new(seed, &splits, &[pin(&root, shards - 1)], shards).unwrap_or(free)
}

#[test]
fn the_owner_of_a_topic_is_an_owner_of_every_filter_that_matches_it() {
    let alphabet = ["a", "b", "", "$s"];
    let mut dice = Dice(10);
    for _ in 0..400 {
        let roots = random_roots(&mut dice, &alphabet);
        for _ in 0..60 {
            let (filter, topic) = (dice.filter(&alphabet, 5), dice.topic(&alphabet, 6));
            if let Owners::One(shard) = roots.owners_of_filter(&filter)
                && matches(&filter, &topic)
            {
                assert_eq!(roots.owner(&topic), shard, "{filter} matches {topic}");
            }
        }
    }
}

/// Every topic of up to five levels, with a level that neither split nor filter names: the filter is kept by one
/// shard exactly if all that it matches have one root.
#[test]
fn a_filter_is_kept_by_all_only_if_it_must_be() {
    let alphabet = ["a", "b"];
    let mut topics = vec![String::from("a"), String::from("b"), String::from("other")];
    for at in 0.. {
        let Some(topic) = topics.get(at).filter(|topic| topic.split('/').count() < 6).cloned() else { break };
        topics.extend(["a", "b", "other"].map(|level| format!("{topic}/{level}")));
    }
    let mut dice = Dice(13);
    for _ in 0..60 {
        let roots = random_roots(&mut dice, &alphabet);
        for _ in 0..6 {
            let filter = dice.filter(&alphabet, 4);
            let mut found: Vec<_> =
                topics.iter().filter(|topic| matches(&filter, topic)).map(|topic| roots.root_of(topic)).collect();
            found.sort_unstable();
            found.dedup();
            let is_one = matches!(roots.owners_of_filter(&filter), Owners::One(_));
            assert_eq!(is_one, found.len() == 1, "{filter}: {found:?}");
            let group = roots.group_of_filter(&filter);
            assert_eq!(group, (found.len() == 1).then(|| roots.group(found[0])), "{filter}: {found:?}");
        }
    }
}
