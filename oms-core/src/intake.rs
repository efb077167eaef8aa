//! How orders and members come in: one way into the database, and files of orders.

mod csv;
mod file;
mod jsonl;

pub use file::{Entry, Error, Format, LineError, LineProblem, read_entries, read_orders};

use clockwork::Clock;
use futures_util::future::join_all;

use crate::config::Shop;
use crate::env::{Observer, Progress, TaskId, scoped};
use crate::member::Member;
use crate::order::Order;
use crate::state::OrderState;
use crate::store::{self, Ingested, Patience, SignedUp, Store, patiently};

/// Orders of a file on their way to the database at once: so many share a commit.
const AT_ONCE: usize = 64;

/// Orders of a file are tasks of their own, numbered beyond all that a spawner starts.
const FIRST_ORDER: TaskId = 1 << 32;

/// Why the shop does not take `order`, if it does not.
pub fn rejection(shop: &Shop, order: &Order) -> Option<String> {
    let postcode = &order.address.postcode;
    let refused = shop.refused_postcodes.iter().find(|begin| postcode.starts_with(*begin))?;
    Some(format!("no shipping to postcodes that begin with {refused}"))
}

/// Keeps `order`, accepted or rejected. When this returns, it is committed.
///
/// # Errors
/// As [`patiently`] has them.
pub async fn keep(
    store: &dyn Store,
    clock: &dyn Clock,
    shop: &Shop,
    order: &Order,
) -> store::Result<Ingested> {
    // One moment for all tries: a repeated write must be the same write.
    let now = clock.now();
    patiently(clock, Patience::Short, || store.ingest(order, rejection(shop, order), now)).await
}

/// As [`keep`]; whoever keeps traces is told of it as a step of the running task.
///
/// # Errors
/// As [`patiently`] has them.
pub(crate) async fn keep_told(
    store: &dyn Store,
    clock: &dyn Clock,
    shop: &Shop,
    order: &Order,
    listens: &dyn Observer,
) -> store::Result<Ingested> {
    let id = &order.id;
    listens.progress(
        clock.now(),
        &Progress::Begun { step: "take-in", about: id, what: id, attempt: 1, rounds: 0 },
    );
    let kept = keep(store, clock, shop, order).await;
    let came_to = match kept {
        Ok(Ingested::Created(_)) => "moved",
        Ok(Ingested::Same(_)) => "same",
        Ok(Ingested::Conflict) => "conflict",
        Err(_) => "lost",
    };
    listens.progress(clock.now(), &Progress::Ended { came_to });
    kept
}

/// Keeps `member` with the outbox row of its welcome message. When this returns, it is committed.
///
/// # Errors
/// As [`patiently`] has them.
pub async fn sign_up(
    store: &dyn Store,
    clock: &dyn Clock,
    member: &Member,
) -> store::Result<SignedUp> {
    // One moment for all tries: a repeated write must be the same write.
    let now = clock.now();
    patiently(clock, Patience::Short, || store.sign_up(member, now)).await
}

/// What became of one order of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is new and kept.
    Created,
    /// It is new and kept as rejected: the shop does not take it.
    Rejected {
        /// Where it stands in the file.
        line: u64,
        /// The order.
        order: String,
    },
    /// The same order was kept before.
    Same,
    /// Another content is kept under its id.
    Conflict {
        /// Where it stands in the file.
        line: u64,
        /// The order.
        order: String,
    },
    /// It is no valid order.
    Refused(LineError),
}

/// How many orders of a file met which fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Tally {
    /// New and kept, rejected ones among them.
    pub created: u64,
    /// Of these, the ones that the shop does not take.
    pub rejected: u64,
    /// Kept before.
    pub same: u64,
    /// Not valid.
    pub refused: u64,
    /// Another content is kept under the same id.
    pub conflict: u64,
}

impl Tally {
    fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Created => self.created += 1,
            Fate::Rejected { .. } => {
                self.created += 1;
                self.rejected += 1;
            }
            Fate::Same => self.same += 1,
            Fate::Conflict { .. } => self.conflict += 1,
            Fate::Refused(_) => self.refused += 1,
        }
    }

    /// Whether every order of the file is kept now.
    pub fn is_clean(&self) -> bool {
        self.refused == 0 && self.conflict == 0
    }
}

/// Keeps the good orders of a file and tells the fate of each, in the file's order. To whoever
/// `listens` for traces each is a step.
///
/// # Errors
/// The store's, as soon as it cannot be overcome by asking again; what was told is kept.
pub async fn ingest(
    entries: impl IntoIterator<Item = Entry>,
    store: &dyn Store,
    clock: &dyn Clock,
    shop: &Shop,
    listens: &dyn Observer,
    mut tell: impl FnMut(&Fate),
) -> store::Result<Tally> {
    let mut entries = (FIRST_ORDER..).zip(entries);
    let mut tally = Tally::default();
    loop {
        let batch: Vec<(TaskId, Entry)> = entries.by_ref().take(AT_ONCE).collect();
        if batch.is_empty() {
            return Ok(tally);
        }
        let fates = batch
            .into_iter()
            .map(|(task, entry)| scoped(task, fate_of(entry, store, clock, shop, listens)));
        for fate in join_all(fates).await {
            let fate = fate?;
            tally.count(&fate);
            tell(&fate);
        }
    }
}

async fn fate_of(
    entry: Entry,
    store: &dyn Store,
    clock: &dyn Clock,
    shop: &Shop,
    listens: &dyn Observer,
) -> store::Result<Fate> {
    let line = entry.line;
    let order = match entry.order {
        Ok(order) => order,
        Err(error) => return Ok(Fate::Refused(error)),
    };
    Ok(match keep_told(store, clock, shop, &order, listens).await? {
        Ingested::Created(OrderState::Rejected) => Fate::Rejected { line, order: order.id },
        Ingested::Created(_) => Fate::Created,
        Ingested::Same(_) => Fate::Same,
        Ingested::Conflict => Fate::Conflict { line, order: order.id },
    })
}
