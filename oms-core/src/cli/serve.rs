//! `oms serve`.

use std::future::IntoFuture;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use clap::Args;
use clockwork::{Clock, Entropy};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::collector::Tracing;
use super::{Common, EXIT_INTERNAL, Error, Format, Rig, StoreArgs, readable};
use crate::config::{self, Calls, Config};
use crate::env::{Env, Observer, ReqwestTransport, TaskId, TokioSpawner, Transport, scoped};
use crate::http::{self, App, Metrics};
use crate::policy::Policies;
use crate::presence::Breakers;
use crate::service::Workers;
use crate::store::Store;
use crate::store::sqlite::{Options, Time};
use crate::telemetry::{JsonlObserver, Observers};
use crate::traces::{self, Traces};

/// A worker that ends has so long to take its leave of the database.
const LEAVE: Duration = Duration::from_secs(1);

/// A database that is away at the start is looked for so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// A database that is away at the start is waited for so long: after a failure of all, whoever
    /// is up first waits for the other
    #[arg(long, value_name = "TIME", env = "OMS_STORE_WAIT", default_value = "1m",
        value_parser = humantime_serde::re::humantime::parse_duration)]
    store_wait: Duration,
    /// The carrier's API: http://HOST:PORT
    #[arg(long, value_name = "URL", env = "OMS_CARRIER", hide_env_values = true)]
    carrier: Option<String>,
    /// The message gateway's API: http://HOST:PORT
    #[arg(long, value_name = "URL", env = "OMS_MESSENGER", hide_env_values = true)]
    messenger: Option<String>,
    /// Where orders come in; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "OMS_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// At most so many calls at once to each API
    #[arg(long, value_name = "N", env = "OMS_WORKERS", value_parser = at_once)]
    workers: Option<usize>,
    /// Settings (TOML); each may be given as OMS_SECTION__KEY too
    #[arg(long, value_name = "FILE", env = "OMS_CONFIG")]
    config: Option<PathBuf>,
    /// This process's name in leases; unique among those that share a database
    #[arg(long, value_name = "NAME", env = "OMS_WORKER_NAME")]
    worker_name: Option<String>,
    /// Keeps traces, one an order: the collector's address for OTLP over HTTP, http://HOST:PORT
    #[arg(long, value_name = "URL", env = "OMS_OTLP", hide_env_values = true)]
    otlp: Option<String>,
    /// Appends what happens, as JSON lines
    #[arg(long, value_name = "FILE", hide = true)]
    history: Option<PathBuf>,
    /// How the first line of the output looks
    #[arg(long, default_value = "human")]
    format: Format,
}

fn at_once(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number from 1".to_owned()),
        Ok(count) => Ok(count),
    }
}

pub(super) async fn serve(
    args: ServeArgs,
    common: &Common,
    rig: &Rig,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let config = Arc::new(settings(&args)?);
    let metrics = Arc::new(Metrics::default());
    let worker = args.worker_name.clone().unwrap_or_else(|| super::own_name(&*clock));
    let tracing = Tracing::to(config.service.otlp.as_deref(), common, &worker, &clock, &metrics)?;
    let listens = tracing.as_ref().map(|tracing| tracing.traces.clone());
    let breakers = Breakers::default();
    let told = (metrics.clone(), breakers.clone(), listens);
    let mut env = environment(&args, common, rig, clock, &config, worker, told).await?;
    (rig.seams)(&mut env, &config);
    let traces =
        tracing.map(|tracing| tracing.start(env.store.clone(), env.clock.clone(), &*env.spawner));
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|source| Error::Io { what: format!("listen on {}", args.listen), source })?;
    // Signals are caught before anyone can know that we run.
    let ending = Ending::new()?;
    announce(&listener, args.format, out)?;
    let workers = (rig.workers)(env.clone(), config.clone());
    let wake = {
        let workers = workers.clone();
        Arc::new(move || workers.wake())
    };
    tracing::info!(worker = env.worker, "serving");
    env.spawner.spawn("presence", Box::pin(breakers.tell(env.clone())));
    let within = config.service.shutdown_within;
    let app = App { env: env.clone(), config, wake, metrics };
    let left = answer(listener, app, ending, &*workers, &*env.clock, within).await?;
    // It may still say once that it lives; then it is seen as silent for a while.
    if clockwork::timeout(&*env.clock, LEAVE, env.store.leave(&env.worker)).await.is_err() {
        tracing::debug!("left without a word");
    }
    if let Some(traces) = traces {
        traces.finish(&*env.clock, traces::LAST_SPANS).await;
    }
    tracing::info!(worker = env.worker, left, "ended");
    Ok(if left == 0 { 0 } else { EXIT_INTERNAL })
}

/// Settings from file and environment, then from the flags.
fn settings(args: &ServeArgs) -> Result<Config, Error> {
    let mut config = super::settings(args.config.as_ref())?;
    let given = |url: &Option<String>, calls: &mut Calls, flag: &str| {
        if let Some(url) = url {
            calls.url.clone_from(url);
            config::trim_url(&mut calls.url);
        }
        if let Some(workers) = args.workers {
            calls.at_once = workers;
        }
        match calls.url.as_str() {
            "" => Err(Error::Usage(format!(
                "no address of the {flag}: give --{flag} URL, OMS_{} or {flag}.calls.url",
                flag.to_ascii_uppercase()
            ))),
            _ => Ok(()),
        }
    };
    given(&args.carrier, &mut config.carrier.calls, "carrier")?;
    given(&args.messenger, &mut config.messenger.calls, "messenger")?;
    if let Some(url) = &args.otlp {
        config::trim_url(config.service.otlp.insert(url.clone()));
    }
    config.check().map_err(config::Error::Impossible)?;
    Ok(config)
}

/// The real edges.
async fn environment(
    args: &ServeArgs,
    common: &Common,
    rig: &Rig,
    clock: Arc<dyn Clock>,
    config: &Config,
    worker: String,
    (metrics, breakers, traces): (Arc<Metrics>, Breakers, Option<Traces>),
) -> Result<Env, Error> {
    let mut observers: Vec<Arc<dyn Observer>> = vec![metrics, Arc::new(breakers)];
    observers.extend(traces.map(|traces| -> Arc<dyn Observer> { Arc::new(traces) }));
    if let Some(path) = &args.history {
        let history = JsonlObserver::append(path, &worker)
            .map_err(|source| Error::Io { what: readable(path), source })?;
        observers.push(Arc::new(history));
    }
    let observer: Arc<dyn Observer> = Arc::new(Observers(observers));
    let scale = common.scale();
    let transport = |api: &'static str, calls: &Calls| -> Result<Arc<dyn Transport>, Error> {
        let (connect, authorities) = (calls.connect_timeout, calls.ca_file.as_deref());
        ReqwestTransport::new(&calls.url, connect, clock.clone(), scale, authorities)
            .map(|transport| -> Arc<dyn Transport> { Arc::new(transport) })
            .map_err(|source| Error::Transport { api, source })
    };
    let mut options = Options::new(clock.clone(), observer.clone());
    options.orders = rig.orders.clone();
    options.pool_size = config.service.pool_size;
    options.pool_wait = config.service.pool_wait;
    options.time = Time::Server { factor: scale };
    (rig.store)(&mut options);
    Ok(Env {
        carrier: transport("carrier", &config.carrier.calls)?,
        messenger: transport("messenger", &config.messenger.calls)?,
        store: open_patiently(&args.store, args.store_wait, options).await?,
        // Two processes must not jitter alike.
        entropy: Entropy::new(0).fork("process", &worker),
        clock,
        spawner: Arc::new(TokioSpawner::default()),
        observer,
        policies: Policies::default(),
        worker,
    })
}

/// The database, waited for while it is away. What is wrong with it otherwise is told at once.
async fn open_patiently(
    args: &StoreArgs,
    wait: Duration,
    options: Options,
) -> Result<Arc<dyn Store>, Error> {
    let clock = options.clock.clone();
    let until = clock.now() + wait;
    loop {
        match super::open_observed(args, options.clone()).await {
            Err(Error::Open { source, .. }) if source.retryable() && clock.now() < until => {
                tracing::warn!(error = %source, "the database is looked for again");
            }
            opened => return opened,
        }
        clock.sleep(LOOK_AGAIN.min(until.since(clock.now()))).await;
    }
}

fn announce(listener: &TcpListener, format: Format, out: &mut dyn Write) -> Result<(), Error> {
    let url = format!("http://{}", listener.local_addr()?);
    match format {
        Format::Human => writeln!(out, "orders come in at {url}/orders")?,
        Format::Json => writeln!(out, "{}", json!({ "api": url }))?,
    }
    Ok(out.flush()?)
}

/// Requests are tasks of their own, numbered beyond all that the spawner starts: else nobody could
/// tell in which of them a transaction was open.
const FIRST_REQUEST: TaskId = 1 << 32;

/// Answers requests until the process is told to end, then those that are under way, while `workers`
/// finish their steps: both at most for `within`. How many steps were left behind.
async fn answer(
    listener: TcpListener,
    app: App,
    mut ending: Ending,
    workers: &dyn Workers,
    clock: &dyn Clock,
    within: Duration,
) -> Result<usize, Error> {
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let next = Arc::new(AtomicU64::new(FIRST_REQUEST));
    let router = http::router(Arc::new(app)).layer(from_fn(move |request: Request, then: Next| {
        scoped(next.fetch_add(1, Ordering::Relaxed), then.run(request))
    }));
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(async {
            let _ = ended.await;
        })
        .into_future();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        biased;
        served = &mut server => {
            served?;
            return Ok(workers.stop(within).await);
        }
        () = ending.told() => {}
    }
    tracing::info!(?within, "told to end");
    let _ = end.send(());
    let requests = clockwork::timeout(clock, within, server);
    let (served, left) = futures_util::future::join(requests, workers.stop(within)).await;
    match served {
        Ok(served) => served?,
        Err(late) => tracing::warn!(error = %late, "requests under way were cut off"),
    }
    Ok(left)
}

/// SIGTERM, or SIGINT as Ctrl-C sends it.
struct Ending {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Ending {
    fn new() -> Result<Ending, Error> {
        let caught =
            |kind| signal(kind).map_err(|source| Error::Io { what: "signals".to_owned(), source });
        Ok(Ending {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
