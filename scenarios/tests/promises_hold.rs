//! The three promises above all, over generated plans: no double shipment; a failed notification
//! never rolls back a delivery; one bad order never blocks the rest.
//!
//! A plan that ever failed is kept in `promises_hold.regressions` beside this file, as the seed
//! that it is drawn from, and is run again before any new one. The file belongs into the
//! repository.

use std::time::Duration;

use faults::{Fault, Kind};
use oms_core::config::Duplicates;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use scenarios::evidence::Evidence;
use scenarios::plan::Plan;
use scenarios::{promises, sim};

const ORDERS: u32 = 6;

fn call_fault(on: &str, endpoint: &str, kind: Kind, rate: f64) -> Fault {
    let (on, endpoint) = (Some(on.to_owned()), Some(endpoint.to_owned()));
    let by =
        matches!(kind, Kind::DelayAfter | Kind::DelayBefore | Kind::LateDelivery | Kind::SlowBody)
            .then_some(Duration::from_secs(20));
    Fault { on, endpoint, rate: Some(rate), by, ..Fault::new(kind) }
}

fn status(on: &str, endpoint: &str, code: u16, processed: bool, rate: f64) -> Fault {
    let fault = call_fault(on, endpoint, Kind::Status, rate);
    Fault { status: Some(code), processed: Some(processed), ..fault }
}

/// Any of the faults that may hit a booking or a message, as often as every second time.
fn faults_on(on: &'static str, endpoint: &'static str) -> impl Strategy<Value = Fault> {
    let kinds = prop_oneof![
        Just(Kind::ResetBefore),
        Just(Kind::ResetAfter),
        Just(Kind::DelayBefore),
        Just(Kind::DelayAfter),
        Just(Kind::LateDelivery),
        Just(Kind::Malformed),
        Just(Kind::Truncated),
        Just(Kind::Empty),
        Just(Kind::SlowBody),
    ];
    let plain =
        (kinds, 0.05..0.5).prop_map(move |(kind, rate)| call_fault(on, endpoint, kind, rate));
    let answered = (prop::sample::select(vec![500_u16, 502, 503, 504]), any::<bool>(), 0.05..0.5)
        .prop_map(move |(code, processed, rate)| status(on, endpoint, code, processed, rate));
    prop_oneof![3 => plain, 1 => answered]
}

fn store_fault() -> impl Strategy<Value = Fault> {
    let kind = prop_oneof![Just(Kind::Busy), Just(Kind::CommitUnknown)];
    (kind, 0.01..0.2).prop_map(|(kind, rate)| Fault {
        on: Some("store".to_owned()),
        rate: Some(rate),
        ..Fault::new(kind)
    })
}

fn crash() -> impl Strategy<Value = Fault> {
    (10_u64..600).prop_map(|point| Fault {
        on: Some("node".to_owned()),
        point: Some(point),
        ..Fault::new(Kind::Crash)
    })
}

prop_compose! {
    /// A plan whose faults stop after twenty minutes; then everything has hours to settle.
    fn plans()(
        seed in 1_u64..1_000_000,
        nodes in 1_u32..3,
        books_twice in any::<bool>(),
        carrier in prop::collection::vec(faults_on("carrier", "RegBook"), 0..4),
        gateway in prop::collection::vec(faults_on("messenger", "send/omni"), 0..3),
        store in prop::collection::vec(store_fault(), 0..2),
        crashes in prop::collection::vec(crash(), 0..4),
    ) -> Plan {
        let mut plan = Plan { seed, ..Plan::healthy("generated", ORDERS) };
        plan.world.nodes = nodes;
        if books_twice {
            plan.carrier.duplicates = fake_cj::config::Duplicates::Accept;
            plan.oms.carrier.duplicates = Duplicates::Accept;
        }
        plan.faults = [carrier, gateway, store, crashes].concat();
        for fault in plan.faults.iter_mut().filter(|fault| fault.point.is_none()) {
            fault.until = Some(Duration::from_secs(20 * 60));
        }
        plan
    }
}

fn fallen(plan: &Plan) -> Vec<(&'static str, Vec<String>)> {
    let run = sim::Run::of(plan);
    let evidence = Evidence::from(sim::run(&run).expect("a simulation that runs"));
    let judged = promises::check_all(&evidence).into_iter();
    judged
        .filter(|(_, finding)| !finding.violations.is_empty())
        .map(|(promise, finding)| {
            (promise.id, finding.violations.iter().map(ToString::to_string).collect())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        // The default looks for a `lib.rs` above this file, and there is none.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_fails_no_promise_falls(plan in plans()) {
        prop_assert_eq!(plan.problems(), []);
        let fallen = fallen(&plan);
        prop_assert!(fallen.is_empty(), "{:#?}\n{}", fallen, plan.to_toml());
    }

    #[test]
    fn one_refused_order_never_blocks_the_rest(plan in plans(), bad in 1..=ORDERS) {
        let mut plan = plan;
        let key = Some(format!("ORD-{bad}-1"));
        let refused = call_fault("carrier", "RegBook", Kind::Refuse, 1.0);
        plan.faults.insert(0, Fault { key, rate: None, ..refused });
        plan.expect.completed = u64::from(ORDERS) - 1;
        plan.expect.delivery_failed = 1;
        let fallen = fallen(&plan);
        prop_assert!(fallen.is_empty(), "{:#?}\n{}", fallen, plan.to_toml());
    }
}
