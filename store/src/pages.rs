//! The pages of an LMDB file, read by hand before LMDB reads them: it trusts its file, and a damaged one would end the
//! process without a word. Also what `--recover` reads of a file that LMDB must not open.
//!
//! Lives on the thread that starts the broker. It only reads, and believes nothing: no number from the file is used
//! before it was compared with what there is, no page is visited twice.
//!
//! ```text
//! page   | number u64 | pad u16 | flags u16 | lower u16 | upper u16 | places of nodes u16 … | free | nodes … |
//! meta   | header 16 | magic u32 | version u32 | address u64 | map u64 | free tree 48 | main tree 48 | last page u64 | transaction u64 |
//! tree   | page size u32 (free tree only) | flags u16 | depth u16 | pages 3 × u64 | entries u64 | root u64 |
//! leaf   | value length u32 | flags u16 | key length u16 | key | value, or with flag 1 the u64 number of its first overflow page |
//! branch | child u48 | key length u16 | key (none at the first child) |
//! ```

use std::cmp::Ordering;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER: usize = 16;
const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
const META_BYTES: usize = 152;
const PAGE_BYTES_MAX: usize = 65_536;
/// What LMDB takes where the system has pages of this size.
const PAGE_BYTES_USUAL: usize = 4_096;
const KEY_BYTES_MAX: usize = 511;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
const BIG_DATA: u16 = 1;
const INTEGER_KEY: u16 = 8;
/// All flags of a tree that change how its nodes are read.
const TREE_FLAGS: u16 = 0x7e;
const EMPTY: u64 = u64::MAX;
/// LMDB's own stack of a cursor.
const DEPTH_MAX: usize = 32;
/// Pages that a commit may have reserved at the end of the file and not written.
const UNWRITTEN_PAGES_MAX: u64 = 1 << 20;

type Found<T> = Result<T, String>;

/// Every page and node of the file is what LMDB expects. A file that is missing is new.
pub(crate) fn check(path: &Path) -> Found<()> {
    let Some(mut pages) = Pages::open(path)? else { return Ok(()) };
    let [free, main] = pages.trees;
    let mut free_pages = Vec::new();
    pages.walk(&free, true, &mut |key, value| {
        free_pages.push((key.to_vec(), value.to_vec()));
    })?;
    pages.walk(&main, false, &mut |_, _| {})?;
    for (_, list) in &free_pages {
        pages.see_free(list)?;
    }
    Ok(())
}

/// Shows every record that can still be reached and says how many pages could not be read. The tree of the transaction
/// before the last lies in the file too, and nothing of it was used again: where it is less damaged, its records are shown.
/// `is_whole` judges a record.
pub(crate) fn salvage(
    path: &Path,
    is_whole: &dyn Fn(&[u8], &[u8]) -> bool,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Found<u64> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let bytes = file.metadata().map_err(|error| error.to_string())?.len();
    let mut best: Option<(u64, [u8; META_BYTES], usize)> = None;
    for (meta, page_bytes) in readable_metas(&file, bytes) {
        let Ok(mut pages) = Pages::of(&file, bytes, page_bytes, &meta) else { continue };
        let mut broken = 0;
        let damaged = pages.salvage(&mut |key, value| broken += u64::from(!is_whole(key, value)))? + broken;
        if best.as_ref().is_none_or(|(least, ..)| damaged < *least) {
            best = Some((damaged, meta, page_bytes));
        }
    }
    let (_, meta, page_bytes) = best.ok_or("it has no first page that can be read")?;
    Pages::of(&file, bytes, page_bytes, &meta)?.salvage(each)
}

/// Of the two first pages those that can be read, the newer first, with the size of pages.
fn readable_metas(file: &File, bytes: u64) -> Vec<([u8; META_BYTES], usize)> {
    let first = read_meta(file, bytes, 0).ok();
    let page_bytes = first.as_ref().map_or(PAGE_BYTES_USUAL, |meta| u32_at(meta, HEADER + 24) as usize);
    let second = read_meta(file, bytes, page_bytes as u64).ok();
    let mut metas: Vec<[u8; META_BYTES]> = [first, second].into_iter().flatten().collect();
    metas.sort_by_key(|meta| std::cmp::Reverse(transaction(meta)));
    metas.into_iter().map(|meta| (meta, page_bytes)).collect()
}

/// The number of the transaction that wrote a first page.
fn transaction(meta: &[u8; META_BYTES]) -> u64 {
    u64_at(meta, 144)
}

#[derive(Clone, Copy)]
struct Tree {
    flags: u16,
    depth: u16,
    root: u64,
}

struct Pages {
    file: File,
    /// Whole pages in the file.
    count: u64,
    page_bytes: usize,
    last: u64,
    trees: [Tree; 2],
    /// One bit for each page that was met.
    seen: Vec<u64>,
    /// Damage is counted, not reported.
    tolerant: bool,
    /// Values are read for those who look at them.
    with_values: bool,
    damaged: u64,
}

/// What keys are compared with: they ascend through the whole tree.
#[derive(Default)]
struct Low {
    key: Vec<u8>,
    /// The next may be equal: it was a branch's key.
    inclusive: bool,
}

impl Low {
    fn rise(&mut self, key: &[u8], inclusive: bool) -> bool {
        let right = match key.cmp(&self.key) {
            Ordering::Greater => true,
            Ordering::Equal => self.inclusive || key.is_empty(),
            Ordering::Less => false,
        };
        self.key.clear();
        self.key.extend_from_slice(key);
        self.inclusive = inclusive;
        right
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl Pages {
    fn open(path: &Path) -> Found<Option<Pages>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| error.to_string())?,
        };
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        if bytes == 0 {
            return Err("it is empty".into());
        }
        let first = read_meta(&file, bytes, 0)?;
        let page_bytes = u32_at(&first, HEADER + 24) as usize;
        judge_page_bytes(page_bytes)?;
        let second = read_meta(&file, bytes, page_bytes as u64)?;
        let (even, odd) = (transaction(&first), transaction(&second));
        // Transactions write them in turns. A new file has two first ones, and both are of none.
        let takes_turns = even.is_multiple_of(2) && !odd.is_multiple_of(2) && even.abs_diff(odd) == 1;
        if !takes_turns && (even, odd) != (0, 0) {
            return Err("one of its first pages is older than it should be".into());
        }
        let newer = if even < odd { second } else { first };
        Pages::of(&file, bytes, page_bytes, &newer).map(Some)
    }

    /// The pages of the transaction that wrote this first page.
    fn of(file: &File, bytes: u64, page_bytes: usize, meta: &[u8; META_BYTES]) -> Found<Pages> {
        judge_page_bytes(page_bytes)?;
        let file = file.try_clone().map_err(|error| error.to_string())?;
        let tree = |at: usize| Tree {
            flags: u16_at(meta, at + 4) & TREE_FLAGS,
            depth: u16_at(meta, at + 6),
            root: u64_at(meta, at + 40),
        };
        let (trees, last) = ([tree(HEADER + 24), tree(HEADER + 72)], u64_at(meta, 136));
        let count = bytes / page_bytes as u64;
        if last > count + UNWRITTEN_PAGES_MAX || trees[0].flags != INTEGER_KEY || trees[1].flags != 0 {
            return Err("its first pages contradict each other".into());
        }
        let seen = vec![0; count as usize / 64 + 1];
        Ok(Pages { file, count, page_bytes, last, trees, seen, tolerant: false, with_values: false, damaged: 0 })
    }

    fn salvage(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Found<u64> {
        (self.tolerant, self.with_values) = (true, true);
        let main = self.trees[1];
        self.walk(&main, false, each)?;
        Ok(self.damaged)
    }

    /// The page may be used here: it is in the file, no meta page, and was not met before.
    fn see(&mut self, page: u64) -> Found<()> {
        if page < 2 || page > self.last {
            return Err(format!("page {page} does not exist"));
        }
        if page >= self.count {
            return Err(format!("page {page} is missing, the file was cut short"));
        }
        let (word, bit) = (page as usize / 64, 1 << (page % 64));
        if self.seen[word] & bit != 0 {
            return Err(format!("page {page} is used twice"));
        }
        self.seen[word] |= bit;
        Ok(())
    }

    fn read(&self, page: u64, into: &mut [u8]) -> Found<()> {
        let at = page * self.page_bytes as u64;
        self.file.read_exact_at(into, at).map_err(|error| format!("page {page} cannot be read: {error}"))
    }

    /// A list of free pages: a count and so many page numbers, descending.
    fn see_free(&mut self, list: &[u8]) -> Found<()> {
        let room = (list.len() / 8).checked_sub(1).ok_or("a list of free pages is too short")?;
        let count = u64_at(list, 0);
        if count > room as u64 {
            return Err("a list of free pages is too short".into());
        }
        let mut before = u64::MAX;
        for page in list[8..].chunks_exact(8).take(count as usize).map(|bytes| u64_at(bytes, 0)) {
            // Reserved and never written, a free page may lie beyond the end.
            let beyond = page >= self.count && page <= self.last;
            if page >= before {
                return Err(format!("free page {page} is out of order"));
            }
            if !beyond {
                self.see(page)?;
            }
            before = page;
        }
        Ok(())
    }

    /// Every record of a tree, in order, without recursion.
    fn walk(&mut self, tree: &Tree, integers: bool, each: &mut dyn FnMut(&[u8], &[u8])) -> Found<()> {
        let mut low = Low::default();
        let mut stack: Vec<(Node, usize)> = Vec::new();
        if tree.root != EMPTY {
            self.descend(tree.root, integers, &mut stack)?;
        }
        while let Some((_, index)) = stack.last_mut() {
            let at = *index;
            *index += 1;
            let depth = stack.len();
            let Some((node, _)) = stack.last() else { break };
            if at >= node.places.len() {
                stack.pop();
                continue;
            }
            let place = node.places[at];
            let key = node.key(place, integers);
            let is_leaf = node.is_leaf;
            let rises = if is_leaf || at > 0 { low.rise(&key, !is_leaf) } else { true };
            let fits = !is_leaf || depth == usize::from(tree.depth);
            let result = if !rises && !self.tolerant {
                Err(format!("page {}: keys are out of order", node.page))
            } else if !fits && !self.tolerant {
                Err(format!("page {}: a leaf where none should be", node.page))
            } else if is_leaf {
                let read = self.with_values || integers;
                let value = node.value(place);
                self.value(value, read).map(|value| each(&key, &value))
            } else {
                let child = node.child(place);
                self.descend(child, integers, &mut stack)
            };
            self.forgive(result)?;
        }
        Ok(())
    }

    fn forgive(&mut self, result: Found<()>) -> Found<()> {
        if self.tolerant && result.is_err() {
            self.damaged += 1;
            return Ok(());
        }
        result
    }

    fn descend(&mut self, page: u64, integers: bool, stack: &mut Vec<(Node, usize)>) -> Found<()> {
        if stack.len() >= DEPTH_MAX {
            return Err("the tree is too deep".into());
        }
        let result = self.see(page).and_then(|()| {
            let mut bytes = vec![0; self.page_bytes];
            self.read(page, &mut bytes)?;
            Node::checked(page, bytes, integers)
        });
        match result {
            Ok(node) => stack.push((node, 0)),
            Err(what) => return if stack.is_empty() { self.forgive(Err(what)) } else { Err(what) },
        }
        Ok(())
    }

    /// The value of a leaf's node; empty when nobody looks at it.
    fn value(&mut self, value: Value, read: bool) -> Found<Vec<u8>> {
        let (first, length) = match value {
            Value::Here(bytes) => return Ok(bytes),
            Value::Overflow { first, length } => (first, length),
        };
        let mut header = [0; HEADER];
        self.see(first)?;
        self.read(first, &mut header)?;
        let pages = u64::from(u32_at(&header, 12));
        let needed = (HEADER + length).div_ceil(self.page_bytes) as u64;
        if u64_at(&header, 0) != first || u16_at(&header, 10) != OVERFLOW || pages < needed {
            return Err(format!("page {first}: not the overflow page that it should be"));
        }
        if pages > self.count {
            return Err(format!("page {first}: {pages} overflow pages do not exist"));
        }
        for page in first + 1..first + pages {
            self.see(page)?;
        }
        let mut bytes = vec![0; if read { length } else { 0 }];
        let at = first * self.page_bytes as u64 + HEADER as u64;
        self.file.read_exact_at(&mut bytes, at).map_err(|error| format!("page {first} cannot be read: {error}"))?;
        Ok(bytes)
    }
}

fn judge_page_bytes(page_bytes: usize) -> Found<()> {
    let is_one = page_bytes.is_power_of_two() && (256..=PAGE_BYTES_MAX).contains(&page_bytes);
    if is_one { Ok(()) } else { Err(format!("a page size of {page_bytes}")) }
}

fn read_meta(file: &File, file_bytes: u64, at: u64) -> Found<[u8; META_BYTES]> {
    let mut meta = [0; META_BYTES];
    if at + META_BYTES as u64 > file_bytes {
        return Err("the file is too short".into());
    }
    file.read_exact_at(&mut meta, at).map_err(|error| error.to_string())?;
    if u32_at(&meta, HEADER) != MAGIC {
        return Err("this is not a file of LMDB".into());
    }
    match u32_at(&meta, HEADER + 4) {
        VERSION => Ok(meta),
        other => Err(format!("version {other} of LMDB's files is not known")),
    }
}

enum Value {
    Here(Vec<u8>),
    Overflow { first: u64, length: usize },
}

/// A branch or leaf page whose nodes all lie inside it.
struct Node {
    page: u64,
    bytes: Vec<u8>,
    places: Vec<usize>,
    is_leaf: bool,
}

impl Node {
    fn checked(page: u64, bytes: Vec<u8>, integers: bool) -> Found<Node> {
        let wrong = |what: &str| Err(format!("page {page}: {what}"));
        let (flags, lower, upper) = (u16_at(&bytes, 10), u16_at(&bytes, 12) as usize, u16_at(&bytes, 14) as usize);
        let is_leaf = flags == LEAF;
        if u64_at(&bytes, 0) != page || !(is_leaf || flags == BRANCH) {
            return wrong("not the page that it should be");
        }
        if lower < HEADER || lower % 2 != 0 || lower > upper || upper > bytes.len() {
            return wrong("its bounds are wrong");
        }
        let places: Vec<usize> = (HEADER..lower).step_by(2).map(|at| u16_at(&bytes, at) as usize).collect();
        if places.len() < if is_leaf { 1 } else { 2 } {
            return wrong("it has too few nodes");
        }
        let node = Node { page, bytes, places, is_leaf };
        // Nodes fill what is above `upper` without gaps.
        let sizes = node.places.iter().zip(0..).map(|(&place, index)| node.size(place, index, upper, integers));
        match sizes.sum::<Option<usize>>() {
            Some(filled) if filled == node.bytes.len() - upper => Ok(node),
            Some(_) => wrong("its nodes overlap"),
            None => wrong("a node is not inside it"),
        }
    }

    /// Bytes of a node, if it lies in its page as it should.
    fn size(&self, place: usize, index: usize, upper: usize, integers: bool) -> Option<usize> {
        if place < upper || !place.is_multiple_of(2) || place + 8 > self.bytes.len() {
            return None;
        }
        let key = u16_at(&self.bytes, place + 6) as usize;
        let first_of_branch = !self.is_leaf && index == 0;
        let key_fits = if integers { key == 8 } else { (1..=KEY_BYTES_MAX).contains(&key) };
        let value = match (self.is_leaf, u16_at(&self.bytes, place + 4)) {
            (false, _) => 0,
            (true, 0) => u32_at(&self.bytes, place) as usize,
            (true, BIG_DATA) => 8,
            (true, _) => return None,
        };
        let size = (8 + key + value).next_multiple_of(2);
        ((key_fits || first_of_branch) && place + size <= self.bytes.len()).then_some(size)
    }

    /// As it is compared.
    fn key(&self, place: usize, integers: bool) -> Vec<u8> {
        let length = u16_at(&self.bytes, place + 6) as usize;
        let mut key = self.bytes[place + 8..place + 8 + length].to_vec();
        if integers {
            key.reverse();
        }
        key
    }

    fn child(&self, place: usize) -> u64 {
        u64::from(u32_at(&self.bytes, place)) | u64::from(u16_at(&self.bytes, place + 4)) << 32
    }

    fn value(&self, place: usize) -> Value {
        let length = u32_at(&self.bytes, place) as usize;
        let at = place + 8 + u16_at(&self.bytes, place + 6) as usize;
        match u16_at(&self.bytes, place + 4) {
            BIG_DATA => Value::Overflow { first: u64_at(&self.bytes, at), length },
            _ => Value::Here(self.bytes[at..at + length].to_vec()),
        }
    }
}
