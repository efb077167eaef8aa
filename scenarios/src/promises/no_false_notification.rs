//! A customer is told "shipped" only for a live booking, with its true tracking number.

use std::collections::BTreeSet;

use clockwork::Timestamp;
use fake_kakao::ledger::Message;
use serde::Serialize;

use super::{Finding, was_live};
use crate::evidence::Evidence;

/// The digits of a tracking number: two of prefix, nine of body, a check digit.
const INVOICE_DIGITS: usize = 12;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// A message about no order that is known.
    #[error("message {msg_key} at {at} is about no known order")]
    NoOrder {
        /// The message.
        msg_key: String,
        /// When the gateway accepted it.
        at: Timestamp,
    },
    /// The customer was told although a parcel was not booked.
    #[error("{order} was told shipped at {at}, but the carrier held no booking of parcel {parcel}")]
    NotBooked {
        /// The order.
        order: String,
        /// The parcel.
        parcel: u32,
        /// The message.
        msg_key: String,
        /// When the gateway accepted it.
        at: Timestamp,
    },
    /// The message does not carry a parcel's true number.
    #[error("{order} was told shipped at {at} without {invoice_no} of parcel {parcel}")]
    NumberMissing {
        /// The order.
        order: String,
        /// The parcel.
        parcel: u32,
        /// The true number.
        invoice_no: String,
        /// The message.
        msg_key: String,
        /// When the gateway accepted it.
        at: Timestamp,
    },
    /// The message carries a number that is none of the order's live bookings'.
    #[error("{order} was told at {at} the number {told}, which is no live booking of it")]
    WrongNumber {
        /// The order.
        order: String,
        /// What was told.
        told: String,
        /// The message.
        msg_key: String,
        /// When the gateway accepted it.
        at: Timestamp,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let messages = evidence.messenger.messages.iter();
    messages.flat_map(|message| check_message(evidence, message)).collect()
}

fn check_message(evidence: &Evidence, message: &Message) -> Vec<Violation> {
    let (at, msg_key) = (message.at, message.msg_key.clone());
    if Evidence::member_of_message(message).is_some() {
        // It tells of no booking: `no-lost-member` judges it.
        return Vec::new();
    }
    let Some(order) = evidence.order_of_message(message).map(str::to_owned) else {
        return vec![Violation::NoOrder { msg_key, at }];
    };
    let live = evidence.bookings_of_order(&order).filter(|booking| was_live(booking, at));
    let live: BTreeSet<&str> = live.map(|booking| booking.invoice_no.as_str()).collect();
    let mut violations = Vec::new();
    for parcel in parcels(evidence, &order) {
        let of_parcel = evidence.bookings_of(&parcel).find(|booking| was_live(booking, at));
        let (order, msg_key, parcel) = (order.clone(), msg_key.clone(), parcel.number);
        match of_parcel.map(|booking| booking.invoice_no.clone()) {
            None => violations.push(Violation::NotBooked { order, parcel, msg_key, at }),
            Some(invoice_no) if !message.text.contains(&invoice_no) => {
                let missing = Violation::NumberMissing { order, parcel, invoice_no, msg_key, at };
                violations.push(missing);
            }
            Some(_) => {}
        }
    }
    let told: BTreeSet<&str> = told(message, &order).collect();
    for told in told.difference(&live).map(|told| (*told).to_owned()) {
        let (order, msg_key) = (order.clone(), msg_key.clone());
        violations.push(Violation::WrongNumber { order, told, msg_key, at });
    }
    violations
}

/// The parcels that a message about `order` must speak of.
fn parcels(evidence: &Evidence, order: &str) -> Vec<oms_core::store::ParcelKey> {
    let key = |number| oms_core::store::ParcelKey { order: order.to_owned(), number };
    match evidence.row(order) {
        Some(row) => row.parcels.iter().map(|parcel| key(parcel.number)).collect(),
        None => vec![key(1)],
    }
}

/// What looks like a tracking number in a message's text and in the texts that it fell back to.
fn told<'a>(message: &'a Message, order: &'a str) -> impl Iterator<Item = &'a str> {
    let fallbacks = message.channels.iter().map(|channel| channel.text.as_str());
    let texts = [message.text.as_str()].into_iter().chain(fallbacks);
    // The order's id may be a number itself.
    let parts = texts.flat_map(move |text| text.split(order));
    let numbers = parts.flat_map(|part| part.split(|c: char| !c.is_ascii_digit()));
    numbers.filter(|number| number.len() == INVOICE_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    #[test]
    fn telling_before_the_booking_or_after_its_cancel_is_false() {
        let early = Builder::new(1)
            .order("ORD-1", "completed")
            .parcel("ORD-1", 1, "booked", Some("650000000011"))
            .booking("ORD-1-1", "650000000011", 2_000)
            .message("ORD-1:shipped", "운송장번호 650000000011", 1_999);
        let heard = said(&check(&early.evidence()));
        assert!(heard.contains("the carrier held no booking of parcel 1"), "{heard}");
        let late = Builder::clean(1).cancel_booking("650000000011", 200);
        assert!(!check(&late.evidence()).violations.is_empty());
    }

    #[test]
    fn a_wrong_number_and_a_missing_one_are_told_apart() {
        let told = |text: &str| {
            let builder = Builder::new(1)
                .order("ORD-1", "completed")
                .parcel("ORD-1", 1, "booked", Some("650000000011"))
                .booking("ORD-1-1", "650000000011", 1_000)
                .message("ORD-1:shipped", text, 2_000);
            said(&check(&builder.evidence()))
        };
        assert_eq!(told("운송장번호 650000000011"), "");
        assert!(told("곧 도착합니다").ends_with("without 650000000011 of parcel 1"));
        let wrong = told("운송장번호 650000000011, 650000000022");
        assert!(wrong.contains("the number 650000000022, which is no live booking"), "{wrong}");
    }

    #[test]
    fn every_parcel_of_a_bundle_must_be_live_and_told() {
        let bundle = |text: &str| {
            Builder::new(1)
                .order("ORD-1", "completed")
                .parcel("ORD-1", 1, "booked", Some("650000000011"))
                .parcel("ORD-1", 2, "booked", Some("650000000022"))
                .booking("ORD-1-1", "650000000011", 1_000)
                .booking("ORD-1-2", "650000000022", 1_000)
                .message("ORD-1:shipped", text, 2_000)
        };
        let whole = bundle("운송장번호 650000000011, 650000000022");
        assert_eq!(check(&whole.evidence()), Finding::default());
        let half = said(&check(&bundle("운송장번호 650000000011").evidence()));
        assert!(half.ends_with("without 650000000022 of parcel 2"), "{half}");
    }

    #[test]
    fn a_message_about_nothing_is_no_truth_either() {
        let evidence = Builder::new(1).message("XYZ:shipped", "", 5).evidence();
        assert!(said(&check(&evidence)).ends_with("is about no known order"));
    }

    #[test]
    fn an_order_whose_id_looks_like_a_number_is_no_wrong_number() {
        let builder = Builder::new(1)
            .order("202611210001", "completed")
            .parcel("202611210001", 1, "booked", Some("650000000011"))
            .booking("202611210001-1", "650000000011", 1_000)
            .message("202611210001:shipped", "주문 202611210001 운송장 650000000011", 2_000);
        assert_eq!(check(&builder.evidence()), Finding::default());
    }
}
