//! Runs plans and judges them: what `drill run`, `replay` and the tests share.

mod again;

pub(crate) use again::quoted;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clockwork::{Clock, DrillClock, Timestamp};
use oms_core::order::Order;

use crate::evidence::Evidence;
use crate::history::{History, Mode};
use crate::live;
use crate::plan::Plan;
use crate::report::{Circumstances, DrillResult};
use crate::sabotage::Sabotage;
use crate::sim::{self, Run};
use crate::strategies::Strategy;
use crate::verdict;
use crate::workload;

/// How plans are run.
#[derive(Clone, Default)]
pub struct Settings {
    /// The strategy, in place of the plan's own.
    pub strategy: Option<&'static Strategy>,
    /// The planted bug, in place of the plan's own.
    pub sabotage: Option<&'static Sabotage>,
    /// The orders, when they are not the plan's own.
    pub orders: Option<Orders>,
    /// The patience that was asked for, in place of the plan's own; the plan has it already.
    pub patience: Option<Duration>,
    /// Where histories and verdicts are kept; nowhere without it.
    pub out: Option<PathBuf>,
    /// The plan's file, when it is none of the catalogue.
    pub plan_file: Option<PathBuf>,
    /// The soak that was asked for, when the plan is one.
    pub soak: Option<Soak>,
}

/// What `drill soak` was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soak {
    /// How often workers are killed.
    pub kills: u32,
    /// Whether the database is restarted too.
    pub restarts: bool,
    /// The database's URL, when it is no fresh file.
    pub store: Option<String>,
}

/// Orders of a file.
#[derive(Clone)]
pub struct Orders {
    /// The file.
    pub file: PathBuf,
    /// What stands in it.
    pub orders: Arc<[Order]>,
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

impl Error {
    /// Whether what was asked for cannot be done, rather than that it went wrong.
    pub fn is_usage(&self) -> bool {
        match self {
            Error::Simulation { .. } => false,
            Error::Live { source, .. } => {
                use live::Error::{Broker, NoBroker, NoDatabase, Store};
                matches!(**source, Store { .. } | NoDatabase(_) | NoBroker(_) | Broker { .. })
            }
            Error::Keep { .. } => true,
        }
    }
}

/// Simulates a plan and judges it.
///
/// # Errors
/// [`Error`], when there is nothing to judge.
pub fn simulate(plan: &Plan, settings: &Settings) -> Result<DrillResult, Error> {
    let began = now();
    conclude(record(plan, settings)?, settings, began)
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
    let plan = planted(plan, settings);
    let history = live::run(&run(&plan, settings), options).await.map_err(failed)?;
    conclude(history, settings, began)
}

/// The history of a plan's simulation, as `--out` keeps it.
///
/// # Errors
/// [`Error::Simulation`].
pub fn record(plan: &Plan, settings: &Settings) -> Result<History, Error> {
    let plan = planted(plan, settings);
    let mut history = play(&plan, settings)?;
    history.reads.baseline = match plan.without_the_bad() {
        // How long the healthy orders take in the same run without the bad ones.
        Some(healed) => {
            let evidence = Evidence::from(play(&healed, settings)?);
            evidence.completed_after(&evidence.healthy_orders())
        }
        None => None,
    };
    Ok(history)
}

fn play(plan: &Plan, settings: &Settings) -> Result<History, Error> {
    let failed = |source| Error::Simulation { drill: plan.name.clone(), source };
    sim::run(&run(plan, settings)).map_err(failed)
}

/// The plan with its strategy and its planted bug written down, so that its history says them.
fn planted(plan: &Plan, settings: &Settings) -> Plan {
    let mut plan = plan.clone();
    if let Some(strategy) = settings.strategy
        && plan.strategy != strategy.in_plans()
    {
        plan.strategy = strategy.in_plans();
        // What the plan's own way was to break says nothing of this one.
        plan.expect.violated.clear();
    }
    if let Some(sabotage) = settings.sabotage {
        plan.sabotage = Some(sabotage.name.to_owned());
    }
    plan
}

fn run<'a>(plan: &'a Plan, settings: &Settings) -> Run<'a> {
    let offers = settings.orders.as_ref().map(|orders| {
        let offers = workload::from_orders(plan, &orders.orders);
        offers.into()
    });
    Run { offers, ..Run::of(plan) }
}

/// Judges a history, and keeps what is to be kept.
fn conclude(history: History, settings: &Settings, began: Timestamp) -> Result<DrillResult, Error> {
    let kept = settings.out.as_ref().map(|out| keep_history(&history, out)).transpose()?;
    let how = Circumstances {
        replay: again::command(&history, settings, kept.as_ref().map(|kept| kept.plan.as_path())),
        real: now().since(began),
        history_hash: kept.as_ref().map(|kept| kept.hash.clone()),
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

fn keep_history(history: &History, out: &Path) -> Result<Kept, Error> {
    let folder = out.join(&history.plan.name);
    std::fs::create_dir_all(&folder)
        .map_err(|source| Error::Keep { path: folder.clone(), source })?;
    write(folder.join("history.jsonl"), &history.to_bytes())?;
    let hash = history.hash();
    let mut plan = history.plan.clone();
    // No two live runs have the same bytes.
    plan.replay_hash = (history.mode == Mode::Simulated).then(|| hash.clone());
    let path = folder.join("plan.toml");
    write(path.clone(), plan.to_toml().as_bytes())?;
    Ok(Kept { folder, plan: path, hash })
}

fn write(path: PathBuf, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(&path, bytes).map_err(|source| Error::Keep { path, source })
}

/// The wall's time, for what is shown of real durations.
pub(crate) fn now() -> Timestamp {
    DrillClock::from_spec(None).now()
}
