//! The ways of the texts are convicted of the promises that they break, and of no other; the
//! recommended one of none.
//!
//! Each promise that a strategy breaks has its smallest known plan in `counterexamples/`. They are
//! written anew by `cargo run --release -p scenarios --example counterexamples`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use scenarios::crew::{self, Stop};
use scenarios::explore::{self, Powers};
use scenarios::plan::Plan;
use scenarios::strategies::{self, Strategy};
use scenarios::trial::{Trial, Trials};

/// A counterexample has at most so many orders, and as many faults.
const SMALL: usize = 2;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counterexamples")
}

fn file(strategy: &Strategy, promise: &str) -> PathBuf {
    folder().join(strategy.name).join(format!("{promise}.toml"))
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

/// The promises that fell and that the strategy is not known to break.
fn surprises(strategy: &Strategy, fallen: &[&'static str]) -> Vec<&'static str> {
    fallen.iter().copied().filter(|id| !strategy.breaks.contains(id)).collect()
}

#[test]
fn where_nothing_goes_wrong_every_strategy_ships_every_order() {
    let trials = Trials::default();
    for strategy in strategies::ALL {
        let plan = under(strategy, &Plan::healthy("healthy", 5));
        let always: Vec<&str> =
            strategy.breaks.iter().copied().filter(|id| *id == "no-io-in-transaction").collect();
        // That all orders complete is a promise too.
        assert_eq!(trial(&trials, &plan).fallen(), always, "{}", strategy.name);
    }
}

#[test]
fn every_promise_that_a_strategy_breaks_has_its_counterexample_and_there_is_no_other() {
    let told: BTreeSet<PathBuf> = strategies::ALL
        .iter()
        .flat_map(|strategy| strategy.breaks.iter().map(move |id| file(strategy, id)))
        .collect();
    let entries = |path: &Path| {
        let entries = std::fs::read_dir(path).expect("a folder").map(|entry| entry.unwrap().path());
        entries.collect::<Vec<PathBuf>>()
    };
    let kept = entries(&folder()).iter().flat_map(|path| entries(path)).collect();
    assert_eq!(told, kept);
}

#[test]
fn each_counterexample_convicts_its_strategy_by_the_same_bytes_and_acquits_the_recommended_one() {
    let trials = Trials::default();
    let all: Vec<(&Strategy, &str)> = strategies::ALL
        .iter()
        .flat_map(|strategy| strategy.breaks.iter().map(move |id| (strategy, *id)))
        .collect();
    let wrong = each(&all, |(strategy, promise)| {
        let path = file(strategy, promise);
        let plan = Plan::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let small = plan.workload.orders as usize <= SMALL && plan.faults.len() <= SMALL;
        let named = plan.strategy == strategy.in_plans();
        let hash = trials.record(&plan).expect("a simulation that runs").hash();
        let same = plan.replay_hash.as_ref() == Some(&hash);
        let falls = trial(&trials, &plan).breaks(promise);
        let acquitted = trial(&trials, &plan.made_sound()).fallen();
        let holds = small && named && same && falls && acquitted.is_empty();
        (!holds).then(|| {
            let name = path.display();
            format!(
                "{name}: small {small}, named {named}, same {same}, falls {falls}, {acquitted:?}"
            )
        })
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn over_generated_plans_no_strategy_breaks_a_promise_that_it_is_not_known_to_break() {
    const PLANS: u64 = 40;
    let trials = Trials::default();
    let all: Vec<(&Strategy, u64)> = strategies::ALL
        .iter()
        .flat_map(|strategy| (0..PLANS).map(move |number| (strategy, number)))
        .collect();
    let surprised = each(&all, |(strategy, number)| {
        let fallen = trial(&trials, &generated(strategy, 7, *number)).fallen();
        let surprises = surprises(strategy, &fallen);
        (!surprises.is_empty())
            .then(|| format!("{} in plan {number}: {surprises:?}", strategy.name))
    });
    let surprised: Vec<String> = surprised.into_iter().flatten().collect();
    assert!(surprised.is_empty(), "{surprised:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        // The default looks for a `lib.rs` above this file, and there is none.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    /// What is claimed holds, and what falls was never claimed, over plans that nobody has seen.
    #[test]
    fn a_strategy_keeps_every_promise_that_it_is_not_known_to_break(
        place in 0..strategies::ALL.len(),
        seed in 1_u64..1_000_000,
        number in 0_u64..1_000,
    ) {
        let strategy = &strategies::ALL[place];
        let fallen = trial(&Trials::default(), &generated(strategy, seed, number)).fallen();
        prop_assert_eq!(surprises(strategy, &fallen), Vec::<&str>::new(), "{}", strategy.name);
    }
}
