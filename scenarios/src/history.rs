//! What happened in a run, as JSON lines.
//!
//! ```text
//! {"format":"drillship-history","version":1,"mode":"simulated","clock_factor":1.0,"plan":"…"}
//! {"at":1795222800000000,"drill":"order-offered","order":"ORD-1"}
//! {"at":1795222800004000,"node":0,"event":"tx-begin","task":3,"op":"ingest"}
//! {"final":{"carrier":{…},"messenger":{…},"rows":{…},"fired":{…}}}
//! ```
//! The first line is the header with the whole plan, the last one the final reads; between them one
//! line for each thing that happened, in drill time. The same plan gives the same bytes.

mod read;
mod write;

pub use read::Error;
pub use write::Writer;

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Timestamp;
use faults::Fired;
use oms_core::env::Event;
use oms_core::store::Rows;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::{Deed, Plan, Site};
use crate::queue;

/// The name of the format, in the header.
pub const FORMAT: &str = "drillship-history";
/// The version of the format that this program reads and writes.
pub const VERSION: u32 = 1;

/// A whole run.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The plan, without its replay hash (which is made from these very bytes).
    pub plan: Plan,
    /// How it was run.
    pub mode: Mode,
    /// Drill seconds in a real second; 1 when simulated.
    pub clock_factor: f64,
    /// What happened, in order.
    pub records: Vec<Record>,
    /// What was found at the end.
    pub reads: FinalReads,
}

/// How a plan is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// In virtual time, in one process.
    Simulated,
    /// With real sockets, files and processes.
    Live,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// On which node, from 0; `None` when it was no node's doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum What {
    /// The service told it of itself; the key is `event`.
    Oms(Event),
    /// The drill saw or did it; the key is `drill`.
    Drill(Step),
}

/// What the drill sees and does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "drill", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// A part of the run begins.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// A node's process runs.
    NodeStarted,
    /// A node was killed at once.
    NodeCrashed,
    /// A node stands still.
    NodeStalled {
        /// When it goes on.
        until: Timestamp,
    },
    /// The power of the machine with the database went: all its nodes are killed.
    PowerCut {
        /// Operations that its disk had made by then.
        operation: u64,
    },
    /// After a power cut the database did not read as it was written. It begins empty.
    DatabaseBroken,
    /// A customer's order was sent to the service.
    OrderOffered {
        /// Its id.
        order: String,
    },
    /// The service said that it keeps the order.
    OrderAcknowledged {
        /// Its id.
        order: String,
    },
    /// The service said that it does not take the order.
    OrderRefused {
        /// Its id.
        order: String,
        /// Its words, without personal data.
        why: String,
    },
    /// An operator called an order back.
    CancelAsked {
        /// Its id.
        order: String,
    },
    /// An operator did something to an order.
    OperatorActed {
        /// Its id.
        order: String,
        /// What.
        deed: Deed,
        /// The service's answer.
        answer: String,
    },
    /// Somebody asked to be signed up.
    SignUpAsked {
        /// The member's id.
        member: String,
    },
    /// The service said that it keeps the member.
    SignUpConfirmed {
        /// The member's id.
        member: String,
    },
    /// The service said otherwise, and whoever asked has gone.
    SignUpFailed {
        /// The member's id.
        member: String,
        /// Its words, without personal data.
        why: String,
    },
    /// A fault of the plan fired.
    FaultFired {
        /// Where it was carried out.
        site: Site,
        /// Its place in the plan, from 0.
        fault: usize,
        /// What it hit.
        hit: String,
    },
    /// A fault of the plan cannot be done in this mode.
    FaultSkipped {
        /// Its place in the plan, from 0.
        fault: usize,
        /// Why not.
        why: String,
    },
}

/// The parts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Orders come in and faults fire.
    Chaos,
    /// No fault fires any more, and everything must settle.
    Heal,
    /// Ledgers and rows are read.
    FinalReads,
}

/// What was found at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalReads {
    /// When it was read.
    pub at: Timestamp,
    /// What the carrier holds.
    pub carrier: fake_cj::Ledger,
    /// What the message gateway holds.
    pub messenger: fake_kakao::Ledger,
    /// What the service's database holds.
    pub rows: Rows,
    /// How often each fault fired, by who carries it out, in the order of the plan.
    pub fired: BTreeMap<Site, Vec<Fired>>,
    /// How long the healthy orders took in the same run without the bad ones, if it was made.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Duration>,
    /// What the message broker holds, if anything was ever published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<queue::Ledger>,
}

impl Record {
    /// Something that the drill saw or did.
    pub fn drill(at: Timestamp, node: Option<u32>, step: Step) -> Record {
        Record { at, node, what: What::Drill(step) }
    }

    /// Something that the service told of itself.
    pub fn oms(at: Timestamp, node: u32, event: Event) -> Record {
        Record { at, node: Some(node), what: What::Oms(event) }
    }
}

// Not derived: serde would buffer the whole record to look for the tag, and would answer a wrong
// field with no more than "did not match any variant".
impl TryFrom<Map<String, Value>> for Record {
    type Error = serde_json::Error;

    fn try_from(mut record: Map<String, Value>) -> Result<Record, serde_json::Error> {
        let at = serde_json::from_value(record.remove("at").unwrap_or_default())?;
        let node = serde_json::from_value(record.remove("node").unwrap_or_default())?;
        let what = if record.contains_key("event") {
            What::Oms(serde_json::from_value(Value::Object(record))?)
        } else {
            What::Drill(serde_json::from_value(Value::Object(record))?)
        };
        Ok(Record { at, node, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;

    fn history() -> History {
        let kind = faults::Kind::ResetAfter;
        Builder::clean(2)
            .plan(|plan| {
                plan.gateway.rates.kakao_none = 0.1 + 0.2;
                plan.faults = vec![faults::Fault::new(faults::Kind::Busy)];
            })
            .live(20.0)
            .crash(0, 105)
            .stall(1, 5, 10)
            .refused("ORD-9", "HTTP 422")
            .skipped(0, "no")
            .store_fault(7)
            .carrier_request("RegBook", 80, Some(200), Some(kind))
            .baseline(1_500)
            .history()
    }

    #[track_caller]
    fn refused(change: impl FnOnce(String) -> String) -> String {
        let text = change(String::from_utf8(history().to_bytes()).unwrap());
        let error = History::read(text.as_bytes()).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    }

    #[test]
    fn a_history_that_is_read_again_is_the_same_to_the_byte() {
        let mut history = history();
        let counts = faults::EndpointCounts {
            statuses: BTreeMap::from([(200, 7), (429, 1)]),
            ..faults::EndpointCounts::default()
        };
        history.reads.carrier.counts.insert("RegBook".to_owned(), counts);
        let fired = Fired { fault: history.plan.faults[0].clone(), times: 3 };
        history.reads.fired.insert(Site::Store, vec![fired]);
        let bytes = history.to_bytes();
        let again = History::read(bytes.as_slice()).unwrap();
        assert_eq!(again, history);
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(again.hash(), history.hash());
    }

    #[test]
    fn lines_are_short_and_speak_for_themselves() {
        let text = String::from_utf8(history().to_bytes()).unwrap();
        let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap();
        assert_eq!(
            line("node-stalled"),
            r#"{"at":1795222800005000,"node":1,"drill":"node-stalled","until":1795222800010000}"#
        );
        assert_eq!(
            line("tx-begin"),
            r#"{"at":1795222800105000,"node":0,"event":"tx-begin","task":10,"op":"settle-parcel"}"#
        );
        assert!(text.starts_with(r#"{"format":"drillship-history","version":1,"mode":"live","#));
        assert!(text.lines().last().unwrap().starts_with(r#"{"final":{"at":"#));
    }

    #[test]
    fn the_hash_is_that_of_the_bytes_and_does_not_depend_on_the_hash_in_the_plan() {
        use sha2::{Digest, Sha256};
        let mut history = history();
        let hash = history.hash();
        let digest = Sha256::digest(history.to_bytes());
        assert_eq!(hash, digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        history.plan.replay_hash = Some(hash.clone());
        assert_eq!(history.hash(), hash);
        history.records.pop();
        assert_ne!(history.hash(), hash);
    }

    #[test]
    fn what_is_no_history_is_refused_with_its_line() {
        assert_eq!(
            refused(|text| text.replacen("\"version\":1", "\"version\":2", 1)),
            "line 1: `drillship-history` version 2; \
             this program reads `drillship-history` version 1"
        );
        assert!(refused(|_| "{}\n".to_owned()).starts_with("line 1: no header of a history: "));
        let plan = refused(|text| text.replacen("latency_max", "latncy_max", 1));
        assert!(plan.starts_with("line 1: the plan in the header: header:"), "{plan}");
        assert!(plan.ends_with("unknown field `latncy_max`; is `latency_max` meant?"), "{plan}");
        let event = refused(|text| text.replacen("\"tx-begin\"", "\"tx-start\"", 1));
        assert!(event.contains("no record: unknown variant `tx-start`"), "{event}");
        let step = refused(|text| text.replacen("\"until\":", "\"till\":", 1));
        assert!(step.contains("no record: unknown field `till`"), "{step}");
    }

    #[test]
    fn a_history_that_was_cut_off_is_told_from_one_that_ended() {
        let lines = history().records.len() + 1;
        let cut = refused(|text| text.split("{\"final\"").next().unwrap().to_owned());
        assert_eq!(cut, format!("cut off after line {lines}: the final reads are missing"));
        assert_eq!(refused(|_| String::new()), "cut off after line 0: the final reads are missing");
        let trailing = refused(|text| format!("{text}{{}}\n"));
        assert_eq!(trailing, format!("line {}: nothing may follow the final reads", lines + 2));
    }
}
