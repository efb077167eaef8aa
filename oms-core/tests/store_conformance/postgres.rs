//! PostgreSQL for the cases: a schema of its own for each, on the server that `scripts/services`
//! starts.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use oms_core::store::postgres::PostgresStore;
use oms_core::store::sqlite::Options;
use sqlx::{Connection, PgConnection};

/// A schema that only one case knows.
pub struct Database {
    /// As `--store` would be given.
    pub url: String,
}

impl Database {
    /// A new one; `None`, and said loudly, where there is no server. Where one was promised, its
    /// absence is a failure.
    pub async fn fresh() -> Option<Database> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(server) = server() else {
            skip();
            return None;
        };
        let name = format!("case_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut db = PgConnection::connect(&server).await.unwrap();
        let make = format!("CREATE SCHEMA {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut db).await.unwrap();
        let session = format!("options=-c%20search_path%3D{name}&application_name={name}");
        Some(Database { url: format!("{server}?{session}") })
    }

    /// A client with the settings that all cases have.
    pub async fn store(&self) -> PostgresStore {
        self.store_with(crate::options()).await
    }

    pub async fn store_with(&self, options: Options) -> PostgresStore {
        PostgresStore::open(&self.url, options).await.unwrap()
    }

    /// A connection beside the store's.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

fn server() -> Option<String> {
    let server = std::env::var("DRILLSHIP_POSTGRES").ok();
    let promised = std::env::var("DRILLSHIP_SERVICES").is_ok_and(|word| word == "required");
    assert!(server.is_some() || !promised, "DRILLSHIP_POSTGRES names no server");
    server
}

/// Not by `eprintln!`, which the test harness keeps to itself.
fn skip() {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    let told = format!("SKIPPED {name}: no PostgreSQL; run it by scripts/services\n");
    let _ = std::io::stderr().write_all(told.as_bytes());
}
