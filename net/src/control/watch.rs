//! How shards are asked how far they are: a number that rises with every question, which each loop looks at once in a
//! turn, and a channel for the answers. Neither side waits for the other but the asking one, for a bounded time.

use crate::boot::WakeShard;
use crate::figures::LoopFigures;
use engine::key::ShardId;
use engine::shard::Sampled;
use engine::stats::Stats;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Milliseconds that a shard has for its answer: many turns, and time enough where others want its core too.
const ANSWER_MS: u64 = 1_000;

/// How far one shard is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Sight {
    pub(crate) figures: LoopFigures,
    pub(crate) stats: Stats,
    pub(crate) sampled: Sampled,
}

struct Answer {
    shard: ShardId,
    question: u32,
    sight: Sight,
}

/// The end that asks.
pub(crate) struct Watch {
    question: Arc<AtomicU32>,
    answers: Receiver<Answer>,
    wake: WakeShard,
    shards: usize,
}

/// The end of one shard, on its thread.
pub(crate) struct Watched {
    shard: ShardId,
    question: Arc<AtomicU32>,
    /// The last question that was answered.
    answered: u32,
    answers: Sender<Answer>,
}

/// Both ends for so many shards.
pub(crate) fn watch(shards: usize, wake: WakeShard) -> (Watch, Vec<Watched>) {
    let question = Arc::new(AtomicU32::new(0));
    let (answers, inbox) = channel();
    let ends = (0..shards as u16).map(|shard| Watched {
        shard: ShardId(shard),
        question: question.clone(),
        answered: 0,
        answers: answers.clone(),
    });
    let ends = ends.collect();
    (Watch { question, answers: inbox, wake, shards }, ends)
}

impl Watched {
    /// Somebody waits for an answer.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.question.load(Ordering::Relaxed) != self.answered
    }

    /// Answers. Never waits: at most as many answers are under way as there were questions.
    pub(crate) fn answer(&mut self, sight: Sight) {
        self.answered = self.question.load(Ordering::Relaxed);
        let answer = Answer { shard: self.shard, question: self.answered, sight };
        // Nobody asks any more when the process ends.
        let _ = self.answers.send(answer);
    }
}

impl Watch {
    /// Asks every shard; by shard, and none of one that does not answer in time.
    pub(crate) fn look(&self) -> Vec<Option<Sight>> {
        // What is looked at after a shard announced its sleep is written before its bell is looked at.
        let question = self.question.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        self.wake.wake_all();
        let until = Instant::now() + Duration::from_millis(ANSWER_MS);
        let mut sights = vec![None; self.shards];
        let mut missing = self.shards;
        while missing > 0 {
            let rest = until.saturating_duration_since(Instant::now());
            let Ok(answer) = self.answers.recv_timeout(rest) else { break };
            // Who was too late for an earlier question may answer two at once.
            if answer.question == question {
                missing -= usize::from(sights[answer.shard.index()].is_none());
                sights[answer.shard.index()] = Some(answer.sight);
            }
        }
        sights
    }
}
