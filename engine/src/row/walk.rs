//! One pass over a tree in JSON: nestings are levels, and leaves are handed out as they are met.
//! Used by `graft` (trees that clients publish) and `fold` (frames). Does not recurse.

use super::json::{JsonFault, Kind, Scanner, Text};
use crate::limits::JSON_DEPTH_MAX;

/// Which objects of a tree are nestings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nesting {
    /// Levels that each take one nesting (`+`).
    pub single: usize,
    /// Whether every object below those is a nesting too (`#`).
    pub deep: bool,
    /// Whether the key `#` stands for a nesting itself: in trees of versions.
    pub is_marked: bool,
    /// Objects and arrays inside each other, values included.
    pub depth_max: usize,
}

/// A value that is no nesting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf<'a> {
    pub kind: Kind,
    /// A string: what is between its quotes. Else the JSON text as written.
    pub raw: Text<'a>,
}

/// What the pass meets, in the order of the text.
pub(super) trait Sink {
    type Fault: From<JsonFault>;
    /// A nesting begins under this key.
    fn enter(&mut self, key: Text<'_>) -> Result<(), Self::Fault>;
    /// The innermost nesting ends.
    fn leave(&mut self);
    /// A value under this key.
    fn leaf(&mut self, key: Text<'_>, leaf: Leaf<'_>) -> Result<(), Self::Fault>;
    /// The innermost nesting's own value, from the key `/`.
    fn own(&mut self, key: Text<'_>, leaf: Leaf<'_>) -> Result<(), Self::Fault>;
    /// What the key `#` says of the innermost nesting; only where nestings are marked.
    fn mark(&mut self, _leaf: Leaf<'_>) -> Result<(), Self::Fault> {
        Ok(())
    }
}

pub(super) fn walk<S: Sink>(text: &str, nesting: Nesting, sink: &mut S) -> Result<(), S::Fault> {
    let mut scanner = Scanner::new(text);
    scanner.white();
    if scanner.peek() != b'{' {
        scanner.kind()?;
        return Err(scanner.fault("a tree is a JSON object").into());
    }
    // Objects that are open; the keys above the one at hand are `depth - 1`.
    let mut depth = 1;
    let mut more = first(&mut scanner);
    loop {
        if more {
            if member(&mut scanner, nesting, depth, sink)? {
                depth += 1;
                more = first(&mut scanner);
                continue;
            }
            scanner.white();
        }
        match scanner.peek() {
            b',' => {
                scanner.at += 1;
                scanner.white();
                more = true;
            }
            b'}' => {
                scanner.at += 1;
                depth -= 1;
                if depth == 0 {
                    return Ok(scanner.end()?);
                }
                sink.leave();
                scanner.white();
                more = false;
            }
            _ => return Err(scanner.fault("expected , or }").into()),
        }
    }
}

/// Takes the opening brace; whether a member follows.
fn first(scanner: &mut Scanner<'_>) -> bool {
    scanner.at += 1;
    scanner.white();
    scanner.peek() != b'}'
}

/// One member of the object at `depth`. True if its value is a nesting, which is then entered and not yet read.
fn member<S: Sink>(scanner: &mut Scanner<'_>, nesting: Nesting, depth: usize, sink: &mut S) -> Result<bool, S::Fault> {
    let key = scanner.key()?;
    let in_deep = nesting.deep && depth > nesting.single;
    if in_deep && key.is(b"/") {
        sink.own(key, leaf(scanner, nesting, depth)?)?;
        return Ok(false);
    }
    if nesting.is_marked && key.is(b"#") {
        sink.mark(leaf(scanner, nesting, depth)?)?;
        return Ok(false);
    }
    let nests = depth < nesting.single || nesting.deep;
    if nests && scanner.peek() == b'{' {
        if depth >= nesting.depth_max {
            return Err(scanner.fault("nested too deeply").into());
        }
        sink.enter(key)?;
        return Ok(true);
    }
    let at = scanner.at;
    let leaf = leaf(scanner, nesting, depth)?;
    if depth < nesting.single {
        return Err(JsonFault { at, what: "an object must stand here: there are more wildcard levels" }.into());
    }
    sink.leaf(key, leaf)?;
    Ok(false)
}

fn leaf<'a>(scanner: &mut Scanner<'a>, nesting: Nesting, depth: usize) -> Result<Leaf<'a>, JsonFault> {
    if scanner.peek() == b'"' {
        return Ok(Leaf { kind: Kind::String, raw: scanner.string()? });
    }
    let at = scanner.at;
    let kind = scanner.value((nesting.depth_max - depth).min(JSON_DEPTH_MAX))?;
    Ok(Leaf { kind, raw: Text { at, raw: scanner.since(at), escaped: false } })
}
