//! The carrier's token is asked for once, and then remembered.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use oms_core::env::{Deadlines, Hands, Transport, TransportError};

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "stale-token",
    family: Family::StaleRead,
    why: "`@Cacheable` on the method that asks for the token: whoever asks for a new one after a \
          401 is given the old one",
    breaks: "everything-settles",
    seen_in: &["token-revoked"],
    seams: |env, _| {
        let cached = Cached { inner: env.carrier.clone(), token: Mutex::default() };
        env.carrier = Arc::new(cached);
    },
    ..Sabotage::NONE
};

struct Cached {
    inner: Arc<dyn Transport>,
    /// The first good answer.
    token: Mutex<Option<Response<Bytes>>>,
}

#[async_trait]
impl Transport for Cached {
    async fn call(
        &self,
        hands: &Hands,
        request: Request<Bytes>,
        deadlines: Deadlines,
    ) -> Result<Response<Bytes>, TransportError> {
        if !request.uri().path().ends_with("ReqOneDayToken") {
            return self.inner.call(hands, request, deadlines).await;
        }
        if let Some(answer) = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(answer);
        }
        let answer = self.inner.call(hands, request, deadlines).await?;
        if answer.status().is_success() {
            let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
            *token = Some(answer.clone());
        }
        Ok(answer)
    }
}
