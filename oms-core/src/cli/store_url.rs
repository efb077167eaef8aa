//! Which database.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Result, Store};

/// The value of `--store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoreUrl {
    path: PathBuf,
}

/// Why a text names no database.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// A database that this program knows of, but was not built with.
    #[error("PostgreSQL is not in this build; use sqlite:PATH")]
    NotInThisBuild,
    /// Some other scheme. Its address is not repeated: it may hold a password.
    #[error("`{0}:` is no database that is known here; use sqlite:PATH")]
    UnknownScheme(String),
    /// No path.
    #[error("names no file; use sqlite:PATH")]
    NoPath,
    /// A database that ends with the process keeps no order.
    #[error("a database in memory keeps no order; use sqlite:PATH")]
    InMemory,
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> std::result::Result<StoreUrl, Error> {
        let path = match text.split_once(':') {
            Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
            Some(("postgres" | "postgresql", _)) => return Err(Error::NotInThisBuild),
            Some((scheme, rest)) if rest.starts_with("//") => {
                return Err(Error::UnknownScheme(scheme.to_owned()));
            }
            _ => text,
        };
        match path {
            "" => Err(Error::NoPath),
            ":memory:" => Err(Error::InMemory),
            path => Ok(StoreUrl { path: PathBuf::from(path) }),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}

impl StoreUrl {
    /// Whether there is a database already.
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Opens it, makes it when it is not there, and brings its schema up to date.
    pub(super) fn open(&self, options: Options) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(SqliteStore::open(&self.path, options)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_or_a_path_names_a_file() {
        for (text, shown) in [
            ("sqlite:oms.db", "sqlite:oms.db"),
            ("sqlite:/var/oms.db", "sqlite:/var/oms.db"),
            ("sqlite:///var/oms.db", "sqlite:/var/oms.db"),
            ("oms.db", "sqlite:oms.db"),
            ("./a:b.db", "sqlite:./a:b.db"),
        ] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn other_databases_are_refused_without_their_address() {
        for (text, expected) in [
            ("postgres://u:secret@h/db", Error::NotInThisBuild),
            ("postgresql://h/db", Error::NotInThisBuild),
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
