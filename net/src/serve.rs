//! The broker put together: the store is opened and read, its rows go to the shards that own them, the loops run, and
//! at the end the store is closed. Runs on the main thread.

use crate::allocator;
use crate::boot::{self, BootError, Ready, WakeShard};
use crate::control::picture::Pictures;
use crate::control::{Place, Room, Sight, Watched, watch};
use crate::plan::{Plan, allowed_cores};
use crate::shard_loop::{Keep, LoopFigures, Step};
use crate::signal::{self, Stop};
use engine::clock::Now;
use engine::config::Config;
use engine::key::{GroupId, ShardId};
use engine::row::change::Changes;
use engine::shard::{Input, Outbox, Restoring, Setup, Shard};
use engine::topic::Roots;
use std::hash::{BuildHasher, RandomState};
use store::{Inlet, Opened, Wake, Writer};

/// What is served, where, and what is kept.
pub struct Broker {
    pub plan: Plan,
    pub engine: Config,
    pub store: store::Settings,
    /// Where an operator asks what the shards do; nowhere without it.
    pub control: Option<Place>,
}

impl Broker {
    /// Serves until SIGTERM or SIGINT. `ready` is called when every listener listens.
    pub fn run(&self, ready: impl FnOnce(&Ready)) -> Result<(), BootError> {
        let stop = Stop::new();
        let _watch = signal::watch(&stop).map_err(BootError::Resources)?;
        self.run_until(&stop, ready)
    }

    /// Serves until `stop` is asked for.
    pub fn run_until(&self, stop: &Stop, ready: impl FnOnce(&Ready)) -> Result<(), BootError> {
        let shards = self.plan.shards as u16;
        let roots_of = |seed| Roots::new(seed, &self.engine.shards.split, &self.engine.shards.pin, shards);
        roots_of([0, 0]).map_err(BootError::Store)?; // so that the rule below cannot fail
        let rule = |seed| -> Box<dyn Fn(&str) -> GroupId> {
            let roots = roots_of(seed);
            Box::new(move |topic| roots.as_ref().map_or(GroupId(0), |roots| roots.group(topic)))
        };
        let opened = store::open(&self.store, &self.engine.shards.split, &rule);
        let opened = opened.map_err(|error| self.store_error(error))?;
        report_opening(&opened);
        let roots = roots_of(opened.identity.hash_seed).map_err(BootError::Store)?;
        // Behind the store, which nobody else has open now, and whose folder is there.
        let open = Room::open(self.control.as_ref()).map_err(BootError::Control)?;
        let mut writer = None;
        let mut room = None;
        let make = |wake: &WakeShard, now: Now| {
            let (looks, watched) = watch(self.plan.shards, wake.clone());
            let (made, started) = self.make_shards(opened, &roots, wake, (now, watched))?;
            writer = Some(started);
            let pictures = Pictures::new(roots.clone(), self.plan.cores(), allowed_cores().len());
            room = Some(Room::start(open, looks, pictures).map_err(BootError::Resources)?);
            Ok(made)
        };
        let outcome = boot::run_with(&self.plan, stop, make, ready);
        drop(room);
        let stopped = writer.map_or(Ok(()), Writer::stop).map_err(|error| self.store_error(error));
        outcome.and(stopped)
    }

    fn make_shards(
        &self,
        mut opened: Opened,
        roots: &Roots,
        wake: &WakeShard,
        (now, watched): (Now, Vec<Watched>),
    ) -> Result<(Vec<(Broking, Way)>, Writer), BootError> {
        let ids = (0..self.plan.shards as u16).map(ShardId);
        let mut shards: Vec<Shard> = ids.clone().map(|me| self.make_shard(me, roots, opened.identity.epoch)).collect();
        for state in &opened.groups {
            shards[roots.shard_of_group(state.group).index()].restore_numbers(state.group, state.numbers());
        }
        let report = opened
            .restore(|restored| shards[roots.shard_of_group(restored.group()).index()].restore(restored))
            .map_err(|error| self.store_error(error))?;
        let mut restoring = Restoring::new(&mut shards, now);
        let records = opened.restore_sessions(|key, record| restoring.take(key, record));
        let records = records.map_err(|error| self.store_error(error))?;
        let sessions = restoring.end();
        tracing::debug!(rows = report.rows, tombstones = report.tombstones, sessions, records, "restored");
        report_set_aside(&opened);
        let wakes = ids.map(|id| {
            let wake = wake.clone();
            Box::new(move || wake.wake(id)) as Wake
        });
        let started = opened.when_idle(Box::new(allocator::give_back)).start(self.plan.shards, wakes.collect());
        let (inlets, writer) = started.map_err(|error| self.store_error(error))?;
        let broking = |(shard, watched)| Broking { shard, watched };
        let made = shards.into_iter().zip(watched).map(broking).zip(inlets.into_iter().map(Way)).collect();
        Ok((made, writer))
    }

    /// Says where the store is that did not do what it was asked.
    fn store_error(&self, error: impl std::fmt::Display) -> BootError {
        let said = error.to_string();
        let folder = self.store.folder.as_ref().map(|folder| folder.display().to_string());
        match folder.filter(|folder| !said.contains(folder)) {
            Some(folder) => BootError::Store(format!("{folder}: {said}")),
            None => BootError::Store(said),
        }
    }

    fn make_shard(&self, me: ShardId, roots: &Roots, epoch: u64) -> Shard {
        // Tables keyed by what clients choose are seeded anew with every start.
        let seed = RandomState::new().hash_one(me.0);
        let shards = self.plan.shards as u16;
        Shard::new(Setup { me, shards, config: self.engine.clone(), roots: roots.clone(), seed, epoch })
    }
}

fn report_opening(opened: &Opened) {
    if !opened.clean && !opened.first_start {
        tracing::info!("the last run did not end cleanly; versions go on above the numbers it had reserved");
    }
    if let Some(moved) = &opened.moved {
        tracing::info!(?moved, "shards.split changed: rows were moved to their new groups");
    }
    if let Some(aside) = &opened.moved_aside {
        tracing::warn!(folder = %aside.folder.display(), records = aside.records, damaged = aside.damaged, "the store could not be read and was moved aside");
    }
}

fn report_set_aside(opened: &Opened) {
    if opened.records_set_aside > 0 {
        tracing::warn!(records = opened.records_set_aside, "records that cannot be read were set aside");
    }
}

/// The engine's shard, as the loop drives it.
struct Broking {
    shard: Shard,
    watched: Watched,
}

impl Step for Broking {
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        self.shard.step(now, input, out);
        for note in self.shard.take_notes() {
            tracing::debug!(connection = note.conn.index, "closed: {}", note.what);
        }
    }

    fn deadline(&self) -> Option<u64> {
        self.shard.deadline()
    }

    fn wants_process(&self, now: Now) -> bool {
        self.shard.wants_process(now)
    }

    fn is_watched(&self) -> bool {
        self.watched.is_asked()
    }

    fn show(&mut self, figures: LoopFigures, out: &Outbox) {
        let (stats, sampled) = (self.shard.stats_with(out), self.shard.take_samples());
        self.watched.answer(Sight { figures, stats, sampled });
    }
}

/// The store's inlet, as the loop drives it.
struct Way(Inlet);

impl Keep for Way {
    fn is_full(&self) -> bool {
        self.0.is_full()
    }

    fn is_failing(&self) -> bool {
        self.0.is_failing()
    }

    fn push(&mut self, mut changes: Changes) {
        let is_awaited = std::mem::take(&mut changes.is_awaited);
        self.0.push(changes);
        if is_awaited {
            self.0.hurry();
        }
    }

    fn spare(&mut self) -> Option<Changes> {
        self.0.spare()
    }

    fn committed(&self) -> u64 {
        self.0.committed()
    }
}
