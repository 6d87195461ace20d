//! What a broker should have done, said as naively as possible.

use engine::topic::matches;
use engine::wire::QoS;
use std::collections::BTreeMap;

/// One message as it was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    pub publisher: usize,
    pub topic: String,
    /// Unique among all messages of a run.
    pub payload: String,
    pub qos: QoS,
}

/// What one client should have.
#[derive(Default)]
pub struct Wanted {
    /// Plain filters.
    pub filters: BTreeMap<String, QoS>,
    /// Messages owed to it, in the order of each publisher.
    pub owed: Vec<Published>,
}

/// See the module.
#[derive(Default)]
pub struct Oracle {
    pub retained: BTreeMap<String, String>,
    pub clients: Vec<Wanted>,
}

impl Oracle {
    /// A publish by the rules: kept if it is retained, owed to every client with a filter that matches, once, with
    /// the smaller of its QoS and the highest that was granted.
    pub fn publish(&mut self, published: &Published, retain: bool) {
        if retain && published.payload.is_empty() {
            self.retained.remove(&published.topic);
        } else if retain {
            self.retained.insert(published.topic.clone(), published.payload.clone());
        }
        for wanted in &mut self.clients {
            let granted =
                wanted.filters.iter().filter(|(filter, _)| matches(filter, &published.topic)).map(|(_, qos)| *qos);
            if let Some(granted) = granted.max() {
                wanted.owed.push(Published { qos: published.qos.min(granted), ..published.clone() });
            }
        }
    }

    /// The retained rows that match a filter.
    pub fn rows(&self, filter: &str) -> impl Iterator<Item = (&str, &str)> {
        let rows = self.retained.iter().filter(move |(topic, _)| matches(filter, topic));
        rows.map(|(topic, payload)| (topic.as_str(), payload.as_str()))
    }
}
