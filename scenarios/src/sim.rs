//! A plan, run in virtual time: the core, both fakes and the network in one thread.
//!
//! Everything that happens comes from the plan: time is tokio's paused clock from the plan's start,
//! chance is forked from its seed, tasks run in one order. What is simulated is what ships: the
//! core's code, its SQL, the fakes' handlers. Not simulated: TCP (half-open connections, stale
//! keep-alives), the operating system's scheduler, and disks that lose what was not synced; live
//! runs have the first two.

mod database;
mod host;
mod network;
mod node;
mod skew;
mod world;

use std::sync::Arc;

use crate::history::History;
use crate::plan::Plan;
use crate::sabotage::Sabotage;
use crate::workload::{self, Offer};

/// What is run, and how it is broken on purpose.
#[derive(Clone)]
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The orders, when they are not the plan's own.
    pub offers: Option<Arc<[Offer]>>,
    /// The planted bug.
    pub sabotage: Option<&'static Sabotage>,
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
    /// The database could not be made or read.
    #[error("the run's database")]
    Database(#[source] oms_core::store::Error),
}

/// Runs a plan to its end and gives its history, which ends with the final reads.
///
/// # Errors
/// [`Error`]; what goes wrong in the run itself is history, not an error.
pub fn run(run: &Run<'_>) -> Result<History, Error> {
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
