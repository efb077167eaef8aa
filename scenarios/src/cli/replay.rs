//! `drill replay`: one plan again, and whether its history has the same bytes.

use clap::Args;

use super::{Broken, Error, plan, print};
use crate::report;
use crate::runner::{self, Settings};
use crate::verdict::exit;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A plan file, best one that `--out` kept: it carries the hash of its history
    #[arg(value_name = "PLAN")]
    plan: String,
    #[command(flatten)]
    broken: Broken,
}

pub(super) fn replay(args: &ReplayArgs) -> Result<u8, Error> {
    let plan = plan(&args.plan)?;
    let settings = Settings { sabotage: args.broken.sabotage(), ..Settings::default() };
    let hash = runner::history_of(&plan, &settings)?.hash();
    let (before, whose) = match plan.replay_hash.clone() {
        Some(before) => (before, "as the plan says"),
        // Nothing to compare with but another run.
        None => (runner::history_of(&plan, &settings)?.hash(), "twice in a row"),
    };
    let result = runner::simulate(&plan, &settings)?;
    print(&report::human(std::slice::from_ref(&result)))?;
    let same = hash == before;
    print(&match same {
        true => format!("byte-identical, {whose}: {hash}\n"),
        false => format!("NOT byte-identical: {hash}, {whose} {before}\n"),
    })?;
    let determinism = if same { exit::HELD } else { exit::NOT_DETERMINISTIC };
    Ok(exit::worst([result.verdict.exit_code(), determinism]))
}
