//! The window of QoS 1 and 2 deliveries that the client has not acknowledged, in the order they were sent.

use super::lasting::Place;
use super::message::MessageKey;
use super::share::ShareOf;
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

impl FrameOf {
    /// In place of an index: the frame is a part of the answer to a `get` of the session, and the serial is that one's.
    pub const GET: u32 = u32::MAX;
}

/// What a delivery is beside its message. There is one for each message in a window or queue, so what few have is
/// boxed.
#[derive(Debug)]
pub struct Delivered {
    pub message: MessageKey,
    pub qos: QoS,
    pub retain: bool,
    pub ids: Ids,
    /// The merged subscription whose frame this is.
    pub merged: Option<FrameOf>,
    /// The share group whose message this is: another member may get it.
    pub share: Option<Box<ShareOf>>,
    /// It came by a walk, which waits for its reader: the bounds of the queue are not for it.
    pub is_paced: bool,
    /// Where it stands in the store.
    pub place: Place,
}

const _: () = assert!(size_of::<Delivered>() <= 72);

/// What is left of a delivery that is over.
#[derive(Debug)]
pub struct Ended {
    pub message: MessageKey,
    pub merged: Option<FrameOf>,
    pub place: Place,
}

/// A moment in what is written: what was listed before it is durable when it is.
pub type Token = u64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// PUBLISH sent; PUBACK or PUBREC awaited [MQTT-4.3.2-3] [MQTT-4.3.3-3] [3.1.1: MQTT-4.3.2-1] [3.1.1: MQTT-4.3.3-1]. It
    /// no longer expires [MQTT-4.3.3-7].
    Published,
    /// PUBREL sent; PUBCOMP awaited [MQTT-4.3.3-5]; PUBLISH is not sent again [MQTT-4.3.3-6] [3.1.1: MQTT-4.3.3-1]:
    /// the message itself is no longer needed.
    Released,
}

#[derive(Debug)]
pub struct Slot {
    pub packet_id: u16,
    pub stage: Stage,
    /// It went out, on this connection or an earlier one: sent again it is marked DUP.
    pub was_sent: bool,
    /// PUBREL is owed: it leaves when it is durable that PUBREC came.
    pub owes_pubrel: bool,
    /// It leaves when this is durable.
    pub token: Token,
    pub delivered: Delivered,
}

/// See the module.
#[derive(Default, Debug)]
pub struct Inflight {
    slots: VecDeque<Slot>,
    last_packet_id: u16,
    /// Identifiers after `last_packet_id` that are known not to be in use.
    free_ids: u16,
    /// Slots, from the front, that were sent on the present connection. The others are to be sent: again, or when they
    /// are durable.
    sent: usize,
}

/// What an acknowledgement did.
#[derive(Debug)]
pub enum Acked {
    /// The delivery is over; its message is to be released.
    Done(Ended),
    /// PUBREC for a QoS 2 delivery: answer PUBREL. The message is to be released, once.
    Release {
        first: bool,
        message: MessageKey,
        merged: Option<FrameOf>,
    },
    /// The identifier is in use for a delivery that awaits another packet.
    Mismatch,
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

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    /// Deliveries sent on the present connection: they fill the window.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// A connection begins: everything is to be sent again, [MQTT-4.4.0-1].
    pub fn begin_again(&mut self) {
        self.sent = 0;
        for slot in &mut self.slots {
            slot.owes_pubrel = false; // it is sent with the rest
        }
        if cfg!(mutant = "resume") {
            self.sent = self.slots.len().min(1); // planted: the first is taken for sent
        }
    }

    /// The next delivery to be sent, if that is durable; it counts as sent from now on, and the flag says whether it was
    /// before.
    pub fn next_to_send(&mut self, durable: Token) -> Option<(&Slot, bool)> {
        let slot = self.slots.get_mut(self.sent).filter(|slot| slot.token <= durable)?;
        self.sent += 1;
        let was_sent = std::mem::replace(&mut slot.was_sent, true);
        Some((slot, was_sent))
    }

    /// Packet Identifiers whose PUBREL is owed and may leave.
    pub fn take_pubrels(&mut self, durable: Token, mut each: impl FnMut(u16)) {
        for slot in self.slots.iter_mut().filter(|slot| slot.owes_pubrel && slot.token <= durable) {
            slot.owes_pubrel = false;
            each(slot.packet_id);
        }
    }

    /// PUBREL is to leave when `token` is durable.
    pub fn owe_pubrel(&mut self, packet_id: u16, token: Token) {
        if let Some(index) = self.find(packet_id) {
            (self.slots[index].owes_pubrel, self.slots[index].token) = (true, token);
        }
    }

    /// A delivery of an earlier process, after those that were restored before it.
    pub fn restore(&mut self, packet_id: u16, stage: Stage, delivered: Delivered) {
        let (was_sent, owes_pubrel, token) = (true, false, 0);
        self.last_packet_id = packet_id;
        self.slots.push_back(Slot { packet_id, stage, was_sent, owes_pubrel, token, delivered });
    }

    /// Takes out deliveries whose PUBLISH is still to be sent and cannot be.
    pub fn take_if(&mut self, mut is_hopeless: impl FnMut(&Delivered) -> bool) -> Vec<Delivered> {
        debug_assert_eq!(self.sent, 0, "only before anything is sent again");
        let (taken, kept) = self
            .slots
            .drain(..)
            .partition::<VecDeque<Slot>, _>(|slot| slot.stage == Stage::Published && is_hopeless(&slot.delivered));
        self.slots = kept;
        taken.into_iter().map(|slot| slot.delivered).collect()
    }

    /// A packet identifier that is not in use, [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [3.1.1: MQTT-2.3.1-4].
    pub fn take_id(&mut self) -> u16 {
        debug_assert!(self.slots.len() < crate::limits::PACKET_IDS);
        if self.free_ids == 0 {
            self.find_free_ids();
        }
        self.free_ids -= 1;
        self.last_packet_id = next_id(self.last_packet_id);
        self.last_packet_id
    }

    /// Takes up a delivery that is sent now by an identifier that was taken for it.
    pub fn push(&mut self, packet_id: u16, delivered: Delivered) {
        debug_assert_eq!(self.sent, self.slots.len(), "what is sent again goes before what is new");
        debug_assert_eq!(packet_id, self.last_packet_id);
        self.sent += 1;
        self.take_up(packet_id, delivered, true, 0);
    }

    /// Takes up a delivery that is sent when `token` is durable.
    pub fn push_unsent(&mut self, delivered: Delivered, token: Token) {
        let packet_id = self.take_id();
        self.take_up(packet_id, delivered, false, token);
    }

    fn take_up(&mut self, packet_id: u16, delivered: Delivered, was_sent: bool, token: Token) {
        let (stage, owes_pubrel) = (Stage::Published, false);
        self.slots.push_back(Slot { packet_id, stage, was_sent, owes_pubrel, token, delivered });
    }

    /// Passes over identifiers in use and counts the free ones that follow.
    fn find_free_ids(&mut self) {
        let ids = crate::limits::PACKET_IDS as u16;
        let ahead = |packet_id: u16| {
            packet_id.wrapping_sub(self.last_packet_id).wrapping_sub(u16::from(packet_id <= self.last_packet_id))
        };
        let mut in_use: Vec<u16> = self.slots.iter().map(|slot| ahead(slot.packet_id)).collect();
        in_use.sort_unstable();
        let mut passed = 0;
        for ahead in in_use {
            if ahead > passed + 1 {
                self.free_ids = ahead - passed - 1;
                break;
            }
            passed = ahead;
        }
        if self.free_ids == 0 {
            self.free_ids = ids - passed;
        }
        for _ in 0..passed {
            self.last_packet_id = next_id(self.last_packet_id);
        }
    }

    /// Takes out deliveries, whether sent on the present connection or not. Their identifiers are free.
    pub fn take_where(&mut self, mut is_wanted: impl FnMut(&Slot) -> bool) -> Vec<Delivered> {
        let (mut taken, mut kept) = (Vec::new(), VecDeque::with_capacity(self.slots.len()));
        let mut sent = 0;
        for (at, slot) in self.slots.drain(..).enumerate() {
            if is_wanted(&slot) {
                taken.push(slot.delivered);
            } else {
                sent += usize::from(at < self.sent);
                kept.push_back(slot);
            }
        }
        (self.slots, self.sent) = (kept, sent);
        taken
    }

    /// PUBACK.
    pub fn puback(&mut self, packet_id: u16) -> Acked {
        match self.find(packet_id) {
            Some(index) if self.slots[index].delivered.qos == QoS::AtLeastOnce => self.done(index),
            Some(_) => Acked::Mismatch,
            None => Acked::Unknown,
        }
    }

    /// PUBREC, answered at once [3.1.1: MQTT-4.6.0-4]; with an error reason the delivery ends here, [MQTT-4.4.0-2].
    pub fn pubrec(&mut self, packet_id: u16, refused: bool) -> Acked {
        let Some(index) = self.find(packet_id) else { return Acked::Unknown };
        let slot = &mut self.slots[index];
        if slot.delivered.qos != QoS::ExactlyOnce {
            return Acked::Mismatch;
        }
        let first = slot.stage == Stage::Published;
        let refused = refused || cfg!(mutant = "inflight"); // planted: the identifier is free at PUBREC
        if refused && first {
            return self.done(index);
        }
        slot.stage = Stage::Released;
        Acked::Release { first, message: slot.delivered.message, merged: slot.delivered.merged }
    }

    /// PUBCOMP. The message was released with the PUBREC.
    pub fn pubcomp(&mut self, packet_id: u16) -> Acked {
        match self.find(packet_id) {
            Some(index) if self.slots[index].stage == Stage::Released => self.done(index),
            Some(_) => Acked::Mismatch,
            None => Acked::Unknown,
        }
    }

    /// Takes everything out, for a session that ends.
    pub fn drain(&mut self) -> impl Iterator<Item = Slot> + '_ {
        self.sent = 0;
        self.slots.drain(..)
    }

    fn find(&self, packet_id: u16) -> Option<usize> {
        // Clients acknowledge in order [MQTT-4.6.0-2], so this looks at one slot nearly always.
        self.slots.iter().position(|slot| slot.packet_id == packet_id)
    }

    fn done(&mut self, index: usize) -> Acked {
        self.sent -= usize::from(index < self.sent);
        let slot = if index == 0 { self.slots.pop_front() } else { self.slots.remove(index) };
        let Some(Slot { delivered: Delivered { message, merged, place, .. }, .. }) = slot else {
            return Acked::Unknown;
        };
        Acked::Done(Ended { message, merged, place })
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
        let (merged, share, is_paced, place) = (None, None, false, Place::default());
        Delivered { message, qos, retain: false, ids: Ids::new(), merged, share, is_paced, place }
    }

    fn send(messages: &mut Messages, inflight: &mut Inflight, qos: QoS) -> u16 {
        let packet_id = inflight.take_id();
        inflight.push(packet_id, delivered(messages, qos));
        packet_id
    }

    #[test]
    fn a_packet_id_in_use_is_passed_over_when_the_count_wraps() {
        let (mut messages, mut inflight) = (Messages::default(), Inflight::default());
        let first = send(&mut messages, &mut inflight, QoS::AtLeastOnce);
        assert_eq!(first, 1);
        for _ in 0..crate::limits::PACKET_IDS - 1 {
            let id = send(&mut messages, &mut inflight, QoS::AtLeastOnce);
            assert!(matches!(inflight.puback(id), Acked::Done(_)));
        }
        let after_wrap = send(&mut messages, &mut inflight, QoS::AtLeastOnce);
        assert_eq!(after_wrap, 2, "1 is still unacknowledged");
    }

    #[test]
    fn no_packet_id_is_given_twice_however_the_acknowledgements_come() {
        let (mut messages, mut inflight) = (Messages::default(), Inflight::default());
        let mut open: Vec<u16> = Vec::new();
        let mut state = 1_u32;
        for round in 0..300_000_u32 {
            let id = send(&mut messages, &mut inflight, QoS::AtLeastOnce);
            assert!(id > 0 && !open.contains(&id), "{id} is in use in round {round}");
            open.push(id);
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Some stay unacknowledged for several times round.
            if open.len() >= 20 {
                let at = 6 + (state >> 8) as usize % 14;
                assert!(matches!(inflight.puback(open.remove(at)), Acked::Done(_)));
            }
        }
    }

    #[test]
    fn pubrec_twice_releases_the_message_once() {
        let (mut messages, mut inflight) = (Messages::default(), Inflight::default());
        let id = send(&mut messages, &mut inflight, QoS::ExactlyOnce);
        assert!(matches!(inflight.pubrec(id, false), Acked::Release { first: true, .. }));
        assert!(matches!(inflight.pubrec(id, false), Acked::Release { first: false, .. }));
        assert!(matches!(inflight.pubcomp(id), Acked::Done(_)));
        assert!(matches!(inflight.pubcomp(id), Acked::Unknown));
    }
}
