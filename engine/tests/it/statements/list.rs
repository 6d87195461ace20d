//! The lists of statements, read.

use super::marks::Place;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Specification {
    V5,
    V311,
}

impl fmt::Display for Specification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Specification::V5 => "5.0",
            Specification::V311 => "3.1.1",
        })
    }
}

pub struct Statement {
    pub id: &'static str,
    whose: &'static str,
    /// The statement in our words.
    pub what: &'static str,
    /// Why a mark is missing; else empty.
    pub reason: &'static str,
}

impl Statement {
    fn new(line: &'static str) -> Statement {
        let mut fields = line.split(" | ");
        let mut field = || fields.next().unwrap_or_default();
        let statement = Statement { id: field(), whose: field(), what: field(), reason: field() };
        assert!(fields.next().is_none() && !statement.what.is_empty(), "`{line}`: id | whose | what | reason");
        assert!(["server", "both", "policed", "client"].contains(&statement.whose), "`{line}`: whose is it?");
        let reasons = ["not applicable: ", "no code: ", "no test: "];
        let has_kind = reasons.iter().any(|kind| statement.reason.starts_with(kind));
        assert!(statement.reason.is_empty() || has_kind, "`{line}`: a reason begins with one of {reasons:?}");
        statement
    }

    /// The server obeys it, or refuses who does not.
    pub fn is_servers(&self) -> bool {
        self.whose != "client"
    }

    pub fn is_not_applicable(&self) -> bool {
        self.reason.starts_with("not applicable: ")
    }

    pub fn needs(&self, place: Place) -> bool {
        let excused = match place {
            Place::Code => self.reason.starts_with("no code: "),
            Place::Test => self.reason.starts_with("no test: "),
        };
        self.is_servers() && !self.is_not_applicable() && !excused
    }
}

/// All statements of a specification, in its order; their number is the specification's, Appendix B.
pub fn of(specification: Specification) -> Vec<Statement> {
    let (text, number) = match specification {
        Specification::V5 => (include_str!("v5.txt"), 251),
        Specification::V311 => (include_str!("v311.txt"), 141),
    };
    let statements: Vec<Statement> = text.lines().map(Statement::new).collect();
    assert_eq!(statements.len(), number, "MQTT {specification} has so many statements");
    let order = |statement: &Statement| -> Vec<u32> {
        let numbers = statement.id.strip_prefix("MQTT-").unwrap().split(['.', '-']);
        numbers.map(|number| number.parse().unwrap()).collect()
    };
    assert!(statements.is_sorted_by(|a, b| order(a) < order(b)), "each once and in order");
    statements
}
