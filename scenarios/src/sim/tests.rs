//! A run that has ended leaves nothing behind: an exploration makes thousands in one process.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use oms_core::config::Config;
use oms_core::env::{Env, Observer, Transport};
use oms_core::store::Store;

use super::{Run, run};
use crate::plan::Plan;
use crate::sabotage::Sabotage;

/// What each boot of a node was given.
static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

struct Seen {
    config: Weak<Config>,
    store: Weak<dyn Store>,
    observer: Weak<dyn Observer>,
    carrier: Weak<dyn Transport>,
    messenger: Weak<dyn Transport>,
}

impl Seen {
    /// How many of its parts are still there.
    fn alive(&self) -> usize {
        let parts = [
            self.config.strong_count(),
            self.store.strong_count(),
            self.observer.strong_count(),
            self.carrier.strong_count(),
            self.messenger.strong_count(),
        ];
        parts.into_iter().filter(|count| *count > 0).count()
    }
}

/// No bug: it only notes what a node boots with.
static WATCHED: Sabotage = Sabotage {
    seams: |env: &mut Env, config: &Arc<Config>| {
        SEEN.lock().unwrap().push(Seen {
            config: Arc::downgrade(config),
            store: Arc::downgrade(&env.store),
            observer: Arc::downgrade(&env.observer),
            carrier: Arc::downgrade(&env.carrier),
            messenger: Arc::downgrade(&env.messenger),
        });
    },
    ..Sabotage::NONE
};

/// Two workers that crash, replies that are lost, requests that arrive when nobody waits for them.
const PLAN: &str = r#"
    version = 1
    name = "memory"
    why = "Everything that a run can hold is held at its end."
    [world]
    nodes = 2
    [workload]
    orders = 4
    over = "2s"
    [[fault]]
    kind = "crash"
    on = "node"
    node = 0
    rate = 0.01
    times = 2
    [[fault]]
    kind = "reset-after"
    on = "carrier"
    rate = 0.2
    [[fault]]
    kind = "late-delivery"
    on = "messenger"
    rate = 0.3
    by = "1m"
    [expect]
    completed = 4
"#;

#[test]
fn a_run_that_has_ended_holds_no_memory() {
    let mut plan = Plan::parse(PLAN).expect("a plan");
    plan.world.patience = Duration::from_mins(10);
    for priorities in [0, 3] {
        plan.world.priorities = priorities;
        let watched = Run { sabotage: Some(&WATCHED), ..Run::of(&plan) };
        let history = run(&watched).expect("a simulation that runs");
        assert!(!history.records.is_empty());
        let seen = std::mem::take(&mut *SEEN.lock().unwrap());
        assert!(seen.len() >= 2, "both workers booted");
        let alive: Vec<usize> = seen.iter().map(Seen::alive).collect();
        assert_eq!(alive, vec![0; seen.len()], "with priorities {priorities}");
    }
}
