//! The binary: its first line, its admin API, its exit codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_fake-kakao");

/// Ends with the test, whatever its outcome.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(url: &Value, path: &str) -> String {
    let address = url.as_str().unwrap_or_default().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the address was printed");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers and closes");
    answer
}

#[test]
fn the_first_line_names_both_addresses_and_the_credentials() {
    let mut command = Command::new(BINARY);
    command.args(["--format", "json", "--seed", "3"]).stdout(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let first: Value = serde_json::from_str(&line).unwrap();
    for name in ["api_key", "sender_key", "sms_from"] {
        assert!(first["credentials"][name].is_string(), "{name}");
    }
    let refused = get(&first["api"], "/api/comm/v1/report/polling");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let ledger = get(&first["admin"], "/ledger");
    assert!(ledger.contains(r#""report/polling""#), "the refused request is in the ledger");
}

#[test]
fn a_wrong_configuration_ends_with_2_and_names_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kakao.toml");
    std::fs::write(&file, "limits = \"off\"\nforgets = true\n").unwrap();
    let ended = Command::new(BINARY).arg("--config").arg(&file).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("line 2") && said.contains("`forgets`"), "{said}");
}
