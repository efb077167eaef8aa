//! What a run comes to: held, inconclusive or violated; the worst wins.

use std::collections::BTreeSet;
use std::fmt;

use faults::{Fault, When};
use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, FaultCount};
use crate::promises::{self, Finding, Violation};
use crate::reach;

/// What a run, or a promise in it, comes to. Ordered from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was promised held, and it was truly put to the test.
    Held,
    /// Nothing broke, but the run proves nothing.
    Inconclusive,
    /// A promise was broken.
    Violated,
}

/// The exit codes of `drill`.
pub mod exit {
    /// Held.
    pub const HELD: u8 = 0;
    /// Violated.
    pub const VIOLATED: u8 = 1;
    /// Wrong usage, or a bad file.
    pub const USAGE: u8 = 2;
    /// Inconclusive.
    pub const INCONCLUSIVE: u8 = 3;
    /// The same plan gave other bytes.
    pub const NOT_DETERMINISTIC: u8 = 4;
    /// A bug of the drill itself.
    pub const INTERNAL: u8 = 70;
    /// Ended by a signal before there was a verdict, as shells say it.
    pub const INTERRUPTED: u8 = 130;

    /// Of several codes the worst.
    pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
        // From the best to the worst.
        let order = [HELD, INCONCLUSIVE, VIOLATED, NOT_DETERMINISTIC, USAGE, INTERNAL];
        let badness =
            |code: &u8| order.iter().position(|known| known == code).unwrap_or(usize::MAX);
        codes.into_iter().max_by_key(badness).unwrap_or(HELD)
    }
}

impl Verdict {
    /// The exit code of a run that comes to this.
    pub const fn exit_code(self) -> u8 {
        match self {
            Verdict::Held => exit::HELD,
            Verdict::Inconclusive => exit::INCONCLUSIVE,
            Verdict::Violated => exit::VIOLATED,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Held => "held",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Violated => "violated",
        })
    }
}

/// A run, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What it comes to, the plan's expectations considered.
    pub verdict: Verdict,
    /// Each promise.
    pub promises: Vec<PromiseVerdict>,
    /// Each fault of the plan.
    pub faults: Vec<FaultCount>,
    /// Everything that the run came through.
    pub reached: BTreeSet<String>,
    /// Why it is not held, a sentence each; broken promises speak for themselves.
    pub reasons: Vec<String>,
}

/// A promise, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromiseVerdict {
    /// Its id.
    pub id: &'static str,
    /// What was found.
    pub verdict: Verdict,
    /// The plan expects it to be broken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expected: bool,
    /// Everything that breaks it.
    pub violations: Vec<Told>,
    /// Why the evidence does not suffice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// A violation: a sentence for people, values for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// The sentence.
    pub says: String,
    /// The values.
    #[serde(flatten)]
    pub violation: Violation,
}

impl PromiseVerdict {
    fn new(id: &'static str, finding: Finding, expected: bool) -> PromiseVerdict {
        let Finding { violations, doubts } = finding;
        let verdict = if !violations.is_empty() {
            Verdict::Violated
        } else if !doubts.is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Held
        };
        let told = |violation: Violation| Told { says: violation.to_string(), violation };
        let violations = violations.into_iter().map(told).collect();
        PromiseVerdict { id, verdict, expected, violations, doubts }
    }

    /// What it means for the run: where a violation is expected, that is what holds.
    pub fn counts_as(&self) -> Verdict {
        match (self.expected, self.verdict) {
            (true, Verdict::Violated) => Verdict::Held,
            (true, Verdict::Held) => Verdict::Violated,
            (_, verdict) => verdict,
        }
    }
}

/// Judges a run.
pub fn judge(evidence: &Evidence) -> Judgement {
    let expected = &evidence.plan.expect.violated;
    let promises: Vec<PromiseVerdict> = promises::check_all(evidence)
        .into_iter()
        .map(|(promise, finding)| {
            let expected = expected.iter().any(|id| id == promise.id);
            PromiseVerdict::new(promise.id, finding, expected)
        })
        .collect();
    let reached = reach::reached(evidence);
    let mut reasons = Vec::new();
    for promise in &promises {
        reasons.extend(promise.doubts.iter().map(|doubt| format!("{}: {doubt}", promise.id)));
        if promise.expected && promise.verdict == Verdict::Held {
            reasons.push(format!("{} held, and was expected to be violated", promise.id));
        }
    }
    let unproven = unproven(evidence, &reached);
    let of_promises = promises.iter().map(PromiseVerdict::counts_as).max();
    let of_proof = if unproven.is_empty() { Verdict::Held } else { Verdict::Inconclusive };
    reasons.extend(unproven);
    Judgement {
        verdict: of_promises.unwrap_or(Verdict::Held).max(of_proof),
        promises,
        faults: evidence.faults.clone(),
        reached,
        reasons,
    }
}

/// Why the run proves nothing.
fn unproven(evidence: &Evidence, reached: &BTreeSet<String>) -> Vec<String> {
    let mut reasons = Vec::new();
    for count in evidence.faults.iter().filter(|count| count.is_missing()) {
        reasons.push(format!("fault {} ({}) never fired", count.place, describe(count)));
    }
    let skipped = |count: &FaultCount| count.skipped.is_some() && count.times == 0;
    if !evidence.faults.is_empty() && evidence.faults.iter().all(skipped) {
        reasons.push("no fault of the plan was done: all were skipped".to_owned());
    }
    let was_skipped = |name: &str| {
        let mut of_kind =
            evidence.faults.iter().filter(|count| reach::fault(count.fault.kind) == name);
        of_kind.clone().next().is_some() && of_kind.all(skipped)
    };
    let demanded = evidence.plan.expect.must_reach.iter();
    let missing = demanded.filter(|name| !reached.contains(*name) && !was_skipped(name));
    reasons.extend(missing.map(|name| format!("`{name}` was never reached")));
    reasons
}

/// A fault in a few words: `status 502 RegBook ORD-3-1`, `crash after RegBook`, `crash point 60`.
pub fn describe(count: &FaultCount) -> String {
    describe_fault(&count.fault)
}

/// As [`describe`], of a fault alone.
pub fn describe_fault(fault: &Fault) -> String {
    let at = fault.endpoint.as_deref().or(fault.on.as_deref().filter(|on| *on != "node"));
    let when = fault.when.map(|when| match when {
        When::Before => "before".to_owned(),
        When::After => "after".to_owned(),
    });
    let words = [
        Some(fault.kind.to_string()),
        fault.status.map(|status| status.to_string()),
        when,
        fault.point.map(|point| format!("point {point}")),
        at.map(str::to_owned),
        fault.key.clone(),
        fault.nth.map(|nth| format!("#{nth}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use faults::Kind;

    use super::*;
    use crate::plan::Site;
    use crate::testing::Builder;

    #[track_caller]
    fn check(builder: Builder, verdict: Verdict, reasons: &[&str]) {
        let judgement = judge(&builder.evidence());
        assert_eq!(judgement.reasons, reasons);
        assert_eq!(judgement.verdict, verdict);
    }

    fn with_fault() -> Builder {
        let busy = Fault { endpoint: Some("ingest".to_owned()), ..Fault::new(Kind::Busy) };
        Builder::clean(2).plan(|plan| plan.faults = vec![busy])
    }

    fn broken() -> Builder {
        Builder::clean(2).booking("ORD-1-1", "650000000999", 2_000)
    }

    fn expecting(builder: Builder, ids: &[&str]) -> Builder {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        builder.plan(|plan| plan.expect.violated = ids)
    }

    #[test]
    fn the_worst_verdict_wins() {
        assert!(Verdict::Held < Verdict::Inconclusive);
        assert!(Verdict::Inconclusive < Verdict::Violated);
        check(Builder::clean(2), Verdict::Held, &[]);
        let unfired = "fault 0 (busy ingest) never fired";
        check(with_fault(), Verdict::Inconclusive, &[unfired]);
        let both = with_fault().booking("ORD-1-1", "650000000999", 2_000);
        check(both, Verdict::Violated, &[unfired]);
    }

    #[test]
    fn a_fault_is_told_in_a_few_words() {
        let told = |change: fn(&mut Fault), kind| {
            let mut fault = Fault::new(kind);
            change(&mut fault);
            describe(&FaultCount { place: 0, fault, times: 0, skipped: None })
        };
        let status = |fault: &mut Fault| {
            (fault.on, fault.status) = (Some("carrier".to_owned()), Some(502));
            fault.key = Some("ORD-3-1".to_owned());
        };
        assert_eq!(told(status, Kind::Status), "status 502 carrier ORD-3-1");
        let crash = |fault: &mut Fault| {
            (fault.when, fault.nth) = (Some(When::After), Some(9));
            fault.endpoint = Some("ReqInvcNo".to_owned());
        };
        assert_eq!(told(crash, Kind::Crash), "crash after ReqInvcNo #9");
        let point = |fault: &mut Fault| {
            (fault.on, fault.point) = (Some("node".to_owned()), Some(60));
        };
        assert_eq!(told(point, Kind::Crash), "crash point 60");
    }

    #[test]
    fn a_fault_that_fired_proves_something() {
        check(with_fault().fired(Site::Store, 0, 5), Verdict::Held, &[]);
    }

    #[test]
    fn a_run_whose_every_fault_was_skipped_is_not_held() {
        let all = "no fault of the plan was done: all were skipped";
        check(with_fault().skipped(0, "no"), Verdict::Inconclusive, &[all]);
        let one_of_two = with_fault()
            .plan(|plan| plan.faults.push(Fault::new(Kind::Slow)))
            .skipped(0, "no")
            .fired(Site::Store, 1, 5);
        check(one_of_two, Verdict::Held, &[]);
    }

    #[test]
    fn what_must_be_reached_and_is_not_makes_a_run_inconclusive() {
        let demanding = |name: &str| {
            let name = name.to_owned();
            Builder::clean(2).plan(|plan| plan.expect.must_reach = vec![name])
        };
        check(demanding("ban"), Verdict::Inconclusive, &["`ban` was never reached"]);
        check(
            demanding("ban").carrier_ban(1, 2).carrier_request(
                "RegBook",
                1,
                Some(403),
                Some(Kind::Ban),
            ),
            Verdict::Held,
            &[],
        );
        check(demanding("order:shipped-completed"), Verdict::Held, &[]);
        let skipped = with_fault()
            .plan(|plan| {
                plan.expect.must_reach = vec!["fault:busy".to_owned()];
                plan.faults.push(Fault::new(Kind::Slow));
            })
            .skipped(0, "no")
            .fired(Site::Store, 1, 5);
        check(skipped, Verdict::Held, &[]);
    }

    #[test]
    fn an_expected_violation_is_what_holds() {
        check(broken(), Verdict::Violated, &[]);
        check(expecting(broken(), &["no-double-shipment"]), Verdict::Held, &[]);
        let unmet = "no-lost-order held, and was expected to be violated";
        let both = expecting(broken(), &["no-double-shipment", "no-lost-order"]);
        check(both, Verdict::Violated, &[unmet]);
        let other = expecting(broken(), &["no-lost-order"]).lose("ORD-2");
        assert_eq!(judge(&other.evidence()).verdict, Verdict::Violated, "the other one is not");
    }

    #[test]
    fn a_doubt_is_inconclusive_even_where_a_violation_is_expected() {
        let doubt = Builder::clean(1).messages_dropped(1);
        let why = "no-double-notification: the gateway's ledger has dropped 1 messages";
        check(doubt.clone(), Verdict::Inconclusive, &[why]);
        check(expecting(doubt, &["no-double-notification"]), Verdict::Inconclusive, &[why]);
    }

    #[test]
    fn of_several_exit_codes_the_worst_counts() {
        assert_eq!(exit::worst([0, 3, 0]), 3);
        assert_eq!(exit::worst([3, 1, 0]), 1);
        assert_eq!(exit::worst([1, 4, 3]), 4);
        assert_eq!(exit::worst([4, 70, 1]), 70);
        assert_eq!(exit::worst([]), 0);
        assert_eq!(Verdict::Violated.exit_code(), 1);
        assert_eq!(Verdict::Inconclusive.exit_code(), 3);
    }

    #[test]
    fn a_violation_is_told_to_people_and_to_programs() {
        let judgement = judge(&broken().evidence());
        let told = serde_json::to_value(&judgement.promises[0]).unwrap();
        assert_eq!(told["verdict"], "violated");
        let violation = &told["violations"][0];
        assert_eq!(violation["kind"], "two-live-bookings");
        assert_eq!(violation["parcel"], "ORD-1/1");
        assert_eq!(violation["second"]["invoice_no"], "650000000999");
        assert!(violation["says"].as_str().unwrap().starts_with("ORD-1/1 is booked twice"));
    }
}
