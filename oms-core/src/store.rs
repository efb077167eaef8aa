//! The database: one method a use case, each one short transaction.
//!
//! No method takes or returns a connection, so no transaction can be open while a call is in
//! flight. The one exception is [`Store::begin`], for code that holds one on purpose; it takes the
//! caller's [`Hands`] for as long, and a call wants them free.
//!
//! Every write can be repeated: a caller that did not learn whether its commit happened
//! ([`Error::CommitUnknown`]) calls again with the same arguments and gets the same answer.
//!
//! What its methods take and give: `keys` (which row, by which right), `kept` (what came in), `work`,
//! `outcome`, `permits`, `operation`, `view`.

mod aggregate;
mod claiming;
pub mod group_commit;
mod kept;
mod keys;
mod operation;
mod outcome;
mod patience;
mod permits;
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
mod work;

pub use kept::{Ingested, MemberPart, SignedUp};
pub(crate) use keys::member_of;
pub use keys::{Lease, NoticeKey, ParcelKey, Row};
pub use operation::{Action, Operated, Operation};
pub use outcome::{DeliveryReport, NoticeOutcome, ParcelOutcome, Tries, Written};
pub use patience::{Patience, patiently};
pub use permits::{Grant, Permits, TakePermits, Window};
pub use presence::{BreakerView, Presence};
pub use retention::{Page, Prune, Pruned};
pub use standing::{Queue, Quota, Standing};
pub use view::{
    Audited, Census, Filter, MemberView, NoticeView, OrderView, ParcelView, Rows, Transition,
};
pub use work::{About, Claim, Claimed, Intent, NoticeWork, ParcelWork, Recipient};

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::{BoxFuture, Timestamp};

use crate::env::Hands;
use crate::member::Member;
use crate::order::Order;

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

/// Who is told that another process has committed work.
pub type Woken = Arc<dyn Fn() + Send + Sync>;

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
