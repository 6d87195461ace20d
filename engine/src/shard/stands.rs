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

use super::filters::Filters;
use super::home::Home;
use super::merged::{Merged, Mergeds, Sending};
use crate::key::{FilterHandle, SessionKey};
use crate::limits::CURSOR_PACKET_BYTES_MIN;
use crate::session::Session;
use crate::session::cursor::{Versions, print_of, write_stand};
use crate::session::frame::FrameKind;
use crate::session::lasting::Wanted;
use std::sync::Arc;

/// A merged subscription as its record says it, and what of that is written.
pub struct KeptReader {
    number: u64,
    wanted: Wanted,
    /// Of the stand in the record.
    print: u64,
}

impl Home {
    /// What a reader has.
    pub fn stand_of(&self, merged: &Merged) -> Arc<Versions> {
        stand_of(&self.filters, merged)
    }

    /// A merged subscription of a session that outlives the process; its record has the stand that it is given with.
    pub fn remember_merged(&mut self, key: SessionKey, handle: FilterHandle, mut wanted: Wanted) {
        let Some(index) = self.filters.merged_in(handle, key) else { return };
        let number = self.filters.slot(handle).number;
        let print = print_of(&std::mem::take(&mut wanted.cursor));
        if let Some(merged) = self.merged.get_mut(index) {
            merged.kept = Some(Box::new(KeptReader { number, wanted, print }));
        }
        if let Some(lasting) = self.sessions.get_mut(key).and_then(Session::lasting_mut) {
            lasting.merged.retain(|other| *other != index);
            lasting.merged.push(index);
        }
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

/// What a reader has.
fn stand_of(filters: &Filters, merged: &Merged) -> Arc<Versions> {
    let live = || filters.slot(merged.handle).versions.clone().unwrap_or_default();
    merged.stood.clone().unwrap_or_else(live)
}

/// Where the merged readers of a session stand goes into their records, with whatever else of it is written: with the
/// frames that wait for their acknowledgement, and when the client is gone.
pub fn keep_stands(session: &mut Session, filters: &Filters, mergeds: &mut Mergeds, epoch: u64) {
    let Some(lasting) = session.lasting_mut() else { return };
    for index in lasting.merged.clone() {
        let Some(merged) = mergeds.get_mut(index) else { continue };
        // The parts of a first snapshot that a reader has are nothing to go on from.
        let stand = (!merged.is_in_first_snapshot()).then(|| stand_of(filters, merged));
        let bytes = write_stand(merged.n, epoch, stand.as_deref());
        let Some(kept) = merged.kept.as_deref_mut() else { continue };
        let print = print_of(&bytes);
        if print != kept.print {
            kept.print = print;
            lasting.subscribed(kept.number, Wanted { cursor: bytes, ..kept.wanted.clone() });
        }
    }
}
