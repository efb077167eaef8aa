//! Delivery reports are acknowledged when they have come, and written when there is time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clockwork::{Clock, Timestamp};
use oms_core::env::Spawner;
use oms_core::store::{DeliveryReport, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "report-acked-before-commit",
    family: Family::ReportAckedTooEarly,
    why: "reports go to a queue in memory, so that polling is never slowed down by the database; \
          a process that dies takes along what it has acknowledged",
    breaks: "everything-settles",
    seen_in: &["only-reports-answer"],
    seams: |env, _| {
        let (inner, clock) = (env.store.clone(), env.clock.clone());
        let tap = Queues { inner: inner.clone(), clock, spawner: env.spawner.clone() };
        env.store = Arc::new(TappedStore::new(inner, tap));
    },
    ..Sabotage::NONE
};

/// A batch of reports waits so long for its turn.
const EMPTIED_EVERY: Duration = Duration::from_secs(60);

struct Queues {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    spawner: Arc<dyn Spawner>,
}

#[async_trait]
impl Tap for Queues {
    async fn record_reports(
        &self,
        _store: &dyn Store,
        reports: Vec<DeliveryReport>,
        now: Timestamp,
    ) -> Result<()> {
        let (store, clock) = (self.inner.clone(), self.clock.clone());
        let later = async move {
            clock.sleep(EMPTIED_EVERY).await;
            // They are acknowledged: when the database does not take them, they are gone.
            let _ = store.record_reports(reports, now).await;
        };
        self.spawner.spawn("reports", Box::pin(later));
        Ok(())
    }
}
