//! Connections, as this program opens them.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::failure::{before_commit, passes};
use super::migrate::migrate;
use crate::store::sqlite::Options;
use crate::store::{self, Error};

/// A connection that has rested for longer is asked whether it still lives before it is used: the
/// server may have been restarted meanwhile.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A session that hangs in an open transaction for longer is ended by the server, so that a stopped
/// process does not keep its locks.
const HANGS_AT_MOST: Duration = Duration::from_secs(60);

/// Everything of an order's life is found by its key, a few rows of many. A planner that has no
/// statistics yet (a new database, the first minute of a flood) reads whole tables instead, and keeps
/// such a plan while they grow; one that has them makes a new plan for each list of keys, which takes
/// longer than to run it. So plans are made once, and always go by an index where there is one.
const BY_KEYS: [(&str, &str); 5] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    // It takes a table without an index for an endless one, and compiles for it.
    ("jit", "off"),
];

/// A pool of connections to the database at `url`, made and migrated if need be.
pub(super) async fn pool(url: &str, options: &Options) -> store::Result<PgPool> {
    const OP: &str = "open";
    let settings = settings(url, options)?;
    // Not through the pool: it would wait for a server that is not there.
    let failed = |error: sqlx::Error| match (passes(&error), error.to_string()) {
        (true, reason) => Error::Away { reason },
        (false, reason) => Error::Engine { op: OP, reason },
    };
    let mut first = settings.connect().await.map_err(failed)?;
    migrate(&mut first).await.map_err(|failure| failure.of(OP))?;
    // It has done its work; whether it parts politely does not matter.
    let _ = first.close().await;
    let size = u32::try_from(options.pool_size).unwrap_or(u32::MAX);
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(options.time.in_real_time(options.pool_wait))
        .test_before_acquire(false)
        .before_acquire(|db, rested| {
            Box::pin(async move {
                match rested.idle_for > TRUSTED_FOR {
                    true => Ok(db.ping().await.is_ok()),
                    false => Ok(true),
                }
            })
        });
    Ok(pool.connect_lazy_with(settings))
}

/// What `url` says, and how this program wants its sessions.
fn settings(url: &str, options: &Options) -> store::Result<PgConnectOptions> {
    // The error's own words may quote the URL, which may hold a password.
    let unreadable = |_| Error::Engine { op: "open", reason: "not a PostgreSQL URL".to_owned() };
    let settings = PgConnectOptions::from_str(url).map_err(unreadable)?;
    let millis = |time: Duration| time.as_millis().to_string();
    let settings = match settings.get_application_name() {
        Some(_) => settings,
        None => settings.application_name("oms"),
    };
    Ok(settings.options(BY_KEYS).options([
        ("lock_timeout", millis(options.busy_wait)),
        // A statement alone is a transaction like the others.
        ("default_transaction_isolation", "read committed".to_owned()),
        ("idle_in_transaction_session_timeout", millis(HANGS_AT_MOST)),
    ]))
}

/// Ends every other connection to the database at `url`, as an operator might, and says how many
/// there were. Whoever had one may open another.
///
/// # Errors
/// [`Error`] when the server cannot be reached, or its user may not do that.
pub async fn end_connections(url: &str, options: &Options) -> store::Result<u64> {
    const END: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
          AND pid <> pg_backend_pid()";
    let failed = |error| before_commit(&error, "end-connections");
    let mut db = settings(url, options)?.connect().await.map_err(failed)?;
    let ended: i64 = sqlx::query_scalar(END).fetch_one(&mut db).await.map_err(failed)?;
    Ok(ended.unsigned_abs())
}

/// Somebody else's lock on every table that is written, given back when dropped.
pub struct WriteLock {
    /// Its end ends the transaction that holds the lock.
    _db: PgConnection,
}

/// Locks the database at `url` against writes, as a person at a prompt might: every write of others
/// waits for it, and is busy when it has waited long enough. Reads go on.
///
/// # Errors
/// [`Error`] when the server cannot be reached, or others have locks that do not end.
pub async fn hold_write_lock(url: &str, options: &Options) -> store::Result<WriteLock> {
    const LOCK: &str = "BEGIN;
        LOCK TABLE orders, parcels, notices, reports, transitions, quotas, permits, audit, workers
             IN EXCLUSIVE MODE";
    let failed = |error| before_commit(&error, "hold-write-lock");
    let mut db = settings(url, options)?.connect().await.map_err(failed)?;
    sqlx::raw_sql(LOCK).execute(&mut db).await.map_err(failed)?;
    Ok(WriteLock { _db: db })
}
