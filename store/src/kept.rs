//! What belongs to a group: rows and their tombstones, floors, outcomes, history. Written as the changes say, and read
//! back.
//!
//! ```text
//! r, s   row or tombstone    by topic       o   outcome of an `id`     by the hash of what it was for
//! f, F   floor               by topic       h   change in a history    by version and row: in their order
//! ```

use crate::key::{self, ByTopic, TopicHash};
use crate::record::{RowFields, RowRecord, Scribe, qos_of, read_row, said};
use crate::record_generated::record as fb;
use crate::seal::{self, Seal};
use crate::table::{Edit, Put, TableError};
use engine::key::GroupId;
use engine::limits::GROUPS;
use engine::row::change::{Change, Changes, Outcome, Past, Restored};
use flatbuffers::root;

/// What is needed to write a record.
pub(crate) struct Pen {
    pub hash_seed: [u64; 2],
    pub topic_hash: TopicHash,
    pub scribe: Scribe,
    pub seal: Seal,
    pub key: Vec<u8>,
}

impl Pen {
    pub fn new(hash_seed: [u64; 2], topic_hash: TopicHash) -> Pen {
        Pen { hash_seed, topic_hash, scribe: Scribe::default(), seal: Seal::default(), key: Vec::new() }
    }

    /// Writes what a change of a group says, or deletes it; other changes are not for here.
    pub fn write(&mut self, edit: &mut dyn Edit, change: Change, of: &Changes) -> Result<(), TableError> {
        let bytes = &of.bytes[..];
        match change {
            Change::Put { group, topic, .. } | Change::Delete { group, topic, .. } => {
                let topic = topic.text_of(bytes);
                let in_key = self.place(edit, ByTopic::Row, group, topic)?;
                self.seal.put(edit, &self.key, self.scribe.row_of(change, bytes, (!in_key).then_some(topic)))
            }
            Change::Lapse { group, topic, .. } => self.delete_by_topic(edit, ByTopic::Row, group, topic.text_of(bytes)),
            Change::Floor { group, topic, version: 0 } => {
                self.delete_by_topic(edit, ByTopic::Floor, group, topic.text_of(bytes))
            }
            Change::Floor { group, topic, version } => self.write_floor(edit, group, topic.text_of(bytes), version),
            Change::Outcome { group, topic, index } => {
                let outcome = of.outcomes[index as usize];
                key::outcome(&mut self.key, group, outcome.key);
                self.seal.put(edit, &self.key, self.scribe.outcome(topic.text_of(bytes), &outcome))
            }
            Change::Forgotten { group, key } => {
                key::outcome(&mut self.key, group, key);
                edit.delete(&self.key)
            }
            Change::Past { group, version, index, topic, payload, qos, text, deleted } => {
                key::past(&mut self.key, group, version, index);
                let (topic, payload) = (topic.text_of(bytes), payload.of(bytes));
                let past = Past { version, index, topic, payload, qos, text, deleted };
                self.seal.put(edit, &self.key, self.scribe.past(&past))
            }
            Change::Cut { group, version, index } => {
                key::past(&mut self.key, group, version, index);
                edit.delete(&self.key)
            }
            Change::Reserve { .. } | Change::Used { .. } => Ok(()),
            Change::Keep { .. } | Change::Forget { .. } | Change::End { .. } => Ok(()),
        }
    }

    /// Writes a row or tombstone whose topic is its key.
    pub fn put_row(&mut self, to: &mut dyn Put, change: Change, bytes: &[u8]) -> Result<(), TableError> {
        let (Change::Put { group, topic, .. } | Change::Delete { group, topic, .. }) = change else { return Ok(()) };
        key::row(&mut self.key, group, topic.of(bytes));
        self.seal.put(to, &self.key, self.scribe.row_of(change, bytes, None))
    }

    fn write_floor(
        &mut self,
        edit: &mut dyn Edit,
        group: GroupId,
        topic: &str,
        version: u64,
    ) -> Result<(), TableError> {
        let in_key = self.place(edit, ByTopic::Floor, group, topic)?;
        self.seal.put(edit, &self.key, self.scribe.floor((!in_key).then_some(topic), version))
    }

    /// Writes the key that something is to be put under. Says whether the topic is in it.
    pub fn place(&mut self, edit: &dyn Edit, what: ByTopic, group: GroupId, topic: &str) -> Result<bool, TableError> {
        let in_key = self.name(what, group, topic);
        if !in_key {
            let (own, free) = find_slot(edit, &mut self.key, topic)?;
            let slot = own.or(free).ok_or_else(|| TableError::Failed("too many topics with one hash".into()))?;
            key::set_slot(&mut self.key, slot);
        }
        Ok(in_key)
    }

    fn delete_by_topic(
        &mut self,
        edit: &mut dyn Edit,
        what: ByTopic,
        group: GroupId,
        topic: &str,
    ) -> Result<(), TableError> {
        if !self.name(what, group, topic) {
            let (Some(own), _) = find_slot(edit, &mut self.key, topic)? else { return Ok(()) };
            key::set_slot(&mut self.key, own);
        }
        edit.delete(&self.key)
    }

    fn name(&mut self, what: ByTopic, group: GroupId, topic: &str) -> bool {
        let Pen { hash_seed, topic_hash, key, .. } = self;
        key::by_topic(key, what, group, topic.as_bytes(), || topic_hash(*hash_seed, topic.as_bytes()))
    }
}

/// Whether [`Pen::put_row`] writes the change.
pub(crate) fn has_short_key(change: Change) -> bool {
    match change {
        Change::Put { topic, .. } | Change::Delete { topic, .. } => topic.len as usize <= key::TOPIC_KEY_BYTES_MAX,
        _ => false,
    }
}

/// Among those with the same hash the slot of a long topic, and the first free one.
fn find_slot(edit: &dyn Edit, key: &mut [u8], topic: &str) -> Result<(Option<u8>, Option<u8>), TableError> {
    let mut free = None;
    for slot in 0..key::SLOTS {
        key::set_slot(key, slot);
        let mut own = false;
        let is_it = |value: &[u8]| {
            seal::open(key, value).and_then(|record| topic_of(key, record)).is_ok_and(|other| other == topic)
        };
        let is_taken = edit.get(key, &mut |value| own = is_it(value))?;
        if own {
            return Ok((Some(slot), free));
        }
        if !is_taken && free.is_none() {
            free = Some(slot);
        }
    }
    Ok((None, free))
}

impl Scribe {
    /// The record of a row or tombstone, with its topic where that is not in the key.
    fn row_of(&mut self, change: Change, bytes: &[u8], topic: Option<&str>) -> &[u8] {
        match change {
            Change::Put { payload, properties, qos, text, expires_at_ms, version, .. } => {
                let (payload, properties) = (payload.of(bytes), properties.of(bytes));
                self.row(&RowFields { payload, properties, qos, text, expires_at_ms, version }, topic)
            }
            Change::Delete { version, wall_ms, .. } => self.tombstone(version, wall_ms, topic),
            _ => &[],
        }
    }

    fn floor(&mut self, topic: Option<&str>, version: u64) -> &[u8] {
        self.begin(0);
        let b = &mut self.builder;
        let topic = topic.map(|topic| b.create_string(topic));
        let floor = fb::Floor::create(b, &fb::FloorArgs { version, topic });
        b.finish_minimal(floor);
        b.finished_data()
    }

    fn outcome(&mut self, topic: &str, outcome: &Outcome) -> &[u8] {
        self.begin(0);
        let b = &mut self.builder;
        let topic = Some(b.create_string(topic));
        let (payload_0, payload_1) = (outcome.payload as u64, (outcome.payload >> 64) as u64);
        let Outcome { version, matched, wall_ms: applied_at_ms, .. } = *outcome;
        let args = fb::OutcomeArgs { topic, payload_0, payload_1, version, matched, applied_at_ms };
        let outcome = fb::Outcome::create(b, &args);
        b.finish_minimal(outcome);
        b.finished_data()
    }

    fn past(&mut self, past: &Past<'_>) -> &[u8] {
        self.begin(past.payload.len());
        let b = &mut self.builder;
        let topic = Some(b.create_string(past.topic));
        let payload = (!past.payload.is_empty()).then(|| b.create_vector(past.payload));
        let Past { qos, text, deleted, .. } = *past;
        let past = fb::Past::create(b, &fb::PastArgs { topic, payload, qos: qos as u8, text, deleted });
        b.finish_minimal(past);
        b.finished_data()
    }
}

/// Reads what belongs to a group, from its key and its value in the table. Says what is wrong.
pub(crate) fn read<'a>(key: &'a [u8], value: &'a [u8]) -> Result<Restored<'a>, String> {
    let value = seal::open(key, value)?;
    let group = key::group_of(key).filter(|group| group.index() < GROUPS).ok_or("its key has no group")?;
    Ok(match key.first() {
        Some(&key::FLOOR | &key::LONG_FLOOR) => {
            let version = root::<fb::Floor<'a>>(value).map_err(|error| said(&error))?.version();
            Restored::Floor { group, topic: topic_of(key, value)?, version }
        }
        Some(&key::OUTCOME) => {
            let outcome = root::<fb::Outcome<'a>>(value).map_err(|error| said(&error))?;
            Restored::Outcome(
                group,
                Outcome {
                    key: key::outcome_of(key).ok_or("its key has no hash")?,
                    payload: u128::from(outcome.payload_1()) << 64 | u128::from(outcome.payload_0()),
                    version: outcome.version(),
                    matched: outcome.matched(),
                    wall_ms: outcome.applied_at_ms(),
                },
            )
        }
        Some(&key::PAST) => {
            let past = root::<fb::Past<'a>>(value).map_err(|error| said(&error))?;
            let (version, index) = key::past_of(key).ok_or("its key has no version")?;
            Restored::Past(
                group,
                Past {
                    version,
                    index,
                    topic: past.topic(),
                    payload: past.payload().map(|bytes| bytes.bytes()).unwrap_or_default(),
                    qos: qos_of(past.qos())?,
                    text: past.text(),
                    deleted: past.deleted(),
                },
            )
        }
        _ => match read_row(key::topic_of(key), value)? {
            RowRecord::Row(kept) => Restored::Row(group, kept),
            RowRecord::Tombstone { topic, version, wall_ms } => Restored::Tombstone { group, topic, version, wall_ms },
        },
    })
}

/// The topic of what belongs to a group, from its key and its record; of an outcome that of one of its rows.
pub(crate) fn topic_of<'a>(key: &'a [u8], value: &'a [u8]) -> Result<&'a str, String> {
    match key.first() {
        Some(&key::FLOOR | &key::LONG_FLOOR) => match key::topic_of(key) {
            Some(bytes) => std::str::from_utf8(bytes).map_err(|error| format!("topic is not UTF-8: {error}")),
            None => {
                let floor = root::<fb::Floor<'a>>(value).map_err(|error| said(&error))?;
                Ok(floor.topic().ok_or("topic is missing")?)
            }
        },
        Some(&key::OUTCOME) => Ok(root::<fb::Outcome<'a>>(value).map_err(|error| said(&error))?.topic()),
        Some(&key::PAST) => Ok(root::<fb::Past<'a>>(value).map_err(|error| said(&error))?.topic()),
        _ => Ok(read_row(key::topic_of(key), value)?.topic()),
    }
}
