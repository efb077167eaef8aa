//! The comparison as a page that is kept: `docs/strategies.md`.

use std::fmt::Write as _;
use std::path::Path;

use super::carriers::Carrier;
use super::{Comparison, Row, Sums, path_of, words};
use crate::promises;

/// Where the kept counterexamples stand, as the page sees them.
const KEPT: &str = "../scenarios/counterexamples";

impl Comparison {
    /// The page. Nothing of it depends on the machine: the same seed and number of runs give the
    /// same bytes.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Which way should I use?\n\n\
             Written by `drill compare --runs {} --seed {} --markdown docs/strategies.md`; not by \
             hand. {} generated plans were run under every strategy, in virtual time, and judged \
             from ledgers, rows and history.\n",
            self.runs, self.seed, self.runs
        );
        text += "\n## What each breaks\n\n\
                 The share of runs in which a promise fell. What a strategy breaks links to the \
                 smallest plan that shows it: `cargo drill replay FILE`.\n\n";
        text += &self.shares(|row| Some(&row.all), true);
        text += "\n## What each costs\n\n";
        text += &self.costs_page();
        text += "\n## The three questions\n\n\
                 What succeeds or fails together (the seed's batch: twenty orders, one of which the \
                 carrier refuses)? Is network I/O inside of a transaction? Can everything be rolled \
                 back?\n\n";
        for row in &self.rows {
            let _ = writeln!(text, "- **`{}`**", row.strategy.name);
            for answer in row.answers() {
                let _ = writeln!(text, "  - {answer}");
            }
        }
        for carrier in Carrier::ALL {
            let runs = self.rows.first().and_then(|row| row.by_carrier.get(&carrier));
            let runs = runs.map_or(0, |sums| sums.runs);
            let _ = write!(
                text,
                "\n## Under {}\n\n{}\n\n{runs} of the plans have one.\n\n",
                carrier.title(),
                carrier.beyond_anyone()
            );
            text += &self.shares(|row| row.by_carrier.get(&carrier), false);
        }
        text += "\n## The strategies\n\n";
        for row in &self.rows {
            let strategy = row.strategy;
            let _ =
                writeln!(text, "- **`{}`** ({}): {}", strategy.name, strategy.seed, strategy.says);
        }
        text
    }

    /// A row a strategy, a column a promise that any of them broke.
    fn shares(&self, of: impl Fn(&Row) -> Option<&Sums>, with_links: bool) -> String {
        let all = || self.rows.iter().filter_map(&of);
        let columns: Vec<&'static str> = promises::ALL
            .iter()
            .map(|promise| promise.id)
            .filter(|id| all().any(|sums| sums.share(id) > 0.0))
            .collect();
        let heads = columns.iter().map(|id| format!(" `{id}` |")).collect::<String>();
        let mut text = format!("| strategy |{heads}\n|---|{}\n", "---|".repeat(columns.len()));
        for row in &self.rows {
            let Some(sums) = of(row) else { continue };
            let _ = write!(text, "| `{}` |", row.strategy.name);
            for id in &columns {
                let share = words::share(sums.share(id));
                let is_linked = with_links && row.strategy.breaks.contains(id);
                let _ = match is_linked {
                    true => {
                        let file = path_of(Path::new(KEPT), row.strategy.name, id);
                        write!(text, " [{share}]({}) |", file.display())
                    }
                    false => write!(text, " {share} |"),
                };
            }
            text.push('\n');
        }
        text
    }

    fn costs_page(&self) -> String {
        let mut text = "\
| strategy | orders a minute | half settled within | 99 % within | never settled | calls an order \
| connection held over calls, an order | hidden (half) | hidden (99 %) | prevented by the carrier, \
of 1,000 orders | dominated by |
|---|---|---|---|---|---|---|---|---|---|---|
"
        .to_owned();
        for row in &self.rows {
            let sums = &row.all;
            let _ = writeln!(
                text,
                "| `{}` | {:.1} | {} | {} | {} | {:.1} | {} | {} | {} | {:.0} | {} |",
                row.strategy.name,
                sums.settled_per_minute(),
                words::time(sums.settled_within(0.5)),
                words::time(sums.settled_within(0.99)),
                words::share(sums.unsettled()),
                sums.calls_per_order(),
                words::time(Some(sums.held_per_order())),
                words::time(sums.hidden_within(0.5)),
                words::time(sums.hidden_within(0.99)),
                sums.prevented_per_thousand(),
                if row.dominated_by.is_empty() {
                    "–".to_owned()
                } else {
                    row.dominated_by.join(", ")
                },
            );
        }
        text + "\n*Hidden*: for how long a booking that the carrier had was unknown to whoever asks \
                our database (near real time is not real time). *Never settled*: stuck, or with the \
                operator, where a plan leaves nothing else to `durable`. *Prevented by the carrier*: bookings \
                that were sent again and that the carrier, not we, kept from becoming a second \
                parcel. *Dominated*: the named strategies are nowhere worse, in promises and costs, \
                and somewhere better.\n"
    }
}
