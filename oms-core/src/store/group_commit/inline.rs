//! The first waiter runs the batch: no thread, so that one seed gives one history.

use std::sync::{Arc, Mutex, PoisonError};

use clockwork::BoxFuture;
use rusqlite::Connection;

use super::{Access, Job, Queue, Reply, Watch, run, undo};
use crate::store::sqlite::{Room, SharedDatabase, failure};
use crate::store::{Error, Result};

/// Where a simulator may let others run, or kill the caller: awaited before and after each job.
pub type SchedulingPoint = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// A scheduling point that does nothing.
pub fn no_scheduling_point() -> SchedulingPoint {
    Arc::new(|| Box::pin(std::future::ready(())))
}

/// Runs jobs on the caller's own task.
pub(in crate::store) struct Inline {
    queue: Queue,
    database: SharedDatabase,
    point: SchedulingPoint,
    watch: Watch,
    room: Mutex<Room>,
}

impl Inline {
    pub(in crate::store) fn new(
        database: SharedDatabase,
        point: SchedulingPoint,
        watch: Watch,
        room: Room,
    ) -> Inline {
        Inline { queue: Queue::default(), database, point, watch, room: Mutex::new(room) }
    }

    /// Puts `job` in the queue and sees to it that it is run.
    ///
    /// A caller killed at the point before leaves its job to the next waiter of the same node, or
    /// to nobody; killed at the point after, its job is committed and it never knew.
    pub(in crate::store) async fn execute<T>(
        &self,
        op: &'static str,
        job: Job,
        mut reply: Reply<T>,
    ) -> Result<T> {
        self.queue.push(job);
        (self.point)().await;
        let answer = loop {
            match reply.try_recv() {
                Ok(answer) => break answer,
                Err(tokio::sync::oneshot::error::TryRecvError::Empty) => self.run_batch(),
                // The batch that held the job panicked in some other job.
                Err(_) => break Err(Error::CommitUnknown { op }),
            }
        };
        (self.point)().await;
        answer
    }

    /// What `look` finds, now: reading alone waits for no turn, and nobody may die over it. `None`
    /// too when it could not read, for a job tells what is wrong.
    pub(in crate::store) fn glance<T>(
        &self,
        look: impl FnOnce(&Connection) -> failure::Result<Option<T>>,
    ) -> Option<T> {
        let database = self.database.lock();
        // Left open only by a job that panicked.
        undo(&database);
        look(&database).ok().flatten()
    }

    /// A scheduling point without a job.
    pub(in crate::store) async fn pause(&self) {
        (self.point)().await;
    }

    fn run_batch(&self) {
        let database = self.database.lock();
        // Left open only by a job that panicked.
        undo(&database);
        self.room.lock().unwrap_or_else(PoisonError::into_inner).look(&database);
        run(&database, self.queue.take(), Access::Write, &self.watch);
    }
}
