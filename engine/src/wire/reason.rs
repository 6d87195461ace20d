//! Reason Codes, MQTT 5 section 2.4. The number is the byte on the wire.

use super::Fault;

/// See the module. `Success` is also Normal disconnection and Granted QoS 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ReasonCode {
    Success = 0x00,
    GrantedQoS1 = 0x01,
    GrantedQoS2 = 0x02,
    DisconnectWithWill = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QoSNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
}

/// Every Reason Code, in ascending order.
const ALL: [ReasonCode; 43] = [
    ReasonCode::Success,
    ReasonCode::GrantedQoS1,
    ReasonCode::GrantedQoS2,
    ReasonCode::DisconnectWithWill,
    ReasonCode::NoMatchingSubscribers,
    ReasonCode::NoSubscriptionExisted,
    ReasonCode::ContinueAuthentication,
    ReasonCode::ReAuthenticate,
    ReasonCode::UnspecifiedError,
    ReasonCode::MalformedPacket,
    ReasonCode::ProtocolError,
    ReasonCode::ImplementationSpecificError,
    ReasonCode::UnsupportedProtocolVersion,
    ReasonCode::ClientIdentifierNotValid,
    ReasonCode::BadUserNameOrPassword,
    ReasonCode::NotAuthorized,
    ReasonCode::ServerUnavailable,
    ReasonCode::ServerBusy,
    ReasonCode::Banned,
    ReasonCode::ServerShuttingDown,
    ReasonCode::BadAuthenticationMethod,
    ReasonCode::KeepAliveTimeout,
    ReasonCode::SessionTakenOver,
    ReasonCode::TopicFilterInvalid,
    ReasonCode::TopicNameInvalid,
    ReasonCode::PacketIdentifierInUse,
    ReasonCode::PacketIdentifierNotFound,
    ReasonCode::ReceiveMaximumExceeded,
    ReasonCode::TopicAliasInvalid,
    ReasonCode::PacketTooLarge,
    ReasonCode::MessageRateTooHigh,
    ReasonCode::QuotaExceeded,
    ReasonCode::AdministrativeAction,
    ReasonCode::PayloadFormatInvalid,
    ReasonCode::RetainNotSupported,
    ReasonCode::QoSNotSupported,
    ReasonCode::UseAnotherServer,
    ReasonCode::ServerMoved,
    ReasonCode::SharedSubscriptionsNotSupported,
    ReasonCode::ConnectionRateExceeded,
    ReasonCode::MaximumConnectTime,
    ReasonCode::SubscriptionIdentifiersNotSupported,
    ReasonCode::WildcardSubscriptionsNotSupported,
];

/// The packets that carry a Reason Code, by which codes they may carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carrier {
    Connack,
    /// PUBACK and PUBREC.
    Puback,
    /// PUBREL and PUBCOMP.
    Pubrel,
    Suback,
    Unsuback,
    Disconnect,
    Auth,
}

impl ReasonCode {
    pub fn from_byte(byte: u8) -> Option<ReasonCode> {
        ALL.into_iter().find(|code| *code as u8 == byte)
    }

    /// Reason Codes of 0x80 and above say failure.
    pub fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether only a server ends a connection with it: MQTT 5 section 3.14.2.1, [MQTT-3.14.2-1].
    pub fn is_of_server(self) -> bool {
        matches!(self as u8, 0x87 | 0x89 | 0x8B | 0x8D..=0x8F | 0x9A..=0xA2)
    }

    /// The Reason Code `byte` in a packet of `carrier`, whichever side sent it. Section 2.4, table 2-6.
    pub(super) fn read(byte: u8, carrier: Carrier) -> Result<ReasonCode, Fault> {
        let code = ReasonCode::from_byte(byte).ok_or(Fault::protocol("unknown Reason Code"))?;
        if code.is_in(carrier) { Ok(code) } else { Err(Fault::protocol("Reason Code of another packet type")) }
    }

    pub(super) fn is_in(self, carrier: Carrier) -> bool {
        match (self as u8, carrier) {
            (0x00, _) => true,
            (code, Carrier::Connack) => {
                matches!(code, 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F)
            }
            (code, Carrier::Puback) => matches!(code, 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99),
            (code, Carrier::Pubrel) => code == 0x92,
            (code, Carrier::Suback) => {
                matches!(code, 0x01 | 0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2)
            }
            (code, Carrier::Unsuback) => matches!(code, 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91),
            (code, Carrier::Disconnect) => matches!(
                code,
                0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B..=0x90 | 0x93..=0x9F | 0xA0..=0xA2
            ),
            (code, Carrier::Auth) => matches!(code, 0x18 | 0x19),
        }
    }
}
