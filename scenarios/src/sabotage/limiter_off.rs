//! Calls are made without a permit.

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "limiter-off",
    family: Family::LimiterWindows,
    why: "no limiter: \"we never send that many\", until the first sale",
    breaks: "quota-kept",
    seen_in: &["burst-of-300"],
    settings: |config| config.carrier.calls.windows.clear(),
    ..Sabotage::NONE
};
