//! Each attempt at a message has a key of its own.

use std::borrow::Cow;
use std::sync::Arc;

use clockwork::Clock;
use oms_core::policy::MessagePolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "new-key-on-resend",
    family: Family::Idempotency,
    why: "the key is a random UUID made where the request is built, and a resend builds it anew",
    breaks: "no-double-notification",
    seen_in: &["message-reply-lost"],
    seams: |env, _| {
        env.policies.messages = Arc::new(Renewed { clock: env.clock.clone() });
    },
    ..Sabotage::NONE
};

struct Renewed {
    clock: Arc<dyn Clock>,
}

impl MessagePolicy for Renewed {
    fn idempotency_key<'k>(&self, key: &'k str) -> Option<Cow<'k, str>> {
        Some(format!("{key}@{}", self.clock.now().micros()).into())
    }
}
