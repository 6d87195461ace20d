//! What the process is made of, decided before anything starts: shards, cores, listeners, sizes.

use engine::limits::{LINK_PARCELS_DEFAULT, SHARDS_MAX};
use std::net::SocketAddr;

/// See the module. `boot` takes it as it is; whoever reads the configuration fills it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub listeners: Vec<SocketAddr>,
    /// Connections a second that each accepts, in their order; 0, and of those that have none here: no bound.
    pub connect_rates: Vec<u32>,
    /// 1 to `SHARDS_MAX`; more than cores is allowed.
    pub shards: usize,
    /// Each shard stays on a core of its own, as long as there are as many.
    pub pin_cores: bool,
    /// Credit of each lane between two shards.
    pub link_parcels: usize,
    /// Microseconds that an idle shard looks again before it sleeps.
    pub spin_us: u32,
    /// Microseconds that it then waits in its own ring, which is cheaper to leave, before it sleeps in glommio.
    pub nap_us: u32,
    /// Milliseconds that a socket may wait for its home shard to take it.
    pub handoff_ms: u64,
    /// Milliseconds from the request to stop until what is still unsent is dropped.
    pub stop_grace_ms: u64,
    pub ring: RingPlan,
    /// Sockets of clients that the process has at once. `None`: as many as it may have descriptors, but for a few.
    pub connections: Option<usize>,
    /// Memory that is not a file's, above which what would take more is refused; 0: no bound. `None`: three quarters of what
    /// there is.
    pub memory_bytes: Option<u64>,
}

/// Sizes of one shard's ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingPlan {
    /// Orders to the kernel that one system call carries; a power of two.
    pub submissions: u32,
    /// Completions that the kernel can write before it keeps them aside; a power of two.
    pub completions: u32,
    /// Receive buffers that all connections of the shard share; a power of two.
    pub buffers: u16,
    pub buffer_bytes: u32,
}

impl Default for RingPlan {
    /// 256 buffers of 16 KiB: 4 MiB per shard, touched only as far as bytes arrive.
    fn default() -> RingPlan {
        RingPlan { submissions: 512, completions: 4_096, buffers: 256, buffer_bytes: 16 * 1024 }
    }
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            listeners: vec![SocketAddr::from(([127, 0, 0, 1], 1883))],
            connect_rates: Vec::new(),
            shards: default_shards(),
            pin_cores: true,
            link_parcels: LINK_PARCELS_DEFAULT,
            spin_us: 0,
            nap_us: 1_000,
            handoff_ms: 10_000,
            stop_grace_ms: 5_000,
            ring: RingPlan::default(),
            connections: None,
            memory_bytes: None,
        }
    }
}

/// One shard per core that this process may use and is granted (cgroup quotas count).
pub fn default_shards() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(SHARDS_MAX)
}

/// The cores that this process may run on, lowest first.
pub fn allowed_cores() -> Vec<usize> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
        Err(_) => Vec::new(),
    }
}

impl Plan {
    /// The core of each shard, or none where they do not all get one of their own.
    pub fn cores(&self) -> Vec<Option<usize>> {
        let cores = allowed_cores();
        if self.pin_cores && self.shards <= cores.len() {
            cores.into_iter().take(self.shards).map(Some).collect()
        } else {
            vec![None; self.shards]
        }
    }
}
