//! Records of sessions that outlive the process: their keys, their flatbuffers, and how they are read back.
//!
//! ```text
//! l 1 | session u64                    the session       l 4 | message u64           a message, for several
//! l 2 | session u64 | number u64       a subscription    l 5 | session u64 | seq u64  a delivery, in their order
//! l 3 | session u64 | packet id u16    a QoS 2 publish received and not released
//! ```
//! In this order a restore meets everything after what it refers to.

use crate::key::{self, LASTING};
use crate::record::{Scribe, qos_of, said};
use crate::record_generated::record as fb;
use crate::seal;
use crate::table::{Edit, TableError};
use crate::{Opened, StoreError};
use engine::row::lasting::{Record, RecordKey, ShareRecord, WillRecord};
use flatbuffers::{FlatBufferBuilder, Vector, WIPOffset, root};

const SESSION: u8 = 1;
const SUBSCRIPTION: u8 = 2;
const RECEIVED: u8 = 3;
const MESSAGE: u8 = 4;
const DELIVERY: u8 = 5;
/// Kinds whose keys begin with their session's number, the session's own first.
const KINDS_OF_SESSION: [u8; 4] = [SESSION, SUBSCRIPTION, RECEIVED, DELIVERY];

/// Writes the key of a record.
pub fn write_key(into: &mut Vec<u8>, key: RecordKey) {
    let (kind, first) = match key {
        RecordKey::Session(session) => (SESSION, session),
        RecordKey::Subscription { session, .. } => (SUBSCRIPTION, session),
        RecordKey::Received { session, .. } => (RECEIVED, session),
        RecordKey::Message(message) => (MESSAGE, message),
        RecordKey::Delivery { session, .. } => (DELIVERY, session),
    };
    into.clear();
    into.extend_from_slice(&[LASTING, kind]);
    into.extend_from_slice(&first.to_be_bytes());
    match key {
        RecordKey::Session(_) | RecordKey::Message(_) => {}
        RecordKey::Subscription { number, .. } => into.extend_from_slice(&number.to_be_bytes()),
        RecordKey::Received { packet_id, .. } => into.extend_from_slice(&packet_id.to_be_bytes()),
        RecordKey::Delivery { seq, .. } => into.extend_from_slice(&seq.to_be_bytes()),
    }
}

fn read_key(bytes: &[u8]) -> Option<RecordKey> {
    let (&[LASTING, kind], rest) = bytes.split_first_chunk()? else { return None };
    let (first, rest) = rest.split_first_chunk()?;
    let first = u64::from_be_bytes(*first);
    let second = || rest.try_into().ok().map(u64::from_be_bytes);
    match kind {
        SESSION if rest.is_empty() => Some(RecordKey::Session(first)),
        MESSAGE if rest.is_empty() => Some(RecordKey::Message(first)),
        SUBSCRIPTION => Some(RecordKey::Subscription { session: first, number: second()? }),
        DELIVERY => Some(RecordKey::Delivery { session: first, seq: second()? }),
        RECEIVED => {
            let packet_id = u16::from_be_bytes(rest.try_into().ok()?);
            Some(RecordKey::Received { session: first, packet_id })
        }
        _ => None,
    }
}

/// Deletes every record of a session that has ended.
pub fn end_session(edit: &mut dyn Edit, session: u64) -> Result<(), TableError> {
    let mut gone: Vec<Vec<u8>> = Vec::new();
    for kind in KINDS_OF_SESSION {
        let mut prefix = vec![LASTING, kind];
        prefix.extend_from_slice(&session.to_be_bytes());
        edit.walk(&prefix, &mut |key, _| {
            let is_of_it = key.starts_with(&prefix);
            if is_of_it {
                gone.push(key.to_vec());
            }
            is_of_it
        })?;
    }
    gone.iter().try_for_each(|key| edit.delete(key))
}

impl Scribe {
    /// The record as a flatbuffer; one that says nothing is empty.
    pub fn lasting(&mut self, record: Record<&[u8]>) -> Result<&[u8], TableError> {
        self.begin(match record {
            Record::Message { payload, .. } => payload.len(),
            _ => 0,
        });
        let b = &mut self.builder;
        match record {
            Record::Received => return Ok(&[]),
            Record::Session { client_id, level, expiry_s, ends_at_ms, will } => {
                let client_id = Some(b.create_string(text(client_id)?));
                let will = will.map(|will| write_will(b, will)).transpose()?;
                let args = fb::SessionArgs { client_id, level, expiry_s, ends_at_ms, will };
                let session = fb::Session::create(b, &args);
                b.finish_minimal(session);
            }
            Record::Subscription { filter, mote, qos, no_local, retain_as_published, id, cursor } => {
                let filter = Some(b.create_string(text(filter)?));
                let mote = mote.map(text).transpose()?.map(|mote| b.create_string(mote));
                let cursor = (!cursor.is_empty()).then(|| b.create_vector(cursor));
                let qos = qos as u8;
                let args = fb::SubscriptionArgs { filter, mote, qos, no_local, retain_as_published, id, cursor };
                let subscription = fb::Subscription::create(b, &args);
                b.finish_minimal(subscription);
            }
            Record::Message { topic, payload, properties, expires_at_ms } => {
                let topic = Some(b.create_string(text(topic)?));
                let payload = Some(b.create_vector(payload));
                let properties = (!properties.is_empty()).then(|| b.create_vector(properties));
                let message = fb::Message::create(b, &fb::MessageArgs { topic, payload, properties, expires_at_ms });
                b.finish_minimal(message);
            }
            Record::Delivery { message, qos, retain, ids, packet_id, released, share } => {
                let ids: Vec<u32> = ids.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id)).collect();
                let ids = (!ids.is_empty()).then(|| b.create_vector(&ids));
                let number = share.map_or(0, |share| share.number);
                let (share_qos, share_retain) = share.map_or((0, false), |share| (share.qos as u8, share.retain));
                let (qos, share) = (qos as u8, number);
                let args =
                    fb::DeliveryArgs { message, qos, retain, ids, packet_id, released, share, share_qos, share_retain };
                let delivery = fb::Delivery::create(b, &args);
                b.finish_minimal(delivery);
            }
        }
        Ok(self.builder.finished_data())
    }
}

fn text(bytes: &[u8]) -> Result<&str, TableError> {
    std::str::from_utf8(bytes).map_err(|_| TableError::Failed("a text of a session is not UTF-8".into()))
}

fn write_will<'b>(
    b: &mut FlatBufferBuilder<'b>,
    will: WillRecord<&[u8]>,
) -> Result<WIPOffset<fb::Will<'b>>, TableError> {
    let topic = Some(b.create_string(text(will.topic)?));
    let payload = Some(b.create_vector(will.payload));
    let properties = Some(b.create_vector(will.properties));
    let intent = will.intent.map(text).transpose()?.map(|intent| b.create_string(intent));
    let args = fb::WillArgs {
        topic,
        payload,
        properties,
        intent,
        qos: will.qos as u8,
        retain: will.retain,
        delay_s: will.delay_s,
        expires: will.expiry_s.is_some(),
        expiry_s: will.expiry_s.unwrap_or(0),
        due_at_ms: will.due_at_ms,
    };
    Ok(fb::Will::create(b, &args))
}

fn bytes_of<'a, T: 'a>(vector: Option<Vector<'a, T>>) -> &'a [u8] {
    vector.map(|vector| vector.bytes()).unwrap_or_default()
}

fn read_will<'a>(will: fb::Will<'a>) -> Result<WillRecord<&'a [u8]>, String> {
    Ok(WillRecord {
        topic: will.topic().as_bytes(),
        payload: bytes_of(will.payload()),
        properties: bytes_of(will.properties()),
        intent: will.intent().map(str::as_bytes),
        qos: qos_of(will.qos())?,
        retain: will.retain(),
        delay_s: will.delay_s(),
        expiry_s: will.expires().then(|| will.expiry_s()),
        due_at_ms: will.due_at_ms(),
    })
}

/// Reads a record. Says what is wrong.
fn read_record<'a>(key: RecordKey, value: &'a [u8]) -> Result<Record<&'a [u8]>, String> {
    Ok(match key {
        RecordKey::Received { .. } => Record::Received,
        RecordKey::Session(_) => {
            let session = root::<fb::Session<'a>>(value).map_err(|error| said(&error))?;
            Record::Session {
                client_id: session.client_id().as_bytes(),
                level: session.level(),
                expiry_s: session.expiry_s(),
                ends_at_ms: session.ends_at_ms(),
                will: session.will().map(read_will).transpose()?,
            }
        }
        RecordKey::Subscription { .. } => {
            let subscription = root::<fb::Subscription<'a>>(value).map_err(|error| said(&error))?;
            Record::Subscription {
                filter: subscription.filter().as_bytes(),
                mote: subscription.mote().map(str::as_bytes),
                qos: qos_of(subscription.qos())?,
                no_local: subscription.no_local(),
                retain_as_published: subscription.retain_as_published(),
                id: subscription.id(),
                cursor: bytes_of(subscription.cursor()),
            }
        }
        RecordKey::Message(_) => {
            let message = root::<fb::Message<'a>>(value).map_err(|error| said(&error))?;
            Record::Message {
                topic: message.topic().as_bytes(),
                payload: bytes_of(message.payload()),
                properties: bytes_of(message.properties()),
                expires_at_ms: message.expires_at_ms(),
            }
        }
        RecordKey::Delivery { .. } => {
            let delivery = root::<fb::Delivery<'a>>(value).map_err(|error| said(&error))?;
            Record::Delivery {
                message: delivery.message(),
                qos: qos_of(delivery.qos())?,
                retain: delivery.retain(),
                ids: bytes_of(delivery.ids()),
                packet_id: delivery.packet_id(),
                released: delivery.released(),
                share: match delivery.share() {
                    0 => None,
                    number => {
                        let (qos, retain) = (qos_of(delivery.share_qos())?, delivery.share_retain());
                        Some(ShareRecord { number, qos, retain })
                    }
                },
            }
        }
    })
}

impl Opened {
    /// Shows every record of sessions, each after what it refers to, before any shard runs. What `each` refuses, saying
    /// why, is damaged; with `recover` it is set aside. Returns how many there are.
    pub fn restore_sessions(
        &mut self,
        mut each: impl FnMut(RecordKey, Record<&[u8]>) -> Result<(), String>,
    ) -> Result<u64, StoreError> {
        let (mut count, mut damaged) = (0, Vec::new());
        let recover = self.recover;
        let walked = self.table.walk(&[LASTING], &mut |bytes, value| {
            if bytes.first() != Some(&LASTING) {
                return false;
            }
            count += 1;
            let key = read_key(bytes).ok_or_else(|| "its key is none of a session's".to_owned());
            let taken = key.and_then(|key| each(key, read_record(key, seal::open(bytes, value)?)?));
            if let Err(what) = taken {
                damaged.push((bytes.to_vec(), value.to_vec(), what));
            }
            damaged.is_empty() || recover
        });
        walked.map_err(StoreError::Table)?;
        match damaged.first() {
            Some((bytes, _, what)) if !recover => {
                Err(StoreError::Damaged { key: key::shown(bytes), what: what.clone() })
            }
            Some(_) => {
                self.records_set_aside += damaged.len() as u64;
                self.set_aside(&damaged).map_err(StoreError::Table)?;
                Ok(count)
            }
            None => Ok(count),
        }
    }

    fn set_aside(&mut self, damaged: &[(Vec<u8>, Vec<u8>, String)]) -> Result<(), TableError> {
        self.table.commit(&mut |edit| {
            damaged.iter().try_for_each(|(bytes, value, _)| {
                edit.put(&key::set_aside(bytes), value)?;
                edit.delete(bytes)
            })
        })
    }
}
