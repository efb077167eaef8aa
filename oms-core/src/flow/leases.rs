//! The leases of the steps that are under way here, renewed for as long as they last.
//!
//! A lease is short, so that what a dead process had in hand is soon another's. A step may take
//! longer than one: its lease is renewed when a third of it has passed. A process that stands still,
//! or cannot reach the database, renews nothing; then its lease ends, and with it the right to call.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clockwork::Timestamp;
use tokio::sync::Notify;

use crate::call::Tenure;
use crate::env::Env;
use crate::store::{Lease, Row};

/// The leases held by one process. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Leases {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By row and fencing token: one who slept may find that its own process has taken over.
    held: Mutex<BTreeMap<(Row, i64), Tenure>>,
    /// The first lease is held.
    taken: Notify,
    /// What is begun from now on is cut short too.
    cut: AtomicBool,
}

/// A held lease: renewed until it is dropped.
pub(super) struct Held {
    leases: Leases,
    key: (Row, i64),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.shared.held().remove(&self.key);
    }
}

impl Leases {
    /// Renews `lease` on `row` from now on.
    pub(super) fn hold(&self, row: Row, lease: &Lease) -> Held {
        let key = (row, lease.token);
        let mut held = self.shared.held();
        if held.is_empty() {
            self.shared.taken.notify_one();
        }
        let tenure = Tenure::until(lease.until);
        if self.shared.cut.load(Ordering::Acquire) {
            tenure.cut_short();
        }
        held.insert(key.clone(), tenure);
        Held { leases: self.clone(), key }
    }

    /// How long the holder of `lease` on `row` may go on.
    pub(super) fn tenure(&self, row: Row, lease: &Lease) -> Tenure {
        let held = self.shared.held().get(&(row, lease.token)).cloned();
        held.unwrap_or_else(|| Tenure::until(lease.until))
    }

    /// Cuts short what is under way: no call is begun any more, those that wait for their reply are given
    /// up, and each step writes what that comes to.
    pub(super) fn cut_short(&self) {
        let held = self.shared.held();
        self.shared.cut.store(true, Ordering::Release);
        held.values().for_each(Tenure::cut_short);
    }

    /// Renews what is held, each time for `lease`, for ever.
    pub(super) async fn keep(&self, env: &Env, lease: Duration) {
        let mut not_before = Timestamp::EPOCH;
        loop {
            let now = env.clock.now();
            let Some(due) = self.next_due(now, lease) else {
                self.shared.taken.notified().await;
                continue;
            };
            let due = due.max(not_before);
            if now < due {
                env.clock.sleep_until(due).await;
                continue;
            }
            if !self.renew(env, now, lease).await {
                // Another transaction had a row, or the database was away: in time for more tries.
                not_before = env.clock.now() + lease / 12;
            }
        }
    }

    /// When the first of the leases is to be renewed. One that has ended is not, for another may
    /// have taken over; nor is one that lasts longer than any that is given here.
    fn next_due(&self, now: Timestamp, lease: Duration) -> Option<Timestamp> {
        let held = self.shared.held();
        let ends = held.values().map(Tenure::end);
        let first = ends.filter(|end| now < *end && *end <= now + lease).min();
        first.map(|end| end - lease * 2 / 3)
    }

    /// Renews all that is due. Whether all of it could be.
    async fn renew(&self, env: &Env, now: Timestamp, lease: Duration) -> bool {
        let due: Vec<(Row, i64)> = {
            let held = self.shared.held();
            let due = held
                .iter()
                .filter(|(_, tenure)| !tenure.is_over(now) && tenure.end() <= now + lease * 2 / 3);
            due.map(|(key, _)| key.clone()).collect()
        };
        let wanted = due.len();
        let until = now + lease;
        match env.store.renew_leases(due, until).await {
            Ok(renewed) => {
                let held = self.shared.held();
                renewed.iter().filter_map(|key| held.get(key)).for_each(|held| held.prolong(until));
                renewed.len() == wanted
            }
            Err(error) => {
                tracing::warn!(%error, "leases not renewed yet");
                false
            }
        }
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, BTreeMap<(Row, i64), Tenure>> {
        // Nothing under this lock can panic half-way through a change.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
