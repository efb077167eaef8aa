//! How full the pool of connections was: in use over time, waited for, waited for in vain.

use std::time::Duration;

use clockwork::Timestamp;
use oms_core::env::Event;
use serde::Serialize;

use super::Evidence;
use super::connections::Held;
use crate::history::What;

/// The run is told in so many equal parts of time.
const PARTS: u32 = 12;

/// What became of the pool in a run. Times are drill time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pool {
    /// How many connections each node has.
    pub size: usize,
    /// The most that one node had in use at one moment: use cases, of which several may share a
    /// connection where they come together (live, on PostgreSQL).
    pub peak: usize,
    /// How many were in use on average, all nodes together, while there was work.
    pub mean: f64,
    /// The most in use in each of twelve equal parts of that time, all nodes together.
    pub in_use: Vec<usize>,
    /// How long each part is, in milliseconds.
    pub part_ms: u64,
    /// Requests that had to wait for a connection.
    pub waited: u64,
    /// Of these, the ones that got none in time.
    pub timed_out: u64,
    /// The longest wait, in milliseconds.
    pub longest_wait_ms: u64,
    /// Transactions that were opened.
    pub transactions: u64,
    /// Those in which a call was made.
    pub with_calls: u64,
    /// How long connections were held, added up, in milliseconds.
    pub held_ms: u64,
    /// How long of that a call was under way, in milliseconds.
    pub during_calls_ms: u64,
}

impl Evidence {
    /// What became of the pool; `None` where nobody held a connection over a call or waited for one.
    pub fn pool(&self) -> Option<Pool> {
        let waits: Vec<(Duration, bool)> = self.pool_waits().collect();
        let sums = self.connections();
        if waits.is_empty() && sums.with_calls == 0 {
            return None;
        }
        let held: Vec<Held> =
            self.transactions().into_iter().filter(|held| held.from < held.until).collect();
        let from = held.iter().map(|held| held.from).min().unwrap_or(self.plan.start);
        let until = held.iter().map(|held| held.until).max().unwrap_or(from);
        let part = until.since(from) / PARTS;
        let parts = (0..PARTS).map(|place| (from + part * place, from + part * (place + 1)));
        let in_use = parts.map(|(from, until)| most_in_use(&held, from, until)).collect();
        let longest = waits.iter().map(|(wait, _)| *wait).max().unwrap_or_default();
        Some(Pool {
            size: self.plan.oms.service.pool_size,
            peak: sums.peak,
            mean: mean(&held, until.since(from)),
            in_use,
            part_ms: ms(part),
            waited: waits.len() as u64,
            timed_out: waits.iter().filter(|(_, granted)| !granted).count() as u64,
            longest_wait_ms: ms(longest),
            transactions: sums.transactions,
            with_calls: sums.with_calls,
            held_ms: ms(sums.held),
            during_calls_ms: ms(sums.during_calls),
        })
    }

    fn pool_waits(&self) -> impl Iterator<Item = (Duration, bool)> {
        self.records.iter().filter_map(|record| match record.what {
            What::Oms(Event::PoolWaited { since, granted, .. }) => {
                Some((record.at.since(since), granted))
            }
            _ => None,
        })
    }
}

/// The most in use at one moment of a part.
fn most_in_use(held: &[Held], from: Timestamp, until: Timestamp) -> usize {
    let in_use = |at: Timestamp| held.iter().filter(|h| h.from <= at && at < h.until).count();
    let begins = held.iter().map(|held| held.from).filter(|at| (from..until).contains(at));
    // It is most at the part's beginning, or where somebody takes one more.
    begins.chain([from]).map(in_use).max().unwrap_or(0)
}

fn mean(held: &[Held], over: Duration) -> f64 {
    let sum: Duration = held.iter().map(|held| held.until.since(held.from)).sum();
    if over.is_zero() { 0.0 } else { sum.as_secs_f64() / over.as_secs_f64() }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;

    #[test]
    fn connections_in_use_waits_and_time_outs_are_counted() {
        let waited = |granted| Event::PoolWaited {
            task: 9,
            since: Builder::new(0).evidence().plan.start + Duration::from_millis(100),
            granted,
        };
        let two = Builder::new(0)
            .tx_begins(0, 7, "unit-of-work", 0)
            .call(0, 7, "send/omni", "member:MEM-1:welcome", 0, 600, "done", Some(200))
            .tx_ends(0, 7, "unit-of-work", 600)
            .tx(0, 8, "unit-of-work", 600, 1_200)
            .event(0, 600, waited(true))
            .event(0, 1_100, waited(false));
        let pool = two.evidence().pool().unwrap();
        assert_eq!((pool.size, pool.peak), (10, 1));
        assert!((pool.mean - 1.0).abs() < 1e-9, "{}", pool.mean);
        assert_eq!((pool.in_use, pool.part_ms), (vec![1; 12], 100));
        assert_eq!((pool.waited, pool.timed_out, pool.longest_wait_ms), (2, 1, 1_000));
        assert_eq!((pool.transactions, pool.with_calls), (2, 1));
        assert_eq!((pool.held_ms, pool.during_calls_ms), (1_200, 600));
    }

    #[test]
    fn of_a_run_that_holds_no_connection_over_a_call_there_is_nothing_to_tell() {
        assert_eq!(Builder::clean(3).evidence().pool(), None);
    }
}
