//! Records of what outlives a connection, and with the store the process: sessions, their subscriptions, the messages
//! that wait for them, and the QoS 2 publishes that they sent. Shapes only; who writes them is `session::lasting`.

use crate::wire::QoS;

/// Which record. Sessions and messages have numbers that no other ever had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RecordKey {
    Session(u64),
    /// `number` follows from the filter, so that subscribing again replaces.
    Subscription {
        session: u64,
        number: u64,
    },
    /// A QoS 2 publish of the client that was taken and is not released, [MQTT-4.3.3-10].
    Received {
        session: u64,
        packet_id: u16,
    },
    Message(u64),
    /// `seq` counts the deliveries of a session upward: it is their order.
    Delivery {
        session: u64,
        seq: u64,
    },
}

impl RecordKey {
    /// The session that the record goes with; messages are shared.
    pub fn session(self) -> Option<u64> {
        match self {
            RecordKey::Session(session)
            | RecordKey::Subscription { session, .. }
            | RecordKey::Received { session, .. }
            | RecordKey::Delivery { session, .. } => Some(session),
            RecordKey::Message(_) => None,
        }
    }
}

/// A will, as it waits for its client's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WillRecord<B> {
    pub topic: B,
    pub payload: B,
    pub properties: B,
    pub intent: Option<B>,
    pub qos: QoS,
    pub retain: bool,
    pub delay_s: u32,
    pub expiry_s: Option<u32>,
    /// Wall clock, milliseconds; 0: not decided, its client is connected.
    pub due_at_ms: u64,
}

/// What a record says. `B` is what its texts and bytes are: spans of an arena, or slices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<B> {
    Session {
        client_id: B,
        /// Protocol level of the last CONNECT.
        level: u8,
        expiry_s: u32,
        /// Wall clock, milliseconds; 0: its client is connected.
        ends_at_ms: u64,
        will: Option<WillRecord<B>>,
    },
    /// As it was asked for: with its intent or share, as written.
    Subscription {
        filter: B,
        mote: Option<B>,
        qos: QoS,
        no_local: bool,
        retain_as_published: bool,
        /// 0: none.
        id: u32,
        /// Where the reader of a merged one stood; empty: nowhere yet.
        cursor: B,
    },
    Received,
    Message {
        topic: B,
        payload: B,
        properties: B,
        expires_at_ms: u64,
    },
    Delivery {
        message: u64,
        qos: QoS,
        retain: bool,
        /// Subscription Identifiers, four bytes each, little-endian.
        ids: B,
        /// 0: queued.
        packet_id: u16,
        released: bool,
        share: Option<ShareRecord>,
    },
}

/// The share group whose message a delivery is, and the message as it was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShareRecord {
    /// Of the subscription.
    pub number: u64,
    pub qos: QoS,
    pub retain: bool,
}

impl<B> Record<B> {
    /// The same record with its texts and bytes elsewhere.
    pub fn map<C>(self, mut part: impl FnMut(B) -> C) -> Record<C> {
        match self {
            Record::Session { client_id, level, expiry_s, ends_at_ms, will } => Record::Session {
                client_id: part(client_id),
                level,
                expiry_s,
                ends_at_ms,
                will: will.map(|will| WillRecord {
                    topic: part(will.topic),
                    payload: part(will.payload),
                    properties: part(will.properties),
                    intent: will.intent.map(&mut part),
                    qos: will.qos,
                    retain: will.retain,
                    delay_s: will.delay_s,
                    expiry_s: will.expiry_s,
                    due_at_ms: will.due_at_ms,
                }),
            },
            Record::Subscription { filter, mote, qos, no_local, retain_as_published, id, cursor } => {
                Record::Subscription {
                    filter: part(filter),
                    mote: mote.map(&mut part),
                    qos,
                    no_local,
                    retain_as_published,
                    id,
                    cursor: part(cursor),
                }
            }
            Record::Received => Record::Received,
            Record::Message { topic, payload, properties, expires_at_ms } => Record::Message {
                topic: part(topic),
                payload: part(payload),
                properties: part(properties),
                expires_at_ms,
            },
            Record::Delivery { message, qos, retain, ids, packet_id, released, share } => {
                Record::Delivery { message, qos, retain, ids: part(ids), packet_id, released, share }
            }
        }
    }
}
