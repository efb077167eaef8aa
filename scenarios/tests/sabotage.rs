//! The net holds: each planted bug is convicted, by the promise that it breaks, in the drill that
//! it names; and the same drill acquits the core without it.

use scenarios::report::DrillResult;
use scenarios::runner::{self, Settings};
use scenarios::sabotage::{self, Sabotage};
use scenarios::verdict::Verdict;
use scenarios::{catalogue, promises};

fn verdict(drill: &str, sabotage: Option<&'static Sabotage>) -> DrillResult {
    let plan = catalogue::named(drill).expect("a drill of the catalogue").expect("a plan");
    let settings = Settings { sabotage, ..Settings::default() };
    runner::simulate(&plan, &settings).expect("a simulation that runs")
}

/// The promises that were broken.
fn fallen(result: &DrillResult) -> Vec<&str> {
    let broken = result.promises.iter().filter(|promise| promise.verdict == Verdict::Violated);
    broken.map(|promise| promise.id).collect()
}

#[test]
fn every_planted_bug_is_convicted_by_the_promise_that_it_breaks() {
    for bug in sabotage::ALL {
        assert!(promises::named(bug.breaks).is_some(), "{}: no promise {}", bug.name, bug.breaks);
        for drill in bug.seen_in {
            let result = verdict(drill, Some(bug));
            assert_eq!(result.verdict, Verdict::Violated, "{} in {drill}", bug.name);
            let fallen = fallen(&result);
            assert!(fallen.contains(&bug.breaks), "{} in {drill}: fell {fallen:?}", bug.name);
        }
    }
}

#[test]
fn the_drills_that_convict_bugs_acquit_the_core() {
    let mut drills: Vec<_> = sabotage::ALL.iter().flat_map(|bug| bug.seen_in).collect();
    drills.sort_unstable();
    drills.dedup();
    for drill in drills {
        let result = verdict(drill, None);
        assert_eq!(result.verdict, Verdict::Held, "{drill}: {:?}", fallen(&result));
    }
}
