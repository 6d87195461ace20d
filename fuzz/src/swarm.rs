//! Random honest clients in one world, held to the oracle.
//!
//! A run is a row of rounds. In a round clients change their subscriptions or come and go, the world comes to
//! rest, then all of them publish at once and the world comes to rest again. Then everybody has what the oracle owes:
//! plain subscribers every message once, with its QoS, in the order of its publisher; merged subscribers, whose
//! frames are folded, the retained tree; the store the same. In some rounds a reader is cut off in the middle and
//! comes back: it may have a message twice, and none with QoS 0, but misses no other. Beside them workers share
//! subscriptions (`workers`).

use crate::client::{ConnectOptions, PublishOptions};
use crate::oracle::{Oracle, Published, Wanted};
use crate::packet::{Message, OwnedPacket};
use crate::rng::Rng;
use crate::workers::Group;
use crate::world::{ClientId, Plan, World};
use engine::row::fold::State;
use engine::wire::{Property, QoS, ReasonCode, SubscriptionOptions, Version};
use std::collections::BTreeMap;

const ROUNDS: usize = 12;
const FILTERS: [&str; 14] =
    ["#", "+/+", "+/0", "a/#", "b/#", "c/+", "a/0", "b/1", "d/2", "+/+/x", "a/+/#", "e/#", "a/1/x", "f"];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// One client through all its connections.
struct Actor {
    name: String,
    version: Version,
    is_lasting: bool,
    /// Topic Alias Maximum, with MQTT 5.
    alias_max: u16,
    conn: Option<ClientId>,
    /// The connection before, if its session was taken over in this round: it may still read and acknowledge.
    old: Option<ClientId>,
    /// Merged filters and what their frames fold to; MQTT 5 only, where a frame says its kind.
    merged: BTreeMap<String, Folded>,
    /// In this round it was cut off while others published.
    was_cut: bool,
}

impl Actor {
    fn options(&self, is_lasting: bool) -> ConnectOptions<'_> {
        let options = if is_lasting { ConnectOptions::lasting } else { ConnectOptions::new };
        let mut options = options(self.version, &self.name);
        if self.version.is_v5() && self.alias_max > 0 {
            options.properties.push(Property::TopicAliasMaximum(self.alias_max));
            options.by_alias = true;
        }
        options
    }
}

/// One merged subscription as its reader sees it.
struct Folded {
    state: State,
    granted: QoS,
    /// Number of the next frame.
    next: u64,
    /// A frame with QoS 0 may have been lost with its connection, so the state is not known.
    has_gap: bool,
}

/// What was looked at, so that a run that looks at nothing is seen.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Looked {
    pub messages: usize,
    pub replays: usize,
    pub frames: usize,
    pub shared: usize,
}

impl std::ops::AddAssign for Looked {
    fn add_assign(&mut self, other: Looked) {
        self.messages += other.messages;
        self.replays += other.replays;
        self.frames += other.frames;
        self.shared += other.shared;
    }
}

struct Swarm {
    looked: Looked,
    world: World,
    oracle: Oracle,
    actors: Vec<Actor>,
    groups: Vec<Group>,
    rng: Rng,
    published: usize,
    /// The lowest QoS of this round: above 0 where a frame may be lost with its connection.
    lowest: QoS,
}

/// Panics if the broker is wrong; the panic and the seed say where.
pub fn run(seed: u64) -> Looked {
    let mut rng = Rng::new(seed);
    let shards = *rng.pick(&[1, 2, 3, 4, 8]);
    let lane_parcels = *rng.pick(&[1, 2, 64]);
    let piece_bytes_max = *rng.pick(&[2, 30, 1_000, 65_536]);
    let plan = Plan { lane_parcels, piece_bytes_max, ..Plan::new(seed, shards) };
    let count = 2 + rng.below(7);
    let actors = (0..count).map(|index| Actor {
        name: format!("client {index}"),
        version: *rng.pick(&[Version::V311, Version::V5]),
        is_lasting: rng.once_in(2),
        alias_max: *rng.pick(&[0, 1, 3, 16]),
        conn: None,
        old: None,
        merged: BTreeMap::new(),
        was_cut: false,
    });
    let actors: Vec<Actor> = actors.collect();
    let clients = actors.iter().map(|_| Wanted::default()).collect();
    let oracle = Oracle { clients, ..Oracle::default() };
    let groups = Group::some(&mut rng);
    let mut swarm = Swarm {
        looked: Looked::default(),
        world: World::new(plan),
        oracle,
        actors,
        groups,
        rng,
        published: 0,
        lowest: QoS::AtMostOnce,
    };
    for _ in 0..ROUNDS {
        swarm.round();
    }
    swarm.looked
}

impl Swarm {
    fn round(&mut self) {
        for actor in 0..self.actors.len() {
            self.come_or_go(actor);
        }
        self.groups.iter_mut().for_each(|group| group.come_or_go(&mut self.world, &mut self.rng));
        self.world.run_until_quiet();
        self.check();
        self.groups.iter_mut().for_each(|group| group.change(&mut self.world, &mut self.rng));
        for actor in 0..self.actors.len() {
            self.change_subscriptions(actor);
        }
        self.check_replays();
        let cut = self.rng.once_in(3).then(|| self.rng.below(self.actors.len()));
        let cut = cut.filter(|cut| self.actors[*cut].is_lasting && self.actors[*cut].conn.is_some());
        self.lowest = if cut.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        self.world.twin.is_stalled = self.rng.once_in(4);
        for _ in 0..self.rng.below(60) {
            let actor = self.rng.below(self.actors.len());
            // What who is cut off has published last may be lost, so it publishes nothing.
            match self.rng.below(5) {
                _ if cut == Some(actor) => {}
                0 => self.publish_tree(actor),
                _ => self.publish(actor),
            }
        }
        if let Some(cut) = cut {
            self.cut_off(cut);
        }
        self.world.run_until_quiet();
        self.world.resume_store();
        self.world.run_until_quiet();
        self.check();
        self.check_merged();
    }

    /// Breaks a connection in the middle of things; the client comes back, or takes its own session over.
    fn cut_off(&mut self, index: usize) {
        let turns = self.rng.below(40);
        self.world.run_turns(turns);
        self.take_before_cut(index);
        let actor = &mut self.actors[index];
        match actor.conn {
            Some(client) if self.rng.once_in(2) => self.world.drop_client(client),
            conn => actor.old = conn,
        }
        actor.conn = Some(self.world.connect(actor.options(true)));
        actor.was_cut = true;
        for folded in actor.merged.values_mut() {
            folded.has_gap |= folded.granted == QoS::AtMostOnce;
        }
    }

    /// What arrived before the cut is no longer owed.
    fn take_before_cut(&mut self, index: usize) {
        let got = self.take_plain(index);
        let owed = &mut self.oracle.clients[index].owed;
        owed.retain(|owed| !got.iter().any(|message| is(message, owed)));
    }

    fn come_or_go(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        match actor.conn {
            None => {
                actor.conn = Some(self.world.connect(actor.options(actor.is_lasting)));
            }
            Some(client) if self.rng.once_in(6) => {
                if self.rng.once_in(2) {
                    self.world.drop_client(client);
                } else {
                    self.world.disconnect(client, ReasonCode::Success);
                }
                actor.conn = None;
                if !actor.is_lasting {
                    actor.merged.clear();
                    self.oracle.clients[index] = Wanted::default();
                }
            }
            Some(_) => {}
        }
    }

    fn change_subscriptions(&mut self, index: usize) {
        let Some(client) = self.actors[index].conn else { return };
        for _ in 0..self.rng.below(3) {
            let filter = *self.rng.pick(&FILTERS);
            let qos = *self.rng.pick(&QOS);
            let wanted = &mut self.oracle.clients[index].filters;
            let Actor { version, merged, .. } = &mut self.actors[index];
            // A merged filter stays as it is: a second snapshot would have to be told from the first.
            if self.rng.once_in(3) && version.is_v5() && !merged.contains_key(filter) {
                let state = State::new(filter);
                merged.insert(filter.to_string(), Folded { state, granted: qos, next: 0, has_gap: false });
                self.world.subscribe(client, &format!("$sync/{filter}"), qos);
            } else if wanted.remove(filter).is_some() && self.rng.once_in(2) {
                self.world.unsubscribe(client, filter);
            } else {
                wanted.insert(filter.to_string(), qos);
                // Retained messages are looked at on their own, see `check_replays`.
                let options = SubscriptionOptions { qos, ..Default::default() };
                self.world.subscribe_with(client, &[(filter, options)], &[]);
            }
        }
    }

    /// After subscriptions: only retained messages arrive, each as the oracle has it.
    fn check_replays(&mut self) {
        self.world.run_until_quiet();
        for group in &mut self.groups {
            self.looked.shared += group.check(&mut self.world);
        }
        for index in 0..self.actors.len() {
            for message in self.take_plain(index) {
                let kept = self.oracle.retained.get(&message.topic).map(String::as_str);
                self.looked.replays += 1;
                assert!(message.retain, "{} got {message:?} out of nothing", self.actors[index].name);
                assert_eq!(kept, Some(&*message.text()), "{}", message.topic);
            }
        }
    }

    fn publish(&mut self, index: usize) {
        let Some(client) = self.actors[index].conn else { return };
        self.published += 1;
        let level = self.rng.pick(&["a", "b", "c", "d", "e"]);
        let retain = self.rng.once_in(2);
        // What is retained has one writer per topic, so that everybody agrees on which value is the last.
        let topic = match (retain, self.rng.below(3)) {
            (true, _) => format!("{level}/w{index}/{}", self.rng.below(4)),
            (false, 0) => format!("{level}/{}/x", self.rng.below(3)),
            (false, _) => format!("{level}/{}", self.rng.below(3)),
        };
        let payload =
            if retain && self.rng.once_in(4) { String::new() } else { (1_000_000 + self.published).to_string() };
        let qos = (*self.rng.pick(&QOS)).max(self.lowest);
        let published = Published { publisher: index, topic, payload, qos };
        self.groups.iter_mut().for_each(|group| group.publish(&published));
        self.oracle.publish(&published, retain);
        let options = PublishOptions { retain, ..PublishOptions::new(&published.topic, published.payload.as_bytes()) };
        self.world.publish(client, options.qos(qos));
    }

    /// A retained tree: every row is a message of its own to plain subscribers.
    fn publish_tree(&mut self, index: usize) {
        let Some(client) = self.actors[index].conn else { return };
        let level = *self.rng.pick(&["a", "b", "c", "d", "e"]);
        let qos = (*self.rng.pick(&QOS)).max(self.lowest);
        let mut fields = Vec::new();
        for key in 0..4 {
            if self.rng.once_in(2) {
                continue;
            }
            self.published += 1;
            let number = (1_000_000 + self.published).to_string();
            let payload = if self.rng.once_in(4) { String::new() } else { number };
            fields.push(format!("\"{key}\":{}", if payload.is_empty() { "null" } else { &payload }));
            let topic = format!("{level}/w{index}/{key}");
            let published = Published { publisher: index, topic, payload, qos };
            self.groups.iter_mut().for_each(|group| group.publish(&published));
            self.oracle.publish(&published, true);
        }
        let topic = format!("$tree/{level}/w{index}");
        let payload = format!("{{{}}}", fields.join(","));
        self.world.publish(client, PublishOptions::new(&topic, payload.as_bytes()).qos(qos).retained());
    }

    /// Plain messages received by a client; its frames are folded.
    fn take_plain(&mut self, index: usize) -> Vec<Message> {
        let Some(client) = self.actors[index].conn else { return Vec::new() };
        let mut plain = Vec::new();
        let old = self.actors[index].old.take();
        let told = old.map(|old| self.world.received(old)).unwrap_or_default();
        let told = told.into_iter().filter(|packet| packet.message().is_some());
        let Actor { merged, was_cut, .. } = &mut self.actors[index];
        for packet in told.chain(self.world.received(client)) {
            match packet {
                OwnedPacket::Publish(message) => match message.properties.mote().map(str::to_string) {
                    Some(mote) => {
                        self.looked.frames += 1;
                        fold(merged, &message, &mote, *was_cut);
                    }
                    None => plain.push(message),
                },
                OwnedPacket::Disconnect { reason } => {
                    panic!("{} was disconnected: {reason:?}", self.actors[index].name)
                }
                OwnedPacket::Unexpected(what) => panic!("the broker sent {what}"),
                _ => {}
            }
        }
        plain
    }

    /// Everybody who is connected has what it is owed.
    fn check(&mut self) {
        for group in &mut self.groups {
            self.looked.shared += group.check(&mut self.world);
        }
        for index in 0..self.actors.len() {
            if self.actors[index].conn.is_none() {
                // Nobody keeps QoS 0 for who is away.
                self.oracle.clients[index].owed.retain(|owed| owed.qos > QoS::AtMostOnce);
                continue;
            }
            let got = self.take_plain(index);
            let mut owed = std::mem::take(&mut self.oracle.clients[index].owed);
            if std::mem::take(&mut self.actors[index].was_cut) {
                owed.retain(|owed| owed.qos > QoS::AtMostOnce);
                let missed = owed.iter().find(|owed| !got.iter().any(|message| is(message, owed)));
                assert!(missed.is_none(), "{} came back and never got {missed:?}", self.actors[index].name);
                continue;
            }
            self.looked.messages += owed.len();
            for publisher in 0..self.actors.len() {
                let own: Vec<&Published> = owed.iter().filter(|owed| owed.publisher == publisher).collect();
                self.check_one(index, &got, &own);
            }
            assert_eq!(got.len(), owed.len(), "{} got more than it is owed: {got:?}", self.actors[index].name);
        }
    }

    /// Of one publisher: every message with its QoS, those of one topic in their order.
    fn check_one(&self, index: usize, got: &[Message], owed: &[&Published]) {
        let name = &self.actors[index].name;
        let place = |owed: &Published| {
            let mut all = got.iter().enumerate().filter(|(_, message)| is(message, owed));
            all.next().map(|(at, message)| (at, message.qos))
        };
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for owed in owed {
            let Some((at, qos)) = place(owed) else { panic!("{name} never got {owed:?}") };
            if owed.payload.is_empty() {
                continue; // deletions of one topic look alike
            }
            assert_eq!(qos, owed.qos, "{name}: {owed:?}");
            let before = last.insert(&owed.topic, at);
            assert!(before.is_none_or(|before| before < at), "{name} got {owed:?} out of order");
        }
    }

    fn check_merged(&mut self) {
        let stored = self.world.twin.rows().iter().map(|(topic, value)| (topic.clone(), value.clone()));
        let wanted = self.oracle.retained.iter().map(|(topic, value)| (topic.clone(), value.clone().into_bytes()));
        assert!(stored.eq(wanted), "the store holds something else than was retained");
        for actor in self.actors.iter().filter(|actor| actor.conn.is_some()) {
            for (filter, folded) in actor.merged.iter().filter(|(_, folded)| !folded.has_gap) {
                let folded: Vec<(&str, &[u8])> = folded.state.rows().collect();
                let want: Vec<(&str, &[u8])> =
                    self.oracle.rows(filter).map(|(topic, value)| (topic, value.as_bytes())).collect();
                assert_eq!(folded, want, "{} folds {filter} to something else", actor.name);
            }
        }
    }
}

/// Takes a frame into the state of its filter. Only a connection that was cut off may have lost one.
fn fold(merged: &mut BTreeMap<String, Folded>, frame: &Message, mote: &str, was_cut: bool) {
    let Some(Folded { state, next, has_gap, .. }) = merged.get_mut(&frame.topic) else {
        panic!("a frame that nobody asked for: {frame:?}");
    };
    let words: Vec<&str> = mote.split(';').collect();
    let number = words.iter().find_map(|word| word.strip_prefix("n=")?.parse::<u64>().ok());
    let number = number.unwrap_or_else(|| panic!("a frame without its number: {mote}"));
    assert!(number <= *next || was_cut || *has_gap, "frame {number} of {} where {next} was due", frame.topic);
    assert!(number >= *next || frame.dup, "frame {number} of {} came twice", frame.topic);
    *has_gap |= number > *next;
    *next = (number + 1).max(*next);
    if words.contains(&"reset") {
        *state = State::new(&frame.topic);
        *has_gap = false;
    }
    if words[1] != "event"
        && let Err(fault) = state.fold(&frame.payload)
    {
        panic!("{fault:?} in {frame:?}");
    }
}

fn is(message: &Message, owed: &Published) -> bool {
    message.topic == owed.topic && message.text() == owed.payload
}
