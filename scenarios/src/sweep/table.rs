//! A sweep as text: a table for people, an object for programs.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::{Options, Swept, Tally, deepest, describe};
use crate::plan::Plan;
use crate::report::SCHEMA_VERSION;
use crate::report::wrap::wrap;

/// A schedule's plan file, where one was kept, and the path to it.
pub type Kept = Vec<(&'static str, String)>;

/// For people: the table of families, what was merged and why, and what did not hold.
pub fn human(swept: &Swept, kept: &Kept, real: Duration) -> String {
    let mut text = headline(&swept.options);
    text += &row("schedules", ["exist", "ran", "held", "prevented", "proves nothing", "violated"]);
    for (family, tally) in &swept.families {
        text += &tally_row(family, tally);
    }
    if swept.families.len() > 1 {
        text += &tally_row("all", &swept.total());
    }
    text += &merged(swept);
    let _ = writeln!(text, "{LIES}");
    for fallen in &swept.fallen {
        text.push('\n');
        let what = if fallen.promises.is_empty() { "proves nothing" } else { "violated" };
        let _ = writeln!(text, "{what}: {}", describe(&fallen.plan));
        for says in fallen.says.iter().take(3) {
            let _ = writeln!(text, "  {says}");
        }
    }
    for (promise, path) in kept {
        let _ = writeln!(text, "\n{promise}, made small:\n  cargo drill replay {path}");
    }
    let total = swept.total();
    let broke_off = if swept.stopped { ", broken off" } else { "" };
    let uncounted = swept.options.pairs && !swept.pairs_begun;
    let unknown = if uncounted { " of one fault, none of two, which were not counted" } else { "" };
    let per_second = total.ran as f64 / real.as_secs_f64().max(0.001);
    let says = format!(
        "{}{broke_off}: {} of {} schedules run{unknown}, {:.0} a second; {} of drill time in {}",
        swept.verdict(),
        total.ran + swept.merged.total(),
        total.exist,
        per_second,
        whole(swept.virtual_time),
        whole(real),
    );
    text.push('\n');
    text += &wrap(&says, 0);
    text
}

fn headline(options: &Options) -> String {
    let what = match options.pairs {
        true => "every two faults, stalls apart,",
        false => "every fault",
    };
    let (orders, seeds) = (options.orders, options.seeds);
    let s = |count: u32| if count == 1 { "" } else { "s" };
    let drawn = match seeds {
        0 | 1 => "seed 1, tasks in the order in which they became ready".to_owned(),
        _ => format!("seeds 1 to {seeds}, priorities of depth 0 to {} by turns", deepest(seeds)),
    };
    let under = options.strategy.as_ref().map(|name| format!(", under `{name}`"));
    let bug = options.sabotage.as_ref().map(|name| format!(", with `{name}`"));
    let says = format!(
        "{what} of {orders} order{}, 2 workers, over {seeds} order{} of events ({drawn}){}{}",
        s(orders),
        s(seeds),
        under.unwrap_or_default(),
        bug.unwrap_or_default()
    );
    wrap(&says, 0) + "\n"
}

fn row(name: &str, cells: [&str; 6]) -> String {
    let [exist, ran, held, prevented, nothing, violated] = cells;
    format!("{name:<16}{exist:>9}{ran:>9}{held:>9}{prevented:>11}{nothing:>16}{violated:>10}\n")
}

fn tally_row(name: &str, tally: &Tally) -> String {
    let Tally { exist, ran, held, prevented, inconclusive, violated } = *tally;
    let cells = [exist, ran, held, prevented, inconclusive, violated].map(|n| n.to_string());
    row(name, cells.each_ref().map(String::as_str))
}

/// What no schedule has, since no caller could tell that from the truth.
const LIES: &str = "left out: answers that lie, a refusal of what was done all the same";

/// What was not run, and why that leaves nothing out.
fn merged(swept: &Swept) -> String {
    let merged = swept.merged;
    let mut text = String::new();
    for (count, why) in merged.reasons().into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "{count:>9} not run: {why}");
    }
    text
}

fn whole(length: Duration) -> String {
    let length = match length.as_secs() {
        0..10 => Duration::from_millis(length.as_millis() as u64 / 100 * 100),
        _ => Duration::from_secs(length.as_secs()),
    };
    humantime::format_duration(length).to_string()
}

#[derive(Serialize)]
struct FamilyJson<'a> {
    family: &'a str,
    #[serde(flatten)]
    tally: TallyJson,
}

#[derive(Serialize)]
struct TallyJson {
    exist: u64,
    ran: u64,
    held: u64,
    prevented: u64,
    inconclusive: u64,
    violated: u64,
}

impl From<Tally> for TallyJson {
    fn from(tally: Tally) -> TallyJson {
        let Tally { exist, ran, held, prevented, inconclusive, violated } = tally;
        TallyJson { exist, ran, held, prevented, inconclusive, violated }
    }
}

/// For programs.
pub fn json(swept: &Swept, kept: &Kept, real: Duration) -> String {
    let families: Vec<_> = swept
        .families
        .iter()
        .map(|(family, tally)| FamilyJson { family, tally: (*tally).into() })
        .collect();
    let reasons = swept.merged.reasons();
    let merged: Vec<_> =
        reasons.iter().map(|(count, why)| json!({ "schedules": count, "why": why })).collect();
    let fallen = swept.fallen.iter().map(|fallen| {
        json!({
            "schedule": describe(&fallen.plan),
            "promises": fallen.promises,
            "says": fallen.says,
            "plan": Plan::to_toml(&fallen.plan),
        })
    });
    let kept = kept.iter().map(|(promise, path)| json!({ "promise": promise, "plan": path }));
    let answer = json!({
        "schema_version": SCHEMA_VERSION,
        "verdict": swept.verdict(),
        "exit_code": swept.verdict().exit_code(),
        "orders": swept.options.orders,
        "seeds": swept.options.seeds,
        "pairs": swept.options.pairs,
        "strategy": swept.options.strategy,
        "sabotage": swept.options.sabotage,
        "stopped": swept.stopped,
        "pairs_begun": swept.pairs_begun,
        "total": TallyJson::from(swept.total()),
        "families": families,
        "merged": merged,
        "fallen": fallen.collect::<Vec<_>>(),
        "counterexamples": kept.collect::<Vec<_>>(),
        "virtual_ms": u64::try_from(swept.virtual_time.as_millis()).unwrap_or(u64::MAX),
        "real_ms": u64::try_from(real.as_millis()).unwrap_or(u64::MAX),
    });
    format!("{answer:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_names_the_depths_that_are_run() {
        let said = |seeds, pairs| {
            let jobs = std::num::NonZeroUsize::MIN;
            let options = Options { orders: 2, seeds, pairs, strategy: None, sabotage: None, jobs };
            // Without its line breaks.
            headline(&options).split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(said(1, true).contains("(seed 1, tasks in the order in which they became ready)"));
        assert!(said(3, false).contains("(seeds 1 to 3, priorities of depth 0 to 2 by turns)"));
        assert!(said(9, false).contains("(seeds 1 to 9, priorities of depth 0 to 3 by turns)"));
    }
}
