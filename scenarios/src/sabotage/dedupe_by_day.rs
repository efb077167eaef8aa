//! A message's key holds the day on which it is sent.

use std::sync::Arc;

use serde_json::Value;

use super::tapped_transport::{Fields, TappedTransport};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "dedupe-by-day",
    family: Family::DedupeWindow,
    why: "the key is \"once a day for each order\", with today's date in it: a resend after \
          midnight has another key",
    breaks: "no-double-notification",
    seen_in: &["message-lost-at-midnight"],
    seams: |env, _| {
        let clock = env.clock.clone();
        let date = move |fields: &mut Fields| {
            let key = fields.get("ref").and_then(Value::as_str).unwrap_or_default();
            let key = format!("{}:{key}", clock.now().seoul_date());
            fields.insert("idempotencyKey".to_owned(), Value::from(key));
        };
        let tapped = TappedTransport::new(env.messenger.clone(), "send/omni", date);
        env.messenger = Arc::new(tapped);
    },
    ..Sabotage::NONE
};
