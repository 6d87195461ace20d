//! How clients come and go: CONNECT and handover to the home shard, takeover, keep alive, wills, the ends of sessions.

use super::conns::State;
use super::outbox::{Handover, Outbox};
use super::receive::{Flow, say_disconnect};
use super::wheel::Timer;
use super::wills::kept_will;
use super::{Shard, home::Note, owner_side};
use crate::clock::Now;
use crate::key::{Client, ConnId, SessionKey};
use crate::session::acks::Acks;
use crate::session::connect::{Granted, REFUSAL_BYTES, accept, judge, refuse, takes_connack};
use crate::session::deliver::{Delivery, begin_again, release_all};
use crate::session::will::Will;
use crate::session::{NEVER_EXPIRES, Session, Standing};
use crate::wire::{Connect, Disconnect, Fault, ReasonCode, Version};

/// A will that is to be published, and for whom.
pub(super) struct DueWill {
    pub client: Client,
    pub will: Box<Will>,
}

/// The session of a CONNECT.
struct Begun {
    key: SessionKey,
    is_present: bool,
    /// The end of the session before it must be durable before it is told.
    is_held: bool,
}

impl Shard {
    pub(super) fn opened(&mut self, now: Now, conn: ConnId, listener: u16, out: &mut Outbox) {
        let terms = self.home.config.terms(listener);
        self.home.conns.open(conn, listener, &terms, now);
        out.sends.open(conn);
        self.home.stats.connections += 1;
        self.home.stats.sockets += 1;
        let timeout_ms = u64::from(self.home.config.session.connect_timeout_s) * 1000;
        self.home.wheel.set(now.mono_ms + timeout_ms, Timer::Connect(conn));
    }

    pub(super) fn connect(
        &mut self,
        now: Now,
        conn: ConnId,
        connect: &Connect<'_>,
        bytes: &[u8],
        out: &mut Outbox,
    ) -> Flow {
        if connect.properties.maximum_packet_size().is_some_and(|bytes| bytes < REFUSAL_BYTES) {
            self.end(now, conn, ReasonCode::PacketTooLarge, "a Maximum Packet Size that is less than a refusal", out);
            return Flow::Gone;
        }
        let takes_packet_bytes = self.home.conns.get(conn).map_or(0, |this| this.packet_bytes_max);
        let granted = match judge(connect, takes_packet_bytes, &self.home.config) {
            Ok(granted) => granted,
            Err(reason) => {
                self.refuse_connect(conn, connect.version, reason, "CONNECT was refused", out);
                return Flow::Gone;
            }
        };
        let assigned;
        let (client_id, told) = if connect.client_id.is_empty() {
            assigned = self.assign_client_id();
            // As if the client had brought it [MQTT-3.1.3-7] [3.1.1: MQTT-3.1.3-6].
            (&*assigned, Some(&*assigned))
        } else {
            (connect.client_id, None)
        };
        let home = self.roots.home(client_id);
        if home != self.me {
            return self.hand_over(conn, home, bytes, out);
        }
        if !takes_connack(&granted, told, &self.home.config) {
            let what = "a Maximum Packet Size that is less than CONNACK";
            self.refuse_connect(conn, connect.version, ReasonCode::PacketTooLarge, what, out);
            return Flow::Gone;
        }
        let is_classic = self.home.conns.is_classic(conn);
        if !connect.version.is_v5() && connect.will.is_some_and(|will| Shard::has_no_topic(&will, is_classic)) {
            // [3.1.1: MQTT-3.1.4-1] [3.1.1: MQTT-4.7.1-1]
            self.end(now, conn, ReasonCode::TopicNameInvalid, "a wildcard in a Will Topic", out);
            return Flow::Gone;
        }
        if let Err((reason, what)) = connect.will.map_or(Ok(()), |will| self.judge_will(&will, is_classic)) {
            self.refuse_connect(conn, connect.version, reason, what, out);
            return Flow::Gone;
        }
        let is_taken = self.judge_room(client_id, &granted, out);
        let is_taken = is_taken.and_then(|()| self.judge_disk(client_id, &granted, connect, out));
        if let Err((reason, what)) = is_taken {
            self.refuse_connect(conn, connect.version, reason, what, out);
            return Flow::Gone;
        }
        let key = self.attach(now, conn, client_id, &granted, connect, told, out);
        self.home.catch_up(key, out);
        Flow::Next
    }

    /// The socket goes to its home with every byte from CONNECT on.
    fn hand_over(&mut self, conn: ConnId, home: crate::key::ShardId, bytes: &[u8], out: &mut Outbox) -> Flow {
        let listener = self.home.conns.get(conn).map_or(0, |this| this.listener);
        out.handovers.push(Handover { conn, home, listener, bytes: bytes.to_vec() });
        self.home.conns.free(conn);
        self.home.stats.connections -= 1;
        // Its home counts the socket and the bytes again.
        self.home.stats.sockets -= 1;
        self.home.stats.bytes_received -= bytes.len() as u64;
        out.sends.close(conn);
        Flow::Moved
    }

    /// An identifier whose home is this shard, so that its socket need not move, [MQTT-3.1.3-6].
    fn assign_client_id(&mut self) -> String {
        loop {
            self.home.assigned += 1;
            let number = self.home.filters.hash_number(self.home.assigned);
            let client_id = format!("mote-{number:016x}");
            if self.roots.home(&client_id) == self.me && self.home.sessions.find(&client_id).is_none() {
                return client_id;
            }
        }
    }

    /// The session that a CONNECT goes on with, or begins.
    fn begin_session(&mut self, now: Now, client_id: &str, clean_start: bool, out: &mut Outbox) -> Begun {
        // [MQTT-3.1.3-2] [3.1.1: MQTT-3.1.3-2]
        let existing = self.home.sessions.find(client_id);
        let was_lasting = |key: &SessionKey| self.home.sessions.get(*key).is_some_and(|s| s.delivery.lasting.is_some());
        let is_held = clean_start && self.home.writing.waits_for_disk && existing.as_ref().is_some_and(was_lasting);
        if let Some(key) = existing {
            self.take_over(now, key, clean_start, out);
        }
        // The old session may have ended just now: it was not to outlive its connection.
        let kept = existing.filter(|key| self.home.sessions.get(*key).is_some());
        let key = match kept {
            // [MQTT-3.1.2-5] [MQTT-3.1.4-4] [3.1.1: MQTT-3.1.2-4] [3.1.1: MQTT-3.1.4-3]
            Some(key) if !clean_start => key,
            Some(key) => {
                self.queue_will(key);
                // [3.1.1: MQTT-3.1.2-6]
                self.end_session(key); // [MQTT-3.1.2-4]
                self.home.sessions.insert(new_session(client_id))
            }
            // [MQTT-3.1.2-6] [3.1.1: MQTT-3.1.2-4]
            None => self.home.sessions.insert(new_session(client_id)),
        };
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [3.1.1: MQTT-3.2.2-1..3]
        Begun { key, is_present: kept == Some(key), is_held }
    }

    #[allow(clippy::too_many_arguments)] // what CONNECT brings together
    fn attach(
        &mut self,
        now: Now,
        conn: ConnId,
        client_id: &str,
        granted: &Granted,
        connect: &Connect<'_>,
        told: Option<&str>,
        out: &mut Outbox,
    ) -> SessionKey {
        let Begun { key, is_present, is_held } = self.begin_session(now, client_id, granted.clean_start, out);
        self.home.conns.establish(conn, key);
        if let Some(this) = self.home.conns.get(conn) {
            this.version = granted.version;
            this.silence_max_ms = u32::from(granted.keep_alive_s) * 1500;
        }
        if granted.keep_alive_s > 0 {
            let silence_max_ms = u64::from(granted.keep_alive_s) * 1500;
            self.home.wheel.set(now.mono_ms + silence_max_ms, Timer::KeepAlive(conn));
        }
        out.orders.push(super::outbox::Order::Establish(conn));
        // [MQTT-3.2.0-2]: a connection comes here once.
        let mut held = Vec::new();
        let buffer = if is_held { &mut held } else { out.sends.buffer(conn) };
        accept(granted, is_present, told, &self.home.config, buffer);
        if is_held && let Some(this) = self.home.conns.get(conn) {
            // Told before, the client would believe an end that a crash could undo.
            this.connack = Some(Box::new(held));
            self.home.writing.await_end(key);
        }
        if let Some(session) = self.home.sessions.get_mut(key) {
            if granted.expiry_s > 0 {
                self.home.writing.begin(key, session);
            } else {
                self.home.writing.end(session);
            }
            self.home.writing.change(key, session);
            session.conn = Some(conn);
            session.version = granted.version;
            session.expiry_s = granted.expiry_s;
            session.packet_bytes_max = granted.packet_bytes_max;
            session.problem_information = granted.problem_information;
            session.delivery.window = granted.window;
            session.delivery.alias_max = granted.alias_max;
            // [MQTT-3.1.2-7] [3.1.1: MQTT-3.1.2-8]; without one there is none [3.1.1: MQTT-3.1.2-12].
            session.will = connect.will.map(|will| kept_will(&will, self.home.conns.is_classic(conn)));
            for frame in begin_again(session, &mut self.home.messages, now) {
                self.home.frame_acked(key, frame, out);
            }
        }
        self.home.pump(now, key, out);
        self.home.look_at_member(key);
        key
    }

    /// Another connection of the same client: the old one goes, [MQTT-3.1.4-3] [3.1.1: MQTT-3.1.4-2].
    fn take_over(&mut self, now: Now, key: SessionKey, clean_start: bool, out: &mut Outbox) {
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        let Some(old) = session.conn else {
            // A delayed will is not sent if the session goes on before its time, [MQTT-3.1.3-9].
            if clean_start {
                self.queue_will(key);
            } else {
                session.will = None;
            }
            return;
        };
        if session.version.is_v5() && self.home.conns.is_answered(old) {
            say_disconnect(ReasonCode::SessionTakenOver, "", usize::MAX, out.sends.buffer(old));
        }
        let is_delayed = session.will.as_ref().is_some_and(|will| will.delay_s > 0);
        // A session that is not to outlive its connection ends here, and with it the delay.
        if is_delayed && !clean_start && session.is_lasting() {
            session.will = None;
        }
        self.home.notes.push(Note { conn: old, what: "the session was taken over" });
        if cfg!(mutant = "takeover") {
            self.home.sessions.get_mut(key).into_iter().for_each(|session| session.will = None); // planted: it is forgotten
        }
        self.detach(now, key, true);
        self.close(old, out);
    }

    /// The peer closed the connection or it failed, without DISCONNECT.
    pub(super) fn lost(&mut self, now: Now, conn: ConnId) {
        let Some(this) = self.home.conns.get(conn) else { return };
        if let State::Live(key) = this.state {
            self.detach(now, key, true);
        }
        // What was already answered is still sent: a peer may have ended only its own direction.
        self.home.conns.free(conn);
        self.home.stats.connections -= 1;
    }

    pub(super) fn disconnect(
        &mut self,
        now: Now,
        conn: ConnId,
        key: SessionKey,
        disconnect: &Disconnect<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let Some(session) = self.home.sessions.get_mut(key) else { return Flow::Gone };
        if let Some(asked) = disconnect.properties.session_expiry() {
            if session.expiry_s == 0 && asked > 0 {
                return self.protocol_error(now, conn, "DISCONNECT prolongs a session that was to end", out);
            }
            session.expiry_s = asked.min(self.home.config.session.expiry_max_s);
        }
        // [3.1.1: MQTT-3.14.4-3]
        let wants_will = disconnect.reason != ReasonCode::Success; // [MQTT-3.14.4-3]
        self.detach(now, key, wants_will);
        self.close(conn, out);
        Flow::Gone
    }

    /// A session loses its connection: it ends [3.1.1: MQTT-3.1.2-6], or waits for its client [MQTT-3.1.2-23]
    /// [3.1.1: MQTT-3.1.2-4].
    pub(super) fn detach(&mut self, now: Now, key: SessionKey, wants_will: bool) {
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        session.conn = None;
        session.aliases = None; // [MQTT-3.3.2-7]
        if session.delivery.lasting.is_some() {
            session.acks.fall_silent();
        } else {
            session.acks.forget_owed();
        }
        self.home.detach_gets(key);
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        self.home.writing.change(key, session);
        if !wants_will {
            session.will = None;
        }
        self.home.look_at_member(key);
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        if !session.is_lasting() {
            self.queue_will(key); // the session's end is never after the delay, [MQTT-3.1.2-8]
            return self.end_session(key);
        }
        let expiry_ms = u64::from(session.expiry_s) * 1000;
        session.ends_at_ms = if session.expiry_s == NEVER_EXPIRES { u64::MAX } else { now.mono_ms + expiry_ms };
        let ends_at_ms = session.ends_at_ms;
        let delay_ms = session.will.as_ref().map(|will| u64::from(will.delay_s) * 1000);
        let merged: Vec<u32> = session.subscriptions.iter().filter_map(|at| self.home.filters.merged_at(*at)).collect();
        for index in merged {
            self.home.detach_merged(index);
        }
        if ends_at_ms != u64::MAX {
            self.home.wheel.set(ends_at_ms, Timer::SessionExpiry(key));
        }
        match delay_ms {
            Some(0) if !self.is_stopping => self.queue_will(key),
            Some(delay_ms) => {
                let at_ms = now.mono_ms + delay_ms;
                if let Some(will) = self.home.sessions.get_mut(key).and_then(|session| session.will.as_mut()) {
                    will.due_ms = at_ms;
                }
                self.home.wheel.set(at_ms, Timer::Will(key));
            }
            None => {}
        }
    }

    pub(super) fn session_expired(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.home.sessions.get(key) else { return };
        // [MQTT-4.1.0-2]; never while it has a connection [MQTT-4.1.0-1] [3.1.1: MQTT-4.1.0-1..2].
        if session.conn.is_none() && session.ends_at_ms <= now.mono_ms {
            self.queue_will(key);
            self.end_session(key);
            self.home.stats.sessions_expired += 1;
        }
    }

    pub(super) fn will_delay_passed(&mut self, now: Now, key: SessionKey) {
        let Some(session) = self.home.sessions.get(key) else { return };
        let is_due = session.will.as_ref().is_some_and(|will| will.due_ms != 0 && will.due_ms <= now.mono_ms);
        if session.conn.is_none() && is_due {
            self.queue_will(key);
        }
    }

    /// Takes the will out of the session: it is published once [MQTT-3.1.2-10] [3.1.1: MQTT-3.1.2-10].
    fn queue_will(&mut self, key: SessionKey) {
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        let Some(will) = session.will.take() else { return };
        self.home.writing.change(key, session);
        self.wills.push_back(DueWill { client: Client { home: self.me, session: key }, will });
    }

    /// Forgets a session with all that it holds.
    pub(super) fn end_session(&mut self, key: SessionKey) {
        let Some(session) = self.home.sessions.get_mut(key) else { return };
        self.home.writing.end(session);
        // Before the subscriptions, each of which would look through them.
        for walk in std::mem::take(&mut session.walks).iter() {
            self.home.cancel_walk(walk);
        }
        self.home.end_member(key);
        let left = self.leave_subscriptions(key);
        let Some(mut session) = self.home.sessions.remove(key) else { return };
        self.home.leaving.add(key, left);
        release_all(&mut session, &mut self.home.messages);
    }

    pub(super) fn connect_overdue(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        if self.home.conns.get(conn).is_some_and(|this| this.state == State::Fresh) {
            self.end(now, conn, ReasonCode::MaximumConnectTime, "no CONNECT in time", out);
        }
    }

    pub(super) fn look_at_keep_alive(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        let due_ms = this.last_heard_ms + u64::from(this.silence_max_ms);
        if this.is_paused {
            // Its bytes are not read, so its silence is ours.
            self.home.wheel.set(now.mono_ms + 1000, Timer::KeepAlive(conn));
        } else if due_ms <= now.mono_ms {
            // [3.1.1: MQTT-3.1.2-24]
            self.end(now, conn, ReasonCode::KeepAliveTimeout, "keep alive timeout", out); // [MQTT-3.1.2-22]
        } else {
            self.home.wheel.set(due_ms, Timer::KeepAlive(conn));
        }
    }

    fn refuse_connect(
        &mut self,
        conn: ConnId,
        version: Version,
        reason: ReasonCode,
        what: &'static str,
        out: &mut Outbox,
    ) {
        refuse(version, reason, out.sends.buffer(conn));
        self.home.notes.push(Note { conn, what });
        self.close(conn, out);
    }

    /// A CONNECT that could not be decoded. MQTT 5 is told why where its level can be read; an unknown level is
    /// answered in the oldest form of CONNACK, [MQTT-3.1.2-2] [3.1.1: MQTT-3.1.2-2].
    pub(super) fn refuse_connect_bytes(&mut self, conn: ConnId, bytes: &[u8], fault: Fault, out: &mut Outbox) {
        /// Type, at least one length byte, the protocol name's two length bytes and `MQTT`, the level.
        const IS_V5: &[u8] = &[0, 4, b'M', b'Q', b'T', b'T', 5];
        let is_v5 = bytes.windows(IS_V5.len()).take(4 + 2).any(|window| window == IS_V5);
        let is_unsupported = fault.code == ReasonCode::UnsupportedProtocolVersion;
        // MQTT 3.1.1 has no return code for the rest [3.1.1: MQTT-3.1.4-1] [3.1.1: MQTT-3.2.2-6].
        if is_v5 || is_unsupported {
            let version = if is_v5 { Version::V5 } else { Version::V311 };
            refuse(version, fault.code, out.sends.buffer(conn));
        }
        self.home.notes.push(Note { conn, what: fault.what });
        self.close(conn, out);
    }

    /// Tells every client that the broker stops, and closes. Wills of sessions that last wait in the store for the next
    /// start, [MQTT-3.1.2-8]; others have nobody who could be sent them.
    pub(super) fn stop(&mut self, now: Now, out: &mut Outbox) {
        self.is_stopping = true;
        let (subtree, roots, mut reach) = owner_side!(self, now, out);
        subtree.finish_sliced(now, roots, &mut reach);
        self.subtree.unwritten_numbers(self.roots.group(super::sys::ROOT), out);
        for (conn, state, version) in self.home.conns.open_ids() {
            if let State::Live(key) = state {
                if version.is_v5() && self.home.conns.is_answered(conn) {
                    say_disconnect(ReasonCode::ServerShuttingDown, "", usize::MAX, out.sends.buffer(conn));
                }
                self.detach(now, key, true);
            }
            self.close(conn, out);
        }
        self.home.writing.hurry(now);
    }
}

pub(super) fn new_session(client_id: &str) -> Session {
    Session {
        client_id: client_id.into(),
        version: Version::V311,
        conn: None,
        expiry_s: 0,
        packet_bytes_max: usize::MAX,
        problem_information: true,
        subscriptions: Default::default(),
        delivery: Delivery::default(),
        aliases: None,
        acks: Acks::default(),
        walks: Default::default(),
        is_awaited: false,
        standing: Standing::default(),
        will: None,
        ends_at_ms: 0,
        stamp: 0,
        stamped_at: 0,
    }
}
