//! What is at its end and old is forgotten: `oms prune`.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clockwork::Clock;
use serde_json::json;

use super::{Error, Format, StoreArgs};
use crate::store::{Page, Patience, Prune, patiently};

/// Nothing younger is forgotten: so long somebody may still ask or be told of an order, such as by
/// a report of a message, or by an operator who tries again what failed.
const KEPT_AT_LEAST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Rows of one transaction: few enough that no worker waits for it.
const PAGE: usize = 200;

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// What has not changed for so long; 7d at least
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = age)]
    older_than: Duration,
    /// How the answer looks
    #[arg(long, default_value = "human")]
    format: Format,
}

fn age(text: &str) -> Result<Duration, String> {
    match humantime_serde::re::humantime::parse_duration(text) {
        Ok(age) if age < KEPT_AT_LEAST => Err("must be 7d at least".to_owned()),
        Ok(age) => Ok(age),
        Err(error) => Err(format!("{error}, such as 90d")),
    }
}

pub(super) async fn prune(
    args: PruneArgs,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let store = super::open_existing(&args.store, clock.clone()).await?;
    let before = clock.now() - args.older_than;
    let (mut orders, mut entries) = (0, 0);
    let mut page = Some(Page::default());
    while let Some(from) = page {
        let prune = Prune { before, from, limit: PAGE, now: clock.now() };
        let pruned = patiently(&*clock, Patience::Short, || store.prune(&prune)).await?;
        orders += pruned.orders;
        entries += pruned.entries;
        page = pruned.next;
    }
    match args.format {
        Format::Human => writeln!(
            out,
            "{orders} orders forgotten, with {entries} entries of the log: all unchanged since {before}"
        )?,
        Format::Json => {
            let told =
                json!({ "orders": orders, "entries": entries, "before": before.to_string() });
            writeln!(out, "{told}")?;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_week_at_least() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert!(age("6d").unwrap_err().contains("7d"));
        assert!(age("soon").unwrap_err().contains("90d"));
    }
}
