//! Random operations by several clients of one database, against a plain model of leases, permits
//! and the state machines.
//!
//! Each deed is done by a client of its own connections, some of them by several at once: of those
//! any order of commits is right, and the model says what must hold in each.
//!
//! What ever failed is kept in `tests/proptest-regressions/random.txt`, as the seed that it is
//! drawn from, and is run again before anything new. The file belongs into the repository.

mod checks;
mod leases;
mod outcomes;
mod permits;

use std::sync::Arc;

use clockwork::Timestamp;
use futures_util::future::join_all;
use oms_core::store::sqlite::SqliteStore;
use oms_core::store::{Action, DeliveryReport, Operation, Store};
use proptest::prelude::*;

use crate::options;
use crate::postgres::Database;
use crate::support::{at, order};
use leases::Leases;
use permits::Calls;

const ORDERS: [&str; 4] = ["A", "B", "C", "D"];

/// What a client does; where it is done `by` several, by so many at once.
#[derive(Debug, Clone)]
enum Deed {
    Ingest {
        order: usize,
        parcels: u32,
    },
    Pass {
        seconds: u64,
    },
    ClaimParcels {
        by: usize,
        limit: usize,
    },
    ClaimNotices {
        by: usize,
        limit: usize,
    },
    /// With a `rival`, another client writes another end of the same step at once, or the same.
    SettleParcel {
        which: prop::sample::Index,
        how: usize,
        rival: Option<usize>,
    },
    SettleNotice {
        which: prop::sample::Index,
        how: usize,
        rival: Option<usize>,
    },
    /// The last outcome is written once more, as by who did not learn of its commit.
    Repeat,
    Renew {
        which: prop::sample::Index,
    },
    /// An operator's action; by several, it is one that is asked again before it is answered.
    Operate {
        by: usize,
        order: usize,
        how: usize,
    },
    Report {
        order: usize,
    },
    TakePermits {
        by: usize,
        want: u32,
    },
    /// The calls of all open permits have ended.
    EndCalls,
}

fn deed() -> impl Strategy<Value = Deed> {
    let index = any::<prop::sample::Index>;
    let by = || prop_oneof![2 => Just(1_usize), 1 => Just(2_usize), 1 => Just(3_usize)];
    let rival = || prop::option::weighted(0.3, 0..4_usize);
    prop_oneof![
        2 => (0..4_usize, 1..4_u32).prop_map(|(order, parcels)| Deed::Ingest { order, parcels }),
        3 => (1..45_u64).prop_map(|seconds| Deed::Pass { seconds }),
        6 => (by(), 1..4_usize).prop_map(|(by, limit)| Deed::ClaimParcels { by, limit }),
        3 => (by(), 1..4_usize).prop_map(|(by, limit)| Deed::ClaimNotices { by, limit }),
        12 => (index(), 0..4_usize, rival())
            .prop_map(|(which, how, rival)| Deed::SettleParcel { which, how, rival }),
        5 => (index(), 0..4_usize, rival())
            .prop_map(|(which, how, rival)| Deed::SettleNotice { which, how, rival }),
        6 => Just(Deed::Repeat),
        2 => index().prop_map(|which| Deed::Renew { which }),
        3 => (by(), 0..4_usize, 0..4_usize)
            .prop_map(|(by, order, how)| Deed::Operate { by, order, how }),
        1 => (0..4_usize).prop_map(|order| Deed::Report { order }),
        3 => (by(), 1..4_u32).prop_map(|(by, want)| Deed::TakePermits { by, want }),
        1 => Just(Deed::EndCalls),
    ]
}

/// Deeds, each with who does it.
fn deeds(at_most: usize) -> impl Strategy<Value = Vec<(usize, Deed)>> {
    prop::collection::vec((0..3_usize, deed()), 1..at_most)
}

/// The clients of one database, and whose turn it is.
struct Clients<'a, S> {
    all: &'a [Arc<S>],
    turn: usize,
}

impl<S: Store> Clients<'_, S> {
    /// The client whose turn it is.
    fn one(&self) -> &dyn Store {
        self.nth(0)
    }

    /// The `place`-th after it.
    fn nth(&self, place: usize) -> &dyn Store {
        &*self.all[(self.turn + place) % self.all.len()]
    }

    /// The next `count`, each with its number.
    fn some(&self, count: usize) -> impl Iterator<Item = (usize, &dyn Store)> {
        (0..count).map(|place| (self.turn + place, self.nth(place)))
    }
}

/// What the model knows.
#[derive(Default)]
struct Model {
    seconds: u64,
    leases: Leases,
    calls: Calls,
}

impl Model {
    fn now(&self) -> Timestamp {
        at(self.seconds)
    }

    async fn act<S: Store>(&mut self, clients: &Clients<'_, S>, deed: &Deed) {
        let (now, leases) = (self.now(), &mut self.leases);
        match *deed {
            Deed::Pass { seconds } => self.seconds += seconds,
            Deed::Ingest { order: which, parcels } => {
                clients.one().ingest(&order(ORDERS[which], parcels), None, now).await.unwrap();
            }
            Deed::ClaimParcels { by, limit } => {
                leases.claim_parcels(clients, by, limit, now).await;
            }
            Deed::ClaimNotices { by, limit } => {
                leases.claim_notices(clients, by, limit, now).await;
            }
            Deed::SettleParcel { which, how, rival } => {
                leases.settle_parcel(clients, which, how, rival, now).await;
            }
            Deed::SettleNotice { which, how, rival } => {
                leases.settle_notice(clients, which, how, rival, now).await;
            }
            Deed::Repeat => leases.repeat(clients.one()).await,
            Deed::Renew { which } => leases.renew(clients.one(), which, now).await,
            Deed::Operate { by, order, how } => operate(clients, by, order, how, now).await,
            Deed::Report { order } => report(clients.one(), ORDERS[order], now).await,
            Deed::TakePermits { by, want } => self.calls.take(clients, by, want, now).await,
            Deed::EndCalls => self.calls.end(now),
        }
    }
}

async fn operate<S: Store>(
    clients: &Clients<'_, S>,
    by: usize,
    order: usize,
    how: usize,
    now: Timestamp,
) {
    let action = match how {
        0 => Action::Retry,
        1 => Action::Cancel,
        2 => Action::Resolve { parcel: None, booked: true },
        _ => Action::Resolve { parcel: Some(1), booked: false },
    };
    let operation =
        Operation { order: ORDERS[order].to_owned(), action, by: "kim".to_owned(), now };
    let asked = clients.some(by).map(|(_, client)| client.operate(operation.clone()));
    let answers: Vec<_> = join_all(asked).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{operation:?}: {answers:?}");
}

async fn report(store: &dyn Store, order: &str, now: Timestamp) {
    let report = DeliveryReport {
        msg_key: format!("M-{order}"),
        reference: format!("{order}:shipped"),
        code: "10000".to_owned(),
        channel: "alimtalk".to_owned(),
        reported_at: None,
    };
    store.record_reports(vec![report], now).await.unwrap();
}

async fn play<S: Store>(all: &[Arc<S>], deeds: &[(usize, Deed)]) {
    let mut model = Model::default();
    for (turn, deed) in deeds {
        model.act(&Clients { all, turn: *turn }, deed).await;
    }
    let rows = all[0].rows().await.unwrap();
    checks::check_history(&rows);
    checks::check_orders(&rows);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_row_is_leased_twice_and_every_edge_is_legal(deeds in deeds(160)) {
        let store = Arc::new(SqliteStore::in_memory(options()));
        runtime().block_on(play(&[store], &deeds));
    }
}

proptest! {
    // Fewer: each commit is synced.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_same_holds_of_three_clients_of_a_file(deeds in deeds(120)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oms.db");
        let open = || Arc::new(SqliteStore::open(&path, options()).unwrap());
        runtime().block_on(play(&[open(), open(), open()], &deeds));
    }

    #[test]
    fn the_same_holds_of_three_clients_of_postgres(deeds in deeds(120)) {
        runtime().block_on(async {
            let Some(database) = Database::fresh().await else { return };
            let open = async || Arc::new(database.store().await);
            play(&[open().await, open().await, open().await], &deeds).await;
        });
    }
}
