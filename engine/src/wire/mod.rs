//! Bytes to packets and packets to bytes, MQTT 3.1, 3.1.1 and 5.0, both directions.
//!
//! Called by sessions at a client's home, by the command line clients and by tests. Decoding borrows from the
//! bytes and copies nothing; the protocol version is a value. Never holds state between packets.

mod fault;
mod packet;
mod property;
mod reason;

pub use fault::Fault;
pub use packet::*;
pub use property::{Properties, Property, PropertyBuffer};
pub use reason::ReasonCode;
