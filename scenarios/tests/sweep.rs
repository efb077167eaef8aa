//! `drill sweep`: every fault at every place is run, counted, and bugs are convicted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use faults::{Fault, Kind, Target};
use oms_core::env::Event;
use scenarios::crew::Stop;
use scenarios::history::What;
use scenarios::plan::Plan;
use scenarios::sweep::{self, Base, Family, Options, Swept};
use scenarios::trial::Trials;
use scenarios::verdict::Verdict;

fn options(orders: u32, seeds: u32) -> Options {
    let jobs = NonZeroUsize::new(2).unwrap();
    Options { orders, seeds, pairs: false, strategy: None, sabotage: None, jobs }
}

fn swept(options: &Options) -> Swept {
    sweep::sweep(options, &Stop::default(), |_, _| {}).unwrap()
}

#[test]
fn every_fault_at_every_place_of_one_order_is_run_counted_and_held() {
    let swept = swept(&options(1, 1));
    let total = swept.total();
    assert_eq!(swept.fallen, []);
    assert_eq!((total.ran, total.held), (total.exist, total.exist));
    assert_eq!(swept.verdict(), Verdict::Held);
    assert!(total.exist > 500, "{total:?}");
    let answer = sweep::json(&swept, &Vec::new(), Duration::from_secs(1));
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let families = answer["families"].as_array().unwrap();
    for field in ["exist", "ran", "held"] {
        let sum: u64 = families.iter().map(|family| family[field].as_u64().unwrap()).sum();
        assert_eq!(answer["total"][field].as_u64(), Some(sum), "{field}");
    }
    assert_eq!(answer["total"]["ran"], total.exist);
    assert_eq!((&answer["verdict"], &answer["exit_code"]), (&"held".into(), &0.into()));
    assert_eq!(answer["schema_version"], 1);
}

/// An event is published at four places and handled at four; each of them can be hit.
#[test]
fn a_strategy_with_a_queue_is_swept_with_its_faults_too_and_each_of_them_fires() {
    let strategy = Some("event-for-the-other-service".to_owned());
    let base = Base::of(&Options { strategy, ..options(1, 1) }, 0).unwrap();
    let of_queue = base.singles.iter().filter(|single| single.family == Family::Queue);
    let mut kinds: BTreeSet<Kind> = BTreeSet::new();
    let mut fallen: BTreeSet<&str> = BTreeSet::new();
    for single in of_queue {
        kinds.insert(single.fault.kind);
        let trial = Trials::default().run(&base.schedule(&[single])).unwrap();
        let faults = &trial.judgement.faults;
        assert!(faults.iter().all(|fault| !fault.is_missing()), "{:?}", single.fault);
        fallen.extend(trial.fallen());
    }
    let all: BTreeSet<Kind> =
        Kind::ALL.iter().copied().filter(|kind| kind.target() == Target::Queue).collect();
    assert_eq!(kinds, all);
    // Lost, an order waits for ever; repeated, it is told or booked again.
    assert!(fallen.contains("everything-settles"), "{fallen:?}");
    assert!(fallen.contains("no-double-notification"), "{fallen:?}");
    let without = Base::of(&options(1, 1), 0).unwrap();
    assert!(without.singles.iter().all(|single| single.family != Family::Queue));
}

#[test]
fn a_planted_bug_is_convicted_and_ends_the_sweep() {
    let sabotage = Some("outbox-dropped".to_owned());
    let swept = swept(&Options { sabotage, ..options(1, 1) });
    assert_eq!(swept.verdict(), Verdict::Violated);
    let fallen = swept.fallen.last().unwrap();
    assert!(fallen.promises.contains(&"everything-settles"), "{:?}", fallen.promises);
    assert!(swept.stopped);
    assert_eq!(swept.total().violated, 1);
}

/// A time-out that is taken for a failure costs the order where nothing was booked, and leaves a
/// booking that nobody knows of where it was: the place decides which promise falls.
#[test]
fn the_same_bug_breaks_another_promise_at_another_place() {
    let base = Base::of(&options(1, 1), 0).unwrap();
    let falls = |kind| {
        let booking =
            |fault: &Fault| fault.kind == kind && fault.endpoint.as_deref() == Some("RegBook");
        let single = base.singles.iter().find(|single| booking(&single.fault)).unwrap();
        let sabotage = Some("unknown-as-failed".to_owned());
        let plan = Plan { sabotage, ..base.schedule(&[single]) };
        Trials::default().run(&plan).unwrap().fallen()
    };
    let (before, after) = (falls(Kind::ResetBefore), falls(Kind::ResetAfter));
    assert!(before.contains(&"everything-settles") && !before.contains(&"books-agree"));
    assert!(after.contains(&"books-agree"), "{after:?}");
}

#[test]
fn a_sweep_that_was_told_to_stop_proves_nothing() {
    let stop = Stop::default();
    stop.now();
    let swept = sweep::sweep(&options(1, 1), &stop, |_, _| {}).unwrap();
    assert_eq!((swept.total().ran, swept.verdict()), (0, Verdict::Inconclusive));
}

#[test]
fn every_kind_of_fault_hits_every_call_and_every_point_of_every_node() {
    let base = Base::of(&options(1, 1), 0).unwrap();
    let of = |family| base.singles.iter().filter(move |single| single.family == family);
    let call = |kind: &Kind, endpoint: Option<&str>| {
        let mut calls = of(Family::Call).map(|single| &single.fault);
        calls.any(|fault| fault.kind == *kind && fault.endpoint.as_deref() == endpoint)
    };
    let ways = |kind: &&Kind| matches!(kind.target(), Target::Call);
    for kind in Kind::ALL.iter().filter(ways).chain(&[Kind::Crash, Kind::Stall]) {
        for endpoint in ["ReqOneDayToken", "ReqInvcNo", "RegBook", "send/omni", "report/polling"] {
            assert!(call(kind, Some(endpoint)), "{kind} {endpoint}");
        }
    }
    for kind in [Kind::ConnectRefused, Kind::ConnectTimeout] {
        assert!(call(&kind, None), "{kind}");
    }
    for kind in [Kind::Busy, Kind::CommitFails, Kind::CommitUnknown] {
        let operations: BTreeSet<&str> = of(Family::Commit)
            .filter(|single| single.fault.kind == kind)
            .filter_map(|single| single.fault.endpoint.as_deref())
            .collect();
        for operation in ["ingest", "claim-parcels", "settle-parcel", "settle-notice"] {
            assert!(operations.contains(operation), "{kind} {operation}");
        }
    }
    for family in [Family::Crash, Family::Stall] {
        for node in [0, 1] {
            let points: Vec<u64> = of(family)
                .filter(|single| single.fault.node == Some(node))
                .filter_map(|single| single.fault.point)
                .collect();
            assert_eq!(points, (1..=points.len() as u64).collect::<Vec<_>>(), "{family} {node}");
            assert!(points.len() > 20, "{family} {node}");
        }
    }
    assert!(of(Family::PowerCut).count() > 20);
}

#[test]
fn every_schedule_is_a_plan_that_can_be_written_and_run() {
    let base = Base::of(&options(2, 1), 0).unwrap();
    for single in &base.singles {
        let plan = base.schedule(&[single]);
        assert_eq!(plan.problems(), [], "{:?}", single.fault);
    }
    let plan = base.schedule(&[&base.singles[0], &base.singles[100]]);
    assert_eq!(plan.problems(), []);
    assert_eq!(Plan::parse(&plan.to_toml()).unwrap(), plan);
}

/// The nodes in the order in which they claimed parcels at first, and the calls in the order in
/// which they were answered.
fn order_of(plan: &Plan) -> (Vec<u32>, Vec<String>) {
    let history = Trials::default().record(plan).unwrap();
    let (mut claims, mut answers) = (Vec::new(), Vec::new());
    for record in &history.records {
        match &record.what {
            What::Oms(Event::TxBegin { op, .. }) if op == "claim-parcels" => {
                claims.extend(record.node);
            }
            What::Oms(Event::CallEnd { endpoint, key, .. }) => {
                answers.push(format!("{endpoint} {key}"));
            }
            _ => {}
        }
    }
    claims.truncate(4);
    (claims, answers)
}

#[test]
fn priorities_draw_which_worker_claims_first_and_which_reply_overtakes() {
    let (mut claims, mut answers) = (BTreeSet::new(), BTreeSet::new());
    for seed in 1..=20 {
        let mut plan = Plan::healthy("race", 2);
        plan.seed = seed;
        plan.workload.over = Duration::ZERO;
        plan.world.nodes = 2;
        plan.world.priorities = 1 + (seed % 3) as u32;
        let (claimed, answered) = order_of(&plan);
        assert_eq!((&claimed, &answered), (&order_of(&plan).0, &order_of(&plan).1));
        claims.insert(claimed);
        answers.insert(answered);
    }
    assert!(claims.iter().any(|order| order.first() == Some(&0)), "{claims:?}");
    assert!(claims.iter().any(|order| order.first() == Some(&1)), "{claims:?}");
    assert!(answers.len() > 2, "{answers:?}");
}

#[test]
fn crashes_and_stalls_under_priorities_lose_nothing() {
    for (seed, kind) in [(1, Kind::Crash), (2, Kind::Crash), (3, Kind::Stall), (4, Kind::Stall)] {
        let mut plan = Plan::healthy("falling", 3);
        plan.seed = seed;
        plan.world.nodes = 2;
        plan.world.priorities = 3;
        let by = (kind == Kind::Stall).then_some(Duration::from_secs(40));
        let at = |node, point| Fault { node, point: Some(point), by, ..Fault::new(kind) };
        plan.faults = vec![at(Some(0), 30), at(Some(1), 60)];
        let trial = Trials::default().run(&plan).unwrap();
        assert_eq!(trial.judgement.verdict, Verdict::Held, "{kind}: {:?}", trial.judgement.reasons);
    }
}
