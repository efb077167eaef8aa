//! What was acknowledged survives a power cut at every single operation of the disk; and with
//! settings that do not wait for the disk it does not.

use std::time::Duration;

use faults::{Fault, Kind};
use scenarios::history::{Step, What};
use scenarios::plan::{Plan, Site};
use scenarios::sim;
use scenarios::sweep::power;
use scenarios::trial::Trials;
use scenarios::verdict::Verdict;

/// Two orders, and few looks at the database when nothing is due.
fn workload() -> Plan {
    let mut plan = Plan::healthy("power-cuts", 2);
    plan.oms.service.poll = Duration::from_secs(10);
    plan
}

/// In how many of how many schedules an acknowledged order was lost; every fifth is run.
fn sweep(sabotage: &str) -> (usize, usize) {
    let mut plan = Plan { sabotage: Some(sabotage.to_owned()), ..workload() };
    // What was lost never settles: nobody waits for it for long.
    plan.world.patience = Duration::from_secs(20);
    let trials = Trials::default();
    let schedules: Vec<Plan> = power::schedules(&plan).expect("a run").step_by(5).collect();
    let lost =
        schedules.iter().filter(|plan| trials.run(plan).expect("a run").breaks("no-lost-order"));
    (lost.count(), schedules.len())
}

#[test]
fn no_power_cut_breaks_a_promise() {
    let trials = Trials::default();
    let mut count = 0;
    for plan in power::schedules(&workload()).unwrap() {
        let judgement = trials.run(&plan).unwrap().judgement;
        assert!(judgement.reasons.is_empty(), "{:?}: {:?}", plan.faults, judgement.reasons);
        let broken = judgement.promises.iter().find(|promise| !promise.violations.is_empty());
        assert!(broken.is_none(), "{:?}: {broken:?}", plan.faults);
        count += 1;
    }
    assert!(count > 100, "{count} operations");
}

#[test]
fn with_synchronous_normal_most_power_cuts_lose_an_acknowledged_order() {
    let (lost, count) = sweep("synchronous-normal");
    assert!(lost * 2 > count, "{lost} of {count}");
}

#[test]
fn without_syncs_most_power_cuts_lose_an_acknowledged_order() {
    let (lost, count) = sweep("synchronous-off");
    assert!(lost * 2 > count, "{lost} of {count}");
}

#[test]
fn a_run_on_the_disk_is_the_run_in_memory() {
    let record = |plan: &Plan| sim::run(&sim::Run::of(plan)).expect("a run");
    let plan = workload();
    let in_memory = record(&plan);
    let never = Plan { faults: vec![power::cut_at(u64::MAX)], ..plan.clone() };
    let mut on_disk = record(&never);
    on_disk.plan = plan;
    on_disk.reads.fired = in_memory.reads.fired.clone();
    assert_eq!(on_disk.hash(), in_memory.hash());
}

#[test]
fn the_power_goes_after_a_use_case_too_and_once_if_not_by_chance() {
    let cut = Fault { endpoint: Some("ingest".to_owned()), ..Fault::new(Kind::PowerCut) };
    let often = Fault { rate: Some(0.05), times: Some(5), ..Fault::new(Kind::PowerCut) };
    for (fault, times) in [(cut, 1), (often, 5)] {
        let plan = Plan { faults: vec![fault], ..Plan::healthy("power", 4) };
        let history = Trials::default().record(&plan).unwrap();
        assert_eq!(history.reads.fired[&Site::Store][0].times, times);
        let crashes = |step: &What| matches!(step, What::Drill(Step::NodeCrashed));
        let crashes = history.records.iter().filter(|record| crashes(&record.what)).count();
        assert_eq!(crashes as u64, times);
        assert!(Trials::default().run(&plan).unwrap().fallen().is_empty());
    }
}

#[test]
fn all_nodes_die_at_once_and_one_that_was_down_anyway_does_no_harm() {
    let crash = Fault { node: Some(1), point: Some(9), ..Fault::new(Kind::Crash) };
    let mut plan = Plan { faults: vec![power::cut_at(60), crash], ..Plan::healthy("power", 6) };
    plan.world.nodes = 3;
    let trial = Trials::default().run(&plan).unwrap();
    assert_eq!(trial.judgement.verdict, Verdict::Held, "{:?}", trial.judgement.reasons);
    assert!(trial.reached().contains("fault:power-cut"));
}

/// The power goes again while the database recovers, or soon after.
#[test]
fn two_power_cuts_one_after_the_other_break_no_promise() {
    for second in 61..75 {
        let faults = vec![power::cut_at(60), power::cut_at(second)];
        let plan = Plan { faults, ..workload() };
        let trial = Trials::default().run(&plan).unwrap();
        assert_eq!(trial.judgement.verdict, Verdict::Held, "{second}: {:?}", trial.judgement);
    }
}
