//! `drill run`.

use std::path::PathBuf;

use clap::Args;

use super::progress::Progress;
use super::{Broken, Error, Format, orders, plans, print};
use crate::live;
use crate::plan::Plan;
use crate::report::{self, DrillResult};
use crate::runner::{self, Settings};
use crate::verdict::exit;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Drills of the catalogue, or plan files; all drills when none is named
    #[arg(value_name = "NAME|FILE")]
    drills: Vec<String>,
    /// With real sockets, a real database file and real processes
    #[arg(long)]
    live: bool,
    /// Live: drill seconds in a real second
    #[arg(long, value_name = "FACTOR", requires = "live", default_value_t = live::SPEED)]
    speed: f64,
    /// Live: so many drills at once
    #[arg(long, value_name = "N", requires = "live", default_value_t = live::AT_ONCE)]
    jobs: usize,
    /// Live: a database in place of a fresh file, sqlite:PATH; for one drill at a time
    #[arg(long, value_name = "URL", requires = "live")]
    store: Option<String>,
    /// Draws all chance from another seed than the plan's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
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
    let mut plans = match (&args.orders, args.drills.is_empty()) {
        (Some(_), true) => vec![orders::healthy_plan()],
        _ => plans(&args.drills)?,
    };
    let mut settings = Settings { sabotage: args.broken.sabotage(), ..Settings::default() };
    settings.out.clone_from(&args.out);
    if let Some(file) = &args.orders {
        settings.offers = Some(orders::load(file, &mut plans)?);
    }
    if let Some(seed) = args.seed {
        // As a plan file, which TOML could not hold otherwise.
        i64::try_from(seed).map_err(|_| Error::Usage("--seed must be below 2^63".to_owned()))?;
        plans.iter_mut().for_each(|plan| plan.seed = seed);
    }
    let results = match args.live {
        false => simulate(&plans, &settings)?,
        true => run_live(&args, &plans, &settings)?,
    };
    print(&match args.format {
        Format::Human => report::human(&results),
        Format::Json => report::json(&results),
    })?;
    Ok(exit::worst(results.iter().map(|result| result.verdict.exit_code())))
}

fn simulate(plans: &[Plan], settings: &Settings) -> Result<Vec<DrillResult>, Error> {
    let mut progress = Progress::new(plans.len());
    let mut results = Vec::new();
    for plan in plans {
        progress.begins(&plan.name);
        results.push(runner::simulate(plan, settings)?);
        progress.ends(&plan.name);
    }
    Ok(results)
}

fn run_live(
    args: &RunArgs,
    plans: &[Plan],
    settings: &Settings,
) -> Result<Vec<DrillResult>, Error> {
    if !(1.0..=1000.0).contains(&args.speed) {
        return Err(Error::Usage("--speed must be 1 to 1000".to_owned()));
    }
    if args.store.is_some() && plans.len() > 1 {
        return Err(Error::Usage("--store takes one drill: each begins with no orders".to_owned()));
    }
    let options = live::Options { speed: args.speed, store: args.store.clone() };
    let failed = |source| Error::Io { what: "asynchronous runtime".to_owned(), source };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let (can, cannot): (Vec<&Plan>, Vec<&Plan>) =
        plans.iter().partition(|plan| live::can_run(plan));
    for plan in &cannot {
        eprintln!("skipped live: {}: all its faults exist in simulation only", plan.name);
    }
    if can.is_empty() {
        return Err(Error::Usage("none of these drills can be run live".to_owned()));
    }
    runtime.block_on(live_results(&can, settings, &options, args.jobs.max(1)))
}

/// Runs the drills, a few at once: a live run mostly waits.
async fn live_results(
    plans: &[&Plan],
    settings: &Settings,
    options: &live::Options,
    at_once: usize,
) -> Result<Vec<DrillResult>, Error> {
    use futures_util::StreamExt;

    let progress = std::sync::Mutex::new(Progress::new(plans.len()));
    let tell = |what: fn(&mut Progress, &str), name: &str| {
        what(&mut progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner), name);
    };
    let runs = plans.iter().map(|plan| async move {
        tell(Progress::begins, &plan.name);
        let result = runner::run_live(plan, settings, options).await;
        tell(Progress::ends, &plan.name);
        result
    });
    let results: Vec<_> = futures_util::stream::iter(runs).buffered(at_once).collect().await;
    Ok(results.into_iter().collect::<Result<_, _>>()?)
}
