//! Records: what stands behind a key, as flatbuffers (`schema/record.fbs`). Written here, verified and read here.

use crate::record_generated::record as fb;
use engine::config::Split;
use engine::key::GroupId;
use engine::row::change::Kept;
use engine::row::numbers::{Gap, Numbers};
use engine::wire::QoS;
use flatbuffers::{FlatBufferBuilder, InvalidFlatbuffer, root};

/// Gaps that a group remembers; beyond it the two oldest become one that covers both.
pub const GAPS_MAX: usize = 64;

/// The numbers of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupState {
    pub group: GroupId,
    /// The last number that was used, or may have been: the next change gets a higher one.
    pub last_version: u64,
    /// Numbers up to here are reserved.
    pub bound: u64,
    pub gaps: Vec<Gap>,
    /// The highest number of a tombstone that was forgotten: what a cursor below it misses is not known any more.
    pub forgotten: u64,
}

impl GroupState {
    /// A group that continues above `top`.
    pub fn above(group: GroupId, top: u64) -> GroupState {
        GroupState { group, last_version: top, bound: top, gaps: Vec::new(), forgotten: 0 }
    }

    /// As the owner of the group takes them.
    pub fn numbers(&self) -> Numbers {
        let GroupState { last_version: last, bound, forgotten, ref gaps, .. } = *self;
        Numbers { last, bound, forgotten, gaps: gaps.clone() }
    }

    /// Everything between what was committed and what was reserved may have been shown to somebody.
    pub fn lose_reserved(&mut self) {
        if self.bound > self.last_version {
            self.gaps.push(Gap { after: self.last_version, upto: self.bound });
            self.last_version = self.bound;
        }
        if self.gaps.len() > GAPS_MAX {
            self.gaps[1].after = self.gaps[0].after;
            self.gaps.remove(0);
        }
    }
}

/// Which store this is and how its topics fall into groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityRecord {
    pub format: u32,
    pub hash_seed: [u64; 2],
    pub epoch: u64,
    pub groups: u32,
    pub split: Vec<Split>,
}

/// What a row's record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowRecord<'a> {
    Row(Kept<'a>),
    Tombstone { topic: &'a str, version: u64, wall_ms: u64 },
}

/// What the record of a row has beside its topic; as [`Kept`].
#[derive(Clone, Copy, Debug)]
pub struct RowFields<'a> {
    pub payload: &'a [u8],
    pub properties: &'a [u8],
    pub qos: QoS,
    pub text: bool,
    pub expires_at_ms: u64,
    pub version: u64,
}

impl<'a> RowRecord<'a> {
    pub fn topic(&self) -> &'a str {
        match *self {
            RowRecord::Row(kept) => kept.topic,
            RowRecord::Tombstone { topic, .. } => topic,
        }
    }
}

/// Writes records into a buffer that it keeps.
#[derive(Default)]
pub struct Scribe {
    pub(crate) builder: FlatBufferBuilder<'static>,
    /// The last row made the buffer larger than it should stay.
    swollen: bool,
}

/// A payload beyond this leaves a buffer that is not kept.
const PAYLOAD_BYTES_KEPT: usize = 1 << 20;

impl Scribe {
    /// The record of a row; its topic where that is not in the key.
    pub fn row(&mut self, row: &RowFields<'_>, topic: Option<&str>) -> &[u8] {
        self.begin(row.payload.len());
        let b = &mut self.builder;
        let topic = topic.map(|topic| b.create_string(topic));
        let payload = Some(b.create_vector(row.payload));
        let properties = (!row.properties.is_empty()).then(|| b.create_vector(row.properties));
        let RowFields { version, expires_at_ms, qos, text, .. } = *row;
        let qos = qos as u8;
        let args = fb::RowArgs { version, topic, payload, properties, expires_at_ms, qos, text, ..Default::default() };
        let row = fb::Row::create(b, &args);
        b.finish_minimal(row);
        b.finished_data()
    }

    /// The same of a tombstone.
    pub fn tombstone(&mut self, version: u64, deleted_at_ms: u64, topic: Option<&str>) -> &[u8] {
        self.begin(0);
        let b = &mut self.builder;
        let topic = topic.map(|topic| b.create_string(topic));
        let args = fb::RowArgs { version, topic, deleted: true, deleted_at_ms, ..Default::default() };
        let row = fb::Row::create(b, &args);
        b.finish_minimal(row);
        b.finished_data()
    }

    /// A record begins; the memory that a large one needed is given back with the next.
    pub fn begin(&mut self, payload_len: usize) {
        if std::mem::take(&mut self.swollen) {
            self.builder = FlatBufferBuilder::new();
        }
        self.swollen = payload_len > PAYLOAD_BYTES_KEPT;
        self.builder.reset();
    }

    pub fn group(&mut self, state: &GroupState) -> &[u8] {
        let b = &mut self.builder;
        b.reset();
        let gaps: Vec<fb::Gap> = state.gaps.iter().map(|gap| fb::Gap::new(gap.after, gap.upto)).collect();
        let gaps = (!gaps.is_empty()).then(|| b.create_vector(&gaps));
        let (last, bound, forgotten) = (state.last_version, state.bound, state.forgotten);
        let group = fb::Group::create(b, &fb::GroupArgs { last, bound, gaps, forgotten });
        b.finish_minimal(group);
        b.finished_data()
    }

    pub fn identity(&mut self, identity: &IdentityRecord) -> &[u8] {
        let b = &mut self.builder;
        b.reset();
        let mut splits = Vec::with_capacity(identity.split.len());
        for split in &identity.split {
            let prefix = b.create_string(&split.prefix);
            let levels = split.levels as u32;
            splits.push(fb::Split::create(b, &fb::SplitArgs { prefix: Some(prefix), levels }));
        }
        let split = b.create_vector(&splits);
        let record = fb::Identity::create(
            b,
            &fb::IdentityArgs {
                format: identity.format,
                hash_seed_0: identity.hash_seed[0],
                hash_seed_1: identity.hash_seed[1],
                epoch: identity.epoch,
                groups: identity.groups,
                split: Some(split),
            },
        );
        b.finish_minimal(record);
        b.finished_data()
    }
}

/// Reads a row's record. `topic_in_key`: the topic from its key, when it is there. Says what is wrong.
pub fn read_row<'a>(topic_in_key: Option<&'a [u8]>, value: &'a [u8]) -> Result<RowRecord<'a>, String> {
    let row = root::<fb::Row<'a>>(value).map_err(|error| said(&error))?;
    let topic = match topic_in_key {
        Some(bytes) => std::str::from_utf8(bytes).map_err(|error| format!("topic is not UTF-8: {error}"))?,
        None => row.topic().ok_or("topic is missing")?,
    };
    if row.deleted() {
        return Ok(RowRecord::Tombstone { topic, version: row.version(), wall_ms: row.deleted_at_ms() });
    }
    let qos = qos_of(row.qos())?;
    Ok(RowRecord::Row(Kept {
        topic,
        payload: row.payload().ok_or("payload is missing")?.bytes(),
        properties: row.properties().map(|bytes| bytes.bytes()).unwrap_or_default(),
        qos,
        text: row.text(),
        expires_at_ms: row.expires_at_ms(),
        version: row.version(),
    }))
}

pub fn read_group(group: GroupId, value: &[u8]) -> Result<GroupState, String> {
    let record = root::<fb::Group<'_>>(value).map_err(|error| said(&error))?;
    let gaps = record.gaps().map(|gaps| gaps.iter().map(|gap| Gap { after: gap.after(), upto: gap.upto() }).collect());
    Ok(GroupState {
        group,
        last_version: record.last(),
        bound: record.bound(),
        gaps: gaps.unwrap_or_default(),
        forgotten: record.forgotten(),
    })
}

pub fn read_identity(value: &[u8]) -> Result<IdentityRecord, String> {
    let record = root::<fb::Identity<'_>>(value).map_err(|error| said(&error))?;
    let split = record.split().map(|table| {
        table.iter().map(|s| Split { prefix: s.prefix().to_owned(), levels: s.levels() as usize }).collect()
    });
    Ok(IdentityRecord {
        format: record.format(),
        hash_seed: [record.hash_seed_0(), record.hash_seed_1()],
        epoch: record.epoch(),
        groups: record.groups(),
        split: split.unwrap_or_default(),
    })
}

pub fn qos_of(number: u8) -> Result<QoS, String> {
    match number {
        0 => Ok(QoS::AtMostOnce),
        1 => Ok(QoS::AtLeastOnce),
        2 => Ok(QoS::ExactlyOnce),
        other => Err(format!("QoS {other}")),
    }
}

/// In one line: the verifier's own words go over several.
pub fn said(error: &InvalidFlatbuffer) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
