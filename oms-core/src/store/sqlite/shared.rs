//! In-memory databases that outlive their stores.

use std::sync::{Arc, Mutex, PoisonError};

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

/// Connections of databases that are gone. A wiped one starts in a quarter of the time that a copy
/// of a template takes, and keeps its prepared statements; nothing else of it can be observed.
static KEPT: Mutex<Vec<Arc<Mutex<Connection>>>> = Mutex::new(Vec::new());

impl SharedDatabase {
    /// An empty, migrated database.
    pub fn fresh() -> SharedDatabase {
        let kept = kept().pop();
        let wiped = kept.filter(|connection| connect::wipe(&lock(connection)).is_ok());
        let connection = wiped.unwrap_or_else(|| {
            let connection = connect::in_memory();
            // Nothing but memory is needed, and the schema is the program's own.
            Arc::new(Mutex::new(connection.expect("an in-memory database opens")))
        });
        SharedDatabase { home: Arc::new(Home { connection }) }
    }

    pub(super) fn connection(&self) -> Arc<Mutex<Connection>> {
        self.home.connection.clone()
    }
}

fn kept() -> std::sync::MutexGuard<'static, Vec<Arc<Mutex<Connection>>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock(connection: &Mutex<Connection>) -> std::sync::MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Home {
    fn drop(&mut self) {
        // A store that is still alive goes on with this database: then it is not another's.
        let alone = Arc::strong_count(&self.connection) == 1;
        let sound = !self.connection.is_poisoned() && lock(&self.connection).is_autocommit();
        let mut kept = kept();
        if alone && sound && kept.len() < KEPT_MAX {
            kept.push(self.connection.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(database: &SharedDatabase) -> i64 {
        let connection = database.connection();
        let db = lock(&connection);
        db.query_row("SELECT count(*) FROM quotas", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_fresh_database_knows_nothing_of_the_ones_before() {
        for _ in 0..3 {
            let database = SharedDatabase::fresh();
            assert_eq!(quotas(&database), 0);
            let connection = database.connection();
            lock(&connection).execute("INSERT INTO quotas (quota) VALUES ('q')", []).unwrap();
            assert_eq!(quotas(&database.clone()), 1, "clones share it");
        }
    }

    #[test]
    fn two_databases_at_once_are_two() {
        let (one, other) = (SharedDatabase::fresh(), SharedDatabase::fresh());
        let connection = one.connection();
        lock(&connection).execute("INSERT INTO quotas (quota) VALUES ('q')", []).unwrap();
        assert_eq!((quotas(&one), quotas(&other)), (1, 0));
    }
}
