//! What a home refuses while the store takes nothing: its disk is full, or writing fails. The store tries again by itself.
//!
//! Refused is what could not be acknowledged before the disk takes it, or would wait for it without a bound: a publish that
//! is retained, with `durability = "disk"` any of QoS 1 and 2 (who keeps it is known only where it arrives) and what a
//! lasting session subscribes to. All else goes on: live messages, readers, clients that come and go.

use super::Shard;
use super::asked::Target;
use super::outbox::Outbox;
use super::receive::Flow;
use crate::key::SessionKey;
use crate::limits::WAITING_FOR_STORE_MAX;
use crate::row::graft::Fault;
use crate::session::Session;
use crate::session::acks::OwedKind;
use crate::session::connect::Granted;
use crate::wire::{Connect, Publish, QoS, ReasonCode, Subscribe};
use smallvec::SmallVec;

const NOT_KEPT: &str = "the broker's disk is full or fails: what it would have to keep is not taken";

/// Why a publish is refused. [MOTE-9.8]
pub(super) fn not_kept() -> Fault {
    Fault { code: ReasonCode::QuotaExceeded, at: None, what: NOT_KEPT.to_owned() }
}

fn is_lasting(session: &Session) -> bool {
    session.delivery.lasting.is_some()
}

impl Shard {
    /// Whether something of a publish is to be written, or may be and is waited for. A question is not.
    pub(super) fn needs_disk(&self, publish: &Publish<'_>, target: &Result<Target<'_>, Fault>) -> bool {
        let is_waited_for = publish.qos > QoS::AtMostOnce && self.home.writing.waits_for_disk;
        (publish.retain || is_waited_for) && !matches!(target, Ok(Target::Get(_)))
    }

    /// Whether a CONNECT can be answered, and adds to nothing that waits without a bound.
    pub(super) fn judge_disk(
        &self,
        client_id: &str,
        granted: &Granted,
        connect: &Connect<'_>,
        out: &Outbox,
    ) -> Result<(), (ReasonCode, &'static str)> {
        if !out.store_failing && !out.store_full {
            return Ok(());
        }
        let before = self.home.sessions.find(client_id).and_then(|key| self.home.sessions.get(key));
        let is_known = before.is_some_and(is_lasting);
        let ends_one = is_known && granted.clean_start;
        let waits_for_disk = self.home.writing.waits_for_disk;
        if out.store_failing && waits_for_disk && ends_one {
            return Err((ReasonCode::QuotaExceeded, NOT_KEPT)); // its CONNACK would wait for the disk
        }
        if !is_known && granted.expiry_s == 0 && !connect.will.is_some_and(|will| will.retain) {
            return Ok(()); // nothing of it is ever written
        }
        if self.home.writing.waiting() + self.wills.len() >= WAITING_FOR_STORE_MAX {
            return Err((ReasonCode::QuotaExceeded, NOT_KEPT));
        }
        if out.store_full && !out.store_failing && waits_for_disk {
            return Err((
                ReasonCode::ServerBusy,
                "the store is behind: a session that it would have to keep is not begun",
            ));
        }
        Ok(())
    }

    /// Whether a SUBSCRIBE would have to be kept and cannot be.
    pub(super) fn cannot_subscribe(&self, key: SessionKey, out: &Outbox) -> bool {
        let is_stopped = self.home.writing.waits_for_disk || out.store_full;
        out.store_failing && is_stopped && self.home.sessions.get(key).is_some_and(is_lasting)
    }

    pub(super) fn refuse_for_disk(&mut self, key: SessionKey, subscribe: &Subscribe<'_>, out: &mut Outbox) -> Flow {
        self.refuse_subscribe(key, subscribe, NOT_KEPT, out)
    }

    /// Every filter is refused, and the answer waits for no disk.
    pub(super) fn refuse_subscribe(
        &mut self,
        key: SessionKey,
        subscribe: &Subscribe<'_>,
        why: &str,
        out: &mut Outbox,
    ) -> Flow {
        let Some(session) = self.home.sessions.get_mut(key) else { return Flow::Gone };
        let code = if session.version.is_v5() { ReasonCode::QuotaExceeded as u8 } else { 0x80 };
        let codes = vec![code; subscribe.filters.len()].into_boxed_slice();
        let ticket = session.acks.owe(OwedKind::Suback { codes, reading: SmallVec::new() }, subscribe.packet_id, 0);
        session.acks.explain(ticket, why);
        self.flush_acks(key, out);
        Flow::Next
    }
}
