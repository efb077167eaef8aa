//! A process that is told to wait does not tell the others.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::store::{Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "pause-kept-to-itself",
    family: Family::LimiterWindows,
    why: "`Retry-After` is kept in a field of the HTTP client: the other processes go on calling \
          from the same address",
    breaks: "quota-kept",
    seen_in: &["told-to-wait"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), KeepsItToItself)),
    ..Sabotage::NONE
};

struct KeepsItToItself;

#[async_trait]
impl Tap for KeepsItToItself {
    async fn block_quota(
        &self,
        _store: &dyn Store,
        _quota: &'static str,
        _until: Timestamp,
    ) -> Result<()> {
        Ok(())
    }
}
