//! What a merged frame says about itself: the user property `mote` (PROTOCOL: merged subscriptions).

use super::cursor::{Versions, write_cursor};
use std::fmt::Write as _;

/// Kind of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// More snapshot follows.
    Part,
    /// The last or only part of a snapshot.
    Snap,
    /// Retained changes.
    Live,
    /// Rows published with RETAIN 0.
    Event,
}

/// Fields of the property; `n` is always there.
#[derive(Clone, Copy, Debug)]
pub struct FrameWords<'a> {
    pub kind: FrameKind,
    /// Frames of this subscription before this one.
    pub n: u64,
    /// Cursor: the epoch of the store, and up to where the reader has everything.
    pub ver: Option<(u64, &'a Versions)>,
    /// Version of the object at the filter's stem, where that lies in one group.
    pub obj: Option<u64>,
    pub more: bool,
    pub reset: bool,
    /// Events that this subscriber missed.
    pub lost: u64,
    /// Rows that alone do not fit a frame.
    pub skipped: u32,
}

impl FrameWords<'_> {
    /// Writes the property's value over `out`.
    pub fn write(&self, out: &mut String) {
        let kind = match self.kind {
            FrameKind::Part => "part",
            FrameKind::Snap => "snap",
            FrameKind::Live => "live",
            FrameKind::Event => "event",
        };
        out.clear();
        let n = self.n;
        // Writing to a String cannot fail.
        let _ = write!(out, "frame;{kind};n={n}");
        if let Some((epoch, versions)) = self.ver {
            out.push_str(";ver=");
            write_cursor(epoch, versions, out);
        }
        if let Some(obj) = self.obj {
            let _ = write!(out, ";obj={obj}");
        }
        if self.more {
            out.push_str(";more");
        }
        if self.reset {
            out.push_str(";reset");
        }
        if self.lost > 0 {
            let _ = write!(out, ";lost={}", self.lost);
        }
        if self.skipped > 0 {
            let _ = write!(out, ";skipped={}", self.skipped);
        }
    }
}

/// Writes over `out` a frame of option `meta`: the words, the tree, and the versions if they are asked for.
pub fn wrap(words: &str, tree: &[u8], versions: Option<&[u8]>, out: &mut Vec<u8>) {
    out.clear();
    // No letter of the words needs an escape.
    out.extend_from_slice(b"{\"mote\":\"");
    out.extend_from_slice(words.as_bytes());
    out.extend_from_slice(b"\",\"tree\":");
    out.extend_from_slice(tree);
    if let Some(versions) = versions {
        out.extend_from_slice(b",\"versions\":");
        out.extend_from_slice(versions);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::GroupId;

    #[test]
    fn the_fields_stand_in_order() {
        let mut out = String::new();
        let words = FrameWords {
            kind: FrameKind::Live,
            n: 4,
            ver: None,
            obj: None,
            more: true,
            reset: false,
            lost: 3,
            skipped: 1,
        };
        words.write(&mut out);
        assert_eq!(out, "frame;live;n=4;more;lost=3;skipped=1");
        let mut versions = Versions::default();
        versions.raise(GroupId(1), 0xFF);
        let ver = Some((0, &versions));
        FrameWords { ver, obj: Some(70), more: false, lost: 0, skipped: 0, ..words }.write(&mut out);
        let mut cursor = String::new();
        write_cursor(0, &versions, &mut cursor);
        assert_eq!(out, format!("frame;live;n=4;ver={cursor};obj=70"));
    }
}
