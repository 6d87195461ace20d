//! Token buckets: what bounds how often something happens.

/// It fills at a steady rate up to what a second brings. What is taken may be more than it holds: that is a debt, during
/// which it is closed.
#[derive(Debug)]
pub struct Bucket {
    /// Tokens a second; 0: no bound.
    per_s: u64,
    /// Thousandths of a token; less than nothing: a debt.
    level: i64,
    filled_ms: u64,
}

impl Bucket {
    /// A full one; times are `Now::mono_ms`.
    pub fn new(per_s: u64, now_ms: u64) -> Bucket {
        Bucket { per_s, level: full(per_s), filled_ms: now_ms }
    }

    /// Whether something may be taken.
    pub fn is_open(&mut self, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        self.level = full(self.per_s).min(self.level.saturating_add_unsigned(self.per_s.saturating_mul(passed_ms)));
        self.per_s == 0 || self.level > 0
    }

    pub fn take(&mut self, tokens: u64) {
        self.level = self.level.saturating_sub_unsigned(tokens.saturating_mul(1_000));
    }

    /// Milliseconds until it is open.
    pub fn waits_ms(&self) -> u64 {
        if self.per_s == 0 || self.level > 0 { 0 } else { self.level.unsigned_abs() / self.per_s + 1 }
    }
}

/// What a second brings, in thousandths.
fn full(per_s: u64) -> i64 {
    i64::try_from(per_s.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_second_at_once_and_then_its_rate() {
        let mut bucket = Bucket::new(10, 5);
        let mut take = |ms| {
            let is_open = bucket.is_open(ms);
            if is_open {
                bucket.take(1);
            }
            is_open
        };
        assert_eq!((0..20).filter(|_| take(5)).count(), 10);
        let taken = (5..10_005).filter(|ms| take(*ms)).count();
        assert_eq!(taken, 100);
        // However long nobody takes anything, no more than a second is saved up.
        assert_eq!((0..20).filter(|_| take(1_000_000)).count(), 10);
    }

    #[test]
    fn a_debt_is_worked_off_first() {
        let mut bucket = Bucket::new(1_000, 0);
        bucket.take(5_000);
        assert!(!bucket.is_open(0));
        assert_eq!(bucket.waits_ms(), 4_001);
        assert!(!bucket.is_open(4_000));
        assert!(bucket.is_open(4_001));
    }

    #[test]
    fn what_has_no_bound_is_always_open_and_nothing_overflows() {
        let mut free = Bucket::new(0, 0);
        free.take(u64::MAX);
        assert!(free.is_open(0) && free.waits_ms() == 0);
        let mut wide = Bucket::new(u64::MAX, 0);
        wide.take(u64::MAX);
        assert!(wide.is_open(u64::MAX));
    }
}
