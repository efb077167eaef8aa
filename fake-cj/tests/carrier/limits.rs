//! The quota and the ban, through the whole API and at its edges to the millisecond.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::http::StatusCode;
use fake_cj::Config;
use fake_cj::config::{BannedSees, RetryAfter, WindowKind};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Drill, HERE, unlimited};

const OK: StatusCode = StatusCode::OK;
const TOO_MANY: StatusCode = StatusCode::TOO_MANY_REQUESTS;
const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A carrier whose windows are empty again after the token was asked for.
async fn rested(config: Config) -> Drill {
    let drill = Drill::new(config).await;
    drill.sleep(Duration::from_secs(60)).await;
    drill
}

#[tokio::test(start_paused = true)]
async fn the_tenth_call_of_a_second_passes_and_the_eleventh_does_not() {
    let drill = rested(Config::default()).await;
    for call in 1..=10 {
        assert_eq!(drill.knock().await, OK, "call {call}");
    }
    assert_eq!(drill.knock().await, TOO_MANY);
    drill.sleep(millis(999)).await;
    assert_eq!(drill.knock().await, TOO_MANY);
    drill.sleep(millis(1)).await;
    assert_eq!(drill.knock().await, OK);
}

#[tokio::test(start_paused = true)]
async fn every_request_counts_also_one_for_a_token_or_with_a_wrong_key() {
    let drill = Drill::without_token(Config::default());
    assert_eq!(drill.request_token().await.status, OK);
    for _ in 0..8 {
        let answer = drill.send(HERE, "/RegBook", Some("wrong"), "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(drill.send(HERE, "/nowhere", None, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(drill.send(HERE, "/nowhere", None, "").await.status, TOO_MANY);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_pass_in_a_minute_and_a_refused_one_does_not_count() {
    let drill = rested(Config::default()).await;
    for call in 0..100 {
        assert_eq!(drill.knock().await, OK, "call {call}");
        drill.sleep(millis(100)).await;
    }
    assert_eq!(drill.knock().await, TOO_MANY, "ten seconds in, the minute is full");
    drill.sleep(millis(49_999)).await;
    assert_eq!(drill.knock().await, TOO_MANY);
    drill.sleep(millis(1)).await;
    assert_eq!(drill.knock().await, OK, "the first call is a minute old");
    assert_eq!(drill.knock().await, TOO_MANY, "the second is not");
    assert_eq!(drill.fake.ledger().violations[0].window, "100/60s");
}

#[tokio::test(start_paused = true)]
async fn five_violations_in_a_row_ban_for_exactly_five_minutes() {
    let drill = rested(Config::default()).await;
    for _ in 0..10 {
        drill.knock().await;
    }
    for violation in 1..=5 {
        assert_eq!(drill.knock().await, TOO_MANY, "violation {violation}");
    }
    assert_eq!(drill.knock().await, FORBIDDEN);
    drill.sleep(millis(299_999)).await;
    assert_eq!(drill.knock().await, FORBIDDEN);
    let elsewhere = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    let there = drill.call_from(elsewhere, "ReqInvcNo", json!({ "CLNTNUM": "30000001" })).await;
    assert_eq!(there.status, OK, "another address is not banned");
    drill.sleep(millis(1)).await;
    assert_eq!(drill.knock().await, OK);

    let ledger = drill.fake.ledger();
    assert_eq!((ledger.violations.len(), ledger.calls_while_banned), (5, 2));
    let [ban] = &ledger.bans[..] else { panic!("{:?}", ledger.bans) };
    assert_eq!((ban.client, ban.until.since(ban.from)), (HERE, Duration::from_secs(300)));
    assert_eq!(ban.from, ledger.violations[4].at);
    let fifth = ledger.requests.iter().find(|r| r.id == ledger.violations[4].request_id);
    assert_eq!(fifth.unwrap().status, Some(429));
}

#[tokio::test(start_paused = true)]
async fn one_accepted_call_resets_the_row_of_violations() {
    let drill = rested(Config::default()).await;
    for round in 0..3 {
        for call in 0..10 {
            assert_eq!(drill.knock().await, OK, "round {round}, call {call}");
        }
        for violation in 0..4 {
            assert_eq!(drill.knock().await, TOO_MANY, "round {round}, violation {violation}");
        }
        drill.sleep(millis(1_000)).await;
    }
    assert_eq!(drill.fake.ledger().bans, []);
    assert_eq!(drill.fake.ledger().totals.violations, 12);
}

#[tokio::test(start_paused = true)]
async fn of_two_hundred_simultaneous_calls_exactly_ten_pass() {
    let drill = rested(Config { ban_after: 0, ..Config::default() }).await;
    let statuses = join_all((0..200).map(|_| drill.knock())).await;
    assert_eq!(statuses.iter().filter(|status| **status == OK).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == TOO_MANY).count(), 190);
    assert_eq!(drill.fake.ledger().totals.invoices_issued, 10);
}

#[test]
fn of_two_hundred_calls_on_eight_threads_exactly_ten_pass() {
    let drill = Drill::without_token(Config { ban_after: 0, ..Config::default() });
    let passed = std::thread::scope(|scope| {
        let knock = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let calls = (0..25).map(|_| drill.send(HERE, "/RegBook", None, "{}"));
            let answers = runtime.block_on(join_all(calls));
            answers.iter().filter(|answer| answer.status == StatusCode::UNAUTHORIZED).count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(knock)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert_eq!(passed, 10);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_absent_or_in_seconds_or_a_date_as_configured() {
    let expected = [
        (RetryAfter::Absent, None),
        (RetryAfter::Seconds, Some("1")),
        (RetryAfter::Date, Some("Sat, 21 Nov 2026 01:16:02 GMT")),
    ];
    for (retry_after, value) in expected {
        let drill = rested(Config { retry_after, ..Config::default() }).await;
        drill.sleep(millis(500)).await;
        for _ in 0..10 {
            drill.knock().await;
        }
        let answer = drill.call("ReqInvcNo", json!({ "CLNTNUM": "30000001" })).await;
        assert_eq!(answer.status, TOO_MANY);
        let header = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(header, value, "{retry_after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn fixed_windows_begin_at_the_full_second() {
    let config = Config { window_kind: WindowKind::Fixed, ..Config::default() };
    let drill = rested(config).await;
    drill.sleep(millis(900)).await;
    for _ in 0..10 {
        assert_eq!(drill.knock().await, OK);
    }
    drill.sleep(millis(99)).await;
    assert_eq!(drill.knock().await, TOO_MANY);
    drill.sleep(millis(1)).await;
    for _ in 0..10 {
        assert_eq!(drill.knock().await, OK);
    }
    assert_eq!(drill.knock().await, TOO_MANY);
}

#[tokio::test(start_paused = true)]
async fn a_banned_client_sees_403_or_a_connection_cut() {
    for (banned_sees, is_cut) in [(BannedSees::Forbidden, false), (BannedSees::Refused, true)] {
        let drill = rested(Config { banned_sees, ..Config::default() }).await;
        drill.fake.ban(HERE, Some(Duration::from_secs(1)));
        let answer = drill.call("ReqInvcNo", json!({ "CLNTNUM": "30000001" })).await;
        assert_eq!(answer.is_cut, is_cut);
        if !is_cut {
            assert_eq!(answer.status, FORBIDDEN);
        }
        drill.sleep(millis(1_000)).await;
        assert_eq!(drill.knock().await, OK);
        assert_eq!(
            drill.fake.ledger().totals.invoices_issued,
            1,
            "no number was burnt while banned"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_a_thousand_calls_pass_at_once() {
    let drill = Drill::new(unlimited()).await;
    let statuses = join_all((0..1_000).map(|_| drill.knock())).await;
    assert!(statuses.iter().all(|status| *status == OK));
}
