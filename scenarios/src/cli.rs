//! `drill list | run | explore | sweep | soak | bench | prove | compare | advise | shrink | replay | check | serve | schema`.
//!
//! Exit codes: 0 held · 1 violated · 2 usage or bad file · 3 inconclusive · 4 not deterministic ·
//! 70 internal · 130 interrupted; of several the worst, in the order 70, 4, 1, 3, 0.

mod advise;
mod bench;
mod check;
mod children;
mod compare;
mod explore;
mod list;
mod orders;
mod outputs;
mod progress;
mod prove;
mod replay;
mod run;
mod serve;
mod shrink;
mod signals;
mod soak;
mod sweep;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::plan::Plan;
use crate::runner::Settings;
use crate::sabotage::{self, Sabotage};
use crate::strategies::Strategy;
use crate::verdict::exit;
use crate::{catalogue, history, plan, runner, strategies};

const EXIT_CODES: &str = "\
Exit codes: 0 held, 1 violated, 2 usage or bad file, 3 inconclusive,
4 not deterministic, 70 internal, 130 interrupted; of several the worst.";

/// So many threads, or drills at once, may be asked for.
const JOBS_MAX: usize = 512;

/// Failure drills for order systems that ship
#[derive(Debug, Parser)]
#[command(name = "drill", version, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the catalogue, one line each
    List(list::ListArgs),
    /// Runs drills, simulated or live, and judges them
    Run(run::RunArgs),
    /// Runs generated plans until a promise falls, then makes the plan small
    Explore(explore::ExploreArgs),
    /// Runs every fault at every place, exhaustively, over a small workload
    Sweep(sweep::SweepArgs),
    /// Runs a long load with workers killed and stopped at random, live, and judges all of it
    Soak(soak::SoakArgs),
    /// Measures what the service does in a second, live, beside what the machine can do
    Bench(bench::BenchArgs),
    /// Shows that planted bugs are found, and how fast, and that none is seen where none is
    Prove(prove::ProveArgs),
    /// Runs the same generated plans under every strategy, and counts what each breaks and costs
    Compare(compare::CompareArgs),
    /// Asks which way to use, and answers with evidence
    Advise(advise::AdviseArgs),
    /// Makes a plan that breaks a promise as small as it can be, and tells what happens in it
    Shrink(shrink::ShrinkArgs),
    /// Runs one plan again and compares the bytes of its history
    Replay(replay::ReplayArgs),
    /// Judges a recorded history
    Check(check::CheckArgs),
    /// Serves both fakes for any order system; on Ctrl-C judges what their ledgers can tell
    Serve(serve::ServeArgs),
    /// Prints the JSON Schema of plans
    Schema,
}

/// What is broken on purpose.
#[derive(Debug, Clone, Args)]
struct Broken {
    /// How external calls are placed around transactions; without it as the plan says, and
    /// `durable` where it says nothing
    #[arg(long, value_name = "S",
        value_parser = named(strategies::ALL.iter().map(|s| (s.name, s.says))))]
    strategy: Option<String>,
    /// Plants a bug, to see which promise falls
    #[arg(long, value_name = "NAME",
        value_parser = named(sabotage::ALL.iter().map(|s| (s.name, s.why))))]
    sabotage: Option<String>,
}

/// The value of `--jobs`.
fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let jobs = text.parse().ok().filter(|jobs: &NonZeroUsize| jobs.get() <= JOBS_MAX);
    jobs.ok_or_else(|| format!("must be 1 to {JOBS_MAX}"))
}

/// Names with what each says.
fn named(names: impl Iterator<Item = (&'static str, &'static str)>) -> PossibleValuesParser {
    PossibleValuesParser::new(names.map(|(name, says)| PossibleValue::new(name).help(says)))
}

impl Broken {
    fn strategy(&self) -> Option<&'static Strategy> {
        self.strategy.as_deref().and_then(strategies::named)
    }

    /// The settings of a run that is broken so.
    fn settings(&self) -> Settings {
        let (strategy, sabotage) = (self.strategy(), self.sabotage());
        Settings { strategy, sabotage, ..Settings::default() }
    }

    fn sabotage(&self) -> Option<&'static Sabotage> {
        self.sabotage.as_deref().and_then(sabotage::named)
    }
}

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people; may change.
    #[default]
    Human,
    /// For programs.
    Json,
}

/// A command that came to no verdict.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no drill and no file is called `{name}`{}", .near.map(|n| format!("; is `{n}` meant?")).unwrap_or_default())]
    NoSuchDrill { name: String, near: Option<&'static str> },
    #[error("{0}")]
    Plan(#[source] plan::Error),
    #[error("{}", file.display())]
    History {
        file: PathBuf,
        #[source]
        source: Box<history::Error>,
    },
    #[error("{0}")]
    Usage(String),
    #[error("databases on --store's server")]
    Server(#[source] crate::server::Error),
    #[error("orders")]
    Orders(#[source] oms_core::intake::Error),
    #[error(transparent)]
    Run(#[from] runner::Error),
    #[error(transparent)]
    Compare(#[from] crate::compare::Error),
    #[error(transparent)]
    Prove(#[from] crate::prove::Error),
    #[error(transparent)]
    Bench(crate::bench::Error),
    #[error(transparent)]
    Shrink(#[from] crate::shrink::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{name}` is no regular file")]
    NoFile { name: String },
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    fn exit_code(&self) -> u8 {
        match self {
            Error::Run(error) if error.is_usage() => exit::USAGE,
            Error::Shrink(crate::shrink::Error::Write { .. }) => exit::USAGE,
            Error::Bench(error) if error.is_usage() => exit::USAGE,
            Error::Run(_)
            | Error::Compare(_)
            | Error::Prove(_)
            | Error::Shrink(_)
            | Error::Bench(_)
            | Error::Io { .. } => exit::INTERNAL,
            Error::Interrupted => exit::INTERRUPTED,
            Error::NoSuchDrill { .. }
            | Error::Plan(_)
            | Error::History { .. }
            | Error::Usage(_)
            | Error::Write { .. }
            | Error::NoFile { .. }
            | Error::Server(_)
            | Error::Orders(_) => exit::USAGE,
        }
    }
}

/// The whole program. `args` begins with the program's name.
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.collect();
    children::held_by_its_parent(&mut args);
    // The children of live runs are this program itself.
    if let Some(code) = children::embedded(&args) {
        return code;
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are told this way too, with the exit code 0.
            let _ = told.print();
            return ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    // A panic has told its message; only its exit code would be none of the contract's.
    let done = catch_unwind(AssertUnwindSafe(|| obey(cli.command)));
    ExitCode::from(match done {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => tell(&error),
        Err(_) => exit::INTERNAL,
    })
}

fn obey(command: Command) -> Result<u8, Error> {
    match command {
        Command::List(args) => list::list(&args),
        Command::Run(args) => run::run(args),
        Command::Explore(args) => explore::explore(args),
        Command::Sweep(args) => sweep::sweep(args),
        Command::Soak(args) => soak::soak(args),
        Command::Bench(args) => bench::bench(args),
        Command::Prove(args) => prove::prove(args),
        Command::Compare(args) => compare::compare(&args),
        Command::Advise(args) => advise::advise(args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Check(args) => check::check(&args),
        Command::Serve(args) => serve::serve(args),
        Command::Schema => print(&plan::schema::text()).map(|()| exit::HELD),
    }
}

/// Tells an error and gives its exit code.
fn tell(error: &Error) -> u8 {
    eprintln!("error: {}", chain(error));
    error.exit_code()
}

/// An error with all its causes; a cause that its effect has told already is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

/// Writes an answer. Whoever closes the pipe has enough: that changes no verdict.
fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Io { what: "output".to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// A runtime for what needs real sockets and processes.
fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|source| Error::Io { what: "asynchronous runtime".to_owned(), source })
}

/// A plan that was asked for.
struct Chosen {
    plan: Plan,
    /// Its file, when it is none of the catalogue.
    file: Option<PathBuf>,
}

impl From<Plan> for Chosen {
    fn from(plan: Plan) -> Chosen {
        Chosen { plan, file: None }
    }
}

/// The plans that are meant by `names`: drills of the catalogue or files; all drills when none is
/// named.
fn plans(names: &[String]) -> Result<Vec<Chosen>, Error> {
    if names.is_empty() {
        let plans = catalogue::plans().map_err(Error::Plan)?;
        return Ok(plans.into_iter().map(Chosen::from).collect());
    }
    names.iter().map(|name| plan(name)).collect()
}

fn plan(name: &str) -> Result<Chosen, Error> {
    if let Some(plan) = catalogue::named(name) {
        return plan.map(Chosen::from).map_err(Error::Plan);
    }
    let path = PathBuf::from(name);
    if path.is_file() {
        let plan = Plan::load(&path).map_err(Error::Plan)?;
        return Ok(Chosen { plan, file: Some(path) });
    }
    if path.exists() {
        return Err(Error::NoFile { name: name.to_owned() });
    }
    let known = catalogue::FILES.iter().map(|file| file.name);
    let near = plan::near(name, known);
    Err(Error::NoSuchDrill { name: name.to_owned(), near })
}
