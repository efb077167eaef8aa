//! `drill serve`: both fakes for any order system, in any language.
//!
//! On Ctrl-C it judges what the ledgers alone can tell: double shipments, double messages, bans.

mod ledgers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clockwork::{Clock, ClockSpec, DrillClock, Entropy};
use fake_cj::FakeCj;
use fake_kakao::FakeKakao;
use faults::admin::Evidence;
use serde_json::json;
use tokio::net::TcpListener;

use super::signals::hear;
use super::{Error, Format, print, runtime};
use crate::explore::Seed;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where the carrier listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    carrier: SocketAddr,
    /// Where the message gateway listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    messenger: SocketAddr,
    /// Where the carrier's admin API listens: ledger and faults
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    carrier_admin: SocketAddr,
    /// Where the gateway's admin API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    messenger_admin: SocketAddr,
    /// The carrier's settings, TOML
    #[arg(long, value_name = "FILE")]
    carrier_config: Option<PathBuf>,
    /// The gateway's settings, TOML
    #[arg(long, value_name = "FILE")]
    messenger_config: Option<PathBuf>,
    /// Runs on another clock: EPOCH[@REAL]xFACTOR
    #[arg(long, value_name = "SPEC")]
    clock: Option<ClockSpec>,
    /// What all chance is drawn from
    #[arg(long, value_name = "N|HASH", default_value = "1")]
    seed: Seed,
    /// How the answer looks; json has one object with the addresses first, the verdict last
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn serve(args: ServeArgs) -> Result<u8, Error> {
    runtime()?.block_on(serve_until_told(args))
}

async fn serve_until_told(args: ServeArgs) -> Result<u8, Error> {
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::from_spec(args.clock.as_ref()));
    let entropy = Entropy::new(args.seed.number);
    let carrier_config = match &args.carrier_config {
        Some(path) => fake_cj::Config::from_toml(&read(path)?).map_err(|e| unusable(path, &e))?,
        None => fake_cj::Config::default(),
    };
    let gateway_config = match &args.messenger_config {
        Some(path) => {
            fake_kakao::Config::from_toml(&read(path)?).map_err(|e| unusable(path, &e))?
        }
        None => fake_kakao::Config::default(),
    };
    let carrier = FakeCj::new(carrier_config, clock.clone(), entropy.fork("carrier", 0));
    let gateway = FakeKakao::new(gateway_config, clock.clone(), entropy.fork("messenger", 0));
    let (end, ended) = tokio::sync::watch::channel(());
    let start = |at, router, injector| listen(at, router, injector, ended.clone());
    let evidence: Arc<dyn Evidence> = Arc::new(carrier.clone());
    let admin = faults::admin::router(evidence, carrier.injector(), clock.clone())
        .merge(carrier.admin_router());
    let carrier_api = start(args.carrier, carrier.router(), Some(carrier.injector())).await?;
    let carrier_admin = start(args.carrier_admin, admin, None).await?;
    let evidence: Arc<dyn Evidence> = Arc::new(gateway.clone());
    let admin = faults::admin::router(evidence, gateway.injector(), clock.clone());
    let gateway_api = start(args.messenger, gateway.router(), Some(gateway.injector())).await?;
    let gateway_admin = start(args.messenger_admin, admin, None).await?;
    let credentials = gateway.credentials();
    let addresses = json!({
        "carrier": { "api": carrier_api, "admin": carrier_admin,
            "credentials": carrier.credentials() },
        "messenger": { "api": gateway_api, "admin": gateway_admin,
            "credentials": { "api_key": credentials.api_key.reveal(),
                "sender_key": credentials.sender_key, "sms_from": credentials.sms_from } },
    });
    // Whoever has read the addresses may end it.
    let told = hear()?;
    match args.format {
        Format::Json => print(&format!("{addresses}\n"))?,
        Format::Human => print(&format!("{addresses:#}\nCtrl-C ends and judges.\n"))?,
    }
    told.await;
    // Nobody is left to be told.
    let _ = end.send(());
    let fired = [carrier.injector().fired(), gateway.injector().fired()].concat();
    let judgement = ledgers::judge(&carrier.ledger(), &gateway.ledger(), &fired);
    print(&judgement.told(args.format))?;
    Ok(judgement.verdict().exit_code())
}

fn read(path: &std::path::Path) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
}

fn unusable(path: &std::path::Path, error: &dyn std::error::Error) -> Error {
    Error::Usage(format!("{}: {}", path.display(), super::chain(error)))
}

async fn listen(
    at: SocketAddr,
    router: axum::Router,
    injector: Option<faults::Injector>,
    mut ended: tokio::sync::watch::Receiver<()>,
) -> Result<String, Error> {
    let failed = |source| Error::Usage(format!("cannot listen on {at}: {source}"));
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    crate::live::background(async move {
        let end = async move {
            // An error means that the runner is gone: that is the end too.
            let _ = ended.changed().await;
        };
        let served = match injector {
            Some(injector) => faults::serve(listener, router, injector, end).await,
            None => axum::serve(listener, router).with_graceful_shutdown(end).await,
        };
        if let Err(error) = served {
            eprintln!("error: {error}");
        }
    });
    Ok(url)
}
