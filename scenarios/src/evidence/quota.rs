//! How well the carrier's quota was used: each accepted call beside the best schedule.

use std::time::Duration;

use clockwork::Timestamp;
use serde::Serialize;

use super::Evidence;

/// The quota in figures, for a plan that has more to call than the quota lets through. Times are
/// drill time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuotaUse {
    /// How many calls the carrier accepted.
    pub accepted: usize,
    /// How many it answered 429.
    pub limited: usize,
    /// In how long a time, in milliseconds.
    pub over_ms: u64,
    /// The most by which a call came later than a hundredth after the best schedule and one mean
    /// way to the carrier, in milliseconds; below zero when none did.
    pub latest_ms: i64,
    /// Which call that was, from 1.
    pub latest_call: usize,
    /// The same for the calls after the first of the longest windows alone.
    pub latest_later_ms: i64,
}

impl Evidence {
    /// How well the quota was used; `None` where the plan does not ask.
    pub fn quota_use(&self) -> Option<QuotaUse> {
        self.plan.expect.quota_late_max?;
        let accepted = self.carrier.requests.iter().filter(|request| request.status != Some(429));
        let mut arrivals: Vec<Timestamp> = accepted.map(|request| request.at).collect();
        arrivals.sort();
        let (first, last) = (*arrivals.first()?, *arrivals.last()?);
        let best = self.best_schedule(arrivals.len());
        let world = &self.plan.world;
        let way = (world.latency_min + world.latency_max) / 2;
        let late = |(arrival, best): (&Timestamp, &Duration)| {
            let allowed = *best + *best / 100 + way;
            millis(arrival.since(first)) - millis(allowed)
        };
        let late: Vec<i64> = arrivals.iter().zip(&best).map(late).collect();
        let window = self.plan.carrier.windows.iter().max_by_key(|window| window.per)?;
        let later = late.iter().skip(usize::try_from(window.calls).unwrap_or(usize::MAX));
        let (latest_call, latest_ms) = (1..).zip(&late).max_by_key(|(_, late)| **late)?;
        Some(QuotaUse {
            accepted: arrivals.len(),
            limited: self.carrier.requests.len() - arrivals.len(),
            over_ms: u64::try_from(millis(last.since(first))).unwrap_or(0),
            latest_ms: *latest_ms,
            latest_call,
            latest_later_ms: later.copied().max().unwrap_or_default(),
        })
    }

    /// When each call would arrive of one who fills every window at its very beginning.
    fn best_schedule(&self, calls: usize) -> Vec<Duration> {
        let mut best: Vec<Duration> = Vec::with_capacity(calls);
        for call in 0..calls {
            let after = self.plan.carrier.windows.iter().map(|window| {
                let window_calls = usize::try_from(window.calls).unwrap_or(usize::MAX);
                let before = call.checked_sub(window_calls).and_then(|place| best.get(place));
                before.map_or(Duration::ZERO, |before| *before + window.per)
            });
            best.push(after.max().unwrap_or_default());
        }
        best
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;

    #[test]
    fn each_accepted_call_is_measured_against_the_best_schedule() {
        let within = |plan: &mut crate::plan::Plan| {
            plan.expect.quota_late_max = Some(Duration::from_secs(1));
            (plan.world.latency_min, plan.world.latency_max) = (Duration::ZERO, Duration::ZERO);
        };
        let calls = |eleventh: u64| {
            let ten = (0..10).fold(Builder::new(0).plan(within), |builder, _| {
                builder.carrier_request("RegBook", 100, Some(200), None)
            });
            let limited = ten.carrier_request("RegBook", 500, Some(429), None);
            limited.carrier_request("RegBook", eleventh, Some(200), None).evidence().quota_use()
        };
        let on_time = calls(1_100).unwrap();
        assert_eq!((on_time.accepted, on_time.limited, on_time.latest_ms), (11, 1, 0));
        let late = calls(1_400).unwrap();
        assert_eq!((late.latest_ms, late.latest_call), (290, 11), "beyond 1 % of a second");
        assert_eq!(Builder::new(0).evidence().quota_use(), None, "nobody asks");
    }
}
