//! A long run under load: workers killed and stopped at random moments, calls disturbed, and in the
//! end all promises over all of it.
//!
//! It is a plan as any other, made from a seed, so what fell can be looked at and run again; also
//! in a simulation, in a small part of the time.

use std::time::Duration;

use clockwork::Entropy;
use faults::{Fault, Kind, Mode};

use crate::plan::{Expect, Plan, World};

/// Workers are killed so often, in drill time, one at a random moment of each span.
pub const KILL_EVERY: Duration = Duration::from_secs(10);

/// One worker is stopped for a while for so many that are killed.
const KILLS_A_STALL: u32 = 4;

/// A database that is restarted too is so once for so many falls: by turns in order and at once.
const FALLS_A_RESTART: u32 = 8;

/// The longest that it is away.
const AWAY_MAX: Duration = Duration::from_secs(8);

/// Orders for each worker that is killed: some 24 a minute, half of what the carrier's quota
/// carries, so that there is room for what is sent again.
const ORDERS_A_KILL: u32 = 4;

/// Workers on the one database.
const NODES: u32 = 3;

/// The longest that a worker is stopped: longer than any lease.
const STALL_MAX: Duration = Duration::from_secs(40);

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

/// The plan of a soak in which workers are killed `kills` times.
pub fn plan(seed: u64, kills: u32) -> Plan {
    let kills = kills.max(1);
    let orders = kills.saturating_mul(ORDERS_A_KILL);
    let span = KILL_EVERY * kills;
    let mut plan = Plan::healthy("soak", orders);
    plan.why = "Load for a long time, with workers killed and stopped and calls lost.".to_owned();
    plan.seed = seed;
    plan.workload.over = span;
    plan.heal_after = Some(span + KILL_EVERY);
    plan.world = World {
        nodes: NODES,
        restart_after: Duration::from_secs(2),
        patience: Duration::from_secs(2 * 3600),
        ..plan.world
    };
    let entropy = Entropy::new(seed).fork("soak", ());
    plan.faults = (0..kills).map(|kill| fell(entropy, kill)).collect();
    plan.faults.extend(CALLS.iter().map(|(on, kind, rate)| {
        let by = (*kind == Kind::LateDelivery).then_some(Duration::from_secs(10));
        Fault { on: Some((*on).to_owned()), rate: Some(*rate), by, ..Fault::new(*kind) }
    }));
    let must_reach = Vec::from(["lease-taken".to_owned()]);
    plan.expect = Expect { completed: u64::from(orders), must_reach, ..Expect::default() };
    plan
}

/// The same, and the database's server is restarted now and then. Live it is a private PostgreSQL.
pub fn restarting(mut plan: Plan) -> Plan {
    let entropy = Entropy::new(plan.seed).fork("soak", "restarts");
    let is_fall = |fault: &&Fault| matches!(fault.kind, Kind::Crash | Kind::Stall);
    let falls = plan.faults.iter().filter(is_fall).count() as u32;
    let span = KILL_EVERY * FALLS_A_RESTART;
    let restarts = (0..falls.div_ceil(FALLS_A_RESTART)).map(|turn| {
        let dice = entropy.fork("restart", turn);
        let longest = span.min(KILL_EVERY * falls - span * turn);
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
    plan
}

/// As a plan file has it.
fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A worker falls: it is killed, or by turns stopped.
fn fell(entropy: Entropy, turn: u32) -> Fault {
    let dice = entropy.fork("fall", turn);
    let from = KILL_EVERY * turn + dice.fork("at", ()).duration(Duration::ZERO, KILL_EVERY);
    let node = (dice.fork("node", ()).unit() * f64::from(NODES)) as u32;
    let stalls = turn % (KILLS_A_STALL + 1) == KILLS_A_STALL;
    let (kind, by) = match stalls {
        true => (Kind::Stall, Some(dice.fork("by", ()).duration(KILL_EVERY, STALL_MAX))),
        false => (Kind::Crash, None),
    };
    let from = Some(whole_millis(from));
    let by = by.map(|by| Duration::from_secs(by.as_secs()));
    Fault {
        on: Some("node".to_owned()),
        node: Some(node.min(NODES - 1)),
        from,
        by,
        ..Fault::new(kind)
    }
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
        assert_eq!(modes, [Mode::Fast, Mode::Immediate, Mode::Fast]);
        assert!(restarts.iter().all(|fault| fault.from.unwrap() <= KILL_EVERY * 20));
    }

    #[test]
    fn of_five_falls_four_are_kills_and_each_is_in_its_span() {
        let falls: Vec<Fault> = (0..20).map(|turn| fell(Entropy::new(3), turn)).collect();
        let kills = falls.iter().filter(|fault| fault.kind == Kind::Crash).count();
        assert_eq!((kills, falls.len() - kills), (16, 4));
        for (turn, fault) in (0..).zip(&falls) {
            let span = KILL_EVERY * turn..=KILL_EVERY * (turn + 1);
            assert!(span.contains(&fault.from.unwrap()), "{fault:?}");
        }
    }

    #[test]
    fn a_simulated_soak_holds() {
        let result = runner::simulate(&plan(1, 25), &Settings::default()).unwrap();
        assert_eq!(result.verdict, Verdict::Held, "{:?} {:?}", result.reasons, result.promises);
        assert_eq!(result.figures.crashes, 20);
    }

    #[test]
    fn a_simulated_soak_holds_with_the_database_restarted() {
        let plan = restarting(plan(1, 50));
        let result = runner::simulate(&plan, &Settings::default()).unwrap();
        assert_eq!(result.verdict, Verdict::Held, "{:?} {:?}", result.reasons, result.promises);
    }
}
