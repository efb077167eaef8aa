//! What strategies rely on, of any broker behind the seam: one body for the model of the simulator
//! and for a real NATS server.
//!
//! Nothing is waited for but with a deadline. What must not come is waited for a moment.

mod jetstream;
mod model;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clockwork::{Clock, Timestamp};

use super::{Consumer, DEDUPE_WINDOW, Delivery, Error, Message, Queue};

const SECOND: Duration = Duration::from_secs(1);
/// What must come comes within so long.
const DEADLINE: Duration = Duration::from_secs(400);
/// What must not come is waited for so long.
const MOMENT: Duration = Duration::from_secs(4);

const WORKERS: Consumer = Consumer {
    name: "workers",
    topic: "orders",
    ack_wait: Duration::from_secs(30),
    backoff: &[],
    deliveries_max: 5,
};
/// Whatever comes again within the deadline was asked for.
const PATIENT: Consumer = Consumer { ack_wait: Duration::from_secs(3600), ..WORKERS };

/// A broker, with nothing in it.
#[async_trait]
trait Room: Send + Sync {
    /// The time that durations are counted in.
    fn clock(&self) -> Arc<dyn Clock>;
    /// The way of another process.
    fn process(&self) -> Arc<dyn Queue>;
    /// Kills the broker.
    async fn fell(&self);
    /// Starts it again with what it has kept.
    async fn boot(&self);
    /// The places of the messages that are dead.
    async fn dead(&self) -> Vec<u64>;
}

/// A process, and a watch.
struct Process {
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
}

impl Process {
    fn of(room: &dyn Room) -> Process {
        Process { queue: room.process(), clock: room.clock() }
    }

    async fn try_publish(&self, topic: &'static str, id: &str) -> Result<(), Error> {
        let message = Message { topic, id: id.to_owned(), body: format!("body of {id}") };
        self.queue.publish(message).await
    }

    /// Publishes until it is acknowledged, as every publisher may.
    async fn publish(&self, id: &str) {
        self.publish_on("orders", id).await;
    }

    async fn publish_on(&self, topic: &'static str, id: &str) {
        let until = self.clock.now() + DEADLINE;
        while self.try_publish(topic, id).await.is_err() {
            assert!(self.clock.now() < until, "`{id}` is not taken");
            self.clock.sleep(SECOND).await;
        }
    }

    /// What comes within `wait`.
    async fn comes(&self, consumer: &Consumer, wait: Duration) -> Option<Delivery> {
        let until = self.clock.now() + wait;
        loop {
            let left = until.since(self.clock.now()).min(Duration::from_secs(30));
            match self.queue.receive(consumer, left).await {
                Ok(Some(delivery)) => return Some(delivery),
                Ok(None) => {}
                Err(_) => self.clock.sleep(SECOND).await,
            }
            if self.clock.now() >= until {
                return None;
            }
        }
    }

    async fn must_come(&self, consumer: &Consumer) -> Delivery {
        self.comes(consumer, DEADLINE).await.expect("a delivery")
    }

    /// What comes is worked on.
    async fn works(&self, consumer: &Consumer) -> Delivery {
        let delivery = self.must_come(consumer).await;
        self.queue.ack(consumer, &delivery).await.unwrap();
        delivery
    }

    async fn nothing_comes(&self, consumer: &Consumer) {
        assert_eq!(self.comes(consumer, MOMENT).await, None);
    }

    fn since(&self, moment: Timestamp) -> Duration {
        self.clock.now().since(moment)
    }
}

#[track_caller]
fn is(delivery: &Delivery, id: &str, attempt: u32) {
    assert_eq!((delivery.message.id.as_str(), delivery.attempt), (id, attempt));
    assert_eq!(
        (delivery.message.topic, &delivery.message.body),
        ("orders", &format!("body of {id}"))
    );
}

async fn messages_come_in_order_once_and_rest_when_they_are_acknowledged(room: &dyn Room) {
    let process = Process::of(room);
    for id in ["a", "b", "c"] {
        process.publish(id).await;
    }
    for id in ["a", "b", "c"] {
        is(&process.works(&WORKERS).await, id, 1);
    }
    process.nothing_comes(&WORKERS).await;
}

async fn whoever_waits_is_given_what_is_published_meanwhile(room: &dyn Room) {
    let process = Process::of(room);
    let publish = async {
        process.clock.sleep(SECOND).await;
        process.publish("a").await;
    };
    let (came, ()) = tokio::join!(process.must_come(&WORKERS), publish);
    is(&came, "a", 1);
}

async fn a_repeat_is_known_by_its_id_within_the_window_and_not_after_it(room: &dyn Room) {
    let process = Process::of(room);
    let began = process.clock.now();
    process.publish("a").await;
    process.publish("a").await;
    is(&process.works(&WORKERS).await, "a", 1);
    process.nothing_comes(&WORKERS).await;
    // Published again and again, it is new as soon as the window is over.
    let until = began + DEADLINE;
    let came = loop {
        process.publish("a").await;
        if let Some(came) = process.comes(&WORKERS, MOMENT).await {
            break came;
        }
        assert!(process.clock.now() < until, "it is known for ever");
    };
    is(&came, "a", 1);
    assert!(process.since(began) >= DEDUPE_WINDOW, "{:?}", process.since(began));
}

async fn a_topic_has_consumers_and_ids_of_its_own(room: &dyn Room) {
    const OTHERS: Consumer = Consumer { name: "others", topic: "others", ..WORKERS };
    let process = Process::of(room);
    process.publish("a").await;
    process.publish_on("others", "a").await;
    let other = process.works(&OTHERS).await;
    assert_eq!((other.message.topic, other.message.id.as_str()), ("others", "a"));
    is(&process.works(&WORKERS).await, "a", 1);
    process.nothing_comes(&OTHERS).await;
    process.nothing_comes(&WORKERS).await;
}

async fn what_is_not_acknowledged_comes_again_when_its_time_is_over(room: &dyn Room) {
    let process = Process::of(room);
    process.publish("a").await;
    let began = process.clock.now();
    is(&process.must_come(&WORKERS).await, "a", 1);
    is(&process.works(&WORKERS).await, "a", 2);
    assert!(process.since(began) >= WORKERS.ack_wait, "{:?}", process.since(began));
    process.nothing_comes(&WORKERS).await;
}

async fn each_redelivery_waits_longer_where_the_consumer_backs_off(room: &dyn Room) {
    const WAITS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];
    const BACKS_OFF: Consumer = Consumer { backoff: &WAITS, ..PATIENT };
    let process = Process::of(room);
    process.publish("a").await;
    let mut began = process.clock.now();
    is(&process.must_come(&BACKS_OFF).await, "a", 1);
    for (wait, attempt) in [(WAITS[0], 2), (WAITS[1], 3), (WAITS[1], 4)] {
        is(&process.must_come(&BACKS_OFF).await, "a", attempt);
        // The delivery before was under way for a part of it.
        assert!(process.since(began) + SECOND >= wait, "{attempt}: {:?}", process.since(began));
        began = process.clock.now();
    }
}

async fn what_is_handed_back_comes_again_after_the_time_that_was_asked_for(room: &dyn Room) {
    let process = Process::of(room);
    process.publish("a").await;
    let first = process.must_come(&PATIENT).await;
    let began = process.clock.now();
    process.queue.nack(&PATIENT, &first, 10 * SECOND).await.unwrap();
    is(&process.works(&PATIENT).await, "a", 2);
    assert!(process.since(began) >= 10 * SECOND, "{:?}", process.since(began));
}

async fn what_was_delivered_in_vain_too_often_is_dead_and_blocks_nothing(room: &dyn Room) {
    const TWICE: Consumer = Consumer { deliveries_max: 2, ..PATIENT };
    let process = Process::of(room);
    process.publish("a").await;
    let mut place = 0;
    for attempt in [1, 2] {
        let delivery = process.must_come(&TWICE).await;
        is(&delivery, "a", attempt);
        place = delivery.sequence;
        process.queue.nack(&TWICE, &delivery, SECOND).await.unwrap();
    }
    process.nothing_comes(&TWICE).await;
    process.publish("b").await;
    is(&process.works(&TWICE).await, "b", 1);
    let until = process.clock.now() + DEADLINE;
    while room.dead().await.is_empty() {
        assert!(process.clock.now() < until, "no dead letter");
        process.clock.sleep(SECOND).await;
    }
    assert_eq!(room.dead().await, [place]);
}

async fn two_processes_share_the_messages_of_one_consumer(room: &dyn Room) {
    let (publisher, one, two) = (Process::of(room), Process::of(room), Process::of(room));
    let ids: Vec<String> = (0..12).map(|number| format!("{number:02}")).collect();
    for id in &ids {
        publisher.publish(id).await;
    }
    let half = async |process: &Process| {
        let mut worked = Vec::new();
        for _ in 0..ids.len() / 2 {
            worked.push(process.works(&PATIENT).await.message.id);
        }
        worked
    };
    let (ones, twos) = tokio::join!(half(&one), half(&two));
    let mut all = [ones, twos].concat();
    all.sort();
    assert_eq!(all, ids, "each once");
    publisher.nothing_comes(&PATIENT).await;
}

async fn what_one_process_has_in_hand_when_it_dies_comes_to_another(room: &dyn Room) {
    let (one, two) = (Process::of(room), Process::of(room));
    one.publish("a").await;
    is(&one.must_come(&WORKERS).await, "a", 1);
    drop(one);
    is(&two.works(&WORKERS).await, "a", 2);
}

async fn a_broker_that_was_killed_has_kept_what_it_said_it_keeps(room: &dyn Room) {
    let process = Process::of(room);
    for id in ["a", "b", "c"] {
        process.publish(id).await;
    }
    is(&process.works(&WORKERS).await, "a", 1);
    is(&process.must_come(&WORKERS).await, "b", 1);
    room.fell().await;
    room.boot().await;
    process.publish("c").await;
    // In any order: `b` comes at once, or when its time is over.
    let mut came = Vec::new();
    let until = process.clock.now() + DEADLINE;
    while ["b", "c"].iter().any(|id| !came.iter().any(|came| came == id)) {
        came.push(process.works(&WORKERS).await.message.id);
        assert!(process.clock.now() < until, "{came:?}");
    }
    // The last acknowledgement may be forgotten, a message may not, nor the id of one.
    came.retain(|id| id != "a");
    came.sort();
    assert_eq!(came, ["b", "c"]);
    while let Some(more) = process.comes(&WORKERS, MOMENT).await {
        assert_eq!(more.message.id, "a");
        process.queue.ack(&WORKERS, &more).await.unwrap();
    }
}

async fn a_broker_that_is_down_is_not_reached_and_gets_nothing_later(room: &dyn Room) {
    let process = Process::of(room);
    process.publish("before").await;
    is(&process.works(&PATIENT).await, "before", 1);
    room.fell().await;
    let until = process.clock.now() + DEADLINE;
    // That it is gone is not known at once.
    while process.try_publish("orders", "perhaps").await != Err(Error::NotReached) {
        assert!(process.clock.now() < until, "it answers");
    }
    assert_eq!(process.try_publish("orders", "never").await, Err(Error::NotReached));
    assert_eq!(process.queue.receive(&PATIENT, Duration::ZERO).await, Err(Error::NotReached));
    room.boot().await;
    process.publish("after").await;
    while let Some(came) = process.comes(&PATIENT, MOMENT).await {
        process.queue.ack(&PATIENT, &came).await.unwrap();
        let known = ["before", "perhaps", "after"].contains(&came.message.id.as_str());
        assert!(known, "{} was not published", came.message.id);
    }
}

/// Each of these for both.
macro_rules! hold {
    ($($kind:ident { $($case:ident,)+ })+) => {
        mod the_model {
            $($(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    super::$case(&super::model::Model::new()).await;
                }
            )+)+
        }
        mod nats {
            $($(
                #[tokio::test]
                async fn $case() {
                    if let Some(room) = super::jetstream::$kind(stringify!($case)).await {
                        super::$case(&room).await;
                        room.leave().await;
                    }
                }
            )+)+
        }
    };
}

hold! {
    shared {
    messages_come_in_order_once_and_rest_when_they_are_acknowledged,
    whoever_waits_is_given_what_is_published_meanwhile,
    a_repeat_is_known_by_its_id_within_the_window_and_not_after_it,
    a_topic_has_consumers_and_ids_of_its_own,
    what_is_not_acknowledged_comes_again_when_its_time_is_over,
    each_redelivery_waits_longer_where_the_consumer_backs_off,
    what_is_handed_back_comes_again_after_the_time_that_was_asked_for,
    what_was_delivered_in_vain_too_often_is_dead_and_blocks_nothing,
    two_processes_share_the_messages_of_one_consumer,
    what_one_process_has_in_hand_when_it_dies_comes_to_another,
    }
    own {
    a_broker_that_was_killed_has_kept_what_it_said_it_keeps,
    a_broker_that_is_down_is_not_reached_and_gets_nothing_later,
    }
}
