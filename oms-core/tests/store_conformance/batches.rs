//! What is written together on PostgreSQL, outcomes and orders that are taken in: many orders, one
//! commit, and nobody fails for another's sake.

use std::sync::{Arc, Mutex};

use clockwork::{DrillClock, Timestamp};
use futures_util::future::join_all;
use oms_core::env::{Event, Observer};
use oms_core::order::Order;
use oms_core::state::{OrderState, ParcelState};
use oms_core::store::sqlite::Options;
use oms_core::store::{Ingested, ParcelOutcome, ParcelWork, Store, Written};

use crate::postgres::Database;
use crate::support::{at, ingest, intent, order, order_state, parcel_states, parcels, walked};

const ORDERS: usize = 12;

/// How many transactions of one use case began at once, each time.
struct Runs {
    op: &'static str,
    runs: Mutex<Vec<usize>>,
}

impl Runs {
    fn of(op: &'static str) -> Arc<Runs> {
        Arc::new(Runs { op, runs: Mutex::default() })
    }

    fn longest(&self) -> Option<usize> {
        self.runs.lock().unwrap().iter().max().copied()
    }
}

impl Observer for Runs {
    fn observe(&self, _at: Timestamp, event: Event) {
        let mut runs = self.runs.lock().unwrap();
        match event {
            Event::TxBegin { op, .. } if op == self.op => match runs.last_mut() {
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
    let runs = Runs::of("settle-parcel");
    let options = Options::new(Arc::new(DrillClock::starting_at(at(0))), runs.clone());
    let store = database.store_with(options).await;
    let work = claimed(&store).await;
    let intend = |work| store.settle_parcel(work, ParcelOutcome::Intended(intent(work)), at(0));
    for written in join_all(work.iter().map(intend)).await {
        assert_eq!(written.unwrap(), Written::Done);
    }
    // The first two find nobody before them; what waits behind them goes together.
    let longest = runs.longest();
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

#[tokio::test]
async fn orders_taken_in_at_one_moment_share_a_commit() {
    let Some(database) = Database::fresh().await else { return };
    let runs = Runs::of("ingest");
    let options = Options::new(Arc::new(DrillClock::starting_at(at(0))), runs.clone());
    let store = database.store_with(options).await;
    ingest(&store, "ORD-03", 1).await;
    ingest(&store, "ORD-04", 1).await;
    let offered: Vec<Order> = (0..ORDERS)
        // One is known under other content.
        .map(|number| order(&format!("ORD-{number:02}"), if number == 4 { 1 } else { 2 }))
        .collect();
    let rejection = |place: usize| (place == 5).then(|| "no such street".to_owned());
    let take_in = |(place, order)| store.ingest(order, rejection(place), at(1));
    let taken_in = join_all(offered.iter().enumerate().map(take_in)).await;
    for (place, ingested) in taken_in.into_iter().enumerate() {
        let expected = match place {
            3 => Ingested::Conflict,
            4 => Ingested::Same(OrderState::Accepted),
            5 => Ingested::Created(OrderState::Rejected),
            _ => Ingested::Created(OrderState::Accepted),
        };
        assert_eq!(ingested.unwrap(), expected, "{place}");
        let parcels = match place {
            3 | 4 => 1,
            5 => 0,
            _ => 2,
        };
        let id = &offered[place].id;
        assert_eq!(parcel_states(&store, id).await, vec![ParcelState::Planned; parcels]);
        let way = if place == 5 { "rejected" } else { "accepted" };
        assert_eq!(walked(&store, id).await, ["received", way]);
    }
    let longest = runs.longest();
    assert!(longest >= Some(ORDERS - 2), "{longest:?}");
}
