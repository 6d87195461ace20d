//! What a reviewer would nag about, held by a test: arrows, absences, names, lengths.
//! Every fault is printed as `file:line: what, why`.

pub(crate) mod source;

use source::{Source, functions, has_word, root, sources, words, words_of};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// The rooms of `engine`: each names only those above it.
const ROOMS: [&str; 13] = [
    "limits", "key", "clock", "bucket", "stats", "config", "wire", "dialect", "topic", "row", "session", "mesh",
    "shard",
];
/// Our crates and those of ours that each may depend on.
const CRATES: [(&str, &[&str]); 6] = [
    ("engine", &[]),
    ("store", &["engine"]),
    ("net", &["engine", "store"]),
    ("bench", &["engine", "store", "net"]),
    ("fuzz", &["engine", "store", "net"]),
    ("loom-tests", &["engine"]),
];
/// What the engine never says, and why.
const ABSENT_IN_ENGINE: [(&str, &str); 12] = [
    (".await", "no state changes across an await"),
    ("async", "a shard is a function"),
    ("std::time", "time is an input"),
    ("Instant", "time is an input"),
    ("SystemTime", "time is an input"),
    ("std::thread", "the loop owns the threads"),
    ("thread_local!", "a shard's state is its own value"),
    ("std::fs", "the engine opens nothing"),
    ("std::net", "the engine opens nothing"),
    ("std::process", "the engine ends nothing"),
    ("std::env", "settings are values"),
    ("unsafe", "none in engine"),
];
/// What is concurrent lives in one room.
const CONCURRENT: [&str; 7] = ["std::sync::atomic", "crossbeam", "loom", "Mutex", "RwLock", "Condvar", "mpsc"];
/// Third-party engines and the one place that names each (a folder ends with a slash).
const ENGINES: [(&str, &str); 6] = [
    ("glommio", "net/src/uring/"),
    ("io_uring", "net/src/uring/"),
    ("libmimalloc_sys", "net/src/allocator.rs"),
    ("lmdb", "store/src/lmdb.rs"),
    ("lmdb_sys", "store/src/lmdb.rs"),
    ("flatbuffers", "store/"),
];
/// Files that may hold `unsafe`, each for one reason.
const UNSAFE: [&str; 3] = ["net/src/uring/", "net/src/allocator.rs", "store/src/lmdb.rs"];
/// The top level, besides dotfiles and what `.gitignore` names.
const TOP_LEVEL: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "engine", "net", "store", "bench", "fuzz", "loom-tests", "README.md"];
/// Names that say nothing about what is in them.
const BANNED_NAMES: [&str; 11] =
    ["util", "utils", "helper", "helpers", "manager", "common", "misc", "service", "handler", "processor", "info"];
const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
/// Functions that are longer, `("file", "function", lines)`. This list only shrinks: a longer function than it
/// says fails, and so does an entry that is shorter now.
const LONG_FUNCTIONS: [(&str, &str, usize); 0] = [];

/// Every Rust file of ours, read once.
fn our_files() -> &'static [Source] {
    static FILES: OnceLock<Vec<Source>> = OnceLock::new();
    FILES.get_or_init(|| sources(&CRATES.map(|(name, _)| name)))
}

/// Prints what was counted and fails with all faults at once.
fn report(counted: String, faults: Vec<String>) {
    println!("tidy: {counted}");
    assert!(faults.is_empty(), "{} faults ({counted})\n{}", faults.len(), faults.join("\n"));
}

fn room_of(path: &str) -> Option<&str> {
    path.strip_prefix("engine/src/")?.split(['/', '.']).next().filter(|room| *room != "lib")
}

/// The rooms that a line of code names by `crate::` (or by `super::` in a room that is one file).
fn rooms_named(line: &str, is_one_file: bool) -> Vec<String> {
    let starts = ["crate::", "super::"].into_iter().take(1 + usize::from(is_one_file));
    let tails = starts.flat_map(|start| words(line, start).map(move |at| &line[at + start.len()..]));
    let heads = tails.flat_map(|tail| match tail.strip_prefix('{') {
        Some(list) => list.split([',', '}']).map(str::trim).collect::<Vec<_>>(),
        None => vec![tail],
    });
    let name = |head: &str| head.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_string();
    heads.map(name).collect()
}

#[test]
fn arrows_between_rooms_go_one_way() {
    let rank = |room: &str| ROOMS.iter().position(|known| *known == room);
    let (mut faults, mut arrows) = (Vec::new(), 0);
    for source in our_files() {
        let Some(room) = room_of(&source.path) else { continue };
        let Some(own) = rank(room) else {
            faults.push(format!("{}:1: room `{room}` has no place in the order", source.path));
            continue;
        };
        for (number, line) in source.lines() {
            let here = format!("{}:{number}", source.path);
            if line.contains("super::super") {
                faults.push(format!("{here}: `super::super`, an arrow that hides its room; write `crate::`"));
            }
            for named in rooms_named(line, source.path == format!("engine/src/{room}.rs")) {
                let Some(other) = rank(&named) else { continue };
                arrows += 1;
                if other > own || (named == "mesh" && !["mesh", "shard"].contains(&room)) {
                    faults.push(format!("{here}: {room} names {named}, which stands after it"));
                }
            }
        }
    }
    report(format!("{arrows} uses between {} rooms", ROOMS.len()), faults);
}

#[test]
fn arrows_between_crates_go_one_way() {
    let (mut faults, mut arrows) = (Vec::new(), 0);
    for (name, allowed) in CRATES {
        let path = format!("{name}/Cargo.toml");
        let manifest = fs::read_to_string(root().join(&path)).unwrap();
        let mut section = "";
        for (index, line) in manifest.lines().enumerate() {
            section = if line.starts_with('[') { line } else { section };
            let key = line.split(['=', '.', ' ']).next().unwrap_or("");
            let is_ours = CRATES.iter().any(|(ours, _)| *ours == key) && section.contains("dependencies");
            arrows += usize::from(is_ours);
            if is_ours && !allowed.contains(&key) {
                faults.push(format!("{path}:{}: {name} depends on {key}; it may on {allowed:?}", index + 1));
            }
        }
    }
    report(format!("{arrows} dependencies between {} crates", CRATES.len()), faults);
}

#[test]
fn the_engine_has_no_clock_thread_file_socket_or_await() {
    let (mut faults, mut lines) = (Vec::new(), 0);
    for source in our_files().iter().filter(|source| source.path.starts_with("engine/src/")) {
        for (number, line) in source.lines() {
            lines += 1;
            for (word, why) in ABSENT_IN_ENGINE.iter().filter(|(word, _)| has_word(line, word)) {
                faults.push(format!("{}:{number}: `{word}` in engine: {why}", source.path));
            }
            let is_concurrent = CONCURRENT.iter().any(|word| has_word(line, word)) || line.contains("Atomic");
            if is_concurrent && room_of(&source.path) != Some("mesh") {
                faults.push(format!("{}:{number}: locks and atomics live in mesh alone", source.path));
            }
        }
    }
    report(format!("{lines} lines of engine"), faults);
}

#[test]
fn third_party_engines_are_named_in_one_room() {
    let (mut faults, mut uses) = (Vec::new(), 0);
    for source in our_files() {
        for (word, home) in ENGINES {
            // `crate::lmdb`, and `lmdb` beside `mod lmdb;`, mean our own file of that name.
            let has_own = source.code.contains(&format!("mod {word};"));
            for (number, line) in source.lines() {
                let is_crate = |at: usize| {
                    let before = line[..at].trim_end();
                    let is_own = ["crate::", "super::", "self::"].iter().any(|own| before.ends_with(own));
                    let is_path = line[at + word.len()..].starts_with("::") || before.ends_with("use");
                    is_path && !is_own && !has_own
                };
                let named = words(line, word).filter(|at| is_crate(*at)).count();
                uses += named;
                if named > 0 && !source.path.starts_with(home) {
                    faults.push(format!("{}:{number}: `{word}` is named only in {home}", source.path));
                }
            }
        }
    }
    report(format!("{uses} uses of {} engines", ENGINES.len()), faults);
}

#[test]
fn unsafe_is_rare_and_says_why_it_is_sound() {
    let (mut faults, mut count) = (Vec::new(), 0);
    for source in our_files().iter().filter(|source| !source.is_generated()) {
        let raw: Vec<&str> = source.raw.lines().collect();
        for (number, _) in source.lines().filter(|(_, line)| has_word(line, "unsafe")) {
            count += 1;
            let said = raw[number.saturating_sub(10)..number]
                .iter()
                .any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            if !said {
                faults.push(format!("{}:{number}: `unsafe` without a SAFETY comment", source.path));
            }
            if !UNSAFE.iter().any(|home| source.path.starts_with(home)) {
                faults.push(format!("{}:{number}: `unsafe` lives in {UNSAFE:?}", source.path));
            }
        }
    }
    report(format!("{count} times unsafe"), faults);
}

#[test]
fn files_and_functions_are_readable_at_a_sitting() {
    let (mut faults, mut counted, mut files) = (Vec::new(), 0, 0);
    let mut needed = BTreeSet::new();
    for source in our_files().iter().filter(|source| !source.is_generated()) {
        files += 1;
        let length = source.raw.lines().count();
        if length > FILE_LINES_MAX {
            faults.push(format!("{}:1: {length} lines, a file has at most {FILE_LINES_MAX}", source.path));
        }
        for (name, line, lines) in functions(source) {
            counted += 1;
            let listed = LONG_FUNCTIONS.iter().find(|(path, listed, _)| *path == source.path && *listed == name);
            let bound = listed.map_or(FUNCTION_LINES_MAX, |(_, _, bound)| *bound);
            if lines > bound {
                faults.push(format!("{}:{line}: fn {name} has {lines} lines, at most {bound}", source.path));
            } else if lines == bound && listed.is_some() {
                needed.insert((source.path.clone(), name));
            }
        }
    }
    for (path, name, lines) in LONG_FUNCTIONS {
        if !needed.contains(&(path.to_string(), name.to_string())) {
            faults.push(format!("{path}:1: fn {name} has no longer {lines} lines; shorten or remove its entry"));
        }
    }
    report(format!("{counted} functions in {files} files"), faults);
}

#[test]
fn names_say_what_is_in_them_and_rooms_introduce_themselves() {
    let (mut faults, mut types) = (Vec::new(), 0);
    for source in our_files() {
        let stem = Path::new(&source.path).with_extension("");
        for part in stem.iter().flat_map(|part| part.to_str().unwrap().split(['_', '-'])) {
            if BANNED_NAMES.contains(&part) {
                faults.push(format!("{}:1: `{part}` in a path says nothing", source.path));
            }
        }
        let opens_a_room = ["/mod.rs", "/src/lib.rs"].iter().any(|end| source.path.ends_with(end));
        if opens_a_room && !source.raw.starts_with("//!") {
            faults.push(format!("{}:1: a room opens with `//!`: what it is and must never do", source.path));
        }
        for (number, line) in source.lines() {
            let code = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let kinds = ["struct ", "enum ", "trait ", "type ", "mod ", "union "];
            let Some(name) = kinds.iter().find_map(|kind| code.strip_prefix(kind)) else { continue };
            types += 1;
            let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
            if words_of(name).iter().any(|word| BANNED_NAMES.contains(&word.as_str())) {
                faults.push(format!("{}:{number}: the name `{name}` says nothing", source.path));
            }
        }
    }
    report(format!("{types} names of types and modules"), faults);
}

#[test]
fn no_test_is_ignored() {
    let (mut faults, mut tests) = (Vec::new(), 0);
    for source in our_files() {
        for (number, line) in source.lines() {
            tests += usize::from(line.trim() == "#[test]");
            if line.contains("#[ignore") || line.contains("cfg_attr") && has_word(line, "ignore") {
                faults.push(format!("{}:{number}: a test that is not run is no test", source.path));
            }
        }
    }
    report(format!("{tests} tests"), faults);
}

#[test]
fn the_top_level_is_what_was_agreed() {
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let names: Vec<String> =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let is_extra = |name: &&String| {
        !name.starts_with('.') && !ignored.contains(&name.as_str()) && !TOP_LEVEL.contains(&name.as_str())
    };
    let mut faults: Vec<String> =
        names.iter().filter(is_extra).map(|name| format!("{name}:1: not one of {TOP_LEVEL:?}")).collect();
    let licences = [".licenses/LICENSE-MIT", ".licenses/LICENSE-APACHE"];
    let missing = TOP_LEVEL.iter().chain(&licences).filter(|name| !root().join(name).exists());
    faults.extend(missing.map(|name| format!("{name}:1: is missing")));
    report(format!("{} names at the top", names.len()), faults);
}
