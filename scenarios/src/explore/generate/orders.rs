//! The orders: how many, when, and which are out of the ordinary.

use std::time::Duration;

use faults::{Fault, Kind};
use oms_core::order::NAME_BYTES_MAX;

use super::Draft;
use crate::explore::dice::Dice;
use crate::plan::{OrderOverride, Pattern, Scan};

/// The postcode that some shop or some carrier does not serve. No healthy order has it.
const UNSERVED: &str = "63000";

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// How many there are, and when.
pub(super) fn draw(draft: &mut Draft) {
    let dice = draft.dice.fork("orders", 0);
    let workload = &mut draft.plan.workload;
    workload.orders = match dice.between("size", 0, 99) {
        0..88 => dice.count("few", 1, 4),
        88..99 => dice.count("some", 5, 8),
        _ => dice.count("many", 12, 25),
    };
    workload.over = match dice.between("spread", 0, 3) {
        0 => Duration::ZERO,
        _ => dice.length("over", seconds(1), seconds(20)),
    };
    workload.pattern = dice.pick("pattern", &[Pattern::Even, Pattern::Random]);
}

/// Some of them are out of the ordinary.
pub(super) fn make_odd(draft: &mut Draft) {
    let dice = draft.dice.fork("orders", 0);
    if dice.chance("hot", 0.1) {
        draft.one_customer(dice);
    }
    for index in 1..=draft.plan.workload.orders.min(6) {
        draft.make_odd(index, dice.fork("order", index));
    }
}

impl Draft {
    fn orders(&self) -> u32 {
        self.plan.workload.orders
    }

    /// What is different about an order, to be changed.
    fn order(&mut self, index: u32) -> &mut OrderOverride {
        let orders = &mut self.plan.workload.order;
        let place = orders.iter().position(|order| order.index == index).unwrap_or_else(|| {
            orders.push(OrderOverride { index, ..OrderOverride::default() });
            orders.len() - 1
        });
        &mut orders[place]
    }

    /// Most orders are of one customer.
    fn one_customer(&mut self, dice: Dice) {
        for index in
            (1..=self.orders()).filter(|index| dice.fork("of-one", *index).chance("is", 0.8))
        {
            self.order(index).phone = Some("01077770001".to_owned());
        }
    }

    fn make_odd(&mut self, index: u32, dice: Dice) {
        if dice.chance("bundle", 0.12) {
            self.order(index).parcels = Some(dice.count("parcels", 2, 3));
        }
        match dice.between("odd", 0, 99) {
            0..8 => {
                let after = Duration::from_millis(dice.between("cancel-after", 1, 20_000));
                call_back(self, index, after, dice);
            }
            8..10 => {
                self.order(index).name = Some("가".repeat(NAME_BYTES_MAX));
            }
            10..12 => {
                self.plan.oms.shop.refused_postcodes = vec![UNSERVED.to_owned()];
                self.order(index).postcode = Some(UNSERVED.to_owned());
            }
            12..15 => {
                self.plan.carrier.refuse_zip = vec![UNSERVED.to_owned()];
                self.order(index).postcode = Some(UNSERVED.to_owned());
            }
            15..19 => self.doom(index, dice),
            _ => {}
        }
    }

    /// Nobody is told anything until an order was called back: who was told is not called back any
    /// more. The gateway is down, or the service cannot read what is to be told.
    fn tell_nobody(&mut self, cancel_after: Duration, dice: Dice) {
        let until = self.plan.workload.over + cancel_after + seconds(10);
        let (on, endpoint, kind) = match dice.chance("gateway", 0.7) {
            true => ("messenger", None, Kind::ConnectRefused),
            false => ("store", Some("claim-notices".to_owned()), Kind::Busy),
        };
        let deaf = Fault { on: Some(on.to_owned()), endpoint, ..Fault::new(kind) };
        self.plan.faults.push(Fault { until: Some(until), ..deaf });
    }

    fn doom(&mut self, index: u32, dice: Dice) {
        match dice.between("fate", 0, 9) {
            0..4 => refuse(self, index, dice),
            4..6 => refuse_message(self, index, dice),
            6 => lose_booking(self, index, dice),
            7 => lose_cancellation(self, index, dice),
            8 => self.fate("messenger", "send/omni", Kind::ResetBefore, index, dice),
            _ => hide_message(self, index, dice),
        }
    }

    /// A fault that lasts is the order's fate.
    fn fate(&mut self, on: &str, endpoint: &str, kind: Kind, index: u32, dice: Dice) {
        let id = self.plan.workload.id(index);
        let parcels = self.plan.workload.parcels_of(index);
        let key = match on {
            "carrier" => format!("{id}-{}", dice.count("which", 1, parcels)),
            _ => format!("{id}:shipped"),
        };
        if kind == Kind::ResetBefore {
            self.end_patience();
        }
        let (on, endpoint) = (Some(on.to_owned()), Some(endpoint.to_owned()));
        self.plan.faults.push(Fault { on, endpoint, key: Some(key), ..Fault::new(kind) });
    }

    /// The service gives up in time what is never answered: beyond all chaos, so that no other
    /// order is given up.
    fn end_patience(&mut self) {
        let carrier = &mut self.plan.oms.carrier;
        carrier.unknown_patience = self.chaos + carrier.lateness_max + seconds(8 * 60);
        // While this one is tried in vain, the breaker lets few others through: that is to end
        // before their patience does.
        self.plan.oms.carrier.rounds_max = 6;
        self.plan.oms.messenger.idempotency_ttl = self.chaos + seconds(10 * 60);
        // An API that answers no probe may have banned us: the service waits for up to twice as
        // long as a ban lasts before it tries once more.
        self.plan.carrier.ban_for = seconds(20);
        self.plan.oms.carrier.calls.ban_wait = seconds(20);
        // Bans by a fault, one after the other, must not outlast the gateway's memory of keys.
        self.plan.gateway.ban_for = seconds(20);
        self.plan.oms.messenger.calls.ban_wait = seconds(20);
        self.plan.world.patience = Duration::from_hours(5);
    }
}

/// The order is called back; perhaps a courier is faster.
pub(super) fn call_back(draft: &mut Draft, index: u32, after: Duration, dice: Dice) {
    draft.order(index).cancel_after = Some(after);
    if dice.chance("not-told", 0.7) {
        draft.tell_nobody(after, dice);
    }
    if dice.chance("picked-up", 0.4) {
        let parcels = draft.plan.workload.parcels_of(index);
        let parcel = dice.count("which", 1, parcels);
        let at = dice.length("at", seconds(1), seconds(30));
        let state = fake_cj::tracking::ParcelState::PickedUp;
        draft.plan.scans.push(Scan { order: index, parcel, at, state });
    }
}

/// The carrier refuses one of the order's parcels.
pub(super) fn refuse(draft: &mut Draft, index: u32, dice: Dice) {
    draft.fate("carrier", "RegBook", Kind::Refuse, index, dice);
}

/// The carrier never hears of one of the order's parcels.
pub(super) fn lose_booking(draft: &mut Draft, index: u32, dice: Dice) {
    draft.fate("carrier", "RegBook", Kind::ResetBefore, index, dice);
}

/// The order is called back, and the carrier never hears of it.
pub(super) fn lose_cancellation(draft: &mut Draft, index: u32, dice: Dice) {
    let after = seconds(dice.between("cancel", 5, 20));
    draft.order(index).cancel_after = Some(after);
    draft.tell_nobody(after, dice);
    draft.fate("carrier", "CnclBook", Kind::ResetBefore, index, dice);
}

/// The gateway refuses the order's message.
pub(super) fn refuse_message(draft: &mut Draft, index: u32, dice: Dice) {
    draft.fate("messenger", "send/omni", Kind::Refuse, index, dice);
}

/// The order's message is sent, and never answered: its report tells.
pub(super) fn hide_message(draft: &mut Draft, index: u32, dice: Dice) {
    draft.fate("messenger", "send/omni", Kind::ResetAfter, index, dice);
    draft.plan.oms.messenger.idempotency_ttl = draft.chaos + seconds(10 * 60);
    // Bans by other faults, one after the other, must not outlast the gateway's memory of keys.
    draft.plan.gateway.ban_for = seconds(20);
    draft.plan.oms.messenger.calls.ban_wait = seconds(20);
}
