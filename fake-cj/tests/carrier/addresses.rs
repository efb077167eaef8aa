//! `ReqAddrRfnSm`.

use serde_json::json;

use crate::support::{Answer, Drill, unlimited};

async fn refine(drill: &Drill, address: &str) -> Answer {
    let data = json!({ "CLNTNUM": "30000001", "CLNTMGMCUSTCD": "30000001", "ADDRESS": address });
    drill.call("ReqAddrRfnSm", data).await
}

#[tokio::test(start_paused = true)]
async fn an_address_always_has_the_same_sorting_code() {
    let drill = Drill::new(unlimited()).await;
    let first = refine(&drill, "서울 강남구 테헤란로 1").await;
    assert!(first.is_success(), "{first:?}");
    assert_eq!(refine(&drill, "서울 강남구 테헤란로 1").await.text, first.text);
    let elsewhere = refine(&drill, "부산광역시 해운대구 우동 2").await;
    assert_ne!(elsewhere.json()["DATA"]["CLSFCD"], first.json()["DATA"]["CLSFCD"]);
    assert_eq!(first.json()["DATA"]["CLLDLVBRANNM"], "서울강남구");
    let again = Drill::new(unlimited()).await;
    assert_eq!(refine(&again, "서울 강남구 테헤란로 1").await.text, first.text);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_is_said_in_the_result_code() {
    let drill = Drill::new(unlimited()).await;
    for (address, code) in [
        ("", "-20002"),
        ("서울", "-20002"),
        (&format!("서울 {}", "가".repeat(48)), "-20002"),
        ("달나라 토끼굴 1", "-20003"),
        ("서울 강남구 배송불가동 1", "-20009"),
    ] {
        let answer = refine(&drill, address).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (200, code), "{address}");
        assert_eq!(answer.json().get("DATA"), None);
    }
    let stranger = json!({ "CLNTNUM": "39999999", "ADDRESS": "서울 강남구" });
    assert_eq!(drill.call("ReqAddrRfnSm", stranger).await.code(), "-20001");
}
