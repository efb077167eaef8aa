//! Many writes of one kind, one commit: outcomes of steps, and orders that are taken in.
//!
//! While a few transactions are under way, what else is to be written waits, and the next one takes
//! all of it, with one statement for each table: a busy worker asks the server once for many orders
//! and syncs once, an idle one waits for nobody. Whoever waits may be the one who writes for all;
//! there is no task for it.
//!
//! A transaction of many that fails before its commit is undone, and each write is made by itself, so
//! that nobody fails for another's sake.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sqlx::PgConnection;
use tokio::sync::{Semaphore, oneshot};

use super::ingest::{self, Intake};
use super::settle::{self, Outcome, Step};
use super::{PostgresStore, WRITE, failure};
use crate::env::{TaskId, current_task};
use crate::store::{Error, Ingested, Result, Written};

/// So many transactions at once: one prepares while the other syncs.
const AT_ONCE: usize = 2;
/// At most so many writes in one of them.
const BATCH_MAX: usize = 64;

/// A write that may share its transaction with others.
#[async_trait]
pub(super) trait Write: Send + Sync + Sized + 'static {
    /// What became of it.
    type Answer: Send;

    /// The use case.
    fn op(&self) -> &'static str;

    /// The one order, or member, that it changes.
    fn owner(&self) -> &str;

    /// Makes `writes`, no two of one owner: what became of each.
    async fn all(
        store: &PostgresStore,
        db: &mut PgConnection,
        writes: &[&Self],
    ) -> failure::Result<Vec<Self::Answer>>;
}

#[async_trait]
impl Write for Step {
    type Answer = Written;

    fn op(&self) -> &'static str {
        match self.outcome {
            Outcome::Parcel(..) => "settle-parcel",
            Outcome::Notice(..) => "settle-notice",
        }
    }

    fn owner(&self) -> &str {
        Step::owner(self)
    }

    async fn all(
        store: &PostgresStore,
        db: &mut PgConnection,
        steps: &[&Step],
    ) -> failure::Result<Vec<Written>> {
        settle::all(db, &*store.orders, steps).await
    }
}

#[async_trait]
impl Write for Intake {
    type Answer = Ingested;

    fn op(&self) -> &'static str {
        "ingest"
    }

    fn owner(&self) -> &str {
        &self.order.id
    }

    async fn all(
        _: &PostgresStore,
        db: &mut PgConnection,
        intakes: &[&Intake],
    ) -> failure::Result<Vec<Ingested>> {
        ingest::all(db, intakes).await
    }
}

/// The writes of one kind that wait.
pub(super) struct Batches<W: Write> {
    waiting: Mutex<Vec<Waiting<W>>>,
    turns: Semaphore,
}

struct Waiting<W: Write> {
    write: W,
    task: TaskId,
    answer: oneshot::Sender<Result<W::Answer>>,
}

impl<W: Write> Batches<W> {
    pub(super) fn new() -> Batches<W> {
        Batches { waiting: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<W>>> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits now, at most a batch, and of each owner one: the next is for the next batch.
    fn take(&self) -> Vec<Waiting<W>> {
        let mut waiting = self.waiting();
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        let mut owners = BTreeSet::new();
        for next in waiting.drain(..) {
            match taken.len() < BATCH_MAX && owners.insert(next.write.owner().to_owned()) {
                true => taken.push(next),
                false => left.push(next),
            }
        }
        *waiting = left;
        taken
    }

    /// Makes `write`, together with what others write at the same moment.
    pub(super) async fn make(&self, store: &PostgresStore, write: W) -> Result<W::Answer> {
        let op = write.op();
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push(Waiting { write, task: current_task(), answer });
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => {
                    // No answer: whoever wrote it is gone, before the commit or after.
                    return answer.unwrap_or(Err(Error::CommitUnknown { op }));
                }
                turn = self.turns.acquire() => {
                    let batch = self.take();
                    if !batch.is_empty() {
                        store.write_batch(batch).await;
                    }
                    drop(turn);
                }
            }
        }
    }
}

impl PostgresStore {
    async fn write_batch<W: Write>(&self, batch: Vec<Waiting<W>>) {
        let batch = match batch.len() {
            1 => batch,
            _ => match self.write_together(&batch).await {
                Some(answers) => {
                    for (waiting, answer) in batch.into_iter().zip(answers) {
                        // A waiter that has gone does not want to know.
                        let _ = waiting.answer.send(answer);
                    }
                    return;
                }
                None => batch,
            },
        };
        for waiting in batch {
            let answer = self.write_alone(&waiting).await;
            let _ = waiting.answer.send(answer);
        }
    }

    /// The answers of all, by one transaction; `None` when it was undone before its commit.
    async fn write_together<W: Write>(
        &self,
        batch: &[Waiting<W>],
    ) -> Option<Vec<Result<W::Answer>>> {
        let parts = batch.iter().map(|waiting| (waiting.write.op(), waiting.task)).collect();
        let mut transaction = self.begin_for(parts, WRITE).await.ok()?;
        let writes: Vec<&W> = batch.iter().map(|waiting| &waiting.write).collect();
        let answers = match W::all(self, transaction.db(), &writes).await {
            Ok(answers) => answers,
            Err(failure) => {
                tracing::debug!(?failure, "a batch was undone; each is written by itself");
                transaction.roll_back().await;
                return None;
            }
        };
        let committed = transaction.commit().await;
        let answer = |(waiting, answer): (&Waiting<W>, W::Answer)| match &committed {
            Ok(()) => Ok(answer),
            Err(error) => Err(super::of_commit(error, waiting.write.op())),
        };
        Some(batch.iter().zip(answers).map(answer).collect())
    }

    async fn write_alone<W: Write>(&self, waiting: &Waiting<W>) -> Result<W::Answer> {
        let op = waiting.write.op();
        let mut write = self.begin_for(Vec::from([(op, waiting.task)]), WRITE).await?;
        let done = W::all(self, write.db(), &[&waiting.write]).await;
        let mut answers = write.end(done).await?;
        // One write, one answer.
        answers.pop().ok_or(Error::CommitUnknown { op })
    }
}
