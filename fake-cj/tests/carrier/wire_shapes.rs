//! Bytes against the examples that customers of the carrier have published.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Drill, HERE, booking, unlimited};

/// A request for booking as it stands in public notes, values invented.
const BOOKING: &str = r#"{"DATA":{
    "TOKEN_NUM":"T","CUST_ID":"30000001","RCPT_YMD":"20261121","CUST_USE_NO":"ORD-1",
    "RCPT_DV":"01","WORK_DV_CD":"01","REQ_DV_CD":"01","MPCK_KEY":"20261121_30000001_ORD-1",
    "MPCK_SEQ":"1","CAL_DV_CD":"01","FRT_DV_CD":"03","CNTR_ITEM_CD":"01","BOX_TYPE_CD":"02",
    "BOX_QTY":"1","FRT":"0","CUST_MGMT_DLCM_CD":"30000001","SENDR_NM":"셀러",
    "SENDR_TEL_NO1":"02","SENDR_TEL_NO2":"123","SENDR_TEL_NO3":"4567","SENDR_ZIP_NO":"04524",
    "SENDR_ADDR":"서울 중구","SENDR_DETAIL_ADDR":"1층","RCVR_NM":"홍길동","RCVR_TEL_NO1":"010",
    "RCVR_TEL_NO2":"1234","RCVR_TEL_NO3":"5678","RCVR_ZIP_NO":"06236","RCVR_ADDR":"서울 강남구",
    "RCVR_DETAIL_ADDR":"101호","INVC_NO":"650000000011","PRT_ST":"03","DLV_DV":"01",
    "ARRAY":[{"MPCK_SEQ":"1","GDS_CD":"SKU1","GDS_NM":"상품","GDS_QTY":"1"}]}}"#;

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_for_and_given_as_in_the_example() {
    let drill = Drill::without_token(unlimited());
    let body = r#"{"DATA":{"CUST_ID":"30000001","BIZ_REG_NUM":"1234567890"}}"#;
    let answer = drill.send(HERE, "/ReqOneDayToken", None, body).await;
    let token = answer.json()["DATA"]["TOKEN_NUM"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.text,
        format!(r#"{{"RESULT_CD":"S","RESULT_DETAIL":"Success","DATA":{{"TOKEN_NUM":"{token}","#)
            + r#""TOKEN_EXPRTN_DTM":"20261122101500","NOTICE":""}}"#,
    );
    assert_eq!(token.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
}

#[tokio::test(start_paused = true)]
async fn the_example_of_a_booking_is_booked_and_answered_without_a_number() {
    let drill = Drill::new(unlimited()).await;
    drill.invoice_number().await;
    let body = BOOKING.replace(r#""T""#, &format!("\"{}\"", drill.token));
    let answer = drill.send(HERE, "/RegBook", Some(&drill.token), &body).await;
    assert_eq!(answer.text, r#"{"RESULT_CD":"S","RESULT_DETAIL":"Success"}"#);
    let again = drill.send(HERE, "/RegBook", Some(&drill.token), &body).await;
    assert_eq!(
        again.text,
        r#"{"RESULT_CD":"E","RESULT_DETAIL":"ORA-00001: unique constraint (DX.RCPT_PK) violated"}"#,
    );
    let cancel = body.replace(r#""REQ_DV_CD":"01""#, r#""REQ_DV_CD":"02""#);
    let cancelled = drill.send(HERE, "/CnclBook", Some(&drill.token), &cancel).await;
    assert_eq!(cancelled.text, r#"{"RESULT_CD":"S","RESULT_DETAIL":"Success"}"#);
}

#[tokio::test(start_paused = true)]
async fn an_invoice_number_comes_in_data() {
    let drill = Drill::new(unlimited()).await;
    let answer = drill.call("ReqInvcNo", json!({ "CLNTNUM": "30000001" })).await;
    assert_eq!(
        answer.text,
        r#"{"RESULT_CD":"S","RESULT_DETAIL":"Success","DATA":{"INVC_NO":"650000000011"}}"#,
    );
}

#[tokio::test(start_paused = true)]
async fn rows_of_tracking_have_the_carriers_fields() {
    let drill = Drill::new(unlimited()).await;
    let (number, _) = drill.book("ORD-1").await;
    let one = json!({ "CLNTNUM": "30000001", "INVC_NO": number });
    assert_eq!(
        drill.call("ReqOneGdsTrc", one).await.json()["DATA"],
        json!([{
            "INVC_NO": "650000000011", "CRG_ST": "01", "CRG_ST_NM": "집화지시",
            "SCAN_YMD": "20261121", "SCAN_HOUR": "101500", "DEALT_BRAN_NM": "서울강남",
            "DEALT_BRAN_TEL": "02-000-0000", "DEALT_EMP_NM": "기사",
            "DEALT_EMP_TEL": "02-000-0000", "ACPTR_NM": "",
        }]),
    );
    let day = json!({ "CUST_ID": "30000001", "REQ_DT": "20261121", "SND_YN": "N" });
    assert_eq!(
        drill.call("ReqMssGdsTrc", day).await.json()["DATA"],
        json!([{
            "CUST_ID": "30000001", "RCPT_DV": "01", "INVC_NO": "650000000011",
            "CUST_USE_NO": "ORD-1", "CRG_ST": "01", "CRG_ST_NM": "집화지시",
            "SCAN_YMD": "20261121", "SCAN_HOUR": "101500", "DEALT_BRAN_NM": "서울강남",
            "DEALEMP_NM": "기사", "ACPTR_NM": "", "NO_CLDV_RSN_CD": null, "DETAIL_RSN": null,
        }]),
    );
    let nothing = json!({ "CLNTNUM": "30000001", "INVC_NO": "650000000022" });
    assert_eq!(
        drill.call("ReqOneGdsTrc", nothing).await.text,
        r#"{"RESULT_CD":"S","RESULT_DETAIL":"Success","DATA":[]}"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_refined_address_has_the_carriers_fields() {
    let drill = Drill::new(unlimited()).await;
    let data = json!({ "CLNTNUM": "30000001", "CLNTMGMCUSTCD": "1", "ADDRESS": "서울 중구 1" });
    let answer = drill.call("ReqAddrRfnSm", data).await.json();
    let Value::Object(refined) = &answer["DATA"] else { panic!("{answer}") };
    let mut fields: Vec<&str> = refined.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "CLLDLVBRANNM",
            "CLLDLVEMPNICKNM",
            "CLLDLVEMPNM",
            "CLSFADDR",
            "CLSFCD",
            "P2PCD",
            "RSPSDIV",
            "SUBCLSFCD",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn failures_of_http_come_in_the_same_envelope() {
    let drill = Drill::new(unlimited()).await;
    let key = Some(drill.token.as_str());
    for (path, body, status) in [
        ("/RegBook", "not json", StatusCode::BAD_REQUEST),
        ("/RegBook", r#"{"DATA":{"BOX_QTY":1}}"#, StatusCode::BAD_REQUEST),
        ("/RegBook", r#"{"DATA":{}}"#, StatusCode::UNAUTHORIZED),
        ("/nowhere", "{}", StatusCode::NOT_FOUND),
        ("/regbook", "{}", StatusCode::NOT_FOUND),
    ] {
        let answer = drill.send(HERE, path, key, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, "E"), "{path} {body}");
    }
    let personal = r#"{"DATA":{"RCVR_NM":"홍길동","BOX_QTY":1}}"#;
    let answer = drill.send(HERE, "/RegBook", key, personal).await;
    assert!(!answer.text.contains("홍길동"), "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn fields_that_no_table_has_are_ignored() {
    let drill = Drill::new(unlimited()).await;
    let number = drill.invoice_number().await;
    let mut data = booking("ORD-1", &number);
    data["NEW_IN_V4"] = "x".into();
    assert!(drill.call("RegBook", data).await.is_success());
}
