//! A thread that owns a connection and takes what waits.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::{Access, Job, Queue, Reply, Watch, run, undo};
use crate::store::sqlite::Room;
use crate::store::{Error, Result};

/// A connection on a thread of its own. Dropping it finishes what waits.
pub(in crate::store) struct Worker {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread. Only a live service has one: the simulator runs jobs inline.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(in crate::store) fn start(
        name: &str,
        db: Connection,
        access: Access,
        watch: Watch,
        mut room: Room,
    ) -> std::io::Result<Worker> {
        let queue = Arc::new(Queue::default());
        let own = queue.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(&own, &db, access, &watch, &mut room))?;
        Ok(Worker { queue, thread: Some(thread) })
    }

    /// Puts `job` in the queue and waits for its commit.
    pub(in crate::store) async fn execute<T>(
        &self,
        op: &'static str,
        job: Job,
        reply: Reply<T>,
    ) -> Result<T> {
        self.queue.push(job);
        // No answer: the batch panicked, before its commit or after.
        reply.await.unwrap_or(Err(Error::CommitUnknown { op }))
    }
}

fn serve(queue: &Queue, db: &Connection, access: Access, watch: &Watch, room: &mut Room) {
    loop {
        let jobs = queue.wait();
        if jobs.is_empty() {
            return;
        }
        room.look(db);
        // A panic is a bug of one use case; the service and its other use cases go on.
        let work = AssertUnwindSafe(|| run(db, jobs, access, watch));
        if std::panic::catch_unwind(work).is_err() {
            tracing::error!("a database job panicked; its batch was rolled back");
            undo(db);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // Its panics are caught above.
            let _ = thread.join();
        }
    }
}
