//! `drill bench`.

use std::io::IsTerminal;

use clap::Args;

use super::run::store_url;
use super::signals::hear;
use super::{Error, Format, print, runtime};
use crate::bench::{self, Options};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// So many orders for each figure
    #[arg(long, value_name = "N", default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    orders: u32,
    /// At most so many bookings and so many messages at once; one line each
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16, 64],
        value_parser = in_flight)]
    in_flight: Vec<usize>,
    /// Each is measured so often, beside its limit; medians are shown
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Measures all of it again over so many finished orders
    #[arg(long, value_name = "N", default_value_t = 0)]
    finished: u64,
    /// A PostgreSQL server, postgres://…, on which databases are made and dropped, also those of
    /// benches that did not come to it; SQLite without it
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn in_flight(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=1000).contains(&count) => Ok(count),
        _ => Err("must be 1 to 1000".to_owned()),
    }
}

pub(super) fn bench(args: BenchArgs) -> Result<u8, Error> {
    let server = args.store.as_deref().map(store_url).transpose()?;
    if server.as_deref().is_some_and(|url| url.starts_with("sqlite:")) {
        let why = "--store must be postgres://…: SQLite's files are made by the bench itself";
        return Err(Error::Usage(why.to_owned()));
    }
    let options = Options {
        orders: args.orders,
        in_flight: args.in_flight,
        rounds: args.rounds as usize,
        finished: args.finished,
        server,
    };
    let report = runtime()?.block_on(async {
        let shown = std::io::stderr().is_terminal();
        let tell = |what: &str| {
            if shown {
                eprintln!("{what}")
            }
        };
        let report = bench::run(&options, hear()?, tell).await;
        report.map_err(Error::Bench)?.ok_or(Error::Interrupted)
    })?;
    print(&match args.format {
        Format::Human => report.human(),
        Format::Json => report.json(),
    })?;
    Ok(report.verdict().exit_code())
}
