//! The database of a live run: a fresh file, somebody's, or a private PostgreSQL server of the
//! drill's own, which faults may end.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use clockwork::Entropy;
use faults::{Fault, Fired, Kind, Mode};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use oms_core::store::postgres;
use serde::Deserialize;
use tempfile::TempDir;

use super::child::{self, Child};
use super::{Error, Options, Stage, background, reading};
use crate::plan::{Plan, Site};

/// Where distributions put PostgreSQL's programs, a folder a version.
const USUAL_FOLDERS: &[&str] = &["/usr/lib/postgresql", "/opt/homebrew/opt"];

/// Ports of which one is taken: below those that systems give to outgoing connections, one of which
/// might have it while the server is down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// How often a server is tried to be started at first, each time on another port.
const STARTS: usize = 3;

/// Where live runs find PostgreSQL's programs. The default finds none.
#[derive(Debug, Clone, Default)]
pub struct Databases {
    /// The folder with `initdb` and `postgres`.
    pub programs: Option<PathBuf>,
}

impl Databases {
    /// What there is on this machine: the newest version, or what the PATH has.
    pub fn look() -> Databases {
        let mut versions: Vec<(u32, PathBuf)> = Vec::new();
        for entry in USUAL_FOLDERS.iter().flat_map(std::fs::read_dir).flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name.trim_start_matches("postgresql@").parse().unwrap_or_default();
            versions.push((version, entry.path().join("bin")));
        }
        versions.sort();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = versions.into_iter().rev().map(|(_, folder)| folder);
        let mut folders = folders.chain(std::env::split_paths(&path));
        let has_all = |folder: &PathBuf| {
            ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
        };
        Databases { programs: folders.find(has_all) }
    }

    /// Whether `plan` is run on a server of its own, so that it can do nothing with another one.
    pub fn has_its_own(&self, plan: &Plan) -> bool {
        matches!(self.source(plan, None), Ok(Some(_)))
    }

    /// The folder of the programs for a server of the drill's own, when `plan` needs one; or why it
    /// cannot have one. Nobody's server is ended but our own.
    pub(super) fn source(
        &self,
        plan: &Plan,
        store: Option<&str>,
    ) -> Result<Option<&Path>, &'static str> {
        let fills = plan.faults.iter().any(|fault| fault.kind == Kind::DiskFull);
        let a_file = store.is_none_or(|store| store.starts_with("sqlite:"));
        let ends = plan.faults.iter().any(ends_connections);
        // SQLite has no clock beside those of the processes, which on one machine are one.
        let skews = |fault: &Fault| fault.kind == Kind::ClockSkew;
        let apart = plan.world.nodes > 1 && plan.faults.iter().any(skews);
        match (store, &self.programs) {
            _ if fills && (ends || apart || !a_file) => {
                Err("its disk-full is done to SQLite's file, and not to a server's disk")
            }
            _ if !ends && !apart => Ok(None),
            (Some(_), _) if ends => Err("its faults end a database's server, which may not be \
                                         --store's: leave that out"),
            (Some(_), _) if a_file => Err("its workers' clocks are apart, and SQLite has none of \
                                           its own to go by: leave --store out"),
            (Some(_), _) => Ok(None),
            (None, Some(programs)) => Ok(Some(programs)),
            (None, None) => Err("it needs a PostgreSQL server: install it, or put `initdb` and \
                                 `postgres` on the PATH"),
        }
    }
}

/// Whether a fault is done to the server of a database.
fn ends_connections(fault: &Fault) -> bool {
    matches!(fault.kind, Kind::DatabaseRestart | Kind::ConnectionsEnded)
}

/// A private server, which ends with the runner, and its files with it.
pub(crate) struct Server {
    programs: PathBuf,
    password: String,
    port: Port,
    running: tokio::sync::Mutex<Option<Running>>,
    state: Mutex<State>,
    /// After the server, which writes to it.
    folder: TempDir,
}

#[derive(Default)]
struct State {
    /// How often each of the plan's faults happened, by its place in the plan.
    fired: Vec<usize>,
    trouble: Option<child::Error>,
}

struct Running {
    /// What holds the server: it ends when the runner does.
    child: Child,
    server: Pid,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already. Whoever is gone writes no more to a folder that is taken away.
        let _ = kill(self.server, Signal::SIGQUIT);
        for _ in 0..200 {
            if kill(self.server, None) == Err(Errno::ESRCH) {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "a real process ends in real time")]
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The first line that is said of it.
#[derive(Deserialize)]
struct Greeting {
    pid: i32,
}

impl Server {
    /// Makes an empty database and starts its server, on any free port. Its password is drawn from
    /// `entropy`.
    async fn start(programs: &Path, entropy: &Entropy) -> Result<Arc<Server>, Error> {
        let file = |source| Error::File { path: std::env::temp_dir(), source };
        // Others may pass, for the server is no root's, and may not look.
        let passable = std::fs::Permissions::from_mode(0o711);
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("drill-postgres-").permissions(passable).tempdir();
        let chance = entropy.fork("database", std::process::id());
        let mut server = Server {
            programs: programs.to_owned(),
            password: format!("{:016x}", chance.fork("password", ()).seed()),
            port: Port::free(chance),
            running: tokio::sync::Mutex::default(),
            state: Mutex::default(),
            folder: folder.map_err(file)?,
        };
        server.make_files().map_err(file)?;
        let started = on_some_port(chance, async |port| {
            server.port = port;
            server.boot().await
        });
        started.await.map_err(Error::Child)?;
        Ok(Arc::new(server))
    }

    /// What the server's owner is to have: PostgreSQL refuses to run as root.
    fn make_files(&self) -> std::io::Result<()> {
        let (data, password) = (self.data(), self.folder.path().join("password"));
        std::fs::create_dir(&data)?;
        std::fs::write(&password, format!("{}\n", self.password))?;
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600))?;
        if let Some(owner) = owner() {
            for path in [&data, &password] {
                chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
            }
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        format!("postgres://drill:{}@127.0.0.1:{}/postgres", self.password, self.port.0)
    }

    /// Ends it. Resolves when it is gone.
    pub(super) async fn end(&self, mode: Mode) {
        let Some(mut running) = self.running.lock().await.take() else { return };
        let signal = match mode {
            Mode::Fast => Signal::SIGINT,
            Mode::Immediate => Signal::SIGQUIT,
        };
        // A process that has ended already is what is wanted.
        let _ = kill(running.server, signal);
        running.child.ended().await;
    }

    /// Starts it again on the same files and the same port, unless it runs.
    ///
    /// # Errors
    /// [`child::Error`].
    pub(super) async fn boot(&self) -> Result<(), child::Error> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Ok(());
        }
        let arguments: Vec<OsString> = vec![
            "__postgres".into(),
            self.programs.clone().into(),
            self.folder.path().into(),
            self.port.0.to_string().into(),
        ];
        let log = self.folder.path().join("server.log");
        let started = Child::start::<Greeting>("PostgreSQL", arguments, &[], log).await;
        let (child, said) = started?;
        *running = Some(Running { child, server: Pid::from_raw(said.pid) });
        Ok(())
    }

    /// Why it could not be started again, if so.
    pub(super) fn trouble(&self) -> Option<child::Error> {
        self.state().trouble.take()
    }

    /// How often the fault at this place of the plan happened.
    fn times(&self, place: usize) -> u64 {
        self.state().fired.iter().filter(|fired| **fired == place).count() as u64
    }

    /// Does what the fault says, which stands at `place` in the plan.
    async fn suffer(&self, place: usize, fault: &Fault, stage: &Way) {
        match (fault.kind, fault.mode) {
            (Kind::DatabaseRestart, Some(mode)) => {
                self.end(mode).await;
                self.state().fired.push(place);
                stage.clock.sleep(fault.by.unwrap_or_default()).await;
                if let Err(error) = self.boot().await {
                    self.state().trouble = Some(error);
                }
            }
            _ => match postgres::end_connections(&self.url(), &stage.options).await {
                Ok(ended) if ended > 0 => self.state().fired.push(place),
                // It did not happen, and does not count as if it had.
                other => tracing::warn!(?other, "connections not ended"),
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who the server's owner is when the runner is root; `None` when it is the runner's own user.
pub(crate) fn owner() -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    let known = |name| User::from_name(name).ok().flatten();
    known("postgres").or_else(|| known("nobody"))
}

/// A port that nobody listened on when it was drawn, and that no other server of this process has,
/// nor gets while this one is down.
struct Port(u16);

/// The ports of this process's servers: drills run side by side.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

impl Port {
    fn free(chance: Entropy) -> Port {
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        let span = f64::from(PORTS.end - PORTS.start);
        let drawn = |turn: u32| PORTS.start + (chance.fork("port", turn).unit() * span) as u16;
        let listens = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_err();
        let free = |port: &u16| !given.contains(port) && !listens(*port);
        let port = (0..1_000).map(drawn).find(free).unwrap_or(PORTS.start);
        given.insert(port);
        Port(port)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        GIVEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Tries `boot` on one free port after another, for another process may take a port before the server
/// does. Each is drawn anew: what cannot be had once is not tried again.
async fn on_some_port<E>(
    chance: Entropy,
    mut boot: impl AsyncFnMut(Port) -> Result<(), E>,
) -> Result<(), E> {
    let port = |start: usize| Port::free(chance.fork("start", start));
    for start in 1..STARTS {
        if boot(port(start)).await.is_ok() {
            return Ok(());
        }
    }
    boot(port(STARTS)).await
}

/// What a fault needs to happen.
struct Way {
    clock: Arc<dyn clockwork::Clock>,
    options: oms_core::store::sqlite::Options,
}

/// Starts a server of the run's own, if its plan needs one.
pub(super) async fn start(plan: &Plan, options: &Options) -> Result<Option<Arc<Server>>, Error> {
    let source = options.databases.source(plan, options.store.as_deref());
    match source.map_err(Error::NoDatabase)? {
        Some(programs) => Server::start(programs, &Entropy::new(plan.seed)).await.map(Some),
        None => Ok(None),
    }
}

/// Does the plan's faults to the run's own server, each at its moment.
pub(super) fn disturb(stage: &Stage<'_>, server: Option<&Arc<Server>>) {
    let Some(server) = server else { return };
    for (place, fault) in stage.plan().faults_at(Site::Store) {
        if !ends_connections(fault) {
            continue;
        }
        // The run may end before, and the server with it.
        let (server, fault): (Weak<Server>, Fault) = (Arc::downgrade(server), fault.clone());
        let way = Way { clock: stage.clock.clone(), options: reading::options(stage) };
        let at = stage.start + fault.from.unwrap_or_default();
        background(async move {
            way.clock.sleep_until(at).await;
            if let Some(server) = server.upgrade() {
                server.suffer(place, &fault, &way).await;
            }
        });
    }
}

/// The plan's faults on the store, and how often each happened.
pub(super) fn fired(stage: &Stage<'_>, server: Option<&Arc<Server>>) -> Vec<Fired> {
    let of = |(place, fault): (usize, &Fault)| {
        let times = match ends_connections(fault) {
            true => server.map_or(0, |server| server.times(place)),
            false => stage.happened_by_now(fault),
        };
        Fired { fault: fault.clone(), times }
    };
    stage.plan().faults_at(Site::Store).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_one_seed_have_ports_of_their_own() {
        let chance = Entropy::new(0x5eed_9022);
        let (one, other) = (Port::free(chance), Port::free(chance));
        assert_ne!(one.0, other.0, "the first is not listened on yet");
        let taken = one.0;
        drop(one);
        assert_eq!(Port::free(chance).0, taken, "and is free again");
    }

    /// Boots a server as often as it is needed, of which the first `in_vain` find their port taken; on
    /// which ports, and what came of it.
    async fn boots(in_vain: usize) -> (Vec<u16>, Result<(), usize>) {
        let (mut kept, mut tried) = (None, Vec::new());
        let came_to = on_some_port(Entropy::new(0x5eed_9023), async |port| {
            tried.push(port.0);
            // As a server keeps its port until it is given another one.
            kept = Some(port);
            if tried.len() > in_vain { Ok(()) } else { Err(tried.len()) }
        });
        let came_to = came_to.await;
        drop(kept);
        (tried, came_to)
    }

    #[tokio::test]
    async fn a_server_whose_port_was_taken_meanwhile_is_started_on_another() {
        for in_vain in 0..STARTS {
            let (tried, came_to) = boots(in_vain).await;
            assert_eq!((tried.len(), came_to), (in_vain + 1, Ok(())));
            let others: BTreeSet<u16> = tried.iter().copied().collect();
            assert_eq!(others.len(), tried.len(), "each time another: {tried:?}");
        }
        let (tried, came_to) = boots(STARTS).await;
        assert_eq!((tried.len(), came_to), (STARTS, Err(STARTS)), "the last error is told");
    }

    #[test]
    fn a_server_is_ended_only_when_it_is_our_own() {
        let mut plan = Plan::healthy("p", 1);
        let programs = Path::new("/x/bin");
        let databases = Databases { programs: Some(programs.to_owned()) };
        let store = Some("postgres://somebody/orders");
        assert_eq!(databases.source(&plan, store), Ok(None), "nothing is done to it");
        plan.faults = vec![Fault::new(Kind::ConnectionsEnded)];
        assert_eq!(databases.source(&plan, None), Ok(Some(programs)));
        let refused = |databases: &Databases, store| databases.source(&plan, store).unwrap_err();
        assert!(refused(&databases, store).contains("may not be --store's"));
        assert!(refused(&Databases::default(), None).contains("PostgreSQL server: install it"));
        plan.faults = vec![Fault::new(Kind::ClockSkew)];
        assert_eq!(databases.source(&plan, None), Ok(None), "one worker, one clock");
        plan.world.nodes = 2;
        assert_eq!(databases.source(&plan, None), Ok(Some(programs)));
        assert_eq!(databases.source(&plan, store), Ok(None));
        assert!(databases.source(&plan, Some("sqlite:f")).unwrap_err().contains("clocks"));
        plan.faults = vec![Fault::new(Kind::DiskFull)];
        assert_eq!(databases.source(&plan, Some("sqlite:orders.db")), Ok(None));
        assert!(databases.source(&plan, store).unwrap_err().contains("SQLite's file"));
    }
}
