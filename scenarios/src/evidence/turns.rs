//! Whether sellers took turns: how many parcels of another seller were begun while one's own waited.
//!
//! A parcel waits from its order's acceptance, and no earlier than its seller's parcel before it was
//! begun, until the first call for it. So however long a seller's own queue is, what is counted is
//! one turn.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use oms_core::state::OrderState;
use serde::Serialize;

use super::Evidence;

/// How sellers took turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turns {
    /// How many sellers had something to send.
    pub sellers: usize,
    /// So many parcels of one other seller were begun while one's own waited, at most.
    pub most: usize,
    /// The parcel that waited so.
    pub parcel: String,
    /// Whether a parcel was begun before one of another seller that had come earlier.
    pub overtook: bool,
}

/// A parcel that was begun.
#[derive(Debug, Clone, Copy)]
struct Begun<'a> {
    key: &'a str,
    accepted: Timestamp,
    at: Timestamp,
}

impl Evidence {
    /// How sellers took turns; `None` where fewer than two had anything begun.
    pub fn turns(&self) -> Option<Turns> {
        if !self.plan.workload.has_sellers() {
            return None;
        }
        let queues = self.begun_by_seller();
        let mut turns =
            Turns { sellers: queues.len(), most: 0, parcel: String::new(), overtook: false };
        for (seller, queue) in &queues {
            let others = || queues.iter().filter(|(other, _)| *other != seller);
            let mut before = None;
            for parcel in queue {
                let since = before.max(Some(parcel.accepted)).unwrap_or(parcel.accepted);
                let waited = |other: &Begun<'_>| other.at > since && other.at < parcel.at;
                for (_, other) in others() {
                    let count = other.iter().filter(|other| waited(other)).count();
                    if count > turns.most {
                        (turns.most, turns.parcel) = (count, parcel.key.to_owned());
                    }
                    turns.overtook |= other
                        .iter()
                        .any(|other| other.accepted < parcel.accepted && other.at > parcel.at);
                }
                before = Some(parcel.at);
            }
        }
        (turns.sellers > 1).then_some(turns)
    }

    /// Each seller's parcels that were begun, in that order.
    fn begun_by_seller(&self) -> BTreeMap<&str, Vec<Begun<'_>>> {
        let mut first: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for call in self.calls.iter().filter(|call| call.api == "carrier") {
            let at = first.entry(&call.key).or_insert(call.begun);
            *at = call.begun.min(*at);
        }
        let workload = &self.plan.workload;
        let sellers = (1..=workload.orders).map(|index| (workload.id(index), index));
        let sellers: BTreeMap<String, &str> =
            sellers.map(|(id, index)| (id, workload.seller_of(index))).collect();
        let mut queues: BTreeMap<&str, Vec<Begun<'_>>> = BTreeMap::new();
        for (key, at) in first {
            let Some((order, _parcel)) = key.split_once('/') else { continue };
            let Some(seller) = sellers.get(order) else { continue };
            let mut steps = self.steps_of(order);
            let accepted = steps.find(|step| step.to == OrderState::Accepted.as_str());
            let Some(accepted) = accepted.map(|step| step.at) else { continue };
            queues.entry(seller).or_default().push(Begun { key, accepted, at });
        }
        queues.values_mut().for_each(|queue| queue.sort_by_key(|parcel| (parcel.at, parcel.key)));
        queues
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::OrderOverride;
    use crate::testing::Builder;

    /// Three orders of nobody in particular and a fourth of a shop, each begun at a moment. They came
    /// 10 ms apart.
    fn begun(at: [u64; 4]) -> Builder {
        let seller = Some("shop".to_owned());
        let of_shop = OrderOverride { index: 4, seller, ..OrderOverride::default() };
        let four = (1..=4_u32).fold(Builder::new(4), |builder, number| {
            let (order, came) = (format!("ORD-{number}"), u64::from(number) * 10);
            let walked = builder.walk("order", &order, &[("received", came), ("accepted", came)]);
            let (key, at) = (format!("{order}/1"), at[number as usize - 1]);
            walked.call(0, u64::from(number), "ReqInvcNo", &key, at, at + 5, "done", Some(200))
        });
        four.plan(|plan| plan.workload.order = vec![of_shop])
    }

    #[test]
    fn what_is_begun_of_another_while_one_waits_is_counted() {
        let turns = |at| begun(at).evidence().turns().unwrap();
        let taken = turns([20, 50, 200, 60]);
        assert_eq!((taken.sellers, taken.most, taken.parcel.as_str()), (2, 1, "ORD-3/1"));
        assert!(taken.overtook, "ORD-4 went before ORD-3");
        let in_a_row = turns([50, 60, 70, 80]);
        assert_eq!((in_a_row.most, in_a_row.parcel.as_str()), (3, "ORD-4/1"));
        assert!(!in_a_row.overtook);
    }

    #[test]
    fn of_one_seller_there_are_no_turns() {
        assert_eq!(Builder::clean(3).evidence().turns(), None);
        let of_nobody = begun([1, 2, 3, 4]).plan(|plan| plan.workload.prefix = "X".to_owned());
        assert_eq!(of_nobody.evidence().turns(), None);
    }
}
