//! Outcomes of many steps, one commit.
//!
//! While a few transactions are under way, what else is to be written waits, and the next one takes
//! all of it, with one statement for each table: a busy worker asks the server once for many orders
//! and syncs once, an idle one waits for nobody. Whoever waits may be the one who writes for all;
//! there is no task for it.
//!
//! A transaction of many that fails before its commit is undone, and each step is written by
//! itself, so that nobody fails for another's sake.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::settle::{self, Outcome, Step};
use super::{PostgresStore, WRITE};
use crate::env::{TaskId, current_task};
use crate::store::{Error, Result, Written};

/// So many transactions at once: one prepares while the other syncs.
const AT_ONCE: usize = 2;
/// At most so many steps in one of them.
const BATCH_MAX: usize = 64;

/// The steps that wait to be written.
pub(super) struct Batches {
    waiting: Mutex<Vec<Waiting>>,
    turns: Semaphore,
}

struct Waiting {
    step: Step,
    task: TaskId,
    answer: oneshot::Sender<Result<Written>>,
}

impl Waiting {
    fn op(&self) -> &'static str {
        op(&self.step)
    }
}

fn op(step: &Step) -> &'static str {
    match step.outcome {
        Outcome::Parcel(..) => "settle-parcel",
        Outcome::Notice(..) => "settle-notice",
    }
}

impl Batches {
    pub(super) fn new() -> Batches {
        Batches { waiting: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits now, at most a batch, and of each order one step: the next is for the next batch.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        let mut owners = BTreeSet::new();
        for step in waiting.drain(..) {
            match taken.len() < BATCH_MAX && owners.insert(step.step.owner().to_owned()) {
                true => taken.push(step),
                false => left.push(step),
            }
        }
        *waiting = left;
        taken
    }
}

impl PostgresStore {
    /// Writes `step`, together with what others write at the same moment.
    pub(super) async fn settle(&self, step: Step) -> Result<Written> {
        let op = op(&step);
        let (answer, mut answered) = oneshot::channel();
        self.batches.waiting().push(Waiting { step, task: current_task(), answer });
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => {
                    // No answer: whoever wrote it is gone, before the commit or after.
                    return answer.unwrap_or(Err(Error::CommitUnknown { op }));
                }
                turn = self.batches.turns.acquire() => {
                    let batch = self.batches.take();
                    if !batch.is_empty() {
                        self.write_batch(batch).await;
                    }
                    drop(turn);
                }
            }
        }
    }

    async fn write_batch(&self, batch: Vec<Waiting>) {
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
    async fn write_together(&self, batch: &[Waiting]) -> Option<Vec<Result<Written>>> {
        let parts = batch.iter().map(|waiting| (waiting.op(), waiting.task)).collect();
        let mut transaction = self.begin_for(parts, WRITE).await.ok()?;
        let steps: Vec<&Step> = batch.iter().map(|waiting| &waiting.step).collect();
        let done = settle::all(transaction.db(), &*self.orders, &steps).await;
        let written = match done {
            Ok(written) => written,
            Err(failure) => {
                tracing::debug!(?failure, "a batch was undone; each step is written by itself");
                transaction.roll_back().await;
                return None;
            }
        };
        let committed = transaction.commit().await;
        let answer = |(waiting, written): (&Waiting, Written)| match &committed {
            Ok(()) => Ok(written),
            Err(error) => Err(super::of_commit(error, waiting.op())),
        };
        Some(batch.iter().zip(written).map(answer).collect())
    }

    async fn write_alone(&self, waiting: &Waiting) -> Result<Written> {
        let parts = Vec::from([(waiting.op(), waiting.task)]);
        let mut write = self.begin_for(parts, WRITE).await?;
        let done = settle::all(write.db(), &*self.orders, &[&waiting.step]).await;
        write.end(done.map(|written| written.first().copied().unwrap_or(Written::Fenced))).await
    }
}
