//! Whole runs of one plan, in virtual time.
//!
//! `bench-20` is the workload of the budget: twenty orders over ten virtual seconds, with two per
//! cent of the calls hit by each of five faults, and the recommended flow with real SQL. The
//! healthy batch beside it shows what the faults cost.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scenarios::plan::Plan;
use scenarios::sim::{self, Run};

const BENCH_20: &str = include_str!("bench-20.toml");

fn whole_runs(criterion: &mut Criterion) {
    let bench_20 = Plan::parse(BENCH_20).expect("the bench's own plan");
    let healthy = Plan::healthy("healthy-20", 20);
    let mut group = criterion.benchmark_group("simulation");
    group.throughput(Throughput::Elements(1));
    for plan in [bench_20, healthy] {
        group.bench_function(&plan.name, |bencher| {
            let mut seed = 0;
            bencher.iter(|| {
                // A seed each, as an exploration has it.
                seed += 1;
                let plan = Plan { seed, ..plan.clone() };
                let run = Run { plan: &plan, offers: None, sabotage: None };
                sim::run(&run).expect("a simulation that runs")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole_runs);
criterion_main!(benches);
