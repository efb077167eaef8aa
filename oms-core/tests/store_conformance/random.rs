//! Random operations by three workers, against a plain model of leases and the state machines.
//!
//! What ever failed is kept in `tests/proptest-regressions/random.txt`, as the seed that it is
//! drawn from, and is run again before anything new. The file belongs into the repository.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use clockwork::Timestamp;
use oms_core::state::{By, NoticeState, OrderState, ParcelState};
use oms_core::store::sqlite::SqliteStore;
use oms_core::store::{
    Action, Claim, DeliveryReport, Lease, NoticeOutcome, NoticeWork, Operation, ParcelOutcome,
    ParcelWork, Rows, Store, Transition, Written,
};
use proptest::prelude::*;

use crate::options;
use crate::postgres::Database;
use crate::support::{
    LEASE, at, attention, intent, invoices, notice_put_back, notice_unknown, order, put_back,
    refused, sent, unknown,
};

const ORDERS: [&str; 4] = ["A", "B", "C", "D"];

#[derive(Debug, Clone)]
enum Deed {
    Ingest { order: usize, parcels: u32 },
    Pass { seconds: u64 },
    ClaimParcels { worker: usize, limit: usize },
    ClaimNotices { worker: usize, limit: usize },
    SettleParcel { which: prop::sample::Index, how: usize },
    SettleNotice { which: prop::sample::Index, how: usize },
    Operate { order: usize, how: usize },
    Report { order: usize },
}

fn deed() -> impl Strategy<Value = Deed> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => (0..4_usize, 1..4_u32).prop_map(|(order, parcels)| Deed::Ingest { order, parcels }),
        3 => (1..45_u64).prop_map(|seconds| Deed::Pass { seconds }),
        6 => (0..3_usize, 1..4_usize)
            .prop_map(|(worker, limit)| Deed::ClaimParcels { worker, limit }),
        3 => (0..3_usize, 1..4_usize)
            .prop_map(|(worker, limit)| Deed::ClaimNotices { worker, limit }),
        12 => (index(), 0..4_usize).prop_map(|(which, how)| Deed::SettleParcel { which, how }),
        5 => (index(), 0..4_usize).prop_map(|(which, how)| Deed::SettleNotice { which, how }),
        2 => (0..4_usize, 0..4_usize).prop_map(|(order, how)| Deed::Operate { order, how }),
        1 => (0..4_usize).prop_map(|order| Deed::Report { order }),
    ]
}

/// What the workers remember, and what the model knows of leases.
#[derive(Default)]
struct Model {
    now: u64,
    parcels: Vec<ParcelWork>,
    notices: Vec<NoticeWork>,
    /// The last lease given on each row, and whether its holder has given it back.
    leases: BTreeMap<String, (Lease, bool)>,
}

impl Model {
    fn now(&self) -> Timestamp {
        at(self.now)
    }

    /// A row is leased to one worker at a time: an older lease has ended, was given back, or was
    /// taken away by what followed for the order, which takes a token of its own.
    fn leased(&mut self, key: String, lease: &Lease, now: Timestamp) {
        if let Some((old, given_back)) = self.leases.get(&key) {
            let live = !given_back && old.until > now;
            let least = old.token + if live { 2 } else { 1 };
            assert!(lease.token >= least, "{key} leased twice: {old:?}, then {lease:?}");
        }
        assert_eq!(lease.until, now + LEASE);
        self.leases.insert(key, (lease.clone(), false));
    }

    fn is_newest(&self, key: &str, lease: &Lease) -> bool {
        self.leases.get(key).is_some_and(|(newest, _)| newest.token == lease.token)
    }

    async fn act(&mut self, store: &dyn Store, deed: &Deed) {
        match deed {
            Deed::Pass { seconds } => self.now += seconds,
            Deed::Ingest { order: which, parcels } => {
                let order = order(ORDERS[*which], *parcels);
                store.ingest(&order, None, self.now()).await.unwrap();
            }
            Deed::ClaimParcels { worker, limit } => {
                self.claim_parcels(store, *worker, *limit).await;
            }
            Deed::ClaimNotices { worker, limit } => {
                self.claim_notices(store, *worker, *limit).await;
            }
            Deed::SettleParcel { which, how } if !self.parcels.is_empty() => {
                let place = which.index(self.parcels.len());
                self.settle_parcel(store, place, *how).await;
            }
            Deed::SettleNotice { which, how } if !self.notices.is_empty() => {
                let place = which.index(self.notices.len());
                self.settle_notice(store, place, *how).await;
            }
            Deed::SettleParcel { .. } | Deed::SettleNotice { .. } => {}
            Deed::Operate { order, how } => {
                let action = match how {
                    0 => Action::Retry,
                    1 => Action::Cancel,
                    2 => Action::Resolve { parcel: None, booked: true },
                    _ => Action::Resolve { parcel: Some(1), booked: false },
                };
                let (order, now) = (ORDERS[*order].to_owned(), self.now());
                store
                    .operate(Operation { order, action, by: "kim".to_owned(), now })
                    .await
                    .unwrap();
            }
            Deed::Report { order } => {
                let report = DeliveryReport {
                    msg_key: format!("M-{}", ORDERS[*order]),
                    reference: format!("{}:shipped", ORDERS[*order]),
                    code: "10000".to_owned(),
                    channel: "alimtalk".to_owned(),
                    reported_at: None,
                };
                store.record_reports(vec![report], self.now()).await.unwrap();
            }
        }
    }

    fn claim(&self, worker: usize, limit: usize) -> Claim {
        let (worker, now) = (format!("w{worker}"), self.now());
        Claim { worker, now, until: now + LEASE, limit }
    }

    async fn claim_parcels(&mut self, store: &dyn Store, worker: usize, limit: usize) {
        let now = self.now();
        let claimed = store.claim_parcels(self.claim(worker, limit)).await.unwrap();
        if claimed.work.len() < limit {
            assert!(claimed.next_due.is_none_or(|due| due > now), "due work was left");
        }
        for work in claimed.work {
            let order = store.order(&work.key.order).await.unwrap().unwrap();
            let held = order.state == OrderState::Attention && work.state == ParcelState::Planned;
            assert!(!held, "{} is held", work.key);
            self.leased(work.key.to_string(), &work.lease, now);
            self.parcels.push(work);
        }
    }

    async fn claim_notices(&mut self, store: &dyn Store, worker: usize, limit: usize) {
        let now = self.now();
        let claimed = store.claim_notices(self.claim(worker, limit)).await.unwrap();
        if claimed.work.len() < limit {
            assert!(claimed.next_due.is_none_or(|due| due > now), "due work was left");
        }
        for work in claimed.work {
            let order = store.order(&work.key.order).await.unwrap().unwrap();
            assert_eq!(order.state, OrderState::Shipped, "{} is told too early", work.key);
            assert_eq!(invoices(&work).len(), order.parcels.len());
            self.leased(work.key.to_string(), &work.lease, now);
            self.notices.push(work);
        }
    }

    async fn settle_parcel(&mut self, store: &dyn Store, place: usize, how: usize) {
        let now = self.now();
        let work = self.parcels[place].clone();
        let outcome = parcel_outcome(&work, how, now);
        let written = store.settle_parcel(&work, outcome.clone(), now).await.unwrap();
        let key = work.key.to_string();
        if !self.is_newest(&key, &work.lease) {
            assert_eq!(written, Written::Fenced, "{key} was taken over");
        }
        if written == Written::Done {
            self.repeat(store, || store.settle_parcel(&work, outcome.clone(), now)).await;
        }
        if written == Written::Done && matches!(outcome, ParcelOutcome::Intended(_)) {
            self.parcels[place].state = ParcelState::Intended;
            return;
        }
        if written == Written::Done {
            self.leases.insert(key, (work.lease, true));
        }
        self.parcels.remove(place);
    }

    async fn settle_notice(&mut self, store: &dyn Store, place: usize, how: usize) {
        let now = self.now();
        let work = self.notices.remove(place);
        let outcome = notice_outcome(&work, how, now);
        let written = store.settle_notice(&work, outcome.clone(), now).await.unwrap();
        let key = work.key.to_string();
        if !self.is_newest(&key, &work.lease) {
            assert_eq!(written, Written::Fenced, "{key} was taken over");
        }
        if written == Written::Done {
            self.repeat(store, || store.settle_notice(&work, outcome.clone(), now)).await;
            self.leases.insert(key, (work.lease, true));
        }
    }

    /// The same write again is answered alike and changes nothing.
    async fn repeat<F>(&self, store: &dyn Store, write: impl Fn() -> F)
    where
        F: Future<Output = oms_core::store::Result<Written>>,
    {
        let before = store.rows().await.unwrap();
        assert_eq!(write().await.unwrap(), Written::Done);
        assert_eq!(store.rows().await.unwrap(), before);
    }
}

fn parcel_outcome(work: &ParcelWork, how: usize, now: Timestamp) -> ParcelOutcome {
    let later = now + Duration::from_secs(3);
    match (work.state, how) {
        (ParcelState::Planned, 0) => put_back(later),
        (ParcelState::Planned, _) => {
            ParcelOutcome::Intended(work.intent.clone().unwrap_or_else(|| intent(work)))
        }
        (ParcelState::Intended, 0) => put_back(later),
        (ParcelState::Intended, 1) => refused("ORA-01400"),
        (ParcelState::Intended, 2) => unknown(now, later),
        (ParcelState::Intended, _) => ParcelOutcome::Booked,
        (ParcelState::Unknown, 0) => unknown(now, later),
        (ParcelState::Unknown, 1) => attention("nobody can tell"),
        (ParcelState::Unknown, 2) => {
            ParcelOutcome::NotBooked { reason: "asked".to_owned(), retry_at: later }
        }
        (ParcelState::Unknown, _) => ParcelOutcome::Booked,
        (ParcelState::Cancelling, 0) => put_back(later),
        (ParcelState::Cancelling, 1) => attention("nobody can tell"),
        (ParcelState::Cancelling, 2) => ParcelOutcome::PickedUp,
        (ParcelState::Cancelling, _) => ParcelOutcome::Cancelled,
        (resting, _) => panic!("claimed while `{resting}`"),
    }
}

fn notice_outcome(work: &NoticeWork, how: usize, now: Timestamp) -> NoticeOutcome {
    let later = now + Duration::from_secs(3);
    let reason = "said so".to_owned();
    match (work.state, how) {
        (_, 0) => notice_put_back(later),
        (_, 1) => notice_unknown(later),
        (NoticeState::Sending, 2) => NoticeOutcome::Refused { reason },
        (NoticeState::Unknown, 2) => NoticeOutcome::GivenUp { reason },
        _ => sent(&format!("M-{}", work.key.order)),
    }
}

/// Every walked edge is legal, each begins where the one before ended, and the rows stand where the
/// last one ended.
fn check_history(rows: &Rows) {
    let mut stands: BTreeMap<&str, &str> = BTreeMap::new();
    for edge in &rows.transitions {
        let before = stands.insert(&edge.key, &edge.to);
        assert_eq!(before, edge.from.as_deref(), "a gap before {edge:?}");
        let legal = match edge.entity.as_str() {
            "order" => is_legal(edge, OrderState::may_become),
            "parcel" => is_legal(edge, ParcelState::may_become),
            _ => is_legal(edge, NoticeState::may_become),
        };
        assert!(legal, "{edge:?}");
    }
    for order in &rows.orders {
        assert_eq!(stands.remove(order.id.as_str()), Some(order.state.as_str()));
        for parcel in &order.parcels {
            let key = format!("{}/{}", order.id, parcel.number);
            assert_eq!(stands.remove(key.as_str()), Some(parcel.state.as_str()), "{key}");
        }
        for notice in &order.notices {
            let key = format!("{}:{}", order.id, notice.event);
            assert_eq!(stands.remove(key.as_str()), Some(notice.state.as_str()), "{key}");
        }
    }
    assert!(stands.is_empty(), "logged, but not there: {stands:?}");
}

fn is_legal<S: FromStr>(edge: &Transition, may_become: fn(S, S, By) -> bool) -> bool {
    let state = |text: &str| S::from_str(text).ok();
    let Some(from) = edge.from.as_deref() else { return true };
    let (Some(from), Some(to)) = (state(from), state(&edge.to)) else { return false };
    may_become(from, to, edge.by)
}

/// What an order's state says of its parcels.
fn check_orders(rows: &Rows) {
    for order in &rows.orders {
        let all = |state| order.parcels.iter().all(|parcel| parcel.state == state);
        let any = |state| order.parcels.iter().any(|parcel| parcel.state == state);
        match order.state {
            OrderState::Shipped | OrderState::Completed | OrderState::NotifyFailed => {
                assert!(all(ParcelState::Booked), "{order:?}");
                assert_eq!(order.notices.len(), 1, "{order:?}");
            }
            OrderState::DeliveryFailed | OrderState::Cancelled => {
                assert!(!any(ParcelState::Booked) && !any(ParcelState::Unknown), "{order:?}");
            }
            OrderState::Accepted => assert!(!any(ParcelState::Attention), "{order:?}"),
            _ => {}
        }
    }
}

async fn play(store: &dyn Store, deeds: &[Deed]) {
    let mut model = Model::default();
    for deed in deeds {
        model.act(store, deed).await;
    }
    let rows = store.rows().await.unwrap();
    check_history(&rows);
    check_orders(&rows);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_row_is_leased_twice_and_every_edge_is_legal(
        deeds in prop::collection::vec(deed(), 1..160),
    ) {
        runtime().block_on(play(&SqliteStore::in_memory(options()), &deeds));
    }
}

proptest! {
    // Fewer: each commit is synced.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_same_holds_on_postgres(deeds in prop::collection::vec(deed(), 1..120)) {
        runtime().block_on(async {
            let Some(database) = Database::fresh().await else { return };
            play(&database.store().await, &deeds).await;
        });
    }
}
