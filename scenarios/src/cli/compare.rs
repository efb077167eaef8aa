//! `drill compare`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::progress::Counter;
use super::signals::stop_when_told;
use super::{Error, Format, jobs, named, outputs, print};
use crate::compare::{self, Options};
use crate::crew::{self, Stop};
use crate::explore::Seed;
use crate::strategies::{self, Strategy};
use crate::trial::Trials;
use crate::verdict::exit;

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// So many generated plans, each under every strategy
    #[arg(long, value_name = "N", default_value_t = 500,
        value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Only these strategies; without it, all
    #[arg(long = "strategy", value_name = "S",
        value_parser = named(strategies::ALL.iter().map(|s| (s.name, s.says))))]
    strategies: Vec<String>,
    /// Threads; without it, as many as there are cores. What comes out does not depend on it
    #[arg(long, value_name = "N", value_parser = jobs)]
    jobs: Option<NonZeroUsize>,
    /// All chance comes from here: a number, or a git hash
    #[arg(long, value_name = "N|HASH", default_value = "1")]
    seed: Seed,
    /// Makes the smallest plan of each broken promise smaller still and keeps it in
    /// DIR/STRATEGY/PROMISE.toml
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Writes the comparison as a page too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn compare(args: &CompareArgs) -> Result<u8, Error> {
    let options = Options {
        seed: args.seed.number,
        runs: args.runs,
        jobs: args.jobs.unwrap_or_else(crew::threads),
        strategies: chosen(&args.strategies),
    };
    args.markdown.as_deref().map_or(Ok(()), outputs::file)?;
    args.out.as_deref().map_or(Ok(()), outputs::folder)?;
    let (trials, stop) = (Trials::default(), Stop::default());
    let _listening = stop_when_told(&stop)?;
    let counter = Counter::new("runs");
    let compared = compare::compare(&options, &trials, &stop, |done, all| counter.show(done, all))?;
    drop(counter);
    let Some(comparison) = compared else { return Err(Error::Interrupted) };
    let kept = match &args.out {
        Some(dir) => compare::keep(&comparison, &trials, &stop, options.jobs, dir)?,
        None => Vec::new(),
    };
    if let Some(page) = &args.markdown {
        let failed = |source| Error::Write { path: page.clone(), source };
        std::fs::write(page, comparison.markdown()).map_err(failed)?;
    }
    print(&match args.format {
        Format::Human => comparison.human(&kept),
        Format::Json => comparison.json(&kept),
    })?;
    Ok(exit::HELD)
}

/// The strategies of these names, all without one.
fn chosen(names: &[String]) -> Vec<&'static Strategy> {
    let is_meant =
        |strategy: &&Strategy| names.is_empty() || names.iter().any(|n| n == strategy.name);
    strategies::ALL.iter().filter(is_meant).collect()
}
