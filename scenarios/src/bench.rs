//! What the service does in a second, beside what the same machine can do at all.
//!
//! Orders are in the database when the clock starts; it stops at the last edge that is written. The
//! service is a process of its own, the fakes limit nothing, and each of an order's five steps is
//! committed before the next is taken: leased, request written down, booked with its outbox row,
//! message leased, message sent. *In flight* is what `oms serve --workers` says: at most so many
//! bookings and so many messages are worked on at once.
//!
//! The limit is measured in the same run, before each measurement of the service: on PostgreSQL
//! `pgbench`, with as many commits an order and no calls; on SQLite a bare loop that makes the same
//! calls. So a busy machine slows both, and the ratio tells. All promises are judged at the end of
//! each measurement: a service that loses orders may be as fast as it likes.

mod bare;
mod database;
mod pgbench;
mod service;
mod table;
mod usage;

use std::path::PathBuf;
use std::sync::Arc;

use clockwork::DrillClock;
use oms_core::order::Order;
use serde::Serialize;

use crate::plan::Plan;
use crate::prove::Machine;
use crate::server::{self, Server};
use crate::verdict::Verdict;
use crate::{live, workload};
use bare::Commits;
use database::Database;
use pgbench::Pgbench;
use service::Bench;

/// The steps of an order, each durable before the next.
pub const COMMITS: usize = 5;

/// How long `pgbench` runs for one figure, in seconds.
const PGBENCH_SECONDS: u32 = 3;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// Orders of one measurement.
    pub orders: u32,
    /// How many in flight, one measurement each.
    pub in_flight: Vec<usize>,
    /// Each is measured so often; the median counts.
    pub rounds: usize,
    /// Measured again over so many finished orders, if any.
    pub finished: u64,
    /// A server of PostgreSQL's, in place of SQLite: `postgres://…`. Databases of the bench's own
    /// are made on it, and dropped.
    pub server: Option<String>,
}

/// A bench that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The parts that it shares with live runs.
    #[error(transparent)]
    Live(#[from] live::Error),
    /// A file could not be written.
    #[error("`{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a URL of PostgreSQL's. It is not repeated: it may hold a password.
    #[error("not a PostgreSQL URL")]
    NoUrl,
    /// The limit cannot be measured.
    #[error("no `pgbench` on the PATH, nor beside PostgreSQL's other programs")]
    NoPgbench,
    /// `pgbench` did not come to its end.
    #[error("pgbench: {said}")]
    Pgbench {
        /// Its last words.
        said: String,
    },
    /// The bare loop did not come to its end.
    #[error("bare loop: {0}")]
    Bare(&'static str),
    /// The bench's own SQLite file.
    #[error("SQLite file of the bench")]
    Sqlite(#[from] rusqlite::Error),
    /// The bench's own use of PostgreSQL.
    #[error("PostgreSQL")]
    Postgres(#[from] sqlx::Error),
    /// A database of the bench's own.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// Orders could not be taken in.
    #[error("orders were not taken in")]
    Intake(#[source] oms_core::store::Error),
}

impl Error {
    /// Whether what was asked for cannot be done, rather than that it went wrong.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Error::NoUrl
                | Error::NoPgbench
                | Error::Server(server::Error::NoUrl | server::Error::Unreached { .. })
        )
    }
}

/// All that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `sqlite` or `postgres`.
    pub store: &'static str,
    /// Orders of one measurement.
    pub orders: u32,
    /// Commits of an order.
    pub commits: usize,
    /// Measurements of which each figure is the median.
    pub rounds: usize,
    /// One a number in flight, and a number of finished orders.
    pub lines: Vec<Line>,
    /// Where and when.
    pub machine: Machine,
}

/// The version of the JSON.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    exit_code: u8,
    #[serde(flatten)]
    report: &'a Report,
}

impl Report {
    /// For programs.
    pub fn json(&self) -> String {
        let (schema_version, exit_code) = (SCHEMA_VERSION, self.verdict().exit_code());
        let document = Document { schema_version, exit_code, report: self };
        // Texts and numbers: nothing that JSON cannot write.
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }

    /// For people; may change.
    pub fn human(&self) -> String {
        table::human(self)
    }

    /// The worst that came of it.
    pub fn verdict(&self) -> Verdict {
        self.lines.iter().map(|line| line.verdict).max().unwrap_or(Verdict::Inconclusive)
    }
}

/// Medians of one number in flight. Each ratio is the median of the rounds' own ratios.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// At most so many bookings and so many messages at once.
    pub in_flight: usize,
    /// Finished orders that were in the tables before.
    pub finished: u64,
    /// What the service did.
    pub orders_per_second: f64,
    /// What the limit did: `pgbench`, or the bare loop with commits grouped.
    pub limit_per_second: f64,
    /// The one over the other.
    pub ratio: f64,
    /// SQLite: the bare loop with each step committed by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_by_one_per_second: Option<f64>,
    /// CPU time of the service's process for an order, in milliseconds.
    pub cpu_ms_per_order: Option<f64>,
    /// The most memory that the process had, in bytes.
    pub peak_bytes: Option<u64>,
    /// By how much that is more than what it had before the first order, for each order.
    pub bytes_per_order: Option<f64>,
    /// Orders taken in a second before, by `oms ingest`'s own code.
    pub taken_in_per_second: f64,
    /// What the promises say.
    pub verdict: Verdict,
    /// What they say against it.
    pub reasons: Vec<String>,
}

/// Measures; `None` when `end` came first. Nothing that was made on a server is left behind.
///
/// # Errors
/// [`Error`]; a promise that fell is a verdict, not an error.
pub async fn run(
    options: &Options,
    end: impl Future<Output = ()>,
    tell: impl FnMut(&str),
) -> Result<Option<Report>, Error> {
    let server = match &options.server {
        Some(url) => Some(Server::use_it(url, "bench").await?),
        None => None,
    };
    let report = tokio::select! {
        biased;
        // What is dropped then takes its processes and files with it.
        () = end => None,
        report = measure(options, server.as_ref(), tell) => Some(report),
    };
    let cleared = match server {
        Some(server) => server.clear().await,
        None => Ok(()),
    };
    let report = report.transpose()?;
    cleared?;
    Ok(report)
}

async fn measure(
    options: &Options,
    server: Option<&Server>,
    mut tell: impl FnMut(&str),
) -> Result<Report, Error> {
    let folder =
        tempfile::tempdir().map_err(|source| Error::File { path: std::env::temp_dir(), source })?;
    let clock = Arc::new(DrillClock::starting_at(Plan::healthy("bench", 1).start));
    let bench = Bench { orders: options.orders, folder: folder.path().to_owned(), clock };
    let limit = Limit::set_up(&bench, server).await?;
    let mut lines = Vec::new();
    let mut histories = vec![0];
    histories.extend((options.finished > 0).then_some(options.finished));
    for finished in histories {
        let full = match finished {
            0 => None,
            _ => {
                tell(&format!("writing {finished} finished orders"));
                Some(past(&bench, server, finished).await?)
            }
        };
        for in_flight in &options.in_flight {
            let mut rounds = Vec::new();
            for round in 1..=options.rounds {
                tell(&format!("{in_flight} in flight, round {round}, {finished} finished"));
                let name = format!("b{finished}_{in_flight}_{round}");
                let limit = limit.measure(&bench, *in_flight, &name).await?;
                let database = match &full {
                    Some(full) => full.clone(),
                    None => Database::make(&bench.folder, server, &name).await?,
                };
                let measured = bench.measure(&database, *in_flight, &name).await?;
                if full.is_none() {
                    database.drop_it(server).await?;
                }
                rounds.push(line(measured, limit, *in_flight, finished));
            }
            lines.push(median(rounds));
        }
    }
    Ok(Report {
        store: if server.is_some() { "postgres" } else { "sqlite" },
        orders: options.orders,
        commits: COMMITS,
        rounds: options.rounds,
        lines,
        machine: Machine::here(),
    })
}

/// A database with so many finished orders: one goes its whole way, and is multiplied.
async fn past(bench: &Bench, server: Option<&Server>, finished: u64) -> Result<Database, Error> {
    let database = Database::make(&bench.folder, server, "past").await?;
    let first = Bench { orders: 1, ..bench.clone() };
    first.measure(&database, 1, "past").await?;
    database.multiply(&first.plan(1, "past").workload.id(1), finished).await?;
    Ok(database)
}

/// What the machine can do.
enum Limit {
    Bare,
    Pgbench(Pgbench),
}

/// What it did for one measurement.
struct Limits {
    per_second: f64,
    one_by_one: Option<f64>,
}

impl Limit {
    async fn set_up(bench: &Bench, server: Option<&Server>) -> Result<Limit, Error> {
        if server.is_none() {
            return Ok(Limit::Bare);
        }
        let database = Database::make(&bench.folder, server, "limit").await?;
        let pgbench = Pgbench::set_up(&database.url(), &bench.folder).await?;
        Ok(Limit::Pgbench(pgbench))
    }

    async fn measure(&self, bench: &Bench, in_flight: usize, name: &str) -> Result<Limits, Error> {
        if let Limit::Pgbench(pgbench) = self {
            let per_second = pgbench.orders_per_second(in_flight, PGBENCH_SECONDS).await?;
            return Ok(Limits { per_second, one_by_one: None });
        }
        let per_second = bench.measure_bare(in_flight, Commits::Grouped, name).await?;
        let one_by_one = Some(bench.measure_bare(in_flight, Commits::OneByOne, name).await?);
        Ok(Limits { per_second, one_by_one })
    }
}

fn line(measured: service::Measured, limit: Limits, in_flight: usize, finished: u64) -> Line {
    let (before, after) = (measured.before, measured.after);
    let orders = f64::from(measured.orders);
    let used = |of: fn(usage::Usage, usage::Usage) -> f64| Some(of(before?, after?) / orders);
    Line {
        in_flight,
        finished,
        orders_per_second: measured.per_second,
        limit_per_second: limit.per_second,
        ratio: measured.per_second / limit.per_second,
        one_by_one_per_second: limit.one_by_one,
        cpu_ms_per_order: used(|before, after| {
            after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1000.0
        }),
        peak_bytes: after.map(|after| after.peak),
        bytes_per_order: used(|before, after| after.peak.saturating_sub(before.resident) as f64),
        taken_in_per_second: measured.taken_in_per_second,
        verdict: measured.verdict,
        reasons: measured.reasons,
    }
}

/// The medians of several rounds; of verdicts the worst.
fn median(rounds: Vec<Line>) -> Line {
    let of = |figure: fn(&Line) -> Option<f64>| -> Option<f64> {
        let mut figures: Vec<f64> = rounds.iter().filter_map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    };
    let worst = rounds.iter().max_by_key(|line| line.verdict);
    let first = rounds.first();
    Line {
        in_flight: first.map_or(0, |line| line.in_flight),
        finished: first.map_or(0, |line| line.finished),
        orders_per_second: of(|line| Some(line.orders_per_second)).unwrap_or_default(),
        limit_per_second: of(|line| Some(line.limit_per_second)).unwrap_or_default(),
        ratio: of(|line| Some(line.ratio)).unwrap_or_default(),
        one_by_one_per_second: of(|line| line.one_by_one_per_second),
        cpu_ms_per_order: of(|line| line.cpu_ms_per_order),
        peak_bytes: rounds.iter().filter_map(|line| line.peak_bytes).max(),
        bytes_per_order: of(|line| line.bytes_per_order),
        taken_in_per_second: of(|line| Some(line.taken_in_per_second)).unwrap_or_default(),
        verdict: worst.map_or(Verdict::Inconclusive, |line| line.verdict),
        reasons: worst.map(|line| line.reasons.clone()).unwrap_or_default(),
    }
}

/// The orders of a plan, as the core reads them.
fn orders_of(plan: &Plan) -> Result<Vec<Order>, Error> {
    let read = |offer: workload::Offer| Order::from_json(offer.body.as_bytes());
    let orders = workload::generate(plan).into_iter().map(read);
    orders.collect::<Result<_, _>>().map_err(|_| Error::Bare("an order that is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(per_second: f64, verdict: Verdict) -> Line {
        let measured = service::Measured {
            orders: 10,
            per_second,
            taken_in_per_second: 1.0,
            before: None,
            after: None,
            verdict,
            reasons: Vec::new(),
        };
        line(measured, Limits { per_second: 100.0, one_by_one: None }, 16, 0)
    }

    #[test]
    fn the_median_counts_and_of_verdicts_the_worst() {
        let rounds = [(50.0, Verdict::Held), (200.0, Verdict::Violated), (80.0, Verdict::Held)];
        let line = median(rounds.map(|(speed, verdict)| round(speed, verdict)).into());
        assert_eq!((line.orders_per_second, line.ratio), (80.0, 0.8));
        assert_eq!((line.verdict, line.in_flight), (Verdict::Violated, 16));
        assert_eq!(line.cpu_ms_per_order, None);
    }
}
