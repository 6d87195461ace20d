//! Every interleaving of the mesh, and the same scenarios on real threads.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p loom-tests --release` hands each scenario to loom, which runs it once
//! for every order in which its threads' memory accesses can happen. Without the flag the scenario runs
//! [`ROUNDS`] times on real threads. Loom models our own lines (bell, credit, close, published), not crossbeam's.

#[cfg(loom)]
pub use loom::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
#[cfg(not(loom))]
pub use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// How often a scenario runs on real threads.
pub const ROUNDS: usize = 400;

/// Under loom: how often a thread is interrupted where it could go on, at most. Every known fault of this kind
/// shows with two; without a bound three threads have more orders than anybody waits for.
pub const PREEMPTIONS_MAX: usize = 3;

/// Runs `scenario` in every interleaving, or often.
pub fn check(scenario: impl Fn() + Send + Sync + 'static) {
    #[cfg(loom)]
    {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(PREEMPTIONS_MAX);
        model.check(scenario);
    }
    #[cfg(not(loom))]
    for _ in 0..ROUNDS {
        scenario();
    }
}

/// What a shard sleeps on: stands for the eventfd of its ring. Loom fails a model in which all threads sleep.
#[derive(Default)]
pub struct Sleeper {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Sleeper {
    pub fn new() -> Sleeper {
        Sleeper { woken: Mutex::new(false), wake: Condvar::new() }
    }

    pub fn wake(&self) {
        *self.woken.lock().expect("no thread panics with the lock") = true;
        self.wake.notify_one();
    }

    /// Returns at once if `wake` was called since the last sleep.
    pub fn sleep(&self) {
        let mut woken = self.woken.lock().expect("no thread panics with the lock");
        while !*woken {
            woken = self.wake.wait(woken).expect("no thread panics with the lock");
        }
        *woken = false;
    }
}
