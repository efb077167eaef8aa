//! Each try books under a new invoice number.

use std::sync::Arc;

use oms_core::policy::BookingPolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "new-invoice-on-retry",
    family: Family::Idempotency,
    why: "the request is built anew for each try, with a new invoice number: the builder sits \
          inside the retry loop",
    breaks: "books-agree",
    seen_in: &["booking-reply-lost"],
    seams: |env, _| env.policies.booking = Arc::new(Renews),
    ..Sabotage::NONE
};

struct Renews;

impl BookingPolicy for Renews {
    fn renews_identity(&self) -> bool {
        true
    }
}
