//! A transport that changes what is sent to one endpoint.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use oms_core::env::{Deadlines, Hands, Transport, TransportError};
use serde_json::{Map, Value};

/// The fields of a request's body.
pub(super) type Fields = Map<String, Value>;

/// `inner`, with the bodies of the requests to one endpoint rewritten.
pub(super) struct TappedTransport<F> {
    inner: Arc<dyn Transport>,
    endpoint: &'static str,
    rewrite: F,
}

impl<F: Fn(&mut Fields) + Send + Sync> TappedTransport<F> {
    /// Rewrites what goes to paths that end in `endpoint`.
    pub(super) fn new(
        inner: Arc<dyn Transport>,
        endpoint: &'static str,
        rewrite: F,
    ) -> TappedTransport<F> {
        TappedTransport { inner, endpoint, rewrite }
    }

    fn rewritten(&self, request: Request<Bytes>) -> Request<Bytes> {
        if !request.uri().path().ends_with(self.endpoint) {
            return request;
        }
        request.map(|body| match serde_json::from_slice(&body) {
            Ok(Value::Object(mut fields)) => {
                (self.rewrite)(&mut fields);
                Bytes::from(Value::Object(fields).to_string())
            }
            _ => body,
        })
    }
}

#[async_trait]
impl<F: Fn(&mut Fields) + Send + Sync> Transport for TappedTransport<F> {
    async fn call(
        &self,
        hands: &Hands,
        request: Request<Bytes>,
        deadlines: Deadlines,
    ) -> Result<Response<Bytes>, TransportError> {
        self.inner.call(hands, self.rewritten(request), deadlines).await
    }
}
