//! What is read of a live run: the database, and what the nodes wrote.

use std::path::Path;

use clockwork::Timestamp;
use oms_core::env::{Event, NullObserver};
use oms_core::store::Store;
use oms_core::store::postgres::PostgresStore;
use oms_core::store::sqlite::{Options, SqliteStore};
use serde::Deserialize;
use std::sync::Arc;

use super::{Error, Stage};
use crate::history::Record;

/// Opens the run's database from outside.
pub(super) async fn open(stage: &Stage<'_>) -> Result<Arc<dyn Store>, Error> {
    open_as(stage, options(stage)).await
}

/// As [`open`], for as many questions at once.
pub(crate) async fn open_with(
    stage: &Stage<'_>,
    pool_size: usize,
) -> Result<Arc<dyn Store>, Error> {
    open_as(stage, Options { pool_size, ..options(stage) }).await
}

async fn open_as(stage: &Stage<'_>, options: Options) -> Result<Arc<dyn Store>, Error> {
    Ok(match stage.store_url.strip_prefix("sqlite:") {
        Some(path) => {
            Arc::new(SqliteStore::open(Path::new(path), options).map_err(Error::Database)?)
        }
        None => {
            let store = PostgresStore::open(&stage.store_url, options).await;
            Arc::new(store.map_err(Error::Database)?)
        }
    })
}

/// How the runner uses the run's database.
pub(super) fn options(stage: &Stage<'_>) -> Options {
    // It asks one thing at a time.
    let options = Options::new(stage.clock.clone(), Arc::new(NullObserver));
    Options { pool_size: 1, ..options }
}

/// A line that a node wrote.
#[derive(Deserialize)]
struct Line {
    at: Timestamp,
    #[serde(flatten)]
    event: Event,
}

/// What one incarnation of a node wrote. A last line that was cut by a kill is left out.
pub(super) fn node_history(node: u32, path: &Path) -> Result<Vec<Record>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        // Killed before it wrote anything.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::File { path: path.to_owned(), source }),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut records = Vec::new();
    for (line, text) in (1..).zip(whole.lines()) {
        let read: Line = serde_json::from_str(text).map_err(|source| Error::NodeHistory {
            node,
            line,
            source,
        })?;
        records.push(Record::oms(read.at, node, read.event));
    }
    Ok(records)
}
