//! Files of orders: JSON lines, or CSV with one row an item.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{csv, jsonl};
use crate::order::Order;

/// How a file of orders is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One order a line.
    Jsonl,
    /// One item a row; the rows of an order follow each other.
    Csv,
}

/// A file that cannot be read as orders at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not give it.
    #[error("file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its name does not end on `.jsonl`, `.ndjson` or `.csv`.
    #[error("file {}: is it JSONL or CSV? its name does not say", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// Its first row does not name the columns.
    #[error("file {}: first row: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// One order of a file, or why it is none.
#[derive(Debug)]
pub struct Entry {
    /// Where it begins, from 1.
    pub line: u64,
    /// What stands there.
    pub order: Result<Order, LineError>,
}

/// Lines that are no valid order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LineError {
    /// Where it begins, from 1.
    pub line: u64,
    /// The order's id, when it can be read.
    pub order: Option<String>,
    /// All that is wrong, by line.
    pub problems: Vec<LineProblem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LineProblem {
    /// The line, from 1.
    pub line: u64,
    /// The field, as the file's format names it; empty when it is the line as a whole.
    pub field: String,
    /// What is wrong with it. It never repeats personal data.
    pub why: String,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.why),
            field => write!(f, "line {}: {field} {}", self.line, self.why),
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.problems.iter().map(LineProblem::to_string).collect();
        f.write_str(&problems.join("; "))
    }
}

/// The orders of a file and where each begins. The file is read whole, so that an order whose rows
/// are torn apart is noticed before a part of it is kept.
///
/// Without a `format` the file's name says it. A byte order mark is ignored, empty lines too.
///
/// # Errors
/// [`Error`]; wrong lines are entries.
pub fn read_entries(path: &Path, format: Option<Format>) -> Result<Vec<Entry>, Error> {
    let format = match format {
        Some(format) => format,
        None => named_format(path).ok_or_else(|| Error::UnknownFormat { path: path.to_owned() })?,
    };
    let bytes =
        std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match format {
        Format::Jsonl => Ok(jsonl::entries(text)),
        Format::Csv => {
            csv::entries(text).map_err(|reason| Error::Header { path: path.to_owned(), reason })
        }
    }
}

/// The orders of a file; see [`read_entries`].
///
/// # Errors
/// [`Error`]; wrong lines are items.
pub fn read_orders(
    path: &Path,
    format: Option<Format>,
) -> Result<impl ExactSizeIterator<Item = Result<Order, LineError>>, Error> {
    Ok(read_entries(path, format)?.into_iter().map(|entry| entry.order))
}

fn named_format(path: &Path) -> Option<Format> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "csv" => Some(Format::Csv),
        _ => None,
    }
}

/// What is said of bytes that are no UTF-8, from `column` on.
pub(super) fn no_utf8(column: usize) -> String {
    format!("is not UTF-8 from byte {column} on; save the file as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_format_and_a_flag_overrides_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.txt");
        std::fs::write(&path, "\n").unwrap();
        let unnamed = read_entries(&path, None);
        assert!(matches!(unnamed, Err(Error::UnknownFormat { .. })), "{unnamed:?}");
        assert!(read_entries(&path, Some(Format::Jsonl)).unwrap().is_empty());
        let missing = read_entries(&folder.path().join("none.jsonl"), None);
        assert!(matches!(missing, Err(Error::Read { .. })), "{missing:?}");
        let upper = folder.path().join("ORDERS.CSV");
        std::fs::write(&upper, "nonsense\n").unwrap();
        assert!(matches!(read_entries(&upper, None), Err(Error::Header { .. })));
    }
}
