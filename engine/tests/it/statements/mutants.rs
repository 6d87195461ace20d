//! The table of `.ci/mutate.py`: how the line that obeys a statement is disabled, and which test then fails.

use super::list::Specification;
use super::marks::{Mark, Place};
use crate::tidy::source::root;
use std::fs;

struct Mutant<'a> {
    statement: &'a str,
    /// `crate/tests/it/module.rs` or `crate/src/module.rs`, and the function in it.
    test: (String, &'a str),
    path: &'a str,
    /// Runs of lines that are changed.
    before: Vec<String>,
}

impl<'a> Mutant<'a> {
    fn read(block: &'a str) -> Mutant<'a> {
        let mut lines = block.trim().lines();
        let head: Vec<&str> = lines.next().unwrap_or_default().split(" | ").collect();
        let [statement, package, target, test] = head[..] else {
            panic!("`{block}`: statement | crate | target | test")
        };
        let (module, function) = test.rsplit_once("::").unwrap();
        let file = module.trim_end_matches("::tests").replace("::", "/");
        let folder = if target == "lib" { "src" } else { "tests/it" };
        let path = lines.next().unwrap();
        let lines: Vec<&str> = lines.collect();
        let runs = lines.chunk_by(|a, b| a.starts_with('-') == b.starts_with('-'));
        let run = |run: &[&str]| -> Option<String> {
            let stripped: Option<Vec<&str>> = run.iter().map(|line| line.strip_prefix("- ")).collect();
            stripped.map(|lines| lines.join("\n"))
        };
        let before = runs.filter_map(run).collect();
        let test = (format!("{package}/{folder}/{file}.rs"), function);
        Mutant { statement, test, path, before }
    }

    /// What is wrong with it: it is to name a statement, a line that is there once, and a test in a file that is marked.
    fn fault(&self, marks: &[Mark]) -> Option<String> {
        let head = format!("mutants.txt: {} {}", self.statement, self.test.1);
        let text = fs::read_to_string(root().join(self.path)).unwrap_or_default();
        let is_once = |before: &&String| text.matches(before.as_str()).count() == 1;
        if let Some(before) = self.before.iter().find(|before| !is_once(before)) {
            return Some(format!("{head}: not once in {}: {before}", self.path));
        }
        let tests = fs::read_to_string(root().join(&self.test.0)).unwrap_or_default();
        if !tests.contains(&format!("fn {}(", self.test.1)) {
            return Some(format!("{head}: no such test in {}", self.test.0));
        }
        let specification = if self.statement.starts_with("[3.1.1") { Specification::V311 } else { Specification::V5 };
        let names =
            |mark: &&Mark| mark.specification == specification && self.statement.ends_with(&format!("{}]", mark.id));
        let is_proof = |mark: &Mark| mark.place == Place::Test && mark.path == self.test.0;
        let is_marked = marks.iter().filter(names).any(is_proof);
        (!is_marked).then(|| format!("{head}: {} has no mark of it", self.test.0))
    }
}

/// Checks the table and counts it: mutants, and statements that have one.
pub fn check(marks: &[Mark]) -> (usize, usize, Vec<String>) {
    let table = fs::read_to_string(root().join(".ci/mutants.txt")).unwrap();
    let blocks = table.split("\n\n").filter(|block| !block.trim().is_empty() && !block.starts_with('#'));
    let mutants: Vec<Mutant<'_>> = blocks.map(Mutant::read).collect();
    let mut statements: Vec<&str> = mutants.iter().map(|mutant| mutant.statement).collect();
    statements.sort_unstable();
    statements.dedup();
    (mutants.len(), statements.len(), mutants.iter().filter_map(|mutant| mutant.fault(marks)).collect())
}
