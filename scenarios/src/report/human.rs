//! For people: a table of 80 columns, headed by the commands that replay what failed.

use std::fmt::Write;
use std::time::Duration;

use super::wrap::{width, wrap};
use super::{DrillResult, Figures};
use crate::evidence::{Pool, QuotaUse, Takeovers, Turns};
use crate::history::Mode;
use crate::verdict::{Verdict, describe};

/// At most so many violations of a promise are shown; `verdict.json` has them all.
const SHOWN_MAX: usize = 3;

/// All results as text.
pub fn human(results: &[DrillResult]) -> String {
    let mut text = String::new();
    let failed = results.iter().filter(|result| result.verdict != Verdict::Held);
    let replays: Vec<&str> = failed.map(|result| result.replay.as_str()).collect();
    if !replays.is_empty() {
        text += &replays.join("\n");
        text += "\n\n";
    }
    text += &columns("drill", "promises", "429", "bans", "unknown", "virtual", "real");
    for result in results {
        text += &drill(result);
    }
    text.push('\n');
    text += &summary(results);
    text
}

fn columns(
    name: &str,
    promises: &str,
    limited: &str,
    bans: &str,
    unknown: &str,
    virtual_time: &str,
    real: &str,
) -> String {
    // A name or a count that is too long for its column takes from the next, never all of its space.
    let promises = format!("{promises:<13}");
    let limited_width = 18_usize.saturating_sub(promises.len() + 1);
    let row = format!(
        "{name:<27} {promises} {limited:>limited_width$}{bans:>5}  {unknown:<9}{virtual_time:>9}{real:>8}"
    );
    row.trim_end().to_owned() + "\n"
}

fn drill(result: &DrillResult) -> String {
    let Figures { rate_limited, bans, .. } = result.figures;
    let mut text = columns(
        &result.drill,
        &promises(result),
        &rate_limited.to_string(),
        &bans.to_string(),
        &unknown(&result.figures),
        &time(result.virtual_ms),
        &time(result.real_ms),
    );
    text += &wrap(&orders(result), 2);
    text += &wrap(&faults(result), 2);
    text += &result.quota.as_ref().map(|quota| wrap(&used(quota), 2)).unwrap_or_default();
    text += &result.takeovers.as_ref().map(|all| wrap(&taken_over(all), 2)).unwrap_or_default();
    text += &result.turns.as_ref().map(|turns| wrap(&took_turns(turns), 2)).unwrap_or_default();
    text += &result.pool.as_ref().map(|pool| wrap(&told(pool), 2)).unwrap_or_default();
    for promise in result.promises.iter().filter(|promise| promise.verdict == Verdict::Violated) {
        let expected = if promise.expected { " (as expected)" } else { "" };
        for told in promise.violations.iter().take(SHOWN_MAX) {
            text += &wrap(&format!("{}{expected}: {}", promise.id, told.says), 2);
        }
        let more = promise.violations.len().saturating_sub(SHOWN_MAX);
        if more > 0 {
            text += &wrap(&format!("{}: and {more} more", promise.id), 2);
        }
    }
    for reason in &result.reasons {
        text += &wrap(reason, 2);
    }
    text
}

/// `15 held`, `12 held, 3 fell` where that was expected, or what it comes to.
fn promises(result: &DrillResult) -> String {
    let fell =
        result.promises.iter().filter(|promise| promise.verdict == Verdict::Violated).count();
    match result.verdict {
        Verdict::Held if fell > 0 => format!("{} held, {fell} fell", result.promises.len() - fell),
        Verdict::Held => format!("{} held", result.promises.len()),
        Verdict::Inconclusive => "inconclusive".to_owned(),
        Verdict::Violated => "VIOLATED".to_owned(),
    }
}

/// How many became unknown, and how many of these were found booked and not booked: `5=4+1`.
fn unknown(figures: &Figures) -> String {
    let Figures { unknown, unknown_to_booked: booked, unknown_to_not_booked: not, .. } = figures;
    match unknown {
        0 => "0".to_owned(),
        _ => format!("{unknown}={booked}+{not}"),
    }
}

fn orders(result: &DrillResult) -> String {
    let counts = result.orders.iter().map(|(state, count)| format!("{count} {state}"));
    let counts: Vec<String> = counts.collect();
    let strategy = match &result.strategy {
        Some(name) => format!("; strategy {name}"),
        None => String::new(),
    };
    let sabotage = match &result.sabotage {
        Some(name) => format!("; sabotage {name}"),
        None => String::new(),
    };
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let counts = match result.members {
        0 => counts,
        members => format!("{counts}; members: {members}"),
    };
    let sign_up = match &result.sign_up {
        Some(name) => format!("; sign-up {name}"),
        None => String::new(),
    };
    let mut live = match result.mode {
        Mode::Simulated => String::new(),
        Mode::Live => format!("; live, {} times as fast", result.clock_factor),
    };
    if result.tries > 1 {
        live += &format!("; try {}, those before proved nothing", result.tries);
    }
    format!("orders: {counts}; seed {}{live}{strategy}{sabotage}{sign_up}", result.seed)
}

/// Those that read alike are told as one, unless they never fired.
fn faults(result: &DrillResult) -> String {
    let mut told: Vec<(String, Option<u64>)> = Vec::new();
    for count in &result.faults {
        let name = describe(count);
        if let Some(why) = count.skipped.as_ref().filter(|_| count.times == 0) {
            told.push((format!("{name} skipped ({why})"), None));
            continue;
        }
        let alike = told.iter_mut().find(|(known, times)| *known == name && *times > Some(0));
        match alike {
            Some((_, Some(times))) if count.times > 0 => *times += count.times,
            _ => told.push((name, Some(count.times))),
        }
    }
    let told = told.into_iter().map(|(name, times)| match times {
        Some(times) => format!("{name} x{times}"),
        None => name,
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "faults: none".to_owned() } else { format!("faults: {}", told.join(", ")) }
}

/// `quota: 1001 calls accepted in 9m09s, 0 answered 429; …`
fn used(quota: &QuotaUse) -> String {
    format!(
        "quota: {} calls accepted in {}, {} answered 429; against 1 % after the best schedule and \
         one mean way there the {}th came latest, by {} ms, after the first long window by {} ms",
        quota.accepted,
        time(quota.over_ms),
        quota.limited,
        quota.latest_call,
        quota.latest_ms,
        quota.latest_later_ms,
    )
}

/// `left behind by dead or halted processes: 3 calls in 2 falls, 3 taken over, after 8.0s at most,
/// half of them within 7.1s`
fn taken_over(all: &Takeovers) -> String {
    let locked = match all.locked {
        0 => String::new(),
        locked => format!("; apart from {locked} that a halted process may have kept locked"),
    };
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let taken = match all.taken {
        0 => "none taken over".to_owned(),
        taken => format!(
            "{taken} taken over, after {} at most, half of them within {}",
            time(all.slowest_ms),
            time(all.median_ms),
        ),
    };
    format!(
        "left behind by dead or halted processes: {} call{} in {} fall{}, {taken}{locked}",
        all.left_behind,
        s(all.left_behind),
        all.falls,
        s(all.falls),
    )
}

/// `3 sellers: at most 12 parcels of one were begun while another's waited (ORD-301/1)`
fn took_turns(turns: &Turns) -> String {
    let waited = match turns.most {
        0 => String::new(),
        _ => format!(" ({})", turns.parcel),
    };
    format!(
        "{} sellers: at most {} parcels of one were begun while another's waited{waited}",
        turns.sellers, turns.most,
    )
}

/// `pool of 10: at most 10 in use, 5.9 on average (10 10 1 0); …`, or `at most 129 use cases at once`
fn told(pool: &Pool) -> String {
    let in_use: Vec<String> = pool.in_use.iter().map(usize::to_string).collect();
    // Use cases that come together share a transaction, and with it a connection.
    let of_what = if pool.peak > pool.size { "use cases at once" } else { "in use" };
    format!(
        "pool of {}: at most {} {of_what}, {:.1} on average ({}, each {}); {} waited, {} of them in \
         vain, at most {}; {} transactions, {} with a call inside, held for {}, {} of it over calls",
        pool.size,
        pool.peak,
        pool.mean,
        in_use.join(" "),
        time(pool.part_ms),
        pool.waited,
        pool.timed_out,
        time(pool.longest_wait_ms),
        pool.transactions,
        pool.with_calls,
        time(pool.held_ms),
        time(pool.during_calls_ms),
    )
}

fn summary(results: &[DrillResult]) -> String {
    let count = |verdict| results.iter().filter(|result| result.verdict == verdict).count();
    let total = |of: fn(&DrillResult) -> u64| time(results.iter().map(of).sum());
    let mut text = String::new();
    let drills = if results.len() == 1 { "drill" } else { "drills" };
    // Writing to a text cannot fail.
    let _ = write!(text, "{} {drills}: {} held", results.len(), count(Verdict::Held));
    for verdict in [Verdict::Violated, Verdict::Inconclusive] {
        if count(verdict) > 0 {
            let _ = write!(text, ", {} {verdict}", count(verdict));
        }
    }
    let (drill, real) = (total(|result| result.virtual_ms), total(|result| result.real_ms));
    let _ = writeln!(text, "; {drill} of drill time in {real}");
    debug_assert!(width(&text) <= super::wrap::COLUMNS, "{text}");
    text
}

/// A duration in five characters or so: `4ms`, `12.3s`, `5m20s`, `2h05m`.
fn time(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs();
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}.{}s", seconds, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use faults::{Fault, Kind};

    use super::*;
    use crate::plan::Site;
    use crate::report::wrap::COLUMNS;
    use crate::report::{Circumstances, json};
    use crate::testing::Builder;
    use crate::verdict::judge;

    fn result(builder: Builder) -> DrillResult {
        let evidence = builder.evidence();
        let judgement = judge(&evidence);
        let how = Circumstances {
            replay: format!("drill run {} --seed {}", evidence.plan.name, evidence.plan.seed),
            real: Duration::from_millis(4),
            ..Circumstances::default()
        };
        DrillResult::new(&evidence, judgement, how)
    }

    #[test]
    fn use_cases_that_share_connections_are_not_told_as_connections() {
        let pool = |peak| Pool {
            size: 10,
            peak,
            mean: 2.9,
            in_use: vec![peak, 3],
            part_ms: 1_000,
            waited: 0,
            timed_out: 0,
            longest_wait_ms: 0,
            transactions: 200,
            with_calls: 0,
            held_ms: 900,
            during_calls_ms: 0,
        };
        assert!(told(&pool(10)).starts_with("pool of 10: at most 10 in use, 2.9 on average"));
        assert!(told(&pool(129)).starts_with("pool of 10: at most 129 use cases at once, 2.9"));
    }

    fn results() -> Vec<DrillResult> {
        let fault = |kind, endpoint: &str| {
            let on = Some("carrier".to_owned());
            Fault { on, endpoint: Some(endpoint.to_owned()), ..Fault::new(kind) }
        };
        let held = Builder::clean(3)
            .plan(|plan| {
                plan.name = "booking-reply-lost".to_owned();
                plan.faults = vec![fault(Kind::ResetAfter, "RegBook")];
            })
            .rewalk("parcel", "ORD-1/1", &["planned", "intended", "unknown", "booked"])
            .fired(Site::Carrier, 0, 60)
            .live(20.0)
            .crash(1, 105);
        let violated = Builder::clean(2)
            .plan(|plan| plan.name = "carrier-books-duplicates".to_owned())
            .booking("ORD-1-1", "650000000999", 2_000);
        let unproven = Builder::clean(1).plan(|plan| {
            plan.name = "crash-between-steps".to_owned();
            plan.faults = vec![fault(Kind::ResetAfter, "RegBook")];
            plan.expect.must_reach = vec!["breaker-opened".to_owned()];
        });
        [held, violated, unproven].map(result).into()
    }

    #[test]
    fn faults_that_read_alike_are_told_as_one_unless_one_never_fired() {
        let mut result = results().remove(0);
        let fired = result.faults[0].clone();
        let mut never = fired.clone();
        never.times = 0;
        result.faults = vec![fired.clone(), never, fired];
        let name = "reset-after RegBook";
        assert_eq!(faults(&result), format!("faults: {name} x2, {name} x0"));
    }

    #[test]
    fn the_report_is_as_its_snapshot() {
        let report = human(&results());
        let shown = include_str!("snapshots/report.txt");
        assert!(report == shown, "the report is now:\n{report}");
    }

    #[test]
    fn a_failing_report_begins_with_the_command_that_replays() {
        let failed: Vec<DrillResult> =
            results().into_iter().filter(|one| one.verdict == Verdict::Violated).collect();
        assert!(human(&failed).starts_with("drill run carrier-books-duplicates --seed 1\n"));
        let held = &results()[..1];
        assert!(human(held).starts_with("drill "), "a table and no command");
    }

    #[test]
    fn no_line_passes_the_last_column() {
        let report = human(&results());
        assert!(report.lines().all(|line| width(line) <= COLUMNS), "{report}");
    }

    #[test]
    fn json_says_the_same_to_programs() {
        let told: serde_json::Value = serde_json::from_str(&json(&results())).unwrap();
        assert_eq!((&told["verdict"], &told["exit_code"]), (&"violated".into(), &1.into()));
        let first = &told["drills"][0];
        assert_eq!(first["schema_version"], 1);
        assert_eq!(first["orders"]["completed"], 3);
        assert_eq!(first["faults"][0]["times"], 1);
        assert_eq!(first["figures"]["unknown_to_booked"], 1);
        assert_eq!(first["promises"].as_array().unwrap().len(), 15);
        let promise = &told["drills"][1]["promises"][0];
        assert_eq!(promise["violations"][0]["kind"], "two-live-bookings");
    }

    #[test]
    fn durations_are_short() {
        let told = [0, 999, 1_000, 59_999, 60_000, 3_599_999, 3_600_000, 7_500_000].map(time);
        assert_eq!(told, ["0ms", "999ms", "1.0s", "59.9s", "1m00s", "59m59s", "1h00m", "2h05m"]);
    }
}
