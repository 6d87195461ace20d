//! Rust sources as the tidy test reads them: without comments and literals, cut into words and functions.

use std::fs;
use std::path::{Path, PathBuf};

pub struct Source {
    pub path: String,
    pub raw: String,
    /// The same lines without comments and without what strings contain.
    pub code: String,
}

impl Source {
    pub fn is_generated(&self) -> bool {
        self.path.ends_with("_generated.rs")
    }

    /// Numbered lines of code, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every Rust file of the crates, in order of their paths.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let root = root();
    let mut folders: Vec<PathBuf> = folders.iter().map(|name| root.join(name)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && !entry.ends_with("target") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let raw = fs::read_to_string(&entry).unwrap();
                let path = entry.strip_prefix(&root).unwrap().to_str().unwrap().to_string();
                found.push(Source { path, code: code_of(&raw), raw });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "the crates were not found from {}", root.display());
    found
}

/// Blanks comments and the contents of literals; every byte keeps its line.
fn code_of(raw: &str) -> String {
    let mut code = String::with_capacity(raw.len());
    let mut rest = raw;
    while !rest.is_empty() {
        let before = code.chars().next_back();
        let (len, blank) = token(rest, before);
        let text = &rest[..len];
        match blank {
            true => code.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            false => code.push_str(text),
        }
        rest = &rest[len..];
    }
    code
}

/// The length of what `rest` begins with, and whether it is to be blanked.
fn token(rest: &str, before: Option<char>) -> (usize, bool) {
    let to_end_of = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), true);
    }
    if rest.starts_with("/*") {
        return (to_end_of("*/", 2), true);
    }
    let raw_start = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !in_word);
    if let Some(after) = raw_start {
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let open = rest.len() - after.len() + hashes + 1;
            return (to_end_of(&format!("\"{}", "#".repeat(hashes)), open), true);
        }
    }
    if rest.starts_with('"') {
        return (quoted_len(rest, '"'), true);
    }
    let mut chars = rest.chars();
    if chars.next() == Some('\'') {
        let (first, second) = (chars.next(), chars.next());
        if first == Some('\\') || (second == Some('\'') && first != Some('\'')) {
            return (quoted_len(rest, '\''), true);
        }
    }
    (rest.chars().next().map_or(0, char::len_utf8), false)
}

fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// Where `word` stands in `line` as a word of its own.
pub fn words<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let open = !word.starts_with(is_part) || !line[..*at].ends_with(is_part);
        open && (!word.ends_with(is_part) || !line[at + word.len()..].starts_with(is_part))
    })
}

pub fn has_word(line: &str, word: &str) -> bool {
    words(line, word).next().is_some()
}

/// `(name, line, lines)` of every function with a body.
pub fn functions(source: &Source) -> Vec<(String, usize, usize)> {
    let code = &source.code;
    let mut found = Vec::new();
    for at in words(code, "fn").collect::<Vec<_>>() {
        let name: String =
            code[at + 2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let (mut braces, mut brackets) = (0_i32, 0_i32);
        for (offset, c) in code[at..].char_indices() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets -= 1,
                '{' => braces += 1,
                '}' => braces -= 1,
                _ => {}
            }
            if c == ';' && braces == 0 && brackets == 0 || brackets < 0 {
                break;
            }
            if c == '}' && braces == 0 && brackets == 0 {
                let first = code[..at].matches('\n').count() + 1;
                found.push((name, first, code[at..at + offset].matches('\n').count() + 1));
                break;
            }
        }
    }
    found
}

/// `QueueDepth` and `queue_depth` are both `queue`, `depth`.
pub fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c != '_') {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[test]
fn comments_and_literals_are_blanked_and_lifetimes_are_not() {
    let raw = "let a = \"unsafe \\\" {\"; // unsafe\nfn f<'a>(c: &'a u8) -> char { '{' } /* unsafe\n */ let r = r#\"\"unsafe\"#;";
    let code = code_of(raw);
    assert!(!code.contains("unsafe") && code.contains("fn f<'a>(c: &'a u8) -> char {"), "{code}");
    assert_eq!(code.lines().count(), raw.lines().count());
}

#[test]
fn functions_are_measured_from_their_name_to_their_last_brace() {
    let raw = "trait T {\n fn none(&self);\n}\nfn a(x: [u8; 2]) {\n if x { }\n}\nfn b() { }\ntype F = fn(u8) -> u8;\n";
    let source = Source { path: String::new(), raw: raw.to_string(), code: code_of(raw) };
    assert_eq!(functions(&source), [("a".to_string(), 4, 3), ("b".to_string(), 7, 1)]);
}

#[test]
fn names_are_cut_into_words() {
    assert_eq!(words_of("QueueManager")[1..], ["queue", "manager"]);
    assert!(has_word("x unsafe {", "unsafe") && !has_word("unsafe_code", "unsafe") && has_word("a.await;", ".await"));
}
