//! What workers say of themselves: for people.

use std::time::Duration;

use clockwork::Timestamp;
use serde::{Deserialize, Serialize};

/// A worker that was not heard of for so long is forgotten.
const KEPT: Duration = Duration::from_secs(3600);

/// A worker, as it said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Its name, as leases carry it.
    pub worker: String,
    /// Since when it runs.
    pub since: Timestamp,
    /// When it said so last.
    pub heard_at: Timestamp,
    /// Those of its circuit breakers that are not closed.
    pub breakers: Vec<BreakerView>,
}

impl Presence {
    /// Who was heard of before is forgotten by now.
    pub(super) fn forgets_before(&self) -> Timestamp {
        self.heard_at - KEPT
    }

    /// Its breakers as the row has them.
    pub(super) fn breakers_text(&self) -> String {
        // Texts and numbers alone: nothing that JSON cannot say.
        serde_json::to_string(&self.breakers).expect("breakers are plain JSON")
    }
}

/// Breakers as a row has them.
pub(super) fn breakers_of(text: &str) -> Result<Vec<BreakerView>, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A circuit breaker of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerView {
    /// The quota whose calls it guards.
    pub api: String,
    /// `open` or `half-open`.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
}
