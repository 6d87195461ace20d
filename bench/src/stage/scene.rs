//! What is played on a stage: who publishes what to whom, again and again.

use super::{Message, Stage};
use engine::wire::{QoS, Version};

/// How publishers and subscribers are joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Each publisher to its own subscriber.
    Pairs,
    /// One publisher to all subscribers of its topic.
    FanOut,
    /// All publishers to one subscriber, `b/#`.
    FanIn,
    /// Ten publishers to all subscribers of `b/+/data`.
    Wildcard,
    /// Each publisher to its own subscriber, as frames of `$tree`.
    Merged,
    /// Each publisher its own rows, which are retained; nobody subscribes.
    Retained,
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub shape: Shape,
    pub shards: usize,
    pub version: Version,
    pub qos: QoS,
    /// Publishers or subscribers, of which there are many.
    pub clients: usize,
    pub payload_bytes: usize,
    /// Messages that each publisher writes at once.
    pub burst: usize,
}

impl Plan {
    /// 50 clients of MQTT 3.1.1 on one shard, 64 bytes with QoS 0, four messages at once.
    pub fn new(shape: Shape) -> Plan {
        let (shards, version, qos) = (1, Version::V311, QoS::AtMostOnce);
        Plan { shape, shards, version, qos, clients: 50, payload_bytes: 64, burst: 4 }
    }

    pub fn qos(self, qos: QoS) -> Plan {
        Plan { qos, ..self }
    }
}

/// Rows of each publisher that writes retained ones.
const ROWS: usize = 64;
const PUBLISHERS_OF_WILDCARD: usize = 10;

/// See the module.
pub struct Scene {
    pub stage: Stage,
    burst: usize,
    publishers: Vec<Publisher>,
}

struct Publisher {
    client: usize,
    messages: Vec<Message>,
    next: usize,
}

impl Scene {
    /// Everybody is connected and subscribed, and nothing is published yet.
    pub fn new(plan: Plan) -> Scene {
        let mut stage = Stage::new(plan.shards, plan.version);
        let publishers = match plan.shape {
            Shape::FanOut => 1,
            Shape::Wildcard => PUBLISHERS_OF_WILDCARD,
            _ => plan.clients,
        };
        let publishers = (0..publishers).map(|index| Publisher::new(&mut stage, &plan, index)).collect();
        for index in 0..plan.clients {
            let filter = match plan.shape {
                Shape::Pairs => topic(plan.shape, index),
                Shape::Merged => format!("$tree/b{index}/+"),
                Shape::FanOut => topic(plan.shape, 0),
                Shape::Wildcard => "b/+/data".to_owned(),
                Shape::FanIn if index == 0 => "b/#".to_owned(),
                Shape::FanIn | Shape::Retained => continue,
            };
            let subscriber = stage.connect(&format!("subscriber{index}"));
            stage.subscribe(subscriber, &filter, plan.qos);
        }
        Scene { stage, burst: plan.burst, publishers }
    }

    /// Every publisher writes its burst, and everything that follows happens.
    pub fn round(&mut self) {
        for publisher in &mut self.publishers {
            for _ in 0..self.burst {
                let message = &publisher.messages[publisher.next];
                publisher.next = (publisher.next + 1) % publisher.messages.len();
                self.stage.publish(publisher.client, message);
            }
        }
        self.stage.run_until_quiet();
    }

    pub fn published_in_a_round(&self) -> u64 {
        (self.publishers.len() * self.burst) as u64
    }

    /// Plays `rounds` rounds and returns how many messages were delivered in them.
    pub fn play(&mut self, rounds: usize) -> u64 {
        let before = self.stage.delivered();
        (0..rounds).for_each(|_| self.round());
        self.stage.delivered() - before
    }
}

impl Publisher {
    fn new(stage: &mut Stage, plan: &Plan, index: usize) -> Publisher {
        let client = stage.connect(&format!("publisher{index}"));
        let payload = vec![b'7'; plan.payload_bytes];
        let retain = plan.shape == Shape::Retained;
        let message = |topic: &str| Message::new(plan.version, topic, &payload, plan.qos, retain);
        let messages = if retain {
            (0..ROWS).map(|row| message(&format!("ret{index}/{row:04}"))).collect()
        } else {
            vec![message(&topic(plan.shape, index))]
        };
        Publisher { client, messages, next: 0 }
    }
}

fn topic(shape: Shape, index: usize) -> String {
    match shape {
        // With a first level of its own each pair has a group of its own, and with it an owner.
        Shape::Pairs | Shape::Merged => format!("b{index}/data"),
        _ => format!("b/{index}/data"),
    }
}
