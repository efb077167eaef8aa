//! Each process counts its own calls, and no others.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::env::NullObserver;
use oms_core::store::sqlite::{Options, SqliteStore};
use oms_core::store::{Permits, Result, Store, TakePermits};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "limiter-per-process",
    family: Family::LimiterWindows,
    why: "the limiter is an object in memory, right for as long as there is one process; the \
          second one has the same quota once more, and a restarted one has all of it anew",
    breaks: "quota-kept",
    seen_in: &["token-revoked"],
    seams: |env, _| {
        let options = Options::new(env.clock.clone(), Arc::new(NullObserver));
        let tap = CountsAlone { own: SqliteStore::in_memory(options) };
        env.store = Arc::new(TappedStore::new(env.store.clone(), tap));
    },
    ..Sabotage::NONE
};

struct CountsAlone {
    /// Its permits are this process's.
    own: SqliteStore,
}

#[async_trait]
impl Tap for CountsAlone {
    async fn take_permits(&self, _store: &dyn Store, take: TakePermits) -> Result<Permits> {
        self.own.take_permits(take).await
    }

    async fn block_quota(
        &self,
        _store: &dyn Store,
        quota: &'static str,
        until: Timestamp,
    ) -> Result<()> {
        self.own.block_quota(quota, until).await
    }
}
