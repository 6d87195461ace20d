//! Time as the engine knows it: a value that comes with every input. Only the loop reads a clock.

/// The moment of an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Monotonic, in milliseconds since the process started. Timers are set by it.
    pub mono_ms: u64,
    /// Wall clock, in milliseconds since 1970. Expiry of what is kept on disk is counted by it.
    pub wall_ms: u64,
}
