//! What goes wrong inside a use case, before the use case's name is put to it.

use crate::store::aggregate::Corrupt;
use crate::store::{A_PHONE, A_REFERENCE, Error};

/// A step inside a transaction that failed.
#[derive(Debug)]
pub(in crate::store) enum Failure {
    /// The engine's own error.
    Engine(rusqlite::Error),
    /// A row holds what this program never writes, or would have to.
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong, without personal data.
        reason: String,
    },
}

/// A `Result` inside a use case.
pub(in crate::store) type Result<T> = std::result::Result<T, Failure>;

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Engine(error)
    }
}

impl From<Corrupt> for Failure {
    fn from(Corrupt { table, reason }: Corrupt) -> Failure {
        Failure::Corrupt { table, reason }
    }
}

impl Failure {
    /// A row that this program would never write.
    pub(in crate::store) fn corrupt(table: &'static str, reason: impl Into<String>) -> Failure {
        Failure::Corrupt { table, reason: reason.into() }
    }

    /// The same as the store's error of the use case `op`.
    pub(in crate::store) fn of(self, op: &'static str) -> Error {
        match self {
            Failure::Engine(error) => engine_error(&error, op),
            Failure::Corrupt { table, reason } => Error::Corrupt { table, reason },
        }
    }
}

/// An error of the engine before any commit: nothing has happened.
pub(in crate::store) fn engine_error(error: &rusqlite::Error, op: &'static str) -> Error {
    use rusqlite::ErrorCode::{ConstraintViolation, DatabaseBusy, DatabaseLocked, DiskFull};
    match error.sqlite_error_code() {
        // Another connection was in the way.
        Some(DatabaseBusy | DatabaseLocked) => Error::Busy { op },
        Some(DiskFull) => Error::Full { op },
        Some(ConstraintViolation) => match error.to_string() {
            told if told.contains("parcels.cust_use_no") => Error::Taken { op, what: A_REFERENCE },
            told if told.contains("members.phone") => Error::Taken { op, what: A_PHONE },
            reason => Error::Engine { op, reason },
        },
        _ => Error::Engine { op, reason: error.to_string() },
    }
}
