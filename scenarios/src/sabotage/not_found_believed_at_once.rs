//! "Not found" is taken for "never booked" at once.

use std::time::Duration;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "not-found-believed-at-once",
    family: Family::ClockAndMidnight,
    why: "tracking says \"not found\", so it was not booked, so it is sent again: that the first \
          request may still be under way is a matter of minutes, and nobody waits for minutes",
    breaks: "no-double-shipment",
    seen_in: &["carrier-books-duplicates"],
    settings: |config| config.carrier.lateness_max = Duration::ZERO,
    ..Sabotage::NONE
};
