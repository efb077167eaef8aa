//! Whose a reference is.

use std::collections::BTreeMap;

use oms_core::store::{ParcelKey, Rows};

use crate::history::{Record, Step, What};
use crate::plan::Plan;

/// All orders, and the references that were written down for their parcels.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    /// How many parcels each order has, where that is known.
    orders: BTreeMap<String, Option<u32>>,
    written: BTreeMap<String, ParcelKey>,
}

impl Owners {
    pub(super) fn new(plan: &Plan, records: &[Record], rows: &Rows) -> Owners {
        let mut owners = Owners::default();
        for record in records {
            if let What::Drill(Step::OrderOffered { order }) = &record.what {
                owners.orders.entry(order.clone()).or_default();
            }
        }
        for index in 1..=plan.workload.orders {
            let parcels = plan.workload.parcels_of(index);
            owners.orders.insert(plan.workload.id(index), Some(parcels));
        }
        for order in &rows.orders {
            let parcels = u32::try_from(order.parcels.len()).ok();
            owners.orders.insert(order.id.clone(), parcels);
            for parcel in &order.parcels {
                if let Some(reference) = &parcel.cust_use_no {
                    let key = ParcelKey { order: order.id.clone(), number: parcel.number };
                    owners.written.insert(reference.clone(), key);
                }
            }
        }
        owners
    }

    /// The order whose id stands in front of `reference`, with no letter or digit behind it.
    pub(super) fn order_of(&self, reference: &str) -> Option<&str> {
        let breaks = reference.char_indices().rev();
        let breaks = breaks.filter(|(_, next)| !next.is_ascii_alphanumeric());
        let ends = [reference.len()].into_iter().chain(breaks.map(|(place, _)| place));
        let mut found = ends.filter_map(|end| self.orders.get_key_value(&reference[..end]));
        found.next().map(|(id, _)| id.as_str())
    }

    pub(super) fn parcel_of(&self, reference: &str) -> Option<ParcelKey> {
        if let Some(parcel) = self.written.get(reference) {
            return Some(parcel.clone());
        }
        let order = self.order_of(reference)?;
        let parcels = self.orders.get(order).copied().flatten();
        let rest = reference[order.len()..].trim_start_matches(|c: char| !c.is_ascii_digit());
        let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
        let named =
            digits.parse().ok().filter(|number| (1..=parcels.unwrap_or(1)).contains(number));
        // Of an order with one parcel, everything is about that one.
        let number = named.or((parcels == Some(1)).then_some(1))?;
        Some(ParcelKey { order: order.to_owned(), number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners() -> Owners {
        let orders = [("ORD-1", 1), ("ORD-10", 2), ("A", 1), ("A-1", 1)];
        let orders = orders.map(|(id, parcels)| (id.to_owned(), Some(parcels)));
        let renamed = ParcelKey { order: "A".to_owned(), number: 1 };
        let written = BTreeMap::from([("7c9e6679".to_owned(), renamed)]);
        Owners { orders: BTreeMap::from(orders), written }
    }

    #[track_caller]
    fn check(reference: &str, order: Option<&str>, parcel: Option<&str>) {
        let owners = owners();
        assert_eq!(owners.order_of(reference), order, "order of {reference}");
        let found = owners.parcel_of(reference).map(|parcel| parcel.to_string());
        assert_eq!(found.as_deref(), parcel, "parcel of {reference}");
    }

    #[test]
    fn a_reference_belongs_to_the_longest_id_in_front_of_it() {
        check("ORD-1-1", Some("ORD-1"), Some("ORD-1/1"));
        check("ORD-10-2", Some("ORD-10"), Some("ORD-10/2"));
        check("ORD-10/1", Some("ORD-10"), Some("ORD-10/1"));
        check("A-1", Some("A-1"), Some("A-1/1"));
        check("A-1-1", Some("A-1"), Some("A-1/1"));
        check("A:shipped", Some("A"), Some("A/1"));
        check("ORD-100-1", None, None);
        check("", None, None);
    }

    #[test]
    fn a_reference_changed_on_the_way_is_still_found() {
        check("ORD-1-1-r2", Some("ORD-1"), Some("ORD-1/1"));
        check("ORD-1-7f3a", Some("ORD-1"), Some("ORD-1/1"));
        check("ORD-10-9", Some("ORD-10"), None);
        check("7c9e6679", None, Some("A/1"));
        check("주문-1", None, None);
    }
}
