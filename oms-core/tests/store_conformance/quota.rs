//! Permits.

use std::time::Duration;

use clockwork::Timestamp;
use oms_core::store::{Grant, Permits, Store, TakePermits, Window};

use crate::support::at;

const SECOND: Window = Window { calls: 10, per: Duration::from_secs(1) };
const MINUTE: Window = Window { calls: 15, per: Duration::from_secs(60) };

/// Asks for permits of the carrier.
pub fn take(now: Timestamp, want: u32, ended: &[(i64, Timestamp)]) -> TakePermits {
    TakePermits {
        quota: "carrier",
        windows: vec![SECOND],
        want,
        spare: 0,
        now,
        ahead: Duration::ZERO,
        hold: Duration::from_secs(10),
        ended: ended.to_vec(),
    }
}

async fn granted(store: &dyn Store, take: TakePermits) -> Vec<i64> {
    match store.take_permits(take).await.unwrap() {
        Permits::Granted(grants) => grants.iter().map(|grant| grant.id).collect(),
        Permits::Wait(moment) => panic!("must wait until {moment}"),
    }
}

fn ended_at(ids: &[i64], moment: Timestamp) -> Vec<(i64, Timestamp)> {
    ids.iter().map(|id| (*id, moment)).collect()
}

pub async fn the_tenth_permit_passes_and_the_eleventh_waits(store: &dyn Store) {
    let ids = granted(store, take(at(0), 25, &[])).await;
    assert_eq!(ids.len(), 10);
    let more = store.take_permits(take(at(0), 1, &[])).await.unwrap();
    assert_eq!(more, Permits::Wait(at(1)), "one could end this very moment");
    let held = store.take_permits(take(at(9), 1, &[])).await.unwrap();
    assert_eq!(held, Permits::Wait(at(10)), "their ends are not known: they count");
    let before = at(11) - Duration::from_micros(1);
    assert!(matches!(store.take_permits(take(before, 1, &[])).await.unwrap(), Permits::Wait(_)));
    assert_eq!(granted(store, take(at(11), 1, &[])).await.len(), 1);
}

pub async fn a_permit_counts_until_one_window_after_its_call_ended(store: &dyn Store) {
    let ids = granted(store, take(at(0), 10, &[])).await;
    let end = at(0) + Duration::from_millis(300);
    let told = store.take_permits(take(end, 1, &ended_at(&ids[..4], end))).await.unwrap();
    assert_eq!(told, Permits::Wait(end + SECOND.per));
    let again = store.take_permits(take(end, 1, &ended_at(&ids[..4], end))).await.unwrap();
    assert_eq!(again, told, "told twice is told once");
    assert_eq!(granted(store, take(end + SECOND.per, 9, &[])).await.len(), 4);
}

pub async fn all_windows_hold_at_once(store: &dyn Store) {
    let both = |now, want, ended: &[_]| TakePermits {
        windows: vec![SECOND, MINUTE],
        ..take(now, want, ended)
    };
    let first = granted(store, both(at(0), 99, &[])).await;
    let second = granted(store, both(at(1), 99, &ended_at(&first, at(0)))).await;
    assert_eq!((first.len(), second.len()), (10, 5), "the minute's 15 are spent");
    let spent = store.take_permits(both(at(3), 1, &ended_at(&second, at(1)))).await.unwrap();
    assert_eq!(spent, Permits::Wait(at(60)));
    assert_eq!(granted(store, both(at(60), 99, &[])).await.len(), 10);
}

pub async fn a_blocked_quota_waits_and_an_earlier_block_changes_nothing(store: &dyn Store) {
    store.block_quota("carrier", at(300)).await.unwrap();
    store.block_quota("carrier", at(10)).await.unwrap();
    assert_eq!(store.take_permits(take(at(20), 1, &[])).await.unwrap(), Permits::Wait(at(300)));
    assert!(store.blocked_until("carrier").await.unwrap() > at(290));
    assert!(store.blocked_until("messenger").await.unwrap() <= at(20));
    assert_eq!(granted(store, take(at(300), 1, &[])).await.len(), 1);
}

pub async fn quotas_are_apart_and_permits_are_never_given_twice(store: &dyn Store) {
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..5 {
        let now = at(round * 100);
        for id in granted(store, take(now, 10, &[])).await {
            assert!(seen.insert(id), "{id} again");
        }
        let other = TakePermits { quota: "messenger", ..take(now, 10, &[]) };
        assert_eq!(granted(store, other).await.len(), 10);
    }
}

pub async fn a_permit_that_frees_soon_is_given_in_advance_and_to_one_alone(store: &dyn Store) {
    let ids = granted(store, take(at(0), 10, &[])).await;
    let end = at(0) + Duration::from_millis(300);
    let now = at(0) + Duration::from_millis(600);
    let ahead =
        |ended: &[_]| TakePermits { ahead: Duration::from_millis(750), ..take(now, 3, ended) };
    let Permits::Granted(grants) =
        store.take_permits(ahead(&ended_at(&ids[..4], end))).await.unwrap()
    else {
        panic!("four are going to be free")
    };
    let from: Vec<_> = grants.iter().map(|Grant { from, .. }| *from).collect();
    assert_eq!(from, [end + SECOND.per; 3]);
    let rest = granted(store, ahead(&[])).await;
    assert_eq!(rest.len(), 1);
    assert!(grants.iter().all(|grant| grant.id != rest[0]));
}
