//! What a set of runs must come through together: the "sometimes" properties of the explorer.
//!
//! A net that never meets a ban has not shown that bans do no harm. So the states of [`reach`] are
//! counted over all runs; a set of runs that is large enough and missed one proves less than it
//! says, and is inconclusive.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use oms_core::state::{By, NoticeState, OrderState, ParcelState};

use crate::reach;

/// From so many runs on every state must have been reached. The rarest is reached in one run of 140
/// (59 of 8,000, measured): that 2,000 runs all miss one of the ten rarest has a chance of less
/// than one in 100,000.
pub const RUNS_ENOUGH: u64 = 2_000;

/// States that generated plans do not reach, and why that is none of their business.
pub const OUT_OF_SCOPE: &[(&str, &str)] = &[
    ("notice:unknown-queued", "the service never proves that a message was not sent"),
    ("notice:unknown-withdrawn", "an order whose message may be under way is not called back"),
];

/// Faults of a queue, which the recommended flow does not have.
const QUEUE_FAULTS: &[&str] = &[
    "fault:publish-unknown",
    "fault:redeliver",
    "fault:reorder",
    "fault:ack-lost",
    "fault:broker-restart",
];

/// Faults of a whole server, which have drills of their own.
const SERVER_FAULTS: &[&str] =
    &["fault:database-restart", "fault:connections-ended", "fault:disk-full", "fault:api-restart"];

/// Edges that only a person walks: generated plans have no operator.
const ONLY_BY_HAND: &str = "only a person does this, and generated plans have none";

/// The states that generated plans reach, in the order in which [`reach`] names them.
pub fn wanted() -> &'static [&'static str] {
    static WANTED: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let crash = |name: &&str| name.starts_with("crash-");
        let named = reach::names().filter(|name| !crash(name));
        named.filter(|name| why_not(name).is_none()).collect()
    });
    &WANTED
}

/// Why generated plans do not reach the state of this name; `None` when they do.
pub fn why_not(name: &str) -> Option<&'static str> {
    if QUEUE_FAULTS.contains(&name) {
        return Some("only where the strategy has a queue");
    }
    if SERVER_FAULTS.contains(&name) {
        return Some("what it does to a use case or a call, other faults do too");
    }
    if let Some((_, why)) = OUT_OF_SCOPE.iter().find(|(state, _)| *state == name) {
        return Some(why);
    }
    is_by_hand(name).then_some(ONLY_BY_HAND)
}

/// Whether `name` is an edge that the core does not walk by itself.
fn is_by_hand(name: &str) -> bool {
    let Some((entity, edge)) = name.split_once(':') else { return false };
    let by_core: BTreeSet<String> = match entity {
        "order" => edges(OrderState::ALL, OrderState::may_become),
        "parcel" => edges(ParcelState::ALL, ParcelState::may_become),
        "notice" => edges(NoticeState::ALL, NoticeState::may_become),
        _ => return false,
    };
    !by_core.contains(edge)
}

fn edges<S: Copy + std::fmt::Display>(
    states: &[S],
    may_become: fn(S, S, By) -> bool,
) -> BTreeSet<String> {
    let pairs = states.iter().flat_map(|from| states.iter().map(move |to| (*from, *to)));
    let walked = pairs.filter(|(from, to)| may_become(*from, *to, By::Core));
    walked.map(|(from, to)| format!("{from}-{to}")).collect()
}

/// The wanted states that are not in `reached`.
pub fn missing<'a>(reached: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'static str> + 'a {
    wanted().iter().copied().filter(move |name| !reached(name))
}

#[cfg(test)]
mod tests {
    use faults::{Kind, Target};

    use super::*;

    #[test]
    fn every_fault_every_name_and_every_edge_of_the_core_is_wanted() {
        let wanted: BTreeSet<&str> = wanted().iter().copied().collect();
        for kind in Kind::ALL {
            let drawn = !matches!(kind.target(), Target::Queue | Target::Server);
            assert_eq!(wanted.contains(reach::fault(*kind).as_str()), drawn, "{kind}");
        }
        for (name, _) in reach::NAMES {
            assert!(wanted.contains(name) || why_not(name).is_some(), "{name}");
        }
        assert!(wanted.contains("order:cancelling-shipped"));
        assert!(!wanted.contains("order:attention-accepted"));
        assert_eq!(why_not("order:attention-accepted"), Some(ONLY_BY_HAND));
    }

    #[test]
    fn what_is_out_of_scope_exists_and_has_a_reason() {
        for (name, why) in OUT_OF_SCOPE {
            assert!(reach::knows(name) && !why.is_empty(), "{name}");
        }
    }
}
