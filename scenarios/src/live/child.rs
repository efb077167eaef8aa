//! A real process: started, listened to, stopped, killed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// A child that did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("start of {name}")]
    Start {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended, or said something else, before it said where it listens.
    #[error("{name} did not say where it listens: {said}{logged}")]
    NoGreeting {
        /// Which.
        name: String,
        /// What it said instead.
        said: String,
        /// The end of its log, which does not outlive the run.
        logged: String,
    },
    /// It could not be signalled.
    #[error("signal {signal} to {name}")]
    Signal {
        /// Which.
        name: String,
        /// The signal.
        signal: Signal,
        /// Why.
        #[source]
        source: nix::Error,
    },
}

/// A running child. Dropping it kills the process.
pub struct Child {
    name: String,
    process: tokio::process::Child,
    /// Never written to. It closes when the runner ends, however it ends, and the child with it.
    _stdin: Option<ChildStdin>,
    /// What it says after its greeting, line by line, until somebody takes it.
    pub lines: Option<Lines<BufReader<ChildStdout>>>,
}

/// How long a child may take to say where it listens, in real time.
const GREETING_MAX: Duration = Duration::from_secs(20);

/// The last line of a log, as a part of a sentence.
fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.trim_end().lines().last();
    last.map(|line| format!("; it logged: {line}")).unwrap_or_default()
}

impl Child {
    /// Starts this program itself under `arguments` and reads the first line that it says.
    /// `variables` are its whole environment: what must not show in a list of processes.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::NoGreeting`].
    pub async fn start<G: DeserializeOwned>(
        name: &str,
        arguments: Vec<OsString>,
        variables: &[(&'static str, String)],
        log: PathBuf,
    ) -> Result<(Child, G), Error> {
        let failed = |source| Error::Start { name: name.to_owned(), source };
        let program = std::env::current_exe().map_err(failed)?;
        let stderr =
            std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
        let mut process = Command::new(program)
            .args(arguments)
            // Settings of a service that its user runs are none of a drill's.
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let silent = |said: &str| Error::NoGreeting {
            name: name.to_owned(),
            said: said.to_owned(),
            logged: end_of(&log),
        };
        let stdout = process.stdout.take().ok_or_else(|| silent("no standard output"))?;
        let mut lines = BufReader::new(stdout).lines();
        #[expect(clippy::disallowed_methods, reason = "a bound on a real process's start")]
        let first = tokio::time::timeout(GREETING_MAX, lines.next_line()).await;
        let line = match first {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => return Err(silent("it ended")),
            Ok(Err(error)) => return Err(silent(&error.to_string())),
            Err(_) => return Err(silent("nothing")),
        };
        let greeting = serde_json::from_str(&line).map_err(|_| silent(&line))?;
        let stdin = process.stdin.take();
        let lines = Some(lines);
        Ok((Child { name: name.to_owned(), process, _stdin: stdin, lines }, greeting))
    }

    /// Its number, as long as it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// [`Error::Signal`]; a process that has ended is no error.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        let Some(id) = self.process.id().and_then(|id| i32::try_from(id).ok()) else {
            return Ok(());
        };
        kill(Pid::from_raw(id), signal).map_err(|source| Error::Signal {
            name: self.name.clone(),
            signal,
            source,
        })
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) {
        // An error means that it is no child of ours any longer: it has ended.
        let _ = self.process.wait().await;
    }
}
