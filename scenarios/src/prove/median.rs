//! Medians of what was waited for, some of it in vain, with exact intervals.

use std::fmt;

use serde::Serialize;

/// How much it took until something came.
///
/// What did not come is ordered behind everything that did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waited {
    /// It came after so much.
    At(u64),
    /// It had not come after so much, and nobody waited any longer.
    Beyond(u64),
}

impl Waited {
    /// How much was waited, in vain or not.
    pub const fn amount(self) -> u64 {
        match self {
            Waited::At(amount) | Waited::Beyond(amount) => amount,
        }
    }

    /// Whether it came.
    pub const fn came(self) -> bool {
        matches!(self, Waited::At(_))
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Waited::At(amount) => write!(f, "{amount}"),
            Waited::Beyond(amount) => write!(f, ">{amount}"),
        }
    }
}

/// A median and an interval in which the true one lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Median {
    /// The middle one; of an even number the larger of the middle two, so that it is a count that
    /// was truly seen and never flatters.
    pub median: Waited,
    /// The interval's lower end.
    pub low: Waited,
    /// Its upper end.
    pub high: Waited,
    /// How likely the interval covers the true median, whatever the distribution is, 0 to 1.
    pub confidence: f64,
}

/// The confidence that an interval is to have, if there are enough samples for it: six or more.
const CONFIDENCE_WANTED: f64 = 0.95;

impl Median {
    /// The median of `samples`; `None` when there are none.
    ///
    /// The interval lies between two samples of the same rank, counted from either end: the
    /// innermost that have 95 %, or the smallest and the largest when there are too few for that.
    pub fn of(samples: impl IntoIterator<Item = Waited>) -> Option<Median> {
        let mut samples: Vec<Waited> = samples.into_iter().collect();
        samples.sort_unstable();
        let count = samples.len();
        let rank = rank(count);
        Some(Median {
            median: *samples.get(count / 2)?,
            low: *samples.get(rank - 1)?,
            high: *samples.get(count - rank)?,
            confidence: confidence(count, rank),
        })
    }
}

/// The innermost rank, from 1, that has the confidence wanted.
fn rank(count: usize) -> usize {
    let enough = |rank: &usize| confidence(count, *rank) >= CONFIDENCE_WANTED;
    (1..=count / 2).rev().find(enough).unwrap_or(1)
}

/// How likely the median lies between the sample of `rank` from below and the one from above.
///
/// Each sample falls below the median with one half. The interval misses it when fewer than `rank`
/// of them fall on one side of it, so this is exact binomial arithmetic.
fn confidence(count: usize, rank: usize) -> f64 {
    let half = |n: usize| (0..n).fold(1.0, |product, _| product / 2.0);
    let mut exactly = half(count);
    let mut fewer = 0.0;
    for below in 0..rank {
        fewer += exactly;
        exactly *= (count - below) as f64 / (below + 1) as f64;
    }
    // A single sample is both ends, and then it is counted twice.
    (1.0 - 2.0 * fewer).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(amounts: impl IntoIterator<Item = u64>) -> Median {
        Median::of(amounts.into_iter().map(Waited::At)).unwrap()
    }

    #[test]
    fn thirty_samples_give_the_tenth_and_the_twenty_first() {
        let median = of(1..=30);
        assert_eq!((median.low, median.high), (Waited::At(10), Waited::At(21)));
        assert!((median.confidence - 0.957_227).abs() < 1e-6, "{}", median.confidence);
        assert_eq!(median.median, Waited::At(16));
    }

    #[test]
    fn known_ranks_of_other_counts() {
        // Tables of the sign test: count, rank, confidence.
        for (count, expected, confidence) in
            [(6, 1, 0.968_75), (10, 2, 0.978_516), (20, 6, 0.958_611), (100, 40, 0.964_800)]
        {
            assert_eq!(rank(count), expected, "{count} samples");
            let told = super::confidence(count, expected);
            assert!((told - confidence).abs() < 1e-6, "{count} samples: {told}");
        }
    }

    #[test]
    fn too_few_samples_give_the_whole_range_and_say_how_little_it_is_worth() {
        let three = of([7, 2, 40]);
        assert_eq!(
            (three.low, three.median, three.high),
            (Waited::At(2), Waited::At(7), Waited::At(40))
        );
        assert!((three.confidence - 0.75).abs() < 1e-9);
        let one = of([5]);
        assert_eq!((one.low, one.high, one.confidence), (Waited::At(5), Waited::At(5), 0.0));
        assert_eq!(Median::of([]), None);
    }

    #[test]
    fn what_never_came_stands_behind_all_that_came() {
        let samples = [Waited::Beyond(100), Waited::At(10_000), Waited::At(3)];
        let median = Median::of(samples).unwrap();
        assert_eq!((median.median, median.high), (Waited::At(10_000), Waited::Beyond(100)));
        assert_eq!(median.high.to_string(), ">100");
        assert!(!median.high.came() && median.low.came());
    }
}
