//! What every store must do: one body of cases against `&dyn Store`, run on every driver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
mod bundles;
mod fairness;
mod faults;
mod groups;
mod ingesting;
mod isolation;
mod members;
mod notices;
mod operator;
mod over_tls;
mod parcels;
mod postgres;
mod pruning;
mod quota;
mod random;
mod reading;
mod reports;
mod support;
mod units_of_work;
mod unreadable;
mod waking;

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/edges.rs"]
mod edges;

use std::sync::Arc;

use clockwork::{Clock, DrillClock};
use oms_core::env::NullObserver;
use oms_core::store::sqlite::{Options, SqliteStore};

fn options() -> Options {
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(support::at(0)));
    Options::new(clock, Arc::new(NullObserver))
}

macro_rules! on_every_driver {
    ($($module:ident { $($case:ident,)+ })+) => {
        mod in_memory {
            use super::*;
            $($(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    super::$module::$case(&SqliteStore::in_memory(options())).await;
                }
            )+)+
        }

        mod in_a_file {
            use super::*;
            $($(
                #[tokio::test]
                async fn $case() {
                    let folder = tempfile::tempdir().unwrap();
                    let path = folder.path().join("oms.db");
                    super::$module::$case(&SqliteStore::open(&path, options()).unwrap()).await;
                }
            )+)+
        }

        mod on_postgres {
            use super::postgres::Database;
            $($(
                #[tokio::test]
                async fn $case() {
                    let Some(database) = Database::fresh().await else { return };
                    super::$module::$case(&database.store().await).await;
                }
            )+)+
        }
    };
}

macro_rules! by_many_at_once {
    ($($case:ident,)+) => {
        mod many_on_a_file {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let folder = tempfile::tempdir().unwrap();
                    let path = folder.path().join("oms.db");
                    let open = || Arc::new(SqliteStore::open(&path, options()).unwrap());
                    isolation::$case(&[open(), open(), open()]).await;
                }
            )+
        }

        mod many_on_postgres {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let Some(database) = postgres::Database::fresh().await else { return };
                    let open = async || Arc::new(database.store().await);
                    isolation::$case(&[open().await, open().await, open().await]).await;
                }
            )+
        }
    };
}

/// Cases that also change the database behind the store's back.
macro_rules! with_a_hand_in_it {
    ($($case:ident,)+) => {
        mod with_a_hand_in_a_file {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let folder = tempfile::tempdir().unwrap();
                    let path = folder.path().join("oms.db");
                    let store = SqliteStore::open(&path, options()).unwrap();
                    unreadable::$case(&store, &unreadable::Hand::InAFile(path)).await;
                }
            )+
        }

        mod with_a_hand_in_postgres {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let Some(database) = postgres::Database::fresh().await else { return };
                    let store = database.store().await;
                    unreadable::$case(&store, &unreadable::Hand::InPostgres(database)).await;
                }
            )+
        }
    };
}

with_a_hand_in_it! {
    a_parcel_whose_order_cannot_be_read_is_put_aside_until_it_is_mended_and_retried,
    a_notice_whose_order_cannot_be_read_is_put_aside_as_if_never_claimed,
    what_was_left_behind_and_cannot_be_read_is_in_doubt_once_it_is_mended,
    a_notice_of_no_order_at_all_keeps_nobody_waiting,
}

by_many_at_once! {
    claimers_at_once_never_get_the_same_row,
    of_two_writers_of_one_row_only_the_heir_is_heard,
    parcels_settled_at_once_ship_their_order_once,
    permits_taken_at_once_are_never_more_than_the_quota,
    what_is_taken_in_at_once_is_kept_once,
    reports_of_the_same_messages_at_once_are_written_once,
    a_person_and_a_worker_at_once_are_both_heard,
    of_two_persons_at_once_one_is_refused_and_both_are_in_the_audit,
}

on_every_driver! {
    fairness {
        each_seller_with_work_gets_an_equal_share_of_a_claim,
        claims_of_one_row_go_round_the_sellers,
        who_waits_is_served_after_at_most_one_of_each_other_seller,
        work_that_is_not_due_takes_no_turn,
        messages_take_turns_as_well,
    }
    ingesting {
        an_order_is_kept_with_its_parcels,
        the_same_order_again_changes_nothing_and_another_content_is_a_conflict,
        a_rejected_order_is_kept_with_its_reason_and_no_work,
    }
    parcels {
        the_oldest_due_is_claimed_first_and_the_next_due_is_told,
        a_leased_parcel_is_not_claimed_again_before_its_lease_ends,
        one_claim_brings_what_nobody_has_had_and_what_was_left_behind,
        a_lease_is_renewed_by_whoever_holds_it_and_by_nobody_else,
        an_intent_is_written_before_the_outcome_and_given_to_whoever_is_next,
        each_outcome_leads_where_the_state_machine_says,
        what_was_put_back_is_due_when_it_says,
        an_intended_parcel_left_behind_becomes_unknown,
        an_unknown_parcel_left_behind_may_have_been_sent_until_then,
        a_booked_parcel_remembers_that_an_earlier_request_may_still_arrive,
        planned_and_cancelling_parcels_left_behind_stay_what_they_are,
        a_worker_that_lost_its_lease_is_fenced_off,
        a_repeated_write_is_answered_as_the_first_and_written_once,
        an_illegal_outcome_is_refused_and_writes_nothing,
        a_parcel_proved_not_booked_is_booked_again_with_the_same_bytes,
        a_reference_that_another_parcel_has_is_refused_by_name,
    }
    bundles {
        a_bundle_ships_with_its_last_parcel_and_its_outbox_row_in_one_commit,
        a_refused_parcel_calls_its_siblings_back_before_the_order_fails,
        a_worker_on_a_parcel_that_is_not_wanted_any_more_is_fenced_off,
        a_parcel_picked_up_before_its_cancellation_goes_to_the_operator,
        the_planned_parcels_of_an_order_in_attention_wait_for_a_person,
    }
    notices {
        a_queued_notice_is_sending_once_claimed_and_sent_completes_the_order,
        a_sending_notice_left_behind_becomes_unknown_and_keeps_its_first_moment,
        one_claim_brings_notices_that_nobody_has_had_and_one_left_behind,
        a_put_back_notice_was_never_sent,
        a_notice_proved_not_sent_is_queued_again,
        a_refused_notice_leaves_the_delivery_alone,
        a_notice_given_up_stays_unknown_and_its_order_is_notify_failed,
        a_notice_of_an_order_that_is_called_back_is_held_and_comes_back,
        an_illegal_outcome_of_a_notice_is_refused,
        notice_writes_are_fenced_and_repeatable,
    }
    reports {
        a_report_is_written_to_its_notice_once,
        a_report_before_its_notice_waits_for_it,
        reports_that_come_together_are_each_written_where_they_belong,
        a_report_proves_an_unknown_notice_sent,
        a_report_that_meets_a_send_under_way_settles_it_later,
        reports_are_awaited_until_they_have_come,
    }
    operator {
        a_failed_delivery_is_retried_with_the_same_identity_unless_it_was_undone,
        a_failed_notification_is_retried,
        an_unknown_parcel_is_resolved_either_way,
        a_cancellation_in_doubt_is_resolved_and_not_retried,
        an_accepted_order_is_called_back_at_once,
        an_order_that_cannot_be_called_back_any_more_is_told_after_all,
        a_shipped_order_is_called_back_parcel_by_parcel,
        an_order_whose_message_is_being_sent_is_not_called_back,
        an_order_whose_message_was_certainly_not_sent_is_called_back,
        what_the_state_does_not_allow_is_refused,
        the_same_operation_again_gets_the_same_answer,
        each_action_is_in_the_audit_with_who_when_what_and_its_answer,
    }
    quota {
        the_tenth_permit_passes_and_the_eleventh_waits,
        a_permit_counts_until_one_window_after_its_call_ended,
        a_permit_that_frees_soon_is_given_in_advance_and_to_one_alone,
        all_windows_hold_at_once,
        a_blocked_quota_waits_and_an_earlier_block_changes_nothing,
        quotas_are_apart_and_permits_are_never_given_twice,
    }
    reading {
        orders_are_listed_by_id_page_by_page_and_by_state,
        a_census_counts_everything,
        what_waits_and_what_is_used_of_a_quota_is_counted,
        rows_tell_everything_in_order,
        workers_are_told_until_they_leave_or_have_long_been_silent,
    }
    pruning {
        an_old_order_at_its_end_is_forgotten_and_known_again,
        what_is_young_or_under_way_is_kept,
        many_are_forgotten_page_by_page,
        members_are_kept,
    }
    members {
        a_member_is_kept_whole_with_its_welcome_in_the_outbox,
        the_same_sign_up_again_changes_nothing_and_another_of_its_id_or_phone_is_refused,
        a_welcome_is_claimed_sent_and_reported_as_any_notification,
        a_welcome_left_behind_is_unknown_and_its_old_holder_is_fenced_off,
        an_operator_has_a_welcome_sent_again_that_failed_and_no_other,
        a_member_and_an_order_of_one_id_are_two_things,
        a_unit_of_work_keeps_the_parts_that_it_is_told_to_all_or_none,
    }
    units_of_work {
        a_unit_of_work_commits_all_of_it_at_its_end,
        a_unit_of_work_that_is_dropped_or_fenced_writes_nothing,
        a_unit_of_work_writes_intent_and_outcome_at_once,
        a_unit_of_work_reads_what_others_have_committed_meanwhile,
        a_unit_of_work_inside_another_stays_when_the_other_rolls_back,
        a_unit_of_work_settles_a_claimed_notice_under_its_lease,
        a_pool_has_so_many_places_and_no_more,
    }
}
