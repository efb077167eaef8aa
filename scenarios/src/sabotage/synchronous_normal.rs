//! A commit is answered before it is on the disk.

use oms_core::store::sqlite::Synchronous;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "synchronous-normal",
    family: Family::Durability,
    why: "`synchronous = NORMAL` with a WAL, as most guides to a fast SQLite advise: no power cut \
          corrupts it, they say, and do not say that it undoes commits",
    breaks: "no-lost-order",
    seen_in: &["power-cut"],
    store: |options| options.synchronous = Synchronous::Normal,
    ..Sabotage::NONE
};
