//! The comparison as text of 80 columns.

use super::carriers::Carrier;
use super::{Comparison, Kept, Row, Sums, words};
use crate::promises;
use crate::report::wrap::wrap;

impl Comparison {
    /// For people; `kept` are the counterexamples that were written down.
    pub fn human(&self, kept: &[Kept]) -> String {
        let mut text = format!(
            "{} plans from seed {}, each under every strategy\n\nbroken promises, in which share \
             of the runs\n",
            self.runs, self.seed
        );
        for row in &self.rows {
            text += &line(row, &broken(&row.all));
        }
        for carrier in Carrier::ALL {
            let runs = self.rows.first().and_then(|row| row.by_carrier.get(&carrier));
            let runs = runs.map_or(0, |sums| sums.runs);
            text += &format!("\nthe same under {} ({runs} plans)\n", carrier.title());
            for row in &self.rows {
                let sums = row.by_carrier.get(&carrier).cloned().unwrap_or_default();
                text += &line(row, &broken(&sums));
            }
            text += &wrap(carrier.beyond_anyone(), 2);
        }
        text += &self.costs();
        text += &self.answers();
        text += &found(kept);
        text
    }

    fn costs(&self) -> String {
        let mut text = "\ncost\n".to_owned();
        text +=
            &cells("", ["orders/min", "half done", "99 %", "calls", "held", "hidden", "prevented"]);
        for row in &self.rows {
            let sums = &row.all;
            let figures = [
                format!("{:.1}", sums.settled_per_minute()),
                words::time(sums.settled_within(0.5)),
                words::time(sums.settled_within(0.99)),
                format!("{:.1}", sums.calls_per_order()),
                words::time(Some(sums.held_per_order())),
                words::time(sums.hidden_within(0.99)),
                format!("{:.0}", sums.prevented_per_thousand()),
            ];
            text += &cells(row.strategy.name, figures.each_ref().map(String::as_str));
            if !row.dominated_by.is_empty() {
                text += &wrap(&format!("dominated by {}", row.dominated_by.join(", ")), 4);
            }
        }
        text += &wrap(
            "orders/min: settled in a virtual minute. half done, 99 %: time within which that \
             share of the orders came to an end. calls: an order's, to both APIs. held: how long an \
             order's transaction keeps a connection while a call is under way. hidden: for how \
             long 99 % of the bookings were unknown to whoever asks our database. prevented: of a \
             thousand orders, second bookings that the carrier prevented, not we.",
            2,
        );
        text
    }

    fn answers(&self) -> String {
        let mut text = "\nthe three questions\n".to_owned();
        for row in &self.rows {
            text += &format!("{}\n", row.strategy.name);
            for answer in row.answers() {
                text += &wrap(&answer, 2);
            }
        }
        text
    }
}

impl Row {
    /// The three questions that the third seed ends with, answered by what was measured.
    pub(super) fn answers(&self) -> [String; 3] {
        let (together, sums) = (&self.together, &self.all);
        let undone = together.others.saturating_sub(together.completed);
        let first = match undone {
            0 => format!(
                "together: one order of a batch fails alone; all {} others completed",
                together.others
            ),
            _ => format!(
                "together: one order of a batch fails, and of the {} others {} did not complete",
                together.others, undone
            ),
        };
        let second = match sums.with_calls {
            0 => "network I/O inside a transaction: never".to_owned(),
            with_calls => format!(
                "network I/O inside a transaction: in {with_calls} of {} transactions, for {} an \
                 order; the longest was open for {}",
                sums.transactions,
                words::time(Some(sums.held_per_order())),
                words::time(Some(sums.longest)),
            ),
        };
        let left = sums.left;
        let third = match (left.bookings, left.messages) {
            (0, 0) => "rolled back: nothing was left behind that no row knows of".to_owned(),
            (bookings, messages) => format!(
                "rolled back: of {} orders, {bookings} bookings and {messages} messages were left \
                 behind that no row knows of",
                sums.orders
            ),
        };
        [first, second, third]
    }
}

fn line(row: &Row, told: &str) -> String {
    let (name, text) = (row.strategy.name, wrap(told, 29));
    // The name stands where the first line is indented; the longest has a line of its own.
    match name.len() < 29 {
        true => format!("{name:<29}{}", text.trim_start()),
        false => format!("{name}\n{text}"),
    }
}

fn broken(sums: &Sums) -> String {
    let fell = promises::ALL.iter().filter(|promise| sums.share(promise.id) > 0.0);
    let fell =
        fell.map(|promise| format!("{} {}", promise.id, words::share(sums.share(promise.id))));
    let fell: Vec<String> = fell.collect();
    if fell.is_empty() { "none".to_owned() } else { fell.join(", ") }
}

fn cells(name: &str, figures: [&str; 7]) -> String {
    let [rate, half, most, calls, held, hidden, prevented] = figures;
    // The longest name has a line of its own.
    let name = if name.len() > 21 { format!("{name}\n{:<21}", "") } else { format!("{name:<21}") };
    let row = format!(
        "{name}{rate:>10} {half:>9} {most:>8} {calls:>6} {held:>7} {hidden:>7} {prevented:>9}"
    );
    row.trim_end().to_owned() + "\n"
}

fn found(kept: &[Kept]) -> String {
    if kept.is_empty() {
        return String::new();
    }
    let mut text = "\ncounterexamples\n".to_owned();
    for Kept { file, orders, faults, .. } in kept {
        let size = format!("{orders}+{faults}");
        text += &format!("  cargo drill replay {}  ({size})\n", file.display());
    }
    text + &wrap("(orders + faults; replaying one exits with 1: its promise falls)", 2)
}
