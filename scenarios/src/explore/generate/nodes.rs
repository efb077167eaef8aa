//! Faults of whole nodes: they die, stand still, or have a wrong clock.

use std::time::Duration;

use faults::{Fault, Kind, When};

use super::Draft;
use crate::explore::dice::Dice;

/// The calls around which a node falls.
const CALLS: &[(&str, &str)] = &[
    ("carrier", "RegBook"),
    ("carrier", "RegBook"),
    ("carrier", "ReqInvcNo"),
    ("carrier", "CnclBook"),
    ("carrier", "ReqOneGdsTrc"),
    ("carrier", "ReqOneDayToken"),
    ("messenger", "send/omni"),
    ("messenger", "send/omni"),
    ("messenger", "report/polling"),
    ("messenger", "report/ack"),
];

/// The points at which a small run's nodes are still at work.
const POINTS: (f64, f64) = (1.0, 1_500.0);

pub(super) fn draw(draft: &Draft, dice: Dice) -> Option<Fault> {
    let node = Some(dice.count("node", 0, draft.plan.world.nodes - 1));
    let fault = match dice.between("kind", 0, 99) {
        0..82 => fall(draft, dice)?,
        82..90 => return power_cut(draft, dice),
        _ => skew(draft, dice)?,
    };
    let on = fault.on.clone().or_else(|| Some("node".to_owned()));
    Some(Fault { on, node, ..fault })
}

/// It dies, or stands still.
pub(super) fn fall(draft: &Draft, dice: Dice) -> Option<Fault> {
    let fault = if dice.chance("dies", 0.7) { crash(draft, dice)? } else { stall(draft, dice)? };
    let on = fault.on.clone().or_else(|| Some("node".to_owned()));
    Some(Fault { on, ..fault })
}

/// A crash by chance, of every node.
pub(super) fn all(draft: &Draft) -> Vec<Fault> {
    let by_points = draft.powers.crash && draft.powers.scheduling_points;
    let on_node = |node| {
        let on = Some("node".to_owned());
        Fault { on, node: Some(node), times: Some(3), ..Fault::new(Kind::Crash) }
    };
    (0..draft.plan.world.nodes).filter(|_| by_points).map(on_node).collect()
}

fn crash(draft: &Draft, dice: Dice) -> Option<Fault> {
    if !draft.powers.crash {
        return None;
    }
    let crash = Fault::new(Kind::Crash);
    Some(match dice.between("how", 0, 99) {
        0..50 if draft.powers.scheduling_points => Fault { point: Some(point(dice)), ..crash },
        50..60 if draft.powers.scheduling_points => Fault {
            rate: Some(dice.magnitude("rate", 0.001, 0.02)),
            times: Some(dice.between("times", 1, 4)),
            ..crash
        },
        _ => at_call(crash, dice),
    })
}

fn stall(draft: &Draft, dice: Dice) -> Option<Fault> {
    if !draft.powers.crash {
        return None;
    }
    let by = dice.length("by", Duration::from_secs(1), draft.late_max);
    let stall = Fault { by: Some(by), ..Fault::new(Kind::Stall) };
    Some(match dice.between("how", 0, 99) {
        0..40 if draft.powers.scheduling_points => Fault { point: Some(point(dice)), ..stall },
        40..60 => {
            let from = dice.length("from", Duration::from_millis(10), Duration::from_secs(40));
            Fault { from: Some(from), ..stall }
        }
        _ => at_call(stall, dice),
    })
}

/// The power of the machine with the database goes: at some operation of its disk, or just after
/// something was committed.
pub(super) fn power_cut(draft: &Draft, dice: Dice) -> Option<Fault> {
    const AFTER: &[&str] = &["ingest", "settle-parcel", "settle-parcel", "settle-notice"];
    let cut = Fault { on: Some("store".to_owned()), ..Fault::new(Kind::PowerCut) };
    let cut = match dice.chance("at-an-operation", 0.6) {
        true => Fault { point: Some(dice.magnitude("operation", 1.0, 600.0) as u64), ..cut },
        false => {
            let nth = Some(dice.between("nth", 1, 6));
            Fault { endpoint: Some(dice.pick("after", AFTER).to_owned()), nth, ..cut }
        }
    };
    draft.powers.crash.then_some(cut)
}

fn point(dice: Dice) -> u64 {
    dice.magnitude("point", POINTS.0, POINTS.1) as u64
}

fn at_call(fault: Fault, dice: Dice) -> Fault {
    let (on, endpoint) = dice.pick("call", CALLS);
    let when = match (fault.kind, dice.chance("before", 0.5)) {
        (Kind::Crash, true) => When::Before,
        _ => When::After,
    };
    let fault = Fault {
        on: Some(on.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        when: Some(when),
        ..fault
    };
    match dice.chance("nth", 0.6) {
        true => Fault { nth: Some(dice.between("which", 1, 6)), ..fault },
        false => {
            let times = Some(dice.between("times", 1, 3));
            Fault { rate: Some(dice.magnitude("rate", 0.05, 0.6)), times, ..fault }
        }
    }
}

/// Permits use each node's own clock, so that with clocks apart several nodes overdraw a quota
/// together, or ask for tokens too fast. That is known; a skew is drawn only for a node alone.
fn skew(draft: &Draft, dice: Dice) -> Option<Fault> {
    let by = dice.length("ahead", Duration::from_millis(100), Duration::from_secs(30));
    (draft.plan.world.nodes == 1).then(|| Fault { by: Some(by), ..Fault::new(Kind::ClockSkew) })
}
