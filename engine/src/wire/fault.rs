//! What is wrong with bytes, and whose fault it is.

use super::ReasonCode;

/// Why bytes are not a packet that may be obeyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Malformed Packet (0x81), Protocol Error (0x82), or the more exact code that the specification names.
    pub code: ReasonCode,
    /// What and where, for the log and for the Reason String.
    pub what: &'static str,
}

impl Fault {
    pub const fn malformed(what: &'static str) -> Fault {
        Fault { code: ReasonCode::MalformedPacket, what }
    }

    pub const fn protocol(what: &'static str) -> Fault {
        Fault { code: ReasonCode::ProtocolError, what }
    }

    pub(super) const fn topic_alias(what: &'static str) -> Fault {
        Fault { code: ReasonCode::TopicAliasInvalid, what }
    }

    pub(super) const fn version(what: &'static str) -> Fault {
        Fault { code: ReasonCode::UnsupportedProtocolVersion, what }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (0x{:02X})", self.what, self.code as u8)
    }
}

impl std::error::Error for Fault {}
