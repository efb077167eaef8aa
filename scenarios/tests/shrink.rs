//! Plans that break a promise are made small: the same promise still falls, by the same bug.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/drill.rs"]
#[expect(dead_code, reason = "a part of what the tests of the command line use")]
mod support;

use std::path::Path;

use scenarios::crew::Stop;
use scenarios::evidence::Evidence;
use scenarios::plan::Plan;
use scenarios::shrink::{self, Shrunk, Size};
use scenarios::trial::Trials;
use scenarios::{catalogue, sabotage};
use support::Folder;

fn broken(bug: &str) -> (Plan, &'static str) {
    let bug = sabotage::named(bug).expect("a planted bug");
    let drill = catalogue::named(bug.seen_in[0]).expect("a drill").expect("a plan");
    (Plan { sabotage: Some(bug.name.to_owned()), ..drill }, bug.breaks)
}

fn shrunk(plan: &Plan, promise: &'static str) -> Shrunk {
    let trials = Trials::default();
    shrink::shrink(&trials, plan, promise, &Stop::default()).expect("plans that run")
}

#[test]
fn planted_bugs_shrink_to_two_orders_and_two_faults_and_the_promise_still_falls() {
    let bugs = ["new-invoice-on-retry", "unknown-as-failed", "lease-ignored", "outbox-dropped"];
    for bug in bugs {
        let (plan, promise) = broken(bug);
        let small = shrunk(&plan, promise);
        assert!(small.orders <= 2 && small.faults <= 2, "{bug}: {small:#?}");
        assert!(Size::of(&small.plan) < Size::of(&plan), "{bug}");
        assert!(!small.violations.is_empty(), "{bug}");
        let trials = Trials::default();
        assert!(trials.run(&small.plan).unwrap().breaks(promise), "{bug}");
        let sound = Plan { sabotage: None, ..small.plan };
        assert!(!trials.run(&sound).unwrap().breaks(promise), "{bug}: convicts the core too");
    }
}

#[test]
fn few_orders_do_what_took_many_when_the_quota_is_narrow() {
    let (mut plan, promise) = broken("limiter-off");
    plan.workload.orders = 30;
    plan.expect.completed = 30;
    let small = shrunk(&plan, promise);
    assert!(small.orders <= 2 && small.faults == 0, "{small:#?}");
}

#[test]
fn the_same_plan_shrinks_to_the_same_file() {
    let (plan, promise) = broken("unknown-as-failed");
    let folder = tempfile::tempdir().unwrap();
    let keep = |name: &str| {
        let dir = folder.path().join(name);
        shrink::keep(&Trials::default(), &plan, promise, &Stop::default(), &dir).unwrap()
    };
    let (first, second) = (keep("a"), keep("b"));
    assert_eq!(first.shrunk, second.shrunk);
    assert_eq!(first.path.file_name(), second.path.file_name());
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&first.path), text(&second.path));
}

#[test]
fn a_file_is_read_as_the_plan_that_it_shows_and_gives_the_history_that_it_names() {
    let (plan, promise) = broken("new-invoice-on-retry");
    let trials = Trials::default();
    let small = shrunk(&plan, promise);
    let text = shrink::to_file(&small, &trials).unwrap();
    let read = Plan::parse(&text).unwrap();
    let history = trials.record(&read).unwrap();
    assert_eq!(read.replay_hash, Some(history.hash()));
    assert_eq!(Plan { replay_hash: None, ..read }, small.plan);
    let story = shrink::story(&Evidence::from(history), promise);
    assert!((5..=33).contains(&story.len()), "{story:#?}");
    for step in &story {
        let begun = step.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        assert!(text.contains(&begun), "{begun} in {text}");
    }
    for said in ["sent the booking", "the carrier booked ORD-1-1 as", "nobody knows what came"] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[test]
fn the_command_writes_a_file_that_fails_when_it_is_replayed() {
    let folder = Folder::new();
    let bug = "--sabotage new-invoice-on-retry";
    let line = format!("shrink booking-reply-lost {bug} --promise books-agree --out small.toml");
    let told = folder.drill(&line).exits(1).err;
    assert!(told.contains("books-agree still falls with 1 order and 1 fault"), "{told}");
    assert!(folder.read("small.toml").starts_with("# Falls: books-agree ("));
    let replayed = folder.drill("replay small.toml").exits(1).out;
    assert!(replayed.contains("byte-identical, as the plan says"), "{replayed}");
    let held = folder.drill("shrink booking-reply-lost").exits(0).err;
    assert!(held.contains("there is nothing to shrink"), "{held}");
}

#[test]
fn what_is_in_no_need_of_the_bug_is_handed_back_as_it_is() {
    let mut plan = Plan::healthy("wrong-expectation", 3);
    plan.sabotage = Some("limiter-off".to_owned());
    plan.workload.order = vec![scenarios::plan::OrderOverride {
        index: 1,
        cancel_after: Some(std::time::Duration::ZERO),
        ..Default::default()
    }];
    // Nothing that the limiter has to do with breaks this one.
    let small = shrunk(&plan, "no-double-shipment");
    assert_eq!((small.plan, small.violations), (plan, vec![]));
}

#[test]
fn a_search_that_is_stopped_hands_over_what_it_has() {
    let (plan, promise) = broken("lease-ignored");
    let stop = Stop::default();
    stop.now();
    let trials = Trials::default();
    let small = shrink::shrink(&trials, &plan, promise, &stop).unwrap();
    assert_eq!((small.tries, small.orders), (0, plan.workload.orders));
}

#[test]
fn without_a_planted_bug_a_smaller_plan_fails_in_the_same_way() {
    // The plan is wrong: it expects a refused order to complete.
    let mut plan = Plan::healthy("wrong-expectation", 4);
    let refused = |key: &str| faults::Fault {
        on: Some("carrier".to_owned()),
        endpoint: Some("RegBook".to_owned()),
        key: Some(key.to_owned()),
        ..faults::Fault::new(faults::Kind::Refuse)
    };
    plan.faults = vec![refused("ORD-2-1"), refused("ORD-3-1")];
    plan.expect.completed = 3;
    plan.expect.attention = 1;
    let small = shrunk(&plan, "everything-settles");
    assert!(small.orders <= 2 && small.faults <= 1, "{small:#?}");
    let said = small.violations.join("\n");
    assert!(!said.contains("stuck"), "{said}");
}

/// A plan of generated sort that single changes do not make small.
fn stubborn(bug: &str, orders: u32, faults: &str) -> Plan {
    let head = format!("version = 1\nname = \"stubborn\"\nwhy = \"test\"\nsabotage = \"{bug}\"\n");
    let plan = format!("{head}[workload]\norders = {orders}\n{faults}");
    Plan::parse(&plan).expect("a plan")
}

#[test]
fn what_counts_the_transactions_of_all_orders_counts_those_of_one() {
    let fault =
        "[[fault]]\nkind = \"disconnect\"\non = \"store\"\nendpoint = \"ingest\"\nnth = 6\n";
    let expect = "[expect]\ncompleted = 6\nslowdown_max = inf\n";
    let plan = stubborn("acks-before-commit", 6, &format!("{fault}{expect}"));
    let small = shrunk(&plan, "no-lost-order");
    assert!(small.orders == 1 && small.faults == 1, "{small:#?}");
}

#[test]
fn what_two_orders_on_two_nodes_were_refused_one_order_of_many_parcels_is_refused_on_one() {
    let refusal = |nth: u32| {
        let place = format!("on = \"carrier\"\nendpoint = \"RegBook\"\nnth = {nth}\n");
        format!("[[fault]]\nkind = \"refuse\"\n{place}")
    };
    let world = "[world]\nnodes = 2\npriorities = 1\n";
    let expect = "[expect]\ncompleted = 3\ndelivery-failed = 2\n";
    let faults = format!("{world}{}{}{expect}", refusal(1), refusal(3));
    let plan = stubborn("breaker-counts-refusals", 5, &faults);
    let small = shrunk(&plan, "one-bad-order-blocks-none");
    assert!(small.orders == 2 && small.faults == 2, "{small:#?}");
    assert_eq!(small.plan.world.nodes, 1);
}
