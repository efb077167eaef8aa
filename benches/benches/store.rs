//! The steps of an order's way on a real database, in real time: `claim`, `book` (what a booking
//! came to, with the outbox row) and `complete` (what a message came to), for sixteen orders at
//! once, each durable.
//!
//! SQLite lies in a file with `synchronous=FULL`. PostgreSQL is measured where `DRILLSHIP_POSTGRES`
//! names a server, in a schema of the bench's own:
//! `scripts/services cargo bench -p benches --bench store`.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clockwork::{DrillClock, Timestamp};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use oms_core::env::NullObserver;
use oms_core::order::Order;
use oms_core::store::postgres::PostgresStore;
use oms_core::store::sqlite::{Options, SqliteStore};
use oms_core::store::{
    Claim, Intent, NoticeOutcome, NoticeWork, ParcelOutcome, ParcelWork, Store, Written,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;

/// As `drill` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Orders at once.
const AT_ONCE: u32 = 16;

/// A database, and what it takes to use it.
struct Bench {
    runtime: Runtime,
    store: Arc<dyn Store>,
    next: AtomicU32,
}

impl Bench {
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn now() -> Timestamp {
        Timestamp::from_micros(1_795_000_000_000_000)
    }

    /// Orders that nobody has seen yet.
    fn orders(&self) {
        let first = self.next.fetch_add(AT_ONCE, Ordering::Relaxed);
        let taken_in = (first..first + AT_ONCE).map(|number| {
            let json = format!(
                r#"{{"id":"ORD-{number}","customer":{{"name":"홍길동","phone":"01012345678"}},
                    "address":{{"postcode":"06236","line1":"서울 강남구 테헤란로 152"}},
                    "items":[{{"sku":"S","name":"양말","quantity":1,"unit_price":3500}}]}}"#
            );
            let order = Order::from_json(json.as_bytes()).expect("the bench's own order");
            async move { self.store.ingest(&order, None, Bench::now()).await }
        });
        for taken_in in self.wait(join_all(taken_in)) {
            taken_in.expect("an order is taken in");
        }
    }

    fn claim(&self) -> Claim {
        let (worker, now) = ("w".to_owned(), Bench::now());
        let limit = usize::try_from(AT_ONCE).unwrap_or(1);
        Claim { worker, now, until: now + Duration::from_secs(3600), limit }
    }

    fn claimed(&self) -> Vec<ParcelWork> {
        let claimed = self.wait(self.store.claim_parcels(self.claim()));
        let work = claimed.expect("a claim").work;
        assert_eq!(work.len(), self.claim().limit);
        work
    }

    fn settle(&self, work: &[ParcelWork], outcome: impl Fn(&ParcelWork) -> ParcelOutcome) {
        let settled =
            work.iter().map(|work| self.store.settle_parcel(work, outcome(work), Bench::now()));
        for written in self.wait(join_all(settled)) {
            assert_eq!(written.expect("an outcome is written"), Written::Done);
        }
    }

    /// Orders whose requests are written down.
    fn intended(&self) -> Vec<ParcelWork> {
        self.orders();
        let work = self.claimed();
        self.settle(&work, |work| {
            let name = format!("{}-1", work.key.order);
            ParcelOutcome::Intended(Intent {
                invoice_no: "123456789012".to_owned(),
                rcpt_ymd: "20261128".to_owned(),
                cust_use_no: name.clone(),
                mpck_key: name,
                request: "x".repeat(900),
            })
        });
        work
    }

    /// Booked orders whose messages are about to be sent.
    fn sending(&self) -> Vec<NoticeWork> {
        let work = self.intended();
        self.settle(&work, |_| ParcelOutcome::Booked);
        let claimed = self.wait(self.store.claim_notices(self.claim()));
        let work = claimed.expect("a claim").work;
        assert_eq!(work.len(), self.claim().limit);
        work
    }

    fn complete(&self, work: &[NoticeWork]) {
        let settled = work.iter().map(|work| {
            let sent = NoticeOutcome::Sent { msg_key: Some(work.key.order.clone()) };
            self.store.settle_notice(work, sent, Bench::now())
        });
        for written in self.wait(join_all(settled)) {
            assert_eq!(written.expect("an outcome is written"), Written::Done);
        }
    }

    fn measure(&self, criterion: &mut Criterion, engine: &str) {
        let mut group = criterion.benchmark_group(engine);
        group.throughput(Throughput::Elements(u64::from(AT_ONCE)));
        group.sample_size(20);
        let each = BatchSize::PerIteration;
        group.bench_function("claim", |bencher| {
            bencher.iter_batched(|| self.orders(), |()| self.claimed(), each);
        });
        group.bench_function("book", |bencher| {
            let book = |work: Vec<ParcelWork>| self.settle(&work, |_| ParcelOutcome::Booked);
            bencher.iter_batched(|| self.intended(), book, each);
        });
        // What `book` has left.
        while !self.wait(self.store.claim_notices(self.claim())).expect("a claim").work.is_empty() {
        }
        group.bench_function("complete", |bencher| {
            bencher.iter_batched(|| self.sending(), |work| self.complete(&work), each);
        });
        group.finish();
    }
}

fn options() -> Options {
    Options::new(Arc::new(DrillClock::starting_at(Bench::now())), Arc::new(NullObserver))
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime")
}

fn sqlite(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("orders.db"), options()).expect("a file");
    let bench = Bench { runtime: runtime(), store: Arc::new(store), next: AtomicU32::new(0) };
    bench.measure(criterion, "sqlite");
}

fn postgres(criterion: &mut Criterion) {
    let Ok(server) = std::env::var("DRILLSHIP_POSTGRES") else {
        eprintln!("SKIPPED postgres: DRILLSHIP_POSTGRES names no server; use scripts/services");
        return;
    };
    let (runtime, schema) = (runtime(), "store_bench");
    let url = format!("{server}?options=-c%20search_path%3D{schema}");
    let execute = |sql: String| {
        runtime.block_on(async {
            let mut db = PgConnection::connect(&server).await.expect("a server");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await.expect("a schema");
        });
    };
    execute(format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"));
    let store = runtime.block_on(PostgresStore::open(&url, options())).expect("a database");
    let bench = Bench { runtime, store: Arc::new(store), next: AtomicU32::new(0) };
    bench.measure(criterion, "postgres");
}

criterion_group!(benches, sqlite, postgres);
criterion_main!(benches);
