//! The promises: what must hold of every run, each judged by a checker of its own.
//!
//! A checker reads [`Evidence`] and names every violation it finds, as a value that carries its
//! evidence. To add a promise, write its file and name it in the list below.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clockwork::Timestamp;
use fake_cj::ledger::Booking;
use serde::Serialize;

use crate::evidence::Evidence;

/// A promise.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// Its id, in verdicts and plans.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Judges it.
    pub check: fn(&Evidence) -> Finding,
}

/// What a checker found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finding {
    /// Everything that breaks the promise.
    pub violations: Vec<Violation>,
    /// Why the evidence does not suffice.
    pub doubts: Vec<String>,
}

impl Finding {
    /// Evidence that does not suffice.
    fn doubt(why: impl Into<String>) -> Finding {
        Finding { violations: Vec::new(), doubts: vec![why.into()] }
    }
}

impl<V: Into<Violation>> FromIterator<V> for Finding {
    fn from_iter<I: IntoIterator<Item = V>>(violations: I) -> Finding {
        let violations = violations.into_iter().map(Into::into).collect();
        Finding { violations, doubts: Vec::new() }
    }
}

macro_rules! promises {
    ($($module:ident $name:ident = $id:literal: $says:literal,)*) => {
        $(pub mod $module;)*

        /// All promises, safety first.
        pub const ALL: &[Promise] =
            &[$(Promise { id: $id, says: $says, check: $module::check },)*];

        /// A broken promise with its evidence; it displays as a sentence.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        #[expect(missing_docs, reason = "each is the violation of the promise with its name")]
        pub enum Violation { $($name($module::Violation),)* }

        impl fmt::Display for Violation {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Violation::$name(violation) => violation.fmt(f),)* }
            }
        }

        $(impl From<$module::Violation> for Violation {
            fn from(violation: $module::Violation) -> Violation { Violation::$name(violation) }
        })*
    };
}

promises! {
    no_double_shipment NoDoubleShipment = "no-double-shipment":
        "the carrier holds at most one live booking per parcel of an order",
    no_lost_order NoLostOrder = "no-lost-order":
        "every order whose ingest was acknowledged is in the database, for ever",
    delivery_survives_notification DeliverySurvivesNotification = "delivery-survives-notification":
        "no notification undoes or delays the record of a booking that the carrier accepted",
    no_false_notification NoFalseNotification = "no-false-notification":
        "a customer is told \"shipped\" only for a live booking, with its true tracking number",
    no_double_notification NoDoubleNotification = "no-double-notification":
        "the gateway accepts at most one send per order and event",
    books_agree BooksAgree = "books-agree":
        "at rest, status and carrier ledger agree; unknown is never written as failed",
    legal_history LegalHistory = "legal-history":
        "every order walks only along edges of the state machine",
    no_io_in_transaction NoIoInTransaction = "no-io-in-transaction":
        "no database transaction is open while an external call is in flight",
    quota_kept QuotaKept = "quota-kept":
        "no 429 is drawn that could have been foreseen, and no ban by our own violations",
    all_or_nothing AllOrNothing = "all-or-nothing":
        "at rest, a bundle is booked whole, or not at all, or with the operator",
    one_bad_order_blocks_none OneBadOrderBlocksNone = "one-bad-order-blocks-none":
        "every healthy order completes, and not much later for the bad ones beside it",
    everything_settles EverythingSettles = "everything-settles":
        "every order reaches the final state that the plan expects of it",
    no_lost_member NoLostMember = "no-lost-member":
        "every member that was confirmed is in the database; nobody is turned away for a message",
    whole_members WholeMembers = "whole-members":
        "a member has its profile and its consents, or is no member at all",
    welcomes_agree WelcomesAgree = "welcomes-agree":
        "at rest, database and gateway agree on every member's welcome message",
}

/// The promise with this id.
pub fn named(id: &str) -> Option<&'static Promise> {
    ALL.iter().find(|promise| promise.id == id)
}

impl Promise {
    /// Judges this promise alone. A checker that panics has found nothing out: that is a doubt.
    pub fn judge(&self, evidence: &Evidence) -> Finding {
        run(self.check, evidence)
    }
}

/// Judges all promises.
pub fn check_all(evidence: &Evidence) -> Vec<(&'static Promise, Finding)> {
    ALL.iter().map(|promise| (promise, promise.judge(evidence))).collect()
}

fn run(check: fn(&Evidence) -> Finding, evidence: &Evidence) -> Finding {
    // Whatever the checker was building is dropped with it; the evidence is only read.
    match catch_unwind(AssertUnwindSafe(|| check(evidence))) {
        Ok(finding) => finding,
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            Finding::doubt(format!("the checker panicked: {}", said.unwrap_or("no message")))
        }
    }
}

/// A booking, as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Booked {
    /// Its place in the carrier's book.
    pub id: u64,
    /// The reference it was booked under.
    pub cust_use_no: String,
    /// Its invoice number.
    pub invoice_no: String,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
}

impl From<&Booking> for Booked {
    fn from(booking: &Booking) -> Booked {
        Booked {
            id: booking.id,
            cust_use_no: booking.cust_use_no.clone(),
            invoice_no: booking.invoice_no.clone(),
            booked_at: booking.booked_at,
            cancelled_at: booking.cancelled_at,
        }
    }
}

impl fmt::Display for Booked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (booking {}, {})", self.invoice_no, self.id, self.booked_at)
    }
}

/// Whether a booking was live at a moment.
fn was_live(booking: &Booking, at: Timestamp) -> bool {
    booking.booked_at <= at && booking.cancelled_at.is_none_or(|cancelled| cancelled > at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;

    #[test]
    fn a_clean_run_keeps_every_promise() {
        for (promise, finding) in check_all(&Builder::clean(3).evidence()) {
            assert_eq!(finding, Finding::default(), "{}", promise.id);
        }
    }

    #[test]
    fn ids_are_unique_and_those_of_the_contract() {
        let ids: Vec<_> = ALL.iter().map(|promise| promise.id).collect();
        assert_eq!(ids.len(), 15);
        assert!(ids.iter().all(|id| named(id).is_some_and(|promise| promise.id == *id)));
    }

    #[test]
    fn a_checker_that_panics_is_a_doubt_and_no_acquittal() {
        let finding = run(|_| panic!("out of {}", "wits"), &Builder::clean(1).evidence());
        assert_eq!(finding, Finding::doubt("the checker panicked: out of wits"));
    }
}
