//! Claims and outcomes of notifications.

use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::{Action, Error, NoticeOutcome, ParcelOutcome, Store, Written};

use crate::support::{
    at, claim, notice, notice_put_back, notice_state, notice_unknown, operate, order_of,
    order_state, parcel, parcel_states, sent, settle, shipped, told, view, walked,
};

pub async fn a_queued_notice_is_sending_once_claimed_and_sent_completes_the_order(
    store: &dyn Store,
) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    assert_eq!(work.state, NoticeState::Sending);
    assert_eq!(work.first_sent_at, Some(at(1)));
    assert_eq!(order_of(&work).customer.phone, "01012345678");
    assert_eq!(notice_state(store, "A").await, NoticeState::Sending);
    told(store, &work, sent("M1"), at(2)).await;
    let view = view(store, "A").await;
    assert_eq!(view.state, OrderState::Completed);
    assert_eq!(view.notices[0].msg_key.as_deref(), Some("M1"));
    assert_eq!(walked(store, "A:shipped").await, ["queued", "sending", "sent"]);
    assert_eq!(store.claim_notices(claim("w1", at(999))).await.unwrap().next_due, None);
}

pub async fn a_sending_notice_left_behind_becomes_unknown_and_keeps_its_first_moment(
    store: &dyn Store,
) {
    shipped(store, "A").await;
    notice(store, at(1)).await;
    let claimed = store.claim_notices(claim("w2", at(31))).await.unwrap();
    assert_eq!(claimed.taken, [("A:shipped".to_owned(), "sending".to_owned())]);
    let work = &claimed.work[0];
    assert_eq!((work.state, work.first_sent_at), (NoticeState::Unknown, Some(at(1))));
    told(store, work, notice_unknown(at(40)), at(32)).await;
    let again = notice(store, at(40)).await;
    assert_eq!((again.state, again.first_sent_at), (NoticeState::Unknown, Some(at(1))));
    assert_eq!(again.attempts, 1);
    told(store, &again, NoticeOutcome::Sent { msg_key: None }, at(41)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Completed);
    assert_eq!(walked(store, "A:shipped").await, ["queued", "sending", "unknown", "sent"]);
}

pub async fn one_claim_brings_notices_that_nobody_has_had_and_one_left_behind(store: &dyn Store) {
    shipped(store, "A").await;
    notice(store, at(1)).await;
    shipped(store, "B").await;
    let claimed = store.claim_notices(claim("w2", at(31))).await.unwrap();
    let mut states: Vec<_> =
        claimed.work.iter().map(|work| (work.key.to_string(), work.state)).collect();
    states.sort();
    let expected = [("A:shipped", NoticeState::Unknown), ("B:shipped", NoticeState::Sending)];
    assert_eq!(states, expected.map(|(key, state)| (key.to_owned(), state)));
    assert_eq!(claimed.taken, [("A:shipped".to_owned(), "sending".to_owned())]);
    assert_eq!(claimed.next_due, Some(at(61)), "both are leased");
    for (work, key) in claimed.work.iter().zip(["A:shipped", "B:shipped"]) {
        told(store, work, sent(key), at(32)).await;
    }
    assert_eq!(walked(store, "A:shipped").await, ["queued", "sending", "unknown", "sent"]);
    assert_eq!(walked(store, "B:shipped").await, ["queued", "sending", "sent"]);
}

pub async fn a_put_back_notice_was_never_sent(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    told(store, &work, notice_put_back(at(9)), at(2)).await;
    assert!(store.claim_notices(claim("w1", at(8))).await.unwrap().work.is_empty());
    let again = notice(store, at(9)).await;
    assert_eq!(again.state, NoticeState::Sending, "given back, so not unknown");
    assert_eq!(again.first_sent_at, Some(at(9)), "the earlier one never went out");
    assert_eq!(again.attempts, 1);
}

pub async fn a_notice_proved_not_sent_is_queued_again(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    told(store, &work, notice_unknown(at(5)), at(2)).await;
    let asked = notice(store, at(5)).await;
    let proof = NoticeOutcome::NotSent { reason: "asked".to_owned(), retry_at: at(7) };
    told(store, &asked, proof, at(6)).await;
    assert_eq!(notice_state(store, "A").await, NoticeState::Queued);
    let again = notice(store, at(7)).await;
    assert_eq!((again.state, again.first_sent_at), (NoticeState::Sending, Some(at(7))));
    assert_eq!((again.attempts, again.rounds), (0, 1));
}

pub async fn a_refused_notice_leaves_the_delivery_alone(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    told(store, &work, NoticeOutcome::Refused { reason: "A327".to_owned() }, at(2)).await;
    let view = view(store, "A").await;
    assert_eq!((view.state, view.reason.as_deref()), (OrderState::NotifyFailed, Some("A327")));
    assert_eq!(view.parcels[0].state, ParcelState::Booked);
    assert_eq!(view.notices[0].state, NoticeState::Refused);
}

pub async fn a_notice_given_up_stays_unknown_and_its_order_is_notify_failed(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    told(store, &work, notice_unknown(at(5)), at(2)).await;
    let asked = notice(store, at(5)).await;
    told(store, &asked, NoticeOutcome::GivenUp { reason: "too late".to_owned() }, at(6)).await;
    assert_eq!(notice_state(store, "A").await, NoticeState::Unknown);
    let view = view(store, "A").await;
    assert_eq!((view.state, view.reason.as_deref()), (OrderState::NotifyFailed, Some("too late")));
    assert_eq!(store.claim_notices(claim("w1", at(999))).await.unwrap().next_due, None);
}

pub async fn a_notice_of_an_order_that_is_called_back_is_held_and_comes_back(store: &dyn Store) {
    shipped(store, "A").await;
    operate(store, "A", Action::Cancel, at(1)).await;
    let held = store.claim_notices(claim("w1", at(999))).await.unwrap();
    assert!(held.work.is_empty() && held.next_due.is_none(), "held, and nobody is woken: {held:?}");
    let undoing = parcel(store, at(1)).await;
    settle(store, &undoing, ParcelOutcome::PickedUp, at(2)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Shipped);
    told(store, &notice(store, at(2)).await, sent("M1"), at(3)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Completed);

    shipped(store, "B").await;
    let work = notice(store, at(0)).await;
    told(store, &work, notice_put_back(at(5)), at(1)).await;
    operate(store, "B", Action::Cancel, at(2)).await;
    let undoing = parcel(store, at(2)).await;
    settle(store, &undoing, ParcelOutcome::Cancelled, at(3)).await;
    assert_eq!(order_state(store, "B").await, OrderState::Cancelled);
    assert_eq!(notice_state(store, "B").await, NoticeState::Withdrawn);
    assert_eq!(parcel_states(store, "B").await, [ParcelState::Cancelled]);
    assert_eq!(store.claim_notices(claim("w1", at(999))).await.unwrap().next_due, None);
}

pub async fn an_illegal_outcome_of_a_notice_is_refused(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    let before = store.rows().await.unwrap();
    let reason = "why".to_owned();
    let illegal = [
        NoticeOutcome::NotSent { reason: reason.clone(), retry_at: at(9) },
        NoticeOutcome::GivenUp { reason: reason.clone() },
    ];
    for outcome in illegal {
        let written = store.settle_notice(&work, outcome, at(2)).await;
        assert!(matches!(written, Err(Error::Corrupt { .. })), "{written:?}");
    }
    assert_eq!(store.rows().await.unwrap(), before);
    told(store, &work, notice_unknown(at(5)), at(2)).await;
    let asked = notice(store, at(5)).await;
    let written = store.settle_notice(&asked, NoticeOutcome::Refused { reason }, at(6)).await;
    assert!(matches!(written, Err(Error::Corrupt { .. })), "an unknown one may have been sent");
}

pub async fn notice_writes_are_fenced_and_repeatable(store: &dyn Store) {
    shipped(store, "A").await;
    let asleep = notice(store, at(1)).await;
    let heir = notice(store, at(31)).await;
    let late = store.settle_notice(&asleep, sent("M1"), at(32)).await.unwrap();
    assert_eq!(late, Written::Fenced);
    for _ in 0..3 {
        told(store, &heir, sent("M2"), at(33)).await;
    }
    assert_eq!(walked(store, "A:shipped").await, ["queued", "sending", "unknown", "sent"]);
    assert_eq!(walked(store, "A").await.last().unwrap(), "completed");
    let other = store.settle_notice(&heir, notice_put_back(at(40)), at(34)).await.unwrap();
    assert_eq!(other, Written::Fenced);
}
