//! A PostgreSQL server that somebody else runs, and the databases that are made on it for a while.
//!
//! They bear the name of the process that makes them, which has a session of that name for as long as
//! it lives. So whatever became of it, the next one knows what it left behind: databases of a process of
//! which there is no session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clockwork::DrillClock;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::runner;

/// Databases are dropped within so long, or left to the next process: the server may be gone.
const DROP_WITHIN: Duration = Duration::from_secs(30);

/// A database that could not be made, or not be dropped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a URL of PostgreSQL's. It is not repeated: it may hold a password.
    #[error("not a PostgreSQL URL")]
    NoUrl,
    /// The server was not reached, or let nobody in.
    #[error("PostgreSQL at {address}")]
    Unreached {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The server refused what it was asked for.
    #[error("PostgreSQL")]
    Postgres(#[from] sqlx::Error),
    /// The server did not drop the databases in time; the next process does.
    #[error("the databases that were made were not dropped in time")]
    NotCleared,
}

/// A server on which this process makes databases.
pub(crate) struct Server {
    url: String,
    /// What the names of its databases begin with, and its session's name. No other process on the server
    /// has it, for none of that process id began at that moment.
    maker: String,
    made: AtomicU64,
    /// Says that the process lives. The server ends it with the process.
    _session: PgConnection,
}

impl Server {
    /// Connects to the server of the database at `url`, and takes away what others left behind that made
    /// databases for the same `purpose`, a word of letters.
    pub(crate) async fn use_it(url: &str, purpose: &'static str) -> Result<Server, Error> {
        let began = runner::now().micros();
        let maker = format!("drillship_{purpose}_{}_{began}", std::process::id());
        let options: PgConnectOptions = url.parse()?;
        let address = format!("{}:{}", options.get_host(), options.get_port());
        let session = PgConnection::connect_with(&options.application_name(&maker)).await;
        let mut session = session.map_err(|source| Error::Unreached { address, source })?;
        take_leftovers_away(&mut session, purpose).await?;
        Ok(Server { url: url.to_owned(), maker, made: AtomicU64::new(0), _session: session })
    }

    /// Makes a database; its URL.
    pub(crate) async fn make(&self) -> Result<String, Error> {
        let name = format!("{}_{}", self.maker, self.made.fetch_add(1, Ordering::Relaxed));
        let mut url: reqwest::Url = self.url.parse().map_err(|_| Error::NoUrl)?;
        execute(&self.url, &format!("CREATE DATABASE {name}")).await?;
        url.set_path(&name);
        Ok(url.into())
    }

    /// Drops the database at `url`, which was made here, whoever is still connected to it.
    pub(crate) async fn drop_it(&self, url: &str) -> Result<(), Error> {
        let url: reqwest::Url = url.parse().map_err(|_| Error::NoUrl)?;
        let name = url.path().trim_start_matches('/');
        execute(&self.url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    /// Takes away all databases that were made here, whoever is still connected to them.
    pub(crate) async fn clear(self) -> Result<(), Error> {
        let clear = async {
            let mut db = PgConnection::connect(&self.url).await?;
            let names = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)";
            let own = format!("{}_", self.maker);
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

/// Drops the databases of processes that have no session any more. One that somebody is connected to all
/// the same is let be, as is one that may not be dropped: nothing here depends on it.
///
/// A process that lives may lose its session, but has connections then; one without either, which the
/// server has just cut off, is at its end.
async fn take_leftovers_away(db: &mut PgConnection, purpose: &'static str) -> Result<(), Error> {
    // The databases are read as of the statement's begin, the sessions as they are then: whoever has
    // made one of those databases has had its session before.
    let left = "SELECT d.datname::text FROM pg_database d
                WHERE d.datname ~ ('^drillship_' || $1 || '_[0-9]+_[0-9]+_') AND NOT EXISTS (
                    SELECT FROM pg_stat_activity a WHERE a.application_name
                        = substring(d.datname FROM '^drillship_[a-z]+_[0-9]+_[0-9]+'))";
    for name in sqlx::query_scalar::<_, String>(left).bind(purpose).fetch_all(&mut *db).await? {
        let drop = format!("DROP DATABASE IF EXISTS {name}");
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *db).await {
            tracing::debug!(%error, name, "left where it is");
        }
    }
    Ok(())
}

async fn execute(url: &str, sql: &str) -> Result<(), Error> {
    let mut db = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await?;
    Ok(())
}
