//! The limit of a PostgreSQL server: `pgbench`, with as many commits an order as the service has
//! steps, one by one, and nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use reqwest::Url;
use tokio::process::Command;

use super::Error;
use super::database::execute;

/// Rows of the table that it works on: so many that two clients hardly meet on one.
const ROWS: u32 = 100_000;

/// Where distributions put PostgreSQL's programs, if not on the PATH.
const DISTRIBUTION: &str = "/usr/lib/postgresql";

/// The five steps of an order, each a commit: leased, request written down, booked with its outbox
/// row, message leased, message sent.
const SCRIPT: &str = "\
\\set id random(1, 100000)
UPDATE limit_orders SET worker = 'w', due_at = :id, token = token + 1 WHERE id = :id;
UPDATE limit_orders SET state = 'intended', request = repeat('x', 900) WHERE id = :id;
WITH booked AS (UPDATE limit_orders SET state = 'booked', worker = NULL, due_at = NULL WHERE id = :id) \
INSERT INTO limit_notices (id, state, due_at) VALUES (:id, 'queued', :id) ON CONFLICT (id) DO UPDATE SET due_at = :id;
UPDATE limit_notices SET state = 'sending', worker = 'w', due_at = :id WHERE id = :id;
UPDATE limit_notices SET state = 'sent', worker = NULL, due_at = NULL WHERE id = :id;
";

const TABLES: &str = "
    CREATE TABLE limit_orders (id bigint PRIMARY KEY, state text NOT NULL, request text,
        worker text, token bigint NOT NULL DEFAULT 0, due_at bigint);
    CREATE TABLE limit_notices (id bigint PRIMARY KEY, state text NOT NULL, worker text,
        due_at bigint);";

/// `pgbench` and a database for it.
pub(super) struct Pgbench {
    program: PathBuf,
    script: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Pgbench {
    /// Makes its tables in the database at `url`; its script is kept in `folder`.
    pub(super) async fn set_up(url: &str, folder: &Path) -> Result<Pgbench, Error> {
        let program = find().ok_or(Error::NoPgbench)?;
        let script = folder.join("order.pgbench");
        std::fs::write(&script, SCRIPT)
            .map_err(|source| Error::File { path: script.clone(), source })?;
        execute(url, TABLES).await?;
        let rows = format!(
            "INSERT INTO limit_orders (id, state)
             SELECT id, 'planned' FROM generate_series(1, {ROWS}) AS id"
        );
        execute(url, &rows).await?;
        Ok(Pgbench { program, script, variables: variables(url)? })
    }

    /// Orders a second with `clients` at once.
    pub(super) async fn orders_per_second(
        &self,
        clients: usize,
        seconds: u32,
    ) -> Result<f64, Error> {
        let count = |number: usize| -> OsString { number.to_string().into() };
        let threads = clients.min(crate::crew::threads().get());
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--file"])
            .arg(&self.script)
            .arg("--client")
            .arg(count(clients))
            .arg("--jobs")
            .arg(count(threads))
            .args(["--time", &seconds.to_string()])
            // In the environment: arguments show in the list of processes.
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| Error::Pgbench { said: source.to_string() })?;
        let said = String::from_utf8_lossy(&output.stdout);
        tps(&said).filter(|_| output.status.success()).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            Error::Pgbench { said: said.lines().last().unwrap_or_default().to_owned() }
        })
    }
}

/// The figure that `pgbench` prints.
fn tps(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

/// On the PATH, or beside a server's other programs, newest first.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("pgbench"));
    let versions = std::fs::read_dir(DISTRIBUTION).into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path()).collect();
    versions.sort();
    let beside = versions.into_iter().rev().map(|version| version.join("bin/pgbench"));
    on_path.chain(beside).find(|program| program.is_file())
}

/// A database's URL as the variables that PostgreSQL's programs read.
fn variables(url: &str) -> Result<Vec<(&'static str, String)>, Error> {
    let url: Url = url.parse().map_err(|_| Error::NoUrl)?;
    let host = url.host_str().unwrap_or("127.0.0.1").to_owned();
    let mut variables = vec![
        ("PGHOST", host),
        ("PGPORT", url.port().unwrap_or(5432).to_string()),
        ("PGDATABASE", decoded(url.path().trim_start_matches('/'))),
    ];
    if !url.username().is_empty() {
        variables.push(("PGUSER", decoded(url.username())));
    }
    if let Some(password) = url.password() {
        variables.push(("PGPASSWORD", decoded(password)));
    }
    Ok(variables)
}

/// A part of a URL without its `%` escapes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_variables_without_escapes() {
        let found = variables("postgres://u:p%40%2F@h:5433/db").unwrap();
        let expected = [
            ("PGHOST", "h"),
            ("PGPORT", "5433"),
            ("PGDATABASE", "db"),
            ("PGUSER", "u"),
            ("PGPASSWORD", "p@/"),
        ];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_figure_of_pgbench_is_read() {
        let said = "latency average = 1.0 ms\ntps = 742.190000 (without initial connection time)\n";
        assert_eq!(tps(said), Some(742.19));
        assert_eq!(tps("tps = none"), None);
    }

    #[test]
    fn it_commits_as_often_as_the_service_has_steps() {
        let statements = SCRIPT.lines().filter(|line| line.ends_with(';')).count();
        assert_eq!(statements, super::super::COMMITS);
        assert!(SCRIPT.contains(&ROWS.to_string()));
    }
}
