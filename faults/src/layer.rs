//! The layer that plays the faults around a router.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use bytes::{Bytes, BytesMut};
use http::{StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tower::{Layer, Service};

use crate::api::{Api, Call, Refuse, RequestId, Reset};
use crate::fault::When;
use crate::injector::{CrashSignal, Decision, Injector};
use crate::journal::{Journal, Outcome, ReplyFate, Ticket};
use crate::script::{Making, Reply, Script, Whole};

/// The largest request body that is read; a longer one is answered 413.
pub const BODY_LIMIT_BYTES: usize = 1 << 20;

/// `router` behind the faults of `injector`, each request written down in `journal`.
///
/// Handlers find the [`Call`] and the [`RequestId`] in the request's extensions. The client's
/// address is that of `ConnectInfo<SocketAddr>`, without one the loopback's. A request that has
/// reached its handler is processed to the end even when its caller hangs up.
pub fn disturb(router: Router, api: Arc<dyn Api>, injector: Injector, journal: Journal) -> Router {
    router.layer(Disturb(Arc::new(Shared { api, injector, journal })))
}

#[derive(Clone)]
struct Disturb(Arc<Shared>);

struct Shared {
    api: Arc<dyn Api>,
    injector: Injector,
    journal: Journal,
}

impl Layer<Route> for Disturb {
    type Service = Disturbed;

    fn layer(&self, route: Route) -> Disturbed {
        Disturbed { route, shared: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct Disturbed {
    route: Route,
    shared: Arc<Shared>,
}

impl Service<Request> for Disturbed {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Disturbed { route, shared } = self.clone();
        Box::pin(answer(route, shared, request))
    }
}

/// Reads the request and hands it on.
///
/// The futures here are kept small, each below 1 KiB: glibc's allocator tidies up at every larger
/// one, which costs more than the rest of this layer.
fn answer(
    route: Route,
    shared: Arc<Shared>,
    request: Request,
) -> impl Future<Output = Result<Response, Infallible>> + Send {
    let (mut parts, body) = request.into_parts();
    async move {
        let body = read(body).await;
        let described = shared.api.describe(&parts, body.as_deref().unwrap_or_default());
        let client = client(&parts.extensions);
        let Shared { injector, journal, .. } = &*shared;
        let (call, ticket, decision) = injector.begin(journal, client, described, body.is_ok());
        let exchange = Exchange { call, ticket, shared: Arc::clone(&shared) };
        let body = match body {
            Ok(body) => body,
            Err(status) => return Ok(exchange.unreadable(status)),
        };
        parts.extensions.insert(RequestId(exchange.call.id));
        parts.extensions.insert(exchange.call.clone());
        let request = Request::from_parts(parts, Body::from(body));
        match decision {
            None => Box::pin(exchange.undisturbed(route, request)).await,
            Some(decision) => Box::pin(exchange.disturbed(route, request, decision)).await,
        }
    }
}

/// One request under way.
struct Exchange {
    shared: Arc<Shared>,
    call: Call,
    ticket: Ticket,
}

impl Exchange {
    fn unreadable(&self, status: StatusCode) -> Response {
        let response = status.into_response();
        self.finish(false, outcome(&response));
        response
    }

    /// The way of nearly all requests: a handler that is ready at once costs no task.
    fn undisturbed(
        self,
        mut route: Route,
        request: Request,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send {
        let mut handled = route.call(request);
        async move {
            let first = poll_fn(|context| Poll::Ready(Pin::new(&mut handled).poll(context))).await;
            if let Poll::Ready(response) = first {
                let response = response?;
                self.finish(true, outcome(&response));
                return Ok(response);
            }
            let to_the_end = detached(|caller| async move {
                let Ok(response) = handled.await;
                let end = outcome(&response);
                self.reply(caller, response, true, end);
            });
            Box::pin(to_the_end).await
        }
    }

    /// Plays the script of a fault, in a task of its own: it goes on when the caller hangs up.
    async fn disturbed(
        self,
        route: Route,
        request: Request,
        decision: Decision,
    ) -> Result<Response, Infallible> {
        match decision.fault.script() {
            Some(script) => {
                detached(|caller| self.play(route, request, decision, script, caller)).await
            }
            None => self.undisturbed(route, request).await,
        }
    }

    async fn play(
        self,
        mut route: Route,
        request: Request,
        decision: Decision,
        script: Script,
        caller: Caller,
    ) {
        let clock = self.shared.injector.clock();
        if matches!(script.reply, Reply::Hang) {
            self.finish(false, Outcome { status: None, reply: ReplyFate::Hung });
        }
        self.signal(&decision, script, When::Before);
        if !script.delay_before.is_zero() {
            clock.sleep(script.delay_before).await;
        }
        let uri = request.uri().clone();
        let mut own = None;
        if script.process {
            let Ok(response) = route.call(request).await;
            own = Some(response);
            self.shared.journal.processed(self.ticket, &self.call.endpoint);
        }
        self.signal(&decision, script, When::After);
        if !script.delay_after.is_zero() {
            clock.sleep(script.delay_after).await;
        }
        // Without a reply the caller's end of the channel is dropped, which leaves it waiting.
        if let Some(response) = self.response(&decision, script.reply, &uri, own).await {
            let mut end = outcome(&response);
            if matches!(script.reply, Reply::Broken(_)) {
                end.reply = ReplyFate::Truncated;
            }
            self.reply(caller, response, false, end);
        }
    }

    /// What the caller gets, if anything; `own` is what the handler answered, if it ran.
    async fn response(
        &self,
        decision: &Decision,
        reply: Reply,
        uri: &Uri,
        own: Option<Response>,
    ) -> Option<Response> {
        let Shared { api, injector, .. } = &*self.shared;
        let (fault, clock) = (&*decision.fault, injector.clock());
        let making = Making { fault, call: &self.call, uri, api: &**api, clock };
        let base = || own.unwrap_or_else(|| api.refusal(&self.call, None));
        Some(match reply {
            Reply::Hang => return None,
            Reply::Own => base(),
            Reply::Reset => reset(),
            Reply::Made(make) => make(&making),
            Reply::Altered(alter) | Reply::Broken(alter) => {
                let (head, body) = base().into_parts();
                // The API's own replies are whole in memory; one that fails is as good as empty.
                let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
                alter(&making, Whole { head, body })
            }
        })
    }

    fn signal(&self, decision: &Decision, script: Script, when: When) {
        if script.signal == Some(when) {
            self.shared.injector.signal(CrashSignal {
                index: decision.index,
                fault: decision.fault.as_ref().clone(),
                call: self.call.clone(),
                when,
            });
        }
    }

    /// Writes the end down, then answers: whoever has the answer finds it in the journal.
    fn reply(&self, caller: Caller, response: Response, processed: bool, end: Outcome) {
        let reply = if caller.is_closed() { ReplyFate::Abandoned } else { end.reply };
        self.finish(processed, Outcome { reply, ..end });
        // A caller that hangs up right now is one that lost the reply on its way.
        let _ = caller.send(response);
    }

    fn finish(&self, processed: bool, end: Outcome) {
        self.shared.journal.finish(self.ticket, &self.call.endpoint, processed, end);
    }
}

/// Where the reply goes.
type Caller = oneshot::Sender<Response>;

/// Does `work` in a task of its own and waits for its reply, for ever if there is none.
#[expect(clippy::disallowed_methods, reason = "a request under way belongs to the network")]
async fn detached<W>(work: impl FnOnce(Caller) -> W) -> Result<Response, Infallible>
where
    W: Future<Output = ()> + Send + 'static,
{
    let (caller, reply) = oneshot::channel();
    let task = tokio::spawn(work(caller));
    if let Ok(response) = reply.await {
        return Ok(response);
    }
    // A handler that panicked must not look like a fault that hangs.
    if let Err(failed) = task.await
        && let Ok(panic) = failed.try_into_panic()
    {
        resume_unwind(panic);
    }
    pending().await
}

/// The whole body. One that came in one piece, as nearly all do, is not copied.
async fn read(mut body: Body) -> Result<Bytes, StatusCode> {
    let mut whole = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(piece) = frame.into_data() else { continue };
        if whole.len() + piece.len() > BODY_LIMIT_BYTES {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        whole = if whole.is_empty() { piece } else { joined(whole, &piece) };
        if body.is_end_stream() {
            break;
        }
    }
    Ok(whole)
}

fn joined(first: Bytes, second: &[u8]) -> Bytes {
    let mut joined = first.try_into_mut().unwrap_or_else(|first| BytesMut::from(&first[..]));
    joined.extend_from_slice(second);
    joined.freeze()
}

fn client(extensions: &http::Extensions) -> IpAddr {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip())
}

fn outcome(response: &Response) -> Outcome {
    let extensions = response.extensions();
    let reply = match (extensions.get::<Reset>(), extensions.get::<Refuse>()) {
        (Some(Reset), _) => ReplyFate::Reset,
        (_, Some(Refuse)) => ReplyFate::Refused,
        _ => ReplyFate::Answered,
    };
    let status = (reply == ReplyFate::Answered).then(|| response.status().as_u16());
    Outcome { status, reply }
}

/// A reply that the edge turns into a reset. Where there is no such edge it is a 500.
fn reset() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Reset);
    response
}
