use super::*;
use crate::config::Messenger;

const KEY: &str = "ORD-1:shipped";

fn config() -> Messenger {
    Messenger { api_key: "secret-key".to_owned(), ..Messenger::default() }
}

#[test]
fn a_message_carries_its_key_its_reference_and_an_sms_to_fall_back_to() {
    let request = send(&config(), KEY, Some(KEY), "01012345678", "ORDER_SHIPPED", "안녕하세요");
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "/api/comm/v1/send/omni");
    assert_eq!(request.headers()[AUTHORIZATION], "secret-key");
    let expected = concat!(
        r#"{"destinations":[{"to":"01012345678","ref":"ORD-1:shipped"}],"#,
        r#""messageFlow":[{"alimtalk":{"msgType":"AT","senderKey":"drill-sender-key","#,
        r#""templateCode":"ORDER_SHIPPED","text":"안녕하세요"}},"#,
        r#"{"sms":{"from":"021234567","text":"안녕하세요"}}],"#,
        r#""ref":"ORD-1:shipped","idempotencyKey":"ORD-1:shipped","idempotencyTtl":86400}"#,
    );
    assert_eq!(request.body(), expected);
}

#[test]
fn without_a_sender_number_nothing_falls_back() {
    let config = Messenger { sms_from: String::new(), ..config() };
    let request = send(&config, KEY, Some(KEY), "01012345678", "ORDER_SHIPPED", "안녕하세요");
    assert!(!String::from_utf8_lossy(request.body()).contains("sms"));
}

#[test]
fn without_a_key_there_is_no_such_field() {
    let request = send(&config(), KEY, None, "01012345678", "ORDER_SHIPPED", "안녕하세요");
    let body = String::from_utf8_lossy(request.body());
    assert!(
        body.contains(r#""ref":"ORD-1:shipped""#) && !body.contains("idempotencyKey"),
        "{body}"
    );
}

#[test]
fn the_api_key_is_never_printed() {
    for request in [poll(&config()), acknowledge(&config(), "RID-1").unwrap()] {
        assert_eq!(request.headers()[AUTHORIZATION], "secret-key");
        assert!(!format!("{request:?}").contains("secret"));
    }
}

#[test]
fn an_id_that_would_lead_elsewhere_makes_no_path() {
    let path = |id: &str| acknowledge(&config(), id).map(|request| request.uri().to_string());
    assert_eq!(path("RPT-1").as_deref(), Some("/api/comm/v1/report/polling/RPT-1"));
    for bad in ["", ".", "..", "a/b", "a?b", "a#b", "a b", "가", "a\r\nb", "%2e"] {
        assert_eq!(path(bad), None, "{bad}");
    }
}
