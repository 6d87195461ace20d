//! `$SYS`: what the broker says about itself, as retained rows under the names that Mosquitto gives them, and the same
//! per shard.
//!
//! Every shard counts for itself and reports to the owner of `$SYS` at the same moments; when all have reported, or one
//! of them a second time, the owner publishes what is new, as one batch.
//!
//! ```text
//! shard 0 ─ Report ─▶ ┐
//! shard 1 ─ Report ─▶ ├ owner of $SYS: sums, maxima, loads ─▶ rows that changed ─▶ Subtree::apply_unwritten
//! shard n ─ Report ─▶ ┘
//! ```

use super::home::Ask;
use super::outbox::Outbox;
use super::subtree::Subtree;
use super::wheel::Timer;
use super::{Shard, input::Process, owner_side};
use crate::clock::Now;
use crate::key::{Client, SessionKey, ShardId};
use crate::row::batch::{Batch, Packet, Row, View};
use crate::stats::Stats;
use crate::wire::QoS;
use std::fmt::{Display, Write};

pub use crate::topic::owner::SYS_ROOT as ROOT;
/// What the broker calls itself in `$SYS/broker/version`.
pub const VERSION: &str = concat!("mote version ", env!("CARGO_PKG_VERSION"));

/// What is known of the broker as a whole.
#[derive(Clone, Copy, Default, Debug)]
pub struct Whole {
    /// Sums over all shards.
    pub sum: Stats,
    pub shards: u64,
    /// Most clients that were connected at one of the moments that were looked at.
    pub clients_max: u64,
    pub heap_bytes: u64,
    /// The most of it at one of those moments.
    pub heap_bytes_max: u64,
}

/// A figure of some `T`: the end of its topic, and where it stands.
pub type Figure<T> = (&'static str, fn(&T) -> u64);

/// Figures of the broker, below `$SYS/broker/`.
pub const BROKER: [Figure<Whole>; 48] = [
    ("clients/total", |w| w.sum.sessions),
    ("clients/maximum", |w| w.clients_max),
    ("clients/connected", |w| w.sum.clients),
    ("clients/active", |w| w.sum.clients),
    ("clients/disconnected", |w| w.sum.sessions - w.sum.clients),
    ("clients/inactive", |w| w.sum.sessions - w.sum.clients),
    ("clients/expired", |w| w.sum.sessions_expired),
    ("connections/count", |w| w.sum.connections),
    ("connections/socket/count", |w| w.sum.sockets),
    ("connections/refused", |w| w.sum.sockets_refused),
    ("connections/outages", |w| w.sum.accept_outages),
    ("subscriptions/count", |w| w.sum.subscriptions),
    ("shared_subscriptions/count", |w| w.sum.shared_subscriptions),
    ("shared_subscriptions/messages/moved", |w| w.sum.share_moved),
    ("shared_subscriptions/messages/returned", |w| w.sum.share_returned),
    ("retained messages/count", |w| w.sum.rows_retained),
    ("retained messages/tombstones", |w| w.sum.tombstones),
    ("messages/stored", |w| w.sum.rows_retained + w.sum.messages_waiting),
    ("store/messages/count", |w| w.sum.rows_retained + w.sum.messages_waiting),
    ("store/messages/bytes", |w| w.sum.row_bytes_retained + w.sum.message_bytes_waiting),
    ("messages/waiting/count", |w| w.sum.messages_waiting),
    ("messages/waiting/bytes", |w| w.sum.message_bytes_waiting),
    ("messages/received", |w| w.sum.packets_received),
    ("messages/sent", |w| w.sum.packets_sent),
    ("bytes/received", |w| w.sum.bytes_received),
    ("bytes/sent", |w| w.sum.bytes_sent),
    ("packet/out/count", |w| w.sum.packets_unsent),
    ("packet/out/bytes", |w| w.sum.bytes_unsent),
    ("publish/messages/received", |w| w.sum.publishes_received),
    ("publish/messages/sent", |w| w.sum.publishes_sent),
    ("publish/messages/unmatched", |w| w.sum.publishes_unmatched),
    ("publish/messages/dropped", |w| w.sum.dropped()),
    ("publish/messages/dropped/slow", |w| w.sum.publishes_dropped),
    ("publish/messages/dropped/queue", |w| w.sum.queue_overflows),
    ("publish/messages/dropped/share", |w| w.sum.share_dropped),
    ("publish/messages/dropped/oversize", |w| w.sum.oversize_dropped),
    ("publish/messages/dropped/expired", |w| w.sum.expired_dropped),
    ("publish/bytes/received", |w| w.sum.publish_bytes_received),
    ("publish/bytes/sent", |w| w.sum.publish_bytes_sent),
    ("frames/sent", |w| w.sum.frames_sent),
    ("frames/rows/sent", |w| w.sum.frame_rows_sent),
    ("frames/events/lost", |w| w.sum.events_lost),
    ("heap/current", |w| w.heap_bytes),
    ("heap/maximum", |w| w.heap_bytes_max),
    ("heap/refused", |w| w.sum.memory_refused),
    ("clients/refused", |w| w.sum.sessions_refused),
    ("connections/slowed", |w| w.sum.rate_waits),
    ("shards/count", |w| w.shards),
];

/// Figures of one shard, below `$SYS/broker/shards/<n>/`.
pub const SHARD: [Figure<Stats>; 17] = [
    ("clients/total", |s| s.sessions),
    ("clients/connected", |s| s.clients),
    ("connections/count", |s| s.connections),
    ("subscriptions/count", |s| s.subscriptions),
    ("retained messages/count", |s| s.rows_retained),
    ("messages/waiting/count", |s| s.messages_waiting),
    ("messages/waiting/bytes", |s| s.message_bytes_waiting),
    ("messages/received", |s| s.packets_received),
    ("messages/sent", |s| s.packets_sent),
    ("bytes/received", |s| s.bytes_received),
    ("bytes/sent", |s| s.bytes_sent),
    ("publish/messages/received", |s| s.publishes_received),
    ("publish/messages/sent", |s| s.publishes_sent),
    ("publish/messages/dropped", Stats::dropped),
    ("timers/count", |s| s.timers),
    ("links/parcels", |s| s.parcels),
    ("busy/permille", |s| s.busy_permille),
];

/// Counters whose rate per minute is told, as an average that forgets: below `$SYS/broker/load/`.
pub const LOADS: [Figure<Stats>; 9] = [
    ("messages/received", |s| s.packets_received),
    ("messages/sent", |s| s.packets_sent),
    ("publish/dropped", Stats::dropped),
    ("publish/received", |s| s.publishes_received),
    ("publish/sent", |s| s.publishes_sent),
    ("bytes/received", |s| s.bytes_received),
    ("bytes/sent", |s| s.bytes_sent),
    ("sockets", |s| s.sockets),
    ("connections", |s| s.connects),
];

/// Over how many minutes.
pub const SPANS: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

/// The figures of one shard at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Which publication they are for: the time since the process started, in intervals.
    pub tick: u64,
    pub stats: Stats,
}

/// See the module. Of use at the owner of `$SYS`; the others have it idle.
pub struct Sys {
    interval_ms: u64,
    /// When this shard reports next.
    pub next_ms: u64,
    /// What each shard reported last.
    latest: Vec<Stats>,
    /// Who reported since the last publication: a bit per shard.
    reported: u64,
    /// Of the newest report.
    tick: u64,
    is_due: bool,
    /// The tick and the sums of the last publication.
    last: Option<(u64, Stats)>,
    clients_max: u64,
    heap_bytes_max: u64,
    /// Per minute, by counter and span.
    loads: [[f64; SPANS.len()]; LOADS.len()],
    rows: Rows,
}

/// Rows that say something new.
#[derive(Default)]
struct Rows {
    batch: Batch,
    topic: String,
    text: String,
}

impl Sys {
    pub fn new(shards: u16, interval_s: u32) -> Sys {
        Sys {
            interval_ms: u64::from(interval_s) * 1_000,
            next_ms: if interval_s > 0 { 0 } else { u64::MAX },
            latest: vec![Stats::default(); usize::from(shards)],
            reported: 0,
            tick: 0,
            is_due: false,
            last: None,
            clients_max: 0,
            heap_bytes_max: 0,
            loads: Default::default(),
            rows: Rows::default(),
        }
    }

    /// Whether there is something to publish.
    pub fn is_due(&self) -> bool {
        self.is_due
    }

    /// A shard reports. Who is late does not hold up the others for longer than an interval.
    pub fn take(&mut self, from: ShardId, report: Report) {
        let bit = 1 << from.index();
        let everybody = u64::MAX >> (u64::BITS as usize - self.latest.len());
        self.is_due |= self.reported & bit != 0;
        self.reported |= bit;
        self.is_due |= self.reported == everybody;
        self.latest[from.index()] = report.stats;
        self.tick = self.tick.max(report.tick);
    }

    /// Collects the rows that differ from what is retained.
    fn collect(&mut self, subtree: &Subtree) {
        self.is_due = false;
        self.reported = 0;
        let whole = self.whole();
        self.forget_and_add(&whole.sum);
        let Sys { rows, latest, loads, .. } = self;
        rows.batch.clear();
        rows.put(subtree, &"", "version", &VERSION);
        rows.put(subtree, &"", "uptime", &format_args!("{} seconds", self.tick * self.interval_ms / 1_000));
        for (name, figure) in BROKER {
            rows.put(subtree, &"", name, &figure(&whole));
        }
        for ((name, _), load) in LOADS.iter().zip(loads) {
            for ((span, _), load) in SPANS.iter().zip(load) {
                rows.put(subtree, &format_args!("load/{name}/"), span, &format_args!("{load:.2}"));
            }
        }
        for (shard, stats) in latest.iter().enumerate() {
            for (name, figure) in SHARD {
                rows.put(subtree, &format_args!("shards/{shard}/"), name, &figure(stats));
            }
        }
    }

    fn whole(&mut self) -> Whole {
        let sum = Stats::sum(self.latest.iter());
        let heap_bytes = self.latest.iter().map(|stats| stats.heap_bytes).max().unwrap_or(0);
        self.clients_max = self.clients_max.max(sum.clients);
        self.heap_bytes_max = self.heap_bytes_max.max(heap_bytes);
        let (clients_max, heap_bytes_max) = (self.clients_max, self.heap_bytes_max);
        Whole { sum, shards: self.latest.len() as u64, clients_max, heap_bytes, heap_bytes_max }
    }

    /// The loads move towards the rate since the last publication: what is one span old counts 1/e.
    fn forget_and_add(&mut self, sum: &Stats) {
        let (tick, before) = self.last.unwrap_or((self.tick, *sum));
        let minutes = ((self.tick - tick) * self.interval_ms) as f64 / 60_000.0;
        if minutes > 0.0 {
            for ((_, counter), loads) in LOADS.iter().zip(&mut self.loads) {
                let rate = counter(sum).saturating_sub(counter(&before)) as f64 / minutes;
                for ((_, span), load) in SPANS.iter().zip(loads) {
                    *load = rate + (-minutes / span).exp() * (*load - rate);
                }
            }
        }
        if minutes > 0.0 || self.last.is_none() {
            self.last = Some((self.tick, *sum));
        }
    }
}

impl Rows {
    fn put(&mut self, subtree: &Subtree, path: &dyn Display, name: &str, value: &dyn Display) {
        self.topic.clear();
        self.text.clear();
        let written = write!(self.topic, "{ROOT}/broker/{path}{name}").and_then(|()| write!(self.text, "{value}"));
        debug_assert!(written.is_ok(), "a String takes everything");
        let kept = subtree.retained.get(&subtree.interner, &self.topic);
        if kept.is_none_or(|kept| kept.payload != self.text.as_bytes()) {
            let topic = self.batch.keep(self.topic.as_bytes());
            let payload = self.batch.keep(self.text.as_bytes());
            self.batch.rows.push(Row { topic, payload, text: false });
        }
    }
}

impl Shard {
    /// The moment has come for this shard to report.
    pub(super) fn report(&mut self, now: Now, out: &Outbox) {
        if self.is_stopping {
            self.sys.next_ms = u64::MAX;
            return;
        }
        let tick = now.mono_ms / self.sys.interval_ms;
        self.sys.next_ms = (tick + 1) * self.sys.interval_ms;
        self.home.wheel.set(self.sys.next_ms, Timer::Sys);
        let owner = self.roots.owner(ROOT);
        let is_waiting = |ask: &Ask| matches!(ask, Ask::Report(_));
        if !self.home.asks[owner.index()].iter().any(is_waiting) {
            let stats = self.stats_with(out);
            self.home.ask(owner, Ask::Report(Box::new(Report { tick, stats })));
        }
    }

    /// All figures of this shard, with what its outbox knows of its sockets.
    pub fn stats_with(&self, out: &Outbox) -> Stats {
        let sends = &out.sends;
        let (packets_unsent, bytes_unsent) = sends.unsent_in_all();
        let (packets_sent, bytes_sent) = (sends.packets_sent, sends.bytes_sent);
        Stats { packets_sent, bytes_sent, packets_unsent, bytes_unsent, ..self.stats() }
    }

    /// What the loop knows of the process.
    pub(super) fn note_process(&mut self, process: Process) {
        let Process { heap_bytes, busy_permille, parcels, sockets_refused, accept_outages } = process;
        let stats = self.home.stats;
        self.home.stats = Stats { heap_bytes, busy_permille, parcels, sockets_refused, accept_outages, ..stats };
    }

    /// Publishes what is due, if every home has room for it.
    pub(super) fn publish_sys(&mut self, now: Now, out: &mut Outbox) {
        if !self.sys.is_due() || !out.has_down_room() {
            return;
        }
        self.sys.collect(&self.subtree);
        let batch = std::mem::take(&mut self.sys.rows.batch);
        let packet = Packet {
            row_count: batch.rows.len() as u32,
            ..Packet::new(Client { home: self.me, session: SessionKey::NONE }, QoS::ExactlyOnce, true)
        };
        if !batch.rows.is_empty() {
            let (subtree, roots, mut reach) = owner_side!(self, now, out);
            let view = View { bytes: &batch.bytes, packet: &packet, rows: &batch.rows, ask: None };
            subtree.apply_unwritten(view, roots, &mut reach);
            // Else the cursors of all who read `#` lie in what an unclean end loses.
            subtree.unwritten_numbers(roots.group(ROOT), reach.out);
        }
        self.sys.rows.batch = batch;
    }
}
