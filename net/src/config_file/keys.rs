//! The one table of keys. A key that is not here does not exist, and a key that is here does something.

use std::fmt::Write as _;
use std::path::PathBuf;

use engine::config::{Durability, History, Overflow, Pin, Profile, Split};
use engine::limits;
use tracing::Level;

use super::{Listener, Settings};
use crate::logs::Format;

/// What a value may be.
pub enum Kind {
    Integer {
        min: u64,
        max: u64,
    },
    /// An integer, or one word that stands for a choice made at start.
    IntegerOr {
        word: &'static str,
        min: u64,
        max: u64,
    },
    Bool,
    Choice(&'static [&'static str]),
    Text,
    /// Text that is used as it is; empty: none.
    TextOrNone {
        bytes_max: usize,
    },
    /// A table from names, chosen by the user, to integers.
    Counts {
        min: u64,
        max: u64,
    },
    /// `[[listener]]` tables.
    Listeners,
    /// `[[history]]` tables.
    Histories,
}

/// A value that has passed its kind.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Integer(u64),
    Word(String),
    Bool(bool),
    Counts(Vec<(String, u64)>),
    Listeners(Vec<Listener>),
    Histories(Vec<History>),
}

pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub doc: &'static str,
    pub set: fn(&mut Settings, Value),
    pub get: fn(&Settings) -> Value,
}

/// Keys of one `[[listener]]`, with their text.
pub const LISTENER_KEYS: [(&str, &str); 6] = [
    ("address", "Address and port, as \"127.0.0.1:1883\" or \"[::1]:1883\". Port 0 takes a free port."),
    (
        "profile",
        "\"mote\", or \"classic\" for clients of the first Mote broker (by convention on port 1993): trees are asked for by\n# leading and trailing slashes, and all subscriptions are merged.",
    ),
    ("packet_bytes", "As limits.packet_bytes, for this listener."),
    ("publish_rate", "As limits.publish_rate, for this listener."),
    ("bytes_rate", "As limits.bytes_rate, for this listener."),
    ("connect_rate", "As limits.connect_rate, for this listener."),
];

/// How a profile is written.
pub const PROFILES: [(&str, Profile); 2] = [("mote", Profile::Mote), ("classic", Profile::Classic)];

/// Keys of one `[[history]]`, with their text.
pub const HISTORY_KEYS: [(&str, &str); 2] =
    [("filter", "Topic filter: the retained rows that it matches."), ("depth", "Changes of each row that are kept.")];

/// The integer of a value whose kind was an integer.
fn integer(value: Value) -> u64 {
    match value {
        Value::Integer(integer) => integer,
        _ => unreachable!("checked by the kind of the key"),
    }
}

fn word(value: Value) -> String {
    match value {
        Value::Word(word) => word,
        _ => unreachable!("checked by the kind of the key"),
    }
}

fn counts(value: Value) -> Vec<(String, u64)> {
    match value {
        Value::Counts(counts) => counts,
        _ => unreachable!("checked by the kind of the key"),
    }
}

/// A key whose value is an integer field of the settings.
macro_rules! integer_key {
    ($name:literal, $($field:ident).+ : $type:ty, $min:expr, $max:expr, $doc:literal) => {
        Key {
            name: $name,
            kind: Kind::Integer { min: $min as u64, max: $max as u64 },
            doc: $doc,
            set: |settings, value| settings.$($field).+ = integer(value) as $type,
            get: |settings| Value::Integer(settings.$($field).+ as u64),
        }
    };
}

macro_rules! bool_key {
    ($name:literal, $($field:ident).+, $doc:literal) => {
        Key {
            name: $name,
            kind: Kind::Bool,
            doc: $doc,
            set: |settings, value| settings.$($field).+ = value == Value::Bool(true),
            get: |settings| Value::Bool(settings.$($field).+),
        }
    };
}

/// A key whose value is an integer, or "auto": then the field is `None`.
macro_rules! auto_key {
    ($name:literal, $($field:ident).+ : $type:ty, $min:expr, $max:expr, $doc:literal) => {
        Key {
            name: $name,
            kind: Kind::IntegerOr { word: "auto", min: $min as u64, max: $max as u64 },
            doc: $doc,
            set: |settings, value| {
                settings.$($field).+ = match value {
                    Value::Integer(integer) => Some(integer as $type),
                    _ => None,
                }
            },
            get: |settings| match settings.$($field).+ {
                Some(integer) => Value::Integer(integer as u64),
                None => Value::Word("auto".to_owned()),
            },
        }
    };
}

/// A key whose value is one of a few words, each for one value of an enum.
macro_rules! choice_key {
    ($name:literal, $($field:ident).+, [$($word:literal => $value:expr),+], $doc:literal) => {
        Key {
            name: $name,
            kind: Kind::Choice(&[$($word),+]),
            doc: $doc,
            set: |settings, value| {
                settings.$($field).+ = match word(value).as_str() {
                    $($word => $value,)+
                    _ => unreachable!("checked by the kind of the key"),
                }
            },
            get: |settings| {
                let words = [$(($word, $value)),+];
                let at = words.iter().find(|(_, value)| *value == settings.$($field).+);
                Value::Word(at.map_or("", |(word, _)| word).to_owned())
            },
        }
    };
}

/// Every key, in the order in which they are printed. Keys of one section stand together.
pub static KEYS: &[Key] = &[
    choice_key!("durability", engine.durability,
        ["memory" => Durability::Memory, "disk" => Durability::Disk],
        "When QoS 1 and 2 publishes, SUBSCRIBE and UNSUBSCRIBE are acknowledged.\n\"memory\": when they are applied. \"disk\": when what they change is committed to the data folder: retained rows, and what waits\nfor sessions that outlive their connections."),
    Key {
        name: "listener",
        kind: Kind::Listeners,
        doc: "Where MQTT is spoken, one table each.",
        set: |settings, value| {
            if let Value::Listeners(listeners) = value {
                settings.listeners = listeners;
            }
        },
        get: |settings| Value::Listeners(settings.listeners.clone()),
    },
    Key {
        name: "history",
        kind: Kind::Histories,
        doc: "Retained rows of which the last changes are kept, not only the last, one table each: filter = \"store/#\", depth = 100.\nReaders that come back to them ($sync;events;since=...) get each change.",
        set: |settings, value| {
            if let Value::Histories(histories) = value {
                settings.engine.history = histories;
            }
        },
        get: |settings| Value::Histories(settings.engine.history.clone()),
    },
    auto_key!("shards.count", shards.count: u16, 1, limits::SHARDS_MAX,
        "Threads that share topics and clients. \"auto\": one per core."),
    bool_key!(
        "shards.pin_cores",
        shards.pin_cores,
        "Each shard stays on a core of its own, while there are cores enough."
    ),
    integer_key!("shards.link_parcels", shards.link_parcels: usize, 1, 65_536,
        "Parcels under way in one direction between two shards, before the sender waits."),
    integer_key!("shards.spin_us", shards.spin_us: u32, 0, 10_000,
        "Microseconds that a shard without work looks again before it sleeps. More costs idle CPU and saves wake-ups."),
    integer_key!("shards.nap_us", shards.nap_us: u32, 0, 100_000,
        "Microseconds that it then sleeps lightly, which is cheaper to wake from, before it sleeps deeply. 0: deeply at once."),
    integer_key!("shards.ring_entries", shards.ring.submissions: u32, 64, 4_096,
        "Orders to the kernel that one system call of a shard carries; a power of two."),
    integer_key!("shards.receive_buffers", shards.ring.buffers: u16, 16, 4_096,
        "Buffers that all connections of a shard receive into; a power of two."),
    integer_key!("shards.receive_buffer_bytes", shards.ring.buffer_bytes: u32, 4_096, 1u64 << 20,
        "Bytes of each of those: what one connection can bring in one piece. They take memory only as far as bytes arrive."),
    Key {
        name: "shards.split",
        kind: Kind::Counts { min: 1, max: limits::TOPIC_LEVELS_MAX as u64 },
        doc: "Topics under one first level belong to one group: one owner, one order, one atomic unit.\nA prefix named here has deeper roots: \"v1/devices\" = 3 makes every v1/devices/<x> a group of its own.",
        set: |settings, value| {
            settings.engine.shards.split =
                counts(value).into_iter().map(|(prefix, levels)| Split { prefix, levels: levels as usize }).collect();
        },
        get: |settings| {
            Value::Counts(settings.engine.shards.split.iter().map(|s| (s.prefix.clone(), s.levels as u64)).collect())
        },
    },
    Key {
        name: "shards.pin",
        kind: Kind::Counts { min: 0, max: limits::SHARDS_MAX as u64 - 1 },
        doc: "Topics under this root live on the shard of this number, from 0: \"factory\" = 0.",
        set: |settings, value| {
            settings.engine.shards.pin =
                counts(value).into_iter().map(|(root, shard)| Pin { root, shard: shard as u16 }).collect();
        },
        get: |settings| {
            Value::Counts(settings.engine.shards.pin.iter().map(|p| (p.root.clone(), p.shard.into())).collect())
        },
    },
    integer_key!("session.expiry_max_s", engine.session.expiry_max_s: u32, 0, u32::MAX,
        "Seconds; the longest Session Expiry Interval that is granted. 4294967295: no bound."),
    integer_key!("session.receive_max", engine.session.receive_max: u16, 1, u16::MAX,
        "QoS 1 and 2 publishes of one client that may wait for their acknowledgement (Receive Maximum)."),
    integer_key!("session.topic_alias_max", engine.session.topic_alias_max: u16, 0, u16::MAX,
        "Topic aliases that one client may set (Topic Alias Maximum). 0: none."),
    integer_key!("session.inflight_max", engine.session.inflight_max: u16, 1, u16::MAX,
        "QoS 1 and 2 deliveries to one client that may be unacknowledged. A client can ask for fewer."),
    integer_key!("session.queue_messages", engine.session.queue_messages: usize, 1, 100_000_000,
        "QoS 1 and 2 messages that wait for one session, connected or not."),
    integer_key!("session.queue_bytes", engine.session.queue_bytes: usize, 1_024, 1u64 << 40,
        "Bytes of the messages that wait for one session."),
    choice_key!("session.overflow", engine.session.overflow,
        ["drop-newest" => Overflow::DropNewest, "drop-oldest" => Overflow::DropOldest, "disconnect" => Overflow::Disconnect],
        "What happens to a QoS 1 or 2 message that finds that queue full.\n\"drop-newest\": it is dropped. \"drop-oldest\": the oldest is. \"disconnect\": the client is."),
    Key {
        name: "session.response_information",
        kind: Kind::TextOrNone { bytes_max: limits::RESPONSE_INFORMATION_BYTES_MAX },
        doc: "What an MQTT 5 client that asks for Response Information is told, by convention the beginning of the topics\nthat it should have answers sent to, as \"answers/\". Empty: nothing.",
        set: |settings, value| settings.engine.session.response_information = word(value),
        get: |settings| Value::Word(settings.engine.session.response_information.clone()),
    },
    integer_key!("session.connect_timeout_s", engine.session.connect_timeout_s: u32, 1, 3_600,
        "Seconds that a new connection has for its CONNECT."),
    integer_key!("session.keep_alive_max_s", engine.session.keep_alive_max_s: u16, 0, u16::MAX,
        "Seconds; the longest Keep Alive, told to MQTT 5 clients that ask for more or for none. 0: no bound."),
    integer_key!("limits.packet_bytes", engine.limits.packet_bytes: usize, 1_024, limits::REMAINING_LENGTH_MAX + limits::FIXED_HEADER_BYTES_MAX,
        "Bytes of the largest packet that is read (Maximum Packet Size). A CONNECT has at most 720918, before which nobody is known."),
    auto_key!("limits.memory_bytes", memory_bytes: u64, 0, 1u64 << 46,
        "Bytes of memory that the process holds, those of files and sockets not counted, before what would take more is refused\n(PUBLISH and SUBSCRIBE with 0x97, CONNECT with 0x89). \"auto\": three quarters of what the machine or its control group has. 0: no bound."),
    auto_key!("limits.connections", connections: usize, 1, 16_777_216,
        "Connections that the process has at once; further ones are closed as they come. \"auto\": as many as it may open files, but for\nthose that it needs itself."),
    integer_key!("limits.frame_bytes", engine.limits.frame_bytes: usize, 1_024, limits::REMAINING_LENGTH_MAX,
        "Bytes of the largest merged frame; a larger one is sent in parts."),
    integer_key!("limits.frames_unacked", engine.limits.frames_unacked: u16, 1, u16::MAX,
        "Frames of one merged subscription that may be unacknowledged; meanwhile changes merge."),
    integer_key!("limits.events_waiting", engine.limits.events_waiting: usize, 0, 16_777_216,
        "Events that wait, of each topic the newest, for subscribers of a merged filter that are slow; more are lost."),
    integer_key!("limits.topic_levels", engine.limits.topic_levels: usize, 1, limits::TOPIC_LEVELS_MAX,
        "Levels of a topic or filter."),
    integer_key!("limits.tree_rows", engine.limits.tree_rows: usize, 1, 16_777_216,
        "Rows of one tree publish."),
    integer_key!("limits.set_rows", engine.limits.set_rows: usize, 1, 16_777_216,
        "Retained messages of one group (the topics below one first level) that one `set` may write, or one `replace` delete."),
    integer_key!("limits.rows_per_turn", engine.limits.rows_per_turn: usize, 1, 16_777_216,
        "Rows of one publish that are applied before other clients have their turn; a larger tree is applied in slices of so many."),
    integer_key!("limits.work_per_turn", engine.limits.work_per_turn: usize, 1, 16_777_216,
        "Messages, and filters that they match, of one client before other clients have their turn."),
    integer_key!("limits.idempotency_s", engine.limits.idempotency_s: u32, 1, 31_536_000,
        "Seconds that what became of a publish with option `id` is remembered: until then a repeat is not applied again."),
    integer_key!("limits.idempotency_max", engine.limits.idempotency_max: usize, 1, 16_777_216,
        "Publishes with option `id` that one group remembers; the oldest go first."),
    integer_key!("limits.subscriptions", engine.limits.subscriptions: usize, 1, 16_777_216,
        "Subscriptions of one session."),
    integer_key!("limits.sessions", engine.limits.sessions: u64, 1, 1_000_000_000u64,
        "Sessions of the whole process, connected or not. Each shard takes its part of them: a client that would need one more is refused (0x97)."),
    integer_key!("limits.publish_rate", engine.limits.publish_rate: u32, 0, u32::MAX,
        "PUBLISH packets a second of one client, and at most so many at once; who sends faster is read more slowly. 0: no bound."),
    integer_key!("limits.bytes_rate", engine.limits.bytes_rate: u64, 0, 1u64 << 46,
        "Bytes a second that one client sends; who sends faster is read more slowly. 0: no bound."),
    integer_key!("limits.connect_rate", connect_rate: u32, 0, 1_000_000,
        "Connections a second that one listener accepts; who comes faster waits in the kernel. Each shard takes its part of them. 0: no bound."),
    integer_key!("limits.client_id_bytes", engine.limits.client_id_bytes: usize, 23, limits::STRING_BYTES_MAX,
        "Bytes of a client identifier."),
    integer_key!("limits.retained_rows", engine.limits.retained_rows: u64, 0, 1_000_000_000u64,
        "Retained messages of the whole process. Each shard takes its part of them: what would be more is refused (0x97)."),
    integer_key!("limits.retained_bytes", engine.limits.retained_bytes: u64, 0, 1u64 << 46,
        "Bytes of the topics, payloads and properties of all retained messages. Each shard takes its part of them."),
    integer_key!("limits.history_bytes", engine.limits.history_bytes: u64, 0, 1u64 << 46,
        "Topics and payloads of all changes that [[history]] keeps, and 128 bytes for each; beyond it the oldest go."),
    bool_key!(
        "retain.available",
        engine.retain_available,
        "Messages may be retained. false: CONNACK says so and RETAIN 1 is refused; what is retained already stays and is sent."
    ),
    bool_key!("store.memory", store.memory, "Keep nothing on disk: what is retained ends with the process."),
    Key {
        name: "store.folder",
        kind: Kind::Text,
        doc: "Folder of the retained tree. It is made if it is not there.",
        set: |settings, value| settings.store.folder = PathBuf::from(word(value)),
        get: |settings| Value::Word(settings.store.folder.display().to_string()),
    },
    integer_key!("store.commit_ms", store.commit_ms: u64, 1, 60_000,
        "Milliseconds between commits: what a crash may take of what was acknowledged with durability \"memory\"."),
    integer_key!("store.pending_bytes", store.pending_bytes: usize, 65_536, limits::STORE_PENDING_BYTES_MAX,
        "Bytes of changes that may wait for the disk; beyond them publishers that change retained rows wait."),
    integer_key!("store.map_bytes", store.map_bytes: usize, 1u64 << 20, 1u64 << 46,
        "Bytes of address space that the data folder is mapped with at first; it grows by itself."),
    integer_key!(
        "store.tombstone_s",
        store.tombstone_s: u64,
        0,
        315_360_000u64,
        "Seconds that the deletion of a retained row is remembered, for readers that come back."
    ),
    integer_key!(
        "store.tombstones_max",
        store.tombstones_max: u64,
        0,
        1_000_000_000u64,
        "Deletions that are remembered at most; the oldest go first."
    ),
    integer_key!("sys.interval_s", engine.sys.interval_s: u32, 0, limits::SYS_INTERVAL_S_MAX,
        "Seconds between two publications of what the broker says about itself under $SYS. 0: it says nothing."),
    Key {
        name: "control.socket",
        kind: Kind::TextOrNone { bytes_max: 107 },
        doc: "Where `mote shards` asks: the path of a Unix socket that only the user of the broker can open.\n\"auto\": control.sock in store.folder; with store.memory there is none. Empty: none.",
        set: |settings, value| settings.control_socket = word(value),
        get: |settings| Value::Word(settings.control_socket.clone()),
    },
    choice_key!("log.level", log.level,
        ["error" => Level::ERROR, "warn" => Level::WARN, "info" => Level::INFO, "debug" => Level::DEBUG, "trace" => Level::TRACE],
        "What is logged: this and everything more urgent."),
    choice_key!("log.format", log.format, ["pretty" => Format::Pretty, "json" => Format::Json],
        "How: one line of text, or one JSON object, per event."),
];

pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// A configuration file that says the defaults: every key, its text, its range.
pub fn default_listing() -> String {
    let defaults = Settings::default();
    let mut text = String::from("# Configuration of mote. Every key is here, with its default.\n");
    let in_section = |key: &Key| key.name.contains('.');
    let is_array = |key: &Key| matches!(key.kind, Kind::Listeners | Kind::Histories);
    for key in KEYS.iter().filter(|key| !in_section(key) && !is_array(key)) {
        list_key(&mut text, key, &defaults);
    }
    let mut section = "";
    // A table from names opens a section of its own, so it comes after the plain keys of its section.
    for key in KEYS.iter().filter(|key| in_section(key)) {
        let (table, _) = key.name.split_once('.').unwrap_or_default();
        if table != section && !matches!(key.kind, Kind::Counts { .. }) {
            let _ = write!(text, "\n[{table}]\n");
            section = table;
        }
        list_key(&mut text, key, &defaults);
    }
    for key in KEYS.iter().filter(|key| is_array(key)) {
        list_key(&mut text, key, &defaults);
    }
    text
}

fn list_key(text: &mut String, key: &Key, defaults: &Settings) {
    text.push('\n');
    for line in key.doc.lines() {
        let _ = writeln!(text, "# {line}");
    }
    let (_, short) = key.name.rsplit_once('.').unwrap_or(("", key.name));
    match (key.get)(defaults) {
        Value::Counts(_) => {
            let _ = writeln!(text, "[{}]", key.name);
        }
        Value::Listeners(listeners) => {
            for listener in listeners {
                let _ = writeln!(text, "[[{}]]", key.name);
                let profile = PROFILES.iter().find(|(_, profile)| *profile == listener.own.profile);
                let profile = profile.map_or("", |(word, _)| word);
                for (key, doc) in LISTENER_KEYS {
                    let _ = writeln!(text, "# {doc}");
                    let _ = match key {
                        "profile" => writeln!(text, "profile = \"{profile}\""),
                        "address" => writeln!(text, "address = \"{}\"", listener.address),
                        limit => writeln!(text, "# {limit} = {}", default_of_limit(limit, defaults)),
                    };
                }
            }
        }
        Value::Histories(histories) => {
            for (name, doc) in HISTORY_KEYS {
                let _ = writeln!(text, "# {name}: {doc}");
            }
            let _ = writeln!(text, "# [[{}]]", key.name);
            debug_assert!(histories.is_empty(), "there is none by default");
        }
        value => {
            let _ = writeln!(text, "# {}", range(&key.kind));
            let _ = writeln!(text, "{short} = {}", spelled(&value));
        }
    }
}

/// What a listener has that does not say it.
fn default_of_limit(name: &str, defaults: &Settings) -> String {
    find(&format!("limits.{name}")).map_or_else(String::new, |key| spelled(&(key.get)(defaults)))
}

fn spelled(value: &Value) -> String {
    match value {
        Value::Integer(integer) => integer.to_string(),
        Value::Bool(bool) => bool.to_string(),
        Value::Word(word) => format!("{word:?}"),
        Value::Counts(_) | Value::Listeners(_) | Value::Histories(_) => String::new(),
    }
}

/// What a value may be, in words: for the listing and for errors.
pub fn range(kind: &Kind) -> String {
    match kind {
        Kind::Integer { min, max } => format!("an integer from {min} to {max}"),
        Kind::IntegerOr { word, min, max } => format!("\"{word}\", or an integer from {min} to {max}"),
        Kind::Bool => "true or false".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or "),
        Kind::Text => "text".to_owned(),
        Kind::TextOrNone { bytes_max } => format!("text of at most {bytes_max} bytes, without control characters"),
        Kind::Counts { min, max } => format!("a table of integers from {min} to {max}"),
        Kind::Listeners => "an array of tables, [[listener]]".to_owned(),
        Kind::Histories => "an array of tables, [[history]]".to_owned(),
    }
}
