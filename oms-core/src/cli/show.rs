//! What stands where, and who did what: `oms list | status | audit`.

use std::fmt::Write as _;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use clockwork::{Clock, Timestamp};
use serde_json::json;

use super::{Error, Format, StoreArgs};
use crate::http::OrderBody;
use crate::presence::EVERY;
use crate::state::{NoticeState, OrderState, ParcelState, UnknownState};
use crate::store::{
    Audited, BreakerView, Census, Filter, OrderView, Patience, Presence, Standing, patiently,
};

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
    if let Some(reason) = why(&order) {
        let _ = write!(line, "  {reason}");
    }
    line
}

/// Why an order stands where it does, or else why a part of it does.
fn why(order: &OrderView) -> Option<String> {
    let part =
        |what: String, reason: &Option<String>| Some(format!("{what}: {}", reason.as_ref()?));
    let parcels = order
        .parcels
        .iter()
        .filter_map(|parcel| part(format!("parcel {}", parcel.number), &parcel.reason));
    let notices =
        order.notices.iter().filter_map(|notice| part(notice.event.clone(), &notice.reason));
    order.reason.clone().or_else(|| parcels.chain(notices).next())
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
        Format::Human => summed_up(&census, now) + &waiting(&standing) + &working(&standing, now),
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
        "workers": standing.workers,
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

/// Who works, and which breakers are not closed.
fn working(standing: &Standing, now: Timestamp) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for Presence { worker, since, heard_at, breakers } in &standing.workers {
        let silent = now.since(*heard_at);
        let mut rest = format!("seconds ago it was heard of; works since {since}");
        if silent > EVERY * 3 {
            rest.push_str("; stopped, cut off, or killed");
        }
        let _ = writeln!(text, "{:<14}{worker:<16}{:>8}  {rest}", "worker", silent.as_secs());
        for BreakerView { api, state, since } in breakers {
            let rest = format!("since {since}, at {worker}");
            let _ = writeln!(text, "{:<14}{api:<16}{state:>8}  {rest}", "breaker");
        }
    }
    text
}

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Only what was done to this order, or to `member:` and a member's id
    id: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// How the answer looks
    #[arg(long, default_value = "human")]
    format: Format,
}

pub(super) async fn audit(
    args: AuditArgs,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let store = super::open_existing(&args.store, clock.clone()).await?;
    let ask = || store.audit(args.id.clone(), args.limit);
    for Audited { at, order, action, by, answer } in
        patiently(&*clock, Patience::Short, ask).await?
    {
        let told = match args.format {
            Format::Human => format!("{at}  {order:<20} {action}  by {by}  {answer}"),
            Format::Json => json!({
                "at": at.to_string(), "id": order, "action": action, "by": by, "answer": answer,
            })
            .to_string(),
        };
        writeln!(out, "{told}")?;
    }
    Ok(0)
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
    use crate::store::{NoticeView, Queue, Quota};

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
            workers: Vec::new(),
        };
        let expected = "\
queue         parcels                3  due; 2 later, 1 leased
quota         carrier                4  of the last second, 37 of the last minute, 1 under way; \
closed until 2026-11-21T10:05:00.000+09:00
";
        assert_eq!(waiting(&standing), expected);
    }

    #[test]
    fn a_status_tells_who_works_who_is_silent_and_which_breakers_are_open() {
        let now = Timestamp::parse("2026-11-21T10:05:00+09:00").unwrap();
        let worker = |name: &str, silent, breakers| Presence {
            worker: name.to_owned(),
            since: now - Duration::from_secs(300),
            heard_at: now - Duration::from_secs(silent),
            breakers,
        };
        let open = BreakerView {
            api: "carrier".to_owned(),
            state: "open".to_owned(),
            since: now - Duration::from_secs(7),
        };
        let workers = vec![worker("oms-1", 2, vec![open]), worker("oms-2", 40, Vec::new())];
        let standing = Standing { workers, ..Standing::default() };
        let expected = "\
worker        oms-1                  2  seconds ago it was heard of; works since \
2026-11-21T10:00:00.000+09:00
breaker       carrier             open  since 2026-11-21T10:04:53.000+09:00, at oms-1
worker        oms-2                 40  seconds ago it was heard of; works since \
2026-11-21T10:00:00.000+09:00; stopped, cut off, or killed
";
        assert_eq!(working(&standing, now), expected);
    }

    #[test]
    fn a_state_that_only_parcels_have_lists_their_orders() {
        assert_eq!("attention".parse(), Ok(AnyState::Order(OrderState::Attention)));
        assert_eq!("unknown".parse(), Ok(AnyState::Parcel(ParcelState::Unknown)));
        assert!("lost".parse::<AnyState>().is_err());
    }

    #[test]
    fn a_line_of_a_list_tells_why_the_order_stands_there_or_a_part_of_it() {
        let at = Timestamp::parse("2026-11-21T10:00:00+09:00").unwrap();
        let notice = |reason: Option<&str>| NoticeView {
            event: "shipped".to_owned(),
            state: NoticeState::Queued,
            msg_key: None,
            report_code: None,
            report_channel: None,
            reason: reason.map(str::to_owned),
        };
        let order = |reason: Option<&str>, notice| OrderView {
            id: "ORD-1".to_owned(),
            state: OrderState::Shipped,
            reason: reason.map(str::to_owned),
            created_at: at,
            updated_at: at,
            parcels: Vec::new(),
            notices: vec![notice],
        };
        let line = |order| listed(order, Format::Human);
        assert!(line(order(None, notice(None))).ends_with("+09:00  "));
        assert!(line(order(None, notice(Some("why")))).ends_with("+09:00    shipped: why"));
        assert!(line(order(Some("as"), notice(Some("why")))).ends_with("+09:00    as"));
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
