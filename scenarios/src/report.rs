//! How results are told. Reporters only read a [`DrillResult`].

mod human;
mod json;
mod replayed;
pub(crate) mod wrap;

pub use human::human;
pub use json::json;
pub use replayed::{Replayed, human_replayed, json_replayed};

use std::collections::BTreeMap;
use std::time::Duration;

use oms_core::store::Transition;
use serde::Serialize;

use crate::evidence::{Evidence, FaultCount, Pool, QuotaUse, Takeovers, Turns};
use crate::history::Mode;
use crate::strategies;
use crate::verdict::{Judgement, PromiseVerdict, Verdict};

/// The version of `verdict.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// A drill that was run and judged: what reporters read, and what `verdict.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrillResult {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The drill's name.
    pub drill: String,
    /// What the catalogue shows.
    pub title: String,
    /// How it was run.
    pub mode: Mode,
    /// Drill seconds in a real second; 1 when simulated.
    pub clock_factor: f64,
    /// How often it was run until it proved something; all but the last proved nothing.
    #[serde(skip_serializing_if = "is_one")]
    pub tries: usize,
    /// How external calls were placed around transactions, if not as is recommended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// The bug that was planted on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sabotage: Option<String>,
    /// How members were signed up, if not as is recommended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_up: Option<String>,
    /// The seed.
    pub seed: u64,
    /// What it comes to.
    pub verdict: Verdict,
    /// Why it is not held, beside broken promises.
    pub reasons: Vec<String>,
    /// The command that runs it again.
    pub replay: String,
    /// Each promise, with its evidence.
    pub promises: Vec<PromiseVerdict>,
    /// How many orders ended in each state; `refused` were not taken in.
    pub orders: BTreeMap<String, u64>,
    /// What else was counted.
    pub figures: Figures,
    /// Members that are kept.
    #[serde(skip_serializing_if = "is_none")]
    pub members: u64,
    /// What became of the pool of connections, where one was held over a call or waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// How well the carrier's quota was used, where the plan asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaUse>,
    /// How soon others had what a process left behind, where one died or was halted over a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeovers: Option<Takeovers>,
    /// How sellers took turns, where there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<Turns>,
    /// Each fault of the plan, and how often it fired.
    pub faults: Vec<FaultCount>,
    /// Everything that the run came through.
    pub reached: Vec<String>,
    /// The SHA-256 of the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_hash: Option<String>,
    /// How long the run took in drill time.
    pub virtual_ms: u64,
    /// How long it took in real time.
    pub real_ms: u64,
}

/// What was counted in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Bookings that the carrier ever made.
    pub bookings: u64,
    /// Messages that the gateway accepted.
    pub messages: u64,
    /// Replies with 429.
    pub rate_limited: u64,
    /// Bans of our address.
    pub bans: u64,
    /// Times that a booking's outcome became unknown.
    pub unknown: u64,
    /// Times that an unknown booking proved to be booked.
    pub unknown_to_booked: u64,
    /// Times that an unknown booking proved not to be booked.
    pub unknown_to_not_booked: u64,
    /// Nodes killed.
    pub crashes: u64,
}

/// What of a result is not in the evidence.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// The command that runs the drill again.
    pub replay: String,
    /// How long it took in real time.
    pub real: Duration,
    /// The SHA-256 of the history.
    pub history_hash: Option<String>,
}

impl DrillResult {
    /// Puts together what is told of a run.
    pub fn new(evidence: &Evidence, judgement: Judgement, how: Circumstances) -> DrillResult {
        let mut orders: BTreeMap<String, u64> = evidence
            .counts()
            .into_iter()
            .map(|(state, count)| (state.as_str().to_owned(), count))
            .collect();
        let refused = evidence.refused().len() as u64;
        if refused > 0 {
            orders.insert("refused".to_owned(), refused);
        }
        let plan = &evidence.plan;
        DrillResult {
            schema_version: SCHEMA_VERSION,
            drill: plan.name.clone(),
            title: plan.title().to_owned(),
            mode: evidence.mode,
            clock_factor: evidence.clock_factor,
            tries: 1,
            strategy: strategies::of(plan).in_plans(),
            sabotage: plan.sabotage.clone(),
            sign_up: plan.sign_up.clone(),
            seed: plan.seed,
            verdict: judgement.verdict,
            reasons: judgement.reasons,
            replay: how.replay,
            promises: judgement.promises,
            orders,
            figures: Figures::of(evidence),
            members: evidence.rows.members.iter().filter(|row| row.is_registered()).count() as u64,
            pool: evidence.pool(),
            quota: evidence.quota_use(),
            takeovers: evidence.takeovers(),
            turns: evidence.turns(),
            faults: judgement.faults,
            reached: judgement.reached.into_iter().collect(),
            history_hash: how.history_hash,
            virtual_ms: millis(evidence.ended_at.since(plan.start)),
            real_ms: millis(how.real),
        }
    }

    /// The first promise that was broken and should not have been.
    pub fn first_violation(&self) -> Option<&PromiseVerdict> {
        let unexpected =
            |promise: &&PromiseVerdict| promise.verdict == Verdict::Violated && !promise.expected;
        self.promises.iter().find(unexpected)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_one(tries: &usize) -> bool {
    *tries == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Figures {
    fn of(evidence: &Evidence) -> Figures {
        let statuses = evidence.carrier.counts.values().chain(evidence.messenger.counts.values());
        let limited: u64 = statuses.filter_map(|counts| counts.statuses.get(&429)).sum();
        let steps = |from: &str, to: &str| {
            let walked = |step: &&Transition| {
                step.entity == "parcel" && step.from.as_deref() == Some(from) && step.to == to
            };
            evidence.rows.transitions.iter().filter(walked).count() as u64
        };
        let to_unknown = |step: &&Transition| {
            step.entity == "parcel" && step.from.is_some() && step.to == "unknown"
        };
        let crashed = |record: &&crate::history::Record| {
            matches!(record.what, crate::history::What::Drill(crate::history::Step::NodeCrashed))
        };
        Figures {
            bookings: evidence.carrier.bookings.len() as u64,
            messages: evidence
                .messenger
                .totals
                .accepted
                .max(evidence.messenger.messages.len() as u64),
            rate_limited: limited,
            bans: (evidence.carrier.bans.len() + evidence.messenger.bans.len()) as u64,
            unknown: evidence.rows.transitions.iter().filter(to_unknown).count() as u64,
            unknown_to_booked: steps("unknown", "booked"),
            unknown_to_not_booked: steps("unknown", "planned"),
            crashes: evidence.records.iter().filter(crashed).count() as u64,
        }
    }
}
