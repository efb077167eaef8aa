//! Claims and outcomes of parcels.

use oms_core::state::ParcelState;
use oms_core::store::{Action, Claim, Error, Intent, ParcelOutcome, Row, Store, Tries, Written};

use crate::support::{
    LEASE, at, attention, book, claim, ingest, intend, intent, operate, order, parcel,
    parcel_states, parcels, put_back, refused, settle, unknown, view, walked,
};

pub async fn the_oldest_due_is_claimed_first_and_the_next_due_is_told(store: &dyn Store) {
    for (id, second) in [("C", 2), ("B", 1), ("A", 1), ("D", 3)] {
        store.ingest(&order(id, 1), None, at(second)).await.unwrap();
    }
    let early = store.claim_parcels(claim("w1", at(0))).await.unwrap();
    assert!(early.work.is_empty());
    assert_eq!(early.next_due, Some(at(1)));
    let two = Claim { limit: 2, ..claim("w1", at(2)) };
    let first = store.claim_parcels(two.clone()).await.unwrap();
    let keys: Vec<_> = first.work.iter().map(|work| work.key.to_string()).collect();
    assert_eq!(keys, ["A/1", "B/1"], "oldest first, ties by key");
    assert_eq!(first.next_due, Some(at(2)), "one more is due already");
    let second = store.claim_parcels(two).await.unwrap();
    assert_eq!(second.work[0].key.to_string(), "C/1");
    assert_eq!(second.work.len(), 1, "not due yet, and leased, are left");
    assert_eq!(second.next_due, Some(at(3)));
}

pub async fn a_leased_parcel_is_not_claimed_again_before_its_lease_ends(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let first = parcel(store, at(0)).await;
    assert_eq!((first.lease.worker.as_str(), first.lease.until), ("w1", at(0) + LEASE));
    let claimed = store.claim_parcels(claim("w2", at(29))).await.unwrap();
    assert!(claimed.work.is_empty());
    assert_eq!(claimed.next_due, Some(at(30)), "the lease's end");
    let claimed = store.claim_parcels(claim("w2", at(30))).await.unwrap();
    assert_eq!(claimed.work.len(), 1);
    assert!(claimed.work[0].lease.token > first.lease.token);
    assert_eq!(claimed.taken, [("A/1".to_owned(), "planned".to_owned())]);
}

pub async fn one_claim_brings_what_nobody_has_had_and_what_was_left_behind(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let left = parcel(store, at(0)).await;
    intend(store, &left, at(1)).await;
    ingest(store, "B", 1).await;
    let claimed = store.claim_parcels(claim("w2", at(31))).await.unwrap();
    let mut states: Vec<_> =
        claimed.work.iter().map(|work| (work.key.to_string(), work.state)).collect();
    states.sort();
    let expected = [("A/1", ParcelState::Unknown), ("B/1", ParcelState::Planned)];
    assert_eq!(states, expected.map(|(key, state)| (key.to_owned(), state)));
    assert_eq!(claimed.taken, [("A/1".to_owned(), "intended".to_owned())]);
    assert_eq!(claimed.next_due, Some(at(31) + LEASE), "both are leased");
    for work in &claimed.work {
        assert_eq!((work.lease.worker.as_str(), work.lease.until), ("w2", at(31) + LEASE));
        settle(store, work, put_back(at(90)), at(32)).await;
    }
    assert_eq!(walked(store, "A/1").await, ["planned", "intended", "unknown"]);
}

pub async fn a_lease_is_renewed_by_whoever_holds_it_and_by_nobody_else(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    let held = vec![(Row::Parcel(work.key.clone()), work.lease.token)];
    let renewed = store.renew_leases(held.clone(), at(50)).await.unwrap();
    assert_eq!(renewed, held);
    let claimed = store.claim_parcels(claim("w2", at(30))).await.unwrap();
    assert!(claimed.work.is_empty());
    assert_eq!(claimed.next_due, Some(at(50)), "the lease's new end");
    let taken = store.claim_parcels(claim("w2", at(50))).await.unwrap();
    assert_eq!(taken.work.len(), 1);
    assert!(store.renew_leases(held, at(90)).await.unwrap().is_empty(), "another has taken over");
    let work = &taken.work[0];
    settle(store, work, put_back(at(60)), at(51)).await;
    let held = vec![(Row::Parcel(work.key.clone()), work.lease.token)];
    assert!(store.renew_leases(held, at(90)).await.unwrap().is_empty(), "it was given back");
    assert_eq!(parcel(store, at(60)).await.key, work.key, "and is due as it was");
}

pub async fn an_intent_is_written_before_the_outcome_and_given_to_whoever_is_next(
    store: &dyn Store,
) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(1)).await;
    assert_eq!(parcel_states(store, "A").await, [ParcelState::Intended]);
    assert_eq!(view(store, "A").await.parcels[0].invoice_no.as_deref(), Some("INV-A-1"));
    let claimed = store.claim_parcels(claim("w2", at(1))).await.unwrap();
    assert!(claimed.work.is_empty(), "the lease is kept");
    settle(store, &work, put_back(at(5)), at(2)).await;
    let next = parcel(store, at(5)).await;
    assert_eq!(next.state, ParcelState::Intended);
    assert_eq!(next.intent, Some(intent(&work)), "the same bytes");
    assert_eq!((next.attempts, next.rounds), (2, 1));
    assert_eq!(next.sent_until, None, "it certainly was not sent");
}

pub async fn each_outcome_leads_where_the_state_machine_says(store: &dyn Store) {
    let cases = [
        ("A", ParcelOutcome::Booked, ParcelState::Booked),
        ("B", refused("ORA-01400"), ParcelState::Refused),
        ("C", unknown(at(3), at(9)), ParcelState::Unknown),
        ("D", put_back(at(9)), ParcelState::Intended),
    ];
    for (id, outcome, expected) in cases {
        ingest(store, id, 1).await;
        let work = parcel(store, at(0)).await;
        intend(store, &work, at(1)).await;
        settle(store, &work, outcome, at(2)).await;
        assert_eq!(parcel_states(store, id).await, [expected], "{id}");
    }
    assert_eq!(walked(store, "A/1").await, ["planned", "intended", "booked"]);
    let refused = &view(store, "B").await.parcels[0];
    assert_eq!(refused.reason.as_deref(), Some("ORA-01400"));
    let unknown = &view(store, "C").await.parcels[0];
    assert_eq!(unknown.unknown_since, Some(at(2)));
    let later = parcels(store, at(9)).await;
    let states: Vec<_> = later.work.iter().map(|work| (work.state, work.sent_until)).collect();
    assert_eq!(states, [(ParcelState::Unknown, Some(at(3))), (ParcelState::Intended, None)]);
}

pub async fn what_was_put_back_is_due_when_it_says(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    settle(store, &work, put_back(at(7)), at(1)).await;
    let early = parcels(store, at(6)).await;
    assert!(early.work.is_empty());
    assert_eq!(early.next_due, Some(at(7)));
    let again = parcels(store, at(7)).await;
    assert_eq!(again.work.len(), 1);
    assert!(again.taken.is_empty(), "it was given back, not left behind");
    book(store, &again.work[0], at(8)).await;
    assert_eq!(parcels(store, at(1000)).await.next_due, None, "a booked parcel is at rest");
}

pub async fn an_intended_parcel_left_behind_becomes_unknown(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let lost = parcel(store, at(0)).await;
    intend(store, &lost, at(1)).await;
    let claimed = store.claim_parcels(claim("w2", at(45))).await.unwrap();
    assert_eq!(claimed.taken, [("A/1".to_owned(), "intended".to_owned())]);
    let work = &claimed.work[0];
    assert_eq!(work.state, ParcelState::Unknown);
    assert_eq!(work.intent, Some(intent(&lost)));
    assert_eq!(work.sent_until, Some(at(30)), "the end of the lease that ran out");
    assert_eq!(work.unknown_since, Some(at(45)));
    assert_eq!(walked(store, "A/1").await, ["planned", "intended", "unknown"]);
    settle(store, work, ParcelOutcome::Booked, at(46)).await;
    let view = view(store, "A").await;
    assert_eq!((view.parcels[0].unknown_since, view.parcels[0].reason.clone()), (None, None));
}

pub async fn a_booked_parcel_remembers_that_an_earlier_request_may_still_arrive(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let lost = parcel(store, at(0)).await;
    intend(store, &lost, at(1)).await;
    let asked = parcel(store, at(45)).await;
    settle(store, &asked, ParcelOutcome::Booked, at(46)).await;
    operate(store, "A", Action::Cancel, at(47)).await;
    let work = parcel(store, at(47)).await;
    assert_eq!((work.state, work.sent_until), (ParcelState::Cancelling, Some(at(30))));
    assert_eq!(work.unknown_since, None);
    settle(store, &work, put_back(at(60)), at(48)).await;
    let again = parcel(store, at(60)).await;
    assert_eq!(again.unknown_since, Some(at(48)), "since its first try in vain");
    settle(store, &again, ParcelOutcome::Cancelled, at(61)).await;
    assert_eq!(view(store, "A").await.parcels[0].unknown_since, None);
}

pub async fn an_unknown_parcel_left_behind_may_have_been_sent_until_then(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(0)).await;
    settle(store, &work, unknown(at(2), at(10)), at(2)).await;
    let asked = parcel(store, at(10)).await;
    assert_eq!(asked.sent_until, Some(at(2)));
    let claimed = parcels(store, at(41)).await;
    assert_eq!(claimed.taken, [("A/1".to_owned(), "unknown".to_owned())]);
    assert_eq!(claimed.work[0].sent_until, Some(at(40)));
    assert_eq!(claimed.work[0].unknown_since, Some(at(2)), "unknown as long as it was");
}

pub async fn planned_and_cancelling_parcels_left_behind_stay_what_they_are(store: &dyn Store) {
    ingest(store, "A", 2).await;
    let claimed = parcels(store, at(0)).await;
    book(store, &claimed.work[0], at(0)).await;
    intend(store, &claimed.work[1], at(0)).await;
    settle(store, &claimed.work[1], refused("no"), at(1)).await;
    let undoing = parcel(store, at(1)).await;
    assert_eq!(undoing.state, ParcelState::Cancelling);
    ingest(store, "B", 1).await;
    let planned = parcel(store, at(1)).await;
    assert_eq!(planned.key.order, "B");
    let claimed = parcels(store, at(31)).await;
    let taken = [("A/1", "cancelling"), ("B/1", "planned")].map(|(k, s)| (k.into(), s.into()));
    assert_eq!(claimed.taken, taken);
    let states: Vec<_> = claimed.work.iter().map(|work| work.state).collect();
    assert_eq!(states, [ParcelState::Cancelling, ParcelState::Planned]);
    assert!(claimed.work.iter().all(|work| work.sent_until.is_none()));
}

pub async fn a_worker_that_lost_its_lease_is_fenced_off(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let asleep = parcel(store, at(0)).await;
    intend(store, &asleep, at(1)).await;
    let heir = parcel(store, at(31)).await;
    let before = store.rows().await.unwrap();
    for outcome in [ParcelOutcome::Booked, refused("no"), put_back(at(40))] {
        let written = store.settle_parcel(&asleep, outcome, at(32)).await.unwrap();
        assert_eq!(written, Written::Fenced);
    }
    assert_eq!(store.rows().await.unwrap(), before, "nothing was written");
    settle(store, &heir, ParcelOutcome::Booked, at(33)).await;
    let written = store.settle_parcel(&asleep, ParcelOutcome::Booked, at(34)).await.unwrap();
    assert_eq!(written, Written::Fenced, "also once the heir is done");

    ingest(store, "B", 1).await;
    let slow = parcel(store, at(50)).await;
    book(store, &slow, at(99)).await;
    assert_eq!(parcel_states(store, "B").await, [ParcelState::Booked], "nobody took over");
}

pub async fn a_repeated_write_is_answered_as_the_first_and_written_once(store: &dyn Store) {
    ingest(store, "A", 2).await;
    let claimed = parcels(store, at(0)).await;
    for work in &claimed.work {
        for _ in 0..3 {
            intend(store, work, at(1)).await;
        }
    }
    for _ in 0..3 {
        settle(store, &claimed.work[0], ParcelOutcome::Booked, at(2)).await;
        settle(store, &claimed.work[1], refused("no"), at(2)).await;
    }
    // The refusal has moved its sibling on; the sibling's own write is still known.
    assert_eq!(walked(store, "A/1").await, ["planned", "intended", "booked", "cancelling"]);
    assert_eq!(walked(store, "A/2").await, ["planned", "intended", "refused"]);
    let other = store.settle_parcel(&claimed.work[1], put_back(at(9)), at(3)).await.unwrap();
    assert_eq!(other, Written::Fenced, "another outcome is another write");
}

pub async fn an_illegal_outcome_is_refused_and_writes_nothing(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    let before = store.rows().await.unwrap();
    let not_booked = ParcelOutcome::NotBooked { reason: "asked".to_owned(), retry_at: at(9) };
    let illegal = [
        ParcelOutcome::Booked,
        ParcelOutcome::Cancelled,
        ParcelOutcome::PickedUp,
        refused("no"),
        unknown(at(1), at(2)),
        attention("why"),
        not_booked,
    ];
    for outcome in illegal {
        let written = store.settle_parcel(&work, outcome.clone(), at(1)).await;
        assert!(matches!(written, Err(Error::Corrupt { .. })), "{outcome:?}: {written:?}");
    }
    assert_eq!(store.rows().await.unwrap(), before);
    book(store, &work, at(2)).await;
}

pub async fn a_parcel_proved_not_booked_is_booked_again_with_the_same_bytes(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(0)).await;
    settle(store, &work, unknown(at(1), at(10)), at(1)).await;
    let asked = parcel(store, at(10)).await;
    let not_booked = ParcelOutcome::NotBooked { reason: "asked".to_owned(), retry_at: at(12) };
    settle(store, &asked, not_booked, at(11)).await;
    assert_eq!(parcel_states(store, "A").await, [ParcelState::Planned]);
    let again = parcel(store, at(12)).await;
    assert_eq!(again.intent, Some(intent(&work)));
    assert_eq!((again.sent_until, again.unknown_since), (None, None));
    assert_eq!(
        Tries { attempts: again.attempts, rounds: again.rounds },
        Tries { attempts: 0, rounds: 1 }
    );
    book(store, &again, at(13)).await;
}

pub async fn a_reference_that_another_parcel_has_is_refused_by_name(store: &dyn Store) {
    ingest(store, "ORD-1", 2).await;
    let work = parcels(store, at(0)).await.work;
    intend(store, &work[0], at(0)).await;
    let same = Intent { invoice_no: "INV-9".to_owned(), ..intent(&work[0]) };
    let taken = store.settle_parcel(&work[1], ParcelOutcome::Intended(same), at(0)).await;
    let taken = taken.unwrap_err();
    assert!(matches!(taken, Error::Taken { op: "settle-parcel", .. }), "{taken:?}");
    assert!(!taken.retryable() && taken.to_string().contains("customer reference"), "{taken}");
    assert_eq!(parcel_states(store, "ORD-1").await, [ParcelState::Intended, ParcelState::Planned]);
}
