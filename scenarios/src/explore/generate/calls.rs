//! Faults on calls and connections.

use std::time::Duration;

use faults::{Fault, Kind};

use super::Draft;
use crate::explore::dice::Dice;
use crate::plan::Workload;

/// The carrier's operations that the service uses; the more often one stands here, the more often
/// it is hit.
const CARRIER: &[&str] = &[
    "RegBook",
    "RegBook",
    "RegBook",
    "RegBook",
    "ReqInvcNo",
    "ReqOneGdsTrc",
    "CnclBook",
    "ReqOneDayToken",
];
const MESSENGER: &[&str] = &["send/omni", "send/omni", "send/omni", "report/polling", "report/ack"];

/// What goes wrong, as often as it stands here.
const KINDS: &[Kind] = &[
    Kind::ResetBefore,
    Kind::ResetBefore,
    Kind::ResetAfter,
    Kind::ResetAfter,
    Kind::DelayBefore,
    Kind::DelayAfter,
    Kind::DelayAfter,
    Kind::LateDelivery,
    Kind::LateDelivery,
    Kind::Status,
    Kind::Status,
    Kind::Malformed,
    Kind::Truncated,
    Kind::Empty,
    Kind::SlowBody,
    Kind::Oversized,
    Kind::AuthExpired,
    Kind::Maintenance,
    Kind::Ban,
    Kind::ConnectRefused,
    Kind::ConnectTimeout,
];

/// A body that no client reads to its end: the service's limit is 1 MiB.
const TOO_LARGE_BYTES: u64 = (1 << 20) + 1;

pub(super) fn at_carrier(draft: &Draft, dice: Dice) -> Option<Fault> {
    at("carrier", CARRIER, draft, dice)
}

pub(super) fn at_messenger(draft: &Draft, dice: Dice) -> Option<Fault> {
    at("messenger", MESSENGER, draft, dice)
}

/// Every kind at either API, without triggers.
pub(super) fn all(draft: &Draft) -> Vec<Fault> {
    let mut kinds = KINDS.to_vec();
    kinds.dedup();
    let both = ["carrier", "messenger"].into_iter().flat_map(|on| {
        let dice = draft.dice.fork("all", on);
        kinds
            .iter()
            .filter_map(move |kind| of_kind(*kind, on, draft, dice.fork("kind", kind.name())))
    });
    both.collect()
}

fn at(on: &str, endpoints: &[&str], draft: &Draft, dice: Dice) -> Option<Fault> {
    let fault = of_kind(dice.pick("kind", KINDS), on, draft, dice)?;
    if matches!(fault.kind, Kind::ConnectRefused | Kind::ConnectTimeout) {
        return Some(by_chance(fault, draft, dice));
    }
    let endpoint = dice.pick("endpoint", endpoints);
    let anywhere = dice.chance("anywhere", 0.15);
    let fault = Fault { endpoint: (!anywhere).then(|| endpoint.to_owned()), ..fault };
    Some(match dice.between("trigger", 0, 99) {
        0..25 => Fault { nth: Some(dice.between("nth", 1, 12)), ..fault },
        25..40 => {
            let key = key(endpoint, &draft.plan.workload, dice);
            let times = Some(dice.between("times", 1, 3));
            Fault { endpoint: Some(endpoint.to_owned()), key, times, ..fault }
        }
        40..50 => {
            let attempt = Some(dice.count("attempt", 1, 2));
            Fault { attempt, rate: Some(dice.magnitude("rate", 0.05, 1.0)), ..fault }
        }
        _ => by_chance(fault, draft, dice),
    })
}

/// By a rate, for the whole chaos or for a part of it.
fn by_chance(fault: Fault, draft: &Draft, dice: Dice) -> Fault {
    let rate = Some(dice.magnitude("rate", 0.005, 0.6));
    if dice.chance("window", 0.7) {
        return Fault { rate, ..fault };
    }
    let from = draft.chaos.mul_f64(dice.magnitude("from", 0.005, 0.5));
    let from = Duration::from_secs(from.as_secs());
    let length = dice.length("length", Duration::from_secs(1), Duration::from_secs(40));
    let rate = dice.chance("all", 0.4).then_some(1.0).or(rate);
    Fault { from: Some(from), until: Some(from + length), rate, ..fault }
}

/// The key of some order's calls; token, number and report calls have none.
fn key(endpoint: &str, workload: &Workload, dice: Dice) -> Option<String> {
    let id = workload.id(dice.count("order", 1, workload.orders));
    match endpoint {
        "RegBook" | "CnclBook" => Some(format!("{id}-1")),
        "send/omni" => Some(format!("{id}:shipped")),
        _ => None,
    }
}

/// A fault of `kind` with its parameters; `None` when the powers forbid it.
pub(super) fn of_kind(kind: Kind, on: &str, draft: &Draft, dice: Dice) -> Option<Fault> {
    let fault = Fault { on: Some(on.to_owned()), ..Fault::new(kind) };
    let processed = Some(dice.chance("processed", 0.5));
    Some(match kind {
        Kind::LateDelivery if !draft.powers.late_delivery => return None,
        Kind::LateDelivery => {
            let by = dice.length("late-by", Duration::from_secs(1), draft.late_max);
            Fault { by: Some(by), ..fault }
        }
        Kind::DelayBefore | Kind::DelayAfter => Fault { by: Some(delay(draft, dice)), ..fault },
        // Of what was not processed it would be the API's own refusal that comes slowly.
        Kind::SlowBody => Fault { by: Some(delay(draft, dice)), processed: Some(true), ..fault },
        Kind::Malformed | Kind::Truncated | Kind::Empty => Fault { processed, ..fault },
        Kind::Oversized => Fault { bytes: Some(TOO_LARGE_BYTES), processed, ..fault },
        Kind::Status => status(fault, dice),
        Kind::Ban => {
            let by = dice.length("ban", Duration::from_secs(2), Duration::from_secs(60));
            // Whoever is banned all the time never gets anything done.
            Fault { by: Some(by), times: Some(dice.between("bans", 1, 2)), ..fault }
        }
        _ => fault,
    })
}

/// What is answered 429 was not processed: a peer that says so and acts all the same deceives any
/// client.
fn status(fault: Fault, dice: Dice) -> Fault {
    let status = dice.pick("status", &[307, 429, 429, 500, 502, 503, 503, 504]);
    let processed = status != 429 && dice.chance("processed", 0.5);
    let waits = matches!(status, 429 | 503) && dice.chance("told", 0.6);
    let told = ["2s", "20s", "date:10s", "nonsense"];
    let retry_after = waits.then(|| dice.pick("retry-after", &told).to_owned());
    Fault { status: Some(status), processed: Some(processed), retry_after, ..fault }
}

/// From what nobody notices to what outlasts every time-out, if that is allowed.
fn delay(draft: &Draft, dice: Dice) -> Duration {
    let read_timeout = draft.plan.oms.carrier.calls.read_timeout;
    let longest = match draft.powers.late_delivery {
        true => draft.late_max,
        false => read_timeout / 2,
    };
    dice.length("by", Duration::from_millis(50), longest)
}
