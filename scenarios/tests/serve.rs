//! `drill serve`: an order system of which nothing is known but what it sends to the fakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// A running `drill serve`, ended with the test.
struct Serve {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Its first line.
    addresses: Value,
    client: reqwest::Client,
}

impl Serve {
    /// One that ends with the test, however that ends.
    fn start(arguments: &[&str]) -> Serve {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drill"));
        command.args(["__held", "serve", "--format", "json"]).args(arguments);
        Serve::run(command.stdin(Stdio::piped()))
    }

    fn run(command: &mut Command) -> Serve {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let addresses = serde_json::from_str(&line).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(oms_core::env::tls::trusting_nobody().unwrap())
            .build()
            .unwrap();
        Serve { child, out, addresses, client }
    }

    async fn call(&self, endpoint: &str, token: &str, mut data: Value) -> Value {
        data["TOKEN_NUM"] = token.into();
        let url = format!("{}/{endpoint}", self.addresses["carrier"]["api"].as_str().unwrap());
        let request = self.client.post(url).header("CJ-Gateway-APIKey", token);
        let answer = request.json(&json!({ "DATA": data })).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["RESULT_CD"], "S", "{answer}");
        answer["DATA"].clone()
    }

    async fn token(&self) -> String {
        let known = &self.addresses["carrier"]["credentials"];
        let who = json!({ "CUST_ID": known["cust_id"], "BIZ_REG_NUM": known["biz_reg_num"] });
        let token = self.call("ReqOneDayToken", "", who).await;
        token["TOKEN_NUM"].as_str().unwrap().to_owned()
    }

    /// Books a parcel under a new invoice number.
    async fn book(&self, token: &str, parcel: &str) {
        let customer = json!({ "CLNTNUM": "30000001" });
        let number = self.call("ReqInvcNo", token, customer).await["INVC_NO"].clone();
        self.call("RegBook", token, booking(parcel, number.as_str().unwrap())).await;
    }

    /// Ends it as an operator does: its last line, and its exit code.
    fn end(mut self, signal: Signal) -> (Value, i32) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        // Waiting would close it, and with it end the child at once.
        let _stdin = self.child.stdin.take();
        let code = self.child.wait().unwrap().code().unwrap();
        (serde_json::from_str(&rest).unwrap(), code)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Has it ended already, there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `DATA` of a booking, invented people.
fn booking(parcel: &str, number: &str) -> Value {
    json!({
        "CUST_ID": "30000001", "RCPT_YMD": "20261121", "CUST_USE_NO": parcel, "RCPT_DV": "01",
        "WORK_DV_CD": "01", "REQ_DV_CD": "01", "MPCK_KEY": format!("20261121_30000001_{parcel}"),
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

/// The ids of the promises that are violated.
fn violated(verdict: &Value) -> Vec<&str> {
    let promises = verdict["promises"].as_array().unwrap().iter();
    let broken = promises.filter(|promise| promise["verdict"] == "violated");
    broken.map(|promise| promise["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_parcel_that_was_booked_twice_convicts_whoever_booked_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("carrier.toml");
    std::fs::write(&config, "duplicates = \"accept\"\n").unwrap();
    let serve = Serve::start(&["--carrier-config", config.to_str().unwrap()]);
    let token = serve.token().await;
    for parcel in ["A-1", "A-2", "A-1"] {
        serve.book(&token, parcel).await;
    }
    let (verdict, code) = serve.end(Signal::SIGTERM);
    assert_eq!(code, 1);
    assert_eq!((&verdict["verdict"], &verdict["exit_code"]), (&"violated".into(), &1.into()));
    assert_eq!(violated(&verdict), ["no-double-shipment"]);
    assert!(verdict.to_string().contains("A-1 has 2 live bookings"), "{verdict}");
}

#[tokio::test]
async fn parcels_that_were_booked_once_are_held_on_ctrl_c() {
    let serve = Serve::start(&[]);
    let token = serve.token().await;
    serve.book(&token, "A-1").await;
    serve.book(&token, "A-2").await;
    let (verdict, code) = serve.end(Signal::SIGINT);
    assert_eq!((&verdict["verdict"], code), (&"held".into(), 0), "{verdict}");
}

#[tokio::test]
async fn a_fault_that_was_asked_for_and_never_fired_proves_nothing() {
    let serve = Serve::start(&[]);
    let admin = serve.addresses["carrier"]["admin"].as_str().unwrap();
    let fault = json!({ "kind": "empty", "endpoint": "CnclBook" });
    let put = serve.client.put(format!("{admin}/faults")).json(&json!({ "faults": [fault] }));
    put.send().await.unwrap().error_for_status().unwrap();
    let token = serve.token().await;
    serve.book(&token, "A-1").await;
    let (verdict, code) = serve.end(Signal::SIGTERM);
    assert_eq!((&verdict["verdict"], code), (&"inconclusive".into(), 3));
    assert_eq!(verdict["reasons"], json!(["empty CnclBook never fired"]));
}

#[tokio::test]
async fn only_one_that_is_held_ends_with_its_standard_input() {
    let mut held = Serve::start(&[]);
    drop(held.child.stdin.take());
    assert_eq!(held.child.wait().unwrap().code(), Some(130));
    let mut command = Command::new(env!("CARGO_BIN_EXE_drill"));
    let by_itself = Serve::run(command.args(["serve", "--format", "json"]).stdin(Stdio::null()));
    let token = by_itself.token().await;
    by_itself.book(&token, "A-1").await;
    assert_eq!(by_itself.end(Signal::SIGTERM).1, 0);
}

#[test]
fn settings_and_addresses_that_cannot_be_used_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("carrier.toml");
    std::fs::write(&config, "\nduplicate = \"accept\"\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flag, value, why) in [
        ("--carrier-config", config.to_str().unwrap(), "duplicate"),
        ("--messenger-config", "no-such.toml", "no-such.toml"),
        ("--messenger", taken.as_str(), taken.as_str()),
    ] {
        let done = Command::new(env!("CARGO_BIN_EXE_drill")).args(["serve", flag, value]).output();
        let done = done.unwrap();
        let told = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{told}");
        assert!(told.contains(why), "{told}");
        assert!(done.stdout.is_empty());
    }
}
