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

/// A lost reply and a refused message.
const WAYS: &str = r#"
version = 1
name = "ways"
why = "The ways of the texts, live: a booking's reply is lost, and a message is refused."

[workload]
orders = 4
over = "2s"

[world]
patience = "3m"

[[fault]]
kind = "reset-after"
on = "carrier"
endpoint = "RegBook"
key = "ORD-2-1"

[[fault]]
kind = "refuse"
on = "messenger"
endpoint = "send/omni"
key = "ORD-3:shipped"

[expect]
completed = 3
notify-failed = 1
"#;

#[test]
fn the_ways_of_the_texts_break_live_what_they_break_simulated() {
    let folder = Folder::new();
    folder.write("ways.toml", WAYS);
    // Live, there is no second run that would tell what the healthy orders take without the bad.
    let of_both = |result: &Value| {
        let promises = result["promises"].as_array().unwrap().iter();
        let fallen = promises.filter(|promise| promise["verdict"] == "violated");
        let fallen: Vec<Value> = fallen.map(|promise| promise["id"].clone()).collect();
        let fallen = fallen.into_iter().filter(|id| id != "one-bad-order-blocks-none");
        (result["orders"].clone(), fallen.collect::<Vec<Value>>())
    };
    for strategy in ["requires-new", "outbox", "call-last"] {
        let line = format!("ways.toml --strategy {strategy}");
        let simulated = folder.drill(&format!("run {line} --format json")).exits(1).json();
        let (orders, fallen) = of_both(&simulated["drills"][0]);
        assert!(fallen.contains(&"books-agree".into()), "{strategy}: {fallen:?}");
        assert_eq!(of_both(&live(&folder, &line, 1)), (orders, fallen), "{strategy}");
    }
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
fn many_drills_have_each_a_database_of_their_own_on_one_server() {
    if schema("live_many").is_none() {
        return;
    }
    let server = std::env::var("DRILLSHIP_POSTGRES").unwrap();
    let folder = Folder::new();
    // The second is run on a private server, which it may end.
    let line = format!("run booking-reply-lost connections-ended --live --store {server}");
    let ran = folder.drill(&format!("{line} --speed 20 --format json")).exits(0);
    let json = ran.json();
    let drills = json["drills"].as_array().unwrap();
    let names: Vec<_> = drills.iter().map(|drill| drill["drill"].as_str().unwrap()).collect();
    assert_eq!(names, ["booking-reply-lost", "connections-ended"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let left: i64 = runtime.block_on(async {
        let mut db = PgConnection::connect(&server).await.unwrap();
        let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'drillship_drill_%'";
        sqlx::query_scalar(left).fetch_one(&mut db).await.unwrap()
    });
    assert_eq!(left, 0);
    let nowhere = "postgres://me:secret@127.0.0.1:1/orders";
    let ran =
        folder.drill(&format!("run seed-batch burst-of-300 --live --store {nowhere}")).exits(2);
    assert!(ran.err.contains("--store's server") && !ran.err.contains("secret"), "{}", ran.err);
}

/// The URL of the message broker that `scripts/services` starts; `None`, and said loudly, where there
/// is none and none was promised.
fn broker(test: &str) -> Option<String> {
    let promised = std::env::var("DRILLSHIP_SERVICES").is_ok_and(|word| word == "required");
    let url = std::env::var("DRILLSHIP_NATS").ok();
    assert!(url.is_some() || !promised, "DRILLSHIP_NATS names no server");
    if url.is_none() {
        let told = format!("SKIPPED {test}: no NATS server; run it by scripts/services\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    }
    url
}

/// Runs drills live against a real broker. Slower than others: at 20 times its speed an answer of the
/// broker's may take a quarter of a second.
#[track_caller]
fn live_with_broker(folder: &Folder, line: &str, code: i32) -> Vec<Value> {
    let ran = folder.drill(&format!("run {line} --live --speed 20 --format json")).exits(code);
    ran.json()["drills"].as_array().unwrap().clone()
}

/// The messages of the broker's ledger, in a history that was kept.
fn kept_messages(folder: &Folder, drill: &str) -> Vec<Value> {
    let history = folder.read(&format!("kept/{drill}/history.jsonl"));
    let reads: Value = serde_json::from_str(history.lines().last().unwrap()).unwrap();
    let messages = reads.pointer("/final/queue/messages").or(reads.pointer("/queue/messages"));
    messages.unwrap_or_else(|| panic!("{reads}")).as_array().unwrap().clone()
}

#[test]
fn the_drills_of_the_queue_come_out_on_a_real_broker_as_they_do_simulated() {
    if broker("drills of the queue").is_none() {
        return;
    }
    let line = "queue queue-event-lost queue-consumer-dies queue-broker-restart --tries 2";
    let folder = Folder::new();
    let results = live_with_broker(&folder, line, 0);
    assert_eq!(results.len(), 4);
    for result in &results {
        assert_eq!((&result["verdict"], &result["mode"]), (&"held".into(), &"live".into()));
    }
    assert_eq!(results[1]["orders"], serde_json::json!({ "completed": 3, "shipped": 1 }));
}

#[test]
fn every_strategy_with_a_queue_ships_and_tells_on_a_real_broker() {
    let Some(url) = broker("strategies with a queue") else { return };
    let folder = Folder::new();
    let strategies = scenarios::strategies::ALL.iter().filter(|strategy| strategy.queue);
    for strategy in strategies {
        // Whatever it breaks always, it breaks here too: only the orders' ends are looked at.
        let line = format!(
            "run queue --strategy {} --broker {url} --live --speed 20 --format json",
            strategy.name
        );
        let ran = folder.drill(&line);
        let result = &ran.json()["drills"][0];
        assert_eq!(result["orders"], serde_json::json!({ "completed": 6 }), "{}", strategy.name);
    }
}

#[test]
fn what_is_delivered_twice_is_told_twice_and_a_lost_answer_alone_harms_nobody() {
    let Some(url) = broker("faults of the queue") else { return };
    let folder = Folder::new();
    let fault =
        |kind: &str, rest: &str| format!("[[fault]]\nkind = \"{kind}\"\non = \"queue\"\n{rest}\n");
    let faults = [
        fault("ack-lost", "nth = 1"),
        fault("redeliver", "nth = 2\nby = \"3s\""),
        fault("publish-unknown", "nth = 3\nprocessed = true"),
    ];
    let violated = "[\"no-double-notification\", \"no-io-in-transaction\"]";
    let expect = format!("[expect]\ncompleted = 3\nviolated = {violated}\n");
    let workload = "[workload]\norders = 3\nover = \"40s\"\n";
    let head = "version = 1\nname = \"faults\"\nwhy = \"A test.\"\nstrategy = \"message-queue\"\n";
    folder.write("faults.toml", &format!("{head}{workload}{}{expect}", faults.concat()));
    let simulated = folder.drill("run faults.toml --out kept").exits(0);
    let deliveries = |messages: &[Value]| -> Vec<usize> {
        messages.iter().map(|message| message["delivered"].as_array().unwrap().len()).collect()
    };
    let of_model = kept_messages(&folder, "faults");
    assert_eq!(deliveries(&of_model), [2, 2, 1], "{}", simulated.out);
    let line = format!("faults.toml --broker {url} --out kept");
    let results = live_with_broker(&folder, &line, 0);
    assert_eq!(results[0]["verdict"], "held");
    let of_broker = kept_messages(&folder, "faults");
    assert_eq!(deliveries(&of_broker), [2, 2, 1]);
    for (simulated, live) in of_model.iter().zip(&of_broker) {
        assert_eq!((&simulated["topic"], &simulated["id"]), (&live["topic"], &live["id"]));
        assert!(live["acked"].is_number() && live.get("dead").is_none(), "{live}");
    }
}

#[test]
fn a_broker_that_is_not_ours_is_not_restarted_and_one_that_is_not_there_is_said() {
    let folder = Folder::new();
    let url = "nats://me:secret@127.0.0.1:1";
    for (line, why) in [
        (format!("queue-broker-restart --broker {url}"), "kills the server"),
        (format!("queue --broker {url}"), "message broker nats://me@127.0.0.1:1"),
        ("queue --broker http://me:secret@127.0.0.1:1".to_owned(), "must be nats://"),
    ] {
        let ran = folder.drill(&format!("run {line} --live")).exits(2);
        assert!(ran.err.contains(why) && !ran.err.contains("secret"), "{}", ran.err);
        assert_eq!(ran.out, "");
    }
    folder.drill(&format!("run queue --broker {url}")).exits(2);
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

/// A private server is made for it, where there are PostgreSQL's programs: `scripts/services` finds or
/// installs them.
#[test]
fn a_database_that_is_restarted_or_ends_its_connections_loses_nothing() {
    if schema("live_database").is_none() {
        return;
    }
    let folder = Folder::new();
    for (drill, orders, kind, times) in [
        ("database-restart", 60, "database-restart", [1, 1].as_slice()),
        ("connections-ended", 40, "connections-ended", &[1, 1, 1]),
    ] {
        let line = format!("run {drill} --live --speed 20 --format json");
        let result = folder.drill(&line).exits(0).json()["drills"][0].clone();
        assert_eq!(result["orders"], serde_json::json!({ "completed": orders }));
        assert_eq!(result["figures"]["bookings"], orders);
        let faults = result["faults"].as_array().unwrap();
        let fired: Vec<_> = faults.iter().map(|fault| fault["times"].as_u64().unwrap()).collect();
        assert_eq!(fired, times, "{faults:?}");
        assert!(faults.iter().all(|fault| fault["fault"]["kind"] == kind), "{faults:?}");
    }
    let url = "postgres://me:secret@127.0.0.1:1/orders";
    let ran = folder.drill(&format!("run database-restart --live --store {url}")).exits(2);
    assert!(ran.err.contains("may not be --store's") && !ran.err.contains("secret"), "{}", ran.err);
}

/// A drill as it is, slow enough for a busy machine.
#[track_caller]
fn live_at_twenty(drill: &str) -> Value {
    let line = format!("run {drill} --live --speed 20 --tries 2 --format json");
    Folder::new().drill(&line).exits(0).json()["drills"][0].clone()
}

#[test]
fn four_hundred_orders_and_five_kills_ship_every_order_once() {
    let result = live_at_twenty("peers-test");
    assert_eq!(result["orders"], serde_json::json!({ "completed": 400 }));
    assert_eq!(result["figures"]["bookings"], 400);
    // Two of the five may want the same process.
    assert!(result["figures"]["crashes"].as_u64() >= Some(3), "{}", result["figures"]);
}

#[test]
fn a_disk_that_is_full_for_a_while_turns_orders_away_and_loses_none() {
    let result = live_at_twenty("disk-full");
    assert_eq!(result["orders"], serde_json::json!({ "completed": 60 }));
    assert_eq!(result["faults"][0]["times"], 1);
}

/// On a private server, for the workers' clocks are not the database's.
#[test]
fn workers_whose_clocks_are_apart_or_are_set_ship_every_order_once() {
    if schema("live_clocks").is_none() {
        return;
    }
    for (drill, orders) in [("clocks-apart", 60), ("clock-jump", 90)] {
        let result = live_at_twenty(drill);
        assert_eq!(result["orders"], serde_json::json!({ "completed": orders }));
        assert_eq!(result["figures"]["bookings"], orders);
        let faults = result["faults"].as_array().unwrap();
        let skews = faults.iter().filter(|fault| fault["fault"]["kind"] == "clock-skew");
        assert!(skews.clone().count() == 2 && skews.clone().all(|fault| fault["times"] == 1));
    }
}

#[test]
fn an_api_that_is_killed_and_started_again_has_what_it_had_accepted() {
    let folder = Folder::new();
    for (drill, site) in [("carrier-restart", "carrier"), ("messenger-restart", "messenger")] {
        let line = format!("run {drill} --live --speed 20 --out kept --format json");
        let result = folder.drill(&line).exits(0).json()["drills"][0].clone();
        assert_eq!(result["orders"], serde_json::json!({ "completed": 120 }));
        let faults = result["faults"].as_array().unwrap();
        let restart = faults.iter().find(|fault| fault["fault"]["kind"] == "api-restart").unwrap();
        assert_eq!(restart["times"], 1);
        assert_eq!(restart["fault"]["on"], site);
    }
}

/// Simulated: live it is chance whether a booking is sent again before the carrier wants a new token.
#[test]
fn whoever_relies_on_an_api_that_forgets_is_convicted() {
    let folder = Folder::new();
    let plan = scenarios::catalogue::named("carrier-forgets-repeats").unwrap().unwrap();
    let text = plan.to_toml().replace("duplicates = \"accept\"", "duplicates = \"reject\"");
    folder.write("relies.toml", &text.replace("carrier-forgets-repeats", "relies"));
    let result = folder.drill("run relies.toml --format json").exits(1).json();
    let promises = result["drills"][0]["promises"].as_array().unwrap();
    let fallen = promises.iter().find(|promise| promise["id"] == "no-double-shipment").unwrap();
    assert_eq!(fallen["verdict"], "violated");
}

#[test]
fn the_eleventh_of_eleven_requests_waits_for_a_connection_on_postgres_too() {
    let Some(url) = schema("live_pool_exhaustion") else { return };
    // The wait for a connection is three seconds of the drill's: not to be the machine's own.
    let line = format!("run pool-exhaustion --store {url} --live --speed 20 --format json");
    let result = Folder::new().drill(&line).exits(0).json()["drills"][0].clone();
    let pool = &result["pool"];
    assert_eq!((&pool["size"], &pool["peak"]), (&10.into(), &10.into()), "{pool}");
    // Whoever has one may need a second, which SQLite's pool does not count.
    assert!(pool["waited"].as_u64() >= Some(1) && pool["timed_out"].as_u64() >= Some(1), "{pool}");
}
