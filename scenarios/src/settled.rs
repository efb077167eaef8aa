//! When a run is at rest.

use oms_core::state::OrderState;
use oms_core::store::Census;

use crate::plan::{Plan, Scan};

/// Whether all orders that were `offered` and not refused are in the database and none of them moves by itself any more.
///
/// An order with the operator is at rest: whether it may be there is for the promises to say.
///
/// And whether nobody is `awaited` any more who signs up or operates, nor waits for a welcome.
pub fn is_settled(census: &Census, offered: usize, awaited: usize) -> bool {
    if awaited > 0 || census.welcomes > 0 {
        return false;
    }
    let known: u64 = census.orders.values().sum();
    let at_rest = |state: &OrderState| state.is_final() || *state == OrderState::Attention;
    let resting: u64 =
        census.orders.iter().filter(|(state, _)| at_rest(state)).map(|(_, count)| *count).sum();
    known == resting && known >= offered as u64 && census.leases == 0
}

/// The carrier's reference of the parcel that a scan is about.
pub fn reference(plan: &Plan, scan: &Scan) -> String {
    format!("{}-{}", plan.workload.id(scan.order), scan.parcel)
}
