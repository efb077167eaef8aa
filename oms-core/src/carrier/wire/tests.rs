use super::*;

const SHIPPED_AT: &str = "2026-11-21T23:59:59+09:00";

fn order() -> Order {
    let json = r#"{
        "id": "ORD-1",
        "customer": { "name": "홍길동", "phone": "010-1234-5678" },
        "address": { "postcode": "06236", "line1": "서울 강남구 테헤란로 1", "line2": "" },
        "items": [
            { "sku": "SKU1", "name": "한라봉 3kg", "quantity": 2, "unit_price": 19900 },
            { "sku": "SKU2", "name": "감귤", "quantity": 1, "unit_price": 5000, "parcel": 2 },
            { "sku": "SKU3", "name": "레드향", "quantity": 3, "unit_price": 700, "parcel": 2 }
        ],
        "memo": "문 앞에 \"놓아\" 주세요"
    }"#;
    Order::from_json(json.as_bytes()).unwrap()
}

fn intent_of(number: u32) -> Intent {
    let now = Timestamp::parse(SHIPPED_AT).unwrap();
    intent(&Shop::default(), "30000001", &order(), number, "650000000033", now)
}

fn token() -> Token {
    Token::new("tok-\"7\"").unwrap()
}

#[test]
fn a_booking_is_written_as_the_carrier_has_it() {
    let intent = intent_of(1);
    assert_eq!(intent.rcpt_ymd, "20261121");
    assert_eq!(intent.cust_use_no, "ORD-1-1");
    assert_eq!(intent.mpck_key, "20261121_30000001_ORD-1-1");
    let expected = concat!(
        r#"{"CUST_ID":"30000001","RCPT_YMD":"20261121","CUST_USE_NO":"ORD-1-1","RCPT_DV":"01","#,
        r#""WORK_DV_CD":"01","REQ_DV_CD":"01","MPCK_KEY":"20261121_30000001_ORD-1-1","#,
        r#""MPCK_SEQ":"1","CAL_DV_CD":"01","FRT_DV_CD":"03","CNTR_ITEM_CD":"01","#,
        r#""BOX_TYPE_CD":"02","BOX_QTY":"1","FRT":"0","CUST_MGMT_DLCM_CD":"30000001","#,
        r#""SENDR_NM":"드릴십 상점","SENDR_TEL_NO1":"02","SENDR_TEL_NO2":"123","#,
        r#""SENDR_TEL_NO3":"4567","SENDR_ZIP_NO":"04524","SENDR_ADDR":"서울 중구 세종대로 110","#,
        r#""SENDR_DETAIL_ADDR":"1층","RCVR_NM":"홍길동","RCVR_TEL_NO1":"010","#,
        r#""RCVR_TEL_NO2":"1234","RCVR_TEL_NO3":"5678","RCVR_ZIP_NO":"06236","#,
        r#""RCVR_ADDR":"서울 강남구 테헤란로 1","RCVR_DETAIL_ADDR":"-","#,
        r#""INVC_NO":"650000000033","PRT_ST":"03","ARTICLE_AMT":"39800","#,
        r#""REMARK_1":"문 앞에 \"놓아\" 주세요","DLV_DV":"01","#,
        r#""ARRAY":[{"MPCK_SEQ":"1","GDS_CD":"SKU1","GDS_NM":"한라봉 3kg","GDS_QTY":"2","#,
        r#""GDS_AMT":"39800"}]}"#,
    );
    assert_eq!(intent.request, expected);
}

#[test]
fn each_parcel_has_a_key_and_goods_of_its_own() {
    let intent = intent_of(2);
    assert_eq!(intent.cust_use_no, "ORD-1-2");
    let data: Value = serde_json::from_str(&intent.request).unwrap();
    let goods = data["ARRAY"].as_array().unwrap();
    let skus: Vec<_> = goods.iter().map(|row| (&row["MPCK_SEQ"], &row["GDS_CD"])).collect();
    assert_eq!(skus, [(&Value::from("1"), &Value::from("SKU2")), (&"2".into(), &"SKU3".into())]);
    assert_eq!(data["ARTICLE_AMT"], "7100");
}

#[test]
fn what_is_sent_is_what_was_written_down_and_the_token_before_it() {
    let intent = intent_of(1);
    let body = booking_request(&intent, &token()).unwrap();
    let body = std::str::from_utf8(&body).unwrap();
    let rest = body.strip_prefix(r#"{"DATA":{"TOKEN_NUM":"tok-\"7\"","#).unwrap();
    assert_eq!(format!("{{{rest}"), format!("{}}}", intent.request));
    let data: Value = serde_json::from_str(body).unwrap();
    assert_eq!(data["DATA"]["TOKEN_NUM"], "tok-\"7\"");
    assert!(!intent.request.contains("TOKEN"), "what is written down holds no secret");
}

#[test]
fn a_cancellation_carries_the_same_key_and_says_that_it_is_one() {
    let intent = intent_of(1);
    let body = cancellation_request(&intent, &token()).unwrap();
    let mut sent: Value = serde_json::from_slice(&body).unwrap();
    let fields = sent["DATA"].as_object_mut().unwrap();
    assert_eq!(fields.insert("REQ_DV_CD".to_owned(), "01".into()), Some("02".into()));
    assert_eq!(fields.remove("TOKEN_NUM"), Some(token().secret().into()));
    let written: Value = serde_json::from_str(&intent.request).unwrap();
    assert_eq!(sent["DATA"], written);
}

#[test]
fn a_request_that_was_written_down_wrongly_is_not_sent() {
    for request in ["", "[]", "null", "{", "\"{}\""] {
        let intent = Intent { request: request.to_owned(), ..intent_of(1) };
        assert!(booking_request(&intent, &token()).is_err(), "{request}");
        assert!(cancellation_request(&intent, &token()).is_err(), "{request}");
    }
}

#[test]
fn the_token_travels_twice_and_is_never_printed() {
    let request = post("ReqInvcNo", Some(&token()), invoice_request("C", &token()).unwrap());
    assert_eq!(request.uri(), "/ReqInvcNo");
    assert_eq!(request.headers()[TOKEN_HEADER], "tok-\"7\"");
    assert!(!format!("{:?}", request.headers()).contains("tok-"));
    assert!(!format!("{:?}", token()).contains("tok-"));
    let body = r#"{"DATA":{"CLNTNUM":"C","TOKEN_NUM":"tok-\"7\""}}"#;
    assert_eq!(request.body(), body);
    let asking = post("ReqOneDayToken", None, token_request("C", "1234567890"));
    assert!(!asking.headers().contains_key(TOKEN_HEADER));
    assert_eq!(asking.body(), r#"{"DATA":{"BIZ_REG_NUM":"1234567890","CUST_ID":"C"}}"#);
}
