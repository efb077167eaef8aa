//! Every healthy order completes, and no later than a stated factor of the same run without the
//! bad ones.
//!
//! An order is bad when something was done to it that it may not survive (see
//! [`Evidence::bad_orders`]); without any, the promise has nothing to say. Faults that hit all
//! alike may keep healthy orders from completing: as many as the plan expects beside the bad ones.

use std::time::Duration;

use oms_core::state::OrderState;
use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// A healthy order did not complete.
    #[error("healthy {order} is {} beside {} bad", standing(.state), plural(.bad.len()))]
    NotCompleted {
        /// The order.
        order: String,
        /// Where it stands; `None` without a row.
        state: Option<OrderState>,
        /// The bad orders.
        bad: Vec<String>,
    },
    /// The healthy orders took much longer.
    #[error("healthy orders took {took:?}, {baseline:?} without the bad, {factor} times at most")]
    Delayed {
        /// How long they took.
        #[serde(with = "humantime_serde")]
        took: Duration,
        /// How long they take without the bad ones.
        #[serde(with = "humantime_serde")]
        baseline: Duration,
        /// How many times as long they may take.
        factor: f64,
    },
}

fn standing(state: &Option<OrderState>) -> &'static str {
    state.map_or("missing", OrderState::as_str)
}

fn plural(count: usize) -> String {
    if count == 1 { "1 order".to_owned() } else { format!("{count} orders") }
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let bad = evidence.bad_orders();
    if bad.is_empty() {
        return Finding::default();
    }
    let state = |order: &str| evidence.row(order).map(|row| row.state);
    let completed = |order: &str| state(order) == Some(OrderState::Completed);
    let healthy = evidence.healthy_orders();
    let failed: Vec<&str> = healthy.iter().copied().filter(|order| !completed(order)).collect();
    let expect = &evidence.plan.expect;
    let bad_failed = bad.iter().filter(|order| !completed(order)).count() as u64;
    let room = (expect.total() - expect.completed).saturating_sub(bad_failed);
    if failed.len() as u64 > room {
        let bad: Vec<String> = bad.iter().map(|order| (*order).to_owned()).collect();
        let not_completed = failed.into_iter().map(|order| Violation::NotCompleted {
            order: order.to_owned(),
            state: state(order),
            bad: bad.clone(),
        });
        return not_completed.collect();
    }
    let healthy = healthy.into_iter().filter(|order| completed(order)).collect();
    let Some((took, baseline)) = evidence.completed_after(&healthy).zip(evidence.baseline) else {
        return Finding::default();
    };
    let factor = expect.slowdown_max;
    let delayed = took > baseline.mul_f64(factor);
    delayed.then_some(Violation::Delayed { took, baseline, factor }).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use faults::{Fault, Kind};

    use super::*;
    use crate::testing::{Builder, said};

    /// Three orders, the second refused by a fault.
    fn poisoned() -> Builder {
        let refused = Fault { key: Some("ORD-2-1".to_owned()), ..Fault::new(Kind::Refuse) };
        Builder::clean(3)
            .plan(|plan| {
                plan.faults = vec![refused];
                (plan.expect.completed, plan.expect.delivery_failed) = (2, 1);
            })
            .order("ORD-2", "delivery-failed")
    }

    #[test]
    fn a_healthy_order_that_does_not_complete_convicts() {
        assert_eq!(check(&poisoned().evidence()), Finding::default());
        let stuck = poisoned().order("ORD-3", "accepted");
        assert_eq!(said(&check(&stuck.evidence())), "healthy ORD-3 is accepted beside 1 order bad");
        let lost = poisoned().lose("ORD-3");
        assert_eq!(said(&check(&lost.evidence())), "healthy ORD-3 is missing beside 1 order bad");
    }

    #[test]
    fn orders_hit_without_being_named_are_bad_too() {
        let hit = Builder::clean(3)
            .plan(|plan| (plan.expect.completed, plan.expect.delivery_failed) = (2, 1))
            .order("ORD-2", "delivery-failed")
            .carrier_request_for("RegBook", "ORD-2-1", 20, Some(200), Some(Kind::Refuse));
        assert_eq!(check(&hit.evidence()), Finding::default());
        let stuck = hit.order("ORD-3", "accepted");
        assert_eq!(check(&stuck.evidence()).violations.len(), 1);
    }

    #[test]
    fn without_a_bad_order_the_promise_is_silent() {
        let stuck = Builder::clean(3).order("ORD-3", "accepted");
        assert_eq!(check(&stuck.evidence()), Finding::default());
    }

    #[test]
    fn faults_that_hit_all_alike_leave_room_for_what_the_plan_expects() {
        let both = poisoned().plan(|plan| {
            (plan.expect.completed, plan.expect.notify_failed) = (1, 1);
        });
        let both = both.order("ORD-3", "notify-failed");
        assert_eq!(check(&both.evidence()), Finding::default());
    }

    #[test]
    fn healthy_orders_may_take_so_many_times_as_long_and_no_longer() {
        // The builder's orders complete 300 ms after they came, the third at 320 ms.
        let measured = |baseline| poisoned().baseline(baseline).evidence();
        assert_eq!(check(&measured(160)), Finding::default());
        let heard = said(&check(&measured(159)));
        assert!(heard.starts_with("healthy orders took 320ms, 159ms without the bad"), "{heard}");
    }
}
