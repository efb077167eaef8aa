//! The first text's `RateLimiter`: `limitForPeriod(10)`, `limitRefreshPeriod(1 s)`,
//! `timeoutDuration(5 s)`.
//!
//! It lives in one process, counts by whole seconds, and knows nothing of the hundred a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clockwork::{Clock, Timestamp};

const LIMIT_FOR_PERIOD: u32 = 10;
const LIMIT_REFRESH_PERIOD: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Ten calls in each second of its own count.
pub(super) struct RateLimiter {
    clock: Arc<dyn Clock>,
    cycle: Mutex<Cycle>,
}

/// The period that the last permission is for, which may be one to come.
struct Cycle {
    begins: Timestamp,
    used: u32,
}

impl RateLimiter {
    pub(super) fn new(clock: Arc<dyn Clock>) -> RateLimiter {
        let cycle = Mutex::new(Cycle { begins: clock.now(), used: 0 });
        RateLimiter { clock, cycle }
    }

    /// Waits for a permission; false when there is none in time (`RequestNotPermitted`).
    pub(super) async fn acquire(&self) -> bool {
        let now = self.clock.now();
        let Some(begins) = self.reserve(now) else { return false };
        self.clock.sleep_until(begins).await;
        true
    }

    /// The begin of the period of the next permission.
    fn reserve(&self, now: Timestamp) -> Option<Timestamp> {
        let mut cycle = self.cycle.lock().unwrap_or_else(PoisonError::into_inner);
        if cycle.begins + LIMIT_REFRESH_PERIOD <= now {
            let passed = now.since(cycle.begins).as_secs();
            *cycle = Cycle { begins: cycle.begins + Duration::from_secs(passed), used: 0 };
        }
        if cycle.used == LIMIT_FOR_PERIOD {
            let next = cycle.begins + LIMIT_REFRESH_PERIOD;
            if next > now + TIMEOUT {
                return None;
            }
            *cycle = Cycle { begins: next, used: 0 };
        }
        cycle.used += 1;
        Some(cycle.begins)
    }
}

#[cfg(test)]
mod tests {
    use clockwork::DrillClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_pass_in_a_second_and_who_would_wait_longer_than_five_is_turned_away() {
        let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
        let limiter = RateLimiter::new(clock.clone());
        let at = |seconds| Some(Timestamp::EPOCH + Duration::from_secs(seconds));
        let given: Vec<_> = (0..61).map(|_| limiter.reserve(clock.now())).collect();
        assert_eq!((given[9], given[10], given[59], given[60]), (at(0), at(1), at(5), None));
        assert!(!limiter.acquire().await);
        clock.sleep(Duration::from_millis(1_500)).await;
        assert!(limiter.acquire().await);
        assert_eq!(Some(clock.now()), at(6), "behind those that wait");
        clock.sleep(Duration::from_secs(10)).await;
        assert_eq!(limiter.reserve(clock.now()), at(16));
    }
}
