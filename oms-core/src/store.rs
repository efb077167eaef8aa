//! The database: one method a use case, each one short transaction.
//!
//! No method takes or returns a connection, so no transaction can be open while a call is in
//! flight. The one exception is [`Store::begin`], for code that holds one on purpose; it takes the
//! caller's [`Hands`] for as long, and a call wants them free.
//!
//! Every write can be repeated: a caller that did not learn whether its commit happened
//! ([`Error::CommitUnknown`]) calls again with the same arguments and gets the same answer.

mod aggregate;
mod claiming;
pub mod group_commit;
mod patience;
pub mod postgres;
mod presence;
mod quota;
mod retention;
pub mod sqlite;
mod standing;
mod turns;
mod view;
#[cfg(test)]
mod way;

pub use patience::{Patience, patiently};
pub use presence::{BreakerView, Presence};
pub use retention::{Page, Prune, Pruned};
pub use standing::{Queue, Quota, Standing};
pub use view::{
    Audited, Census, Filter, MemberView, NoticeView, OrderView, ParcelView, Rows, Transition,
};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clockwork::{BoxFuture, Timestamp};
use serde::{Deserialize, Serialize};

use crate::env::Hands;
use crate::member::Member;
use crate::order::Order;
use crate::state::{NoticeState, OrderState, ParcelState};

/// A use case that did not come to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database was busy, or away; nothing happened.
    #[error("database busy during `{op}`")]
    Busy {
        /// The use case.
        op: &'static str,
    },
    /// It is not there, or not yet: it could not be opened.
    #[error("database away: {reason}")]
    Away {
        /// The engine's words.
        reason: String,
    },
    /// The commit was under way and its answer was lost: it may have happened.
    #[error("commit of `{op}` not answered")]
    CommitUnknown {
        /// The use case.
        op: &'static str,
    },
    /// The engine refused; nothing happened.
    #[error("database failed during `{op}`: {reason}")]
    Engine {
        /// The use case.
        op: &'static str,
        /// The engine's words.
        reason: String,
    },
    /// The medium has no room; nothing happened.
    #[error("no room in the database during `{op}`")]
    Full {
        /// The use case.
        op: &'static str,
    },
    /// Another row has what only one may have; nothing happened.
    #[error("another row has {what} already, during `{op}`")]
    Taken {
        /// The use case.
        op: &'static str,
        /// What.
        what: &'static str,
    },
    /// A row holds what this program never writes.
    #[error("row of `{table}` cannot be read: {reason}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        use Error::{Away, Busy, CommitUnknown, Full};
        matches!(self, Busy { .. } | Away { .. } | CommitUnknown { .. } | Full { .. })
    }
}

/// A parcel's customer reference at the carrier, which only one parcel has.
const A_REFERENCE: &str = "the parcel's customer reference";
/// A member's phone number, which only one member has.
const A_PHONE: &str = "the member's phone number";

/// The URL of a database as it may be shown: without its password, and without its parameters,
/// which may hold one.
pub fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((login, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = login.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{host}")
}

/// A `Result` of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// One parcel of one order. Displays as `ORD-1/1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ParcelKey {
    /// The order.
    pub order: String,
    /// The parcel's number in it, from 1.
    pub number: u32,
}

impl fmt::Display for ParcelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.order, self.number)
    }
}

/// One notification: an order or a member, and what is told of it. Displays as `ORD-1:shipped`,
/// `member:MEM-1:welcome`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NoticeKey {
    /// The order; or a member, as `member:` and its id, which no order's id can be.
    pub order: String,
    /// What is told: `shipped`, `welcome`.
    pub event: String,
}

/// What stands before a member's id where an order's may stand too.
const MEMBER_PREFIX: &str = "member:";

impl NoticeKey {
    /// What is told of a member.
    pub fn of_member(id: &str, event: &str) -> NoticeKey {
        NoticeKey { order: format!("{MEMBER_PREFIX}{id}"), event: event.to_owned() }
    }

    /// The member's id, if it is about a member.
    pub fn member(&self) -> Option<&str> {
        member_of(&self.order)
    }
}

/// The member's id, if `about` names a member where it could name an order.
pub(crate) fn member_of(about: &str) -> Option<&str> {
    about.strip_prefix(MEMBER_PREFIX)
}

impl fmt::Display for NoticeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.order, self.event)
    }
}

/// The right to work on one row until a moment.
///
/// `token` is the fencing token: it grows with each claim, and a write under an older one is
/// refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who works on it.
    pub worker: String,
    /// The fencing token.
    pub token: i64,
    /// Until when.
    pub until: Timestamp,
}

/// A row that is worked on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A parcel.
    Parcel(ParcelKey),
    /// A notification.
    Notice(NoticeKey),
}

/// What became of a write under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is committed (now, or by an earlier call with the same arguments).
    Done,
    /// Another worker has taken over: nothing was written.
    Fenced,
}

/// What became of an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingested {
    /// The order is new and kept.
    Created(OrderState),
    /// The same order was kept before.
    Same(OrderState),
    /// Another content is kept under this id.
    Conflict,
}

/// What became of a sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedUp {
    /// The member is new and kept.
    Created,
    /// The same member was kept before.
    Same,
    /// The id or the phone number is another member's.
    Taken,
}

/// What is written down of a member, each in a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberPart {
    /// Who it is.
    Member,
    /// What else is known of it.
    Profile,
    /// What it agreed to.
    Consents,
    /// The outbox row of its welcome message.
    Welcome,
}

impl MemberPart {
    /// All that a sign-up writes.
    pub const ALL: [MemberPart; 4] =
        [MemberPart::Member, MemberPart::Profile, MemberPart::Consents, MemberPart::Welcome];
}

/// The exact request to the carrier, written down before it is sent.
///
/// A retry sends the same bytes, also after midnight in Seoul.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// 운송장번호: the only invoice number ever used for this parcel.
    pub invoice_no: String,
    /// The carrier's reception date, `YYYYMMDD` in Seoul.
    pub rcpt_ymd: String,
    /// The carrier's customer reference of this parcel.
    pub cust_use_no: String,
    /// The carrier's key of the parcel.
    pub mpck_key: String,
    /// `DATA` of `RegBook` as JSON, all but the token.
    pub request: String,
}

/// Which rows to claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who claims.
    pub worker: String,
    /// Now.
    pub now: Timestamp,
    /// The end of the lease.
    pub until: Timestamp,
    /// At most so many rows.
    pub limit: usize,
}

/// What a claim brought.
#[derive(Debug, Clone)]
pub struct Claimed<W> {
    /// The work, oldest due first.
    pub work: Vec<W>,
    /// When the next row falls due, if any waits.
    pub next_due: Option<Timestamp>,
    /// What was taken over from a worker whose lease had run out: its key, and its state then.
    pub taken: Vec<(String, String)>,
}

/// A parcel to work on.
#[derive(Debug, Clone)]
pub struct ParcelWork {
    /// Which.
    pub key: ParcelKey,
    /// Its order.
    pub order: Order,
    /// Its state now (after the claim).
    pub state: ParcelState,
    /// The request written down, if any.
    pub intent: Option<Intent>,
    /// The right to work on it.
    pub lease: Lease,
    /// Attempts spent in this round.
    pub attempts: u32,
    /// Rounds spent.
    pub rounds: u32,
    /// The last moment at which a request of unknown outcome may have been sent, if one may have
    /// been. Kept while the parcel is booked: such a request may still arrive.
    pub sent_until: Option<Timestamp>,
    /// Since when the outcome is unknown; of a cancellation, since its first try.
    pub unknown_since: Option<Timestamp>,
}

/// What a notification tells of, and so to whom.
#[derive(Debug, Clone)]
pub enum About {
    /// A shipped order.
    Order {
        /// The order.
        order: Order,
        /// The invoice numbers of its parcels, by parcel number.
        invoices: Vec<String>,
    },
    /// A new member.
    Member(Recipient),
}

/// Who is told, where the notification needs no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Full name.
    pub name: String,
    /// A Korean phone number, digits only.
    pub phone: String,
}

// Personal data stays out of every log.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient(..)")
    }
}

/// A notification to work on.
#[derive(Debug, Clone)]
pub struct NoticeWork {
    /// Which.
    pub key: NoticeKey,
    /// What it tells of.
    pub about: About,
    /// Its state now (after the claim): `sending`, or `unknown` while it is asked again.
    pub state: NoticeState,
    /// The right to work on it.
    pub lease: Lease,
    /// Attempts spent in this round.
    pub attempts: u32,
    /// Rounds spent.
    pub rounds: u32,
    /// When the first request may have been sent; the gateway remembers keys for a time from then.
    pub first_sent_at: Option<Timestamp>,
}

/// What became of a step on a parcel. All but `Intended` give the lease back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParcelOutcome {
    /// `planned → intended`: the request is about to be sent; the lease is kept.
    Intended(Intent),
    /// The carrier has it.
    Booked,
    /// The carrier refused it for good.
    Refused {
        /// The carrier's words.
        reason: String,
    },
    /// Sent, and nobody knows.
    Unknown {
        /// What was seen.
        reason: String,
        /// The last moment at which a request may have been sent.
        sent_until: Timestamp,
        /// When to look again.
        retry_at: Timestamp,
        /// Counters after this step.
        tries: Tries,
    },
    /// `unknown → planned`: proved not booked. The intent is kept, so the same bytes are sent.
    NotBooked {
        /// How it was proved.
        reason: String,
        /// When to book again.
        retry_at: Timestamp,
    },
    /// No change: it certainly did not happen; later again.
    PutBack {
        /// Why.
        reason: String,
        /// When to try again.
        retry_at: Timestamp,
        /// Counters after this step.
        tries: Tries,
    },
    /// A person must look.
    Attention {
        /// Why.
        reason: String,
    },
    /// The booking is undone.
    Cancelled,
    /// The carrier has picked it up already: it stays booked.
    PickedUp,
}

/// Attempts in this round, and rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// Attempts spent in this round.
    pub attempts: u32,
    /// Rounds spent.
    pub rounds: u32,
}

/// What became of a step on a notification. All give the lease back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// The gateway accepted it, now or before (then without its message key).
    Sent {
        /// The gateway's key of the message, learnt from reports when `None`.
        msg_key: Option<String>,
    },
    /// The gateway refused it for good, or it was given up before it was ever sent.
    Refused {
        /// The gateway's words.
        reason: String,
    },
    /// Sent, and nobody knows.
    Unknown {
        /// What was seen.
        reason: String,
        /// When to ask again.
        retry_at: Timestamp,
        /// Counters after this step.
        tries: Tries,
    },
    /// `unknown → queued`: proved not sent.
    NotSent {
        /// How it was proved.
        reason: String,
        /// When to send again.
        retry_at: Timestamp,
    },
    /// No change: it certainly did not happen; later again.
    PutBack {
        /// Why.
        reason: String,
        /// When to try again.
        retry_at: Timestamp,
        /// Counters after this step.
        tries: Tries,
    },
    /// Given up while unknown: the notification stays `unknown`, its order is `notify-failed`.
    GivenUp {
        /// Why.
        reason: String,
    },
}

/// At most `calls` in any `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// How many calls.
    pub calls: u32,
    /// In how long a time.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub per: Duration,
}

/// A request for permits to call. They belong to the address, so all workers share them.
#[derive(Debug, Clone)]
pub struct TakePermits {
    /// Which quota.
    pub quota: &'static str,
    /// Its windows; all must hold.
    pub windows: Vec<Window>,
    /// At most so many.
    pub want: u32,
    /// So many more, if they are free now and others do not need them.
    pub spare: u32,
    /// Now.
    pub now: Timestamp,
    /// Permits that are free within so long are given in advance.
    pub ahead: Duration,
    /// How long a permit counts if its call is never heard of: until the latest end of the call.
    pub hold: Duration,
    /// Permits whose calls have ended, and when. They count for one window more.
    pub ended: Vec<(i64, Timestamp)>,
}

/// One permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Its number, never given twice.
    pub id: i64,
    /// From when on its call may be made.
    pub from: Timestamp,
}

/// Who is told that another process has committed work.
pub type Woken = Arc<dyn Fn() + Send + Sync>;

/// The answer to [`TakePermits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permits {
    /// These, at least one if any was wanted, in the order in which they may be used.
    Granted(Vec<Grant>),
    /// None before this moment.
    Wait(Timestamp),
}

/// The fate of a message, as the gateway reports it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The gateway's key of the message.
    pub msg_key: String,
    /// Our reference, as the request carried it: `ORD-1:shipped`.
    pub reference: String,
    /// The gateway's code; `10000` is delivered.
    pub code: String,
    /// `alimtalk` or `sms`.
    pub channel: String,
    /// When the gateway says it happened.
    pub reported_at: Option<Timestamp>,
}

/// What an operator does to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tries again what failed or was parked; of a member, a welcome message that failed.
    Retry,
    /// States what truly happened to a parked parcel (all parked ones when no number is given).
    Resolve {
        /// Which parcel.
        parcel: Option<u32>,
        /// True: the carrier has it; false: it has not, and will not.
        booked: bool,
    },
    /// Calls the order back.
    Cancel,
}

/// An operator's action with its author, as the audit keeps it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The order; `member:` and its id of a member, whose messages alone can be tried again.
    pub order: String,
    /// What to do.
    pub action: Action,
    /// Who.
    pub by: String,
    /// Now.
    pub now: Timestamp,
}

impl Operation {
    /// Whether it is one on a member's messages.
    pub(crate) fn is_on_member(&self) -> bool {
        self.action == Action::Retry && self.order.starts_with(MEMBER_PREFIX)
    }
}

/// The answer to an [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operated {
    /// Done; the order's state now.
    Done(OrderState),
    /// Done; the member's message is sent again.
    MessageQueued,
    /// There is no such order.
    NotFound,
    /// The order's state does not allow it.
    Refused(String),
}

/// A transaction held open on purpose. Dropping it rolls back.
///
/// As a unit of work has it, a pooled connection is held from `begin` to the end, and what is
/// written goes to the database at the end. One that is begun inside another is a transaction of
/// its own, on a connection of its own: it stays when the other one rolls back.
#[async_trait]
pub trait UnitOfWork: Send + Sync {
    /// Writes a parcel's outcome at the end.
    fn settle_parcel(&mut self, work: &ParcelWork, outcome: ParcelOutcome, now: Timestamp);

    /// Writes a notification's outcome at the end. Without a lease it is one that nobody has
    /// claimed; it may be born in this very transaction.
    fn settle_notice(
        &mut self,
        key: &NoticeKey,
        lease: Option<&Lease>,
        outcome: NoticeOutcome,
        now: Timestamp,
    );

    /// Reads an order again, as others have committed it. What this transaction is going to write
    /// is not in it yet.
    ///
    /// # Errors
    /// As every use case.
    async fn order(&self, id: &str) -> Result<Option<OrderView>>;

    /// Writes a part of a member at the end; what is written already stays as it is.
    ///
    /// No member is written by any other way than this and [`Store::sign_up`]. So a method that
    /// relies on its caller's transaction cannot run without one, as a `@Transactional` method
    /// does that is called from within its own class:
    ///
    /// ```compile_fail,E0308
    /// # use clockwork::Timestamp;
    /// # use oms_core::{env::Hands, member::Member};
    /// # use oms_core::store::{MemberPart, Result, Store, UnitOfWork};
    /// fn save(transaction: &mut dyn UnitOfWork, member: &Member, now: Timestamp) {
    ///     MemberPart::ALL.map(|part| transaction.keep_member(member, part, now));
    /// }
    /// async fn sign_up(store: &mut dyn Store, member: &Member, now: Timestamp) -> Result<()> {
    ///     save(store, member, now);
    ///     Ok(())
    /// }
    /// ```
    /// ```
    /// # use clockwork::Timestamp;
    /// # use oms_core::{env::Hands, member::Member};
    /// # use oms_core::store::{MemberPart, Result, Store, UnitOfWork};
    /// fn save(transaction: &mut dyn UnitOfWork, member: &Member, now: Timestamp) {
    ///     MemberPart::ALL.map(|part| transaction.keep_member(member, part, now));
    /// }
    /// async fn sign_up(
    ///     hands: &mut Hands, store: &dyn Store, member: &Member, now: Timestamp,
    /// ) -> Result<()> {
    ///     let mut transaction = store.begin(hands).await?;
    ///     save(&mut *transaction, member, now);
    ///     transaction.commit().await?;
    ///     Ok(())
    /// }
    /// ```
    fn keep_member(&mut self, member: &Member, part: MemberPart, now: Timestamp);

    /// Commits all of it.
    ///
    /// # Errors
    /// As every use case; [`Written::Fenced`] when a lease was lost, or a member's id or phone
    /// number is another's: then nothing is written.
    async fn commit(self: Box<Self>) -> Result<Written>;

    /// Gives all of it up, as dropping it does.
    fn roll_back(self: Box<Self>);
}

/// The use cases. See the module's text for what holds of all of them.
///
/// # Errors
/// Each returns [`Error`].
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps an order with its parcels, accepted or rejected (`rejection` says why). Repeated, the
    /// answer is [`Ingested::Same`].
    async fn ingest(
        &self,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested>;

    /// Keeps a member with its profile, its consents and the outbox row of its welcome message, all
    /// or nothing. Repeated, the answer is [`SignedUp::Same`].
    async fn sign_up(&self, member: &Member, now: Timestamp) -> Result<SignedUp>;

    /// Claims parcels that are due. One whose lease ran out while `intended` becomes `unknown`. No
    /// planned one of an order in `attention`. What a claim took whose answer was lost comes back
    /// when its lease ends.
    async fn claim_parcels(&self, claim: Claim) -> Result<Claimed<ParcelWork>>;

    /// Writes what became of a step, with all that follows for the order, in one transaction.
    async fn settle_parcel(
        &self,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written>;

    /// Claims notifications that are due: `queued` ones become `sending`; one whose lease ran out
    /// while `sending` becomes `unknown`. None of an order that is being called back, or booked
    /// again.
    async fn claim_notices(&self, claim: Claim) -> Result<Claimed<NoticeWork>>;

    /// Writes what became of a step, with all that follows for the order, in one transaction.
    async fn settle_notice(
        &self,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written>;

    /// Renews leases until `until`, each named by its row and fencing token. The answer is those that
    /// were: of the rest somebody else has the row, or is about to change it.
    async fn renew_leases(
        &self,
        held: Vec<(Row, i64)>,
        until: Timestamp,
    ) -> Result<Vec<(Row, i64)>>;

    /// Takes permits to call, and gives ended ones back.
    async fn take_permits(&self, take: TakePermits) -> Result<Permits>;

    /// Lets nobody call before `until`.
    async fn block_quota(&self, quota: &'static str, until: Timestamp) -> Result<()>;

    /// Until when nobody may call, as far as that is known: cheap enough to be asked before each call.
    async fn blocked_until(&self, quota: &'static str) -> Result<Timestamp>;

    /// Writes delivery reports; one that is known already changes nothing.
    async fn record_reports(&self, reports: Vec<DeliveryReport>, now: Timestamp) -> Result<()>;

    /// Whether some message has no report yet that was accepted after `since`, or may have been: of
    /// one whose answer was lost, the report is the only other proof.
    async fn awaits_reports(&self, since: Timestamp) -> Result<bool>;

    /// Forgets one page of what is at its end and old. Repeated, it finds nothing more there.
    async fn prune(&self, prune: &Prune) -> Result<Pruned>;

    /// An operator's action, with its audit row.
    async fn operate(&self, operation: Operation) -> Result<Operated>;

    /// The last `limit` actions of operators, on `order` alone where one is named; the latest first.
    async fn audit(&self, order: Option<String>, limit: usize) -> Result<Vec<Audited>>;

    /// Writes down that a worker lives, and how its breakers stand. Those that have been silent for an
    /// hour are forgotten.
    async fn hear(&self, presence: &Presence) -> Result<()>;

    /// Forgets a worker that ends.
    async fn leave(&self, worker: &str) -> Result<()>;

    /// One order.
    async fn order(&self, id: &str) -> Result<Option<OrderView>>;

    /// One member.
    async fn member(&self, id: &str) -> Result<Option<MemberView>>;

    /// Orders by id.
    async fn orders(&self, filter: Filter) -> Result<Vec<OrderView>>;

    /// How many of each.
    async fn census(&self) -> Result<Census>;

    /// What waits and what of each quota is used, at `now` by the database's clock.
    async fn standing(&self, now: Timestamp) -> Result<Standing>;

    /// Everything that a judge reads.
    async fn rows(&self) -> Result<Rows>;

    /// Work that calls `woken`, for ever, when another process has committed work; `None` where
    /// none can tell. Nothing rests on it: what is due is found by looking for it too, only later.
    fn listener(&self, _woken: Woken) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// Opens a transaction that the caller holds, in the hands that a call would need. The
    /// recommended flow never does.
    async fn begin<'h>(&self, hands: &'h mut Hands) -> Result<Box<dyn UnitOfWork + 'h>>;
}
