//! What a lost reply comes to at each of the three carriers: one that refuses a duplicate, one that
//! answers it as the first, one that books again.
//!
//! One order; its booking is made, and the reply does not arrive. Whoever relies on the carrier to
//! know a call again gets what that carrier is, and no more.

use std::time::Duration;

use fake_cj::config::Duplicates as Theirs;
use faults::{Fault, Kind};
use oms_core::config::Duplicates as Ours;
use oms_core::state::OrderState;
use scenarios::evidence::Evidence;
use scenarios::plan::Plan;
use scenarios::{promises, sim, strategies};

const CARRIERS: [(Theirs, Ours); 3] = [
    (Theirs::Reject, Ours::Reject),
    (Theirs::Replay, Ours::Replay),
    (Theirs::Accept, Ours::Accept),
];

fn plan(strategy: &str, (theirs, ours): (Theirs, Ours)) -> Plan {
    let mut plan = Plan::healthy("lost-reply", 1);
    plan.strategy = strategies::named(strategy).expect("a strategy").in_plans();
    (plan.carrier.duplicates, plan.oms.carrier.duplicates) = (theirs, ours);
    plan.world.patience = Duration::from_hours(1);
    plan.faults = vec![Fault {
        on: Some("carrier".to_owned()),
        endpoint: Some("RegBook".to_owned()),
        nth: Some(1),
        ..Fault::new(Kind::ResetAfter)
    }];
    plan
}

/// In a word or two.
fn came_to(strategy: &str, carrier: (Theirs, Ours)) -> &'static str {
    let plan = plan(strategy, carrier);
    let evidence = Evidence::from(sim::run(&sim::Run::of(&plan)).expect("a simulation that runs"));
    let live = evidence.carrier.bookings.iter().filter(|booking| booking.is_live()).count();
    let false_number = promises::named("no-false-notification").expect("a promise");
    let is_false = !(false_number.check)(&evidence).violations.is_empty();
    let state = evidence.row("ORD-1").map(|row| row.state);
    match (live, state, is_false) {
        (1, Some(OrderState::Completed), false) => "ships once",
        (1, Some(OrderState::Completed), true) => "tells a wrong number",
        (1, Some(OrderState::Accepted), false) => "never ends",
        (2, _, _) => "ships twice",
        other => panic!("{strategy} at {carrier:?}: {other:?}"),
    }
}

#[test]
fn a_carrier_that_is_trusted_to_know_a_call_again_decides_what_comes_of_it() {
    for (strategy, expected) in [
        // Refused as a duplicate for ever; the number of the first call was rolled back.
        ("idempotent-callee", ["never ends", "tells a wrong number", "ships twice"]),
        ("create-or-skip", ["tells a wrong number", "tells a wrong number", "ships twice"]),
        // Only one that says "registered already" can be told to delete it.
        ("create-or-replace", ["ships once", "tells a wrong number", "ships twice"]),
        // The request is written down: the same bytes, and the same number, each time.
        ("saga", ["ships once", "ships once", "ships twice"]),
        // One that books again is asked before anything is sent again.
        ("durable", ["ships once", "ships once", "ships once"]),
    ] {
        let came = CARRIERS.map(|carrier| came_to(strategy, carrier));
        assert_eq!(came, expected, "{strategy}: rejects, replays, books again");
    }
}
