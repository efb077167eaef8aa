//! `drill run`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use clockwork::DrillClock;
use faults::Target;
use futures_util::StreamExt;
use humantime::format_duration;

use super::progress::Progress;
use super::signals::told_to_end;
use super::{Broken, Chosen, Error, Format, jobs, orders, plans, print, runtime, tell};
use crate::explore::Seed;
use crate::live::{self, Brokers, Databases};
use crate::plan::Plan;
use crate::report::{self, DrillResult};
use crate::runner::{self, Settings};
use crate::server::{self, Server};
use crate::strategies::{self, Strategy};
use crate::verdict::{Verdict, exit};

/// A live drill that takes longer, in real time, says how long it may take.
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Drills of the catalogue, or plan files; all drills when none is named
    #[arg(value_name = "NAME|FILE")]
    drills: Vec<String>,
    /// With real sockets, a real database file and real processes
    #[arg(long)]
    live: bool,
    /// Live: drill seconds in a real second
    #[arg(long, value_name = "FACTOR", requires = "live", default_value_t = live::SPEED,
        value_parser = speed)]
    speed: f64,
    /// Live: so many drills at once
    #[arg(long, value_name = "N", requires = "live", default_value_t = live::AT_ONCE,
        value_parser = jobs)]
    jobs: NonZeroUsize,
    /// Live: a drill that proved nothing, since this machine missed a moment that it waits for, is
    /// run again until it was run so often; what fell is never run again
    #[arg(long, value_name = "N", requires = "live", default_value = "1")]
    tries: NonZeroUsize,
    /// Live: a database in place of a fresh file, sqlite:PATH or postgres://…, without orders.
    /// Several drills have each a database of their own on that server, made and dropped
    #[arg(long, value_name = "URL", requires = "live")]
    store: Option<String>,
    /// Live: the message broker of strategies that have a queue, a NATS server with JetStream;
    /// without it DRILLSHIP_NATS names one, or a private `nats-server` is started
    #[arg(long, value_name = "URL", requires = "live")]
    broker: Option<String>,
    /// What has not settled so long after the last order came is given up, in place of the plan's
    /// own patience: live it is waited for, two hours of a drill being six minutes at 20 times
    #[arg(long, value_name = "TIME", value_parser = patience)]
    patience: Option<Duration>,
    /// Draws all chance from another seed than the plan's: a number, or a git hash
    #[arg(long, value_name = "N|HASH")]
    seed: Option<Seed>,
    /// Your own orders as the workload, JSONL or CSV; without a drill named, of a run in which
    /// nothing fails
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// Keeps plan, history and verdict of each drill in DIR/DRILL/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    broken: Broken,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: RunArgs) -> Result<u8, Error> {
    let orders = args.orders.as_deref().map(orders::load).transpose()?;
    let mut drills = match (&orders, args.drills.is_empty()) {
        (Some(orders), true) => vec![orders::healthy_plan(orders).into()],
        _ => plans(&args.drills)?,
    };
    for Chosen { plan, .. } in &mut drills {
        if let Some(orders) = &orders {
            orders::expect(orders, plan)?;
        }
        plan.seed = args.seed.as_ref().map_or(plan.seed, |seed| seed.number);
        plan.world.patience = args.patience.unwrap_or(plan.world.patience);
    }
    if args.out.is_some() {
        refuse_twins(&drills)?;
    }
    let (out, patience) = (args.out.clone(), args.patience);
    let settings = Settings { orders, out, patience, ..args.broken.settings() };
    let results = match args.live {
        false => simulate(possible(drills, settings.strategy)?, &settings),
        true => run_live(&args, drills, &settings)?,
    };
    print_results(results, args.format)
}

/// Two drills of one name would be kept in one folder.
fn refuse_twins(drills: &[Chosen]) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    match drills.iter().find(|drill| !names.insert(drill.plan.name.as_str())) {
        Some(Chosen { plan, .. }) => {
            let why = format!("--out keeps a folder for each name, and two are `{}`", plan.name);
            Err(Error::Usage(why))
        }
        None => Ok(()),
    }
}

/// Tells what came out. A drill that could not be run hides no other drill's verdict.
pub(super) fn print_results(
    results: Vec<Result<DrillResult, runner::Error>>,
    format: Format,
) -> Result<u8, Error> {
    let mut judged = Vec::new();
    let mut failed = Vec::new();
    let mut codes = Vec::new();
    for result in results {
        match result {
            Ok(result) => {
                codes.push(result.verdict.exit_code());
                judged.push(result);
            }
            Err(error) => failed.push(Error::Run(error)),
        }
    }
    if !judged.is_empty() {
        print(&match format {
            Format::Human => report::human(&judged),
            Format::Json => report::json(&judged),
        })?;
    }
    // Last, where whoever reads a long report's end sees them.
    codes.extend(failed.iter().map(tell));
    if !failed.is_empty() && !judged.is_empty() {
        eprintln!("{} of {} drills could not be run", failed.len(), failed.len() + judged.len());
    }
    Ok(exit::worst(codes))
}

/// Without the drills of which no fault can be done under the strategy that was asked for.
fn possible(
    drills: Vec<Chosen>,
    strategy: Option<&'static Strategy>,
) -> Result<Vec<Chosen>, Error> {
    let Some(strategy) = strategy.filter(|strategy| !strategy.queue) else { return Ok(drills) };
    let of_a_queue = |plan: &Plan| {
        let mut faults = plan.faults.iter();
        !plan.faults.is_empty() && faults.all(|fault| fault.kind.target() == Target::Queue)
    };
    let (cannot, can): (Vec<Chosen>, Vec<Chosen>) =
        drills.into_iter().partition(|drill| of_a_queue(&drill.plan));
    let why = format!("its faults are of a queue, and `{}` has none", strategy.name);
    for Chosen { plan, .. } in &cannot {
        eprintln!("skipped: {}: {why}", plan.name);
    }
    match can.is_empty() {
        true => Err(Error::Usage(format!("no drill is left to run: {why}"))),
        false => Ok(can),
    }
}

fn simulate(drills: Vec<Chosen>, settings: &Settings) -> Vec<Result<DrillResult, runner::Error>> {
    let mut progress = Progress::new(drills.len());
    let mut results = Vec::new();
    for Chosen { plan, file } in drills {
        progress.begins(&plan.name);
        let settings = Settings { plan_file: file, ..settings.clone() };
        results.push(runner::simulate(&plan, &settings));
        progress.ends(&plan.name);
    }
    results
}

fn run_live(
    args: &RunArgs,
    drills: Vec<Chosen>,
    settings: &Settings,
) -> Result<Vec<Result<DrillResult, runner::Error>>, Error> {
    let store = args.store.as_deref().map(store_url).transpose()?;
    let server = server_for_many(args, &drills, store.as_deref())?;
    let broker = args.broker.as_deref().map(broker_url).transpose()?;
    let options = live::Options {
        speed: args.speed,
        store,
        brokers: Brokers::look(broker),
        databases: Databases::look(),
    };
    let many = server.is_some();
    let why_not = |plan: &Plan| {
        let strategy = settings.strategy.unwrap_or_else(|| strategies::of(plan));
        let on_its_own = many && options.databases.has_its_own(plan);
        let store = options.store.clone().filter(|_| !on_its_own);
        live::why_not_here(plan, strategy, &live::Options { store, ..options.clone() })
    };
    let (can, cannot): (Vec<Chosen>, Vec<Chosen>) =
        drills.into_iter().partition(|drill| why_not(&drill.plan).is_none());
    for Chosen { plan, .. } in &cannot {
        eprintln!("skipped live: {}: {}", plan.name, why_not(plan).unwrap_or_default());
    }
    if can.is_empty() {
        return Err(Error::Usage("none of these drills can be run live".to_owned()));
    }
    runtime()?.block_on(async {
        let server = match server {
            Some(url) => Some(Server::use_it(&url, "drill").await.map_err(Error::Server)?),
            None => None,
        };
        let results = tokio::select! {
            biased;
            // What is dropped then takes its processes and files with it.
            told = told_to_end() => told.and(Err(Error::Interrupted)),
            results = live_results(can, settings, &options, args, server.as_ref()) => Ok(results),
        };
        if let Some(server) = server
            && let Err(error) = server.clear().await
        {
            eprintln!("--store: {error}; the next run of many drills drops them");
        }
        results
    })
}

/// The server of `--store` when there is more than one run: each has a database of its own on it, for it
/// begins with no orders.
fn server_for_many(
    args: &RunArgs,
    drills: &[Chosen],
    store: Option<&str>,
) -> Result<Option<String>, Error> {
    let what = match (drills.len(), args.tries.get()) {
        (2.., _) => "one drill: each",
        (_, 2..) => "one try: a drill",
        _ => return Ok(None),
    };
    match store {
        Some(file) if file.starts_with("sqlite:") => {
            Err(Error::Usage(format!("--store sqlite:PATH takes {what} begins with no orders")))
        }
        server => Ok(server.map(str::to_owned)),
    }
}

/// Runs the drills, a few at once: a live run mostly waits.
async fn live_results(
    drills: Vec<Chosen>,
    settings: &Settings,
    options: &live::Options,
    args: &RunArgs,
    server: Option<&Server>,
) -> Vec<Result<DrillResult, runner::Error>> {
    let progress = Mutex::new(Progress::new(drills.len()));
    let tell = |what: fn(&mut Progress, &str), name: &str| {
        what(&mut progress.lock().unwrap_or_else(PoisonError::into_inner), name);
    };
    let runs = drills.into_iter().enumerate().map(|(place, Chosen { plan, file })| async move {
        tell(Progress::begins, &plan.name);
        let settings = Settings { plan_file: file, ..settings.clone() };
        let result = live_result(&plan, &settings, options, args.tries, server).await;
        tell(Progress::ends, &plan.name);
        (place, result)
    });
    // As they end, so that a long one holds up no others; told in their own order.
    let runs = futures_util::stream::iter(runs).buffer_unordered(args.jobs.get());
    let mut results: Vec<_> = runs.collect().await;
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs a drill until it proves something, at most `tries` times.
async fn live_result(
    plan: &Plan,
    settings: &Settings,
    options: &live::Options,
    tries: NonZeroUsize,
    server: Option<&Server>,
) -> Result<DrillResult, runner::Error> {
    let mut tried = 1;
    loop {
        let result = match server {
            Some(server) => on_a_server(plan, settings, options, server).await?,
            None => {
                told_when_long(plan, options, runner::run_live(plan, settings, options)).await?
            }
        };
        if result.verdict != Verdict::Inconclusive || tried >= tries.get() {
            return Ok(DrillResult { tries: tried, ..result });
        }
        tried += 1;
    }
}

/// Runs a drill on a database that is made for it, or on a server of its own where it must have one.
async fn on_a_server(
    plan: &Plan,
    settings: &Settings,
    options: &live::Options,
    server: &Server,
) -> Result<DrillResult, runner::Error> {
    let failed = |source: server::Error| {
        let (drill, source) = (plan.name.clone(), Box::new(live::Error::from(source)));
        runner::Error::Live { drill, source }
    };
    let store = match options.databases.has_its_own(plan) {
        true => None,
        false => Some(server.make().await.map_err(failed)?),
    };
    let options = live::Options { store, ..options.clone() };
    let result = told_when_long(plan, &options, runner::run_live(plan, settings, &options)).await;
    if let Some(store) = &options.store {
        // What was found out is not lost for it: the server is cleared at the end, and that is told.
        let _ = server.drop_it(store).await;
    }
    result
}

/// Waits for `run`; where it takes long, which may be all of its plan's patience, that is said.
async fn told_when_long<T>(
    plan: &Plan,
    options: &live::Options,
    run: impl Future<Output = T>,
) -> T {
    let mut run = std::pin::pin!(run);
    let real = DrillClock::from_spec(None);
    if let Ok(came_to) = clockwork::timeout(&real, LONG, &mut run).await {
        return came_to;
    }
    let patience = plan.world.patience;
    let most = Duration::from_secs(patience.div_f64(options.speed).as_secs());
    let (name, patience, most) = (&plan.name, format_duration(patience), format_duration(most));
    eprintln!(
        "{name} has not settled yet; its patience of {patience} is {most} at {} times: \
         --patience gives up earlier",
        options.speed
    );
    run.await
}

/// A time that is more than nothing.
fn patience(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    if time.is_zero() { Err("must be more than nothing".to_owned()) } else { Ok(time) }
}

pub(super) fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|error| format!("{error}"))?;
    (1.0..=1000.0).contains(&speed).then_some(speed).ok_or_else(|| "must be 1 to 1000".to_owned())
}

/// The value of `--store`, written the one way that all parts of a run read.
pub(super) fn store_url(text: &str) -> Result<String, Error> {
    // What was given is not repeated, as clap would: another scheme's URL may hold a password.
    let refused = |why: &str| Error::Usage(format!("--store {why}"));
    let servers = ["postgres://", "postgresql://"];
    if servers.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|it| !it.is_empty())) {
        return Ok(text.to_owned());
    }
    let path = text.strip_prefix("sqlite:");
    let path = path.ok_or_else(|| refused("must be sqlite:PATH or postgres://…"))?;
    match path.strip_prefix("//").unwrap_or(path) {
        "" => Err(refused("names no file")),
        ":memory:" => Err(refused("must be a file, which several processes share")),
        path => Ok(format!("sqlite:{path}")),
    }
}

/// The value of `--broker`.
fn broker_url(text: &str) -> Result<String, Error> {
    // What was given is not repeated: it may hold a password.
    let host = text.strip_prefix("nats://").filter(|host| !host.is_empty());
    let refused = || Error::Usage("--broker must be nats://[USER:PASSWORD@]HOST:PORT".to_owned());
    host.map(|_| text.to_owned()).ok_or_else(refused)
}
