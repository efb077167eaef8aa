//! A database that is busy for a time: somebody else holds its write lock.

use std::any::Any;
use std::time::Duration;

use faults::Kind;
use oms_core::store::{postgres, sqlite};

use super::{Stage, background, reading};
use crate::plan::Site;

/// Somebody who finds the lock taken tries again so soon (drill time).
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Holds the write lock for the windows of the plan's `busy` faults.
pub(super) fn disturb(stage: &Stage<'_>) {
    for (_, fault) in stage.plan().faults_at(Site::Store) {
        let wanted = fault.kind == Kind::Busy && fault.only_simulated().is_none();
        let Some(until) = fault.until.filter(|_| wanted) else { continue };
        let (clock, url) = (stage.clock.clone(), stage.store_url.clone());
        let options = reading::options(stage);
        let from = stage.start + fault.from.unwrap_or_default();
        let until = stage.start + until;
        background(async move {
            clock.sleep_until(from).await;
            while clock.now() < until {
                if let Some(lock) = lock(&url, &options).await {
                    clock.sleep_until(until).await;
                    drop(lock);
                    return;
                }
                clock.sleep(AGAIN_AFTER).await;
            }
        });
    }
}

/// The write lock, held until it is dropped; `None` while others have it.
async fn lock(url: &str, options: &sqlite::Options) -> Option<Box<dyn Any + Send>> {
    Some(match url.strip_prefix("sqlite:") {
        Some(path) => Box::new(sqlite::hold_write_lock(path.as_ref()).ok()?),
        None => Box::new(postgres::hold_write_lock(url, options).await.ok()?),
    })
}
