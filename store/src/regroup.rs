//! Another split than the recorded one: everything moves to its new group, in one commit, but the histories: these are
//! read with cursors, and with the new epoch no cursor is valid.
//!
//! Called while the store is opened, before anybody listens.

use crate::kept::{self, Pen};
use crate::key::{self, ByTopic, TopicHash};
use crate::record::{GroupState, IdentityRecord};
use crate::restore::{OpenError, delete_all};
use crate::seal;
use crate::table::{Edit, Table, TableError};
use engine::key::GroupId;

/// What another split moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Rows, tombstones, floors and outcomes that have another group now.
    pub records: u64,
}

/// Records that are copied before they are moved; a walk must not see its own edits halfway.
const SLICE_RECORDS: usize = 1_024;
const SLICE_BYTES: usize = 4 << 20;

/// Gives everything the group that `group_of` says and records `identity` and `groups`, all or nothing.
pub(crate) fn move_rows(
    table: &mut dyn Table,
    identity: &IdentityRecord,
    groups: &[GroupState],
    group_of: &dyn Fn(&str) -> GroupId,
    topic_hash: TopicHash,
) -> Result<Moved, OpenError> {
    let mut moved = Moved::default();
    let mut pen = Pen::new(identity.hash_seed, topic_hash);
    table.commit(&mut |edit| {
        moved = Moved::default();
        delete_all(edit, key::PAST)?;
        for letter in key::OF_GROUPS {
            let mut from = Some(vec![letter]);
            while let Some(start) = from {
                let slice = Slice::read(edit, letter, &start, group_of)?;
                for record in &slice.records {
                    record.put(edit, &mut pen)?;
                    moved.records += 1;
                }
                from = slice.next;
            }
        }
        pen.seal.put(edit, key::IDENTITY, pen.scribe.identity(identity))?;
        for group in groups {
            key::group(&mut pen.key, group.group);
            pen.seal.put(edit, &pen.key, pen.scribe.group(group))?;
        }
        Ok(())
    })?;
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
    record: Vec<u8>,
    topic: String,
    group: GroupId,
}

impl Slice {
    fn read(edit: &dyn Edit, letter: u8, from: &[u8], group_of: &dyn Fn(&str) -> GroupId) -> Result<Slice, TableError> {
        let mut slice = Slice::default();
        let mut damaged = None;
        edit.walk(from, &mut |key, value| {
            if key.first() != Some(&letter) {
                return false;
            }
            let read = || {
                let (group, record) = (kept::read(key, value)?.group(), seal::open(key, value)?);
                Ok::<_, String>((group, record, kept::topic_of(key, record)?))
            };
            match read() {
                Ok((group, record, topic)) => slice.see(key, record, topic, group, group_of),
                Err(what) => damaged = Some(format!("the record \"{}\" cannot be read ({what})", key::shown(key))),
            }
            damaged.is_none() && slice.next.is_none()
        })?;
        damaged.map_or(Ok(slice), |what| Err(TableError::Damaged(what)))
    }

    fn see(&mut self, key: &[u8], record: &[u8], topic: &str, now: GroupId, group_of: &dyn Fn(&str) -> GroupId) {
        let group = group_of(topic);
        if group == now {
            // Also one that was moved here a moment ago.
            return;
        }
        self.bytes += record.len();
        self.records.push(Moving { key: key.to_vec(), record: record.to_vec(), topic: topic.to_owned(), group });
        if self.records.len() >= SLICE_RECORDS || self.bytes >= SLICE_BYTES {
            let mut next = key.to_vec();
            next.push(0);
            self.next = Some(next);
        }
    }
}

impl Moving {
    fn put(&self, edit: &mut dyn Edit, pen: &mut Pen) -> Result<(), TableError> {
        edit.delete(&self.key)?;
        match (self.key.first(), key::outcome_of(&self.key)) {
            (Some(&key::OUTCOME), Some(hash)) => key::outcome(&mut pen.key, self.group, hash),
            (Some(&key::FLOOR | &key::LONG_FLOOR), _) => {
                pen.place(edit, ByTopic::Floor, self.group, &self.topic)?;
            }
            _ => {
                pen.place(edit, ByTopic::Row, self.group, &self.topic)?;
            }
        }
        pen.seal.put(edit, &pen.key, &self.record)
    }
}
