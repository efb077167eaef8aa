//! The user's own orders as the workload.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use oms_core::intake::{self, Entry};
use oms_core::order::Order;

use super::Error;
use crate::plan::Plan;
use crate::runner::Orders;

/// So much longer may a run of the user's orders take for each of them: the carrier admits 100
/// calls in a minute, a parcel takes two, and there may be several of them.
const PATIENCE_EACH: Duration = Duration::from_secs(5);

/// A plan in which nothing fails.
pub(super) fn healthy_plan(orders: &Orders) -> Plan {
    let mut plan = Plan::healthy("your-orders", 1);
    let count = u32::try_from(orders.orders.len()).unwrap_or(u32::MAX);
    plan.world.patience += PATIENCE_EACH * count;
    plan
}

/// Reads the orders of `file`. Every line that cannot be taken is told.
pub(super) fn load(file: &Path) -> Result<Orders, Error> {
    let mut orders = Vec::new();
    let mut refused = 0;
    let mut first_lines = BTreeMap::new();
    for Entry { line, order } in intake::read_entries(file, None).map_err(Error::Orders)? {
        let told = match order {
            Err(error) => error.to_string(),
            Ok(order) => match first_lines.get(&order.id) {
                Some(first) => format!("line {line}: order {} stands in line {first}", order.id),
                None => {
                    first_lines.insert(order.id.clone(), line);
                    orders.push(order);
                    continue;
                }
            },
        };
        refused += 1;
        eprintln!("{}: {told}", file.display());
    }
    if orders.is_empty() {
        return Err(Error::Usage(format!("{} holds no order that can be taken", file.display())));
    }
    if refused > 0 {
        eprintln!("{refused} refused, {} taken", orders.len());
    }
    Ok(Orders { file: file.to_owned(), orders: orders.into() })
}

/// Makes `plan` expect the orders.
pub(super) fn expect(orders: &Orders, plan: &mut Plan) -> Result<(), Error> {
    if let Some(field) = names_other_orders(plan, &orders.orders) {
        return Err(Error::Usage(format!(
            "`{}` is about single orders of its own ({field}), not of {}; with --orders, take a \
             drill that may hit any",
            plan.name,
            orders.file.display(),
        )));
    }
    let count = |orders: usize| u64::try_from(orders).unwrap_or(u64::MAX);
    let all = count(orders.orders.len());
    plan.workload.orders = u32::try_from(all).unwrap_or(u32::MAX);
    let shop = &plan.oms.shop;
    let rejected = orders.orders.iter().filter(|o| intake::rejection(shop, o).is_some());
    plan.expect.rejected = count(rejected.count());
    plan.expect.completed = 0;
    plan.expect.completed = all.saturating_sub(plan.expect.total());
    Ok(())
}

/// A field of `plan` that is about an order of its own workload.
fn names_other_orders(plan: &Plan, orders: &[Order]) -> Option<String> {
    if !plan.workload.order.is_empty() {
        return Some("workload.order".to_owned());
    }
    if !plan.scans.is_empty() {
        return Some("scan".to_owned());
    }
    if !plan.operations.is_empty() {
        return Some("operation".to_owned());
    }
    // A key begins with the order's id: `ORD-3-1` is a parcel, `ORD-3:shipped` a notification.
    let is_theirs = |key: &str| {
        let rest = |order: &Order| key.strip_prefix(order.id.as_str()).map(str::to_owned);
        orders.iter().filter_map(rest).any(|rest| rest.is_empty() || rest.starts_with(['-', ':']))
    };
    let keys = plan.faults.iter().enumerate().filter_map(|(place, fault)| {
        fault.key.as_deref().map(|key| (format!("fault[{place}].key"), key))
    });
    let bad =
        (0..).zip(&plan.bad).map(|(place, id): (usize, _)| (format!("bad[{place}]"), id.as_str()));
    keys.chain(bad).find(|(_, key)| !is_theirs(key)).map(|(field, _)| field)
}
