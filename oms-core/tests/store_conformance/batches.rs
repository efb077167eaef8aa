//! Outcomes that are written together on PostgreSQL: many orders, one commit, and nobody fails for
//! another's sake.

use std::sync::{Arc, Mutex};

use clockwork::{DrillClock, Timestamp};
use futures_util::future::join_all;
use oms_core::env::{Event, Observer};
use oms_core::state::{OrderState, ParcelState};
use oms_core::store::sqlite::Options;
use oms_core::store::{ParcelOutcome, ParcelWork, Store, Written};

use crate::postgres::Database;
use crate::support::{at, ingest, intent, order_state, parcel_states, parcels, walked};

const ORDERS: usize = 12;

/// How many transactions of steps began at once, each time.
#[derive(Default)]
struct Runs(Mutex<Vec<usize>>);

impl Observer for Runs {
    fn observe(&self, _at: Timestamp, event: Event) {
        let mut runs = self.0.lock().unwrap();
        match event {
            Event::TxBegin { op, .. } if op == "settle-parcel" => match runs.last_mut() {
                Some(run) => *run += 1,
                None => runs.push(1),
            },
            _ => runs.push(0),
        }
    }
}

async fn claimed(store: &dyn Store) -> Vec<ParcelWork> {
    for number in 0..ORDERS {
        ingest(store, &format!("ORD-{number:02}"), 1).await;
    }
    parcels(store, at(0)).await.work
}

#[tokio::test]
async fn steps_of_one_moment_share_a_commit() {
    let Some(database) = Database::fresh().await else { return };
    let runs = Arc::new(Runs::default());
    let options = Options::new(Arc::new(DrillClock::starting_at(at(0))), runs.clone());
    let store = database.store_with(options).await;
    let work = claimed(&store).await;
    let intend = |work| store.settle_parcel(work, ParcelOutcome::Intended(intent(work)), at(0));
    for written in join_all(work.iter().map(intend)).await {
        assert_eq!(written.unwrap(), Written::Done);
    }
    // The first two find nobody before them; what waits behind them goes together.
    let longest = runs.0.lock().unwrap().iter().max().copied();
    assert!(longest >= Some(ORDERS - 2), "{longest:?}");
    let book = |work| store.settle_parcel(work, ParcelOutcome::Booked, at(1));
    for written in join_all(work.iter().map(book)).await {
        assert_eq!(written.unwrap(), Written::Done);
    }
    for work in &work {
        assert_eq!(order_state(&store, &work.key.order).await, OrderState::Shipped);
        let way = walked(&store, &work.key.to_string()).await;
        assert_eq!(way, ["planned", "intended", "booked"]);
    }
}

#[tokio::test]
async fn a_step_that_fails_or_is_fenced_takes_no_other_with_it() {
    let Some(database) = Database::fresh().await else { return };
    let store = database.store().await;
    let mut work = claimed(&store).await;
    // One is fenced, one is no step of a planned parcel, two write down the same reference.
    work[5].lease.token += 1;
    let outcome = |place: usize, work: &ParcelWork| match place {
        7 => ParcelOutcome::Booked,
        _ => ParcelOutcome::Intended(intent(work)),
    };
    let mut outcomes: Vec<ParcelOutcome> =
        work.iter().enumerate().map(|(place, work)| outcome(place, work)).collect();
    outcomes[9] = outcomes[8].clone();
    let settle = |(work, outcome): (&ParcelWork, ParcelOutcome)| {
        let work = work.clone();
        let store = &store;
        async move { store.settle_parcel(&work, outcome, at(0)).await }
    };
    let written = join_all(work.iter().zip(outcomes).map(settle)).await;
    for (place, written) in written.iter().enumerate() {
        match place {
            5 => assert_eq!(*written.as_ref().unwrap(), Written::Fenced),
            7 => assert!(written.is_err(), "{written:?}"),
            8 | 9 => {}
            _ => assert_eq!(*written.as_ref().unwrap(), Written::Done, "{place}"),
        }
    }
    let one = written[8].is_ok() != written[9].is_ok();
    assert!(one, "one of them has the reference: {:?} {:?}", written[8], written[9]);
    for place in [5, 7] {
        let states = parcel_states(&store, &work[place].key.order).await;
        assert_eq!(states, [ParcelState::Planned], "nothing of it is written");
    }
}
