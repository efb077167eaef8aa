//! A carrier on a virtual clock, and requests to it without a socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use clockwork::{Clock, DrillClock, Entropy, Timestamp};
use fake_cj::{Config, FakeCj};
use serde_json::{Value, json};
use tower::ServiceExt;

pub const START: &str = "2026-11-21T10:15:00+09:00";
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// A carrier and one customer, who holds the day's token.
#[derive(Clone)]
pub struct Drill {
    pub fake: FakeCj,
    pub clock: Arc<DrillClock>,
    router: Router,
    pub token: String,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The edge would cut the connection instead of answering.
    pub is_cut: bool,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn code(&self) -> String {
        self.json()["RESULT_CD"].as_str().unwrap().to_owned()
    }

    pub fn detail(&self) -> String {
        self.json()["RESULT_DETAIL"].as_str().unwrap().to_owned()
    }

    pub fn is_success(&self) -> bool {
        self.status == StatusCode::OK && self.code() == "S"
    }
}

impl Drill {
    /// A carrier without limits, unless `config` says otherwise, and no token yet.
    pub fn without_token(config: Config) -> Drill {
        let clock = Arc::new(DrillClock::starting_at(Timestamp::parse(START).unwrap()));
        let fake = FakeCj::new(config, clock.clone(), Entropy::new(7));
        Drill { router: fake.router(), fake, clock, token: String::new() }
    }

    /// As [`Drill::without_token`], the token already asked for.
    pub async fn new(config: Config) -> Drill {
        let mut drill = Drill::without_token(config);
        let data = drill.request_token().await.json();
        drill.token = data["DATA"]["TOKEN_NUM"].as_str().unwrap().to_owned();
        drill
    }

    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    pub async fn request_token(&self) -> Answer {
        let config = self.fake.config();
        let data = json!({ "CUST_ID": config.cust_id, "BIZ_REG_NUM": config.biz_reg_num });
        self.send(HERE, "/ReqOneDayToken", None, &json!({ "DATA": data }).to_string()).await
    }

    /// A call with the token in header and body.
    pub async fn call(&self, endpoint: &str, data: Value) -> Answer {
        self.call_from(HERE, endpoint, data).await
    }

    pub async fn call_from(&self, client: IpAddr, endpoint: &str, mut data: Value) -> Answer {
        data["TOKEN_NUM"] = self.token.clone().into();
        let body = json!({ "DATA": data }).to_string();
        self.send(client, &format!("/{endpoint}"), Some(&self.token), &body).await
    }

    pub async fn send(&self, client: IpAddr, path: &str, key: Option<&str>, body: &str) -> Answer {
        let mut request = Request::post(path).header("Content-Type", "application/json");
        if let Some(key) = key {
            request = request.header("CJ-Gateway-APIKey", key);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, 50_000)));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let is_cut = response.extensions().get::<faults::Refuse>().is_some();
        let (parts, body) = response.into_parts();
        let text = to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            is_cut,
            text: String::from_utf8(text.to_vec()).unwrap(),
        }
    }

    /// The cheapest call that does something: where it passes, a number is burnt.
    pub async fn knock(&self) -> StatusCode {
        self.call("ReqInvcNo", json!({ "CLNTNUM": "30000001" })).await.status
    }

    pub async fn invoice_number(&self) -> String {
        let answer = self.call("ReqInvcNo", json!({ "CLNTNUM": "30000001" })).await;
        answer.json()["DATA"]["INVC_NO"].as_str().unwrap().to_owned()
    }

    /// Books `order` under a new number; the number and the answer.
    pub async fn book(&self, order: &str) -> (String, Answer) {
        let number = self.invoice_number().await;
        let answer = self.call("RegBook", booking(order, &number)).await;
        (number, answer)
    }

    pub async fn cancel(&self, order: &str, number: &str) -> Answer {
        let mut data = booking(order, number);
        data["REQ_DV_CD"] = "02".into();
        self.call("CnclBook", data).await
    }
}

/// Settings without limits, for tests that are about something else.
pub fn unlimited() -> Config {
    Config { limits: fake_cj::config::Switch::Off, ..Config::default() }
}

/// `DATA` of a booking, invented people.
pub fn booking(order: &str, number: &str) -> Value {
    json!({
        "CUST_ID": "30000001", "RCPT_YMD": "20261121", "CUST_USE_NO": order, "RCPT_DV": "01",
        "WORK_DV_CD": "01", "REQ_DV_CD": "01", "MPCK_KEY": format!("20261121_30000001_{order}"),
        "MPCK_SEQ": "1", "CAL_DV_CD": "01", "FRT_DV_CD": "03", "CNTR_ITEM_CD": "01",
        "BOX_TYPE_CD": "02", "BOX_QTY": "1", "FRT": "0", "CUST_MGMT_DLCM_CD": "30000001",
        "SENDR_NM": "셀러", "SENDR_TEL_NO1": "02", "SENDR_TEL_NO2": "123",
        "SENDR_TEL_NO3": "4567", "SENDR_ZIP_NO": "04524", "SENDR_ADDR": "서울 중구",
        "SENDR_DETAIL_ADDR": "1층", "RCVR_NM": "홍길동", "RCVR_TEL_NO1": "010",
        "RCVR_TEL_NO2": "1234", "RCVR_TEL_NO3": "5678", "RCVR_ZIP_NO": "06236",
        "RCVR_ADDR": "서울 강남구", "RCVR_DETAIL_ADDR": "101호", "INVC_NO": number,
        "PRT_ST": "03", "DLV_DV": "01",
        "ARRAY": [{ "MPCK_SEQ": "1", "GDS_CD": "SKU1", "GDS_NM": "상품", "GDS_QTY": "1" }],
    })
}
