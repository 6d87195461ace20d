//! Which topics an owner works for: a sample of them, each standing for the same amount of work.
//!
//! Work is counted in rows applied and in handles that they are passed to: one subtraction each. When as much was done
//! as one sample stands for, give or take chance, the topic at hand is taken. When there are too many, every second
//! one goes and each stands for twice as much: so what is held is bounded, and even over all the time since it was last
//! handed over.

use crate::key::GroupId;
use crate::limits::{SAMPLE_TOPIC_BYTES_MAX, SAMPLES_MAX};

/// See the module.
pub struct Samples {
    /// All work so far.
    done: u64,
    /// Work until the next one is taken.
    left: i64,
    /// Work that one stands for, in the mean.
    stride: u32,
    taken: Vec<Sample>,
    /// State of a small generator.
    tosses: u64,
}

#[derive(Clone, Copy)]
struct Sample {
    group: GroupId,
    len: u8,
    topic: [u8; SAMPLE_TOPIC_BYTES_MAX],
}

const _: () = assert!(SAMPLE_TOPIC_BYTES_MAX <= u8::MAX as usize);

/// Samples on their way to who shows them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sampled {
    /// Work that each stands for: rows, and handles that they were passed to.
    pub work: u32,
    pub topics: Vec<(GroupId, String)>,
}

impl Samples {
    pub fn new(seed: u64) -> Samples {
        Samples { done: 0, left: 1, stride: 1, taken: Vec::with_capacity(SAMPLES_MAX), tosses: seed }
    }

    /// So much was done.
    #[inline]
    pub fn count(&mut self, work: usize) {
        self.done += work as u64;
        self.left -= work as i64;
    }

    /// What was counted since the start.
    #[inline]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Whether a topic that something was done for is to be taken now.
    #[inline]
    pub fn is_due(&self) -> bool {
        self.left <= 0
    }

    /// Takes as many as are due of the topics that the work since the last call was for, which all lie in `group`.
    #[cold]
    pub fn take<'a>(&mut self, group: GroupId, topics: usize, topic: impl Fn(usize) -> &'a str) {
        while self.is_due() {
            if self.taken.len() == SAMPLES_MAX {
                self.thin();
            }
            let topic = beginning(topic(self.toss() as usize % topics));
            let mut sample = Sample { group, len: topic.len() as u8, topic: [0; SAMPLE_TOPIC_BYTES_MAX] };
            sample.topic[..topic.len()].copy_from_slice(topic.as_bytes());
            self.taken.push(sample);
            // Not always as much: topics that come in turns would else be seen one and the same.
            self.left += i64::from(self.stride / 2) + 1 + i64::from(self.toss() % self.stride.max(1));
        }
    }

    /// Hands over what was taken since the last call, and begins anew at a pace that would fill half of the room in
    /// as much time.
    pub fn hand_over(&mut self) -> Sampled {
        let topic = |sample: &Sample| String::from_utf8_lossy(&sample.topic[..usize::from(sample.len)]).into_owned();
        let topics = self.taken.iter().map(|sample| (sample.group, topic(sample))).collect();
        let sampled = Sampled { work: self.stride, topics };
        let wanted = (SAMPLES_MAX / 2) as u64;
        let stride = u64::from(self.stride) * self.taken.len() as u64 / wanted;
        self.stride = stride.clamp(1, u32::MAX.into()) as u32;
        self.left = self.left.min(i64::from(self.stride));
        self.taken.clear();
        sampled
    }

    fn thin(&mut self) {
        let mut stays = false;
        self.taken.retain(|_| {
            stays = !stays;
            stays
        });
        self.stride = self.stride.saturating_mul(2);
    }

    fn toss(&mut self) -> u32 {
        self.tosses = self.tosses.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (self.tosses >> 33) as u32
    }
}

/// As much of a topic as is kept, cut between levels where that is possible.
fn beginning(topic: &str) -> &str {
    if topic.len() <= SAMPLE_TOPIC_BYTES_MAX {
        return topic;
    }
    let end = topic.floor_char_boundary(SAMPLE_TOPIC_BYTES_MAX);
    let cut = &topic[..end];
    cut.rfind('/').map_or(cut, |slash| &cut[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publishes `count` rows to topics in turns, one row and `handles` each.
    fn publish(samples: &mut Samples, topics: &[(&str, usize)], count: usize) {
        for (topic, handles) in topics.iter().cycle().take(count) {
            samples.count(1 + handles);
            if samples.is_due() {
                samples.take(GroupId(topic.len() as u16), 1, |_| topic);
            }
        }
    }

    fn share(sampled: &Sampled, topic: &str) -> f64 {
        sampled.topics.iter().filter(|(_, other)| other == topic).count() as f64 / sampled.topics.len() as f64
    }

    #[test]
    fn the_share_of_a_topic_is_the_share_of_its_work_whatever_its_turn() {
        let mut samples = Samples::new(7);
        for _ in 0..5 {
            publish(&mut samples, &[("a", 0), ("bb", 0), ("ccc", 0), ("dddd", 4)], 100_000);
            let sampled = samples.hand_over();
            assert!((SAMPLES_MAX / 4..=SAMPLES_MAX).contains(&sampled.topics.len()), "{}", sampled.topics.len());
            assert!((0.5..0.75).contains(&share(&sampled, "dddd")), "5 of 8: {}", share(&sampled, "dddd"));
            assert!((0.05..0.2).contains(&share(&sampled, "a")), "1 of 8: {}", share(&sampled, "a"));
            let work = f64::from(sampled.work) * sampled.topics.len() as f64;
            assert!((0.8..1.25).contains(&(work / 200_000.0)), "{work} of 200000");
        }
    }

    #[test]
    fn little_is_seen_whole_and_a_large_batch_ends() {
        let mut samples = Samples::new(1);
        samples.hand_over();
        publish(&mut samples, &[("a", 0)], 20);
        assert_eq!(samples.hand_over().topics.len(), 20);
        samples.count(1 << 30);
        samples.take(GroupId(0), 3, |index| ["x", "y", "z"][index]);
        let sampled = samples.hand_over();
        assert!(sampled.topics.len() <= SAMPLES_MAX && share(&sampled, "y") > 0.2);
        // The pace that this needed is forgotten at once.
        assert_eq!(samples.hand_over().topics.len(), 0);
        publish(&mut samples, &[("a", 0)], 20);
        assert_eq!(samples.hand_over().topics.len(), 20);
    }

    #[test]
    fn a_long_topic_is_cut_between_levels() {
        let long = format!("root/{}/leaf", "x".repeat(SAMPLE_TOPIC_BYTES_MAX - 8));
        assert_eq!(beginning(&long), long.strip_suffix("/leaf").unwrap());
        let one = "ä".repeat(SAMPLE_TOPIC_BYTES_MAX);
        assert_eq!(beginning(&one).len(), SAMPLE_TOPIC_BYTES_MAX / 2 * 2);
    }
}
