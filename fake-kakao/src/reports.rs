//! The queue of reports: handed out in batches, again and again until acknowledged.

use std::collections::BTreeSet;
use std::time::Duration;

use clockwork::Timestamp;

/// The most reports in one batch.
pub const BATCH_MAX: usize = 50;

/// A batch that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What it is acknowledged by.
    pub report_id: String,
    /// The messages reported, by their keys.
    pub msg_keys: Vec<String>,
}

/// What is to be reported, and the batch that waits for its acknowledgement.
///
/// As the real gateway has it, there is one batch at a time: the next one is given out only after
/// the one before was acknowledged.
#[derive(Debug, Clone, Default)]
pub struct Reports {
    due: BTreeSet<(Timestamp, String)>,
    open: Option<(Batch, Timestamp)>,
    handed_out: u64,
}

impl Reports {
    /// Has `msg_key` reported from `at` on.
    pub fn add(&mut self, msg_key: &str, at: Timestamp) {
        self.due.insert((at, msg_key.to_owned()));
    }

    /// Forgets a report that waits.
    pub fn forget(&mut self, msg_key: &str, at: Timestamp) {
        self.due.remove(&(at, msg_key.to_owned()));
    }

    /// The batch for a poll at `now`: the open one when `redeliver_after` has passed since it was
    /// last handed out, else a new one of what is due. `None` when there is nothing, or while the
    /// open one waits.
    pub fn poll(&mut self, now: Timestamp, redeliver_after: Duration) -> Option<Batch> {
        if let Some((batch, handed_out_at)) = &mut self.open {
            if now < *handed_out_at + redeliver_after {
                return None;
            }
            *handed_out_at = now;
            return Some(batch.clone());
        }
        let mut msg_keys = Vec::new();
        while msg_keys.len() < BATCH_MAX && self.due.first().is_some_and(|(at, _)| *at <= now) {
            msg_keys.extend(self.due.pop_first().map(|(_, msg_key)| msg_key));
        }
        if msg_keys.is_empty() {
            return None;
        }
        self.handed_out += 1;
        let batch = Batch { report_id: report_id(self.handed_out), msg_keys };
        self.open = Some((batch.clone(), now));
        Some(batch)
    }

    /// Takes the batch for received; `false` when none of that name was ever handed out. One that
    /// was acknowledged before is acknowledged again: the answer may have been lost.
    pub fn acknowledge(&mut self, id: &str) -> bool {
        if self.open.as_ref().is_some_and(|(batch, _)| batch.report_id == id) {
            self.open = None;
            return true;
        }
        let number = id.strip_prefix("RPT").and_then(|digits| digits.parse().ok());
        number.is_some_and(|n: u64| (1..=self.handed_out).contains(&n) && report_id(n) == id)
    }
}

fn report_id(number: u64) -> String {
    format!("RPT{number:010}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000_000);
    const REDELIVER: Duration = Duration::from_secs(30);

    fn at(millis: u64) -> Timestamp {
        START + Duration::from_millis(millis)
    }

    fn with_reports(count: usize) -> Reports {
        let mut reports = Reports::default();
        for n in 0..count {
            reports.add(&format!("{n:03}"), START);
        }
        reports
    }

    #[test]
    fn a_report_is_due_at_its_moment_and_not_before() {
        let mut reports = Reports::default();
        reports.add("a", at(3_000));
        assert_eq!(reports.poll(at(2_999), REDELIVER), None);
        assert_eq!(reports.poll(at(3_000), REDELIVER).unwrap().msg_keys, ["a"]);
    }

    #[test]
    fn a_batch_comes_again_until_it_is_acknowledged_and_the_next_only_then() {
        let mut reports = with_reports(60);
        let first = reports.poll(START, REDELIVER).unwrap();
        assert_eq!(first.msg_keys.len(), BATCH_MAX);
        assert_eq!(reports.poll(at(29_999), REDELIVER), None);
        assert_eq!(reports.poll(at(30_000), REDELIVER).as_ref(), Some(&first));
        assert_eq!(reports.poll(at(59_999), REDELIVER), None, "counted from the last time");
        assert_eq!(reports.poll(at(60_000), REDELIVER).as_ref(), Some(&first));
        assert!(reports.acknowledge(&first.report_id));
        let second = reports.poll(at(60_001), REDELIVER).unwrap();
        assert_eq!(second.msg_keys.len(), 10);
        assert_ne!(second.report_id, first.report_id);
        assert!(reports.acknowledge(&second.report_id));
        assert_eq!(reports.poll(at(999_999), REDELIVER), None);
    }

    #[test]
    fn an_acknowledgement_may_be_repeated_but_not_invented() {
        let mut reports = with_reports(1);
        let batch = reports.poll(START, REDELIVER).unwrap();
        assert!(!reports.acknowledge("RPT0000000002"));
        assert!(!reports.acknowledge("RPT1"));
        assert!(!reports.acknowledge(""));
        assert!(reports.acknowledge(&batch.report_id));
        assert!(reports.acknowledge(&batch.report_id));
    }

    #[test]
    fn a_forgotten_report_is_not_handed_out() {
        let mut reports = with_reports(2);
        reports.forget("000", START);
        assert_eq!(reports.poll(START, REDELIVER).unwrap().msg_keys, ["001"]);
    }
}
