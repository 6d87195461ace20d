//! What people hear, and what it must have been when the world is at rest.

use super::operations::End;
use super::oracle::{Set, Write, matches, message_of};
use super::person::{Asked, Folded, Known};
use super::{Mark, Sim};
use crate::packet::{Message, OwnedPacket};
use crate::world::ClientId;
use engine::config::Durability;
use engine::limits::SESSIONS_DEFAULT;
use engine::row::fold::State;
use engine::stats::Stats;
use engine::wire::{AckKind, QoS, ReasonCode};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

impl Sim {
    /// Takes in what somebody has received.
    pub fn hear(&mut self, who: usize) -> bool {
        let Some(conn) = &self.people[who].conn else { return false };
        let id = conn.id;
        let mut is_answered = self.hear_of(who, id);
        if self.world.is_closed(id) {
            // What it was told before that.
            const TURNS_TO_READ: usize = 50;
            self.world.read_again(id);
            for _ in 0..TURNS_TO_READ {
                self.world.run_turns(1);
                is_answered |= self.hear_of(who, id);
            }
            if self.people[who].conn.as_ref().is_some_and(|conn| conn.id == id && !conn.is_accepted) {
                self.refused(who); // it never read why
            }
        }
        if self.people[who].conn.as_ref().is_some_and(|conn| conn.id == id) && self.world.is_closed(id) {
            panic!("{} was disconnected without a word: {:?}", self.people[who].name, self.world.notes());
        }
        is_answered
    }

    pub fn hear_of(&mut self, who: usize, id: ClientId) -> bool {
        let mut is_answered = false;
        for packet in self.world.received(id) {
            if self.people[who].conn.is_none() {
                break; // it was refused
            }
            is_answered |= self.take(who, packet);
        }
        is_answered
    }

    /// Whether it answers beyond what every client does by itself.
    fn take(&mut self, who: usize, packet: OwnedPacket) -> bool {
        self.tell(|| format!("{} hears {}", self.people[who].name, short(&packet)));
        match packet {
            OwnedPacket::Connack { session_present, code, .. } => return self.accepted(who, session_present, code),
            OwnedPacket::Publish(message) => self.message(who, &message),
            OwnedPacket::Ack { kind: AckKind::Pubrel, packet_id, .. } => {
                self.people[who].unreleased.remove(&packet_id);
                self.people[who].maybe_unreleased.remove(&packet_id);
            }
            OwnedPacket::Ack { kind, packet_id, reason, .. } => self.acknowledged(who, kind, packet_id, reason),
            OwnedPacket::Suback { packet_id, reasons } => self.answered(who, packet_id, Some(&reasons)),
            OwnedPacket::Unsuback { packet_id, .. } => self.answered(who, packet_id, None),
            OwnedPacket::Disconnect { reason: ReasonCode::ServerShuttingDown } | OwnedPacket::Pingresp => {}
            other => panic!("{} was sent {other:?}", self.people[who].name),
        }
        false
    }

    fn accepted(&mut self, who: usize, session_present: bool, code: u8) -> bool {
        const SERVER_UNAVAILABLE: u8 = 3;
        const REFUSALS: [u8; 2] = [ReasonCode::ServerBusy as u8, ReasonCode::QuotaExceeded as u8];
        if code == SERVER_UNAVAILABLE || REFUSALS.contains(&code) {
            self.refused(who);
            return false;
        }
        let person = &mut self.people[who];
        assert_eq!(code, 0, "{} is accepted", person.name);
        let Some(conn) = &mut person.conn else { return false };
        conn.is_accepted = true;
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [3.1.1: MQTT-3.2.2-1..3]
        match (conn.is_clean, person.session) {
            (true, _) | (false, Known::No) => assert!(!session_present, "{}: of what session?", person.name),
            (false, Known::Yes) => assert!(session_present, "{}: its session is gone", person.name),
            (false, Known::Maybe) => {}
        }
        person.session = Known::Yes;
        if let Some(old) = person.old.take() {
            self.world.drop_client(old);
        }
        if session_present {
            self.world.marks.count(Mark::Resumed);
            self.publish_again(who);
            return true;
        }
        if !conn.is_clean {
            // What was asked on this connection stands, and nothing before.
            person.wanted.values_mut().for_each(|wanted| wanted.is = Set::NONE);
            let asked: BTreeSet<&'static str> = person.fresh.iter().copied().collect();
            person.wanted.retain(|filter, wanted| !wanted.pending.is_empty() || asked.contains(filter));
            person.merged.retain(|_, folded| !folded.was_cut);
            person.owed.retain(|_, owed| {
                owed.must = false;
                owed.at >= conn.since
            });
            person.unreleased.clear();
            person.maybe_unreleased.clear();
            person.unacked.retain(|unacked| unacked.by == conn.id);
        }
        false
    }

    /// The disk is waited for, and the writer has enough to do, or there are as many sessions as there may be and this is none
    /// of them: the session is as it was.
    fn refused(&mut self, who: usize) {
        let has_few = self.world.plan.broker.limits.sessions != SESSIONS_DEFAULT;
        let is_one_more = has_few && self.people[who].session != Known::Yes;
        self.mark(if is_one_more { Mark::OneSessionTooMany } else { Mark::Refused });
        let is_waited_for = self.world.plan.broker.durability == Durability::Disk;
        let person = &mut self.people[who];
        assert!(is_one_more || is_waited_for && person.is_lasting(), "{} is refused", person.name);
        let Some(conn) = &mut person.conn else { return };
        // Nobody published the will of a connection that never was.
        if let Some(old) = person.old.take() {
            self.world.drop_client(old);
        }
        // One that waits for the end of the session before waits on.
        let will = [conn.will.take().map(|(message, _)| message), person.sent_will.take()];
        person.is_clean_next |= conn.is_clean;
        for message in will.into_iter().flatten() {
            self.oracle.messages[message as usize].is_doubtful = true;
        }
        let before = (person.session, conn.session_ended_ms);
        self.dies(who, End::Cut);
        if let (session, Some(ends_ms)) = before {
            // It ends when it would have ended.
            (self.people[who].session, self.people[who].ends_ms) = (session, Some(ends_ms));
        }
    }

    /// A SUBACK or UNSUBACK.
    fn answered(&mut self, who: usize, packet_id: u16, reasons: Option<&[u8]>) {
        let person = &mut self.people[who];
        let Some(conn) = &mut person.conn else { return };
        let asked = conn.asked.remove(&packet_id).unwrap_or_else(|| panic!("{}: who asked {packet_id}?", person.name));
        assert!(reasons.is_none_or(|reasons| reasons.iter().all(|reason| *reason < 0x80)), "{}: refused", person.name);
        match asked {
            Asked::Plain(filters) => {
                for filter in filters {
                    let Some(entry) = person.wanted.iter_mut().find(|(name, _)| **name == filter) else { continue };
                    let (wanted_filter, wanted) = (*entry.0, entry.1);
                    if let Some(is) = wanted.pending.pop_front() {
                        // Without "disk" a crash may take what the last commits did not have (`store/DURABILITY.md`), and the last
                        // may be any since the rest: then this is what the session has.
                        let before = person.before.1.entry(wanted_filter).or_insert(Set::NONE);
                        *before = before.or(is);
                        wanted.is = is;
                    }
                }
            }
            Asked::Shared => person.is_member = true,
            Asked::Merged => {}
            Asked::MergedAway(filter) => {
                let gone = person.merged.remove(filter.as_str());
                person.left.extend(gone.map(|folded| Folded { has_gap: true, is_leaving: false, ..folded }));
            }
        }
    }

    /// Of its own publishes.
    fn acknowledged(&mut self, who: usize, kind: AckKind, packet_id: u16, reason: ReasonCode) {
        let person = &mut self.people[who];
        let at = person.unacked.iter().position(|unacked| unacked.packet_id == packet_id);
        let at = at.unwrap_or_else(|| panic!("{}: {kind:?} of {packet_id}, which nobody waits for", person.name));
        if kind == AckKind::Pubcomp {
            person.unacked.remove(at);
            return;
        }
        assert!(!reason.is_error(), "{}: {reason:?}", person.name);
        for message in &person.unacked[at].messages {
            let published = &mut self.oracle.messages[*message as usize];
            published.accepted = published.sends;
        }
        match kind {
            AckKind::Puback => drop(person.unacked.remove(at)),
            _ => person.unacked[at].is_received = true,
        }
    }

    fn message(&mut self, who: usize, message: &Message) {
        self.looked.deliveries += 1;
        let person = &mut self.people[who];
        // Of a broker that forgot, the identifier may be another message's now.
        let has_it = || {
            let owed = message_of(&message.payload).and_then(|number| person.owed.get(&number));
            owed.is_none_or(|owed| owed.got > 0)
        };
        let is_known = message.dup && person.maybe_unreleased.remove(&message.packet_id) && has_it();
        if message.qos == QoS::ExactlyOnce && (!person.unreleased.insert(message.packet_id) || is_known) {
            // [MQTT-4.3.3-10] for a reader: it is the same again.
            assert!(message.dup, "{}: {message:?} has an identifier that is not released", person.name);
            return self.mark(Mark::RedeliveredAfterPubrec);
        }
        if let Some(mote) = message.properties.mote() {
            if person.left.iter().any(|folded| folded.filter == message.topic) {
                return; // it was on its way when the subscription ended [MQTT-3.10.4-3]
            }
            return fold(&mut person.merged, message, mote);
        }
        if message.retain {
            return self.replay(who, message);
        }
        let name = &person.name;
        if message.payload.is_empty() {
            let wants = person.wanted.keys().any(|filter| matches(filter, &message.topic));
            assert!(wants || person.group.is_some(), "{name}: who asked for {message:?}?");
            return;
        }
        let number = message_of(&message.payload).filter(|number| (*number as usize) < self.oracle.messages.len());
        let number = number.unwrap_or_else(|| panic!("{name}: nobody published {message:?}"));
        let published = &self.oracle.messages[number as usize];
        assert_eq!(published.topic, message.topic, "{name}: {message:?}");
        match person.group {
            Some(group) => self.of_group(who, group, number, message),
            None => self.delivered(who, number, message),
        }
    }

    fn delivered(&mut self, who: usize, number: u32, message: &Message) {
        // With a lower QoS it may have come before the broker knew for good that it had it.
        let is_kept = self.people[who].is_lasting()
            && self.people[who].owed.get(&number).is_some_and(|owed| owed.with == Set::of(QoS::ExactlyOnce));
        let copies = self.oracle.copies(number, is_kept);
        let published = self.oracle.messages[number as usize].clone();
        let person = &mut self.people[who];
        let (name, deaths) = (&person.name, person.deaths);
        let is_for_it = person.granted(published.topic).may_be_some() || person.owed.contains_key(&number);
        if published.is_will && published.is_doubtful && is_for_it {
            return; // the broker ended: it may come late, and again
        }
        let Some(owed) = person.owed.get_mut(&number) else {
            let granted = person.granted(published.topic);
            panic!("{name}: {message:?} is none of its business, or came long ago: {granted:?} {published:?}");
        };
        assert!(owed.with.has(message.qos), "{name}: {message:?} with another QoS: {owed:?} of {published:?}");
        let is_again = owed.got > 0 && (message.dup && deaths > owed.deaths || owed.again);
        if is_again && message.qos > QoS::AtMostOnce {
            owed.dups += 1;
            let most = u64::from(copies) * (deaths - owed.deaths);
            assert!(owed.again || owed.dups <= most, "{name}: {message:?} came again {} times: {owed:?}", owed.dups);
            return self.mark(Mark::Redelivered);
        }
        owed.got += 1;
        assert!(owed.got <= copies, "{name}: {message:?} came {} times: {owed:?} of {published:?}", owed.got);
        // In the order in which they were published [MQTT-4.6.0-6], but for what a broker that forgot has again.
        if published.sends == 1 && !published.is_will && !self.has_crashed && !message.dup && !owed.again {
            let last = person.last.insert((published.publisher, published.topic, message.qos), number);
            assert!(last.is_none_or(|last| last < number), "{name}: {message:?} after {last:?}: {published:?}");
        }
    }

    fn of_group(&mut self, who: usize, group: usize, number: u32, message: &Message) {
        let copies = self.oracle.copies(number, false);
        let members = || self.groups[group].members.iter().map(|who| &self.people[*who]);
        // A broker that ends closes one connection after the other, and what one member had goes to the next.
        let closed = members().filter(|person| self.is_ending && person.conn.is_some()).count() as u64;
        let lost = members().map(|person| person.deaths).sum::<u64>() + closed;
        let name = &self.people[who].name;
        let published = &self.oracle.messages[number as usize];
        if published.is_will && published.is_doubtful {
            return;
        }
        let Some(owed) = self.groups[group].owed.get_mut(&number) else {
            panic!("{name}: {message:?} is not for its group: {published:?}");
        };
        owed.got += 1;
        // What a member that is lost did not acknowledge goes to another.
        let most = u64::from(copies) * (1 + lost - owed.deaths);
        assert!(u64::from(owed.got) <= most, "{name}: {message:?} came {} times to its group: {published:?}", owed.got);
    }

    /// A retained message for a new subscription. [MQTT-3.3.1-8]
    fn replay(&mut self, who: usize, message: &Message) {
        self.world.marks.count(Mark::Replay);
        let person = &mut self.people[who];
        let name = &person.name;
        let number = message_of(&message.payload).unwrap_or_else(|| panic!("{name}: {message:?} was never retained"));
        let kept = self.oracle.kept.get(message.topic.as_str());
        let kept = kept.unwrap_or_else(|| panic!("{name}: {message:?} out of nothing"));
        let is_past = kept.past.iter().any(|(past, until)| *past == number && *until >= person.replays_since);
        let is_written = kept.written.iter().any(|write| write.value == Some(number));
        assert!(
            is_past || is_written || kept.value == Some(number),
            "{name}: {message:?} is not what is retained: {kept:?}, asked in round {}",
            person.replays_since
        );
        *person.replays.entry(message.topic.clone()).or_default() += 1;
    }

    // Rest.

    /// Lets the world come to rest, and compares.
    pub fn rest(&mut self) {
        /// Time enough for all that is short.
        const LONG_MS: u64 = super::plan::SHORT_S as u64 * 1_000 + 500;
        self.heal_store();
        self.run_until_quiet();
        self.work_off_rates();
        // Long enough for sessions to be written, though the writer takes little at once.
        let ms = 300 + self.rng.below(100) as u64;
        self.let_pass(ms);
        if self.rng.once_in(5) {
            self.let_pass(LONG_MS);
        }
        self.close_rude();
        self.check_dropped();
        self.check_owed();
        self.check_retained();
        self.check_replays();
        self.check_merged();
        self.settle();
    }

    fn run_until_quiet(&mut self) {
        loop {
            self.world.run_until_quiet();
            let mut is_answered = false;
            for who in 0..self.people.len() {
                is_answered |= self.hear(who);
            }
            if !is_answered {
                return;
            }
        }
    }

    /// Time passes: sessions end, and wills are due.
    fn let_pass(&mut self, ms: u64) {
        let until = self.world.now.mono_ms + ms;
        for who in 0..self.people.len() {
            if self.people[who].conn.is_some() {
                continue;
            }
            let is_over = self.people[who].ends_ms.is_some_and(|at| at <= until);
            let is_due = self.people[who].due_will.is_some_and(|(_, at)| at <= until);
            if is_over {
                self.mark(Mark::Discarded);
                self.people[who].forget_session();
                self.people[who].unacked.clear();
                self.people[who].ends_ms = None;
            }
            if is_over || is_due {
                self.send_due_will(who);
            }
        }
        self.tell(|| format!("{ms} ms pass"));
        self.world.advance_ms(ms);
        self.tell(|| format!("waiting {:?}", self.world.waiting()));
        self.run_until_quiet();
    }

    /// Time passes until everybody is read who sent faster than he may; who does not read himself may be paused for that.
    fn work_off_rates(&mut self) {
        const STEP_MS: u64 = 500;
        const STEPS_MAX: usize = 400;
        if self.world.stats().rate_waits == 0 {
            return;
        }
        self.mark(Mark::ReadSlowly);
        for _ in 0..STEPS_MAX {
            if !self.world.reads_slowly() {
                return;
            }
            self.let_pass(STEP_MS);
        }
    }

    fn close_rude(&mut self) {
        for socket in std::mem::take(&mut self.rude) {
            assert!(self.world.is_closed(socket), "somebody who speaks no MQTT is still there");
            self.mark(Mark::RudeClosed);
        }
    }

    /// What the broker says that it dropped may be missing.
    pub fn check_dropped(&mut self) {
        let Stats { publishes_dropped, queue_overflows, oversize_dropped, expired_dropped, share_dropped, .. } =
            self.world.stats();
        if queue_overflows > 0 {
            self.mark(Mark::QueueOverflow);
        }
        let dropped = publishes_dropped + queue_overflows + oversize_dropped + expired_dropped + share_dropped;
        self.drops_open += dropped - self.dropped;
        self.dropped = dropped;
    }

    /// Everybody who is there has what it must.
    fn check_owed(&mut self) {
        let mut missing = Vec::new();
        let mut is_waiting = false;
        for person in &mut self.people {
            let (is_present, is_lasting, is_connected) =
                (person.is_present(), person.is_lasting(), person.conn.is_some());
            let messages = &self.oracle.messages;
            person.owed.retain(|number, owed| {
                let published = &messages[*number as usize];
                let must = owed.must && !published.is_doubtful;
                self.looked.due += u64::from(must && owed.got > 0);
                if is_present && must && owed.got == 0 {
                    missing.push(format!("{} never got {number}: {owed:?} {published:?}", person.name));
                }
                // What a doubtful will is, is known when it comes; and what is sent again may be the same.
                let is_open = published.is_doubtful && (published.is_will || published.qos == QoS::ExactlyOnce);
                let is_queued = owed.with.has(QoS::AtLeastOnce) || owed.with.has(QoS::ExactlyOnce);
                let waits = !is_present && (is_connected || is_lasting && is_queued);
                is_waiting |= waits;
                owed.must &= !is_present;
                is_open || waits
            });
        }
        if self.world.plan.broker.durability == Durability::Disk && self.has_crashed {
            self.mark(Mark::DurableCompared);
        }
        self.check_groups(&mut missing);
        let missed = missing.len() as u64;
        assert!(missed <= self.drops_open, "{} dropped by its own account: {missing:#?}", self.drops_open);
        self.drops_open -= missed;
        if !is_waiting {
            self.drops_open = 0;
        }
    }

    fn check_groups(&mut self, missing: &mut Vec<String>) {
        for group in &mut self.groups {
            let is_steady = group.members.iter().all(|who| self.people[*who].deaths == self.people[*who].deaths_before);
            let is_read =
                group.members.iter().all(|who| self.people[*who].conn.as_ref().is_none_or(|conn| conn.is_reading));
            for (number, owed) in &mut group.owed {
                let published = &self.oracle.messages[*number as usize];
                let is_sure = owed.must && published.sends == 1 && !published.is_doubtful && is_steady && is_read;
                let is_missing = is_sure && owed.got == 0 && published.qos > QoS::AtMostOnce;
                if is_missing {
                    missing
                        .push(format!("none of {:?} got {number} for {}: {published:?}", group.members, group.share));
                }
                owed.must = false;
            }
            if is_read {
                group.owed.clear();
            }
        }
    }

    /// What is retained is what was published last, wherever it is known what that is.
    fn check_retained(&mut self) {
        let rows: BTreeMap<&str, &Vec<u8>> =
            self.world.twin.rows().iter().map(|(topic, value)| (topic.as_str(), value)).collect();
        for topic in rows.keys() {
            assert!(self.oracle.kept.contains_key(topic), "{topic} is retained, and nobody retained it");
        }
        // What they wrote has arrived.
        let alive: BTreeSet<ClientId> =
            self.people.iter().filter_map(|person| Some(person.conn.as_ref()?.id)).collect();
        for (topic, kept) in &mut self.oracle.kept {
            let is = rows.get(topic).map(|value| message_of(value).expect("a message"));
            let mut allowed: Vec<Option<u32>> = Vec::new();
            let is_sure = |write: &Write| {
                let published = &self.oracle.messages[write.message as usize];
                let may_be_same = published.qos == QoS::ExactlyOnce && published.sends > 1;
                (published.accepted >= write.sending || alive.contains(&write.by)) && !may_be_same
            };
            let writers: BTreeSet<ClientId> = kept.written.iter().map(|write| write.by).collect();
            let mut is_any_sure = false;
            for writer in writers {
                for write in kept.written.iter().rev().filter(|write| write.by == writer) {
                    allowed.push(write.value);
                    if is_sure(write) {
                        is_any_sure = true;
                        break;
                    }
                }
            }
            if !is_any_sure {
                allowed.push(kept.value);
            }
            assert!(allowed.contains(&is), "{topic} is {is:?}, of {allowed:?}: {kept:?}");
            let written = std::mem::take(&mut kept.written);
            kept.past.extend(written.iter().filter_map(|write| write.value.map(|value| (value, self.round))));
            kept.past.extend(kept.value.map(|value| (value, self.round)));
            if is != kept.value || !written.is_empty() {
                kept.since = self.round + 1;
            }
            kept.value = is;
        }
    }

    /// Who subscribed and stayed has what was retained all the while.
    fn check_replays(&mut self) {
        for person in &mut self.people {
            let fresh = std::mem::take(&mut person.fresh);
            if !person.is_present() {
                continue;
            }
            if person.deaths == person.deaths_before && !self.has_crashed {
                for (topic, kept) in &self.oracle.kept {
                    let Some(value) = kept.value.filter(|_| kept.since <= self.round) else { continue };
                    if fresh.iter().any(|filter| matches(filter, topic)) {
                        let count = person.replays.get(*topic).copied().unwrap_or(0);
                        assert!(count > 0, "{} asked for {fresh:?} and never got {topic}, {value}", person.name);
                    }
                }
            }
            person.replays.clear();
            person.replays_since = self.round + 1;
        }
    }

    fn check_merged(&mut self) {
        let rows = self.world.twin.rows();
        let (mut compared, mut resumed) = (0, 0);
        for person in &mut self.people {
            if !person.is_present() {
                continue;
            }
            for (filter, folded) in &mut person.merged {
                if !folded.has_gap && !folded.may_skip && !folded.may_be_gone {
                    let got: Vec<(&str, &[u8])> = folded.state.rows().collect();
                    let matching = rows.iter().filter(|(topic, _)| matches(filter, topic));
                    let want: Vec<(&str, &[u8])> =
                        matching.map(|(topic, value)| (topic.as_str(), value.as_slice())).collect();
                    assert_eq!(got, want, "{} folds {filter} to something else", person.name);
                    compared += 1;
                    resumed += u32::from(folded.was_cut);
                }
                folded.is_settled = true;
                folded.was_cut = false;
            }
        }
        (0..compared).for_each(|_| self.world.marks.count(Mark::MergedCompared));
        (0..resumed).for_each(|_| self.world.marks.count(Mark::MergedResumed));
    }

    /// Everything that was under way has arrived.
    fn settle(&mut self) {
        // A will of before the broker's end may come in any later round.
        let messages = &self.oracle.messages;
        self.oracle.flying.retain(|message| {
            let published = &messages[*message as usize];
            published.is_will && published.is_doubtful
        });
        self.has_crashed = false;
        self.round += 1;
        for who in 0..self.people.len() {
            let person = &mut self.people[who];
            if let Some(conn) = &mut person.conn {
                if conn.is_reading {
                    assert!(conn.is_accepted && conn.asked.is_empty(), "{} waits for {:?}", person.name, conn.asked);
                    assert!(person.unacked.is_empty(), "{} waits for {:?}", person.name, person.unacked);
                    person.wanted.values_mut().for_each(|wanted| wanted.pending = VecDeque::new());
                }
                for message in conn.sent.drain(..) {
                    let published = &mut self.oracle.messages[message as usize];
                    published.accepted = published.sends;
                }
            }
            if self.is_told {
                eprintln!("           {} wants {:?}, session {:?}", person.name, person.wanted, person.session);
            }
            person.settle();
        }
    }
}

fn short(packet: &OwnedPacket) -> String {
    match packet {
        OwnedPacket::Publish(Message { topic, payload, qos, retain, dup, packet_id, properties, .. }) => {
            let mote = properties.mote().unwrap_or_default();
            let payload = String::from_utf8_lossy(payload);
            format!("{topic} {payload} {qos:?} retain {retain} dup {dup}, {packet_id} {mote}")
        }
        other => format!("{other:?}"),
    }
}

/// Takes a frame into the state of its filter. Only a connection that was cut off may have lost one.
fn fold(merged: &mut BTreeMap<&'static str, Folded>, frame: &Message, mote: &str) {
    let Some(Folded { state, next, has_gap, may_skip, .. }) = merged.get_mut(frame.topic.as_str()) else {
        panic!("a frame that nobody asked for: {frame:?}");
    };
    let words: Vec<&str> = mote.split(';').collect();
    let number = words.iter().find_map(|word| word.strip_prefix("n=")?.parse::<u64>().ok());
    let number = number.unwrap_or_else(|| panic!("a frame without its number: {mote}"));
    assert!(number <= *next || *may_skip || *has_gap, "frame {number} of {} where {next} was due", frame.topic);
    if frame.dup && number < *next {
        return; // folded before
    }
    *has_gap |= number > *next;
    *may_skip &= frame.dup;
    *next = (number + 1).max(*next);
    if words.contains(&"reset") {
        *state = State::new(&frame.topic);
        (*has_gap, *next) = (false, number + 1); // a broker that forgot counts from where it was
    }
    if words[1] != "event"
        && let Err(fault) = state.fold(&frame.payload)
    {
        panic!("{fault:?} in {frame:?}");
    }
}
