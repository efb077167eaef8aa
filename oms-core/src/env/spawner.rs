//! Where tasks run, and which one is running.

use std::future::Future;

use clockwork::BoxFuture;

/// The number of a task, unique within its worker.
pub type TaskId = u64;

tokio::task_local! {
    static TASK: TaskId;
}

/// Starts tasks. They belong to a worker: when it dies, all its futures are dropped at once.
pub trait Spawner: Send + Sync {
    /// Runs `work` to its end, under a new [`TaskId`]. `name` shows in diagnostics.
    fn spawn(&self, name: &'static str, work: BoxFuture<'static, ()>);
}

/// The task that runs this code, 0 outside of any.
///
/// Evidence that no transaction is open while a call is in flight rests on it: both sides record
/// the task that they happen in.
pub fn current_task() -> TaskId {
    TASK.try_with(|task| *task).unwrap_or(0)
}

/// `work` under the name of `task`; for implementations of [`Spawner`].
pub fn scoped<F: Future>(task: TaskId, work: F) -> impl Future<Output = F::Output> {
    TASK.scope(task, work)
}

/// Tasks of tokio's runtime.
#[derive(Debug, Default)]
pub struct TokioSpawner {
    next: std::sync::atomic::AtomicU64,
}

impl Spawner for TokioSpawner {
    #[expect(clippy::disallowed_methods, reason = "this is the spawner")]
    fn spawn(&self, _name: &'static str, work: BoxFuture<'static, ()>) {
        let task = 1 + self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tokio::spawn(scoped(task, work));
    }
}
