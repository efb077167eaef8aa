//! Runs plans and judges them: what `drill run`, `replay` and the tests share.

use std::path::PathBuf;
use std::sync::Arc;

use clockwork::{Clock, DrillClock, Timestamp};

use crate::evidence::Evidence;
use crate::history::History;
use crate::live;
use crate::plan::Plan;
use crate::report::{Circumstances, DrillResult};
use crate::sabotage::Sabotage;
use crate::sim::{self, Run};
use crate::verdict;
use crate::workload::Offer;

/// How plans are run.
#[derive(Clone, Default)]
pub struct Settings {
    /// The planted bug.
    pub sabotage: Option<&'static Sabotage>,
    /// The orders, when they are not the plan's own.
    pub offers: Option<Arc<[Offer]>>,
    /// Where histories and verdicts are kept; nowhere without it.
    pub out: Option<PathBuf>,
}

/// A plan that could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The simulation.
    #[error("simulation of `{drill}`")]
    Simulation {
        /// The drill.
        drill: String,
        /// Why.
        #[source]
        source: sim::Error,
    },
    /// The live run.
    #[error("live run of `{drill}`")]
    Live {
        /// The drill.
        drill: String,
        /// Why.
        #[source]
        source: Box<live::Error>,
    },
    /// A result could not be kept.
    #[error("write `{path}`")]
    Keep {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Simulates a plan and judges it.
///
/// # Errors
/// [`Error`], when there is nothing to judge.
pub fn simulate(plan: &Plan, settings: &Settings) -> Result<DrillResult, Error> {
    let began = now();
    let mut history = history_of(plan, settings)?;
    history.reads.baseline = baseline(plan, settings)?;
    conclude(history, settings, began)
}

/// Runs a plan with real processes and judges it.
///
/// # Errors
/// [`Error`], when there is nothing to judge.
pub async fn run_live(
    plan: &Plan,
    settings: &Settings,
    options: &live::Options,
) -> Result<DrillResult, Error> {
    let began = now();
    let failed = |source| Error::Live { drill: plan.name.clone(), source: Box::new(source) };
    let history = live::run(&run(plan, settings), options).await.map_err(failed)?;
    conclude(history, settings, began)
}

/// The history of a plan's simulation, without a baseline.
///
/// # Errors
/// [`Error::Simulation`].
pub fn history_of(plan: &Plan, settings: &Settings) -> Result<History, Error> {
    let failed = |source| Error::Simulation { drill: plan.name.clone(), source };
    sim::run(&run(plan, settings)).map_err(failed)
}

fn run<'a>(plan: &'a Plan, settings: &Settings) -> Run<'a> {
    Run { plan, offers: settings.offers.clone(), sabotage: settings.sabotage }
}

/// How long the healthy orders take in the same run without the bad ones.
fn baseline(plan: &Plan, settings: &Settings) -> Result<Option<std::time::Duration>, Error> {
    let Some(healed) = plan.without_the_bad() else { return Ok(None) };
    let evidence = Evidence::from(history_of(&healed, settings)?);
    Ok(evidence.completed_after(&evidence.healthy_orders()))
}

/// Judges a history, and keeps what is to be kept.
fn conclude(history: History, settings: &Settings, began: Timestamp) -> Result<DrillResult, Error> {
    let kept = settings.out.as_ref().map(|out| keep_history(&history, out)).transpose()?;
    let history_hash = kept.as_ref().map(|kept| kept.hash.clone());
    let how = Circumstances {
        replay: replay_command(&history, settings, kept.as_ref()),
        real: now().since(began),
        sabotage: settings.sabotage.map(|sabotage| sabotage.name.to_owned()),
        history_hash,
    };
    let result = judged(history, how);
    if let Some(kept) = kept {
        write(kept.folder.join("verdict.json"), result.to_json().as_bytes())?;
    }
    Ok(result)
}

/// Judges a history.
pub fn judged(history: History, how: Circumstances) -> DrillResult {
    let evidence = Evidence::from(history);
    let judgement = verdict::judge(&evidence);
    DrillResult::new(&evidence, judgement, how)
}

struct Kept {
    folder: PathBuf,
    plan: PathBuf,
    hash: String,
}

fn keep_history(history: &History, out: &std::path::Path) -> Result<Kept, Error> {
    let folder = out.join(&history.plan.name);
    let failed = |path: &PathBuf| {
        let path = path.clone();
        move |source| Error::Keep { path, source }
    };
    std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
    write(folder.join("history.jsonl"), &history.to_bytes())?;
    let hash = history.hash();
    let mut plan = history.plan.clone();
    plan.replay_hash = Some(hash.clone());
    let path = folder.join("plan.toml");
    write(path.clone(), plan.to_toml().as_bytes())?;
    Ok(Kept { folder, plan: path, hash })
}

fn write(path: PathBuf, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(&path, bytes).map_err(|source| Error::Keep { path, source })
}

/// The command that runs it again: the very plan where it was kept, else the drill by name.
fn replay_command(history: &History, settings: &Settings, kept: Option<&Kept>) -> String {
    let live = history.mode == crate::history::Mode::Live;
    let mut command = match kept {
        Some(kept) if !live => format!("cargo drill replay {}", kept.plan.display()),
        _ => format!("cargo drill run {} --seed {}", history.plan.name, history.plan.seed),
    };
    if live {
        command += " --live";
    }
    if let Some(sabotage) = settings.sabotage {
        command += &format!(" --sabotage {}", sabotage.name);
    }
    command
}

/// The wall's time, for what is shown of real durations.
pub(crate) fn now() -> Timestamp {
    DrillClock::from_spec(None).now()
}
