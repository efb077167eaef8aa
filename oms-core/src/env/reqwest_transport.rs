//! The way over real sockets.
//!
//! Of all that can go wrong, only two things prove that nothing was sent: the connection never
//! stood, or hyper gave the request back without having written any of it (`canceled`). All else
//! may hide a request that was acted on. A TLS handshake belongs to the connection: while it has not
//! succeeded, nothing was sent.

use std::error::Error as _;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use clockwork::{Clock, timeout};
use reqwest::Url;

use super::tls;
use super::{Deadlines, Hands, Transport, TransportError};

/// A larger reply is not read: no reply of these APIs comes near.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// No transport can be made of these settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none. It is not repeated, for it may hold a password.
    #[error("base address is no URL")]
    Url(#[source] <Url as FromStr>::Err),
    /// The address says more or other than a host.
    #[error("base address {0}")]
    Unusable(&'static str),
    /// A factor that is no pace.
    #[error("time cannot run {0} times as fast")]
    Scale(f64),
    /// Nobody can be trusted by these settings.
    #[error(transparent)]
    Trust(#[from] tls::Error),
    /// The HTTP client could not be built.
    #[error("HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Calls one host through reqwest: no redirects, no proxy, no retries of its own.
pub struct ReqwestTransport {
    client: reqwest::Client,
    base: Url,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").field("host", &self.base.host_str()).finish()
    }
}

impl ReqwestTransport {
    /// The way to `base`, `http://HOST[:PORT]` or `https://HOST[:PORT]`. The certificate of an https
    /// host must be signed by one of the `authorities` in that PEM file; where none is named, by one
    /// that the system trusts.
    ///
    /// Overall deadline and read time-out of each call run on `clock`. reqwest times the connect
    /// by itself, once for all calls and in real time: `connect` is `scale` times as long as the
    /// wall should count, where `scale` is the clock's factor (1 in normal operation).
    ///
    /// # Errors
    /// [`Error`], which never repeats the address.
    pub fn new(
        base: &str,
        connect: Duration,
        clock: Arc<dyn Clock>,
        scale: f64,
        authorities: Option<&Path>,
    ) -> Result<ReqwestTransport, Error> {
        let base = checked(base)?;
        let trust = match base.scheme() {
            "https" => tls::trusting(authorities)?,
            _ => tls::trusting_nobody()?,
        };
        let connect = Duration::try_from_secs_f64(connect.as_secs_f64() / scale)
            .ok()
            .filter(|_| scale > 0.0)
            .ok_or(Error::Scale(scale))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tls_backend_preconfigured(trust)
            .connect_timeout(connect)
            .build()
            .map_err(Error::Client)?;
        Ok(ReqwestTransport { client, base, clock })
    }

    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        read: Duration,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = self.addressed(request)?;
        let late = |_| maybe_sent("no reply within the read time-out", true);
        let sent = timeout(&*self.clock, read, self.client.execute(request)).await;
        let mut response = sent.map_err(late)?.map_err(|error| classify(&error))?;
        let mut whole = http::Response::new(Bytes::new());
        *whole.status_mut() = response.status();
        *whole.headers_mut() = std::mem::take(response.headers_mut());
        *whole.body_mut() = self.body(response, read).await?;
        Ok(whole)
    }

    /// Reads the reply's body, with a time-out from one piece to the next.
    async fn body(
        &self,
        mut response: reqwest::Response,
        read: Duration,
    ) -> Result<Bytes, TransportError> {
        let late = |_| maybe_sent("reply stopped within the read time-out", true);
        let mut body = BytesMut::new();
        loop {
            let piece = timeout(&*self.clock, read, response.chunk()).await.map_err(late)?;
            let Some(piece) = piece.map_err(|error| classify(&error))? else {
                return Ok(body.freeze());
            };
            if body.len() + piece.len() > REPLY_BYTES_MAX {
                return Err(maybe_sent("reply too large", false));
            }
            body.extend_from_slice(&piece);
        }
    }

    /// The request with the host's address.
    fn addressed(&self, request: http::Request<Bytes>) -> Result<reqwest::Request, TransportError> {
        let (parts, body) = request.into_parts();
        let unusable = || TransportError::NotSent { reason: "path makes no address".to_owned() };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        // Not `Url::join`, which would let `//elsewhere/` leave the host.
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        if !path.starts_with('/') {
            return Err(unusable());
        }
        url.set_path(path);
        url.set_query(query);
        let mut addressed = reqwest::Request::new(parts.method, url);
        *addressed.headers_mut() = parts.headers;
        *addressed.body_mut() = Some(body.into());
        Ok(addressed)
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn call(
        &self,
        _: &Hands,
        request: http::Request<Bytes>,
        deadlines: Deadlines,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let exchange = self.exchange(request, deadlines.read);
        let done = timeout(&*self.clock, deadlines.overall, exchange).await;
        done.unwrap_or_else(|_| Err(maybe_sent("no whole reply within the deadline", true)))
    }
}

fn checked(base: &str) -> Result<Url, Error> {
    let base = Url::parse(base).map_err(Error::Url)?;
    let alone = base.path() == "/" && base.query().is_none() && base.fragment().is_none();
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        return Err(Error::Unusable("is no http://HOST:PORT or https://HOST:PORT"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(Error::Unusable("carries a user name or password"));
    }
    if alone { Ok(base) } else { Err(Error::Unusable("carries a path")) }
}

fn maybe_sent(reason: &str, timed_out: bool) -> TransportError {
    TransportError::MaybeSent { reason: reason.to_owned(), timed_out }
}

/// Whether a request that failed may have arrived.
///
/// The words are our own: reqwest's carry the address, and the peer's may carry anything.
fn classify(error: &reqwest::Error) -> TransportError {
    let kind = io_kind(error).map_or(String::new(), |kind| format!(": {kind}"));
    let not_sent = |what: &str| TransportError::NotSent { reason: format!("{what}{kind}") };
    if error.is_connect() {
        return not_sent(if error.is_timeout() { "connect timed out" } else { "no connection" });
    }
    if error.is_builder() {
        return not_sent("request cannot be written");
    }
    // A slow body is a time-out and a decode error at once: time-outs are looked for first.
    if error.is_timeout() {
        return maybe_sent("timed out", true);
    }
    if is_canceled(error) {
        return not_sent("connection closed before the request was written");
    }
    let what = if error.is_body() || error.is_decode() { "reply cut short" } else { "no reply" };
    maybe_sent(&format!("{what}{kind}"), false)
}

/// Every error behind `error`.
fn sources<'e>(
    error: &'e reqwest::Error,
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

fn is_canceled(error: &reqwest::Error) -> bool {
    sources(error)
        .filter_map(|source| source.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_canceled)
}

fn io_kind(error: &reqwest::Error) -> Option<std::io::ErrorKind> {
    let errors = sources(error).filter_map(|source| source.downcast_ref::<std::io::Error>());
    errors.map(std::io::Error::kind).last()
}
