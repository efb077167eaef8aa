//! What must hold of the rows at the end.

use std::collections::BTreeMap;
use std::str::FromStr;

use oms_core::state::{By, NoticeState, OrderState, ParcelState};
use oms_core::store::{Rows, Transition};

/// Every walked edge is legal, each begins where the one before ended, and the rows stand where the
/// last one ended.
pub fn check_history(rows: &Rows) {
    let mut stands: BTreeMap<&str, &str> = BTreeMap::new();
    for edge in &rows.transitions {
        let before = stands.insert(&edge.key, &edge.to);
        assert_eq!(before, edge.from.as_deref(), "a gap before {edge:?}");
        let legal = match edge.entity.as_str() {
            "order" => is_legal(edge, OrderState::may_become),
            "parcel" => is_legal(edge, ParcelState::may_become),
            _ => is_legal(edge, NoticeState::may_become),
        };
        assert!(legal, "{edge:?}");
    }
    for order in &rows.orders {
        assert_eq!(stands.remove(order.id.as_str()), Some(order.state.as_str()));
        for parcel in &order.parcels {
            let key = format!("{}/{}", order.id, parcel.number);
            assert_eq!(stands.remove(key.as_str()), Some(parcel.state.as_str()), "{key}");
        }
        for notice in &order.notices {
            let key = format!("{}:{}", order.id, notice.event);
            assert_eq!(stands.remove(key.as_str()), Some(notice.state.as_str()), "{key}");
        }
    }
    assert!(stands.is_empty(), "logged, but not there: {stands:?}");
}

fn is_legal<S: FromStr>(edge: &Transition, may_become: fn(S, S, By) -> bool) -> bool {
    let state = |text: &str| S::from_str(text).ok();
    let Some(from) = edge.from.as_deref() else { return true };
    let (Some(from), Some(to)) = (state(from), state(&edge.to)) else { return false };
    may_become(from, to, edge.by)
}

/// What an order's state says of its parcels.
pub fn check_orders(rows: &Rows) {
    for order in &rows.orders {
        let all = |state| order.parcels.iter().all(|parcel| parcel.state == state);
        let any = |state| order.parcels.iter().any(|parcel| parcel.state == state);
        match order.state {
            OrderState::Shipped | OrderState::Completed | OrderState::NotifyFailed => {
                assert!(all(ParcelState::Booked), "{order:?}");
                assert_eq!(order.notices.len(), 1, "{order:?}");
            }
            OrderState::DeliveryFailed | OrderState::Cancelled => {
                assert!(!any(ParcelState::Booked) && !any(ParcelState::Unknown), "{order:?}");
            }
            OrderState::Accepted => assert!(!any(ParcelState::Attention), "{order:?}"),
            _ => {}
        }
    }
}
