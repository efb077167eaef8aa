//! What stands where: `oms list | status`.

use std::fmt::Write as _;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use clockwork::{Clock, Timestamp};
use serde_json::json;

use super::{Error, Format, StoreArgs};
use crate::http::OrderBody;
use crate::state::{NoticeState, OrderState, ParcelState, UnknownState};
use crate::store::{Census, Filter, OrderView, Patience, Standing, patiently};

/// Orders fetched at once.
const PAGE: usize = 500;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Only orders in this state, or with a parcel in it where no order can be (unknown)
    #[arg(long, value_name = "STATE")]
    state: Option<AnyState>,
    /// Only orders with a parcel in this state
    #[arg(long, value_name = "STATE")]
    parcel_state: Option<ParcelState>,
    /// Only orders behind this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// How the answer looks
    #[arg(long, default_value = "human")]
    format: Format,
}

/// A state of an order; or of a parcel, where no order can be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnyState {
    Order(OrderState),
    Parcel(ParcelState),
}

impl FromStr for AnyState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<AnyState, UnknownState> {
        let order = text.parse().map(AnyState::Order);
        order.or_else(|told| text.parse().map(AnyState::Parcel).map_err(|_| told))
    }
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// How the answer looks
    #[arg(long, default_value = "human")]
    format: Format,
}

pub(super) async fn list(
    args: ListArgs,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let store = super::open_existing(&args.store, clock.clone()).await?;
    let (state, parcel_state) = match args.state {
        Some(AnyState::Order(state)) => (Some(state), args.parcel_state),
        Some(AnyState::Parcel(state)) => (None, args.parcel_state.or(Some(state))),
        None => (None, args.parcel_state),
    };
    let mut filter = Filter { state, parcel_state, after: args.after, limit: 0 };
    let mut left = args.limit;
    while left > 0 {
        filter.limit = left.min(PAGE);
        let ask = || store.orders(filter.clone());
        let orders = patiently(&*clock, Patience::Short, ask).await?;
        left = if orders.len() < filter.limit { 0 } else { left - orders.len() };
        filter.after = orders.last().map(|order| order.id.clone());
        for order in orders {
            writeln!(out, "{}", listed(order, args.format))?;
        }
    }
    Ok(0)
}

fn listed(order: OrderView, format: Format) -> String {
    if format == Format::Json {
        return json!(OrderBody::from(order)).to_string();
    }
    let parcels: Vec<String> =
        order.parcels.iter().map(|parcel| format!("{}:{}", parcel.number, parcel.state)).collect();
    let (id, state, at) = (&order.id, order.state, order.updated_at);
    let mut line = format!("{id:<20} {:<15} {at}  {}", state.as_str(), parcels.join(" "));
    if let Some(reason) = &order.reason {
        let _ = write!(line, "  {reason}");
    }
    line
}

pub(super) async fn status(
    args: StatusArgs,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let store = super::open_existing(&args.store, clock.clone()).await?;
    let census = patiently(&*clock, Patience::Short, || store.census()).await?;
    let now = clock.now();
    let standing = patiently(&*clock, Patience::Short, || store.standing(now)).await?;
    let told = match args.format {
        Format::Human => summed_up(&census, now) + &waiting(&standing),
        Format::Json => format!("{}\n", as_json(&census, &standing)),
    };
    out.write_all(told.as_bytes())?;
    Ok(0)
}

fn as_json(census: &Census, standing: &Standing) -> serde_json::Value {
    json!({
        "orders": census.orders,
        "parcels": census.parcels,
        "notifications": census.notices,
        "leases": census.leases,
        "oldest_unknown": census.oldest_unknown.map(|since| since.to_string()),
        "queues": standing.queues,
        "quotas": standing.quotas,
    })
}

/// What waits, and what of each quota counts; nothing where nothing waits or was ever called.
fn waiting(standing: &Standing) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for queue in &standing.queues {
        let (of, due) = (&queue.of, queue.due);
        if due + queue.later + queue.leased > 0 {
            let rest = format!("due; {} later, {} leased", queue.later, queue.leased);
            let _ = writeln!(text, "{:<14}{of:<16}{due:>8}  {rest}", "queue");
        }
    }
    for quota in &standing.quotas {
        let (name, used) = (&quota.name, quota.of_a_second);
        let mut rest = format!(
            "of the last second, {} of the last minute, {} under way",
            quota.of_a_minute, quota.under_way
        );
        if let Some(until) = quota.closed_until {
            let _ = write!(rest, "; closed until {until}");
        }
        let _ = writeln!(text, "{:<14}{name:<16}{used:>8}  {rest}", "quota");
    }
    text
}

/// Only states that something is in; Korean names last, where their width does no harm.
fn summed_up(census: &Census, now: Timestamp) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut row = |heading: &str, state: &str, count: u64, name: &str| {
        let _ =
            writeln!(text, "{}", format!("{heading:<14}{state:<16}{count:>8}  {name}").trim_end());
    };
    for (state, count) in in_order(OrderState::ALL, &census.orders) {
        row("orders", state.as_str(), count, state.korean());
    }
    for (state, count) in in_order(ParcelState::ALL, &census.parcels) {
        row("parcels", state.as_str(), count, "");
    }
    for (state, count) in in_order(NoticeState::ALL, &census.notices) {
        row("notifications", state.as_str(), count, "");
    }
    if census.members > 0 {
        row("members", "signed up", census.members, "");
    }
    row("leases", "held", census.leases, "");
    if let Some(since) = census.oldest_unknown {
        let age = now.since(since).as_secs();
        row("unknown", "oldest, seconds", age, &since.to_string());
    }
    text
}

fn in_order<S: Ord + Copy>(
    all: &'static [S],
    counts: &std::collections::BTreeMap<S, u64>,
) -> impl Iterator<Item = (S, u64)> {
    all.iter().filter_map(|state| Some((*state, *counts.get(state).filter(|count| **count > 0)?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{Queue, Quota};

    #[test]
    fn a_status_tells_what_waits_and_until_when_a_quota_is_closed() {
        let until = Timestamp::parse("2026-11-21T10:05:00+09:00").unwrap();
        let queue = |of: &str, due| Queue { of: of.to_owned(), due, later: 2, leased: 1 };
        let standing = Standing {
            queues: vec![queue("parcels", 3)],
            quotas: vec![Quota {
                name: "carrier".to_owned(),
                closed_until: Some(until),
                under_way: 1,
                of_a_second: 4,
                of_a_minute: 37,
            }],
        };
        let expected = "\
queue         parcels                3  due; 2 later, 1 leased
quota         carrier                4  of the last second, 37 of the last minute, 1 under way; \
closed until 2026-11-21T10:05:00.000+09:00
";
        assert_eq!(waiting(&standing), expected);
    }

    #[test]
    fn a_state_that_only_parcels_have_lists_their_orders() {
        assert_eq!("attention".parse(), Ok(AnyState::Order(OrderState::Attention)));
        assert_eq!("unknown".parse(), Ok(AnyState::Parcel(ParcelState::Unknown)));
        assert!("lost".parse::<AnyState>().is_err());
    }

    #[test]
    fn a_status_names_what_there_is_and_the_oldest_unknown() {
        let since = Timestamp::parse("2026-11-21T10:00:00+09:00").unwrap();
        let census = Census {
            orders: [(OrderState::Attention, 1), (OrderState::Accepted, 12)].into(),
            parcels: [(ParcelState::Unknown, 2), (ParcelState::Booked, 0)].into(),
            leases: 3,
            oldest_unknown: Some(since),
            ..Census::default()
        };
        let told = summed_up(&census, since + Duration::from_secs(90));
        let expected = "\
orders        accepted              12  배송접수대기
orders        attention              1  확인필요
parcels       unknown                2
leases        held                   3
unknown       oldest, seconds       90  2026-11-21T10:00:00.000+09:00
";
        assert_eq!(told, expected);
    }
}
