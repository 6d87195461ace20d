//! Topic Aliases, MQTT 5 sections 3.3.2.3.4 and 3.1.2.11.5: numbers that stand for topics on one network connection,
//! and end with it. Both directions are absent until the first PUBLISH that has use for them.

use super::Session;
use crate::limits::{
    TOPIC_ALIAS_BYTES_MAX, TOPIC_ALIAS_SEEN, TOPIC_ALIAS_TOPIC_BYTES_MAX, TOPIC_ALIAS_TOPIC_BYTES_MIN,
    TOPIC_ALIASES_TO_CLIENT_MAX,
};
use crate::wire::{PublishHead, topic_alias_property};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// What a client's aliases stand for.
#[derive(Default)]
pub struct FromClient {
    /// From alias 1 on; a hole where the client passed one over.
    topics: Vec<Option<Box<str>>>,
    bytes: usize,
}

impl FromClient {
    /// From now on `alias` stands for `topic`, whatever it stood for. False: the topics are too long together.
    pub fn set(&mut self, alias: u16, topic: &str) -> bool {
        let index = usize::from(alias) - 1;
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        let place = &mut self.topics[index];
        if place.as_deref() == Some(topic) {
            return true;
        }
        let bytes = self.bytes - place.as_ref().map_or(0, |topic| topic.len()) + topic.len();
        if bytes > TOPIC_ALIAS_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        *place = Some(topic.into());
        true
    }

    /// Lends what an alias stands for, until `give_back`.
    pub fn lend(&mut self, alias: u16) -> Option<Box<str>> {
        self.topics.get_mut(usize::from(alias) - 1)?.take()
    }

    pub fn give_back(&mut self, alias: u16, topic: Box<str>) {
        if let Some(place) = self.topics.get_mut(usize::from(alias) - 1) {
            *place = Some(topic);
        }
    }
}

/// Aliases that a client was told, chosen for topics that repeat.
///
/// A topic earns an alias when it comes a second time while it is remembered as seen. Where all aliases are taken, a
/// hand goes round: an alias in use since it last came by is spared, so that a topic that came twice does not take
/// the place of one that comes all the time.
#[derive(Default)]
pub struct ToClient {
    /// Alias 1 first.
    taught: Vec<Taught>,
    /// Hashes of topics that were sent in full, each in the place that it falls on.
    seen: [u32; TOPIC_ALIAS_SEEN],
    hand: usize,
}

struct Taught {
    topic: String,
    hash: u32,
    is_used: bool,
}

/// How a PUBLISH to a client names its topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    InFull,
    ByAlias,
    /// In full, and the alias stands for it from then on: to be learnt when the packet was written.
    Teaching(u16),
    /// The packet exceeds the client's Maximum Packet Size, [MQTT-3.1.2-24].
    TooLarge,
}

/// An encoded Topic Alias.
pub type AliasProperty = [u8; 3];

/// Decides how `head` names its topic to this client and makes it so; `place` holds the property.
/// Whether a topic of that many bytes is named in full to this client, whatever else it is.
#[inline]
pub fn is_named_in_full(session: &Session, topic_bytes: usize) -> bool {
    session.delivery.alias_max == 0 || topic_bytes < TOPIC_ALIAS_TOPIC_BYTES_MIN
}

#[inline]
pub fn name_topic<'a>(session: &mut Session, head: &mut PublishHead<'a>, place: &'a mut AliasProperty) -> Named {
    // [MQTT-3.1.2-27]
    if !is_named_in_full(session, head.topic.len()) {
        return name_by_alias(session, head, place);
    }
    match fits(session, head) {
        true => Named::InFull,
        false => Named::TooLarge,
    }
}

fn name_by_alias<'a>(session: &mut Session, head: &mut PublishHead<'a>, place: &'a mut AliasProperty) -> Named {
    let topic = head.topic;
    if topic.len() > TOPIC_ALIAS_TOPIC_BYTES_MAX {
        return if fits(session, head) { Named::InFull } else { Named::TooLarge };
    }
    let alias_max = session.delivery.alias_max;
    let choice = session.aliases.get_or_insert_default().choose(topic, alias_max);
    let Some((alias, is_known)) = choice else {
        return if fits(session, head) { Named::InFull } else { Named::TooLarge };
    };
    *place = topic_alias_property(alias);
    head.extra = place;
    if is_known {
        head.topic = "";
    }
    if fits(session, head) {
        return if is_known { Named::ByAlias } else { Named::Teaching(alias) };
    }
    if is_known {
        return Named::TooLarge;
    }
    head.extra = &[];
    if fits(session, head) { Named::InFull } else { Named::TooLarge }
}

fn fits(session: &Session, head: &PublishHead<'_>) -> bool {
    session.packet_bytes_max == usize::MAX || head.encoded_len(session.version) <= session.packet_bytes_max
}

/// The packet that teaches `alias` was written: only now may it be used.
pub fn teach(session: &mut Session, alias: u16, topic: &str) {
    if let Some(aliases) = &mut session.aliases {
        aliases.learn(alias, topic);
    }
}

impl ToClient {
    /// The alias for `topic` and whether the client knows it already. `None`: it is sent in full.
    fn choose(&mut self, topic: &str, alias_max: u16) -> Option<(u16, bool)> {
        let hash = hash_of(topic);
        let known = self.taught.iter_mut().position(|taught| taught.hash == hash && taught.topic == topic);
        if let Some(index) = known {
            self.taught[index].is_used = true;
            return Some((index as u16 + 1, true));
        }
        let seen = &mut self.seen[hash as usize % TOPIC_ALIAS_SEEN];
        if *seen != hash {
            *seen = hash;
            return None;
        }
        // [MQTT-3.1.2-26] [MQTT-3.3.2-11]
        if self.taught.len() < usize::from(alias_max).min(TOPIC_ALIASES_TO_CLIENT_MAX) {
            return Some((self.taught.len() as u16 + 1, false));
        }
        self.hand = (self.hand + 1) % self.taught.len();
        let at_hand = &mut self.taught[self.hand];
        let is_spared = std::mem::take(&mut at_hand.is_used);
        (!is_spared).then_some((self.hand as u16 + 1, false))
    }

    fn learn(&mut self, alias: u16, topic: &str) {
        let hash = hash_of(topic);
        let index = usize::from(alias) - 1;
        if index == self.taught.len() {
            self.taught.push(Taught { topic: topic.to_owned(), hash, is_used: false });
            return;
        }
        let taught = &mut self.taught[index];
        taught.topic.clear(); // keeps its memory for the next
        taught.topic.push_str(topic);
        (taught.hash, taught.is_used) = (hash, false);
    }
}

/// Never 0, which is what an empty place of `seen` holds.
fn hash_of(topic: &str) -> u32 {
    FixedState::with_seed(0).hash_one(topic) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a topic is sent, and that it is: `=1` by alias 1, `+1` in full with it, `-` in full.
    fn send(aliases: &mut ToClient, topic: &str, alias_max: u16) -> String {
        match aliases.choose(topic, alias_max) {
            None => "-".to_owned(),
            Some((alias, true)) => format!("={alias}"),
            Some((alias, false)) => {
                aliases.learn(alias, topic);
                format!("+{alias}")
            }
        }
    }

    #[test]
    fn what_repeats_gets_an_alias_and_what_comes_once_does_not() {
        let mut aliases = ToClient::default();
        assert_eq!(["-", "+1", "=1", "=1"], [(); 4].map(|()| send(&mut aliases, "often/heard", 9)).as_slice());
        for number in 0..1_000 {
            assert_eq!(send(&mut aliases, &format!("once/{number}"), 9), "-");
        }
        assert_eq!(send(&mut aliases, "often/heard", 9), "=1");
    }

    #[test]
    fn an_alias_that_is_used_is_spared_and_one_that_is_not_goes() {
        let mut aliases = ToClient::default();
        for topic in ["steady/topic", "steady/topic", "idle/topic", "idle/topic"] {
            send(&mut aliases, topic, 2);
        }
        for round in 0..100 {
            assert_eq!(send(&mut aliases, "steady/topic", 2), "=1", "round {round}");
            let other = format!("burst/{round}");
            send(&mut aliases, &other, 2);
            assert_ne!(send(&mut aliases, &other, 2), "+1");
        }
        assert_eq!(aliases.taught.len(), 2);
    }

    #[test]
    fn topics_of_a_client_are_bounded_in_bytes_and_may_be_replaced() {
        let mut aliases = FromClient::default();
        let long = "x".repeat(crate::limits::STRING_BYTES_MAX);
        let fitting = (TOPIC_ALIAS_BYTES_MAX / long.len()) as u16;
        assert!((1..=fitting).all(|alias| aliases.set(alias, &long)));
        assert!(!aliases.set(fitting + 1, &long));
        assert!(aliases.set(1, "t") && aliases.set(fitting + 1, &long));
        assert_eq!(aliases.lend(1).as_deref(), Some("t"));
        assert_eq!(aliases.lend(fitting + 9), None);
    }
}
