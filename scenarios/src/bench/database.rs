//! The databases of a bench: made, filled with finished orders, read, and dropped.

use std::path::{Path, PathBuf};

use clockwork::Timestamp;
use oms_core::state::By;
use oms_core::store::Transition;
use rusqlite::Connection as Sqlite;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::Error;
use crate::server::Server;

/// What belongs to an order: table, and the condition that finds it by the order's id.
const TABLES: [(&str, &str); 4] = [
    ("orders", "t.id = '{id}'"),
    ("parcels", "t.order_id = '{id}'"),
    ("notices", "t.order_id = '{id}'"),
    ("transitions", "t.key = '{id}' OR t.key LIKE '{id}/%' OR t.key LIKE '{id}:%'"),
];

/// A database of a bench's own.
#[derive(Debug, Clone)]
pub(super) enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// One of a server's.
    Postgres { url: String },
}

impl Database {
    /// A file in `folder`, or where `server` is given a new database of it. No two have one `name`.
    pub(super) async fn make(
        folder: &Path,
        server: Option<&Server>,
        name: &str,
    ) -> Result<Database, Error> {
        Ok(match server {
            Some(server) => Database::Postgres { url: server.make().await? },
            None => Database::Sqlite(folder.join(format!("{name}.db"))),
        })
    }

    /// As `--store` takes it.
    pub(super) fn url(&self) -> String {
        match self {
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
            Database::Postgres { url } => url.clone(),
        }
    }

    /// Takes it away. A file goes with its folder.
    pub(super) async fn drop_it(&self, server: Option<&Server>) -> Result<(), Error> {
        match (self, server) {
            (Database::Postgres { url }, Some(server)) => Ok(server.drop_it(url).await?),
            _ => Ok(()),
        }
    }

    /// The place of the last edge that was walked.
    pub(super) async fn last_transition(&self) -> Result<i64, Error> {
        const SQL: &str = "SELECT coalesce(max(id), 0) FROM transitions";
        match self {
            Database::Sqlite(path) => Ok(Sqlite::open(path)?.query_row(SQL, [], |row| row.get(0))?),
            Database::Postgres { url } => {
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
            Database::Postgres { url } => {
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
            Database::Postgres { url } => multiply_postgres(url, id, times).await,
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
    // A server writes for minutes what it took in at once, and would beside what is measured. Who may
    // not have it written now is measured so.
    if let Err(error) = sqlx::raw_sql("CHECKPOINT").execute(&mut db).await {
        tracing::warn!(%error, "what was written is not on the disk yet");
    }
    Ok(())
}

/// Runs statements of the bench's own on the database at `url`.
pub(super) async fn execute(url: &str, sql: &str) -> Result<(), Error> {
    let mut db = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await?;
    Ok(())
}
