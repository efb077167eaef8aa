//! Our simulator beside turmoil, in one sitting: `cargo bench -p benches -- simulator`.
//!
//! Ours runs `bench-20` and `durable-20` whole: service, database, faults, history; the one with an
//! outbox and three commits an order, the other with all that is recommended. On turmoil run the
//! calls alone that those twenty orders make without faults, over axum and hyper, at its default
//! tick and at one ten times as long. All of it is measured in CPU time of the one thread that does
//! it.

mod calls;
mod elsewhere;

use std::sync::Arc;
use std::time::Duration;

use benches::cost;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scenarios::plan::Plan;
use scenarios::sim::{self, Run};

/// As `drill` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BENCH_20: &str = include_str!("../bench-20.toml");
const DURABLE_20: &str = include_str!("../durable-20.toml");

/// The calls of the plan's orders, by a runtime of their own.
fn calls_of(plan: &Plan) -> Arc<[Vec<calls::Call>]> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(calls::of_each_order(plan)).into()
}

fn ours(plan: &Plan, seed: u64) {
    let plan = Plan { seed, ..plan.clone() };
    let run = Run::of(&plan);
    sim::run(&run).expect("a simulation that runs");
}

fn beside_turmoil(criterion: &mut Criterion) {
    let [bench, durable] =
        [BENCH_20, DURABLE_20].map(|text| Plan::parse(text).expect("the bench's own plan"));
    let calls = calls_of(&bench);
    let count: usize = calls.iter().map(Vec::len).sum();
    let mut all: Vec<(&str, Duration)> = Vec::new();
    let mut group = criterion.benchmark_group("simulator");
    group.throughput(Throughput::Elements(1));
    let mut measure = |name: &'static str, run: &dyn Fn(u64)| {
        let mut fastest = Duration::MAX;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let took = cost(times, run);
                fastest = fastest.min(took / u32::try_from(times).unwrap_or(u32::MAX));
                took
            });
        });
        all.push((name, fastest));
    };
    measure("bench-20", &|seed| ours(&bench, seed));
    measure("durable-20", &|seed| ours(&durable, seed));
    for (name, millis) in [("turmoil-1ms", 1), ("turmoil-10ms", 10)] {
        measure(name, &|_| {
            let answered = elsewhere::run(&bench, &calls, Duration::from_millis(millis));
            assert_eq!(answered, count, "every call is answered");
        });
    }
    group.finish();
    summary(&all, count);
}

/// Ours against each of the others, by the fastest sample of each.
fn summary(all: &[(&str, Duration)], calls: usize) {
    let per_second = |took: Duration| 1.0 / took.as_secs_f64();
    println!("runs per CPU-second, fastest sample; {calls} calls a run on turmoil");
    let Some((_, ours)) = all.first() else { return };
    for (name, took) in all.iter().filter(|(_, took)| *took < Duration::MAX) {
        let ratio = took.as_secs_f64() / ours.as_secs_f64();
        println!("  {name:<14}{:>8.0}   ours is {ratio:.2} times as fast", per_second(*took));
    }
}

criterion_group!(benches, beside_turmoil);
criterion_main!(benches);
