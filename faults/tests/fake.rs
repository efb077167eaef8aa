//! What the fakes' binaries share: the first line, the two addresses, crashes as lines, errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/room.rs"]
mod support;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use clap::Parser;
use faults::admin::Evidence;
use faults::fake::{self, Error, Fake, FakeArgs, Setup};
use faults::{Injector, Journal, disturb};
use serde_json::{Value, json};
use support::Tiny;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// An output that can be read meanwhile.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn lines(&self) -> Vec<Value> {
        let text = self.0.lock().unwrap().clone();
        let lines = std::str::from_utf8(&text).unwrap().lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

struct Nothing;

impl Evidence for Nothing {
    fn ledger(&self) -> Value {
        json!({ "bookings": [] })
    }

    fn reset(&self) {}
}

fn tiny(setup: Setup) -> Result<Fake, io::Error> {
    if setup.config_text.as_ref().is_some_and(|text| text.contains("nonsense")) {
        return Err(io::Error::other("line 1: nonsense"));
    }
    let injector = Injector::new(Arc::clone(&setup.clock), setup.entropy);
    let journal = Journal::new(Arc::clone(&setup.clock), 10);
    let plain = Router::new().route("/book", post(async || "booked"));
    let api = Arc::new(Tiny::default());
    let router = disturb(setup.kept(plain.clone()), api, injector.clone(), journal.clone());
    Ok(Fake {
        router,
        plain,
        journal,
        admin: Router::new().route("/scan", post(async || "scanned")),
        injector,
        evidence: Arc::new(Nothing),
        credentials: json!({ "customer": "C1" }),
    })
}

fn args(args: &[&str]) -> FakeArgs {
    FakeArgs::parse_from(["fake-tiny"].iter().chain(args))
}

#[tokio::test(start_paused = true)]
async fn a_fake_says_where_it_is_and_is_ruled_by_its_admin_address() {
    let output = Output::default();
    let (end, ended) = oneshot::channel::<()>();
    let mut server = JoinSet::new();
    let until = async { drop(ended.await) };
    server.spawn(fake::run_until(args(&["--format", "json"]), tiny, output.clone(), until));
    while output.lines().is_empty() {
        tokio::task::yield_now().await;
    }
    let first = &output.lines()[0];
    assert_eq!(first["credentials"], json!({ "customer": "C1" }));
    let url = |base: &str, path| format!("{}{path}", first[base].as_str().unwrap());

    let client = client();
    let post = async |url: String| client.post(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(post(url("api", "/book")).await, "booked");
    assert_eq!(post(url("admin", "/scan")).await, "scanned");

    let faults = r#"[{"kind":"crash","when":"after","node":1,"endpoint":"book","times":1}]"#;
    let put = client.put(url("admin", "/faults")).body(faults).send().await.unwrap();
    assert_eq!(put.status(), 204);
    let patience = std::time::Duration::from_secs(5);
    let killed = client.post(url("api", "/book")).body(r#"{"order":"ORD-1"}"#).timeout(patience);
    assert!(killed.send().await.unwrap_err().is_timeout());
    let crash = &output.lines()[1];
    let expected = json!(["crash", "after", 0, 1, null, "ORD-1"]);
    let Value::Object(call) = &crash["call"] else { panic!("{crash}") };
    let fields = ["event", "when", "index", "node", "by_ms"].map(|field| crash[field].clone());
    let said: Vec<_> = fields.into_iter().chain([call["key"].clone()]).collect();
    assert_eq!(Value::from(said), expected);

    let ledger = client.get(url("admin", "/ledger")).send().await.unwrap().text().await.unwrap();
    assert_eq!(ledger, r#"{"bookings":[]}"#);
    drop(end);
    assert!(server.join_next().await.unwrap().unwrap().is_ok());
    assert!(client.get(url("admin", "/ledger")).send().await.unwrap_err().is_connect());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_says_why_with_the_contracts_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.toml");
    std::fs::write(&wrong, "nonsense = 1").unwrap();
    let start = async |flags: &[&str]| {
        let never = std::future::pending();
        fake::run_until(args(flags), tiny, io::sink(), never).await.unwrap_err()
    };

    let error = start(&["--config", wrong.to_str().unwrap()]).await;
    assert!(matches!(&error, Error::Config { path: Some(path), .. } if *path == wrong));
    assert_eq!(error.exit_code(), 2);
    let error = start(&["--config", directory.path().join("none").to_str().unwrap()]).await;
    assert!(matches!(error, Error::ReadConfig { .. }));
    assert_eq!(error.exit_code(), 2);

    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = start(&["--listen", &holder.local_addr().unwrap().to_string()]).await;
    assert!(matches!(error, Error::Listen { .. }), "{error}");
    assert_eq!(error.exit_code(), 70);
}

#[test]
fn wrong_flags_are_a_usage_error() {
    let run = |flag: &str| {
        let args = ["fake-tiny", flag].map(OsString::from).into_iter();
        fake::main("fake-tiny", "a tiny API", args, tiny)
    };
    assert_eq!(run("--explode"), ExitCode::from(2));
    assert_eq!(run("--help"), ExitCode::SUCCESS);
}

/// Another crate of the workspace calls by TLS, so that reqwest wants ciphers here as well.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
