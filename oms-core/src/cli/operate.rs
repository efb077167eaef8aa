//! What an operator does: `oms retry | cancel | resolve`.

use std::io::Write;
use std::sync::Arc;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clockwork::Clock;
use serde_json::json;

use super::{EXIT_REFUSED, Error, Format, StoreArgs};
use crate::store::{Action, Operated, Operation, Patience, patiently};

#[derive(Debug, Args)]
pub(super) struct OperateArgs {
    /// The order; to retry a member's welcome message, `member:` and the member's id
    id: String,
    /// Who does it; the audit keeps the name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    by: String,
    #[command(flatten)]
    store: StoreArgs,
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
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    operate(args, Action::Retry, clock, out).await
}

pub(super) async fn cancel(
    args: OperateArgs,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    operate(args, Action::Cancel, clock, out).await
}

pub(super) async fn resolve(
    args: ResolveArgs,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    // Of the two flags exactly one is given: the group sees to it.
    let action = Action::Resolve { parcel: args.parcel, booked: args.truth.booked };
    operate(args.operate, action, clock, out).await
}

async fn operate(
    args: OperateArgs,
    action: Action,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let store = super::open_existing(&args.store, clock.clone()).await?;
    let operation = Operation { order: args.id.clone(), action, by: args.by, now: clock.now() };
    let operated = patiently(&*clock, Patience::Short, || store.operate(operation.clone())).await?;
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
    writeln!(out, "{told}")?;
    Ok(code)
}

fn refusal(id: &str, why: &str, format: Format) -> String {
    match format {
        Format::Human => format!("{id}: refused: {why}"),
        Format::Json => json!({ "id": id, "refused": why }).to_string(),
    }
}
