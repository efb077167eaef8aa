//! Every fault at every place, one at a time.
//!
//! Which parameters, and why:
//! - Delays are measured against what they can miss. A caller waits 5 s for the next byte and 10 s
//!   in all; a lease lasts 8 s, and is renewed by whoever lives. So [`WITHIN`] is noticed by nobody, [`BEYOND`] by the caller alone,
//!   and [`LATE`] comes when a lease is over and the call was repeated. Nothing is later than what
//!   the service is told to reckon with (`lateness_max`, 10 minutes).
//! - A fault that answers is tried with the call processed and not. Answers that lie are left out,
//!   for no client can survive them: a refusal of what was done (`refuse`, and a slow body that is
//!   read to its end, with nothing processed, is such a refusal too: it is tried where it is true).
//! - `Retry-After` is tried on the two statuses that carry it, in all ways of writing it.
//! - A node that falls because of a call is each node in turn: the caller, and another.

use std::time::Duration;

use faults::{Fault, Kind, Target, When};

use super::places::{CallPlace, CommitPlace, MessagePlace, Places};
use super::{Family, Single, power};
use crate::plan::Site;

/// Noticed by nobody: all time-outs are longer.
const WITHIN: Duration = Duration::from_secs(2);
/// Longer than the caller waits for a byte (5 s), shorter than it waits in all (10 s).
const BEYOND: Duration = Duration::from_secs(8);
/// Longer than a lease, and than the first repetitions of a call.
const LATE: Duration = Duration::from_secs(90);
/// A body in pieces that come in time, and are not all there when the call must end (10 s).
const TRICKLE: Duration = Duration::from_secs(15);
/// How long a node stands still, or a store is slow: longer than a lease.
const STALL: Duration = Duration::from_secs(40);

/// Every fault at every place.
pub(super) fn all(places: &Places) -> Vec<Single> {
    let nodes = places.points.len();
    let calls = places.calls.iter().flat_map(|call| at_call(call, nodes));
    let commits = places.commits.iter().flat_map(at_commit);
    let points = |family, kind: fn() -> Fault| {
        let nodes = places.points.iter().zip(0..);
        nodes.flat_map(move |(points, node)| {
            (1..=*points).map(move |point| Single {
                family,
                fault: Fault { node: Some(node), point: Some(point), ..kind() },
                refuses: None,
            })
        })
    };
    let crashes = points(Family::Crash, || Fault::new(Kind::Crash));
    let stalls = points(Family::Stall, || Fault { by: Some(STALL), ..Fault::new(Kind::Stall) });
    let cuts = (1..=places.disk_operations).map(|operation| Single {
        family: Family::PowerCut,
        fault: power::cut_at(operation),
        refuses: None,
    });
    let messages = places.messages.iter().flat_map(at_message);
    calls.chain(commits).chain(messages).chain(crashes).chain(stalls).chain(cuts).collect()
}

/// Every fault that fits one call.
fn at_call(call: &CallPlace, nodes: usize) -> Vec<Single> {
    let mut singles = Vec::new();
    for &kind in Kind::ALL {
        let of_kind = match kind.target() {
            Target::Call => variants(kind),
            Target::Connection => vec![Fault::new(kind)],
            Target::Node => falls(kind, nodes),
            Target::Store | Target::Queue | Target::Server => Vec::new(),
        };
        singles.extend(of_kind.into_iter().map(|fault| addressed(fault, call)));
    }
    singles
}

/// The fault, so that it hits exactly this call.
fn addressed(fault: Fault, call: &CallPlace) -> Single {
    let on = Some(call.site.as_str().to_owned());
    if fault.kind.target() == Target::Connection {
        let fault = Fault { on, nth: Some(call.connection), ..fault };
        return Single { family: Family::Call, fault, refuses: None };
    }
    let endpoint = Some(call.endpoint.clone());
    let fault = Fault { on, endpoint, nth: Some(call.nth), ..fault };
    let refused = matches!(call.endpoint.as_str(), "RegBook" | "send/omni");
    let refuses = (refused && refuses(&fault)).then_some(call.site);
    Single { family: Family::Call, fault, refuses }
}

/// Whether the caller reads a refusal, which is final.
fn refuses(fault: &Fault) -> bool {
    let unprocessed = fault.processed != Some(true);
    match fault.kind {
        Kind::Refuse => true,
        Kind::SlowBody => unprocessed && fault.by < Some(BEYOND.min(TRICKLE)),
        _ => false,
    }
}

/// A fault on a call with all its parameters.
fn variants(kind: Kind) -> Vec<Fault> {
    let plain = || Fault::new(kind);
    let by = |by: Duration| Fault { by: Some(by), ..plain() };
    let both = |fault: Fault| {
        [true, false].map(|processed| Fault { processed: Some(processed), ..fault.clone() })
    };
    match kind {
        Kind::DelayBefore | Kind::LateDelivery => [WITHIN, BEYOND, LATE].map(by).to_vec(),
        // The effect is there at once: later than beyond is no different.
        Kind::DelayAfter => [WITHIN, BEYOND].map(by).to_vec(),
        Kind::SlowBody => [WITHIN, TRICKLE].into_iter().flat_map(|long| both(by(long))).collect(),
        Kind::Status => statuses().into_iter().flat_map(both).collect(),
        Kind::Refuse | Kind::ResetBefore | Kind::ResetAfter => vec![plain()],
        _ => both(plain()).to_vec(),
    }
}

fn statuses() -> Vec<Fault> {
    let status = |status| Fault { status: Some(status), ..Fault::new(Kind::Status) };
    let mut all: Vec<Fault> = [307, 429, 500, 502, 503, 504].map(status).to_vec();
    for code in [429, 503] {
        for after in ["30s", "date:30s", "nonsense"] {
            all.push(Fault { retry_after: Some(after.to_owned()), ..status(code) });
        }
    }
    all
}

/// A node that falls as the call is processed: each node, before and after.
fn falls(kind: Kind, nodes: usize) -> Vec<Fault> {
    let by = match kind {
        Kind::Crash => None,
        Kind::Stall => Some(STALL),
        // A clock that is wrong is wrong all the time, and not at a call.
        _ => return Vec::new(),
    };
    let fall = |node, when| Fault { node: Some(node), when: Some(when), by, ..Fault::new(kind) };
    let nodes = 0..u32::try_from(nodes).unwrap_or(u32::MAX);
    nodes.flat_map(|node| [fall(node, When::Before), fall(node, When::After)]).collect()
}

/// Every fault of the store at one of its operations.
fn at_commit(commit: &CommitPlace) -> Vec<Single> {
    // A power cut hits the disk, and has a place of its own.
    let of_store = |kind: &&Kind| kind.target() == Target::Store && **kind != Kind::PowerCut;
    let stores = Kind::ALL.iter().filter(of_store);
    let single = |kind: &Kind| {
        let by = (*kind == Kind::Slow).then_some(STALL);
        let endpoint = Some(commit.operation.to_owned());
        let on = Some(Site::Store.as_str().to_owned());
        let fault = Fault { on, endpoint, nth: Some(commit.nth), by, ..Fault::new(*kind) };
        Single { family: Family::Commit, fault, refuses: None }
    };
    stores.map(single).collect()
}

/// Every fault of the queue at one of its operations.
fn at_message(place: &MessagePlace) -> Vec<Single> {
    let here = |kind: &&Kind| {
        kind.target() == Target::Queue
            && kind.endpoint().is_none_or(|operation| operation == place.operation)
    };
    let single = |fault: Fault| {
        let endpoint = fault.kind.endpoint().is_none().then(|| place.operation.to_owned());
        let on = Some(Site::Queue.as_str().to_owned());
        let fault = Fault { on, endpoint, nth: Some(place.nth), ..fault };
        Single { family: Family::Queue, fault, refuses: None }
    };
    Kind::ALL.iter().filter(here).flat_map(|kind| of_queue(*kind)).map(single).collect()
}

/// A fault of the queue with all its parameters. What is held back or comes once more does so before
/// its consumer gives up its first delivery, and after.
fn of_queue(kind: Kind) -> Vec<Fault> {
    let plain = || Fault::new(kind);
    let times = [WITHIN, STALL].map(|by| Fault { by: Some(by), ..plain() });
    let both = |fault: &Fault| {
        [true, false].map(|processed| Fault { processed: Some(processed), ..fault.clone() })
    };
    match kind {
        Kind::PublishUnknown => both(&plain()).to_vec(),
        Kind::BrokerRestart => times.iter().flat_map(both).collect(),
        Kind::Redeliver | Kind::Reorder => times.to_vec(),
        _ => vec![plain()],
    }
}
