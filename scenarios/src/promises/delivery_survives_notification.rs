//! A failed, slow or refused notification never undoes or delays the record of a booking that the
//! carrier accepted.
//!
//! Once the carrier's answer has reached a node that lives, the parcel must be recorded as booked
//! within [`RECORDED_WITHIN`], and stay so unless it is called back. Crashes, stalls, faults of the
//! store, lost leases and further calls to the carrier excuse a delay: no notification is to blame
//! then. Nor is one where the answer was that the carrier has the parcel already: who takes that for
//! a failure breaks `books-agree`.
//!
//! Where another service books, what it heard has not reached us before its event does; one that is
//! late or lost on its way is no notification's doing either.
//!
//! Live at a factor a record that came late is a doubt and no violation, unless a message of its order
//! was under way: it may have been the machine that stalled.

use std::time::Duration;

use clockwork::Timestamp;
use oms_core::env::Event;
use oms_core::state::{By, ParcelState};
use oms_core::store::{ParcelKey, Transition};
use serde::Serialize;

use super::{Finding, was_live};
use crate::evidence::{Call, Evidence};
use crate::history::{Step, What};
use crate::sim::latency::Latencies;

/// A booking must be recorded so soon after its reply. One transaction takes milliseconds; any
/// call to the gateway that times out takes seconds.
pub const RECORDED_WITHIN: Duration = Duration::from_secs(1);

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// The record came late.
    #[error("{parcel}: the carrier's yes came at {replied_at}, its record only at {recorded_at}")]
    RecordedLate {
        /// The parcel.
        parcel: String,
        /// When the carrier's answer had come.
        replied_at: Timestamp,
        /// When it was recorded.
        recorded_at: Timestamp,
    },
    /// The record never came.
    #[error("{parcel}: the carrier's yes came at {replied_at} and was never recorded")]
    NeverRecorded {
        /// The parcel.
        parcel: String,
        /// When the carrier's answer had come.
        replied_at: Timestamp,
    },
    /// The record was undone, and nobody called the order back.
    #[error("{parcel}: the record of its booking was undone at {at}: it became {to}")]
    Undone {
        /// The parcel.
        parcel: String,
        /// When.
        at: Timestamp,
        /// What it became.
        to: String,
    },
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let booking = |call: &&Call| call.endpoint == "RegBook" && call.was_told_yes();
    let late = evidence.calls.iter().filter(booking).filter_map(|call| late(evidence, call));
    let (doubtful, late): (Vec<_>, Vec<_>) =
        late.partition(|late| evidence.clock_factor > 1.0 && perhaps_the_machine(evidence, late));
    let parcels = evidence.rows.transitions.iter().filter(|step| step.entity == "parcel");
    let undone = parcels.filter_map(|step| undone(evidence, step));
    let doubts = doubtful.iter().map(|late| format!("{late}; the service, or this machine"));
    Finding { doubts: doubts.collect(), ..late.into_iter().chain(undone).collect() }
}

/// Whether a record came late while no message of its order was under way. Live at a factor a disk that
/// stalls for two seconds stalls for forty of the drill's: who was late then cannot be told.
fn perhaps_the_machine(evidence: &Evidence, late: &Violation) -> bool {
    let Violation::RecordedLate { parcel, replied_at, recorded_at } = late else { return false };
    let Some((order, _)) = parcel.rsplit_once('/') else { return false };
    let of_it = |key: &str| key.strip_prefix(order).is_some_and(|rest| rest.starts_with(':'));
    let told = |call: &&Call| call.api != "carrier" && of_it(&call.key);
    let meanwhile = |call: &Call| call.begun >= *replied_at && call.begun < *recorded_at;
    !evidence.calls.iter().filter(told).any(meanwhile)
}

fn late(evidence: &Evidence, call: &Call) -> Option<Violation> {
    let replied_at = call.end.as_ref()?.at;
    let parcel = evidence.parcel_of(&call.key)?;
    if !evidence.bookings_of(&parcel).any(|booking| was_live(booking, replied_at)) {
        return None;
    }
    let key = parcel.to_string();
    let before = evidence.steps_of(&key).take_while(|step| step.at < replied_at).last();
    let booked = ParcelState::Booked.as_str();
    if before.is_some_and(|step| step.to == booked) {
        return None;
    }
    let mut steps = evidence.steps_of(&key);
    let recorded = steps.find(|step| step.to == booked && step.at >= call.begun);
    // Live, a drill second is as short as its factor makes it; the disk does not know.
    let within = RECORDED_WITHIN.mul_f64(evidence.clock_factor.max(1.0));
    // A transaction that was held open writes its own moment, and commits at another.
    let recorded_at = recorded.map(|step| step.at.max(committed_at(evidence, call, &key)));
    if recorded_at.is_some_and(|at| at <= replied_at + within) {
        return None;
    }
    let until = recorded_at.unwrap_or(evidence.ended_at);
    if was_left_to_another_service(evidence, &parcel)
        && !was_told_in_vain(evidence, &parcel, replied_at - evidence.ahead(call.node), recorded_at)
    {
        return None;
    }
    let disturbed = evidence.was_disturbed(call.node, replied_at, until);
    let elsewhere = called_the_carrier_alone(evidence, call, replied_at, until);
    if disturbed || elsewhere || lost_its_lease(evidence, &key, replied_at, until) {
        return None;
    }
    Some(match recorded_at {
        Some(recorded_at) => Violation::RecordedLate { parcel: key, replied_at, recorded_at },
        None => Violation::NeverRecorded { parcel: key, replied_at },
    })
}

fn was_left_to_another_service(evidence: &Evidence, parcel: &ParcelKey) -> bool {
    evidence.queue.as_ref().is_some_and(|queue| queue.left_to_another_service(&parcel.order))
}

/// Whether such a service's event that says yes was handed out to us after the reply, and the record
/// came too late after the last one, or never. Whichever node took it, nothing befell any. The
/// broker's clock is right, and a node's may be ahead.
fn was_told_in_vain(
    evidence: &Evidence,
    parcel: &ParcelKey,
    replied_at: Timestamp,
    recorded_at: Option<Timestamp>,
) -> bool {
    let until = recorded_at.unwrap_or(evidence.ended_at);
    let told = evidence.queue.iter().flat_map(|queue| queue.told_booked(&parcel.order, parcel.number));
    let Some(told) = told.filter(|at| (replied_at..=until).contains(at)).max() else {
        return false;
    };
    let world = &evidence.plan.world;
    let ahead = (0..world.nodes).map(|node| evidence.ahead(Some(node))).max().unwrap_or_default();
    let in_time = told + Latencies::of(world).longest() + RECORDED_WITHIN + ahead;
    let disturbed = (0..world.nodes).any(|node| evidence.was_disturbed(Some(node), told, until));
    recorded_at.is_none_or(|at| at > in_time) && !disturbed
}

/// When the task that heard the reply next committed anything but permits; the epoch if never, or if
/// that was refused as another's by then: it is no record of the parcel.
fn committed_at(evidence: &Evidence, call: &Call, parcel: &str) -> Timestamp {
    let heard = call.end.as_ref().map_or(evidence.records.len(), |end| end.place);
    let mut of_node = evidence.records[heard..].iter().filter(|record| record.node == call.node);
    let committed = of_node.find(|record| match &record.what {
        What::Oms(Event::TxEnd { task, op, committed: true }) => {
            let permit = matches!(op.as_str(), "take-permits" | "block-quota");
            *task == call.task && !permit
        }
        _ => false,
    });
    let Some(committed) = committed else { return Timestamp::EPOCH };
    let next = of_node.find_map(|record| match &record.what {
        What::Oms(Event::Fenced { what }) if what == parcel => Some(Timestamp::EPOCH),
        What::Oms(Event::TxBegin { task, .. }) if *task == call.task => Some(committed.at),
        _ => None,
    });
    next.unwrap_or(committed.at)
}

/// Whether the task that heard the reply went on with calls to the carrier, and with no other: then
/// they are what its record waited for.
fn called_the_carrier_alone(
    evidence: &Evidence,
    booking: &Call,
    from: Timestamp,
    until: Timestamp,
) -> bool {
    let of_it = |call: &&Call| (call.node, call.task) == (booking.node, booking.task);
    let calls = evidence.calls.iter().filter(of_it);
    let mut calls = calls.filter(|call| call.begun >= from && call.begun < until).peekable();
    calls.peek().is_some() && calls.all(|call| call.api == "carrier")
}

/// Whether somebody else had taken the parcel over when the reply came.
fn lost_its_lease(evidence: &Evidence, key: &str, from: Timestamp, until: Timestamp) -> bool {
    evidence.records.iter().any(|record| match &record.what {
        What::Oms(Event::Fenced { what }) => what == key && (from..=until).contains(&record.at),
        _ => false,
    })
}

fn undone(evidence: &Evidence, step: &Transition) -> Option<Violation> {
    if step.from.as_deref() != Some(ParcelState::Booked.as_str()) {
        return None;
    }
    let called_back = step.to == ParcelState::Cancelling.as_str()
        && (step.by == By::Operator || has_cause(evidence, step));
    (!called_back).then(|| Violation::Undone {
        parcel: step.key.clone(),
        at: step.at,
        to: step.to.clone(),
    })
}

/// Whether the order was called back before, or another of its parcels had been lost.
fn has_cause(evidence: &Evidence, step: &Transition) -> bool {
    let Some(ParcelKey { order, .. }) = evidence.parcel_of(&step.key) else { return false };
    let asked = evidence.records.iter().any(|record| match &record.what {
        What::Drill(Step::CancelAsked { order: asked }) => *asked == order,
        _ => false,
    });
    let earlier = evidence.rows.transitions.iter().take_while(|other| other.id < step.id);
    asked || earlier.into_iter().any(|other| breaks_bundle(evidence, other, &order))
}

fn breaks_bundle(evidence: &Evidence, step: &Transition, order: &str) -> bool {
    match step.entity.as_str() {
        "order" => step.key == order && step.to == "cancelling" && step.by == By::Operator,
        "parcel" => {
            let lost = matches!(step.to.as_str(), "refused" | "cancelled");
            lost && evidence.parcel_of(&step.key).is_some_and(|parcel| parcel.order == order)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{DELIVERY_ANSWERED, ORDER_ACCEPTED};
    use crate::testing::{Builder, said};

    /// One order whose booking was answered at 1000 ms and recorded at `recorded`.
    fn recorded_at(recorded: Option<u64>) -> Builder {
        let builder = Builder::new(1)
            .booking("ORD-1-1", "650000000011", 990)
            .call(0, 7, "RegBook", "ORD-1/1", 980, 1_000, "done", Some(200))
            .walk("parcel", "ORD-1/1", &[("planned", 0), ("intended", 970)]);
        match recorded {
            Some(at) => builder.walk("parcel", "ORD-1/1", &[("booked", at)]),
            None => builder,
        }
    }

    #[test]
    fn a_record_within_a_second_is_in_time_and_one_after_it_is_not() {
        assert_eq!(check(&recorded_at(Some(2_000)).evidence()), Finding::default());
        let late = said(&check(&recorded_at(Some(2_001)).evidence()));
        assert!(late.contains("its record only at 2026-11-21T10:00:02.001"), "{late}");
        let never = said(&check(&recorded_at(None).evidence()));
        assert!(never.ends_with("was never recorded"), "{never}");
    }

    #[test]
    fn a_transaction_held_open_is_late_whatever_moment_it_writes() {
        let held = recorded_at(Some(1_000)).tx(0, 7, "settle-parcel", 1_000, 9_000);
        let late = said(&check(&held.evidence()));
        assert!(late.contains("its record only at 2026-11-21T10:00:09.000"), "{late}");
    }

    #[test]
    fn what_was_refused_as_another_s_is_no_late_record() {
        // Another node took the parcel over and recorded it in time; then it is fenced off.
        let told = || recorded_at(Some(1_500)).tx(0, 7, "settle-parcel", 8_900, 9_000);
        assert_eq!(check(&told().fenced("ORD-1/1", 9_032).evidence()), Finding::default());
        assert_eq!(check(&told().evidence()).violations.len(), 1);
        assert_eq!(check(&told().fenced("ORD-1/2", 9_032).evidence()).violations.len(), 1);
        let later = told().tx(0, 7, "settle-parcel", 9_010, 9_020).fenced("ORD-1/1", 9_032);
        assert_eq!(check(&later.evidence()).violations.len(), 1, "it was refused only then");
    }

    #[test]
    fn a_crash_a_stall_a_busy_store_or_a_lost_lease_excuse_a_delay() {
        let late = || recorded_at(Some(60_000));
        assert_eq!(check(&late().crash(0, 1_001).evidence()), Finding::default());
        assert_eq!(check(&late().stall(0, 900, 40_000).evidence()), Finding::default());
        assert_eq!(check(&late().store_fault(1_500).evidence()), Finding::default());
        assert_eq!(check(&late().fenced("ORD-1/1", 1_500).evidence()), Finding::default());
        assert_ne!(check(&late().crash(1, 1_001).evidence()), Finding::default(), "another node");
        assert_ne!(check(&late().crash(0, 970).evidence()), Finding::default(), "before it");
    }

    #[test]
    fn a_stopped_process_may_hold_the_database_s_lock_and_only_live() {
        let late = || recorded_at(Some(60_000)).stall(1, 500, 59_000);
        assert_eq!(check(&late().evidence()).violations.len(), 1, "simulated, it holds nothing");
        let mut live = late().evidence();
        live.mode = crate::history::Mode::Live;
        assert_eq!(check(&live), Finding::default());
    }

    #[test]
    fn a_crash_excuses_a_delay_also_where_the_clock_is_wrong() {
        let ahead = faults::Fault {
            by: Some(Duration::from_secs(9)),
            ..faults::Fault::new(faults::Kind::ClockSkew)
        };
        let ahead = |plan: &mut crate::plan::Plan| plan.faults = vec![ahead.clone()];
        // By the right clock it died at 500 ms, by its own nine seconds later.
        let late = || recorded_at(Some(60_000)).crash(0, 500);
        assert_eq!(check(&late().plan(ahead).evidence()), Finding::default());
        assert_eq!(check(&late().evidence()).violations.len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_excuses_a_delay() {
        let set_at = |from: u64, node: u32| {
            let (by, from) = (Some(Duration::from_secs(50)), Some(Duration::from_millis(from)));
            let node = Some(node);
            let jump =
                faults::Fault { by, from, node, ..faults::Fault::new(faults::Kind::ClockSkew) };
            let plan = |plan: &mut crate::plan::Plan| plan.faults = vec![jump];
            check(&recorded_at(Some(60_000)).plan(plan).evidence()).violations.len()
        };
        assert_eq!(set_at(500, 0), 0);
        assert_eq!(set_at(500, 1), 1, "another's");
        assert_eq!(set_at(61_000, 0), 1, "later");
    }

    #[test]
    fn faults_of_the_store_that_were_only_counted_excuse_a_delay() {
        let busy = faults::Fault::new(faults::Kind::Busy);
        let counted = |times| {
            recorded_at(Some(60_000)).plan(|plan| plan.faults = vec![busy.clone()]).counted(times)
        };
        assert_eq!(check(&counted(0).evidence()).violations.len(), 1);
        assert_eq!(check(&counted(1).evidence()), Finding::default());
    }

    #[test]
    fn live_the_second_is_one_of_real_time() {
        let late = || recorded_at(Some(15_000));
        assert_eq!(check(&late().evidence()).violations.len(), 1);
        assert_eq!(check(&late().live(20.0).evidence()), Finding::default());
    }

    #[test]
    fn live_at_a_factor_a_late_record_is_the_machine_s_unless_a_message_was_under_way() {
        let late = || recorded_at(Some(60_000));
        let found = check(&late().live(20.0).evidence());
        assert_eq!((found.violations.len(), found.doubts.len()), (0, 1));
        assert_eq!(check(&late().live(1.0).evidence()).violations.len(), 1);
        let told = |key| late().call(0, 7, "send/omni", key, 1_001, 8_000, "unknown", None);
        let found = check(&told("ORD-1:shipped").live(20.0).evidence());
        assert_eq!((found.violations.len(), found.doubts.len()), (1, 0));
        assert_eq!(check(&told("ORD-11:shipped").live(20.0).evidence()).violations.len(), 0);
        let never = check(&recorded_at(None).live(20.0).evidence());
        assert_eq!((never.violations.len(), never.doubts.len()), (1, 0));
    }

    #[test]
    fn another_call_to_the_carrier_excuses_a_delay_and_one_to_the_gateway_does_not() {
        let then = |endpoint, key| {
            recorded_at(Some(9_000)).call(0, 7, endpoint, key, 1_001, 8_000, "unknown", None)
        };
        assert_eq!(check(&then("RegBook", "ORD-1/2").evidence()), Finding::default());
        assert_eq!(check(&then("send/omni", "ORD-1:shipped").evidence()).violations.len(), 1);
        let told = |at| {
            let key = "ORD-1:shipped";
            then("RegBook", "ORD-1/2").call(0, 7, "send/omni", key, at, at + 50, "done", Some(200))
        };
        assert_eq!(check(&told(9_000).evidence()), Finding::default(), "once it is recorded");
        assert_eq!(check(&told(8_900).evidence()).violations.len(), 1);
    }

    #[test]
    fn where_another_service_books_its_event_is_waited_for_and_from_then_on_there_is_a_second() {
        // The carrier's yes came at 1 s, the record at a minute.
        let left = || recorded_at(Some(60_000)).kept(ORDER_ACCEPTED, "ORD-1", 500);
        let told = |at| left().kept(DELIVERY_ANSWERED, "ORD-1#1:1", at);
        assert_eq!(check(&left().evidence()), Finding::default(), "its event was lost");
        assert_eq!(check(&told(59_000).evidence()), Finding::default());
        assert_eq!(check(&told(58_000).evidence()).violations.len(), 1);
        let crashed = told(58_000).crash(1, 58_001).plan(|plan| plan.world.nodes = 2);
        assert_eq!(check(&crashed.evidence()), Finding::default(), "whichever node it was");
        let refused = left().kept(DELIVERY_ANSWERED, "ORD-1#2:", 2_000);
        assert_eq!(check(&refused.evidence()), Finding::default(), "another's answer");
    }

    #[test]
    fn that_the_carrier_had_it_already_is_no_yes_that_a_notification_could_undo() {
        let again = Builder::new(1)
            .booking("ORD-1-1", "650000000011", 990)
            .call(0, 7, "RegBook", "ORD-1/1", 1_980, 2_000, "duplicate", Some(200));
        assert_eq!(check(&again.evidence()), Finding::default());
    }

    #[test]
    fn an_answer_that_was_false_needs_no_record() {
        let evidence = Builder::new(1)
            .call(0, 7, "RegBook", "ORD-1/1", 980, 1_000, "done", Some(200))
            .evidence();
        assert_eq!(check(&evidence), Finding::default());
    }

    #[test]
    fn a_record_that_is_undone_convicts() {
        let undone = Builder::clean(1).walk("parcel", "ORD-1/1", &[("planned", 5_000)]);
        let said = said(&check(&undone.evidence()));
        assert!(said.ends_with("undone at 2026-11-21T10:00:05.000+09:00: it became planned"));
    }

    #[test]
    fn a_booking_is_called_back_only_for_a_cause() {
        let called_back = || Builder::clean(1).walk("parcel", "ORD-1/1", &[("cancelling", 5_000)]);
        assert_eq!(check(&called_back().evidence()).violations.len(), 1, "by nobody");
        assert_eq!(check(&called_back().cancel_asked("ORD-1", 4_000).evidence()).violations, []);
        let sibling = Builder::clean(1)
            .walk("parcel", "ORD-1/2", &[("planned", 0), ("intended", 1), ("refused", 4_000)])
            .parcels("ORD-1", 2)
            .walk("parcel", "ORD-1/1", &[("cancelling", 5_000)]);
        assert_eq!(check(&sibling.evidence()).violations, []);
    }
}
