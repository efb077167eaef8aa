//! At rest, the service's status and the ledgers agree for every order; unknown is written as
//! unknown, never as failed.

use fake_cj::ledger::Booking;
use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::{NoticeView, OrderView, ParcelKey, ParcelView};
use serde::Serialize;

use super::{Booked, Finding};
use crate::evidence::Evidence;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// The service says booked, and the carrier holds nothing.
    #[error("{parcel} is booked in the database, and the carrier holds no booking of it")]
    NotHeld {
        /// The parcel.
        parcel: String,
        /// The number that the service wrote down.
        invoice_no: Option<String>,
    },
    /// The carrier holds it under another number.
    #[error("{parcel} has {} in the database and {held} at the carrier", shown(.invoice_no))]
    OtherNumber {
        /// The parcel.
        parcel: String,
        /// The number that the service wrote down.
        invoice_no: Option<String>,
        /// What the carrier holds.
        held: Box<Booked>,
    },
    /// The service says that it is not booked, and the carrier holds it.
    #[error("{parcel} is {state} in the database, and the carrier holds {held}")]
    Held {
        /// The parcel.
        parcel: String,
        /// What the service says.
        state: ParcelState,
        /// What the carrier holds.
        held: Box<Booked>,
    },
    /// The order's status says otherwise than the carrier's book.
    #[error("{order} is {state}, and of its {parcels} parcels the carrier holds {held}")]
    OrderDisagrees {
        /// The order.
        order: String,
        /// What the service says.
        state: OrderState,
        /// How many parcels it has.
        parcels: usize,
        /// How many of them are booked.
        held: usize,
    },
    /// A live booking that no row accounts for.
    #[error("the carrier holds {held} under `{}`, which no order accounts for", .held.cust_use_no)]
    Orphan {
        /// The booking.
        held: Box<Booked>,
    },
    /// The service says that the customer was told, and the gateway accepted nothing.
    #[error("{notice} is sent in the database, and the gateway accepted nothing of it")]
    NotAccepted {
        /// The notification.
        notice: String,
    },
    /// The customer was told, and no row says that anything was to be told.
    #[error("the gateway accepted {msg_key} about {order}, which is {state} and tells nothing")]
    ToldUnasked {
        /// The order.
        order: String,
        /// What the service says.
        state: OrderState,
        /// The message.
        msg_key: String,
    },
    /// The service says that the customer was not told, and the gateway accepted it.
    #[error("{notice} is {state} in the database, and the gateway accepted {msg_key}")]
    Accepted {
        /// The notification.
        notice: String,
        /// What the service says.
        state: NoticeState,
        /// The message.
        msg_key: String,
    },
}

fn shown(invoice_no: &Option<String>) -> &str {
    invoice_no.as_deref().unwrap_or("no number")
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let mut violations = Vec::new();
    for order in &evidence.rows.orders {
        for parcel in &order.parcels {
            violations.extend(check_parcel(evidence, order, parcel));
        }
        violations.extend(check_order(evidence, order));
        for notice in &order.notices {
            violations.extend(check_notice(evidence, order, notice));
        }
        if order.notices.is_empty() {
            let mut told = evidence.messages_of(&order.id);
            violations.extend(told.next().map(|message| Violation::ToldUnasked {
                order: order.id.clone(),
                state: order.state,
                msg_key: message.msg_key.clone(),
            }));
        }
    }
    let unknown = evidence.bookings_adrift().filter(|(order, _)| evidence.row(order).is_none());
    let lost = evidence.booked_parcels().filter(|parcel| evidence.row(&parcel.order).is_none());
    let lost = lost.flat_map(|parcel| evidence.bookings_of(parcel));
    let nobodys = evidence.orphans().chain(unknown.map(|(_, booking)| booking)).chain(lost);
    let nobodys = nobodys.filter(|booking| booking.is_live());
    violations.extend(nobodys.map(|held| Violation::Orphan { held: Box::new(held.into()) }));
    violations.into_iter().collect()
}

fn live<'a>(
    evidence: &'a Evidence,
    order: &OrderView,
    number: u32,
) -> impl Iterator<Item = &'a Booking> + use<'a> {
    let parcel = ParcelKey { order: order.id.clone(), number };
    evidence.bookings_of(&parcel).filter(|booking| booking.is_live())
}

fn check_parcel(
    evidence: &Evidence,
    order: &OrderView,
    parcel: &ParcelView,
) -> Option<Violation> {
    let key = ParcelKey { order: order.id.clone(), number: parcel.number }.to_string();
    let held: Vec<_> = live(evidence, order, parcel.number).collect();
    let invoice_no = parcel.invoice_no.clone();
    match parcel.state {
        ParcelState::Booked => match held.first() {
            None => Some(Violation::NotHeld { parcel: key, invoice_no }),
            Some(first) => {
                let written = invoice_no.as_deref();
                let other = !held.iter().any(|held| Some(held.invoice_no.as_str()) == written);
                let held = Box::new(Booked::from(*first));
                other.then_some(Violation::OtherNumber { parcel: key, invoice_no, held })
            }
        },
        ParcelState::Planned | ParcelState::Refused | ParcelState::Cancelled => {
            let held = Box::new(Booked::from(*held.first()?));
            Some(Violation::Held { parcel: key, state: parcel.state, held })
        }
        // Written as not known, so either may be true.
        ParcelState::Intended
        | ParcelState::Unknown
        | ParcelState::Cancelling
        | ParcelState::Attention => None,
    }
}

fn check_order(evidence: &Evidence, order: &OrderView) -> Option<Violation> {
    use OrderState::*;
    let parcels = order.parcels.len();
    let is_held = |parcel: &&ParcelView| live(evidence, order, parcel.number).next().is_some();
    let held = order.parcels.iter().filter(is_held).count();
    let agrees = match order.state {
        Shipped | Completed | NotifyFailed => held == parcels,
        Received | Rejected | DeliveryFailed | Cancelled => held == 0,
        Accepted | Cancelling | Attention => true,
    };
    let (id, state) = (order.id.clone(), order.state);
    (!agrees).then_some(Violation::OrderDisagrees { order: id, state, parcels, held })
}

fn check_notice(
    evidence: &Evidence,
    order: &OrderView,
    notice: &NoticeView,
) -> Option<Violation> {
    let accepted = evidence.messages_of(&order.id).next();
    let key = format!("{}:{}", order.id, notice.event);
    match (notice.state, accepted) {
        (NoticeState::Sent, None) if evidence.messenger.totals.messages_dropped == 0 => {
            Some(Violation::NotAccepted { notice: key })
        }
        // Withdrawn says nothing of an earlier try whose outcome was unknown.
        (NoticeState::Queued | NoticeState::Refused, Some(message)) => Some(Violation::Accepted {
            notice: key,
            state: notice.state,
            msg_key: message.msg_key.clone(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    fn one(order: &str, parcel: &str) -> Builder {
        Builder::new(1)
            .order("ORD-1", order)
            .parcel("ORD-1", 1, parcel, Some("650000000011"))
    }

    #[test]
    fn booked_without_a_booking_convicts() {
        let heard = said(&check(&one("completed", "booked").evidence()));
        assert_eq!(
            heard,
            "ORD-1/1 is booked in the database, and the carrier holds no booking of it\n\
             ORD-1 is completed, and of its 1 parcels the carrier holds 0"
        );
    }

    #[test]
    fn a_booking_under_another_number_convicts() {
        let builder = one("completed", "booked").booking("ORD-1-1", "650000000022", 1_000);
        let heard = said(&check(&builder.evidence()));
        assert!(heard.starts_with("ORD-1/1 has 650000000011 in the database and 650000000022"));
    }

    #[test]
    fn what_the_service_calls_failed_or_undone_must_not_be_booked() {
        for (order, parcel) in
            [("delivery-failed", "refused"), ("cancelled", "cancelled"), ("rejected", "planned")]
        {
            let builder = one(order, parcel).booking("ORD-1-1", "650000000011", 1_000);
            let heard = said(&check(&builder.evidence()));
            assert!(heard.contains(&format!("ORD-1/1 is {parcel} in the database")), "{heard}");
            assert!(heard.contains(&format!("ORD-1 is {order}")), "{heard}");
        }
    }

    #[test]
    fn unknown_may_be_either_as_long_as_it_is_written_as_unknown() {
        for parcel in ["unknown", "attention", "intended", "cancelling"] {
            let open = || one("attention", parcel);
            assert_eq!(check(&open().evidence()), Finding::default());
            let booked = open().booking("ORD-1-1", "650000000011", 1_000);
            assert_eq!(check(&booked.evidence()), Finding::default());
        }
        let as_failed =
            one("delivery-failed", "unknown").booking("ORD-1-1", "650000000011", 1_000);
        assert_eq!(
            said(&check(&as_failed.evidence())),
            "ORD-1 is delivery-failed, and of its 1 parcels the carrier holds 1"
        );
    }

    #[test]
    fn a_booking_that_nobody_accounts_for_convicts() {
        for reference in ["XYZ-1", "ORD-2-1", "ORD-2-x"] {
            let builder = Builder::clean(1).orders_planned(2).booking(reference, "65", 1_000);
            let heard = said(&check(&builder.evidence()));
            assert!(heard.ends_with("which no order accounts for"), "{reference}: {heard}");
        }
    }

    #[test]
    fn a_notification_said_to_be_sent_or_refused_must_be_so_at_the_gateway() {
        let sent = Builder::clean(2).without_messages();
        let heard = said(&check(&sent.evidence()));
        assert!(heard.starts_with("ORD-1:shipped is sent in the database"), "{heard}");
        let refused = Builder::clean(1).notice("ORD-1", "refused");
        assert!(said(&check(&refused.evidence())).contains("is refused in the database"));
        let unknown = Builder::clean(1).notice("ORD-1", "unknown");
        assert_eq!(check(&unknown.evidence()), Finding::default());
        let rolled_back = one("accepted", "intended").message("ORD-1:shipped", "", 1_000);
        let heard = said(&check(&rolled_back.evidence()));
        assert!(heard.ends_with("about ORD-1, which is accepted and tells nothing"), "{heard}");
    }
}
