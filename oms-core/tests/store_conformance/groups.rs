//! What group commit promises: events around each transaction, nothing half done by a killed
//! waiter, and everything acknowledged still there when the file is opened again.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use clockwork::{BoxFuture, DrillClock, Timestamp};
use oms_core::env::{Event, Observer, scoped};
use oms_core::state::OrderState;
use oms_core::store::group_commit::SchedulingPoint;
use oms_core::store::sqlite::{Options, SharedDatabase, SqliteStore, hold_write_lock};
use oms_core::store::{Error, Filter, Ingested, ParcelOutcome, Store};

use crate::support::{at, hands, ingest, intend, order, parcel};

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn observe(&self, _at: Timestamp, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    /// Each event as `task op+`, `task op-` (committed) or `task op!` (not).
    fn told(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        let said = |event| match event {
            Event::TxBegin { task, op } => format!("{task} {op}+"),
            Event::TxEnd { task, op, committed: true } => format!("{task} {op}-"),
            Event::TxEnd { task, op, committed: false } => format!("{task} {op}!"),
            other => panic!("{other:?}"),
        };
        events.into_iter().map(said).collect()
    }
}

fn options(recorder: &Arc<Recorder>) -> Options {
    let options = Options::new(Arc::new(DrillClock::starting_at(at(0))), recorder.clone());
    Options { busy_wait: Duration::ZERO, ..options }
}

/// Lets every other task run once.
fn yielding() -> SchedulingPoint {
    Arc::new(|| -> BoxFuture<'static, ()> { Box::pin(tokio::task::yield_now()) })
}

#[tokio::test(start_paused = true)]
async fn each_transaction_is_told_with_the_task_that_wanted_it() {
    let recorder = Arc::new(Recorder::default());
    let store = SqliteStore::in_memory(options(&recorder));
    scoped(7, ingest(&store, "A", 1)).await;
    assert_eq!(recorder.told(), ["7 ingest+", "7 ingest-"]);
    let work = scoped(8, parcel(&store, at(0))).await;
    let illegal = scoped(9, store.settle_parcel(&work, ParcelOutcome::Booked, at(0))).await;
    assert!(illegal.is_err());
    let told = ["8 claim-parcels+", "8 claim-parcels-", "9 settle-parcel+", "9 settle-parcel!"];
    assert_eq!(recorder.told(), told);
}

#[tokio::test(start_paused = true)]
async fn a_held_transaction_is_open_from_its_begin_to_its_end() {
    let recorder = Arc::new(Recorder::default());
    let store = SqliteStore::in_memory(options(&recorder));
    ingest(&store, "A", 1).await;
    let work = parcel(&store, at(0)).await;
    intend(&store, &work, at(0)).await;
    recorder.told();
    let mut hands = hands();
    let mut unit = scoped(3, store.begin(&mut hands)).await.unwrap();
    scoped(4, store.census()).await.unwrap();
    unit.settle_parcel(&work, ParcelOutcome::Booked, at(0));
    unit.commit().await.unwrap();
    let told = ["3 unit-of-work+", "4 census+", "4 census-", "3 unit-of-work-"];
    assert_eq!(recorder.told(), told);
    drop(scoped(5, store.begin(&mut hands)).await.unwrap());
    assert_eq!(recorder.told(), ["5 unit-of-work+", "5 unit-of-work!"]);
}

#[tokio::test(start_paused = true)]
async fn waiters_of_one_moment_share_a_commit() {
    let recorder = Arc::new(Recorder::default());
    let store = SqliteStore::inline(&SharedDatabase::fresh(), yielding(), options(&recorder));
    let (one, other) = (order("A", 1), order("B", 1));
    let both = tokio::join!(
        biased;
        scoped(1, store.ingest(&one, None, at(0))),
        scoped(2, store.ingest(&other, None, at(0))),
    );
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(recorder.told(), ["1 ingest+", "2 ingest+", "1 ingest-", "2 ingest-"]);
}

/// Polls `work` so many times, then drops it.
async fn killed_after(polls: usize, work: impl Future) {
    let mut work = Box::pin(work);
    for _ in 0..polls {
        let once = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready()));
        assert!(!once.await, "it ended too early");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_waiter_leaves_all_of_its_job_or_nothing() {
    let recorder = Arc::new(Recorder::default());
    let database = SharedDatabase::fresh();
    let store = SqliteStore::inline(&database, yielding(), options(&recorder));
    killed_after(1, store.ingest(&order("before", 2), None, at(0))).await;
    assert_eq!(store.order("before").await.unwrap().unwrap().parcels.len(), 2, "its node lives on");
    killed_after(2, store.ingest(&order("after", 2), None, at(0))).await;

    let dying = SqliteStore::inline(&database, yielding(), options(&recorder));
    killed_after(1, dying.ingest(&order("lost", 2), None, at(0))).await;
    drop(dying);
    drop(store);
    let reborn = SqliteStore::inline(&database, yielding(), options(&recorder));
    let after = reborn.ingest(&order("after", 2), None, at(1)).await.unwrap();
    assert_eq!(after, Ingested::Same(OrderState::Accepted), "committed, and it never knew");
    assert_eq!(reborn.order("lost").await.unwrap(), None, "its node died with it");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oms.db");
    let recorder = Arc::new(Recorder::default());
    let store = SqliteStore::open(&path, options(&recorder)).unwrap();
    let orders: Vec<_> = (0..200).map(|number| order(&format!("O-{number:03}"), 1)).collect();
    let kept = orders.iter().map(|order| store.ingest(order, None, at(0)));
    for kept in futures_util::future::join_all(kept).await {
        assert_eq!(kept.unwrap(), Ingested::Created(OrderState::Accepted));
    }
    let told = recorder.told();
    let commits = told.windows(2).filter(|pair| pair[0].ends_with('-') && pair[1].ends_with('+'));
    let commits = 1 + commits.count();
    assert!(commits < 100, "{commits} commits for 200 orders are hardly shared");
    drop(store);
    let again = SqliteStore::open(&path, options(&recorder)).unwrap();
    let all = Filter { limit: 1_000, ..Filter::default() };
    assert_eq!(again.orders(all).await.unwrap().len(), 200);
}

#[tokio::test]
async fn two_processes_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oms.db");
    let recorder = Arc::new(Recorder::default());
    let patient = Options { busy_wait: Duration::from_secs(5), ..options(&recorder) };
    let open = || {
        let (path, options) = (path.clone(), patient.clone());
        std::thread::Builder::new().spawn(move || SqliteStore::open(&path, options).map(drop))
    };
    let openers: Vec<_> = (0..8).map(|_| open().unwrap()).collect();
    for opener in openers {
        opener.join().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_locked_file_is_busy_and_free_again_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oms.db");
    let recorder = Arc::new(Recorder::default());
    let store = SqliteStore::open(&path, options(&recorder)).unwrap();
    let lock = hold_write_lock(&path).unwrap();
    assert!(matches!(hold_write_lock(&path), Err(Error::Busy { .. })));
    let busy = store.ingest(&order("A", 1), None, at(0)).await;
    assert!(matches!(busy, Err(Error::Busy { op: "ingest" })), "{busy:?}");
    assert_eq!(store.order("A").await.unwrap(), None, "readers are not in its way");
    drop(lock);
    ingest(&store, "A", 1).await;
}
