//! The window of QoS 1 and 2 deliveries that the client has not acknowledged, in the order they were sent.

use super::message::MessageKey;
use crate::wire::QoS;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// Subscription Identifiers of one delivery.
pub type Ids = SmallVec<[u32; 2]>;

/// Which merged subscription a frame is of. The index is used again, the serial is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameOf {
    pub index: u32,
    pub serial: u32,
}

/// What a delivery is beside its message.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub message: MessageKey,
    pub qos: QoS,
    pub retain: bool,
    pub ids: Ids,
    /// The merged subscription whose frame this is.
    pub merged: Option<FrameOf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// PUBLISH sent; PUBACK or PUBREC awaited.
    Published,
    /// PUBREL sent; PUBCOMP awaited. The message itself is no longer needed.
    Released,
}

#[derive(Debug)]
pub struct Slot {
    pub packet_id: u16,
    pub stage: Stage,
    pub delivered: Delivered,
}

/// See the module.
#[derive(Default, Debug)]
pub struct Inflight {
    slots: VecDeque<Slot>,
    last_packet_id: u16,
}

/// What an acknowledgement did.
#[derive(Debug)]
pub enum Acked {
    /// The delivery is over; its message is to be released.
    Done(Delivered),
    /// PUBREC for a QoS 2 delivery: answer PUBREL. The message is to be released, once.
    Release {
        first: bool,
        message: MessageKey,
        merged: Option<FrameOf>,
    },
    Unknown,
}

impl Inflight {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Takes up a delivery and names it with a packet identifier that is not in use, [MQTT-2.2.1-3].
    pub fn push(&mut self, delivered: Delivered) -> u16 {
        debug_assert!(self.slots.len() < crate::limits::PACKET_IDS);
        let mut packet_id = next_id(self.last_packet_id);
        // Slots stand in the order in which their identifiers were given out, so the candidate can only
        // meet the oldest first.
        for slot in &self.slots {
            if slot.packet_id != packet_id {
                break;
            }
            packet_id = next_id(packet_id);
        }
        self.last_packet_id = packet_id;
        self.slots.push_back(Slot { packet_id, stage: Stage::Published, delivered });
        packet_id
    }

    /// PUBACK.
    pub fn puback(&mut self, packet_id: u16) -> Acked {
        match self.find(packet_id) {
            Some(index) if self.slots[index].delivered.qos == QoS::AtLeastOnce => self.done(index),
            _ => Acked::Unknown,
        }
    }

    /// PUBREC; with an error reason the delivery ends here, [MQTT-4.3.3-4].
    pub fn pubrec(&mut self, packet_id: u16, refused: bool) -> Acked {
        let Some(index) = self.find(packet_id) else { return Acked::Unknown };
        let slot = &mut self.slots[index];
        if slot.delivered.qos != QoS::ExactlyOnce {
            return Acked::Unknown;
        }
        let first = slot.stage == Stage::Published;
        if refused && first {
            return self.done(index);
        }
        slot.stage = Stage::Released;
        Acked::Release { first, message: slot.delivered.message, merged: slot.delivered.merged }
    }

    /// PUBCOMP. True where it ended a delivery.
    pub fn pubcomp(&mut self, packet_id: u16) -> bool {
        match self.find(packet_id) {
            Some(index) if self.slots[index].stage == Stage::Released => self.slots.remove(index).is_some(),
            _ => false,
        }
    }

    /// Takes everything out, for a session that ends.
    pub fn drain(&mut self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.drain(..)
    }

    fn find(&self, packet_id: u16) -> Option<usize> {
        // Clients acknowledge in order [MQTT-4.6.0-2], so this looks at one slot nearly always.
        self.slots.iter().position(|slot| slot.packet_id == packet_id)
    }

    fn done(&mut self, index: usize) -> Acked {
        match self.slots.remove(index) {
            Some(slot) => Acked::Done(slot.delivered),
            None => Acked::Unknown,
        }
    }
}

fn next_id(packet_id: u16) -> u16 {
    packet_id.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::message::{Message, Messages};

    fn delivered(messages: &mut Messages, qos: QoS) -> Delivered {
        let message = messages.insert(Message::new("t", b"", b"", 0));
        Delivered { message, qos, retain: false, ids: Ids::new(), merged: None }
    }

    #[test]
    fn a_packet_id_in_use_is_passed_over_when_the_count_wraps() {
        let (mut messages, mut inflight) = (Messages::default(), Inflight::default());
        let first = inflight.push(delivered(&mut messages, QoS::AtLeastOnce));
        assert_eq!(first, 1);
        for _ in 0..crate::limits::PACKET_IDS - 1 {
            let id = inflight.push(delivered(&mut messages, QoS::AtLeastOnce));
            assert!(matches!(inflight.puback(id), Acked::Done(_)));
        }
        let after_wrap = inflight.push(delivered(&mut messages, QoS::AtLeastOnce));
        assert_eq!(after_wrap, 2, "1 is still unacknowledged");
    }

    #[test]
    fn pubrec_twice_releases_the_message_once() {
        let (mut messages, mut inflight) = (Messages::default(), Inflight::default());
        let id = inflight.push(delivered(&mut messages, QoS::ExactlyOnce));
        assert!(matches!(inflight.pubrec(id, false), Acked::Release { first: true, .. }));
        assert!(matches!(inflight.pubrec(id, false), Acked::Release { first: false, .. }));
        assert!(inflight.pubcomp(id));
        assert!(!inflight.pubcomp(id));
    }
}
