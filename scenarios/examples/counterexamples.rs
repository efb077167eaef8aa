//! Writes the counterexamples anew: for each promise that a strategy breaks the smallest plan.
//!
//! `cargo run --release -p scenarios --example counterexamples`. What convicted a strategy before is
//! tried first, then what convicts another one, then generated plans.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use scenarios::crew::{self, Stop};
use scenarios::explore::{self, Powers};
use scenarios::plan::Plan;
use scenarios::shrink;
use scenarios::strategies::{self, Strategy};
use scenarios::trial::{Trial, Trials};

/// A counterexample has at most so many orders, and as many faults.
const SMALL: usize = 2;

/// Plans are tried up to this number.
const SEARCHED: u64 = 6_000;

fn main() {
    let trials = Trials::default();
    let all: Vec<&Strategy> = strategies::ALL.iter().collect();
    let missing: Vec<String> = each(&all, |one| {
        let mut wanted: BTreeSet<&'static str> = one.breaks.iter().copied().collect();
        // What convicted it of a promise before is small already, and stays.
        wanted.retain(|promise| match kept_plan(&file(one, promise)) {
            Some(plan) => !write(&trials, one, &plan, promise),
            None => true,
        });
        // So is what convicts it of another promise, and what convicts another strategy.
        let own = kept_plans(&[one]).into_iter();
        let others = kept_plans(&all).into_iter().map(|plan| under(one, &plan));
        let anew = (0..SEARCHED).map(|number| generated(one, 1, number));
        for plan in own.chain(others).chain(anew) {
            if wanted.is_empty() {
                break;
            }
            for promise in trial(&trials, &plan).fallen() {
                if wanted.contains(promise) && write(&trials, one, &plan, promise) {
                    wanted.remove(promise);
                }
            }
        }
        wanted.into_iter().map(|promise| format!("{}: {promise}", one.name)).collect::<Vec<_>>()
    })
    .concat();
    assert!(missing.is_empty(), "no small plan was found for {missing:#?}");
}

/// The counterexamples that there are of these.
fn kept_plans(strategies: &[&Strategy]) -> Vec<Plan> {
    let files = strategies
        .iter()
        .flat_map(|strategy| strategy.breaks.iter().map(move |id| file(strategy, id)));
    files.filter_map(|path| kept_plan(&path)).collect()
}

fn kept_plan(path: &Path) -> Option<Plan> {
    Plan::load(path).ok().map(|plan| Plan { replay_hash: None, ..plan })
}

/// Writes the small form of `plan`, if it is small enough.
fn write(trials: &Trials, strategy: &Strategy, plan: &Plan, promise: &'static str) -> bool {
    let shrunk = shrink::shrink(trials, plan, promise, &Stop::default());
    let mut shrunk = shrunk.expect("a simulation that runs");
    let small = shrunk.orders as usize <= SMALL && shrunk.faults <= SMALL;
    let sound = trial(trials, &shrunk.plan.made_sound()).fallen().is_empty();
    if shrunk.violations.is_empty() || !small || !sound {
        return false;
    }
    shrunk.plan.name = format!("{}-breaks-{promise}", strategy.name);
    shrunk.plan.why =
        format!("The least that is known to break {promise} under {}.", strategy.name);
    let text = shrink::to_file(&shrunk, trials).expect("a simulation that runs");
    let path = file(strategy, promise);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
    true
}

fn file(strategy: &Strategy, promise: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("counterexamples");
    folder.join(strategy.name).join(format!("{promise}.toml"))
}

fn trial(trials: &Trials, plan: &Plan) -> Trial {
    trials.run(plan).expect("a simulation that runs")
}

/// `plan` under `strategy`.
fn under(strategy: &Strategy, plan: &Plan) -> Plan {
    Plan { strategy: strategy.in_plans(), ..plan.clone() }
}

/// The generated plan of this number.
fn generated(strategy: &Strategy, seed: u64, number: u64) -> Plan {
    explore::plan_under(strategy.in_plans(), seed, number, Powers::default())
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
