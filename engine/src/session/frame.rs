//! What a merged frame says about itself: the user property `mote` (PROTOCOL: merged subscriptions).

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
    /// Cursor.
    pub ver: Option<&'a str>,
    pub more: bool,
    pub reset: bool,
    /// Events that this subscriber missed.
    pub lost: u32,
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
        if let Some(ver) = self.ver {
            let _ = write!(out, ";ver={ver}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_in_order() {
        let mut out = String::new();
        let words =
            FrameWords { kind: FrameKind::Live, n: 4, ver: None, more: true, reset: false, lost: 3, skipped: 1 };
        words.write(&mut out);
        assert_eq!(out, "frame;live;n=4;more;lost=3;skipped=1");
    }
}
