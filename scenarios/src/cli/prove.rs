//! `drill prove`.

use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::signals::stop_when_told;
use super::{Error, Format, jobs, named, outputs, print};
use crate::crew::{self, Stop};
use crate::explore::Seed;
use crate::prove::{self, Accusation, Bug, Options, Progress, Proof, Terms};
use crate::sabotage::{self, Sabotage};

/// A bug that stays hidden for so many runs was not found.
const RUNS_MAX: u64 = 10_000;

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// As thorough as can be: 30 trials of each bug, all of them shrunk, 1,000,000 clean runs
    #[arg(long)]
    full: bool,
    /// Trials of each planted bug; 3, or 30 with --full
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    trials: Option<u64>,
    /// Runs of the clean build; 20000, or 1000000 with --full
    #[arg(long, value_name = "N")]
    clean: Option<u64>,
    /// Runs at most of a trial with a power taken away; with 0 powers are not weighed
    #[arg(long, value_name = "N", default_value_t = 300)]
    weigh: u64,
    /// All chance comes from here
    #[arg(long, value_name = "N|HASH", default_value = "1")]
    seed: Seed,
    /// Threads; without it, as many as there are cores
    #[arg(long, value_name = "N", value_parser = jobs)]
    jobs: Option<NonZeroUsize>,
    /// Only this planted bug; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = sabotages())]
    only: Vec<String>,
    /// Keeps the table as Markdown, with machine and date
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Where the plans are kept under which the clean build was accused
    #[arg(long, value_name = "DIR", default_value = "counterexamples")]
    out: PathBuf,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn sabotages() -> PossibleValuesParser {
    named(sabotage::ALL.iter().map(|sabotage| (sabotage.name, sabotage.why)))
}

impl ProveArgs {
    fn options(&self) -> Options {
        let mut sabotages: Vec<&Sabotage> = sabotage::ALL.iter().collect();
        // Stable: within a family they stay as they are listed.
        sabotages.sort_by_key(|sabotage| sabotage.family);
        let chosen = |bug: &Bug| self.only.is_empty() || self.only.contains(&bug.name);
        let bugs = sabotages.into_iter().map(Bug::from).filter(chosen).collect();
        let trials = self.trials.unwrap_or(if self.full { 30 } else { 3 });
        let terms = Terms {
            seed: self.seed.number,
            trials,
            runs_max: RUNS_MAX,
            shrunk_trials: if self.full { trials } else { 1 },
            weighed_runs_max: self.weigh,
            clean_runs: self.clean.unwrap_or(if self.full { 1_000_000 } else { 20_000 }),
        };
        Options { bugs, clean: None, terms, jobs: self.jobs.unwrap_or_else(crew::threads) }
    }
}

pub(super) fn prove(args: ProveArgs) -> Result<u8, Error> {
    args.write.as_deref().map_or(Ok(()), outputs::file)?;
    outputs::folder(&args.out)?;
    // Ctrl-C ends the proof, which then tells what there is of it.
    let stop = Stop::default();
    let _listening = stop_when_told(&stop)?;
    let line = ProgressLine { shown: std::io::stderr().is_terminal() };
    let proof = prove::prove(&args.options(), &stop, |progress| line.show(progress));
    drop(line);
    let proof = proof?;
    if let Some(file) = &args.write {
        write(file, &proof.markdown())?;
    }
    let kept = keep(&proof, &args.out)?;
    match args.format {
        Format::Human => print(&(proof.human() + &kept))?,
        Format::Json => print(&proof.json())?,
    }
    Ok(proof.exit_code())
}

/// Keeps the plans of accusations, and says how to run them again.
fn keep(proof: &Proof, dir: &Path) -> Result<String, Error> {
    let mut told = String::new();
    for (number, Accusation { plan, promises, .. }) in proof.clean.accusations.iter().enumerate() {
        let promise = promises.first().copied().unwrap_or_default();
        let file = dir.join(format!("clean-{}-{promise}.toml", number + 1));
        write(&file, plan)?;
        told += &format!("cargo drill run {}\n", file.display());
    }
    Ok(told)
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = folder.and_then(|()| std::fs::write(file, text));
    written.map_err(|source| Error::Write { path: file.to_owned(), source })
}

/// One line on standard error, written over and over, and only on a terminal.
struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    fn show(&self, progress: Progress) {
        if !self.shown {
            return;
        }
        let Progress { trials, trials_all, found, clean, clean_all, accusations } = progress;
        let line = format!(
            "trials {trials}/{trials_all}, found {found}; clean runs {clean}/{clean_all}, \
             accused {accusations}"
        );
        // A terminal that is gone needs no progress.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
