//! A drill that was run again, and whether its history has the same bytes.

use serde::Serialize;

use super::{DrillResult, SCHEMA_VERSION, human};
use crate::verdict::exit;

/// Two histories that should be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Whether they have the same bytes.
    pub identical: bool,
    /// The SHA-256 of the history now.
    pub hash: String,
    /// What it should be.
    pub expected: String,
    /// The plan says what it should be; else it is that of a run just before.
    pub of_plan: bool,
}

impl Replayed {
    /// The exit code of a replay whose promises hold.
    pub const fn exit_code(&self) -> u8 {
        if self.identical { exit::HELD } else { exit::NOT_DETERMINISTIC }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    schema_version: u32,
    verdict: crate::verdict::Verdict,
    exit_code: u8,
    replayed: &'a Replayed,
    drills: [&'a DrillResult; 1],
}

/// For people.
pub fn human_replayed(result: &DrillResult, replayed: &Replayed) -> String {
    let Replayed { identical, hash, expected, of_plan } = replayed;
    let report = human(std::slice::from_ref(result));
    let whose = if *of_plan { "as the plan says" } else { "twice in a row" };
    match identical {
        true => format!("{report}byte-identical, {whose}:\n  {hash}\n"),
        false => {
            let whose = if *of_plan { "in the plan" } else { "just before" };
            format!("{report}NOT byte-identical:\n  {hash} now\n  {expected} {whose}\n")
        }
    }
}

/// As one JSON document: that of a run, and `replayed`.
pub fn json_replayed(result: &DrillResult, replayed: &Replayed) -> String {
    let report = Report {
        schema_version: SCHEMA_VERSION,
        verdict: result.verdict,
        exit_code: exit::worst([result.verdict.exit_code(), replayed.exit_code()]),
        replayed,
        drills: [result],
    };
    // Texts and numbers; map keys are texts.
    serde_json::to_string_pretty(&report).expect("results are plain JSON") + "\n"
}
