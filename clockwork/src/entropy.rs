//! Chance that can be replayed.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use siphasher::sip::SipHasher13;

/// One seed, forked by name and key.
///
/// What is drawn for a name and key depends on nothing else: neither on what was drawn before, nor
/// on the order of arrivals. Taking one fault away does not reshuffle the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entropy {
    seed: u64,
}

impl Entropy {
    /// The root of a run.
    pub const fn new(seed: u64) -> Entropy {
        Entropy { seed }
    }

    /// The seed that this entropy stands on.
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// The entropy of `name` for `key`, always the same.
    pub fn fork(self, name: &str, key: impl Hash) -> Entropy {
        let mut hasher = SipHasher13::new_with_keys(self.seed, 0x6472_696c_6c73_6869);
        name.hash(&mut hasher);
        key.hash(&mut hasher);
        Entropy { seed: hasher.finish() }
    }

    /// A number in `0.0..1.0`.
    pub fn unit(self) -> f64 {
        // 53 bits: as many as an f64 holds.
        (SipHasher13::new_with_keys(self.seed, 1).finish() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with `probability`.
    pub fn chance(self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A duration from `shortest` to `longest`, in whole microseconds.
    pub fn duration(self, shortest: Duration, longest: Duration) -> Duration {
        let spread = longest.saturating_sub(shortest);
        shortest + Duration::from_micros((spread.as_micros() as f64 * self.unit()) as u64)
    }

    /// A generator for longer draws.
    pub fn rng(self) -> impl RngExt + Send + 'static {
        ChaCha8Rng::seed_from_u64(self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_depends_on_name_and_key_alone() {
        let root = Entropy::new(7);
        let one = root.fork("latency", ("ORD-1", 1));
        assert_eq!(one, root.fork("latency", ("ORD-1", 1)));
        assert_ne!(one, root.fork("latency", ("ORD-1", 2)));
        assert_ne!(one, root.fork("fault", ("ORD-1", 1)));
        assert_ne!(one, Entropy::new(8).fork("latency", ("ORD-1", 1)));
    }

    #[test]
    fn draws_are_the_same_on_every_machine() {
        let drawn = Entropy::new(42).fork("latency", "ORD-1");
        assert_eq!(drawn.seed(), 16_661_528_057_238_387_502);
        let millis = Duration::from_millis;
        let between = drawn.duration(millis(1), millis(200));
        assert!((millis(1)..=millis(200)).contains(&between));
    }

    #[test]
    fn chance_is_fair_within_a_percent() {
        let hits = (0..100_000).filter(|n| Entropy::new(3).fork("coin", n).chance(0.02)).count();
        assert!((1_900..2_100).contains(&hits), "{hits}");
    }
}
