//! The user's own orders as the workload.

use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::plan::Plan;
use crate::workload::{self, Offer};

/// A plan in which nothing fails.
pub(super) fn healthy_plan() -> Plan {
    Plan::healthy("your-orders", 1)
}

/// Reads the orders of `file`, and makes `plans` expect them all.
///
/// Every line that cannot be taken is told; the good ones are run.
pub(super) fn load(file: &Path, plans: &mut [Plan]) -> Result<Arc<[Offer]>, Error> {
    let mut orders = Vec::new();
    let mut refused = 0;
    for order in oms_core::intake::read_orders(file, None).map_err(Error::Orders)? {
        match order {
            Ok(order) => orders.push(order),
            Err(line) => {
                refused += 1;
                eprintln!("{}: {line}", file.display());
            }
        }
    }
    if orders.is_empty() {
        return Err(Error::Usage(format!("{} holds no order that can be taken", file.display())));
    }
    if refused > 0 {
        eprintln!("{refused} refused, {} taken", orders.len());
    }
    let count = u32::try_from(orders.len())
        .map_err(|_| Error::Usage(format!("{} holds too many orders", file.display())))?;
    for plan in plans.iter_mut() {
        let others = plan.expect.total().saturating_sub(plan.expect.completed);
        plan.workload.orders = count;
        plan.expect.completed = u64::from(count).saturating_sub(others);
    }
    let plan = plans.first().cloned().unwrap_or_else(healthy_plan);
    Ok(workload::from_orders(&plan, &orders).into())
}
