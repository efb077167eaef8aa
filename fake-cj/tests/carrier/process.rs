//! `fake-cj` as a process, over real sockets.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A running `fake-cj`, ended with the test.
struct Process {
    child: Child,
    first_line: Value,
}

impl Process {
    fn start(arguments: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fake-cj"));
        command.args(["--format", "json"]).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let first_line = serde_json::from_str(&line).unwrap();
        Process { child, first_line }
    }

    fn url(&self, server: &str, path: &str) -> String {
        format!("{}{path}", self.first_line[server].as_str().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_first_line_says_where_to_go_and_the_admin_api_knows_what_happened() {
    let process = Process::start(&["--clock", "2026-11-21T10:15:00+09:00x1"]);
    let credentials = json!({ "cust_id": "30000001", "biz_reg_num": "1234567890" });
    assert_eq!(process.first_line["credentials"], credentials);
    let client = client();
    let ask = json!({ "DATA": { "CUST_ID": "30000001", "BIZ_REG_NUM": "1234567890" } });
    let token = client.post(process.url("api", "/ReqOneDayToken")).json(&ask);
    let token: Value = token.send().await.unwrap().json().await.unwrap();
    assert_eq!(token["RESULT_CD"], "S");
    assert_eq!(&token["DATA"]["TOKEN_EXPRTN_DTM"].as_str().unwrap()[..8], "20261122");

    let scan = json!({ "invoice_no": "650000000011", "state": "11" });
    let scanned = client.post(process.url("admin", "/scan")).json(&scan).send().await.unwrap();
    assert_eq!(scanned.status(), 400, "nothing is booked");
    let problem: Value = scanned.json().await.unwrap();
    assert_eq!(problem["detail"], "no live booking has invoice number `650000000011`");

    let revoked = client.post(process.url("admin", "/revoke-token")).send().await.unwrap();
    assert_eq!(revoked.status(), 204);
    let ledger = client.get(process.url("admin", "/ledger")).send().await.unwrap();
    let ledger: fake_cj::Ledger = ledger.json().await.unwrap();
    assert_eq!((ledger.totals.tokens_issued, ledger.requests.len()), (1, 1));
}

#[tokio::test]
async fn a_banned_client_may_find_its_connection_cut() {
    let settings = "windows = [{ calls = 1, per = \"1h\" }]\nban_after = 1\n\
                    banned_sees = \"refused\"\n";
    let file = std::env::temp_dir().join(format!("fake-cj-cut-{}.toml", std::process::id()));
    std::fs::write(&file, settings).unwrap();
    let process = Process::start(&["--config", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    let client = client();
    let knock = || client.post(process.url("api", "/RegBook")).body("{}").send();
    assert_eq!(knock().await.unwrap().status(), 401);
    assert_eq!(knock().await.unwrap().status(), 429);
    let cut = knock().await.unwrap_err();
    assert!(cut.is_request() && cut.status().is_none(), "{cut:?}");
    let ledger = client.get(process.url("admin", "/ledger")).send().await.unwrap();
    let ledger: fake_cj::Ledger = ledger.json().await.unwrap();
    assert_eq!((ledger.bans.len(), ledger.calls_while_banned), (1, 1));
}

#[test]
fn a_wrong_setting_ends_the_process_with_2_and_names_its_place() {
    let file = std::env::temp_dir().join(format!("fake-cj-{}.toml", std::process::id()));
    std::fs::write(&file, "cust_id = \"1\"\nban_aftr = 5\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-cj"));
    let ended = command.arg("--config").arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{errors}");
    assert!(errors.contains("line 2") && errors.contains("ban_aftr"), "{errors}");
}

#[tokio::test]
async fn a_carrier_that_is_killed_knows_what_it_did_and_forgets_only_what_it_is_told_to() {
    let file = std::env::temp_dir().join(format!("fake-cj-state-{}", std::process::id()));
    let state = file.display().to_string();
    // A thousand times as fast: a token may be asked for once a second.
    let clock = "2026-11-21T10:15:00+09:00@2026-11-21T10:15:00+09:00x1000";
    let arguments = ["--state", state.as_str(), "--clock", clock];
    let client = client();
    let ask = json!({ "DATA": { "CUST_ID": "30000001", "BIZ_REG_NUM": "1234567890" } });
    let token = async |process: &Process| -> String {
        let asked = client.post(process.url("api", "/ReqOneDayToken")).json(&ask).send().await;
        let answer: Value = asked.unwrap().json().await.unwrap();
        answer["DATA"]["TOKEN_NUM"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let ledger = async |process: &Process| -> fake_cj::Ledger {
        let asked = client.get(process.url("admin", "/ledger")).send().await;
        asked.unwrap().json().await.unwrap()
    };
    let first = Process::start(&arguments);
    let issued = token(&first).await;
    // Dropping it kills it.
    let before = ledger(&first).await;
    drop(first);
    let second = Process::start(&arguments);
    assert_eq!(ledger(&second).await, before);
    assert_eq!(token(&second).await, issued, "the same day's token");
    client.post(second.url("admin", "/forget")).send().await.unwrap();
    drop(second);
    let third = Process::start(&arguments);
    assert_ne!(token(&third).await, issued);
    let after = ledger(&third).await;
    assert_eq!((after.totals.tokens_issued, after.requests.len()), (2, 3));
    let ids: Vec<u64> = after.requests.iter().map(|request| request.id).collect();
    assert_eq!(ids, [1, 2, 3]);
    std::fs::remove_file(&file).unwrap();
}

/// Another crate of the workspace calls by TLS, so that reqwest wants ciphers here as well.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
