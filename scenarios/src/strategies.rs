//! The ways to place an external call around a transaction that a plan can be run under.
//!
//! Three texts of the trade describe how engineers really do it. Each way is built here as its text
//! has it, on the same store, the same carrier and the same gateway, so that what it breaks can be
//! counted. `lab` is the room that they share. Adding one: a file here, and a line in [`ALL`].

mod after_commit;
mod call_first;
mod call_last;
mod create_or_replace;
mod create_or_skip;
mod durable;
mod event_for_the_other_service;
mod event_listener;
mod idempotent_callee;
mod lab;
mod message_queue;
mod message_queue_in_transaction;
mod outbox;
mod requires_new;
mod requires_new_in_outer_transaction;
mod saga;
mod single_transaction;

use std::sync::Arc;

use oms_core::config::Config;
use oms_core::env::Env;
use oms_core::service::Workers;

use crate::plan::Plan;
use crate::queue::Queue;

/// A way to place the calls.
#[derive(Debug)]
pub struct Strategy {
    /// Its name after `--strategy`.
    pub name: &'static str,
    /// What it does, in two sentences.
    pub says: &'static str,
    /// Where it is described.
    pub seed: &'static str,
    /// The promises that it is known to break; in some run each of them falls, and no other in any.
    pub breaks: &'static [&'static str],
    /// Whether it publishes to a message queue. Then a live run needs a broker.
    pub queue: bool,
    /// Changes the settings of the service.
    pub settings: fn(&mut Config),
    /// Starts whoever takes the steps of a process.
    pub start: fn(Setup) -> Arc<dyn Workers>,
}

/// What a strategy is given of its process.
#[derive(Clone)]
pub struct Setup {
    /// The seams.
    pub env: Env,
    /// The settings.
    pub config: Arc<Config>,
    /// The way to the message broker; to none where the strategy has no queue.
    pub queue: Arc<dyn Queue>,
}

/// All of them, the recommended one first.
pub const ALL: &[Strategy] = &[
    durable::STRATEGY,
    single_transaction::STRATEGY,
    requires_new::STRATEGY,
    requires_new_in_outer_transaction::STRATEGY,
    after_commit::STRATEGY,
    event_listener::STRATEGY,
    event_for_the_other_service::STRATEGY,
    message_queue::STRATEGY,
    message_queue_in_transaction::STRATEGY,
    outbox::STRATEGY,
    saga::STRATEGY,
    call_first::STRATEGY,
    call_last::STRATEGY,
    idempotent_callee::STRATEGY,
    create_or_skip::STRATEGY,
    create_or_replace::STRATEGY,
];

/// The one that is recommended, and taken where a plan names none.
pub fn recommended() -> &'static Strategy {
    &ALL[0]
}

/// The one called `name`.
pub fn named(name: &str) -> Option<&'static Strategy> {
    ALL.iter().find(|strategy| strategy.name == name)
}

/// The one that `plan` is run under.
pub fn of(plan: &Plan) -> &'static Strategy {
    plan.strategy.as_deref().and_then(named).unwrap_or_else(recommended)
}

impl Strategy {
    /// Whether it is the one that a plan need not name.
    pub fn is_recommended(&self) -> bool {
        self.name == ALL[0].name
    }

    /// How a plan names it.
    pub fn in_plans(&self) -> Option<String> {
        (!self.is_recommended()).then(|| self.name.to_owned())
    }
}

/// Settings as they are.
const NO_SETTINGS: fn(&mut Config) = |_| {};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::promises;

    #[test]
    fn each_strategy_has_a_name_of_its_own_and_breaks_promises_that_exist() {
        let names: BTreeSet<&str> = ALL.iter().map(|strategy| strategy.name).collect();
        assert_eq!(names.len(), ALL.len());
        for strategy in ALL {
            for id in strategy.breaks {
                assert!(promises::named(id).is_some(), "{}: no promise {id}", strategy.name);
            }
            assert_eq!(strategy.breaks.is_empty(), strategy.is_recommended(), "{}", strategy.name);
        }
    }
}
