//! An order's status, set in a unit of work and written at its end.

use clockwork::Timestamp;
use oms_core::saga::SHIPPED;
use oms_core::store::{NoticeKey, NoticeOutcome, ParcelOutcome, ParcelWork, UnitOfWork};

use super::DeliveryResult;

/// `order.markAsSent(trackingNumber)`, or `order.markAsDeliveryFailed(message)`.
pub(in crate::strategies) fn mark_delivery(
    unit: &mut dyn UnitOfWork,
    parcel: &ParcelWork,
    result: &DeliveryResult,
    now: Timestamp,
) {
    let outcome = match &result.failure {
        None => ParcelOutcome::Booked,
        Some(message) => ParcelOutcome::Refused { reason: message.clone() },
    };
    // The texts know no intent before the call; its state is passed through on the way.
    unit.settle_parcel(parcel, ParcelOutcome::Intended(result.request.clone()), now);
    unit.settle_parcel(parcel, outcome, now);
}

/// `order.markAsCompleted()`.
pub(in crate::strategies) fn mark_as_completed(
    unit: &mut dyn UnitOfWork,
    order: &str,
    msg_key: Option<String>,
    now: Timestamp,
) {
    unit.settle_notice(&message_of(order), None, NoticeOutcome::Sent { msg_key }, now);
}

/// `order.markAsAlimtalkFailed()`.
pub(in crate::strategies) fn mark_as_alimtalk_failed(
    unit: &mut dyn UnitOfWork,
    order: &str,
    reason: String,
    now: Timestamp,
) {
    unit.settle_notice(&message_of(order), None, NoticeOutcome::Refused { reason }, now);
}

fn message_of(order: &str) -> NoticeKey {
    NoticeKey { order: order.to_owned(), event: SHIPPED.to_owned() }
}
