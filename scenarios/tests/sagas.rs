//! What every saga must pass, whoever takes its steps: each step repeated, each step failing, each
//! compensation repeated; and a customer who calls the order back meanwhile.
//!
//! The saga is one order of three parcels and its message. Which calls it makes and what is written
//! of it is all that is looked at, so any strategy can be asked: the core's own flow, which is a
//! saga too, and the lab's, which is written as its text has it.

use std::time::Duration;

use fake_cj::tracking::ParcelState as ParcelScan;
use faults::{Fault, Kind, When};
use oms_core::state::{OrderState, ParcelState};
use oms_core::store::OrderView;
use scenarios::evidence::Evidence;
use scenarios::plan::{OrderOverride, Plan, Scan};
use scenarios::{promises, sim};

/// Every saga there is.
const SAGAS: &[&str] = &["durable", "saga"];

const PARCELS: [&str; 3] = ["ORD-1-1", "ORD-1-2", "ORD-1-3"];

/// A call on behalf of the order.
fn call(kind: Kind, (on, endpoint): (&str, &str), key: &str) -> Fault {
    Fault {
        on: Some(on.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        key: Some(key.to_owned()),
        ..Fault::new(kind)
    }
}

const BOOK: (&str, &str) = ("carrier", "RegBook");
const CANCEL: (&str, &str) = ("carrier", "CnclBook");
const TELL: (&str, &str) = ("messenger", "send/omni");

/// The process dies when the call has been processed, before it is told so: the call is made again.
fn repeated(endpoint: (&str, &str), key: &str) -> Fault {
    Fault { attempt: Some(1), when: Some(When::After), ..call(Kind::Crash, endpoint, key) }
}

/// One order of three parcels.
fn plan(saga: &str) -> Plan {
    let mut plan = Plan::healthy("saga", 1);
    plan.workload.parcels = 3;
    plan.strategy = (saga != "durable").then(|| saga.to_owned());
    plan.world.patience = Duration::from_hours(5);
    plan
}

fn played(plan: &Plan) -> Evidence {
    Evidence::from(sim::run(&sim::Run::of(plan)).expect("a simulation that runs"))
}

fn play(saga: &str, faults: Vec<Fault>) -> Evidence {
    played(&Plan { faults, ..plan(saga) })
}

fn order(evidence: &Evidence) -> &OrderView {
    evidence.row("ORD-1").expect("the order")
}

/// Whether the process died over the call, so that somebody had to take it up again: by the same
/// request, or by asking what became of it.
fn was_repeated(evidence: &Evidence) -> bool {
    evidence.faults.iter().all(|fault| fault.times == 1)
}

/// The parcels that the carrier holds, each as often as it does.
fn held(evidence: &Evidence) -> Vec<&str> {
    let live = evidence.carrier.bookings.iter().filter(|booking| booking.is_live());
    let mut held: Vec<&str> = live.map(|booking| booking.cust_use_no.as_str()).collect();
    held.sort_unstable();
    held
}

fn states(evidence: &Evidence) -> Vec<ParcelState> {
    order(evidence).parcels.iter().map(|parcel| parcel.state).collect()
}

#[test]
fn each_step_can_be_repeated() {
    for saga in SAGAS {
        let steps = PARCELS.map(|parcel| (BOOK, parcel)).into_iter();
        for (endpoint, key) in steps.chain([(TELL, "ORD-1:shipped")]) {
            let evidence = play(saga, vec![repeated(endpoint, key)]);
            assert!(was_repeated(&evidence), "{saga}: {key} was to be repeated");
            assert_eq!(held(&evidence), PARCELS, "{saga}: {key} repeated");
            assert_eq!(evidence.messenger.messages.len(), 1, "{saga}: {key} repeated");
            assert_eq!(order(&evidence).state, OrderState::Completed, "{saga}: {key} repeated");
        }
    }
}

#[test]
fn each_step_that_fails_unwinds_the_saga_and_it_was_that_step() {
    for saga in SAGAS {
        for (place, key) in PARCELS.into_iter().enumerate() {
            let evidence = play(saga, vec![call(Kind::Refuse, BOOK, key)]);
            assert_eq!(held(&evidence), [] as [&str; 0], "{saga}: {key} refused");
            let mut expected = [ParcelState::Cancelled; 3];
            expected[place] = ParcelState::Refused;
            assert_eq!(states(&evidence), expected, "{saga}: it was {key}");
            assert_eq!(order(&evidence).state, OrderState::DeliveryFailed, "{saga}: {key}");
            assert!(evidence.messenger.messages.is_empty(), "{saga}: nobody is told");
        }
        // The last step has nothing behind it, and what is before it stays.
        let evidence = play(saga, vec![call(Kind::Refuse, TELL, "ORD-1:shipped")]);
        assert_eq!(held(&evidence), PARCELS, "{saga}");
        assert_eq!(order(&evidence).state, OrderState::NotifyFailed, "{saga}");
    }
}

#[test]
fn each_compensation_can_be_repeated() {
    for saga in SAGAS {
        // The third is refused when the first two are booked.
        let (booked, refused) = PARCELS.split_at(2);
        for key in booked {
            let refuse = Fault { times: Some(1), ..call(Kind::Refuse, BOOK, refused[0]) };
            let evidence = play(saga, vec![refuse, repeated(CANCEL, key)]);
            assert!(was_repeated(&evidence), "{saga}: the cancellation of {key}");
            assert_eq!(held(&evidence), [] as [&str; 0], "{saga}: {key} repeated");
            let undone = [ParcelState::Cancelled, ParcelState::Cancelled, ParcelState::Refused];
            assert_eq!(states(&evidence), undone, "{saga}: {key} repeated");
            assert_eq!(order(&evidence).state, OrderState::DeliveryFailed, "{saga}: {key}");
        }
    }
}

#[test]
fn a_customer_who_calls_back_over_the_booking_or_the_pick_up_tears_no_bundle() {
    for saga in SAGAS {
        let moments = (0..8).map(|step| Duration::from_millis(step * 60));
        for (called_back, picked_up) in moments.flat_map(|at| [(at, false), (at, true)]) {
            let mut plan = plan(saga);
            plan.workload.order = vec![OrderOverride {
                index: 1,
                cancel_after: Some(called_back),
                ..OrderOverride::default()
            }];
            let scan = Scan { order: 1, parcel: 1, at: called_back, state: ParcelScan::PickedUp };
            plan.scans = picked_up.then_some(scan).into_iter().collect();
            let evidence = played(&plan);
            for promise in ["all-or-nothing", "books-agree", "no-false-notification"] {
                let promise = promises::named(promise).expect("a promise");
                let found = (promise.check)(&evidence).violations;
                assert!(found.is_empty(), "{saga}, called back at {called_back:?}: {found:?}");
            }
        }
    }
}
