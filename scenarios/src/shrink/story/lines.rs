//! The steps of a story, from the history and both ledgers.

use std::collections::{BTreeMap, BTreeSet};

use clockwork::Timestamp;
use faults::{Kind, ReplyFate, RequestRecord};
use oms_core::env::{Event, TaskId};

use super::{Step, Weight};
use crate::evidence::{Call, Evidence};
use crate::history::{Phase, Record, Step as Done, What};
use crate::plan::Deed;

/// Collects the steps of a few orders.
pub(super) struct Lines<'a> {
    evidence: &'a Evidence,
    orders: BTreeSet<&'a str>,
    /// Transactions are told of too.
    transactions: bool,
    steps: Vec<Step>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(evidence: &'a Evidence, orders: &'a [String], transactions: bool) -> Self {
        let orders = orders.iter().map(String::as_str).collect();
        Lines { evidence, orders, transactions, steps: Vec::new() }
    }

    pub(super) fn collect(mut self) -> Vec<Step> {
        self.tell_records();
        self.tell_calls();
        self.tell_carrier();
        self.tell_gateway();
        for (api, requests) in [
            ("carrier", &self.evidence.carrier.requests),
            ("gateway", &self.evidence.messenger.requests),
        ] {
            self.tell_faults(api, requests);
        }
        self.tell_queue();
        self.tell_states();
        self.steps
    }

    fn push(&mut self, at: Timestamp, weight: Weight, says: impl Into<String>) {
        self.steps.push(Step { at, weight, says: says.into() });
    }

    /// Whether `reference` is about one of the orders.
    fn concerns(&self, reference: &str) -> bool {
        self.evidence.order_of(reference).is_some_and(|order| self.orders.contains(order))
    }

    fn tell_records(&mut self) {
        let mut started = BTreeSet::new();
        let mut open = BTreeMap::new();
        let evidence = self.evidence;
        for record in &evidence.records {
            match &record.what {
                What::Drill(done) => self.tell_done(record, done, &mut started),
                What::Oms(event) => {
                    self.tell_event(record.at, event);
                    self.tell_transaction(record, event, &mut open);
                }
            }
        }
    }

    fn tell_done(&mut self, record: &Record, done: &Done, started: &mut BTreeSet<Option<u32>>) {
        let node = record.node.map_or("a node".to_owned(), |node| format!("node {node}"));
        let (weight, says) = match done {
            Done::OrderOffered { order } if self.concerns(order) => {
                (Weight::Link, format!("{order} came in"))
            }
            Done::OrderAcknowledged { order } if self.concerns(order) => {
                (Weight::Link, format!("{order}: the service says that it keeps it"))
            }
            Done::OrderRefused { order, why } if self.concerns(order) => {
                (Weight::Key, format!("{order}: not taken in: {why}"))
            }
            Done::CancelAsked { order } if self.concerns(order) => {
                (Weight::Key, format!("{order} is called back"))
            }
            Done::OperatorActed { order, deed, answer } if self.concerns(order) => {
                let says = match deed {
                    Deed::Retry => "tries it again",
                    Deed::ResolveBooked => "says that the carrier has it",
                    Deed::ResolveNotBooked => "says that the carrier has it not",
                };
                (Weight::Key, format!("{order}: an operator {says}: {answer}"))
            }
            Done::NodeStarted if !started.insert(record.node) => {
                (Weight::Key, format!("{node} runs again"))
            }
            Done::NodeCrashed => (Weight::Key, format!("{node} was killed")),
            Done::NodeStalled { until } => {
                let length = until.since(record.at);
                (Weight::Key, format!("{node} stands still for {}", humantime(length)))
            }
            Done::Phase { phase: Phase::Heal } => {
                (Weight::Key, "from now on nothing fails any more".to_owned())
            }
            Done::FaultFired { fault, hit, .. } => {
                let planned = self.evidence.plan.faults.get(*fault);
                let kind = planned.map_or("a fault".to_owned(), |fault| fault.kind.to_string());
                (Weight::Key, format!("{kind} hit {hit}"))
            }
            _ => return,
        };
        self.push(record.at, weight, says);
    }

    fn tell_event(&mut self, at: Timestamp, event: &Event) {
        let (weight, says) = match event {
            Event::LeaseTaken { what, state } if self.concerns(what) => {
                (Weight::Key, format!("{what}: its lease ran out, it was taken over ({state})"))
            }
            Event::Fenced { what } if self.concerns(what) => {
                (Weight::Key, format!("{what}: a write under an old lease was refused"))
            }
            Event::Reconciled { parcel, to, how } if self.concerns(parcel) => {
                (Weight::Key, format!("{parcel}: known to be {to} now ({how})"))
            }
            Event::Parked { order, reason } if self.concerns(order) => {
                (Weight::Key, format!("{order}: to the operator: {reason}"))
            }
            Event::Breaker { api, to } => {
                (Weight::Link, format!("the breaker of the {api} is {to}"))
            }
            Event::QuotaBlocked { quota, until, why } => {
                let length = humantime(until.since(at));
                (Weight::Link, format!("no calls under `{quota}` for {length}: {why}"))
            }
            _ => return,
        };
        self.push(at, weight, says);
    }

    /// Transactions, where a promise is about them, and those that came to nothing.
    fn tell_transaction(
        &mut self,
        record: &Record,
        event: &Event,
        open: &mut BTreeMap<(Option<u32>, TaskId), (Timestamp, String)>,
    ) {
        match event {
            Event::TxBegin { task, op } => {
                open.insert((record.node, *task), (record.at, op.clone()));
            }
            Event::CallBegin { task, endpoint, .. } if self.transactions => {
                if let Some((begun, op)) = open.get(&(record.node, *task)).cloned() {
                    self.push(begun, Weight::Key, format!("transaction `{op}` begins"));
                    let says = format!("{endpoint} is called before `{op}` has ended");
                    self.push(record.at, Weight::Key, says);
                }
            }
            Event::TxEnd { task, op, committed } => {
                open.remove(&(record.node, *task));
                if !committed {
                    self.push(record.at, Weight::Link, format!("`{op}` was not committed"));
                } else if self.transactions {
                    self.push(record.at, Weight::Usual, format!("transaction `{op}` ends"));
                }
            }
            _ => {}
        }
    }

    /// Calls as the service saw them.
    fn tell_calls(&mut self) {
        let evidence = self.evidence;
        for call in &evidence.calls {
            if !self.concerns(&call.key) {
                continue;
            }
            let usual = matches!(call.endpoint.as_str(), "ReqOneDayToken" | "ReqInvcNo");
            let Call { key, endpoint, .. } = call;
            let asked = asked(endpoint);
            match &call.end {
                // Its node died, which is told by itself.
                None => self.push(call.begun, Weight::Key, format!("{key}: {asked}")),
                Some(end) => {
                    let good = end.outcome == "done";
                    let weight = match (good, usual) {
                        (true, true) => Weight::Usual,
                        (true, false) => Weight::Link,
                        (false, _) => Weight::Key,
                    };
                    self.push(call.begun, weight, format!("{key}: {asked}"));
                    if !good {
                        let understood = understood(&end.outcome, end.status);
                        self.push(end.at, weight, format!("{key}: {endpoint}: {understood}"));
                    }
                }
            }
        }
    }

    /// The carrier's book, bans and refusals.
    fn tell_carrier(&mut self) {
        let evidence = self.evidence;
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for booking in &evidence.carrier.bookings {
            let reference = booking.cust_use_no.as_str();
            let order = evidence.parcel_of(reference).map(|parcel| parcel.order);
            if !order.is_some_and(|order| self.orders.contains(order.as_str()))
                && !self.concerns(reference)
            {
                continue;
            }
            let time = times.entry(reference).or_default();
            *time += 1;
            let again = match *time {
                1 => String::new(),
                2 => ": the 2nd time".to_owned(),
                3 => ": the 3rd time".to_owned(),
                time => format!(": the {time}th time"),
            };
            let number = &booking.invoice_no;
            let says = format!("the carrier booked {reference} as {number}{again}");
            self.push(booking.booked_at, Weight::Key, says);
            if let Some(at) = booking.scanned_at {
                self.push(at, Weight::Key, format!("the courier has {number} in hand"));
            }
            if let Some(at) = booking.cancelled_at {
                self.push(at, Weight::Key, format!("the carrier cancelled {number}"));
            }
        }
        for violation in &evidence.carrier.violations {
            let says = format!("the carrier answers 429: more than {}", violation.window);
            self.push(violation.at, Weight::Key, says);
        }
        for ban in &evidence.carrier.bans {
            let length = humantime(ban.until.since(ban.from));
            self.push(ban.from, Weight::Key, format!("the carrier bans us for {length}"));
        }
    }

    /// The gateway's messages.
    fn tell_gateway(&mut self) {
        let orders: Vec<&str> = self.orders.iter().copied().collect();
        for order in orders {
            let evidence = self.evidence;
            for message in evidence.messages_of(order) {
                let number = message.variables.get("invoice");
                let number = number.map(|number| format!(", with the number {number}"));
                let number = number.unwrap_or_default();
                let says = format!("the gateway accepted a message about {order}{number}");
                self.push(message.at, Weight::Key, says);
            }
        }
        for limited in &self.evidence.messenger.rate_limited {
            self.steps.push(Step {
                at: limited.at,
                weight: Weight::Key,
                says: "the gateway answers 429".to_owned(),
            });
        }
    }

    /// What the faults did to the orders' calls.
    fn tell_faults(&mut self, api: &str, requests: &[RequestRecord]) {
        for request in requests {
            let Some(hit) = &request.fault else { continue };
            let key = request.key.as_deref();
            if key.is_some_and(|key| !self.concerns(key)) {
                continue;
            }
            let about = key.map(|key| format!(" of {key}")).unwrap_or_default();
            let effect = if request.processed { "was processed" } else { "was not processed" };
            let reply = match request.reply {
                ReplyFate::Pending | ReplyFate::Hung => "no reply came",
                ReplyFate::Answered => "a reply went back",
                ReplyFate::Truncated => "the reply broke off",
                ReplyFate::Reset => "the connection was reset",
                ReplyFate::Refused => "the connection was cut",
                ReplyFate::Abandoned => "nobody waited for the reply any more",
            };
            let says = format!(
                "{} hit {}{about} at the {api}: it {effect}, {reply}",
                hit.kind, request.endpoint
            );
            self.push(request.at, Weight::Key, says);
        }
    }

    /// What the broker kept, handed out and saw acknowledged, and what faults did to that.
    fn tell_queue(&mut self) {
        let evidence = self.evidence;
        let Some(queue) = &evidence.queue else { return };
        for kept in &queue.messages {
            if !self.concerns(event_of(&kept.id)) {
                continue;
            }
            let what = format!("`{}` {}", kept.topic, kept.id);
            self.push(kept.published, Weight::Link, format!("the broker keeps {what}"));
            for (at, time) in kept.delivered.iter().zip(1..) {
                match time {
                    1 => self.push(*at, Weight::Link, format!("the broker delivers {what}")),
                    _ => self.push(*at, Weight::Key, format!("{what} is delivered again")),
                }
            }
            if let Some(at) = kept.acked {
                self.push(at, Weight::Usual, format!("{what} is acknowledged"));
            }
            if let Some(at) = kept.dead {
                self.push(at, Weight::Key, format!("the broker gives up {what}"));
            }
        }
        for hit in &queue.hits {
            if !self.concerns(event_of(&hit.id)) {
                continue;
            }
            let effect = match hit.by.kind {
                Kind::PublishUnknown => "nobody answers whoever published it",
                Kind::Redeliver => "it is to be delivered once more",
                Kind::Reorder => "it is held back, and others go first",
                Kind::AckLost => "the broker never hears of it",
                _ => "the broker goes down",
            };
            let says = format!("{} hit {} of {}: {effect}", hit.by.kind, hit.operation, hit.id);
            self.push(hit.at, Weight::Key, says);
        }
    }

    /// The states that the service wrote down.
    fn tell_states(&mut self) {
        let evidence = self.evidence;
        for walked in &evidence.rows.transitions {
            let Some(from) = walked.from.as_deref().filter(|_| self.concerns(&walked.key)) else {
                continue;
            };
            let weight = match (walked.entity.as_str(), walked.to.as_str()) {
                ("order", _) => Weight::Link,
                (_, "unknown" | "refused" | "attention" | "cancelled") => Weight::Link,
                _ => Weight::Usual,
            };
            let what = if walked.entity == "notice" { "message " } else { "" };
            let says = format!("{what}{}: {from} -> {}", walked.key, walked.to);
            self.push(walked.at, weight, says);
        }
    }
}

/// The order's id in that of an event about it.
fn event_of(id: &str) -> &str {
    id.split_once(['#', ':']).map_or(id, |(order, _)| order)
}

/// What a call asks for.
fn asked(endpoint: &str) -> String {
    let asked = match endpoint {
        "ReqOneDayToken" => "asked for a token",
        "ReqAddrRfnSm" => "asked how the address is served",
        "ReqInvcNo" => "asked for an invoice number",
        "RegBook" => "sent the booking",
        "CnclBook" => "sent the cancellation",
        "ReqOneGdsTrc" => "asked where the parcel is",
        "send/omni" => "sent the message",
        "message/inquiry" => "asked for the message",
        "report/inquiry" => "asked for the report",
        other => return format!("called {other}"),
    };
    format!("{asked} ({endpoint})")
}

/// How the service took an answer.
fn understood(outcome: &str, status: Option<u16>) -> String {
    let status = status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
    let understood = match outcome {
        "duplicate" => "the other side has it already",
        "refused" => "refused",
        "not-processed" => "not processed, to be tried again",
        "unknown" => "nobody knows what came of it",
        other => other,
    };
    format!("{understood}{status}")
}

/// A duration as plans write it, to the millisecond.
fn humantime(duration: std::time::Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let secs = match rest % 1_000 {
        0 => format!("{}s", rest / 1_000),
        _ => format!("{:.3}s", rest as f64 / 1_000.0),
    };
    match (minutes, rest) {
        (0, _) => secs,
        (_, 0) => format!("{minutes}m"),
        _ => format!("{minutes}m {secs}"),
    }
}
