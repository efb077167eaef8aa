//! Machines, network, carrier, gateway and the service's settings.

use std::time::Duration;

use clockwork::Timestamp;
use fake_cj::config::{BannedSees, RetryAfter, Switch, TokenBlockedSees, WindowKind};
use oms_core::config::Duplicates;

use super::Draft;
use crate::explore::dice::Dice;
use crate::plan::{Latency, Neighbour};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn draw(draft: &mut Draft) {
    let dice = draft.dice.fork("world", 0);
    draft.plan.world.nodes = dice.pick("nodes", &[1, 1, 1, 1, 2, 2, 3]);
    if dice.chance("midnight", 0.05) {
        start_before_midnight(draft, dice);
    }
    network(draft, dice.fork("network", 0));
    pace(draft, dice.fork("pace", 0));
    carrier(draft, dice.fork("carrier", 0));
    gateway(draft, dice.fork("gateway", 0));
    if draft.powers.swarm && dice.chance("neighbour", 0.04) {
        draft.plan.neighbour = Some(neighbour(dice));
    }
}

/// Somebody else uses up the carrier's quota for a while.
pub(super) fn neighbour(dice: Dice) -> Neighbour {
    Neighbour {
        from: Duration::from_millis(dice.between("neighbour-from", 0, 8_000)),
        lasting: seconds(dice.between("neighbour-for", 2, 12)),
        calls_per_second: dice.pick("neighbour-rate", &[5.0, 12.0, 20.0, 30.0]),
    }
}

/// The run begins just before midnight in Seoul.
pub(super) fn start_before_midnight(draft: &mut Draft, dice: Dice) {
    // 2026-11-22, midnight in Seoul.
    let midnight = Timestamp::from_micros(1_795_273_200_000_000);
    let before = dice.between("before-midnight", 0, 6_000) as i64;
    draft.plan.start = Timestamp::from_micros(midnight.micros() - before * 1_000);
}

fn network(draft: &mut Draft, dice: Dice) {
    let world = &mut draft.plan.world;
    world.latency_min = Duration::from_millis(dice.between("min", 1, 20));
    world.latency_max = dice.length("max", Duration::from_millis(20), Duration::from_millis(400));
    if draft.powers.late_delivery && dice.chance("log-normal", 0.3) {
        world.latency = Latency::LogNormal;
        world.latency_max = dice.length("tail", Duration::from_millis(50), seconds(2));
    }
    if draft.powers.scheduling_points {
        world.priorities = dice.pick("priorities", &[0, 0, 1, 2, 3]);
    }
    world.restart_after = dice.length("restart", Duration::from_millis(200), seconds(15));
}

/// Most runs are of a service that gives up sooner than the default, and seldom looks around when
/// nothing is due: they take less virtual time and fewer steps, and so less real time, to come
/// through the same.
fn pace(draft: &mut Draft, dice: Dice) {
    let oms = &mut draft.plan.oms;
    let brisk = draft.powers.swarm && dice.chance("brisk", 0.97);
    if brisk {
        oms.carrier.lateness_max = seconds(dice.between("lateness", 40, 80));
        oms.service.lease = seconds(6);
        oms.service.poll = seconds(dice.pick("poll", &[1, 10, 15, 20, 20, 30, 30, 60, 60, 60]));
        for calls in [&mut oms.carrier.calls, &mut oms.messenger.calls] {
            calls.connect_timeout = seconds(1);
            calls.read_timeout = seconds(2);
            calls.deadline = seconds(3);
            calls.permit_wait = seconds(2);
            calls.round_pause = seconds(5);
            calls.breaker.open_for = seconds(5);
        }
        oms.messenger.report_poll = seconds(dice.pick("report-poll", &[3, 10, 20]));
        draft.plan.gateway.redeliver_after = seconds(10);
    }
    // A node that stood still just before it sent a request that then comes late, to a carrier
    // that shows bookings late: together they must stay below what the service allows for.
    draft.late_max = oms.carrier.lateness_max * 3 / 10;
    let longest = if brisk { seconds(40) } else { seconds(5 * 60) };
    draft.chaos = dice.length("chaos", seconds(4), longest);
}

fn carrier(draft: &mut Draft, dice: Dice) {
    let carrier = &mut draft.plan.carrier;
    let oms = &mut draft.plan.oms.carrier;
    use fake_cj::config::Duplicates as Theirs;
    let kinds = [
        (Theirs::Reject, Duplicates::Reject),
        (Theirs::Reject, Duplicates::Reject),
        (Theirs::Accept, Duplicates::Accept),
        (Theirs::Replay, Duplicates::Replay),
    ];
    (carrier.duplicates, oms.duplicates) = dice.pick("duplicates", &kinds);
    carrier.window_kind = dice.pick("windows", &[WindowKind::Sliding, WindowKind::Fixed]);
    let told = [RetryAfter::Absent, RetryAfter::Seconds, RetryAfter::Date];
    carrier.retry_after = dice.pick("retry-after", &told);
    carrier.banned_sees = dice.pick("banned", &[BannedSees::Forbidden, BannedSees::Refused]);
    carrier.ban_after = dice.pick("ban-after", &[5, 5, 3, 0]);
    // A ban that nobody is told of, and that each call makes longer, ends only for whoever has so many
    // calls in vain that the breaker opens: a few parcels that are asked about now and then have not.
    let told = carrier.banned_sees == BannedSees::Forbidden;
    carrier.ban_extends = told && dice.chance("ban-extends", 0.3);
    let blocked = [TokenBlockedSees::TooManyRequests, TokenBlockedSees::Failure];
    carrier.token_blocked_sees = dice.pick("token-blocked", &blocked);
    if dice.chance("short-ban", 0.5) {
        carrier.ban_for = seconds(dice.between("ban-for", 5, 40));
        oms.calls.ban_wait = carrier.ban_for;
    }
    if dice.chance("short-token", 0.1) {
        carrier.token_valid_for = seconds(dice.between("token", 10, 120));
    }
    if dice.chance("slow-tracking", 0.2) {
        let longest = oms.lateness_max / 5;
        carrier.tracking_visible_after = dice.length("visible", seconds(1), longest);
    }
    if dice.chance("no-limits", 0.15) {
        carrier.limits = Switch::Off;
    }
}

fn gateway(draft: &mut Draft, dice: Dice) {
    use fake_kakao::config::{DuplicateLevel, RetryAfter};
    let gateway = &mut draft.plan.gateway;
    let levels = [DuplicateLevel::Destination, DuplicateLevel::Request];
    gateway.idempotency = dice.pick("idempotency", &levels);
    gateway.retry_after = dice.pick("retry-after", &[RetryAfter::Absent, RetryAfter::Seconds]);
    if dice.chance("off-kakao", 0.2) {
        gateway.rates.kakao_none = dice.pick("none", &[0.1, 0.3, 0.5]);
        gateway.rates.kakao_blocked = dice.pick("blocked", &[0.0, 0.2]);
    }
}
