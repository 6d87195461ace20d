//! Every rule of the Mote protocol against the marks in tests.
//!
//! `rules/mote.txt` has the rules in our words, a line each, numbered by section in the order of the protocol's text:
//!
//! ```text
//! id | whose | what
//! ```
//!
//! Whose: `broker` (a test proves it), `client` (what a receiver does; `row/fold.rs` and the tests do it), `unseen` (no
//! client can tell; a bench or a count does) or `reserved` (for what this broker does not have yet). `[MOTE-2.7]` in a
//! test names a rule, `[MOTE-2.7..9]` three of them.

use crate::statements::marks::{Place, for_each_text, lines};
use std::collections::{BTreeMap, BTreeSet};

struct Rule {
    id: &'static str,
    whose: &'static str,
    what: &'static str,
}

impl Rule {
    fn new(line: &'static str) -> Rule {
        let fields: Vec<&str> = line.splitn(3, " | ").collect();
        let [id, whose, what] = fields[..] else { panic!("`{line}`: id | whose | what") };
        assert!(["broker", "client", "unseen", "reserved"].contains(&whose), "`{line}`: whose is it?");
        Rule { id, whose, what }
    }

    /// Section and number in it.
    fn number(&self) -> (u32, u32) {
        let numbers = self.id.strip_prefix("MOTE-").and_then(|id| id.split_once('.'));
        let (section, number) = numbers.unwrap_or_else(|| panic!("{}: MOTE-1.2", self.id));
        (section.parse().unwrap(), number.parse().unwrap())
    }
}

fn rules() -> Vec<Rule> {
    let rules: Vec<Rule> = include_str!("rules/mote.txt").lines().map(Rule::new).collect();
    let follows = |a: &Rule, b: &Rule| {
        let ((section, number), next) = (a.number(), b.number());
        next == (section, number + 1) || next == (section + 1, 1)
    };
    assert!(rules.is_sorted_by(follows), "numbers follow each other");
    rules
}

#[derive(Default)]
struct Marked {
    code: BTreeSet<String>,
    test: BTreeSet<String>,
    /// Where a mark stands, by rule.
    places: BTreeMap<String, String>,
    count: usize,
}

fn marked() -> Marked {
    let mut marked = Marked::default();
    for_each_text(|path, text, begins| {
        for (number, line, place) in lines(text, begins) {
            for (at, _) in line.match_indices("[MOTE-") {
                for id in ids(&line[at + 6..]).unwrap_or_else(|| panic!("{path}:{number}: a mark is [MOTE-1.2]")) {
                    marked.count += 1;
                    marked.places.insert(id.clone(), format!("{path}:{number}"));
                    if place == Place::Code { &mut marked.code } else { &mut marked.test }.insert(id);
                }
            }
        }
    });
    marked
}

/// Behind `[MOTE-`: `2.7]`, or `2.7..9]` for three.
fn ids(behind: &str) -> Option<impl Iterator<Item = String>> {
    let (section, numbers) = behind.split_once(']')?.0.split_once('.')?;
    let (first, last) = numbers.split_once("..").unwrap_or((numbers, numbers));
    let (section, first, last): (u32, u32, u32) = (section.parse().ok()?, first.parse().ok()?, last.parse().ok()?);
    Some((first..=last).map(move |number| format!("MOTE-{section}.{number}")))
}

#[test]
fn every_mark_names_a_rule() {
    let (rules, marked) = (rules(), marked());
    let unknown = |(id, place): (&String, &String)| {
        (!rules.iter().any(|rule| rule.id == id)).then(|| format!("{place}: there is no {id}"))
    };
    let faults: Vec<String> = marked.places.iter().filter_map(unknown).collect();
    println!("rules: {} marks of {} rules", marked.count, marked.places.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_rule_is_proved_by_a_test() {
    let (rules, marked) = (rules(), marked());
    let (owed, others): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| rule.whose == "broker");
    let in_code = owed.iter().filter(|rule| marked.code.contains(rule.id)).count();
    let missing = owed.iter().filter(|rule| !marked.test.contains(rule.id));
    let missing: Vec<String> = missing.map(|rule| format!("{}: no test: {}", rule.id, rule.what)).collect();
    println!(
        "rules: {} rules; {} not the broker's or not to be seen; {} to prove: {} proved by a test; {in_code} marked in code",
        rules.len(),
        others.len(),
        owed.len(),
        owed.len() - missing.len(),
    );
    assert!(missing.is_empty(), "{} rules\n{}", missing.len(), missing.join("\n"));
}
