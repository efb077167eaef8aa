//! What only a server can do to its clients: lose a connection at the worst moment, make them wait,
//! restart. Between the store and the server stands a proxy that cuts where it is told to.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use oms_core::state::OrderState;
use oms_core::store::postgres::{PostgresStore, hold_write_lock};
use oms_core::store::sqlite::Options;
use oms_core::store::{Error, Ingested, ParcelOutcome, Patience, Store, Written, patiently};
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::options;
use crate::postgres::Database;
use crate::support::{at, ingest, intend, order, order_state, parcel, walked};

/// Nothing is cut.
const WHOLE: u8 = 0;
/// The next commit does not reach the server.
const BEFORE_THE_COMMIT: u8 = 1;
/// The next commit does, and its answer does not come back.
const BEFORE_ITS_ANSWER: u8 = 2;

/// A way to the server that can be cut.
struct Proxy {
    cut: Arc<AtomicU8>,
    url: String,
}

impl Proxy {
    /// In front of the server of `database`.
    #[expect(clippy::disallowed_methods, reason = "the proxy's tasks belong to no node")]
    async fn before(database: &Database) -> Proxy {
        let server = PgConnectOptions::from_str(&database.url).unwrap();
        let server = format!("{}:{}", server.get_host(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let url = database.url.replace(&server, &here);
        let cut = Arc::new(AtomicU8::new(WHOLE));
        let wanted = cut.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass_on(client, server, wanted.clone()));
            }
        });
        Proxy { cut, url }
    }

    fn cut_next(&self, place: u8) {
        self.cut.store(place, Ordering::Release);
    }

    fn has_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire) == WHOLE
    }
}

/// Passes on what both sides say until one of them ends, or it is time to cut.
async fn pass_on(mut client: TcpStream, mut server: TcpStream, cut: Arc<AtomicU8>) {
    let (mut asked, mut told) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            biased;
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let asked = &asked[..length];
                let commits = asked.windows(7).any(|word| word == b"COMMIT\0");
                let place = if commits { cut.swap(WHOLE, Ordering::AcqRel) } else { WHOLE };
                if place == BEFORE_THE_COMMIT || server.write_all(asked).await.is_err() {
                    return;
                }
                if place == BEFORE_ITS_ANSWER {
                    // It is answered, so it has happened.
                    let answered = server.read(&mut told).await;
                    assert!(answered.unwrap() > 0);
                    return;
                }
            }
            read = server.read(&mut told) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&told[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A store whose way to the server can be cut.
async fn cuttable() -> Option<(Proxy, PostgresStore)> {
    let database = Database::fresh().await?;
    let proxy = Proxy::before(&database).await;
    let store = PostgresStore::open(&proxy.url, options()).await.unwrap();
    Some((proxy, store))
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_again_by_repeating() {
    let Some((proxy, store)) = cuttable().await else { return };
    let placed = order("ORD-1", 1);
    proxy.cut_next(BEFORE_ITS_ANSWER);
    let lost = store.ingest(&placed, None, at(0)).await;
    assert!(matches!(lost, Err(Error::CommitUnknown { op: "ingest" })), "{lost:?}");
    let again = store.ingest(&placed, None, at(0)).await.unwrap();
    assert_eq!(again, Ingested::Same(OrderState::Accepted));

    let work = parcel(&store, at(0)).await;
    intend(&store, &work, at(0)).await;
    proxy.cut_next(BEFORE_ITS_ANSWER);
    let lost = store.settle_parcel(&work, ParcelOutcome::Booked, at(1)).await;
    assert!(matches!(lost, Err(Error::CommitUnknown { op: "settle-parcel" })), "{lost:?}");
    let again = store.settle_parcel(&work, ParcelOutcome::Booked, at(1)).await.unwrap();
    assert_eq!(again, Written::Done);
    assert_eq!(walked(&store, "ORD-1/1").await, ["planned", "intended", "booked"], "once");
    assert_eq!(order_state(&store, "ORD-1").await, OrderState::Shipped);
}

#[tokio::test]
async fn a_commit_that_never_arrived_looks_the_same_and_is_made_by_repeating() {
    let Some((proxy, store)) = cuttable().await else { return };
    let placed = order("ORD-1", 1);
    proxy.cut_next(BEFORE_THE_COMMIT);
    let lost = store.ingest(&placed, None, at(0)).await;
    assert!(proxy.has_cut() && matches!(lost, Err(Error::CommitUnknown { .. })), "{lost:?}");
    let ask = || store.ingest(&placed, None, at(0));
    let again = patiently(&*options().clock, Patience::Short, ask).await.unwrap();
    assert_eq!(again, Ingested::Created(OrderState::Accepted), "it had not happened");
}

#[tokio::test]
async fn sessions_that_the_server_ends_cost_no_more_than_a_repetition() {
    let Some(database) = Database::fresh().await else { return };
    let store = database.store().await;
    ingest(&store, "ORD-1", 1).await;
    let mut other = database.connect().await;
    // Those of this case alone: each has a name of its own.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = current_setting('application_name')
                     AND pid <> pg_backend_pid()";
    sqlx::raw_sql(end).execute(&mut other).await.unwrap();
    let ask = || store.order("ORD-1");
    let found = patiently(&*options().clock, Patience::Short, ask).await.unwrap();
    assert_eq!(found.unwrap().state, OrderState::Accepted);
}

#[tokio::test]
async fn who_waits_too_long_for_a_lock_is_told_that_nothing_happened() {
    let Some(database) = Database::fresh().await else { return };
    let impatient = Options { busy_wait: Duration::from_millis(50), ..options() };
    let store = database.store_with(impatient).await;
    let lock = hold_write_lock(&database.url, &options()).await.unwrap();
    let placed = order("ORD-1", 1);
    let busy = store.ingest(&placed, None, at(0)).await;
    assert!(matches!(busy, Err(Error::Busy { op: "ingest" })), "{busy:?}");
    assert_eq!(store.order("ORD-1").await.unwrap(), None, "reads go on");
    drop(lock);
    let ask = || store.ingest(&placed, None, at(0));
    let kept = patiently(&*options().clock, Patience::Short, ask).await.unwrap();
    assert_eq!(kept, Ingested::Created(OrderState::Accepted));
}

#[tokio::test]
async fn a_row_that_another_transaction_holds_is_left_out_of_a_claim_for_a_moment() {
    let Some(database) = Database::fresh().await else { return };
    let store = database.store().await;
    ingest(&store, "A", 1).await;
    ingest(&store, "B", 1).await;
    let mut other = database.connect().await;
    let hold = "BEGIN; SELECT 1 FROM parcels WHERE order_id = 'A' FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    let claimed = crate::support::parcels(&store, at(0)).await;
    let keys: Vec<String> = claimed.work.iter().map(|work| work.key.to_string()).collect();
    assert_eq!(keys, ["B/1"]);
    let soon = claimed.next_due.unwrap();
    assert!(soon > at(0) && soon < at(1), "looked at again, and not at once: {soon}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(parcel(&store, soon).await.key.to_string(), "A/1");
}

#[tokio::test]
async fn a_full_pool_is_waited_for_and_then_busy() {
    let Some(database) = Database::fresh().await else { return };
    let pool = Options { pool_size: 1, pool_wait: Duration::from_millis(50), ..options() };
    let store = database.store_with(pool).await;
    let mut hands = crate::support::hands();
    let held = store.begin(&mut hands).await.unwrap();
    let busy = store.order("ORD-1").await;
    assert!(matches!(busy, Err(Error::Busy { op: "order" })), "{busy:?}");
    drop(held);
    assert_eq!(store.order("ORD-1").await.unwrap(), None);
}

#[tokio::test]
async fn a_database_is_migrated_by_many_at_once_and_again_without_harm() {
    let Some(database) = Database::fresh().await else { return };
    let open = || database.store();
    let stores = futures_util::future::join_all((0..6).map(|_| open())).await;
    ingest(&stores[0], "ORD-1", 1).await;
    let again = database.store().await;
    assert!(again.order("ORD-1").await.unwrap().is_some());

    let mut other = database.connect().await;
    sqlx::raw_sql("UPDATE meta SET value = 99").execute(&mut other).await.unwrap();
    let newer = PostgresStore::open(&database.url, options()).await;
    assert!(matches!(newer.err(), Some(Error::Corrupt { table: "meta", .. })));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once_and_without_the_password() {
    let url = "postgres://oms:hunter2@127.0.0.1:1/orders";
    let error = PostgresStore::open(url, options()).await.err().unwrap();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    for url in ["postgres://oms:hunter2@[bad", "postgres://oms:hunter2@h/db?sslmode=hunter2"] {
        let error = PostgresStore::open(url, options()).await.err().unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

/// A store whose next order is refused by the server with this SQLSTATE, as a trigger raises it.
async fn refusing(sqlstate: &str) -> Option<(Database, PostgresStore)> {
    let database = Database::fresh().await?;
    let store = database.store().await;
    let trigger = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()"
    );
    let mut db = database.connect().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut db).await.unwrap();
    Some((database, store))
}

#[tokio::test]
async fn a_full_disk_is_told_apart_and_passes_when_there_is_room() {
    let Some((database, store)) = refusing("53100").await else { return };
    let full = store.ingest(&order("ORD-1", 1), None, at(0)).await.unwrap_err();
    assert!(matches!(full, Error::Full { op: "ingest" }) && full.retryable(), "{full:?}");
    let mut db = database.connect().await;
    sqlx::raw_sql("DROP TRIGGER refuse ON orders").execute(&mut db).await.unwrap();
    let kept = store.ingest(&order("ORD-1", 1), None, at(0)).await.unwrap();
    assert_eq!(kept, Ingested::Created(OrderState::Accepted));
}

#[tokio::test]
async fn a_serialization_failure_is_busy_and_a_broken_rule_is_not() {
    let Some((_database, store)) = refusing("40001").await else { return };
    let busy = store.ingest(&order("ORD-1", 1), None, at(0)).await;
    assert!(matches!(busy, Err(Error::Busy { op: "ingest" })), "{busy:?}");
    let Some((_database, store)) = refusing("23514").await else { return };
    let broken = store.ingest(&order("ORD-1", 1), None, at(0)).await.unwrap_err();
    assert!(matches!(broken, Error::Engine { .. }) && !broken.retryable(), "{broken:?}");
}

#[tokio::test]
async fn a_server_that_may_not_be_written_to_is_busy_until_it_may() {
    let Some(database) = Database::fresh().await else { return };
    database.store().await;
    let option = "%20-c%20default_transaction_read_only%3Don&application_name";
    let read_only = database.url.replace("&application_name", option);
    let store = PostgresStore::open(&read_only, options()).await.unwrap();
    let busy = store.ingest(&order("ORD-1", 1), None, at(0)).await;
    assert!(matches!(busy, Err(Error::Busy { op: "ingest" })), "{busy:?}");
    assert_eq!(store.order("ORD-1").await.unwrap(), None, "reads go on");
}

#[tokio::test]
async fn whoever_is_chosen_to_end_a_deadlock_is_busy_and_changes_nothing() {
    let Some(database) = Database::fresh().await else { return };
    let store = database.store().await;
    ingest(&store, "ORD-1", 1).await;
    let work = parcel(&store, at(0)).await;
    let mut other = database.connect().await;
    // It waits for longer before it looks for a circle: the store finds it first, and gives way.
    let first = "SET deadlock_timeout = '20s'; BEGIN; SELECT 1 FROM parcels FOR UPDATE";
    sqlx::raw_sql(first).execute(&mut other).await.unwrap();
    let settled = async {
        let outcome = ParcelOutcome::Intended(crate::support::intent(&work));
        store.settle_parcel(&work, outcome, at(0)).await
    };
    let against = async {
        options().clock.sleep(Duration::from_millis(300)).await;
        sqlx::raw_sql("SELECT 1 FROM orders FOR UPDATE").execute(&mut other).await.unwrap();
        sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    };
    let (settled, ()) = tokio::join!(settled, against);
    assert!(matches!(settled, Err(Error::Busy { op: "settle-parcel" })), "{settled:?}");
    assert_eq!(walked(&store, "ORD-1/1").await, ["planned"]);
    intend(&store, &work, at(0)).await;
}
