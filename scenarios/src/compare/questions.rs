//! The first of the three questions: what succeeds or fails together?
//!
//! It is asked of the seed's own batch: twenty orders, of which the carrier refuses the tenth. The
//! other two, about I/O inside of transactions and about what cannot be rolled back, are answered
//! by all runs.

use std::time::Duration;

use oms_core::state::OrderState;
use serde::Serialize;

use super::Error;
use crate::catalogue;
use crate::evidence::Evidence;
use crate::plan::Plan;
use crate::strategies::Strategy;
use crate::trial::Trials;

/// The drill that is asked.
pub const BATCH: &str = "seed-batch";

/// What became of the orders beside the one that the carrier refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Together {
    /// So many there were.
    pub others: u64,
    /// Of which so many completed.
    pub completed: u64,
    /// Live bookings that no row knows of, when all was over.
    pub left_behind: u64,
}

/// Asks the batch.
pub(super) fn together(trials: &Trials, strategy: &'static Strategy) -> Result<Together, Error> {
    let plan = catalogue::named(BATCH).and_then(Result::ok);
    let plan = plan.unwrap_or_else(|| Plan::healthy(BATCH, 20));
    let mut plan = Plan { strategy: strategy.in_plans(), ..plan };
    // One batch, not orders that come in one by one.
    plan.workload.over = Duration::ZERO;
    plan.world.patience = plan.world.patience.min(Duration::from_mins(20));
    let history = trials.record_alone(&plan).map_err(|source| Error::Simulation {
        plan: plan.name.clone(),
        strategy: strategy.name,
        source,
    })?;
    let evidence = Evidence::from(history);
    let completed = evidence.counts().get(&OrderState::Completed).copied().unwrap_or_default();
    let others = u64::from(plan.workload.orders).saturating_sub(1);
    Ok(Together { others, completed, left_behind: evidence.left_behind().bookings })
}
