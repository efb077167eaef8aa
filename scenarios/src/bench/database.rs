//! The databases of a bench: made, filled with finished orders, read, and dropped.
//!
//! On a server they bear the name of the bench's process, which has a session of that name for as long
//! as it lives. So whatever became of a bench, the next one knows what it left behind: databases of a
//! bench of which there is no session.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clockwork::{DrillClock, Timestamp};
use oms_core::state::By;
use oms_core::store::Transition;
use rusqlite::Connection as Sqlite;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::Error;
use crate::runner;

/// What belongs to an order: table, and the condition that finds it by the order's id.
const TABLES: [(&str, &str); 4] = [
    ("orders", "t.id = '{id}'"),
    ("parcels", "t.order_id = '{id}'"),
    ("notices", "t.order_id = '{id}'"),
    ("transitions", "t.key = '{id}' OR t.key LIKE '{id}/%' OR t.key LIKE '{id}:%'"),
];

/// What the names of all benches' databases begin with.
const PREFIX: &str = "drillship_bench_";
/// Databases are dropped within so long, or left to the next bench: the server may be gone.
const DROP_WITHIN: Duration = Duration::from_secs(10);

/// A server of PostgreSQL's, on which a bench makes databases.
pub(super) struct Server {
    url: String,
    /// What the names of this bench's databases begin with, and its session's name. No other bench on
    /// the server has it, for none of that process id began at that moment.
    bench: String,
    /// Says that the bench lives. The server ends it with the process.
    _session: PgConnection,
}

impl Server {
    /// Connects to the server of the database at `url`, and takes away what benches left behind.
    pub(super) async fn use_it(url: &str) -> Result<Server, Error> {
        let began = runner::now().micros();
        let bench = format!("{PREFIX}{}_{began}", std::process::id());
        let options: PgConnectOptions = url.parse()?;
        let mut session = PgConnection::connect_with(&options.application_name(&bench)).await?;
        take_leftovers_away(&mut session).await?;
        Ok(Server { url: url.to_owned(), bench, _session: session })
    }

    /// Takes away all databases of this bench, whoever is still connected to them.
    pub(super) async fn clear(self) -> Result<(), Error> {
        let clear = async {
            let mut db = PgConnection::connect(&self.url).await?;
            let names = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)";
            let own = format!("{}_", self.bench);
            for name in sqlx::query_scalar::<_, String>(names).bind(own).fetch_all(&mut db).await? {
                let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut db).await?;
            }
            Ok(())
        };
        let real = DrillClock::from_spec(None);
        clockwork::timeout(&real, DROP_WITHIN, clear).await.unwrap_or(Err(Error::NotCleared))
    }
}

/// Drops the databases of benches that have no session any more. One that somebody is connected to all
/// the same is let be, as is one that may not be dropped: nothing of this bench depends on it.
///
/// A bench that lives may lose its session, but has connections then; one without either, which the
/// server has just cut off, is at its end.
async fn take_leftovers_away(db: &mut PgConnection) -> Result<(), Error> {
    // The databases are read as of the statement's begin, the sessions as they are then: whoever has
    // made one of those databases has had its session before.
    let left = "SELECT d.datname::text FROM pg_database d
                WHERE d.datname ~ '^drillship_bench_[0-9]+_[0-9]+_' AND NOT EXISTS (
                    SELECT FROM pg_stat_activity a WHERE a.application_name
                        = substring(d.datname FROM '^drillship_bench_[0-9]+_[0-9]+'))";
    for name in sqlx::query_scalar::<_, String>(left).fetch_all(&mut *db).await? {
        let drop = format!("DROP DATABASE IF EXISTS {name}");
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *db).await {
            tracing::debug!(%error, name, "left where it is");
        }
    }
    Ok(())
}

/// A database of a bench's own.
#[derive(Debug, Clone)]
pub(super) enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// One of a server's: its own URL, and that of the one from which it was made.
    Postgres { url: String, home: String, name: String },
}

impl Database {
    /// A file in `folder`, or where `server` is given a new database of it. No two have one `name`.
    pub(super) async fn make(
        folder: &Path,
        server: Option<&Server>,
        name: &str,
    ) -> Result<Database, Error> {
        let Some(Server { url: home, bench, .. }) = server else {
            return Ok(Database::Sqlite(folder.join(format!("{name}.db"))));
        };
        let name = format!("{bench}_{name}");
        let mut url: reqwest::Url = home.parse().map_err(|_| Error::NoUrl)?;
        execute(home, &format!("CREATE DATABASE {name}")).await?;
        url.set_path(&name);
        Ok(Database::Postgres { url: url.into(), home: home.clone(), name })
    }

    /// As `--store` takes it.
    pub(super) fn url(&self) -> String {
        match self {
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
            Database::Postgres { url, .. } => url.clone(),
        }
    }

    /// Takes it away. A file goes with its folder.
    pub(super) async fn drop_it(&self) -> Result<(), Error> {
        match self {
            Database::Sqlite(_) => Ok(()),
            Database::Postgres { home, name, .. } => {
                execute(home, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
            }
        }
    }

    /// The place of the last edge that was walked.
    pub(super) async fn last_transition(&self) -> Result<i64, Error> {
        const SQL: &str = "SELECT coalesce(max(id), 0) FROM transitions";
        match self {
            Database::Sqlite(path) => Ok(Sqlite::open(path)?.query_row(SQL, [], |row| row.get(0))?),
            Database::Postgres { url, .. } => {
                let mut db = PgConnection::connect(url).await?;
                Ok(sqlx::query_scalar(SQL).fetch_one(&mut db).await?)
            }
        }
    }

    /// The edges that were walked since the one at `last`.
    pub(super) async fn transitions_after(&self, last: i64) -> Result<Vec<Transition>, Error> {
        const SQL: &str = "SELECT id, at, entity, key, from_state, to_state FROM transitions
                           WHERE id > $1 ORDER BY id";
        let transition = |(id, at, entity, key, from, to)| Transition {
            id,
            at: Timestamp::from_micros(at),
            entity,
            key,
            from,
            to,
            // No operator takes part in a bench.
            by: By::Core,
        };
        Ok(match self {
            Database::Sqlite(path) => {
                let db = Sqlite::open(path)?;
                let mut statement = db.prepare(SQL)?;
                let columns = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Columns> {
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        row.get(3)?,
                        row.get(4)?,
                        row.get(5)?,
                    ))
                };
                let rows = statement.query_map([last], columns)?;
                rows.map(|row| row.map(transition)).collect::<rusqlite::Result<_>>()?
            }
            Database::Postgres { url, .. } => {
                let mut db = PgConnection::connect(url).await?;
                let rows = sqlx::query_as::<_, Columns>(SQL).bind(last).fetch_all(&mut db).await?;
                rows.into_iter().map(transition).collect()
            }
        })
    }

    /// Writes the finished order `id` so many times more, under other ids: what a service leaves
    /// behind over a long time. No row is made up, so all of them fit together.
    pub(super) async fn multiply(&self, id: &str, times: u64) -> Result<(), Error> {
        match self {
            Database::Sqlite(path) => multiply_sqlite(&Sqlite::open(path)?, id, times),
            Database::Postgres { url, .. } => multiply_postgres(url, id, times).await,
        }
    }
}

type Columns = (i64, i64, String, String, Option<String>, String);

/// The statement that copies an order's rows of one table; `columns` are names, and whether each is
/// a text. In a text the order's id stands for itself.
fn copies(
    table: &str,
    condition: &str,
    columns: &[(String, bool)],
    id: &str,
    past: &str,
) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let values = columns.iter().map(|(name, text)| match text {
        true => format!("replace(t.{name}, '{id}', past.id)"),
        false => format!("t.{name}"),
    });
    let values: Vec<String> = values.collect();
    format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {past} CROSS JOIN {table} AS t WHERE {}",
        names.join(", "),
        values.join(", "),
        condition.replace("{id}", id)
    )
}

/// A log's place is given by the engine.
fn is_copied(table: &str, column: &str) -> bool {
    (table, column) != ("transitions", "id")
}

fn multiply_sqlite(db: &Sqlite, id: &str, times: u64) -> Result<(), Error> {
    // Nobody else has it open, and a bench that is cut off takes it away.
    db.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144;
        PRAGMA temp_store = MEMORY; CREATE TEMP TABLE past (id TEXT NOT NULL)",
    )?;
    db.execute(
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ?1)
         INSERT INTO past SELECT printf('OLD-%09d', n) FROM s",
        [i64::try_from(times).unwrap_or(i64::MAX)],
    )?;
    for (table, condition) in TABLES {
        let mut statement = db.prepare("SELECT name, type = 'TEXT' FROM pragma_table_info(?1)")?;
        let columns = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut columns = columns.collect::<rusqlite::Result<Vec<(String, bool)>>>()?;
        columns.retain(|(column, _)| is_copied(table, column));
        // The copied rows are kept apart: a table that is read while it is written grows for ever.
        db.execute_batch(&format!(
            "CREATE TEMP TABLE copied AS SELECT * FROM {table} AS t WHERE {}",
            condition.replace("{id}", id)
        ))?;
        let copy = copies(table, condition, &columns, id, "past");
        db.execute_batch(&copy.replace(&format!("JOIN {table} AS t"), "JOIN copied AS t"))?;
        db.execute_batch("DROP TABLE copied")?;
    }
    db.execute_batch("PRAGMA journal_mode = WAL")?;
    Ok(())
}

async fn multiply_postgres(url: &str, id: &str, times: u64) -> Result<(), Error> {
    let mut db = PgConnection::connect(url).await?;
    let past = format!(
        "(SELECT 'OLD-' || lpad(n::text, 9, '0') AS id FROM generate_series(1, {times}) AS n) AS past"
    );
    for (table, condition) in TABLES {
        let sql = "SELECT column_name::text, data_type = 'text' FROM information_schema.columns
                   WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position";
        let rows = sqlx::query(sql).bind(table).fetch_all(&mut db).await?;
        let mut columns = Vec::new();
        for row in rows {
            let column: (String, bool) = (row.try_get(0)?, row.try_get(1)?);
            if is_copied(table, &column.0) {
                columns.push(column);
            }
        }
        let copy = copies(table, condition, &columns, id, &past);
        sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut db).await?;
    }
    // As the server's own housekeeping does it after such a day.
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut db).await?;
    Ok(())
}

/// Runs statements of the bench's own on the database at `url`.
pub(super) async fn execute(url: &str, sql: &str) -> Result<(), Error> {
    let mut db = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await?;
    Ok(())
}
