//! What an operator does: `oms retry | cancel | resolve`.

use std::io::Write;
use std::sync::Arc;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clockwork::Clock;
use serde_json::json;

use super::collector::Tracing;
use super::{Common, EXIT_REFUSED, Error, Format, StoreArgs};
use crate::config::Config;
use crate::env::{Observer, Progress, TokioSpawner};
use crate::store::{self, Action, Operated, Operation, Patience, patiently};
use crate::traces::LAST_SPANS;

#[derive(Debug, Args)]
pub(super) struct OperateArgs {
    /// The order; to retry a member's welcome message, `member:` and the member's id
    id: String,
    /// Who does it; the audit keeps the name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    by: String,
    #[command(flatten)]
    store: StoreArgs,
    /// Tells it in the order's trace: the collector's address for OTLP over HTTP, http://HOST:PORT
    #[arg(long, value_name = "URL", env = "OMS_OTLP", hide_env_values = true)]
    otlp: Option<String>,
    /// How the answer looks
    #[arg(long, default_value = "human")]
    format: Format,
}

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct ResolveArgs {
    #[command(flatten)]
    operate: OperateArgs,
    #[command(flatten)]
    truth: Truth,
    /// Only this parcel of the order; all parked ones otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    parcel: Option<u32>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Truth {
    /// The carrier has it
    #[arg(long)]
    booked: bool,
    /// The carrier has it not, and will not
    #[arg(long)]
    not_booked: bool,
}

pub(super) async fn retry(
    args: OperateArgs,
    common: &Common,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    operate(args, "retry", Action::Retry, common, clock, out).await
}

pub(super) async fn cancel(
    args: OperateArgs,
    common: &Common,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    operate(args, "cancel", Action::Cancel, common, clock, out).await
}

pub(super) async fn resolve(
    args: ResolveArgs,
    common: &Common,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    // Of the two flags exactly one is given: the group sees to it.
    let action = Action::Resolve { parcel: args.parcel, booked: args.truth.booked };
    operate(args.operate, "resolve", action, common, clock, out).await
}

async fn operate(
    args: OperateArgs,
    step: &'static str,
    action: Action,
    common: &Common,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let mut config = Config::default();
    let tracing = Tracing::of_command(&mut config, args.otlp.as_ref(), common, &clock)?;
    let store = super::open_existing(&args.store, clock.clone()).await?;
    let traces = tracing
        .map(|tracing| tracing.start(store.clone(), clock.clone(), &TokioSpawner::default()));
    let tell = |at, progress: Progress<'_>| {
        if let Some(traces) = &traces {
            traces.progress(at, &progress);
        }
    };
    let (id, now) = (&args.id, clock.now());
    let operation = Operation { order: id.clone(), action, by: args.by.clone(), now };
    tell(now, Progress::Begun { step, about: id, what: id, attempt: 1, rounds: 0 });
    let operated = patiently(&*clock, Patience::Short, || store.operate(operation.clone())).await;
    tell(clock.now(), Progress::Ended { came_to: came_to(&operated) });
    let answered = operated.map_err(Error::from).and_then(|operated| answer(&args, operated, out));
    if let Some(traces) = &traces {
        traces.finish(&*clock, LAST_SPANS).await;
    }
    answered
}

/// As its trace names it.
fn came_to(operated: &store::Result<Operated>) -> &'static str {
    match operated {
        Ok(Operated::Done(_) | Operated::MessageQueued) => "moved",
        Ok(Operated::NotFound | Operated::Refused(_)) => "refused",
        Err(_) => "lost",
    }
}

/// Says what came of it, and gives the exit code.
fn answer(args: &OperateArgs, operated: Operated, out: &mut dyn Write) -> Result<u8, Error> {
    let (code, told) = match operated {
        Operated::Done(state) => {
            let told = match args.format {
                Format::Human => format!("{}: {state} ({})", args.id, state.korean()),
                Format::Json => {
                    json!({ "id": args.id, "state": state, "state_name": state.korean() })
                        .to_string()
                }
            };
            (0, told)
        }
        Operated::MessageQueued => {
            let told = match args.format {
                Format::Human => format!("{}: its message is sent again", args.id),
                Format::Json => json!({ "id": args.id, "message": "queued" }).to_string(),
            };
            (0, told)
        }
        Operated::NotFound => (EXIT_REFUSED, refusal(&args.id, "no such order", args.format)),
        Operated::Refused(why) => (EXIT_REFUSED, refusal(&args.id, &why, args.format)),
    };
    // Before a collector is waited for: a pipe is not flushed line by line.
    writeln!(out, "{told}").and_then(|()| out.flush())?;
    Ok(code)
}

fn refusal(id: &str, why: &str, format: Format) -> String {
    match format {
        Format::Human => format!("{id}: refused: {why}"),
        Format::Json => json!({ "id": id, "refused": why }).to_string(),
    }
}
