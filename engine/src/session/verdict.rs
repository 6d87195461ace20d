//! What an owner says of a publish, or of the part of it that it owns.

use crate::wire::ReasonCode;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Anybody was subscribed.
    pub matched: bool,
    /// All that say `Kept`: the homes that it went to, and the owner where retained rows changed.
    pub keepers: u32,
    /// How often it was told to homes that something of it comes, before it came.
    pub opens: u32,
    /// Groups that applied their part.
    pub applied: u32,
    /// Groups that refused it.
    pub refused: u32,
    /// Why, where any did: of the first.
    pub refusal: Option<Refusal>,
    /// Of what one group retains: the version that it has now.
    pub version: Option<u64>,
}

/// Why an owner refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// More than may be retained.
    Quota,
    /// The condition does not hold: the object has this version.
    Conflict { version: u64 },
    /// The key of option `id` was used with another payload.
    Reused,
    /// `set` or `replace` would change more rows than `limits.set_rows`.
    TooManyRows,
}

impl Refusal {
    pub fn code(self) -> ReasonCode {
        match self {
            Refusal::Quota => ReasonCode::QuotaExceeded,
            Refusal::Conflict { .. } | Refusal::Reused => ReasonCode::ImplementationSpecificError,
            Refusal::TooManyRows => ReasonCode::PayloadFormatInvalid,
        }
    }

    /// For a Reason String, and for a message to the publisher alone.
    pub fn words(self) -> &'static str {
        match self {
            Refusal::Quota => "no more messages can be retained",
            Refusal::Conflict { .. } => "conflict: the object has another version than the condition asks for",
            Refusal::Reused => "id-reused: this key was used with another payload",
            Refusal::TooManyRows => "more rows than limits.set_rows would change",
        }
    }
}

impl Verdict {
    /// One group refuses its part.
    pub fn refused(refusal: Refusal) -> Verdict {
        Verdict { refused: 1, refusal: Some(refusal), ..Verdict::default() }
    }

    /// What several groups say together.
    pub fn and(self, other: Verdict) -> Verdict {
        let version = if self.applied == 0 { other.version } else { self.version.filter(|_| other.applied == 0) };
        Verdict {
            matched: self.matched | other.matched,
            keepers: self.keepers + other.keepers,
            opens: self.opens + other.opens,
            applied: self.applied + other.applied,
            refused: self.refused + other.refused,
            refusal: self.refusal.or(other.refusal),
            version,
        }
    }
}
