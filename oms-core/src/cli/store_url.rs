//! Which database.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::store::postgres::PostgresStore;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Result, Store, without_secrets};

/// The value of `--store`.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum StoreUrl {
    /// A file of SQLite's.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server: its URL, which may hold a password.
    Postgres(String),
}

/// Why a text names no database.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// Some other scheme. Its address is not repeated: it may hold a password.
    #[error("`{0}:` is no database that is known here; use sqlite:PATH or postgres://…")]
    UnknownScheme(String),
    /// No path.
    #[error("names no file; use sqlite:PATH")]
    NoPath,
    /// A database that ends with the process keeps no order.
    #[error("a database in memory keeps no order; use sqlite:PATH")]
    InMemory,
    /// A URL without a server.
    #[error("names no server; use postgres://USER@HOST/DATABASE")]
    NoServer,
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> std::result::Result<StoreUrl, Error> {
        let path = match text.split_once(':') {
            Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
            Some(("postgres" | "postgresql", rest)) => {
                return match rest.strip_prefix("//") {
                    Some(server) if !server.is_empty() => Ok(StoreUrl::Postgres(text.to_owned())),
                    _ => Err(Error::NoServer),
                };
            }
            Some((scheme, rest)) if rest.starts_with("//") => {
                return Err(Error::UnknownScheme(scheme.to_owned()));
            }
            _ => text,
        };
        match path {
            "" => Err(Error::NoPath),
            ":memory:" => Err(Error::InMemory),
            path => Ok(StoreUrl::Sqlite(PathBuf::from(path))),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            StoreUrl::Postgres(url) => f.write_str(&without_secrets(url)),
        }
    }
}

// What is shown and what is logged is the same.
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StoreUrl {
    /// Whether there may be a database already: a server's are not made by this program.
    pub(super) fn exists(&self) -> bool {
        match self {
            StoreUrl::Sqlite(path) => path.exists(),
            StoreUrl::Postgres(_) => true,
        }
    }

    /// Opens it, makes it when it is a file that is not there, and brings its schema up to date.
    pub(super) async fn open(&self, options: Options) -> Result<Arc<dyn Store>> {
        Ok(match self {
            StoreUrl::Sqlite(path) => Arc::new(SqliteStore::open(path, options)?),
            StoreUrl::Postgres(url) => Arc::new(PostgresStore::open(url, options).await?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_or_a_path_names_a_database_and_no_password_is_shown() {
        for (text, shown) in [
            ("sqlite:oms.db", "sqlite:oms.db"),
            ("sqlite:/var/oms.db", "sqlite:/var/oms.db"),
            ("sqlite:///var/oms.db", "sqlite:/var/oms.db"),
            ("oms.db", "sqlite:oms.db"),
            ("./a:b.db", "sqlite:./a:b.db"),
            ("postgres://h:5433/db", "postgres://h:5433/db"),
            ("postgresql://u:secret@h/db?password=secret", "postgresql://u@h/db"),
            ("postgres://u:se/cr@et@h/db", "postgres://u@h/db"),
        ] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn other_databases_are_refused_without_their_address() {
        for (text, expected) in [
            ("postgres:secret", Error::NoServer),
            ("postgresql://", Error::NoServer),
            ("mysql://u:secret@h/db", Error::UnknownScheme("mysql".to_owned())),
            ("sqlite:", Error::NoPath),
            ("", Error::NoPath),
            ("sqlite::memory:", Error::InMemory),
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            assert!(!error.to_string().contains("secret"));
            assert_eq!(error, expected);
        }
    }
}
