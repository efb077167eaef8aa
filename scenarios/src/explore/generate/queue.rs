//! Faults of a message broker, for strategies that have one.

use std::time::Duration;

use faults::{Fault, Kind};

use crate::explore::dice::Dice;

const KINDS: &[Kind] = &[
    Kind::PublishUnknown,
    Kind::PublishUnknown,
    Kind::Redeliver,
    Kind::Redeliver,
    Kind::Reorder,
    Kind::AckLost,
    Kind::AckLost,
    Kind::BrokerRestart,
];

/// None in a third of all runs: what they do shows against these.
pub(super) fn draw(dice: Dice) -> Vec<Fault> {
    let places = 0..dice.pick("how-many", &[0, 1, 1, 1, 2, 3]);
    places.map(|place| of_kind(dice.fork("fault", place))).collect()
}

fn of_kind(dice: Dice) -> Fault {
    let kind = dice.pick("kind", KINDS);
    let processed = match kind {
        Kind::PublishUnknown | Kind::BrokerRestart => Some(dice.chance("processed", 0.5)),
        _ => None,
    };
    let takes_time = matches!(kind, Kind::Redeliver | Kind::Reorder | Kind::BrokerRestart);
    let by = dice.length("by", Duration::from_millis(50), Duration::from_secs(60));
    let fault = Fault {
        on: Some("queue".to_owned()),
        processed,
        by: takes_time.then_some(by),
        ..Fault::new(kind)
    };
    match dice.chance("nth", 0.5) {
        true => Fault { nth: Some(dice.between("which", 1, 6)), ..fault },
        false => Fault { rate: Some(dice.magnitude("rate", 0.05, 0.8)), ..fault },
    }
}
