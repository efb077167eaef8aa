//! That no statement of an order's way grows slower with what has been finished before: SQLite is
//! asked for the plan of each statement that the use cases prepare.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use clockwork::{DrillClock, Timestamp};
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::{Options, SharedDatabase, SqliteStore};
use crate::env::NullObserver;
use crate::store::group_commit::no_scheduling_point;
use crate::store::way::{OPEN_WORK, the_way_of_an_order};

/// What was prepared on the one connection that is watched.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn see(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event {
        SEEN.lock().unwrap().insert(statement.sql().into_owned());
    }
}

/// Whether a line of a plan goes through a table, or an index, from end to end. An index that holds
/// open work alone may be: it is as short as what is to be done.
fn grows_with_the_past(line: &str) -> bool {
    // What the statement itself brings along.
    let own = line.contains("CONSTANT ROW") || line.contains("VALUES CLAUSE");
    line.starts_with("SCAN") && !own && !OPEN_WORK.iter().any(|index| line.contains(index))
}

fn plan(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // A plan needs no values.
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get(3).unwrap());
    }
    lines
}

#[tokio::test]
async fn no_statement_of_an_orders_way_looks_through_the_past() {
    let database = SharedDatabase::fresh();
    let now = Timestamp::from_micros(1_795_000_000_000_000);
    let options = Options::new(Arc::new(DrillClock::starting_at(now)), Arc::new(NullObserver));
    let store = SqliteStore::inline(&database, no_scheduling_point(), options);
    database.lock().trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(see));
    the_way_of_an_order(&store, now).await;
    let db = database.lock();
    db.trace_v2(TraceEventCodes::empty(), None);
    let seen = std::mem::take(&mut *SEEN.lock().unwrap());
    let asks = |sql: &&String| {
        let verb = sql.trim_start().split(' ').next().unwrap_or_default();
        ["SELECT", "UPDATE", "DELETE", "INSERT", "WITH"].contains(&verb)
    };
    let hot: Vec<&String> = seen.iter().filter(asks).collect();
    assert!(hot.len() >= 20, "{hot:#?}");
    for sql in hot {
        let plan = plan(&db, sql);
        assert!(!plan.iter().any(|line| grows_with_the_past(line)), "{sql}\n{plan:#?}");
    }
    // And it would be seen.
    let scan = plan(&db, "SELECT id FROM orders WHERE reason = 'x'");
    assert!(scan.iter().any(|line| grows_with_the_past(line)), "{scan:?}");
}
