//! Random clients of every kind in one world for thousands of operations, judged by a naive oracle.
//!
//! People connect, subscribe, publish, stop reading, break off, take themselves over and come back; the broker is killed
//! or ends and begins again. What the oracle cannot know, since it depends on what came first, it leaves open:
//! of every message it says of everybody whether they *must* get it, *may*, or must not ([`oracle`]). Every hundred
//! operations or so the world comes to rest, and then what is open is settled and compared ([`judge`]).

mod judge;
mod operations;
mod oracle;
mod person;
mod plan;

use crate::marks::{Mark, Marks};
use crate::rng::Rng;
use crate::twin::Fault;
use crate::world::{ClientId, Plan, World};
use engine::config::Durability;
use oracle::Oracle;
use person::Person;
use plan::STORE_IS_WIDE_BYTES;
use std::collections::{BTreeMap, BTreeSet};

/// Operations of clients in one run, at least.
pub const OPERATIONS: u64 = 5_000;

/// What was done and looked at, so that a run that looks at nothing is seen.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Looked {
    pub operations: u64,
    /// Messages that were compared with what the oracle says.
    pub deliveries: u64,
    /// Messages that somebody had to get, and got.
    pub due: u64,
    pub crashes: u64,
    pub marks: Marks,
}

impl std::ops::AddAssign for Looked {
    fn add_assign(&mut self, other: Looked) {
        self.operations += other.operations;
        self.deliveries += other.deliveries;
        self.due += other.due;
        self.crashes += other.crashes;
        self.marks += other.marks;
    }
}

/// A share group.
struct Group {
    share: String,
    filter: &'static str,
    /// Its members, by their place among the people.
    members: Vec<usize>,
    /// By message: how many copies came, and how many must.
    owed: BTreeMap<u32, oracle::Shared>,
}

/// See the module.
struct Sim {
    world: World,
    rng: Rng,
    people: Vec<Person>,
    groups: Vec<Group>,
    oracle: Oracle,
    looked: Looked,
    /// Rests until now.
    round: u64,
    /// What the broker said it dropped, and what of that nobody has missed yet.
    dropped: u64,
    drops_open: u64,
    /// Those who do not speak MQTT, since the last rest.
    rude: Vec<ClientId>,
    /// Messages that delete.
    deletions: BTreeSet<u32>,
    /// What was retained before the last crash may be lost, as far as it was not durable.
    has_crashed: bool,
    /// The broker ends by itself: what it said until then is heard.
    is_ending: bool,
    /// What the store does wrong, from numbers of its own.
    faults: Rng,
    /// The store fails in this round: nothing is to be retained, since that would be refused.
    has_failed: bool,
    /// What happens is printed.
    is_told: bool,
}

/// Panics if the broker is wrong; the panic and the seed say where. Prints what happens if it is told.
pub fn run(seed: u64, is_told: bool) -> Looked {
    let mut sim = plan::begin(seed);
    sim.is_told = is_told;
    sim.tell(|| format!("{:?}", sim.world.plan));
    while sim.looked.operations < OPERATIONS {
        sim.round();
    }
    sim.looked.marks += std::mem::take(&mut sim.world.marks);
    std::mem::take(&mut sim.looked)
}

impl Sim {
    fn round(&mut self) {
        /// Rounds in which the broker ends, one of so many.
        const CRASHES: usize = 6;
        let operations = 40 + self.rng.below(110);
        let ends_at = (self.world.plan.has_store && self.rng.once_in(CRASHES)).then(|| self.rng.below(operations));
        self.world.twin.is_stalled = self.rng.once_in(6);
        self.world.twin.lag_turns = if self.rng.once_in(4) { self.rng.below(50) as u64 } else { 0 };
        self.fail_store();
        for at in 0..operations {
            if ends_at == Some(at) {
                self.end_broker();
            }
            self.operate();
            self.looked.operations += 1;
            if self.rng.once_in(2) {
                let turns = self.rng.below(8);
                self.world.run_turns(turns);
                self.world.commit();
            }
        }
        self.rest();
    }

    /// The store's commits fail for a while. Only where what is refused then is what this round leaves out.
    fn fail_store(&mut self) {
        let Plan { has_store, store_pending_bytes, .. } = self.world.plan;
        let waits = self.world.plan.broker.durability == Durability::Disk || store_pending_bytes < STORE_IS_WIDE_BYTES;
        let has_retained = |person: &Person| person.unacked.iter().any(|unacked| unacked.retain);
        self.has_failed = has_store && !waits && self.faults.once_in(6) && !self.people.iter().any(has_retained);
        if self.has_failed {
            self.mark(Mark::StoreFailed);
            let fault = *self.faults.pick(&[Fault::DiskFull, Fault::InputOutput]);
            let attempts = *self.faults.pick(&[Some(1), Some(20), None]);
            self.tell(|| format!("the store fails: {fault:?}, {attempts:?}"));
            self.world.fail_store(fault, attempts);
        }
    }

    fn heal_store(&mut self) {
        self.world.resume_store();
        self.world.mend_store();
        self.world.twin.lag_turns = 0;
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            eprintln!("{:>4} {:>5} {}", self.round, self.looked.operations, what());
        }
    }

    fn mark(&mut self, mark: Mark) {
        self.world.marks.count(mark);
    }
}
