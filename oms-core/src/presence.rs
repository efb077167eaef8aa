//! A worker says in the database that it lives, and how its breakers stand.
//!
//! A breaker belongs to one process, so nobody else can know it. For `oms status` each worker of `oms
//! serve` keeps a row: written when it begins, when a breaker has changed, and every few seconds; never
//! because of a call. Nothing rests on it: who works on what is told by leases alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clockwork::Timestamp;
use tokio::sync::Notify;

use crate::env::{Env, Event, Observer};
use crate::store::{BreakerView, Presence};

/// How often a worker says that it lives.
pub const EVERY: Duration = Duration::from_secs(5);
/// Changes of breakers are written at most so often.
const PAUSE: Duration = Duration::from_millis(200);

/// Listens to a process's breakers. Clones share what is known of them.
#[derive(Clone, Default)]
pub struct Breakers {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Those that are not closed: state, and since when, by quota.
    open: Mutex<BTreeMap<String, (String, Timestamp)>>,
    changed: Notify,
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.views()).finish()
    }
}

impl Breakers {
    /// Writes down again and again that the worker of `env` lives, for ever.
    pub async fn tell(self, env: Env) {
        let since = env.clock.now();
        loop {
            let presence = Presence {
                worker: env.worker.clone(),
                since,
                heard_at: env.clock.now(),
                breakers: self.views(),
            };
            if let Err(error) = env.store.hear(&presence).await {
                tracing::debug!(%error, "presence not written");
            }
            env.clock.sleep(PAUSE).await;
            tokio::select! {
                biased;
                () = self.shared.changed.notified() => {}
                () = env.clock.sleep(EVERY - PAUSE) => {}
            }
        }
    }

    fn views(&self) -> Vec<BreakerView> {
        let open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let view = |(api, (state, since)): (&String, &(String, Timestamp))| BreakerView {
            api: api.clone(),
            state: state.clone(),
            since: *since,
        };
        open.iter().map(view).collect()
    }
}

impl Observer for Breakers {
    fn observe(&self, at: Timestamp, event: Event) {
        let Event::Breaker { api, to } = event else { return };
        {
            let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            match to.as_str() {
                "closed" => open.remove(&api),
                _ => open.insert(api, (to, at)),
            };
        }
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_breaker_is_told_while_it_is_not_closed() {
        let breakers = Breakers::default();
        let to = |api: &str, to: &str| Event::Breaker { api: api.to_owned(), to: to.to_owned() };
        breakers.observe(Timestamp::from_micros(1), to("carrier", "open"));
        breakers.observe(Timestamp::from_micros(2), to("messenger", "open"));
        breakers.observe(Timestamp::from_micros(3), to("carrier", "half-open"));
        breakers.observe(Timestamp::from_micros(4), to("messenger", "closed"));
        let since = Timestamp::from_micros(3);
        let half = BreakerView { api: "carrier".to_owned(), state: "half-open".to_owned(), since };
        assert_eq!(breakers.views(), [half]);
        // Whoever writes it down is woken, however often it changed.
        breakers.shared.changed.notified().await;
    }
}
