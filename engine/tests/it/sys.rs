//! README lists what is under `$SYS`: all of it, and nothing else.

use engine::shard::sys::{BROKER, LOADS, SHARD, SPANS};
use std::collections::BTreeSet;
use std::path::Path;

/// The words in backticks behind `<!-- sys: name -->` up to the next blank line that follows them.
fn listed(readme: &str, name: &str, end: &str) -> BTreeSet<String> {
    let start = format!("<!-- sys: {name} -->");
    let (_, rest) = readme.split_once(&start).unwrap_or_else(|| panic!("README has {start}"));
    let (text, _) = rest.split_once(end).unwrap_or((rest, ""));
    // Of a table the topics stand in the first column.
    let first_column = |line: &str| match line.strip_prefix("| ") {
        Some(row) => row.split(" | ").next().unwrap_or_default().to_owned(),
        None => line.to_owned(),
    };
    let text = text.lines().map(first_column).collect::<Vec<_>>().join("\n");
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn readme_lists_every_topic_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let mut broker: BTreeSet<String> = BROKER.iter().map(|(name, _)| (*name).to_owned()).collect();
    broker.extend(["version".to_owned(), "uptime".to_owned()]);
    broker.extend(SPANS.map(|(span, _)| format!("load/<what>/{span}")));
    assert_eq!(listed(&readme, "broker", "\n\n"), broker);
    assert_eq!(listed(&readme, "load", "\n"), LOADS.iter().map(|(name, _)| (*name).to_owned()).collect());
    assert_eq!(listed(&readme, "shard", "\n\n"), SHARD.iter().map(|(name, _)| (*name).to_owned()).collect());
}
