//! The proof that the net holds, proved in small: bugs are found, what is no bug is not, and a
//! clean build that is not clean is accused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/drill.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod support;

use std::num::NonZeroUsize;
use std::time::Duration;

use scenarios::crew::Stop;
use scenarios::prove::{Bug, Machine, Median, Options, Proof, Terms, prove};
use scenarios::sabotage;
use scenarios::verdict::exit;
use support::Folder;

/// Bugs that fall within a few runs.
const QUICK: [&str; 2] = ["outbox-dropped", "unknown-as-failed"];

fn bug(name: &str) -> Bug {
    Bug::from(sabotage::named(name).unwrap())
}

fn small(bugs: Vec<Bug>) -> Options {
    let terms = Terms {
        seed: 1,
        trials: 1,
        runs_max: 100,
        shrunk_trials: 0,
        weighed_runs_max: 0,
        clean_runs: 0,
    };
    Options { bugs, clean: None, terms, jobs: NonZeroUsize::MIN }
}

fn proved(options: &Options) -> Proof {
    prove(options, &Stop::default(), |_| {}).unwrap()
}

/// What does not depend on the machine and its load.
fn lasting(mut proof: Proof) -> Proof {
    (proof.real, proof.clean.cpu) = (Duration::ZERO, Duration::ZERO);
    proof.bugs.iter_mut().for_each(|bug| bug.cpu_micros = None);
    proof.machine = Machine::here();
    proof
}

#[test]
fn planted_bugs_are_found_replayed_and_weighed_and_the_clean_build_is_not_accused() {
    let mut options = small(QUICK.map(bug).into());
    options.terms = Terms { weighed_runs_max: 3, clean_runs: 10, ..options.terms };
    let proof = proved(&options);
    for bug in &proof.bugs {
        let name = &bug.name;
        assert_eq!((bug.found, bug.trials), (1, 1), "{name}");
        assert!(bug.fell.contains_key(bug.breaks.as_str()), "{name}: {:?}", bug.fell);
        assert_eq!((bug.replays.same, bug.replays.of), (3, 3), "{name}");
        assert_eq!(bug.without.len(), 4, "{name}");
        let Median { median, .. } = bug.runs.unwrap();
        assert!(median.came() && (1..=100).contains(&median.amount()), "{name}: {median}");
        assert!(bug.cpu_micros.unwrap().median.amount() > 0, "{name}");
    }
    assert_eq!((proof.clean.runs, &proof.clean.accusations), (10, &Vec::new()));
    assert_eq!(proof.exit_code(), exit::HELD, "{}", proof.human());
}

#[test]
fn what_is_no_bug_is_not_found() {
    let name = "no-bug-at-all".to_owned();
    assert!(sabotage::named(&name).is_none());
    let harmless = Bug { name, family: "none".to_owned(), breaks: "no-lost-order".to_owned() };
    let mut options = small(vec![harmless]);
    options.terms.runs_max = 10;
    let proof = proved(&options);
    assert_eq!((proof.bugs[0].found, proof.bugs[0].trials), (0, 1));
    assert_eq!(proof.bugs[0].runs.unwrap().median.to_string(), ">10");
    assert_eq!(proof.exit_code(), exit::INCONCLUSIVE);
}

#[test]
fn a_clean_build_that_is_not_clean_is_accused() {
    let mut options = small(Vec::new());
    options.clean = Some("outbox-dropped".to_owned());
    options.terms.clean_runs = 10;
    let proof = proved(&options);
    let accusation = &proof.clean.accusations[0];
    assert!(!accusation.says.is_empty() && !accusation.promises.is_empty());
    assert!(scenarios::plan::Plan::parse(&accusation.plan).is_ok());
    assert_eq!(proof.exit_code(), exit::VIOLATED);
}

#[test]
fn a_bug_that_the_clean_build_has_too_is_none() {
    let mut options = small(vec![bug("outbox-dropped")]);
    options.clean = Some("outbox-dropped".to_owned());
    options.terms.runs_max = 5;
    let proof = proved(&options);
    assert_eq!(proof.bugs[0].found, 0);
    assert_eq!(proof.exit_code(), exit::VIOLATED, "for it is accused");
}

#[test]
fn a_proof_does_not_depend_on_the_number_of_threads() {
    let of = |jobs| {
        let mut options = small(QUICK.map(bug).into());
        options.terms = Terms { trials: 2, clean_runs: 5, ..options.terms };
        options.jobs = NonZeroUsize::new(jobs).unwrap();
        lasting(proved(&options))
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn a_proof_that_was_cut_short_says_so_and_proves_nothing() {
    let stop = Stop::default();
    stop.now();
    let mut options = small(vec![bug("outbox-dropped")]);
    options.terms.clean_runs = 5;
    let proof = prove(&options, &stop, |_| {}).unwrap();
    assert!(!proof.is_complete());
    assert_eq!((proof.bugs[0].trials, proof.exit_code()), (0, exit::INCONCLUSIVE));
    assert!(proof.human().contains("cut short"), "{}", proof.human());
}

#[test]
fn the_command_line_prints_the_table_and_keeps_the_page() {
    let folder = Folder::new();
    let line = "prove --only outbox-dropped --trials 1 --clean 5 --weigh 0 --seed 3";
    let ran = folder.drill(&format!("{line} --write kept/proof.md")).exits(0);
    assert!(ran.out.contains("1 of 1 found in every trial"), "{}", ran.out);
    assert!(ran.out.contains("clean build: 5 runs, never accused"), "{}", ran.out);
    assert!(folder.read("kept/proof.md").contains("| `outbox-dropped` | 1 of 1 |"));
    let json = folder.drill(&format!("{line} --format json")).exits(0).json();
    assert_eq!((&json["exit_code"], &json["bugs"][0]["found"]), (&0.into(), &1.into()));
    folder.drill("prove --only no-such-bug").exits(2);
}
