//! Many use cases, one commit.
//!
//! A `Job` is a use case waiting for its turn. `run` takes what waits through one transaction, and
//! nobody is told anything before the commit. With one `fsync` for all of them, a busy service writes
//! many times as many orders a second as with one each.
//!
//! A job that fails undoes only itself. With a savepoint for each, the engine keeps a copy of every page
//! that a job changes, over a quarter of its work; and hardly any job fails once it has written. So
//! there are none at first: when a job has written and fails, the batch is undone and made again, each
//! job in a savepoint. A job may be run twice, then, and the first time never was.
//!
//! Two ways to drive it: `Worker` is a thread that takes what waits (live); `Inline` lets the
//! first waiter run the batch (simulation, and anything in memory). The batching is the same code.

mod inline;
mod worker;

pub(super) use inline::Inline;
pub use inline::{SchedulingPoint, no_scheduling_point};
pub(super) use worker::Worker;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use clockwork::Clock;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::sqlite::failure::{self, engine_error};
use super::{Error, Result};
use crate::env::{Event, Observer, TaskId, current_task};

/// At most so many use cases share a commit: enough to hide an `fsync`, few enough that a reply
/// does not wait for a long row of others.
const BATCH_MAX: usize = 64;

/// Whether jobs may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// They see one snapshot.
    Read,
    /// They hold the database's one write lock.
    Write,
}

/// One use case waiting for its turn.
pub(super) struct Job {
    op: &'static str,
    task: TaskId,
    observed: bool,
    work: Box<dyn Work>,
}

/// Where the answer to a [`Job`] arrives, after the commit.
pub(super) type Reply<T> = oneshot::Receiver<Result<T>>;

impl Job {
    /// A use case of the task that calls this. `work` may be done twice: what it did first was undone.
    pub(super) fn new<T, F>(op: &'static str, work: F) -> (Job, Reply<T>)
    where
        T: Send + 'static,
        F: Fn(&Connection) -> failure::Result<T> + Send + 'static,
    {
        Job::with(op, None, work)
    }

    /// A use case that is often needless. `glance` reads before there is a transaction: what it
    /// gives is the answer, and only `None` takes the job through one. So whoever looks for work in
    /// vain takes no write lock, and leaves no trace.
    pub(super) fn unless<T, F>(
        op: &'static str,
        glance: impl FnOnce(&Connection) -> failure::Result<Option<T>> + Send + 'static,
        work: F,
    ) -> (Job, Reply<T>)
    where
        T: Send + 'static,
        F: Fn(&Connection) -> failure::Result<T> + Send + 'static,
    {
        Job::with(op, Some(Box::new(glance)), work)
    }

    fn with<T, F>(op: &'static str, glance: Option<Glance<T>>, work: F) -> (Job, Reply<T>)
    where
        T: Send + 'static,
        F: Fn(&Connection) -> failure::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(Typed { glance, work, done: None, reply });
        (Job { op, task: current_task(), observed: true, work }, answer)
    }

    /// Leaves the events to the caller, whose transaction is longer than this job.
    pub(super) fn unobserved(self) -> Job {
        Job { observed: false, ..self }
    }
}

/// A job's work without its type.
trait Work: Send {
    /// Whether a glance answers it, so that nothing is left but to deliver.
    fn glance(&mut self, db: &Connection) -> bool;
    /// Does it, perhaps again; false when what it wrote must be undone.
    fn run(&mut self, op: &'static str, db: &Connection) -> bool;
    /// Tells the waiter. `failed` is what became of the transaction, if it did not end well.
    fn deliver(self: Box<Self>, failed: Option<Error>);
}

/// A look at the database that may make a transaction needless.
type Glance<T> = Box<dyn FnOnce(&Connection) -> failure::Result<Option<T>> + Send>;

struct Typed<T, F> {
    glance: Option<Glance<T>>,
    work: F,
    done: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Work for Typed<T, F>
where
    T: Send,
    F: Fn(&Connection) -> failure::Result<T> + Send,
{
    fn glance(&mut self, db: &Connection) -> bool {
        let Some(glance) = self.glance.take() else { return false };
        // A glance that fails says nothing: the transaction will tell what is wrong.
        self.done = glance(db).ok().flatten().map(Ok);
        self.done.is_some()
    }

    fn run(&mut self, op: &'static str, db: &Connection) -> bool {
        let done = (self.work)(db).map_err(|failure| failure.of(op));
        let keep = done.is_ok();
        self.done = Some(done);
        keep
    }

    fn deliver(self: Box<Self>, failed: Option<Error>) {
        let answer = match (self.done, failed) {
            // A job that failed by itself wrote nothing, whatever became of the rest.
            (Some(Err(error)), _) => Err(error),
            (_, Some(error)) => Err(error),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => return,
        };
        // A waiter that has gone (its node was killed) does not want to know.
        let _ = self.reply.send(answer);
    }
}

/// The jobs that wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.arrived.notify_one();
    }

    /// What waits now, at most a batch.
    fn take(&self) -> Vec<Job> {
        let mut waiting = self.lock();
        let count = waiting.jobs.len().min(BATCH_MAX);
        waiting.jobs.drain(..count).collect()
    }

    /// Waits until something waits; nothing when the queue is closed and empty.
    fn wait(&self) -> Vec<Job> {
        let waiting = self
            .arrived
            .wait_while(self.lock(), |waiting| waiting.jobs.is_empty() && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        drop(waiting);
        self.take()
    }

    /// Lets the worker end once nothing waits.
    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told of transactions, and by which clock.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
}

impl Watch {
    pub(super) fn begun(&self, op: &str, task: TaskId) {
        let event = Event::TxBegin { task, op: op.to_owned() };
        self.observer.observe(self.clock.now(), event);
    }

    pub(super) fn ended(&self, op: &str, task: TaskId, committed: bool) {
        let event = Event::TxEnd { task, op: op.to_owned(), committed };
        self.observer.observe(self.clock.now(), event);
    }
}

/// Takes `jobs` through one transaction and tells each waiter what became of it.
fn run(db: &Connection, jobs: Vec<Job>, access: Access, watch: &Watch) {
    let jobs = at_a_glance(db, jobs);
    if jobs.is_empty() {
        return;
    }
    let begin = match access {
        Access::Read => "BEGIN",
        Access::Write => "BEGIN IMMEDIATE",
    };
    if let Err(error) = execute(db, begin) {
        for job in jobs {
            let error = engine_error(&error, job.op);
            job.work.deliver(Some(error));
        }
        return;
    }
    let jobs = work_off(db, jobs, watch);
    let ended = end(db, &jobs);
    for (job, kept) in jobs.iter().filter(|(job, _)| job.observed) {
        watch.ended(job.op, job.task, *kept && matches!(ended, Ended::Committed));
    }
    // After all the events, for a waiter may go on at once.
    for (job, kept) in jobs {
        let failed = ended.error(job.op).or_else(|| (!kept).then(|| rolled_back(job.op)));
        job.work.deliver(failed);
    }
}

/// Answers those that need no transaction, and gives the others.
fn at_a_glance(db: &Connection, jobs: Vec<Job>) -> Vec<Job> {
    let mut left = Vec::with_capacity(jobs.len());
    for mut job in jobs {
        match job.work.glance(db) {
            true => job.work.deliver(None),
            false => left.push(job),
        }
    }
    left
}

/// Does each job's work; says of each whether its writes stand.
fn work_off(db: &Connection, jobs: Vec<Job>, watch: &Watch) -> Vec<(Job, bool)> {
    for job in jobs.iter().filter(|job| job.observed) {
        watch.begun(job.op, job.task);
    }
    let mut jobs: Vec<(Job, bool)> = jobs.into_iter().map(|job| (job, false)).collect();
    // One job alone needs no savepoint: the transaction is its own.
    if let [(job, kept)] = jobs.as_mut_slice() {
        *kept = job.work.run(job.op, db);
    } else if !all_together(db, &mut jobs) && begin_again(db) {
        for (job, kept) in &mut jobs {
            *kept = !db.is_autocommit() && in_savepoint(db, job);
        }
    }
    jobs
}

/// Does each job's work without savepoints; false when what one of them wrote has to be undone. Where
/// the engine has rolled everything back (disk full), nothing may be written outside of a transaction.
fn all_together(db: &Connection, jobs: &mut [(Job, bool)]) -> bool {
    for (job, kept) in jobs {
        if db.is_autocommit() {
            return true;
        }
        let written = db.total_changes();
        *kept = job.work.run(job.op, db);
        if !*kept && !db.is_autocommit() && db.total_changes() != written {
            return false;
        }
    }
    true
}

/// A transaction that is as empty as at its begin; false when there is none.
fn begin_again(db: &Connection) -> bool {
    undo(db);
    execute(db, "BEGIN IMMEDIATE").is_ok()
}

fn in_savepoint(db: &Connection, job: &mut Job) -> bool {
    if execute(db, "SAVEPOINT job").is_err() {
        return false;
    }
    let kept = job.work.run(job.op, db);
    if kept {
        return execute(db, "RELEASE job").is_ok();
    }
    // Failing here leaves the transaction gone or undecided; `end` looks at that.
    let _ = execute(db, "ROLLBACK TO job").and_then(|()| execute(db, "RELEASE job"));
    false
}

/// What became of a transaction.
enum Ended {
    Committed,
    /// Undone: no job wanted it, or the engine gave it up before the commit.
    RolledBack,
    /// The commit was refused with the transaction still open, so it was undone.
    Refused(rusqlite::Error),
    /// The commit failed on its way: a disk may have kept it.
    Unknown,
}

impl Ended {
    fn error(&self, op: &'static str) -> Option<Error> {
        match self {
            Ended::Committed => None,
            Ended::RolledBack => Some(rolled_back(op)),
            Ended::Refused(error) => Some(engine_error(error, op)),
            Ended::Unknown => Some(Error::CommitUnknown { op }),
        }
    }
}

/// A job may be undone by another of its batch that found the disk full: it was in nobody's way, and
/// is asked again.
fn rolled_back(op: &'static str) -> Error {
    Error::Busy { op }
}

fn end(db: &Connection, jobs: &[(Job, bool)]) -> Ended {
    if db.is_autocommit() {
        return Ended::RolledBack;
    }
    if jobs.iter().all(|(_, kept)| !kept) {
        undo(db);
        return Ended::RolledBack;
    }
    match execute(db, "COMMIT") {
        Ok(()) => Ended::Committed,
        Err(_) if db.is_autocommit() => Ended::Unknown,
        Err(error) => {
            undo(db);
            Ended::Refused(error)
        }
    }
}

/// Leaves no transaction open.
fn undo(db: &Connection) {
    if !db.is_autocommit() {
        // An engine that cannot even roll back refuses the next `BEGIN`, where it is told.
        let _ = execute(db, "ROLLBACK");
    }
}

fn execute(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(|_| ())
}

#[cfg(test)]
mod tests;
