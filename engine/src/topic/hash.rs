//! Hashes of what clients choose, seeded, so that nobody outside can make them collide.

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use std::hash::Hasher;

/// Hash of text. All of its secret comes from the seed it was made with: foldhash's own shared seed is either
/// drawn from the process (a replayed run would differ) or known to everybody.
pub(super) struct TextHash {
    seed: u64,
    shared: SharedSeed,
}

impl TextHash {
    pub(super) fn new(seed: u64) -> TextHash {
        TextHash { seed: mix(seed, 1), shared: SharedSeed::from_u64(mix(seed, 2)) }
    }

    #[inline]
    pub(super) fn of(&self, text: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(text);
        hasher.finish()
    }
}

/// Hash of a pair of small numbers.
pub(super) struct PairHash {
    seed: u64,
    factor: u64,
}

impl PairHash {
    pub(super) fn new(seed: u64) -> PairHash {
        PairHash { seed: mix(seed, 3), factor: mix(seed, 4) | 1 }
    }

    #[inline]
    pub(super) fn of(&self, a: u32, b: u32) -> u64 {
        fold((u64::from(a) << 32 | u64::from(b)) ^ self.seed, self.factor)
    }
}

/// The `n`th of the numbers that follow from `seed`, each unlike the others.
pub(super) fn mix(seed: u64, n: u64) -> u64 {
    let once = fold(seed ^ 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n), 0xd1b5_4a32_d192_ed03);
    fold(once ^ seed.rotate_left(32), 0x94d0_49bb_1331_11eb)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
