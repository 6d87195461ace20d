//! The ring room: sockets on our own io_uring, inside a glommio executor. The only room that names either.
//!
//! Called by `boot` (start a shard's thread, judge the kernel) and by the shard loop (everything else), on the
//! thread of the shard that owns the ring. It must never block but in `Sleeper::sleep`, never make a system call
//! per message, and never hand out memory that the kernel may still write or read.
//!
//! glommio places the thread, wakes it and keeps its timers; it has no multishot operations and no buffer rings,
//! so its sockets are not used. The order of a turn: orders are written to the submission queue as memory, one
//! `Ring::enter` hands them to the kernel and runs what completed meanwhile (deferred task run: completions
//! happen in that call and nowhere else), `Ring::collect` reads the results as memory.

mod executor;
mod inflight;
mod probe;
mod provided;
mod ring;
mod sleep;
mod token;

pub(crate) use executor::{spawn, yield_if_due};
pub use probe::KernelError;
pub(crate) use probe::check_kernel;
#[cfg(test)]
pub(crate) use provided::Filled;
pub(crate) use ring::{Completion, Event, Received, Ring, SendEnd};
pub(crate) use sleep::Sleeper;
