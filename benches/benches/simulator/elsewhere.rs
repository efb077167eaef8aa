//! The same calls on [turmoil](https://docs.rs/turmoil): simulated TCP, hyper's HTTP/1 on both
//! sides, the fakes' own routers behind it. No database, no faults, no judging.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use scenarios::plan::Plan;
use turmoil::net::{TcpListener, TcpStream};

use super::calls::{Call, Peer, fakes};

const PORT: u16 = 80;

/// No run is longer, in virtual time.
const LONGEST: Duration = Duration::from_secs(60);

/// The first order's first call brings the token with which all others call.
const TOKEN_TIME: Duration = Duration::from_secs(1);

type Failure = Box<dyn std::error::Error>;

/// Replays `calls`, an order after the other over the plan's time, in steps of `tick`; how many of
/// them were answered with a 200.
pub fn run(plan: &Plan, calls: &Arc<[Vec<Call>]>, tick: Duration) -> usize {
    let mut sim = turmoil::Builder::new()
        .tick_duration(tick)
        .simulation_duration(LONGEST)
        .min_message_latency(plan.world.latency_min)
        .max_message_latency(plan.world.latency_max)
        .rng_seed(plan.seed)
        .build();
    for (name, peer) in [("carrier", Peer::Carrier), ("messenger", Peer::Messenger)] {
        let plan = plan.clone();
        sim.host(name, move || {
            let plan = plan.clone();
            // Made by the machine itself: its clock is that of whoever makes it.
            async move {
                let (carrier, gateway) = fakes(&plan);
                let router = match peer {
                    Peer::Carrier => carrier.router(),
                    Peer::Messenger => gateway.router(),
                };
                serve(router).await
            }
        });
    }
    let answered = Arc::new(Mutex::new(0));
    let (calls, counted) = (calls.clone(), answered.clone());
    let apart = plan.workload.over / u32::try_from(calls.len()).unwrap_or(u32::MAX);
    sim.client("oms", async move {
        let orders = (0..calls.len()).map(|order| {
            let (calls, counted) = (calls.clone(), counted.clone());
            let head_start = if order == 0 { Duration::ZERO } else { TOKEN_TIME };
            let begins = head_start + apart * u32::try_from(order).unwrap_or_default();
            background(async move {
                wait(begins).await;
                let done = ship(&calls[order]).await.unwrap_or_default();
                *counted.lock().unwrap_or_else(PoisonError::into_inner) += done;
            })
        });
        for order in orders.collect::<Vec<_>>() {
            order.await?;
        }
        Ok(())
    });
    sim.run().expect("a simulation that runs");
    let answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
    *answered
}

/// One order's calls, on one connection to each peer; how many were answered with a 200.
async fn ship(calls: &[Call]) -> Result<usize, Failure> {
    let (mut carrier, mut messenger) = (None, None);
    let mut answered = 0;
    for (peer, request) in calls {
        let (line, host) = match peer {
            Peer::Carrier => (&mut carrier, "carrier"),
            Peer::Messenger => (&mut messenger, "messenger"),
        };
        let line = match line {
            Some(line) => line,
            None => line.insert(connect(host).await?),
        };
        let mut request = request.clone().map(Full::new);
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static(host));
        let response = line.send_request(request).await?;
        answered += usize::from(response.status() == http::StatusCode::OK);
        response.into_body().collect().await?;
    }
    Ok(answered)
}

async fn connect(host: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect((host, PORT)).await?;
    let (line, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    background(async move {
        // It ends when the order's last call has been answered.
        let _ = connection.await;
    });
    Ok(line)
}

async fn serve(router: Router) -> Result<(), Failure> {
    let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(router.clone());
        background(async move {
            let stream = TokioIo::new(stream);
            // A client that goes away ends its connection.
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
        });
    }
}

/// A task of the simulated machine.
#[expect(clippy::disallowed_methods, reason = "turmoil's machines have no other spawner")]
fn background<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(work)
}

#[expect(clippy::disallowed_methods, reason = "turmoil's machines have no other clock")]
async fn wait(duration: Duration) {
    tokio::time::sleep(duration).await;
}
