//! The operator's commands, and what is said of wrong usage.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/oms.rs"]
mod oms;

use oms::{arg, command, line, oms, ran};
use serde_json::{Value, json};

#[test]
fn an_operator_calls_back_lists_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("a.jsonl"), folder.path().join("oms.db"));
    std::fs::write(&file, format!("{}\n{}", line("ORD-1"), line("ORD-2"))).unwrap();
    let store = format!("sqlite:{}", arg(&store));
    let on = |args: &[&str]| oms(&[args, &["--store", &store]].concat());
    assert_eq!(on(&["ingest", arg(&file)]).code, 0);

    let cancelled = on(&["cancel", "ORD-1", "--by", "kim", "--format", "json"]);
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    let told: Value = serde_json::from_str(&cancelled.out).unwrap();
    assert_eq!(told["id"], "ORD-1");
    let state = told["state"].as_str().unwrap();

    let absent = on(&["cancel", "ORD-9", "--by", "kim"]);
    assert_eq!((absent.code, absent.out.as_str()), (1, "ORD-9: refused: no such order\n"));
    let retried = on(&["retry", "ORD-2", "--by", "kim", "--format", "json"]);
    assert_eq!(retried.code, 1, "an accepted order needs no retry: {retried:?}");
    assert!(serde_json::from_str::<Value>(&retried.out).unwrap()["refused"].is_string());
    let resolved = on(&["resolve", "ORD-2", "--booked", "--by", "kim"]);
    assert_eq!(resolved.code, 1, "{resolved:?}");

    let audited = on(&["audit", "ORD-1", "--format", "json"]);
    let row: Value = serde_json::from_str(&audited.out).unwrap();
    assert_eq!(
        (&row["action"], &row["by"], &row["answer"]),
        (&"cancel".into(), &"kim".into(), &told["state"])
    );
    assert_eq!(
        on(&["audit"]).out.lines().count(),
        3,
        "the refused ones too, of orders that there are"
    );

    let status = on(&["status", "--format", "json"]);
    let census: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(census["orders"]["accepted"], json!(1), "{census}");
    assert_eq!(census["orders"][state], json!(1), "{census}");
    assert!(on(&["status"]).out.contains("배송접수대기"));
    let listed = on(&["list", "--state", "accepted"]);
    assert!(listed.out.starts_with("ORD-2 ") && listed.out.lines().count() == 1, "{listed:?}");
    let planned = on(&["list", "--parcel-state", "unknown"]);
    assert_eq!((planned.code, planned.out.as_str()), (0, ""));
    let none = on(&["list", "--after", "ORD-2"]);
    assert_eq!((none.code, none.out.as_str()), (0, ""));
}

#[test]
fn migrating_makes_a_database_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("oms.db");
    for _ in 0..2 {
        let migrated = oms(&["migrate", "--store", arg(&store)]);
        assert_eq!(migrated.code, 0, "{migrated:?}");
        assert!(migrated.out.ends_with(" is ready\n"));
    }
    assert_eq!(oms(&["list", "--store", arg(&store)]).code, 0);
}

#[test]
fn what_is_young_is_not_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("oms.db");
    assert_eq!(oms(&["migrate", "--store", arg(&store)]).code, 0);
    let pruned = oms(&["prune", "--store", arg(&store), "--older-than", "30d", "--format", "json"]);
    assert_eq!(pruned.code, 0, "{pruned:?}");
    let told: Value = serde_json::from_str(&pruned.out).unwrap();
    assert_eq!((&told["orders"], &told["entries"]), (&0.into(), &0.into()), "{pruned:?}");
}

#[test]
fn a_slip_in_the_databases_name_is_told_and_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("omms.db");
    for args in [["list"].as_slice(), &["status"], &["retry", "A", "--by", "kim"]] {
        let told = oms(&[args, &["--store", arg(&store)]].concat());
        assert_eq!(told.code, 2, "{told:?}");
        assert!(told.err.contains("oms migrate"), "{told:?}");
        assert!(!store.exists());
    }
}

#[test]
fn a_server_that_is_not_there_is_told_and_its_password_is_not_repeated() {
    let told = oms(&["list", "--store", "postgres://oms:hunter2@127.0.0.1:1/orders"]);
    assert_eq!(told.code, 2);
    assert!(told.err.contains("database postgres://oms@127.0.0.1:1/orders"), "{told:?}");
    assert!(!told.err.contains("hunter2"), "{told:?}");
}

#[test]
fn wrong_usage_is_code_2_and_help_is_code_0() {
    for args in [
        [].as_slice(),
        &["ship"],
        &["list"],
        &["list", "--store", "x.db", "--state", "gone"],
        &["cancel", "ORD-1", "--store", "x.db"],
        &["cancel", "ORD-1", "--store", "x.db", "--by", ""],
        &["resolve", "ORD-1", "--store", "x.db", "--by", "kim"],
        &["resolve", "ORD-1", "--store", "x.db", "--by", "kim", "--booked", "--not-booked"],
        &[
            "serve",
            "--store",
            "x.db",
            "--carrier",
            "http://a",
            "--messenger",
            "http://b",
            "--workers",
            "0",
        ],
        &["list", "--store", "x.db", "--clock", "tomorrow"],
        &["prune", "--store", "x.db", "--older-than", "1d"],
    ] {
        let told = oms(args);
        assert_eq!(told.code, 2, "{args:?} {told:?}");
        assert_eq!(told.out, "", "{args:?}");
        assert!(!told.err.is_empty());
    }
    let help = oms(&["--help"]);
    assert_eq!(help.code, 0);
    for name in
        ["serve", "ingest", "list", "status", "retry", "cancel", "resolve", "prune", "migrate"]
    {
        assert!(help.out.contains(&format!("  {name} ")), "{name} in {}", help.out);
    }
    let serve = oms(&["serve", "--help"]);
    assert!(!serve.out.contains("--history"), "it is hidden: {}", serve.out);
}

#[test]
fn serve_refuses_wrong_settings_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let (config, store) = (folder.path().join("oms.toml"), folder.path().join("oms.db"));
    std::fs::write(&config, "[carrier]\nduplicate = \"reject\"\n").unwrap();
    let serve = ["serve", "--store", arg(&store), "--listen", "127.0.0.1:0"];
    let wrong = oms(&[serve.as_slice(), &["--config", arg(&config)]].concat());
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("oms.toml:2:1: unknown field `duplicate`"), "{wrong:?}");
    assert!(wrong.err.contains("is `duplicates` meant?"), "{wrong:?}");

    let missing = oms(&[serve.as_slice(), &["--messenger", "http://127.0.0.1:1"]].concat());
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("--carrier URL, OMS_CARRIER or carrier.calls.url"), "{missing:?}");

    let urls = ["--carrier", "http://u:hunter2@h", "--messenger", "http://127.0.0.1:1"];
    let secret = oms(&[serve.as_slice(), &urls].concat());
    assert_eq!(secret.code, 2);
    assert!(secret.err.contains("carrier.calls.url must not hold a user name"), "{secret:?}");
    assert!(!secret.err.contains("hunter2"));

    let variable = command(&[serve.as_slice(), &["--carrier", "http://h"]].concat())
        .env("OMS_CARRIER__CALLS__READ_TIMOUT", "7s")
        .output();
    let variable = ran(variable.unwrap());
    assert_eq!(variable.code, 2);
    assert!(variable.err.contains("OMS_CARRIER__CALLS__READ_TIMOUT"), "{variable:?}");
    assert!(!store.exists(), "nothing is made before the settings are known to be right");
}
