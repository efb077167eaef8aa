//! `oms ingest`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clockwork::Clock;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::collector::Tracing;
use super::{Common, EXIT_REFUSED, Error, Format, StoreArgs};
use crate::env::{NullObserver, Observer, TokioSpawner};
use crate::intake::{self, Fate, LineError, Tally};
use crate::traces::LAST_SPANS;

#[derive(Debug, Args)]
pub(super) struct IngestArgs {
    /// Orders: .jsonl with one a line, or .csv with one item a row
    file: PathBuf,
    /// What FILE is, when its name does not say
    #[arg(long, value_name = "FORMAT")]
    input: Option<intake::Format>,
    #[command(flatten)]
    store: StoreArgs,
    /// Settings; the shop's refused postcodes count here
    #[arg(long, value_name = "FILE", env = "OMS_CONFIG")]
    config: Option<PathBuf>,
    /// Tells each order's intake in its trace: the collector's address for OTLP over HTTP, http://HOST:PORT
    #[arg(long, value_name = "URL", env = "OMS_OTLP", hide_env_values = true)]
    otlp: Option<String>,
    /// How the answer looks
    #[arg(long, default_value = "human")]
    format: Format,
}

pub(super) async fn ingest(
    args: IngestArgs,
    common: &Common,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let mut config = super::settings(args.config.as_ref())?;
    let tracing = Tracing::of_command(&mut config, args.otlp.as_ref(), common, &clock)?;
    // A file that cannot be read shall not leave an empty database behind.
    let entries = intake::read_entries(&args.file, args.input)?;
    let store = super::open(&args.store, clock.clone()).await?;
    let traces = tracing
        .map(|tracing| tracing.start(store.clone(), clock.clone(), &TokioSpawner::default()));
    let listens: &dyn Observer = match &traces {
        Some(traces) => traces,
        None => &NullObserver,
    };
    let bar = progress(entries.len());
    let mut written = Ok(());
    let tell = |fate: &Fate| {
        bar.inc(1);
        let lines = told(fate, args.format);
        if !lines.is_empty() && written.is_ok() {
            written = bar.suspend(|| out.write_all(lines.as_bytes()));
        }
    };
    let tally = intake::ingest(entries, &*store, &*clock, &config.shop, listens, tell).await;
    bar.finish_and_clear();
    let answered = written.map_err(Error::from).and_then(|()| answer(&tally?, args.format, out));
    if let Some(traces) = &traces {
        traces.finish(&*clock, LAST_SPANS).await;
    }
    answered
}

/// Says what came of the file, and gives the exit code.
fn answer(tally: &Tally, format: Format, out: &mut dyn Write) -> Result<u8, Error> {
    out.write_all(summary(tally, format).as_bytes())?;
    // Before a collector is waited for: a pipe is not flushed line by line.
    out.flush()?;
    Ok(if tally.is_clean() { 0 } else { EXIT_REFUSED })
}

/// A bar on stderr, when that is a terminal.
fn progress(orders: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        Some(orders.try_into().unwrap_or(u64::MAX)),
        ProgressDrawTarget::stderr(),
    );
    let template = "{bar:40} {pos}/{len} orders, {per_sec}, {eta} left";
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

/// What is said of one order: nothing when all is well.
fn told(fate: &Fate, format: Format) -> String {
    match (fate, format) {
        (Fate::Created | Fate::Same, _) => String::new(),
        (Fate::Rejected { line, order }, Format::Human) => {
            format!("line {line}: {order}: kept as rejected: no shipping to its postcode\n")
        }
        (Fate::Conflict { line, order }, Format::Human) => {
            format!("line {line}: {order}: another content is kept under this id\n")
        }
        (Fate::Refused(error), Format::Human) => told_refusal(error),
        (Fate::Rejected { line, order }, Format::Json) => {
            format!("{}\n", json!({ "line": line, "order": order, "fate": "rejected" }))
        }
        (Fate::Conflict { line, order }, Format::Json) => {
            format!("{}\n", json!({ "line": line, "order": order, "fate": "conflict" }))
        }
        (Fate::Refused(error), Format::Json) => {
            let LineError { line, order, problems } = error;
            let told = json!({
                "line": line, "order": order, "fate": "refused", "problems": problems,
            });
            format!("{told}\n")
        }
    }
}

fn told_refusal(error: &LineError) -> String {
    let order = error.order.as_deref().map(|id| format!("{id}: ")).unwrap_or_default();
    let mut lines = String::new();
    for problem in &error.problems {
        let field = match problem.field.as_str() {
            "" => String::new(),
            field => format!("{field} "),
        };
        lines.push_str(&format!("line {}: {order}{field}{}\n", problem.line, problem.why));
    }
    lines
}

fn summary(tally: &Tally, format: Format) -> String {
    let Tally { created, rejected, same, refused, conflict } = tally;
    match format {
        Format::Json => format!("{}\n", json!(tally)),
        Format::Human => {
            let rejected = match rejected {
                0 => String::new(),
                rejected => format!(" ({rejected} of them rejected by the shop)"),
            };
            format!(
                "{} orders: {created} created{rejected}, {same} same, {refused} refused, \
                 {conflict} conflict\n",
                created + same + refused + conflict
            )
        }
    }
}
