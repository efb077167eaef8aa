//! Whole runs of one plan, in virtual time, in CPU time of the thread that does them.
//!
//! `bench-20` is the workload of the budget: twenty orders over ten virtual seconds, with two per
//! cent of the calls hit by each of five faults, and real SQL. Beside it: the same with all that
//! the recommended flow has (`durable-20`), what the faults cost (`healthy-20`), and a small run as
//! an exploration makes them, judged as it judges them.

use benches::cost;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scenarios::plan::Plan;
use scenarios::sim::{self, Run};
use scenarios::trial::Trials;

/// As `drill` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BENCH_20: &str = include_str!("bench-20.toml");
const DURABLE_20: &str = include_str!("durable-20.toml");
const EXPLORE_4: &str = include_str!("explore-4.toml");

fn plan(text: &str) -> Plan {
    Plan::parse(text).expect("the bench's own plan")
}

fn whole_runs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulation");
    group.throughput(Throughput::Elements(1));
    for plan in [plan(BENCH_20), plan(DURABLE_20), Plan::healthy("healthy-20", 20)] {
        group.bench_function(&plan.name, |bencher| {
            bencher.iter_custom(|times| {
                cost(times, |seed| {
                    let plan = Plan { seed, ..plan.clone() };
                    let run = Run::of(&plan);
                    sim::run(&run).expect("a simulation that runs");
                })
            });
        });
    }
    let trials = Trials::default();
    for plan in [plan(BENCH_20), plan(EXPLORE_4)] {
        group.bench_function(format!("{}-judged", plan.name), |bencher| {
            bencher.iter_custom(|times| {
                cost(times, |seed| {
                    let plan = Plan { seed, ..plan.clone() };
                    trials.run(&plan).expect("a simulation that runs");
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole_runs);
criterion_main!(benches);
