//! Histories from bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::{FORMAT, FinalReads, History, Mode, VERSION};
use crate::plan::{self, Plan};

/// A history that cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("history `{file}` cannot be read")]
    Open {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be read further.
    #[error("line {line} cannot be read")]
    Read {
        /// From 1.
        line: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The first line is no header of a history.
    #[error("line 1: no header of a history")]
    Header(#[source] serde_json::Error),
    /// Another format, or another version of this one.
    #[error(
        "line 1: `{format}` version {version}; this program reads `{FORMAT}` version {VERSION}"
    )]
    Version {
        /// The format's name.
        format: String,
        /// Its version.
        version: u32,
    },
    /// The plan in the header cannot be used.
    #[error("line 1: the plan in the header")]
    Plan(#[source] plan::Error),
    /// A line that is no record.
    #[error("line {line}: no record")]
    Record {
        /// From 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A line after the final reads.
    #[error("line {line}: nothing may follow the final reads")]
    Trailing {
        /// From 1.
        line: usize,
    },
    /// It ends before the final reads.
    #[error("cut off after line {line}: the final reads are missing")]
    CutOff {
        /// The last line, from 1.
        line: usize,
    },
}

/// Format and version alone: another version may have other fields.
#[derive(Deserialize)]
struct Version {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Header {
    mode: Mode,
    clock_factor: f64,
    plan: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    r#final: FinalReads,
}

impl History {
    /// From a file.
    ///
    /// # Errors
    /// [`Error`], with the line.
    pub fn load(file: &Path) -> Result<History, Error> {
        match File::open(file) {
            Ok(opened) => History::read(BufReader::new(opened)),
            Err(source) => Err(Error::Open { file: file.display().to_string(), source }),
        }
    }

    /// From lines.
    ///
    /// # Errors
    /// As [`History::load`].
    pub fn read(from: impl BufRead) -> Result<History, Error> {
        let lines = (1..).zip(from.lines());
        let mut lines =
            lines.map(|(line, text)| (line, text.map_err(|source| Error::Read { line, source })));
        let Some((_, first)) = lines.next() else { return Err(Error::CutOff { line: 0 }) };
        let (header, plan) = read_header(&first?)?;
        let mut records = Vec::new();
        let mut last_line = 1;
        while let Some((line, text)) = lines.next() {
            let text = text?;
            let no_record = |source| Error::Record { line, source };
            if text.starts_with("{\"final\"") {
                let last: Last = serde_json::from_str(&text).map_err(no_record)?;
                if let Some((line, _)) = lines.next() {
                    return Err(Error::Trailing { line });
                }
                let Header { mode, clock_factor, .. } = header;
                return Ok(History { plan, mode, clock_factor, records, reads: last.r#final });
            }
            records.push(serde_json::from_str(&text).map_err(no_record)?);
            last_line = line;
        }
        Err(Error::CutOff { line: last_line })
    }
}

fn read_header(text: &str) -> Result<(Header, Plan), Error> {
    let Version { format, version } = serde_json::from_str(text).map_err(Error::Header)?;
    if format != FORMAT || version != VERSION {
        return Err(Error::Version { format, version });
    }
    let header: Header = serde_json::from_str(text).map_err(Error::Header)?;
    let plan = Plan::parse_named("header", &header.plan).map_err(Error::Plan)?;
    Ok((header, plan))
}
