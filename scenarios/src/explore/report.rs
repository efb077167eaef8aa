//! What came of a search, told.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::coverage;
use super::search::{Error, Options, Outcome};
use super::seed::Seed;
use super::tally::{Doubt, Tally};
use crate::report::wrap::wrap;
use crate::runner::quoted;
use crate::verdict::{Verdict, exit};

/// The version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// A search that is over.
pub struct Report<'a> {
    /// What was searched.
    pub options: &'a Options,
    /// From which seed.
    pub seed: &'a Seed,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// Where the counterexamples stand.
    pub kept: &'a [Counterexample],
    /// How long it took.
    pub real: Duration,
    /// The CPU time of this process over it.
    pub cpu: Duration,
}

/// A plan that breaks a promise, written to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counterexample {
    /// The run in which it was found.
    pub number: u64,
    /// What falls; nothing when the run could not be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promise: Option<&'static str>,
    /// Where it stands.
    pub file: PathBuf,
    /// Orders of it.
    pub orders: u32,
    /// Faults of it.
    pub faults: usize,
}

impl Report<'_> {
    fn tally(&self) -> &Tally {
        &self.outcome.tally
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let tally = self.tally();
        if !self.outcome.findings.is_empty() {
            return Verdict::Violated;
        }
        let missed = tally.is_enough() && !tally.never_reached().is_empty();
        if missed || tally.doubts > 0 { Verdict::Inconclusive } else { Verdict::Held }
    }

    /// The exit code of the command.
    pub fn exit_code(&self) -> u8 {
        let failed = self.outcome.failure.as_ref().map(|failure| match failure.error {
            Error::NotDeterministic { .. } => exit::NOT_DETERMINISTIC,
            Error::Simulation(_) | Error::Panic => exit::INTERNAL,
        });
        if self.outcome.interrupted && self.tally().runs == 0 {
            return exit::INTERRUPTED;
        }
        exit::worst(failed.into_iter().chain([self.verdict().exit_code()]))
    }

    fn per_second(&self, time: Duration) -> f64 {
        if time.is_zero() { 0.0 } else { self.tally().runs as f64 / time.as_secs_f64() }
    }

    fn acceleration(&self) -> f64 {
        let real = self.real.as_secs_f64();
        if real > 0.0 { self.tally().virtual_time.as_secs_f64() / real } else { 0.0 }
    }

    /// For people.
    pub fn human(&self) -> String {
        let mut text = self.commands();
        let tally = self.tally();
        let mut line = |told: String| text += &wrap(&told, 0);
        let runs = several(tally.runs, "run");
        line(format!("{runs} from seed {}: {}", self.seed, self.told_verdict()));
        line(format!(
            "{:.1} s, {:.0} runs/s; {:.1} s of CPU time of this process, {:.0} runs a CPU-second",
            self.real.as_secs_f64(),
            self.per_second(self.real),
            self.cpu.as_secs_f64(),
            self.per_second(self.cpu),
        ));
        let virtual_time = Duration::from_secs(tally.virtual_time.as_secs());
        line(format!(
            "{} of virtual time, {:.0} times as fast as real time",
            humantime::format_duration(virtual_time),
            self.acceleration(),
        ));
        line(format!("states reached: {} of {}", tally.states(), coverage::wanted().len()));
        // A search that ended with its first find has not had the time.
        let missing = if self.ended_with_a_find() { Vec::new() } else { tally.never_reached() };
        if !missing.is_empty() {
            line(format!("never reached: {}", missing.join(", ")));
        }
        if !missing.is_empty() && !tally.is_enough() {
            line(format!("(in {} runs all must be reached)", coverage::RUNS_ENOUGH));
        }
        for (promise, runs) in &tally.fallen {
            line(format!("fell: {promise} in {runs} of the runs"));
        }
        for Doubt { number, promise, says } in &tally.doubts_told {
            line(format!("doubt in run {number}: {promise}: {says}"));
        }
        if self.options.twice {
            line(format!("each run twice, with the same bytes; digest {}", tally.digest()));
        }
        text
    }

    /// How to run again what failed.
    fn commands(&self) -> String {
        let mut text = String::new();
        for kept in self.kept {
            let Counterexample { number, promise, file, orders, faults } = kept;
            let (again, what) = match promise {
                Some(promise) => ("replay", promise.to_owned()),
                None => ("run", "the run could not be judged"),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "cargo drill {again} {}", quoted(file));
            let size = format!(
                "{}, {}",
                several(u64::from(*orders), "order"),
                several(*faults as u64, "fault")
            );
            text += &wrap(&format!("{what}: run {number}, {size}"), 2);
        }
        if let Some(failure) = &self.outcome.failure {
            let told = format!("run {} of seed {}: {}", failure.number, self.seed, failure.error);
            text += &wrap(&told, 0);
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    fn ended_with_a_find(&self) -> bool {
        !self.options.keep_going && !self.outcome.findings.is_empty()
    }

    fn told_verdict(&self) -> String {
        let under = self.options.strategy.as_ref().map(|name| format!(", strategy {name}"));
        let bug = self.options.sabotage.as_ref().map(|bug| format!(", sabotage {bug}"));
        let broken = under.unwrap_or_default() + &bug.unwrap_or_default();
        let cut = if self.outcome.interrupted { ", cut short" } else { "" };
        format!("{}{broken}{cut}", self.verdict())
    }

    /// For programs.
    pub fn json(&self) -> String {
        let tally = self.tally();
        let failure = self.outcome.failure.as_ref();
        let report = Json {
            schema_version: SCHEMA_VERSION,
            verdict: self.verdict(),
            exit_code: self.exit_code(),
            seed: self.seed.number,
            seed_hash: self.seed.hash.as_deref(),
            strategy: self.options.strategy.as_deref(),
            sabotage: self.options.sabotage.as_deref(),
            jobs: self.options.jobs.get(),
            interrupted: self.outcome.interrupted,
            runs: tally.runs,
            real_seconds: self.real.as_secs_f64(),
            cpu_seconds: self.cpu.as_secs_f64(),
            runs_per_second: self.per_second(self.real),
            runs_per_cpu_second: self.per_second(self.cpu),
            virtual_seconds: tally.virtual_time.as_secs_f64(),
            virtual_per_real_second: self.acceleration(),
            states_wanted: coverage::wanted().len(),
            states_reached: tally.states(),
            never_reached: tally.never_reached(),
            reached: &tally.reached,
            fallen: &tally.fallen,
            fell_in: self.outcome.findings.iter().map(|finding| finding.number).collect(),
            counterexamples: self.kept,
            doubts: tally.doubts,
            doubts_told: &tally.doubts_told,
            failure: failure.map(|failure| (failure.number, failure.error.to_string())),
            digest: self.options.twice.then(|| tally.digest()),
        };
        // Texts and numbers; map keys are texts.
        serde_json::to_string_pretty(&report).expect("a report is plain JSON") + "\n"
    }
}

#[derive(Serialize)]
struct Json<'a> {
    schema_version: u32,
    verdict: Verdict,
    exit_code: u8,
    seed: u64,
    seed_hash: Option<&'a str>,
    strategy: Option<&'a str>,
    sabotage: Option<&'a str>,
    jobs: usize,
    interrupted: bool,
    runs: u64,
    real_seconds: f64,
    cpu_seconds: f64,
    runs_per_second: f64,
    runs_per_cpu_second: f64,
    virtual_seconds: f64,
    virtual_per_real_second: f64,
    states_wanted: usize,
    states_reached: usize,
    never_reached: Vec<&'static str>,
    reached: &'a std::collections::BTreeMap<String, u64>,
    fallen: &'a std::collections::BTreeMap<&'static str, u64>,
    fell_in: Vec<u64>,
    counterexamples: &'a [Counterexample],
    doubts: u64,
    doubts_told: &'a [Doubt],
    failure: Option<(u64, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// A number with its noun.
fn several(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
