//! The simulated broker, with some travelling time on the way to it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clockwork::{Clock, DrillClock, Entropy, Timestamp};
use faults::Injector;

use super::Room;
use crate::plan::World;
use crate::queue::Queue;
use crate::sim::broker::Broker;
use crate::sim::latency::Latencies;
use crate::sim::postman::Postman;

/// Until somebody starts it again.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

pub(super) struct Model {
    clock: Arc<dyn Clock>,
    broker: Arc<Broker>,
}

impl Model {
    pub(super) fn new() -> Model {
        let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
        let broker = Broker::new(Injector::new(clock.clone(), Entropy::new(1)));
        Model { clock, broker: Arc::new(broker) }
    }
}

#[async_trait]
impl Room for Model {
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn process(&self) -> Arc<dyn Queue> {
        let latencies = Latencies::of(&World::default());
        let (broker, clock) = (self.broker.clone(), self.clock.clone());
        Arc::new(Postman::new(broker, clock, Entropy::new(2), latencies, None))
    }

    async fn fell(&self) {
        self.broker.restart(self.clock.now(), FOR_EVER);
    }

    async fn boot(&self) {
        self.broker.restart(self.clock.now(), Duration::ZERO);
    }

    async fn dead(&self) -> Vec<u64> {
        let messages = self.broker.ledger().map(|ledger| ledger.messages).unwrap_or_default();
        (0..).zip(messages).filter(|(_, kept)| kept.dead.is_some()).map(|(at, _)| at).collect()
    }
}
