//! Each attempt at a message has a key of its own.

use std::sync::Arc;

use serde_json::Value;

use super::tapped_transport::{Fields, TappedTransport};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "new-key-on-resend",
    family: Family::Idempotency,
    why: "the key is a random UUID made where the request is built, and a resend builds it anew",
    breaks: "no-double-notification",
    seen_in: &["message-reply-lost"],
    seams: |env, _| {
        let clock = env.clock.clone();
        let renew = move |fields: &mut Fields| {
            let key = fields.get("ref").and_then(Value::as_str).unwrap_or_default();
            let key = format!("{key}@{}", clock.now().micros());
            fields.insert("idempotencyKey".to_owned(), Value::from(key));
        };
        let tapped = TappedTransport::new(env.messenger.clone(), "send/omni", renew);
        env.messenger = Arc::new(tapped);
    },
    ..Sabotage::NONE
};
