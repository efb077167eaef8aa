//! The phases of a run: chaos, until everything heals, then the final reads.

use std::time::Duration;

use faults::{Fault, Kind};
use scenarios::evidence::Evidence;
use scenarios::history::{History, Phase, Step, What};
use scenarios::plan::Plan;
use scenarios::{promises, sim};

const SECOND: Duration = Duration::from_secs(1);

fn run(plan: &Plan) -> History {
    assert_eq!(plan.problems(), []);
    sim::run(&sim::Run::of(plan)).expect("a simulation that runs")
}

fn fallen(history: History) -> Vec<&'static str> {
    let judged = promises::check_all(&Evidence::from(history)).into_iter();
    judged
        .filter(|(_, found)| !found.violations.is_empty())
        .map(|(promise, _)| promise.id)
        .collect()
}

/// When a step was taken, since the run's start.
fn taken(history: &History, step: impl Fn(&Step) -> bool) -> Vec<Duration> {
    let of = |what: &What| matches!(what, What::Drill(taken) if step(taken));
    let records = history.records.iter().filter(|record| of(&record.what));
    records.map(|record| record.at.since(history.plan.start)).collect()
}

fn on(site: &str, kind: Kind) -> Fault {
    Fault { on: Some(site.to_owned()), ..Fault::new(kind) }
}

#[test]
fn faults_without_an_end_end_when_everything_heals() {
    let mut plan = Plan::healthy("heals", 2);
    plan.heal_after = Some(90 * SECOND);
    plan.faults = vec![
        on("carrier", Kind::ConnectRefused),
        on("messenger", Kind::ResetBefore),
        Fault { endpoint: Some("record-reports".to_owned()), ..on("store", Kind::Busy) },
    ];
    let history = run(&plan);
    let healed = taken(&history, |step| *step == Step::Phase { phase: Phase::Heal });
    assert_eq!(healed, [90 * SECOND]);
    assert_eq!(fallen(history), [] as [&str; 0]);
    let mut forever = Plan { heal_after: None, ..plan };
    forever.world.patience = 600 * SECOND;
    assert!(fallen(run(&forever)).contains(&"everything-settles"));
}

#[test]
fn a_machine_that_is_down_boots_when_everything_heals_and_falls_no_more() {
    let mut plan = Plan::healthy("boots", 3);
    plan.heal_after = Some(20 * SECOND);
    plan.world.restart_after = 4 * 3_600 * SECOND;
    plan.faults = vec![Fault { rate: Some(0.02), ..on("node", Kind::Crash) }];
    let history = run(&plan);
    let crashed = taken(&history, |step| *step == Step::NodeCrashed);
    assert_eq!(crashed.len(), 1, "it is down when it would fall again");
    let started = taken(&history, |step| *step == Step::NodeStarted);
    assert_eq!(started, [Duration::ZERO, 20 * SECOND]);
    assert_eq!(fallen(history), [] as [&str; 0]);
}

#[test]
fn a_machine_that_stands_still_goes_on_when_everything_heals() {
    let mut plan = Plan::healthy("wakes", 2);
    plan.workload.over = Duration::ZERO;
    plan.heal_after = Some(30 * SECOND);
    let stall = Fault { by: Some(4 * 3_600 * SECOND), ..on("node", Kind::Stall) };
    let at = |from: u64| Fault { from: Some(Duration::from_millis(from)), ..stall.clone() };
    plan.faults = vec![at(100), at(40_000)];
    let history = run(&plan);
    let stalled = taken(&history, |step| matches!(step, Step::NodeStalled { .. }));
    assert_eq!(stalled, [Duration::from_millis(100)], "nothing happens after it has healed");
    let fired: Vec<u64> = Evidence::from(history.clone()).faults.iter().map(|f| f.times).collect();
    assert_eq!(fired, [1, 0]);
    assert_eq!(fallen(history), [] as [&str; 0]);
}
