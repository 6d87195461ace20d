//! What the shards did between two looks at them: numbers for people and programs. The JSON of `mote shards --json`.

use super::advice::{self, Advice, Hot};
use super::watch::Sight;
use engine::key::{GroupId, ShardId};
use engine::stats::Stats;
use engine::topic::Roots;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Subtrees that are shown.
const SUBTREES_MAX: usize = 12;
/// A subtree with less than this part of its shard is not shown.
const SHARE_MIN: f64 = 0.01;

/// See the module. Rates are per second of the time it is of.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct Picture {
    /// "mote-shards/1".
    pub schema: String,
    pub version: String,
    /// Seconds that it is of.
    pub seconds: f64,
    pub shards: Vec<ShardPicture>,
    /// The hottest first, of all shards.
    pub subtrees: Vec<Subtree>,
    /// How much busier the busiest shard is than the mean; 1.0: all are alike.
    pub imbalance: f64,
    pub advice: Vec<Advice>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct ShardPicture {
    pub shard: usize,
    /// The core that it stays on, if it does.
    pub core: Option<usize>,
    /// False: it did not answer in time, and what is here is nothing.
    pub answered: bool,
    pub connections: u64,
    /// PUBLISH packets from its clients.
    pub in_per_s: f64,
    /// Messages and rows of frames to its clients.
    pub out_per_s: f64,
    /// Rows that came to it as their owner.
    pub rows_per_s: f64,
    /// Part of the time that it was awake.
    pub busy: f64,
    /// Turns of its loop, the time that something new may wait until it is looked at.
    pub turns_per_s: f64,
    pub turn_p99_us: u64,
    pub turn_max_us: u64,
    /// Parcels of now from and to other shards, and how many it sent.
    pub links_in: u64,
    pub links_out: u64,
    pub links_sent_per_s: f64,
    /// Part of its turns that began without room on some link.
    pub links_held: f64,
    pub retained_rows: u64,
    pub subscriptions: u64,
}

/// A root: what is in it lies in one group.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct Subtree {
    pub root: String,
    pub group: u16,
    pub shard: usize,
    /// Part of what its shard does as an owner.
    pub share: f64,
    /// Rows, and messages that were made of them, by its samples.
    pub work_per_s: f64,
}

/// Remembers the last look.
pub(crate) struct Pictures {
    roots: Roots,
    cores: Vec<Option<usize>>,
    /// Cores that this process could use.
    cores_max: usize,
    last: Vec<Option<Sight>>,
}

impl Pictures {
    pub(crate) fn new(roots: Roots, cores: Vec<Option<usize>>, cores_max: usize) -> Pictures {
        let last = vec![None; cores.len()];
        Pictures { roots, cores, cores_max, last }
    }

    /// The picture of the time since the last look; of a shard that did not answer then, since it last did. The first
    /// is of the time since the start.
    pub(crate) fn next(&mut self, sights: Vec<Option<Sight>>) -> Picture {
        let shards: Vec<ShardPicture> = (0..sights.len())
            .map(|shard| {
                let before = self.last[shard].clone().unwrap_or_default();
                shard_picture((shard, self.cores[shard]), &before, sights[shard].as_ref())
            })
            .collect();
        let mut hot = Vec::new();
        for (shard, sight) in sights.iter().enumerate() {
            let Some(sight) = sight else { continue };
            hot.extend(self.hot(ShardId(shard as u16), sight));
        }
        hot.sort_by(|a, b| {
            (b.work_per_s, &a.root).partial_cmp(&(a.work_per_s, &b.root)).unwrap_or(a.root.cmp(&b.root))
        });
        let seconds = sights.iter().zip(&self.last).filter_map(|(now, last)| {
            let (now, last) = (now.as_ref()?, last.clone().unwrap_or_default());
            Some(seconds_between(&last, now))
        });
        let seconds = seconds.fold(0.0, f64::max);
        let advice = advice::of(&shards, &hot, &self.roots, self.cores_max);
        let shown = hot.iter().map(|hot| hot.shown()).filter(|subtree| subtree.share >= SHARE_MIN);
        let subtrees = shown.take(SUBTREES_MAX).collect();
        let imbalance = imbalance(&shards);
        for (last, sight) in self.last.iter_mut().zip(sights) {
            *last = sight.or_else(|| last.take());
        }
        Picture {
            schema: "mote-shards/1".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seconds,
            shards,
            subtrees,
            imbalance,
            advice,
        }
    }

    /// The roots of a shard, with their topics.
    fn hot(&self, shard: ShardId, sight: &Sight) -> Vec<Hot> {
        let before = self.last[shard.index()].clone().unwrap_or_default();
        let seconds = seconds_between(&before, sight);
        let all = sight.sampled.topics.len();
        let mut roots: HashMap<&str, Vec<(GroupId, &str)>> = HashMap::new();
        for (group, topic) in &sight.sampled.topics {
            roots.entry(self.roots.root_of(topic)).or_default().push((*group, topic));
        }
        let hot = |(root, topics): (&str, Vec<(GroupId, &str)>)| Hot {
            root: root.to_owned(),
            group: topics[0].0,
            shard,
            share: topics.len() as f64 / all as f64,
            work_per_s: per_s(topics.len() as u64 * u64::from(sight.sampled.work), seconds),
            topics: topics.iter().map(|(_, topic)| (*topic).to_owned()).collect(),
        };
        roots.into_iter().map(hot).collect()
    }
}

impl Hot {
    fn shown(&self) -> Subtree {
        Subtree {
            root: self.root.clone(),
            group: self.group.0,
            shard: self.shard.index(),
            share: self.share,
            work_per_s: self.work_per_s,
        }
    }
}

fn seconds_between(before: &Sight, now: &Sight) -> f64 {
    now.figures.passed_us.saturating_sub(before.figures.passed_us) as f64 / 1e6
}

fn per_s(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn part(of: u64, all: u64) -> f64 {
    if all > 0 { (of as f64 / all as f64).clamp(0.0, 1.0) } else { 0.0 }
}

fn shard_picture((shard, core): (usize, Option<usize>), before: &Sight, now: Option<&Sight>) -> ShardPicture {
    let answered = now.is_some();
    let now = now.unwrap_or(before);
    let seconds = seconds_between(before, now);
    let since = |figure: fn(&Sight) -> u64| figure(now).saturating_sub(figure(before));
    let out = |stats: &Stats| stats.publishes_sent.saturating_sub(stats.frames_sent) + stats.frame_rows_sent;
    let (out_before, out_now) = (out(&before.stats), out(&now.stats));
    let (passed, asleep) = (since(|s| s.figures.passed_us), since(|s| s.figures.asleep_us));
    let turns = since(|s| s.figures.turns);
    ShardPicture {
        shard,
        core,
        answered,
        connections: now.stats.connections,
        in_per_s: per_s(since(|s| s.stats.publishes_received), seconds),
        out_per_s: per_s(out_now.saturating_sub(out_before), seconds),
        rows_per_s: per_s(since(|s| s.stats.rows_applied), seconds),
        busy: part(passed.saturating_sub(asleep), passed),
        turns_per_s: per_s(turns, seconds),
        turn_p99_us: now.figures.turn_p99_us,
        turn_max_us: now.figures.turn_max_us,
        links_in: now.figures.parcels_in,
        links_out: now.figures.parcels_out,
        links_sent_per_s: per_s(since(|s| s.figures.parcels_sent), seconds),
        links_held: part(since(|s| s.figures.turns_held), turns),
        retained_rows: now.stats.rows_retained,
        subscriptions: now.stats.subscriptions,
    }
}

/// Shards that hardly do anything are alike.
fn imbalance(shards: &[ShardPicture]) -> f64 {
    const IDLE: f64 = 0.02;
    let busiest = shards.iter().map(|shard| shard.busy).fold(0.0, f64::max);
    let mean = shards.iter().map(|shard| shard.busy).sum::<f64>() / shards.len().max(1) as f64;
    if busiest < IDLE { 1.0 } else { busiest / mean }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::LoopFigures;
    use engine::shard::Sampled;

    fn sight(ms: u64, asleep_ms: u64, rows: u64, topics: &[&str]) -> Sight {
        let topics = topics.iter().map(|topic| (GroupId(7), (*topic).to_owned())).collect();
        Sight {
            figures: LoopFigures {
                passed_us: ms * 1_000,
                asleep_us: asleep_ms * 1_000,
                turns: ms,
                turns_held: ms / 4,
                ..LoopFigures::default()
            },
            stats: Stats {
                publishes_received: rows,
                publishes_sent: rows,
                frames_sent: rows / 2,
                frame_rows_sent: 10 * rows,
                rows_applied: rows,
                connections: 3,
                ..Stats::default()
            },
            sampled: Sampled { work: 10, topics },
        }
    }

    #[test]
    fn a_picture_is_of_the_time_between_two_looks() {
        let roots = Roots::new([0, 0], &[], &[], 2).unwrap();
        let mut pictures = Pictures::new(roots, vec![Some(0), None], 2);
        pictures.next(vec![Some(sight(1_000, 1_000, 100, &[])), Some(sight(1_000, 1_000, 0, &[]))]);
        let busy = Some(sight(3_000, 1_200, 300, &["a/1", "a/2", "a/1", "b"]));
        let picture = pictures.next(vec![busy.clone(), Some(sight(3_000, 2_400, 0, &[]))]);
        let shard = &picture.shards[0];
        assert_eq!((picture.seconds, shard.in_per_s, shard.out_per_s, shard.rows_per_s), (2.0, 100.0, 1_050.0, 100.0));
        assert_eq!((shard.busy, shard.links_held, shard.turns_per_s, shard.core), (0.9, 0.25, 1_000.0, Some(0)));
        assert_eq!((picture.imbalance * 1000.0).round(), 1_500.0, "0.9 and 0.3");
        let shown: Vec<_> = picture.subtrees.iter().map(|s| (s.root.as_str(), s.share, s.work_per_s)).collect();
        assert_eq!(shown, [("a", 0.75, 15.0), ("b", 0.25, 5.0)]);
        let text = serde_json::to_string(&picture).unwrap();
        assert_eq!(serde_json::from_str::<Picture>(&text).unwrap(), picture);

        // One that does not answer has no figures, and then those of all the time.
        let picture = pictures.next(vec![None, Some(sight(4_000, 3_400, 0, &[]))]);
        assert_eq!((picture.shards[0].answered, picture.shards[0].busy, picture.seconds), (false, 0.0, 1.0));
        let picture = pictures.next(vec![Some(sight(5_000, 3_200, 500, &[])), Some(sight(5_000, 4_400, 0, &[]))]);
        assert_eq!((picture.shards[0].in_per_s, picture.shards[0].busy), (100.0, 0.0));
    }

    #[test]
    fn shards_without_work_are_alike() {
        let roots = Roots::new([0, 0], &[], &[], 2).unwrap();
        let mut pictures = Pictures::new(roots, vec![None; 2], 2);
        let picture = pictures.next(vec![Some(sight(1_000, 990, 0, &[])), Some(sight(1_000, 1_000, 0, &[]))]);
        assert_eq!(picture.imbalance, 1.0);
        assert!(picture.advice.is_empty());
    }
}
