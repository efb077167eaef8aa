//! `ReqInvcNo`, `RegBook` and `CnclBook`, and the book of record beside them.

use std::time::Duration;

use fake_cj::Config;
use fake_cj::config::{Band, Duplicates};
use fake_cj::tracking::ParcelState;
use serde_json::{Value, json};

use crate::support::{Drill, booking, unlimited};

fn with(duplicates: Duplicates) -> Config {
    Config { duplicates, ..unlimited() }
}

#[tokio::test(start_paused = true)]
async fn every_call_burns_an_invoice_number_with_its_check_digit() {
    let drill = Drill::new(unlimited()).await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(drill.invoice_number().await);
    }
    assert_eq!(numbers, ["650000000011", "650000000022", "650000000033"]);
    let issued = drill.fake.ledger().invoices_issued;
    assert_eq!(
        issued.iter().map(|issued| &issued.invoice_no).collect::<Vec<_>>(),
        ["650000000011", "650000000022", "650000000033",]
    );
    assert_eq!(drill.fake.ledger().bookings, []);
}

#[tokio::test(start_paused = true)]
async fn a_booking_stands_in_the_ledger_with_the_request_that_made_it() {
    let drill = Drill::new(unlimited()).await;
    drill.sleep(Duration::from_secs(5)).await;
    let (number, answer) = drill.book("ORD-1").await;
    assert!(answer.is_success());
    let ledger = drill.fake.ledger();
    let [booked] = &ledger.bookings[..] else { panic!("{:?}", ledger.bookings) };
    assert_eq!((booked.cust_use_no.as_str(), &booked.invoice_no), ("ORD-1", &number));
    assert_eq!(booked.mpck_key, "20261121_30000001_ORD-1");
    assert!(booked.is_live());
    assert_eq!((booked.scanned_at, booked.state), (None, ParcelState::PickupOrdered));
    let request = ledger.requests.iter().find(|request| request.id == booked.request_id).unwrap();
    assert_eq!((request.endpoint.as_str(), request.key.as_deref()), ("RegBook", Some("ORD-1")));
    assert_eq!(request.at, booked.booked_at);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_refused_with_ora_00001_whatever_its_invoice_number() {
    let drill = Drill::new(with(Duplicates::Reject)).await;
    let (number, _) = drill.book("ORD-1").await;
    let same_bytes = drill.call("RegBook", booking("ORD-1", &number)).await;
    let (_, other_number) = drill.book("ORD-1").await;
    for answer in [same_bytes, other_number] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (200, "E"));
        assert!(answer.detail().starts_with("ORA-00001: unique constraint ("), "{answer:?}");
    }
    assert_eq!(drill.fake.ledger().bookings.len(), 1);
    let refusals = drill.fake.ledger().refusals;
    assert_eq!(refusals.len(), 2);
    assert_eq!(refusals[0].key.as_deref(), Some("ORD-1"));
}

#[tokio::test(start_paused = true)]
async fn the_same_order_with_another_date_is_another_booking() {
    let drill = Drill::new(unlimited()).await;
    drill.book("ORD-1").await;
    let mut next_day = booking("ORD-1", &drill.invoice_number().await);
    next_day["RCPT_YMD"] = "20261122".into();
    assert!(drill.call("RegBook", next_day).await.is_success());
    assert_eq!(drill.fake.ledger().bookings.iter().filter(|booked| booked.is_live()).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_field_of_the_key_tells_bookings_apart() {
    let drill = Drill::new(unlimited()).await;
    drill.book("ORD-1").await;
    for (field, value) in [
        ("CUST_USE_NO", "ORD-2"),
        ("RCPT_YMD", "20261120"),
        ("RCPT_DV", "02"),
        ("WORK_DV_CD", "03"),
        ("MPCK_KEY", "another"),
        ("MPCK_SEQ", "2"),
    ] {
        let mut data = booking("ORD-1", &drill.invoice_number().await);
        data[field] = value.into();
        assert!(drill.call("RegBook", data).await.is_success(), "{field}");
    }
    assert_eq!(drill.fake.ledger().bookings.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn the_worst_carrier_books_again() {
    let drill = Drill::new(with(Duplicates::Accept)).await;
    let (number, _) = drill.book("ORD-1").await;
    assert!(drill.call("RegBook", booking("ORD-1", &number)).await.is_success());
    assert!(drill.book("ORD-1").await.1.is_success());
    let bookings = drill.fake.ledger().bookings;
    assert_eq!(bookings.iter().filter(|booked| booked.is_live()).count(), 3);
    let refused = drill.cancel("ORD-1", &number).await;
    assert_eq!(refused.code(), "E", "several under one key cannot be cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_replays_says_success_again_and_books_nothing() {
    let drill = Drill::new(with(Duplicates::Replay)).await;
    let (number, _) = drill.book("ORD-1").await;
    let again = drill.call("RegBook", booking("ORD-1", &number)).await;
    assert_eq!(again.json(), json!({ "RESULT_CD": "S", "RESULT_DETAIL": "Success" }));
    assert!(drill.book("ORD-1").await.1.is_success(), "also with another number");
    let ledger = drill.fake.ledger();
    assert_eq!((ledger.bookings.len(), ledger.totals.replays), (1, 2));
    assert_eq!(ledger.bookings[0].invoice_no, number);
}

#[tokio::test(start_paused = true)]
async fn an_invoice_number_must_have_been_issued_and_be_free() {
    let drill = Drill::new(unlimited()).await;
    let (number, _) = drill.book("ORD-1").await;
    let in_use = drill.call("RegBook", booking("ORD-2", &number)).await;
    assert_eq!(in_use.code(), "E");
    assert!(in_use.detail().starts_with("ORA-00001"));
    for unknown in ["650000000990", "650000000012", "12", "not a number"] {
        let refused = drill.call("RegBook", booking("ORD-3", unknown)).await;
        assert_eq!(refused.code(), "E", "{unknown}");
        assert!(!refused.detail().contains("ORA-00001"), "{unknown}");
    }
    assert_eq!(drill.fake.ledger().bookings.len(), 1);
    drill.cancel("ORD-1", &number).await;
    assert!(drill.call("RegBook", booking("ORD-2", &number)).await.is_success());
}

#[tokio::test(start_paused = true)]
async fn numbers_of_a_band_given_in_advance_need_not_be_asked_for() {
    let band = Some(Band { prefix: 60, from: 1, to: 2 });
    let drill = Drill::new(Config { band, ..unlimited() }).await;
    assert!(drill.call("RegBook", booking("ORD-1", "600000000022")).await.is_success());
    assert_eq!(drill.call("RegBook", booking("ORD-2", "600000000033")).await.code(), "E");
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_is_not_printed_gets_a_number_that_is_not_told() {
    let drill = Drill::new(unlimited()).await;
    let mut data = booking("RET-1", "");
    data["RCPT_DV"] = "02".into();
    let missing = drill.call("RegBook", data.clone()).await;
    assert!(missing.detail().starts_with("ORA-01400"), "{missing:?}");
    assert!(missing.detail().contains("INVC_NO"), "{missing:?}");
    data["PRT_ST"] = "01".into();
    let answer = drill.call("RegBook", data).await;
    assert_eq!(answer.text, r#"{"RESULT_CD":"S","RESULT_DETAIL":"Success"}"#);
    assert_eq!(drill.fake.ledger().bookings[0].invoice_no, "650000000011");
    assert_eq!(drill.fake.ledger().totals.invoices_issued, 0, "none by ReqInvcNo");
}

#[tokio::test(start_paused = true)]
async fn an_empty_or_absent_or_null_required_field_is_ora_01400_and_names_it() {
    let drill = Drill::new(unlimited()).await;
    let number = drill.invoice_number().await;
    for value in [Some(json!("")), Some(Value::Null), None] {
        let mut data = booking("ORD-1", &number);
        match value {
            Some(value) => data["RCVR_ZIP_NO"] = value,
            None => drop(data.as_object_mut().unwrap().remove("RCVR_ZIP_NO")),
        }
        let answer = drill.call("RegBook", data).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (200, "E"));
        let detail = answer.detail();
        assert!(detail.starts_with("ORA-01400") && detail.contains("RCVR_ZIP_NO"), "{detail}");
    }
    assert_eq!(drill.fake.ledger().bookings, []);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_too_long_in_bytes_is_ora_12899() {
    let drill = Drill::new(unlimited()).await;
    let number = drill.invoice_number().await;
    for (address, fits) in [("가".repeat(50), true), ("가".repeat(51), false)] {
        let mut data = booking("ORD-1", &number);
        data["RCVR_ADDR"] = address.into();
        let answer = drill.call("RegBook", data).await;
        assert_eq!(answer.is_success(), fits);
        assert_eq!(answer.detail().starts_with("ORA-12899"), !fits);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_codes_and_strange_customers_are_refused() {
    let drill = Drill::new(unlimited()).await;
    let number = drill.invoice_number().await;
    for (field, value) in [
        ("REQ_DV_CD", "02"),
        ("RCPT_DV", "03"),
        ("BOX_TYPE_CD", "99"),
        ("PRT_ST", "04"),
        ("CUST_ID", "39999999"),
    ] {
        let mut data = booking("ORD-1", &number);
        data[field] = value.into();
        assert_eq!(drill.call("RegBook", data).await.code(), "E", "{field}");
    }
    assert_eq!(drill.fake.ledger().bookings, []);
}

#[tokio::test(start_paused = true)]
async fn where_no_courier_goes_nothing_is_booked() {
    let config = Config { refuse_zip: vec!["63000".to_owned()], ..unlimited() };
    let drill = Drill::new(config).await;
    let number = drill.invoice_number().await;
    for (field, value) in [("RCVR_ZIP_NO", "63000"), ("RCVR_DETAIL_ADDR", "101호 배송불가")] {
        let mut data = booking("ORD-1", &number);
        data[field] = value.into();
        assert_eq!(drill.call("RegBook", data).await.code(), "E", "{field}");
    }
    assert!(drill.call("RegBook", booking("ORD-1", &number)).await.is_success());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_booking_frees_its_key_and_its_number() {
    let drill = Drill::new(unlimited()).await;
    let (number, _) = drill.book("ORD-1").await;
    drill.sleep(Duration::from_secs(60)).await;
    assert!(drill.cancel("ORD-1", &number).await.is_success());
    let cancelled = drill.fake.ledger().bookings[0].clone();
    assert_eq!(cancelled.cancelled_at, Some(cancelled.booked_at + Duration::from_secs(60)));
    assert!(cancelled.cancel_request_id > Some(cancelled.request_id));
    assert_eq!(drill.cancel("ORD-1", &number).await.code(), "E", "once is enough");
    assert!(drill.call("RegBook", booking("ORD-1", &number)).await.is_success());
    let live = drill.fake.ledger().bookings.into_iter().filter(|booked| booked.is_live());
    assert_eq!(live.map(|booked| booked.id).collect::<Vec<_>>(), [2]);
}

#[tokio::test(start_paused = true)]
async fn picked_up_and_not_found_are_refused_alike() {
    let drill = Drill::new(unlimited()).await;
    let (number, _) = drill.book("ORD-1").await;
    let not_found = drill.cancel("ORD-2", &number).await;
    drill.fake.scan(&number, ParcelState::PickedUp).unwrap();
    let picked_up = drill.cancel("ORD-1", &number).await;
    assert_eq!(picked_up.code(), "E");
    assert_eq!(picked_up.text, not_found.text);
    assert!(drill.fake.ledger().bookings[0].is_live());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_refused_from_the_pick_up_after_six_hours_on() {
    for (after_millis, is_cancelled) in [(6 * 3_600_000 - 1, true), (6 * 3_600_000, false)] {
        let drill = Drill::new(unlimited()).await;
        let (number, _) = drill.book("ORD-1").await;
        drill.sleep(Duration::from_millis(after_millis)).await;
        assert_eq!(drill.cancel("ORD-1", &number).await.is_success(), is_cancelled);
        drill.sleep(Duration::from_hours(10)).await;
        let booked = drill.fake.ledger().bookings[0].clone();
        assert_eq!(booked.is_live(), !is_cancelled);
        assert_eq!(booked.scanned_at.is_some(), !is_cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_with_another_date_finds_nothing() {
    let drill = Drill::new(unlimited()).await;
    let (number, _) = drill.book("ORD-1").await;
    let mut data = booking("ORD-1", &number);
    data["REQ_DV_CD"] = "02".into();
    data["RCPT_YMD"] = "20261120".into();
    assert_eq!(drill.call("CnclBook", data).await.code(), "E");
    assert!(drill.fake.ledger().bookings[0].is_live());
}

#[tokio::test(start_paused = true)]
async fn a_full_book_refuses_and_forgets_nothing() {
    let drill = Drill::new(Config { bookings_max: 2, ..unlimited() }).await;
    assert!(drill.book("ORD-1").await.1.is_success());
    assert!(drill.book("ORD-2").await.1.is_success());
    assert_eq!(drill.book("ORD-3").await.1.code(), "E");
    assert_eq!(drill.fake.ledger().bookings.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_simultaneous_repeats_one_is_booked() {
    let drill = Drill::new(unlimited()).await;
    let number = drill.invoice_number().await;
    let repeats = (0..100).map(|_| drill.call("RegBook", booking("ORD-1", &number)));
    let answers = futures_util::future::join_all(repeats).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_success()).count(), 1);
    assert_eq!(drill.fake.ledger().bookings.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_everything_and_a_ledger_survives_json() {
    let drill = Drill::new(unlimited()).await;
    drill.book("ORD-1").await;
    let ledger = drill.fake.ledger();
    let text = serde_json::to_string(&ledger).unwrap();
    assert_eq!(serde_json::from_str::<fake_cj::Ledger>(&text).unwrap(), ledger);
    drill.fake.reset();
    assert_eq!(drill.fake.ledger(), fake_cj::Ledger::default());
    assert_eq!(drill.knock().await.as_u16(), 401, "the token is forgotten too");
}

#[tokio::test(start_paused = true)]
async fn a_long_ledger_keeps_the_latest_and_counts_all() {
    let drill = Drill::new(Config { ledger_capacity: 3, ..unlimited() }).await;
    for order in 0..5 {
        drill.book(&format!("ORD-{order}")).await;
    }
    let ledger = drill.fake.ledger();
    assert_eq!((ledger.invoices_issued.len(), ledger.totals.invoices_issued), (3, 5));
    assert_eq!(ledger.invoices_issued[2].invoice_no, "650000000055");
    assert_eq!((ledger.requests.len(), ledger.requests_dropped), (3, 8));
    assert_eq!(ledger.bookings.len(), 5, "bookings are never dropped");
    assert_eq!(ledger.counts["RegBook"].requests, 5);
}
