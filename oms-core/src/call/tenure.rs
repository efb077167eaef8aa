//! How long work may go on: until its lease ends, which whoever renews it puts off.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use clockwork::{Clock, Timestamp};

/// The time until which work may go on. Clones share it.
#[derive(Debug, Clone)]
pub struct Tenure {
    /// Microseconds since the epoch.
    end: Arc<AtomicI64>,
}

impl Tenure {
    /// Until `moment`, if nobody prolongs it.
    pub fn until(moment: Timestamp) -> Tenure {
        Tenure { end: Arc::new(AtomicI64::new(moment.micros())) }
    }

    /// Without end.
    pub fn for_ever() -> Tenure {
        Tenure::until(Timestamp::MAX)
    }

    /// When it ends, as far as is known now.
    pub fn end(&self) -> Timestamp {
        Timestamp::from_micros(self.end.load(Ordering::Acquire))
    }

    /// Puts its end off. An earlier moment changes nothing.
    pub fn prolong(&self, until: Timestamp) {
        self.end.fetch_max(until.micros(), Ordering::AcqRel);
    }

    /// Whether it has ended at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.end()
    }

    /// Waits until it has ended.
    pub(crate) async fn over(&self, clock: &dyn Clock) {
        while !self.is_over(clock.now()) {
            match self.end() {
                Timestamp::MAX => std::future::pending().await,
                end => clock.sleep_until(end).await,
            }
        }
    }
}
