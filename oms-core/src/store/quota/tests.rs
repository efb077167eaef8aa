use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn window(calls: u32, micros: u64) -> Window {
    Window { calls, per: Duration::from_micros(micros) }
}

fn take(windows: &[Window], now: i64, want: u32) -> TakePermits {
    TakePermits {
        quota: "carrier",
        windows: windows.to_vec(),
        want,
        spare: 0,
        now: at(now),
        ahead: Duration::ZERO,
        hold: Duration::from_micros(LONGEST.unsigned_abs()),
        ended: Vec::new(),
    }
}

/// What is decided when nobody is blocked.
fn decided(ends: &[Timestamp], take: &TakePermits) -> Decision {
    decide(ends.to_vec(), take, Timestamp::EPOCH)
}

fn granted(moments: &[i64]) -> Decision {
    Decision::Grant(moments.iter().map(|moment| at(*moment)).collect())
}

#[test]
fn a_call_frees_its_place_one_window_after_its_end_and_not_before() {
    let windows = [window(2, 100)];
    let ends = [at(50), at(40)];
    assert_eq!(decided(&ends, &take(&windows, 139, 5)), Decision::Wait(at(140)));
    assert_eq!(decided(&ends, &take(&windows, 140, 5)), granted(&[140]));
    assert_eq!(decided(&ends, &take(&windows, 150, 5)), granted(&[150, 150]));
    assert_eq!(decided(&ends, &take(&windows, 150, 1)), granted(&[150]));
    assert_eq!(decided(&[], &take(&[], 0, 3)), granted(&[0, 0, 0]), "no window, no limit");
    let none = decided(&[], &take(&[window(0, 100)], 0, 1));
    assert_eq!(none, Decision::Wait(Timestamp::MAX));
}

#[test]
fn of_two_full_windows_the_later_moment_counts() {
    let windows = [window(1, 100), window(2, 1_000)];
    assert_eq!(decided(&[at(50), at(40)], &take(&windows, 60, 1)), Decision::Wait(at(1_040)));
}

#[test]
fn the_place_of_a_call_that_has_ended_is_given_in_advance_and_no_other() {
    let windows = [window(3, 100)];
    let ahead = |want| TakePermits { ahead: Duration::from_micros(75), ..take(&windows, 60, want) };
    // The third call is still under way.
    let ends = [at(200), at(50), at(30)];
    assert_eq!(decided(&ends, &ahead(1)), granted(&[130]));
    assert_eq!(decided(&ends, &ahead(3)), granted(&[130]), "the second one is too far off");
    let ends = [at(200), at(35), at(30)];
    assert_eq!(decided(&ends, &ahead(3)), granted(&[130, 135]));
    assert_eq!(decided(&[at(200); 3], &ahead(1)), Decision::Wait(at(160)));
    let blocked = decide(vec![at(35), at(30)], &ahead(1), at(61));
    assert_eq!(blocked, Decision::Wait(at(61)), "nobody may call");
}

#[test]
fn what_nobody_waits_for_is_at_most_half_of_what_is_free_now() {
    let windows = [window(10, 100)];
    let spare = |now, want| TakePermits { spare: 20, ..take(&windows, now, want) };
    assert_eq!(decided(&[], &spare(0, 2)), granted(&[0; 6]), "two, and half of eight");
    assert_eq!(decided(&[], &spare(0, 10)), granted(&[0; 10]));
    assert_eq!(decided(&[at(0); 10], &spare(100, 1)), granted(&[100; 5]));
}

#[test]
fn windows_hold_by_one_clock_however_far_others_are_ahead() {
    let windows = [window(1, 100)];
    let ahead = Ahead::of(at(5_060), at(60));
    let asked = TakePermits {
        ended: vec![(1, at(5_050)), (2, Timestamp::EPOCH)],
        ..take(&windows, 5_060, 1)
    };
    let asked = ahead.question(asked);
    assert_eq!((asked.now, asked.ended), (at(60), vec![(1, at(50)), (2, Timestamp::EPOCH)]));
    assert_eq!(ahead.answer(Permits::Wait(at(150))), Permits::Wait(at(5_150)));
    let grant = |from| Permits::Granted(vec![crate::store::Grant { id: 3, from: at(from) }]);
    assert_eq!(ahead.answer(grant(150)), grant(5_150));
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

/// Plays the calls one after the other, each granted as early as `decide` allows, or so much in
/// advance; the moments at which they arrive.
fn arrivals(calls: &[Call], windows: &[Window], ahead: u64) -> Vec<i64> {
    // Sending, end, and whether it is told.
    let mut sent: Vec<(i64, i64, bool)> = Vec::new();
    let mut arrived = Vec::new();
    let mut now = 0;
    for call in calls {
        now += call.gap;
        let from = loop {
            let mut ends: Vec<Timestamp> = sent
                .iter()
                .map(|(from, end, told)| match *told && *end <= now {
                    true => at(*end),
                    false => at(from + LONGEST),
                })
                .collect();
            ends.sort_unstable_by(|one, other| other.cmp(one));
            let ahead = Duration::from_micros(ahead);
            match decided(&ends, &TakePermits { ahead, ..take(windows, now, 1) }) {
                Decision::Grant(granted) => break granted[0].micros(),
                Decision::Wait(moment) => {
                    assert!(moment > at(now), "a wait that is over already would spin");
                    now = moment.micros().min(now + 10);
                }
            }
        };
        arrived.push(from + call.way);
        sent.push((from, from + call.way + call.back, call.told));
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
        calls in calls(), small in 1..4_u32, large in 3..9_u32, ahead in 0..60_u64,
    ) {
        let windows = [window(small, 50), window(large, 400)];
        let arrived = arrivals(&calls, &windows, ahead);
        prop_assert!(most(&arrived, 50) <= small as usize, "{arrived:?}");
        prop_assert!(most(&arrived, 400) <= large as usize, "{arrived:?}");
    }

    #[test]
    fn what_is_free_is_granted(
        mut ends in prop::collection::vec(0..1_000_i64, 0..12),
        now in 500..1_500_i64, calls in 1..6_u32, want in 1..8_u32,
    ) {
        ends.sort_unstable_by(|one, other| other.cmp(one));
        let counted = ends.iter().filter(|end| **end > now - 300).count();
        let ends: Vec<_> = ends.into_iter().map(at).collect();
        let free = (calls as usize).saturating_sub(counted);
        match decided(&ends, &take(&[window(calls, 300)], now, want)) {
            Decision::Grant(granted) => prop_assert_eq!(granted.len(), free.min(want as usize)),
            Decision::Wait(moment) => {
                prop_assert_eq!(free, 0);
                prop_assert!(moment > at(now) && moment <= at(now + 300));
            }
        }
    }
}
