//! Plans that are about one thing.
//!
//! A free mix seldom brings together what belongs together: a cancellation that midnight overtakes,
//! a crash just after a report was acknowledged. So most plans have a theme, and few faults beside.

use std::time::Duration;

use faults::{Fault, Kind, When};

use super::{Draft, calls, nodes, orders, store, world};
use crate::explore::dice::Dice;
use crate::plan::{OrderOverride, Pattern};

/// Makes a plan one about its theme.
type Theme = fn(&mut Draft, Dice);

/// So many plans of a hundred are about each; the others are a free mix.
const THEMES: &[(u64, Theme)] = &[
    (7, midnight),
    (6, called_back),
    (5, bundles),
    (6, quota),
    (5, braked),
    (5, reports),
    (4, token),
    (8, twice),
    (6, messages),
    (6, bad_among_good),
    (5, outage),
    (7, crashes),
    (4, power_cuts),
    (5, database),
];

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Gives the plan its theme; whether it has one.
pub(super) fn draw(draft: &mut Draft) -> bool {
    if !draft.powers.swarm {
        return false;
    }
    // Drawn apart from the themes of the list, which so stay as they were without it.
    let sellers = draft.dice.fork("sellers", 0);
    if sellers.chance("flood", 0.04) {
        flood(draft, sellers);
        return true;
    }
    let dice = draft.dice.fork("theme", 0);
    let mut drawn = dice.between("which", 0, 99);
    for (weight, theme) in THEMES {
        if drawn < *weight {
            theme(draft, dice);
            return true;
        }
        drawn -= weight;
    }
    false
}

/// A day ends while orders are booked, told of and called back.
fn midnight(draft: &mut Draft, dice: Dice) {
    world::start_before_midnight(draft, dice);
    draft.plan.workload.over = seconds(dice.between("over", 0, 3));
    match dice.between("over-midnight", 0, 2) {
        0 => orders::call_back(draft, 1, seconds(dice.between("after", 5, 15)), dice),
        1 => draft.calls_go_wrong("messenger", "send/omni", ANSWER_LOST, dice),
        _ => draft.calls_go_wrong("carrier", "RegBook", ANSWER_LOST, dice),
    }
}

/// Orders are called back, whatever has become of them.
fn called_back(draft: &mut Draft, dice: Dice) {
    for index in 1..=draft.plan.workload.orders.min(3) {
        let dice = dice.fork("call-back", index);
        if index == 1 || dice.chance("too", 0.5) {
            let after = dice.length("after", Duration::from_millis(1), seconds(20));
            orders::call_back(draft, index, after, dice);
        }
    }
    match dice.between("beside", 0, 5) {
        0 => draft.calls_go_wrong("carrier", "CnclBook", ANSWER_LOST, dice),
        1 => draft.calls_go_wrong("carrier", "RegBook", ANSWER_LOST, dice),
        2 => orders::lose_cancellation(draft, 1, dice),
        _ => {}
    }
}

/// Orders of several parcels, of which the carrier refuses one.
fn bundles(draft: &mut Draft, dice: Dice) {
    draft.plan.workload.parcels = dice.count("parcels", 2, 3);
    for index in 1..=draft.plan.workload.orders.min(3) {
        let dice = dice.fork("bundle", index);
        if dice.chance("torn", 0.6) {
            orders::refuse(draft, index, dice);
        }
    }
}

/// More calls than the carrier takes at once, or in a while.
fn quota(draft: &mut Draft, dice: Dice) {
    use fake_cj::config::{Switch, Window};
    let calls = dice.count("calls", 4, 12);
    let per = seconds(dice.between("per", 10, 30));
    let carrier = &mut draft.plan.carrier;
    carrier.limits = Switch::On;
    if dice.chance("small", 0.7) {
        carrier.windows[1] = Window { calls, per };
        draft.plan.oms.carrier.calls.windows[1] = oms_core::store::Window { calls, per };
    }
    let workload = &mut draft.plan.workload;
    workload.orders = calls / 2 + dice.count("more", 1, 4);
    workload.over = seconds(dice.between("over", 0, 3));
    if dice.chance("neighbour", 0.2) {
        draft.plan.neighbour = Some(world::neighbour(dice));
    }
}

/// An API wants to be left alone for a while, and tells one node: all must wait.
fn braked(draft: &mut Draft, dice: Dice) {
    draft.plan.world.nodes = dice.count("nodes", 2, 3);
    let workload = &mut draft.plan.workload;
    workload.orders = dice.count("orders", 4, 8);
    workload.over = seconds(dice.between("over", 4, 10));
    let on = dice.pick("on", &["carrier", "carrier", "messenger"]);
    let endpoint = dice.chance("one", 0.4).then(|| what_counts(on));
    let on = Some(on.to_owned());
    let from = seconds(dice.between("from", 0, 3));
    let by = seconds(dice.between("by", 5, 15));
    draft.plan.faults.push(match dice.chance("banned", 0.3) {
        true => {
            Fault { on, from: Some(from), times: Some(1), by: Some(by), ..Fault::new(Kind::Ban) }
        }
        false => Fault {
            on,
            endpoint,
            from: Some(from),
            until: Some(from + by),
            status: Some(429),
            processed: Some(false),
            retry_after: Some(format!("{}s", by.as_secs())),
            ..Fault::new(Kind::Status)
        },
    });
}

/// Only a delivery report tells that a message arrived, and who hears it falls.
fn reports(draft: &mut Draft, dice: Dice) {
    orders::hide_message(draft, 1, dice);
    let endpoint = dice.pick("call", &["report/ack", "report/ack", "report/polling"]);
    draft.falls("messenger", endpoint, dice);
}

/// A token that ends soon, or sooner than it was said to.
fn token(draft: &mut Draft, dice: Dice) {
    draft.plan.carrier.token_valid_for = seconds(dice.between("token", 3, 15));
    draft.plan.workload.over = seconds(dice.between("over", 10, 40));
    if dice.chance("taken-away", 0.5) {
        draft.calls_go_wrong("carrier", "RegBook", &[Kind::AuthExpired], dice);
    }
}

/// Answers that are lost or come late.
const ANSWER_LOST: &[Kind] = &[Kind::ResetAfter, Kind::DelayAfter, Kind::SlowBody, Kind::Truncated];
/// The same, and requests that come when nobody expects them any more.
const IN_DOUBT: &[Kind] = &[
    Kind::LateDelivery,
    Kind::LateDelivery,
    Kind::DelayBefore,
    Kind::ResetBefore,
    Kind::ResetAfter,
    Kind::DelayAfter,
];

/// Bookings in doubt, at a carrier that books what is sent twice.
fn twice(draft: &mut Draft, dice: Dice) {
    if dice.chance("accepts", 0.7) {
        draft.plan.carrier.duplicates = fake_cj::config::Duplicates::Accept;
        draft.plan.oms.carrier.duplicates = oms_core::config::Duplicates::Accept;
    }
    match dice.chance("interrupted", 0.3) {
        true => draft.falls("carrier", "RegBook", dice),
        false => draft.calls_go_wrong("carrier", "RegBook", IN_DOUBT, dice),
    }
}

/// Messages that are in doubt, interrupted or refused.
fn messages(draft: &mut Draft, dice: Dice) {
    match dice.between("what", 0, 9) {
        0..2 => draft.falls("messenger", "send/omni", dice),
        2..5 => orders::refuse_message(draft, 1, dice),
        _ => draft.calls_go_wrong("messenger", "send/omni", IN_DOUBT, dice),
    }
}

/// Some orders can never be booked; the others must hardly notice.
fn bad_among_good(draft: &mut Draft, dice: Dice) {
    let workload = &mut draft.plan.workload;
    workload.orders = dice.count("orders", 5, 8);
    workload.over = seconds(dice.between("over", 10, 20));
    workload.pattern = Pattern::Even;
    draft.plan.world.nodes = dice.pick("nodes", &[1, 1, 2]);
    draft.plan.carrier.limits = fake_cj::config::Switch::Off;
    // A token that ends halfway takes a minute, of whichever run it ends in.
    draft.plan.carrier.token_valid_for = fake_cj::Config::default().token_valid_for;
    match dice.chance("refused", 0.6) {
        true => (1..=dice.count("bad", 3, 4)).for_each(|index| orders::refuse(draft, index, dice)),
        false => orders::lose_booking(draft, dice.count("which", 1, 2), dice),
    }
    draft.is_measured = true;
}

/// A seller pours in more than can be worked on at once, and another has an order or two.
fn flood(draft: &mut Draft, dice: Dice) {
    let at_once = dice.count("at-once", 1, 2);
    let small = dice.count("small", 1, 2);
    // Both may have been in hand and not begun yet, and as many more may go first.
    let turn = 2 * at_once;
    let workload = &mut draft.plan.workload;
    workload.orders = turn + at_once + dice.count("more", 2, 6) + small;
    workload.over = Duration::ZERO;
    let seller = Some("corner-shop".to_owned());
    for index in workload.orders - small + 1..=workload.orders {
        let at = Some(Duration::from_millis(dice.fork("small", index).between("at", 1, 60)));
        workload.order.push(OrderOverride {
            index,
            at,
            seller: seller.clone(),
            ..OrderOverride::default()
        });
    }
    draft.plan.world.nodes = 1;
    draft.plan.oms.carrier.calls.at_once = at_once as usize;
    // Work that is put back, for it got no permit, goes by when it falls due again.
    draft.plan.carrier.limits = fake_cj::config::Switch::Off;
    draft.plan.neighbour = None;
    draft.plan.expect.turn_max = Some(turn);
    draft.is_measured = true;
}

/// An API is down for a while, and its breaker opens soon.
fn outage(draft: &mut Draft, dice: Dice) {
    const KINDS: &[Kind] =
        &[Kind::ConnectRefused, Kind::ConnectTimeout, Kind::ResetBefore, Kind::Maintenance];
    let on = dice.pick("on", &["carrier", "carrier", "messenger"]);
    let oms = &mut draft.plan.oms;
    for calls in [&mut oms.carrier.calls, &mut oms.messenger.calls] {
        (calls.breaker.calls_min, calls.breaker.window_calls) = (3, 5);
    }
    draft.plan.workload.orders = dice.count("orders", 3, 6);
    let kind = dice.pick("kind", KINDS);
    let until = dice.length("until", seconds(3), seconds(20));
    let down = Fault { on: Some(on.to_owned()), until: Some(until), ..Fault::new(kind) };
    // Where all is down at once, nobody comes as far as the operations that count.
    let is_answer = matches!(kind, Kind::ResetBefore | Kind::Maintenance);
    let endpoint = (is_answer && dice.chance("one", 0.7)).then(|| what_counts(on));
    draft.plan.faults.push(Fault { endpoint, ..down });
}

/// The operation of an API for the sake of which it is called.
fn what_counts(on: &str) -> String {
    let endpoint = if on == "carrier" { "RegBook" } else { "send/omni" };
    endpoint.to_owned()
}

/// Nodes that die and stand still.
fn crashes(draft: &mut Draft, dice: Dice) {
    for place in 0..dice.count("falls", 1, 4) {
        let dice = dice.fork("fall", place);
        let node = Some(dice.count("node", 0, draft.plan.world.nodes - 1));
        let fault = nodes::fall(draft, dice);
        draft.plan.faults.extend(fault.map(|fault| Fault { node, ..fault }));
    }
    if dice.chance("beside", 0.5) {
        let (on, endpoint) =
            dice.pick("call", &[("carrier", "RegBook"), ("messenger", "send/omni")]);
        draft.calls_go_wrong(on, endpoint, ANSWER_LOST, dice);
    }
}

/// The database's machine has no power for a moment.
fn power_cuts(draft: &mut Draft, dice: Dice) {
    for place in 0..dice.count("cuts", 1, 2) {
        let cut = nodes::power_cut(draft, dice.fork("cut", place));
        draft.plan.faults.extend(cut);
    }
}

/// The database has troubles of its own.
fn database(draft: &mut Draft, dice: Dice) {
    for place in 0..dice.count("troubles", 1, 3) {
        draft.plan.faults.extend(store::draw(dice.fork("trouble", place)));
    }
}

impl Draft {
    /// Calls of one operation fail in one of these ways: mostly the first attempts.
    fn calls_go_wrong(&mut self, on: &str, endpoint: &str, kinds: &[Kind], dice: Dice) {
        let Some(fault) = calls::of_kind(dice.pick("wrong", kinds), on, self, dice) else { return };
        let rate = Some(dice.magnitude("how-often", 0.2, 1.0));
        let attempt = dice.chance("at-first", 0.6).then_some(1);
        let endpoint = Some(endpoint.to_owned());
        self.plan.faults.push(Fault { endpoint, rate, attempt, ..fault });
    }

    /// Nodes die just as a call of one operation is answered, or before it is made.
    fn falls(&mut self, on: &str, endpoint: &str, dice: Dice) {
        if !self.powers.crash {
            return;
        }
        for node in 0..self.plan.world.nodes {
            self.plan.faults.push(Fault {
                on: Some(on.to_owned()),
                endpoint: Some(endpoint.to_owned()),
                node: Some(node),
                times: Some(dice.between("times", 1, 2)),
                when: Some(dice.pick("when", &[When::Before, When::After, When::After])),
                ..Fault::new(Kind::Crash)
            });
        }
    }
}
