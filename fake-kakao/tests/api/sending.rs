//! `send/omni`: shapes, and what is refused where.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER};

#[tokio::test(start_paused = true)]
async fn an_accepted_send_answers_in_the_shape_of_the_provider_s_example() {
    let bench = Bench::new();
    let mut answer = bench.send(&bench.order("order-1")).await;
    assert_eq!(answer.status, 200);
    let transaction = answer.body["common"]["infobankTrId"].take();
    assert_eq!(transaction.as_str().map(str::len), Some(36), "{transaction}");
    let expected = json!({
        "common": { "authCode": "A000", "authResult": "Success", "infobankTrId": null },
        "data": {
            "code": "A000",
            "result": "Success",
            "ref": "order-1",
            "data": { "destinations": [{
                "to": CUSTOMER,
                "msgKey": "20260424104234546POM000000001000",
                "code": "A000",
                "result": "Success",
            }] },
        },
    });
    assert_eq!(answer.body, expected);
    let example = "20260424104234546POM101182450000";
    assert_eq!(answer.msg_key().len(), example.len());
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_s_own_clients_send_is_accepted() {
    let bench = Bench::toml(
        "sender_keys = ['SK']\ntemplates = [{ code = 'ORDER_DONE', text = '주문 접수' }]",
    );
    let python = r#"{"destinations":[{"to":"01012345678","replaceWords":{"name":"홍길동"}}],
        "messageFlow":[{"alimtalk":{"msgType":"AT","senderKey":"SK","templateCode":"ORDER_DONE",
        "text":"주문 접수"}},{"sms":{"from":"0212345678","text":"주문 접수"}}],
        "idempotencyKey":"order-1","ref":"order-1","idempotencyTtl":86400}"#;
    let javascript = r#"{"destinations":[{"to":"01012345678"}],"messageFlow":[{"alimtalk":
        {"senderKey":"SK","msgType":"AT","templateCode":"ORDER_DONE","text":"주문 접수"}},
        {"sms":{"from":"0212345678","text":"주문 접수"}}],"ref":"order-1"}"#;
    for body in [python, javascript] {
        let answer = bench.call(Method::POST, "/send/omni", body.to_owned()).await;
        assert_eq!((answer.status, answer.codes()), (200, vec!["A000"]));
    }
    assert_eq!(bench.fake.ledger().messages.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_destination_is_refused_inside_http_200_while_the_others_are_accepted() {
    let bench = Bench::new();
    let mut body = bench.order("order-1");
    body["destinations"] = json!([
        { "to": "01011112222" },
        { "to": "010-1111-2222" },
        {},
        { "to": "01033334444", "ref": "order-1-b" },
        { "to": "01055556666", "ref": "r".repeat(201) },
    ]);
    let answer = bench.send(&body).await;
    assert_eq!((answer.status, answer.code()), (200, "A000"));
    assert_eq!(answer.codes(), ["A000", "A306", "A307", "A000", "A305"]);
    let rows = answer.data()["destinations"].as_array().unwrap();
    let keys: Vec<Option<&str>> = rows.iter().map(|row| row["msgKey"].as_str()).collect();
    let key = |place| format!("20260424104234546POM000000001{place}");
    let (first, fourth) = (key("000"), key("003"));
    assert_eq!(keys, [Some(first.as_str()), None, None, Some(fourth.as_str()), None]);
    let ledger = bench.fake.ledger();
    let references: Vec<_> = ledger.messages.iter().map(|m| m.reference.as_deref()).collect();
    assert_eq!(references, [Some("order-1"), Some("order-1-b")], "a destination's own ref wins");
    assert_eq!(ledger.totals.destinations_refused, 3);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_destinations_are_accepted_and_one_more_is_not() {
    let bench = Bench::new();
    let to = |n: usize| json!({ "to": format!("010{n:08}") });
    let mut body = bench.order("order-1");
    body["destinations"] = (0..201).map(to).collect();
    let answer = bench.send(&body).await;
    assert_eq!((answer.status, answer.code()), (400, "A318"));
    body["destinations"] = (0..200).map(to).collect();
    let answer = bench.send(&body).await;
    assert_eq!(answer.codes(), ["A000"; 200]);
    let request_id = &bench.fake.ledger().messages[199].request_id;
    let found = bench.get(&format!("/message/inquiry/requestId/{request_id}")).await;
    assert_eq!(found.data()["messages"].as_array().unwrap().len(), 200);
}

/// Sets what `pointer` points at, or adds it to its object.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    if let Some(place) = body.pointer_mut(pointer) {
        *place = value;
        return body;
    }
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[field] = value;
    body
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_wrong_as_a_whole_is_refused_with_its_own_code() {
    let bench = Bench::toml(
        "limits = 'off'\ntemplates = [{ code = 'ORDER_SHIPPED', text = '#{text}' },
        { code = 'OLD', text = 'x', state = 'unapproved' }]",
    );
    let alimtalk = "/messageFlow/0/alimtalk";
    let refusals = [
        ("/destinations", json!([]), "A300"),
        ("/messageFlow", json!([]), "A300"),
        ("/messageFlow/0", json!({}), "A300"),
        ("/messageFlow/0/sms", json!({ "from": "0212345678", "text": "둘" }), "A300"),
        ("/messageFlow/0", json!({ "pigeon": {} }), "A300"),
        ("/messageFlow/0", json!({ "rcs": {} }), "A325"),
        ("/destinations", json!("01012345678"), "A011"),
        ("/ref", json!("r".repeat(201)), "A305"),
        ("/idempotencyKey", json!(""), "A308"),
        ("/idempotencyKey", json!("k".repeat(201)), "A308"),
        ("/idempotencyTtl", Value::Null, "A309"),
        ("/idempotencyTtl", json!(86_401), "A309"),
        ("/idempotencyTtl", json!(-1), "A309"),
        ("/idempotencyTtl", json!("soon"), "A309"),
        (&format!("{alimtalk}/senderKey"), json!("stranger"), "A502"),
        (&format!("{alimtalk}/senderKey"), Value::Null, "A502"),
        (&format!("{alimtalk}/templateCode"), json!("NONE"), "A505"),
        (&format!("{alimtalk}/templateCode"), json!("OLD"), "A505"),
        (&format!("{alimtalk}/msgType"), Value::Null, "A523"),
        (&format!("{alimtalk}/text"), json!(""), "A303"),
        ("/messageFlow/1/sms/from", Value::Null, "A302"),
        ("/messageFlow/1/sms/from", json!("0299999999"), "A327"),
        ("/messageFlow/1/sms/text", Value::Null, "A303"),
    ];
    for (pointer, value, code) in refusals {
        let answer = bench.send(&with(bench.order("order-1"), pointer, value.clone())).await;
        assert_eq!((answer.status, answer.code()), (400, code), "{pointer} = {value}");
        assert_eq!(answer.body["common"]["authCode"], "A000", "the gateway had no objection");
        assert_eq!(answer.data(), &Value::Null);
    }
    let answer = bench.call(Method::POST, "/send/omni", "{".to_owned()).await;
    assert_eq!((answer.status, answer.code()), (400, "A010"));
    assert_eq!(bench.fake.ledger().messages, []);
    let answer = bench.send(&bench.order("order-1")).await;
    assert_eq!(answer.codes(), ["A000"], "none of the refusals used up the key");
}

#[tokio::test(start_paused = true)]
async fn the_longest_texts_pass_and_one_more_character_does_not() {
    let bench = Bench::toml("templates = [{ code = 'ORDER_SHIPPED', text = '#{text}' }]");
    let limits = [
        ("/messageFlow/0/alimtalk/text", "가".repeat(1_300), "가"),
        ("/messageFlow/1/sms/text", "가".repeat(45), "a"),
    ];
    for (pointer, longest, more) in limits {
        let keyless = with(bench.order("order-1"), "/idempotencyKey", Value::Null);
        let answer = bench.send(&with(keyless.clone(), pointer, json!(longest))).await;
        assert_eq!(answer.codes(), ["A000"], "{pointer}");
        let answer = bench.send(&with(keyless, pointer, json!(longest + more))).await;
        assert_eq!(answer.codes(), ["A328"], "{pointer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_text_message_carries_what_a_short_one_cannot() {
    let bench = Bench::new();
    let mms = json!({ "mms": { "from": "0212345678", "title": "배송", "text": "가".repeat(46) } });
    let mut body = with(bench.order("order-1"), "/destinations/0/to", json!("01099998888"));
    body["messageFlow"] = json!([mms]);
    assert_eq!(bench.send(&body).await.codes(), ["A000"]);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_key_the_gateway_lets_nothing_through() {
    let bench = Bench::new();
    let key = bench.fake.credentials().api_key.reveal().to_owned();
    let wrong = [None, Some("guess".to_owned()), Some(format!("Bearer {key}"))];
    for key in wrong {
        let body = bench.order("order-1").to_string();
        let answer = bench.call_as(key.as_deref(), Method::POST, "/send/omni", body).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.body["common"]["authCode"], "A401");
        assert_eq!(answer.body.get("data"), None);
    }
    assert_eq!(bench.fake.ledger().messages, []);
}

#[tokio::test(start_paused = true)]
async fn a_path_or_method_that_is_none_is_refused_by_the_gateway() {
    let bench = Bench::new();
    let answer = bench.get("/send/nothing").await;
    assert_eq!((answer.status, &answer.body["common"]["authCode"]), (404, &json!("A404")));
    let answer = bench.get("/send/omni").await;
    assert_eq!((answer.status, &answer.body["common"]["authCode"]), (405, &json!("A405")));
}

#[tokio::test(start_paused = true)]
async fn words_are_replaced_for_each_destination() {
    let bench = Bench::new();
    let template = "[#{shop}] #{name}님, 주문 #{order}의 배송이 접수되었습니다. \
                    운송장번호 #{invoice}";
    let words = |name| json!({ "shop": "가게", "name": name, "order": "A-1", "invoice": "42" });
    let mut body = with(bench.order("order-1"), "/messageFlow/0/alimtalk/text", json!(template));
    body["messageFlow"][1]["sms"]["text"] = json!("#{name}님 #{invoice}");
    body["destinations"] = json!([
        { "to": "01011112222", "replaceWords": words("가") },
        { "to": "01033334444", "replaceWords": words("나") },
    ]);
    assert_eq!(bench.send(&body).await.codes(), ["A000", "A000"]);
    // The same, but the gateway writes the text from its template.
    let alimtalk = body["messageFlow"][0]["alimtalk"].as_object_mut().unwrap();
    alimtalk.retain(|field, _| field != "text" && field != "msgType");
    alimtalk.insert("sendType".to_owned(), json!("template"));
    body["idempotencyKey"] = json!("another");
    assert_eq!(bench.send(&body).await.codes(), ["A000", "A000"]);
    let messages = bench.fake.ledger().messages;
    assert_eq!(messages[0].text, "[가게] 가님, 주문 A-1의 배송이 접수되었습니다. 운송장번호 42");
    assert_eq!(messages[1].variables["name"], "나");
    assert_eq!(messages[2].text, messages[0].text);
    assert_eq!(messages[3].variables, messages[1].variables);
}
