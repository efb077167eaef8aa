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

pub(super) fn draw(draft: &mut Draft) {
    let dice = draft.dice.fork("orders", 0);
    let workload = &mut draft.plan.workload;
    workload.orders = match dice.between("size", 0, 99) {
        0..85 => dice.count("few", 1, 5),
        85..97 => dice.count("some", 6, 12),
        _ => dice.count("many", 15, 30),
    };
    workload.over = match dice.between("spread", 0, 3) {
        0 => Duration::ZERO,
        _ => dice.length("over", seconds(1), seconds(40)),
    };
    workload.pattern = dice.pick("pattern", &[Pattern::Even, Pattern::Random]);
    if !draft.powers.swarm {
        return;
    }
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
            0..8 => self.call_back(index, dice),
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

    /// The order is called back; perhaps a courier is faster.
    fn call_back(&mut self, index: u32, dice: Dice) {
        let after = dice.length("cancel-after", Duration::from_millis(1), seconds(60));
        self.order(index).cancel_after = Some(after);
        if dice.chance("not-told", 0.4) {
            self.silence_gateway(after);
        }
        if dice.chance("picked-up", 0.5) {
            let parcels = self.plan.workload.parcels_of(index);
            let parcel = dice.count("which", 1, parcels);
            let at = dice.length("at", seconds(1), seconds(60));
            let state = fake_cj::tracking::ParcelState::PickedUp;
            self.plan.scans.push(Scan { order: index, parcel, at, state });
        }
    }

    /// Nobody can be told anything until an order was called back: who was told is not called back
    /// any more.
    fn silence_gateway(&mut self, cancel_after: Duration) {
        let until = self.plan.workload.over + cancel_after + seconds(10);
        let on = Some("messenger".to_owned());
        let deaf = Fault { on, until: Some(until), ..Fault::new(Kind::ConnectRefused) };
        self.plan.faults.push(deaf);
    }

    /// A fault that lasts is the order's fate.
    fn doom(&mut self, index: u32, dice: Dice) {
        let id = self.plan.workload.id(index);
        let parcels = self.plan.workload.parcels_of(index);
        let parcel = format!("{id}-{}", dice.count("which", 1, parcels));
        let refused =
            [("carrier", "RegBook", Kind::Refuse), ("messenger", "send/omni", Kind::Refuse)];
        // It takes long until the service gives up, and virtual time is dear.
        let lost = [
            ("carrier", "RegBook", Kind::ResetBefore),
            ("carrier", "CnclBook", Kind::ResetBefore),
            ("messenger", "send/omni", Kind::ResetBefore),
            // Sent, and never answered: its report tells.
            ("messenger", "send/omni", Kind::ResetAfter),
        ];
        let fates: &[(&str, &str, Kind)] = if dice.chance("lost", 0.4) { &lost } else { &refused };
        let (on, endpoint, kind) = dice.pick("fate", fates);
        let key = if on == "carrier" { parcel } else { format!("{id}:shipped") };
        if endpoint == "CnclBook" {
            let after = seconds(dice.between("cancel", 5, 40));
            self.order(index).cancel_after = Some(after);
            self.silence_gateway(after);
        }
        if kind == Kind::ResetBefore {
            // Beyond all chaos, so that no other order is given up.
            self.plan.oms.carrier.unknown_patience = self.chaos + seconds(10 * 60);
            self.plan.oms.messenger.idempotency_ttl = self.chaos + seconds(20 * 60);
            // An API that answers no probe may have banned us: the service waits for up to twice
            // as long as a ban lasts before it tries once more.
            self.plan.carrier.ban_for = seconds(20);
            self.plan.oms.carrier.calls.ban_wait = seconds(20);
            self.plan.world.patience = Duration::from_hours(5);
        }
        let (on, endpoint) = (Some(on.to_owned()), Some(endpoint.to_owned()));
        self.plan.faults.push(Fault { on, endpoint, key: Some(key), ..Fault::new(kind) });
    }
}
