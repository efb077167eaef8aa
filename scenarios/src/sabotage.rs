//! Planted bugs: each breaks one thing on purpose, so that it can be shown which promise falls.
//!
//! A bug is a wrapped seam, a replaced policy or a wrong setting; the core reads as if bugs did not
//! exist. Adding one: a file here, and a line in [`ALL`].

mod acks_before_commit;
mod blind_resend;
mod breaker_counts_refusals;
mod breaker_never_closes;
mod bundle_left_half_booked;
mod call_in_transaction;
mod cancel_forgets_message;
mod cancel_not_sent;
mod cancelled_while_being_booked;
mod claims_for_ever;
mod counts_by_the_calendar;
mod date_of_today;
mod dedupe_by_day;
mod duplicate_taken_for_failure;
mod failed_commit_as_done;
mod first_come_first_served;
mod gives_up_on_4xx;
mod gives_up_on_maintenance;
mod gives_up_on_refused_connection;
mod interrupted_as_new;
mod key_forgotten_in_header;
mod key_outlives_window;
mod lease_ignored;
mod limiter_off;
mod limiter_per_process;
mod marked_sent_before_sending;
mod new_invoice_on_retry;
mod new_key_on_resend;
mod no_reconciliation;
mod not_found_believed_at_once;
mod notice_unknown_as_failed;
mod notice_unknown_as_sent;
mod notification_failure_undoes_delivery;
mod notify_in_transaction;
mod one_reference_for_a_bundle;
mod outbox_dropped;
mod outbox_in_memory;
mod pause_kept_to_itself;
mod permit_ends_at_sending;
mod poison_stops_the_lane;
mod reads_before_claim;
mod report_acked_before_commit;
mod retries_in_memory;
mod retries_refusals;
mod second_window_only;
mod stale_token;
mod synchronous_normal;
mod synchronous_off;
pub(crate) mod tapped_store;
mod tapped_transport;
mod told_before_booked;
mod unknown_as_booked;
mod unknown_as_failed;

pub(crate) use key_forgotten_in_header::Keyless;

use std::sync::Arc;

use oms_core::config::Config;
use oms_core::env::{Env, Hands};
use oms_core::policy::OrderPolicy;
use oms_core::saga::SoundOrders;
use oms_core::store::sqlite::Options;

/// What a planted bug gets wrong. Bugs of one family hide in the same sort of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A repeated request is not known again.
    Idempotency,
    /// The outbox row and what it tells of are not written as one.
    OutboxOrder,
    /// The other side forgets keys, or the key holds only for a while.
    DedupeWindow,
    /// A temporary answer is taken for a final one, or the other way round.
    RetryClass,
    /// An unanswered call is taken for a failed or a successful one.
    TimeOutTakenForFailure,
    /// Due work is not taken up again.
    LostWakeUp,
    /// A transaction holds too much, or too little.
    TransactionBorder,
    /// Something is decided by what was read earlier.
    StaleRead,
    /// Two workers hold the same work.
    LeaseAndFencing,
    /// A date or a moment is taken from the wrong clock, or at the wrong time.
    ClockAndMidnight,
    /// Calls are not counted as the other side counts them.
    LimiterWindows,
    /// A breaker stays as it is, or moves for the wrong reason.
    BreakerStuck,
    /// What was done is not undone.
    CompensationForgotten,
    /// A report is acknowledged, and then lost.
    ReportAckedTooEarly,
    /// What was acknowledged does not survive a power cut.
    Durability,
    /// One bad order harms the others.
    OneBadOrder,
    /// One seller's orders hold up another's.
    Fairness,
}

impl Family {
    /// All families, in the order of tables.
    pub const ALL: &'static [Family] = &[
        Family::Idempotency,
        Family::OutboxOrder,
        Family::DedupeWindow,
        Family::RetryClass,
        Family::TimeOutTakenForFailure,
        Family::LostWakeUp,
        Family::TransactionBorder,
        Family::StaleRead,
        Family::LeaseAndFencing,
        Family::ClockAndMidnight,
        Family::LimiterWindows,
        Family::BreakerStuck,
        Family::CompensationForgotten,
        Family::ReportAckedTooEarly,
        Family::Durability,
        Family::OneBadOrder,
        Family::Fairness,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Family::Idempotency => "idempotency",
            Family::OutboxOrder => "order of outbox and state",
            Family::DedupeWindow => "dedupe window",
            Family::RetryClass => "retry class",
            Family::TimeOutTakenForFailure => "time-out taken for failure",
            Family::LostWakeUp => "lost wake-up after restart",
            Family::TransactionBorder => "transaction border",
            Family::StaleRead => "stale read",
            Family::LeaseAndFencing => "lease and fencing",
            Family::ClockAndMidnight => "clock and midnight",
            Family::LimiterWindows => "limiter windows",
            Family::BreakerStuck => "breaker stuck",
            Family::CompensationForgotten => "compensation forgotten",
            Family::ReportAckedTooEarly => "report acknowledged too early",
            Family::Durability => "durability",
            Family::OneBadOrder => "one bad order",
            Family::Fairness => "fairness between sellers",
        }
    }
}

/// One planted bug.
pub struct Sabotage {
    /// Its name after `--sabotage`.
    pub name: &'static str,
    /// What sort of mistake it is.
    pub family: Family,
    /// What is broken, and why a real team writes it so.
    pub why: &'static str,
    /// The promise that must fall.
    pub breaks: &'static str,
    /// Drills of the catalogue in which it falls, the most telling first.
    pub seen_in: &'static [&'static str],
    /// A wrong setting.
    pub settings: fn(&mut Config),
    /// A wrong judgement about orders.
    pub orders: Option<fn() -> Arc<dyn OrderPolicy>>,
    /// A wrong setting of the store.
    pub store: fn(&mut Options),
    /// A wrapped seam or a replaced policy.
    pub seams: fn(&mut Env, &Arc<Config>),
}

impl Sabotage {
    /// A bug that breaks nothing yet; each file overrides one part.
    pub(crate) const NONE: Sabotage = Sabotage {
        name: "",
        family: Family::Idempotency,
        why: "",
        breaks: "",
        seen_in: &[],
        settings: |_| {},
        orders: None,
        store: NO_STORE,
        seams: |_, _| {},
    };
}

/// All of them.
pub const ALL: &[Sabotage] = &[
    no_reconciliation::SABOTAGE,
    new_invoice_on_retry::SABOTAGE,
    limiter_off::SABOTAGE,
    notify_in_transaction::SABOTAGE,
    outbox_dropped::SABOTAGE,
    lease_ignored::SABOTAGE,
    unknown_as_failed::SABOTAGE,
    unknown_as_booked::SABOTAGE,
    synchronous_normal::SABOTAGE,
    synchronous_off::SABOTAGE,
    new_key_on_resend::SABOTAGE,
    key_forgotten_in_header::SABOTAGE,
    one_reference_for_a_bundle::SABOTAGE,
    duplicate_taken_for_failure::SABOTAGE,
    key_outlives_window::SABOTAGE,
    dedupe_by_day::SABOTAGE,
    marked_sent_before_sending::SABOTAGE,
    told_before_booked::SABOTAGE,
    outbox_in_memory::SABOTAGE,
    gives_up_on_4xx::SABOTAGE,
    gives_up_on_maintenance::SABOTAGE,
    gives_up_on_refused_connection::SABOTAGE,
    retries_refusals::SABOTAGE,
    notice_unknown_as_sent::SABOTAGE,
    notice_unknown_as_failed::SABOTAGE,
    blind_resend::SABOTAGE,
    bundle_left_half_booked::SABOTAGE,
    cancel_not_sent::SABOTAGE,
    cancel_forgets_message::SABOTAGE,
    report_acked_before_commit::SABOTAGE,
    retries_in_memory::SABOTAGE,
    claims_for_ever::SABOTAGE,
    interrupted_as_new::SABOTAGE,
    acks_before_commit::SABOTAGE,
    failed_commit_as_done::SABOTAGE,
    call_in_transaction::SABOTAGE,
    reads_before_claim::SABOTAGE,
    cancelled_while_being_booked::SABOTAGE,
    stale_token::SABOTAGE,
    not_found_believed_at_once::SABOTAGE,
    date_of_today::SABOTAGE,
    second_window_only::SABOTAGE,
    limiter_per_process::SABOTAGE,
    permit_ends_at_sending::SABOTAGE,
    counts_by_the_calendar::SABOTAGE,
    pause_kept_to_itself::SABOTAGE,
    breaker_never_closes::SABOTAGE,
    breaker_counts_refusals::SABOTAGE,
    poison_stops_the_lane::SABOTAGE,
    notification_failure_undoes_delivery::SABOTAGE,
    first_come_first_served::SABOTAGE,
];

/// The judgements about orders under a planted bug, or the recommended ones.
pub fn orders(sabotage: Option<&Sabotage>) -> Arc<dyn OrderPolicy> {
    match sabotage.and_then(|sabotage| sabotage.orders) {
        Some(orders) => orders(),
        None => Arc::new(SoundOrders),
    }
}

/// The store's settings under a planted bug, as a change of the recommended ones.
pub fn store(sabotage: Option<&Sabotage>) -> fn(&mut Options) {
    sabotage.map_or(NO_STORE, |sabotage| sabotage.store)
}

/// The store's settings as they are.
const NO_STORE: fn(&mut Options) = |_| {};

/// Seams as they are.
pub const NO_SEAMS: fn(&mut Env, &Arc<Config>) = |_, _| {};

/// Hands for code that calls inside a transaction on purpose.
#[expect(clippy::disallowed_methods, reason = "getting around the proof is the very bug")]
pub(crate) fn second_pair() -> Hands {
    Hands::of_a_new_task()
}

/// The one called `name`.
pub fn named(name: &str) -> Option<&'static Sabotage> {
    ALL.iter().find(|sabotage| sabotage.name == name)
}
