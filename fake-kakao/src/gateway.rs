//! The gateway itself: everything that it knows, and every decision, each made in one go.
//!
//! Nothing here waits or reads a clock: `now` is an argument, and the caller holds the lock around
//! a whole decision.

mod accept;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use clockwork::{Entropy, Timestamp};

use crate::codes::{Code, GatewayCode};
use crate::config::{Config, DuplicateLevel, Limits, RetryAfter, Secret};
use crate::idempotency::Keys;
use crate::ledger::{
    Accepted, Ban, Duplicate, Message, RateLimited, Ring, Sends, Totals, count_sends,
};
use crate::limits::Bucket;
use crate::reports::Reports;
use crate::wire::{
    DestinationResult, MessageStatus, Payload, Polled, Reply, Report, SendRequest, channel_names,
    seoul_time,
};

/// How long a report can be looked up (Bizgo: 30 days).
const REPORT_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);
/// What the service writes into `reportType`; the provider documents no values.
const REPORT_TYPE: &str = "REPORT";
/// The characters that tell the messages of one request apart, at the end of a message's key.
const PLACE_LENGTH: usize = 3;

/// Who calls: what the handlers read from a request's head.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The request's number in the journal.
    pub request: u64,
    /// Its address.
    pub client: IpAddr,
    /// What it gave as `Authorization`.
    pub authorization: Option<String>,
}

/// What the gateway knows.
pub(crate) struct Gateway {
    config: Arc<Config>,
    api_key: Secret,
    entropy: Entropy,
    sends: Bucket,
    others: Bucket,
    keys: Keys,
    reports: Reports,
    messages: BTreeMap<String, Accepted>,
    requests_accepted: u64,
    duplicates: Ring<Duplicate>,
    rate_limited: Ring<RateLimited>,
    bans: Ring<Ban>,
    banned_until: BTreeMap<IpAddr, Timestamp>,
    totals: Totals,
}

/// Why a whole request is refused.
#[derive(Clone, Copy)]
enum Refusal {
    /// By the gateway, before the service.
    Gateway(GatewayCode),
    /// By the service.
    Service(Code),
    /// By a limit, which may say in how many seconds to come back.
    RateLimit(Option<u64>),
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Refusal {
        Refusal::Service(code)
    }
}

/// The gateway's part of a ledger.
pub(crate) struct Evidence {
    pub messages: Vec<Message>,
    pub sends: Vec<Sends>,
    pub duplicates: Vec<Duplicate>,
    pub rate_limited: Vec<RateLimited>,
    pub bans: Vec<Ban>,
    pub totals: Totals,
}

impl Gateway {
    pub fn new(config: Arc<Config>, api_key: Secret, entropy: Entropy) -> Gateway {
        let capacity = config.ledger_capacity;
        Gateway {
            sends: Bucket::full(config.sends_per_second),
            others: Bucket::full(config.requests_per_second),
            config,
            api_key,
            entropy,
            keys: Keys::default(),
            reports: Reports::default(),
            messages: BTreeMap::new(),
            requests_accepted: 0,
            duplicates: Ring::new(capacity),
            rate_limited: Ring::new(capacity),
            bans: Ring::new(capacity),
            banned_until: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    /// Forgets everything that happened.
    pub fn reset(&mut self) {
        let config = Arc::clone(&self.config);
        *self = Gateway::new(config, self.api_key.clone(), self.entropy);
    }

    /// Forgets the idempotency keys.
    pub fn forget_keys(&mut self) {
        self.keys = Keys::default();
    }

    /// What happened, as of `now`.
    pub fn evidence(&self, now: Timestamp) -> Evidence {
        let messages: Vec<Message> =
            self.messages.values().map(|accepted| accepted.as_of(now)).collect();
        Evidence {
            sends: count_sends(&messages),
            messages,
            duplicates: self.duplicates.to_vec(),
            rate_limited: self.rate_limited.to_vec(),
            bans: self.bans.to_vec(),
            totals: self.totals,
        }
    }

    /// Blocks `client` from `now` on, for `length` or as long as the configuration says.
    pub fn ban(&mut self, client: IpAddr, length: Option<Duration>, now: Timestamp) -> Reply {
        let until = now + length.unwrap_or(self.config.ban_for);
        self.banned_until.insert(client, until);
        self.bans.push(Ban { client, from: now, until });
        Reply::refused(Code::BlockedAccount)
    }

    /// `POST send/omni`.
    pub fn send(
        &mut self,
        caller: &Caller,
        request: Result<SendRequest, Code>,
        now: Timestamp,
    ) -> Reply {
        let reference = request.as_ref().ok().and_then(|request| request.reference.clone());
        let sent = self.try_send(caller, request, now);
        let sent = sent.map(|destinations| Some(Payload::Sent { destinations }));
        reply_of(sent).with_reference(reference)
    }

    fn try_send(
        &mut self,
        caller: &Caller,
        request: Result<SendRequest, Code>,
        now: Timestamp,
    ) -> Result<Vec<DestinationResult>, Refusal> {
        self.admit(caller, now)?;
        let request = request?;
        let recipients = accept::recipient_count(&request)?;
        self.charge_send(caller, recipients, now)?;
        let config = Arc::clone(&self.config);
        let order = accept::check(&config, &request)?;
        if let Some((key, _)) = &order.idempotency
            && !config.forgets_keys
            && self.keys.remembers(key, now)
        {
            self.note_duplicate(caller, key.clone(), request.reference.clone(), now);
            return match config.idempotency {
                DuplicateLevel::Request => Err(Refusal::Service(Code::Duplicate)),
                DuplicateLevel::Destination => Ok(accept::refuse_all(&request, Code::Duplicate)),
            };
        }
        Ok(self.accept(caller, &request, &order, now))
    }

    /// Accepts what can be; remembers the key if anything was. A request of which nothing was
    /// accepted leaves its key free, so that A301 always means "sent before".
    fn accept(
        &mut self,
        caller: &Caller,
        request: &SendRequest,
        order: &accept::Order<'_>,
        now: Timestamp,
    ) -> Vec<DestinationResult> {
        let request_id = request_id(now, self.requests_accepted + 1);
        let mut results = Vec::with_capacity(request.destinations.len());
        let mut accepted_any = false;
        for (place, destination) in request.destinations.iter().enumerate() {
            let result = match accept::prepare(&self.config, order, destination) {
                Ok(prepared) => {
                    accepted_any = true;
                    let msg_key = format!("{request_id}{place:0width$}", width = PLACE_LENGTH);
                    let keys = accept::Keyed { msg_key, request_id: &request_id };
                    let accepted =
                        prepared.deliver(&self.config, self.entropy, caller, keys, order, now);
                    let result = accept::result_of(destination, Ok(&accepted.message.msg_key));
                    self.keep(accepted);
                    result
                }
                Err(code) => {
                    self.totals.destinations_refused += 1;
                    accept::result_of(destination, Err(code))
                }
            };
            results.push(result);
        }
        if accepted_any {
            self.requests_accepted += 1;
            if let Some((key, ttl)) = &order.idempotency {
                self.keys.remember(key, *ttl, now);
            }
        }
        results
    }

    fn keep(&mut self, accepted: Accepted) {
        self.totals.accepted += 1;
        self.reports.add(&accepted.message.msg_key, accepted.reported_at());
        self.messages.insert(accepted.message.msg_key.clone(), accepted);
        if self.messages.len() > self.config.ledger_capacity
            && let Some((msg_key, oldest)) = self.messages.pop_first()
        {
            self.reports.forget(&msg_key, oldest.reported_at());
            self.totals.messages_dropped += 1;
        }
    }

    fn note_duplicate(
        &mut self,
        caller: &Caller,
        idempotency_key: String,
        reference: Option<String>,
        at: Timestamp,
    ) {
        self.totals.duplicates += 1;
        let request = caller.request;
        self.duplicates.push(Duplicate { at, request, idempotency_key, reference });
    }

    /// `GET report/polling`.
    pub fn poll(&mut self, caller: &Caller, now: Timestamp) -> Reply {
        self.other(caller, now, |gateway| {
            let batch = gateway.reports.poll(now, gateway.config.redeliver_after);
            let polled = match batch {
                Some(batch) => Polled {
                    report_id: batch.report_id,
                    report: Some(gateway.reports_of(&batch.msg_keys)),
                },
                None => Polled { report_id: String::new(), report: None },
            };
            Ok(Some(Payload::Polled(polled)))
        })
    }

    /// `DELETE report/polling/{reportId}`.
    pub fn acknowledge(&mut self, caller: &Caller, report_id: &str, now: Timestamp) -> Reply {
        self.other(caller, now, |gateway| {
            let known = gateway.reports.acknowledge(report_id);
            if known { Ok(None) } else { Err(Code::InvalidReportId) }
        })
    }

    /// `GET report/inquiry/{msgKey}`.
    pub fn report(&mut self, caller: &Caller, msg_key: &str, now: Timestamp) -> Reply {
        self.other(caller, now, |gateway| {
            let accepted = gateway.messages.get(msg_key).ok_or(Code::NotFound)?;
            if now.since(accepted.message.at) > REPORT_KEPT {
                return Err(Code::NotFound);
            }
            let known = accepted.reported_at() <= now;
            let report = known.then(|| report_of(accepted)).flatten().into_iter().collect();
            Ok(Some(Payload::Reports { report }))
        })
    }

    /// `GET message/inquiry/msgKey/{msgKey}`.
    pub fn message(&mut self, caller: &Caller, msg_key: &str, now: Timestamp) -> Reply {
        self.other(caller, now, |gateway| {
            let accepted = gateway.messages.get(msg_key).ok_or(Code::NotFound)?;
            Ok(Some(Payload::Messages { messages: statuses_of(accepted, now) }))
        })
    }

    /// `GET message/inquiry/requestId/{requestId}`.
    pub fn messages_of(&mut self, caller: &Caller, request_id: &str, now: Timestamp) -> Reply {
        self.other(caller, now, |gateway| {
            let from_here = gateway.messages.range(request_id.to_owned()..);
            let messages: Vec<MessageStatus> = from_here
                .map_while(|(_, row)| (row.message.request_id == request_id).then_some(row))
                .flat_map(|accepted| statuses_of(accepted, now))
                .collect();
            if messages.is_empty() {
                return Err(Code::NotFound);
            }
            Ok(Some(Payload::Messages { messages }))
        })
    }

    /// Any endpoint but sending: admitted, charged, answered.
    fn other(
        &mut self,
        caller: &Caller,
        now: Timestamp,
        answer: impl FnOnce(&mut Gateway) -> Result<Option<Payload>, Code>,
    ) -> Reply {
        let admitted = self.admit(caller, now).and_then(|()| self.charge_other(caller, now));
        reply_of(admitted.and_then(|()| answer(self).map_err(Refusal::Service)))
    }

    /// Lets the caller in, or not: the key, then the ban.
    fn admit(&mut self, caller: &Caller, now: Timestamp) -> Result<(), Refusal> {
        if caller.authorization.as_deref() != Some(self.api_key.reveal()) {
            return Err(Refusal::Gateway(GatewayCode::Unauthorized));
        }
        match self.banned_until.get(&caller.client) {
            Some(until) if now < *until => {
                self.totals.calls_while_banned += 1;
                Err(Refusal::Service(Code::BlockedAccount))
            }
            Some(_) => {
                self.banned_until.remove(&caller.client);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn charge_send(&mut self, caller: &Caller, tokens: u32, now: Timestamp) -> Result<(), Refusal> {
        if self.config.limits == Limits::Off {
            return Ok(());
        }
        let taken = self.sends.take(tokens, now);
        taken.map_err(|wait| self.rate_limit(caller, "send/omni", tokens, wait, now))
    }

    fn charge_other(&mut self, caller: &Caller, now: Timestamp) -> Result<(), Refusal> {
        if self.config.limits == Limits::Off {
            return Ok(());
        }
        let taken = self.others.take(1, now);
        taken.map_err(|wait| self.rate_limit(caller, "other", 1, wait, now))
    }

    fn rate_limit(
        &mut self,
        caller: &Caller,
        limit: &str,
        tokens: u32,
        wait: Duration,
        at: Timestamp,
    ) -> Refusal {
        self.totals.rate_limited += 1;
        let request = caller.request;
        self.rate_limited.push(RateLimited { at, request, limit: limit.to_owned(), tokens });
        let seconds = u64::try_from(wait.as_micros().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Refusal::RateLimit(match self.config.retry_after {
            RetryAfter::Absent => None,
            RetryAfter::Seconds => Some(seconds),
        })
    }

    fn reports_of(&self, msg_keys: &[String]) -> Vec<Report> {
        msg_keys.iter().filter_map(|msg_key| report_of(self.messages.get(msg_key)?)).collect()
    }
}

fn reply_of(outcome: Result<Option<Payload>, Refusal>) -> Reply {
    match outcome {
        Ok(payload) => Reply::success(payload),
        Err(Refusal::Gateway(code)) => Reply::gateway(code),
        Err(Refusal::Service(code)) => Reply::refused(code),
        Err(Refusal::RateLimit(retry_after)) => {
            Reply { retry_after, ..Reply::refused(Code::RateLimit) }
        }
    }
}

/// The key of a request: the moment in Seoul to the millisecond, three letters, the request's
/// number. As the real one it has 29 characters, and a message's key has three digits more.
fn request_id(now: Timestamp, number: u64) -> String {
    let millis = now.micros().rem_euclid(1_000_000) / 1_000;
    format!("{}{millis:03}POM{:09}", now.seoul_compact(), number % 1_000_000_000)
}

/// The report of a message whose outcome is known: that of the last channel tried.
fn report_of(accepted: &Accepted) -> Option<Report> {
    let message = &accepted.message;
    let (channel, _, last) = accepted.attempts.last()?;
    let (service_type, msg_type) = channel_names(*channel);
    Some(Report {
        msg_key: message.msg_key.clone(),
        service_type: service_type.to_owned(),
        msg_type: msg_type.to_owned(),
        send_time: seoul_time(last.sent_at),
        report_time: seoul_time(last.reported_at),
        report_type: REPORT_TYPE.to_owned(),
        report_code: last.code.code().to_owned(),
        report_text: last.code.text().to_owned(),
        reference: message.reference.clone(),
    })
}

/// Where a message stands at `now`: a row for each channel tried so far.
fn statuses_of(accepted: &Accepted, now: Timestamp) -> Vec<MessageStatus> {
    let message = &accepted.message;
    let tried = accepted.attempts.iter().filter(|(_, _, attempt)| attempt.sent_at <= now);
    tried
        .enumerate()
        .map(|(place, (channel, _, attempt))| {
            let (service_type, msg_type) = channel_names(*channel);
            let reported = (attempt.reported_at <= now).then_some(attempt);
            MessageStatus {
                msg_key: message.msg_key.clone(),
                service_type: service_type.to_owned(),
                msg_type: msg_type.to_owned(),
                to: accepted.to.clone(),
                fallback: if place == 0 { "N" } else { "Y" }.to_owned(),
                response_code: Code::Success.code().to_owned(),
                response_text: Code::Success.result().to_owned(),
                request_time: seoul_time(message.at),
                send_time: seoul_time(attempt.sent_at),
                report_time: reported.map(|attempt| seoul_time(attempt.reported_at)),
                report_type: reported.map(|_| REPORT_TYPE.to_owned()),
                report_code: reported.map(|attempt| attempt.code.code().to_owned()),
                report_text: reported.map(|attempt| attempt.code.text().to_owned()),
                reference: message.reference.clone(),
            }
        })
        .collect()
}
