//! The process's side of the quota, over the real store, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/edges.rs"]
mod edges;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clockwork::{Clock, Entropy, Timestamp};
use oms_core::call::Permits;
use oms_core::env::Env;
use oms_core::store::Window;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

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
    assert!((23.0..24.0).contains(&freed), "twice the deadline and three windows: {freed}");
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

/// What another process may still send after a block was written that it has not looked for yet.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Three processes call as fast as they may until one of them is told that nobody is to call: when
/// that was written, and when calls were sent.
async fn sent_around_a_block(seed: u64, windows: &[Window]) -> (Timestamp, Vec<Timestamp>) {
    let env = env();
    let start = env.clock.now();
    let told_at = start + Entropy::new(seed).fork("told", 0).duration(SECOND / 10, SECOND * 15);
    let sent = Mutex::new(Vec::new());
    let processes: Vec<Permits> =
        (0..3).map(|_| Permits::new(&env, "carrier", windows.to_vec(), DEADLINE)).collect();
    let caller = async |task: usize| {
        let permits = &processes[task % 3];
        let latency = Entropy::new(seed).fork("latency", task as u64);
        while env.clock.now() < start + SECOND * 20 {
            if let Ok(permit) = permits.take(env.clock.now() + PATIENCE).await {
                sent.lock().unwrap().push(env.clock.now());
                let took = latency.fork("call", sent.lock().unwrap().len() as u64);
                env.clock.sleep(took.duration(SECOND / 1000, SECOND / 4)).await;
                permit.end(env.clock.now());
            } else {
                env.clock.sleep(SECOND / 10).await;
            }
        }
    };
    let teller = async {
        env.clock.sleep_until(told_at).await;
        processes[0].block(told_at + SECOND * 300).await;
    };
    tokio::join!(teller, futures_util::future::join_all((0..24).map(caller)));
    (told_at, sent.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn once_one_process_was_told_to_stop_no_other_sends_but_what_it_took_just_before() {
    for seed in 0..200 {
        // Within two windows, and without any.
        for windows in [windows(), Vec::new()] {
            let (told_at, sent) = sent_around_a_block(seed, &windows).await;
            let late = sent.iter().max().unwrap();
            assert!(*late <= told_at + LOOK_AGAIN, "seed {seed}: {:?}", late.since(told_at));
        }
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
        let sent = Arc::new(AtomicU64::new(0));
        let processes: Vec<Permits> = (0..self.processes).map(|_| permits(&env)).collect();
        let callers = (0..self.tasks).map(|task| {
            let permits = processes[task as usize % self.processes].clone();
            self.caller(env.clock.clone(), permits, arrivals.clone(), sent.clone(), start)
        });
        futures_util::future::join_all(callers).await;
        arrivals
    }

    /// How long the call that is sent as the `call`-th is under way, there or back.
    fn latency(&self, call: u64, way: &str) -> Duration {
        let longest = Duration::from_millis(self.latency_max);
        Entropy::new(self.seed).fork(way, call).duration(Duration::ZERO, longest)
    }

    async fn caller(
        &self,
        clock: Arc<dyn Clock>,
        permits: Permits,
        arrivals: Arc<Mutex<Vec<Timestamp>>>,
        sent: Arc<AtomicU64>,
        start: Timestamp,
    ) {
        loop {
            let now = clock.now();
            if now > start + self.lasts {
                return;
            }
            match permits.take(now + PATIENCE).await {
                Ok(permit) => {
                    let call = sent.fetch_add(1, Ordering::Relaxed);
                    clock.sleep(self.latency(call, "there")).await;
                    arrivals.lock().unwrap().push(clock.now());
                    clock.sleep(self.latency(call, "back")).await;
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

    /// When the calls arrive of one caller that knows of each reply at once, and sends each call as
    /// early as a permit that counts until one window after its reply allows: nobody who cannot see
    /// when his calls arrive can be sure of more.
    fn best(&self, calls: usize) -> Vec<f64> {
        let (windows, mut ends) = (windows(), Vec::<f64>::new());
        let mut arrivals = Vec::new();
        for call in 0..calls as u64 {
            let from = windows.iter().map(|window| {
                let last = ends.len().checked_sub(window.calls as usize);
                last.map_or(0.0, |at| ends[at] + window.per.as_secs_f64())
            });
            let from = from.fold(0.0, f64::max);
            let arrives = from + self.latency(call, "there").as_secs_f64();
            arrivals.push(arrives);
            ends.push(arrives + self.latency(call, "back").as_secs_f64());
            ends.sort_by(f64::total_cmp);
        }
        arrivals.sort_by(f64::total_cmp);
        arrivals
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

/// By how much one of the calls came at most later than a hundredth after `best` plus `mean`.
fn latest(arrivals: &[Timestamp], best: impl Fn(usize) -> f64, mean: f64) -> f64 {
    let start = Timestamp::parse(edges::START).unwrap();
    let late = arrivals
        .iter()
        .enumerate()
        .map(|(k, arrival)| seconds_since(start, *arrival) - (best(k) * 1.01 + mean));
    late.fold(f64::NEG_INFINITY, f64::max)
}

/// The best schedule at a carrier that could be seen: ten every second until a hundred are sent, and
/// anew each minute.
fn seen(k: usize) -> f64 {
    (k / 100 * 60 + k % 100 / 10) as f64
}

#[test]
fn three_processes_use_the_quota_to_the_full_and_never_too_much_of_it() {
    for seed in 1..=5 {
        let load = Load { processes: 3, tasks: 24, latency_max: 60, lasts: SECOND * 600, seed };
        let arrivals = load.arrivals();
        check_quota(&arrivals);
        assert!(arrivals.len() >= 1_000, "{}", arrivals.len());
        let best = load.best(arrivals.len());
        let late = latest(&arrivals, |k| best[k], 0.030);
        assert!(late <= 0.0, "{late:.3} s later than one who knows of each reply at once");
        // Within the first minute nine round trips of at most 120 ms; none is added later.
        let late = latest(&arrivals, seen, 0.030);
        assert!(late <= 0.120 * 9.0, "{late:.3} s");
    }
}

#[test]
fn a_carrier_that_answers_at_once_gets_each_call_within_a_hundredth_of_the_best_schedule() {
    let load = Load { processes: 3, tasks: 24, latency_max: 4, lasts: SECOND * 600, seed: 1 };
    let arrivals = load.arrivals();
    check_quota(&arrivals);
    // A single way may take twice the mean.
    let late = latest(&arrivals, seen, 0.004);
    assert!(late <= 0.0, "{late:.3} s");
}

/// Ten seeds, or as many as `DRILLSHIP_SEEDS` says: a thousand take a minute in a release build.
#[test]
fn over_many_seeds_no_call_is_late() {
    let seeds = std::env::var("DRILLSHIP_SEEDS").ok();
    let seeds: u64 = seeds.map_or(10, |seeds| seeds.parse().expect("DRILLSHIP_SEEDS: a number"));
    let (mut careful, mut visible) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for seed in 1..=seeds {
        let load = Load { processes: 3, tasks: 24, latency_max: 60, lasts: SECOND * 600, seed };
        let arrivals = load.arrivals();
        check_quota(&arrivals);
        let best = load.best(arrivals.len());
        careful = careful.max(latest(&arrivals, |k| best[k], 0.030));
        visible = visible.max(latest(&arrivals, seen, 0.030));
    }
    println!("latest call after 1 % and 30 ms: {careful:.4} s beyond the best that can be sure of");
    println!(
        "the windows, {visible:.4} s beyond ten a second and a hundred a minute at the carrier"
    );
    assert!(careful <= 0.0, "{careful:.4} s");
}

#[tokio::test(start_paused = true)]
async fn twenty_in_an_idle_minute_go_out_ten_at_once_and_ten_a_window_after_the_replies() {
    let env = env();
    let (idle, busy) = (permits(&env), permits(&env));
    let start = env.clock.now();
    idle.take(start + PATIENCE).await.unwrap().end(env.clock.now());
    env.clock.sleep(SECOND * 60).await;
    let start = env.clock.now();
    let calls = (0..20).map(|_| async {
        let permit = busy.take(start + PATIENCE).await.unwrap();
        let sent = env.clock.now();
        env.clock.sleep(Duration::from_millis(50)).await;
        permit.end(env.clock.now());
        seconds_since(start, sent)
    });
    let sent = futures_util::future::join_all(calls).await;
    assert_eq!(sent[..10], [0.0; 10]);
    assert_eq!(sent[10..], [1.05; 10]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        // The default looks for a `lib.rs` above this file, and there is none.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
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
