//! A call counts from its sending on, as if it arrived that very moment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oms_core::store::{Permits, Result, Store, TakePermits};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "permit-ends-at-sending",
    family: Family::LimiterWindows,
    why: "a call is entered in the window when it is sent, as every limiter does it; the carrier \
          counts it when it arrives, and a slow call arrives together with the next window's",
    breaks: "quota-kept",
    seen_in: &["token-revoked"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), CountsSending)),
    ..Sabotage::NONE
};

struct CountsSending;

#[async_trait]
impl Tap for CountsSending {
    async fn take_permits(&self, store: &dyn Store, take: TakePermits) -> Result<Permits> {
        store.take_permits(TakePermits { hold: Duration::ZERO, ended: Vec::new(), ..take }).await
    }
}
