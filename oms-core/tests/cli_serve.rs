//! `oms serve` as a process: it says where it listens, keeps orders, and ends when told to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/oms.rs"]
mod oms;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::routing::post;
use clockwork::{Clock as _, DrillClock};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oms::{arg, command, line, oms};
use oms_core::env::Event;
use oms_core::telemetry::HistoryLine;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Ends the process also when a test fails.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_service_keeps_orders_until_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let (store, history) = (folder.path().join("oms.db"), folder.path().join("history.jsonl"));
    // Nobody listens at port 1: the order stays with us.
    let mut command = command(&[
        "serve",
        "--store",
        arg(&store),
        "--listen",
        "127.0.0.1:0",
        "--format",
        "json",
        "--carrier",
        "http://127.0.0.1:1",
        "--history",
        arg(&history),
        "--worker-name",
        "oms-7",
        "--log",
        "json",
        "--clock",
        "2026-11-21T10:00:00+09:00x10",
    ]);
    command.env("OMS_MESSENGER", "http://127.0.0.1:1/").env("OMS_LOG", "debug");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut serving = Serving(command.spawn().unwrap());
    let mut first = String::new();
    let mut out = BufReader::new(serving.0.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    let api = first["api"].as_str().unwrap();

    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(oms_core::env::tls::trusting_nobody().unwrap())
        .build()
        .unwrap();
    let post = client.post(format!("{api}/orders")).header("content-type", "application/json");
    let answer = post.body(line("ORD-1")).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let health = client.get(format!("{api}/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    // Dispatchers were woken: they try the carrier without being asked again.
    let mut metrics = String::new();
    for _ in 0..10_000 {
        metrics = client.get(format!("{api}/metrics")).send().await.unwrap().text().await.unwrap();
        if metrics.contains("oms_calls_total{") {
            break;
        }
    }
    assert!(metrics.contains("oms_calls_total{api=\"carrier\""), "{metrics}");
    let workers = || {
        let status = oms(&["status", "--store", arg(&store), "--format", "json"]);
        let status: Value = serde_json::from_str(&status.out).unwrap();
        status["workers"].clone()
    };
    while workers().as_array().unwrap().is_empty() {
        wait(Duration::from_millis(20)).await;
    }
    assert_eq!(workers()[0]["worker"], "oms-7");

    kill(Pid::from_raw(serving.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let mut log = String::new();
    serving.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(serving.0.wait().unwrap().success(), "{log}");
    assert!(!log.contains("01012345678") && !log.contains("1234-5678"), "{log}");
    assert!(log.lines().any(|line| line.contains("order kept")), "{log}");
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");

    assert_eq!(workers(), json!([]), "it took its leave");
    let lines = std::fs::read_to_string(&history).unwrap();
    let lines: Vec<HistoryLine> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let acknowledged = Event::Acknowledged { order: "ORD-1".to_owned() };
    let told = lines.iter().find(|line| line.event == acknowledged).expect("it is recorded");
    assert_eq!(told.worker, "oms-7");
    assert!(told.at.to_string().starts_with("2026-11-21T10:"), "{:?}", told.at);
    assert!(lines.iter().any(|line| matches!(line.event, Event::CallEnd { .. })), "it tried");

    let listed = oms(&["list", "--store", arg(&store), "--format", "json"]);
    let order: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((&order["id"], &order["state"]), (&"ORD-1".into(), &"accepted".into()));
}

/// Ends `oms serve` on a database at `url` by itself, after `wait` of a time of which a hundred seconds
/// are one.
fn serve_on(url: &str, wait: &str) -> Command {
    let mut command = command(&["serve", "--store", url, "--store-wait", wait]);
    command.args(["--carrier", "http://127.0.0.1:1", "--messenger", "http://127.0.0.1:1"]);
    command.args(["--listen", "127.0.0.1:0", "--clock", "2026-11-21T10:00:00+09:00x100"]);
    command
}

/// Says to whoever connects next what a PostgreSQL server says while it starts.
async fn says_that_it_starts(server: &TcpListener) {
    const STARTS: &[u8] = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
    let (mut client, _) = server.accept().await.unwrap();
    let mut asked = [0; 512];
    // It has no TLS.
    assert_eq!(client.read(&mut asked).await.unwrap(), 8);
    client.write_all(b"N").await.unwrap();
    assert!(client.read(&mut asked).await.unwrap() > 8);
    let length = u32::try_from(STARTS.len() + 4).unwrap().to_be_bytes();
    client.write_all(&[b"E", &length[..], STARTS].concat()).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for_as_long_as_is_said() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://oms:hunter2@{}/orders", server.local_addr().unwrap());
    let clock = DrillClock::from_spec(None);
    let mut waiting = serve_on(&url, "1h").stderr(Stdio::null()).spawn().map(Serving).unwrap();
    for _ in 0..3 {
        let asked = says_that_it_starts(&server);
        let asked = clockwork::timeout(&clock, Duration::from_secs(30), asked).await;
        asked.expect("it looks again and again");
    }
    assert_eq!(waiting.0.try_wait().unwrap(), None);
    drop((waiting, server));

    let told = serve_on(&url, "2s").output().unwrap();
    let said = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(2), "{said}");
    assert!(said.contains("the database is looked for again"), "{said}");
    assert!(said.contains("database away") && !said.contains("hunter2"), "{said}");
    let at_once = serve_on("nowhere/orders.db", "1h").output().unwrap();
    assert_eq!(at_once.status.code(), Some(2), "a folder does not come by itself");
}

/// A carrier that takes its time and then has a fault; where it is, and how many calls have begun.
async fn slow_carrier() -> (String, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let answer = move || {
        counted.fetch_add(1, Ordering::AcqRel);
        async {
            wait(Duration::from_millis(1500)).await;
            http::StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, begun)
}

#[expect(clippy::disallowed_methods, reason = "the carrier belongs to no node")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

async fn wait(time: Duration) {
    DrillClock::from_spec(None).sleep(time).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_told_to_end_over_a_call_waits_for_its_reply_and_hands_everything_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("oms.db");
    let (carrier, begun) = slow_carrier().await;
    let file = folder.path().join("orders.jsonl");
    std::fs::write(&file, line("ORD-1")).unwrap();
    let taken = oms(&["ingest", arg(&file), "--store", arg(&store)]);
    assert_eq!(taken.code, 0, "{taken:?}");
    let mut command = command(&["serve", "--store", arg(&store), "--listen", "127.0.0.1:0"]);
    command.args(["--carrier", &carrier, "--messenger", "http://127.0.0.1:1"]);
    let mut serving = Serving(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let clock = DrillClock::from_spec(None);
    while begun.load(Ordering::Acquire) == 0 {
        wait(Duration::from_millis(10)).await;
    }
    let told = clock.now();
    kill(Pid::from_raw(serving.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(serving.0.wait().unwrap().success());
    let (ended, took) = (clock.now().micros(), clock.now().since(told));
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(5));
    assert!(took > least && took < most, "it waits for the reply, and no longer: {took:?}");

    let db = rusqlite::Connection::open(&store).unwrap();
    let count = |sql: &str| db.query_row(sql, [ended], |row| row.get::<_, i64>(0)).unwrap();
    let leased = "SELECT count(*) FROM parcels WHERE lease_worker IS NOT NULL AND ?1 > 0";
    assert_eq!(count(leased), 0, "another worker need not wait for a lease to end");
    let late = "SELECT count(*) FROM parcels WHERE due_at IS NULL OR due_at > ?1 + 5000000";
    assert_eq!(count(late), 0, "it is due again soon");
    assert!(count("SELECT count(*) FROM permits WHERE ?1 > 0") > 0, "calls were made");
    let kept = "SELECT count(*) FROM permits WHERE ends_at > ?1";
    assert_eq!(count(kept), 0, "no permit is kept from the others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_tells_the_breakers_of_a_worker_that_reaches_no_carrier() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("oms.db"), folder.path().join("orders.jsonl"));
    let orders: Vec<String> = (1..=20).map(|number| line(&format!("ORD-{number}"))).collect();
    std::fs::write(&file, orders.join("\n")).unwrap();
    assert_eq!(oms(&["ingest", arg(&file), "--store", arg(&store)]).code, 0);
    let nobody = "http://127.0.0.1:1";
    let mut command = command(&["serve", "--store", arg(&store), "--listen", "127.0.0.1:0"]);
    command.args(["--carrier", nobody, "--messenger", nobody, "--worker-name", "oms-7"]);
    let _serving = Serving(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    loop {
        let status = oms(&["status", "--store", arg(&store), "--format", "json"]);
        let status: Value = serde_json::from_str(&status.out).unwrap();
        let breaker = &status["workers"][0]["breakers"][0];
        if breaker["state"] == "open" {
            assert_eq!(breaker["api"], "carrier");
            break;
        }
        wait(Duration::from_millis(50)).await;
    }
    let told = oms(&["status", "--store", arg(&store)]).out;
    assert!(told.contains("\nworker        oms-7 "), "{told}");
    assert!(told.contains("\nbreaker       carrier "), "{told}");
}

/// A carrier that never answers a booking; where it is, and how many have come.
async fn carrier_that_keeps_bookings_waiting() -> (String, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let success = |data: Value| {
        axum::Json(json!({ "RESULT_CD": "S", "RESULT_DETAIL": "Success", "DATA": data }))
    };
    let token = json!({
        "TOKEN_NUM": "3f0c9a52-1111-2222-3333-444455556666",
        "TOKEN_EXPRTN_DTM": "20991231000000", "NOTICE": "",
    });
    let number = json!({ "INVC_NO": "650000000033" });
    let book = move || {
        counted.fetch_add(1, Ordering::AcqRel);
        std::future::pending::<http::StatusCode>()
    };
    let router = axum::Router::new()
        .route("/ReqOneDayToken", post(async move || success(token)))
        .route("/ReqInvcNo", post(async move || success(number)))
        .route("/RegBook", post(book));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, begun)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_finished_within_the_time_to_end_is_handed_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("oms.db");
    let (carrier, begun) = carrier_that_keeps_bookings_waiting().await;
    let file = folder.path().join("orders.jsonl");
    std::fs::write(&file, [line("ORD-1"), line("ORD-2")].join("\n")).unwrap();
    let taken = oms(&["ingest", arg(&file), "--store", arg(&store)]);
    assert_eq!(taken.code, 0, "{taken:?}");
    let mut command = command(&["serve", "--store", arg(&store), "--listen", "127.0.0.1:0"]);
    command.args(["--carrier", &carrier, "--messenger", "http://127.0.0.1:1"]);
    command.env("OMS_SERVICE__SHUTDOWN_WITHIN", "500ms");
    command.env("OMS_CARRIER__CALLS__READ_TIMEOUT", "60s");
    command.env("OMS_CARRIER__CALLS__DEADLINE", "60s");
    let mut serving = Serving(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    while begun.load(Ordering::Acquire) < 2 {
        wait(Duration::from_millis(10)).await;
    }
    let clock = DrillClock::from_spec(None);
    let told = clock.now();
    kill(Pid::from_raw(serving.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(serving.0.wait().unwrap().code(), Some(0), "all was handed back");
    let took = clock.now().since(told);
    let (least, most) = (Duration::from_millis(500), Duration::from_secs(4));
    assert!(took >= least && took < most, "{took:?}");

    let db = rusqlite::Connection::open(&store).unwrap();
    let sql = "SELECT count(*) FROM parcels WHERE state = 'unknown' AND lease_worker IS NULL
               AND sent_until >= ?1 AND due_at < ?1 + 10000000";
    let handed_back: i64 = db.query_row(sql, [told.micros()], |row| row.get(0)).unwrap();
    assert_eq!(handed_back, 2, "they may have been sent until then, and are soon another's");
    let sql = "SELECT count(*) FROM permits WHERE ends_at > ?1 + 20000000";
    let held: i64 = db.query_row(sql, [told.micros()], |row| row.get(0)).unwrap();
    assert_eq!(held, 2, "the requests may still arrive, so their permits count on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_does_not_take_back_is_told_by_the_exit_code_and_stays_leased() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("oms.db");
    let (carrier, begun) = carrier_that_keeps_bookings_waiting().await;
    let file = folder.path().join("orders.jsonl");
    std::fs::write(&file, [line("ORD-1"), line("ORD-2")].join("\n")).unwrap();
    let taken = oms(&["ingest", arg(&file), "--store", arg(&store)]);
    assert_eq!(taken.code, 0, "{taken:?}");
    let mut command = command(&["serve", "--store", arg(&store), "--listen", "127.0.0.1:0"]);
    command.args(["--carrier", &carrier, "--messenger", "http://127.0.0.1:1"]);
    command.args(["--worker-name", "oms-7", "--clock", "2099-01-01T10:00:00+09:00x20"]);
    command.env("OMS_SERVICE__SHUTDOWN_WITHIN", "500ms");
    // Longer than the test: nothing ends by itself meanwhile.
    for name in ["SERVICE__LEASE", "CARRIER__CALLS__READ_TIMEOUT", "CARRIER__CALLS__DEADLINE"] {
        command.env(format!("OMS_{name}"), "3h");
    }
    let mut serving =
        Serving(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    while begun.load(Ordering::Acquire) < 2 {
        wait(Duration::from_millis(10)).await;
    }
    // As a backup that hangs: nobody else writes any more.
    let mut db = rusqlite::Connection::open(&store).unwrap();
    let lock = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    kill(Pid::from_raw(serving.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let log = BufReader::new(serving.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let log: Vec<String> = log.take_while(|line| !line.contains(" ended ")).collect();
    assert!(log.iter().any(|line| line.contains("not finished in time")), "{log:#?}");
    let sql = "SELECT count(*) FROM parcels WHERE state = 'intended' AND lease_worker = 'oms-7'";
    let left: i64 = lock.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 2, "whoever takes over at the lease's end finds that they may have been sent");
    // Its exit code is decided. What still waits for the database is written as the process ends.
    drop(lock);
    assert_eq!(serving.0.wait().unwrap().code(), Some(70));
}

/// Takes the place of a test that is killed: a shell starts the service, and ends without a word.
#[tokio::test]
async fn a_service_does_not_outlive_a_test_that_is_killed() {
    if !*oms::CAN_HOLD {
        eprintln!("SKIPPED: no setpriv that knows --pdeathsig, so a killed test leaves services");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (store, nobody) = (folder.path().join("oms.db"), "http://127.0.0.1:1");
    let mut service = command(&["serve", "--store", arg(&store), "--listen", "127.0.0.1:0"]);
    service.args(["--carrier", nobody, "--messenger", nobody, "--format", "json"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$@\" & wait", "sh"]).arg(service.get_program()).args(service.get_args());
    let shell = shell.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut shell = Serving(shell.unwrap());
    let mut first = String::new();
    BufReader::new(shell.0.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    let address = first["api"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    assert!(TcpStream::connect(&address).await.is_ok(), "it serves");
    drop(shell);
    let clock = DrillClock::from_spec(None);
    let gone = async {
        while TcpStream::connect(&address).await.is_ok() {
            wait(Duration::from_millis(10)).await;
        }
    };
    let gone = clockwork::timeout(&clock, Duration::from_secs(10), gone).await;
    gone.expect("it ends with whoever started it");
}

#[test]
fn an_address_in_use_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("oms.db");
    let told = oms(&[
        "serve",
        "--store",
        arg(&store),
        "--listen",
        &listen,
        "--carrier",
        "http://127.0.0.1:1",
        "--messenger",
        "http://127.0.0.1:1",
    ]);
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.err.contains(&format!("listen on {listen}: ")), "{told:?}");
    assert_eq!(told.out, "");
}
