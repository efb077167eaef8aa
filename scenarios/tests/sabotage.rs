//! The net holds: each planted bug is convicted, by the promise that it breaks, in the drills that
//! it names; and the same drills acquit the core without it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use scenarios::crew::{self, Stop};
use scenarios::plan::Plan;
use scenarios::sabotage::{self, Family, Sabotage};
use scenarios::trial::{Trial, Trials};
use scenarios::verdict::Verdict;
use scenarios::{catalogue, promises};

fn drill(name: &str) -> Plan {
    catalogue::named(name).expect("a drill of the catalogue").expect("a plan")
}

/// `plan` with this bug, or with none.
fn judged(trials: &Trials, plan: &Plan, bug: Option<&Sabotage>) -> Trial {
    let sabotage = bug.map(|bug| bug.name.to_owned());
    trials.run(&Plan { sabotage, ..plan.clone() }).expect("a simulation that runs")
}

/// What `work` makes of each item, in their order: as many at once as there are cores.
fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let mut done = Vec::new();
    let of = |number: u64| work(&items[number as usize]);
    crew::run(crew::threads(), items.len() as u64, &Stop::default(), of, |_, result| {
        done.push(result);
        ControlFlow::Continue(())
    });
    done
}

#[test]
fn every_planted_bug_is_convicted_by_the_promise_that_it_breaks() {
    let trials = Trials::default();
    for bug in sabotage::ALL {
        assert!(promises::named(bug.breaks).is_some(), "{}: no promise {}", bug.name, bug.breaks);
        assert!(!bug.seen_in.is_empty(), "{}: no drill", bug.name);
    }
    let pairs = sabotage::ALL.iter().flat_map(|bug| bug.seen_in.iter().map(move |on| (bug, *on)));
    let pairs: Vec<(&Sabotage, &str)> = pairs.collect();
    let at_large = each(&pairs, |(bug, on)| {
        let trial = judged(&trials, &drill(on), Some(bug));
        let convicted = trial.breaks(bug.breaks) && trial.judgement.verdict == Verdict::Violated;
        (!convicted).then(|| format!("{} in {on}: fell {:?}", bug.name, trial.fallen()))
    });
    assert_eq!(at_large.len(), pairs.len());
    let at_large: Vec<String> = at_large.into_iter().flatten().collect();
    assert!(at_large.is_empty(), "{at_large:#?}");
}

#[test]
fn the_drills_that_convict_bugs_acquit_the_core() {
    let trials = Trials::default();
    let drills: BTreeSet<&str> =
        sabotage::ALL.iter().flat_map(|bug| bug.seen_in).copied().collect();
    let drills: Vec<&str> = drills.into_iter().collect();
    let acquitted = each(&drills, |name| {
        let judgement = judged(&trials, &drill(name), None).judgement;
        assert_eq!(judgement.verdict, Verdict::Held, "{name}: {judgement:?}");
    });
    assert_eq!(acquitted.len(), drills.len());
}

#[test]
fn bugs_have_names_of_their_own_and_say_why_a_team_writes_them() {
    let names: BTreeSet<_> = sabotage::ALL.iter().map(|bug| bug.name).collect();
    assert_eq!(names.len(), sabotage::ALL.len());
    assert!(sabotage::ALL.iter().all(|bug| !bug.why.is_empty()));
}

#[test]
fn every_family_has_a_bug() {
    let planted: BTreeSet<_> = sabotage::ALL.iter().map(|bug| bug.family).collect();
    let missing: Vec<_> = Family::ALL.iter().filter(|family| !planted.contains(family)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
