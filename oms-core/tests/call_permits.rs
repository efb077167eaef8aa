//! The process's side of the quota, over the real store, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/edges.rs"]
mod edges;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clockwork::{Clock, Entropy, Timestamp};
use oms_core::call::Permits;
use oms_core::env::Env;
use oms_core::store::Window;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

fn windows() -> Vec<Window> {
    vec![Window { calls: 10, per: SECOND }, Window { calls: 100, per: SECOND * 60 }]
}

fn env() -> Env {
    edges::env(edges::Scripted::none(), edges::Scripted::none()).0
}

fn permits(env: &Env) -> Permits {
    Permits::new(env, "carrier", windows(), DEADLINE)
}

fn seconds_since(start: Timestamp, now: Timestamp) -> f64 {
    now.since(start).as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn ten_pass_at_once_and_the_eleventh_a_second_after_the_first_reply() {
    let env = env();
    let permits = permits(&env);
    let start = env.clock.now();
    let mut taken = Vec::new();
    for _ in 0..10 {
        taken.push(permits.take(start + PATIENCE).await.unwrap());
    }
    assert_eq!(env.clock.now(), start, "nobody waits");
    env.clock.sleep(Duration::from_millis(200)).await;
    taken.pop().unwrap().end(env.clock.now());
    permits.take(env.clock.now() + PATIENCE).await.unwrap().end(env.clock.now());
    assert_eq!(seconds_since(start, env.clock.now()), 1.2);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_waited_for_no_longer_than_the_patience_lasts() {
    let env = env();
    let permits = permits(&env);
    let start = env.clock.now();
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(permits.take(start + PATIENCE).await.unwrap());
    }
    let not_now = permits.take(start + PATIENCE).await.unwrap_err();
    assert!(env.clock.now() <= start + PATIENCE);
    assert!(not_now.wait.is_some_and(|wait| wait <= SECOND), "{not_now:?}");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_come_in_time_is_not_waited_for() {
    let env = env();
    let permits = permits(&env);
    let start = env.clock.now();
    for _ in 0..100 {
        permits.take(start + SECOND * 60).await.unwrap().end(env.clock.now());
    }
    let filled = env.clock.now();
    assert_eq!(seconds_since(start, filled), 9.0);
    let not_now = permits.take(filled + PATIENCE).await.unwrap_err();
    assert_eq!(env.clock.now(), filled, "the store knows that none frees within five seconds");
    assert_eq!(not_now.wait, Some(SECOND * 51));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_heard_of_counts_from_the_end_of_its_hold() {
    let env = env();
    let one = Permits::new(&env, "carrier", vec![Window { calls: 1, per: SECOND }], DEADLINE);
    let start = env.clock.now();
    drop(one.take(start + PATIENCE).await.unwrap());
    let mut waited = start + PATIENCE;
    while one.take(waited).await.is_err() {
        waited = env.clock.now() + PATIENCE;
        env.clock.sleep(PATIENCE / 10).await;
    }
    let freed = seconds_since(start, env.clock.now());
    assert!((21.0..22.0).contains(&freed), "twice the deadline and a window: {freed}");
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_was_not_used_is_free_at_once() {
    let env = env();
    let permits = permits(&env);
    let start = env.clock.now();
    for _ in 0..50 {
        permits.take(start + PATIENCE).await.unwrap().give_back();
    }
    assert_eq!(env.clock.now(), start);
}

#[tokio::test(start_paused = true)]
async fn another_process_learns_of_ended_calls_although_nobody_here_waits() {
    let env = env();
    let (idle, other) = (permits(&env), permits(&env));
    let start = env.clock.now();
    let mut taken = Vec::new();
    for _ in 0..10 {
        taken.push(idle.take(start + PATIENCE).await.unwrap());
    }
    env.clock.sleep(Duration::from_millis(100)).await;
    taken.into_iter().for_each(|permit| permit.end(env.clock.now()));
    other.take(start + PATIENCE).await.unwrap().end(env.clock.now());
    assert_eq!(seconds_since(start, env.clock.now()), 1.1);
}

#[tokio::test(start_paused = true)]
async fn a_block_holds_here_at_once_and_elsewhere_through_the_store() {
    let env = env();
    let (here, elsewhere) = (permits(&env), permits(&env));
    let start = env.clock.now();
    here.block(start + SECOND * 300).await;
    for permits in [&here, &elsewhere] {
        let not_now = permits.take(start + PATIENCE).await.unwrap_err();
        assert_eq!(not_now.wait, Some(SECOND * 300));
    }
    env.clock.sleep(SECOND * 297).await;
    for permits in [&here, &elsewhere] {
        permits.take(env.clock.now() + PATIENCE).await.unwrap().give_back();
        assert_eq!(seconds_since(start, env.clock.now()), 300.0);
    }
}

#[tokio::test(start_paused = true)]
async fn without_windows_only_a_block_stops_a_call() {
    let env = env();
    let unlimited = Permits::new(&env, "carrier", Vec::new(), DEADLINE);
    let start = env.clock.now();
    for _ in 0..1_000 {
        unlimited.take(start + PATIENCE).await.unwrap().end(env.clock.now());
    }
    unlimited.block(start + SECOND * 3).await;
    unlimited.take(start + PATIENCE).await.unwrap().end(env.clock.now());
    assert_eq!(env.clock.now(), start + SECOND * 3);
    unlimited.block(start + SECOND * 30).await;
    assert!(unlimited.take(env.clock.now() + PATIENCE).await.is_err());
}

/// Several processes call as fast as the quota lets them; when their calls arrive.
struct Load {
    processes: usize,
    tasks: u64,
    /// The longest way there and back, each, in milliseconds.
    latency_max: u64,
    lasts: Duration,
    seed: u64,
}

impl Load {
    /// The arrivals at the carrier, in order.
    fn arrivals(&self) -> Vec<Timestamp> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let arrivals = runtime.block_on(self.run());
        let mut arrivals = Arc::into_inner(arrivals).unwrap().into_inner().unwrap();
        arrivals.sort();
        arrivals
    }

    async fn run(&self) -> Arc<Mutex<Vec<Timestamp>>> {
        let env = env();
        let start = env.clock.now();
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let processes: Vec<Permits> = (0..self.processes).map(|_| permits(&env)).collect();
        let callers = (0..self.tasks).map(|task| {
            let permits = processes[task as usize % self.processes].clone();
            self.caller(task, env.clock.clone(), permits, arrivals.clone(), start)
        });
        futures_util::future::join_all(callers).await;
        arrivals
    }

    async fn caller(
        &self,
        task: u64,
        clock: Arc<dyn Clock>,
        permits: Permits,
        arrivals: Arc<Mutex<Vec<Timestamp>>>,
        start: Timestamp,
    ) {
        let latency = |call: u64, way: &str| {
            let longest = Duration::from_millis(self.latency_max);
            Entropy::new(self.seed).fork(way, (task, call)).duration(Duration::ZERO, longest)
        };
        for call in 0.. {
            let now = clock.now();
            if now > start + self.lasts {
                return;
            }
            match permits.take(now + PATIENCE).await {
                Ok(permit) => {
                    clock.sleep(latency(call, "there")).await;
                    arrivals.lock().unwrap().push(clock.now());
                    clock.sleep(latency(call, "back")).await;
                    permit.end(clock.now());
                }
                // Put back, as the flow does.
                Err(not_now) => {
                    let wait = not_now.wait.unwrap_or_default();
                    clock.sleep(wait.max(Duration::from_millis(100))).await;
                }
            }
        }
    }
}

/// The most arrivals in any window of `per`, as a carrier counts that slides its window, and as
/// one that begins a new one every `per`.
fn most(arrivals: &[Timestamp], per: Duration) -> (usize, usize) {
    let sliding = arrivals.iter().map(|first| {
        arrivals.iter().filter(|other| *other >= first && **other < *first + per).count()
    });
    let block = |at: &Timestamp| at.micros() / per.as_micros() as i64;
    let fixed = arrivals.chunk_by(|a, b| block(a) == block(b)).map(<[Timestamp]>::len);
    (sliding.max().unwrap_or(0), fixed.max().unwrap_or(0))
}

fn check_quota(arrivals: &[Timestamp]) {
    for window in windows() {
        let limit = window.calls as usize;
        let (sliding, fixed) = most(arrivals, window.per);
        assert!(sliding <= limit && fixed <= limit, "{sliding} and {fixed} in {:?}", window.per);
    }
}

#[test]
fn three_processes_use_the_quota_to_the_full_and_never_too_much_of_it() {
    let load = Load { processes: 3, tasks: 24, latency_max: 60, lasts: SECOND * 600, seed: 1 };
    let arrivals = load.arrivals();
    check_quota(&arrivals);
    let start = Timestamp::parse(edges::START).unwrap();
    // The best schedule sends ten every second until a hundred are sent, and begins anew each
    // minute. A permit is free one window after the reply, so that within a minute each ten may
    // come a round trip (here at most 120 ms) later than the ten before; beside that, one percent.
    for (k, arrival) in arrivals.iter().enumerate() {
        let tens = k % 100 / 10;
        let best = (k / 100 * 60 + tens) as f64;
        let late = seconds_since(start, *arrival) - best * 1.01;
        assert!(late <= 0.120 * (tens + 1) as f64, "call {k} came {late:.3} s late");
    }
    assert!(arrivals.len() >= 1_000, "{}", arrivals.len());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_carrier_never_counts_too_many_under_any_latency_up_to_the_deadline(
        processes in 1..4_usize,
        tasks in 1..40_u64,
        latency_max in prop_oneof![Just(0_u64), 1..300_u64, 300..5_000_u64],
        seed: u64,
    ) {
        let lasts = SECOND * 130;
        check_quota(&Load { processes, tasks, latency_max, lasts, seed }.arrivals());
    }
}
