//! `drill replay`: one plan again, and whether its history has the same bytes.

use std::path::PathBuf;

use clap::Args;

use super::{Broken, Error, Format, orders, plan, print};
use crate::history::History;
use crate::report::{self, Circumstances, Replayed};
use crate::runner;
use crate::verdict::exit;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A plan file, best one that `--out` kept: it carries the hash of its history
    #[arg(value_name = "PLAN")]
    plan: String,
    /// Your own orders, when the plan was run with them
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    #[command(flatten)]
    broken: Broken,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn replay(args: &ReplayArgs) -> Result<u8, Error> {
    let mut chosen = plan(&args.plan)?;
    let mut settings = args.broken.settings();
    if let Some(file) = &args.orders {
        let orders = orders::load(file)?;
        orders::expect(&orders, &mut chosen.plan)?;
        settings.orders = Some(orders);
    }
    let plan = chosen.plan;
    let began = runner::now();
    let history = runner::record(&plan, &settings)?;
    let real = runner::now().since(began);
    let hash = history.hash();
    let replayed = match plan.replay_hash.clone() {
        Some(expected) => Replayed { of_plan: true, identical: hash == expected, hash, expected },
        // Nothing to compare with but another run.
        None => {
            let expected = runner::record(&plan, &settings)?.hash();
            Replayed { of_plan: false, identical: hash == expected, hash, expected }
        }
    };
    let how = Circumstances {
        replay: command(args, &history),
        real,
        history_hash: Some(replayed.hash.clone()),
    };
    let result = runner::judged(history, how);
    print(&match args.format {
        Format::Human => report::human_replayed(&result, &replayed),
        Format::Json => report::json_replayed(&result, &replayed),
    })?;
    Ok(exit::worst([result.verdict.exit_code(), replayed.exit_code()]))
}

/// This very command.
fn command(args: &ReplayArgs, history: &History) -> String {
    let mut command = format!("cargo drill replay {}", runner::quoted(args.plan.as_ref()));
    if let Some(orders) = &args.orders {
        command += &format!(" --orders {}", runner::quoted(orders));
    }
    let asked = args.broken.strategy.as_deref();
    if let Some(strategy) = asked.or(history.plan.strategy.as_deref()) {
        command += &format!(" --strategy {strategy}");
    }
    if let Some(sabotage) = &history.plan.sabotage {
        command += &format!(" --sabotage {sabotage}");
    }
    command
}
