//! A plan, run in virtual time: the core, both fakes and the network in one thread.
//!
//! Everything that happens comes from the plan: time is tokio's paused clock from the plan's start,
//! chance is forked from its seed, tasks run in one order. What is simulated is what ships: the
//! core's code, its SQL, the fakes' handlers. Not simulated: TCP (half-open connections, stale
//! keep-alives) and the operating system's scheduler; live runs have them.

pub(crate) mod broker;
mod database;
mod disk;
mod host;
pub(crate) mod latency;
mod network;
mod node;
pub(crate) mod postman;
mod turns;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use oms_core::config::Config;

use crate::history::History;
use crate::plan::Plan;
use crate::sabotage::{self, Sabotage};
use crate::sign_up::{self, Form};
use crate::strategies::{self, Strategy};
use crate::workload::{self, Offer};

/// What is run, and how it is broken on purpose.
#[derive(Clone)]
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The orders, when they are not the plan's own.
    pub offers: Option<Arc<[Offer]>>,
    /// Who takes the steps of the nodes.
    pub strategy: &'static Strategy,
    /// The planted bug.
    pub sabotage: Option<&'static Sabotage>,
    /// How members are signed up, if not as is recommended.
    pub sign_up: Option<&'static Form>,
}

impl<'a> Run<'a> {
    /// The run of `plan` as it stands.
    pub fn of(plan: &'a Plan) -> Run<'a> {
        let sabotage = plan.sabotage.as_deref().and_then(sabotage::named);
        let sign_up = plan.sign_up.as_deref().and_then(sign_up::named);
        Run { plan, offers: None, strategy: strategies::of(plan), sabotage, sign_up }
    }

    /// Changes the settings of the service as the strategy and the planted bug have it.
    pub(crate) fn enter_settings(&self, config: &mut Config) {
        (self.strategy.settings)(config);
        if let Some(sabotage) = self.sabotage {
            (sabotage.settings)(config);
        }
    }
}

/// Where faults could have hit a run, beside the calls, which stand in the fakes' ledgers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Scheduling points of each node, by its number.
    pub points: Vec<u64>,
    /// How often each operation of the store was used, all nodes together.
    pub operations: BTreeMap<&'static str, u64>,
    /// Operations of the disk; 0 when the database was in memory, as it is without power cuts.
    pub disk_operations: u64,
}

/// A simulation that could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No runtime.
    #[error("start of the simulation's runtime")]
    Runtime(#[source] std::io::Error),
    /// A fault of the plan is none.
    #[error("fault list of the plan")]
    Faults(#[source] faults::fault::Error),
    /// The disk could not be made.
    #[error("the run's disk")]
    Disk(#[source] lossy_disk::Error),
    /// The database could not be made or read.
    #[error("the run's database")]
    Database(#[source] oms_core::store::Error),
}

/// Runs a plan to its end and gives its history, which ends with the final reads.
///
/// # Errors
/// [`Error`]; what goes wrong in the run itself is history, not an error.
pub fn run(run: &Run<'_>) -> Result<History, Error> {
    survey(run).map(|(history, _)| history)
}

/// As [`run`], and says where faults could have hit.
///
/// # Errors
/// [`Error`].
pub fn survey(run: &Run<'_>) -> Result<(History, Places), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(Error::Runtime)?;
    let generated;
    let offers = match &run.offers {
        Some(offers) => offers,
        None => {
            generated = workload::generate(run.plan);
            generated.as_slice()
        }
    };
    runtime.block_on(world::play(run, offers))
}

#[cfg(test)]
mod tests;
