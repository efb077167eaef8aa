use proptest::prelude::*;

use super::*;

fn response(status: u16, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// What the table makes of it, in short.
fn short(status: u16, body: &str) -> String {
    let reading = meaning(&response(status, body), &[], done);
    let brake = reading.brake.map_or(String::new(), |brake| format!(" {brake:?}"));
    format!("{}{brake}", reading.outcome.name())
}

const SUCCESS: &str = r#"{"RESULT_CD":"S","RESULT_DETAIL":"Success"}"#;

#[test]
fn every_row_of_the_table_holds() {
    let e = |detail: &str| format!(r#"{{"RESULT_CD":"E","RESULT_DETAIL":"{detail}"}}"#);
    let duplicate = e("ORA-00001: unique constraint (DX.RCPT_PK) violated");
    let table: &[(u16, &str, &str)] = &[
        (200, SUCCESS, "done"),
        (200, r#"{"RESULT_CD":"S200","RESULT_DETAIL":"Success","DATA":{}}"#, "done"),
        (200, &duplicate, "duplicate"),
        (200, &e("ORA-01400: cannot insert NULL"), "refused"),
        (200, &e(""), "refused"),
        (200, r#"{"RESULT_CD":"-20009","RESULT_DETAIL":"undeliverable"}"#, "refused"),
        (200, r#"{"RESULT_CD":"E"}"#, "refused"),
        (200, r#"{"RESULT_CD":"E","RESULT_DETAIL":null}"#, "refused"),
        (200, r#"{"RESULT_CD":"","RESULT_DETAIL":"?"}"#, "unknown"),
        (200, r#"{"RESULT_DETAIL":"Success"}"#, "unknown"),
        (200, r#"{"RESULT_CD":"S","RESULT_DE"#, "unknown"),
        (200, r#"{"RESULT_CD":true}"#, "unknown"),
        (200, r#"["RESULT_CD","S"]"#, "unknown"),
        (200, "<html>Welcome to the airport</html>", "unknown"),
        (200, "", "unknown"),
        (204, "", "unknown"),
        (301, "", "unknown"),
        (307, SUCCESS, "unknown"),
        (400, "", "refused"),
        (401, &e("Authentication failed"), "not-processed"),
        (403, "", "not-processed Banned"),
        (404, SUCCESS, "not-processed"),
        (405, "", "not-processed"),
        (408, "", "not-processed"),
        (422, "", "refused"),
        (429, "", "not-processed RateLimited"),
        (500, &e("ORA-00001"), "unknown"),
        (500, SUCCESS, "unknown"),
        (502, "<html>Bad Gateway</html>", "unknown"),
        (503, "<html>시스템 점검 중입니다.</html>", "unknown"),
        (504, "", "unknown"),
    ];
    for (status, body, expected) in table {
        assert_eq!(short(*status, body), *expected, "{status} {body}");
    }
}

#[test]
fn success_without_what_was_asked_for_proves_nothing() {
    let reading = meaning(&response(200, SUCCESS), &[], invoice);
    assert_eq!(reading.outcome.name(), "unknown");
    let wrong = r#"{"RESULT_CD":"S","DATA":{"INVC_NO":"650000000034"}}"#;
    assert_eq!(meaning(&response(200, wrong), &[], invoice).outcome.name(), "unknown");
    let right = r#"{"RESULT_CD":"S","DATA":{"INVC_NO":"650000000033"}}"#;
    let outcome = meaning(&response(200, right), &[], invoice).outcome;
    assert_eq!(outcome, Outcome::Done("650000000033".to_owned()));
}

#[test]
fn a_reason_repeats_neither_token_nor_telephone() {
    let token = Token::new("3f0c-secret").unwrap();
    let body = r#"{"RESULT_CD":"E","RESULT_DETAIL":"no 3f0c-secret for 010-1234-5678"}"#;
    for status in [200, 400, 404, 500] {
        let reading = read(&response(status, body), true, &token, done);
        let shown = format!("{reading:?} {token:?}");
        assert!(!shown.contains("3f0c") && !shown.contains("1234-5678"), "{shown}");
        assert!(shown.contains("no **** for ***"), "{shown}");
    }
}

#[test]
fn a_query_has_no_duplicate() {
    let token = Token::new("T").unwrap();
    let body = r#"{"RESULT_CD":"E","RESULT_DETAIL":"ORA-00001"}"#;
    let of = |changes| read(&response(200, body), changes, &token, done).outcome.name();
    assert_eq!((of(true), of(false)), ("duplicate", "refused"));
}

#[test]
fn the_check_digit_is_of_the_third_to_eleventh_digit() {
    for good in ["650000000033", "650000000070", "381234567891", "999999999990"] {
        let body: u64 = good[2..11].parse().unwrap();
        let checked = format!("{}{}", &good[..11], body % 7);
        assert!(is_invoice_no(&checked), "{checked}");
    }
    for bad in ["650000000034", "65000000003", "6500000000333", "65000000003x", "", "육오공일"]
    {
        assert!(!is_invoice_no(bad), "{bad}");
    }
}

#[test]
fn tracking_is_the_latest_scan_of_that_very_parcel() {
    let rows = |rows: Value| tracking(&rows, "650000000033");
    let scan = |number: &str, state: &str, day: &str, hour: &str| {
        serde_json::json!({
            "INVC_NO": number, "CRG_ST": state, "SCAN_YMD": day, "SCAN_HOUR": hour
        })
    };
    let own = "650000000033";
    let at = |state: &str| Some(Tracking::At { state: state.to_owned() });
    assert_eq!(rows(serde_json::json!([])), Some(Tracking::None));
    assert_eq!(rows(Value::Null), Some(Tracking::None));
    let other = scan("650000000070", "91", "20261123", "100000");
    assert_eq!(rows(serde_json::json!([other])), Some(Tracking::None));
    let out_of_order = serde_json::json!([
        scan(own, "41", "20261122", "020000"),
        scan(own, "11", "20261121", "180000"),
        other,
    ]);
    assert_eq!(rows(out_of_order), at("41"));
    let same_second = serde_json::json!([
        scan(own, "84", "20261122", "020000"),
        scan(own, "82", "20261122", "020000"),
    ]);
    assert_eq!(rows(same_second), at("82"), "the later row of two");
    assert_eq!(rows(serde_json::json!([{"INVC_NO": own}])), None, "a row without a state");
    assert_eq!(rows(serde_json::json!({"CRG_ST": "91"})), None, "no list");
}

#[test]
fn a_parcel_that_waits_for_its_pick_up_is_not_picked_up() {
    let at = |state: &str| Tracking::At { state: state.to_owned() };
    for waiting in [Tracking::None, at("01"), at("12")] {
        assert!(!waiting.picked_up(), "{waiting:?}");
    }
    for taken in ["11", "41", "42", "82", "84", "91"] {
        assert!(at(taken).picked_up(), "{taken}");
    }
}

proptest! {
    #[test]
    fn no_answer_whatever_makes_it_panic_or_claim_a_number_that_is_none(
        status in 200..600_u16,
        body in ".{0,80}",
    ) {
        let reading = meaning(&response(status, &body), &[], invoice);
        prop_assert!(!matches!(reading.outcome, Outcome::Done(_)));
    }

    #[test]
    fn only_a_2xx_brings_done_and_a_5xx_is_always_unknown(status in 200..600_u16) {
        let name = meaning(&response(status, SUCCESS), &[], done).outcome.name();
        prop_assert_eq!(name == "done", status < 300);
        prop_assert!(status < 500 || name == "unknown");
    }
}
