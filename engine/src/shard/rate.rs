//! How fast one client may send (`limits.publish_rate`, `limits.bytes_rate`). Who sends faster is read more slowly: nothing is
//! refused or lost, and TCP tells the client to wait.
//!
//! Both are token buckets of one second. A publish is taken while its bucket is not empty; the bytes behind it wait here, at
//! most what a receive brought. Bytes are counted as they come, complete or not, and may make a debt, which is worked off
//! before the socket is read again.

use super::Shard;
use super::outbox::{Order, Outbox};
use super::wheel::Timer;
use crate::bucket::Bucket;
use crate::clock::Now;
use crate::config::Terms;
use crate::key::ConnId;

/// What one connection may still send. Connections whose listener bounds nothing have none.
#[derive(Debug)]
pub struct Rate {
    publishes: Bucket,
    bytes: Bucket,
    /// When reading goes on, if it waits for that.
    pub due_ms: Option<u64>,
    /// What its connection has received waits as well.
    holds_bytes: bool,
}

impl Rate {
    pub fn of(terms: &Terms, now: Now) -> Option<Box<Rate>> {
        let is_bounded = terms.publish_rate > 0 || terms.bytes_rate > 0;
        let bucket = |per_s| Bucket::new(per_s, now.mono_ms);
        is_bounded.then(|| {
            Box::new(Rate {
                publishes: bucket(terms.publish_rate.into()),
                bytes: bucket(terms.bytes_rate),
                due_ms: None,
                holds_bytes: false,
            })
        })
    }

    pub fn may_publish(&mut self, now: Now) -> bool {
        self.publishes.is_open(now.mono_ms)
    }

    pub fn published(&mut self) {
        self.publishes.take(1);
    }

    pub fn received(&mut self, bytes: usize) {
        self.bytes.take(bytes as u64);
    }
}

impl Shard {
    /// All that came of a connection was looked at: if it was too much, no more is read until that is worked off.
    pub(super) fn slow_down(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        let Some(rate) = self.home.conns.get(conn).and_then(|this| this.rate.as_mut()) else { return };
        if !rate.bytes.is_open(now.mono_ms) {
            self.wait_for_rate(now, conn, out);
        }
    }

    /// The next publish of a connection comes too soon: it waits, with what follows it.
    pub(super) fn hold_publishes(&mut self, now: Now, conn: ConnId, parts: &[&[u8]], out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        this.keep(parts);
        this.waits_to_drain = false;
        if let Some(rate) = &mut this.rate {
            rate.holds_bytes = true;
        }
        self.wait_for_rate(now, conn, out);
    }

    fn wait_for_rate(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        let Some(rate) = &mut this.rate else { return };
        if rate.due_ms.is_none() {
            self.home.stats.rate_waits += 1;
        }
        let due_ms = now.mono_ms + rate.publishes.waits_ms().max(rate.bytes.waits_ms());
        if rate.due_ms.replace(due_ms) != Some(due_ms) {
            self.home.wheel.set(due_ms, Timer::Rate(conn));
        }
        if !std::mem::replace(&mut this.is_paused, true) {
            out.orders.push(Order::Pause(conn));
        }
    }

    /// A connection may send again, if this timer is the one that it waits for.
    pub(super) fn rate_is_due(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        let Some(this) = self.home.conns.get(conn) else { return };
        let Some(rate) = this.rate.as_mut().filter(|rate| rate.due_ms.is_some_and(|due_ms| due_ms <= now.mono_ms))
        else {
            return;
        };
        rate.due_ms = None;
        if std::mem::take(&mut rate.holds_bytes) {
            self.unblock(now, conn, out);
        } else if !this.is_blocked {
            self.read_on(now, conn, out);
        }
    }
}
