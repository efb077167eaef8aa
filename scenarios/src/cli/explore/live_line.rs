//! How far a search is, on standard error, and only on a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clockwork::Timestamp;

use crate::explore::{Budget, Tally, coverage};
use crate::runner;

/// A terminal is written to no more often.
const EVERY: Duration = Duration::from_millis(200);

/// One line that is written over and over.
pub(super) struct LiveLine {
    budget: Budget,
    began: Timestamp,
    shown_at: Option<Timestamp>,
    shown: bool,
}

impl LiveLine {
    pub(super) fn new(budget: Budget) -> LiveLine {
        let shown = std::io::stderr().is_terminal();
        LiveLine { budget, began: runner::now(), shown_at: None, shown }
    }

    pub(super) fn show(&mut self, tally: &Tally) {
        let now = runner::now();
        if !self.shown || self.shown_at.is_some_and(|at| now < at + EVERY) {
            return;
        }
        self.shown_at = Some(now);
        let line = text(tally, now.since(self.began), self.budget);
        // A terminal that is gone needs no progress.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn text(tally: &Tally, real: Duration, budget: Budget) -> String {
    let rate = tally.runs as f64 / real.as_secs_f64().max(0.001);
    let left = match budget {
        Budget::For(length) => length.saturating_sub(real).as_secs(),
        Budget::Runs(runs) => (runs.saturating_sub(tally.runs) as f64 / rate.max(0.001)) as u64,
    };
    let left = humantime::format_duration(Duration::from_secs(left));
    let virtual_time = Duration::from_secs(tally.virtual_time.as_secs() / 60 * 60);
    let virtual_time = humantime::format_duration(virtual_time);
    let (states, wanted) = (tally.states(), coverage::wanted().len());
    let runs = tally.runs;
    let line = format!(
        "{runs} runs, {rate:.0}/s; virtual {virtual_time}; states {states}/{wanted}; {left} left"
    );
    line.chars().take(79).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_runs_rate_virtual_time_states_and_what_is_left() {
        let mut tally = Tally { runs: 500, ..Tally::default() };
        tally.virtual_time = Duration::from_secs(7_325);
        let wanted = coverage::wanted().len();
        let line = text(&tally, Duration::from_secs(10), Budget::For(Duration::from_secs(60)));
        let states = format!("states 0/{wanted}");
        assert_eq!(line, format!("500 runs, 50/s; virtual 2h 2m; {states}; 50s left"));
        let line = text(&tally, Duration::from_secs(10), Budget::Runs(1_500));
        assert!(line.ends_with("; 20s left"), "{line}");
    }
}
