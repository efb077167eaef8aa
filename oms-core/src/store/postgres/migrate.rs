//! Brings a database to the schema of this program. Safe to run twice, and by two at once.

use sqlx::{Connection, PgConnection};

use super::failure::{Failure, Result};

/// Each makes the schema of the version before it into its own; the first is version 1. Only ever
/// added to.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];

/// The lock that lets one worker migrate at a time: `drill` in ASCII.
const LOCK: i64 = 0x64_72_69_6c_6c;

const META: &str = "CREATE TABLE IF NOT EXISTS meta (
    key   TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
)";

/// Runs the migrations that are missing, in one transaction.
pub(super) async fn migrate(db: &mut PgConnection) -> Result<()> {
    let mut transaction = db.begin().await?;
    // Another worker's migration takes as long as it takes.
    sqlx::raw_sql("SET LOCAL lock_timeout = 0").execute(&mut *transaction).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let migrated = missing(&mut transaction).await;
    match migrated {
        Ok(()) => Ok(transaction.commit().await?),
        Err(failure) => {
            // Dropping the connection would undo it as well.
            let _ = transaction.rollback().await;
            Err(failure)
        }
    }
}

async fn missing(db: &mut PgConnection) -> Result<()> {
    let made: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('meta')::text").fetch_one(&mut *db).await?;
    if made.is_none() {
        sqlx::raw_sql(META).execute(&mut *db).await?;
    }
    let version = version(db).await?;
    let newest = MIGRATIONS.len();
    let Some(missing) = MIGRATIONS.get(version..) else {
        let reason = format!("schema version {version}, this program knows up to {newest}");
        return Err(Failure::corrupt("meta", reason));
    };
    if missing.is_empty() {
        return Ok(());
    }
    for migration in missing {
        sqlx::raw_sql(*migration).execute(&mut *db).await?;
    }
    let set = "INSERT INTO meta (key, value) VALUES ('schema_version', $1)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    sqlx::query(set).bind(super::row::limit(newest)).execute(&mut *db).await?;
    Ok(())
}

async fn version(db: &mut PgConnection) -> Result<usize> {
    let read = "SELECT value FROM meta WHERE key = 'schema_version'";
    let version: Option<i64> = sqlx::query_scalar(read).fetch_optional(db).await?;
    usize::try_from(version.unwrap_or(0))
        .map_err(|_| Failure::corrupt("meta", "negative schema version"))
}
