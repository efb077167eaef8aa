//! `drill explore`.

mod keeping;
mod live_line;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nix::time::{ClockId, clock_gettime};

use super::signals::stop_when_told;
use super::{Broken, Error, Format, jobs, outputs, print};
use crate::crew::{self, Stop};
use crate::explore::{self, Budget, Options, Powers, Report, Seed};
use crate::runner;
use crate::strategies::Strategy;
use crate::trial::Trials;
use live_line::LiveLine;

#[derive(Debug, Args)]
pub(super) struct ExploreArgs {
    /// So many runs; what is found does not depend on --jobs then
    #[arg(long, value_name = "N", conflicts_with = "lasting",
        value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// For so long, in real time
    #[arg(long = "for", value_name = "TIME", default_value = "30s",
        value_parser = humantime::parse_duration)]
    lasting: Duration,
    /// Threads; without it, as many as there are cores
    #[arg(long, value_name = "N", value_parser = jobs)]
    jobs: Option<NonZeroUsize>,
    /// All chance comes from here: a number, or a git hash
    #[arg(long, value_name = "N|HASH", default_value = "1")]
    seed: Seed,
    /// Goes on once a promise has fallen, and keeps the first plan of each promise
    #[arg(long)]
    keep_going: bool,
    /// Runs each plan twice and compares the bytes of both histories
    #[arg(long)]
    check_determinism: bool,
    /// Where plans that break a promise are kept
    #[arg(long, value_name = "DIR", default_value = "counterexamples")]
    out: PathBuf,
    #[command(flatten)]
    broken: Broken,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl ExploreArgs {
    fn options(&self) -> Options {
        Options {
            seed: self.seed.number,
            powers: Powers::default(),
            budget: self.runs.map_or(Budget::For(self.lasting), Budget::Runs),
            jobs: self.jobs.unwrap_or_else(crew::threads),
            strategy: self.broken.strategy().and_then(Strategy::in_plans),
            sabotage: self.broken.sabotage.clone(),
            keep_going: self.keep_going,
            twice: self.check_determinism,
        }
    }
}

pub(super) fn explore(args: ExploreArgs) -> Result<u8, Error> {
    outputs::folder(&args.out)?;
    let (options, trials, stop) = (args.options(), Trials::default(), Stop::default());
    let _listening = stop_when_told(&stop)?;
    let (began, cpu_before) = (runner::now(), cpu_time());
    let mut line = LiveLine::new(options.budget);
    let outcome = explore::search(&options, &trials, &stop, |tally| line.show(tally));
    drop(line);
    let (real, cpu) = (runner::now().since(began), cpu_time().saturating_sub(cpu_before));
    let kept = keeping::keep(&outcome, &trials, &stop, &args.out)?;
    let report =
        Report { options: &options, seed: &args.seed, outcome: &outcome, kept: &kept, real, cpu };
    print(&match args.format {
        Format::Human => report.human(),
        Format::Json => report.json(),
    })?;
    Ok(report.exit_code())
}

/// The CPU time that all threads of this process have used so far; nothing where the system does
/// not tell.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
