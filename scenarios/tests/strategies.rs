//! The ways of the texts are convicted of the promises that they break, and of no other; the
//! recommended one of none.
//!
//! Each promise that a strategy breaks has its smallest known plan in `counterexamples/`. They are
//! written anew by `cargo test --release -p scenarios --test strategies -- --ignored`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use scenarios::crew::{self, Stop};
use scenarios::explore::{Budget, Options, Powers};
use scenarios::plan::Plan;
use scenarios::shrink;
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
    let options = Options {
        seed,
        powers: Powers::default(),
        budget: Budget::Runs(1),
        jobs: NonZeroUsize::MIN,
        strategy: strategy.in_plans(),
        sabotage: None,
        keep_going: true,
        twice: false,
    };
    let mut plan = options.plan(number);
    if !strategy.is_recommended() {
        // What is stuck is stuck: that nothing moves for two hours need not be watched.
        plan.world.patience = plan.world.patience.min(Duration::from_secs(20 * 60));
    }
    plan
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
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

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

/// Plans are tried up to this number.
const SEARCHED: u64 = 6_000;

#[test]
#[ignore = "writes the files"]
fn write_the_counterexamples() {
    let trials = Trials::default();
    let all: Vec<&Strategy> = strategies::ALL.iter().collect();
    let missing: Vec<String> = each(&all, |one| {
        let mut wanted: BTreeSet<&'static str> = one.breaks.iter().copied().collect();
        // What convicted it before is small already, and so is what convicts another one.
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
    let plans = files.filter_map(|path| Plan::load(&path).ok());
    plans.map(|plan| Plan { replay_hash: None, ..plan }).collect()
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
