//! The words and numbers that both tables have in common.

use super::{BugProof, Machine, Median, Power, PowerProof, Proof, Terms, Waited};

/// A number with its thousands set apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `17 (3..>500)`.
pub(super) fn runs(median: Option<&Median>) -> String {
    interval(median, |waited| waited.to_string())
}

/// Microseconds as seconds: `0.21 (0.02..3.10)`.
pub(super) fn cpu_seconds(median: Option<&Median>) -> String {
    interval(median, seconds)
}

/// Microseconds as seconds: `0.21`, or `>0.21` when it was waited for in vain.
pub(super) fn seconds(micros: Waited) -> String {
    let beyond = if micros.came() { "" } else { ">" };
    format!("{beyond}{:.2}", micros.amount() as f64 / 1e6)
}

fn interval(median: Option<&Median>, shown: impl Fn(Waited) -> String) -> String {
    match median {
        None => "-".to_owned(),
        Some(Median { median, low, high, .. }) if low == high => shown(*median),
        Some(Median { median, low, high, .. }) => {
            format!("{} ({}..{})", shown(*median), shown(*low), shown(*high))
        }
    }
}

/// The median alone.
pub(super) fn median(median: Option<&Median>, shown: impl Fn(Waited) -> String) -> String {
    median.map_or("-".to_owned(), |median| shown(median.median))
}

/// Orders and faults of the small counterexample: `1+2`.
pub(super) fn size(bug: &BugProof) -> String {
    bug.size.map_or("-".to_owned(), |size| format!("{}+{}", size.orders, size.faults))
}

/// A power in one word, for the head of a column.
pub(super) fn head(power: Power) -> &'static str {
    match power {
        Power::LateDelivery => "late",
        Power::SchedulingPoints => "points",
        Power::Crash => "crash",
        Power::Swarm => "swarm",
    }
}

/// What the intervals are worth.
pub(super) fn intervals(proof: &Proof) -> String {
    let trials = proof.terms.trials;
    let medians = proof.bugs.iter().filter_map(|bug| bug.runs);
    let confidence = medians.map(|median| median.confidence).fold(f64::NAN, f64::min);
    let percent = if confidence.is_nan() { 0.0 } else { 100.0 * confidence };
    let ends = if trials < 6 { "the smallest and the largest" } else { "order statistics" };
    format!("medians of {trials} trials; intervals: {ends}, {percent:.1} % sure")
}

/// What a power is worth, in one sentence.
pub(super) fn worth(weighed: &PowerProof, terms: &Terms) -> String {
    let PowerProof { power, found_with, found_without, runs_with, runs_without, .. } = weighed;
    let listed = |bugs: &[String], what: &str| match bugs {
        [] => format!("{what}: none"),
        bugs => format!("{what}: {} ({})", bugs.len(), bugs.join(", ")),
    };
    format!(
        "without {power}: found within {} runs in {} trials in place of {}, after {} runs in all \
         in place of {}; {}; {}",
        grouped(terms.weighed_runs_max),
        grouped(*found_without),
        grouped(*found_with),
        grouped(*runs_without),
        grouped(*runs_with),
        listed(&weighed.only_with, &format!("never found in {} runs", terms.weighed_runs_max)),
        listed(&weighed.slower, "others at least twice as slow"),
    )
}

/// What came of the clean build, in one sentence.
pub(super) fn clean(proof: &Proof) -> String {
    let accusations = match proof.clean.accusations.len() {
        0 => "never accused".to_owned(),
        1 => "ACCUSED once".to_owned(),
        times => format!("ACCUSED {times} times"),
    };
    let doubted = match proof.clean.doubted {
        0 => String::new(),
        runs => format!("; the evidence did not suffice in {}", grouped(runs)),
    };
    let runs = grouped(proof.clean.runs);
    let cpu = proof.clean.cpu.as_secs_f64();
    format!("clean build: {runs} runs, {accusations}{doubted}; {cpu:.0} CPU-seconds")
}

/// What came of the planted bugs, in one sentence.
pub(super) fn bugs(proof: &Proof) -> String {
    let all = proof.bugs.len();
    let found = proof.bugs.iter().filter(|bug| bug.found == proof.terms.trials).count();
    let (orders, faults) = proof.bugs.iter().filter_map(|bug| bug.size).fold((0, 0), |max, one| {
        let (orders, faults) = max;
        (one.orders.max(orders), one.faults.max(faults))
    });
    let same: u64 = proof.bugs.iter().map(|bug| bug.replays.same).sum();
    let of: u64 = proof.bugs.iter().map(|bug| bug.replays.of).sum();
    if !proof.is_complete() {
        let made: u64 = proof.bugs.iter().map(|bug| bug.trials).sum();
        let found: u64 = proof.bugs.iter().map(|bug| bug.found).sum();
        return format!("planted bugs: found in {found} of the {made} trials that were made");
    }
    format!(
        "planted bugs: {found} of {all} found in every trial; shrunk, none is larger than \
         {orders}+{faults} (orders + faults); run again, {same} of {of} gave the same bytes"
    )
}

/// Bugs that are not as they should be, a sentence each.
pub(super) fn remarks(proof: &Proof) -> Vec<String> {
    let mut remarks = Vec::new();
    if !proof.is_complete() {
        remarks.push("cut short: not all trials and runs were made".to_owned());
    }
    for bug in &proof.bugs {
        if bug.found < bug.trials {
            let BugProof { name, found, trials, .. } = bug;
            let runs_max = grouped(proof.terms.runs_max);
            remarks.push(format!("{name}: found in {found} of {trials} trials of {runs_max} runs"));
        }
        let others = bug.fell.iter().filter(|(promise, _)| **promise != bug.breaks);
        for (promise, times) in others {
            let BugProof { name, breaks, found, .. } = bug;
            remarks.push(format!("{name}: {promise} fell, not {breaks}, in {times} of {found}"));
        }
        if bug.size.is_some_and(|size| size.orders > 2 || size.faults > 2) {
            let size = size(bug);
            remarks.push(format!("{}: {size} orders and faults after shrinking", bug.name));
        }
        if bug.replays.same < bug.replays.of {
            let name = &bug.name;
            remarks.push(format!("{name}: run again, the plan did not always give the same bytes"));
        }
    }
    remarks
}

/// Where and when, in one line.
pub(super) fn machine(proof: &Proof) -> String {
    let Machine { processor, cores, date, version, build } = &proof.machine;
    let cores_are = if *cores == 1 { "core" } else { "cores" };
    let seed = proof.terms.seed;
    format!("{date}, {processor}, {cores} {cores_are}, drill {version} ({build}), seed {seed}")
}

/// A real duration: `4m07s`.
pub(super) fn real(proof: &Proof) -> String {
    let seconds = proof.real.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", proof.real.as_secs_f64()),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::testing;

    #[test]
    fn thousands_are_set_apart() {
        let told = [0, 999, 1_000, 20_000, 1_000_000].map(grouped);
        assert_eq!(told, ["0", "999", "1,000", "20,000", "1,000,000"]);
    }

    #[test]
    fn what_is_not_as_it_should_be_is_remarked() {
        let proof = testing::proof();
        assert_eq!(
            remarks(&proof),
            [
                "outbox-dropped: legal-history fell, not no-lost-order, in 1 of 3",
                "no-bug: found in 0 of 3 trials of 10,000 runs",
            ]
        );
        assert!(clean(&proof).contains("never accused"), "{}", clean(&proof));
        let mut accused = proof;
        accused.clean.accusations.push(testing::accusation());
        assert!(clean(&accused).contains("ACCUSED once"), "{}", clean(&accused));
    }
}
