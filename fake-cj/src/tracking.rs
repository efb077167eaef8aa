//! Where a parcel is: states, scans, and the way that a parcel goes by itself.

use clockwork::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Step;

/// `CRG_ST`: what the last scan made of a parcel.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ParcelState {
    /// 집화지시: booked, not yet with the carrier.
    #[serde(rename = "01")]
    PickupOrdered,
    /// 집화처리: with the carrier.
    #[serde(rename = "11")]
    PickedUp,
    /// 미집화: the courier came and did not get it.
    #[serde(rename = "12")]
    NotPickedUp,
    /// 간선상차.
    #[serde(rename = "41")]
    LineHaulLoaded,
    /// 간선하차.
    #[serde(rename = "42")]
    LineHaulUnloaded,
    /// 배송출발.
    #[serde(rename = "82")]
    OutForDelivery,
    /// 미배송.
    #[serde(rename = "84")]
    NotDelivered,
    /// 배송완료.
    #[serde(rename = "91")]
    Delivered,
}

impl ParcelState {
    /// Every state.
    pub const ALL: [ParcelState; 8] = [
        ParcelState::PickupOrdered,
        ParcelState::PickedUp,
        ParcelState::NotPickedUp,
        ParcelState::LineHaulLoaded,
        ParcelState::LineHaulUnloaded,
        ParcelState::OutForDelivery,
        ParcelState::NotDelivered,
        ParcelState::Delivered,
    ];

    /// The two digits of `CRG_ST`.
    pub const fn code(self) -> &'static str {
        match self {
            ParcelState::PickupOrdered => "01",
            ParcelState::PickedUp => "11",
            ParcelState::NotPickedUp => "12",
            ParcelState::LineHaulLoaded => "41",
            ParcelState::LineHaulUnloaded => "42",
            ParcelState::OutForDelivery => "82",
            ParcelState::NotDelivered => "84",
            ParcelState::Delivered => "91",
        }
    }

    /// The name of `CRG_ST_NM`.
    pub const fn name(self) -> &'static str {
        match self {
            ParcelState::PickupOrdered => "집화지시",
            ParcelState::PickedUp => "집화처리",
            ParcelState::NotPickedUp => "미집화",
            ParcelState::LineHaulLoaded => "간선상차",
            ParcelState::LineHaulUnloaded => "간선하차",
            ParcelState::OutForDelivery => "배송출발",
            ParcelState::NotDelivered => "미배송",
            ParcelState::Delivered => "배송완료",
        }
    }

    /// The state with this code.
    pub fn from_code(code: &str) -> Option<ParcelState> {
        ParcelState::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether a parcel in this state has ever been in the carrier's hands, past all cancelling.
    pub const fn is_with_carrier(self) -> bool {
        !matches!(self, ParcelState::PickupOrdered | ParcelState::NotPickedUp)
    }
}

/// One scan of one parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// When.
    pub at: Timestamp,
    /// What it made of the parcel.
    pub state: ParcelState,
}

/// The scans of a parcel booked at `booked_at`, up to `now`, oldest first.
///
/// A booking is itself the first, 01, unless a step says when else. The parcel goes the way of
/// `steps`; from the first scan by hand on it moves by hand alone.
pub fn scans(
    booked_at: Timestamp,
    steps: &[Step],
    by_hand: &[Scan],
    now: Timestamp,
) -> impl Iterator<Item = Scan> {
    let first_by_hand = by_hand.first().map_or(Timestamp::MAX, |scan| scan.at);
    let ordered = !steps.iter().any(|step| step.state == ParcelState::PickupOrdered);
    let booking = ordered.then_some(Scan { at: booked_at, state: ParcelState::PickupOrdered });
    let on_its_way = steps
        .iter()
        .map(move |step| Scan { at: booked_at + step.after, state: step.state })
        .take_while(move |scan| scan.at < first_by_hand);
    booking
        .into_iter()
        .chain(on_its_way)
        .chain(by_hand.iter().copied())
        .take_while(move |scan| scan.at <= now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;

    fn booked_at() -> Timestamp {
        Timestamp::parse("2026-11-21T10:00:00+09:00").unwrap()
    }

    fn after(hours: u64) -> Timestamp {
        booked_at() + Duration::from_hours(hours)
    }

    fn codes(steps: &[Step], by_hand: &[Scan], now: Timestamp) -> String {
        let codes = scans(booked_at(), steps, by_hand, now).map(|scan| scan.state.code());
        codes.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_parcel_is_picked_up_six_hours_after_its_booking_and_then_goes_its_way() {
        let steps = Config::default().tracking_steps;
        let just_before = after(6) - Duration::from_micros(1);
        assert_eq!(codes(&steps, &[], booked_at()), "01");
        assert_eq!(codes(&steps, &[], just_before), "01");
        assert_eq!(codes(&steps, &[], after(6)), "01 11");
        assert_eq!(codes(&steps, &[], after(32)), "01 11 41 42 82 91");
    }

    #[test]
    fn a_parcel_that_was_scanned_by_hand_moves_by_hand_from_then_on() {
        let steps = Config::default().tracking_steps;
        let by_hand = [
            Scan { at: after(7), state: ParcelState::NotDelivered },
            Scan { at: after(8), state: ParcelState::Delivered },
        ];
        assert_eq!(codes(&steps, &by_hand, after(7)), "01 11 84");
        assert_eq!(codes(&steps, &by_hand, after(100)), "01 11 84 91");
        assert_eq!(codes(&[], &by_hand, after(100)), "01 84 91");
    }

    #[test]
    fn codes_and_names_are_the_carriers() {
        for state in ParcelState::ALL {
            assert_eq!(ParcelState::from_code(state.code()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.code());
        }
        assert_eq!(ParcelState::from_code("99"), None);
        assert_eq!(ParcelState::Delivered.name(), "배송완료");
        assert!(!ParcelState::NotPickedUp.is_with_carrier());
    }
}
