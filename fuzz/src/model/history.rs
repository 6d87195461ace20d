//! One random history: clients of one world, held to the model after every publish and every storm of them.
//!
//! A history is a row of chapters. *Steps* are publishes one by one: each makes exactly the frames, verdicts and stored
//! changes that the model says. A *storm* is many at once, with readers that stop and go on: what was stored says in
//! which order they took effect, the model judges them in that order, and every frame has to show what was retained at
//! some moment of its groups, in the order of the moments. Between them subscriptions change, sessions come back, and
//! the broker begins again on its disk.

use super::frame::{Form, Seen, matches, rows as rows_of};
use super::json::{What, parse};
use super::reader::{Due, Reader, Wish};
use super::storm::{Stored, Verdict, replay};
use super::writer::{FILTERS, ROOTS, Writer};
use super::{Condition, Effect, Group, Model, Op, Row, Verb, Written, pattern};
use crate::client::{ConnectOptions, PublishOptions};
use crate::packet::{Message, OwnedPacket};
use crate::rng::Rng;
use crate::world::{ClientId, Plan, World};
use engine::key::GroupId;
use engine::wire::{AckKind, Property, QoS, ReasonCode, SubscriptionOptions, Version};
use std::collections::BTreeMap;

const CHAPTERS: usize = 10;
const INTERVAL_MS: u64 = 50;
/// Nothing younger is lost by a crash.
const SETTLED_MS: u64 = 1_000;

/// What was looked at, so that a run that looks at nothing is seen.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Looked {
    pub steps: usize,
    pub changes: usize,
    pub storms: usize,
    pub frames: usize,
    pub events: usize,
    pub snapshots: usize,
    pub returns: usize,
    pub restarts: usize,
}

impl std::ops::AddAssign for Looked {
    fn add_assign(&mut self, other: Looked) {
        self.steps += other.steps;
        self.changes += other.changes;
        self.storms += other.storms;
        self.frames += other.frames;
        self.events += other.events;
        self.snapshots += other.snapshots;
        self.returns += other.returns;
        self.restarts += other.restarts;
    }
}

/// A client with merged subscriptions.
struct Receiver {
    name: String,
    version: Version,
    is_lasting: bool,
    conn: Option<ClientId>,
    readers: Vec<Reader>,
}

impl Receiver {
    fn options(&self) -> ConnectOptions<'_> {
        let options = if self.is_lasting { ConnectOptions::lasting } else { ConnectOptions::new };
        options(self.version, &self.name)
    }
}

struct History {
    world: World,
    model: Model,
    rng: Rng,
    writer: Writer,
    writers: Vec<(Version, ClientId)>,
    receivers: Vec<Receiver>,
    /// Frames may be split: their number says nothing.
    is_tight: bool,
    /// Storms have events.
    has_events: bool,
    /// What happens is printed.
    is_told: bool,
    looked: Looked,
}

/// Panics if the broker does not do what the model does; the panic and the seed say where. Prints what happens if it is
/// told.
pub fn run(seed: u64, is_told: bool) -> Looked {
    let mut rng = Rng::new(seed ^ 0x6869_7374);
    let mut plan = Plan::new(seed, *rng.pick(&[1, 2, 3, 4]));
    plan.lane_parcels = *rng.pick(&[1, 2, 64]);
    plan.piece_bytes_max = *rng.pick(&[3, 100, 65_536]);
    plan.has_store = rng.once_in(3);
    let (is_tight, has_events) = (rng.once_in(4), rng.once_in(2));
    if is_tight {
        // The longest row has to fit, with its versions.
        plan.broker.limits.frame_bytes = *rng.pick(&[200, 450]);
    }
    plan.broker.limits.rows_per_turn = *rng.pick(&[1, 2, 5, 1_024]);
    let mut world = World::new(plan);
    world.twin.is_watched = true;
    let writers = [Version::V5, Version::V311, Version::V5];
    let model = Model::new(world.roots.clone(), &ROOTS);
    let receivers = (0..4).map(|index| Receiver {
        name: format!("r{index}"),
        version: if index % 2 == 0 { Version::V5 } else { Version::V311 },
        is_lasting: rng.once_in(2),
        conn: None,
        readers: Vec::new(),
    });
    let receivers = receivers.collect();
    let writer = Writer::new(seed);
    let mut history = History {
        world,
        model,
        rng,
        writer,
        writers: Vec::new(),
        receivers,
        is_tight,
        has_events,
        is_told,
        looked: Looked::default(),
    };
    history.greet(&writers);
    for _ in 0..CHAPTERS {
        history.chapter();
    }
    history.looked
}

impl History {
    fn greet(&mut self, versions: &[Version]) {
        for (index, version) in versions.iter().enumerate() {
            let client = self.world.connected(ConnectOptions::new(*version, &format!("w{index}")));
            self.world.received(client);
            self.writers.push((*version, client));
        }
        for receiver in &mut self.receivers {
            let client = self.world.connected(receiver.options());
            self.world.received(client);
            receiver.conn = Some(client);
        }
    }

    fn chapter(&mut self) {
        match self.rng.below(6) {
            0 | 1 => {
                self.change_subscriptions();
                self.steps();
            }
            2 => self.steps(),
            3 => self.away(),
            4 if self.world.plan.has_store => self.begin_again(),
            _ => self.storm(),
        }
    }

    fn steps(&mut self) {
        for _ in 0..1 + self.rng.below(8) {
            self.step();
        }
    }

    fn op(&mut self) -> Op {
        let writer = self.rng.below(self.writers.len());
        let verbs = [Verb::Plain, Verb::Put, Verb::Tree, Verb::Tree, Verb::Set];
        let model = &self.model;
        self.writer.op(writer, &verbs, |object| model.group(object).now().object_version(object))
    }

    /// Returns the packet identifier.
    fn publish(&mut self, op: &Op) -> u16 {
        if self.is_told {
            println!("{op:?} {}", String::from_utf8_lossy(&op.payload));
        }
        let (version, client) = self.writers[op.writer];
        let verb = match op.verb {
            Verb::Plain => "",
            Verb::Put => "put",
            Verb::Tree => "tree",
            Verb::Set => "set",
        };
        let mut intent = verb.to_string();
        match op.condition {
            Some(Condition::Version(number)) => intent += &format!(";if={number}"),
            Some(Condition::Exists) => intent += ";if=any",
            None => {}
        }
        if op.replace {
            intent += ";replace";
        }
        let by_property = version.is_v5() && self.rng.once_in(2) && !verb.is_empty();
        let topic = match verb {
            "" => op.topic.clone(),
            _ if by_property => op.topic.clone(),
            _ => format!("${intent}/{}", op.topic),
        };
        let mut properties = Vec::new();
        if by_property {
            properties.push(Property::UserProperty("mote", &intent));
        }
        if op.text && version.is_v5() {
            properties.push(Property::ContentType("text/plain"));
        }
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(op.qos)];
        let options = PublishOptions { retain: op.retain, properties, ..PublishOptions::new(&topic, &op.payload) };
        self.world.publish(client, options.qos(qos))
    }

    /// One publish, and everything that it makes.
    fn step(&mut self) {
        let mut op = self.op();
        op.text &= self.writers[op.writer].0.is_v5();
        let op = op;
        self.looked.steps += 1;
        let effects: Vec<(GroupId, Effect)> = match op.retain {
            true => self.model.groups_of(&op).into_iter().map(|id| (id, self.model.effect(&op, id))).collect(),
            false => Vec::new(),
        };
        self.publish(&op);
        self.rest();
        let stored = self.stored();
        let changes = effects.iter().filter_map(|(id, effect)| match effect {
            Effect::Change(written) => Some((*id, written)),
            _ => None,
        });
        let changes: Vec<(GroupId, &Written)> = changes.collect();
        let got: Vec<(GroupId, &Written)> = stored.iter().map(|change| (change.group, &change.written)).collect();
        assert_eq!(got, changes, "what {op:?} stored");
        // A conflict is told with what there was.
        self.check_answer(&op, &effects, &stored);
        for change in &stored {
            self.change(change);
        }
        for index in 0..self.receivers.len() {
            let due: Vec<Vec<Due>> =
                self.receivers[index].readers.iter().map(|reader| reader.due(&op, &effects, &self.model)).collect();
            self.take(index, !op.retain);
            let Receiver { readers, conn, name, .. } = &mut self.receivers[index];
            for (reader, due) in readers.iter_mut().zip(due).filter(|_| conn.is_some()) {
                let has_room = due.len() <= 2 || due.iter().all(|due| due.qos == 0);
                let is_exact = !self.is_tight && has_room && reader.wish.interval_ms == 0;
                if is_exact {
                    reader.check_due(due, name);
                }
                reader.forget();
                reader.check_now(&self.model, name);
            }
        }
    }

    fn change(&mut self, change: &Stored) {
        self.looked.changes += 1;
        let group = self.model.groups.get_mut(&change.group).expect("a group of the model");
        group.change(change.version, &change.written);
    }

    /// What owners told the store since the last look, by group and version.
    fn stored(&mut self) -> Vec<Stored> {
        let mut stored = std::mem::take(&mut self.world.twin.watched);
        stored.sort_by_key(|change| (change.group, change.version));
        let mut changes: Vec<Stored> = Vec::new();
        for row in stored {
            match changes.last_mut() {
                Some(last) if (last.group, last.version) == (row.group, row.version) => {
                    let before = last.written.insert(row.topic.clone(), row.value);
                    assert!(before.is_none(), "one change writes {} twice", row.topic);
                }
                _ => {
                    let written = [(row.topic, row.value)].into();
                    changes.push(Stored { group: row.group, version: row.version, written });
                }
            }
        }
        changes
    }

    /// What the publisher is told, alone.
    fn check_answer(&mut self, op: &Op, effects: &[(GroupId, Effect)], stored: &[Stored]) {
        let (version, client) = self.writers[op.writer];
        let mut packets = self.world.received(client).into_iter().peekable();
        let is_v5 = version.is_v5();
        let reads = is_v5 && op.qos > 0;
        let current = effects.iter().find_map(|(id, effect)| match effect {
            Effect::Conflict(current) => Some((*id, *current)),
            _ => None,
        });
        if let (Some((id, current)), false) = (current, reads) {
            let message = packets.next().and_then(|packet| packet.message().cloned());
            let message = message.unwrap_or_else(|| panic!("{op:?}: nothing says that it failed"));
            self.check_conflict(op, &message, &self.model.groups[&id], current);
        }
        let kinds: &[AckKind] = match op.qos {
            0 => &[],
            1 => &[AckKind::Puback],
            _ if current.is_some() && is_v5 => &[AckKind::Pubrec],
            _ => &[AckKind::Pubrec, AckKind::Pubcomp],
        };
        let is_one = self.model.groups_of(op).len() == 1 || op.verb == Verb::Set;
        let is_one = is_one && reads && op.verb != Verb::Plain && op.retain;
        let object = self.model.groups.get(&self.model.group_of(&super::object(op)));
        let mut told = match (current, stored) {
            (Some((_, current)), _) if reads => Some(format!("conflict;ver={current}")),
            (None, [change]) if is_one => Some(format!("ok;ver={}", change.version)),
            (None, []) if is_one && op.verb != Verb::Set => {
                object.map(|group| format!("ok;ver={}", group.now().object_version(&super::object(op))))
            }
            _ => None,
        };
        for want in kinds {
            match packets.next() {
                Some(OwnedPacket::Ack { kind, reason, properties, .. }) if kind == *want => {
                    assert_eq!(reason.is_error(), reads && current.is_some(), "{op:?}: {reason:?}");
                    assert_eq!(properties.mote(), told.take().as_deref(), "{op:?}");
                }
                other => panic!("{op:?}: {other:?} where {want:?} was due"),
            }
        }
        assert_eq!(packets.next(), None, "{op:?}");
    }

    /// `$conflict/<topic>`
    fn check_conflict(&self, op: &Op, message: &Message, group: &Group, current: u64) {
        let is_wild = op.topic.contains(['+', '#']);
        assert_eq!(message.topic, if is_wild { "$conflict".to_string() } else { format!("$conflict/{}", op.topic) });
        assert_eq!((message.qos, message.retain), (QoS::AtMostOnce, false));
        let body = parse(&message.payload).unwrap_or_else(|| panic!("no JSON: {}", message.line()));
        let field = |name: &str| body.get(name).unwrap_or_else(|| panic!("no {name}: {}", message.line()));
        let expected = match op.condition {
            Some(Condition::Version(number)) => number.to_string(),
            _ => "\"any\"".to_string(),
        };
        assert_eq!(field("topic").text(), Some(&*op.topic));
        assert_eq!((&field("expected").raw, &field("version").raw), (&expected, &current.to_string()));
        let filter = pattern(op);
        let rows: Vec<(&String, &Row)> = group.rows().iter().filter(|(topic, _)| matches(&filter, topic)).collect();
        if self.is_tight && field("value").what == What::Null {
            return; // more than one frame may carry
        }
        let seen = if rows.is_empty() { Vec::new() } else { rows_of(&filter, op.verb == Verb::Tree, field("value")) };
        let is_same = |(topic, seen): &(String, Option<Seen>)| {
            let row = rows.iter().find(|(name, _)| *name == topic);
            seen.as_ref().is_some_and(|seen| row.is_some_and(|(_, row)| seen.shows(row, Form::default())))
        };
        assert!(seen.len() == rows.len() && seen.iter().all(is_same), "{rows:?} is not {}", message.line());
    }

    /// A receiver reads what has come.
    fn take(&mut self, index: usize, is_event: bool) {
        let Receiver { conn: Some(client), readers, name, .. } = &mut self.receivers[index] else { return };
        for message in self.world.messages(*client) {
            let filter = filter_of(&message);
            let Some(reader) = readers.iter_mut().find(|reader| reader.filter == filter) else {
                panic!("{name} got a frame that it did not ask for: {}", message.line());
            };
            self.looked.frames += 1;
            if self.is_told {
                println!("    {name}: {} {:?}", message.line(), message.properties.mote());
            }
            reader.take(&message, &self.model, is_event);
        }
    }

    fn take_all(&mut self) {
        for index in 0..self.receivers.len() {
            self.take(index, false);
        }
    }

    /// Everybody who is connected has what is retained.
    fn check_now(&mut self) {
        for receiver in self.receivers.iter_mut().filter(|receiver| receiver.conn.is_some()) {
            for reader in &mut receiver.readers {
                reader.forget();
                reader.check_now(&self.model, &receiver.name);
            }
        }
    }

    fn change_subscriptions(&mut self) {
        for index in 0..self.receivers.len() {
            let Some(client) = self.receivers[index].conn else { continue };
            if self.receivers[index].readers.len() > 2 || self.rng.once_in(6) {
                self.unsubscribe(index, client);
            }
            if self.rng.once_in(2) {
                self.subscribe(index, client);
            }
        }
    }

    fn unsubscribe(&mut self, index: usize, client: ClientId) {
        let Receiver { readers, name, .. } = &mut self.receivers[index];
        if readers.is_empty() {
            return;
        }
        let reader = readers.remove(self.rng.below(readers.len()));
        let verb = *self.rng.pick(&["tree", "sync", "sync;topic=safe"]);
        self.world.unsubscribe(client, &format!("${verb}/{}", reader.filter));
        self.world.run_until_quiet();
        let got = self.world.received(client);
        assert!(matches!(&got[..], [OwnedPacket::Unsuback { .. }]), "{name}: {}: {got:?}", reader.filter);
    }

    fn subscribe(&mut self, index: usize, client: ClientId) {
        let filter = self.rng.pick(&FILTERS).to_string();
        let is_sync = self.rng.below(4) > 0;
        let wish = self.wish(index);
        let mut intent = if is_sync { "sync" } else { "tree" }.to_string();
        let Wish { form, state, interval_ms, .. } = wish;
        let words = [
            (form.safe, "topic=safe"),
            (form.meta, "meta"),
            (form.strings, "values=string"),
            (form.versions, "versions"),
            (state, "state"),
        ];
        let interval = format!("interval={interval_ms}");
        let mut words: Vec<&str> = words
            .into_iter()
            .chain([(interval_ms > 0, &*interval)])
            .filter_map(|(is_wanted, word)| is_wanted.then_some(word))
            .collect();
        self.rng.shuffle(&mut words);
        words.iter().for_each(|word| intent += &format!(";{word}"));
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(wish.qos)];
        let options = SubscriptionOptions { qos, ..Default::default() };
        if self.is_told {
            println!("r{index} subscribes to ${intent}/{filter}");
        }
        self.world.subscribe_with(client, &[(&format!("${intent}/{filter}"), options)], &[]);
        self.world.run_until_quiet();
        let got = self.world.peek(client);
        assert!(matches!(got.first(), Some(OwnedPacket::Suback { .. })), "{intent}: {got:?}");
        let reader = Reader::new(&filter, wish, is_sync, &self.model);
        let readers = &mut self.receivers[index].readers;
        readers.retain(|reader| reader.filter != filter);
        readers.push(reader);
        self.take(index, false);
        let Receiver { readers, name, .. } = &mut self.receivers[index];
        let Some(reader) = readers.last_mut() else { return };
        assert_eq!(is_sync, !reader.frames.is_empty(), "{name}: a snapshot comes if it is asked for");
        assert!(reader.frames.iter().all(|frame| frame.is_retain), "{name}: {filter}: {:?}", reader.frames);
        self.looked.snapshots += usize::from(is_sync);
        reader.check_now(&self.model, name);
        reader.forget();
    }

    /// Options of a new subscription.
    fn wish(&mut self, index: usize) -> Wish {
        let rng = &mut self.rng;
        let mut form =
            Form { safe: rng.once_in(4), meta: rng.once_in(3), strings: rng.once_in(5), versions: rng.once_in(4) };
        // Without a mark an event cannot be told from a change.
        form.versions &= self.world.plan.broker.limits.frame_bytes > 200;
        form.meta |= form.versions && rng.once_in(2);
        form.meta |= self.has_events && !self.receivers[index].version.is_v5();
        let interval_ms = if rng.once_in(6) { INTERVAL_MS } else { 0 };
        Wish { form, qos: rng.below(3) as u8, state: rng.once_in(4), interval_ms }
    }

    /// Everything comes to rest, also what waits for an interval.
    fn rest(&mut self) {
        self.world.run_until_quiet();
        let mut readers = self.receivers.iter().flat_map(|receiver| &receiver.readers);
        if readers.any(|reader| reader.wish.interval_ms > 0) {
            self.world.advance_ms(2 * INTERVAL_MS);
        }
    }

    /// Lasting sessions lose their connections, miss things, and come back.
    fn away(&mut self) {
        let chosen: Vec<usize> = (0..self.receivers.len()).filter(|_| self.rng.once_in(2)).collect();
        for index in &chosen {
            let Some(client) = self.receivers[*index].conn.take() else { continue };
            self.world.disconnect(client, ReasonCode::Success);
        }
        self.world.run_until_quiet();
        self.steps();
        self.come_back();
    }

    fn come_back(&mut self) {
        for index in 0..self.receivers.len() {
            let receiver = &mut self.receivers[index];
            if receiver.conn.is_some() {
                continue;
            }
            let client = self.world.connected(receiver.options());
            receiver.conn = Some(client);
            if !receiver.is_lasting {
                receiver.readers.clear();
                self.world.received(client);
            }
            self.looked.returns += 1;
            self.rest();
            self.take(index, false);
            let Receiver { readers, name, .. } = &mut self.receivers[index];
            for reader in readers {
                reader.forget();
                reader.check_now(&self.model, name);
            }
        }
    }

    /// Many publishes at once, while receivers stop reading and go on.
    fn storm(&mut self) {
        self.looked.storms += 1;
        let mut ops = Vec::new();
        let mut ids: BTreeMap<(usize, u16), usize> = BTreeMap::new();
        for _ in 0..self.rng.below(40) {
            let mut op = self.op();
            op.text &= self.writers[op.writer].0.is_v5();
            op.retain |= !self.has_events;
            ids.insert((op.writer, self.publish(&op)), ops.len());
            ops.push((op, Verdict::Unknown));
            if self.rng.once_in(3) {
                let turns = self.rng.below(10);
                self.world.run_turns(turns);
            }
            if let Some(client) = self.receivers[self.rng.below(4)].conn {
                match self.rng.below(6) {
                    0 => self.world.stop_reading(client),
                    1 | 2 => self.world.read_again(client),
                    _ => {}
                }
            }
        }
        self.world.run_until_quiet();
        let stored = self.stored();
        self.looked.changes += stored.len();
        for writer in 0..self.writers.len() {
            for packet in self.world.received(self.writers[writer].1) {
                let OwnedPacket::Ack { packet_id, properties, .. } = packet else { continue };
                if let (Some(index), Some(mote)) = (ids.get(&(writer, packet_id)), properties.mote()) {
                    let (op, verdict) = &mut ops[*index];
                    // Of several groups nothing says which it was.
                    if self.model.groups_of(op).len() == 1 {
                        *verdict = Verdict::parse(mote);
                    }
                }
            }
        }
        replay(&mut self.model, &ops, &stored);
        self.take_all();
        for client in self.receivers.iter().filter_map(|receiver| receiver.conn) {
            self.world.read_again(client);
        }
        self.rest();
        self.take_all();
        self.check_events(&ops);
        self.check_now();
    }

    fn check_events(&mut self, ops: &[(Op, Verdict)]) {
        let events = ops.iter().filter(|(op, _)| !op.retain).flat_map(|(op, _)| {
            let rows = Model::spread(op).into_iter().flatten();
            rows.map(|(topic, (payload, text))| (op.writer, topic, Row { payload, text, version: 0 }))
        });
        let events: Vec<(usize, String, Row)> = events.collect();
        for Receiver { name, readers, .. } in self.receivers.iter_mut().filter(|receiver| receiver.conn.is_some()) {
            for reader in readers {
                self.looked.events += reader.check_events(&events, name);
            }
        }
    }

    /// The process ends, or is killed, and begins again on its disk.
    fn begin_again(&mut self) {
        self.looked.restarts += 1;
        if self.is_told {
            println!("it begins again");
        }
        let is_clean = self.rng.once_in(2);
        if !is_clean {
            // What sessions are is written a while after it was acknowledged.
            self.world.advance_ms(SETTLED_MS);
        }
        self.world.restart_with(is_clean, 1 + self.rng.below(4));
        self.world.twin.is_watched = true;
        let versions: Vec<Version> = self.writers.drain(..).map(|(version, _)| version).collect();
        for receiver in &mut self.receivers {
            receiver.conn = None;
            receiver.readers.iter_mut().for_each(Reader::begin_anew);
        }
        for (index, version) in versions.iter().enumerate() {
            let client = self.world.connected(ConnectOptions::new(*version, &format!("w{index}")));
            self.world.received(client);
            self.writers.push((*version, client));
        }
        self.come_back();
    }
}

/// The filter that a frame is of: its topic, or what `topic=safe` wrote.
fn filter_of(message: &Message) -> String {
    match message.topic.strip_prefix("$tree/") {
        Some(safe) => safe.replace("%2B", "+").replace("%23", "#").replace("%25", "%"),
        None => message.topic.clone(),
    }
}
