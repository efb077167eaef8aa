//! All that the carrier knows, behind one lock: a call decides and changes state in one go.

use clockwork::{Entropy, Timestamp};

use crate::booking::Book;
use crate::config::Config;
use crate::invoice::Allocator;
use crate::ledger::{Booking, Evidence, Ledger};
use crate::token::Issuer;
use crate::windows::Gate;

/// The carrier's state.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) gate: Gate,
    pub(crate) tokens: Issuer,
    pub(crate) invoices: Allocator,
    pub(crate) book: Book,
    pub(crate) evidence: Evidence,
}

impl Carrier {
    pub(crate) fn new(config: &Config, entropy: Entropy) -> Carrier {
        Carrier {
            gate: Gate::new(config),
            tokens: Issuer::new(config, entropy),
            invoices: Allocator::new(config),
            book: Book::new(config),
            evidence: Evidence::new(config.ledger_capacity),
        }
    }

    /// The evidence but for the requests, which the journal keeps.
    pub(crate) fn ledger(&self, now: Timestamp) -> Ledger {
        let bookings = self.book.bookings().iter().map(|booking| {
            let upto = booking.cancelled_at.unwrap_or(now);
            let last = self.book.scans(booking, upto).last();
            Booking {
                id: booking.id,
                cust_use_no: booking.cust_use_no.clone(),
                mpck_key: booking.mpck_key.clone(),
                invoice_no: booking.invoice.to_string(),
                rcpt_ymd: booking.rcpt_ymd.clone(),
                booked_at: booking.booked_at,
                request_id: booking.request_id,
                cancelled_at: booking.cancelled_at,
                cancel_request_id: booking.cancel_request_id,
                scanned_at: self.book.scanned_at(booking, now),
                state: last.map_or(crate::tracking::ParcelState::PickupOrdered, |scan| scan.state),
            }
        });
        Ledger { bookings: bookings.collect(), ..self.evidence.snapshot() }
    }
}
