//! `drill sweep`.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

use super::signals::stop_when_told;
use super::{Broken, Error, Format, jobs, outputs, print};
use crate::crew::{self, Stop};
use crate::runner::{self, now};
use crate::shrink;
use crate::strategies::Strategy;
use crate::sweep::{self, Kept, Options, Swept};
use crate::trial::Trials;

/// Orders of events that every fault is swept over.
const SEEDS: u32 = 4;
/// Orders of events that every two faults are swept over.
const SEEDS_OF_PAIRS: u32 = 1;

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Every two faults in place of every one; takes minutes
    #[arg(long)]
    pairs: bool,
    /// Orders of the workload
    #[arg(long, value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..=20))]
    orders: u32,
    /// Orders of events to sweep over, drawn from the seeds 1 to N; 4, or 1 with --pairs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    seeds: Option<u32>,
    /// Threads; without it, as many as there are cores
    #[arg(long, value_name = "N", value_parser = jobs)]
    jobs: Option<NonZeroUsize>,
    /// Where the plan is kept under which a promise fell, made small
    #[arg(long, value_name = "DIR", default_value = "counterexamples")]
    out: PathBuf,
    #[command(flatten)]
    broken: Broken,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn sweep(args: SweepArgs) -> Result<u8, Error> {
    let seeds = if args.pairs { SEEDS_OF_PAIRS } else { SEEDS };
    let options = Options {
        orders: args.orders,
        seeds: args.seeds.unwrap_or(seeds),
        pairs: args.pairs,
        strategy: args.broken.strategy().and_then(Strategy::in_plans),
        sabotage: args.broken.sabotage,
        jobs: args.jobs.unwrap_or_else(crew::threads),
    };
    outputs::folder(&args.out)?;
    let (stop, began) = (Stop::default(), now());
    let _listening = stop_when_told(&stop)?;
    let line = ProgressLine { shown: std::io::stderr().is_terminal() };
    let swept = sweep::sweep(&options, &stop, |ran, all| line.show(ran, all));
    drop(line);
    let swept = swept.map_err(|sweep::Error::Run(source)| {
        Error::Run(runner::Error::Simulation { drill: "sweep".to_owned(), source })
    })?;
    let real = now().since(began);
    let kept = keep(&swept, &stop, &args.out)?;
    print(&match args.format {
        Format::Human => sweep::human(&swept, &kept, real),
        Format::Json => sweep::json(&swept, &kept, real),
    })?;
    Ok(swept.verdict().exit_code())
}

/// Makes the first schedule small under which each promise fell, and keeps it.
fn keep(swept: &Swept, stop: &Stop, dir: &Path) -> Result<Kept, Error> {
    let (trials, mut kept) = (Trials::default(), Kept::new());
    let mut known = BTreeSet::new();
    for fallen in &swept.fallen {
        for promise in fallen.promises.iter().copied().filter(|promise| known.insert(*promise)) {
            let small = shrink::keep(&trials, &fallen.plan, promise, stop, dir);
            let small = small.map_err(|error| match error {
                shrink::Error::Run(source) => {
                    Error::Run(runner::Error::Simulation { drill: "sweep".to_owned(), source })
                }
                shrink::Error::Write { path, source } => Error::Write { path, source },
            })?;
            kept.push((promise, small.path.display().to_string()));
        }
    }
    Ok(kept)
}

/// One line on standard error, written over and over, and only on a terminal.
struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    fn show(&self, ran: u64, all: u64) {
        // Often enough to be seen moving, and no more.
        if self.shown && ran.is_multiple_of(64) {
            // A terminal that is gone needs no progress.
            let _ = write!(std::io::stderr(), "\r\x1b[K{ran} of {all} schedules");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
