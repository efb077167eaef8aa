//! Every order reaches the final state that the plan expects of it.
//!
//! The counts of the plan are exact: parking everything with the operator is no pass. What is not
//! at rest when the time is up is named, with where it hangs.
//!
//! What came later than the plan allows is a violation; live at a factor it is a doubt, for it may have
//! been the machine that stalled.

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Timestamp;
use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::OrderView;
use serde::Serialize;

use super::Finding;
use crate::evidence::{Evidence, Interrupted, Turns};
use crate::plan::Expect;

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// More or fewer orders ended so than the plan expects.
    #[error("{found} {}, the plan expects {expected}", ended(.state))]
    WrongCount {
        /// The state; `None` for orders that were not taken in.
        state: Option<OrderState>,
        /// How many the plan expects.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Orders were offered and never taken in.
    #[error("{orders} of the orders are neither in the database nor refused")]
    Missing {
        /// How many.
        orders: u64,
    },
    /// More or fewer members are kept than the plan expects.
    #[error("{found} members are kept, the plan expects {expected}")]
    WrongMembers {
        /// How many the plan expects.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// A welcome message is still under way.
    #[error("the welcome of {member} is stuck {state}")]
    StuckWelcome {
        /// The member.
        member: String,
        /// Where its message stands.
        state: NoticeState,
    },
    /// An order is still under way.
    #[error("{order} is stuck {state}: {hangs}")]
    Stuck {
        /// The order.
        order: String,
        /// Where it stands.
        state: OrderState,
        /// What it waits for.
        hangs: String,
    },
    /// A call came later than the quota made it wait.
    #[error("call {call} came {late:?} after the best schedule, its hundredth and one way, not {within:?}")]
    Late {
        /// Which call, from 1.
        call: usize,
        /// By how much it was late.
        #[serde(with = "humantime_serde")]
        late: Duration,
        /// The plan's bound.
        #[serde(with = "humantime_serde")]
        within: Duration,
    },
    /// A seller waited while another was served again and again.
    #[error("{parcel} waited while {begun} of another seller were begun, not {at_most}")]
    OutOfTurn {
        /// The parcel.
        parcel: String,
        /// How many parcels of one other seller were begun meanwhile.
        begun: usize,
        /// The plan's bound.
        at_most: u32,
    },
    /// What a process left behind lay for longer than the plan allows.
    #[error("{work} was left behind at {at} and {} within {within:?}", taken(.taken_at))]
    LeftTooLong {
        /// The parcel or notification.
        work: String,
        /// When its process died or was halted.
        at: Timestamp,
        /// When somebody took it over, if ever.
        taken_at: Option<Timestamp>,
        /// The plan's bound.
        #[serde(with = "humantime_serde")]
        within: Duration,
    },
    /// An order has ended, but one of its parcels has not.
    #[error("{order} is {state}, but {hangs}")]
    LooseEnd {
        /// The order.
        order: String,
        /// Where it stands.
        state: OrderState,
        /// What is still under way.
        hangs: String,
    },
}

fn ended(state: &Option<OrderState>) -> &'static str {
    state.map_or("not taken in", OrderState::as_str)
}

fn taken(taken_at: &Option<Timestamp>) -> String {
    match taken_at {
        Some(at) => format!("taken over at {at}, not"),
        None => "not taken over".to_owned(),
    }
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let mut violations: Vec<Violation> = wrong_counts(evidence).collect();
    let (expected, found) = (evidence.plan.expect.refused, evidence.refused().len() as u64);
    if expected != found {
        violations.push(Violation::WrongCount { state: None, expected, found });
    }
    violations.extend(missing(evidence));
    violations.extend(members(evidence));
    violations.extend(out_of_turn(evidence));
    violations.extend(evidence.rows.orders.iter().filter_map(loose));
    let too_late = left_too_long(evidence).into_iter().chain(late(evidence));
    // Live at a factor, a machine that stalls for a second stalls for twenty of the drill's: who was
    // late, the service or the machine, cannot be told.
    let never = |late: &Violation| matches!(late, Violation::LeftTooLong { taken_at: None, .. });
    let (doubtful, certain): (Vec<_>, Vec<_>) =
        too_late.partition(|late| evidence.clock_factor > 1.0 && !never(late));
    violations.extend(certain);
    let doubts = doubtful.iter().map(|late| format!("{late}; the service, or this machine"));
    let doubts = doubts.collect();
    Finding { doubts, ..violations.into_iter().collect() }
}

/// States in which more or fewer orders rest than the plan expects. What is undecided may be in any
/// final state, and with the operator as far as the plan says so.
fn wrong_counts(evidence: &Evidence) -> impl Iterator<Item = Violation> {
    let (expected, found) = (evidence.plan.expect.orders(), evidence.counts());
    let Expect { undecided, may_park, .. } = evidence.plan.expect;
    let count = |counts: &BTreeMap<OrderState, u64>, state| counts.get(&state).copied().unwrap_or(0);
    let beyond = |state| count(&found, state).saturating_sub(count(&expected, state));
    let resting = || OrderState::ALL.iter().copied().filter(|state| rests(*state));
    let crowded = resting().map(beyond).sum::<u64>() > undecided;
    let parked = beyond(OrderState::Attention) > may_park;
    let wrong = resting().filter(|state| {
        count(&found, *state) < count(&expected, *state)
            || (beyond(*state) > 0 && (crowded || (parked && *state == OrderState::Attention)))
    });
    let wrong = wrong.map(|state| Violation::WrongCount {
        state: Some(state),
        expected: count(&expected, state),
        found: count(&found, state),
    });
    wrong.collect::<Vec<_>>().into_iter()
}

/// Orders that are neither in the database nor refused, where no exact count shows it.
fn missing(evidence: &Evidence) -> Option<Violation> {
    let expect = &evidence.plan.expect;
    let known = (evidence.rows.orders.len() + evidence.refused().len()) as u64;
    let missing = expect.total().saturating_sub(known);
    (expect.undecided > 0 && missing > 0).then_some(Violation::Missing { orders: missing })
}

/// Members that are one too many or too few, and welcome messages that have come to no end. An
/// unknown one that was given up says why.
fn members(evidence: &Evidence) -> Vec<Violation> {
    use NoticeState::{Queued, Sending, Unknown};
    let kept = || evidence.rows.members.iter().filter(|row| row.is_registered());
    let (expected, found) = (evidence.plan.expect.members, kept().count() as u64);
    let wrong = (expected != found).then_some(Violation::WrongMembers { expected, found });
    let stuck = kept().flat_map(|row| row.notices.iter().map(move |notice| (row, notice)));
    let stuck = stuck.filter(|(_, notice)| match notice.state {
        Queued | Sending => true,
        Unknown => notice.reason.is_none(),
        _ => false,
    });
    let stuck = stuck.map(|(row, notice)| Violation::StuckWelcome {
        member: row.id.clone(),
        state: notice.state,
    });
    wrong.into_iter().chain(stuck).collect()
}

/// The call that came latest, where the plan says how late one may come.
fn late(evidence: &Evidence) -> Option<Violation> {
    // Live, a drill second is as short as its factor makes it; sockets and the disk do not know.
    let within = evidence.plan.expect.quota_late_max?.mul_f64(evidence.clock_factor.max(1.0));
    let used = evidence.quota_use()?;
    let late = Duration::from_millis(u64::try_from(used.latest_ms).unwrap_or_default());
    (late > within).then_some(Violation::Late { call: used.latest_call, late, within })
}

/// The parcel that waited longest for its seller's turn, where the plan says how long one may.
fn out_of_turn(evidence: &Evidence) -> Option<Violation> {
    let at_most = evidence.plan.expect.turn_max?;
    let Turns { most: begun, parcel, .. } = evidence.turns()?;
    let too_many = begun > usize::try_from(at_most).unwrap_or(usize::MAX);
    too_many.then_some(Violation::OutOfTurn { parcel, begun, at_most })
}

/// Work that nobody took over in time, where the plan says what time that is.
fn left_too_long(evidence: &Evidence) -> Vec<Violation> {
    let Some(within) = evidence.plan.expect.taken_over_within else { return Vec::new() };
    let late = evidence.interrupted().into_iter().filter(|work| {
        work.taken_at.is_none_or(|taken_at| taken_at > work.free_at + within)
    });
    let late = late.map(|Interrupted { key, at, taken_at, .. }| Violation::LeftTooLong {
        work: key,
        at,
        taken_at,
        within,
    });
    late.collect()
}

/// Nothing more is to be done by itself.
fn rests(state: OrderState) -> bool {
    state.is_final() || state == OrderState::Attention
}

fn loose(order: &OrderView) -> Option<Violation> {
    let (id, state) = (order.id.clone(), order.state);
    if !rests(state) {
        let hangs = hangs(order).unwrap_or_else(|| "nothing is left to be done".to_owned());
        return Some(Violation::Stuck { order: id, state, hangs });
    }
    // With the operator, parcels may be as open as they are.
    if state == OrderState::Attention {
        return None;
    }
    let hangs = hangs(order).filter(|_| order.parcels.iter().any(|row| is_open(row.state)))?;
    Some(Violation::LooseEnd { order: id, state, hangs })
}

fn is_open(state: ParcelState) -> bool {
    use ParcelState::*;
    matches!(state, Intended | Unknown | Cancelling)
}

/// What an order waits for, as a sentence.
fn hangs(order: &OrderView) -> Option<String> {
    let because = |reason: &Option<String>| match reason {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    };
    let parcels = order.parcels.iter().filter(|row| {
        is_open(row.state) || row.state == ParcelState::Planned
    });
    let parcels =
        parcels.map(|row| format!("parcel {} {}{}", row.number, row.state, because(&row.reason)));
    let notices = order.notices.iter().filter(|row| {
        use oms_core::state::NoticeState::{Queued, Sending, Unknown};
        matches!(row.state, Queued | Sending | Unknown)
    });
    let notices =
        notices.map(|row| format!("{} message {}{}", row.event, row.state, because(&row.reason)));
    let parts: Vec<String> = parcels.chain(notices).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oms_core::env::Event;

    use crate::plan::OrderOverride;
    use crate::testing::{Builder, said};

    #[test]
    fn members_are_counted_and_a_welcome_comes_to_an_end() {
        let two = || Builder::new(0).signed_up("MEM-1", 10).signed_up("MEM-2", 20);
        let expecting = |members| two().plan(|plan| plan.expect.members = members).evidence();
        assert_eq!(check(&expecting(2)), Finding::default());
        assert_eq!(said(&check(&expecting(3))), "2 members are kept, the plan expects 3");
        let stuck = two().plan(|plan| plan.expect.members = 2);
        let stuck = stuck.member("MEM-2", |row| row.notices[0].state = NoticeState::Queued);
        assert_eq!(said(&check(&stuck.evidence())), "the welcome of MEM-2 is stuck queued");
    }

    #[test]
    fn counts_are_exact_in_both_directions() {
        let parked = Builder::clean(3).order("ORD-3", "attention");
        assert_eq!(
            said(&check(&parked.evidence())),
            "2 completed, the plan expects 3\n1 attention, the plan expects 0"
        );
        let missing = Builder::clean(3).lose("ORD-2");
        assert_eq!(
            said(&check(&missing.evidence())),
            "2 completed, the plan expects 3"
        );
    }

    #[test]
    fn what_was_left_behind_is_taken_over_in_time() {
        let left = |taken: Option<u64>| {
            let died = Builder::clean(1)
                .plan(|plan| plan.expect.taken_over_within = Some(Duration::from_secs(10)))
                .call_begins(0, 8, "RegBook", "ORD-1/1", 400)
                .crash(0, 500);
            let what = ("ORD-1/1".to_owned(), "intended".to_owned());
            let event = Event::LeaseTaken { what: what.0, state: what.1 };
            match taken {
                Some(ms) => died.event(1, ms, event),
                None => died,
            }
        };
        let live = |taken| check(&left(taken).live(20.0).evidence());
        let left = |taken| check(&left(taken).evidence());
        assert_eq!(left(Some(10_500)), Finding::default());
        let late = said(&left(Some(10_501)));
        assert!(late.starts_with("ORD-1/1 was left behind at"), "{late}");
        assert!(late.ends_with("not within 10s"), "{late}");
        assert!(said(&left(None)).contains("not taken over"));
        let slow = live(Some(10_501));
        assert_eq!((slow.violations.len(), slow.doubts.len()), (0, 1), "the machine's, perhaps");
        assert!(said(&live(None)).contains("not taken over"));
    }

    #[test]
    fn a_halted_process_may_delay_a_take_over_until_it_goes_on_and_not_for_ever() {
        let locked = |taken: Option<u64>| {
            let died = Builder::clean(1)
                .plan(|plan| plan.expect.taken_over_within = Some(Duration::from_secs(10)))
                .call_begins(0, 8, "RegBook", "ORD-1/1", 400)
                .tx_begins(1, 5, "claim", 450)
                .stall(1, 480, 30_000)
                .crash(0, 500);
            let what = ("ORD-1/1".to_owned(), "intended".to_owned());
            let event = Event::LeaseTaken { what: what.0, state: what.1 };
            let builder = match taken {
                Some(ms) => died.event(1, ms, event),
                None => died,
            };
            check(&builder.live(1.0).evidence())
        };
        assert_eq!(locked(Some(40_000)).violations, []);
        assert_eq!(locked(Some(40_001)).violations.len(), 1);
        assert_eq!(locked(None).violations.len(), 1);
    }

    #[test]
    fn a_call_that_came_later_than_its_quota_made_it_wait_is_told() {
        let eleventh = |ms: u64| {
            let plan = |plan: &mut crate::plan::Plan| {
                plan.expect.quota_late_max = Some(Duration::from_millis(800));
            };
            let ten = (0..10).fold(Builder::clean(0).plan(plan), |builder, _| {
                builder.carrier_request("RegBook", 100, Some(200), None)
            });
            ten.carrier_request("RegBook", ms, Some(200), None)
        };
        assert_eq!(check(&eleventh(1_900).evidence()), Finding::default());
        let heard = said(&check(&eleventh(2_000).evidence()));
        assert!(heard.starts_with("call 11 came 858ms after"), "{heard}");
        assert_eq!(check(&eleventh(2_000).live(20.0).evidence()), Finding::default());
        let live = check(&eleventh(20_000).live(20.0).evidence());
        assert_eq!((live.violations.len(), live.doubts.len()), (0, 1), "the machine's, perhaps");
        assert_eq!(check(&eleventh(20_000).live(1.0).evidence()).violations.len(), 1);
    }

    #[test]
    fn sellers_take_turns_as_far_as_the_plan_says() {
        // Each order came 10 ms after the one before, and its first call 50 ms after it came.
        let bound = |turn_max| {
            let seller = Some("shop".to_owned());
            let of_shop = OrderOverride { index: 4, seller, ..OrderOverride::default() };
            let four = Builder::clean(4).plan(|plan| {
                (plan.workload.order, plan.expect.turn_max) = (vec![of_shop], turn_max);
            });
            check(&four.evidence())
        };
        assert_eq!(bound(None), Finding::default());
        assert_eq!(bound(Some(3)), Finding::default());
        let told = "ORD-4/1 waited while 3 of another seller were begun, not 2";
        assert_eq!(said(&bound(Some(2))), told);
    }

    #[test]
    fn what_is_undecided_ends_in_any_final_state_and_only_there() {
        let open = |state: &str| {
            let one = Builder::clean(3).order("ORD-3", state);
            one.plan(|plan| (plan.expect.completed, plan.expect.undecided) = (2, 1))
        };
        for state in ["completed", "cancelled", "delivery-failed"] {
            assert_eq!(check(&open(state).evidence()), Finding::default(), "{state}");
        }
        let parked = open("attention");
        let heard = said(&check(&parked.clone().evidence()));
        assert_eq!(heard, "1 attention, the plan expects 0");
        let may_park = parked.plan(|plan| plan.expect.may_park = 1);
        assert_eq!(check(&may_park.evidence()), Finding::default());
        let stuck = said(&check(&open("cancelling").evidence()));
        assert!(stuck.starts_with("ORD-3 is stuck cancelling"), "{stuck}");
        let second = open("cancelled").order("ORD-2", "cancelled");
        let heard = said(&check(&second.evidence()));
        let both = "1 completed, the plan expects 2\n2 cancelled, the plan expects 0";
        assert_eq!(heard, both, "one race is no excuse for another order");
        let lost = said(&check(&open("completed").lose("ORD-3").evidence()));
        assert_eq!(lost, "1 of the orders are neither in the database nor refused");
    }

    #[test]
    fn orders_that_were_not_taken_in_count_as_refused() {
        let refused = || Builder::clean(2).refused("ORD-3", "phone");
        assert_eq!(
            said(&check(&refused().evidence())),
            "1 not taken in, the plan expects 0"
        );
        let expected = refused().plan(|plan| plan.expect.refused = 1);
        assert_eq!(check(&expected.evidence()), Finding::default());
    }

    #[test]
    fn what_is_stuck_is_named_with_where_it_hangs() {
        let stuck = Builder::clean(1)
            .order("ORD-1", "accepted")
            .parcel("ORD-1", 1, "unknown", Some("650000000011"))
            .reason("ORD-1", "not found, but may be under way");
        let heard = said(&check(&stuck.evidence()));
        let hangs = "ORD-1 is stuck accepted: parcel 1 unknown (not found, but may be under way)";
        assert!(heard.contains(hangs), "{heard}");
        let untold = Builder::clean(1).order("ORD-1", "shipped").notice("ORD-1", "queued");
        let heard = said(&check(&untold.evidence()));
        assert!(heard.ends_with("ORD-1 is stuck shipped: shipped message queued"), "{heard}");
        let idle = Builder::clean(1).order("ORD-1", "shipped");
        assert!(said(&check(&idle.evidence())).ends_with("nothing is left to be done"));
    }

    #[test]
    fn an_order_that_ended_with_an_open_parcel_convicts() {
        let loose = Builder::clean(1).parcel("ORD-1", 1, "unknown", None);
        let heard = said(&check(&loose.evidence()));
        assert_eq!(heard, "ORD-1 is completed, but parcel 1 unknown");
    }
}
