//! Tracking: one parcel, a day's list, and the acknowledgement.

use std::time::Duration;

use fake_cj::Config;
use fake_cj::config::Step;
use fake_cj::tracking::ParcelState;
use serde_json::{Value, json};

use crate::support::{Drill, unlimited};

/// A token for all the days that a parcel is under way.
fn under_way() -> Config {
    Config { token_valid_for: Duration::from_hours(1_000), ..unlimited() }
}

impl Drill {
    /// The states that `ReqOneGdsTrc` shows.
    async fn track(&self, number: &str) -> Vec<String> {
        let data = json!({ "CLNTNUM": "30000001", "INVC_NO": number });
        let answer = self.call("ReqOneGdsTrc", data).await;
        assert!(answer.is_success(), "{answer:?}");
        states(&answer.json()["DATA"])
    }

    /// The rows that `ReqMssGdsTrc` lists.
    async fn list(&self, day: &str, mark_as_sent: &str) -> Value {
        let data = json!({ "CUST_ID": "30000001", "REQ_DT": day, "SND_YN": mark_as_sent });
        let answer = self.call("ReqMssGdsTrc", data).await;
        assert!(answer.is_success(), "{answer:?}");
        answer.json()["DATA"].clone()
    }

    async fn acknowledge(&self, rows: &[(&str, &str)]) {
        let row = |(number, state): &(&str, &str)| json!({ "INVC_NO": number, "CRG_ST": state });
        let rows: Vec<Value> = rows.iter().map(row).collect();
        let data = json!({ "CLNTNUM": "30000001", "ARRAY": rows });
        assert!(self.call("RcvMssGdsTrcCnfrm", data).await.is_success());
    }
}

fn states(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| row["CRG_ST"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_parcel_moves_by_itself() {
    let drill = Drill::new(under_way()).await;
    let (number, _) = drill.book("ORD-1").await;
    assert_eq!(drill.track(&number).await, ["01"]);
    drill.sleep(Duration::from_hours(6)).await;
    assert_eq!(drill.track(&number).await, ["01", "11"]);
    drill.sleep(Duration::from_hours(48)).await;
    assert_eq!(drill.track(&number).await, ["01", "11", "41", "42", "82", "91"]);
    let booked = drill.fake.ledger().bookings[0].clone();
    assert_eq!(booked.scanned_at, Some(booked.booked_at + Duration::from_hours(6)));
    assert_eq!(booked.state, ParcelState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn steps_can_be_configured_or_left_out() {
    let steps = vec![Step { state: ParcelState::PickedUp, after: Duration::from_secs(30) }];
    let drill = Drill::new(Config { tracking_steps: steps, ..under_way() }).await;
    let (number, _) = drill.book("ORD-1").await;
    drill.sleep(Duration::from_hours(100)).await;
    assert_eq!(drill.track(&number).await, ["01", "11"]);

    let drill = Drill::new(Config { tracking_steps: Vec::new(), ..under_way() }).await;
    let (number, _) = drill.book("ORD-1").await;
    drill.sleep(Duration::from_hours(100)).await;
    assert_eq!(drill.track(&number).await, ["01"]);
    drill.fake.scan(&number, ParcelState::PickedUp).unwrap();
    assert_eq!(drill.track(&number).await, ["01", "11"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_cancelled_and_malformed_numbers_show_no_row() {
    let drill = Drill::new(unlimited()).await;
    let (number, _) = drill.book("ORD-1").await;
    let unbooked = drill.invoice_number().await;
    assert_eq!(drill.track(&unbooked).await, Vec::<String>::new());
    assert_eq!(drill.track("nonsense").await, Vec::<String>::new());
    drill.cancel("ORD-1", &number).await;
    assert_eq!(drill.track(&number).await, Vec::<String>::new());
    assert_eq!(drill.list("20261121", "N").await, json!([]));
    assert!(drill.fake.scan(&number, ParcelState::PickedUp).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_booking_shows_after_the_configured_while_and_not_a_millisecond_before() {
    let tracking_visible_after = Duration::from_secs(90);
    let drill = Drill::new(Config { tracking_visible_after, ..unlimited() }).await;
    let (number, _) = drill.book("ORD-1").await;
    drill.sleep(Duration::from_millis(89_999)).await;
    assert_eq!(drill.track(&number).await, Vec::<String>::new());
    drill.sleep(Duration::from_millis(1)).await;
    assert_eq!(drill.track(&number).await, ["01"]);
}

#[tokio::test(start_paused = true)]
async fn rows_come_again_until_they_are_acknowledged() {
    let drill = Drill::new(unlimited()).await;
    let (first, _) = drill.book("ORD-1").await;
    let (second, _) = drill.book("ORD-2").await;
    let rows = drill.list("20261121", "N").await;
    assert_eq!(rows[0]["CUST_USE_NO"], "ORD-1");
    assert_eq!(drill.list("20261121", "N").await, rows, "at least once");
    drill.acknowledge(&[(&first, "01"), (&second, "91"), ("nonsense", "01")]).await;
    let rows = drill.list("20261121", "N").await;
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["INVC_NO"]), (1, &json!(second)));
    drill.sleep(Duration::from_hours(6)).await;
    assert_eq!(states(&drill.list("20261121", "N").await), ["11", "01", "11"]);
}

#[tokio::test(start_paused = true)]
async fn rows_marked_as_sent_never_come_again() {
    let drill = Drill::new(unlimited()).await;
    drill.book("ORD-1").await;
    assert_eq!(states(&drill.list("20261121", "Y").await), ["01"]);
    assert_eq!(drill.list("20261121", "Y").await, json!([]), "a lost answer loses its rows");
}

#[tokio::test(start_paused = true)]
async fn a_day_is_a_day_in_seoul_and_scans_may_repeat() {
    let drill = Drill::new(Config { tracking_steps: Vec::new(), ..unlimited() }).await;
    let (number, _) = drill.book("ORD-1").await;
    drill.sleep(Duration::from_secs(13 * 3_600 + 45 * 60) - Duration::from_secs(1)).await;
    drill.fake.scan(&number, ParcelState::NotDelivered).unwrap();
    drill.sleep(Duration::from_secs(1)).await;
    drill.fake.scan(&number, ParcelState::NotDelivered).unwrap();
    assert_eq!(states(&drill.list("20261121", "N").await), ["01", "84"]);
    let next_day = drill.list("20261122", "N").await;
    assert_eq!(next_day[0]["SCAN_HOUR"], "000000");
    assert_eq!(next_day[0]["NO_CLDV_RSN_CD"], "02");
    drill.acknowledge(&[(&number, "84")]).await;
    assert_eq!(drill.list("20261122", "N").await, json!([]));
    drill.sleep(Duration::from_secs(1)).await;
    drill.fake.scan(&number, ParcelState::NotDelivered).unwrap();
    assert_eq!(states(&drill.list("20261122", "N").await), ["84"], "a later scan is a new row");
}

#[tokio::test(start_paused = true)]
async fn a_list_has_at_most_five_hundred_rows() {
    let drill = Drill::new(unlimited()).await;
    for order in 0..501 {
        drill.book(&format!("ORD-{order}")).await;
    }
    let rows = drill.list("20261121", "Y").await;
    assert_eq!(rows.as_array().unwrap().len(), 500);
    let rest = drill.list("20261121", "Y").await;
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["CUST_USE_NO"]), (1, &json!("ORD-500")));
    let row = json!({ "INVC_NO": "650000000011", "CRG_ST": "01" });
    let too_many = json!({ "CLNTNUM": "30000001", "ARRAY": vec![row; 501] });
    assert_eq!(drill.call("RcvMssGdsTrcCnfrm", too_many).await.code(), "E");
}

#[tokio::test(start_paused = true)]
async fn tracking_calls_name_the_customer_in_fields_of_their_own() {
    let drill = Drill::new(unlimited()).await;
    let (number, _) = drill.book("ORD-1").await;
    for (endpoint, field, is_right) in [
        ("ReqOneGdsTrc", "CLNTNUM", true),
        ("ReqOneGdsTrc", "CUST_ID", false),
        ("ReqMssGdsTrc", "CUST_ID", true),
        ("ReqMssGdsTrc", "CLNTNUM", false),
        ("RcvMssGdsTrcCnfrm", "CLNTNUM", true),
        ("RcvMssGdsTrcCnfrm", "CUST_ID", false),
    ] {
        let data = json!({ field: "30000001", "INVC_NO": number, "REQ_DT": "20261121" });
        let answer = drill.call(endpoint, data).await;
        assert_eq!(answer.is_success(), is_right, "{endpoint} {field}");
    }
}
