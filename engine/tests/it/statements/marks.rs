//! The marks in our files, found.

use super::list::Specification;
use crate::tidy::source::{root, sources};
use std::{fmt, fs};

/// What obeys a statement, and what proves that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Code,
    Test,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Code => "code",
            Place::Test => "test",
        })
    }
}

pub struct Mark {
    pub specification: Specification,
    pub id: String,
    pub place: Place,
    pub path: String,
    line: usize,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: MQTT {} {}", self.path, self.line, self.specification, self.id)
    }
}

/// The crates that are the broker, then what proves it: simulator and conversations, models, clients.
const BROKER: [&str; 3] = ["engine", "net", "store"];
const PROOFS: [&str; 2] = ["fuzz", "loom-tests"];
const CLIENTS: &str = ".ci/clients";

/// All marks, and what looks like one and is none.
pub fn marks() -> (Vec<Mark>, Vec<String>) {
    let (mut marks, mut faults) = (Vec::new(), Vec::new());
    for_each_text(|path, text, place| find(path, text, place, &mut marks, &mut faults));
    (marks, faults)
}

/// Path and text of everything that has marks, but for the tests that look for them, and the place where it begins.
pub fn for_each_text(mut each: impl FnMut(&str, &str, Place)) {
    let looks =
        |path: &str| ["statements", "rules"].iter().any(|name| path.starts_with(&format!("engine/tests/it/{name}")));
    for source in sources(&[&BROKER[..], &PROOFS[..]].concat()).iter().filter(|source| !looks(&source.path)) {
        let is_code = BROKER.iter().any(|name| source.path.starts_with(&format!("{name}/src/")));
        each(&source.path, &source.raw, if is_code { Place::Code } else { Place::Test });
    }
    for entry in fs::read_dir(root().join(CLIENTS)).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "py" || extension == "mjs") {
            let text = fs::read_to_string(&entry).unwrap();
            each(entry.strip_prefix(root()).unwrap().to_str().unwrap(), &text, Place::Test);
        }
    }
}

/// Lines of a text, numbered from 1, with their place: tests at the end of a source file are tests.
pub fn lines(text: &str, begins: Place) -> impl Iterator<Item = (usize, &str, Place)> {
    let mut place = begins;
    text.lines().enumerate().map(move |(index, line)| {
        if line.trim() == "#[cfg(test)]" {
            place = Place::Test;
        }
        (index + 1, line, place)
    })
}

fn find(path: &str, text: &str, begins: Place, marks: &mut Vec<Mark>, faults: &mut Vec<String>) {
    for (number, line, place) in lines(text, begins) {
        for (at, _) in line.match_indices("MQTT-").filter(|(at, _)| is_number(&line[at + 5..])) {
            let Some((specification, ids)) = mark(&line[..at], &line[at + 5..]) else {
                faults.push(format!("{path}:{number}: a mark is [MQTT-1.2.3-4] or [3.1.1: MQTT-1.2.3-4]"));
                continue;
            };
            let path = path.to_string();
            marks.extend(ids.map(|id| Mark { specification, id, place, path: path.clone(), line: number }));
        }
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

/// `[MQTT-3.3.1-9]`, or `[MQTT-3.3.1-9..11]` for three.
fn mark(before: &str, behind: &str) -> Option<(Specification, impl Iterator<Item = String>)> {
    let specification = match before {
        _ if before.ends_with("[3.1.1: ") => Specification::V311,
        _ if before.ends_with('[') => Specification::V5,
        _ => return None,
    };
    let (section, numbers) = behind.split_once(']')?.0.split_once('-')?;
    let (first, last) = numbers.split_once("..").unwrap_or((numbers, numbers));
    let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
    let section = section.to_string();
    Some((specification, (first..=last).map(move |number| format!("MQTT-{section}-{number}"))))
}
