//! A proof to tell of: one bug is found, one sometimes late, one never.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::detection::{Detection, Found};
use super::{
    Accusation, Bug, BugTrial, Clean, Machine, Options, Proof, Replays, Size, Terms, Waited,
};
use crate::plan::Plan;

const RUNS_MAX: u64 = 10_000;
const WEIGHED_RUNS_MAX: u64 = 100;

/// Runs to find it: with all powers, then without each.
type Runs = (u64, [u64; 4]);

fn bug(name: &str, family: &str, breaks: &str) -> Bug {
    Bug { name: name.to_owned(), family: family.to_owned(), breaks: breaks.to_owned() }
}

fn detection(promise: &'static str, runs: u64, runs_max: u64) -> Detection {
    let waited = |amount| match runs <= runs_max {
        true => Waited::At(amount),
        false => Waited::Beyond(amount),
    };
    let plan = Plan::healthy("found", 2);
    Detection {
        runs: waited(runs.min(runs_max)),
        cpu_micros: waited(runs.min(runs_max) * 1_500),
        found: (runs <= runs_max).then_some(Found { promise, plan }),
        accusations: Vec::new(),
    }
}

fn trial(promise: &'static str, (with, without): Runs) -> BugTrial {
    let found = with <= RUNS_MAX;
    let times = if found { 3 } else { 0 };
    let weaker = without.iter().map(|runs| detection(promise, *runs, WEIGHED_RUNS_MAX));
    BugTrial {
        detection: detection(promise, with, RUNS_MAX),
        replays: Replays { same: times, of: times },
        size: found.then_some(Size { orders: 2, faults: 1 }),
        without: weaker.collect(),
    }
}

/// The proof.
pub(super) fn proof() -> Proof {
    let never = RUNS_MAX + 1;
    let bugs = vec![
        bug("outbox-dropped", "order of outbox and state", "no-lost-order"),
        bug("limiter-off", "limiter windows", "quota-kept"),
        bug("no-bug", "limiter windows", "quota-kept"),
    ];
    let outbox = [
        trial("no-lost-order", (3, [4, 3, never, 10])),
        trial("no-lost-order", (5, [5, 5, never, 8])),
        trial("legal-history", (9, [9, 7, never, 30])),
    ];
    let limiter = [
        trial("quota-kept", (150, [90, 150, 60, 100])),
        trial("quota-kept", (20, [20, 20, 90, 20])),
        trial("quota-kept", (400, [100, 400, never, 100])),
    ];
    let none = [0; 3].map(|_| trial("quota-kept", (never, [never; 4])));
    let options = Options {
        bugs,
        clean: None,
        terms: Terms {
            seed: 7,
            trials: 3,
            runs_max: RUNS_MAX,
            shrunk_trials: 1,
            weighed_runs_max: WEIGHED_RUNS_MAX,
            clean_runs: 20_000,
        },
        jobs: NonZeroUsize::MIN,
    };
    let clean = Clean { runs: 20_000, cpu: Duration::from_millis(61_200), ..Clean::default() };
    let mut proof = Proof::new(&options, vec![outbox.into(), limiter.into(), none.into()], clean);
    proof.machine = Machine {
        processor: "Some Processor @ 2.00GHz".to_owned(),
        cores: 2,
        date: "2026-11-21".to_owned(),
        version: "0.1.0",
        build: "release",
    };
    proof.real = Duration::from_secs(247);
    proof
}

/// Something that the clean build is accused of.
pub(super) fn accusation() -> Accusation {
    Accusation {
        promises: vec!["no-lost-order"],
        says: vec!["ORD-1 is gone".to_owned()],
        plan: Plan::healthy("accused", 1).to_toml(),
    }
}
