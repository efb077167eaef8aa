//! A model of a message broker: a durable log, and consumers that get each message at least once.
//!
//! It belongs to the network and not to a node, so it outlives their crashes. What it keeps is
//! durable. A restart forgets only who has which message in hand: those that were not acknowledged
//! are delivered again as soon as it is up. It has no time of its own: `now` comes with each
//! operation. [`super::postman`] is the way to it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clockwork::Timestamp;
use faults::{Described, Fault, FaultHit, Fired, Injector, Kind, Target};
use tokio::sync::Notify;

use crate::queue::{Consumer, DEDUPE_WINDOW, Delivery, Error, Hit, Kept, Ledger, Message};

/// The broker.
pub struct Broker {
    injector: Injector,
    state: Mutex<State>,
    /// Something was published, or may be delivered again.
    changed: Notify,
}

#[derive(Default)]
struct State {
    log: Vec<Stored>,
    hits: Vec<Hit>,
    consumers: BTreeMap<&'static str, Cursor>,
    /// It is down until then.
    down_until: Option<Timestamp>,
    /// Grows with each operation that changed anything.
    changes: u64,
}

struct Stored {
    message: Message,
    kept: Kept,
}

/// What the broker remembers of a durable consumer.
struct Cursor {
    /// Everything in the log before this place was delivered at least once, or is held back.
    next: usize,
    /// What was delivered and not acknowledged, or is held back, by place in the log.
    pending: BTreeMap<usize, Pending>,
    /// What is delivered once more although it may be acknowledged: when, and its place.
    again: Vec<(Timestamp, usize)>,
}

#[derive(Clone, Copy)]
struct Pending {
    deliveries: u32,
    /// When it is delivered again.
    due: Timestamp,
}

/// What an operation came to, as far as its answer goes.
pub enum Answered<T> {
    /// It was done, and the answer is on its way.
    Yes(T),
    /// Whether it was done or not, the answer is lost.
    No,
}

impl Broker {
    /// A broker without messages, whose faults `injector` decides.
    pub fn new(injector: Injector) -> Broker {
        Broker { injector, state: Mutex::default(), changed: Notify::new() }
    }

    /// Takes a message, once under each id.
    pub fn publish(&self, message: Message, now: Timestamp) -> Result<Answered<()>, Error> {
        self.reached(now)?;
        let fault = self.hit("publish", &message.id, now);
        // Without a fault it is kept; with one that loses the answer, if the fault says so.
        if fault.as_ref().is_none_or(|fault| fault.processed == Some(true)) {
            self.keep(message, now);
        }
        Ok(if fault.is_some() { Answered::No } else { Answered::Yes(()) })
    }

    fn keep(&self, message: Message, now: Timestamp) {
        let mut state = self.state();
        let same = |stored: &&Stored| {
            let same = (stored.message.topic, &stored.message.id) == (message.topic, &message.id);
            same && now < stored.kept.published + DEDUPE_WINDOW
        };
        if state.log.iter().rev().find(same).is_some() {
            return;
        }
        let kept = Kept {
            topic: message.topic.to_owned(),
            id: message.id.clone(),
            published: now,
            delivered: Vec::new(),
            acked: None,
            dead: None,
        };
        state.log.push(Stored { message, kept });
        state.changes += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    /// The next message for `consumer`; `None` when there is none yet.
    pub fn deliver(
        &self,
        consumer: &Consumer,
        now: Timestamp,
    ) -> Result<Option<Answered<Delivery>>, Error> {
        loop {
            self.reached(now)?;
            let Some((place, deliveries)) = self.state().take(consumer, now) else {
                return Ok(None);
            };
            let message = self.state().log[place].message.clone();
            let fault = self.hit("deliver", &message.id, now);
            let (kind, by) =
                (fault.map(|fault| (fault.kind, fault.by.unwrap_or_default()))).unzip();
            let later = now + by.unwrap_or_default();
            if kind == Some(Kind::Reorder) {
                let held = Pending { deliveries, due: later };
                self.state().cursor(consumer).pending.insert(place, held);
                continue;
            }
            if kind == Some(Kind::Redeliver) {
                self.state().cursor(consumer).again.push((later, place));
            }
            let lost = kind == Some(Kind::BrokerRestart);
            let attempt = deliveries + 1;
            let due = if lost { later } else { now + consumer.ack_wait_of(attempt) };
            self.state().hand_out(consumer, place, Pending { deliveries: attempt, due }, now);
            let receipt = place.to_string();
            let delivery = Delivery { sequence: place as u64, attempt, receipt, message };
            return Ok(Some(if lost { Answered::No } else { Answered::Yes(delivery) }));
        }
    }

    /// A consumer has done its work with a delivery.
    pub fn ack(&self, consumer: &Consumer, of: &Delivery, now: Timestamp) -> Result<(), Error> {
        self.reached(now)?;
        let fault = self.hit("ack", &of.message.id, now);
        if fault.is_some_and(|fault| fault.processed != Some(true)) {
            return Ok(());
        }
        let mut state = self.state();
        let place = of.sequence as usize;
        state.cursor(consumer).pending.remove(&place);
        state.log[place].kept.acked.get_or_insert(now);
        state.changes += 1;
        Ok(())
    }

    /// A consumer wants a delivery made again, not before so long.
    pub fn nack(
        &self,
        consumer: &Consumer,
        of: &Delivery,
        after: Duration,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.reached(now)?;
        let fault = self.hit("nack", &of.message.id, now);
        if fault.is_some_and(|fault| fault.processed != Some(true)) {
            return Ok(());
        }
        let place = of.sequence as usize;
        if let Some(pending) = self.state().cursor(consumer).pending.get_mut(&place) {
            pending.due = now + after;
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// Resolves when there may be something to deliver that was not there before.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// When something falls due for `consumer`, if anything waits.
    pub fn next_due(&self, consumer: &Consumer) -> Option<Timestamp> {
        let mut state = self.state();
        let cursor = state.cursor(consumer);
        let pending = cursor.pending.values().map(|pending| pending.due);
        pending.chain(cursor.again.iter().map(|(due, _)| *due)).min()
    }

    /// It goes down, and is up again `by` later.
    pub fn restart(&self, now: Timestamp, by: Duration) {
        self.state().go_down_until(now + by);
    }

    /// No fault fires any more, and it is up.
    pub fn heal(&self) {
        self.injector.heal();
        self.state().down_until = None;
    }

    /// How often each fault fired.
    pub fn fired(&self) -> Vec<Fired> {
        self.injector.fired()
    }

    /// Grows whenever anything changes.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Whether every message was acknowledged or given up, and none is to be delivered again.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        let done = |stored: &Stored| stored.kept.acked.is_some() || stored.kept.dead.is_some();
        let rests = |cursor: &Cursor| cursor.pending.is_empty() && cursor.again.is_empty();
        state.log.iter().all(done) && state.consumers.values().all(rests)
    }

    /// What it has truly done; `None` when nobody ever published anything.
    pub fn ledger(&self) -> Option<Ledger> {
        let state = self.state();
        let messages = state.log.iter().map(|stored| stored.kept.clone()).collect();
        let ledger = Ledger { messages, hits: state.hits.clone() };
        (ledger != Ledger::default()).then_some(ledger)
    }

    fn reached(&self, now: Timestamp) -> Result<(), Error> {
        match self.state().down_until {
            Some(until) if now < until => Err(Error::NotReached),
            _ => Ok(()),
        }
    }

    /// The fault that hits an operation on a message. A restart begins at once.
    fn hit(&self, operation: &str, id: &str, now: Timestamp) -> Option<Fault> {
        let what = Described { endpoint: operation.to_owned(), key: Some(id.to_owned()) };
        let decision = self.injector.decide(Target::Queue, &what)?;
        let fault = Fault::clone(&decision.fault);
        let by = FaultHit { index: decision.index, kind: fault.kind, why: decision.why };
        let (operation, id) = (operation.to_owned(), id.to_owned());
        self.state().hits.push(Hit { at: now, operation, id, by });
        if fault.kind == Kind::BrokerRestart {
            self.restart(now, fault.by.unwrap_or_default());
        }
        Some(fault)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who has which message in hand is forgotten: all of them are due when it is up again.
    fn go_down_until(&mut self, up_at: Timestamp) {
        self.down_until = Some(up_at);
        for cursor in self.consumers.values_mut() {
            cursor.pending.values_mut().for_each(|pending| pending.due = up_at);
        }
    }

    fn cursor(&mut self, consumer: &Consumer) -> &mut Cursor {
        self.consumers.entry(consumer.name).or_insert_with(|| Cursor {
            next: 0,
            pending: BTreeMap::new(),
            again: Vec::new(),
        })
    }

    /// The place of the next message to deliver, and how often it was delivered before: what is
    /// due again goes first, as it is older.
    fn take(&mut self, consumer: &Consumer, now: Timestamp) -> Option<(usize, u32)> {
        loop {
            let cursor = self.cursor(consumer);
            let due = |(_, pending): &(&usize, &Pending)| pending.due <= now;
            let again = cursor.pending.iter().find(due).map(|(place, _)| *place);
            let Some(place) = again else { return self.take_other(consumer, now) };
            let deliveries = cursor.pending[&place].deliveries;
            if deliveries < consumer.deliveries_max {
                return Some((place, deliveries));
            }
            cursor.pending.remove(&place);
            self.log[place].kept.dead = Some(now);
            self.changes += 1;
        }
    }

    /// A message that a fault has delivered once more, or the first that was never delivered.
    fn take_other(&mut self, consumer: &Consumer, now: Timestamp) -> Option<(usize, u32)> {
        let cursor = self.cursor(consumer);
        if let Some(nth) = cursor.again.iter().position(|(due, _)| *due <= now) {
            let (_, place) = cursor.again.remove(nth);
            let deliveries = u32::try_from(self.log[place].kept.delivered.len());
            return Some((place, deliveries.unwrap_or(u32::MAX)));
        }
        let next = cursor.next;
        let mut rest = self.log.iter().enumerate().skip(next);
        let (place, _) = rest.find(|(_, stored)| stored.message.topic == consumer.topic)?;
        self.cursor(consumer).next = place + 1;
        Some((place, 0))
    }

    fn hand_out(&mut self, consumer: &Consumer, place: usize, pending: Pending, now: Timestamp) {
        self.cursor(consumer).pending.insert(place, pending);
        self.log[place].kept.delivered.push(now);
        self.changes += 1;
    }
}

#[cfg(test)]
mod tests;
