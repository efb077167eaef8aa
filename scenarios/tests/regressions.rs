//! What generated plans once broke, each as the smallest plan that did.

use std::time::Duration;

use scenarios::evidence::Evidence;
use scenarios::plan::Plan;
use scenarios::{promises, sim};

/// Runs a plan, of which only what matters is written, and asks every promise.
#[track_caller]
fn holds(plan: &str) {
    let head = "version = 1\nname = \"regression\"\nwhy = \"It once broke a promise.\"\n";
    let mut plan = Plan::parse(&format!("{head}{plan}")).expect("a plan");
    // Hours are only worth waiting for when something is stuck.
    plan.world.patience = Duration::from_hours(5);
    keeps_every_promise(&plan);
}

#[track_caller]
fn keeps_every_promise(plan: &Plan) {
    let run = sim::Run::of(plan);
    let evidence = Evidence::from(sim::run(&run).expect("a simulation that runs"));
    let judged = promises::check_all(&evidence).into_iter();
    let fallen: Vec<String> = judged
        .flat_map(|(promise, finding)| {
            let said = finding.violations.into_iter().map(|violation| violation.to_string());
            said.map(|said| format!("{}: {said}", promise.id)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(fallen, [] as [String; 0]);
}

#[test]
fn a_booking_request_that_arrives_after_the_cancellation_books_nothing() {
    holds(
        r#"
        [workload]
        orders = 3
        [[workload.order]]
        index = 2
        cancel_after = "1s"
        [[fault]]
        kind = "late-delivery"
        on = "carrier"
        endpoint = "RegBook"
        key = "ORD-2-1"
        attempt = 1
        by = "60s"
        [expect]
        completed = 2
        cancelled = 1
        "#,
    );
}

#[test]
fn an_order_is_not_called_back_under_a_message_that_may_still_arrive() {
    holds(
        r#"
        [workload]
        orders = 3
        [[workload.order]]
        index = 3
        cancel_after = "12s"
        [[fault]]
        kind = "delay-before"
        on = "messenger"
        by = "2m"
        until = "20m"
        [expect]
        completed = 3
        "#,
    );
}

#[test]
fn a_parcel_whose_pick_up_does_not_show_yet_is_not_taken_for_cancelled() {
    holds(
        r#"
        [carrier]
        tracking_visible_after = "4m"
        [workload]
        orders = 2
        [[workload.order]]
        index = 1
        cancel_after = "30s"
        [[scan]]
        order = 1
        at = "20s"
        [[fault]]
        kind = "connect-refused"
        on = "messenger"
        until = "2m"
        [expect]
        completed = 2
        "#,
    );
}

#[test]
fn a_message_whose_duplicate_answers_are_cut_off_is_not_taken_for_refused() {
    holds(
        r#"
        [workload]
        orders = 1
        [gateway]
        idempotency = "request"
        [[fault]]
        kind = "empty"
        on = "messenger"
        endpoint = "send/omni"
        processed = true
        until = "5m"
        [expect]
        completed = 1
        "#,
    );
}

#[test]
fn a_ban_that_looks_like_a_dead_line_and_grows_with_each_call_is_sat_out() {
    holds(
        r#"
        [world]
        nodes = 2
        [carrier]
        banned_sees = "refused"
        ban_extends = true
        [workload]
        orders = 10
        [[fault]]
        kind = "ban"
        on = "carrier"
        endpoint = "RegBook"
        times = 1
        [expect]
        completed = 10
        "#,
    );
}

#[test]
fn a_repeat_that_is_refused_says_nothing_of_the_message_whose_answer_was_lost() {
    holds(
        r#"
        [workload]
        orders = 1
        [[fault]]
        kind = "oversized"
        on = "messenger"
        endpoint = "send/omni"
        processed = true
        attempt = 1
        [[fault]]
        kind = "refuse"
        on = "messenger"
        endpoint = "send/omni"
        [expect]
        notify-failed = 1
        "#,
    );
}

#[test]
fn a_block_that_is_not_written_yet_is_waited_for_and_not_asked_about_without_end() {
    holds(
        r#"
        [workload]
        orders = 12
        over = "0s"
        [[fault]]
        kind = "status"
        on = "carrier"
        endpoint = "ReqInvcNo"
        status = 429
        times = 1
        [[fault]]
        kind = "busy"
        on = "store"
        endpoint = "block-quota"
        [expect]
        completed = 12
        "#,
    );
}

#[test]
fn the_report_of_a_message_that_is_never_answered_is_asked_for_although_no_other_is_awaited() {
    holds(
        r#"
        [oms.messenger]
        idempotency_ttl = "5m"
        [workload]
        orders = 1
        [[fault]]
        kind = "reset-after"
        on = "messenger"
        endpoint = "send/omni"
        [expect]
        completed = 1
        "#,
    );
}

/// Each call that was under way when the ban came began it anew, and the service counted from the
/// first: it called again too early, for ever. The timing is fine, so the plan is kept as found.
#[test]
fn a_ban_that_every_further_call_begins_anew_is_waited_out() {
    let found = include_str!("regressions/ban-that-each-call-begins-anew.toml");
    keeps_every_promise(&Plan::parse(found).expect("a plan"));
}

/// The store gave the second of two permits so late that the first had run out, and the call went out
/// all the same: another process asked for a token at once.
#[test]
fn a_question_for_a_token_goes_out_under_no_permit_that_has_run_out() {
    let found = include_str!("regressions/token-permit-that-a-slow-store-outlived.toml");
    keeps_every_promise(&Plan::parse(found).expect("a plan"));
}
