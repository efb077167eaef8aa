//! The service draws no 429 that it could have foreseen, and is never banned by its own
//! violations.
//!
//! A 429 could be foreseen when the service's own calls alone, as its history shows them, filled a
//! window: a call counts from its beginning until one window after its end, since nobody can know
//! when in between it arrived. A 429 that they do not explain is excused when a stranger on our
//! address, or a request that arrived long after it was given up, may explain it. A 429 that a
//! fault made is none of ours.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::time::Duration;

use clockwork::Timestamp;
use faults::{Kind, ReplyFate, RequestRecord};
use oms_core::env::Event;
use serde::Serialize;

use super::Finding;
use crate::evidence::{Call, Evidence};
use crate::history::{Record, Step, What};
use crate::plan::Site;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// The service's own calls filled the window.
    #[error(
        "{api} answered 429 to {endpoint} at {at}: {own} own calls in {per:?}, {allowed} allowed"
    )]
    Overdrawn {
        /// `carrier` or `messenger`.
        api: &'static str,
        /// The API's operation.
        endpoint: String,
        /// When.
        at: Timestamp,
        /// The request's number in the ledger.
        request: u64,
        /// How many calls of the service counted then.
        own: usize,
        /// How many the API allows.
        allowed: u32,
        /// In how long a time.
        #[serde(with = "humantime_serde")]
        per: Duration,
    },
    /// Nothing else explains it: whoever called, it was the service.
    #[error("{api} answered 429 to {endpoint} at {at}, and nobody else had called")]
    Unexplained {
        /// `carrier` or `messenger`.
        api: &'static str,
        /// The API's operation.
        endpoint: String,
        /// When.
        at: Timestamp,
        /// The request's number in the ledger.
        request: u64,
    },
    /// The service had been told to wait, said so itself, and called all the same.
    #[error("{endpoint} was called at {at} although no call was to be made before {until}")]
    Impatient {
        /// The API's operation.
        endpoint: String,
        /// When.
        at: Timestamp,
        /// Until when it should have waited.
        until: Timestamp,
    },
    /// A ban that came of violations which could have been foreseen.
    #[error("the carrier banned us from {from} until {until} for our own violations")]
    Banned {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
}

/// A permit that was granted before a block became known may still be used for so long.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let mut violations = carrier(evidence);
    violations.extend(bans(evidence, &violations));
    violations.extend(messenger(evidence));
    violations.extend(impatient(evidence));
    let mut finding: Finding = violations.into_iter().collect();
    let dropped = evidence.carrier.requests_dropped + evidence.messenger.requests_dropped;
    if dropped > 0 {
        finding.doubts.push(format!("the ledgers have dropped {dropped} requests"));
    }
    finding
}

/// Requests that the API itself answered 429, without a fault.
fn limited(requests: &[RequestRecord]) -> impl Iterator<Item = &RequestRecord> {
    requests.iter().filter(|request| request.status == Some(429) && request.fault.is_none())
}

fn carrier(evidence: &Evidence) -> Vec<Violation> {
    let windows = evidence.plan.carrier.windows.iter().map(|window| (window.calls, window.per));
    let windows: Vec<(u32, Duration)> = windows.collect();
    let longest = windows.iter().map(|(_, per)| *per).max().unwrap_or_default();
    let calls: Vec<&Call> = evidence.calls.iter().filter(|call| call.api == "carrier").collect();
    let requests = &evidence.carrier.requests;
    let judged = limited(requests).filter_map(|request| {
        let excused = neighbour_called(evidence, request.at, longest)
            || came_late(requests, request, longest);
        judge("carrier", request, &calls, &windows, excused)
    });
    judged.collect()
}

fn messenger(evidence: &Evidence) -> Vec<Violation> {
    let gateway = &evidence.plan.gateway;
    let second = Duration::from_secs(1);
    let requests = &evidence.messenger.requests;
    let judged = limited(requests).filter_map(|request| {
        let sends = request.endpoint == "send/omni";
        let allowed = if sends { gateway.sends_per_second } else { gateway.requests_per_second };
        let counted = |call: &&Call| {
            call.api == "messenger" && (call.endpoint == "send/omni") == sends
        };
        let calls: Vec<&Call> = evidence.calls.iter().filter(counted).collect();
        let excused = came_late(requests, request, second);
        judge("messenger", request, &calls, &[(allowed, second)], excused)
    });
    judged.collect()
}

fn judge(
    api: &'static str,
    request: &RequestRecord,
    calls: &[&Call],
    windows: &[(u32, Duration)],
    excused: bool,
) -> Option<Violation> {
    let (at, endpoint) = (request.at, request.endpoint.clone());
    for (allowed, per) in windows.iter().copied() {
        let counts = |call: &&&Call| call.begun <= at && call.over + per > at;
        let own = calls.iter().filter(counts).count();
        if own > allowed as usize {
            let request = request.id;
            return Some(Violation::Overdrawn { api, endpoint, at, request, own, allowed, per });
        }
    }
    (!excused).then_some(Violation::Unexplained { api, endpoint, at, request: request.id })
}

/// Whether the neighbour's calls may have counted at `at`.
fn neighbour_called(evidence: &Evidence, at: Timestamp, longest: Duration) -> bool {
    evidence.plan.neighbour.as_ref().is_some_and(|neighbour| {
        let from = evidence.plan.start + neighbour.from;
        (from..=from + neighbour.lasting + longest).contains(&at)
    })
}

/// Whether a request that counted when `limited` came had been under way longer than its caller
/// could know.
fn came_late(requests: &[RequestRecord], limited: &RequestRecord, longest: Duration) -> bool {
    let late = |request: &&RequestRecord| {
        let delayed = request.fault.as_ref().is_some_and(|fault| {
            matches!(fault.kind, Kind::DelayBefore | Kind::LateDelivery)
        });
        delayed || request.reply == ReplyFate::Abandoned
    };
    requests.iter().filter(late).any(|request| {
        let until = request.replied_at.map_or(Timestamp::MAX, |at| at + longest);
        (request.at..=until).contains(&limited.at)
    })
}

/// Bans that the violations in `foreseen` led to, or that nothing explains.
fn bans(evidence: &Evidence, foreseen: &[Violation]) -> Vec<Violation> {
    let foreseen: BTreeSet<u64> = foreseen.iter().filter_map(request_of).collect();
    let row = evidence.plan.carrier.ban_after as usize;
    let longest = evidence.plan.carrier.windows.iter().map(|window| window.per).max();
    let own = evidence.carrier.bans.iter().filter(|ban| {
        let by_fault = evidence.carrier.requests.iter().any(|request| {
            let until = request.replied_at.unwrap_or(request.at);
            let banned = request.fault.as_ref().is_some_and(|fault| fault.kind == Kind::Ban);
            banned && (request.at..=until).contains(&ban.from)
        });
        if by_fault {
            return false;
        }
        let violations = evidence.carrier.violations.iter();
        let led = violations.filter(|one| one.client == ban.client && one.at <= ban.from);
        let led: Vec<u64> = led.map(|one| one.request_id).collect();
        let led = &led[led.len().saturating_sub(row.max(1))..];
        let excused = neighbour_called(evidence, ban.from, longest.unwrap_or_default());
        led.iter().any(|request| foreseen.contains(request)) || (led.is_empty() && !excused)
    });
    own.map(|ban| Violation::Banned { from: ban.from, until: ban.until }).collect()
}

fn request_of(violation: &Violation) -> Option<u64> {
    match violation {
        Violation::Overdrawn { request, .. } | Violation::Unexplained { request, .. } => {
            Some(*request)
        }
        Violation::Impatient { .. } | Violation::Banned { .. } => None,
    }
}

/// The quota in which a call counts: the gateway counts sends and reports apart.
fn quota_of(call: &Call) -> &str {
    match call.endpoint.starts_with("report/") {
        true => oms_core::messenger::REPORT_QUOTA,
        false => &call.api,
    }
}

/// From when the other nodes could know of a block: at once, unless a fault of the store, its own
/// death or a stall kept the node that was told from writing it down.
fn written(evidence: &Evidence, block: &Record) -> Timestamp {
    const WRITE: &str = "block-quota";
    let hindered = evidence.faults.iter().any(|count| {
        let of_store = Site::of(&count.fault) == Some(Site::Store);
        let named = count.fault.endpoint.as_deref().is_none_or(|endpoint| endpoint == WRITE);
        of_store && named && count.times > 0
    });
    let soon = block.at..block.at + KNOWN_WITHIN;
    let halted = evidence.records.iter().any(|record| {
        let what = &record.what;
        let halts = matches!(what, What::Drill(Step::NodeCrashed | Step::NodeStalled { .. }));
        halts && record.node == block.node && soon.contains(&record.at)
    });
    if !hindered && !halted {
        return block.at;
    }
    let of_node = evidence.records.iter().skip_while(|record| !std::ptr::eq(*record, block));
    let mut of_node = of_node
        .filter(|record| record.node == block.node)
        .take_while(|record| !matches!(record.what, What::Drill(Step::NodeCrashed)));
    let write = of_node.find(|record| {
        matches!(&record.what, What::Oms(Event::TxEnd { op, committed: true, .. }) if op == WRITE)
    });
    write.map_or(Timestamp::MAX, |record| record.at)
}

/// When the node that was told of a block died: what it had not written is gone then.
fn forgotten(evidence: &Evidence, block: &Record) -> Timestamp {
    let death = evidence.records.iter().find(|record| {
        let died = matches!(record.what, What::Drill(Step::NodeCrashed));
        died && record.node == block.node && record.at >= block.at
    });
    death.map_or(Timestamp::MAX, |record| record.at)
}

/// Calls answered 429 that began while the service itself had said that none is to be made.
fn impatient(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let blocks = evidence.records.iter().filter_map(|record| match &record.what {
        What::Oms(Event::QuotaBlocked { quota, until, .. }) => Some((record, quota, *until)),
        _ => None,
    });
    for (record, quota, until) in blocks {
        let limited = |call: &&Call| {
            let within = call.begun > record.at + KNOWN_WITHIN && call.begun < until;
            within && call.was_limited() && quota_of(call) == quota
        };
        // Read from the history at most once a block, and for most blocks never.
        let forgotten = LazyCell::new(|| forgotten(evidence, record));
        let written = LazyCell::new(|| written(evidence, record));
        let early = evidence.calls.iter().filter(limited).filter(|call| {
            let told = call.node == record.node && call.begun < *forgotten;
            told || call.begun > *written + KNOWN_WITHIN
        });
        violations.extend(early.map(|call| Violation::Impatient {
            endpoint: call.endpoint.clone(),
            at: call.begun,
            until,
        }));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Neighbour;
    use crate::testing::{Builder, said};

    /// `count` calls at once, of which the last is answered 429.
    fn burst(count: u64) -> Builder {
        let mut builder = Builder::new(1);
        for number in 1..=count {
            let status = if number == count { 429 } else { 200 };
            let key = format!("ORD-{number}/1");
            builder = builder
                .call(0, number, "RegBook", &key, 0, 40, "not-processed", Some(status))
                .carrier_request("RegBook", 20, Some(status), None);
        }
        builder
    }

    #[test]
    fn a_window_filled_by_own_calls_convicts() {
        assert_eq!(
            said(&check(&burst(11).evidence())),
            "carrier answered 429 to RegBook at 2026-11-21T10:00:00.020+09:00: \
             11 own calls in 1s, 10 allowed"
        );
    }

    #[test]
    fn a_429_that_nothing_explains_convicts_too() {
        let heard = said(&check(&burst(3).evidence()));
        assert!(heard.ends_with("and nobody else had called"), "{heard}");
    }

    #[test]
    fn a_429_made_by_a_fault_is_none_of_ours() {
        let faked =
            Builder::new(1).carrier_request("RegBook", 20, Some(429), Some(Kind::Status));
        assert_eq!(check(&faked.evidence()), Finding::default());
    }

    #[test]
    fn a_stranger_on_our_address_or_a_late_request_excuses_what_we_did_not_fill() {
        let neighbour = |plan: &mut crate::plan::Plan| {
            plan.neighbour = Some(Neighbour {
                from: Duration::ZERO,
                lasting: Duration::from_secs(30),
                calls_per_second: 20.0,
            });
        };
        assert_eq!(check(&burst(10).plan(neighbour).evidence()), Finding::default());
        assert_eq!(check(&burst(11).plan(neighbour).evidence()).violations.len(), 1);
        let late = burst(10).carrier_request("RegBook", 0, Some(200), Some(Kind::LateDelivery));
        assert_eq!(check(&late.evidence()), Finding::default());
        let elsewhere = burst(10).plan(|plan| {
            neighbour(plan);
            plan.neighbour.as_mut().unwrap().from = Duration::from_secs(60);
        });
        assert_eq!(check(&elsewhere.evidence()).violations.len(), 1, "they came later");
    }

    #[test]
    fn a_call_counts_until_one_window_after_its_end() {
        let at_the_edge = |limited_at: u64| {
            let mut builder = Builder::new(1).plan(|plan| {
                plan.neighbour = Some(Neighbour {
                    from: Duration::ZERO,
                    lasting: Duration::from_secs(30),
                    calls_per_second: 20.0,
                });
            });
            for number in 1..=11 {
                builder = builder.call(0, number, "RegBook", "k", 0, 40, "done", Some(200));
            }
            builder.carrier_request("ReqInvcNo", limited_at, Some(429), None)
        };
        assert_eq!(check(&at_the_edge(1_039).evidence()).violations.len(), 1);
        assert_eq!(check(&at_the_edge(1_040).evidence()), Finding::default());
    }

    #[test]
    fn a_ban_by_own_violations_convicts_and_one_by_a_fault_does_not() {
        let own = burst(11).carrier_violation(11, 20).carrier_ban(20, 300_020);
        let heard = said(&check(&own.evidence()));
        assert!(heard.contains("banned us from 2026-11-21T10:00:00.020"), "{heard}");
        let by_fault = Builder::new(1)
            .carrier_request("RegBook", 20, Some(403), Some(Kind::Ban))
            .carrier_ban(20, 300_020);
        assert_eq!(check(&by_fault.evidence()), Finding::default());
        let by_nothing = Builder::new(1).carrier_ban(20, 300_020);
        assert_eq!(check(&by_nothing.evidence()).violations.len(), 1);
    }

    #[test]
    fn a_ban_brought_on_by_a_neighbour_is_excused() {
        let theirs = burst(10).carrier_violation(10, 20).carrier_ban(20, 300_020);
        let theirs = theirs.plan(|plan| {
            plan.neighbour = Some(Neighbour {
                from: Duration::ZERO,
                lasting: Duration::from_secs(30),
                calls_per_second: 20.0,
            });
        });
        assert_eq!(check(&theirs.evidence()), Finding::default());
    }

    #[test]
    fn calling_while_told_to_wait_convicts() {
        let told = |begun: u64| {
            Builder::new(1)
                .blocked("carrier", 1_000, 30_000)
                .call(0, 7, "RegBook", "ORD-1/1", begun, begun + 50, "not-processed", Some(429))
        };
        let heard = said(&check(&told(5_000).evidence()));
        assert!(heard.starts_with("RegBook was called at 2026-11-21T10:00:05.000"), "{heard}");
        assert_eq!(check(&told(30_000).evidence()), Finding::default());
        assert_eq!(check(&told(1_500).evidence()), Finding::default(), "not known yet");
    }

    #[test]
    fn a_node_that_was_not_told_knows_of_a_pause_only_when_the_database_does() {
        let told = || Builder::new(1).blocked("carrier", 1_000, 30_000);
        let by = |builder: Builder, node: u32| {
            let call = "not-processed";
            let builder = builder.call(node, 7, "RegBook", "ORD-1/1", 5_000, 5_050, call, Some(429));
            check(&builder.evidence()).violations.len()
        };
        let slow = |builder: Builder| {
            let slow = faults::Fault::new(Kind::Slow);
            builder.plan(|plan| plan.faults.push(slow)).fired(Site::Store, 0, 1_000)
        };
        assert_eq!(by(told(), 1), 1, "nothing hindered the write");
        assert_eq!(by(slow(told()), 1), 0, "not written yet");
        assert_eq!(by(slow(told()), 0), 1, "the node that was told knows");
        assert_eq!(by(slow(told()).crash(0, 2_000), 0), 0, "unless it died over it");
        assert_eq!(by(told().crash(0, 2_000), 0), 1, "and nothing hindered the write");
        assert_eq!(by(told().crash(0, 1_005), 0), 0, "unless it died at once");
        let in_time = told().tx(0, 3, "block-quota", 1_002, 1_003).crash(0, 1_005);
        assert_eq!(by(in_time, 0), 1, "and it had written before");
        let written = slow(told()).tx(0, 3, "block-quota", 2_000, 2_000);
        assert_eq!(by(written, 1), 1, "written in time");
        let stalled = || told().stall(0, 1_000, 3_000);
        assert_eq!(by(stalled(), 1), 0, "it was stalled before it could write");
        let awake = stalled().tx(0, 3, "block-quota", 3_000, 3_000);
        assert_eq!(by(awake, 1), 1, "and wrote when it woke up");
    }

    #[test]
    fn reports_may_be_polled_while_nothing_may_be_sent() {
        let told = |quota, endpoint| {
            let told = Builder::new(1).blocked(quota, 1_000, 30_000);
            told.call(0, 7, endpoint, "reports", 5_000, 5_050, "not-processed", Some(429))
        };
        assert_eq!(check(&told("messenger", "report/ack").evidence()), Finding::default());
        for (quota, endpoint) in [("messenger", "send/omni"), ("messenger-reports", "report/ack")] {
            assert_eq!(check(&told(quota, endpoint).evidence()).violations.len(), 1, "{quota}");
        }
    }

    #[test]
    fn the_gateway_s_limits_are_kept_as_well() {
        let mut polls = Builder::new(1);
        for number in 1..=6 {
            let status = if number == 6 { 429 } else { 200 };
            polls = polls
                .call(0, number, "report/polling", "", 0, 40, "done", Some(status))
                .messenger_request("report/polling", 20, status);
        }
        let heard = said(&check(&polls.evidence()));
        assert!(heard.ends_with("6 own calls in 1s, 5 allowed"), "{heard}");
    }
}
