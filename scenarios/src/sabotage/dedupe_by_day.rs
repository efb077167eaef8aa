//! A message's key holds the day on which it is sent.

use std::borrow::Cow;
use std::sync::Arc;

use clockwork::Clock;
use oms_core::policy::MessagePolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "dedupe-by-day",
    family: Family::DedupeWindow,
    why: "the key is \"once a day for each order\", with today's date in it: a resend after \
          midnight has another key",
    breaks: "no-double-notification",
    seen_in: &["message-lost-at-midnight"],
    seams: |env, _| {
        env.policies.messages = Arc::new(OnceADay { clock: env.clock.clone() });
    },
    ..Sabotage::NONE
};

struct OnceADay {
    clock: Arc<dyn Clock>,
}

impl MessagePolicy for OnceADay {
    fn idempotency_key<'k>(&self, key: &'k str) -> Option<Cow<'k, str>> {
        Some(format!("{}:{key}", self.clock.now().seoul_date()).into())
    }
}
