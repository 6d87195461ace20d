//! rumqttc's two clients, MQTT 3.1.1 and 5, behind one trait. No threads: a client moves only while it is waited for.

use std::collections::{HashSet, VecDeque};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest wait for anything. Nothing is asserted about time; a test that hangs must only end.
const WAIT: Duration = Duration::from_secs(20);
/// Before it connects again.
const AGAIN: Duration = Duration::from_millis(20);
/// Larger than any packet of these tests.
const PACKET_BYTES: u32 = 4 * 1024 * 1024;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
}

#[derive(Default)]
pub struct Options<'a> {
    pub id: &'a str,
    pub keep_session: bool,
    /// Topic and payload; QoS 1, not retained.
    pub will: Option<(&'a str, &'a str)>,
    /// It connects again when its connection is lost, by its own means; otherwise that is a failure.
    pub through_losses: bool,
    /// MQTT 5 only.
    pub receive_maximum: Option<u16>,
}

pub trait Mqtt: Sized {
    fn open(port: u16, options: &Options<'_>) -> Self;
    fn session_present(&self) -> bool;
    fn subscribe(&mut self, filter: &str, qos: u8);
    /// Returns when the message is acknowledged, or with QoS 0 when it is handed to the socket.
    fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool);
    /// Without waiting for its acknowledgement.
    fn send(&mut self, topic: &str, payload: &[u8], qos: u8);
    /// Waits until so many publishes were acknowledged, from the first on.
    fn settle(&mut self, count: usize);
    /// Waits until every QoS 2 message that was taken is released.
    fn released(&mut self);
    /// The next message.
    fn take(&mut self) -> Message;
    /// Waits until the broker has ended the connection.
    fn ended(&mut self);
    fn close(self);
}

macro_rules! client {
    ($name:ident, $parts:ident, $options:ident) => {
        pub mod $name {
            use super::$parts::{Client as Requests, Connection, Event, Incoming, MqttOptions, Outgoing, QoS};
            use super::*;

            pub struct Client {
                requests: Requests,
                connection: Connection,
                messages: VecDeque<Message>,
                session_present: bool,
                through_losses: bool,
                acknowledged: usize,
                /// Identifiers of QoS 2 messages that are not released. rumqttc shows a message again that comes with DUP,
                /// so its user has to keep them.
                taken: HashSet<u16>,
            }

            impl Client {
                /// Moves the connection until `done` has seen what it wants.
                fn until(&mut self, mut done: impl FnMut(&Event) -> bool) {
                    let deadline = Instant::now() + WAIT;
                    loop {
                        let left = deadline.saturating_duration_since(Instant::now());
                        match self.connection.recv_timeout(left).expect("no answer in time") {
                            Ok(event) => {
                                self.look(&event);
                                if done(&event) {
                                    return;
                                }
                            }
                            Err(fault) if self.through_losses => {
                                assert!(Instant::now() < deadline, "{fault}");
                                sleep(AGAIN);
                            }
                            Err(fault) => panic!("{fault}"),
                        }
                    }
                }

                fn look(&mut self, event: &Event) {
                    match event {
                        Event::Incoming(Incoming::Publish(publish)) => {
                            let again = publish.qos == QoS::ExactlyOnce && !self.taken.insert(publish.pkid);
                            if !again {
                                let topic = String::from_utf8(publish.topic.clone().into()).unwrap();
                                let (payload, qos) = (publish.payload.to_vec(), publish.qos as u8);
                                self.messages.push_back(Message { topic, payload, qos, retain: publish.retain });
                            }
                            assert!(!again || publish.dup, "{publish:?} without DUP");
                        }
                        Event::Incoming(Incoming::PubRel(pubrel)) => {
                            self.taken.remove(&pubrel.pkid);
                        }
                        Event::Incoming(Incoming::PubAck(_) | Incoming::PubComp(_)) => self.acknowledged += 1,
                        Event::Incoming(Incoming::ConnAck(connack)) => self.session_present = connack.session_present,
                        _ => {}
                    }
                }
            }

            fn level(qos: u8) -> QoS {
                [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)]
            }

            impl Mqtt for Client {
                fn open(port: u16, options: &Options<'_>) -> Client {
                    let mut settings = MqttOptions::new(options.id, "127.0.0.1", port);
                    settings.set_keep_alive(Duration::from_secs(30));
                    $options(&mut settings, options);
                    let (requests, connection) = Requests::new(settings, 16);
                    let mut client = Client {
                        requests,
                        connection,
                        messages: VecDeque::new(),
                        session_present: false,
                        through_losses: options.through_losses,
                        acknowledged: 0,
                        taken: HashSet::new(),
                    };
                    client.until(|event| matches!(event, Event::Incoming(Incoming::ConnAck(_))));
                    client
                }

                fn session_present(&self) -> bool {
                    self.session_present
                }

                fn subscribe(&mut self, filter: &str, qos: u8) {
                    self.requests.subscribe(filter, level(qos)).unwrap();
                    self.until(|event| matches!(event, Event::Incoming(Incoming::SubAck(_))));
                }

                fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) {
                    self.requests.publish(topic, level(qos), retain, payload.to_vec()).unwrap();
                    self.until(|event| match (qos, event) {
                        (0, Event::Outgoing(Outgoing::Publish(_))) => true,
                        (1, Event::Incoming(Incoming::PubAck(_))) => true,
                        (2, Event::Incoming(Incoming::PubComp(_))) => true,
                        _ => false,
                    });
                }

                fn send(&mut self, topic: &str, payload: &[u8], qos: u8) {
                    self.requests.publish(topic, level(qos), false, payload.to_vec()).unwrap();
                }

                fn settle(&mut self, count: usize) {
                    while self.acknowledged < count {
                        self.until(|event| {
                            matches!(event, Event::Incoming(Incoming::PubAck(_) | Incoming::PubComp(_)))
                        });
                    }
                }

                fn released(&mut self) {
                    while !self.taken.is_empty() {
                        self.until(|event| matches!(event, Event::Incoming(Incoming::PubRel(_))));
                    }
                }

                fn take(&mut self) -> Message {
                    while self.messages.is_empty() {
                        self.until(|event| matches!(event, Event::Incoming(Incoming::Publish(_))));
                    }
                    self.messages.pop_front().unwrap()
                }

                fn ended(&mut self) {
                    let deadline = Instant::now() + WAIT;
                    // it would connect again if it were moved after its error
                    while self
                        .connection
                        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                        .unwrap()
                        .is_ok()
                    {}
                }

                fn close(mut self) {
                    self.requests.disconnect().unwrap();
                    self.until(|event| matches!(event, Event::Outgoing(Outgoing::Disconnect)));
                }
            }
        }
    };
}

fn options_v311(settings: &mut rumqttc::MqttOptions, options: &Options<'_>) {
    settings.set_clean_session(!options.keep_session);
    settings.set_max_packet_size(PACKET_BYTES as usize, PACKET_BYTES as usize);
    if let Some((topic, payload)) = options.will {
        settings.set_last_will(rumqttc::LastWill::new(topic, payload, rumqttc::QoS::AtLeastOnce, false));
    }
}

fn options_v5(settings: &mut rumqttc::v5::MqttOptions, options: &Options<'_>) {
    use rumqttc::v5::mqttbytes::{QoS, v5::LastWill};
    settings.set_clean_start(!options.keep_session);
    settings.set_session_expiry_interval(options.keep_session.then_some(600));
    settings.set_receive_maximum(options.receive_maximum);
    settings.set_max_packet_size(Some(PACKET_BYTES));
    if let Some((topic, payload)) = options.will {
        settings.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, false, None));
    }
}

mod parts_v311 {
    pub use rumqttc::{Client, Connection, Event, Incoming, MqttOptions, Outgoing, QoS};
}

mod parts_v5 {
    pub use rumqttc::Outgoing;
    pub use rumqttc::v5::mqttbytes::QoS;
    pub use rumqttc::v5::{Client, Connection, Event, Incoming, MqttOptions};
}

client!(v311, parts_v311, options_v311);
client!(v5, parts_v5, options_v5);
