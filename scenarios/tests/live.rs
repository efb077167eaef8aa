//! Plans run with real sockets, a real database and processes that are truly killed.
//!
//! Real time passes here, a few seconds at sixty times its speed; the runner itself bounds it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/drill.rs"]
#[expect(dead_code, reason = "a part of what the tests of the command line use")]
mod support;

use std::io::Write;

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use support::Folder;

/// Runs a drill live and gives its result.
#[track_caller]
fn live(folder: &Folder, line: &str, code: i32) -> Value {
    let ran = folder.drill(&format!("run {line} --live --speed 60 --format json")).exits(code);
    let result = ran.json()["drills"][0].clone();
    assert_eq!(result["mode"], "live");
    result
}

#[test]
fn nineteen_of_twenty_ship_when_the_tenth_is_refused() {
    let folder = Folder::new();
    let result = live(&folder, "seed-batch --out kept", 0);
    assert_eq!(result["orders"], serde_json::json!({ "completed": 19, "delivery-failed": 1 }));
    assert_eq!(result["faults"][0]["times"], 1);
    // What was kept is judged alike, and its plan claims no bytes that no second run can have.
    let checked = folder.drill("check kept/seed-batch/history.jsonl --format json").exits(0).json();
    assert_eq!(checked["drills"][0]["promises"], result["promises"]);
    assert!(!folder.read("kept/seed-batch/plan.toml").contains("replay_hash"));
}

#[test]
fn a_service_that_is_killed_over_its_calls_ships_every_order_once() {
    let result = live(&Folder::new(), "crash-around-calls", 0);
    assert_eq!(result["orders"], serde_json::json!({ "completed": 20 }));
    assert_eq!(result["figures"]["bookings"], 20);
    // Two of the six may want the same process.
    assert!(result["figures"]["crashes"].as_u64() >= Some(3), "{}", result["figures"]);
}

#[test]
fn a_service_that_takes_unknown_for_failed_is_convicted() {
    let folder = Folder::new();
    let line = "booking-reply-lost --sabotage unknown-as-failed";
    let result = live(&folder, line, 1);
    let promises = result["promises"].as_array().unwrap();
    let books = promises.iter().find(|promise| promise["id"] == "books-agree").unwrap();
    assert_eq!(books["verdict"], "violated");
    let again = result["replay"].as_str().unwrap();
    let flags = "--seed 1 --live --speed 60 --sabotage unknown-as-failed";
    assert_eq!(again, format!("cargo drill run booking-reply-lost {flags}"));
}

#[test]
fn the_eleventh_of_eleven_requests_gets_no_connection_of_ten() {
    let result = live(&Folder::new(), "pool-exhaustion", 0);
    assert_eq!(result["members"], 10);
    let pool = &result["pool"];
    assert_eq!((&pool["size"], &pool["timed_out"]), (&10.into(), &1.into()), "{pool}");
    assert_eq!(pool["with_calls"], 10, "each in a task of its own: {pool}");
}

#[test]
fn a_database_of_the_users_is_used_once_and_is_not_added_to() {
    let folder = Folder::new();
    let line = "seed-batch --store sqlite:orders.db";
    live(&folder, line, 0);
    assert!(folder.path("orders.db").is_file());
    let again = folder.drill(&format!("run {line} --live")).exits(2);
    assert!(again.err.contains("sqlite:orders.db: holds orders"), "{}", again.err);
    assert_eq!(again.out, "");
}

/// The URL of an empty schema on the server that `scripts/services` starts; `None`, and said loudly,
/// where there is no server and none was promised.
fn schema(name: &str) -> Option<String> {
    let promised = std::env::var("DRILLSHIP_SERVICES").is_ok_and(|word| word == "required");
    let Ok(server) = std::env::var("DRILLSHIP_POSTGRES") else {
        assert!(!promised, "DRILLSHIP_POSTGRES names no server");
        // Not by `eprintln!`, which the test harness keeps to itself.
        let told = format!("SKIPPED {name}: no PostgreSQL; run it by scripts/services\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return None;
    };
    let make = format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut db = PgConnection::connect(&server).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut db).await.unwrap();
    });
    Some(format!("{server}?options=-c%20search_path%3D{name}"))
}

#[test]
fn a_service_that_is_killed_over_its_calls_ships_every_order_once_on_postgres() {
    let Some(url) = schema("live_crash_around_calls") else { return };
    let folder = Folder::new();
    let result = live(&folder, &format!("crash-around-calls --store {url}"), 0);
    assert_eq!(result["orders"], serde_json::json!({ "completed": 20 }));
    assert_eq!(result["figures"]["bookings"], 20);
    assert!(result["figures"]["crashes"].as_u64() >= Some(3), "{}", result["figures"]);
    // The database keeps what was shipped, and no second drill adds to it.
    let again = folder.drill(&format!("run crash-around-calls --live --store {url}")).exits(2);
    assert!(again.err.contains("holds orders"), "{}", again.err);
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(password.len() > 8 && !again.err.contains(password), "{}", again.err);
}

#[test]
fn a_drill_that_proves_nothing_is_tried_again_and_says_how_often() {
    let folder = Folder::new();
    folder.plan("never", 1, "[expect]\ncompleted = 1\nmust_reach = [\"ban\"]\n");
    let result = live(&folder, "never.toml --tries 2", 3);
    assert_eq!((&result["verdict"], &result["tries"]), (&"inconclusive".into(), &2.into()));
    // What falls has fallen at once.
    let line = "booking-reply-lost --sabotage unknown-as-failed --tries 2";
    assert!(live(&folder, line, 1).get("tries").is_none());
}

#[test]
fn what_cannot_be_run_live_is_a_usage_error() {
    let folder = Folder::new();
    for (line, why) in [
        ("seed-batch --store mysql://someone:secret@host/orders", "must be sqlite:PATH or"),
        (
            "seed-batch --store postgres://me:secret@127.0.0.1:1/orders",
            "postgres://me@127.0.0.1:1/o",
        ),
        ("seed-batch --store sqlite:no/such/folder/orders.db", "no/such/folder"),
        ("seed-batch burst-of-300 --store sqlite:orders.db", "one drill"),
        ("seed-batch --store sqlite:orders.db --tries 2", "one try"),
        ("crash-between-steps", "skipped live: crash-between-steps"),
        ("seed-batch --speed 0.5", "1 to 1000"),
    ] {
        let ran = folder.drill(&format!("run {line} --live")).exits(2);
        assert!(ran.err.contains(why) && !ran.err.contains("secret"), "{}", ran.err);
        assert_eq!(ran.out, "");
    }
    folder.drill("run seed-batch --store sqlite:orders.db").exits(2);
}
