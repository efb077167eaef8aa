//! What a run came through: the "sometimes" properties, by name.
//!
//! A plan lists what it `must_reach`; a run that did not come through it proves nothing. Beside the
//! names of [`NAMES`] there are: `fault:KIND` (such a fault fired), every edge of a state machine
//! as `order:shipped-completed`, `crash-during:ENDPOINT` and `crash-after:STEP`, where a step is
//! an endpoint or a use case of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use faults::{Kind, ReplyFate, RequestRecord};
use oms_core::env::{Event, TaskId};
use oms_core::state::{By, NoticeState, OrderState, ParcelState};

use crate::evidence::Evidence;
use crate::history::{Step, What};
use crate::plan::{CARRIER_ENDPOINTS, MESSENGER_ENDPOINTS, STORE_OPERATIONS};

/// The states that have a name of their own, and what they mean.
pub const NAMES: &[(&str, &str)] = &[
    ("rate-limited", "an API answered 429"),
    ("ban", "the carrier or the gateway banned our address"),
    ("called-while-banned", "a call was made while banned"),
    ("quota-blocked", "the service stopped calling since an API said so"),
    ("breaker-opened", "a circuit breaker opened"),
    ("breaker-half-open", "a circuit breaker let probes through"),
    ("breaker-closed", "a circuit breaker closed again"),
    ("unknown", "a booking's outcome was unknown"),
    ("unknown-to-booked", "an unknown booking proved to be booked"),
    ("unknown-to-not-booked", "an unknown booking proved not to be booked"),
    ("notice-unknown", "a notification's outcome was unknown"),
    ("duplicate-answered", "the other side said that it had done the same before"),
    ("notice-duplicate-answered", "the gateway said that it had sent the message before"),
    ("lease-taken", "work whose lease had run out was taken over"),
    ("fenced", "a write under an old lease was refused"),
    ("operator-queue", "an order went to the operator"),
    ("node-crashed", "a node was killed"),
    ("node-stalled", "a node stood still"),
    ("token-renewed", "a second token was made"),
    ("sms-fallback", "a customer was reached by a text message instead"),
    ("report-redelivered", "a batch of reports was handed out again"),
    ("cancel-refused", "a cancellation came after the pick-up"),
    ("booked-after-midnight", "a booking of one day was made on the next"),
    ("reply-lost", "a request was processed and its reply did not arrive"),
    ("turn-taken", "a parcel was begun before one of another seller that had come earlier"),
    ("late-effect", "a request was processed after its caller had gone"),
];

static ALL: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names: Vec<String> = NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.extend(Kind::ALL.iter().map(|kind| fault(*kind)));
    names.extend(edges("order", OrderState::ALL, OrderState::may_become));
    names.extend(edges("parcel", ParcelState::ALL, ParcelState::may_become));
    names.extend(edges("notice", NoticeState::ALL, NoticeState::may_become));
    for endpoint in CARRIER_ENDPOINTS.iter().chain(MESSENGER_ENDPOINTS) {
        names.push(format!("crash-during:{endpoint}"));
        names.push(format!("crash-after:{endpoint}"));
    }
    names.extend(STORE_OPERATIONS.iter().map(|op| after_transaction(op)));
    names.push(after_transaction("unit-of-work"));
    names
});

/// The name of "such a fault fired".
pub fn fault(kind: Kind) -> String {
    format!("fault:{kind}")
}

/// Transactions are named as the store's methods are, with hyphens.
fn after_transaction(op: &str) -> String {
    format!("crash-after:{}", op.replace('_', "-"))
}

fn edges<S: Copy + std::fmt::Display>(
    entity: &str,
    states: &[S],
    may_become: fn(S, S, By) -> bool,
) -> Vec<String> {
    let pairs = states.iter().flat_map(|from| states.iter().map(move |to| (*from, *to)));
    let walked = pairs.filter(|(from, to)| {
        may_become(*from, *to, By::Core) || may_become(*from, *to, By::Operator)
    });
    walked.map(|(from, to)| format!("{entity}:{from}-{to}")).collect()
}

/// Every name that a plan may demand.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(String::as_str)
}

/// Whether `name` is one of them.
pub fn knows(name: &str) -> bool {
    names().any(|known| known == name)
}

/// Everything that the run came through.
pub fn reached(evidence: &Evidence) -> BTreeSet<String> {
    let mut reached = Reached::default();
    reached.events(evidence);
    reached.crashes(evidence);
    reached.ledgers(evidence);
    reached.transitions(evidence);
    reached.add_if("turn-taken", evidence.turns().is_some_and(|turns| turns.overtook));
    for count in evidence.faults.iter().filter(|count| count.times > 0) {
        reached.0.insert(fault(count.fault.kind));
    }
    reached.0
}

#[derive(Default)]
struct Reached(BTreeSet<String>);

impl Reached {
    fn add(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    fn add_if(&mut self, name: &str, holds: bool) {
        if holds {
            self.add(name);
        }
    }

    fn events(&mut self, evidence: &Evidence) {
        let mut opened: BTreeSet<&str> = BTreeSet::new();
        for record in &evidence.records {
            match &record.what {
                What::Oms(Event::LeaseTaken { .. }) => self.add("lease-taken"),
                What::Oms(Event::Fenced { .. }) => self.add("fenced"),
                What::Oms(Event::QuotaBlocked { .. }) => self.add("quota-blocked"),
                What::Oms(Event::Parked { .. }) => self.add("operator-queue"),
                What::Oms(Event::Reconciled { to, .. }) => {
                    self.add_if("unknown-to-booked", to == "booked");
                    self.add_if("unknown-to-not-booked", to == "not-booked");
                }
                What::Oms(Event::Breaker { api, to }) => {
                    self.add_if("breaker-half-open", to == "half-open");
                    if to == "open" {
                        opened.insert(api);
                        self.add("breaker-opened");
                    }
                    // Closed from the start is no achievement.
                    self.add_if("breaker-closed", to == "closed" && opened.contains(api.as_str()));
                }
                What::Oms(Event::CallEnd { outcome, api, .. }) if outcome == "duplicate" => {
                    self.add("duplicate-answered");
                    self.add_if("notice-duplicate-answered", api == "messenger");
                }
                What::Drill(Step::NodeCrashed) => self.add("node-crashed"),
                What::Drill(Step::NodeStalled { .. }) => self.add("node-stalled"),
                _ => {}
            }
        }
    }

    /// What each node was at when it was killed: the calls in flight, the calls whose outcome was
    /// not yet written down, and the last thing that ended before.
    fn crashes(&mut self, evidence: &Evidence) {
        let mut open: BTreeMap<(Option<u32>, TaskId), &str> = BTreeMap::new();
        let mut answered: BTreeMap<(Option<u32>, TaskId), &str> = BTreeMap::new();
        let mut last: BTreeMap<Option<u32>, String> = BTreeMap::new();
        for record in &evidence.records {
            match &record.what {
                What::Oms(Event::CallBegin { task, endpoint, .. }) => {
                    answered.remove(&(record.node, *task));
                    open.insert((record.node, *task), endpoint);
                }
                What::Oms(Event::CallEnd { task, endpoint, .. }) => {
                    open.remove(&(record.node, *task));
                    answered.insert((record.node, *task), endpoint);
                    last.insert(record.node, format!("crash-after:{endpoint}"));
                }
                What::Oms(Event::TxBegin { task, .. }) => {
                    answered.remove(&(record.node, *task));
                }
                What::Oms(Event::TxEnd { op, .. }) => {
                    last.insert(record.node, after_transaction(op));
                }
                What::Drill(Step::NodeCrashed) => {
                    for endpoint in open.iter().filter(|((node, _), _)| *node == record.node) {
                        self.add(&format!("crash-during:{}", endpoint.1));
                    }
                    for endpoint in answered.iter().filter(|((node, _), _)| *node == record.node) {
                        self.add(&format!("crash-after:{}", endpoint.1));
                    }
                    answered.retain(|(node, _), _| *node != record.node);
                    if let Some(step) = last.remove(&record.node) {
                        self.add(&step);
                    }
                    open.retain(|(node, _), _| *node != record.node);
                }
                _ => {}
            }
        }
    }

    fn ledgers(&mut self, evidence: &Evidence) {
        let (carrier, messenger) = (&evidence.carrier, &evidence.messenger);
        let requests = || carrier.requests.iter().chain(&messenger.requests);
        self.add_if("rate-limited", requests().any(|request| request.status == Some(429)));
        self.add_if("ban", !carrier.bans.is_empty() || !messenger.bans.is_empty());
        let while_banned = carrier.calls_while_banned + messenger.totals.calls_while_banned;
        self.add_if("called-while-banned", while_banned > 0);
        self.add_if("token-renewed", carrier.totals.tokens_issued > 1);
        let fell_back = |message: &fake_kakao::ledger::Message| {
            message.delivered_via == fake_kakao::ledger::DeliveredVia::Sms
        };
        self.add_if("sms-fallback", messenger.messages.iter().any(fell_back));
        let lost = |request: &RequestRecord| {
            let arrived = matches!(request.reply, ReplyFate::Answered | ReplyFate::Pending);
            request.processed && !arrived
        };
        self.add_if("reply-lost", requests().any(lost));
        let late = |request: &RequestRecord| {
            let kind = request.fault.as_ref().map(|fault| fault.kind);
            request.processed && kind == Some(Kind::LateDelivery)
        };
        self.add_if("late-effect", requests().any(late));
        let refused = carrier.refusals.iter().any(|refusal| refusal.endpoint == "CnclBook");
        let picked_up = carrier.bookings.iter().any(|booking| booking.scanned_at.is_some());
        self.add_if("cancel-refused", refused && picked_up);
        let next_day = carrier
            .bookings
            .iter()
            .any(|booking| booking.booked_at.seoul_date() != booking.rcpt_ymd);
        self.add_if("booked-after-midnight", next_day);
        self.add_if("report-redelivered", was_redelivered(evidence));
    }

    fn transitions(&mut self, evidence: &Evidence) {
        for step in &evidence.rows.transitions {
            let Some(from) = &step.from else { continue };
            self.add(&format!("{}:{from}-{}", step.entity, step.to));
            let unknown = step.to == "unknown";
            self.add_if("unknown", unknown && step.entity == "parcel");
            self.add_if("notice-unknown", unknown && step.entity == "notice");
            self.add_if("operator-queue", step.to == "attention");
        }
    }
}

/// Whether reports whose batch, or its acknowledgement, got lost were fetched once more.
fn was_redelivered(evidence: &Evidence) -> bool {
    let requests = &evidence.messenger.requests;
    let after = evidence.plan.gateway.redeliver_after;
    let got_lost = |request: &&RequestRecord| match request.endpoint.as_str() {
        "report/polling" => request.processed && request.reply != ReplyFate::Answered,
        "report/ack" => !request.processed,
        _ => false,
    };
    requests.iter().filter(got_lost).any(|lost| {
        requests.iter().any(|again| {
            let polled = again.endpoint == "report/polling" && again.processed;
            polled && again.reply == ReplyFate::Answered && again.at >= lost.at + after
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::OrderOverride;
    use crate::testing::Builder;

    #[track_caller]
    fn check(builder: Builder, name: &str) {
        assert!(knows(name), "{name} is no name");
        let reached = reached(&builder.evidence());
        assert!(reached.contains(name), "{name} not in {reached:?}");
        assert!(!super::reached(&Builder::clean(2).evidence()).contains(name), "{name} is vacuous");
    }

    #[test]
    fn names_are_unique_and_every_kind_and_edge_has_one() {
        let all: BTreeSet<_> = names().collect();
        assert_eq!(all.len(), names().count());
        assert!(knows("fault:reset-after") && knows("order:shipped-notify-failed"));
        assert!(knows("crash-after:settle-parcel") && knows("crash-during:send/omni"));
        assert!(!knows("order:completed-received") && !knows("nonsense"));
    }

    #[test]
    fn what_a_clean_run_reaches_is_known_too() {
        let reached = reached(&Builder::clean(2).evidence());
        assert!(reached.iter().all(|name| knows(name)), "{reached:?}");
        assert!(reached.contains("order:shipped-completed"));
    }

    #[test]
    fn events_are_reached() {
        let event = |event: Event| Builder::clean(1).event(0, 500, event);
        let text = |text: &str| text.to_owned();
        check(event(Event::LeaseTaken { what: text("x"), state: text("y") }), "lease-taken");
        check(event(Event::Fenced { what: text("x") }), "fenced");
        check(event(Event::Parked { order: text("x"), reason: text("y") }), "operator-queue");
        for (to, name) in [("booked", "unknown-to-booked"), ("not-booked", "unknown-to-not-booked")]
        {
            let (parcel, how) = (text("x"), text("asked"));
            check(event(Event::Reconciled { parcel, to: text(to), how }), name);
        }
        let again = |endpoint: &str| {
            Builder::clean(1).call(0, 99, endpoint, "k", 1, 2, "duplicate", Some(200))
        };
        check(again("RegBook"), "duplicate-answered");
        check(again("send/omni"), "notice-duplicate-answered");
        check(Builder::clean(1).blocked("carrier", 1, 2), "quota-blocked");
        check(Builder::clean(1).stall(0, 1, 2), "node-stalled");
    }

    #[test]
    fn a_breaker_closes_only_after_it_opened() {
        let breaker = |to: &str| Event::Breaker { api: "carrier".to_owned(), to: to.to_owned() };
        let closed = Builder::clean(1).event(0, 1, breaker("closed"));
        assert!(!reached(&closed.evidence()).contains("breaker-closed"));
        let through = ["open", "half-open", "closed"].into_iter();
        let through =
            through.fold(Builder::clean(1), |builder, to| builder.event(0, 2, breaker(to)));
        for name in ["breaker-opened", "breaker-half-open", "breaker-closed"] {
            check(through.clone(), name);
        }
    }

    #[test]
    fn ledgers_are_read() {
        let clean = || Builder::clean(1);
        check(clean().carrier_ban(1, 2), "ban");
        check(clean().carrier_request("RegBook", 1, Some(429), None), "rate-limited");
        check(clean().carrier_request("RegBook", 1, None, Some(Kind::ResetAfter)), "reply-lost");
        check(clean().carrier_request("RegBook", 1, None, Some(Kind::LateDelivery)), "late-effect");
        let midnight = 14 * 3_600_000;
        check(clean().booking("ORD-1-1", "65", midnight), "booked-after-midnight");
    }

    #[test]
    fn lost_reports_that_are_fetched_again_are_redelivered() {
        let lost = || Builder::clean(1).messenger_fault("report/polling", 1_000, Kind::ResetAfter);
        let early = lost().messenger_request("report/polling", 30_999, 200);
        assert!(!reached(&early.evidence()).contains("report-redelivered"));
        check(lost().messenger_request("report/polling", 31_000, 200), "report-redelivered");
    }

    #[test]
    fn a_crash_is_placed_between_its_steps() {
        let crashed = Builder::clean(1)
            .tx(0, 7, "settle-parcel", 1_000, 1_001)
            .call_begins(0, 7, "RegBook", "ORD-1/1", 1_002)
            .crash(0, 1_003);
        check(crashed.clone(), "crash-during:RegBook");
        check(crashed.clone(), "crash-after:settle-parcel");
        check(crashed, "node-crashed");
        let other = Builder::clean(1).call_begins(1, 7, "RegBook", "k", 1_002).crash(0, 1_003);
        assert!(!reached(&other.evidence()).contains("crash-during:RegBook"));
    }

    #[test]
    fn a_turn_is_taken_where_a_later_parcel_of_another_seller_goes_first() {
        let seller = Some("shop".to_owned());
        let of_shop = OrderOverride { index: 2, seller, ..OrderOverride::default() };
        let sold = Builder::clean(2).plan(|plan| plan.workload.order = vec![of_shop]);
        assert!(!reached(&sold.evidence()).contains("turn-taken"), "first come, first served");
        let third = sold.orders_planned(3).walk("order", "ORD-3", &[("accepted", 9)]);
        check(third.call(0, 99, "RegBook", "ORD-3/1", 900, 950, "done", Some(200)), "turn-taken");
    }

    #[test]
    fn transitions_and_faults_are_named() {
        let walked = Builder::clean(1).walk("parcel", "ORD-1/1", &[("cancelling", 9_000)]);
        check(walked, "parcel:booked-cancelling");
        let fired = Builder::clean(1)
            .plan(|plan| plan.faults.push(faults::Fault::new(Kind::Busy)))
            .store_fault(5);
        check(fired, "fault:busy");
    }
}
