//! What a session has of a share group: messages that another member may get instead, MQTT 5 section 4.8.2.

use super::Session;
use super::inflight::{Delivered, Slot, Stage};
use super::message::Messages;
use crate::key::FilterHandle;
use crate::wire::QoS;

/// The share group of a delivery, and the message as it was published. A session has such deliveries only while it is
/// a member of the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShareOf {
    pub handle: FilterHandle,
    /// Stands for the shared filter in the store.
    pub number: u64,
    pub qos: QoS,
    pub retain: bool,
}

impl Session {
    /// Takes out what waits unsent for this member of the wanted groups, and where `unacked` also the QoS 1 deliveries
    /// that it did not acknowledge, in their order; still held in `messages`. A QoS 2 delivery that began stays: no
    /// other client may get it, [MQTT-4.8.2-4], [MQTT-4.8.2-5].
    pub fn take_shares(
        &mut self,
        unacked: bool,
        messages: &Messages,
        is_wanted: impl Fn(FilterHandle) -> bool,
    ) -> Vec<Delivered> {
        let is_of_them = |delivered: &Delivered| delivered.share.as_ref().is_some_and(|share| is_wanted(share.handle));
        let may_move = |slot: &Slot| {
            let is_unacked = slot.stage == Stage::Published && slot.delivered.qos == QoS::AtLeastOnce;
            is_unacked && is_of_them(&slot.delivered)
        };
        let mut taken = Vec::new();
        if let Some(inflight) = self.delivery.inflight.as_deref_mut().filter(|_| unacked)
            && inflight.iter().any(may_move)
        {
            taken = inflight.take_where(may_move);
        }
        if let Some(queue) = self.delivery.queue.as_deref_mut() {
            taken.extend(queue.take_where(messages, is_of_them));
        }
        if let Some(lasting) = self.delivery.lasting.as_deref_mut() {
            taken.iter().for_each(|delivered| lasting.forget(delivered.place));
        }
        taken
    }

    /// It is no member of these any longer: what is under way to it stays with it, [MQTT-3.10.4-3].
    pub fn leave_shares(&mut self, is_left: impl Fn(FilterHandle) -> bool) {
        let Some(inflight) = self.delivery.inflight.as_deref_mut() else { return };
        for slot in inflight.iter_mut() {
            slot.delivered.share = slot.delivered.share.take().filter(|share| !is_left(share.handle));
        }
    }
}
