//! Clients: honest MQTT clients that remember everything they receive.

use crate::packet::{Message, OwnedPacket};
use crate::watch::Watch;
use engine::wire::{
    self, Ack, AckKind, Connect, FilterBuffer, NameBuffer, Packet, Property, PropertyBuffer, Publish, QoS, ReasonCode,
    Subscribe, SubscriptionOptions, Unsubscribe, Version, Will,
};
use std::collections::HashMap;

/// What a CONNECT says.
#[derive(Clone, Debug)]
pub struct ConnectOptions<'a> {
    pub version: Version,
    pub client_id: &'a str,
    pub clean: bool,
    /// Seconds; 0: none.
    pub keep_alive: u16,
    pub will: Option<WillOptions<'a>>,
    /// MQTT 5 only.
    pub properties: Vec<Property<'a>>,
    /// Answer QoS 1 and 2 as the specification wants. False: the test does it.
    pub acknowledges: bool,
    /// Give topics aliases and use them, as far as the broker takes them.
    pub by_alias: bool,
}

#[derive(Clone, Debug)]
pub struct WillOptions<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: QoS,
    pub retain: bool,
    /// MQTT 5 only.
    pub properties: Vec<Property<'a>>,
}

impl<'a> ConnectOptions<'a> {
    /// A clean session that acknowledges.
    pub fn new(version: Version, client_id: &'a str) -> ConnectOptions<'a> {
        ConnectOptions {
            version,
            client_id,
            clean: true,
            keep_alive: 0,
            will: None,
            properties: Vec::new(),
            acknowledges: true,
            by_alias: false,
        }
    }

    /// A session that outlives its connections.
    pub fn lasting(version: Version, client_id: &'a str) -> ConnectOptions<'a> {
        let properties = if version.is_v5() { vec![Property::SessionExpiryInterval(u32::MAX)] } else { Vec::new() };
        ConnectOptions { clean: false, properties, ..ConnectOptions::new(version, client_id) }
    }

    pub fn will(self, topic: &'a str, payload: &'a [u8]) -> ConnectOptions<'a> {
        let (qos, retain, properties) = (QoS::AtMostOnce, false, Vec::new());
        ConnectOptions { will: Some(WillOptions { topic, payload, qos, retain, properties }), ..self }
    }

    pub fn silent(self) -> ConnectOptions<'a> {
        ConnectOptions { acknowledges: false, ..self }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let properties = buffer(&self.properties);
        let will_properties = self.will.as_ref().map(|will| buffer(&will.properties)).unwrap_or_default();
        let will = self.will.as_ref().map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            properties: will_properties.as_properties(),
            topic: will.topic,
            payload: will.payload,
        });
        let connect = Connect {
            version: self.version,
            clean_start: self.clean,
            keep_alive: self.keep_alive,
            properties: properties.as_properties(),
            client_id: self.client_id,
            will,
            user_name: None,
            password: None,
        };
        wire::encode(self.version, &Packet::Connect(connect), out);
    }
}

fn buffer(properties: &[Property<'_>]) -> PropertyBuffer {
    let mut buffer = PropertyBuffer::new();
    properties.iter().for_each(|property| buffer.push(property));
    buffer
}

/// One connection of one client.
pub struct Client {
    version: Version,
    acknowledges: bool,
    last_packet_id: u16,
    carry: Vec<u8>,
    /// Topic Aliases that the client said it takes, and what they stand for.
    alias_max: u16,
    aliases: HashMap<u16, String>,
    by_alias: bool,
    /// Topic Aliases that the broker said it takes, and topics that have one, from 1 on.
    own_alias_max: usize,
    own_aliases: Vec<String>,
    watch: Watch,
    pub(crate) received: Vec<OwnedPacket>,
    /// Of a bare socket, which understands nothing: what it received.
    pub(crate) received_bytes: Option<Vec<u8>>,
}

impl Client {
    /// A socket without a client that understands what it is sent.
    pub(crate) fn bare() -> Client {
        let client = Client::new(&ConnectOptions::new(Version::V311, ""), &mut Vec::new());
        Client { received_bytes: Some(Vec::new()), ..client }
    }

    /// A client and its CONNECT.
    pub(crate) fn new(options: &ConnectOptions<'_>, out: &mut Vec<u8>) -> Client {
        options.encode(out);
        let alias_max = options.properties.iter().find_map(|property| match property {
            Property::TopicAliasMaximum(alias_max) => Some(*alias_max),
            _ => None,
        });
        Client {
            version: options.version,
            acknowledges: options.acknowledges,
            last_packet_id: 0,
            carry: Vec::new(),
            alias_max: alias_max.unwrap_or(0),
            aliases: HashMap::new(),
            by_alias: options.by_alias,
            own_alias_max: 0,
            own_aliases: Vec::new(),
            watch: Watch::new(options),
            received: Vec::new(),
            received_bytes: None,
        }
    }

    /// Takes in bytes split anywhere; appends what it answers.
    pub(crate) fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if let Some(received) = &mut self.received_bytes {
            return received.extend_from_slice(bytes);
        }
        self.carry.extend_from_slice(bytes);
        let carry = std::mem::take(&mut self.carry);
        let mut at = 0;
        while let Some(header) = wire::peek(&carry[at..]).expect("the broker sends packets") {
            let Some(bytes) = carry.get(at..at + header.total_len) else { break };
            let packet = wire::decode_patterns(self.version, bytes).expect("the broker sends valid packets");
            self.watch.see(&packet, bytes.len());
            let mut owned = OwnedPacket::of(&packet);
            if let OwnedPacket::Connack { properties, .. } = &owned {
                self.own_alias_max = properties.read().topic_alias_maximum().unwrap_or(0).into();
            }
            if let OwnedPacket::Publish(message) = &mut owned {
                self.resolve(message);
            }
            if self.acknowledges {
                self.answer(&owned, out);
            }
            self.received.push(owned);
            at += header.total_len;
        }
        self.carry.extend_from_slice(&carry[at..]);
    }

    /// Puts the topic in the place of its alias, as every client must.
    fn resolve(&mut self, message: &mut Message) {
        let Some(alias) = message.properties.read().topic_alias() else { return };
        assert!((1..=self.alias_max).contains(&alias), "[MQTT-3.1.2-26] [MQTT-3.1.2-27]: alias {alias}");
        if message.by_alias {
            message.topic = self.aliases.get(&alias).expect("an alias was told before it is used").clone();
        } else {
            self.aliases.insert(alias, message.topic.clone());
        }
    }

    fn answer(&mut self, packet: &OwnedPacket, out: &mut Vec<u8>) {
        match packet {
            OwnedPacket::Publish(message) if message.qos == QoS::AtLeastOnce => {
                self.ack(AckKind::Puback, message.packet_id, out);
            }
            OwnedPacket::Publish(message) if message.qos == QoS::ExactlyOnce => {
                self.ack(AckKind::Pubrec, message.packet_id, out);
            }
            OwnedPacket::Ack { kind: AckKind::Pubrec, packet_id, reason, .. } if !reason.is_error() => {
                self.ack(AckKind::Pubrel, *packet_id, out);
            }
            OwnedPacket::Ack { kind: AckKind::Pubrel, packet_id, .. } => self.ack(AckKind::Pubcomp, *packet_id, out),
            _ => {}
        }
    }

    pub(crate) fn ack(&mut self, kind: AckKind, packet_id: u16, out: &mut Vec<u8>) {
        self.ack_with(kind, packet_id, ReasonCode::Success, out);
    }

    pub(crate) fn ack_with(&mut self, kind: AckKind, packet_id: u16, reason: ReasonCode, out: &mut Vec<u8>) {
        let ack = Ack { kind, packet_id, reason, properties: Default::default() };
        self.watch.answered(&ack);
        wire::encode(self.version, &Packet::Ack(ack), out);
    }

    fn next_packet_id(&mut self) -> u16 {
        self.last_packet_id = self.last_packet_id % u16::MAX + 1;
        self.last_packet_id
    }

    /// The topic, or nothing where its alias is known; a topic without one gets it while there are any.
    fn named<'a>(&mut self, topic: &'a str, properties: &mut PropertyBuffer) -> &'a str {
        let known = self.own_aliases.iter().position(|other| other == topic);
        let has_room = self.own_aliases.len() < self.own_alias_max;
        let Some(index) = known.or(has_room.then_some(self.own_aliases.len())) else { return topic };
        properties.push(&Property::TopicAlias(index as u16 + 1));
        if known.is_some() {
            return "";
        }
        self.own_aliases.push(topic.to_owned());
        topic
    }

    pub(crate) fn publish(&mut self, publish: &PublishOptions<'_>, out: &mut Vec<u8>) -> u16 {
        let packet_id = match (publish.qos, publish.packet_id) {
            (QoS::AtMostOnce, _) => 0,
            (_, 0) => self.next_packet_id(),
            (_, given) => given,
        };
        let mut properties = buffer(&publish.properties);
        let topic = if self.by_alias { self.named(publish.topic, &mut properties) } else { publish.topic };
        let packet = Packet::Publish(Publish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic,
            packet_id,
            properties: properties.as_properties(),
            payload: publish.payload,
        });
        wire::encode(self.version, &packet, out);
        packet_id
    }

    pub(crate) fn subscribe(
        &mut self,
        filters: &[(&str, SubscriptionOptions)],
        properties: &[Property<'_>],
        out: &mut Vec<u8>,
    ) -> u16 {
        let packet_id = self.next_packet_id();
        let mut wanted = FilterBuffer::new();
        filters.iter().for_each(|(filter, options)| wanted.push(filter, *options));
        let properties = buffer(properties);
        let properties = properties.as_properties();
        wire::encode(
            self.version,
            &Packet::Subscribe(Subscribe { packet_id, properties, filters: wanted.as_filters() }),
            out,
        );
        packet_id
    }

    pub(crate) fn unsubscribe(&mut self, filters: &[&str], properties: &[Property<'_>], out: &mut Vec<u8>) -> u16 {
        let packet_id = self.next_packet_id();
        let mut names = NameBuffer::new();
        filters.iter().for_each(|filter| names.push(filter));
        let properties = buffer(properties);
        let properties = properties.as_properties();
        let packet = Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters: names.as_names() });
        wire::encode(self.version, &packet, out);
        packet_id
    }

    pub(crate) fn disconnect(&self, reason: ReasonCode, out: &mut Vec<u8>) {
        let packet = Packet::Disconnect(wire::Disconnect { reason, properties: Default::default() });
        wire::encode(self.version, &packet, out);
    }
}

/// What a PUBLISH says.
#[derive(Clone, Debug)]
pub struct PublishOptions<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    /// 0: the client's next.
    pub packet_id: u16,
    /// MQTT 5 only.
    pub properties: Vec<Property<'a>>,
}

impl<'a> PublishOptions<'a> {
    pub fn new(topic: &'a str, payload: &'a [u8]) -> PublishOptions<'a> {
        PublishOptions {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            packet_id: 0,
            properties: Vec::new(),
        }
    }

    pub fn qos(self, qos: QoS) -> PublishOptions<'a> {
        PublishOptions { qos, ..self }
    }

    pub fn retained(self) -> PublishOptions<'a> {
        PublishOptions { retain: true, ..self }
    }
}
