//! Calls are counted by calendar second and calendar minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::store::{Permits, Result, Store, TakePermits, Window};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "counts-by-the-calendar",
    family: Family::LimiterWindows,
    why: "`INCR calls:12:34` with an expiry: a counter for each calendar minute lets through twice \
          the quota around its turn, and the carrier counts any sixty seconds",
    breaks: "quota-kept",
    seen_in: &["token-revoked"],
    seams: |env, _| {
        let tap = Counters { counts: Mutex::default() };
        env.store = Arc::new(TappedStore::new(env.store.clone(), tap));
    },
    ..Sabotage::NONE
};

/// How many permits were given, by quota, length of the window in microseconds, and its number.
type Counts = BTreeMap<(&'static str, i64, i64), u32>;

struct Counters {
    counts: Mutex<Counts>,
}

#[async_trait]
impl Tap for Counters {
    async fn take_permits(&self, store: &dyn Store, take: TakePermits) -> Result<Permits> {
        let wanted = take.want;
        let allowed = {
            let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let free = take.windows.iter().map(|window| {
                let counted = counts.get(&counter(&take, window)).copied().unwrap_or(0);
                (window.calls.saturating_sub(counted), turn(&take, window))
            });
            free.min_by_key(|(free, turn)| (*free, std::cmp::Reverse(*turn)))
        };
        if let Some((0, turn)) = allowed.filter(|_| wanted > 0) {
            return Ok(Permits::Wait(turn));
        }
        let want = allowed.map_or(wanted, |(free, _)| free.min(wanted));
        // The store hands out the numbers and knows of bans; its own windows are not asked.
        let unlimited = take.windows.iter().map(|window| Window { calls: u32::MAX, ..*window });
        let asked = TakePermits { want, spare: 0, windows: unlimited.collect(), ..take.clone() };
        let granted = store.take_permits(asked).await?;
        if let Permits::Granted(ids) = &granted {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            for window in &take.windows {
                let given = u32::try_from(ids.len()).unwrap_or(u32::MAX);
                *counts.entry(counter(&take, window)).or_default() += given;
            }
        }
        Ok(granted)
    }
}

/// The counter that a call now would be entered in.
fn counter(take: &TakePermits, window: &Window) -> (&'static str, i64, i64) {
    let length = micros(window.per);
    (take.quota, length, take.now.micros() / length)
}

/// When the next counter begins.
fn turn(take: &TakePermits, window: &Window) -> Timestamp {
    let length = micros(window.per);
    Timestamp::from_micros((take.now.micros() / length + 1) * length)
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX).max(1)
}
