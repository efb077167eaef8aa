//! What goes wrong inside a use case, before the use case's name is put to it.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::store::aggregate::Corrupt;
use crate::store::{A_PHONE, A_REFERENCE, Error};

/// A step inside a transaction that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The engine's own error, or the way to it.
    Engine(sqlx::Error),
    /// A row holds what this program never writes, or would have to.
    Corrupt(Corrupt),
    /// Others were in the way: asked again, it is another answer.
    Busy,
}

/// A `Result` inside a use case.
pub(super) type Result<T> = std::result::Result<T, Failure>;

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        Failure::Engine(error)
    }
}

impl From<Corrupt> for Failure {
    fn from(corrupt: Corrupt) -> Failure {
        Failure::Corrupt(corrupt)
    }
}

impl Failure {
    /// A row that this program would never write.
    pub(super) fn corrupt(table: &'static str, reason: impl Into<String>) -> Failure {
        Failure::Corrupt(Corrupt::new(table, reason))
    }

    /// The same, of a statement that is a transaction of its own: one that was not answered may have
    /// been committed.
    pub(super) fn of_statement(self, op: &'static str) -> Error {
        match self {
            Failure::Engine(error) => of_commit(&error, op),
            other => other.of(op),
        }
    }

    /// The same as the store's error of the use case `op`.
    pub(super) fn of(self, op: &'static str) -> Error {
        match self {
            Failure::Engine(error) => before_commit(&error, op),
            Failure::Corrupt(Corrupt { table, reason }) => Error::Corrupt { table, reason },
            Failure::Busy => Error::Busy { op },
        }
    }
}

/// An error before any commit was sent: nothing has happened, also when the connection is gone.
pub(super) fn before_commit(error: &sqlx::Error, op: &'static str) -> Error {
    if passes(error) {
        tracing::warn!(op, %error, "database busy or away; nothing happened");
        return Error::Busy { op };
    }
    let refused = database_error(error);
    match refused.map(PgDatabaseError::code) {
        Some("53100") => {
            tracing::error!(op, %error, "the database's disk is full; nothing happened");
            Error::Full { op }
        }
        Some("23505") => match refused.and_then(PgDatabaseError::constraint) {
            Some("parcels_one_cust_use_no") => Error::Taken { op, what: A_REFERENCE },
            Some("members_one_phone") => Error::Taken { op, what: A_PHONE },
            _ => Error::Engine { op, reason: error.to_string() },
        },
        _ => Error::Engine { op, reason: error.to_string() },
    }
}

/// An error of a commit. Only a server that refused it in so many words has certainly not made it;
/// one that ends the connection, or is not heard of, may have.
pub(super) fn of_commit(error: &sqlx::Error, op: &'static str) -> Error {
    match database_error(error) {
        Some(refused) if refused.severity() == PgSeverity::Error => before_commit(error, op),
        _ => {
            tracing::warn!(op, %error, "commit not answered");
            Error::CommitUnknown { op }
        }
    }
}

fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()
}

/// Whether the same use case may succeed a little later: others were in the way, or the server was
/// away, restarted, or not the one that may be written to.
pub(super) fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        _ => database_error(error).is_some_and(|refused| code_passes(refused.code())),
    }
}

/// By SQLSTATE; see PostgreSQL's appendix A.
fn code_passes(code: &str) -> bool {
    // Serialization, deadlock, and the like; connection exceptions; an operator intervened.
    let class = ["40", "08", "57"].iter().any(|class| code.starts_with(class));
    // A lock waited for too long; too many connections; hung in a transaction; a standby.
    class || matches!(code, "55P03" | "53300" | "25P03" | "25006")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not_by_the_engines_own_codes() {
        for code in ["40001", "40P01", "55P03", "57P01", "57P03", "53300", "25006", "08006"] {
            assert!(code_passes(code), "{code}");
        }
        // A value, a constraint, a full disk, a missing table, a password.
        for code in ["22021", "23505", "53100", "42P01", "28P01"] {
            assert!(!code_passes(code), "{code}");
        }
    }

    #[test]
    fn a_lost_connection_is_busy_before_a_commit_and_unknown_during_one() {
        let lost = || sqlx::Error::Io(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(before_commit(&lost(), "op"), Error::Busy { op: "op" }));
        assert!(matches!(of_commit(&lost(), "op"), Error::CommitUnknown { op: "op" }));
    }
}
