//! The net holds: each planted bug is convicted, by the promise that it breaks, in the drills that
//! it names; and the same drills acquit the core without it.

use std::collections::BTreeSet;

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

#[test]
fn every_planted_bug_is_convicted_by_the_promise_that_it_breaks() {
    let trials = Trials::default();
    let mut at_large = Vec::new();
    for bug in sabotage::ALL {
        assert!(promises::named(bug.breaks).is_some(), "{}: no promise {}", bug.name, bug.breaks);
        assert!(!bug.seen_in.is_empty(), "{}: no drill", bug.name);
        for drill_name in bug.seen_in {
            let trial = judged(&trials, &drill(drill_name), Some(bug));
            let (name, fallen) = (bug.name, trial.fallen());
            if !trial.breaks(bug.breaks) || trial.judgement.verdict != Verdict::Violated {
                at_large.push(format!("{name} in {drill_name}: fell {fallen:?}"));
            }
        }
    }
    assert!(at_large.is_empty(), "{at_large:#?}");
}

#[test]
fn the_drills_that_convict_bugs_acquit_the_core() {
    let trials = Trials::default();
    let drills: BTreeSet<_> = sabotage::ALL.iter().flat_map(|bug| bug.seen_in).collect();
    for name in drills {
        let judgement = judged(&trials, &drill(name), None).judgement;
        assert_eq!(judgement.verdict, Verdict::Held, "{name}: {judgement:?}");
    }
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
