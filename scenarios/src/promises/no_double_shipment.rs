//! The carrier holds at most one live booking per parcel of an order, at every moment.

use clockwork::Timestamp;
use serde::Serialize;

use super::{Booked, Finding};
use crate::evidence::Evidence;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// A parcel was booked while it was booked already.
    #[error("{parcel} is booked twice: {first} and {second}")]
    TwoLiveBookings {
        /// The parcel.
        parcel: String,
        /// The booking that was live.
        first: Box<Booked>,
        /// The one that came on top.
        second: Box<Booked>,
    },
    /// An order has more live bookings than parcels, under references that name no parcel.
    #[error("{order} has {parcels} parcels and {} live bookings", .live.len())]
    MoreThanParcels {
        /// The order.
        order: String,
        /// How many parcels it has.
        parcels: usize,
        /// Its live bookings.
        live: Vec<Booked>,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let mut violations = Vec::new();
    for parcel in evidence.booked_parcels() {
        let bookings: Vec<_> = evidence.bookings_of(parcel).collect();
        for (place, second) in bookings.iter().enumerate() {
            let still_live =
                |end: Option<Timestamp>| end.is_none_or(|end| end > second.booked_at);
            let first = bookings[..place].iter().find(|first| still_live(first.cancelled_at));
            if let Some(first) = first {
                violations.push(Violation::TwoLiveBookings {
                    parcel: parcel.to_string(),
                    first: Box::new(Booked::from(*first)),
                    second: Box::new(Booked::from(*second)),
                });
            }
        }
    }
    let mut adrift: Vec<_> = evidence.bookings_adrift().map(|(order, _)| order).collect();
    adrift.dedup();
    for order in adrift {
        let live = evidence.bookings_of_order(order).filter(|booking| booking.is_live());
        let live: Vec<Booked> = live.map(Booked::from).collect();
        let parcels = evidence.row(order).map_or(1, |row| row.parcels.len());
        if live.len() > parcels {
            violations.push(Violation::MoreThanParcels { order: order.to_owned(), parcels, live });
        }
    }
    violations.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    #[test]
    fn a_second_booking_convicts_whatever_it_is_called() {
        for reference in ["ORD-1-1", "ORD-1/1", "ORD-1-1-r2", "ORD-1"] {
            let evidence = Builder::clean(2).booking(reference, "650000000999", 2_000).evidence();
            let said = said(&check(&evidence));
            assert!(said.starts_with("ORD-1/1 is booked twice: 650000000011"), "{said}");
        }
    }

    #[test]
    fn a_second_booking_that_was_cancelled_again_still_was_one_too_many() {
        let evidence = Builder::clean(1)
            .booking("ORD-1-1", "650000000999", 2_000)
            .cancel_booking("650000000999", 3_000)
            .evidence();
        assert_eq!(check(&evidence).violations.len(), 1);
    }

    #[test]
    fn a_booking_after_the_first_was_cancelled_is_none_too_many() {
        let evidence = Builder::clean(1)
            .cancel_booking("650000000011", 1_500)
            .booking("ORD-1-1", "650000000999", 2_000)
            .evidence();
        assert_eq!(check(&evidence), Finding::default());
    }

    #[test]
    fn a_bundle_with_more_bookings_than_parcels_is_convicted_without_parcel_numbers() {
        let evidence = Builder::clean(1)
            .parcels("ORD-1", 2)
            .booking("ORD-1-x", "650000000998", 2_000)
            .booking("ORD-1-y", "650000000999", 2_000)
            .evidence();
        assert_eq!(said(&check(&evidence)), "ORD-1 has 2 parcels and 3 live bookings");
    }
}
