//! What is recommended: the core's own service, as it ships.

use std::sync::Arc;

use oms_core::service::Service;

use super::{NO_SETTINGS, Setup, Strategy};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "durable",
    says: "the request is written down before it is sent, outside any transaction; the outcome and \
           the outbox row commit together; an unknown outcome is asked about, never guessed",
    seed: "DESIGN.md, how an order ships",
    breaks: &[],
    queue: false,
    settings: NO_SETTINGS,
    start: |Setup { env, config, .. }| Arc::new(Service::start(env, config)),
};
