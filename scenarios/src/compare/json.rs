//! The comparison as JSON.

use serde_json::{Map, Value, json};

use super::{Comparison, Kept, Row, Sums};
use crate::promises;
use crate::verdict::exit;

/// The version of the JSON.
const SCHEMA_VERSION: u32 = 1;

impl Comparison {
    /// For programs; `kept` are the counterexamples that were written down.
    pub fn json(&self, kept: &[Kept]) -> String {
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        let document = json!({
            "schema_version": SCHEMA_VERSION,
            "exit_code": exit::HELD,
            "seed": self.seed,
            "runs": self.runs,
            "strategies": rows,
            "counterexamples": kept,
        });
        format!("{document:#}\n")
    }
}

fn row(row: &Row) -> Value {
    let carriers = row.by_carrier.iter().filter_map(|(carrier, of)| {
        let name = serde_json::to_value(carrier).ok()?;
        Some((name.as_str()?.to_owned(), sums(of)))
    });
    json!({
        "strategy": row.strategy.name,
        "says": row.strategy.says,
        "breaks": row.strategy.breaks,
        "dominated_by": row.dominated_by,
        "together": row.together,
        "all": sums(&row.all),
        "carriers": carriers.collect::<Map<_, _>>(),
    })
}

fn sums(sums: &Sums) -> Value {
    let shares = promises::ALL.iter().filter(|promise| sums.share(promise.id) > 0.0);
    let shares = shares.map(|promise| (promise.id.to_owned(), json!(sums.share(promise.id))));
    let millis = |time: Option<std::time::Duration>| time.map(|time| time.as_millis());
    json!({
        "runs": sums.runs,
        "broken": sums.broken,
        "broken_share": shares.collect::<Map<_, _>>(),
        "orders": sums.orders,
        "settled_per_minute": sums.settled_per_minute(),
        "settled_p50_ms": millis(sums.settled_within(0.5)),
        "settled_p99_ms": millis(sums.settled_within(0.99)),
        "unsettled_share": sums.unsettled(),
        "calls_per_order": sums.calls_per_order(),
        "transactions": sums.transactions,
        "transactions_with_calls": sums.with_calls,
        "held_during_calls_ms_per_order": sums.held_per_order().as_secs_f64() * 1000.0,
        "longest_transaction_ms": sums.longest.as_millis(),
        "hidden_p50_ms": millis(sums.hidden_within(0.5)),
        "hidden_p99_ms": millis(sums.hidden_within(0.99)),
        "prevented_by_carrier": sums.prevented,
        "bookings_left_behind": sums.left.bookings,
        "messages_left_behind": sums.left.messages,
    })
}
