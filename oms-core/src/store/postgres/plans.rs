//! That no statement of an order's way grows slower with what has been finished before: PostgreSQL is
//! asked for the plan of each statement that the store has prepared, over large tables, before they
//! were ever analysed and after.

use std::sync::Arc;

use clockwork::{DrillClock, Timestamp};
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::PostgresStore;
use crate::env::NullObserver;
use crate::state::OrderState;
use crate::store::sqlite::Options;
use crate::store::way::{OPEN_WORK, the_way_of_an_order};
use crate::store::{Filter, Store};

/// The order of the way, so many times more, all finished: as rows, whatever columns they have.
const PAST: &str = "
    CREATE TEMP TABLE past AS SELECT 'OLD-' || n AS id FROM generate_series(1, 20000) AS n;
    INSERT INTO orders SELECT o.* FROM past, jsonb_populate_record(NULL::orders,
        (SELECT to_jsonb(t) FROM orders t WHERE id = 'ORD-1') || jsonb_build_object('id', past.id)) o;
    INSERT INTO parcels SELECT p.* FROM past, jsonb_populate_record(NULL::parcels,
        (SELECT to_jsonb(t) FROM parcels t WHERE order_id = 'ORD-1')
        || jsonb_build_object('order_id', past.id, 'cust_use_no', past.id)) p;
    INSERT INTO notices SELECT n.* FROM past, jsonb_populate_record(NULL::notices,
        (SELECT to_jsonb(t) FROM notices t WHERE order_id = 'ORD-1')
        || jsonb_build_object('order_id', past.id)) n;
    INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
        SELECT at, entity, replace(key, 'ORD-1', past.id), from_state, to_state, walked_by
        FROM past, transitions;
    INSERT INTO reports (msg_key, reference, code, channel, received_at)
        SELECT id, id, '10000', 'alimtalk', 1 FROM past;
    INSERT INTO pruned SELECT 'PRUNED-' || id, 'completed', '', 1 FROM past;
    INSERT INTO members SELECT id, id, id, '', 1 FROM past;";

/// Tables that never grow with what is finished.
const SMALL: [&str; 3] = ["quotas", "permits", "audit"];

/// A database of its own on the server that `scripts/services` starts; `None` where there is none.
async fn database() -> Option<String> {
    let promised = std::env::var("DRILLSHIP_SERVICES").is_ok_and(|word| word == "required");
    let server = std::env::var("DRILLSHIP_POSTGRES").ok();
    assert!(server.is_some() || !promised, "DRILLSHIP_POSTGRES names no server");
    let server = server?;
    let name = format!("plans_{}", std::process::id());
    let mut db = PgConnection::connect(&server).await.unwrap();
    let make = format!("CREATE SCHEMA {name}");
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut db).await.unwrap();
    Some(format!("{server}?options=-c%20search_path%3D{name}"))
}

/// The plan of each statement that the pool's one connection has prepared, with its text.
async fn plans(pool: &PgPool) -> Vec<(String, Vec<String>)> {
    const PREPARED: &str = "SELECT name, statement, cardinality(parameter_types) AS parameters
                            FROM pg_prepared_statements";
    let mut db = pool.acquire().await.unwrap();
    let mut plans = Vec::new();
    // As text, so that asking prepares nothing.
    for row in sqlx::raw_sql(PREPARED).fetch_all(&mut *db).await.unwrap() {
        let (name, sql): (String, String) = (row.get(0), row.get(1));
        let values = vec!["NULL"; usize::try_from(row.get::<i32, _>(2)).unwrap()].join(", ");
        let values = if values.is_empty() { values } else { format!("({values})") };
        let verb = sql.split_whitespace().next().unwrap_or_default();
        if ["SELECT", "UPDATE", "DELETE", "INSERT", "WITH"].contains(&verb) {
            plans.push((sql, plan(&mut db, &format!("EXECUTE {name} {values}")).await));
        }
    }
    plans
}

async fn plan(db: &mut PgConnection, what: &str) -> Vec<String> {
    let explain = format!("EXPLAIN (COSTS OFF) {what}");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(db).await.unwrap();
    rows.iter().map(|row: &PgRow| row.get(0)).collect()
}

/// Whether a plan goes through a table, or an index, from end to end.
fn grows_with_the_past(plan: &[String]) -> bool {
    let nodes = plan.iter().enumerate().filter_map(|(at, line)| {
        let (node, object) = line.split_once(" on ")?;
        let object = object.split_whitespace().next()?;
        // Its own lines, up to the next node.
        let own = plan[at + 1..].iter().take_while(|line| !line.contains("->"));
        let has_bounds = own.into_iter().any(|line| line.contains("Index Cond:"));
        let index = node.split_once(" using ").map_or(object, |(_, index)| index);
        Some(match node {
            _ if node.ends_with("Seq Scan") => !SMALL.contains(&object),
            _ if node.contains("Index") => !has_bounds && !OPEN_WORK.contains(&index),
            _ => false,
        })
    });
    nodes.into_iter().any(|grows| grows)
}

#[tokio::test]
async fn no_statement_of_an_orders_way_looks_through_the_past() {
    let Some(url) = database().await else { return };
    let now = Timestamp::from_micros(1_795_000_000_000_000);
    let options = Options::new(Arc::new(DrillClock::starting_at(now)), Arc::new(NullObserver));
    let store = PostgresStore::open(&url, Options { pool_size: 1, ..options }).await.unwrap();
    the_way_of_an_order(&store, now).await;
    let open = Filter { state: Some(OrderState::Accepted), limit: 1, ..Filter::default() };
    store.orders(open).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(PAST).execute(&mut other).await.unwrap();
    for analysed in [false, true] {
        if analysed {
            sqlx::raw_sql("ANALYZE").execute(&mut other).await.unwrap();
        }
        let plans = plans(&store.pool).await;
        assert!(plans.len() >= 20, "{plans:#?}");
        let mut lists = false;
        for (sql, plan) in plans {
            assert!(!grows_with_the_past(&plan), "analysed: {analysed}\n{sql}\n{plan:#?}");
            // Bounds on ids alone would do for the assertion above, and are as wide as the past.
            let by_state = plan.iter().any(|line| line.contains("orders_by_state"));
            assert!(by_state || !sql.contains("state <= $2"), "{sql}\n{plan:#?}");
            lists |= by_state;
        }
        assert!(lists, "a list of one state was asked for");
    }
    // And it would be seen.
    let table = plan(&mut other, "SELECT id FROM orders WHERE reason = 'x'").await;
    let mut db = store.pool.acquire().await.unwrap();
    let index = plan(&mut db, "SELECT count(state) FROM notices").await;
    drop(db);
    for scan in [table, index] {
        assert!(grows_with_the_past(&scan), "{scan:#?}");
    }
    store.close().await;
}
