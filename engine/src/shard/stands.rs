//! Up to where merged readers have everything, as versions of the groups in which their filter lies: what the cursors on
//! their frames say, and where they go on after a restart.
//!
//! A reader that is behind with nothing stands where its filter does at this home, `Slot::versions`: nothing is written
//! down for it. One that falls behind keeps that as it was, all that did so at the same moment one copy.
//!
//! ```text
//! live      Slot::versions, raised with each frame and at the end of each walk of any reader
//! behind    Merged::stood, of the moment before the first frame that it did not take
//! snapshot  Merged::stood, what it had before; then what the ends of its walks say, Merged::gathered
//! ```

use super::home::Home;
use super::merged::{Merged, Sending};
use crate::limits::CURSOR_PACKET_BYTES_MIN;
use crate::session::cursor::Versions;
use crate::session::frame::FrameKind;
use std::sync::Arc;

impl Home {
    /// What a reader has.
    pub fn stand_of(&self, merged: &Merged) -> Arc<Versions> {
        let live = || self.filters.slot(merged.handle).versions.clone().unwrap_or_default();
        merged.stood.clone().unwrap_or_else(live)
    }

    /// What the cursor on a frame says, if there is to be one: what its reader has with it.
    pub(super) fn cursor_on(&self, index: u32, sending: &Sending<'_>) -> Option<Versions> {
        let merged = self.merged.get(index)?;
        let Sending { kind, frame, stands, more, .. } = *sending;
        let is_in_one_group = merged.group.is_some();
        if !is_in_one_group && !self.says_many(merged, kind) {
            return None;
        }
        let end_of_walk = stands.filter(|_| !more);
        match kind {
            FrameKind::Part => is_in_one_group.then(|| Versions::clone(&self.stand_of(merged))),
            FrameKind::Snap => {
                let mut versions = merged.gathered.as_deref().cloned().unwrap_or_default();
                stands.into_iter().for_each(|stands| versions.raise_all(stands));
                Some(versions)
            }
            // The last walk: its reader has what all have.
            FrameKind::Live if end_of_walk.is_some() && merged.standing.len() == 1 => {
                self.filters.slot(merged.handle).versions.as_deref().cloned()
            }
            FrameKind::Live | FrameKind::Event => {
                let has_all = merged.standing.is_empty() && !more;
                let mut versions = Versions::clone(&self.stand_of(merged));
                if has_all {
                    versions.raise(frame.group, frame.version);
                }
                (is_in_one_group || has_all).then_some(versions)
            }
        }
    }

    /// Whether the cursor of a filter that lies in many groups, which may be long, is said now.
    fn says_many(&self, merged: &Merged, kind: FrameKind) -> bool {
        let packet_bytes_max = self.sessions.get(merged.session).map_or(0, |session| session.packet_bytes_max);
        let is_time = match kind {
            FrameKind::Snap => true,
            FrameKind::Live => merged.next_cursor_ms <= self.now.mono_ms,
            FrameKind::Part | FrameKind::Event => false,
        };
        is_time && packet_bytes_max >= CURSOR_PACKET_BYTES_MIN
    }
}
