//! The request ledger: what truly happened to each request, in bounded memory.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clockwork::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::Call;
use crate::kind::Kind;

/// The ledger of all requests to one API. Clones share it.
///
/// The last `capacity` requests are kept whole; the counts beside them are exact for ever.
#[derive(Clone)]
pub struct Journal {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

/// Whoever is told of each request that has changed, in order.
type Listener = Arc<dyn Fn(&RequestRecord) + Send + Sync>;

/// One request and its fate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The request's number, from 1.
    pub id: u64,
    /// When it had wholly arrived.
    pub at: Timestamp,
    /// Who sent it.
    pub client: IpAddr,
    /// The endpoint's name.
    pub endpoint: String,
    /// The API's key of the business call.
    pub key: Option<String>,
    /// The how-manieth request with this endpoint and key, from 1.
    pub attempt: u32,
    /// The how-manieth request of this endpoint, from 1.
    pub nth: u64,
    /// The fault that hit it.
    pub fault: Option<FaultHit>,
    /// Whether the API's handler has run to its end. What it decided is in the API's own ledger.
    pub processed: bool,
    /// The HTTP status that was sent, or would have been had the caller waited.
    pub status: Option<u16>,
    /// What came back to the caller.
    pub reply: ReplyFate,
    /// When the reply left.
    pub replied_at: Option<Timestamp>,
}

/// Which fault hit a request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultHit {
    /// The fault's place in the list that was installed, from 0.
    pub index: usize,
    /// Its kind.
    pub kind: Kind,
    /// The triggers that held.
    pub why: String,
}

/// What came back to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyFate {
    /// Nothing yet.
    Pending,
    /// A whole reply.
    Answered,
    /// A reply whose body breaks off.
    Truncated,
    /// A connection reset.
    Reset,
    /// A cut connection, as for an unwanted client.
    Refused,
    /// Nothing, for ever.
    Hung,
    /// A reply, but the caller had gone.
    Abandoned,
}

/// Exact counts of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointCounts {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that a fault hit.
    pub faulted: u64,
    /// Requests whose handler ran to its end.
    pub processed: u64,
    /// Replies by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Fates, `pending` apart.
    pub replies: BTreeMap<ReplyFate, u64>,
}

/// A request's place in the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    id: u64,
    /// Tickets from before a reset point nowhere.
    epoch: u64,
}

/// How a request ended.
pub(crate) struct Outcome {
    pub status: Option<u16>,
    pub reply: ReplyFate,
}

struct State {
    capacity: usize,
    epoch: u64,
    last_id: u64,
    dropped: u64,
    entries: VecDeque<Entry>,
    counts: BTreeMap<String, EndpointCounts>,
    listener: Option<Listener>,
}

/// A [`RequestRecord`] as it is kept: sharing what many have in common.
struct Entry {
    call: Call,
    fault: Option<Box<FaultHit>>,
    processed: bool,
    status: Option<u16>,
    reply: ReplyFate,
    replied_at: Option<Timestamp>,
}

impl Entry {
    fn record(&self) -> RequestRecord {
        let call = &self.call;
        RequestRecord {
            id: call.id,
            at: call.at,
            client: call.client,
            endpoint: call.endpoint.as_ref().to_owned(),
            key: call.key.as_deref().map(str::to_owned),
            attempt: call.attempt,
            nth: call.nth,
            fault: self.fault.as_deref().cloned(),
            processed: self.processed,
            status: self.status,
            reply: self.reply,
            replied_at: self.replied_at,
        }
    }
}

impl Journal {
    /// How many requests the fakes keep: some 30 MiB.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// An empty journal that keeps the last `capacity` requests, at least one.
    pub fn new(clock: Arc<dyn Clock>, capacity: usize) -> Journal {
        let state = State {
            capacity: capacity.max(1),
            epoch: 0,
            last_id: 0,
            dropped: 0,
            entries: VecDeque::new(),
            counts: BTreeMap::new(),
            listener: None,
        };
        Journal { clock, state: Arc::new(Mutex::new(state)) }
    }

    /// Has `listener` told of each request from now on: when it arrives, is processed, and ends.
    pub(crate) fn on_change(&self, listener: Listener) {
        self.lock().listener = Some(listener);
    }

    /// Takes over what another journal knew, in order of arrival; numbers go on after the last.
    pub(crate) fn restore(&self, records: impl Iterator<Item = RequestRecord>) {
        let mut state = self.lock();
        for record in records {
            state.restore(record);
        }
    }

    /// The requests that are kept, in order of arrival.
    pub fn records(&self) -> Vec<RequestRecord> {
        self.lock().entries.iter().map(Entry::record).collect()
    }

    /// Exact counts by endpoint, of all requests.
    pub fn counts(&self) -> BTreeMap<String, EndpointCounts> {
        self.lock().counts.clone()
    }

    /// How many requests are no longer kept.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Forgets everything. Requests under way are forgotten too.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.epoch += 1;
        state.last_id = 0;
        state.dropped = 0;
        state.entries.clear();
        state.counts.clear();
    }

    /// Numbers a request and writes it down. `call.id` is set here.
    pub(crate) fn begin(&self, call: &mut Call, fault: Option<FaultHit>) -> Ticket {
        let mut state = self.lock();
        state.last_id += 1;
        call.id = state.last_id;
        let faulted = fault.is_some();
        state.count(&call.endpoint, |counts| {
            counts.requests += 1;
            counts.faulted += u64::from(faulted);
        });
        state.push(Entry {
            call: call.clone(),
            fault: fault.map(Box::new),
            processed: false,
            status: None,
            reply: ReplyFate::Pending,
            replied_at: None,
        });
        state.tell(call.id);
        Ticket { id: call.id, epoch: state.epoch }
    }

    /// The handler has run.
    pub(crate) fn processed(&self, ticket: Ticket, endpoint: &str) {
        self.lock().note_processed(ticket, endpoint);
    }

    /// The request has ended, with or without a reply.
    pub(crate) fn finish(&self, ticket: Ticket, endpoint: &str, processed: bool, end: Outcome) {
        let now = self.clock.now();
        let mut state = self.lock();
        if processed {
            state.note_processed(ticket, endpoint);
        }
        if ticket.epoch != state.epoch {
            return;
        }
        state.count(endpoint, |counts| {
            *counts.replies.entry(end.reply).or_default() += 1;
            if let Some(status) = end.status {
                *counts.statuses.entry(status).or_default() += 1;
            }
        });
        if let Some(entry) = state.entry(ticket) {
            entry.status = end.status;
            entry.reply = end.reply;
            entry.replied_at = (end.reply != ReplyFate::Hung).then_some(now);
        }
        state.tell(ticket.id);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the evidence would still be worth
        // reading.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_processed(&mut self, ticket: Ticket, endpoint: &str) {
        if ticket.epoch != self.epoch {
            return;
        }
        self.count(endpoint, |counts| counts.processed += 1);
        if let Some(entry) = self.entry(ticket) {
            entry.processed = true;
        }
        self.tell(ticket.id);
    }

    fn count(&mut self, endpoint: &str, note: impl FnOnce(&mut EndpointCounts)) {
        match self.counts.get_mut(endpoint) {
            Some(counts) => note(counts),
            None => note(self.counts.entry(endpoint.to_owned()).or_default()),
        }
    }

    /// Adds an entry; the oldest makes room.
    fn push(&mut self, entry: Entry) {
        if self.entries.len() == self.capacity {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
    }

    fn restore(&mut self, record: RequestRecord) {
        self.last_id = record.id;
        self.count(&record.endpoint, |counts| {
            counts.requests += 1;
            counts.faulted += u64::from(record.fault.is_some());
            counts.processed += u64::from(record.processed);
            *counts.replies.entry(record.reply).or_default() += 1;
            if let Some(status) = record.status {
                *counts.statuses.entry(status).or_default() += 1;
            }
        });
        let call = Call {
            id: record.id,
            at: record.at,
            client: record.client,
            endpoint: record.endpoint.into(),
            key: record.key.map(Arc::from),
            attempt: record.attempt,
            nth: record.nth,
        };
        self.push(Entry {
            call,
            fault: record.fault.map(Box::new),
            processed: record.processed,
            status: record.status,
            reply: record.reply,
            replied_at: record.replied_at,
        });
    }

    /// Tells the listener of the request with this number, if it is still kept.
    fn tell(&mut self, id: u64) {
        let Some(listener) = self.listener.clone() else { return };
        let ticket = Ticket { id, epoch: self.epoch };
        if let Some(entry) = self.entry(ticket) {
            listener(&entry.record());
        }
    }

    /// The entry of `ticket`, if it is still kept.
    fn entry(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let first = self.entries.front()?.call.id;
        let place = usize::try_from(ticket.id.checked_sub(first)?).ok()?;
        self.entries.get_mut(place).filter(|_| ticket.epoch == self.epoch)
    }
}
