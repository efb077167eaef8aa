//! Only the shortest of the carrier's windows is kept.

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "second-window-only",
    family: Family::LimiterWindows,
    why: "the contract says ten a second and a hundred a minute; the limiter's constructor takes \
          one number, and ten a second was the first",
    breaks: "quota-kept",
    seen_in: &["burst-of-300"],
    settings: |config| config.carrier.calls.windows.truncate(1),
    ..Sabotage::NONE
};
