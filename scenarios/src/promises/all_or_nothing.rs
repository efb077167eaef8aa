//! A bundle of parcels is, at rest, booked whole, or not at all, or with the operator.

use oms_core::state::OrderState;
use oms_core::store::{OrderView, ParcelKey};
use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// A part is booked, a part is not, and nobody looks after it.
    #[error("{order} is {state} with parcels {booked:?} booked and {missing:?} not")]
    Torn {
        /// The order.
        order: String,
        /// What the service says.
        state: OrderState,
        /// The parcels that the carrier holds.
        booked: Vec<u32>,
        /// Those that it does not.
        missing: Vec<u32>,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let at_rest = |order: &&OrderView| order.state.is_final();
    let orders = evidence.rows.orders.iter().filter(at_rest);
    orders.filter_map(|order| torn(evidence, order)).collect()
}

fn torn(evidence: &Evidence, order: &OrderView) -> Option<Violation> {
    let is_held = |number: &u32| {
        let parcel = ParcelKey { order: order.id.clone(), number: *number };
        evidence.bookings_of(&parcel).any(|booking| booking.is_live())
    };
    let numbers = order.parcels.iter().map(|parcel| parcel.number);
    let (booked, missing): (Vec<u32>, Vec<u32>) = numbers.partition(is_held);
    let torn = !booked.is_empty() && !missing.is_empty();
    let (id, state) = (order.id.clone(), order.state);
    torn.then_some(Violation::Torn { order: id, state, booked, missing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    fn half(state: &str) -> Builder {
        Builder::new(1)
            .order("ORD-1", state)
            .parcel("ORD-1", 1, "booked", Some("650000000011"))
            .parcel("ORD-1", 2, "refused", None)
            .booking("ORD-1-1", "650000000011", 1_000)
    }

    #[test]
    fn half_a_bundle_convicts_unless_the_operator_has_it() {
        assert_eq!(
            said(&check(&half("delivery-failed").evidence())),
            "ORD-1 is delivery-failed with parcels [1] booked and [2] not"
        );
        assert!(!check(&half("completed").evidence()).violations.is_empty());
        assert_eq!(check(&half("attention").evidence()), Finding::default());
    }

    #[test]
    fn a_bundle_undone_or_whole_is_fine() {
        let undone = half("delivery-failed").cancel_booking("650000000011", 2_000);
        assert_eq!(check(&undone.evidence()), Finding::default());
        let whole = half("completed").booking("ORD-1-2", "650000000022", 1_000);
        assert_eq!(check(&whole.evidence()), Finding::default());
    }
}
