//! What PostgreSQL's clients tell each other beside their rows, and that nothing rests on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clockwork::{Clock, DrillClock};
use oms_core::config::Config;
use oms_core::env::{Env, TransportError};
use oms_core::service::{Service, Workers};
use oms_core::store::Store;
use oms_core::store::postgres::PostgresStore;
use oms_core::store::sqlite::Options;

use crate::edges::{self, Scripted};
use crate::options;
use crate::postgres::Database;
use crate::support::{at, ingest, order};

/// Long before anybody would look for work without being told.
const SOON: Duration = Duration::from_millis(500);

/// How often a client was woken.
#[derive(Clone, Default)]
struct Woken(Arc<AtomicUsize>);

impl Woken {
    /// Listens on behalf of `store`, until the case ends.
    #[expect(clippy::disallowed_methods, reason = "a listener belongs to no node")]
    async fn by(store: &PostgresStore) -> Woken {
        let woken = Woken::default();
        let count = woken.0.clone();
        let listener = store.listener(Arc::new(move || {
            count.fetch_add(1, Ordering::AcqRel);
        }));
        tokio::spawn(listener.expect("PostgreSQL tells"));
        // Once it is connected.
        woken.within(Duration::from_secs(10), 1).await;
        woken
    }

    fn times(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Waits until it was woken so often in all.
    async fn within(&self, limit: Duration, times: usize) {
        let enough = async || self.times() >= times;
        until(limit, &format!("woken {times} times"), enough).await;
    }
}

async fn wait(millis: u64) {
    options().clock.sleep(Duration::from_millis(millis)).await;
}

/// Waits for what must hold within `limit`.
async fn until(limit: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let clock = options().clock;
    let latest = clock.now() + limit;
    while !holds().await {
        assert!(clock.now() < latest, "not within {limit:?}: {what}");
        clock.sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_commit_wakes_the_other_clients_and_not_its_own() {
    let Some(database) = Database::fresh().await else { return };
    let (here, there) = (database.store().await, database.store().await);
    let (own, others) = (Woken::by(&here).await, Woken::by(&there).await);
    ingest(&here, "ORD-1", 1).await;
    others.within(SOON, 2).await;
    wait(100).await;
    assert_eq!((own.times(), others.times()), (1, 2));
    here.ingest(&order("ORD-1", 1), None, at(0)).await.unwrap();
    wait(100).await;
    assert_eq!(others.times(), 2, "the same order again is no work");
}

#[tokio::test]
async fn a_client_that_does_not_listen_wakes_those_that_do() {
    let Some(database) = Database::fresh().await else { return };
    let (command, worker) = (database.store().await, database.store().await);
    let woken = Woken::by(&worker).await;
    ingest(&command, "ORD-1", 1).await;
    woken.within(SOON, 2).await;
}

#[tokio::test]
async fn many_commits_at_once_are_few_notifications() {
    const COMMITS: usize = 300;
    let Some(database) = Database::fresh().await else { return };
    let (here, there) = (database.store().await, database.store().await);
    let (_own, others) = (Woken::by(&here).await, Woken::by(&there).await);
    let clock = options().clock;
    let begun = clock.now();
    let ids: Vec<String> = (0..COMMITS).map(|number| format!("ORD-{number}")).collect();
    let all = ids.iter().map(|id| ingest(&here, id, 1));
    futures_util::future::join_all(all).await;
    wait(100).await;
    let gaps = usize::try_from(clock.now().since(begun).as_millis() / 50).unwrap();
    let times = others.times() - 1;
    assert!((1..=gaps + 1).contains(&times), "{times} in {gaps} gaps");
}

#[tokio::test]
async fn a_listener_that_is_cut_off_listens_again_and_looks_for_what_it_missed() {
    let Some(database) = Database::fresh().await else { return };
    let (here, there) = (database.store().await, database.store().await);
    let woken = Woken::by(&there).await;
    assert_eq!(cut(&database).await, 1);
    // The end of the rest after which it connects again.
    woken.within(Duration::from_secs(10), 2).await;
    ingest(&here, "ORD-1", 1).await;
    woken.within(SOON, 3).await;
}

/// Ends the sessions of this case that listen; how many there were.
async fn cut(database: &Database) -> u64 {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = current_setting('application_name') || ' listener'";
    sqlx::query(end).execute(&mut database.connect().await).await.unwrap().rows_affected()
}

#[tokio::test]
async fn a_block_is_known_to_all_clients_whether_they_listen_or_not() {
    let Some(database) = Database::fresh().await else { return };
    let (here, there) = (database.store().await, database.store().await);
    let clock = options().clock;
    let blocked_until = clock.now() + Duration::from_secs(300);
    let knows = async |store: &PostgresStore| {
        let known = store.blocked_until("carrier").await.unwrap();
        known.since(blocked_until).max(blocked_until.since(known)) < Duration::from_secs(10)
    };
    let _woken = Woken::by(&there).await;
    assert!(!knows(&there).await);
    here.block_quota("carrier", blocked_until).await.unwrap();
    until(SOON, "a listener is told", async || knows(&there).await).await;
    assert!(knows(&here).await, "who does not listen looks it up");
    let late = database.store().await;
    let _woken = Woken::by(&late).await;
    assert!(knows(&late).await, "who listens later has looked it up");
    let other = late.blocked_until("messenger").await.unwrap();
    assert!(other <= clock.now(), "another quota is not blocked");
}

/// A worker that looks for work every `poll`, and whose calls are refused and counted.
async fn worker(database: &Database, name: &str, poll: Duration) -> (Service, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let carrier = Scripted::new(move |_, _| {
        counted.fetch_add(1, Ordering::AcqRel);
        let reason = "nobody listens".to_owned();
        async move { Err(TransportError::NotSent { reason }) }
    });
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(at(0)));
    let (env, recorder) = edges::env(carrier, Scripted::none());
    let options = Options::new(clock.clone(), recorder);
    let store = Arc::new(database.store_with(options).await);
    let env = Env { store, clock, worker: name.to_owned(), ..env };
    let mut config = Config::default();
    config.service.poll = poll;
    (Service::start(env, Arc::new(config)), calls)
}

async fn until_called(calls: &AtomicUsize, limit: Duration) {
    until(limit, "the order is found", async || calls.load(Ordering::Acquire) > 0).await;
}

#[tokio::test]
async fn a_worker_begins_with_what_another_process_took_in_long_before_it_would_look() {
    let Some(database) = Database::fresh().await else { return };
    let hour = Duration::from_secs(3600);
    let (service, calls) = worker(&database, "w1", hour).await;
    let front = database.store().await;
    wait(500).await;
    ingest(&front, "ORD-1", 1).await;
    until_called(&calls, Duration::from_secs(2)).await;
    service.stop(Duration::from_secs(25)).await;
}

#[tokio::test]
async fn a_worker_whose_listener_is_cut_again_and_again_finds_all_work_by_looking() {
    let Some(database) = Database::fresh().await else { return };
    let (service, calls) = worker(&database, "w1", Duration::from_millis(200)).await;
    let front = database.store().await;
    wait(500).await;
    assert_eq!(cut(&database).await, 1);
    // It rests for a second before it connects again: nobody can tell it of this order.
    ingest(&front, "ORD-1", 1).await;
    until_called(&calls, Duration::from_millis(900)).await;
    service.stop(Duration::from_secs(25)).await;
}
