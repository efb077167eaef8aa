//! The command line, as scripts know it: exit codes, JSON, kept files, messages with their place.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/drill.rs"]
mod support;

use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Folder, Ran};

/// A fault that waits for an order that never comes.
const NEVER_FIRES: &str = "[expect]\ncompleted = 3\n\
    [[fault]]\nkind = \"empty\"\non = \"carrier\"\nendpoint = \"RegBook\"\nkey = \"ORD-9-1\"\n";

fn drill(line: &str) -> Ran {
    Folder::new().drill(line)
}

fn verdict_of(ran: &Ran) -> Value {
    ran.json()["drills"][0].clone()
}

/// The ids of the promises of a `verdict.json` that are violated.
fn violated(verdict: &Value) -> Vec<&str> {
    let promises = verdict["promises"].as_array().unwrap().iter();
    let broken = promises.filter(|promise| promise["verdict"] == "violated");
    broken.map(|promise| promise["id"].as_str().unwrap()).collect()
}

#[test]
fn list_shows_every_drill_of_the_catalogue_in_one_line() {
    let listed = drill("list").exits(0);
    let names: Vec<_> =
        listed.out.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    let known: Vec<_> = scenarios::catalogue::FILES.iter().map(|file| file.name).collect();
    assert_eq!(names, known);
    let json = drill("list --format json").exits(0).json();
    assert_eq!(json["drills"].as_array().unwrap().len(), known.len());
    assert_eq!(json["promises"].as_array().unwrap().len(), 15);
}

#[test]
fn an_unknown_drill_is_a_usage_error_with_a_near_match() {
    let ran = drill("run booking-reply-lots").exits(2);
    assert!(ran.err.contains("`booking-reply-lots`"), "{}", ran.err);
    assert!(ran.err.contains("`booking-reply-lost`"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn wrong_flags_are_usage_errors_and_help_is_none() {
    for line in [
        "",
        "rn",
        "run --spd 3",
        "run --sabotage nonsense",
        "run --seed 9223372036854775808",
        "explore --jobs 513",
        "run --patience 0s",
    ] {
        assert_eq!(drill(line).exits(2).out, "", "drill {line}");
    }
    for line in ["--help", "run --help", "--version"] {
        assert_ne!(drill(line).exits(0).out, "", "drill {line}");
    }
}

#[test]
fn what_is_not_at_its_end_when_patience_is_has_not_settled() {
    let ran = drill("run carrier-down --patience 1m --format json").exits(1);
    let verdict = verdict_of(&ran);
    assert_eq!(violated(&verdict), ["everything-settles"]);
    let again = verdict["replay"].as_str().unwrap();
    assert_eq!(again, "cargo drill run carrier-down --seed 1 --patience 1m");
    drill("run carrier-down --patience 1h").exits(0);
}

#[test]
fn a_bad_plan_file_is_refused_with_file_line_column_and_a_near_match() {
    let folder = Folder::new();
    folder.plan("p", 3, "ordres = 3\n[expect]\ncompleted = 3\n");
    for line in ["run p.toml", "replay p.toml", "run p.toml --format json"] {
        let ran = folder.drill(line).exits(2);
        assert!(ran.err.contains("p.toml:7:1: "), "{}", ran.err);
        assert!(ran.err.contains("`ordres`; is `orders` meant?"), "{}", ran.err);
        assert_eq!(ran.out, "");
    }
    folder.plan("p", 3, "[expect]\ncompleted = 3\n[oms.carrier.calls]\nattempts = 0\n");
    let ran = folder.drill("run p.toml").exits(2);
    assert!(ran.err.contains("p.toml:10:12: oms.carrier.calls.attempts: "), "{}", ran.err);
}

#[test]
fn a_drill_that_holds_exits_0_and_names_no_command_first() {
    let ran = drill("run seed-batch").exits(0);
    assert!(!ran.out.starts_with("cargo drill"), "{}", ran.out);
    assert_eq!(ran.err, "", "progress is for terminals");
}

#[test]
fn a_drill_whose_fault_never_fires_is_inconclusive() {
    let folder = Folder::new();
    folder.plan("vain", 3, NEVER_FIRES);
    let ran = folder.drill("run vain.toml --format json").exits(3);
    assert_eq!(verdict_of(&ran)["verdict"], "inconclusive");
    let reason = verdict_of(&ran)["reasons"][0].as_str().unwrap().to_owned();
    assert!(reason.contains("never fired"), "{reason}");
}

#[test]
fn a_violation_that_the_plan_expects_is_what_holds() {
    let folder = Folder::new();
    let fault = "[[fault]]\nkind = \"reset-after\"\non = \"carrier\"\nendpoint = \"RegBook\"\n";
    let expect = "[expect]\ndelivery-failed = 3\nviolated = [\"books-agree\"]\n";
    folder.plan("known-bad", 3, &format!("{expect}{fault}attempt = 1\n"));
    folder.drill("run known-bad.toml --sabotage unknown-as-failed").exits(0);
    let unmet = folder.drill("run known-bad.toml").exits(1);
    assert!(unmet.out.contains("books-agree held"), "{}", unmet.out);

    let plan = folder.read("known-bad.toml");
    let planted = plan.replacen("[workload]", "sabotage = \"unknown-as-failed\"\n[workload]", 1);
    folder.write("known-bad.toml", &planted);
    let ran = folder.drill("run known-bad.toml --format json").exits(0);
    assert_eq!(verdict_of(&ran)["sabotage"], "unknown-as-failed");
    assert_eq!(violated(&verdict_of(&ran)), ["books-agree"]);
}

#[test]
fn of_several_drills_the_worst_code_counts() {
    let folder = Folder::new();
    folder.plan("vain", 3, NEVER_FIRES);
    folder.plan("wrong", 3, "[expect]\nnotify-failed = 3\n");
    let code = |line: &str| folder.drill(&format!("run {line}")).code;
    assert_eq!(code("seed-batch vain.toml"), 3);
    assert_eq!(code("vain.toml wrong.toml seed-batch"), 1);
    let json = folder.drill("run vain.toml wrong.toml seed-batch --format json").exits(1).json();
    assert_eq!((&json["verdict"], &json["exit_code"]), (&"violated".into(), &1.into()));
    let drills = json["drills"].as_array().unwrap().iter();
    let verdicts: Vec<_> = drills.map(|drill| drill["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["inconclusive", "violated", "held"]);
}

#[test]
fn a_failing_run_prints_first_the_command_that_says_the_same_again() {
    let folder = Folder::new();
    folder.plan("wrong", 3, "[expect]\nnotify-failed = 3\n");
    folder.plan("vain", 3, NEVER_FIRES);
    let orders = include_str!("../orders/orders-200.jsonl").lines().take(3);
    folder.write("orders.jsonl", &orders.collect::<Vec<_>>().join("\n"));
    for line in [
        "run booking-reply-lost --sabotage unknown-as-failed --seed 7",
        "run booking-reply-lost --sabotage unknown-as-failed --out kept",
        "run booking-reply-lost --orders orders.jsonl --sabotage unknown-as-failed",
        "run booking-reply-lost --orders orders.jsonl --sabotage unknown-as-failed --out own",
        "run --orders orders.jsonl --sabotage outbox-dropped",
        "run wrong.toml",
        "run vain.toml --out kept",
        "replay vain.toml",
    ] {
        let first = folder.drill(line);
        assert_ne!(first.code, 0, "{line}");
        let again = first.again();
        let second = folder.drill(&again).exits(first.code);
        let json = |line: &str| verdict_of(&folder.drill(&format!("{line} --format json")));
        let (one, two) = (json(line), json(&again));
        for same in ["drill", "seed", "sabotage", "verdict", "promises", "orders", "virtual_ms"] {
            assert_eq!(one[same], two[same], "{same} of {line} and {again}");
        }
        assert_eq!(second.again(), again, "what is run again says itself");
    }
}

#[test]
fn out_keeps_plan_history_and_verdict_of_each_drill() {
    let folder = Folder::new();
    let line = "run seed-batch booking-reply-lost --out kept --format json";
    let told = folder.drill(line).exits(0).json();
    for (place, name) in ["seed-batch", "booking-reply-lost"].into_iter().enumerate() {
        let verdict = folder.json(&format!("kept/{name}/verdict.json"));
        assert_eq!(verdict, told["drills"][place]);
        assert_eq!(verdict["schema_version"], 1);
        assert_eq!((&verdict["verdict"], &verdict["seed"]), (&"held".into(), &1.into()));
        assert_eq!(verdict["promises"].as_array().unwrap().len(), 15);
        assert!(verdict["faults"][0]["times"].as_u64() > Some(0), "{name}");
        let plan = folder.read(&format!("kept/{name}/plan.toml"));
        assert!(plan.contains("latency_max = \"60ms\""), "defaults stand in {name} too");
        let history = folder.read(&format!("kept/{name}/history.jsonl"));
        assert!(history.starts_with("{\"format\":\"drillship-history\",\"version\":1,"));
        let replayed = folder.drill(&format!("replay kept/{name}/plan.toml --format json"));
        let replayed = replayed.exits(0).json();
        assert_eq!(replayed["replayed"]["identical"], true, "{name}");
        assert_eq!(replayed["replayed"]["of_plan"], true, "{name}");
        assert_eq!(replayed["replayed"]["hash"], verdict["history_hash"], "{name}");
    }
}

#[test]
fn two_drills_of_one_name_are_not_kept_in_one_folder() {
    let ran = drill("run seed-batch seed-batch --out kept").exits(2);
    assert!(ran.err.contains("`seed-batch`"), "{}", ran.err);
    drill("run seed-batch seed-batch").exits(0);
}

#[test]
fn a_kept_plan_replays_to_the_byte_also_when_it_was_broken_on_purpose() {
    let folder = Folder::new();
    let ran = folder.drill("run booking-reply-lost --sabotage unknown-as-failed --out kept");
    assert!(ran.exits(1).again().ends_with("--sabotage unknown-as-failed"));
    // The plan itself knows what was planted.
    let ran = folder.drill("replay kept/booking-reply-lost/plan.toml").exits(1);
    assert!(ran.out.contains("\nbyte-identical"), "{}", ran.out);
}

#[test]
fn a_history_that_differs_from_its_plans_hash_is_not_deterministic() {
    let folder = Folder::new();
    let expect = "[expect]\ncompleted = 3\n";
    let hash = format!("replay_hash = \"{}\"\n", "0".repeat(64));
    folder.plan("other", 3, expect);
    folder.drill("replay other.toml").exits(0);
    folder.write("other.toml", &format!("{hash}{}", folder.read("other.toml")));
    folder.drill("run other.toml").exits(0);
    let ran = folder.drill("replay other.toml").exits(4);
    assert!(ran.out.contains("NOT byte-identical"), "{}", ran.out);
    let json = folder.drill("replay other.toml --format json").exits(4).json();
    assert_eq!((&json["exit_code"], &json["verdict"]), (&4.into(), &"held".into()));
    assert_eq!(json["replayed"]["identical"], false);

    let violated = folder.read("other.toml").replace("completed", "notify-failed");
    folder.write("other.toml", &violated);
    folder.drill("replay other.toml").exits(4);
}

#[test]
fn check_comes_to_the_verdict_that_the_run_came_to() {
    let folder = Folder::new();
    for (line, code) in [("", 0), (" --sabotage unknown-as-failed", 1)] {
        let kept = folder.drill(&format!("run booking-reply-lost --out kept{line}"));
        kept.exits(code);
        let history = "kept/booking-reply-lost/history.jsonl";
        let checked = folder.drill(&format!("check {history} --format json")).exits(code);
        let verdict = folder.json("kept/booking-reply-lost/verdict.json");
        for same in ["verdict", "promises", "orders", "faults", "reached", "sabotage", "reasons"] {
            assert_eq!(verdict_of(&checked)[same], verdict[same], "{same}");
        }
        folder.drill(&format!("check {history}")).exits(code);
    }
}

#[test]
fn a_history_that_was_cut_or_garbled_is_refused_with_its_line() {
    let folder = Folder::new();
    folder.drill("run seed-batch --out kept").exits(0);
    let whole = folder.read("kept/seed-batch/history.jsonl");
    let lines: Vec<&str> = whole.lines().collect();
    let refused = |text: &str, place: &str| {
        folder.write("history.jsonl", text);
        let ran = folder.drill("check history.jsonl --format json").exits(2);
        assert!(ran.err.contains(&format!("history.jsonl: {place}")), "{}", ran.err);
        assert_eq!(ran.out, "");
    };
    refused(&lines[..20].join("\n"), "cut off after line 20");
    refused(&[&lines[..4], &["{\"at\":1,\"drill\":\"nonsense\"}"]].concat().join("\n"), "line 5: ");
    refused(&[&lines[..6], &["\u{0}\u{1}"]].concat().join("\n"), "line 7: ");
    refused(&whole[..whole.len() - 100], &format!("line {}: ", lines.len()));
    refused("", "cut off after line 0");
    let missing = folder.drill("check no-such.jsonl").exits(2);
    assert!(missing.err.contains("no-such.jsonl"), "{}", missing.err);
}

#[test]
fn json_is_one_document_and_nothing_else() {
    let folder = Folder::new();
    folder.plan("vain", 3, NEVER_FIRES);
    for (line, code) in [
        ("run seed-batch", 0),
        ("run seed-batch vain.toml --sabotage outbox-dropped --out kept", 1),
        ("replay vain.toml", 3),
        ("list", 0),
    ] {
        // Reading all of it as one value is the test.
        let told = folder.drill(&format!("{line} --format json")).exits(code);
        assert!(told.json().is_object());
        assert_eq!(told.err, "", "{line}");
    }
}

#[test]
fn whoever_closes_the_pipe_changes_no_verdict() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_drill"))
        .args(["run", "seed-batch", "--sabotage", "outbox-dropped"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_cannot_be_written_is_an_internal_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_drill"));
    let done = command.arg("list").stdout(full).stderr(Stdio::null()).status().unwrap();
    assert_eq!(done.code(), Some(70));
}

#[test]
fn a_folder_that_cannot_be_written_is_a_usage_error() {
    let folder = Folder::new();
    folder.write("kept", "a file");
    let ran = folder.drill("run seed-batch --out kept --format json").exits(2);
    assert!(ran.err.contains("kept/seed-batch"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn what_cannot_be_written_is_told_before_anything_is_run() {
    for line in [
        "explore --runs 1 --out /proc/nowhere",
        "sweep --out /proc/nowhere",
        "compare --runs 1 --markdown /proc/nowhere/page.md",
        "compare --runs 1 --out /proc/nowhere",
        "prove --trials 1 --write /proc/nowhere/proof.md",
        "shrink booking-reply-lost --sabotage unknown-as-failed --out /proc/nowhere/small.toml",
    ] {
        let ran = drill(line).exits(2);
        assert!(ran.err.starts_with("error: write `/proc/nowhere"), "drill {line}: {}", ran.err);
        assert_eq!(ran.out, "", "drill {line}");
    }
}

#[test]
fn the_recommended_way_is_not_convicted_for_keeping_what_another_was_to_break() {
    let ran = drill("run queue queue-event-lost --strategy durable --format json").exits(0);
    let drills = ran.json()["drills"].as_array().unwrap().clone();
    assert_eq!(drills.len(), 1);
    assert_eq!((&drills[0]["drill"], &drills[0]["verdict"]), (&"queue".into(), &"held".into()));
    assert!(ran.err.starts_with("skipped: queue-event-lost: its faults are of a queue"));
    let none = drill("run queue-event-lost --strategy durable").exits(2);
    assert!(none.err.contains("no drill is left to run"), "{}", none.err);
}

#[test]
fn a_drill_in_which_promises_fall_as_expected_says_how_many() {
    let ran = drill("run sign-up-in-one-transaction").exits(0);
    let row = ran.out.lines().find(|line| line.starts_with("sign-up-in-one-transaction"));
    assert!(row.unwrap().contains("12 held, 3 fell"), "{}", ran.out);
}

#[test]
fn schema_is_the_one_that_ships() {
    let shipped = include_str!("../plan.schema.json");
    assert!(drill("schema").exits(0).out == shipped, "drill schema > scenarios/plan.schema.json");
}

#[test]
fn the_shipped_orders_ship_every_one() {
    let folder = Folder::new();
    for file in ["orders-200.jsonl", "orders-200.csv"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/orders");
        folder.write(file, &std::fs::read_to_string(format!("{path}/{file}")).unwrap());
        let ran = folder.drill(&format!("run --orders {file} --format json")).exits(0);
        let verdict = verdict_of(&ran);
        assert_eq!(verdict["orders"], serde_json::json!({ "completed": 200 }), "{file}");
        assert!(verdict["figures"]["bookings"].as_u64() > Some(200), "bundles have two parcels");
        assert_eq!(ran.err, "");
    }
}

#[test]
fn bad_lines_of_orders_are_told_by_number_and_masked_and_the_rest_is_shipped() {
    let folder = Folder::new();
    let mut lines: Vec<String> =
        include_str!("../orders/orders-200.jsonl").lines().take(6).map(str::to_owned).collect();
    lines[1] = lines[1].replace("010-0265-7147", "010-0265-71479");
    lines[3] = "{\"id\": ".to_owned();
    lines.push(lines[0].clone());
    folder.write("orders.jsonl", &lines.join("\n"));
    let ran = folder.drill("run --orders orders.jsonl --format json").exits(0);
    let told: Vec<&str> = ran.err.lines().collect();
    for (line, place) in [(0, 2), (1, 4), (2, 7)] {
        assert!(told[line].starts_with(&format!("orders.jsonl: line {place}: ")), "{}", ran.err);
    }
    assert_eq!(told.len(), 4, "three lines and a sum: {}", ran.err);
    assert!(!ran.err.contains("0265") && !ran.err.contains("7147"), "{}", ran.err);
    assert_eq!(verdict_of(&ran)["orders"], serde_json::json!({ "completed": 4 }));

    folder.write("orders.jsonl", "{}\n");
    folder.drill("run --orders orders.jsonl").exits(2);
    folder.write("orders.csv", "a,b\n1,2\n");
    folder.drill("run --orders orders.csv").exits(2);
    folder.drill("run --orders none.csv").exits(2);
}

#[test]
fn a_drill_about_single_orders_of_its_own_takes_no_others() {
    let folder = Folder::new();
    folder.write("orders.jsonl", include_str!("../orders/orders-200.jsonl"));
    let ran = folder.drill("run seed-batch --orders orders.jsonl").exits(2);
    assert!(ran.err.contains("fault[0].key"), "{}", ran.err);
    let theirs = "[[fault]]\nkind = \"refuse\"\non = \"carrier\"\nendpoint = \"RegBook\"\n\
                  key = \"SHOP-261121-007-1\"\n[expect]\ncompleted = 2\ndelivery-failed = 1\n";
    folder.plan("theirs", 3, theirs);
    let ran = folder.drill("run theirs.toml --orders orders.jsonl --format json").exits(0);
    let orders = serde_json::json!({ "completed": 199, "delivery-failed": 1 });
    assert_eq!(verdict_of(&ran)["orders"], orders);
}
