//! What a home refuses while the process holds as much memory as it may (`limits.memory_bytes`).
//!
//! Refused is what would stay: a retained message, a publish of QoS 1 or 2 (it may have to wait in any session), a SUBSCRIBE,
//! a client that is not known yet, and a packet that is long and not complete. What gives memory back goes on: deletions by
//! an empty payload, acknowledgements, UNSUBSCRIBE, clients that come back for what waits for them. So do messages of QoS 0,
//! which wait for nobody.
//!
//! And the client that would be one session too many (`limits.sessions`).

use super::Shard;
use super::asked::Target;
use super::conns::State;
use super::outbox::Outbox;
use super::receive::Flow;
use crate::clock::Now;
use crate::config::part;
use crate::key::{ConnId, SessionKey};
use crate::limits::UNFINISHED_BYTES_MAX;
use crate::row::graft;
use crate::session::connect::Granted;
use crate::wire::{Fault, Publish, QoS, ReasonCode, Subscribe};

const NO_MEMORY: &str =
    "the broker holds as much memory as it may (limits.memory_bytes): what would take more is not taken";

impl Shard {
    /// What is asked of a publish, if nothing of it stays. A question leaves nothing, and who deletes gives back.
    #[cold]
    pub(super) fn if_memory<'p>(
        &mut self,
        publish: &Publish<'_>,
        target: Result<Target<'p>, graft::Fault>,
    ) -> Result<Target<'p>, graft::Fault> {
        let is_deletion = publish.retain && publish.payload.is_empty();
        let may_stay = publish.retain || publish.qos > QoS::AtMostOnce;
        if !may_stay || is_deletion || matches!(target, Ok(Target::Get(_)) | Err(_)) {
            return target;
        }
        self.home.stats.memory_refused += 1;
        Err(graft::Fault { code: ReasonCode::QuotaExceeded, at: None, what: NO_MEMORY.to_owned() })
    }

    /// Whether there is room for the session of a client. Who is known and comes for what waits for it is always taken.
    pub(super) fn judge_room(
        &mut self,
        client_id: &str,
        granted: &Granted,
        out: &Outbox,
    ) -> Result<(), (ReasonCode, &'static str)> {
        let has_no_more = self.home.sessions.len() >= part(self.home.config.limits.sessions, self.home.shards);
        if !out.memory_full && !has_no_more {
            return Ok(());
        }
        let is_known = self.home.sessions.find(client_id).is_some();
        if out.memory_full && (granted.clean_start || !is_known) {
            self.home.stats.memory_refused += 1;
            return Err((ReasonCode::ServerBusy, NO_MEMORY));
        }
        if has_no_more && !is_known {
            self.home.stats.sessions_refused += 1;
            return Err((ReasonCode::QuotaExceeded, "as many sessions as there may be (limits.sessions)"));
        }
        Ok(())
    }

    /// Every filter of a SUBSCRIBE is refused.
    pub(super) fn refuse_for_memory(&mut self, key: SessionKey, subscribe: &Subscribe<'_>, out: &mut Outbox) -> Flow {
        self.home.stats.memory_refused += 1;
        self.refuse_subscribe(key, subscribe, NO_MEMORY, out)
    }

    /// The bytes of a packet that is not complete are kept, if there is memory for them.
    pub(super) fn keep_unfinished(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        this.carry.extend_from_slice(bytes);
        if out.memory_full && this.carry.len() > UNFINISHED_BYTES_MAX {
            let (is_fresh, begin) = (this.state == State::Fresh, std::mem::take(&mut this.carry));
            self.home.stats.memory_refused += 1;
            let fault = Fault { code: ReasonCode::QuotaExceeded, what: NO_MEMORY };
            self.refuse_bytes(now, conn, is_fresh, &begin, fault, out);
        }
    }
}
