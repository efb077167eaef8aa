//! One transaction of the engine's, and who is told of its end.

use sqlx::{PgConnection, Postgres};

use super::failure::{self, of_commit};
use crate::env::TaskId;
use crate::store::Result;
use crate::store::group_commit::Watch;

/// One transaction, from its begin to its end. Dropping it rolls back.
pub(super) struct Transaction {
    pub(super) op: &'static str,
    /// The use cases that it serves, mostly one, each with its task.
    pub(super) parts: Vec<(&'static str, TaskId)>,
    pub(super) watch: Watch,
    /// Until it has ended.
    pub(super) open: Option<sqlx::Transaction<'static, Postgres>>,
}

impl Transaction {
    pub(super) fn db(&mut self) -> &mut PgConnection {
        // It is taken by `end` and `roll_back` alone, which take the whole.
        self.open.as_mut().expect("an open transaction")
    }

    /// Commits what went well, and undoes what did not.
    pub(super) async fn end<T>(self, done: failure::Result<T>) -> Result<T> {
        let answer = match done {
            Ok(answer) => answer,
            Err(failure) => {
                let error = failure.of(self.op);
                self.roll_back().await;
                return Err(error);
            }
        };
        let op = self.op;
        self.commit().await.map_err(|error| of_commit(&error, op)).map(|()| answer)
    }

    /// Commits; what became of it is the engine's own word.
    pub(super) async fn commit(mut self) -> std::result::Result<(), sqlx::Error> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let committed = open.commit().await;
        self.ended(committed.is_ok());
        committed
    }

    /// Tells that it has ended.
    fn ended(&self, committed: bool) {
        for (op, task) in &self.parts {
            self.watch.ended(op, *task, committed);
        }
    }

    pub(super) async fn roll_back(mut self) {
        if let Some(open) = self.open.take() {
            self.ended(false);
            // A server that is gone has rolled back, too.
            let _ = open.rollback().await;
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.open.take().is_some() {
            self.ended(false);
        }
    }
}
