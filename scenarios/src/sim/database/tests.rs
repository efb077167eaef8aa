use clockwork::DrillClock;
use oms_core::env::NullObserver;
use oms_core::store::sqlite::{Options, SqliteStore};

use super::*;

const ORDER: &str = r#"{"id":"ORD-1","customer":{"name":"홍길동","phone":"01012345678"},
    "address":{"postcode":"06236","line1":"서울 강남구 테헤란로 152"},
    "items":[{"sku":"S","name":"n","quantity":1,"unit_price":1}]}"#;

/// What an ingest under a fault of `kind` answers, whether it happened, how long it took, and
/// how often the fault fired.
async fn ingest_under(kind: Kind) -> (Result<Ingested>, bool, Duration, u64) {
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
    let options = Options::new(clock.clone(), Arc::new(NullObserver));
    let inner: Arc<dyn Store> = Arc::new(SqliteStore::in_memory(options));
    let fault = Fault {
        endpoint: Some("ingest".to_owned()),
        nth: Some(1),
        by: (kind == Kind::Slow).then_some(Duration::from_secs(2)),
        ..Fault::new(kind)
    };
    let faults = StoreFaults::new(clock.clone(), Entropy::new(1), vec![fault], None);
    let faults = Arc::new(faults);
    let store = FaultyStore::new(inner.clone(), faults.clone());
    let order = Order::from_json(ORDER.as_bytes()).unwrap();
    let answer = store.ingest(&order, None, Timestamp::EPOCH).await;
    let kept = inner.order("ORD-1").await.unwrap().is_some();
    let took = clock.now().since(Timestamp::EPOCH);
    (answer, kept, took, faults.fired()[0].times)
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_the_store_fires_and_does_what_it_says() {
    for (kind, happened) in [
        (Kind::Busy, false),
        (Kind::CommitFails, false),
        (Kind::Disconnect, false),
        (Kind::CommitUnknown, true),
    ] {
        let (answer, kept, took, fired) = ingest_under(kind).await;
        let error = answer.unwrap_err();
        let retryable = matches!(kind, Kind::Busy | Kind::CommitUnknown);
        assert_eq!(error.retryable(), retryable, "{kind}: {error}");
        assert_eq!((kept, took, fired), (happened, Duration::ZERO, 1), "{kind}");
    }
    let (answer, kept, took, fired) = ingest_under(Kind::Slow).await;
    assert!(matches!(answer, Ok(Ingested::Created(_))));
    assert_eq!((kept, took, fired), (true, Duration::from_secs(2), 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_ended_cuts_one_use_case_off_and_is_away_for_its_time() {
    for (mode, kept_at_once) in [(Mode::Fast, false), (Mode::Immediate, true)] {
        let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
        let options = Options::new(clock.clone(), Arc::new(NullObserver));
        let inner: Arc<dyn Store> = Arc::new(SqliteStore::in_memory(options));
        let [from, by] = [5, 3].map(|seconds| Some(Duration::from_secs(seconds)));
        let mode = Some(mode);
        let fault = Fault { from, by, mode, ..Fault::new(Kind::DatabaseRestart) };
        let faults = StoreFaults::new(clock.clone(), Entropy::new(1), vec![fault], None);
        let faults = Arc::new(faults);
        let store = FaultyStore::new(inner.clone(), faults.clone());
        let order = Order::from_json(ORDER.as_bytes()).unwrap();
        assert!(store.census().await.is_ok(), "before its moment nothing happens");
        clock.sleep(Duration::from_secs(5)).await;
        let cut_off = store.ingest(&order, None, Timestamp::EPOCH).await;
        assert!(cut_off.unwrap_err().retryable());
        assert_eq!(inner.order("ORD-1").await.unwrap().is_some(), kept_at_once, "{mode:?}");
        clock.sleep(Duration::from_secs(2)).await;
        assert!(matches!(store.census().await, Err(Error::Busy { .. })), "it is down");
        clock.sleep(Duration::from_secs(1)).await;
        assert!(store.ingest(&order, None, Timestamp::EPOCH).await.is_ok());
        assert_eq!(faults.fired()[0].times, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_ended_are_opened_again() {
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
    let options = Options::new(clock.clone(), Arc::new(NullObserver));
    let fault = Fault::new(Kind::ConnectionsEnded);
    let faults = Arc::new(StoreFaults::new(clock, Entropy::new(1), vec![fault], None));
    let store = FaultyStore::new(Arc::new(SqliteStore::in_memory(options)), faults.clone());
    assert!(matches!(store.census().await, Err(Error::Busy { .. })));
    assert!(store.census().await.is_ok());
    assert_eq!(faults.fired()[0].times, 1);
}

#[tokio::test(start_paused = true)]
async fn a_use_case_that_the_fault_does_not_name_goes_through() {
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
    let options = Options::new(clock.clone(), Arc::new(NullObserver));
    let fault = Fault { endpoint: Some("operate".to_owned()), ..Fault::new(Kind::Busy) };
    let faults = Arc::new(StoreFaults::new(clock, Entropy::new(1), vec![fault], None));
    let store = FaultyStore::new(Arc::new(SqliteStore::in_memory(options)), faults.clone());
    assert!(store.census().await.is_ok());
    assert_eq!(faults.fired()[0].times, 0);
}
