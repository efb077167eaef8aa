use http::StatusCode;
use proptest::prelude::*;

use super::*;

fn response(status: u16, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn gate(code: &str) -> String {
    format!(r#"{{"common":{{"authCode":"{code}","authResult":"?","infobankTrId":"1"}}}}"#)
}

fn service(code: &str, data: &str) -> String {
    format!(
        r#"{{"common":{{"authCode":"A000","authResult":"Success","infobankTrId":"1"}},
            "data":{{"code":"{code}","result":"?"{data}}}}}"#
    )
}

fn recipient(code: &str) -> String {
    let row = format!(r#"{{"to":"01012345678","msgKey":"KEY1","code":"{code}","result":"?"}}"#);
    service("A000", &format!(r#","data":{{"destinations":[{row}]}}"#))
}

/// What the table makes of it, in short.
fn short(status: u16, body: &str) -> String {
    let reading = sent(&response(status, body), &[]);
    let brake = reading.brake.map_or(String::new(), |brake| format!(" {brake:?}"));
    let waits = matches!(reading.outcome, Outcome::NotProcessed { wait: Some(_), .. });
    format!("{}{brake}{}", reading.outcome.name(), if waits { " waits" } else { "" })
}

#[test]
fn every_row_of_the_table_holds() {
    let none = |code: &str| service(code, "");
    let table: &[(u16, String, &str)] = &[
        (200, recipient("A000"), "done"),
        (200, recipient("A301"), "duplicate"),
        (200, recipient("A306"), "refused"),
        (200, recipient("A505"), "refused"),
        (200, recipient("A020"), "not-processed RateLimited"),
        (200, recipient("A110"), "not-processed Banned"),
        (200, recipient("A910"), "unknown"),
        (200, recipient("A777"), "unknown"),
        (500, recipient("A000"), "unknown"),
        (400, none("A301"), "duplicate"),
        (400, none("A010"), "refused"),
        (400, none("A011"), "refused"),
        (400, none("A300"), "refused"),
        (400, none("A302"), "refused"),
        (400, none("A309"), "refused"),
        (400, none("A318"), "refused"),
        (400, none("A327"), "refused"),
        (400, none("A502"), "refused"),
        (400, none("A523"), "refused"),
        (400, none("A320"), "not-processed waits"),
        (401, none("A001"), "not-processed waits"),
        (401, none("A100"), "not-processed waits"),
        (403, none("A110"), "not-processed Banned"),
        (403, none("A802"), "refused"),
        (429, none("A020"), "not-processed RateLimited"),
        (500, none("A910"), "unknown"),
        (503, none("A920"), "unknown"),
        (200, none("A999"), "unknown"),
        (200, none("A000"), "unknown"),
        (200, gate("A000"), "unknown"),
        (200, gate("A301"), "unknown"),
        (401, gate("A401"), "not-processed waits"),
        (403, gate("A403"), "not-processed waits"),
        (404, gate("A404"), "not-processed waits"),
        (400, gate("A400"), "refused"),
        (200, gate("A503"), "unknown"),
        (200, String::new(), "unknown"),
        (200, recipient("A000")[..60].to_owned(), "unknown"),
        (200, "{}".to_owned(), "unknown"),
        (307, String::new(), "unknown"),
        (400, String::new(), "unknown"),
        (401, String::new(), "not-processed waits"),
        (403, "<html/>".to_owned(), "not-processed Banned"),
        (404, "<html/>".to_owned(), "not-processed"),
        (429, String::new(), "not-processed RateLimited"),
        (502, "<html/>".to_owned(), "unknown"),
    ];
    for (status, body, expected) in table {
        assert_eq!(short(*status, body), *expected, "{status} {body}");
    }
}

#[test]
fn an_accepted_message_brings_its_key_if_there_is_one() {
    let outcome = |body: &str| sent(&response(200, body), &[]).outcome;
    assert_eq!(outcome(&recipient("A000")), Outcome::Done(Some("KEY1".to_owned())));
    let keyless = recipient("A000").replace(r#""msgKey":"KEY1","#, "");
    assert_eq!(outcome(&keyless), Outcome::Done(None));
    let two = r#","data":{"destinations":[{"code":"A000"},{"code":"A306"}]}"#;
    assert_eq!(outcome(&service("A000", two)).name(), "unknown", "we send to one");
}

#[test]
fn a_reason_repeats_neither_key_nor_telephone() {
    let secrets = ["api-secret", "01012345678"];
    let said = r#""?""#;
    for body in [gate("A401"), service("A300", ""), recipient("A306")] {
        let body = body.replace(said, r#""api-secret 01012345678 010-8765-4321""#);
        let shown = format!("{:?}", sent(&response(400, &body), &secrets));
        assert!(shown.contains("**** **** ***"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("5678"), "{shown}");
    }
}

#[test]
fn a_batch_of_reports_is_read_and_none_is_none() {
    let polled = |data: &str| {
        let body = service("A000", &format!(r#","data":{data}"#));
        meaning(&response(200, &body), &[], batch).outcome
    };
    assert_eq!(polled(r#"{"reportId":"","report":null}"#), Outcome::Done(None));
    assert_eq!(polled("{}"), Outcome::Done(None));
    assert_eq!(polled(r#"{"report":[{"msgKey":"K"}]}"#).name(), "unknown");
    let full = r#"{"reportId":"R1","report":[
        {"msgKey":"K1","serviceType":"ALIMTALK","msgType":"AT","reportCode":"10000",
         "ref":"ORD-1:shipped","reportTime":"2026-11-21T10:15:00+09:00"},
        {"msgKey":"K2","serviceType":"SMS","reportCode":"63019","reportTime":"20261121101501"},
        {"msgKey":"K3","serviceType":"SMS","reportCode":"10000","reportTime":"yesterday"},
        {"serviceType":"SMS","reportCode":"10000"}]}"#;
    let Outcome::Done(Some(batch)) = polled(full) else { panic!("a batch") };
    assert_eq!(batch.report_id, "R1");
    let at = |text: &str| Some(Timestamp::parse(text).unwrap());
    let [first, second, third] = batch.reports.as_slice() else { panic!("{batch:?}") };
    assert_eq!((first.channel.as_str(), first.reference.as_str()), ("alimtalk", "ORD-1:shipped"));
    assert_eq!(first.reported_at, at("2026-11-21T10:15:00+09:00"));
    assert_eq!((second.code.as_str(), second.channel.as_str()), ("63019", "sms"));
    assert_eq!(second.reported_at, at("2026-11-21T10:15:01+09:00"));
    assert_eq!((third.msg_key.as_str(), third.reported_at), ("K3", None));
}

proptest! {
    #[test]
    fn no_answer_whatever_makes_it_panic_or_claim_an_acceptance(
        status in 200..600_u16,
        body in ".{0,80}",
    ) {
        let outcome = sent(&response(status, &body), &[]).outcome;
        prop_assert!(outcome.effect() != crate::call::Effect::Done);
    }

    #[test]
    fn no_undocumented_code_is_taken_for_a_refusal_or_an_acceptance(
        code in "[B-Z][0-9]{3}|A[24679][0-9]{2}",
    ) {
        let name = sent(&response(200, &recipient(&code)), &[]).outcome.name();
        prop_assert_eq!(name, "unknown");
    }
}
