//! Logs, masking, and the recorded history.
//!
//! Nothing here decides anything. Personal data and secrets never reach a log: who must name a
//! phone number writes [`Masked`].

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use clockwork::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::env::{Event, Observer, Progress};

/// The variable that says what is logged: `info`, `oms_core=debug`, as `RUST_LOG` has it.
pub const FILTER_VARIABLE: &str = "OMS_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is none.
    #[error("{FILTER_VARIABLE} `{filter}`")]
    Filter {
        /// What was given.
        filter: String,
        /// Why it is none.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Logs of this process from now on, to stderr, in `clock`'s time. When someone has begun before,
/// they go on.
///
/// # Errors
/// [`Error::Filter`] when `filter` is none.
pub fn init(format: LogFormat, filter: Option<&str>, clock: Arc<dyn Clock>) -> Result<(), Error> {
    let subscriber = subscriber(format, filter, clock, io::stderr)?;
    // A second beginning in one process comes from tests and embedding programs: both want the
    // first to stand.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// What [`init`] begins, to any writer.
///
/// # Errors
/// [`Error::Filter`] when `filter` is none.
pub fn subscriber<W>(
    format: LogFormat,
    filter: Option<&str>,
    clock: Arc<dyn Clock>,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter.unwrap_or("info");
    let parsed = EnvFilter::try_new(filter)
        .map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_timer(Time(clock))
        .with_writer(writer)
        .with_ansi(false);
    Ok(match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// Log lines carry the drill's time, as everything else does.
struct Time(Arc<dyn Clock>);

impl FormatTime for Time {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", self.0.now())
    }
}

/// A phone number with its middle hidden: `010-1234-5678` becomes `010-****-5678`. Of a text that
/// is too short to be one, and of any letter, nothing is left.
pub fn mask_phone(phone: &str) -> String {
    /// Longer ones are no phone numbers: the rest is cut off.
    const CHARACTERS_MAX: usize = 20;
    let phone: Vec<char> = phone.chars().take(CHARACTERS_MAX).collect();
    let digits = phone.iter().filter(|char| char.is_ascii_digit()).count();
    let shown = |nth: usize| digits >= 9 && (nth < 3 || nth >= digits - 4);
    let mut nth = 0;
    let hide = |char: &char| {
        if !char.is_ascii_digit() {
            return if *char == '-' { '-' } else { '*' };
        }
        nth += 1;
        if shown(nth - 1) { *char } else { '*' }
    };
    phone.iter().map(hide).collect()
}

/// A phone number as logs show it.
#[derive(Clone, Copy)]
pub struct Masked<'a>(pub &'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_phone(self.0))
    }
}

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One line of a recorded history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    /// When, in microseconds since the Unix epoch.
    pub at: Timestamp,
    /// The worker that it happened to.
    pub worker: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Writes events to a file, one JSON object a line. Each line is handed to the system at once, so
/// that a killed process leaves all that happened before.
#[derive(Debug)]
pub struct JsonlObserver {
    worker: String,
    file: Mutex<File>,
}

impl JsonlObserver {
    /// Appends to `path`.
    ///
    /// # Errors
    /// As opening a file.
    pub fn append(path: &Path, worker: impl Into<String>) -> io::Result<JsonlObserver> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(JsonlObserver { worker: worker.into(), file: Mutex::new(file) })
    }
}

impl Observer for JsonlObserver {
    fn observe(&self, at: Timestamp, event: Event) {
        let line = HistoryLine { at, worker: self.worker.clone(), event };
        // Texts and numbers alone: nothing that JSON cannot say.
        let mut text = serde_json::to_string(&line).expect("an event is plain JSON");
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(text.as_bytes()) {
            // The service goes on: a history with a gap is found by whoever judges it.
            tracing::error!(%error, "history not written");
        }
    }
}

/// Tells several observers, one after the other.
#[derive(Clone, Default)]
pub struct Observers(pub Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn observe(&self, at: Timestamp, event: Event) {
        for observer in &self.0 {
            observer.observe(at, event.clone());
        }
    }

    fn progress(&self, at: Timestamp, progress: &Progress<'_>) {
        for observer in &self.0 {
            observer.progress(at, progress);
        }
    }
}

#[cfg(test)]
mod tests {
    use clockwork::DrillClock;

    use super::*;

    #[test]
    fn a_phone_number_keeps_its_ends_and_its_hyphens() {
        assert_eq!(mask_phone("01012345678"), "010****5678");
        assert_eq!(mask_phone("010-1234-5678"), "010-****-5678");
        assert_eq!(mask_phone("02-123-4567"), "02-1**-4567");
        assert_eq!(Masked("0507-1234-5678").to_string(), "050*-****-5678");
    }

    #[test]
    fn of_what_is_no_phone_number_nothing_is_shown() {
        assert_eq!(mask_phone("1588-1234"), "****-****");
        assert_eq!(mask_phone("홍길동 010"), "*******");
        assert_eq!(mask_phone(""), "");
        assert_eq!(mask_phone(&"x".repeat(1000)).len(), 20);
    }

    #[test]
    fn a_history_line_survives_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let observer = JsonlObserver::append(&path, "oms-1").unwrap();
        let event = Event::TxEnd { task: 7, op: "ingest".to_owned(), committed: true };
        observer.observe(Timestamp::from_micros(5), event.clone());
        observer.observe(Timestamp::from_micros(6), Event::Acknowledged { order: "A".to_owned() });
        // The observer is still alive: what it wrote is there all the same.
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], r#"{"at":6,"worker":"oms-1","event":"acknowledged","order":"A"}"#);
        let first: HistoryLine = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(
            first,
            HistoryLine { at: Timestamp::from_micros(5), worker: "oms-1".to_owned(), event }
        );
    }

    #[test]
    fn a_wrong_filter_is_refused_by_the_name_of_its_variable() {
        let clock = Arc::new(DrillClock::starting_at(Timestamp::EPOCH));
        let error = init(LogFormat::Text, Some("oms=loudly"), clock).unwrap_err();
        assert!(error.to_string().contains("OMS_LOG `oms=loudly`"), "{error}");
    }
}
