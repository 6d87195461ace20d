//! Another split than the recorded one: every row moves to its new group, in one commit.
//!
//! Called while the store is opened, before anybody listens.

use crate::key::{self, TopicHash};
use crate::record::{GroupState, IdentityRecord, RowRecord, Scribe};
use crate::restore::{OpenError, read_kept};
use crate::table::{Edit, Table, TableError};
use crate::tombstone::Queue;
use crate::writer::choose_slot;
use engine::key::GroupId;

/// What another split moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Rows and tombstones that have another group now.
    pub records: u64,
}

/// Records that are copied before they are moved; a walk must not see its own edits halfway.
const SLICE_RECORDS: usize = 1_024;
const SLICE_BYTES: usize = 4 << 20;

/// Gives every row the group that `group_of` says and records `identity` and `groups`, all or nothing.
pub(crate) fn move_rows(
    table: &mut dyn Table,
    identity: &IdentityRecord,
    groups: &[GroupState],
    group_of: &dyn Fn(&str) -> GroupId,
    topic_hash: TopicHash,
    tombstones: &mut Queue,
) -> Result<Moved, OpenError> {
    let mut moved = Moved::default();
    let mut scribe = Scribe::default();
    let mut place = Vec::new();
    let mut queue = *tombstones;
    table.commit(&mut |edit| {
        moved = Moved::default();
        queue = *tombstones;
        let mut from = Some(vec![key::ROW]);
        while let Some(start) = from {
            let slice = Slice::read(edit, &start, group_of)?;
            for record in &slice.records {
                record.put(edit, &mut place, identity.hash_seed, topic_hash)?;
                if let Some((version, wall_ms)) = record.tombstone {
                    queue.add(edit, &mut scribe, &place, version, wall_ms)?;
                }
                moved.records += 1;
            }
            from = slice.next;
        }
        edit.put(key::IDENTITY, scribe.identity(identity))?;
        for group in groups {
            key::group(&mut place, group.group);
            edit.put(&place, scribe.group(group))?;
        }
        Ok(())
    })?;
    *tombstones = queue;
    Ok(moved)
}

/// Records in the order of the table that have to move, and where to go on.
#[derive(Default)]
struct Slice {
    records: Vec<Moving>,
    bytes: usize,
    next: Option<Vec<u8>>,
}

struct Moving {
    key: Vec<u8>,
    value: Vec<u8>,
    topic: String,
    group: GroupId,
    tombstone: Option<(u64, u64)>,
}

impl Slice {
    fn read(edit: &dyn Edit, from: &[u8], group_of: &dyn Fn(&str) -> GroupId) -> Result<Slice, TableError> {
        let mut slice = Slice::default();
        let mut damaged = None;
        edit.walk(from, &mut |key, value| {
            if !key::is_row(key) {
                return false;
            }
            match read_kept(key, value) {
                Ok((group, record)) => slice.see(key, value, record, group, group_of),
                Err(what) => damaged = Some(format!("the record \"{}\" cannot be read ({what})", key::shown(key))),
            }
            damaged.is_none() && slice.next.is_none()
        })?;
        damaged.map_or(Ok(slice), |what| Err(TableError::Damaged(what)))
    }

    fn see(
        &mut self,
        key: &[u8],
        value: &[u8],
        record: RowRecord<'_>,
        now: GroupId,
        group_of: &dyn Fn(&str) -> GroupId,
    ) {
        let topic = record.topic().to_owned();
        let group = group_of(&topic);
        if group == now {
            // Also one that was moved here a moment ago.
            return;
        }
        self.bytes += value.len();
        let tombstone = match record {
            RowRecord::Tombstone { version, wall_ms, .. } => Some((version, wall_ms)),
            RowRecord::Row(_) => None,
        };
        self.records.push(Moving { key: key.to_vec(), value: value.to_vec(), topic, group, tombstone });
        if self.records.len() >= SLICE_RECORDS || self.bytes >= SLICE_BYTES {
            let mut next = key.to_vec();
            next.push(0);
            self.next = Some(next);
        }
    }
}

impl Moving {
    fn put(
        &self,
        edit: &mut dyn Edit,
        place: &mut Vec<u8>,
        seed: [u64; 2],
        topic_hash: TopicHash,
    ) -> Result<(), TableError> {
        edit.delete(&self.key)?;
        if !key::row(place, self.group, self.topic.as_bytes()) {
            key::long_row(place, self.group, topic_hash(seed, self.topic.as_bytes()));
            choose_slot(edit, place, &self.topic)?;
        }
        edit.put(place, &self.value)
    }
}
