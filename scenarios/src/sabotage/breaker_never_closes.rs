//! A breaker that has opened stays open.

use std::time::Duration;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "breaker-never-closes",
    family: Family::BreakerStuck,
    why: "the breaker waits for somebody to reset it by hand, \"so that we notice\"; after the \
          first outage at night nothing is sent until somebody does",
    breaks: "everything-settles",
    seen_in: &["carrier-down", "gateway-down"],
    settings: |config| {
        for calls in [&mut config.carrier.calls, &mut config.messenger.calls] {
            calls.breaker.open_for = Duration::from_secs(365 * 86_400);
        }
    },
    ..Sabotage::NONE
};
