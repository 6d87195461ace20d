//! Share groups among the random clients. A worker has nothing but one shared subscription. Of each message that
//! matches one worker of the group gets it, connected ones before those that are away; what comes while all are away
//! is had by who is back first, if somebody keeps it.

use crate::client::ConnectOptions;
use crate::oracle::Published;
use crate::packet::{Message, OwnedPacket};
use crate::rng::Rng;
use crate::world::{ClientId, World};
use engine::topic::matches;
use engine::wire::{QoS, ReasonCode, Version};

/// Share name and filter.
const GROUPS: [(&str, &str); 5] = [("w", "#"), ("w", "a/#"), ("v", "a/#"), ("w", "+/1"), ("w", "b/w0/1")];
const WORKERS_MAX: usize = 5;
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

struct Worker {
    name: String,
    version: Version,
    is_lasting: bool,
    conn: Option<ClientId>,
    /// The QoS of its subscription, while it has one.
    granted: Option<QoS>,
}

/// See the module.
pub(crate) struct Group {
    filter: &'static str,
    shared: String,
    workers: Vec<Worker>,
    /// What some worker is to get.
    owed: Vec<Published>,
}

impl Group {
    /// Some of the groups that there could be.
    pub(crate) fn some(rng: &mut Rng) -> Vec<Group> {
        let chosen: Vec<_> = GROUPS.iter().filter(|_| rng.once_in(2)).collect();
        chosen.into_iter().map(|(name, filter)| Group::new(name, filter, rng)).collect()
    }

    fn new(name: &str, filter: &'static str, rng: &mut Rng) -> Group {
        let worker = |index: usize, rng: &mut Rng| Worker {
            name: format!("worker {index} of {name}/{filter}"),
            version: *rng.pick(&[Version::V311, Version::V5]),
            is_lasting: rng.once_in(2),
            conn: None,
            granted: None,
        };
        let workers = (0..1 + rng.below(WORKERS_MAX)).map(|index| worker(index, rng)).collect();
        Group { filter, shared: format!("$share/{name}/{filter}"), workers, owed: Vec::new() }
    }

    pub(crate) fn come_or_go(&mut self, world: &mut World, rng: &mut Rng) {
        for worker in &mut self.workers {
            match worker.conn {
                None if rng.once_in(2) => {
                    let options = if worker.is_lasting { ConnectOptions::lasting } else { ConnectOptions::new };
                    worker.conn = Some(world.connect(options(worker.version, &worker.name)));
                }
                Some(client) if rng.once_in(4) => {
                    if rng.once_in(2) {
                        world.drop_client(client);
                    } else {
                        world.disconnect(client, ReasonCode::Success);
                    }
                    worker.conn = None;
                    worker.granted = worker.granted.filter(|_| worker.is_lasting);
                }
                _ => {}
            }
        }
        self.end_if_empty();
    }

    pub(crate) fn change(&mut self, world: &mut World, rng: &mut Rng) {
        for worker in &mut self.workers {
            let Some(client) = worker.conn else { continue };
            match (worker.granted, rng.below(6)) {
                (None, 0..3) | (Some(_), 1) => {
                    let qos = *rng.pick(&QOS);
                    world.subscribe(client, &self.shared, qos);
                    worker.granted = Some(qos);
                }
                (Some(_), 0) => {
                    world.unsubscribe(client, &self.shared);
                    worker.granted = None;
                }
                _ => {}
            }
        }
        self.end_if_empty();
    }

    /// What waits ends with the last subscription.
    fn end_if_empty(&mut self) {
        if self.workers.iter().all(|worker| worker.granted.is_none()) {
            self.owed.clear();
        }
    }

    pub(crate) fn publish(&mut self, published: &Published) {
        let keeps =
            |worker: &Worker| worker.granted.is_some_and(|granted| published.qos.min(granted) > QoS::AtMostOnce);
        if matches(self.filter, &published.topic) && (self.is_awake() || self.workers.iter().any(keeps)) {
            self.owed.push(published.clone());
        }
    }

    fn is_awake(&self) -> bool {
        self.workers.iter().any(|worker| worker.granted.is_some() && worker.conn.is_some())
    }

    /// When the world rests: every message went to one worker. Returns how many there were.
    pub(crate) fn check(&mut self, world: &mut World) -> usize {
        let mut count = 0;
        for worker in &self.workers {
            let Some(client) = worker.conn else { continue };
            for packet in world.received(client) {
                match packet {
                    OwnedPacket::Publish(message) => take(&mut self.owed, worker, &message),
                    OwnedPacket::Disconnect { reason } => panic!("{} was disconnected: {reason:?}", worker.name),
                    _ => continue,
                }
                count += 1;
            }
        }
        assert!(!self.is_awake() || self.owed.is_empty(), "nobody of {} got {:?}", self.shared, self.owed);
        count
    }
}

fn take(owed: &mut Vec<Published>, worker: &Worker, message: &Message) {
    let is_it = |owed: &Published| message.topic == owed.topic && message.text() == owed.payload;
    let Some(at) = owed.iter().position(is_it) else { panic!("{} got {message:?} out of nothing", worker.name) };
    let published = owed.remove(at);
    let qos = worker.granted.map(|granted| granted.min(published.qos));
    // Deletions of one topic look alike.
    assert!(published.payload.is_empty() || qos == Some(message.qos), "{} got {message:?}, {qos:?}", worker.name);
    assert!(!message.retain && !message.dup, "{} got {message:?}", worker.name);
}
