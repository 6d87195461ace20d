//! Sessions: what the broker remembers of a client, and how a message enters and leaves one.
//!
//! Called by the shard that is the client's home, on that core only. Knows packets, rows and intents; never other
//! shards, owners or sockets: it appends bytes to a buffer that it is given.

pub mod acks;
pub mod alias;
pub mod connect;
pub mod cursor;
pub mod deliver;
pub mod frame;
pub mod inflight;
pub mod lasting;
pub mod message;
pub mod queue;
pub mod reading;
pub mod share;
pub mod subscriptions;
pub mod verdict;
pub mod will;

use crate::key::{ConnId, FilterHandle};
use crate::limits::SHARE_BUSY_SUBSCRIPTIONS_MAX;
use crate::wire::{QoS, Version};
use acks::Acks;
use alias::ToClient;
use deliver::Delivery;
use lasting::Lasting;
use reading::Reading;
use subscriptions::Subscriptions;
use will::Will;

/// The Session Expiry Interval that means never, MQTT 5 section 3.1.2.11.2.
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// One client's session at its home.
pub struct Session {
    pub client_id: Box<str>,
    pub version: Version,
    /// The network connection, while there is one.
    pub conn: Option<ConnId>,
    /// Session Expiry Interval in seconds, as granted.
    pub expiry_s: u32,
    /// The client's Maximum Packet Size; `usize::MAX`: none.
    pub packet_bytes_max: usize,
    /// Reason strings and user properties are wanted on every packet, [MQTT-3.1.2-29].
    pub problem_information: bool,
    pub subscriptions: Subscriptions,
    pub delivery: Delivery,
    /// Aliases that the client was told on the present connection.
    pub aliases: Option<Box<ToClient>>,
    /// Publishes of the client whose acknowledgement has not left.
    pub acks: Acks,
    /// Walks under way that bring retained messages to plain subscriptions.
    pub walks: Reading,
    /// A merged subscription waits until its window and queue have room.
    pub is_awaited: bool,
    /// How its share groups see it.
    pub standing: Standing,
    pub will: Option<Box<Will>>,
    /// When the session ends, while it has no connection; milliseconds, monotonic.
    pub ends_at_ms: u64,
    /// Serial of the row that was last collected for this session: see `shard::fanout`.
    pub stamp: u64,
    /// Where it was collected.
    pub stamped_at: u32,
}

// An idle client costs this much: what is rarely needed is boxed.
const _: () = assert!(size_of::<Session>() <= 216);

/// Where a subscription of this session stands in the home's table of filters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionRef {
    pub handle: FilterHandle,
    pub position: u32,
}

/// How the share groups that a session is a member of see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// It was never a member of any.
    #[default]
    Outsider,
    /// Not connected.
    Absent,
    /// Connected; window or queue have no room for a message that could leave at once.
    Busy,
    Ready,
}

/// What a subscriber asked for, per filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// Deliveries are to say which version the row has.
    pub versions: bool,
    /// 0: none.
    pub subscription_id: u32,
}

impl Session {
    /// What is to be written of it, if it outlives its connection.
    pub fn lasting_mut(&mut self) -> Option<&mut Lasting> {
        self.delivery.lasting.as_deref_mut()
    }

    /// Whether the session outlives its network connection.
    pub fn is_lasting(&self) -> bool {
        self.expiry_s > 0
    }

    /// How share groups are to see a member whose socket takes what may wait, or not.
    pub fn standing_now(&self, is_blocked: bool) -> Standing {
        match self.conn {
            None => Standing::Absent,
            Some(_) if self.subscriptions.len() > SHARE_BUSY_SUBSCRIPTIONS_MAX => Standing::Ready,
            Some(_) if !is_blocked && self.delivery.queue_is_empty() && self.delivery.window_is_open() => {
                Standing::Ready
            }
            Some(_) => Standing::Busy,
        }
    }
}
