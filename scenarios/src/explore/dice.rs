//! Draws by name: what is drawn for one thing reshuffles nothing else.

use std::hash::Hash;
use std::time::Duration;

use clockwork::Entropy;

/// Chance that is asked by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice(Entropy);

impl Dice {
    /// The dice of one run of a search.
    pub(crate) fn of_run(seed: u64, number: u64) -> Dice {
        Dice(Entropy::new(seed).fork("explore", number))
    }

    /// The dice of one leap of a search for the smallest plan.
    pub(crate) fn of_leap(seed: u64, number: u64) -> Dice {
        Dice(Entropy::new(seed).fork("leap", number))
    }

    /// Other dice, for `key` of `name`.
    pub(crate) fn fork(self, name: &str, key: impl Hash) -> Dice {
        Dice(self.0.fork(name, key))
    }

    /// A seed that a plan file can hold.
    pub(crate) fn seed(self) -> u64 {
        // TOML's integers have 63 bits.
        self.0.fork("seed", 0).seed() >> 1
    }

    /// True with `probability`.
    pub(crate) fn chance(self, name: &str, probability: f64) -> bool {
        self.0.fork(name, 0).chance(probability)
    }

    /// A whole number from `low` to `high`.
    pub(crate) fn between(self, name: &str, low: u64, high: u64) -> u64 {
        let unit = self.0.fork(name, 0).unit();
        low + ((high - low + 1) as f64 * unit) as u64
    }

    /// A small number from `low` to `high`.
    pub(crate) fn count(self, name: &str, low: u32, high: u32) -> u32 {
        // It is not above `high`.
        u32::try_from(self.between(name, u64::from(low), u64::from(high))).unwrap_or(high)
    }

    /// One of `choices`, which has the more chances the more often it stands there.
    pub(crate) fn pick<T: Copy>(self, name: &str, choices: &[T]) -> T {
        choices[self.between(name, 0, choices.len() as u64 - 1) as usize]
    }

    /// A number from `low` to `high` of which each order of magnitude is as likely as another, to
    /// three digits.
    pub(crate) fn magnitude(self, name: &str, low: f64, high: f64) -> f64 {
        let unit = self.0.fork(name, 0).unit();
        (low * (high / low).powf(unit) * 1_000.0).round() / 1_000.0
    }

    /// As [`Dice::magnitude`], of durations, in whole milliseconds up to a second, and in whole
    /// seconds beyond it.
    pub(crate) fn length(self, name: &str, shortest: Duration, longest: Duration) -> Duration {
        let drawn = self.magnitude(name, shortest.as_secs_f64(), longest.as_secs_f64());
        let drawn = if drawn < 1.0 { drawn } else { drawn.floor() };
        Duration::from_millis(((drawn * 1_000.0) as u64).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..2_000 {
            let dice = Dice::of_run(7, number);
            seen.insert(dice.between("n", 3, 6));
            assert!((0.005..=0.6).contains(&dice.magnitude("rate", 0.005, 0.6)));
            let length = dice.length("by", Duration::from_millis(50), Duration::from_secs(300));
            assert!((Duration::from_millis(50)..=Duration::from_secs(300)).contains(&length));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }

    #[test]
    fn every_order_of_magnitude_is_as_likely() {
        let drawn = (0..1_000).map(|n| Dice::of_run(1, n).magnitude("rate", 0.001, 1.0));
        let small = drawn.filter(|rate| *rate < 0.0316).count();
        assert!((430..570).contains(&small), "{small} below the middle one");
    }
}
