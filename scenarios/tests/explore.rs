//! `drill explore`: what it finds, what it counts, and that neither depends on the machine.

use std::process::{Command, Output};

use serde_json::Value;

fn drill(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drill")).args(args).output().expect("drill runs")
}

/// The report of an exploration that exits with `code`.
#[track_caller]
fn explored(code: i32, args: &[&str]) -> Value {
    let out = drill(&[&["explore", "--format", "json"], args].concat());
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{told}{}", String::from_utf8_lossy(&out.stdout));
    assert_eq!(told, "", "progress is for terminals");
    serde_json::from_slice(&out.stdout).expect("one JSON document")
}

#[test]
fn what_is_found_does_not_depend_on_the_number_of_threads() {
    let told = |jobs: &str| {
        let mut report = explored(0, &["--runs", "24", "--seed", "11", "--jobs", jobs]);
        let fields = report.as_object_mut().expect("an object");
        for of_the_machine in [
            "jobs",
            "real_seconds",
            "cpu_seconds",
            "runs_per_second",
            "runs_per_cpu_second",
            "virtual_per_real_second",
        ] {
            fields.remove(of_the_machine).expect("it is told");
        }
        report
    };
    let alone = told("1");
    assert_eq!(alone["runs"], 24);
    assert!(alone["states_reached"].as_u64() > Some(20), "{alone}");
    assert_eq!(alone, told("3"));
}

/// Two processes differ in addresses, hash seeds, process ids and the hour.
#[test]
fn two_processes_make_the_same_bytes_of_the_same_plans() {
    let digest = || {
        let report = explored(0, &["--runs", "8", "--check-determinism", "--seed", "d4fb09b"]);
        assert_eq!(
            (&report["seed"], &report["seed_hash"]),
            (&0xd4f_b09b.into(), &"d4fb09b".into())
        );
        report["digest"].as_str().expect("a digest").to_owned()
    };
    let first = digest();
    assert_eq!((first.len(), first), (64, digest()));
}

#[test]
fn a_planted_bug_is_found_made_small_and_kept_with_the_way_to_see_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("text");
    let args = ["--runs", "200", "--sabotage", "outbox-dropped", "--out", out];
    let report = explored(1, &args);
    assert_eq!(report["verdict"], "violated");
    let kept = &report["counterexamples"][0];
    assert!(kept["orders"].as_u64() <= Some(2) && kept["faults"].as_u64() <= Some(2), "{kept}");
    let file = kept["file"].as_str().expect("a path");
    assert!(file.starts_with(out), "{file}");
    let replayed = drill(&["replay", file]);
    assert_eq!(replayed.status.code(), Some(1), "the same bytes, and the same promise falls");
}

#[test]
fn time_is_a_budget_too() {
    let report = explored(0, &["--for", "200ms"]);
    assert!(report["runs"].as_u64() >= Some(1) && report["interrupted"] == false, "{report}");
}

#[test]
fn what_is_no_seed_is_refused() {
    let out = drill(&["explore", "--seed", "main"]);
    assert_eq!(out.status.code(), Some(2));
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(told.contains("a number below 2^63, or a git hash"), "{told}");
}
