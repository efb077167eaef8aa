//! `drill bench`, with a few orders: that it measures what it says, and judges. Nothing here looks
//! at how fast anything is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/drill.rs"]
#[expect(dead_code, reason = "a part of what the tests of the command line use")]
mod support;

use serde_json::Value;
use support::Folder;

fn lines(store: &str) -> Vec<Value> {
    let line = format!("bench --orders 25 --in-flight 4 --finished 300 --format json{store}");
    let told = Folder::new().drill(&line).exits(0).json();
    assert_eq!((told["orders"].as_u64(), told["commits"].as_u64()), (Some(25), Some(5)));
    told["lines"].as_array().unwrap().clone()
}

/// One over empty tables, one over full ones, each beside its limit, with nothing lost or doubled.
fn are_measured_and_held(lines: &[Value]) {
    let finished: Vec<Option<u64>> = lines.iter().map(|line| line["finished"].as_u64()).collect();
    assert_eq!(finished, [Some(0), Some(300)]);
    for line in lines {
        assert_eq!(line["verdict"], "held", "{line}");
        let figure = |name: &str| line[name].as_f64().unwrap();
        assert!(figure("orders_per_second") > 0.0 && figure("limit_per_second") > 0.0, "{line}");
    }
}

#[test]
fn sqlite_is_measured_beside_a_bare_loop_and_over_a_past() {
    let lines = lines("");
    are_measured_and_held(&lines);
    assert!(lines.iter().all(|line| line["one_by_one_per_second"].as_f64() > Some(0.0)));
}

#[test]
fn postgresql_is_measured_beside_pgbench_and_over_a_past() {
    let promised = std::env::var_os("DRILLSHIP_SERVICES").is_some_and(|value| value == "required");
    let Ok(server) = std::env::var("DRILLSHIP_POSTGRES") else {
        assert!(!promised, "DRILLSHIP_POSTGRES names no server");
        eprintln!("SKIPPED: DRILLSHIP_POSTGRES names no server");
        return;
    };
    are_measured_and_held(&lines(&format!(" --store {server}")));
}

#[test]
fn a_file_of_the_users_is_not_measured_on() {
    let ran = Folder::new().drill("bench --store sqlite:mine.db").exits(2);
    assert!(ran.err.contains("made by the bench itself"), "{}", ran.err);
}
