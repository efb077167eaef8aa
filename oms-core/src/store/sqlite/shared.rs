//! In-memory databases that outlive their stores.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::connect;

/// An in-memory database, as a simulator's "disk": cloned handles share it, and it outlives the
/// stores of killed nodes.
#[derive(Clone)]
pub struct SharedDatabase {
    home: Arc<Home>,
}

/// Gives its connection back when the last handle is dropped.
struct Home {
    connection: Arc<Mutex<Connection>>,
}

/// At most so many connections are kept for later databases.
const KEPT_MAX: usize = 16;

/// Connections of databases that are gone. Wiping one takes 50 µs, hardly less than copying a
/// template, but it keeps its prepared statements, which would take a millisecond to prepare again.
/// Nothing else of it can be observed.
static KEPT: Mutex<Vec<Arc<Mutex<Connection>>>> = Mutex::new(Vec::new());

impl SharedDatabase {
    /// An empty, migrated database.
    pub fn fresh() -> SharedDatabase {
        let kept = lock(&KEPT).pop();
        let wiped = kept.filter(|connection| connect::wipe(&lock(connection)).is_ok());
        let connection = wiped.unwrap_or_else(|| {
            let connection = connect::in_memory();
            // Nothing but memory is needed, and the schema is the program's own.
            Arc::new(Mutex::new(connection.expect("an in-memory database opens")))
        });
        SharedDatabase { home: Arc::new(Home { connection }) }
    }

    /// The connection, for one batch.
    pub(in crate::store) fn lock(&self) -> MutexGuard<'_, Connection> {
        lock(&self.home.connection)
    }
}

/// Also after a panic: a transaction that it left open is undone before the next.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Home {
    fn drop(&mut self) {
        let sound = !self.connection.is_poisoned() && lock(&self.connection).is_autocommit();
        let mut kept = lock(&KEPT);
        if sound && kept.len() < KEPT_MAX {
            kept.push(self.connection.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(database: &SharedDatabase) -> i64 {
        database.lock().query_row("SELECT count(*) FROM quotas", [], |row| row.get(0)).unwrap()
    }

    fn insert(database: &SharedDatabase) {
        database.lock().execute("INSERT INTO quotas (quota) VALUES ('q')", []).unwrap();
    }

    #[test]
    fn a_fresh_database_knows_nothing_of_the_ones_before() {
        for _ in 0..3 {
            let database = SharedDatabase::fresh();
            assert_eq!(quotas(&database), 0);
            insert(&database);
            assert_eq!(quotas(&database.clone()), 1, "clones share it");
        }
    }

    #[test]
    fn two_databases_at_once_are_two() {
        let (one, other) = (SharedDatabase::fresh(), SharedDatabase::fresh());
        insert(&one);
        assert_eq!((quotas(&one), quotas(&other)), (1, 0));
    }
}
