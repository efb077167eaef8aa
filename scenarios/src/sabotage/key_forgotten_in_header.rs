//! A message carries no key that the gateway would look at.

use std::sync::Arc;

use super::tapped_transport::{Fields, TappedTransport};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "key-forgotten-in-header",
    family: Family::Idempotency,
    why: "the key travels in an `Idempotency-Key` header, as with the payment provider; this \
          gateway reads it from the body, and ignores the header",
    breaks: "no-double-notification",
    seen_in: &["message-reply-lost"],
    seams: |env, _| {
        let forget = |fields: &mut Fields| {
            fields.remove("idempotencyKey");
        };
        let tapped = TappedTransport::new(env.messenger.clone(), "send/omni", forget);
        env.messenger = Arc::new(tapped);
    },
    ..Sabotage::NONE
};
