//! What people do.

use super::oracle::{Published, Set, Shared, Write, matches, payload_of};
use super::person::{Asked, Conn, Folded, Kind, Known, Unacked, Wanted};
use super::plan::SHORT_S;
use super::{Group, Mark, Sim};
use crate::client::{ConnectOptions, PublishOptions, WillOptions};
use engine::config::Durability;
use engine::row::fold::State;
use engine::wire::{AckKind, Property, QoS, ReasonCode, SubscriptionOptions};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const TOPICS: [&str; 14] =
    ["a/0", "a/1", "a/2", "a/1/x", "b/0", "b/1", "b/1/y", "c/0", "c/1", "d/0", "d", "e/0/z", "e/1", "f"];
const FILTERS: [&str; 14] =
    ["#", "+/+", "+/0", "a/#", "b/#", "c/+", "a/0", "b/1", "d/0", "+/+/x", "a/+/#", "e/#", "a/1/x", "f"];
/// Roots of trees, and their keys.
const TREES: [(&str, [(&str, &str); 3]); 3] = [
    ("a", [("0", "a/0"), ("1", "a/1"), ("2", "a/2")]),
    ("b", [("0", "b/0"), ("1", "b/1"), ("9", "b/9")]),
    ("c", [("0", "c/0"), ("1", "c/1"), ("9", "c/9")]),
];
const WILLS: [&str; 3] = ["a/will", "b/will", "d/will"];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Disconnect,
    Drop,
    /// It sends no more, and what it is sent from now on it does not acknowledge.
    HalfClose,
    /// What was under way both ways is lost.
    Reset,
    /// Its session is taken over, or its broker has ended.
    Cut,
}

impl Sim {
    pub fn operate(&mut self) {
        let who = self.rng.below(self.people.len());
        self.hear(who);
        let Some(conn) = &self.people[who].conn else {
            // A CONNECT that is still under way would take over from one that overtakes it.
            if self.rng.once_in(3) && !self.people[who].is_barred {
                self.connect(who);
            }
            return;
        };
        let (is_accepted, is_reading) = (conn.is_accepted, conn.is_reading);
        match self.rng.below(40) {
            0 => self.leave(who, End::Disconnect),
            1 => {
                let end = *self.rng.pick(&[End::Drop, End::HalfClose, End::Reset]);
                self.leave(who, end);
            }
            2 => self.take_over(who),
            3..=6 => self.subscribe(who),
            7 | 8 => self.unsubscribe(who),
            9 if is_accepted => self.subscribe_merged(who),
            10 if is_reading && self.rng.once_in(3) => self.stop_reading(who),
            11 if !is_reading => self.read_again(who),
            12 if self.rng.once_in(4) => self.be_rude(),
            13..=16 => self.publish_tree(who),
            _ => self.publish(who),
        }
    }

    // Connections.

    fn connect(&mut self, who: usize) {
        let is_clean = self.is_clean(who);
        self.connect_with(who, is_clean);
    }

    /// Before MQTT 5 a clean session does not outlive its connection.
    fn is_clean(&mut self, who: usize) -> bool {
        let person = &mut self.people[who];
        let is_clean = std::mem::take(&mut person.is_clean_next) || !person.is_lasting();
        is_clean || person.version.is_v5() && self.rng.once_in(12)
    }

    fn connect_with(&mut self, who: usize, is_clean: bool) {
        let will = self.rng.once_in(3).then(|| self.draw_will(who));
        let person = &mut self.people[who];
        let mut options = ConnectOptions::new(person.version, &person.name);
        options.clean = is_clean;
        if person.version.is_v5() {
            let expiry_s = match person.kind {
                Kind::Fleeting => 0,
                Kind::Short => SHORT_S,
                Kind::Lasting => u32::MAX,
            };
            options.properties.push(Property::SessionExpiryInterval(expiry_s));
            options.properties.extend(person.receive_max.map(Property::ReceiveMaximum));
            if person.alias_max > 0 {
                options.properties.push(Property::TopicAliasMaximum(person.alias_max));
                options.by_alias = true;
            }
        }
        let payload = will.map(|(message, _)| payload_of(message)).unwrap_or_default();
        if let Some((message, delay_s)) = will {
            let published = &self.oracle.messages[message as usize];
            let properties = if delay_s > 0 { vec![Property::WillDelayInterval(delay_s)] } else { Vec::new() };
            let (topic, qos) = (published.topic, published.qos);
            let payload = payload.as_bytes();
            options.will = Some(WillOptions { topic, payload, qos, retain: false, properties });
        }
        let id = self.world.connect(options);
        self.tell(|| format!("{} connects, clean {is_clean}, will {will:?}", self.people[who].name));
        self.people[who].conn = Some(Conn {
            id,
            is_accepted: false,
            is_clean,
            is_reading: true,
            since: self.oracle.flights,
            session_ended_ms: self.people[who].ends_ms,
            asked: BTreeMap::new(),
            sent: Vec::new(),
            will,
        });
        self.people[who].ends_ms = None;
        if is_clean {
            self.people[who].has_begun_anew = true;
            if self.people[who].session != Known::No && self.people[who].is_lasting() {
                self.world.marks.count(Mark::Discarded);
            }
            // The session before is over, and with it the delay of its will.
            let due_will = self.people[who].due_will;
            self.send_due_will(who);
            self.people[who].forget_session();
            self.people[who].sent_will = due_will.map(|(message, _)| message);
            self.people[who].unacked.clear();
            self.people[who].replays_since = self.round;
        } else if let Some((message, _)) = self.people[who].due_will.take() {
            // It came back in time: nobody gets it, unless it is not taken after all.
            self.world.marks.count(Mark::WillCancelled);
            self.oracle.messages[message as usize].is_doubtful = true;
            self.fly(message);
        }
        // What is on its way now may come before or after it.
        self.oracle.unsettle("#", &mut self.people[who]);
    }

    fn draw_will(&mut self, who: usize) -> (u32, u32) {
        let delay_s = if self.people[who].version.is_v5() && self.rng.once_in(2) { SHORT_S } else { 0 };
        let message = self.oracle.publish(Published {
            publisher: who,
            topic: self.rng.pick::<&str>(&WILLS),
            qos: *self.rng.pick(&QOS),
            retain: false,
            is_will: true,
            accepted: 0,
            is_doubtful: false,
            sends: 1,
            is_forgotten: false,
            is_cut: false,
        });
        (message, delay_s)
    }

    fn leave(&mut self, who: usize, end: End) {
        let Some(conn) = &self.people[who].conn else { return };
        let id = conn.id;
        match end {
            End::Disconnect => self.world.disconnect(id, ReasonCode::Success),
            End::Drop => self.world.drop_client(id),
            End::HalfClose => self.world.half_close(id),
            End::Reset => self.world.reset(id),
            End::Cut => {}
        }
        self.dies(who, end);
    }

    /// Another connection with the same Client Identifier; the one before hears nothing more.
    fn take_over(&mut self, who: usize) {
        let Some(conn) = self.people[who].conn.as_ref().filter(|conn| conn.is_accepted) else { return };
        let id = conn.id;
        let is_clean = self.is_clean(who);
        self.mark(Mark::Takeover);
        if self.people[who].owed.values().any(|owed| owed.must && owed.got == 0) {
            self.mark(Mark::TakeoverAmidWindow);
        }
        self.world.stop_reading(id);
        self.dies(who, End::Cut);
        self.people[who].old = Some(id);
        self.connect_with(who, is_clean);
        if self.rng.once_in(2) {
            self.mark(Mark::TakeoverInOneSegment);
            self.subscribe(who);
            self.publish(who);
        }
    }

    /// What the end of a connection makes of all that was not said to the end.
    pub fn dies(&mut self, who: usize, end: End) {
        let Some(conn) = self.people[who].conn.take() else { return };
        self.tell(|| format!("{} ends: {end:?}, accepted {}", self.people[who].name, conn.is_accepted));
        for message in &conn.sent {
            self.doubt(*message);
        }
        if let Some((message, delay_s)) = conn.will {
            self.will_after(who, message, delay_s, end, conn.is_accepted);
        }
        let now_ms = self.world.now.mono_ms;
        let person = &mut self.people[who];
        person.deaths += 1;
        person.is_barred |= !conn.is_accepted;
        // Whether the session before is over is not known: it wants a new one again.
        person.is_clean_next |= !conn.is_accepted && conn.is_clean;
        if let Some(message) = person.sent_will.take_if(|_| !conn.is_accepted) {
            self.oracle.messages[message as usize].is_doubtful = true;
        }
        if let Some(old) = person.old.take() {
            self.world.drop_client(old);
        }
        person.replays.clear();
        person.fresh.clear();
        if person.group.is_some() && person.is_member {
            self.world.marks.count(Mark::MemberLost);
        }
        person.is_member = false;
        person.ends_ms = (person.kind == Kind::Short).then_some(now_ms + u64::from(SHORT_S) * 1_000);
        if !person.is_lasting() {
            return person.forget_session();
        }
        for owed in person.owed.values_mut() {
            // Whatever has QoS 0 ends with its connection.
            owed.must &= !owed.with.has(QoS::AtMostOnce);
        }
        for wanted in person.wanted.values_mut() {
            (wanted.is, wanted.pending) = (wanted.all(), VecDeque::new());
        }
        for folded in person.merged.values_mut() {
            (folded.was_cut, folded.may_skip) = (true, true);
            folded.has_gap |= folded.granted == QoS::AtMostOnce || !folded.is_settled || folded.is_leaving;
            folded.may_be_gone |= folded.is_leaving;
            folded.is_leaving = false;
        }
        let may_be_refused = self.world.plan.broker.durability == Durability::Disk && conn.session_ended_ms.is_some();
        if !conn.is_accepted && (person.session == Known::No || may_be_refused) {
            person.session = Known::Maybe;
        }
    }

    /// A message may not have reached the broker.
    fn doubt(&mut self, message: u32) {
        let published = &mut self.oracle.messages[message as usize];
        if published.is_accepted() {
            return;
        }
        published.is_doubtful = true;
    }

    fn will_after(&mut self, who: usize, message: u32, delay_s: u32, end: End, is_accepted: bool) {
        if end == End::Disconnect {
            self.world.marks.count(Mark::WillTakenBack);
            // A new connection could take over before the broker hears of it.
            (self.people[who].is_barred, self.people[who].taken_back) = (true, Some(message));
            return;
        }
        if !is_accepted {
            self.oracle.messages[message as usize].is_doubtful = true;
        }
        if delay_s > 0 && self.people[who].is_lasting() {
            let due_ms = self.world.now.mono_ms + u64::from(delay_s) * 1_000;
            self.people[who].due_will = Some((message, due_ms));
            return;
        }
        self.world.marks.count(Mark::WillSent);
        self.fly(message);
    }

    /// A will that waited is due.
    pub fn send_due_will(&mut self, who: usize) {
        if let Some((message, _)) = self.people[who].due_will.take() {
            self.world.marks.count(Mark::WillAfterDelay);
            self.fly(message);
        }
    }

    fn stop_reading(&mut self, who: usize) {
        self.mark(Mark::SlowReader);
        self.tell(|| format!("{} reads no more", self.people[who].name));
        let person = &mut self.people[who];
        let Some(conn) = &mut person.conn else { return };
        conn.is_reading = false;
        self.world.stop_reading(conn.id);
        for owed in person.owed.values_mut() {
            owed.must &= !owed.with.has(QoS::AtMostOnce);
        }
    }

    fn read_again(&mut self, who: usize) {
        if let Some(conn) = &mut self.people[who].conn {
            conn.is_reading = true;
            self.world.read_again(conn.id);
        }
    }

    /// Somebody who does not speak MQTT.
    fn be_rude(&mut self) {
        const BYTES: [&[u8]; 5] =
            [b"GET / HTTP/1.1\r\n\r\n", &[0x10, 0xFF, 0xFF, 0xFF, 0xFF], &[0xC0, 0], &[0xF0, 0x80], &[0x30, 0]];
        let socket = self.world.socket();
        let bytes = *self.rng.pick(&BYTES);
        self.world.send(socket, bytes);
        self.rude.push(socket);
    }

    // Subscriptions.

    fn subscribe(&mut self, who: usize) {
        if let Some(group) = self.people[who].group {
            return self.join(who, group);
        }
        let mut filters: Vec<(&'static str, QoS)> = Vec::new();
        for _ in 0..1 + self.rng.below(2) {
            let filter = *self.rng.pick(&FILTERS);
            if filters.iter().all(|(other, _)| *other != filter) {
                filters.push((filter, *self.rng.pick(&QOS)));
            }
        }
        let person = &mut self.people[who];
        let Some(conn) = &mut person.conn else { return };
        let options = |qos| SubscriptionOptions { qos, ..Default::default() };
        let asked: Vec<(&str, SubscriptionOptions)> =
            filters.iter().map(|(filter, qos)| (*filter, options(*qos))).collect();
        let packet_id = self.world.subscribe_with(conn.id, &asked, &[]);
        if self.is_told {
            eprintln!("           {} subscribes {filters:?}, {packet_id}", person.name);
        }
        let names = filters.iter().map(|(filter, _)| (*filter).to_owned()).collect();
        conn.asked.insert(packet_id, Asked::Plain(names));
        for (filter, qos) in filters {
            let wanted = person.wanted.entry(filter);
            wanted.or_insert(Wanted { is: Set::NONE, pending: VecDeque::new() }).pending.push_back(Set::of(qos));
            person.fresh.push(filter);
            self.oracle.unsettle(filter, person);
        }
    }

    fn unsubscribe(&mut self, who: usize) {
        if self.people[who].group.is_some() {
            return;
        }
        let filter = *self.rng.pick(&FILTERS);
        let person = &mut self.people[who];
        let Some(conn) = &mut person.conn else { return };
        let packet_id = self.world.unsubscribe(conn.id, filter);
        if self.is_told {
            eprintln!("           {} unsubscribes {filter}, {packet_id}", person.name);
        }
        conn.asked.insert(packet_id, Asked::Plain(vec![filter.to_owned()]));
        let wanted = person.wanted.entry(filter);
        wanted.or_insert(Wanted { is: Set::NONE, pending: VecDeque::new() }).pending.push_back(Set::NONE);
        person.fresh.retain(|other| *other != filter);
        self.oracle.unsettle(filter, person);
    }

    fn join(&mut self, who: usize, group: usize) {
        let Group { share, filter, .. } = &self.groups[group];
        let filter = format!("$share/{share}/{filter}");
        let Some(conn) = &mut self.people[who].conn else { return };
        let packet_id = self.world.subscribe(conn.id, &filter, QoS::ExactlyOnce);
        conn.asked.insert(packet_id, Asked::Shared);
    }

    fn subscribe_merged(&mut self, who: usize) {
        let filter = *self.rng.pick(&FILTERS);
        let qos = *self.rng.pick(&QOS);
        let person = &mut self.people[who];
        // Frames of one that has ended may be on their way.
        let has_left = person.left.iter().any(|folded| folded.filter == filter);
        if !person.version.is_v5() || person.group.is_some() || has_left {
            return;
        }
        let Some(conn) = &mut person.conn else { return };
        match person.merged.get_mut(filter) {
            // A second snapshot would have to be told from the first, so one ends first.
            Some(folded) if folded.is_settled && !folded.is_leaving => {
                folded.is_leaving = true;
                let packet_id = self.world.unsubscribe(conn.id, &format!("$sync/{filter}"));
                if self.is_told {
                    eprintln!("           {} unsubscribes $sync/{filter}, {packet_id}", person.name);
                }
                conn.asked.insert(packet_id, Asked::MergedAway(filter.to_owned()));
            }
            Some(_) => {}
            None => {
                let folded = Folded {
                    filter,
                    state: State::new(filter),
                    granted: qos,
                    next: 0,
                    has_gap: false,
                    was_cut: false,
                    may_skip: false,
                    is_leaving: false,
                    may_be_gone: false,
                    is_settled: false,
                };
                person.merged.insert(filter, folded);
                if self.is_told {
                    eprintln!("           {} subscribes to $sync/{filter} {qos:?}", person.name);
                }
                let packet_id = self.world.subscribe(conn.id, &format!("$sync/{filter}"), qos);
                conn.asked.insert(packet_id, Asked::Merged);
            }
        }
    }

    // Publishes.

    /// The QoS of its next publish: no more unacknowledged than the broker takes.
    fn draw_qos(&mut self, who: usize) -> QoS {
        let room = usize::from(self.world.plan.broker.session.receive_max);
        if self.people[who].unacked.len() >= room { QoS::AtMostOnce } else { *self.rng.pick(&QOS) }
    }

    fn publish(&mut self, who: usize) {
        let topic = *self.rng.pick(&TOPICS);
        let (qos, retain) = (self.draw_qos(who), self.rng.once_in(3) && !self.has_failed);
        let is_deletion = retain && self.rng.once_in(4);
        let message = self.new_message(who, topic, qos, retain);
        let payload = if is_deletion { String::new() } else { payload_of(message) };
        self.send(who, topic, payload.into_bytes(), (qos, retain), &[(message, is_deletion)]);
    }

    fn publish_tree(&mut self, who: usize) {
        let (root, keys) = *self.rng.pick(&TREES);
        let (qos, retain) = (self.draw_qos(who), self.rng.once_in(2) && !self.has_failed);
        let (mut fields, mut messages) = (Vec::new(), Vec::new());
        for (key, topic) in keys {
            if self.rng.once_in(3) {
                continue;
            }
            let is_deletion = retain && self.rng.once_in(4);
            let message = self.new_message(who, topic, qos, retain);
            fields.push(format!("\"{key}\":{}", if is_deletion { "null".to_owned() } else { payload_of(message) }));
            messages.push((message, is_deletion));
        }
        let payload = format!("{{{}}}", fields.join(","));
        self.send(who, &format!("$tree/{root}"), payload.into_bytes(), (qos, retain), &messages);
    }

    fn new_message(&mut self, who: usize, topic: &'static str, qos: QoS, retain: bool) -> u32 {
        self.oracle.publish(Published {
            publisher: who,
            topic,
            qos,
            retain,
            is_will: false,
            accepted: 0,
            is_doubtful: false,
            sends: 1,
            is_forgotten: false,
            is_cut: false,
        })
    }

    fn send(&mut self, who: usize, topic: &str, payload: Vec<u8>, how: (QoS, bool), messages: &[(u32, bool)]) {
        let (qos, retain) = how;
        let person = &mut self.people[who];
        let packet_id = if qos > QoS::AtMostOnce { person.next_packet_id() } else { 0 };
        let Some(conn) = &mut person.conn else { return };
        let options = PublishOptions { packet_id, retain, qos, ..PublishOptions::new(topic, &payload) };
        self.world.publish(conn.id, options);
        let id = conn.id;
        if self.is_told {
            eprintln!("           {} publishes {topic} {qos:?} retain {retain} {messages:?}, {packet_id}", person.name);
        }
        let ids: Vec<u32> = messages.iter().map(|(message, _)| *message).collect();
        conn.sent.extend(&ids);
        if qos > QoS::AtMostOnce {
            let topic = topic.to_owned();
            person.unacked.push(Unacked {
                by: id,
                packet_id,
                qos,
                topic,
                payload,
                retain,
                messages: ids,
                is_received: false,
            });
        }
        for (message, is_deletion) in messages {
            self.fly(*message);
            self.keep(*message, *is_deletion, id);
        }
    }

    /// The broker is to keep it, if it is retained.
    fn keep(&mut self, message: u32, is_deletion: bool, by: crate::world::ClientId) {
        let published = &self.oracle.messages[message as usize];
        if published.retain {
            let value = (!is_deletion).then_some(message);
            let write = Write { by, value, message, sending: published.sends };
            self.oracle.kept.entry(published.topic).or_default().written.push(write);
        }
        if is_deletion {
            self.deletions.insert(message);
            self.mark(Mark::Deletion);
            // Its payload says nothing of who it is from: nobody waits for it.
            self.oracle.flying.retain(|flying| *flying != message);
            for person in &mut self.people {
                person.owed.remove(&message);
            }
            for group in &mut self.groups {
                group.owed.remove(&message);
            }
        }
    }

    /// It is on its way from now on.
    fn fly(&mut self, message: u32) {
        self.oracle.flying.push(message);
        self.oracle.flights += 1;
        for who in 0..self.people.len() {
            if self.people[who].group.is_none() {
                self.oracle.oblige(message, &mut self.people[who]);
            }
        }
        let published = &self.oracle.messages[message as usize];
        for group in &mut self.groups {
            if !matches(group.filter, published.topic) {
                continue;
            }
            let is_there = |who: &usize| self.people[*who].is_member && self.people[*who].is_present();
            let must = group.members.iter().any(is_there);
            let deaths = group.members.iter().map(|who| self.people[*who].deaths).sum();
            let owed = group.owed.entry(message).or_insert(Shared { must, got: 0, deaths });
            owed.must |= must;
        }
    }

    /// What it published and was not told of is sent again, by a session that goes on.
    pub fn publish_again(&mut self, who: usize) {
        let Some(id) = self.people[who].conn.as_ref().map(|conn| conn.id) else { return };
        let mut unacked = Vec::new();
        for one in self.people[who].unacked.iter_mut().filter(|one| one.by != id) {
            one.by = id;
            unacked.push(one.clone());
        }
        for Unacked { packet_id, qos, topic, payload, retain, messages, is_received, .. } in unacked {
            if is_received {
                self.world.ack(id, AckKind::Pubrel, packet_id);
                continue;
            }
            let options = PublishOptions { packet_id, retain, qos, dup: true, ..PublishOptions::new(&topic, &payload) };
            self.world.publish(id, options);
            if qos == QoS::ExactlyOnce {
                self.mark(Mark::RepublishedQos2);
            }
            for message in messages {
                let is_deletion = self.is_deletion(message);
                let published = &mut self.oracle.messages[message as usize];
                published.sends += 1;
                published.is_doubtful = false;
                if let Some(conn) = &mut self.people[who].conn {
                    conn.sent.push(message);
                }
                self.fly(message);
                self.keep(message, is_deletion, id);
            }
        }
    }

    fn is_deletion(&self, message: u32) -> bool {
        let published = &self.oracle.messages[message as usize];
        published.retain && self.deletions.contains(&message)
    }

    /// The broker ends: whether and when the will is published is its own affair.
    fn doubt_will(&mut self, who: usize) {
        let of_conn = self.people[who].conn.as_mut().and_then(|conn| conn.will.take()).map(|(message, _)| message);
        let due = self.people[who].due_will.take().map(|(message, _)| message);
        for message in of_conn.into_iter().chain(due).chain(self.people[who].taken_back.take()) {
            self.oracle.messages[message as usize].is_doubtful = true;
            self.fly(message);
        }
    }

    // The broker.

    /// It is killed, or ends and begins again.
    pub fn end_broker(&mut self) {
        let is_clean = self.rng.once_in(3);
        for who in 0..self.people.len() {
            self.hear(who);
        }
        self.mark(if is_clean { Mark::CleanRestart } else { Mark::CrashAmidPublishes });
        if self.people.iter().any(|person| !person.fresh.is_empty() || person.merged.values().any(|f| !f.is_settled)) {
            self.mark(Mark::CrashAmidSnapshot);
        }
        self.looked.crashes += u64::from(!is_clean);
        self.tell(|| format!("the broker ends, clean {is_clean}"));
        self.heal_store();
        if is_clean {
            self.world.stop();
            self.world.run_until_quiet();
        }
        self.check_dropped();
        if !is_clean && self.rng.once_in(2) {
            // No more than a kill: with `durability = "disk"` what was acknowledged was told as durable, and without it
            // the oracle goes back to the last rest, when all was told.
            let shards = self.world.plan.shards;
            self.world.lose_power(shards);
        } else {
            self.world.restart(is_clean);
        }
        // What the broker still said on its way out.
        self.is_ending = is_clean;
        for who in 0..self.people.len() {
            if let Some(id) = self.people[who].conn.as_ref().map(|conn| conn.id) {
                self.hear_of(who, id);
            }
        }
        self.is_ending = false;
        self.has_crashed = true;
        self.dropped = 0;
        self.rude.clear();
        let is_durable = self.world.plan.broker.durability == Durability::Disk;
        let written = self.oracle.kept.values().flat_map(|kept| kept.written.iter().map(|write| write.message));
        let mut flying: BTreeSet<u32> = written.collect();
        flying.extend(&self.oracle.flying);
        for message in flying {
            let published = &mut self.oracle.messages[message as usize];
            published.is_forgotten |= !is_clean && !is_durable;
            published.is_cut |= !published.is_accepted();
            let is_kept = published.is_accepted() && (is_durable || is_clean);
            if !is_kept {
                published.accepted = 0;
                self.doubt(message);
            }
        }
        for who in 0..self.people.len() {
            self.doubt_will(who);
            self.dies(who, End::Cut);
            let person = &mut self.people[who];
            for folded in person.merged.values_mut() {
                folded.has_gap = true;
            }
            if !is_clean && person.wanted.values().all(|wanted| wanted.is.may_be_none()) {
                // A kill may come before the commit that says that its session began.
                person.doubt_session();
            }
            if !is_clean && !is_durable {
                person.owed.values_mut().for_each(|owed| owed.again = true);
                let unreleased = std::mem::take(&mut person.unreleased);
                person.maybe_unreleased.extend(unreleased);
                person.lose();
            }
        }
    }
}
