//! Faults of the database.

use std::time::Duration;

use faults::{Fault, Kind};

use crate::explore::dice::Dice;

const KINDS: &[Kind] = &[
    Kind::Busy,
    Kind::CommitUnknown,
    Kind::CommitUnknown,
    Kind::CommitFails,
    Kind::Disconnect,
    Kind::Slow,
];

/// The use cases that the service itself has, the settling ones more often.
const OPERATIONS: &[&str] = &[
    "settle-parcel",
    "settle-parcel",
    "settle-notice",
    "claim-parcels",
    "claim-notices",
    "ingest",
    "ingest",
    "ingest",
    "take-permits",
    "block-quota",
    "record-reports",
    "awaits-reports",
    "operate",
];

pub(super) fn draw(dice: Dice) -> Option<Fault> {
    let fault = of_kind(dice.pick("kind", KINDS), dice);
    let endpoint = (!dice.chance("any", 0.3)).then(|| dice.pick("op", OPERATIONS).to_owned());
    let fault = Fault { endpoint, ..fault };
    Some(match dice.chance("nth", 0.4) {
        true => Fault { nth: Some(dice.between("which", 1, 8)), ..fault },
        false => Fault { rate: Some(dice.magnitude("rate", 0.02, 0.5)), ..fault },
    })
}

/// Every kind, without triggers.
pub(super) fn all() -> Vec<Fault> {
    let mut kinds = KINDS.to_vec();
    kinds.dedup();
    let by = |kind| (kind == Kind::Slow).then_some(Duration::from_secs(1));
    let of = |kind| Fault { on: Some("store".to_owned()), by: by(kind), ..Fault::new(kind) };
    kinds.into_iter().map(of).collect()
}

fn of_kind(kind: Kind, dice: Dice) -> Fault {
    let by = dice.length("by", Duration::from_millis(20), Duration::from_secs(15));
    let by = (kind == Kind::Slow).then_some(by);
    Fault { on: Some("store".to_owned()), by, ..Fault::new(kind) }
}
