//! The one-day token.

use std::time::Duration;

use axum::http::StatusCode;
use fake_cj::Config;
use fake_cj::config::{RetryAfter, TokenBlockedSees};
use serde_json::json;

use crate::support::{Drill, HERE, unlimited};

fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_the_same_until_it_expires_and_then_another() {
    let drill = Drill::new(unlimited()).await;
    drill.sleep(hours(23)).await;
    let again = drill.request_token().await.json();
    assert_eq!(again["DATA"]["TOKEN_NUM"], drill.token.as_str());
    assert_eq!(again["DATA"]["TOKEN_EXPRTN_DTM"], "20261122101500", "its expiry does not move");
    drill.sleep(hours(1) - Duration::from_millis(1)).await;
    assert_eq!(drill.knock().await, StatusCode::OK);
    drill.sleep(Duration::from_millis(1)).await;
    assert_eq!(drill.knock().await, StatusCode::UNAUTHORIZED);
    let next = drill.request_token().await.json();
    assert_ne!(next["DATA"]["TOKEN_NUM"], drill.token.as_str());
    assert_eq!(drill.fake.ledger().totals.tokens_issued, 2);
}

#[tokio::test(start_paused = true)]
async fn header_and_body_must_both_carry_the_token() {
    let drill = Drill::new(unlimited()).await;
    let body = |token: &str| json!({ "DATA": { "CLNTNUM": "30000001", "TOKEN_NUM": token } });
    let good = drill.token.as_str();
    for (header, token, status) in [
        (Some(good), good, StatusCode::OK),
        (Some(good), "other", StatusCode::UNAUTHORIZED),
        (Some(good), "", StatusCode::UNAUTHORIZED),
        (Some("other"), good, StatusCode::UNAUTHORIZED),
        (None, good, StatusCode::UNAUTHORIZED),
    ] {
        let answer = drill.send(HERE, "/ReqInvcNo", header, &body(token).to_string()).await;
        assert_eq!(answer.status, status, "header {}", header.is_some());
        let detail = if status == StatusCode::OK { "Success" } else { "Authentication failed" };
        assert_eq!(answer.detail(), detail);
    }
    assert_eq!(drill.fake.ledger().totals.unauthenticated, 4);
    assert_eq!(drill.fake.ledger().totals.invoices_issued, 1);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_refused_and_replaced() {
    let mut drill = Drill::new(unlimited()).await;
    drill.fake.revoke_token();
    assert_eq!(drill.knock().await, StatusCode::UNAUTHORIZED);
    drill.sleep(Duration::from_secs(60)).await;
    let next = drill.request_token().await.json();
    let next = next["DATA"]["TOKEN_NUM"].as_str().unwrap().to_owned();
    assert_ne!(next, drill.token);
    drill.token = next;
    assert_eq!(drill.knock().await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn asking_twice_in_a_second_blocks_for_a_minute() {
    let drill = Drill::new(Config { retry_after: RetryAfter::Seconds, ..unlimited() }).await;
    drill.sleep(Duration::from_millis(999)).await;
    let blocked = drill.request_token().await;
    assert_eq!(blocked.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        (blocked.code(), &blocked.headers["retry-after"]),
        ("E".to_owned(), &"60".parse().unwrap())
    );
    assert_eq!(drill.knock().await, StatusCode::OK, "the token itself stays good");
    drill.sleep(Duration::from_millis(59_999)).await;
    assert_eq!(drill.request_token().await.status, StatusCode::TOO_MANY_REQUESTS);
    drill.sleep(Duration::from_millis(1)).await;
    assert_eq!(drill.request_token().await.status, StatusCode::OK);
    drill.sleep(Duration::from_secs(1)).await;
    assert_eq!(drill.request_token().await.status, StatusCode::OK, "once a second is allowed");
    assert_eq!(drill.fake.ledger().totals.token_blocks, 2);
}

#[tokio::test(start_paused = true)]
async fn a_block_may_also_come_inside_http_200() {
    let config = Config { token_blocked_sees: TokenBlockedSees::Failure, ..unlimited() };
    let drill = Drill::new(config).await;
    let blocked = drill.request_token().await;
    assert_eq!((blocked.status, blocked.code()), (StatusCode::OK, "E".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_hyphen_in_the_registration_number_looks_like_an_unknown_customer() {
    let drill = Drill::without_token(unlimited());
    let ask = async |cust_id: &str, biz_reg_num: &str| {
        let data = json!({ "CUST_ID": cust_id, "BIZ_REG_NUM": biz_reg_num });
        drill.send(HERE, "/ReqOneDayToken", None, &json!({ "DATA": data }).to_string()).await
    };
    let hyphen = ask("30000001", "123-45-67890").await;
    assert_eq!((hyphen.status, hyphen.code()), (StatusCode::OK, "E".to_owned()));
    let unknown = ask("39999999", "1234567890").await;
    assert_eq!(unknown.detail(), hyphen.detail());
    assert_eq!(drill.fake.ledger().totals.tokens_issued, 0);
    assert!(ask("30000001", "1234567890").await.is_success(), "a failure is no request too many");
}

#[tokio::test(start_paused = true)]
async fn no_whole_token_stands_in_the_ledger() {
    let drill = Drill::new(unlimited()).await;
    drill.book("ORD-1").await;
    let ledger = serde_json::to_string(&drill.fake.ledger()).unwrap();
    assert!(!ledger.contains(&drill.token));
    let shown = &drill.fake.ledger().tokens_issued[0].token_masked;
    assert_eq!(shown, &format!("{}****", &drill.token[..4]));
    assert!(!ledger.contains("홍길동"), "nor a person's name");
}
