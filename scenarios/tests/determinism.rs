//! The same plan gives the same history, byte for byte: in one process and across two.
//!
//! Without this no other verdict is worth reading, so it is checked before all else.

use std::process::Command;

use scenarios::plan::Plan;
use scenarios::{catalogue, sim};

/// The SHA-256 of a plan's history.
fn hash(plan: &Plan) -> String {
    let run = sim::Run::of(plan);
    sim::run(&run).expect("a simulation that runs").hash()
}

#[test]
fn every_drill_gives_the_same_bytes_twice_in_one_process() {
    for plan in catalogue::plans().expect("plans that are plans") {
        assert_eq!(hash(&plan), hash(&plan), "{}", plan.name);
    }
}

#[test]
fn another_seed_gives_another_history() {
    let plan = Plan::healthy("healthy", 5);
    let other = Plan { seed: plan.seed + 1, ..plan.clone() };
    assert_ne!(hash(&plan), hash(&other));
}

/// Two processes differ in addresses, hash seeds, process ids and the hour.
#[test]
fn a_run_gives_the_same_bytes_in_two_processes() {
    let history = |out: &std::path::Path, drill: &str| -> Vec<u8> {
        let status = Command::new(env!("CARGO_BIN_EXE_drill"))
            .args(["run", drill, "--out"])
            .arg(out)
            .output()
            .expect("drill runs");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
        std::fs::read(out.join(drill).join("history.jsonl")).expect("a history")
    };
    for drill in ["garbage-replies", "crash-between-steps", "database-trouble", "power-cut"] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (history(one.path(), drill), history(two.path(), drill));
        assert!(one == two, "{drill} differs between two processes");
        assert!(one.len() > 10_000, "{drill} has a history");
    }
}
