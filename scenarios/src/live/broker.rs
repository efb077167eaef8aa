//! The message broker of a live run: somebody's, or a private `nats-server` of the drill's own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clockwork::{Clock, DrillClock, Entropy};
use faults::Kind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::child::{self, Child};
use crate::plan::Plan;

/// The variable that names a broker for drills and tests, as `scripts/services` sets it.
pub const VARIABLE: &str = "DRILLSHIP_NATS";

/// Where `nats-server` may be although it is not on the PATH.
const USUAL_FOLDERS: &[&str] = &["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin"];

/// Where live runs find a message broker. The default finds none.
#[derive(Clone, Default)]
pub struct Brokers {
    /// The URL that the user named.
    pub named: Option<String>,
    /// The URL in `DRILLSHIP_NATS`.
    pub offered: Option<String>,
    /// The program `nats-server`.
    pub program: Option<PathBuf>,
}

impl std::fmt::Debug for Brokers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URLs may hold passwords.
        f.debug_struct("Brokers").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Whose broker it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Somebody's, by its URL.
    Given(String),
    /// One to be started, by its program.
    Own(PathBuf),
}

impl Brokers {
    /// What there is on this machine, beside the URL that the user `named`.
    pub fn look(named: Option<String>) -> Brokers {
        let offered = std::env::var(VARIABLE).ok().filter(|url| !url.is_empty());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(USUAL_FOLDERS.iter().map(PathBuf::from));
        let program = folders.map(|folder| folder.join("nats-server")).find(|file| file.is_file());
        Brokers { named, offered, program }
    }

    /// The broker for `plan`, or why there is none. Nobody's server is restarted but our own.
    pub(super) fn source(&self, plan: &Plan) -> Result<Source, &'static str> {
        let restarts = plan.faults.iter().any(|fault| fault.kind == Kind::BrokerRestart);
        let own = self.program.clone().map(Source::Own);
        match (&self.named, restarts) {
            (Some(_), true) => Err(
                "its broker-restart kills the server, which may not be --broker's: leave that out",
            ),
            (Some(url), false) => Ok(Source::Given(url.clone())),
            (None, true) => own.ok_or("its broker-restart needs `nats-server` on the PATH"),
            (None, false) => self.offered.clone().map(Source::Given).or(own).ok_or(
                "its strategy needs a message broker: name one by --broker nats://… or \
                 DRILLSHIP_NATS, or put `nats-server` on the PATH",
            ),
        }
    }
}

/// A private server, which ends with the runner. Its files outlive it.
pub(crate) struct Server {
    program: PathBuf,
    folder: PathBuf,
    password: String,
    state: Mutex<State>,
}

struct State {
    running: Option<Running>,
    port: u16,
}

struct Running {
    /// What holds the server: it ends when the runner does.
    child: Child,
    server: Pid,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill(self.server, Signal::SIGKILL);
    }
}

/// The first line that is said of it.
#[derive(Deserialize)]
struct Greeting {
    port: u16,
    pid: i32,
}

/// While a server starts it is looked so often whether it answers.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Server {
    /// Starts one with an empty store in `folder`, on any free port. Its password is drawn from
    /// `entropy`.
    pub(crate) async fn start(
        program: PathBuf,
        folder: PathBuf,
        entropy: &Entropy,
    ) -> Result<Server, child::Error> {
        let password = format!("{:016x}", entropy.fork("broker", 0).seed());
        let state = Mutex::new(State { running: None, port: 0 });
        let server = Server { program, folder, password, state };
        server.boot().await?;
        Ok(server)
    }

    /// Where it is.
    pub(crate) async fn url(&self) -> String {
        format!("nats://drill:{}@127.0.0.1:{}", self.password, self.state.lock().await.port)
    }

    /// SIGKILL. Resolves when it is dead.
    pub(crate) async fn fell(&self) {
        let running = self.state.lock().await.running.take();
        if let Some(mut running) = running {
            // A process that has ended already is what is wanted.
            let _ = kill(running.server, Signal::SIGKILL);
            running.child.ended().await;
        }
    }

    /// Starts it again on the same files and the same port, unless it runs.
    ///
    /// # Errors
    /// [`child::Error`].
    pub(crate) async fn boot(&self) -> Result<(), child::Error> {
        let mut state = self.state.lock().await;
        if state.running.is_some() {
            return Ok(());
        }
        let name = "nats-server";
        let config = self.folder.join("nats.conf");
        let failed = |source| child::Error::Start { name: name.to_owned(), source };
        std::fs::write(&config, self.config(state.port)).map_err(failed)?;
        let arguments: Vec<OsString> =
            vec!["__nats".into(), self.program.clone().into(), config.into()];
        let log = self.folder.join("nats.log");
        let (child, said) = Child::start::<Greeting>(name, arguments, &[], log).await?;
        state.port = said.port;
        state.running = Some(Running { child, server: Pid::from_raw(said.pid) });
        let machine = DrillClock::from_spec(None);
        while TcpStream::connect(("127.0.0.1", said.port)).await.is_err() {
            machine.sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// `port` 0 is any.
    fn config(&self, port: u16) -> String {
        let port = if port == 0 { -1 } else { i32::from(port) };
        format!(
            "host: \"127.0.0.1\"\nport: {port}\njetstream {{ store_dir: {:?} }}\n\
             authorization {{ user: drill, password: {:?} }}\n",
            self.folder.join("nats").display().to_string(),
            self.password,
        )
    }
}

#[cfg(test)]
mod tests {
    use faults::Fault;

    use super::*;

    #[test]
    fn a_named_broker_is_taken_before_an_offered_one_and_that_before_one_of_our_own() {
        let plan = Plan::healthy("p", 1);
        let url = |name: &str| Some(format!("nats://{name}"));
        let mut brokers = Brokers {
            named: url("named"),
            offered: url("offered"),
            program: Some(PathBuf::from("/x/nats-server")),
        };
        assert_eq!(brokers.source(&plan), Ok(Source::Given("nats://named".to_owned())));
        brokers.named = None;
        assert_eq!(brokers.source(&plan), Ok(Source::Given("nats://offered".to_owned())));
        brokers.offered = None;
        assert_eq!(brokers.source(&plan), Ok(Source::Own(PathBuf::from("/x/nats-server"))));
        brokers.program = None;
        assert!(brokers.source(&plan).unwrap_err().contains("--broker nats://"));
    }

    #[test]
    fn a_broker_is_restarted_only_when_it_is_our_own() {
        let mut plan = Plan::healthy("p", 1);
        plan.faults = vec![Fault::new(Kind::BrokerRestart)];
        let program = Some(PathBuf::from("/x/nats-server"));
        let url = Some("nats://somebody".to_owned());
        let own = Brokers { offered: url.clone(), program: program.clone(), named: None };
        assert_eq!(own.source(&plan), Ok(Source::Own(PathBuf::from("/x/nats-server"))));
        let named = Brokers { named: url.clone(), program, offered: None };
        assert!(named.source(&plan).unwrap_err().contains("may not be --broker's"));
        let offered = Brokers { offered: url, ..Brokers::default() };
        assert!(offered.source(&plan).unwrap_err().contains("on the PATH"));
    }
}
