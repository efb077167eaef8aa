//! Nothing is ever waited for until it is on the disk.

use oms_core::store::sqlite::Synchronous;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "synchronous-off",
    family: Family::Durability,
    why: "`synchronous = OFF`, set for a large import and never set back",
    breaks: "no-lost-order",
    seen_in: &["power-cut"],
    store: |options| options.synchronous = Synchronous::Off,
    ..Sabotage::NONE
};
