//! What one run came to under one strategy.

use std::time::Duration;

use clockwork::Timestamp;
use oms_core::state::OrderState;

use crate::evidence::{Connections, Evidence, LeftBehind};
use crate::verdict::{Judgement, Verdict};

/// What one run came to. All durations are drill time.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The promises that fell.
    pub broken: Vec<&'static str>,
    /// Orders that were taken in.
    pub orders: u64,
    /// For each of them how long it took to its end; `None` when it never came to one.
    pub settled: Vec<Option<Duration>>,
    /// How long the run took.
    pub lasted: Duration,
    /// Calls to both APIs.
    pub calls: u64,
    /// Bookings that the carrier had already, and answered without booking again.
    pub prevented: u64,
    /// What was done with connections.
    pub connections: Connections,
    /// For how long each booking was hidden from whoever asks our database.
    pub windows: Vec<Duration>,
    /// What the outside holds in the end and our rows do not know of.
    pub left: LeftBehind,
}

/// The carrier's word for a booking that it has already.
const DUPLICATE: &str = "ORA-00001";

impl Measure {
    /// Of a run and its judgement.
    pub fn of(evidence: &Evidence, judgement: &Judgement) -> Measure {
        let broken = judgement.promises.iter();
        let broken = broken.filter(|promise| promise.verdict == Verdict::Violated);
        let acknowledged = evidence.acknowledged();
        let settled = acknowledged.iter().map(|(order, at)| settled_after(evidence, order, *at));
        let refusals = evidence.carrier.refusals.iter();
        let rejected = refusals.filter(|refusal| refusal.result_detail.contains(DUPLICATE));
        Measure {
            broken: broken.map(|promise| promise.id).collect(),
            orders: acknowledged.len() as u64,
            settled: settled.collect(),
            lasted: evidence.ended_at.since(evidence.plan.start),
            calls: evidence.calls.len() as u64,
            prevented: evidence.carrier.totals.replays + rejected.count() as u64,
            connections: evidence.connections(),
            windows: evidence.windows(),
            left: evidence.left_behind(),
        }
    }
}

/// How long an order took from its acknowledgement to the state in which it rests for good.
fn settled_after(evidence: &Evidence, order: &str, since: Timestamp) -> Option<Duration> {
    let row = evidence.row(order)?;
    if !is_final(row.state) {
        return None;
    }
    let last = evidence.steps_of(order).last()?;
    Some(last.at.since(since.min(last.at)))
}

fn is_final(state: OrderState) -> bool {
    use OrderState::{Cancelled, Completed, DeliveryFailed, NotifyFailed, Rejected};
    matches!(state, Rejected | DeliveryFailed | NotifyFailed | Completed | Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;
    use crate::verdict;

    fn measured(builder: Builder) -> Measure {
        let evidence = builder.evidence();
        Measure::of(&evidence, &verdict::judge(&evidence))
    }

    #[test]
    fn orders_that_complete_are_settled_and_break_nothing() {
        let measure = measured(Builder::clean(3));
        assert_eq!((measure.orders, measure.broken.len()), (3, 0));
        assert!(measure.settled.iter().all(Option::is_some), "{:?}", measure.settled);
        assert_eq!(measure.left, LeftBehind::default());
    }

    #[test]
    fn an_order_that_hangs_is_never_settled_and_a_lost_one_neither() {
        let hangs = measured(Builder::clean(2).order("ORD-1", "shipped"));
        assert_eq!(hangs.settled.iter().filter(|settled| settled.is_none()).count(), 1);
        let lost = measured(Builder::clean(2).lose("ORD-2"));
        assert!(lost.broken.contains(&"no-lost-order"), "{:?}", lost.broken);
        assert_eq!(lost.settled.iter().filter(|settled| settled.is_none()).count(), 1);
    }
}
