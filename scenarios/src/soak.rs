//! A long run under load: workers killed and stopped at random moments, calls disturbed, and in the
//! end all promises over all of it.
//!
//! It is a plan as any other, made from a seed, so what fell can be looked at and run again; also
//! in a simulation, in a small part of the time.

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Entropy;
use faults::{Fault, Kind, Mode};

use crate::plan::{Expect, Plan, World};

/// A worker falls so often, in drill time, at a random moment of each span.
pub const FALL_EVERY: Duration = Duration::from_secs(10);

/// One worker is stopped for a while for so many that are killed.
const KILLS_A_STALL: u32 = 4;

/// A database that is restarted too is so once for so many falls: by turns in order and at once.
const FALLS_A_RESTART: u32 = 8;

/// The longest that it is away.
const AWAY_MAX: Duration = Duration::from_secs(8);

/// Orders for each fall: some 24 a minute, half of what the carrier's quota carries, so that there
/// is room for what is sent again.
const ORDERS_A_FALL: u32 = 4;

/// Workers on the one database.
const NODES: u32 = 3;

/// The longest that a worker is stopped: longer than any lease.
const STALL_MAX: Duration = Duration::from_secs(40);

/// What a worker leaves behind that falls is another's within so long.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);

/// The time that a machine may stall, which is drill time as often as that is faster than real.
const MACHINE_STALLS: Duration = Duration::from_secs(1);

/// From so many kills on one of them must have met work that another then took over, and calls are
/// slow before and after their effect by chance. With fewer, chance might leave one out.
const KILLS_FOR_COMMON: u32 = 20;

/// From so many kills on calls are disturbed by chance. With fewer, each is named by its number.
const KILLS_FOR_RARE: u32 = 100;

/// In a short soak each disturbance comes once in so many orders.
const ORDERS_A_DISTURBANCE: u32 = 40;

/// Disturbances of one API, at most.
const DISTURBANCES: u32 = 4;

/// What an order waits for: API and endpoint.
const SLOW: &[(&str, &str)] =
    &[("carrier", "ReqInvcNo"), ("carrier", "RegBook"), ("messenger", "send/omni")];

/// How long each of these calls takes, so that most falls meet one under way; the service waits for
/// 5 s.
const SLOW_BY: Duration = Duration::from_secs(3);

/// Calls that are disturbed: API, how, and at which rate.
const CALLS: &[(&str, Kind, f64)] = &[
    ("carrier", Kind::ResetBefore, 0.02),
    ("carrier", Kind::ResetAfter, 0.02),
    ("carrier", Kind::LateDelivery, 0.01),
    ("carrier", Kind::Malformed, 0.01),
    ("messenger", Kind::ResetBefore, 0.02),
    ("messenger", Kind::ResetAfter, 0.02),
    ("messenger", Kind::Empty, 0.01),
];

/// How many workers fall of which `kills` are killed; the others are stopped.
pub fn falls(kills: u32) -> u32 {
    kills.saturating_add(kills / KILLS_A_STALL)
}

/// How many workers are killed when so many fall.
pub fn kills(falls: u32) -> u32 {
    falls - falls / (KILLS_A_STALL + 1)
}

/// The plan of a soak in which workers are killed `kills` times, and stopped a quarter as often.
pub fn plan(seed: u64, kills: u32) -> Plan {
    let kills = kills.max(1);
    let falls = falls(kills);
    let orders = falls.saturating_mul(ORDERS_A_FALL);
    let span = FALL_EVERY * falls;
    let mut plan = Plan::healthy("soak", orders);
    plan.why = "Load for a long time, with workers killed and stopped and calls lost.".to_owned();
    plan.seed = seed;
    plan.workload.over = span;
    plan.heal_after = Some(span + FALL_EVERY);
    plan.world = World {
        nodes: NODES,
        restart_after: Duration::from_secs(2),
        patience: Duration::from_secs(2 * 3600),
        ..plan.world
    };
    plan.faults = fall(seed, falls);
    plan.faults.extend(disturbances(kills, orders));
    let slow = |(on, endpoint)| slow(kills, on, endpoint);
    plan.faults.extend(SLOW.iter().copied().flat_map(slow));
    let meets_work = (kills >= KILLS_FOR_COMMON).then(|| "lease-taken".to_owned());
    plan.expect = Expect {
        completed: u64::from(orders),
        must_reach: meets_work.into_iter().collect(),
        taken_over_within: Some(TAKEN_OVER_WITHIN),
        ..Expect::default()
    };
    plan
}

/// The same for a live run: a machine that stalls makes a take-over late, by the more drill time the
/// faster that runs.
pub fn live(mut plan: Plan, speed: f64) -> Plan {
    let slack = whole_millis(MACHINE_STALLS.mul_f64((speed - 1.0).max(0.0)));
    plan.expect.taken_over_within = plan.expect.taken_over_within.map(|within| within + slack);
    plan
}

/// Calls are disturbed: by chance, or in a short soak as many as there are orders for, which is none
/// in the shortest, so that none is left out.
fn disturbances(kills: u32, orders: u32) -> Vec<Fault> {
    let fault = |on: &str, kind| Fault {
        on: Some(on.to_owned()),
        by: (kind == Kind::LateDelivery).then_some(Duration::from_secs(10)),
        ..Fault::new(kind)
    };
    if kills >= KILLS_FOR_RARE {
        let by_chance = |(on, kind, rate)| Fault { rate: Some(rate), ..fault(on, kind) };
        return CALLS.iter().copied().map(by_chance).collect();
    }
    let blocks = orders / ORDERS_A_DISTURBANCE;
    let mut numbers = BTreeMap::new();
    let mut faults = Vec::new();
    for (on, kind, _) in (0..blocks).flat_map(|_| CALLS) {
        let endpoint = if *on == "carrier" { "RegBook" } else { "send/omni" };
        // Each order makes such a call or more, so as many as this come.
        let number = numbers.entry(endpoint).or_insert(1);
        let (endpoint, nth) = (Some(endpoint.to_owned()), Some(u64::from(*number)));
        faults.push(Fault { endpoint, nth, ..fault(on, *kind) });
        *number += ORDERS_A_DISTURBANCE / DISTURBANCES;
    }
    faults
}

/// Half of the calls of an endpoint wait before they take effect, the others for their answer. In a
/// short soak invoice numbers wait before, the others after.
fn slow(kills: u32, on: &str, endpoint: &str) -> Vec<Fault> {
    let slow = |kind, rate| Fault {
        on: Some(on.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        rate,
        by: Some(SLOW_BY),
        ..Fault::new(kind)
    };
    if kills >= KILLS_FOR_COMMON {
        // The first that hits a call is the one that counts.
        return [slow(Kind::DelayBefore, Some(0.5)), slow(Kind::DelayAfter, None)].into();
    }
    let kind = if endpoint == "ReqInvcNo" { Kind::DelayBefore } else { Kind::DelayAfter };
    [slow(kind, None)].into()
}

/// The same, and the database's server is restarted now and then. Live it is a private PostgreSQL.
pub fn restarting(mut plan: Plan) -> Plan {
    let entropy = Entropy::new(plan.seed).fork("soak", "restarts");
    let is_fall = |fault: &&Fault| matches!(fault.kind, Kind::Crash | Kind::Stall);
    let falls = plan.faults.iter().filter(is_fall).count() as u32;
    let span = FALL_EVERY * FALLS_A_RESTART;
    let restarts = (0..falls.div_ceil(FALLS_A_RESTART)).map(|turn| {
        let dice = entropy.fork("restart", turn);
        let longest = span.min(FALL_EVERY * falls - span * turn);
        let from = span * turn + dice.fork("at", ()).duration(Duration::ZERO, longest);
        let by = dice.fork("by", ()).duration(Duration::from_secs(1), AWAY_MAX);
        let mode = if turn.is_multiple_of(2) { Mode::Fast } else { Mode::Immediate };
        Fault {
            on: Some("store".to_owned()),
            mode: Some(mode),
            from: Some(whole_millis(from)),
            by: Some(whole_millis(by)),
            ..Fault::new(Kind::DatabaseRestart)
        }
    });
    let restarts: Vec<Fault> = restarts.collect();
    plan.faults.extend(restarts);
    plan.why =
        "Load for a long time, with workers killed and stopped, calls lost and the database \
                restarted."
            .to_owned();
    plan.expect.must_reach.push("fault:database-restart".to_owned());
    // Nobody takes over what he cannot read.
    plan.expect.taken_over_within = plan.expect.taken_over_within.map(|within| within + AWAY_MAX);
    plan
}

/// As a plan file has it.
fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Workers fall: they are killed, or by turns stopped.
fn fall(seed: u64, falls: u32) -> Vec<Fault> {
    let entropy = Entropy::new(seed).fork("soak", ());
    let mut last = 0;
    let falls = (0..falls).map(|turn| {
        let dice = entropy.fork("fall", turn);
        // Never the one that fell before: it may not be up again, and nobody dies twice.
        let others = (dice.fork("node", ()).unit() * f64::from(NODES - 1)) as u32;
        last = (last + 1 + others.min(NODES - 2)) % NODES;
        fell(dice, turn, last)
    });
    falls.collect()
}

fn fell(dice: Entropy, turn: u32, node: u32) -> Fault {
    let from = FALL_EVERY * turn + dice.fork("at", ()).duration(Duration::ZERO, FALL_EVERY);
    let stalls = turn % (KILLS_A_STALL + 1) == KILLS_A_STALL;
    let (kind, by) = match stalls {
        true => (Kind::Stall, Some(dice.fork("by", ()).duration(FALL_EVERY, STALL_MAX))),
        false => (Kind::Crash, None),
    };
    let from = Some(whole_millis(from));
    let by = by.map(|by| Duration::from_secs(by.as_secs()));
    Fault { on: Some("node".to_owned()), node: Some(node), from, by, ..Fault::new(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::{self, Settings};
    use crate::verdict::Verdict;

    #[test]
    fn a_soak_is_a_plan_that_can_be_written_down_and_read_again() {
        let plan = plan(7, 10);
        assert_eq!(Plan::parse(&plan.to_toml()).unwrap(), plan);
        assert_eq!(plan, super::plan(7, 10));
        assert_ne!(plan.faults, super::plan(8, 10).faults);
        let restarting = restarting(plan.clone());
        assert_eq!(Plan::parse(&restarting.to_toml()).unwrap(), restarting);
        assert_eq!(restarting.faults[..plan.faults.len()], plan.faults, "beside all else");
    }

    #[test]
    fn the_database_is_restarted_by_turns_in_order_and_at_once_within_the_load() {
        let plan = restarting(plan(3, 20));
        let restarts = plan.faults.iter().filter(|fault| fault.kind == Kind::DatabaseRestart);
        let restarts: Vec<&Fault> = restarts.collect();
        let modes: Vec<Mode> = restarts.iter().filter_map(|fault| fault.mode).collect();
        assert_eq!(modes, [Mode::Fast, Mode::Immediate, Mode::Fast, Mode::Immediate]);
        assert!(restarts.iter().all(|fault| fault.from.unwrap() <= FALL_EVERY * 25));
    }

    #[test]
    fn as_many_are_killed_as_is_said_and_a_quarter_as_many_stopped_each_in_its_span() {
        for (asked, stopped) in [(1, 0), (3, 0), (4, 1), (10, 2), (100, 25)] {
            let plan = plan(3, asked);
            let of = |kind| plan.faults.iter().filter(|fault| fault.kind == kind).count();
            assert_eq!((of(Kind::Crash), of(Kind::Stall)), (asked as usize, stopped));
            assert_eq!(kills(falls(asked)), asked);
        }
        let falls = fall(3, 20);
        assert!(falls.windows(2).all(|two| two[0].node != two[1].node), "nobody twice in a row");
        for (turn, fault) in (0..).zip(&falls) {
            let span = FALL_EVERY * turn..=FALL_EVERY * (turn + 1);
            assert!(span.contains(&fault.from.unwrap()), "{fault:?}");
        }
    }

    #[test]
    fn a_simulated_soak_holds_and_most_kills_meet_a_call_that_another_takes_over() {
        let result = runner::simulate(&plan(1, 20), &Settings::default()).unwrap();
        assert_eq!(result.verdict, Verdict::Held, "{:?} {:?}", result.reasons, result.promises);
        assert_eq!(result.figures.crashes, 20);
        let met = result.takeovers.unwrap();
        assert!(met.falls >= 13, "{met:?}");
        assert_eq!(met.taken, met.left_behind);
    }

    #[test]
    fn a_soak_falls_when_work_is_not_taken_over_in_time() {
        let mut plan = plan(1, 20);
        plan.expect.taken_over_within = Some(Duration::from_secs(3));
        let result = runner::simulate(&plan, &Settings::default()).unwrap();
        assert_eq!(result.verdict, Verdict::Violated);
    }

    #[test]
    fn a_take_over_may_be_late_by_what_a_stall_of_the_machine_or_the_database_makes_of_it() {
        let within = |plan: Plan| plan.expect.taken_over_within.unwrap().as_secs();
        assert_eq!(within(plan(1, 20)), 10);
        assert_eq!(within(live(plan(1, 20), 1.0)), 10);
        assert_eq!(within(live(plan(1, 20), 20.0)), 29);
        assert_eq!(within(restarting(plan(1, 20))), 18);
    }

    #[test]
    fn short_soaks_hold_whatever_their_seed() {
        for (seed, kills) in (1..=8).zip([1, 2, 3, 5, 10, 10, 19, 40]) {
            let result = runner::simulate(&plan(seed, kills), &Settings::default()).unwrap();
            let why = (&result.reasons, &result.promises);
            assert_eq!(result.verdict, Verdict::Held, "{kills} kills, seed {seed}: {why:?}");
        }
    }

    #[test]
    fn a_simulated_soak_holds_with_the_database_restarted() {
        let plan = restarting(plan(1, 40));
        let result = runner::simulate(&plan, &Settings::default()).unwrap();
        assert_eq!(result.verdict, Verdict::Held, "{:?} {:?}", result.reasons, result.promises);
    }
}
