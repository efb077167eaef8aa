//! `drill check`: judges a recorded history.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Error, Format, print};
use crate::history::History;
use crate::report::{self, Circumstances};
use crate::runner;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A history, JSON lines, as `--out` keeps it
    #[arg(value_name = "HISTORY")]
    history: PathBuf,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn check(args: &CheckArgs) -> Result<u8, Error> {
    let file = &args.history;
    let history = History::load(file)
        .map_err(|source| Error::History { file: file.clone(), source: Box::new(source) })?;
    let how = Circumstances {
        replay: format!("cargo drill check {}", runner::quoted(file)),
        history_hash: Some(history.hash()),
        real: Duration::ZERO,
    };
    let result = runner::judged(history, how);
    print(&match args.format {
        Format::Human => report::human(std::slice::from_ref(&result)),
        Format::Json => report::json(std::slice::from_ref(&result)),
    })?;
    Ok(result.verdict.exit_code())
}
