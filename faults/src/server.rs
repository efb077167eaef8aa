//! The socket edge: HTTP/1.1 over TCP, where a reset is a TCP reset.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use clockwork::{Clock, Timestamp};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::api::{Refuse, Reset};
use crate::injector::{ConnectFault, Injector, Outage};

mod port;
mod stream;

use port::{Accepted, Port};
use stream::{ResetSwitch, Stream, reset_on_drop};

/// Serves `router` on `listener` until `shutdown` resolves; all connections end with it.
///
/// Requests carry `ConnectInfo<SocketAddr>`. A reply marked [`Reset`] or [`Refuse`] is a TCP reset.
/// In an outage of the injector the port refuses connections, or leaves them without an answer;
/// idle connections are closed as it begins. Connection faults that are no outage are a reset, or
/// a connection that nobody reads, right after the accept.
///
/// # Errors
/// When the port cannot be listened on any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    injector: Injector,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let mut port = Port::Open(listener);
    let mut edge = Edge::new(router, injector);
    let clock = Arc::clone(edge.injector.clock());
    let mut changes = edge.injector.changes();
    let mut shutdown = pin!(shutdown);
    loop {
        let outage = edge.injector.outage();
        let (changed, waiting) = port.become_as(outage.map(|outage| outage.fault), address)?;
        port = changed;
        waiting.into_iter().for_each(|accepted| edge.connect(accepted));
        let next_change = edge.note(outage);
        tokio::select! {
            biased;
            () = &mut shutdown => return Ok(()),
            _ = changes.changed() => {}
            () = reached(next_change, &*clock) => {}
            Some(_) = edge.connections.join_next() => {}
            accepted = port.accept() => match accepted {
                Ok(accepted) => edge.connect(accepted),
                // Out of file descriptors, most likely: some are given back meanwhile.
                Err(_) => clock.sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

/// The connections and what they share.
struct Edge {
    router: Router,
    injector: Injector,
    connections: JoinSet<()>,
    /// Tells the connections to end as soon as they are idle.
    cut: watch::Sender<()>,
    /// The place in the list of the outage that is in force.
    outage: Option<usize>,
}

impl Edge {
    fn new(router: Router, injector: Injector) -> Edge {
        let connections = JoinSet::new();
        Edge { router, injector, connections, cut: watch::Sender::new(()), outage: None }
    }

    /// Cuts connections when an outage begins; when the next change is due.
    fn note(&mut self, outage: Option<Outage>) -> Option<Timestamp> {
        let index = outage.map(|outage| outage.index);
        if index != self.outage {
            self.outage = index;
            // A closed port cannot count those whom it turns away.
            index.into_iter().for_each(|index| self.injector.note_fired(index));
            if index.is_some() {
                self.cut.send_replace(());
            }
        }
        match outage {
            Some(outage) => outage.until,
            None => self.injector.next_outage(),
        }
    }

    fn connect(&mut self, (stream, client): Accepted) {
        match self.injector.connect(client.ip()) {
            Some(ConnectFault::Refused) => reset_on_drop(&stream),
            Some(ConnectFault::Timeout) => {
                self.connections.spawn(ignore(stream));
            }
            None => {
                let cut = self.cut.subscribe();
                self.connections.spawn(connection(stream, client, self.router.clone(), cut));
            }
        }
    }
}

async fn reached(moment: Option<Timestamp>, clock: &dyn Clock) {
    match moment {
        Some(moment) => clock.sleep_until(moment).await,
        None => pending().await,
    }
}

/// Keeps a connection that never answers, until the client closes it.
async fn ignore(stream: TcpStream) {
    let mut unread = [0; 1024];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut unread) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    mut cut: watch::Receiver<()>,
) {
    // Without it small replies wait for the client's acknowledgement (Nagle).
    let _ = stream.set_nodelay(true);
    let switch = ResetSwitch::default();
    let io = TokioIo::new(Stream::new(stream, switch.clone()));
    let service = service_fn(move |request: http::Request<Incoming>| {
        answer(router.clone(), switch.clone(), client, request)
    });
    // hyper's own time-outs would need a timer of real time.
    let mut builder = http1::Builder::new();
    let serving = builder.header_read_timeout(None).serve_connection(io, service);
    let mut serving = pin!(serving);
    tokio::select! {
        biased;
        // An error here is a client that went away, or a reset that we made.
        _ = serving.as_mut() => return,
        _ = cut.changed() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

async fn answer(
    router: Router,
    switch: ResetSwitch,
    client: SocketAddr,
    request: http::Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(client));
    let response = router.oneshot(request).await?;
    let extensions = response.extensions();
    if extensions.get::<Reset>().is_some() || extensions.get::<Refuse>().is_some() {
        switch.throw();
    }
    Ok(response)
}
