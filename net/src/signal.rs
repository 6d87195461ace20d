//! The request to stop: a flag that every loop looks at, and the thread that turns signals into it.

use crate::wake::Waker;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// How a loop is to stop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub enum Stopping {
    No,
    /// Clients are told, what is owed is sent.
    Gently,
    AtOnce,
}

/// A request to stop, shared by everybody; the first call asks gently, the second insists.
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    asked: AtomicU8,
    /// Shards that have nothing left of their own.
    quiet: AtomicUsize,
    shards: AtomicUsize,
    waker: OnceLock<Waker>,
}

impl Stop {
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Asks to stop, or insists. Can be called before anything has started.
    pub fn ask(&self) {
        let raise = |asked: u8| Some(asked.saturating_add(1).min(Stopping::AtOnce as u8));
        let _ = self.shared.asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, raise);
        self.wake_all();
    }

    pub fn ask_at_once(&self) {
        self.shared.asked.store(Stopping::AtOnce as u8, Ordering::SeqCst);
        self.wake_all();
    }

    pub fn asked(&self) -> Stopping {
        match self.shared.asked.load(Ordering::Relaxed) {
            0 => Stopping::No,
            1 => Stopping::Gently,
            _ => Stopping::AtOnce,
        }
    }

    fn wake_all(&self) {
        if let Some(waker) = self.shared.waker.get() {
            waker.wake_all();
        }
    }

    /// From now on whoever asks wakes these shards; who asked before is found by them when they look.
    pub(crate) fn bind(&self, waker: Waker, shards: usize) {
        self.shared.shards.store(shards, Ordering::SeqCst);
        let _ = self.shared.waker.set(waker);
    }

    /// A shard has nothing left of its own; true for the last.
    pub(crate) fn one_more_is_quiet(&self) -> bool {
        self.shared.quiet.fetch_add(1, Ordering::SeqCst) + 1 == self.shared.shards.load(Ordering::SeqCst)
    }

    pub(crate) fn all_are_quiet(&self) -> bool {
        self.shared.quiet.load(Ordering::SeqCst) >= self.shared.shards.load(Ordering::SeqCst)
    }
}

/// While it lives, SIGTERM and SIGINT ask to stop.
pub struct Watch {
    handle: signal_hook::iterator::Handle,
    thread: Option<JoinHandle<()>>,
}

/// Turns SIGTERM and SIGINT into `stop.ask()` from now on.
pub fn watch(stop: &Stop) -> io::Result<Watch> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let handle = signals.handle();
    let stop = stop.clone();
    let thread = std::thread::Builder::new().name("mote-signals".into()).spawn(move || {
        for signal in signals.forever() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            tracing::info!(signal = name, "stopping; once more to stop at once");
            stop.ask();
        }
    })?;
    Ok(Watch { handle, thread: Some(thread) })
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_twice_insists_and_a_third_time_changes_nothing() {
        let stop = Stop::new();
        assert_eq!(stop.asked(), Stopping::No);
        stop.ask();
        assert_eq!(stop.asked(), Stopping::Gently);
        stop.ask();
        stop.ask();
        assert_eq!(stop.asked(), Stopping::AtOnce);
    }

    #[test]
    fn the_last_quiet_shard_knows() {
        let ports = engine::mesh::build::<()>(2, 1);
        let stop = Stop::new();
        stop.bind(Waker::new(ports[0].bell.ringer(), 2).unwrap(), 2);
        assert!(!stop.one_more_is_quiet() && !stop.all_are_quiet());
        assert!(stop.one_more_is_quiet() && stop.all_are_quiet());
    }
}
