//! What a loop knows of itself and of the process, for `$SYS`: looked at once in `sys.interval_s`, never for a message.
//! One per loop, on its thread.

use engine::shard::input::Process;
use std::time::{Duration, Instant};

/// See the module.
pub(crate) struct Figures {
    /// One loop of the process looks at its memory.
    looks_at_memory: bool,
    since: Instant,
    asleep: Duration,
}

impl Figures {
    pub(crate) fn new(looks_at_memory: bool) -> Figures {
        Figures { looks_at_memory, since: Instant::now(), asleep: Duration::ZERO }
    }

    /// The loop slept so long.
    pub(crate) fn slept(&mut self, asleep: Duration) {
        self.asleep += asleep;
    }

    /// The figures since the last call.
    pub(crate) fn take(&mut self, parcels: usize) -> Process {
        let passed = self.since.elapsed();
        let busy_permille = busy_permille(passed, self.asleep);
        let heap_bytes = if self.looks_at_memory { anonymous_bytes() } else { 0 };
        *self = Figures::new(self.looks_at_memory);
        Process { heap_bytes, busy_permille, parcels: parcels as u64 }
    }
}

fn busy_permille(passed: Duration, asleep: Duration) -> u64 {
    let awake = passed.saturating_sub(asleep);
    (awake.as_micros() * 1_000 / passed.as_micros().max(1)) as u64
}

/// Memory of the process that is not a file's (`RssAnon`). 0 where there is no `/proc` to say it.
fn anonymous_bytes() -> u64 {
    match std::fs::read_to_string("/proc/self/statm") {
        Ok(statm) => anonymous_pages(&statm).unwrap_or(0) * rustix::param::page_size() as u64,
        Err(error) => {
            tracing::debug!(%error, "the memory of the process is not known");
            0
        }
    }
}

/// `size resident shared …`, in pages; what is resident and not shared is anonymous.
fn anonymous_pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split(' ').skip(1).map(|field| field.parse::<u64>().ok());
    let (resident, shared) = (fields.next()??, fields.next()??);
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_is_resident_and_no_file() {
        assert_eq!(anonymous_pages("765 428 399 5 0 123 0\n"), Some(29));
        assert_eq!(anonymous_pages("765"), None);
        assert!(anonymous_bytes() > 0, "this test uses memory");
    }

    #[test]
    fn busy_is_the_part_of_the_time_that_was_not_slept() {
        let ms = Duration::from_millis;
        assert_eq!(busy_permille(ms(1_000), ms(750)), 250);
        assert_eq!(busy_permille(ms(1_000), ms(0)), 1_000);
        assert_eq!(busy_permille(ms(0), ms(1)), 0);
    }
}
