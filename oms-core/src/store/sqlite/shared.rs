//! Databases that outlive their stores: in memory, or on a simulated disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::failure::engine_error;
use super::{Synchronous, connect, query};
use crate::store;

/// A simulator's database: cloned handles share it, and it outlives the stores of killed nodes.
#[derive(Clone)]
pub struct SharedDatabase {
    home: Arc<Home>,
}

/// Gives a connection in memory back when the last handle is dropped.
struct Home {
    connection: Arc<Mutex<Connection>>,
    file: Option<File>,
}

/// Where a database lies that is not in memory.
struct File {
    vfs: String,
    path: String,
    synchronous: Synchronous,
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
        SharedDatabase { home: Arc::new(Home { connection, file: None }) }
    }

    /// The database in the file at `path` of the virtual file system `vfs`, made and migrated if
    /// need be.
    ///
    /// # Errors
    /// [`store::Error`] when the file cannot be opened, is broken, or was written by a newer
    /// program.
    pub fn on(vfs: &str, path: &str, synchronous: Synchronous) -> store::Result<SharedDatabase> {
        let file = File { vfs: vfs.to_owned(), path: path.to_owned(), synchronous };
        let connection = Arc::new(Mutex::new(file.open()?));
        Ok(SharedDatabase { home: Arc::new(Home { connection, file: Some(file) }) })
    }

    /// Ends the connection to a file, as the end of the machine does. Until [`Self::reopen`] every
    /// use case is an error. A database in memory goes on.
    ///
    /// # Errors
    /// [`store::Error`] when there is no memory.
    pub fn close(&self) -> store::Result<()> {
        if self.home.file.is_some() {
            // Empty: there is no table that a use case could find.
            let nothing = Connection::open_in_memory();
            let nothing = nothing.map_err(|error| engine_error(&error, "close"))?;
            *lock(&self.home.connection) = nothing;
        }
        Ok(())
    }

    /// Connects to the file again, which recovers what the last connection left.
    ///
    /// # Errors
    /// As [`SharedDatabase::on`].
    pub fn reopen(&self) -> store::Result<()> {
        self.close()?;
        if let Some(file) = &self.home.file {
            *lock(&self.home.connection) = file.open()?;
        }
        Ok(())
    }

    /// Grows with each row that is written: whoever saw this number saw the database as it is now.
    /// `None` for one in a file, whose connection may be another by now.
    pub fn changes(&self) -> Option<u64> {
        let in_memory = self.home.file.is_none();
        in_memory.then(|| lock(&self.home.connection).total_changes())
    }

    /// Whether an order is in no final state and with no operator: far less to count than in a census.
    ///
    /// # Errors
    /// [`store::Error`], when the database cannot be read.
    pub fn is_moving(&self) -> store::Result<bool> {
        query::is_moving(&self.lock()).map_err(|failure| failure.of("is-moving"))
    }

    /// The connection, for one batch.
    pub(in crate::store) fn lock(&self) -> MutexGuard<'_, Connection> {
        lock(&self.home.connection)
    }
}

impl File {
    fn open(&self) -> store::Result<Connection> {
        let opened = connect::file_alone(&self.vfs, &self.path, self.synchronous);
        opened.map_err(|failure| failure.of("open"))
    }
}

/// Also after a panic: a transaction that it left open is undone before the next.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Home {
    fn drop(&mut self) {
        let sound = self.file.is_none()
            && !self.connection.is_poisoned()
            && lock(&self.connection).is_autocommit();
        let mut kept = lock(&KEPT);
        if sound && kept.len() < KEPT_MAX {
            kept.push(self.connection.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::OrderState;

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
            let before = database.changes().unwrap();
            assert_eq!(database.changes(), Some(before), "reading changes nothing");
            insert(&database);
            assert!(database.changes().unwrap() > before);
            assert_eq!(quotas(&database.clone()), 1, "clones share it");
        }
    }

    #[test]
    fn it_moves_while_an_order_neither_ended_nor_is_with_the_operator() {
        for state in OrderState::ALL {
            let database = SharedDatabase::fresh();
            assert!(!database.is_moving().unwrap());
            let sql = "INSERT INTO orders VALUES ('ORD-1', ?1, '{}', '', 0, NULL, 0, 0)";
            database.lock().execute(sql, [state.as_str()]).unwrap();
            let rests = state.is_final() || *state == OrderState::Attention;
            assert_eq!(database.is_moving().unwrap(), !rests, "{state}");
        }
    }

    #[test]
    fn two_databases_at_once_are_two() {
        let (one, other) = (SharedDatabase::fresh(), SharedDatabase::fresh());
        insert(&one);
        assert_eq!((quotas(&one), quotas(&other)), (1, 0));
    }

    #[test]
    fn a_database_in_a_file_outlives_its_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oms.db");
        let path = path.to_str().unwrap();
        for (synchronous, code) in
            [(Synchronous::Full, 2), (Synchronous::Normal, 1), (Synchronous::Off, 0)]
        {
            let database = SharedDatabase::on("unix", path, synchronous).unwrap();
            let read = |pragma: &str| -> rusqlite::Result<i64> {
                database.lock().pragma_query_value(None, pragma, |row| row.get(0))
            };
            assert_eq!(read("synchronous"), Ok(code), "{synchronous:?}");
            let journal = "PRAGMA journal_mode";
            let journal = database.lock().query_row(journal, [], |row| row.get::<_, String>(0));
            assert_eq!(journal.as_deref(), Ok("wal"));
        }
        let database = SharedDatabase::on("unix", path, Synchronous::Full).unwrap();
        insert(&database);
        database.close().unwrap();
        assert!(database.lock().execute("INSERT INTO quotas (quota) VALUES ('q')", []).is_err());
        database.reopen().unwrap();
        assert_eq!(quotas(&database), 1);
    }

    #[test]
    fn a_broken_file_is_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oms.db");
        std::fs::write(&path, [7; 8192]).unwrap();
        let opened = SharedDatabase::on("unix", path.to_str().unwrap(), Synchronous::Full);
        assert!(opened.is_err());
    }
}
