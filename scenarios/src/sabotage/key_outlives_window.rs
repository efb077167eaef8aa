//! A message is sent again after the gateway has forgotten its key.

use std::sync::Arc;

use serde_json::Value;

use super::tapped_transport::{Fields, TappedTransport};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "key-outlives-window",
    family: Family::DedupeWindow,
    why: "`idempotencyTtl: 24` is meant as a day and counts seconds: a resend after half a minute \
          comes to a gateway that has forgotten the key",
    breaks: "no-double-notification",
    seen_in: &["message-reply-lost"],
    seams: |env, _| {
        let shorten = |fields: &mut Fields| {
            fields.insert("idempotencyTtl".to_owned(), Value::from(24));
        };
        let tapped = TappedTransport::new(env.messenger.clone(), "send/omni", shorten);
        env.messenger = Arc::new(tapped);
    },
    ..Sabotage::NONE
};
