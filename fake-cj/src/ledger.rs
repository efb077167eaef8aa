//! What truly happened: the evidence, kept apart from what the API says.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use clockwork::Timestamp;
use faults::{EndpointCounts, RequestRecord};
use serde::{Deserialize, Serialize};

use crate::tracking::ParcelState;

/// A snapshot of the evidence. No names, addresses, telephone numbers or whole tokens.
///
/// Bookings are complete; of each other list the latest entries are here (as many as the settings
/// say), and [`Totals`] counts them all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Every booking ever made, in order.
    pub bookings: Vec<Booking>,
    /// Numbers that `ReqInvcNo` handed out.
    pub invoices_issued: Vec<InvoiceIssued>,
    /// Tokens made anew; the same token given again is none.
    pub tokens_issued: Vec<TokenIssued>,
    /// Calls that were one too many for a window.
    pub violations: Vec<Violation>,
    /// Bans, whether by violations or by a fault.
    pub bans: Vec<Ban>,
    /// Calls from banned addresses.
    pub calls_while_banned: u64,
    /// Business failures that the carrier itself decided.
    pub refusals: Vec<Refusal>,
    /// Exact counts of the lists above.
    pub totals: Totals,
    /// Requests with their fate.
    pub requests: Vec<RequestRecord>,
    /// Older requests that are no longer listed.
    pub requests_dropped: u64,
    /// Exact counts of requests by endpoint.
    pub counts: BTreeMap<String, EndpointCounts>,
}

/// A parcel that is booked, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// Its place in the book, from 1.
    pub id: u64,
    /// `CUST_USE_NO`: the customer's own number for the parcel.
    pub cust_use_no: String,
    /// `MPCK_KEY`.
    pub mpck_key: String,
    /// The number on the parcel.
    pub invoice_no: String,
    /// `RCPT_YMD`, the customer's date of the booking.
    pub rcpt_ymd: String,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// The request that booked it.
    pub request_id: u64,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// The request that cancelled it.
    pub cancel_request_id: Option<u64>,
    /// When the carrier first had it in its hands.
    pub scanned_at: Option<Timestamp>,
    /// What the last scan made of it.
    pub state: ParcelState,
}

impl Booking {
    /// Booked and not cancelled.
    pub fn is_live(&self) -> bool {
        self.cancelled_at.is_none()
    }
}

/// An invoice number handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceIssued {
    /// The number.
    pub invoice_no: String,
    /// When.
    pub at: Timestamp,
    /// To which request.
    pub request_id: u64,
}

/// A token made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// Its first characters.
    pub token_masked: String,
    /// When.
    pub at: Timestamp,
    /// To which request.
    pub request_id: u64,
    /// Until when it is good, unless it is revoked.
    pub expires_at: Timestamp,
}

/// A call that was one too many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub client: IpAddr,
    /// Which request.
    pub request_id: u64,
    /// The window, as `10/1s`.
    pub window: String,
}

/// An address that was banned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Whose.
    pub client: IpAddr,
    /// From when.
    pub from: Timestamp,
    /// Until when, that moment excluded.
    pub until: Timestamp,
}

/// A business failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When.
    pub at: Timestamp,
    /// Which request.
    pub request_id: u64,
    /// The endpoint.
    pub endpoint: String,
    /// What the request was about.
    pub key: Option<String>,
    /// `RESULT_CD`.
    pub result_cd: String,
    /// `RESULT_DETAIL`.
    pub result_detail: String,
}

/// Exact counts, whatever the lists have dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Bookings made.
    pub bookings: u64,
    /// Bookings cancelled.
    pub cancels: u64,
    /// Duplicate bookings answered with `S` and not entered.
    pub replays: u64,
    /// Invoice numbers handed out.
    pub invoices_issued: u64,
    /// Tokens made.
    pub tokens_issued: u64,
    /// Requests for a token answered with a block.
    pub token_blocks: u64,
    /// Calls that were one too many.
    pub violations: u64,
    /// Bans.
    pub bans: u64,
    /// Business failures.
    pub refusals: u64,
    /// Requests answered 401.
    pub unauthenticated: u64,
}

/// The latest entries of a list.
#[derive(Debug)]
pub(crate) struct Latest<T> {
    entries: VecDeque<T>,
    capacity: usize,
}

impl<T: Clone> Latest<T> {
    fn new(capacity: usize) -> Latest<T> {
        Latest { entries: VecDeque::new(), capacity }
    }

    fn push(&mut self, entry: T) {
        if self.entries.len() >= self.capacity {
            self.entries.pop_front();
        }
        if self.capacity > 0 {
            self.entries.push_back(entry);
        }
    }

    fn to_vec(&self) -> Vec<T> {
        self.entries.iter().cloned().collect()
    }
}

/// The evidence as it grows, in bounded memory.
#[derive(Debug)]
pub(crate) struct Evidence {
    invoices_issued: Latest<InvoiceIssued>,
    tokens_issued: Latest<TokenIssued>,
    violations: Latest<Violation>,
    bans: Latest<Ban>,
    refusals: Latest<Refusal>,
    calls_while_banned: u64,
    pub(crate) totals: Totals,
}

impl Evidence {
    pub(crate) fn new(capacity: usize) -> Evidence {
        Evidence {
            invoices_issued: Latest::new(capacity),
            tokens_issued: Latest::new(capacity),
            violations: Latest::new(capacity),
            bans: Latest::new(capacity),
            refusals: Latest::new(capacity),
            calls_while_banned: 0,
            totals: Totals::default(),
        }
    }

    pub(crate) fn invoice_issued(&mut self, issued: InvoiceIssued) {
        self.totals.invoices_issued += 1;
        self.invoices_issued.push(issued);
    }

    pub(crate) fn token_issued(&mut self, issued: TokenIssued) {
        self.totals.tokens_issued += 1;
        self.tokens_issued.push(issued);
    }

    pub(crate) fn violation(&mut self, violation: Violation) {
        self.totals.violations += 1;
        self.violations.push(violation);
    }

    /// A ban that begins, or the one that holds already and now ends later.
    pub(crate) fn banned(&mut self, client: IpAddr, now: Timestamp, until: Timestamp) {
        let latest = self.bans.entries.iter_mut().rev().find(|ban| ban.client == client);
        match latest {
            Some(ban) if now < ban.until => ban.until = until,
            _ => {
                self.totals.bans += 1;
                self.bans.push(Ban { client, from: now, until });
            }
        }
    }

    /// A call from a banned address; its ban may end later for it.
    pub(crate) fn call_while_banned(&mut self, client: IpAddr, now: Timestamp, until: Timestamp) {
        self.calls_while_banned += 1;
        self.banned(client, now, until);
    }

    pub(crate) fn refusal(&mut self, refusal: Refusal) {
        self.totals.refusals += 1;
        self.refusals.push(refusal);
    }

    /// The ledger but for bookings and requests, which are kept elsewhere.
    pub(crate) fn snapshot(&self) -> Ledger {
        Ledger {
            invoices_issued: self.invoices_issued.to_vec(),
            tokens_issued: self.tokens_issued.to_vec(),
            violations: self.violations.to_vec(),
            bans: self.bans.to_vec(),
            calls_while_banned: self.calls_while_banned,
            refusals: self.refusals.to_vec(),
            totals: self.totals,
            ..Ledger::default()
        }
    }
}
