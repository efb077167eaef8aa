//! A clock that is wrong by a constant.

use std::sync::Arc;
use std::time::Duration;

use clockwork::{BoxFuture, Clock, Timestamp};

/// `inner`, ahead by a duration.
#[derive(Debug)]
pub struct Skewed {
    /// The true clock.
    pub inner: Arc<dyn Clock>,
    /// How far ahead of it this one is.
    pub ahead: Duration,
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.inner.now() + self.ahead
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        self.inner.sleep_until(moment - self.ahead)
    }
}

#[cfg(test)]
mod tests {
    use clockwork::DrillClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_skewed_clock_is_ahead_and_waits_as_long_as_a_true_one() {
        let inner: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
        let ahead = Duration::from_secs(90);
        let skewed = Skewed { inner: inner.clone(), ahead };
        assert_eq!(skewed.now(), inner.now() + ahead);
        skewed.sleep(Duration::from_secs(5)).await;
        assert_eq!(inner.now(), Timestamp::EPOCH + Duration::from_secs(5));
    }
}
