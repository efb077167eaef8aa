//! `drill bench`, with a few orders: that it measures what it says, and judges. Nothing here looks
//! at how fast anything is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/drill.rs"]
#[expect(dead_code, reason = "a part of what the tests of the command line use")]
mod support;

use std::process::Child;
use std::time::Duration;

use clockwork::{Clock as _, DrillClock};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
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

/// The PostgreSQL server that is there for tests, if any.
fn server() -> Option<String> {
    let promised = std::env::var_os("DRILLSHIP_SERVICES").is_some_and(|value| value == "required");
    let server = std::env::var("DRILLSHIP_POSTGRES").ok();
    assert!(server.is_some() || !promised, "DRILLSHIP_POSTGRES names no server");
    if server.is_none() {
        eprintln!("SKIPPED: DRILLSHIP_POSTGRES names no server");
    }
    server
}

#[test]
fn postgresql_is_measured_beside_pgbench_and_over_a_past() {
    let Some(server) = server() else { return };
    are_measured_and_held(&lines(&format!(" --store {server}")));
}

/// How many databases there are whose names begin so, and how many sessions use one of them.
async fn left(db: &mut PgConnection, prefix: &str) -> (i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM pg_database WHERE starts_with(datname, $1)),
               (SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, $1))";
    sqlx::query_as(sql).bind(prefix).fetch_one(db).await.unwrap()
}

/// A bench that would take long, once it has made a database; and what its databases' names begin with.
async fn long_bench(folder: &Folder, server: &str, db: &mut PgConnection) -> (Child, String) {
    let line = format!("bench --orders 100000 --in-flight 4 --store {server}");
    let child = folder.start(&line);
    let prefix = format!("drillship_bench_{}_", child.id());
    until(async || left(db, &prefix).await.0 > 0).await;
    (child, prefix)
}

/// Looks until it is so.
async fn until(mut so: impl AsyncFnMut() -> bool) {
    while !so().await {
        DrillClock::from_spec(None).sleep(Duration::from_millis(20)).await;
    }
}

/// Has a bench begin, and interrupts it once it makes databases; what their names began with.
async fn interrupted_bench(folder: &Folder, server: &str, db: &mut PgConnection) -> String {
    let (mut child, prefix) = long_bench(folder, server, db).await;
    let stdin = child.stdin.take();
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let done = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(done.status.code(), Some(130), "{}", String::from_utf8_lossy(&done.stderr));
    prefix
}

#[tokio::test]
async fn a_bench_that_is_interrupted_leaves_no_database_behind() {
    let Some(server) = server() else { return };
    let (folder, mut db) = (Folder::new(), PgConnection::connect(&server).await.unwrap());
    let prefix = interrupted_bench(&folder, &server, &mut db).await;
    assert_eq!(left(&mut db, &prefix).await, (0, 0));
}

#[tokio::test]
async fn what_a_killed_bench_left_is_dropped_by_the_next_and_what_is_in_use_is_not() {
    let Some(server) = server() else { return };
    let (folder, mut db) = (Folder::new(), PgConnection::connect(&server).await.unwrap());
    let (mut killed, prefix) = long_bench(&folder, &server, &mut db).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The server ends the sessions of those who are gone, and what it does for them comes to its end.
    until(async || left(&mut db, &prefix).await.1 == 0).await;

    // No process has such an id: one bench that lives by its session, one that has lost it.
    let options = |name: &str, database: Option<&str>| {
        let options: PgConnectOptions = server.parse().unwrap();
        let options = options.application_name(name);
        database.map_or(options.clone(), |database| options.database(database))
    };
    for name in ["drillship_bench_0_1_b", "drillship_bench_0_2_b", "drillship_bench_mine"] {
        let make = format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}");
        for statement in make.split("; ") {
            sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut db).await.unwrap();
        }
    }
    let lives = options("drillship_bench_0_1", None);
    let lives = PgConnection::connect_with(&lives).await.unwrap();
    let in_use = options("psql", Some("drillship_bench_0_2_b"));
    let in_use = PgConnection::connect_with(&in_use).await.unwrap();
    interrupted_bench(&folder, &server, &mut db).await;
    assert_eq!(left(&mut db, &prefix).await.0, 0, "its process is gone");
    for name in ["drillship_bench_0_1_b", "drillship_bench_0_2_b", "drillship_bench_mine"] {
        assert_eq!(left(&mut db, name).await.0, 1, "{name}");
    }
    lives.close().await.unwrap();
    in_use.close().await.unwrap();
    until(async || left(&mut db, "drillship_bench_0_2").await.1 == 0).await;
    interrupted_bench(&folder, &server, &mut db).await;
    assert_eq!(left(&mut db, "drillship_bench_0_").await.0, 0, "nobody's any longer");
    assert_eq!(left(&mut db, "drillship_bench_mine").await.0, 1, "no bench's at all");
    sqlx::raw_sql("DROP DATABASE drillship_bench_mine").execute(&mut db).await.unwrap();
}

#[test]
fn a_file_of_the_users_is_not_measured_on() {
    let ran = Folder::new().drill("bench --store sqlite:mine.db").exits(2);
    assert!(ran.err.contains("made by the bench itself"), "{}", ran.err);
}
