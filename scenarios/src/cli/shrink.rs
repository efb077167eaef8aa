//! `drill shrink`: the least of a plan that still breaks the same promise.

use std::path::PathBuf;

use clap::Args;

use super::{Broken, Error, named, outputs, plan, print};
use crate::crew::Stop;
use crate::promises;
use crate::runner;
use crate::shrink::{self, Shrunk};
use crate::trial::Trials;
use crate::verdict::{Verdict, exit};

#[derive(Debug, Args)]
pub(super) struct ShrinkArgs {
    /// A drill of the catalogue, or a plan file
    #[arg(value_name = "NAME|FILE")]
    plan: String,
    /// The promise that must still fall; without it the first that does
    #[arg(long, value_name = "ID",
        value_parser = named(promises::ALL.iter().map(|p| (p.id, p.says))))]
    promise: Option<String>,
    /// Where the small plan is written; to standard output without it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    broken: Broken,
}

pub(super) fn shrink(args: &ShrinkArgs) -> Result<u8, Error> {
    let mut plan = plan(&args.plan)?.plan;
    if let Some(strategy) = args.broken.strategy() {
        plan.strategy = strategy.in_plans();
    }
    if let Some(sabotage) = args.broken.sabotage() {
        plan.sabotage = Some(sabotage.name.to_owned());
    }
    args.out.as_deref().map_or(Ok(()), outputs::file)?;
    let trials = Trials::default();
    let failed =
        |source| Error::Run(runner::Error::Simulation { drill: args.plan.clone(), source });
    let judged = trials.run(&plan).map_err(failed)?.judgement.promises;
    let asked = args.promise.as_deref();
    let fallen = judged.iter().find(|promise| {
        promise.verdict == Verdict::Violated && asked.is_none_or(|asked| asked == promise.id)
    });
    let Some(fallen) = fallen else {
        eprintln!("{}: {} held, there is nothing to shrink", plan.name, asked.unwrap_or("all"));
        return Ok(exit::HELD);
    };
    let shrunk = shrink::shrink(&trials, &plan, fallen.id, &Stop::default()).map_err(failed)?;
    let text = shrink::to_file(&shrunk, &trials).map_err(failed)?;
    tell(&shrunk);
    match &args.out {
        Some(out) => std::fs::write(out, text)
            .map_err(|source| Error::Write { path: out.clone(), source })?,
        None => print(&text)?,
    }
    Ok(exit::VIOLATED)
}

fn tell(shrunk: &Shrunk) {
    let Shrunk { promise, tries, orders, faults, .. } = shrunk;
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    eprintln!(
        "{promise} still falls with {orders} order{} and {faults} fault{}; {tries} plans tried",
        plural(u64::from(*orders)),
        plural(*faults as u64),
    );
}
