use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn window(calls: u32, micros: u64) -> Window {
    Window { calls, per: Duration::from_micros(micros) }
}

#[test]
fn a_call_frees_its_place_one_window_after_its_end_and_not_before() {
    let windows = [window(2, 100)];
    let ends = [at(50), at(40)];
    assert_eq!(decide(&ends, &windows, at(139), 5), Decision::Wait(at(140)));
    assert_eq!(decide(&ends, &windows, at(140), 5), Decision::Grant(1));
    assert_eq!(decide(&ends, &windows, at(150), 5), Decision::Grant(2));
    assert_eq!(decide(&ends, &windows, at(150), 1), Decision::Grant(1));
    assert_eq!(decide(&[], &[], at(0), 7), Decision::Grant(7), "no window, no limit");
    assert_eq!(decide(&[], &[window(0, 100)], at(0), 1), Decision::Wait(Timestamp::MAX));
}

#[test]
fn of_two_full_windows_the_later_moment_counts() {
    let windows = [window(1, 100), window(2, 1_000)];
    assert_eq!(decide(&[at(50), at(40)], &windows, at(60), 1), Decision::Wait(at(1_040)));
}

/// A call: when it was asked for, how long until it arrives, and until it ends after that.
#[derive(Debug, Clone)]
struct Call {
    gap: i64,
    way: i64,
    back: i64,
    /// Whether its end is ever told; else it counts until its latest possible end.
    told: bool,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (0..60_i64, 0..80_i64, 0..80_i64, any::<bool>())
        .prop_map(|(gap, way, back, told)| Call { gap, way, back, told });
    prop::collection::vec(call, 1..60)
}

/// The longest that a call takes from its grant.
const LONGEST: i64 = 160;

/// Plays the calls one after the other, each granted as early as `decide` allows; the moments at
/// which they arrive.
fn arrivals(calls: &[Call], windows: &[Window]) -> Vec<i64> {
    // Grant, end, and whether it is told.
    let mut sent: Vec<(i64, i64, bool)> = Vec::new();
    let mut arrived = Vec::new();
    let mut now = 0;
    for call in calls {
        now += call.gap;
        loop {
            let mut ends: Vec<Timestamp> = sent
                .iter()
                .map(|(granted, end, told)| match *told && *end <= now {
                    true => at(*end),
                    false => at(granted + LONGEST),
                })
                .collect();
            ends.sort_unstable_by(|one, other| other.cmp(one));
            match decide(&ends, windows, at(now), 1) {
                Decision::Grant(_) => break,
                Decision::Wait(moment) => {
                    assert!(moment > at(now), "a wait that is over already would spin");
                    now = moment.micros();
                }
            }
        }
        arrived.push(now + call.way);
        sent.push((now, now + call.way + call.back, call.told));
    }
    arrived.sort_unstable();
    arrived
}

/// The most arrivals in any half-open window of this length; fixed windows are among them.
fn most(arrived: &[i64], per: i64) -> usize {
    let in_window = |from: i64| arrived.iter().filter(|at| (from..from + per).contains(at)).count();
    arrived.iter().map(|from| in_window(*from)).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_carrier_never_counts_more_than_the_windows_allow(
        calls in calls(), small in 1..4_u32, large in 3..9_u32,
    ) {
        let windows = [window(small, 50), window(large, 400)];
        let arrived = arrivals(&calls, &windows);
        prop_assert!(most(&arrived, 50) <= small as usize, "{arrived:?}");
        prop_assert!(most(&arrived, 400) <= large as usize, "{arrived:?}");
    }

    #[test]
    fn what_is_free_is_granted(
        mut ends in prop::collection::vec(0..1_000_i64, 0..12),
        now in 500..1_500_i64, calls in 1..6_u32, want in 1..8_usize,
    ) {
        ends.sort_unstable_by(|one, other| other.cmp(one));
        let counted = ends.iter().filter(|end| **end > now - 300).count();
        let ends: Vec<_> = ends.into_iter().map(at).collect();
        let free = (calls as usize).saturating_sub(counted);
        match decide(&ends, &[window(calls, 300)], at(now), want) {
            Decision::Grant(granted) => prop_assert_eq!(granted, free.min(want)),
            Decision::Wait(moment) => {
                prop_assert_eq!(free, 0);
                prop_assert!(moment > at(now) && moment <= at(now + 300));
            }
        }
    }
}
