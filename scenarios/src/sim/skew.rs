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
