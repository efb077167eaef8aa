use std::sync::Arc;
use std::time::Duration;

use clockwork::{Clock, DrillClock, Entropy, Timestamp};
use faults::{Fault, Injector, Kind};

use super::Broker;
use crate::plan::World;
use crate::queue::{Consumer, Delivery, Error, Message, Queue};
use crate::sim::latency::Latencies;
use crate::sim::postman::Postman;

const WORKERS: Consumer = Consumer {
    name: "workers",
    topic: "orders",
    ack_wait: Duration::from_secs(30),
    backoff: &[],
    deliveries_max: 3,
};
const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_secs(60);

/// A broker with these faults, and a way to it on which nothing takes any time.
struct Room {
    clock: Arc<dyn Clock>,
    broker: Arc<Broker>,
    postman: Postman,
}

impl Room {
    fn with(faults: Vec<Fault>) -> Room {
        let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
        let injector = Injector::new(clock.clone(), Entropy::new(1));
        injector.install(faults, clock.now()).unwrap();
        let broker = Arc::new(Broker::new(injector));
        let world = World { latency_min: NOW, latency_max: NOW, ..World::default() };
        let (dice, latencies) = (Entropy::new(2), Latencies::of(&world));
        let postman = Postman::new(broker.clone(), clock.clone(), dice, latencies, None);
        Room { clock, broker, postman }
    }

    fn first(kind: Kind, change: impl FnOnce(&mut Fault)) -> Room {
        let mut fault = Fault { nth: Some(1), ..Fault::new(kind) };
        change(&mut fault);
        Room::with(vec![fault])
    }

    async fn publish(&self, id: &str) -> Result<(), Error> {
        let (id, body) = (id.to_owned(), format!("body of {id}"));
        self.postman.publish(Message { topic: "orders", id, body }).await
    }

    async fn receive(&self, wait: Duration) -> Option<Delivery> {
        self.postman.receive(&WORKERS, wait).await.unwrap()
    }

    /// Id and attempt of what comes within `wait`.
    async fn comes(&self, wait: Duration) -> Option<(String, u32)> {
        self.receive(wait).await.map(|delivery| (delivery.message.id, delivery.attempt))
    }

    /// As [`Room::comes`], and acknowledges it.
    async fn works(&self, wait: Duration) -> Option<(String, u32)> {
        let delivery = self.receive(wait).await?;
        self.postman.ack(&WORKERS, &delivery).await.unwrap();
        // Nobody answers an acknowledgement: give it the time to arrive.
        self.clock.sleep(Duration::from_millis(1)).await;
        Some((delivery.message.id, delivery.attempt))
    }

    fn fired(&self) -> u64 {
        self.broker.fired()[0].times
    }

    fn passed(&self) -> u64 {
        self.clock.now().since(Timestamp::EPOCH).as_secs()
    }
}

#[track_caller]
fn is(came: Option<(String, u32)>, id: &str, attempt: u32) {
    assert_eq!(came, Some((id.to_owned(), attempt)));
}

#[tokio::test(start_paused = true)]
async fn messages_come_in_order_once_and_rest_when_they_are_acknowledged() {
    let room = Room::with(Vec::new());
    assert!(room.broker.is_idle() && room.broker.ledger().is_none());
    room.publish("a").await.unwrap();
    room.publish("b").await.unwrap();
    room.publish("a").await.unwrap();
    is(room.works(NOW).await, "a", 1);
    assert!(!room.broker.is_idle());
    is(room.works(NOW).await, "b", 1);
    assert!(room.broker.is_idle());
    assert_eq!(room.comes(MINUTE).await, None, "the second `a` was known");
    room.clock.sleep(MINUTE).await;
    room.publish("a").await.unwrap();
    is(room.works(NOW).await, "a", 1);
    let ledger = room.broker.ledger().unwrap();
    assert_eq!(ledger.messages.len(), 3, "its id was forgotten by then");
    assert!(ledger.messages.iter().all(|kept| kept.acked.is_some() && kept.delivered.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_acknowledged_comes_again_until_it_is_dead() {
    let room = Room::with(Vec::new());
    room.publish("a").await.unwrap();
    is(room.comes(NOW).await, "a", 1);
    assert_eq!(room.comes(Duration::from_secs(29)).await, None);
    is(room.comes(MINUTE).await, "a", 2);
    assert_eq!(room.passed(), 30);
    let third = room.receive(MINUTE).await.unwrap();
    room.postman.nack(&WORKERS, &third, Duration::from_secs(5)).await.unwrap();
    assert_eq!(room.comes(MINUTE).await, None, "three deliveries are enough");
    assert!(room.broker.is_idle());
    let ledger = room.broker.ledger().unwrap();
    assert_eq!(ledger.messages[0].dead.unwrap().since(Timestamp::EPOCH).as_secs(), 65);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_given_what_is_published_meanwhile() {
    let room = Room::with(Vec::new());
    let publish = async {
        room.clock.sleep(Duration::from_secs(7)).await;
        room.publish("a").await.unwrap();
    };
    let (came, ()) = tokio::join!(room.comes(MINUTE), publish);
    is(came, "a", 1);
    assert_eq!(room.passed(), 7);
}

#[tokio::test(start_paused = true)]
async fn publish_unknown_keeps_the_message_or_does_not() {
    for processed in [false, true] {
        let room = Room::first(Kind::PublishUnknown, |fault| fault.processed = Some(processed));
        assert_eq!(room.publish("a").await, Err(Error::NoAnswer));
        assert_eq!((room.passed(), room.fired()), (5, 1), "the publisher has waited");
        assert_eq!(room.comes(NOW).await.is_some(), processed);
        let hit = &room.broker.ledger().unwrap().hits[0];
        assert_eq!((&*hit.operation, &*hit.id, &*hit.by.why), ("publish", "a", "nth 1"));
    }
}

#[tokio::test(start_paused = true)]
async fn redeliver_delivers_once_more_what_was_acknowledged() {
    let room = Room::first(Kind::Redeliver, |fault| fault.by = Some(Duration::from_secs(9)));
    room.publish("a").await.unwrap();
    is(room.works(NOW).await, "a", 1);
    assert!(!room.broker.is_idle());
    is(room.works(MINUTE).await, "a", 2);
    assert_eq!((room.passed(), room.fired()), (9, 1));
    assert_eq!(room.comes(MINUTE).await, None);
    assert!(room.broker.is_idle());
}

#[tokio::test(start_paused = true)]
async fn redeliver_gives_two_workers_the_same_message_at_once() {
    let room = Room::first(Kind::Redeliver, |_| {});
    room.publish("a").await.unwrap();
    is(room.comes(NOW).await, "a", 1);
    is(room.comes(NOW).await, "a", 2);
    assert_eq!(room.passed(), 0);
}

#[tokio::test(start_paused = true)]
async fn reorder_lets_a_later_message_overtake() {
    let room = Room::first(Kind::Reorder, |fault| fault.by = Some(Duration::from_secs(3)));
    room.publish("a").await.unwrap();
    room.publish("b").await.unwrap();
    is(room.works(MINUTE).await, "b", 1);
    is(room.works(MINUTE).await, "a", 1);
    assert_eq!((room.passed(), room.fired()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn ack_lost_brings_the_message_again_when_its_time_is_over() {
    let room = Room::first(Kind::AckLost, |_| {});
    room.publish("a").await.unwrap();
    is(room.works(NOW).await, "a", 1);
    is(room.works(MINUTE).await, "a", 2);
    assert_eq!((room.passed(), room.fired()), (30, 1));
    assert_eq!(room.comes(MINUTE).await, None);
}

#[tokio::test(start_paused = true)]
async fn broker_restart_forgets_who_has_what_and_loses_no_message() {
    let by = Some(Duration::from_secs(4));
    let room = Room::first(Kind::BrokerRestart, |fault| {
        (fault.endpoint, fault.nth, fault.by) = (Some("publish".to_owned()), Some(3), by);
    });
    room.publish("a").await.unwrap();
    room.publish("b").await.unwrap();
    is(room.works(NOW).await, "a", 1);
    is(room.comes(NOW).await, "b", 1);
    assert_eq!(room.publish("c").await, Err(Error::NoAnswer), "it goes down over this one");
    assert_eq!((room.passed(), room.fired()), (5, 1));
    is(room.works(NOW).await, "b", 2);
    assert_eq!(room.comes(Duration::from_secs(20)).await, None, "`c` was not kept");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_down_is_not_reached() {
    let by = Some(Duration::from_secs(60));
    let room = Room::first(Kind::BrokerRestart, |fault| {
        (fault.endpoint, fault.by) = (Some("deliver".to_owned()), by);
        fault.processed = Some(true);
    });
    room.publish("a").await.unwrap();
    assert_eq!(room.comes(NOW).await, None, "the delivery is lost with it");
    assert_eq!(room.publish("b").await, Err(Error::NotReached));
    assert_eq!(room.postman.receive(&WORKERS, NOW).await, Err(Error::NotReached));
    room.broker.heal();
    room.publish("b").await.unwrap();
    is(room.works(NOW).await, "b", 1);
    is(room.works(MINUTE).await, "a", 2);
}
