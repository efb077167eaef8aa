//! How long work may go on: until its lease ends, which whoever renews it puts off, or until it is cut
//! short.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use clockwork::{Clock, Timestamp};
use tokio::sync::Notify;

/// The time until which work may go on. Clones share it.
#[derive(Debug, Clone)]
pub struct Tenure {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Microseconds since the epoch.
    end: AtomicI64,
    /// It has ended before its time, for good.
    cut: AtomicBool,
    /// Who waits for its end is told of that.
    told: Notify,
}

impl Tenure {
    /// Until `moment`, if nobody prolongs it.
    pub fn until(moment: Timestamp) -> Tenure {
        let end = AtomicI64::new(moment.micros());
        let shared = Shared { end, cut: AtomicBool::new(false), told: Notify::new() };
        Tenure { shared: Arc::new(shared) }
    }

    /// Without end.
    pub fn for_ever() -> Tenure {
        Tenure::until(Timestamp::MAX)
    }

    /// When it ends, as far as is known now, if it is not cut short.
    pub fn end(&self) -> Timestamp {
        Timestamp::from_micros(self.shared.end.load(Ordering::Acquire))
    }

    /// Puts its end off. An earlier moment changes nothing.
    pub fn prolong(&self, until: Timestamp) {
        self.shared.end.fetch_max(until.micros(), Ordering::AcqRel);
    }

    /// Ends it now, whoever prolongs it.
    pub fn cut_short(&self) {
        self.shared.cut.store(true, Ordering::Release);
        self.shared.told.notify_waiters();
    }

    /// Whether it has ended at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.is_cut_short() || now >= self.end()
    }

    fn is_cut_short(&self) -> bool {
        self.shared.cut.load(Ordering::Acquire)
    }

    /// Waits until it has ended.
    pub(crate) async fn over(&self, clock: &dyn Clock) {
        loop {
            // From here on nobody is missed who cuts it short.
            let told = self.shared.told.notified();
            if self.is_over(clock.now()) {
                return;
            }
            match self.end() {
                Timestamp::MAX => told.await,
                end => tokio::select! {
                    biased;
                    () = clock.sleep_until(end) => {}
                    () = told => {}
                },
            }
        }
    }

    /// Waits until it is cut short, which its own end is not.
    pub(crate) async fn cut(&self) {
        loop {
            let told = self.shared.told.notified();
            if self.is_cut_short() {
                return;
            }
            told.await;
        }
    }
}
