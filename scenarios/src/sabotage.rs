//! Planted bugs: each breaks one thing on purpose, so that it can be shown which promise falls.
//!
//! A bug is a wrapped seam, a replaced policy or a wrong setting; the core reads as if bugs did not
//! exist. Adding one: a file here, and a line in [`ALL`].

mod lease_ignored;
mod limiter_off;
mod new_invoice_on_retry;
mod no_reconciliation;
mod notify_in_transaction;
mod outbox_dropped;
mod tapped_store;
mod unknown_as_booked;
mod unknown_as_failed;

use std::sync::Arc;

use oms_core::config::Config;
use oms_core::env::Env;
use oms_core::policy::OrderPolicy;
use oms_core::saga::SoundOrders;

/// One planted bug.
pub struct Sabotage {
    /// Its name after `--sabotage`.
    pub name: &'static str,
    /// What is broken, and why a real team writes it so.
    pub why: &'static str,
    /// The promise that must fall.
    pub breaks: &'static str,
    /// Drills of the catalogue in which it falls, the most telling first.
    pub seen_in: &'static [&'static str],
    /// A wrong setting.
    pub settings: fn(&mut Config),
    /// A wrong judgement about orders.
    pub orders: Option<fn() -> Arc<dyn OrderPolicy>>,
    /// A wrapped seam or a replaced policy.
    pub seams: fn(&mut Env, &Arc<Config>),
}

impl Sabotage {
    /// A bug that breaks nothing yet; each file overrides one part.
    const NONE: Sabotage = Sabotage {
        name: "",
        why: "",
        breaks: "",
        seen_in: &[],
        settings: |_| {},
        orders: None,
        seams: |_, _| {},
    };
}

/// All of them.
pub const ALL: &[Sabotage] = &[
    no_reconciliation::SABOTAGE,
    new_invoice_on_retry::SABOTAGE,
    limiter_off::SABOTAGE,
    notify_in_transaction::SABOTAGE,
    outbox_dropped::SABOTAGE,
    lease_ignored::SABOTAGE,
    unknown_as_failed::SABOTAGE,
    unknown_as_booked::SABOTAGE,
];

/// The judgements about orders under a planted bug, or the recommended ones.
pub fn orders(sabotage: Option<&Sabotage>) -> Arc<dyn OrderPolicy> {
    match sabotage.and_then(|sabotage| sabotage.orders) {
        Some(orders) => orders(),
        None => Arc::new(SoundOrders),
    }
}

/// Seams as they are.
pub const NO_SEAMS: fn(&mut Env, &Arc<Config>) = |_, _| {};

/// The one called `name`.
pub fn named(name: &str) -> Option<&'static Sabotage> {
    ALL.iter().find(|sabotage| sabotage.name == name)
}
