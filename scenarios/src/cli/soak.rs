//! `drill soak`.

use std::time::Duration;

use clap::Args;

use super::run::{print_results, speed, store_url};
use super::signals::told_to_end;
use super::{Broken, Error, Format, runtime};
use crate::explore::Seed;
use crate::live::{self, Brokers, Databases};
use crate::runner;
use crate::soak::{self, FALL_EVERY};

/// Kills of workers, unless it is said otherwise.
const KILLS: u32 = 100;

#[derive(Debug, Args)]
pub(super) struct SoakArgs {
    /// Workers are killed so often, and a quarter as often stopped for a while; 100 without it
    #[arg(long, value_name = "N", conflicts_with = "lasting",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    kills: Option<u32>,
    /// Load and falls for so long, in real time: four kills to a stop
    #[arg(long = "for", value_name = "TIME", value_parser = humantime_serde::re::humantime::parse_duration)]
    lasting: Option<Duration>,
    /// A database in place of a fresh file, sqlite:PATH or postgres://…, without orders
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The database is restarted now and then too; live it is a private PostgreSQL server, for nobody's
    /// own is ended
    #[arg(long, conflicts_with = "store")]
    restarts: bool,
    /// Drill seconds in a real second
    #[arg(long, value_name = "FACTOR", default_value_t = live::SPEED, value_parser = speed)]
    speed: f64,
    /// All chance comes from here
    #[arg(long, value_name = "N|HASH", default_value = "1")]
    seed: Seed,
    /// In virtual time, without processes
    #[arg(long, conflicts_with_all = ["store", "speed"])]
    simulated: bool,
    /// Keeps plan, history and verdict in DIR/soak/
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,
    #[command(flatten)]
    broken: Broken,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn soak(args: SoakArgs) -> Result<u8, Error> {
    let spans = |lasting: Duration| lasting.mul_f64(args.speed).div_duration_f64(FALL_EVERY);
    // Beyond all numbers it is as many as there are.
    let lasting = args.lasting.map(|lasting| soak::kills(spans(lasting).ceil() as u32));
    let kills = lasting.or(args.kills).unwrap_or(KILLS).max(1);
    let mut plan = soak::plan(args.seed.number, kills);
    if args.restarts {
        plan = soak::restarting(plan);
    }
    let asked = runner::Soak { kills, restarts: args.restarts, store: args.store.clone() };
    let settings =
        runner::Settings { out: args.out.clone(), soak: Some(asked), ..args.broken.settings() };
    if args.simulated {
        return print_results(vec![runner::simulate(&plan, &settings)], args.format);
    }
    plan = soak::live(plan, args.speed);
    let store = args.store.as_deref().map(store_url).transpose()?;
    let options = live::Options {
        speed: args.speed,
        store,
        brokers: Brokers::look(None),
        databases: Databases::look(),
    };
    let result = runtime()?.block_on(async {
        tokio::select! {
            biased;
            // What is dropped then takes its processes and files with it.
            told = told_to_end() => told.and(Err(Error::Interrupted)),
            result = runner::run_live(&plan, &settings, &options) => Ok(result),
        }
    })?;
    print_results(vec![result], args.format)
}
