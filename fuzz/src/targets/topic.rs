//! Names, filters, owners and the filters of an owner, driven by a tape: wishes come and go, topics are matched, each
//! time as the naive rule says. In the end every wish goes, and no level is left.

use super::tape::Tape;
use engine::config::{Pin, Split};
use engine::dialect::Form;
use engine::key::{FilterHandle, ShardId};
use engine::topic::share::Counts;
use engine::topic::{
    FilterId, Interner, Kind, Owners, Roots, Subscriptions, check_filter, check_name, is_wildcard, matches,
    parse_share, stem,
};
use std::collections::BTreeMap;

const LEVELS_MAX: usize = 12;
const OPERATIONS_MAX: usize = 300;
const HOMES: usize = 3;
const COUNTS: Counts = Counts { present: 1, ready: 1, keeping: 0 };
const LEVELS: [&str; 12] = ["a", "b", "", "+", "#", "$x", "c", "+", "a+", "#b", "$SYS", "\u{e9}"];

/// Filter, share name (none: empty), kind and home, and the handle of the home.
type Wish = (String, String, Kind, usize);

pub fn run(input: &[u8]) {
    let mut tape = Tape::new(input);
    let seed = u64::from(tape.byte());
    let roots = draw_roots(&mut tape);
    let (mut interner, mut subscriptions) = (Interner::new(seed), Subscriptions::new(seed));
    let mut wishes: BTreeMap<Wish, u32> = BTreeMap::new();
    let mut filters: Vec<String> = Vec::new();
    let mut topics: Vec<String> = Vec::new();
    for operation in 0..OPERATIONS_MAX as u32 {
        if tape.is_over() {
            break;
        }
        match tape.below(4) {
            0 | 1 => {
                let text = draw(&mut tape, &filters);
                check_share(&text);
                assert_eq!(check_filter(&text, LEVELS_MAX).is_ok(), is_filter(&text), "{text:?}");
                if is_filter(&text) {
                    check_owners(&roots, &text, &topics);
                    let wish = draw_wish(&mut tape, text.clone());
                    change(&mut tape, &mut subscriptions, &mut interner, &mut wishes, wish, operation);
                    filters.push(text);
                }
            }
            _ => {
                let topic = draw(&mut tape, &topics);
                let is_name = is_filter(&topic) && !topic.contains(['+', '#']);
                assert_eq!(check_name(&topic, LEVELS_MAX).is_ok(), is_name, "{topic:?}");
                if is_name {
                    filters.iter().for_each(|filter| assert_eq!(matches(filter, &topic), naive(filter, &topic)));
                    check_matching(&mut subscriptions, &interner, &wishes, &topic);
                    topics.push(topic);
                }
            }
        }
    }
    check_together(&mut subscriptions, &interner, &wishes, &topics);
    for wish in std::mem::take(&mut wishes).into_keys() {
        assert!(remove(&mut subscriptions, &mut interner, &wish), "{wish:?}");
    }
    assert!(subscriptions.is_empty() && interner.is_empty(), "{} levels are held by nobody", interner.len());
    topics.iter().for_each(|topic| check_matching(&mut subscriptions, &interner, &wishes, topic));
}

/// A text of the levels of the tape, one seen before, or any text.
fn draw(tape: &mut Tape<'_>, seen: &[String]) -> String {
    match tape.below(8) {
        0 if !seen.is_empty() => seen[tape.below(seen.len().min(256))].clone(),
        1 => {
            let len = tape.below(20);
            String::from_utf8_lossy(tape.take(len)).into_owned()
        }
        levels => (0..levels.max(1)).map(|_| tape.pick(&LEVELS)).collect::<Vec<_>>().join("/"),
    }
}

fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let is_level = |(at, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => at + 1 == levels.len(),
        other => !other.contains(['+', '#', '\0']),
    };
    !text.is_empty() && levels.len() <= LEVELS_MAX && levels.iter().enumerate().all(is_level)
}

/// Section 4.7, level by level.
fn naive(filter: &str, topic: &str) -> bool {
    fn go(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([first, filter @ ..], [level, topic @ ..]) => (*first == "+" || first == level) && go(filter, topic),
            _ => false,
        }
    }
    let is_own = topic.starts_with('$') && filter.starts_with(['+', '#']);
    !is_own && go(&filter.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>())
}

fn draw_roots(tape: &mut Tape<'_>) -> Roots {
    let shards = 1 + tape.below(5) as u16;
    let split = match tape.below(4) {
        0 => vec![],
        1 => vec![Split { prefix: "a".into(), levels: 2 }],
        2 => vec![Split { prefix: "a".into(), levels: 3 }, Split { prefix: "a/b".into(), levels: 2 }],
        _ => vec![Split { prefix: "b/c".into(), levels: 4 }],
    };
    let pin = match tape.below(3) {
        0 => vec![],
        _ => vec![Pin { root: "c".into(), shard: tape.byte().into() }],
    };
    let is_valid = pin.iter().all(|pin| pin.shard < shards);
    let roots = Roots::new([1, 2], &split, &pin, shards);
    assert_eq!(roots.is_ok(), is_valid, "{:?}", roots.as_ref().err());
    if let (Ok(roots), [pin]) = (&roots, &pin[..]) {
        assert_eq!(roots.owner("c/x"), ShardId(pin.shard));
    }
    roots.unwrap_or_else(|_| Roots::new([1, 2], &split, &[], shards).expect("without pins"))
}

/// Who owns a topic is among the owners of every filter that matches it.
fn check_owners(roots: &Roots, filter: &str, topics: &[String]) {
    let (owners, group) = (roots.owners_of_filter(filter), roots.group_of_filter(filter));
    for topic in topics.iter().filter(|topic| naive(filter, topic)) {
        let owner = roots.owner(topic);
        assert!(matches!(owners, Owners::All) || owners == Owners::One(owner), "{topic} of {filter}");
        assert!(group.is_none_or(|group| group == roots.group(topic)), "{topic} of {filter}");
        assert_eq!(roots.shard_of_group(roots.group(topic)), owner);
        assert!(topic.starts_with(roots.root_of(topic)));
    }
    assert_eq!(is_wildcard(filter), filter.split('/').any(|level| matches!(level, "+" | "#")));
    assert!(filter.starts_with(stem(filter)) && !is_wildcard(stem(filter)));
}

fn check_share(text: &str) {
    let parsed = parse_share(text);
    assert_eq!(parsed.is_some(), text.starts_with("$share/"));
    if let Some(Ok((name, filter))) = parsed {
        assert_eq!(format!("$share/{name}/{filter}"), text);
        assert!(!name.is_empty() && !name.contains(['/', '+', '#']));
    }
}

fn draw_wish(tape: &mut Tape<'_>, filter: String) -> Wish {
    let kind = tape.pick(&[Kind::Plain, Kind::Merged(Form::default()), Kind::Shared]);
    let name = if kind == Kind::Shared { tape.pick(&["g", "h"]) } else { "" };
    (filter, name.to_owned(), kind, tape.below(HOMES))
}

fn change(
    tape: &mut Tape<'_>,
    subscriptions: &mut Subscriptions,
    interner: &mut Interner,
    wishes: &mut BTreeMap<Wish, u32>,
    wish: Wish,
    handle: u32,
) {
    if tape.below(3) == 0 {
        let was_there = wishes.remove(&wish).is_some();
        assert_eq!(remove(subscriptions, interner, &wish), was_there, "{wish:?}");
    } else {
        let (filter, name, kind, home) = &wish;
        let home = ShardId(*home as u16);
        let handle = FilterHandle(handle);
        match kind {
            Kind::Shared => {
                subscriptions.join(name, filter, (home, handle), COUNTS, interner);
            }
            _ => {
                let id = subscriptions.add(filter, *kind, home, handle, interner);
                assert_eq!(&*subscriptions.entry(id).text, &filter[..]);
            }
        }
        wishes.insert(wish, handle.0);
    }
    let mut texts: Vec<&String> = wishes.keys().map(|(filter, ..)| filter).collect();
    texts.dedup();
    assert_eq!(subscriptions.len(), texts.len());
}

fn remove(subscriptions: &mut Subscriptions, interner: &mut Interner, (filter, name, kind, home): &Wish) -> bool {
    let home = ShardId(*home as u16);
    match kind {
        Kind::Shared => subscriptions.leave(name, filter, home, interner),
        _ => subscriptions.remove(filter, *kind, home, interner),
    }
}

/// The trie, and the cache before and after it, name the filters that match, each with those who want it.
fn check_matching(subscriptions: &mut Subscriptions, interner: &Interner, wishes: &BTreeMap<Wish, u32>, topic: &str) {
    let mut want: Vec<&str> = wishes.keys().map(|(filter, ..)| &filter[..]).filter(|it| naive(it, topic)).collect();
    want.dedup();
    let texts = |subscriptions: &Subscriptions, ids: &[FilterId]| {
        let mut texts: Vec<String> = ids.iter().map(|id| subscriptions.entry(*id).text.to_string()).collect();
        texts.sort_unstable();
        texts
    };
    let mut ids = Vec::new();
    subscriptions.matching(topic, interner, &mut ids);
    assert_eq!(texts(subscriptions, &ids), want, "{topic}");
    if let Some(known) = subscriptions.known(topic.as_bytes()).map(<[FilterId]>::to_vec) {
        assert_eq!(texts(subscriptions, &known), want, "{topic} as it was known");
    }
    let looked_up = subscriptions.look_up(topic, interner).to_vec();
    assert_eq!(texts(subscriptions, &looked_up), want, "{topic} looked up");
    for id in ids {
        let entry = subscriptions.entry(id);
        let plain = wishes.keys().filter(|(filter, _, kind, _)| **filter == *entry.text && *kind == Kind::Plain);
        assert_eq!(entry.plain.len(), plain.count());
        for (home, handle) in &entry.plain {
            let wish = (entry.text.to_string(), String::new(), Kind::Plain, home.index());
            assert_eq!(wishes.get(&wish), Some(&handle.0), "{wish:?}");
        }
    }
}

/// Many topics at once are matched as one by one.
fn check_together(
    subscriptions: &mut Subscriptions,
    interner: &Interner,
    wishes: &BTreeMap<Wish, u32>,
    topics: &[String],
) {
    let mut counts = vec![0; topics.len()];
    subscriptions.matching_batch(topics.iter().map(String::as_str), interner, |at, ids| counts[at] += ids.len());
    for (topic, count) in topics.iter().zip(counts) {
        let mut want: Vec<&str> = wishes.keys().map(|(filter, ..)| &filter[..]).filter(|it| naive(it, topic)).collect();
        want.dedup();
        assert_eq!(count, want.len(), "{topic}");
    }
}
