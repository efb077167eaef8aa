//! The network between a node and a fake: the fake's own router, called in process.
//!
//! A request under way belongs to the network, not to its caller: a caller that dies or gives up
//! does not un-send it. Latency is drawn for each leg from the seed and the request's own bytes,
//! so it depends on nothing else that happens. Where priorities are drawn it goes by the caller's:
//! see [`super::turns`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::{Bytes, BytesMut};
use clockwork::{Clock, Entropy, Timestamp, timeout};
use faults::{ConnectFault, Injector, Refuse, Reset};
use http_body_util::BodyExt;
use oms_core::env::{Deadlines, Hands, Transport, TransportError, current_task};
use tokio::sync::oneshot;
use tower::ServiceExt;

use super::latency::Latencies;
use super::turns::Turns;

/// A larger reply is not read to its end, as the real transport does not.
const REPLY_LIMIT_BYTES: usize = 1 << 20;

/// A span of time in which a fake's server is down: whatever it had under way ends as it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fall {
    /// When it goes down.
    pub from: Timestamp,
    /// When it is up again.
    pub until: Timestamp,
}

/// A fake, as the network reaches it.
pub struct Server {
    /// Its way in.
    pub router: Router,
    /// What happens to connections.
    pub injector: Injector,
    /// When it is down.
    pub falls: Vec<Fall>,
}

/// The way to one fake from one address.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    server: Server,
    clock: Arc<dyn Clock>,
    entropy: Entropy,
    client: SocketAddr,
    latency: Latencies,
    turns: Option<Turns>,
    /// How often each request was made: the same bytes travel differently each time.
    sent: Mutex<BTreeMap<u64, u64>>,
}

impl Link {
    /// A way to `server` for `client`, with `latency` a leg: by the caller's priority where there
    /// are `turns`.
    pub fn new(
        server: Server,
        clock: Arc<dyn Clock>,
        entropy: Entropy,
        client: SocketAddr,
        latency: Latencies,
        turns: Option<Turns>,
    ) -> Link {
        let sent = Mutex::new(BTreeMap::new());
        let shared = Shared { server, clock, entropy, client, latency, turns, sent };
        Link { shared: Arc::new(shared) }
    }

    /// The latencies of the way there and back.
    fn legs(&self, request: &http::Request<Bytes>) -> (Duration, Duration) {
        let shared = &self.shared;
        if let Some(turns) = &shared.turns {
            let travel = |leg: &str| shared.latency.of_rank(turns.slowness(current_task(), leg));
            return (travel("there"), travel("back"));
        }
        let path = request.uri().path();
        let bytes = shared.entropy.fork(path, request.body().as_ref()).seed();
        let mut sent = shared.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let times = sent.entry(bytes).or_default();
        *times += 1;
        let draw = |leg: &str| {
            let drawn = shared.entropy.fork(leg, (path, bytes, *times));
            shared.latency.at(drawn.unit())
        };
        (draw("there"), draw("back"))
    }

    async fn connect(&self, there: Duration, deadlines: Deadlines) -> Result<(), TransportError> {
        let refused = |reason: &str| Err(TransportError::NotSent { reason: reason.to_owned() });
        let down = self.shared.is_down().then_some(ConnectFault::Refused);
        match down.or_else(|| self.shared.server.injector.connect(self.shared.client.ip())) {
            None => Ok(()),
            Some(ConnectFault::Refused) => {
                self.shared.clock.sleep(there.min(deadlines.connect)).await;
                refused("connection refused")
            }
            Some(ConnectFault::Timeout) => {
                self.shared.clock.sleep(deadlines.connect).await;
                refused("connection timed out")
            }
        }
    }

    /// Hands the request to the network.
    #[expect(clippy::disallowed_methods, reason = "requests under way belong to the network")]
    fn send(
        &self,
        request: http::Request<Bytes>,
        there: Duration,
        back: Duration,
    ) -> oneshot::Receiver<Arrival> {
        let (reply, arrival) = oneshot::channel();
        let shared = self.shared.clone();
        tokio::spawn(async move {
            shared.clock.sleep(there).await;
            let mut request = request.map(Body::from);
            request.extensions_mut().insert(ConnectInfo(shared.client));
            let Some(response) = shared.serve(request).await else {
                // As with every reply, the caller may be gone.
                let _ = reply.send(Arrival::Cut);
                return;
            };
            shared.clock.sleep(back).await;
            let extensions = response.extensions();
            let cut = extensions.get::<Reset>().is_some() || extensions.get::<Refuse>().is_some();
            // The caller may be gone; what was done stays done.
            let _ = reply.send(if cut { Arrival::Cut } else { Arrival::Reply(response) });
        });
        arrival
    }

    async fn receive(
        &self,
        arrival: oneshot::Receiver<Arrival>,
        deadlines: Deadlines,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let clock = self.shared.clock.as_ref();
        let response = match timeout(clock, deadlines.read, arrival).await {
            Err(_) => return Err(gave_up("no reply")),
            Ok(Err(_)) | Ok(Ok(Arrival::Cut)) => return Err(broken("connection reset")),
            Ok(Ok(Arrival::Reply(response))) => response,
        };
        let (head, mut body) = response.into_parts();
        let mut bytes = BytesMut::new();
        loop {
            match timeout(clock, deadlines.read, body.frame()).await {
                Err(_) => return Err(gave_up("reply stalled")),
                Ok(Some(Err(_))) => return Err(broken("reply broke off")),
                Ok(None) => return Ok(http::Response::from_parts(head, bytes.freeze())),
                Ok(Some(Ok(frame))) => {
                    bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                }
            }
            if bytes.len() > REPLY_LIMIT_BYTES {
                return Err(broken("reply too large"));
            }
        }
    }
}

impl Shared {
    fn is_down(&self) -> bool {
        let now = self.clock.now();
        self.server.falls.iter().any(|fall| (fall.from..fall.until).contains(&now))
    }

    /// What the fake answers to a request that has arrived; `None` when its server goes down before.
    async fn serve(&self, request: axum::extract::Request) -> Option<axum::response::Response> {
        let answer = self.server.router.clone().oneshot(request);
        if self.is_down() {
            return None;
        }
        let now = self.clock.now();
        let next = self.server.falls.iter().map(|fall| fall.from).filter(|from| *from > now).min();
        let Some(next) = next else {
            let Ok(response) = answer.await;
            return Some(response);
        };
        tokio::select! {
            biased;
            () = self.clock.sleep_until(next) => None,
            Ok(response) = answer => Some(response),
        }
    }
}

enum Arrival {
    Reply(axum::response::Response),
    Cut,
}

fn gave_up(reason: &str) -> TransportError {
    TransportError::MaybeSent { reason: reason.to_owned(), timed_out: true }
}

fn broken(reason: &str) -> TransportError {
    TransportError::MaybeSent { reason: reason.to_owned(), timed_out: false }
}

#[async_trait]
impl Transport for Link {
    async fn call(
        &self,
        _: &Hands,
        request: http::Request<Bytes>,
        deadlines: Deadlines,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let (there, back) = self.legs(&request);
        self.connect(there, deadlines).await?;
        let call = async {
            let arrival = self.send(request, there, back);
            self.receive(arrival, deadlines).await
        };
        match timeout(self.shared.clock.as_ref(), deadlines.overall, call).await {
            Ok(answer) => answer,
            Err(_) => Err(gave_up("deadline passed")),
        }
    }
}
