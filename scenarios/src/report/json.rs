//! For programs.

use serde::Serialize;

use super::{DrillResult, SCHEMA_VERSION};
use crate::verdict::{Verdict, exit};

#[derive(Serialize)]
struct Report<'a> {
    schema_version: u32,
    verdict: Verdict,
    exit_code: u8,
    drills: &'a [DrillResult],
}

/// All results as one JSON document.
pub fn json(results: &[DrillResult]) -> String {
    let report = Report {
        schema_version: SCHEMA_VERSION,
        verdict: results.iter().map(|result| result.verdict).max().unwrap_or(Verdict::Held),
        exit_code: exit::worst(results.iter().map(|result| result.verdict.exit_code())),
        drills: results,
    };
    // Texts and numbers; map keys are texts.
    serde_json::to_string_pretty(&report).expect("results are plain JSON") + "\n"
}

impl DrillResult {
    /// The drill's `verdict.json`.
    pub fn to_json(&self) -> String {
        // As above.
        serde_json::to_string_pretty(self).expect("a result is plain JSON") + "\n"
    }
}
