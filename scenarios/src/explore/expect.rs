//! What must come of a plan: a pure function of it, so that it can be asked again when a plan was
//! made smaller.

use std::time::Duration;

use faults::{Fault, Kind};
use oms_core::order::{NAME_BYTES_MAX, carrier_bytes};

use crate::plan::{Expect, OrderOverride, Plan};

/// The counts that `plan` must come to. Which promises fall, what must be reached, how much slower
/// healthy orders may be and how long a turn is left as it stands there.
pub fn expect(plan: &Plan) -> Expect {
    let mut expect = Expect {
        violated: plan.expect.violated.clone(),
        must_reach: plan.expect.must_reach.clone(),
        slowdown_max: plan.expect.slowdown_max,
        turn_max: plan.expect.turn_max,
        ..Expect::default()
    };
    for index in 1..=plan.workload.orders {
        match end_of(plan, index) {
            End::Completed => expect.completed += 1,
            End::Rejected => expect.rejected += 1,
            End::DeliveryFailed => expect.delivery_failed += 1,
            End::NotifyFailed => expect.notify_failed += 1,
            End::Attention => expect.attention += 1,
            End::Refused => expect.refused += 1,
            End::Undecided { may_park } => {
                expect.undecided += 1;
                expect.may_park += u64::from(may_park);
            }
        }
    }
    expect
}

/// How an order ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Completed,
    Rejected,
    DeliveryFailed,
    NotifyFailed,
    Attention,
    /// It is not taken in.
    Refused,
    /// A race decides: a cancellation against a message or a courier; or an operator does.
    Undecided {
        may_park: bool,
    },
}

fn end_of(plan: &Plan, index: u32) -> End {
    let plain = OrderOverride::default();
    let order = plan.workload.overridden(index).unwrap_or(&plain);
    let begins = |prefixes: &[String]| {
        let postcode = order.postcode.as_deref();
        postcode.is_some_and(|postcode| prefixes.iter().any(|prefix| postcode.starts_with(prefix)))
    };
    if order.name.as_deref().is_some_and(|name| carrier_bytes(name) > NAME_BYTES_MAX) {
        return End::Refused;
    }
    if begins(&plan.oms.shop.refused_postcodes) {
        return End::Rejected;
    }
    let parcels = plan.workload.parcels_of(index);
    let scanned = plan.scans.iter().any(|scan| scan.order == index);
    let booking = |parcel| lasting(plan, "RegBook", &parcel_key(plan, index, parcel));
    let fates: Vec<Lasting> = (1..=parcels).filter_map(booking).collect();
    let refused = fates.contains(&Lasting::Refused) || begins(&plan.carrier.refuse_zip);
    let lost = fates.contains(&Lasting::Lost);
    let no_cancel = |parcel| lasting(plan, "CnclBook", &parcel_key(plan, index, parcel)).is_some();
    // Whoever picks up one parcel of a bundle that is to be undone leaves it to a person.
    let torn = parcels > 1 && scanned;
    if plan.operations.iter().any(|operation| operation.order == index) {
        return End::Undecided { may_park: true };
    }
    if order.cancel_after.is_some() || (refused && (torn || lost)) {
        return End::Undecided { may_park: torn || lost || (1..=parcels).any(no_cancel) };
    }
    if refused {
        return End::DeliveryFailed;
    }
    if lost {
        return End::Attention;
    }
    match lasting(plan, "send/omni", &format!("{}:shipped", plan.workload.id(index))) {
        Some(_) => End::NotifyFailed,
        None => End::Completed,
    }
}

fn parcel_key(plan: &Plan, index: u32, parcel: u32) -> String {
    format!("{}-{parcel}", plan.workload.id(index))
}

/// What a fault does to every call of one key, for as long as the run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    /// It is refused.
    Refused,
    /// It takes no effect, and its caller cannot know.
    Lost,
}

fn lasting(plan: &Plan, endpoint: &str, key: &str) -> Option<Lasting> {
    let named = |fault: &&Fault| {
        fault.endpoint.as_deref() == Some(endpoint) && fault.key.as_deref() == Some(key)
    };
    let fault = plan.faults.iter().filter(named).find(|fault| lasts(plan, fault))?;
    match fault.kind {
        Kind::Refuse => Some(Lasting::Refused),
        Kind::ResetBefore => Some(Lasting::Lost),
        _ => None,
    }
}

/// Whether a fault goes on from the first call to the end.
pub(super) fn lasts(plan: &Plan, fault: &Fault) -> bool {
    plan.heal_after.is_none()
        && fault.from.is_none_or(|from| from == Duration::ZERO)
        && fault.until.is_none()
        && fault.attempt.is_none()
        && fault.nth.is_none()
        && fault.rate.is_none_or(|rate| rate >= 1.0)
        && fault.times.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Scan;

    /// What one order, of two parcels, comes to.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Plan, &mut OrderOverride), expected: Expect) {
        let mut plan = Plan::healthy("p", 1);
        plan.workload.parcels = 2;
        let mut order = OrderOverride { index: 1, ..OrderOverride::default() };
        change(&mut plan, &mut order);
        plan.workload.order = vec![order];
        assert_eq!(expect(&plan), expected);
    }

    fn lasting(endpoint: &str, key: &str, kind: Kind) -> Fault {
        let [endpoint, key] = [endpoint, key].map(|text| Some(text.to_owned()));
        Fault { endpoint, key, ..Fault::new(kind) }
    }

    const NONE: fn() -> Expect = Expect::default;

    #[test]
    fn data_decides_before_any_fault_does() {
        check(|_, _| {}, Expect { completed: 1, ..NONE() });
        let long = "가".repeat(NAME_BYTES_MAX);
        check(|_, order| order.name = Some(long), Expect { refused: 1, ..NONE() });
        let unserved = |plan: &mut Plan, order: &mut OrderOverride| {
            order.postcode = Some("63000".to_owned());
            plan.oms.shop.refused_postcodes = vec!["63".to_owned()];
        };
        check(unserved, Expect { rejected: 1, ..NONE() });
        let undelivered = |plan: &mut Plan, order: &mut OrderOverride| {
            order.postcode = Some("63000".to_owned());
            plan.carrier.refuse_zip = vec!["63000".to_owned()];
        };
        check(undelivered, Expect { delivery_failed: 1, ..NONE() });
    }

    #[test]
    fn a_fault_decides_only_when_it_lasts() {
        let refused = lasting("RegBook", "ORD-1-2", Kind::Refuse);
        let fault = refused.clone();
        check(|plan, _| plan.faults = vec![fault], Expect { delivery_failed: 1, ..NONE() });
        let lost = lasting("RegBook", "ORD-1-1", Kind::ResetBefore);
        check(|plan, _| plan.faults = vec![lost], Expect { attention: 1, ..NONE() });
        let untold = lasting("send/omni", "ORD-1:shipped", Kind::ResetBefore);
        check(|plan, _| plan.faults = vec![untold], Expect { notify_failed: 1, ..NONE() });
        let once = Fault { times: Some(1), ..refused.clone() };
        check(|plan, _| plan.faults = vec![once], Expect { completed: 1, ..NONE() });
        let healed = |plan: &mut Plan, _: &mut OrderOverride| {
            (plan.faults, plan.heal_after) = (vec![refused], Some(Duration::from_secs(9)));
        };
        check(healed, Expect { completed: 1, ..NONE() });
    }

    #[test]
    fn a_race_decides_where_an_order_is_called_back_or_torn() {
        let called_back = |order: &mut OrderOverride| order.cancel_after = Some(Duration::ZERO);
        check(|_, order| called_back(order), Expect { undecided: 1, ..NONE() });
        let scan = || {
            let (at, state) = (Duration::ZERO, fake_cj::tracking::ParcelState::PickedUp);
            Scan { order: 1, parcel: 1, at, state }
        };
        let torn = |plan: &mut Plan, order: &mut OrderOverride| {
            called_back(order);
            plan.scans = vec![scan()];
        };
        check(torn, Expect { undecided: 1, may_park: 1, ..NONE() });
        let unheard = |plan: &mut Plan, order: &mut OrderOverride| {
            called_back(order);
            plan.faults = vec![lasting("CnclBook", "ORD-1-1", Kind::ResetBefore)];
        };
        check(unheard, Expect { undecided: 1, may_park: 1, ..NONE() });
        check(|plan, _| plan.scans = vec![scan()], Expect { completed: 1, ..NONE() });
    }
}
