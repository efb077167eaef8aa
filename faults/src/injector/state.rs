//! The list of faults and their counts: what one lock guards.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use clockwork::{Entropy, Timestamp};

use super::counter::{Counted, Counter};
use super::{ConnectFault, Decision, Fired, Outage};
use crate::api::Described;
use crate::fault::Fault;
use crate::kind::Target;

pub(super) struct State {
    start: Timestamp,
    entropy: Entropy,
    healed: bool,
    faults: Vec<Armed>,
    calls: Counter,
    connections: Counter,
    operations: Counter,
    deliveries: Counter,
}

/// A fault of the list.
struct Armed {
    fault: Arc<Fault>,
    /// What it is done to, as far as it is decided here.
    target: Option<Target>,
    dice: Entropy,
    fired: u64,
}

impl State {
    pub(super) fn new(start: Timestamp, entropy: Entropy) -> State {
        State {
            start,
            entropy,
            healed: false,
            faults: Vec::new(),
            calls: Counter::default(),
            connections: Counter::default(),
            operations: Counter::default(),
            deliveries: Counter::default(),
        }
    }

    pub(super) fn entropy(&self) -> Entropy {
        self.entropy
    }

    pub(super) fn install(&mut self, faults: Vec<Fault>, start: Timestamp, entropy: Entropy) {
        *self = State::new(start, entropy);
        let mut twins = BTreeMap::new();
        for fault in faults {
            let dice = dice(entropy, &fault, &mut twins);
            let target = match fault.kind.target() {
                Target::Node => fault.when.map(|_| Target::Call),
                target => Some(target),
            };
            self.faults.push(Armed { fault: Arc::new(fault), target, dice, fired: 0 });
        }
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    pub(super) fn heal(&mut self) {
        self.healed = true;
    }

    pub(super) fn reset(&mut self) {
        self.calls = Counter::default();
        self.connections = Counter::default();
        self.operations = Counter::default();
        self.deliveries = Counter::default();
        self.faults.iter_mut().for_each(|armed| armed.fired = 0);
    }

    pub(super) fn fired(&self) -> Vec<Fired> {
        let fired = |armed: &Armed| Fired { fault: Fault::clone(&armed.fault), times: armed.fired };
        self.faults.iter().map(fired).collect()
    }

    pub(super) fn note_fired(&mut self, index: usize) {
        if let Some(armed) = self.faults.get_mut(index) {
            armed.fired += 1;
        }
    }

    /// Counts an event, hit or not.
    pub(super) fn count(&mut self, target: Target, what: &Described) -> Counted {
        let counter = match target {
            // A server's faults wait for nothing that is counted.
            Target::Call | Target::Node | Target::Server => &mut self.calls,
            Target::Connection => &mut self.connections,
            Target::Store => &mut self.operations,
            Target::Queue => &mut self.deliveries,
        };
        counter.count(what)
    }

    /// The first fault that hits an event, which counts as fired.
    pub(super) fn hit(
        &mut self,
        target: Target,
        what: &Described,
        counted: &Counted,
        now: Timestamp,
    ) -> Option<Decision> {
        if self.healed {
            return None;
        }
        let event = Event { what, counted, passed: now.since(self.start), draw: OnceCell::new() };
        let mut faults = self.faults.iter_mut().enumerate();
        let (index, armed) =
            faults.find(|(_, armed)| armed.target == Some(target) && armed.hits(&event))?;
        armed.fired += 1;
        Some(Decision { index, fault: Arc::clone(&armed.fault), why: armed.why(&event) })
    }

    pub(super) fn outage(&self, now: Timestamp) -> Option<Outage> {
        let passed = now.since(self.start);
        let mut faults = self.faults.iter().enumerate().filter(|_| !self.healed);
        faults.find_map(|(index, Armed { fault, .. })| {
            let failing = ConnectFault::of(fault.kind)?;
            let in_force = fault.is_window() && in_window(fault, passed);
            let until = fault.until.map(|until| self.start + until);
            in_force.then_some(Outage { index, fault: failing, until })
        })
    }

    pub(super) fn next_outage(&self, now: Timestamp) -> Option<Timestamp> {
        let outages = self.faults.iter().map(|armed| &armed.fault).filter(|fault| {
            ConnectFault::of(fault.kind).is_some() && fault.is_window() && !self.healed
        });
        let begin = outages.map(|fault| self.start + fault.from.unwrap_or_default());
        begin.filter(|begin| *begin > now).min()
    }
}

/// What fires or does not.
struct Event<'a> {
    what: &'a Described,
    counted: &'a Counted,
    passed: Duration,
    draw: OnceCell<u64>,
}

impl Event<'_> {
    /// What rates are drawn for, as one number: endpoint, key and attempt.
    fn draw(&self) -> u64 {
        *self.draw.get_or_init(|| {
            let Described { endpoint, key } = self.what;
            Entropy::new(0).fork("event", (endpoint, key, self.counted.attempt)).seed()
        })
    }
}

impl Armed {
    fn hits(&self, event: &Event<'_>) -> bool {
        let Fault { key, attempt, times, rate, .. } = &*self.fault;
        self.endpoint().is_none_or(|endpoint| endpoint == event.what.endpoint)
            && key.as_ref().is_none_or(|key| event.what.key.as_ref() == Some(key))
            && attempt.is_none_or(|attempt| attempt == event.counted.attempt)
            && self.fault.nth.is_none_or(|nth| nth == self.nth(event))
            && in_window(&self.fault, event.passed)
            && times.is_none_or(|times| self.fired < times)
            && rate.is_none_or(|rate| self.drawn(event) < rate)
    }

    /// The only endpoint that it hits, because it names one or because its kind knows one.
    fn endpoint(&self) -> Option<&str> {
        self.fault.endpoint.as_deref().or(self.fault.kind.endpoint())
    }

    /// The number that `nth` is compared with.
    fn nth(&self, event: &Event<'_>) -> u64 {
        match self.endpoint() {
            Some(_) => event.counted.nth,
            None => event.counted.total,
        }
    }

    /// The number from 0 to 1 that `rate` is compared with: the same for a key and attempt
    /// whenever it arrives.
    fn drawn(&self, event: &Event<'_>) -> f64 {
        self.dice.fork("draw", event.draw()).unit()
    }

    /// The triggers that held, for the ledger.
    fn why(&self, event: &Event<'_>) -> String {
        let fault = &self.fault;
        let mut why = String::new();
        let mut say = |text: std::fmt::Arguments<'_>| {
            let comma = if why.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(why, "{comma}{text}");
        };
        if let Some(endpoint) = &fault.endpoint {
            say(format_args!("endpoint {endpoint}"));
        }
        if let Some(key) = &fault.key {
            say(format_args!("key {key}"));
        }
        if let Some(attempt) = fault.attempt {
            say(format_args!("attempt {attempt}"));
        }
        if let Some(nth) = fault.nth {
            say(format_args!("nth {nth}"));
        }
        if fault.from.is_some() || fault.until.is_some() {
            say(format_args!("{} into the run", humantime::format_duration(event.passed)));
        }
        if let Some(rate) = fault.rate {
            say(format_args!("drew {:.6} below rate {rate}", self.drawn(event)));
        }
        if let Some(times) = fault.times {
            say(format_args!("firing {} of {times}", self.fired));
        }
        if why.is_empty() { "every one".to_owned() } else { why }
    }
}

fn in_window(fault: &Fault, passed: Duration) -> bool {
    fault.from.is_none_or(|from| passed >= from) && fault.until.is_none_or(|until| passed < until)
}

/// The dice of a fault: from what it is, not from its place in the list, so that taking one fault
/// away does not reshuffle the others. Alike ones are told apart by their order.
fn dice(entropy: Entropy, fault: &Fault, twins: &mut BTreeMap<String, u32>) -> Entropy {
    let Fault { kind, endpoint, key, status, processed, .. } = fault;
    let identity = format!("{kind} {endpoint:?} {key:?} {status:?} {processed:?}");
    let twin = twins.entry(identity.clone()).or_default();
    *twin += 1;
    entropy.fork("fault", (identity, *twin))
}
