//! Links: two lanes per ordered pair of shards, built once, their ends handed to the shards that use them.

use super::atomic::{Arc, Queue};
use super::bell::Bell;
use super::close::Ends;
use crate::key::ShardId;
use std::cell::Cell;
use std::marker::PhantomData;

/// Everything by which one shard reaches the others; moved to its thread.
pub struct Ports<T> {
    /// Homes push, owners pop.
    pub up: Lanes<T>,
    /// Owners push, homes pop.
    pub down: Lanes<T>,
    pub bell: Bell,
    pub ends: Ends,
}

/// One kind of lane, from and to every shard.
pub struct Lanes<T> {
    /// By receiver: this shard is the only producer.
    to: Vec<Arc<Queue<T>>>,
    /// By sender: this shard is the only consumer.
    from: Vec<Arc<Queue<T>>>,
    /// Not `Sync`: two threads at one end would be two producers.
    one_thread: PhantomData<Cell<()>>,
}

/// The ports of `shards` shards, in their order; every lane holds `lane_parcels` (1 or more). A shard has lanes
/// to itself too, so that indexes need no exception; they stay empty.
pub fn build<T: Send>(shards: usize, lane_parcels: usize) -> Vec<Ports<T>> {
    assert!(shards > 0 && lane_parcels > 0, "a mesh without shards, or lanes that hold nothing");
    let ups = Lanes::build(shards, lane_parcels);
    let downs = Lanes::build(shards, lane_parcels);
    let bells = Bell::build(shards);
    let ends = Ends::build(shards);
    ups.into_iter()
        .zip(downs)
        .zip(bells)
        .zip(ends)
        .map(|(((up, down), bell), ends)| Ports { up, down, bell, ends })
        .collect()
}

impl<T> Ports<T> {
    /// The second look of `Bell::announce_sleep`, as far as lanes go: a parcel for this shard, or room in a lane of
    /// which its credit says that it has none. `takes_up`: it would take a parcel from an up lane.
    pub fn have_work(&self, up_credit: &[usize], down_credit: &[usize], takes_up: bool) -> bool {
        if cfg!(mutant = "doorbell") {
            return false; // planted: who goes to sleep does not look again
        }
        !self.down.is_empty()
            || (takes_up && !self.up.is_empty())
            || self.up.have_room_again(up_credit)
            || self.down.have_room_again(down_credit)
    }
}

impl<T: Send> Lanes<T> {
    fn build(shards: usize, lane_parcels: usize) -> Vec<Lanes<T>> {
        let queues: Vec<Vec<Arc<Queue<T>>>> = (0..shards)
            .map(|_sender| (0..shards).map(|_receiver| Arc::new(Queue::new(lane_parcels))).collect())
            .collect();
        (0..shards)
            .map(|shard| Lanes {
                to: queues[shard].clone(),
                from: queues.iter().map(|sender| sender[shard].clone()).collect(),
                one_thread: PhantomData,
            })
            .collect()
    }
}

impl<T> Lanes<T> {
    /// Gives the parcel back where the lane is full. Never fails while `free` says more than 0.
    pub fn push(&self, to: ShardId, parcel: T) -> Result<(), T> {
        self.to[to.index()].push(parcel)
    }

    pub fn pop(&self, from: ShardId) -> Option<T> {
        self.from[from.index()].pop()
    }

    /// Parcels that the lane takes now, at least: the consumer only ever makes more room, so between two calls
    /// the number falls by this shard's own pushes and by nothing else. It is the credit of `Outbox`.
    pub fn free(&self, to: ShardId) -> usize {
        let queue = &self.to[to.index()];
        queue.capacity() - queue.len()
    }

    /// Whether no shard has anything for this one: the second look of `Bell::announce_sleep`.
    pub fn is_empty(&self) -> bool {
        self.from.iter().all(|queue| queue.is_empty())
    }

    /// Whether a lane that was full takes parcels again.
    fn have_room_again(&self, credit: &[usize]) -> bool {
        self.to.iter().zip(credit).any(|(queue, credit)| *credit == 0 && queue.len() < queue.capacity())
    }

    /// Parcels from other shards that this one has not taken yet.
    pub fn waiting(&self) -> usize {
        self.from.iter().map(|queue| queue.len()).sum()
    }

    pub fn shards(&self) -> usize {
        self.to.len()
    }
}
