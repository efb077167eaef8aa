//! The carrier under faults: what the caller sees, and what the ledger knows.

use std::time::Duration;

use axum::http::StatusCode;
use clockwork::Clock;
use faults::{Fault, Kind, ReplyFate};
use serde_json::{Value, json};

use crate::support::{Drill, HERE, booking, unlimited};

fn install(drill: &Drill, faults: Value) {
    let faults: Vec<Fault> = serde_json::from_value(faults).unwrap();
    drill.fake.injector().install(faults, drill.clock.now()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_booking_whose_answer_is_an_error_may_stand_in_the_book_or_not() {
    for (processed, bookings) in [(true, 1), (false, 0)] {
        let drill = Drill::new(unlimited()).await;
        install(
            &drill,
            json!([{ "kind": "status", "status": 502, "endpoint": "RegBook", "key": "ORD-1",
                     "attempt": 1, "processed": processed }]),
        );
        let (number, answer) = drill.book("ORD-1").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        let ledger = drill.fake.ledger();
        assert_eq!(ledger.bookings.len(), bookings);
        let record = ledger.requests.iter().find(|record| record.endpoint == "RegBook").unwrap();
        assert_eq!(record.processed, processed);
        assert_eq!(record.fault.as_ref().unwrap().kind, Kind::Status);
        let again = drill.call("RegBook", booking("ORD-1", &number)).await;
        assert_eq!(again.is_success(), !processed, "asking again tells");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_finds_its_call_by_endpoint_and_key() {
    let drill = Drill::new(unlimited()).await;
    install(
        &drill,
        json!([
            { "kind": "refuse", "endpoint": "RegBook", "key": "ORD-2", "detail": "ORA-01400: X" },
            { "kind": "refuse", "endpoint": "ReqOneGdsTrc", "key": "650000000011" },
            { "kind": "refuse", "endpoint": "ReqAddrRfnSm", "detail": "-20004" },
        ]),
    );
    assert!(drill.book("ORD-1").await.1.is_success());
    let refused = drill.book("ORD-2").await.1;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::OK, "E"));
    assert_eq!(refused.detail(), "ORA-01400: X");
    let track = json!({ "CLNTNUM": "30000001", "INVC_NO": "650000000011" });
    assert_eq!(drill.call("ReqOneGdsTrc", track).await.code(), "E");
    let address = json!({ "CLNTNUM": "30000001", "ADDRESS": "서울 중구" });
    assert_eq!(drill.call("ReqAddrRfnSm", address).await.code(), "-20004");
    let times: Vec<u64> = drill.fake.injector().fired().iter().map(|fired| fired.times).collect();
    assert_eq!(times, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_truly_expired() {
    let drill = Drill::new(unlimited()).await;
    install(&drill, json!([{ "kind": "auth-expired", "endpoint": "RegBook", "nth": 1 }]));
    let (number, answer) = drill.book("ORD-1").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let again = drill.call("RegBook", booking("ORD-1", &number)).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "the old token stays invalid");
    drill.sleep(Duration::from_secs(60)).await;
    let next = drill.request_token().await.json();
    assert_ne!(next["DATA"]["TOKEN_NUM"], drill.token.as_str());
}

#[tokio::test(start_paused = true)]
async fn a_ban_by_fault_is_a_ban_and_stands_in_the_ledger() {
    let drill = Drill::new(unlimited()).await;
    install(&drill, json!([{ "kind": "ban", "endpoint": "ReqInvcNo", "nth": 1, "by": "10s" }]));
    assert_eq!(drill.knock().await, StatusCode::FORBIDDEN);
    drill.sleep(Duration::from_millis(9_999)).await;
    assert_eq!(drill.knock().await, StatusCode::FORBIDDEN);
    drill.sleep(Duration::from_millis(1)).await;
    assert_eq!(drill.knock().await, StatusCode::OK);
    let ledger = drill.fake.ledger();
    let [ban] = &ledger.bans[..] else { panic!("{:?}", ledger.bans) };
    assert_eq!((ban.client, ban.until.since(ban.from)), (HERE, Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn maintenance_is_a_page_and_not_the_envelope() {
    let drill = Drill::new(unlimited()).await;
    install(&drill, json!([{ "kind": "maintenance", "endpoint": "RegBook" }]));
    let (_, answer) = drill.book("ORD-1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert_eq!(drill.fake.ledger().bookings, []);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_up_too_early_is_booked_all_the_same() {
    let drill = Drill::new(unlimited()).await;
    let number = drill.invoice_number().await;
    install(&drill, json!([{ "kind": "late-delivery", "endpoint": "RegBook", "by": "20s" }]));
    let booked = drill.call("RegBook", booking("ORD-1", &number));
    let patience = Duration::from_secs(5);
    assert!(clockwork::timeout(&*drill.clock, patience, booked).await.is_err());
    assert_eq!(drill.fake.ledger().bookings, []);
    drill.sleep(Duration::from_millis(15_001)).await;
    let ledger = drill.fake.ledger();
    assert_eq!(ledger.bookings.len(), 1);
    let record = ledger.requests.last().unwrap();
    assert!(record.processed);
    assert_ne!(record.reply, ReplyFate::Answered);
}
