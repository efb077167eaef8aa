//! Several clients of one database at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use oms_core::state::{OrderState, ParcelState};
use oms_core::store::{
    Action, Claim, DeliveryReport, Ingested, Operated, Operation, ParcelOutcome, Permits, SignedUp,
    Store, TakePermits, Window, Written,
};

use crate::members::member;
use crate::support::{
    LEASE, at, claim, ingest, intend, notice_state, order, order_state, parcel, parcels, settle,
    shipped, view, walked,
};

/// Clients of one database, each with connections of its own.
pub type Clients<S> = [Arc<S>];

/// The client that the `turn`-th caller has.
fn client<S: Store>(clients: &Clients<S>, turn: usize) -> &dyn Store {
    &*clients[turn % clients.len()]
}

pub async fn claimers_at_once_never_get_the_same_row<S: Store>(clients: &Clients<S>) {
    const ORDERS: usize = 40;
    for number in 0..ORDERS {
        ingest(client(clients, number), &format!("ORD-{number:02}"), 1).await;
    }
    let claimer = |turn: usize| async move {
        let (mut got, worker) = (Vec::new(), format!("w{turn}"));
        loop {
            let wanted = Claim { limit: 3, ..claim(&worker, at(0)) };
            let claimed = client(clients, turn).claim_parcels(wanted).await.unwrap();
            got.extend(claimed.work.iter().map(|work| (work.key.to_string(), work.lease.token)));
            // What others have under their locks just now is due again in a moment.
            if claimed.next_due.is_none_or(|due| due >= at(0) + LEASE) {
                return got;
            }
        }
    };
    let got: Vec<(String, i64)> =
        join_all((0..6).map(claimer)).await.into_iter().flatten().collect();
    let keys: BTreeSet<&str> = got.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!((got.len(), keys.len()), (ORDERS, ORDERS), "each once, and none left: {got:?}");
    assert!(got.iter().all(|(_, token)| *token == 1), "{got:?}");
}

pub async fn of_two_writers_of_one_row_only_the_heir_is_heard<S: Store>(clients: &Clients<S>) {
    for round in 0..10 {
        let id = format!("ORD-{round}");
        ingest(client(clients, 0), &id, 1).await;
        let late = parcel(client(clients, 0), at(0)).await;
        intend(client(clients, 0), &late, at(0)).await;
        let heir = parcel(client(clients, 1), at(30)).await;
        assert_eq!((heir.key.to_string(), heir.lease.token), (format!("{id}/1"), 2));
        let (one, other) = tokio::join!(
            client(clients, 0).settle_parcel(&late, ParcelOutcome::Booked, at(31)),
            client(clients, 1).settle_parcel(&heir, ParcelOutcome::Booked, at(31)),
        );
        assert_eq!((one.unwrap(), other.unwrap()), (Written::Fenced, Written::Done));
        let key = format!("{id}/1");
        let way = ["planned", "intended", "unknown", "booked"];
        assert_eq!(walked(client(clients, 0), &key).await, way);
    }
}

pub async fn parcels_settled_at_once_ship_their_order_once<S: Store>(clients: &Clients<S>) {
    for round in 0..5 {
        let id = format!("ORD-{round}");
        ingest(client(clients, 0), &id, 6).await;
        let work = parcels(client(clients, 0), at(0)).await.work;
        for work in &work {
            intend(client(clients, 0), work, at(0)).await;
        }
        let book =
            |(turn, work)| client(clients, turn).settle_parcel(work, ParcelOutcome::Booked, at(1));
        for written in join_all(work.iter().enumerate().map(book)).await {
            assert_eq!(written.unwrap(), Written::Done);
        }
        let order = view(client(clients, 0), &id).await;
        assert_eq!(order.state, OrderState::Shipped, "no booking was overwritten: {order:?}");
        assert!(order.parcels.iter().all(|parcel| parcel.state == ParcelState::Booked));
        assert_eq!(order.notices.len(), 1);
        assert_eq!(walked(client(clients, 0), &id).await, ["received", "accepted", "shipped"]);
    }
}

pub async fn permits_taken_at_once_are_never_more_than_the_quota<S: Store>(clients: &Clients<S>) {
    let take = |turn| async move {
        let windows = vec![Window { calls: 10, per: Duration::from_secs(1) }];
        let take = TakePermits {
            quota: "carrier",
            windows,
            want: 3,
            spare: 0,
            now: at(0),
            ahead: Duration::ZERO,
            hold: Duration::from_secs(5),
            ended: Vec::new(),
        };
        match client(clients, turn).take_permits(take).await.unwrap() {
            Permits::Granted(grants) => grants.iter().map(|grant| grant.id).collect(),
            Permits::Wait(_) => Vec::new(),
        }
    };
    let ids: Vec<i64> = join_all((0..12).map(take)).await.into_iter().flatten().collect();
    let apart: BTreeSet<i64> = ids.iter().copied().collect();
    assert_eq!((ids.len(), apart.len()), (10, 10), "{ids:?}");
}

pub async fn what_is_taken_in_at_once_is_kept_once<S: Store>(clients: &Clients<S>) {
    let same = order("ORD-1", 3);
    let ingest = |turn| client(clients, turn).ingest(&same, None, at(0));
    let mut answers = BTreeMap::new();
    for answer in join_all((0..8).map(ingest)).await {
        *answers.entry(format!("{:?}", answer.unwrap())).or_insert(0) += 1;
    }
    let created = format!("{:?}", Ingested::Created(OrderState::Accepted));
    let known = format!("{:?}", Ingested::Same(OrderState::Accepted));
    assert_eq!(answers, BTreeMap::from([(created, 1), (known, 7)]));
    assert_eq!(view(client(clients, 0), "ORD-1").await.parcels.len(), 3);

    // The same phone number throughout.
    let members: Vec<_> =
        (0..6).map(|number| member(&format!("MEM-{}", number % 3), "010-1234-5678")).collect();
    let sign_up = |(turn, member)| client(clients, turn).sign_up(member, at(0));
    let answers = join_all(members.iter().enumerate().map(sign_up)).await;
    let count =
        |wanted| answers.iter().filter(|answer| *answer.as_ref().unwrap() == wanted).count();
    let counted = [SignedUp::Created, SignedUp::Same, SignedUp::Taken].map(count);
    assert_eq!(counted, [1, 1, 4], "{answers:?}");
}

pub async fn reports_of_the_same_messages_at_once_are_written_once<S: Store>(clients: &Clients<S>) {
    let ids: Vec<String> = (0..6).map(|number| format!("ORD-{number}")).collect();
    for id in &ids {
        shipped(client(clients, 0), id).await;
    }
    let report = |id: &String| DeliveryReport {
        msg_key: format!("M-{id}"),
        reference: format!("{id}:shipped"),
        code: "10000".to_owned(),
        channel: "alimtalk".to_owned(),
        reported_at: None,
    };
    let told: Vec<DeliveryReport> = ids.iter().map(report).collect();
    let record = |turn| {
        let mut told = told.clone();
        // In no common order: nobody may wait for another in a circle.
        told.rotate_left(turn);
        client(clients, turn).record_reports(told, at(2))
    };
    for recorded in join_all((0..6).map(record)).await {
        recorded.unwrap();
    }
    for id in &ids {
        assert_eq!(order_state(client(clients, 0), id).await, OrderState::Completed);
        assert_eq!(notice_state(client(clients, 0), id).await.as_str(), "sent");
    }
}

pub async fn a_person_and_a_worker_at_once_are_both_heard<S: Store>(clients: &Clients<S>) {
    for round in 0..10 {
        let id = format!("ORD-{round}");
        ingest(client(clients, 0), &id, 1).await;
        let work = parcel(client(clients, 0), at(0)).await;
        intend(client(clients, 0), &work, at(0)).await;
        let operation = Operation {
            order: id.clone(),
            action: Action::Cancel,
            by: "kim".to_owned(),
            now: at(1),
        };
        let (written, operated) = tokio::join!(
            client(clients, 1).settle_parcel(&work, ParcelOutcome::Booked, at(1)),
            client(clients, 2).operate(operation),
        );
        assert_eq!(written.unwrap(), Written::Done);
        assert_eq!(operated.unwrap(), Operated::Done(OrderState::Cancelling));
        // Whoever came first: what is booked is to be undone, and nobody is told of it.
        let order = view(client(clients, 0), &id).await;
        assert_eq!(order.state, OrderState::Cancelling);
        assert_eq!(order.parcels[0].state, ParcelState::Cancelling);
        let undoing = parcel(client(clients, 1), at(2)).await;
        settle(client(clients, 1), &undoing, ParcelOutcome::Cancelled, at(3)).await;
        assert_eq!(order_state(client(clients, 2), &id).await, OrderState::Cancelled);
    }
    assert_eq!(client(clients, 0).audit(None, 100).await.unwrap().len(), 10);
}

pub async fn of_two_persons_at_once_one_is_refused_and_both_are_in_the_audit<S: Store>(
    clients: &Clients<S>,
) {
    for round in 0..10 {
        let id = format!("ORD-{round}");
        ingest(client(clients, 0), &id, 1).await;
        let cancel = |by: &str| Operation {
            order: id.clone(),
            action: Action::Cancel,
            by: by.to_owned(),
            now: at(1),
        };
        // One asks twice, for the first answer was lost.
        let (one, again, other) = tokio::join!(
            client(clients, 0).operate(cancel("kim")),
            client(clients, 1).operate(cancel("kim")),
            client(clients, 2).operate(cancel("lee")),
        );
        let (one, again, other) = (one.unwrap(), again.unwrap(), other.unwrap());
        let done = Operated::Done(OrderState::Cancelled);
        let rows = client(clients, 0).audit(Some(id.clone()), 100).await.unwrap();
        let by = |name: &str| rows.iter().filter(|row| row.by == name).count();
        if other == done {
            assert!(matches!((&one, &again), (Operated::Refused(_), Operated::Refused(_))));
            assert_eq!((by("kim"), by("lee")), (2, 1), "{rows:?}");
        } else {
            assert_eq!((&one, &again), (&done, &done));
            assert!(matches!(other, Operated::Refused(_)), "{other:?}");
            assert_eq!((by("kim"), by("lee")), (1, 1), "{rows:?}");
        }
        assert_eq!(rows.iter().filter(|row| row.answer == "cancelled").count(), 1);
    }
}
