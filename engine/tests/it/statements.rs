//! Every numbered statement of MQTT 5.0 and of MQTT 3.1.1, against the marks in code and tests.
//!
//! `[MQTT-3.3.1-2]` in a comment names a statement of MQTT 5.0, `[3.1.1: MQTT-3.3.1-2]` one of MQTT 3.1.1. What the
//! server must do, or must refuse when a client does otherwise, has a mark in the code that obeys it and one in a
//! test that proves it. `statements/v5.txt` and `statements/v311.txt` list all statements in our words, a line each:
//!
//! ```text
//! id | whose | what | reason
//! ```
//!
//! Whose: `server`, `both` (the server as one of the two), `policed` (the client's, and the server refuses who breaks
//! it) or `client` (the client's alone, nothing to refuse). A reason stands where a mark is missing and says which:
//! `not applicable:`, `no code:` or `no test:`.

mod list;
pub mod marks;
mod mutants;

use list::{Specification, Statement};
use marks::{Mark, Place, marks};

fn report(counted: String, faults: Vec<String>) {
    println!("statements: {counted}");
    assert!(faults.is_empty(), "{} faults ({counted})\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_mark_names_a_statement() {
    let (marks, mut faults) = marks();
    for mark in &marks {
        let known = list::of(mark.specification);
        match known.iter().find(|statement| statement.id == mark.id) {
            None => faults.push(format!("{mark}: there is no such statement")),
            Some(statement) if statement.is_not_applicable() => {
                faults.push(format!("{mark}: listed as not applicable: {}", statement.reason));
            }
            Some(_) => (),
        }
    }
    report(format!("{} marks", marks.len()), faults);
}

#[test]
fn every_statement_is_obeyed_and_proved_or_has_a_reason() {
    let (marks, _) = marks();
    let (mut faults, mut number) = (Vec::new(), 0);
    for specification in [Specification::V5, Specification::V311] {
        let statements = list::of(specification);
        number += statements.len();
        for statement in &statements {
            let gap = |place| format!("MQTT {specification}: {}: no mark in {place}: {}", statement.id, statement.what);
            faults.extend(missing(statement, specification, &marks).into_iter().map(gap));
        }
        println!("{}", counted(specification, &statements, &marks));
    }
    report(format!("{number} of both specifications"), faults);
}

/// Where a statement has no mark although it needs one.
fn missing(statement: &Statement, specification: Specification, marks: &[Mark]) -> Vec<Place> {
    let places = [Place::Code, Place::Test].into_iter();
    places.filter(|place| statement.needs(*place) && !has(statement, specification, *place, marks)).collect()
}

fn has(statement: &Statement, specification: Specification, place: Place, marks: &[Mark]) -> bool {
    marks.iter().any(|mark| mark.specification == specification && mark.place == place && mark.id == statement.id)
}

/// The counts that a reader wants, one line.
fn counted(specification: Specification, statements: &[Statement], marks: &[Mark]) -> String {
    let number = |of: &dyn Fn(&Statement) -> bool| statements.iter().filter(|statement| of(statement)).count();
    let applies = |statement: &Statement| statement.is_servers() && !statement.is_not_applicable();
    let marked = |place| number(&|s: &Statement| applies(s) && has(s, specification, place, marks));
    format!(
        "statements: MQTT {specification}: {} statements; {} the client's alone; {} not applicable; {} the server's: \
         {} marked in code, {} proved by a test, {} with a reason for a missing mark",
        statements.len(),
        number(&|s: &Statement| !s.is_servers()),
        number(&|s: &Statement| s.is_not_applicable()),
        number(&applies),
        marked(Place::Code),
        marked(Place::Test),
        number(&|s: &Statement| applies(s) && !s.reason.is_empty()),
    )
}

#[test]
fn mutants_name_lines_and_tests_that_are_there() {
    let (marks, _) = marks();
    let (number, statements, faults) = mutants::check(&marks);
    report(format!("{number} mutants of {statements} statements"), faults);
}
