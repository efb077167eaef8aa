//! Evidence by hand, for tests. Times are milliseconds since the run's start.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clockwork::Timestamp;
use fake_cj::ledger::{Ban, Booking, Violation};
use fake_kakao::ledger::{DeliveredVia, Message};
use faults::{FaultHit, Kind, ReplyFate, RequestRecord};
use oms_core::env::{Event, TaskId};
use oms_core::state::{By, NoticeState};
use oms_core::store::{MemberView, NoticeView, OrderView, ParcelView, Rows, Transition};

use crate::evidence::Evidence;
use crate::history::{FinalReads, History, Mode, Record, Step};
use crate::plan::{MESSENGER_ENDPOINTS, Plan, Site};
use crate::promises::Finding;
use crate::queue::{Hit, Kept};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a finding says, a violation a line.
pub(crate) fn said(finding: &Finding) -> String {
    finding.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A run, put together by hand.
#[derive(Clone)]
pub(crate) struct Builder {
    history: History,
}

impl Builder {
    /// A plan of so many healthy orders, of which nothing is known yet.
    pub fn new(orders: u32) -> Builder {
        let plan = Plan::healthy("by-hand", orders);
        let reads = FinalReads {
            at: plan.start + Duration::from_hours(1),
            carrier: fake_cj::Ledger::default(),
            messenger: fake_kakao::Ledger {
                messages: Vec::new(),
                sends: Vec::new(),
                duplicates: Vec::new(),
                rate_limited: Vec::new(),
                bans: Vec::new(),
                totals: fake_kakao::ledger::Totals::default(),
                requests: Vec::new(),
                requests_dropped: 0,
                counts: BTreeMap::new(),
            },
            rows: Rows::default(),
            fired: BTreeMap::new(),
            baseline: None,
            queue: None,
        };
        let (mode, records) = (Mode::Simulated, Vec::new());
        Builder { history: History { plan, mode, clock_factor: 1.0, records, reads } }
    }

    /// So many orders, 10 ms apart, each of which goes well and is completed after 300 ms.
    pub fn clean(orders: u32) -> Builder {
        (1..=orders).fold(Builder::new(orders), |builder, number| builder.clean_order(number))
    }

    fn clean_order(self, number: u32) -> Builder {
        let id = format!("ORD-{number}");
        let (parcel, notice) = (format!("{id}/1"), format!("{id}:shipped"));
        let invoice = format!("6500000000{number}1");
        let at = |ms: u64| u64::from(number - 1) * 10 + ms;
        let task = TaskId::from(number) * 10;
        self.offered(&id, at(0))
            .acknowledged(&id, at(0))
            .call(0, task, "RegBook", &parcel, at(50), at(100), "done", Some(200))
            .tx(0, task, "settle-parcel", at(105), at(110))
            .call(0, task + 1, "send/omni", &notice, at(200), at(290), "done", Some(200))
            .order(&id, "completed")
            .parcel(&id, 1, "booked", Some(&invoice))
            .notice(&id, "sent")
            .walk("order", &id, &[("received", at(0)), ("accepted", at(0))])
            .walk("parcel", &parcel, &[("planned", at(0)), ("intended", at(40))])
            .walk("parcel", &parcel, &[("booked", at(110))])
            .walk("order", &id, &[("shipped", at(110)), ("completed", at(300))])
            .walk("notice", &notice, &[("queued", at(110)), ("sending", at(200))])
            .walk("notice", &notice, &[("sent", at(300))])
            .booking(&format!("{id}-1"), &invoice, at(80))
            .message(&notice, &format!("주문 {id} 운송장번호 {invoice}"), at(250))
    }

    pub fn history(self) -> History {
        let mut history = self.history;
        history.records.sort_by_key(|record| record.at);
        history
    }

    pub fn evidence(&self) -> Evidence {
        Evidence::from(self.clone().history())
    }

    pub fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Builder {
        change(&mut self.history.plan);
        self
    }

    pub fn orders_planned(self, orders: u32) -> Builder {
        self.plan(|plan| plan.workload.orders = orders)
    }

    pub fn live(mut self, clock_factor: f64) -> Builder {
        (self.history.mode, self.history.clock_factor) = (Mode::Live, clock_factor);
        self
    }

    pub fn baseline(mut self, ms: u64) -> Builder {
        self.history.reads.baseline = Some(Duration::from_millis(ms));
        self
    }

    fn at(&self, ms: u64) -> Timestamp {
        self.history.plan.start + Duration::from_millis(ms)
    }

    /// A message that the broker kept, and handed out in the same moment.
    pub fn kept(mut self, topic: &str, id: &str, ms: u64) -> Builder {
        let published = self.at(ms);
        let (topic, id, delivered) = (topic.to_owned(), id.to_owned(), vec![published]);
        let kept = Kept { topic, id, published, delivered, acked: None, dead: None };
        self.history.reads.queue.get_or_insert_default().messages.push(kept);
        self
    }

    /// The broker handed out again what it keeps.
    pub fn delivered_again(mut self, id: &str, ms: u64) -> Builder {
        let at = self.at(ms);
        let kept = self.history.reads.queue.iter_mut().flat_map(|queue| &mut queue.messages);
        kept.filter(|kept| kept.id == id).for_each(|kept| kept.delivered.push(at));
        self
    }

    /// A fault hit what was done with a message.
    pub fn hit_queue(mut self, kind: Kind, operation: &str, id: &str, ms: u64) -> Builder {
        let by = FaultHit { index: 0, kind, why: "nth 1".to_owned() };
        let (operation, id) = (operation.to_owned(), id.to_owned());
        let hit = Hit { at: self.at(ms), operation, id, by };
        self.history.reads.queue.get_or_insert_default().hits.push(hit);
        self
    }

    // What happened.

    fn record(mut self, ms: u64, node: Option<u32>, step: Step) -> Builder {
        let at = self.at(ms);
        self.history.records.push(Record::drill(at, node, step));
        self
    }

    pub fn event(mut self, node: u32, ms: u64, event: Event) -> Builder {
        let at = self.at(ms);
        self.history.records.push(Record::oms(at, node, event));
        self
    }

    pub fn offered(self, order: &str, ms: u64) -> Builder {
        self.record(ms, None, Step::OrderOffered { order: order.to_owned() })
    }

    pub fn acknowledged(self, order: &str, ms: u64) -> Builder {
        self.record(ms, None, Step::OrderAcknowledged { order: order.to_owned() })
    }

    pub fn refused(self, order: &str, why: &str) -> Builder {
        let (order, why) = (order.to_owned(), why.to_owned());
        self.record(0, None, Step::OrderRefused { order, why })
    }

    pub fn cancel_asked(self, order: &str, ms: u64) -> Builder {
        self.record(ms, None, Step::CancelAsked { order: order.to_owned() })
    }

    pub fn crash(self, node: u32, ms: u64) -> Builder {
        self.record(ms, Some(node), Step::NodeCrashed)
    }

    pub fn stall(self, node: u32, ms: u64, until: u64) -> Builder {
        let until = self.at(until);
        self.record(ms, Some(node), Step::NodeStalled { until })
    }

    pub fn fired(self, site: Site, fault: usize, ms: u64) -> Builder {
        self.record(ms, None, Step::FaultFired { site, fault, hit: "it".to_owned() })
    }

    pub fn skipped(self, fault: usize, why: &str) -> Builder {
        self.record(0, None, Step::FaultSkipped { fault, why: why.to_owned() })
    }

    /// The plan's first fault, one of the store, fired so often, nobody knows when.
    pub fn counted(mut self, times: u64) -> Builder {
        let fault = self.history.plan.faults[0].clone();
        self.history.reads.fired.insert(Site::Store, vec![faults::Fired { fault, times }]);
        self
    }

    pub fn store_fault(self, ms: u64) -> Builder {
        self.fired(Site::Store, 0, ms)
    }

    pub fn fenced(self, what: &str, ms: u64) -> Builder {
        self.event(0, ms, Event::Fenced { what: what.to_owned() })
    }

    pub fn blocked(self, quota: &str, ms: u64, until: u64) -> Builder {
        let (quota, until) = (quota.to_owned(), self.at(until));
        self.event(0, ms, Event::QuotaBlocked { quota, until, why: "rate-limited".to_owned() })
    }

    pub fn tx_begins(self, node: u32, task: TaskId, op: &str, ms: u64) -> Builder {
        self.event(node, ms, Event::TxBegin { task, op: op.to_owned() })
    }

    pub fn tx_ends(self, node: u32, task: TaskId, op: &str, ms: u64) -> Builder {
        self.event(node, ms, Event::TxEnd { task, op: op.to_owned(), committed: true })
    }

    pub fn tx(self, node: u32, task: TaskId, op: &str, from: u64, until: u64) -> Builder {
        self.tx_begins(node, task, op, from).tx_ends(node, task, op, until)
    }

    pub fn call_begins(
        self,
        node: u32,
        task: TaskId,
        endpoint: &str,
        key: &str,
        ms: u64,
    ) -> Builder {
        let (api, key) = (api_of(endpoint), key.to_owned());
        self.event(node, ms, Event::CallBegin { task, api, endpoint: endpoint.to_owned(), key })
    }

    #[expect(clippy::too_many_arguments, reason = "a call has so many sides")]
    pub fn call_ends(
        self,
        node: u32,
        task: TaskId,
        endpoint: &str,
        key: &str,
        ms: u64,
        outcome: &str,
        status: Option<u16>,
    ) -> Builder {
        let event = Event::CallEnd {
            task,
            api: api_of(endpoint),
            endpoint: endpoint.to_owned(),
            key: key.to_owned(),
            outcome: outcome.to_owned(),
            status,
        };
        self.event(node, ms, event)
    }

    #[expect(clippy::too_many_arguments, reason = "a call has so many sides")]
    pub fn call(
        self,
        node: u32,
        task: TaskId,
        endpoint: &str,
        key: &str,
        from: u64,
        until: u64,
        outcome: &str,
        status: Option<u16>,
    ) -> Builder {
        self.call_begins(node, task, endpoint, key, from)
            .call_ends(node, task, endpoint, key, until, outcome, status)
    }

    // What the database holds.

    fn row(&mut self, order: &str) -> &mut OrderView {
        let at = self.history.plan.start;
        let rows = &mut self.history.reads.rows.orders;
        let place = match rows.iter().position(|row| row.id == order) {
            Some(place) => place,
            None => {
                rows.push(OrderView {
                    id: order.to_owned(),
                    state: oms_core::state::OrderState::Received,
                    reason: None,
                    created_at: at,
                    updated_at: at,
                    parcels: Vec::new(),
                    notices: Vec::new(),
                });
                rows.len() - 1
            }
        };
        &mut rows[place]
    }

    pub fn order(mut self, order: &str, state: &str) -> Builder {
        self.row(order).state = state.parse().unwrap();
        self
    }

    pub fn drill(mut self, ms: u64, step: Step) -> Builder {
        let at = self.at(ms);
        self.history.records.push(Record::drill(at, None, step));
        self
    }

    /// A sign-up that goes well: confirmed at `ms`, whole, and welcomed.
    pub fn signed_up(mut self, member: &str, ms: u64) -> Builder {
        let at = self.at(ms);
        self.history.reads.rows.members.push(MemberView {
            id: member.to_owned(),
            created_at: Some(at),
            profile: true,
            consents: ["marketing", "privacy", "terms"].map(str::to_owned).to_vec(),
            notices: vec![NoticeView {
                event: "welcome".to_owned(),
                state: NoticeState::Sent,
                msg_key: None,
                report_code: None,
                report_channel: None,
                reason: None,
            }],
        });
        self.drill(ms, Step::SignUpConfirmed { member: member.to_owned() }).message(
            &format!("member:{member}:welcome"),
            "",
            ms + 100,
        )
    }

    /// Changes the row of a member.
    pub fn member(mut self, member: &str, change: impl FnOnce(&mut MemberView)) -> Builder {
        let rows = &mut self.history.reads.rows.members;
        change(rows.iter_mut().find(|row| row.id == member).unwrap());
        self
    }

    pub fn forget_members(mut self) -> Builder {
        self.history.reads.rows.members.clear();
        self.without_messages()
    }

    pub fn lose(mut self, order: &str) -> Builder {
        self.history.reads.rows.orders.retain(|row| row.id != order);
        self
    }

    pub fn parcel(
        mut self,
        order: &str,
        number: u32,
        state: &str,
        invoice: Option<&str>,
    ) -> Builder {
        let view = ParcelView {
            number,
            state: state.parse().unwrap(),
            cust_use_no: invoice.map(|_| format!("{order}-{number}")),
            invoice_no: invoice.map(str::to_owned),
            reason: None,
            unknown_since: None,
        };
        let parcels = &mut self.row(order).parcels;
        match parcels.iter_mut().find(|parcel| parcel.number == number) {
            Some(parcel) => *parcel = view,
            None => parcels.push(view),
        }
        self
    }

    /// Adds planned parcels until there are so many.
    pub fn parcels(self, order: &str, count: u32) -> Builder {
        (2..=count).fold(self, |builder, number| builder.parcel(order, number, "planned", None))
    }

    pub fn reason(mut self, order: &str, reason: &str) -> Builder {
        self.row(order).parcels[0].reason = Some(reason.to_owned());
        self
    }

    pub fn notice(mut self, order: &str, state: &str) -> Builder {
        let view = NoticeView {
            event: "shipped".to_owned(),
            state: state.parse().unwrap(),
            msg_key: None,
            report_code: None,
            report_channel: None,
            reason: None,
        };
        self.row(order).notices = vec![view];
        self
    }

    pub fn step(
        mut self,
        entity: &str,
        key: &str,
        from: Option<&str>,
        to: &str,
        ms: u64,
    ) -> Builder {
        let at = self.at(ms);
        let log = &mut self.history.reads.rows.transitions;
        log.push(Transition {
            id: i64::try_from(log.len()).unwrap() + 1,
            at,
            entity: entity.to_owned(),
            key: key.to_owned(),
            from: from.map(str::to_owned),
            to: to.to_owned(),
            by: By::Core,
        });
        self
    }

    /// Goes on from where `key` stands.
    pub fn walk(self, entity: &str, key: &str, steps: &[(&str, u64)]) -> Builder {
        steps.iter().fold(self, |builder, (to, ms)| {
            let log = builder.history.reads.rows.transitions.iter();
            let last = log.rev().find(|step| step.entity == entity && step.key == key);
            let from = last.map(|step| step.to.clone());
            builder.step(entity, key, from.as_deref(), to, *ms)
        })
    }

    /// Another life from the birth on.
    pub fn rewalk(mut self, entity: &str, key: &str, steps: &[&str]) -> Builder {
        let log = &mut self.history.reads.rows.transitions;
        log.retain(|step| step.entity != entity || step.key != key);
        steps.iter().fold(self, |builder, to| builder.walk(entity, key, &[(to, 500)]))
    }

    pub fn walk_by_operator(self, entity: &str, key: &str, to: &str, ms: u64) -> Builder {
        let mut builder = self.walk(entity, key, &[(to, ms)]);
        builder.history.reads.rows.transitions.last_mut().unwrap().by = By::Operator;
        builder
    }

    // What the carrier holds.

    pub fn booking(mut self, reference: &str, invoice: &str, ms: u64) -> Builder {
        let booked_at = self.at(ms);
        let bookings = &mut self.history.reads.carrier.bookings;
        let id = bookings.len() as u64 + 1;
        bookings.push(Booking {
            id,
            cust_use_no: reference.to_owned(),
            mpck_key: format!("20261121_30000001_{reference}"),
            invoice_no: invoice.to_owned(),
            rcpt_ymd: "20261121".to_owned(),
            booked_at,
            request_id: id,
            cancelled_at: None,
            cancel_request_id: None,
            scanned_at: None,
            state: fake_cj::tracking::ParcelState::PickupOrdered,
        });
        self
    }

    pub fn cancel_booking(mut self, invoice: &str, ms: u64) -> Builder {
        let at = self.at(ms);
        let mut bookings = self.history.reads.carrier.bookings.iter_mut();
        bookings.find(|booking| booking.invoice_no == invoice).unwrap().cancelled_at = Some(at);
        self
    }

    pub fn carrier_request(
        self,
        endpoint: &str,
        ms: u64,
        status: Option<u16>,
        fault: Option<Kind>,
    ) -> Builder {
        self.carrier_request_for(endpoint, "", ms, status, fault)
    }

    pub fn carrier_request_for(
        mut self,
        endpoint: &str,
        key: &str,
        ms: u64,
        status: Option<u16>,
        fault: Option<Kind>,
    ) -> Builder {
        let at = self.at(ms);
        let requests = &mut self.history.reads.carrier.requests;
        requests.push(request(requests.len(), endpoint, key, at, status, fault));
        self
    }

    pub fn carrier_violation(mut self, request_id: u64, ms: u64) -> Builder {
        let (at, window) = (self.at(ms), "10/1s".to_owned());
        let violation = Violation { at, client: HERE, request_id, window };
        self.history.reads.carrier.violations.push(violation);
        self
    }

    pub fn carrier_ban(mut self, from: u64, until: u64) -> Builder {
        let (from, until) = (self.at(from), self.at(until));
        self.history.reads.carrier.bans.push(Ban { client: HERE, from, until });
        self
    }

    // What the gateway holds.

    pub fn message(mut self, reference: &str, text: &str, ms: u64) -> Builder {
        let at = self.at(ms);
        let ledger = &mut self.history.reads.messenger;
        let answered = request(ledger.requests.len(), "send/omni", reference, at, Some(200), None);
        ledger.messages.push(Message {
            msg_key: format!("KEY-{}", ledger.messages.len() + 1),
            request_id: String::new(),
            request: answered.id,
            to_masked: "010****5678".to_owned(),
            recipient_hash: "a".repeat(16),
            reference: Some(reference.to_owned()),
            idempotency_key: Some(reference.to_owned()),
            at,
            text: text.to_owned(),
            template_code: Some("ORDER_SHIPPED".to_owned()),
            variables: BTreeMap::new(),
            channels: Vec::new(),
            delivered_via: DeliveredVia::None,
            report_code: None,
            reported_at: None,
        });
        ledger.requests.push(answered);
        self
    }

    pub fn message_unanswered(mut self, reference: &str) -> Builder {
        for request in &mut self.history.reads.messenger.requests {
            if request.key.as_deref() == Some(reference) {
                request.reply = ReplyFate::Reset;
            }
        }
        self
    }

    pub fn messages_dropped(mut self, count: u64) -> Builder {
        self.history.reads.messenger.totals.messages_dropped = count;
        self
    }

    pub fn without_messages(mut self) -> Builder {
        self.history.reads.messenger.messages.clear();
        self
    }

    pub fn messenger_request(mut self, endpoint: &str, ms: u64, status: u16) -> Builder {
        let at = self.at(ms);
        let requests = &mut self.history.reads.messenger.requests;
        requests.push(request(requests.len(), endpoint, "", at, Some(status), None));
        self
    }

    pub fn messenger_fault(mut self, endpoint: &str, ms: u64, kind: Kind) -> Builder {
        let at = self.at(ms);
        let requests = &mut self.history.reads.messenger.requests;
        requests.push(request(requests.len(), endpoint, "", at, None, Some(kind)));
        self
    }
}

fn api_of(endpoint: &str) -> String {
    let messenger = MESSENGER_ENDPOINTS.contains(&endpoint);
    if messenger { "messenger" } else { "carrier" }.to_owned()
}

/// A request that was processed, and answered 10 ms later if it has a status.
fn request(
    before: usize,
    endpoint: &str,
    key: &str,
    at: Timestamp,
    status: Option<u16>,
    fault: Option<Kind>,
) -> RequestRecord {
    let replied_at = at + Duration::from_millis(10);
    RequestRecord {
        id: before as u64 + 1,
        at,
        client: HERE,
        endpoint: endpoint.to_owned(),
        key: Some(key.to_owned()).filter(|key| !key.is_empty()),
        attempt: 1,
        nth: 1,
        fault: fault.map(|kind| FaultHit { index: 0, kind, why: "always".to_owned() }),
        processed: status != Some(429),
        status,
        reply: if status.is_some() { ReplyFate::Answered } else { ReplyFate::Reset },
        replied_at: Some(replied_at),
    }
}
