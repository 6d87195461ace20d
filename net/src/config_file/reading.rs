//! From TOML to settings, by the table of keys; every fault with its place and, for an unknown key, the nearest name.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use engine::config::History;
use engine::limits::{HISTORY_DEPTH_MAX, TOPIC_LEVELS_MAX};
use engine::topic::check_filter;

use super::keys::{self, HISTORY_KEYS, KEYS, Key, Kind, LISTENER_KEYS, PROFILES, Value};
use super::{Faults, Listener, Settings};

/// Reads a whole file. Settings are changed only as far as they are valid; the caller drops them on a fault.
pub fn file(settings: &mut Settings, name: &str, text: &str) -> Result<(), Faults> {
    let place = |span: Range<usize>| {
        let (line, column) = line_and_column(text, span.start);
        format!("{name}:{line}:{column}")
    };
    apply(settings, text, &place)
}

/// Reads one `--set key=value`. A value that is no TOML is taken as text, so that a shell needs no quotes.
pub fn set(settings: &mut Settings, assignment: &str) -> Result<(), Faults> {
    let place = |_: Range<usize>| format!("--set {assignment}");
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(Faults::one(format!("--set {assignment}: write key=value")));
    };
    if DeTable::parse(assignment).is_ok() {
        return apply(settings, assignment, &place);
    }
    let quoted = format!("{key} = {}", keys_text(value.trim()));
    apply(settings, &quoted, &place)
}

/// A TOML string that means `text`.
fn keys_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

type Place<'a> = &'a dyn Fn(Range<usize>) -> String;

fn apply(settings: &mut Settings, text: &str, place: Place<'_>) -> Result<(), Faults> {
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        Faults::one(format!("{}: {}", place(at), error.message().replace('\n', ", ")))
    })?;
    let mut faults = Faults::default();
    for (name, value) in in_order(document.get_ref()) {
        top(settings, name, value, place, &mut faults);
    }
    if faults.0.is_empty() { Ok(()) } else { Err(faults) }
}

/// One entry at the top: a key, or a section whose entries are keys.
fn top(settings: &mut Settings, name: &Name<'_>, value: &Spanned<DeValue<'_>>, place: Place<'_>, faults: &mut Faults) {
    if let Some(key) = keys::find(name.get_ref()) {
        return one(settings, key, value, place, faults);
    }
    let prefix = format!("{}.", name.get_ref());
    let is_section = KEYS.iter().any(|key| key.name.starts_with(&prefix));
    match value.get_ref() {
        DeValue::Table(table) if is_section => {
            for (inner, value) in in_order(table) {
                let full = format!("{prefix}{}", inner.get_ref());
                match keys::find(&full) {
                    Some(key) => one(settings, key, value, place, faults),
                    None => faults.0.push(unknown(&full, inner.span(), place)),
                }
            }
        }
        _ if is_section => {
            faults.0.push(format!("{}: `{}` is a section: write [{0}]", place(name.span()), name.get_ref()))
        }
        _ => faults.0.push(unknown(name.get_ref(), name.span(), place)),
    }
}

fn one(settings: &mut Settings, key: &Key, value: &Spanned<DeValue<'_>>, place: Place<'_>, faults: &mut Faults) {
    let read = match key.kind {
        Kind::Listeners => tables(key, value, place, listener).map(Value::Listeners),
        Kind::Histories => tables(key, value, place, history).map(Value::Histories),
        Kind::Counts { min, max } => counts(key, min, max, value, place),
        _ => simple(&key.kind, value.get_ref()).ok_or_else(|| vec![wrong(key.name, &key.kind, value, place)]),
    };
    match read {
        Ok(value) => (key.set)(settings, value),
        Err(more) => faults.0.extend(more),
    }
}

fn simple(kind: &Kind, value: &DeValue<'_>) -> Option<Value> {
    match (kind, value) {
        (Kind::Integer { min, max } | Kind::IntegerOr { min, max, .. }, DeValue::Integer(_)) => {
            integer(value).filter(|integer| (min..=max).contains(&integer)).map(Value::Integer)
        }
        (Kind::IntegerOr { word, .. }, DeValue::String(text)) if text == word => Some(Value::Word(text.to_string())),
        (Kind::Bool, DeValue::Boolean(bool)) => Some(Value::Bool(*bool)),
        (Kind::Choice(words), DeValue::String(text)) if words.contains(&text.as_ref()) => {
            Some(Value::Word(text.to_string()))
        }
        (Kind::TextOrNone { bytes_max }, DeValue::String(text))
            if text.len() <= *bytes_max && !text.contains(char::is_control) =>
        {
            Some(Value::Word(text.to_string()))
        }
        (Kind::Text, DeValue::String(text)) if !text.is_empty() => Some(Value::Word(text.to_string())),
        _ => None,
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn counts(key: &Key, min: u64, max: u64, value: &Spanned<DeValue<'_>>, place: Place<'_>) -> Result<Value, Vec<String>> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(vec![wrong(key.name, &key.kind, value, place)]);
    };
    let mut read = Vec::new();
    let mut faults = Vec::new();
    for (name, value) in in_order(table) {
        match integer(value.get_ref()).filter(|integer| (min..=max).contains(integer)) {
            Some(integer) => read.push((name.get_ref().to_string(), integer)),
            None => {
                let full = format!("{}.{:?}", key.name, name.get_ref());
                faults.push(wrong(&full, &Kind::Integer { min, max }, value, place));
            }
        }
    }
    if faults.is_empty() { Ok(Value::Counts(read)) } else { Err(faults) }
}

/// An array of tables, each read by `one`.
fn tables<T>(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    place: Place<'_>,
    one: fn(&Spanned<DeValue<'_>>, Place<'_>) -> Result<T, Vec<String>>,
) -> Result<Vec<T>, Vec<String>> {
    let DeValue::Array(array) = value.get_ref() else {
        return Err(vec![wrong(key.name, &key.kind, value, place)]);
    };
    let mut read = Vec::new();
    let mut faults = Vec::new();
    for item in array.iter() {
        match one(item, place) {
            Ok(item) => read.push(item),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

fn history(item: &Spanned<DeValue<'_>>, place: Place<'_>) -> Result<History, Vec<String>> {
    const DEPTH: Kind = Kind::Integer { min: 1, max: HISTORY_DEPTH_MAX as u64 };
    let DeValue::Table(table) = item.get_ref() else {
        return Err(vec![wrong("history", &Kind::Histories, item, place)]);
    };
    let (mut filter, mut depth) = (None, None);
    let mut faults = Vec::new();
    for (name, value) in in_order(table) {
        match (name.get_ref().as_ref(), value.get_ref()) {
            ("filter", DeValue::String(text)) => match check_filter(text, TOPIC_LEVELS_MAX) {
                Ok(()) => filter = Some(text.to_string()),
                Err(why) => faults.push(format!("{}: `history.filter`: {why}", place(value.span()))),
            },
            ("filter", _) => faults.push(wrong("history.filter", &Kind::Text, value, place)),
            ("depth", of) => match simple(&DEPTH, of) {
                Some(Value::Integer(of)) => depth = Some(of as usize),
                _ => faults.push(wrong("history.depth", &DEPTH, value, place)),
            },
            (other, _) => faults.push(unknown(&format!("history.{other}"), name.span(), place)),
        }
    }
    match (filter, depth) {
        (Some(filter), Some(depth)) if faults.is_empty() => Ok(History { filter, depth }),
        _ if faults.is_empty() => {
            Err(vec![format!("{}: a history needs a `filter` and a `depth`", place(item.span()))])
        }
        _ => Err(faults),
    }
}

fn listener(item: &Spanned<DeValue<'_>>, place: Place<'_>) -> Result<Listener, Vec<String>> {
    let DeValue::Table(table) = item.get_ref() else {
        return Err(vec![wrong("listener", &Kind::Listeners, item, place)]);
    };
    let mut faults = Vec::new();
    let (mut address, mut own, mut connect_rate) = (None, engine::config::Listener::default(), None);
    for (name, value) in in_order(table) {
        match (name.get_ref().as_ref(), value.get_ref().as_str().map(str::parse)) {
            ("address", Some(Ok(parsed))) => address = Some(parsed),
            ("address", _) => {
                faults.push(format!(
                    "{}: `listener.address` must be an address and a port in quotes, as \"127.0.0.1:1883\"",
                    place(value.span())
                ));
            }
            ("profile", _) => {
                let word = value.get_ref().as_str();
                match PROFILES.iter().find(|(known, _)| word == Some(known)) {
                    Some((_, known)) => own.profile = *known,
                    None => faults
                        .push(format!("{}: `listener.profile` must be \"mote\" or \"classic\"", place(value.span()))),
                }
            }
            ("packet_bytes", _) => {
                own.packet_bytes = limit(name, value, place, &mut faults).map(|bytes| bytes as usize)
            }
            ("publish_rate", _) => own.publish_rate = limit(name, value, place, &mut faults).map(|rate| rate as u32),
            ("bytes_rate", _) => own.bytes_rate = limit(name, value, place, &mut faults),
            ("connect_rate", _) => connect_rate = limit(name, value, place, &mut faults).map(|rate| rate as u32),
            (other, _) => faults.push(unknown(&format!("listener.{other}"), name.span(), place)),
        }
    }
    match address {
        Some(address) if faults.is_empty() => Ok(Listener { address, own, connect_rate }),
        None if faults.is_empty() => Err(vec![format!("{}: a listener needs an `address`", place(item.span()))]),
        _ => Err(faults),
    }
}

/// A key of a listener that stands for that of `[limits]` with its name, and is as large as that may be.
fn limit(name: &Name<'_>, value: &Spanned<DeValue<'_>>, place: Place<'_>, faults: &mut Vec<String>) -> Option<u64> {
    let key = keys::find(&format!("limits.{}", name.get_ref()))?;
    match simple(&key.kind, value.get_ref()) {
        Some(Value::Integer(integer)) => Some(integer),
        _ => {
            faults.push(wrong(&format!("listener.{}", name.get_ref()), &key.kind, value, place));
            None
        }
    }
}

fn wrong(name: &str, kind: &Kind, value: &Spanned<DeValue<'_>>, place: Place<'_>) -> String {
    format!("{}: `{name}` must be {}", place(value.span()), keys::range(kind))
}

fn unknown(name: &str, span: Range<usize>, place: Place<'_>) -> String {
    let listener_keys = LISTENER_KEYS.iter().map(|(key, _)| format!("listener.{key}"));
    let history_keys = HISTORY_KEYS.iter().map(|(key, _)| format!("history.{key}"));
    let sections = KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(section, _)| section.to_owned());
    let names = KEYS.iter().map(|key| key.name.to_owned()).chain(listener_keys).chain(history_keys).chain(sections);
    let nearest = names.map(|known| (distance(name, &known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= known.len() / 2 => {
            format!("{}: unknown key `{name}`, did you mean `{known}`?", place(span))
        }
        _ => format!("{}: unknown key `{name}` (`mote config default` lists them all)", place(span)),
    }
}

type Name<'a> = Spanned<toml::de::DeString<'a>>;

/// The entries of a table in the order in which they were written.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Name<'i>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// Both from 1; a column counts characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// Edit distance (Levenshtein), for names as long as a key; a longer one is as far as it is long.
fn distance(from: &str, to: &str) -> usize {
    const NAME_CHARS_MAX: usize = 64;
    if from.len() > NAME_CHARS_MAX {
        return from.len();
    }
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use engine::config::{Durability, Overflow, Profile};

    use super::*;
    use crate::config_file::default_listing;

    fn read(text: &str) -> Result<Settings, Faults> {
        let mut settings = Settings::default();
        file(&mut settings, "mote.toml", text).map(|()| settings)
    }

    fn fault(text: &str) -> String {
        let faults = read(text).unwrap_err();
        assert_eq!(faults.0.len(), 1, "{faults}");
        faults.0[0].clone()
    }

    #[test]
    fn the_default_listing_says_the_defaults_and_names_every_key() {
        let listing = default_listing();
        assert_eq!(read(&listing).unwrap(), Settings::default());
        for key in KEYS {
            let last = key.name.rsplit('.').next().unwrap();
            assert!(
                listing.contains(&format!("\n{last} = ")) || listing.contains(&format!("[{}]", key.name)),
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn what_was_set_is_what_is_got_for_every_key() {
        for key in KEYS {
            let mut settings = Settings::default();
            let other = match &key.kind {
                Kind::Integer { min, max } | Kind::IntegerOr { min, max, .. } => {
                    let default = (key.get)(&settings);
                    Value::Integer(if default == Value::Integer(*max) { *min } else { *max })
                }
                Kind::Bool => Value::Bool((key.get)(&settings) == Value::Bool(false)),
                Kind::Choice(words) => Value::Word(words[words.len() - 1].to_owned()),
                Kind::Text | Kind::TextOrNone { .. } => Value::Word("elsewhere".to_owned()),
                Kind::Counts { min, .. } => Value::Counts(vec![("a/b".to_owned(), *min)]),
                Kind::Histories => Value::Histories(vec![History { filter: "store/#".to_owned(), depth: 1 }]),
                Kind::Listeners => Value::Listeners(vec![Listener::at("[::1]:0".parse().unwrap())]),
            };
            (key.set)(&mut settings, other.clone());
            assert_eq!((key.get)(&settings), other, "{}", key.name);
            assert_ne!(settings, Settings::default(), "{} changes nothing", key.name);
        }
    }

    #[test]
    fn a_listener_has_limits_of_its_own() {
        let settings = read(
            "[limits]\nconnect_rate = 9\n[[listener]]\naddress = \"127.0.0.1:0\"\npacket_bytes = 2048\npublish_rate = 0\n\
             bytes_rate = 7\nconnect_rate = 5\n[[listener]]\naddress = \"[::1]:1884\"\n",
        )
        .unwrap();
        let own = settings.listeners[0].own;
        assert_eq!((own.packet_bytes, own.publish_rate, own.bytes_rate), (Some(2048), Some(0), Some(7)));
        assert_eq!(settings.listeners[1].own, Default::default());
        assert_eq!(settings.plan().connect_rates, [5, 9]);
        assert_eq!(settings.broker().engine.listeners, [own, Default::default()]);
        let small = fault("[[listener]]\naddress = \"[::1]:1\"\npacket_bytes = 5\n");
        assert!(small.contains("mote.toml:3:16: `listener.packet_bytes` must be an integer from 1024"), "{small}");
    }

    #[test]
    fn a_file_sets_what_it_names_and_nothing_else() {
        let settings = read(
            "durability = \"disk\"\n[session]\nqueue_messages = 5\noverflow = \"drop-oldest\"\n[shards]\ncount = 3\n\
             split = { \"v1/devices\" = 3 }\n[shards.pin]\n\"factory\" = 0\n[[listener]]\naddress = \"127.0.0.1:0\"\nprofile = \"classic\"\n\
             [[listener]]\naddress = \"[::1]:1884\"\n",
        )
        .unwrap();
        assert_eq!(settings.engine.durability, Durability::Disk);
        assert_eq!(settings.engine.session.queue_messages, 5);
        assert_eq!(settings.engine.session.overflow, Overflow::DropOldest);
        assert_eq!(settings.shards.count, Some(3));
        assert_eq!(settings.engine.shards.split[0].levels, 3);
        assert_eq!(settings.engine.shards.pin[0].root, "factory");
        let profiles: Vec<Profile> = settings.listeners.iter().map(|listener| listener.own.profile).collect();
        assert_eq!(profiles, [Profile::Classic, Profile::Mote]);
        assert_eq!(settings.engine.limits, Settings::default().engine.limits);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_name() {
        let text = "[session]\n  queue_mesages = 5\n";
        assert_eq!(
            fault(text),
            "mote.toml:2:3: unknown key `session.queue_mesages`, did you mean `session.queue_messages`?"
        );
        assert!(fault("[sesion]\na = 1\n").ends_with("mote.toml:1:2: unknown key `sesion`, did you mean `session`?"));
        assert!(fault("durabilty = \"disk\"\n").contains("did you mean `durability`?"));
        assert!(
            fault("[[listener]]\naddres = \"127.0.0.1:1\"\n").contains("mote.toml:2:1: unknown key `listener.addres`")
        );
        assert!(fault("[zzzzzzzzzzzzzzzzzzzzzz]\n").contains("mote config default"));
    }

    #[test]
    fn a_value_out_of_its_range_is_refused_with_its_place() {
        assert_eq!(
            fault("[limits]\ntree_rows = 0\n"),
            "mote.toml:2:13: `limits.tree_rows` must be an integer from 1 to 16777216"
        );
        assert!(fault("[session]\nreceive_max = 65536\n").contains("from 1 to 65535"));
        assert!(fault("[session]\nreceive_max = -1\n").contains("from 1 to 65535"));
        assert!(fault("[session]\nreceive_max = \"5\"\n").contains("must be an integer"));
        assert!(
            fault("[session]\noverflow = \"drop\"\n").contains("\"drop-newest\" or \"drop-oldest\" or \"disconnect\"")
        );
        assert!(fault("[shards]\npin = { a = 64 }\n").contains("`shards.pin.\"a\"` must be an integer from 0 to 63"));
        assert!(fault("[[listener]]\naddress = \"localhost\"\n").contains("mote.toml:2:11"));
        assert!(fault("[[listener]]\n").contains("needs an `address`"));
        let classic = "[[listener]]\naddress = \"[::1]:1\"\nprofile = \"old\"\n";
        assert!(fault(classic).contains("mote.toml:3:11: `listener.profile` must be \"mote\" or \"classic\""));
        assert!(fault("listener = 5\n").contains("[[listener]]"));
        assert!(fault("history = 5\n").contains("[[history]]"));
        assert!(fault("[[history]]\nfilter = \"a/#\"\n").contains("needs a `filter` and a `depth`"));
        assert!(fault("[[history]]\nfilter = \"a/#/b\"\ndepth = 1\n").contains("mote.toml:2:10: `history.filter`"));
        assert!(
            fault("[[history]]\nfilter = \"a\"\ndepth = 0\n").contains("`history.depth` must be an integer from 1")
        );
        assert!(fault("[[history]]\nfilter = \"a\"\ndeth = 5\n").contains("did you mean `history.depth`"));
        let two = read("[[history]]\nfilter = \"a/#\"\ndepth = 5\n[[history]]\nfilter = \"b/+\"\ndepth = 7\n").unwrap();
        let of = |filter: &str, depth| History { filter: filter.to_owned(), depth };
        assert_eq!(two.engine.history, [of("a/#", 5), of("b/+", 7)]);
        assert!(fault("session = 5\n").contains("is a section"));
    }

    #[test]
    fn all_faults_of_a_file_are_told_at_once() {
        assert_eq!(read("[limits]\na = 1\nb = 2\ntree_rows = 0\n").unwrap_err().0.len(), 3);
    }

    #[test]
    fn bad_toml_is_refused_with_its_place() {
        assert!(fault("[session]\nreceive_max = = 5\n").starts_with("mote.toml:2:"));
        assert!(fault("a = 1\na = 2\n").starts_with("mote.toml:2:1: duplicate key"));
    }

    #[test]
    fn set_takes_toml_and_bare_words() {
        let mut settings = Settings::default();
        for assignment in [
            "session.overflow=disconnect",
            "limits.tree_rows = 0x10",
            "shards.count=auto",
            "store.folder=/tmp/a b",
            "shards.split.\"v1/d\"=2",
        ] {
            set(&mut settings, assignment).unwrap();
        }
        assert_eq!(settings.engine.session.overflow, Overflow::Disconnect);
        assert_eq!(settings.engine.limits.tree_rows, 16);
        assert_eq!(settings.store.folder.to_str(), Some("/tmp/a b"));
        assert_eq!(settings.engine.shards.split[0].prefix, "v1/d");
        assert!(set(&mut settings, "limits.tree_row=1").unwrap_err().0[0].contains("did you mean `limits.tree_rows`"));
        assert!(set(&mut settings, "nonsense").unwrap_err().0[0].contains("key=value"));
        assert!(set(&mut settings, "limits.tree_rows=0\nx=1").is_err());
    }
}
