//! `oms serve | ingest | list | status | retry | resolve | cancel | audit | prune | migrate`.
//!
//! Exit codes: 0 done · 1 refused · 2 usage, or a file, setting or address that cannot be used ·
//! 70 internal.

mod collector;
mod ingest;
mod operate;
mod prune;
mod serve;
mod show;
mod store_url;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clockwork::{Clock, ClockSpec, DrillClock};

use self::store_url::StoreUrl;
use crate::config::{self, Config};
use crate::env::{Env, reqwest_transport};
use crate::policy::OrderPolicy;
use crate::saga::SoundOrders;
use crate::service::{Service, Workers};
use crate::store::sqlite::Options;
use crate::store::{self, Store};
use crate::telemetry::{self, LogFormat};
use crate::{env, intake};

/// Something was refused.
const EXIT_REFUSED: u8 = 1;
/// Usage, or a file, setting or address that cannot be used.
const EXIT_USAGE: u8 = 2;
/// A fault of this program or of what it runs on.
const EXIT_INTERNAL: u8 = 70;

/// Books parcels with a carrier, tells customers, keeps its promises
#[derive(Debug, Parser)]
#[command(name = "oms", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Runs on another clock: EPOCH[@REAL]xFACTOR, such as 2026-11-21T23:59:50+09:00x20
    #[arg(long, global = true, value_name = "SPEC", env = "OMS_CLOCK")]
    clock: Option<ClockSpec>,
    /// How log lines look; OMS_LOG says which there are (info, oms_core=debug)
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log: LogFormat,
}

impl Common {
    /// How many times as fast as real time runs.
    fn scale(&self) -> f64 {
        self.clock.as_ref().map_or(1.0, |spec| spec.factor)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Takes orders in over HTTP and ships them
    Serve(serve::ServeArgs),
    /// Takes in the orders of a file, JSONL or CSV
    Ingest(ingest::IngestArgs),
    /// Lists orders
    List(show::ListArgs),
    /// Shows what stands where, what waits, who works, and which breakers are open
    Status(show::StatusArgs),
    /// Tries again what failed or was parked
    Retry(operate::OperateArgs),
    /// Calls an order back
    Cancel(operate::OperateArgs),
    /// States what truly happened to a parked parcel
    Resolve(operate::ResolveArgs),
    /// Lists who retried, cancelled and resolved what, the latest first
    Audit(show::AuditArgs),
    /// Forgets orders that are at their end and old, but not that they were there
    Prune(prune::PruneArgs),
    /// Brings the database to this program's schema; safe to repeat
    Migrate(StoreArgs),
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// The database: sqlite:PATH, a path, or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL", env = "OMS_STORE", hide_env_values = true)]
    store: StoreUrl,
}

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people; may change.
    #[default]
    Human,
    /// For programs: one JSON object a line.
    Json,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    File(#[from] intake::Error),
    #[error("{0}")]
    Usage(String),
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("way to the {api}")]
    Transport {
        api: &'static str,
        #[source]
        source: reqwest_transport::Error,
    },
    #[error(transparent)]
    Log(#[from] telemetry::Error),
    #[error("database {path}")]
    Open {
        path: String,
        #[source]
        source: store::Error,
    },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("output")]
    Output(#[from] io::Error),
}

impl Error {
    fn exit_code(&self) -> u8 {
        match self {
            Error::Config(_)
            | Error::File(_)
            | Error::Usage(_)
            | Error::Io { .. }
            | Error::Transport { .. }
            | Error::Log(_)
            | Error::Open { .. } => EXIT_USAGE,
            // Whoever reads our output, such as `head`, has enough.
            Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Error::Store(_) | Error::Output(_) => EXIT_INTERNAL,
        }
    }
}

/// A change of the seams, under the settings.
pub type Seams = Arc<dyn Fn(&mut Env, &Arc<Config>) + Send + Sync>;

/// A change of the clock.
pub type ClockChange = Arc<dyn Fn(Arc<dyn Clock>) -> Arc<dyn Clock> + Send + Sync>;

/// What a program that embeds this one hands in. The shipped binary leaves all as recommended.
#[derive(Clone)]
pub struct Rig {
    /// What the program takes for the time.
    pub clock: ClockChange,
    /// Judgements about an order as a whole.
    pub orders: Arc<dyn OrderPolicy>,
    /// Changes the settings of the store of `oms serve`.
    pub store: Arc<dyn Fn(&mut Options) + Send + Sync>,
    /// Changes the seams of `oms serve` before it starts.
    pub seams: Seams,
    /// Starts whoever takes the steps of `oms serve`.
    pub workers: Arc<dyn Fn(Env, Arc<Config>) -> Arc<dyn Workers> + Send + Sync>,
}

impl Default for Rig {
    fn default() -> Rig {
        Rig {
            clock: Arc::new(|clock| clock),
            orders: Arc::new(SoundOrders),
            store: Arc::new(|_| {}),
            seams: Arc::new(|_, _| {}),
            workers: Arc::new(|env, config| Arc::new(Service::start(env, config))),
        }
    }
}

/// The whole program, for `oms` and for programs that embed it. `args` begins with the program's
/// name.
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    main_rigged(args, Rig::default())
}

/// As [`main_with_args`], with seams and judgements of the embedding program.
pub fn main_rigged(args: impl Iterator<Item = OsString>, rig: Rig) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are told this way too, with the exit code 0.
            let _ = told.print();
            return ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    match run(cli, &rig, &mut io::stdout()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = error.exit_code();
            if code != 0 {
                eprintln!("error: {}", chain(&error));
            }
            ExitCode::from(code)
        }
    }
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn run(cli: Cli, rig: &Rig, out: &mut dyn Write) -> Result<u8, Error> {
    let Cli { command, common } = cli;
    let serves = matches!(command, Command::Serve(_));
    let runtime = runtime(serves)?;
    let ran = runtime.block_on(async {
        let clock = (rig.clock)(Arc::new(DrillClock::from_spec(common.clock.as_ref())));
        start_log(&common, serves, clock.clone())?;
        match command {
            Command::Serve(args) => serve::serve(args, &common, rig, clock, out).await,
            Command::Ingest(args) => ingest::ingest(args, &common, clock, out).await,
            Command::List(args) => show::list(args, clock, out).await,
            Command::Status(args) => show::status(args, clock, out).await,
            Command::Retry(args) => operate::retry(args, &common, clock, out).await,
            Command::Cancel(args) => operate::cancel(args, &common, clock, out).await,
            Command::Resolve(args) => operate::resolve(args, &common, clock, out).await,
            Command::Audit(args) => show::audit(args, clock, out).await,
            Command::Prune(args) => prune::prune(args, clock, out).await,
            Command::Migrate(args) => migrate(&args, clock, out).await,
        }
    });
    if !serves {
        // Nobody waits for a name's look-up, say of a collector of traces, that was given up.
        runtime.shutdown_background();
    }
    ran
}

/// A process's name, if it was given none.
fn own_name(clock: &dyn Clock) -> String {
    // Containers all have the same process id; they hardly start in the same microsecond.
    format!("oms-{}-{}", std::process::id(), clock.now().micros())
}

/// A service uses all cores; a command has one thing to do.
fn runtime(serves: bool) -> Result<tokio::runtime::Runtime, Error> {
    let mut builder = match serves {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    builder
        .enable_all()
        .build()
        .map_err(|source| Error::Io { what: "asynchronous runtime".to_owned(), source })
}

fn start_log(common: &Common, serves: bool, clock: Arc<dyn Clock>) -> Result<(), Error> {
    let given = std::env::var(telemetry::FILTER_VARIABLE).ok();
    // A command's own answer says what happened.
    let filter = given.as_deref().unwrap_or(if serves { "info" } else { "warn" });
    Ok(telemetry::init(common.log, Some(filter), clock)?)
}

fn settings(file: Option<&PathBuf>) -> Result<Config, Error> {
    // What is no Unicode is none of our variables.
    let variables = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    Ok(config::load(file.map(PathBuf::as_path), variables)?)
}

/// The database of a command, which tells nobody what happens in it.
async fn open(args: &StoreArgs, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, Error> {
    open_observed(args, Options::new(clock, Arc::new(env::NullObserver))).await
}

/// The database of a command that has nothing to do in a new one: a slip in its name shall be
/// told, and not make a file.
async fn open_existing(args: &StoreArgs, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, Error> {
    if !args.store.exists() {
        return Err(Error::Usage(format!("there is no {}; `oms migrate` makes it", args.store)));
    }
    open(args, clock).await
}

async fn open_observed(args: &StoreArgs, options: Options) -> Result<Arc<dyn Store>, Error> {
    let opened = args.store.open(options).await;
    opened.map_err(|source| Error::Open { path: args.store.to_string(), source })
}

async fn migrate(
    args: &StoreArgs,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    // Opening migrates: no command ever works on an older schema.
    drop(open(args, clock).await?);
    writeln!(out, "{} is ready", args.store)?;
    Ok(0)
}

fn readable(path: &Path) -> String {
    path.display().to_string()
}
