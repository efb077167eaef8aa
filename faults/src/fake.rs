//! What the fakes' binaries share: flags, start, first line, end.

use std::ffi::OsString;
use std::future::{Future, pending};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use clap::{CommandFactory, FromArgMatches, ValueEnum};
use clockwork::{Clock, ClockSpec, DrillClock, Entropy};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::admin::{self, Evidence};
use crate::injector::{CrashSignal, Injector};
use crate::journal::Journal;
use crate::keeper::{Keeper, Past};
use crate::server::serve;

/// The flags of a fake.
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct FakeArgs {
    /// Where the API listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Where the admin API listens: the ledger and the faults
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub admin: SocketAddr,
    /// The fake's configuration, TOML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the addresses and events are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// A clock of its own, `EPOCH[@REAL]xFACTOR`; without it the wall's
    #[arg(long, value_name = "SPEC")]
    pub clock: Option<ClockSpec>,
    /// What all chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// A log of what is done, made if need be: what stands in it has happened; faults are not kept
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// How a fake writes to its standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One object a line: first the addresses, then events.
    Json,
}

/// What a fake is made from.
pub struct Setup {
    /// The only source of time.
    pub clock: Arc<dyn Clock>,
    /// The only source of chance.
    pub entropy: Entropy,
    /// The text of the configuration file, when one was given.
    pub config_text: Option<String>,
    /// What is kept over the process's end, if anything is.
    pub keeper: Option<Keeper>,
}

impl Setup {
    /// `router`, with what it does kept if anything is.
    pub fn kept(&self, router: Router) -> Router {
        self.keeper.as_ref().map_or_else(|| router.clone(), |keeper| keeper.layer(router.clone()))
    }
}

/// A fake that is ready to serve.
pub struct Fake {
    /// The API, faults and all.
    pub router: Router,
    /// The API without its faults, and without being kept: what was done before is done again here.
    pub plain: Router,
    /// Its requests.
    pub journal: Journal,
    /// Routes of its own on the admin address; [`Router::new`] for none.
    pub admin: Router,
    /// Its faults.
    pub injector: Injector,
    /// Its ledger.
    pub evidence: Arc<dyn Evidence>,
    /// What the API accepts, for the first line.
    pub credentials: Value,
}

/// Why a fake does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file cannot be read.
    #[error("read configuration `{path}`")]
    ReadConfig {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log of what was done cannot be read or written.
    #[error("log `{path}`")]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The configuration is wrong.
    #[error("configuration{}", in_file(.path))]
    Config {
        /// The file; `None` when the defaults themselves do not do.
        path: Option<PathBuf>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The addresses cannot be printed, or signals not be waited for.
    #[error("start")]
    Start(#[source] io::Error),
    /// The socket edge failed.
    #[error("serve")]
    Serve(#[source] io::Error),
}

impl Error {
    /// The exit code of the command line's contract: 2 for a bad file, 70 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::ReadConfig { .. } | Error::Config { .. } | Error::State { .. } => 2,
            _ => 70,
        }
    }
}

fn in_file(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!(" `{}`", path.display())).unwrap_or_default()
}

/// The whole `main` of the fake called `name`: parses `args` (the program's name first), runs it
/// until it is told to end, prints what went wrong.
pub fn main<E>(
    name: &'static str,
    about: &'static str,
    args: impl Iterator<Item = OsString>,
    make: impl FnOnce(Setup) -> Result<Fake, E>,
) -> ExitCode
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let command = FakeArgs::command().name(name).bin_name(name).about(about);
    let parsed =
        command.try_get_matches_from(args).and_then(|matches| FakeArgs::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => {
            // The only thing that could be done about a closed terminal is to print.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // Two: reading a long ledger does not hold up the API.
    let done = match runtime.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(run(args, make)),
        Err(source) => Err(Error::Start(source)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the fake that `make` makes, until Ctrl-C or SIGTERM.
///
/// # Errors
/// When it cannot start or its sockets fail.
pub async fn run<E>(
    args: FakeArgs,
    make: impl FnOnce(Setup) -> Result<Fake, E>,
) -> Result<(), Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let told = told_to_end().map_err(Error::Start)?;
    run_until(args, make, io::stdout(), told).await
}

/// As [`run`], with the output and the end in the caller's hands.
///
/// # Errors
/// As [`run`].
pub async fn run_until<E>(
    args: FakeArgs,
    make: impl FnOnce(Setup) -> Result<Fake, E>,
    mut output: impl Write + Send + 'static,
    end: impl Future<Output = ()>,
) -> Result<(), Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::from_spec(args.clock.as_ref()));
    let config_text = read_config(args.config.as_ref())?;
    let (keeper, past) = open_state(args.state.as_ref(), &clock)?.unzip();
    let clock = keeper.as_ref().map_or(clock, Keeper::clock);
    let entropy = Entropy::new(args.seed);
    let setup = Setup { clock: Arc::clone(&clock), entropy, config_text, keeper: keeper.clone() };
    let fake = make(setup)
        .map_err(|source| Error::Config { path: args.config.clone(), source: source.into() })?;
    let (api, api_address) = listen(args.listen).await?;
    let (control, control_address) = listen(args.admin).await?;
    let Fake { router, plain, journal, mut admin, injector, evidence, credentials } = fake;
    if let (Some(keeper), Some(past)) = (keeper, past) {
        keeper.remember(past, &plain, &admin, &journal).await;
        admin = keeper.layer(admin);
    }
    announce(&mut output, args.format, api_address, control_address, &credentials)
        .map_err(Error::Start)?;
    report_crashes(&injector, output);

    let control_router = admin::router(evidence, injector.clone(), Arc::clone(&clock)).merge(admin);
    // The admin API is never disturbed: it has an injector of its own, without faults.
    let undisturbed = Injector::new(clock, Entropy::new(args.seed));
    let served = async {
        tokio::try_join!(
            serve(api, router, injector, pending()),
            serve(control, control_router, undisturbed, pending()),
        )
    };
    tokio::select! {
        biased;
        () = end => Ok(()),
        served = served => served.map(|_| ()).map_err(Error::Serve),
    }
}

fn open_state(
    path: Option<&PathBuf>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<(Keeper, Past)>, Error> {
    let Some(path) = path else { return Ok(None) };
    let opened = Keeper::open(path, Arc::clone(clock));
    opened.map(Some).map_err(|source| Error::State { path: path.clone(), source })
}

fn read_config(path: Option<&PathBuf>) -> Result<Option<String>, Error> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path);
    text.map(Some).map_err(|source| Error::ReadConfig { path: path.clone(), source })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The first line: where the fake is and what it accepts.
fn announce(
    output: &mut impl Write,
    format: Format,
    api: SocketAddr,
    admin: SocketAddr,
    credentials: &Value,
) -> io::Result<()> {
    let (api, admin) = (format!("http://{api}"), format!("http://{admin}"));
    match format {
        Format::Json => {
            let line = json!({ "api": api, "admin": admin, "credentials": credentials });
            writeln!(output, "{line}")?;
        }
        Format::Human => {
            writeln!(output, "api          {api}")?;
            writeln!(output, "admin        {admin}")?;
            writeln!(output, "credentials  {credentials}")?;
        }
    }
    output.flush()
}

/// Prints each crash as an object of one line, whatever the format: a program reads it.
fn report_crashes(injector: &Injector, output: impl Write + Send + 'static) {
    let output = Mutex::new(output);
    injector.on_crash(Arc::new(move |signal: CrashSignal| {
        let event = signal.fault.kind;
        let CrashSignal { index, fault, call, when } = signal;
        let by_ms = fault.by.map(|by| by.as_millis() as u64);
        let line = json!({
            "event": event,
            "index": index,
            "node": fault.node,
            "when": when,
            "by_ms": by_ms,
            "call": call,
        });
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody reads any more: then nobody kills either.
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    }));
}

/// Resolves on Ctrl-C and on SIGTERM.
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// An error and its causes, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
