//! How long a request or a reply is under way.

use std::time::Duration;

use crate::plan::{Latency, World};

/// The times under way that are possible, and how likely each is.
#[derive(Debug, Clone, Copy)]
pub struct Latencies {
    shortest: Duration,
    longest: Duration,
    shape: Latency,
}

/// Quantiles of a log-normal distribution with σ = 1, as shares of its 99th percentile:
/// exp(z(p) − z(0.99)). Between them it is a straight line. A table, because `exp` and `ln` differ
/// in their last digits from machine to machine, and a run must not.
const LOG_NORMAL: &[(f64, f64)] = &[
    (0.0, 0.0),
    (0.01, 0.0095),
    (0.05, 0.0189),
    (0.1, 0.0271),
    (0.25, 0.0498),
    (0.5, 0.0977),
    (0.75, 0.1918),
    (0.9, 0.3519),
    (0.95, 0.5061),
    (0.98, 0.7616),
    (0.99, 1.0),
    (0.995, 1.2834),
    (0.999, 2.1466),
    (0.9999, 4.025),
    (1.0, 8.0),
];

impl Latencies {
    /// Those of a plan.
    pub fn of(world: &World) -> Latencies {
        let World { latency_min, latency_max, latency, .. } = world;
        Latencies { shortest: *latency_min, longest: *latency_max, shape: *latency }
    }

    /// The time under way for a draw from 0 to 1; whoever draws more is slower.
    pub fn at(&self, unit: f64) -> Duration {
        let spread = self.longest.saturating_sub(self.shortest).as_micros() as f64;
        let share = match self.shape {
            Latency::Uniform => unit,
            Latency::LogNormal => log_normal(unit),
        };
        self.shortest + Duration::from_micros((spread * share) as u64)
    }

    /// The longest of all.
    pub fn longest(&self) -> Duration {
        self.at(1.0)
    }

    /// The time under way of whoever is slower than `slowness`, from 0 to 1, of all others. The
    /// slowest takes the longest time: the tail beyond it is left to chance.
    pub fn of_rank(&self, slowness: f64) -> Duration {
        match self.shape {
            Latency::Uniform => self.at(slowness),
            Latency::LogNormal => self.at(slowness * 0.99),
        }
    }
}

fn log_normal(unit: f64) -> f64 {
    let above = LOG_NORMAL.partition_point(|(p, _)| *p <= unit).clamp(1, LOG_NORMAL.len() - 1);
    let ((low, from), (high, to)) = (LOG_NORMAL[above - 1], LOG_NORMAL[above]);
    from + (to - from) * (unit - low) / (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(latency: Latency) -> Latencies {
        let [latency_min, latency_max] = [10, 1_010].map(Duration::from_millis);
        Latencies::of(&World { latency_min, latency_max, latency, ..World::default() })
    }

    #[test]
    fn uniform_latencies_fill_their_span_evenly() {
        let uniform = latencies(Latency::Uniform);
        let millis = [0.0, 0.25, 0.5, 1.0].map(|unit| uniform.at(unit).as_millis());
        assert_eq!(millis, [10, 260, 510, 1_010]);
    }

    #[test]
    fn log_normal_latencies_are_mostly_short_and_one_in_a_hundred_is_beyond_the_longest() {
        let heavy = latencies(Latency::LogNormal);
        let drawn: Vec<Duration> = (0..10_000).map(|n| heavy.at(f64::from(n) / 10_000.0)).collect();
        assert!(drawn.is_sorted());
        assert_eq!(drawn[0], Duration::from_millis(10));
        assert_eq!(drawn.iter().filter(|by| by.as_millis() >= 1_010).count(), 100);
        assert!(drawn[5_000] < Duration::from_millis(110), "the median is a tenth of it");
        assert!(heavy.at(0.999_99) > Duration::from_secs(7), "the tail is heavy");
        assert_eq!(heavy.at(1.0), Duration::from_millis(8_010), "and has an end");
        assert_eq!(heavy.of_rank(1.0), Duration::from_millis(1_010));
    }
}
