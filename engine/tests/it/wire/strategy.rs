//! Arbitrary legal packets. What they borrow is leaked, so that they are plain values which shrink.

use engine::wire::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The bits of a legal SUBSCRIBE filter do not matter to the wire, but other codecs judge them.
const FILTERS: &str = "[^\u{0}+#$/]{1,9}(/[+]){0,2}(/#)?";

pub fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V31), Just(Version::V311), Just(Version::V5)]
}

pub fn versioned() -> impl Strategy<Value = (Version, Packet<'static>)> {
    version().prop_flat_map(|version| packet(version).prop_map(move |packet| (version, packet)))
}

pub fn packet(version: Version) -> BoxedStrategy<Packet<'static>> {
    let shared = prop_oneof![
        connect(version).prop_map(Packet::Connect),
        connack(version).prop_map(Packet::Connack),
        publish(version).prop_map(Packet::Publish),
        ack(version).prop_map(Packet::Ack),
        subscribe(version).prop_map(Packet::Subscribe),
        suback(version).prop_map(Packet::Suback),
        unsubscribe(version).prop_map(Packet::Unsubscribe),
        unsuback(version).prop_map(Packet::Unsuback),
        disconnect(version).prop_map(Packet::Disconnect),
        Just(Packet::Pingreq),
        Just(Packet::Pingresp),
    ];
    match version {
        Version::V5 => prop_oneof![11 => shared, 1 => auth().prop_map(Packet::Auth)].boxed(),
        _ => shared.boxed(),
    }
}

fn text() -> impl Strategy<Value = &'static str> {
    "[^\u{0}]{0,9}".prop_map(|text| &*text.leak())
}

fn topic() -> impl Strategy<Value = &'static str> {
    "[^\u{0}+#]{1,40}".prop_map(|text| &*text.leak())
}

fn binary() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..12).prop_map(|bytes| &*bytes.leak())
}

fn payload() -> impl Strategy<Value = &'static [u8]> {
    // Around the places where Remaining Length grows a byte.
    let len = prop_oneof![4 => 0..40usize, 2 => 80..140usize, 1 => 16_300..16_400usize];
    (len, any::<u8>()).prop_map(|(len, byte)| &*vec![byte; len].leak())
}

fn packet_id() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn reason(of: &'static [u8]) -> impl Strategy<Value = ReasonCode> {
    prop::sample::select(of).prop_map(|byte| ReasonCode::from_byte(byte).unwrap())
}

fn reasons(of: &'static [u8]) -> impl Strategy<Value = &'static [u8]> {
    vec(prop::sample::select(of), 1..6).prop_map(|bytes| &*bytes.leak())
}

type Properties5 = BoxedStrategy<Properties<'static>>;

/// Any of `once`, User Properties, and `repeated`, in any order.
fn properties(
    version: Version,
    once: Vec<BoxedStrategy<Property<'static>>>,
    repeated: Option<BoxedStrategy<Property<'static>>>,
) -> Properties5 {
    if !version.is_v5() {
        return Just(Properties::EMPTY).boxed();
    }
    let once: Vec<_> = once.into_iter().map(|property| option::weighted(0.3, property)).collect();
    let user = (text(), text()).prop_map(|(name, value)| Property::UserProperty(name, value)).boxed();
    let many = vec(user, 0..3);
    let repeated = vec(repeated.unwrap_or(Just(Property::UserProperty("", "")).boxed()), 0..2);
    let all = (once, many, repeated).prop_map(|(once, many, repeated)| {
        once.into_iter().flatten().chain(many).chain(repeated).collect::<Vec<Property<'static>>>()
    });
    all.prop_shuffle().prop_map(|all| of(&all)).boxed()
}

/// An encoded list that lives as long as the test.
pub fn of(all: &[Property<'_>]) -> Properties<'static> {
    let mut buffer = PropertyBuffer::new();
    for property in all {
        buffer.push(property);
    }
    Properties::from_encoded(buffer.as_properties().bytes().to_vec().leak())
}

macro_rules! any_of {
    ($($name:ident($value:expr)),* $(,)?) => { vec![$($value.prop_map(Property::$name).boxed()),*] };
}

fn message_properties() -> Vec<BoxedStrategy<Property<'static>>> {
    any_of![
        PayloadFormatIndicator(0..=1u8),
        MessageExpiryInterval(any::<u32>()),
        ContentType(text()),
        ResponseTopic(topic()),
        CorrelationData(binary()),
    ]
}

fn subscription_identifier() -> BoxedStrategy<Property<'static>> {
    prop_oneof![1..200u32, 1..=268_435_455u32].prop_map(Property::SubscriptionIdentifier).boxed()
}

fn connect(version: Version) -> impl Strategy<Value = Connect<'static>> {
    let once = any_of![
        SessionExpiryInterval(any::<u32>()),
        ReceiveMaximum(1..=u16::MAX),
        MaximumPacketSize(1..=u32::MAX),
        TopicAliasMaximum(any::<u16>()),
        RequestResponseInformation(0..=1u8),
        RequestProblemInformation(0..=1u8),
        AuthenticationMethod(text()),
    ];
    let user = (option::of(text()), option::of(binary()));
    let rest = (any::<bool>(), any::<u16>(), text(), option::of(will(version)), user);
    (properties(version, once, None), rest).prop_map(move |(properties, rest)| {
        let (clean_start, keep_alive, client_id, will, (user_name, password)) = rest;
        // Before MQTT 5 there is no password without a name; in 3.1 an empty rest means neither.
        let password = if version.is_v5() || user_name.is_some() { password } else { None };
        Connect { version, clean_start, keep_alive, properties, client_id, will, user_name, password }
    })
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    let mut once = message_properties();
    once.push(any::<u32>().prop_map(Property::WillDelayInterval).boxed());
    (qos(), any::<bool>(), properties(version, once, None), topic(), binary())
        .prop_map(|(qos, retain, properties, topic, payload)| Will { qos, retain, properties, topic, payload })
}

fn connack(version: Version) -> impl Strategy<Value = Connack<'static>> {
    const CODES: &[u8] = &[
        0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B,
        0x9C, 0x9D, 0x9F,
    ];
    let once = any_of![
        SessionExpiryInterval(any::<u32>()),
        ReceiveMaximum(1..=u16::MAX),
        MaximumQoS(0..=1u8),
        RetainAvailable(0..=1u8),
        MaximumPacketSize(1..=u32::MAX),
        AssignedClientIdentifier(text()),
        TopicAliasMaximum(any::<u16>()),
        ReasonString(text()),
        WildcardSubscriptionAvailable(0..=1u8),
        SubscriptionIdentifierAvailable(0..=1u8),
        SharedSubscriptionAvailable(0..=1u8),
        ServerKeepAlive(any::<u16>()),
        ResponseInformation(text()),
        ServerReference(text()),
        AuthenticationMethod(text()),
        AuthenticationData(binary()),
    ];
    let codes = if version.is_v5() { CODES } else { &[0, 1, 2, 3, 4, 5] };
    let code = prop_oneof![Just(0), prop::sample::select(codes)];
    (any::<bool>(), code, properties(version, once, None)).prop_map(move |(session_present, code, properties)| {
        // A refusal has no session, and MQTT 3.1 no flag for it.
        let session_present = session_present && code == 0 && version != Version::V31;
        Connack { session_present, code, properties }
    })
}

fn publish(version: Version) -> impl Strategy<Value = Publish<'static>> {
    let mut once = message_properties();
    once.push((1..=u16::MAX).prop_map(Property::TopicAlias).boxed());
    let properties = properties(version, once, Some(subscription_identifier()));
    (any::<bool>(), qos(), any::<bool>(), (topic(), any::<bool>()), packet_id(), properties, payload()).prop_map(
        |(dup, qos, retain, (topic, by_alias), packet_id, properties, payload)| {
            let sent_once = qos == QoS::AtMostOnce;
            let topic = if by_alias && properties.topic_alias().is_some() { "" } else { topic };
            let packet_id = if sent_once { 0 } else { packet_id };
            Publish { dup: dup && !sent_once, qos, retain, topic, packet_id, properties, payload }
        },
    )
}

fn ack(version: Version) -> BoxedStrategy<Ack<'static>> {
    const RECEIVED: &[u8] = &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    const RELEASED: &[u8] = &[0, 0x92];
    let of = move |kinds: &'static [AckKind], codes: &'static [u8]| {
        let codes = if version.is_v5() { codes } else { &[0] };
        let properties = properties(version, any_of![ReasonString(text())], None);
        let reason = prop_oneof![Just(ReasonCode::Success), reason(codes)];
        (prop::sample::select(kinds), packet_id(), reason, properties)
            .prop_map(|(kind, packet_id, reason, properties)| Ack { kind, packet_id, reason, properties })
    };
    let received = of(&[AckKind::Puback, AckKind::Pubrec], RECEIVED);
    prop_oneof![received, of(&[AckKind::Pubrel, AckKind::Pubcomp], RELEASED)].boxed()
}

fn options(version: Version) -> impl Strategy<Value = SubscriptionOptions> {
    (qos(), any::<bool>(), any::<bool>(), 0..3u8).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| match version {
            Version::V5 => SubscriptionOptions { qos, no_local, retain_as_published, retain_handling },
            _ => SubscriptionOptions { qos, ..SubscriptionOptions::default() },
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe<'static>> {
    let properties = properties(version, vec![subscription_identifier()], None);
    (packet_id(), properties, vec((FILTERS, options(version)), 1..5)).prop_map(|(packet_id, properties, filters)| {
        let mut buffer = FilterBuffer::new();
        for (filter, options) in &filters {
            buffer.push(filter, *options);
        }
        let buffer: &'static FilterBuffer = Box::leak(Box::new(buffer));
        Subscribe { packet_id, properties, filters: buffer.as_filters() }
    })
}

fn suback(version: Version) -> impl Strategy<Value = Suback<'static>> {
    const CODES: &[u8] = &[0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    let codes = if version.is_v5() { CODES } else { &[0, 1, 2, 0x80] };
    let properties = properties(version, any_of![ReasonString(text())], None);
    (packet_id(), properties, reasons(codes)).prop_map(|(packet_id, properties, reasons)| Suback {
        packet_id,
        properties,
        reasons,
    })
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe<'static>> {
    let properties = properties(version, vec![], None);
    (packet_id(), properties, vec(FILTERS, 1..5)).prop_map(|(packet_id, properties, filters)| {
        let mut buffer = NameBuffer::new();
        for filter in &filters {
            buffer.push(filter);
        }
        let buffer: &'static NameBuffer = Box::leak(Box::new(buffer));
        Unsubscribe { packet_id, properties, filters: buffer.as_names() }
    })
}

fn unsuback(version: Version) -> impl Strategy<Value = Unsuback<'static>> {
    const CODES: &[u8] = &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    let properties = properties(version, any_of![ReasonString(text())], None);
    (packet_id(), properties, reasons(CODES)).prop_map(move |(packet_id, properties, reasons)| {
        let reasons = if version.is_v5() { reasons } else { &[] };
        Unsuback { packet_id, properties, reasons }
    })
}

fn disconnect(version: Version) -> impl Strategy<Value = Disconnect<'static>> {
    const CODES: &[u8] = &[
        0, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
        0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ];
    let once = any_of![SessionExpiryInterval(any::<u32>()), ReasonString(text()), ServerReference(text())];
    let codes = if version.is_v5() { CODES } else { &[0] };
    (reason(codes), properties(version, once, None)).prop_map(|(reason, properties)| Disconnect { reason, properties })
}

fn auth() -> impl Strategy<Value = Auth<'static>> {
    let once = any_of![AuthenticationMethod(text()), AuthenticationData(binary()), ReasonString(text())];
    (reason(&[0, 0x18, 0x19]), properties(Version::V5, once, None))
        .prop_map(|(reason, properties)| Auth { reason, properties })
}
