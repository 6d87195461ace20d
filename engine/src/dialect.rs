//! How the extras of PROTOCOL.md are asked for: intents, as topic prefix and as user property.
//!
//! ```text
//! intent = verb *( ";" option )        option = name [ "=" value ]
//! $tree;interval=100/sensors/#         prefix and filter
//! mote = "tree;interval=100"           user property
//! ```

use crate::limits::{CURSOR_BYTES_MAX, META_BYTES_MAX};
use std::borrow::Cow;

/// What a packet asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    Tree,
    Sync,
    Rows,
    Put,
    Set,
    Get,
}

impl Verb {
    fn of(word: &str) -> Option<Verb> {
        Some(match word {
            "tree" => Verb::Tree,
            "sync" => Verb::Sync,
            "rows" => Verb::Rows,
            "put" => Verb::Put,
            "set" => Verb::Set,
            "get" => Verb::Get,
            _ => return None,
        })
    }

    /// Options that a SUBSCRIBE with this verb takes, or `None` if it takes no such verb.
    fn subscribe_options(self) -> Option<&'static [&'static str]> {
        match self {
            Verb::Tree => Some(&["topic", "meta", "versions", "values", "interval", "state"]),
            Verb::Sync => Some(&["topic", "meta", "versions", "values", "interval", "state", "since", "events"]),
            Verb::Rows => Some(&[]),
            Verb::Put | Verb::Set | Verb::Get => None,
        }
    }

    /// Options that a PUBLISH with this verb takes, or `None` if it takes no such verb.
    fn publish_options(self) -> Option<&'static [&'static str]> {
        match self {
            Verb::Tree => Some(&["replace", "if", "id"]),
            Verb::Put => Some(&["if", "id"]),
            Verb::Set => Some(&["id"]),
            Verb::Get => Some(&["topic", "meta", "versions", "values", "state"]),
            Verb::Sync | Verb::Rows => None,
        }
    }
}

/// When a conditional publish is applied: what option `if` says of the object at its topic, or at the stem of its pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Condition {
    /// It is not conditional.
    #[default]
    Always,
    /// `if=<n>`: the version of the object is this.
    Version(u64),
    /// `if=0`: there is no such object.
    Absent,
    /// `if=any`: there is one.
    Exists,
}

/// Longest key of option `id`, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// A verb with its options, well formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Intent<'a> {
    pub verb: Verb,
    pub options: Options<'a>,
}

/// The options of an intent as written, without the first `;`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options<'a>(&'a str);

impl<'a> Options<'a> {
    /// Name and value of each.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.0.split(';').filter(|option| !option.is_empty()).map(|option| match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        })
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Whether the option is given, with or without a value.
    pub fn has(self, name: &str) -> bool {
        self.iter().any(|(given, _)| given == name)
    }

    /// What option `if` says.
    pub fn condition(self) -> Condition {
        match self.value("if") {
            None => Condition::Always,
            Some("any") => Condition::Exists,
            Some(number) => match number.parse() {
                Ok(0) | Err(_) => Condition::Absent, // what is no number was refused
                Ok(number) => Condition::Version(number),
            },
        }
    }

    /// The value of an option that is given with one.
    pub fn value(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(given, _)| *given == name).and_then(|(_, value)| value)
    }
}

/// Stands in the place of an intent where there is none and the classic profile is spoken. No client can write it there:
/// it is no verb.
pub const CLASSIC: &str = "classic";

/// The filter of a classic SUBSCRIBE or UNSUBSCRIBE without its leading slash, and whether it had one: then a snapshot
/// comes first.
pub fn classic_filter(text: &str) -> (&str, bool) {
    match text.strip_prefix('/') {
        Some(filter) => (filter, true),
        None => (text, false),
    }
}

/// What a classic retained PUBLISH with this topic is, and its topic without trailing slash. `None`: an ordinary one.
pub fn classic_verb(topic: &str) -> Option<(Verb, &str)> {
    match topic.strip_suffix('/') {
        Some(pattern) => Some((Verb::Tree, pattern)),
        None => topic.contains(['+', '#']).then_some((Verb::Set, topic)),
    }
}

/// How the frames of a merged subscription are written. A filter has a handle and bodies of its own in each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Form {
    /// Every value is a string.
    pub strings: bool,
    /// What the user property says stands in the payload too, around the tree.
    pub meta: bool,
    /// Beside the tree stands a tree of versions. Implies `meta`.
    pub versions: bool,
    /// Spelled as the first Mote broker did. Implies `strings`, and nothing else.
    pub classic: bool,
}

impl Form {
    /// What a client of the first Mote broker is sent.
    pub const CLASSIC: Form = Form { strings: true, meta: false, versions: false, classic: true };
    const BARE: Form = Form { strings: false, meta: false, versions: false, classic: false };
    const META: Form = Form { meta: true, ..Form::BARE };
    const VERSIONS: Form = Form { versions: true, ..Form::META };

    /// All that there are.
    pub const ALL: [Form; 7] = [
        Form::BARE,
        Form::META,
        Form::VERSIONS,
        Form { strings: true, ..Form::BARE },
        Form { strings: true, ..Form::META },
        Form { strings: true, ..Form::VERSIONS },
        Form::CLASSIC,
    ];

    /// What the options of a SUBSCRIBE or a get ask for.
    pub fn of(options: Options<'_>) -> Form {
        let versions = options.has("versions");
        Form { strings: options.has("values"), meta: versions || options.has("meta"), versions, classic: false }
    }

    /// The same for rows whose values were in a frame: these are JSON, and stand as they are.
    pub fn of_values(self) -> Form {
        Form { strings: false, ..self }
    }

    /// What a tree may take where the payload that it stands in takes at most `bytes`.
    pub fn tree_bytes_max(self, bytes: usize, is_of_one_group: bool) -> usize {
        let around = match (self.meta, is_of_one_group) {
            (false, _) => 0,
            (true, true) => META_BYTES_MAX,
            (true, false) => META_BYTES_MAX + CURSOR_BYTES_MAX,
        };
        bytes - around.min(bytes / 2) // of little room a tree has half, and a long cursor may need more
    }
}

/// A topic or filter as a client wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed<'a> {
    /// It carries no intent.
    Plain(&'a str),
    /// An intent, and the topic or filter behind it.
    Intent(Intent<'a>, &'a str),
    /// It carries an intent that is none, and why.
    Bad(&'static str),
}

/// What CONNACK says to a client that has a `mote` user property in CONNECT: the version and the verbs that work.
pub const ADVERTISED: &str = "1;tree;sync;rows;put;set;get";

/// Whether the broker takes a user property out of what it passes on: `mote` with a verb as its first word.
pub fn is_consumed(name: &str, value: &str) -> bool {
    name == "mote" && Verb::of(split_word(value).0).is_some()
}

/// Reads the intent off a topic or filter. An unknown verb behind `$` is an ordinary `$`-topic.
pub fn parse_prefix(text: &str) -> Parsed<'_> {
    let Some((verb, options, rest)) = split_prefix(text) else { return Parsed::Plain(text) };
    let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
        return Parsed::Bad("a topic or filter must follow the intent");
    };
    match check(verb, options) {
        Ok(intent) => Parsed::Intent(intent, rest),
        Err(why) => Parsed::Bad(why),
    }
}

/// Reads the value of a user property `mote`. `None`: its first word is no verb, so it is not ours to consume.
pub fn parse_property(value: &str) -> Result<Option<Intent<'_>>, &'static str> {
    let (word, options) = split_word(value);
    Verb::of(word).map(|verb| check(verb, options)).transpose()
}

/// The value of the user property `mote` that holds the intent, among all user properties of a packet: those whose
/// first word is no verb are not ours. Two that differ ask for two things at once.
pub fn find_property<'a>(
    user_properties: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Option<&'a str>, &'static str> {
    let mut found = None;
    for (_, value) in user_properties.filter(|(name, value)| is_consumed(name, value)) {
        if found.is_some_and(|found| found != value) {
            return Err("two user properties ask for different things");
        }
        found = Some(value);
    }
    Ok(found)
}

/// An intent, or a filter with one before it, without the options that say where it begins: `since` and `events`.
pub fn without_start(text: &str) -> Cow<'_, str> {
    let (intent, filter) = text.split_at(text.find('/').unwrap_or(text.len()));
    let is_start = |option: &str| option == "events" || option.starts_with("since=");
    if !intent.split(';').any(is_start) {
        return Cow::Borrowed(text);
    }
    let kept: Vec<&str> = intent.split(';').filter(|option| !is_start(option)).collect();
    Cow::Owned([&kept.join(";"), filter].concat())
}

/// The filter that an UNSUBSCRIBE names by a prefix: options are ignored, whatever they are.
pub fn parse_unsubscribe(filter: &str) -> Option<(Verb, &str)> {
    let (verb, _, rest) = split_prefix(filter)?;
    Some((verb, rest.unwrap_or_default()))
}

/// One intent from prefix and property, which must be equal where both are given.
pub fn combine<'a>(
    prefix: Option<Intent<'a>>,
    property: Option<Intent<'a>>,
) -> Result<Option<Intent<'a>>, &'static str> {
    match (prefix, property) {
        (Some(prefix), Some(property)) if prefix != property => Err("the prefix and the user property differ"),
        (prefix, property) => Ok(prefix.or(property)),
    }
}

/// Whether a SUBSCRIBE may carry this intent; else why not.
pub fn allowed_on_subscribe(intent: Intent<'_>) -> Result<(), &'static str> {
    let taken = intent.verb.subscribe_options().ok_or("SUBSCRIBE takes no such verb")?;
    takes(intent, taken)
}

/// Whether a PUBLISH may carry this intent; else why not.
pub fn allowed_on_publish(intent: Intent<'_>) -> Result<(), &'static str> {
    let taken = intent.verb.publish_options().ok_or("PUBLISH takes no such verb")?;
    takes(intent, taken)
}

/// Whether a Will may carry this intent; else why not.
pub fn allowed_on_will(intent: Intent<'_>) -> Result<(), &'static str> {
    match intent.verb {
        Verb::Tree | Verb::Put | Verb::Set => allowed_on_publish(intent),
        Verb::Sync | Verb::Rows | Verb::Get => Err("a Will takes no such verb"),
    }
}

/// A pattern as a filter: `*` stands for `+` and `**` for `#`; of a tree without wildcards everything below is meant.
pub fn filter_of_pattern(pattern: &str, is_tree: bool) -> String {
    let mut filter = String::with_capacity(pattern.len() + 2);
    let mut is_wild = false;
    for (at, level) in pattern.split('/').enumerate() {
        if at > 0 {
            filter.push('/');
        }
        let level = match level {
            "*" => "+",
            "**" => "#",
            other => other,
        };
        is_wild |= matches!(level, "+" | "#");
        filter.push_str(level);
    }
    if is_tree && !is_wild {
        filter.push_str("/#");
    }
    filter
}

/// Whether `$share/<group>/<rest>` has an intent as its rest: refused.
pub fn is_shared_intent(filter: &str) -> bool {
    let rest = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    rest.is_some_and(|(_, rest)| split_prefix(rest).is_some())
}

/// Whether the value of a user property `mote` is one that only the broker may say to those who listen for it.
pub fn is_forged(value: &str) -> bool {
    let word = value.split(|char: char| !char.is_ascii_lowercase()).next().unwrap_or_default();
    matches!(word, "frame" | "row" | "ok" | "conflict" | "reset" | "partial")
}

/// A frame's topic with option `topic=safe`: legal for every client.
pub fn safe_topic(filter: &str) -> String {
    let mut topic = String::with_capacity(filter.len() + 16);
    topic.push_str("$tree/");
    for char in filter.chars() {
        match char {
            '%' => topic.push_str("%25"),
            '+' => topic.push_str("%2B"),
            '#' => topic.push_str("%23"),
            other => topic.push(other),
        }
    }
    topic
}

/// `$`, a known verb, and what else its level holds; then what follows the level.
fn split_prefix(text: &str) -> Option<(Verb, Option<&str>, Option<&str>)> {
    let intent = text.strip_prefix('$')?;
    let (intent, rest) = match intent.split_once('/') {
        Some((intent, rest)) => (intent, Some(rest)),
        None => (intent, None),
    };
    let (word, options) = split_word(intent);
    Some((Verb::of(word)?, options, rest))
}

fn split_word(intent: &str) -> (&str, Option<&str>) {
    match intent.split_once(';') {
        Some((word, options)) => (word, Some(options)),
        None => (intent, None),
    }
}

/// Judges what does not depend on the packet: the grammar, the names and the values of options.
fn check(verb: Verb, options: Option<&str>) -> Result<Intent<'_>, &'static str> {
    let mut rest = options;
    while let Some(options) = rest {
        let (option, others) = split_word(options);
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        check_option(name, value)?;
        if others.is_some_and(|others| Options(others).has(name)) {
            return Err("an option is given twice");
        }
        let takes = |options: Option<&[&str]>| options.is_some_and(|options| options.contains(&name));
        if !takes(verb.subscribe_options()) && !takes(verb.publish_options()) {
            return Err("the verb does not take this option");
        }
        rest = others;
    }
    Ok(Intent { verb, options: Options(options.unwrap_or_default()) })
}

fn check_option(name: &str, value: Option<&str>) -> Result<(), &'static str> {
    if value.is_some_and(|value| value.contains(|c: char| matches!(c, '/' | '+' | '#') || c.is_control())) {
        return Err("the value of an option contains / + # or a control character");
    }
    let good = match (name, value) {
        ("meta" | "versions" | "state" | "events" | "replace", value) => value.is_none(),
        ("topic", value) => value == Some("safe"),
        ("values", value) => value == Some("string"),
        ("interval", value) => value.is_some_and(is_number),
        ("if", value) => value.is_some_and(|value| value == "any" || is_number(value)),
        ("id", value) => value.is_some_and(|value| (1..=ID_BYTES_MAX).contains(&value.len())),
        ("since", value) => value.is_some(),
        _ => return Err("unknown option"),
    };
    if good { Ok(()) } else { Err("an option has a value that it does not take") }
}

/// A decimal number that fits 64 bits.
fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok()
}

fn takes(intent: Intent<'_>, taken: &[&str]) -> Result<(), &'static str> {
    if intent.options.iter().all(|(name, _)| taken.contains(&name)) {
        Ok(())
    } else {
        Err("the verb does not take this option here")
    }
}
