//! When to try again: attempts in a round, then a pause, then another round.

use std::time::Duration;

use clockwork::Entropy;

use crate::config::Calls;
use crate::store::Tries;

/// The pause between rounds is doubled at most so often: sixteenfold.
const DOUBLINGS_MAX: u32 = 4;
/// No setting makes a wait longer.
const WAIT_MAX: Duration = Duration::from_secs(86_400);
/// Waits are jittered by a quarter, so that what failed together does not come back together.
const JITTER: f64 = 0.25;

/// The waits of one API, jittered by key, so that a replay waits as long as the first run.
#[derive(Debug, Clone)]
pub struct Backoff {
    attempts: u32,
    first: Duration,
    round_pause: Duration,
    entropy: Entropy,
}

impl Backoff {
    /// The waits that `calls` asks for.
    pub fn new(calls: &Calls, entropy: Entropy) -> Backoff {
        Backoff {
            attempts: calls.attempts.max(1),
            first: calls.backoff,
            round_pause: calls.round_pause,
            entropy,
        }
    }

    /// The wait after one more attempt on `key`, and the counters then; `tries` are those before.
    ///
    /// With four attempts and a second's backoff: 1 s, 2 s, 4 s, then the round's pause, doubled
    /// after each round up to sixteenfold; all of it jittered by a quarter up or down.
    pub fn next(&self, key: &str, tries: Tries) -> (Duration, Tries) {
        let attempts = tries.attempts.saturating_add(1);
        let (wait, after) = if attempts < self.attempts {
            let doubled = self.first.saturating_mul(2_u32.saturating_pow(tries.attempts));
            (doubled, Tries { attempts, ..tries })
        } else {
            let doublings = tries.rounds.min(DOUBLINGS_MAX);
            let doubled = self.round_pause.saturating_mul(2_u32.pow(doublings));
            (doubled, Tries { attempts: 0, rounds: tries.rounds.saturating_add(1) })
        };
        (self.jittered(wait, key, tries), after)
    }

    fn jittered(&self, wait: Duration, key: &str, tries: Tries) -> Duration {
        let wait = wait.min(WAIT_MAX);
        let drawn = self.entropy.fork("backoff", (key, tries.rounds, tries.attempts));
        drawn.duration(wait.mul_f64(1.0 - JITTER), wait.mul_f64(1.0 + JITTER))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(&Calls::default(), Entropy::new(seed))
    }

    #[test]
    fn a_round_waits_one_two_and_four_seconds_then_pauses_longer_each_time() {
        let backoff = backoff(7);
        let mut tries = Tries::default();
        let mut expected = Vec::new();
        for pause in [30, 60, 120, 240, 480, 480, 480] {
            expected.extend([1, 2, 4, pause]);
        }
        for seconds in expected {
            let (wait, after) = backoff.next("ORD-1/1", tries);
            let middle = SECOND * seconds;
            assert!(wait >= middle.mul_f64(0.75) && wait <= middle.mul_f64(1.25), "{wait:?}");
            tries = after;
        }
        assert_eq!(tries, Tries { attempts: 0, rounds: 7 });
    }

    #[test]
    fn the_same_try_waits_the_same_time_and_another_parcel_another() {
        let tries = Tries { attempts: 1, rounds: 3 };
        assert_eq!(backoff(7).next("ORD-1/1", tries), backoff(7).next("ORD-1/1", tries));
        assert_ne!(backoff(7).next("ORD-1/1", tries), backoff(7).next("ORD-2/1", tries));
        assert_ne!(backoff(7).next("ORD-1/1", tries), backoff(8).next("ORD-1/1", tries));
    }

    proptest! {
        #[test]
        fn waits_stay_in_bounds_and_counters_only_grow(
            seed: u64,
            key in "[A-Z]{1,8}",
            attempts in 0..10_u32,
            rounds: u32,
        ) {
            let tries = Tries { attempts, rounds };
            let (wait, after) = backoff(seed).next(&key, tries);
            prop_assert!(wait >= SECOND.mul_f64(0.75));
            prop_assert!(wait <= (SECOND * 30 * 16).mul_f64(1.25));
            let grown = (after.rounds, after.attempts) > (rounds, attempts);
            prop_assert!(grown || rounds == u32::MAX);
            prop_assert!(after.attempts < 4);
        }
    }
}
