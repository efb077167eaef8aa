//! One HTTP request out, one response back, or an error that says whether it may have arrived.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Hands;

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until the connection stands.
    pub connect: Duration,
    /// From one byte of the reply to the next.
    pub read: Duration,
    /// For the whole call.
    pub overall: Duration,
}

/// A call that brought no whole response.
///
/// The two variants answer one question: may the other side have acted on it?
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No byte of the request was handed over: nothing can have happened.
    #[error("not sent: {reason}")]
    NotSent {
        /// What went wrong, without addresses' secrets.
        reason: String,
    },
    /// The request, or a part of it, was handed over: it may have been acted on.
    #[error("maybe sent: {reason}")]
    MaybeSent {
        /// What went wrong, without addresses' secrets.
        reason: String,
        /// The reply was not awaited any longer.
        timed_out: bool,
    },
}

/// The way to one external API.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Makes one call. `request.uri()` is a path and query; the transport knows the host. The
    /// caller's `hands` are free: no transaction is open.
    ///
    /// # Errors
    /// [`TransportError`]; a response of any status is no error.
    async fn call(
        &self,
        hands: &Hands,
        request: http::Request<Bytes>,
        deadlines: Deadlines,
    ) -> Result<http::Response<Bytes>, TransportError>;
}
