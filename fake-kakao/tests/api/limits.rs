//! 200 messages a second, five requests a second to everything else.

use std::path::Path;
use std::sync::Arc;

use clockwork::{Clock, Entropy};
use fake_kakao::{Config, FakeKakao};
use faults::journal::Journal;
use faults::keeper::Keeper;
use serde_json::json;

use crate::support::Bench;

/// A gateway that does again what stands in the log at `path`.
async fn of_log(path: &Path, clock: Arc<dyn Clock>) -> Bench {
    let (keeper, past) = Keeper::open(path, Arc::clone(&clock)).unwrap();
    let fake = FakeKakao::new(Config::default(), keeper.clock(), Entropy::new(7));
    let router = fake.router();
    let journal = Journal::new(Arc::clone(&clock), 100);
    keeper.remember(past, &router, &router, &journal).await;
    Bench { fake, clock, router: keeper.layer(router) }
}

#[tokio::test(start_paused = true)]
async fn what_a_log_tells_again_meets_the_limits_of_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let bench = of_log(&log, Bench::new().clock).await;
    for _ in 0..8 {
        assert_eq!(bench.poll().await.status, 200);
        bench.pass(1_000).await;
    }
    let again = of_log(&log, bench.clock).await;
    assert!(again.fake.ledger().rate_limited.is_empty());
    assert_eq!(again.poll().await.status, 200, "a second has passed since the last one");
}

#[tokio::test(start_paused = true)]
async fn two_hundred_messages_pass_in_a_moment_and_the_next_five_milliseconds_later() {
    let bench = Bench::new();
    for n in 0..200 {
        let order = format!("order-{n}");
        assert_eq!(bench.send(&bench.order(&order)).await.codes(), ["A000"]);
    }
    let answer = bench.send(&bench.order("late")).await;
    assert_eq!((answer.status, answer.code()), (429, "A020"));
    assert_eq!(answer.retry_after, None);
    bench.pass(4).await;
    assert_eq!(bench.send(&bench.order("late")).await.status, 429);
    bench.pass(1).await;
    assert_eq!(bench.send(&bench.order("late")).await.codes(), ["A000"], "its key was free");
    let ledger = bench.fake.ledger();
    assert_eq!(ledger.rate_limited.len(), 2);
    assert_eq!(
        (ledger.rate_limited[0].limit.as_str(), ledger.rate_limited[0].request),
        ("send/omni", 201)
    );
}

#[tokio::test(start_paused = true)]
async fn a_send_costs_as_many_as_it_has_recipients() {
    let bench = Bench::toml("retry_after = 'seconds'");
    let broadcast = |order: &str, count: usize| {
        let mut body = bench.order(order);
        body["destinations"] = (0..count).map(|n| json!({ "to": format!("010{n:08}") })).collect();
        body
    };
    assert_eq!(bench.send(&broadcast("a", 150)).await.status, 200);
    let answer = bench.send(&broadcast("b", 51)).await;
    assert_eq!((answer.status, answer.retry_after.as_deref()), (429, Some("1")));
    assert_eq!(bench.send(&broadcast("c", 50)).await.status, 200);
    assert_eq!(bench.fake.ledger().rate_limited[0].tokens, 51);
}

#[tokio::test(start_paused = true)]
async fn five_other_requests_pass_and_the_sixth_does_not_while_sending_goes_on() {
    let bench = Bench::new();
    for _ in 0..5 {
        assert_eq!(bench.poll().await.status, 200);
    }
    let answer = bench.get("/report/inquiry/anything").await;
    assert_eq!((answer.status, answer.code()), (429, "A020"));
    assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A000"]);
    bench.pass(200).await;
    assert_eq!(bench.poll().await.status, 200);
    assert_eq!(bench.poll().await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn limits_can_be_taken_away_and_a_stranger_uses_none_of_them() {
    let bench = Bench::toml("limits = 'off'\nsends_per_second = 1");
    for n in 0..50 {
        let order = format!("order-{n}");
        assert_eq!(bench.send(&bench.order(&order)).await.codes(), ["A000"]);
        assert_eq!(bench.poll().await.status, 200);
    }
    let limited = Bench::new();
    for _ in 0..20 {
        let answer =
            limited.call_as(None, http::Method::GET, "/report/polling", String::new()).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(limited.poll().await.status, 200);
}
