//! A real server: the one that `scripts/services` starts, and for tests that kill it one of their
//! own.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use clockwork::{Clock, ClockSpec, DrillClock, Timestamp};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::Room;
use crate::live::Brokers;
use crate::live::jetstream::{JetStream, Place};
use crate::queue::Queue;

/// Seconds of the tests in a real one.
const FACTOR: f64 = 40.0;

pub(super) struct Real {
    clock: Arc<dyn Clock>,
    place: Place,
    own: Option<Own>,
}

/// A server that may be killed.
struct Own {
    program: PathBuf,
    folder: tempfile::TempDir,
    running: Mutex<Option<Child>>,
    port: std::sync::Mutex<u16>,
}

/// The server that all tests share; `None`, and said loudly, where there is none and none was
/// promised.
pub(super) async fn shared(test: &str) -> Option<Real> {
    let url = offered(test)?.offered?;
    Some(Real::at(url, test, None))
}

/// A server of the test's own, likewise.
pub(super) async fn own(test: &str) -> Option<Real> {
    let program = offered(test)?.program.expect("`nats-server` beside the one that is offered");
    let folder = tempfile::tempdir().unwrap();
    let own = Own { program, folder, running: Mutex::default(), port: std::sync::Mutex::new(0) };
    own.start().await;
    let url = format!("nats://127.0.0.1:{}", own.port.lock().unwrap());
    Some(Real::at(url, test, Some(own)))
}

fn offered(test: &str) -> Option<Brokers> {
    let brokers = Brokers::look(None);
    let promised = std::env::var("DRILLSHIP_SERVICES").is_ok_and(|word| word == "required");
    if brokers.offered.is_none() {
        assert!(!promised, "DRILLSHIP_NATS names no server");
        // Not by `eprintln!`, which the test harness keeps to itself.
        let told = format!("SKIPPED {test}: no NATS server; run it by scripts/services\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return None;
    }
    Some(brokers)
}

impl Real {
    fn at(url: String, test: &str, own: Option<Own>) -> Real {
        let epoch = Timestamp::EPOCH;
        let spec = ClockSpec { epoch, real: None, factor: FACTOR };
        let clock: Arc<dyn Clock> = Arc::new(DrillClock::from_spec(Some(&spec)));
        // Test runs may share a server.
        let name = format!("test-{}-{}", std::process::id(), test.replace('_', "-"));
        Real { clock, place: Place { url, name, factor: FACTOR }, own }
    }

    fn stream(&self) -> JetStream {
        JetStream::new(self.place.clone(), self.clock.clone())
    }

    /// Leaves nothing on a shared server.
    pub(super) async fn leave(&self) {
        self.stream().take_away().await.unwrap();
    }

    fn own(&self) -> &Own {
        self.own.as_ref().expect("a server of the test's own")
    }
}

impl Own {
    /// On the same files and the same port, once it has one.
    async fn start(&self) {
        let port = match *self.port.lock().unwrap() {
            0 => "-1".to_owned(),
            port => port.to_string(),
        };
        let mut server = Command::new(&self.program)
            .args(["--addr", "127.0.0.1", "--port", &port, "--jetstream", "--store_dir"])
            .arg(self.folder.path())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
        loop {
            let line = log.next_line().await.unwrap().expect("a server that starts");
            if let Some((_, port)) = line.split_once("client connections on 127.0.0.1:") {
                *self.port.lock().unwrap() = port.parse().unwrap();
            }
            if line.ends_with("Server is ready") {
                break;
            }
        }
        // What it logs further is read, so that it never waits for a reader.
        crate::live::background(async move { while let Ok(Some(_)) = log.next_line().await {} });
        *self.running.lock().await = Some(server);
    }
}

#[async_trait]
impl Room for Real {
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn process(&self) -> Arc<dyn Queue> {
        Arc::new(self.stream())
    }

    async fn fell(&self) {
        let mut server = self.own().running.lock().await.take().expect("a server that runs");
        // SIGKILL.
        server.kill().await.unwrap();
    }

    async fn boot(&self) {
        self.own().start().await;
    }

    async fn dead(&self) -> Vec<u64> {
        self.stream().dead().await.unwrap().into_keys().collect()
    }
}
