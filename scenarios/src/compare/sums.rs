//! What many runs came to under one strategy.

use std::collections::BTreeMap;
use std::time::Duration;

use super::measure::Measure;
use crate::evidence::LeftBehind;

/// Many runs, added up. All durations are drill time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// So many runs.
    pub runs: u64,
    /// In how many of them each promise fell.
    pub broken: BTreeMap<&'static str, u64>,
    /// Orders that were taken in.
    pub orders: u64,
    /// How long those took that came to an end; in no order.
    settled: Vec<Duration>,
    /// How long the runs took.
    pub lasted: Duration,
    /// Calls to both APIs.
    pub calls: u64,
    /// Bookings that the carrier answered without booking again.
    pub prevented: u64,
    /// Transactions.
    pub transactions: u64,
    /// Transactions in which a call was made.
    pub with_calls: u64,
    /// How long transactions were open while a call of theirs was under way.
    pub during_calls: Duration,
    /// How long the longest transaction was open.
    pub longest: Duration,
    /// For how long each booking was hidden.
    windows: Vec<Duration>,
    /// What was left behind.
    pub left: LeftBehind,
}

impl Sums {
    /// Adds a run.
    pub fn add(&mut self, measure: &Measure) {
        self.runs += 1;
        for promise in &measure.broken {
            *self.broken.entry(promise).or_default() += 1;
        }
        self.orders += measure.orders;
        self.settled.extend(measure.settled.iter().flatten());
        self.lasted += measure.lasted;
        self.calls += measure.calls;
        self.prevented += measure.prevented;
        self.transactions += measure.connections.transactions;
        self.with_calls += measure.connections.with_calls;
        self.during_calls += measure.connections.during_calls;
        self.longest = self.longest.max(measure.connections.longest);
        self.windows.extend(&measure.windows);
        self.left.bookings += measure.left.bookings;
        self.left.messages += measure.left.messages;
    }

    /// The share of runs in which `promise` fell.
    pub fn share(&self, promise: &str) -> f64 {
        ratio(self.broken.get(promise).copied().unwrap_or_default(), self.runs)
    }

    /// Orders that came to an end, a minute.
    pub fn settled_per_minute(&self) -> f64 {
        let minutes = self.lasted.as_secs_f64() / 60.0;
        if minutes > 0.0 { self.settled.len() as f64 / minutes } else { 0.0 }
    }

    /// Within how long `of` (0 to 1) of the orders came to an end; `None` when fewer ever did.
    pub fn settled_within(&self, of: f64) -> Option<Duration> {
        quantile(&self.settled, self.orders, of)
    }

    /// The share of orders that never came to an end.
    pub fn unsettled(&self) -> f64 {
        1.0 - ratio(self.settled.len() as u64, self.orders)
    }

    /// Calls an order.
    pub fn calls_per_order(&self) -> f64 {
        ratio(self.calls, self.orders)
    }

    /// For how long a connection is held by an order while a call is under way.
    pub fn held_per_order(&self) -> Duration {
        let orders = u32::try_from(self.orders).unwrap_or(u32::MAX);
        self.during_calls.checked_div(orders).unwrap_or_default()
    }

    /// Of a thousand orders, so many times the carrier prevented a second booking.
    pub fn prevented_per_thousand(&self) -> f64 {
        1000.0 * ratio(self.prevented, self.orders)
    }

    /// For how long `of` (0 to 1) of the bookings were hidden at the most.
    pub fn hidden_within(&self, of: f64) -> Option<Duration> {
        quantile(&self.windows, self.windows.len() as u64, of)
    }
}

fn ratio(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// The smallest that `of` of `count` are not above, those that are missing counted as endless.
fn quantile(lengths: &[Duration], count: u64, of: f64) -> Option<Duration> {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let rank = (of * count as f64).ceil().max(1.0);
    // Not negative, and not above a length where it is used.
    sorted.get(rank as usize - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_never_ends_is_the_slowest_of_all() {
        let seconds = |all: &[u64]| all.iter().map(|s| Duration::from_secs(*s)).collect::<Vec<_>>();
        let lengths = seconds(&[4, 1, 3, 2]);
        assert_eq!(quantile(&lengths, 4, 0.5), Some(Duration::from_secs(2)));
        assert_eq!(quantile(&lengths, 4, 0.99), Some(Duration::from_secs(4)));
        assert_eq!(quantile(&lengths, 5, 0.99), None, "the fifth never ended");
        assert_eq!(quantile(&lengths, 8, 0.5), Some(Duration::from_secs(4)));
        assert_eq!(quantile(&[], 0, 0.5), None);
    }
}
