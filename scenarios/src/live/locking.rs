//! A database that is busy for a time: somebody else holds its write lock.

use std::time::Duration;

use faults::Kind;
use oms_core::store::sqlite::hold_write_lock;

use super::{Stage, background};
use crate::plan::Site;

/// Somebody who finds the lock taken tries again so soon (drill time).
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Holds the write lock for the windows of the plan's `busy` faults.
pub(super) fn disturb(stage: &Stage<'_>) {
    let Some(path) = stage.store_url.strip_prefix("sqlite:").map(str::to_owned) else { return };
    for (_, fault) in stage.plan().faults_at(Site::Store) {
        let wanted = fault.kind == Kind::Busy && fault.only_simulated().is_none();
        let Some(until) = fault.until.filter(|_| wanted) else { continue };
        let (clock, path) = (stage.clock.clone(), path.clone());
        let from = stage.start + fault.from.unwrap_or_default();
        let until = stage.start + until;
        background(async move {
            clock.sleep_until(from).await;
            while clock.now() < until {
                if let Ok(lock) = hold_write_lock(path.as_ref()) {
                    clock.sleep_until(until).await;
                    drop(lock);
                    return;
                }
                clock.sleep(AGAIN_AFTER).await;
            }
        });
    }
}
