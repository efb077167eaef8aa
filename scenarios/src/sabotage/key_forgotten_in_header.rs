//! A message carries no key that the gateway would look at.

use std::borrow::Cow;
use std::sync::Arc;

use oms_core::policy::MessagePolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "key-forgotten-in-header",
    family: Family::Idempotency,
    why: "the key travels in an `Idempotency-Key` header, as with the payment provider; this \
          gateway reads it from the body, and ignores the header",
    breaks: "no-double-notification",
    seen_in: &["message-reply-lost"],
    seams: |env, _| env.policies.messages = Arc::new(Keyless),
    ..Sabotage::NONE
};

/// No message has a key that the gateway would see.
pub(crate) struct Keyless;

impl MessagePolicy for Keyless {
    fn idempotency_key<'k>(&self, _key: &'k str) -> Option<Cow<'k, str>> {
        None
    }
}
