//! What a person does.

use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::{
    Action, Audited, NoticeOutcome, Operated, Operation, ParcelOutcome, Store, Written,
};

use crate::support::{
    at, attention, book, claim, ingest, intend, intent, invoices, notice, notice_put_back,
    notice_state, operate, order_state, parcel, parcel_states, parcels, put_back, refused, sent,
    settle, shipped, told, unknown, view, walked,
};

const BOOKED: Action = Action::Resolve { parcel: None, booked: true };
const NOT_BOOKED: Action = Action::Resolve { parcel: None, booked: false };

fn done(state: OrderState) -> Operated {
    Operated::Done(state)
}

fn is_refused(answer: &Operated, word: &str) -> bool {
    matches!(answer, Operated::Refused(reason) if reason.contains(word))
}

/// An order of two parcels that failed: one was refused, the other's booking undone.
async fn failed_bundle(store: &dyn Store, id: &str) {
    ingest(store, id, 2).await;
    let work = parcels(store, at(0)).await.work;
    book(store, &work[0], at(1)).await;
    intend(store, &work[1], at(1)).await;
    settle(store, &work[1], refused("ORA-01400"), at(1)).await;
    let undoing = parcel(store, at(1)).await;
    settle(store, &undoing, ParcelOutcome::Cancelled, at(2)).await;
    assert_eq!(order_state(store, id).await, OrderState::DeliveryFailed);
}

/// An order of one parcel whose booking nobody can tell of.
async fn parked(store: &dyn Store, id: &str) {
    ingest(store, id, 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(0)).await;
    settle(store, &work, unknown(at(1), at(1)), at(1)).await;
    let asked = parcel(store, at(1)).await;
    settle(store, &asked, attention("nobody can tell"), at(2)).await;
    assert_eq!(order_state(store, id).await, OrderState::Attention);
}

pub async fn a_failed_delivery_is_retried_with_the_same_identity_unless_it_was_undone(
    store: &dyn Store,
) {
    failed_bundle(store, "A").await;
    assert_eq!(operate(store, "A", Action::Retry, at(9)).await, done(OrderState::Accepted));
    let work = parcels(store, at(9)).await.work;
    assert_eq!(work[0].intent, None, "an undone booking needs another identity");
    assert_eq!(work[1].intent, Some(intent(&work[1])), "a refused one was never made");
    assert!(work.iter().all(|work| work.state == ParcelState::Planned && work.attempts == 0));
    for work in &work {
        book(store, work, at(10)).await;
    }
    assert_eq!(order_state(store, "A").await, OrderState::Shipped);
    let walked = walked(store, "A").await;
    assert_eq!(walked[2..], ["delivery-failed", "accepted", "shipped"]);
}

pub async fn a_failed_notification_is_retried(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    told(store, &work, NoticeOutcome::Refused { reason: "A327".to_owned() }, at(2)).await;
    assert_eq!(operate(store, "A", Action::Retry, at(9)).await, done(OrderState::Shipped));
    let work = notice(store, at(9)).await;
    assert_eq!((work.state, work.first_sent_at), (NoticeState::Sending, Some(at(9))));
    told(store, &work, sent("M1"), at(10)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Completed);
}

pub async fn an_unknown_parcel_is_resolved_either_way(store: &dyn Store) {
    parked(store, "A").await;
    assert_eq!(operate(store, "A", BOOKED, at(9)).await, done(OrderState::Shipped));
    assert_eq!(parcel_states(store, "A").await, [ParcelState::Booked]);
    assert_eq!(invoices(&notice(store, at(9)).await), ["INV-A-1"], "the customer is told");

    parked(store, "B").await;
    assert_eq!(operate(store, "B", NOT_BOOKED, at(9)).await, done(OrderState::DeliveryFailed));
    assert_eq!(parcel_states(store, "B").await, [ParcelState::Refused]);
    assert_eq!(view(store, "B").await.parcels[0].unknown_since, None);

    parked(store, "C").await;
    assert_eq!(operate(store, "C", Action::Retry, at(9)).await, done(OrderState::Accepted));
    let again = parcel(store, at(9)).await;
    assert_eq!((again.state, again.intent.clone()), (ParcelState::Planned, Some(intent(&again))));
    let other = Action::Resolve { parcel: Some(2), booked: true };
    assert!(is_refused(&operate(store, "B", other, at(9)).await, "parcel 2"));
}

pub async fn a_cancellation_in_doubt_is_resolved_and_not_retried(store: &dyn Store) {
    for (id, answer, order, parcel_after) in [
        ("A", BOOKED, OrderState::Shipped, ParcelState::Booked),
        ("B", NOT_BOOKED, OrderState::Cancelled, ParcelState::Cancelled),
    ] {
        shipped(store, id).await;
        operate(store, id, Action::Cancel, at(1)).await;
        let undoing = parcel(store, at(1)).await;
        settle(store, &undoing, put_back(at(5)), at(2)).await;
        let undoing = parcel(store, at(5)).await;
        assert_eq!(undoing.state, ParcelState::Cancelling);
        settle(store, &undoing, attention("no answer"), at(6)).await;
        assert_eq!(order_state(store, id).await, OrderState::Attention);
        assert!(is_refused(&operate(store, id, Action::Retry, at(7)).await, "resolve"));
        assert_eq!(operate(store, id, answer, at(8)).await, done(order));
        assert_eq!(parcel_states(store, id).await, [parcel_after]);
    }
    assert_eq!(notice(store, at(8)).await.key.order, "A", "it is told after all");
    assert_eq!(notice_state(store, "B").await, NoticeState::Withdrawn);
}

pub async fn an_accepted_order_is_called_back_at_once(store: &dyn Store) {
    ingest(store, "A", 2).await;
    let claimed = parcels(store, at(0)).await;
    assert_eq!(operate(store, "A", Action::Cancel, at(1)).await, done(OrderState::Cancelled));
    assert_eq!(walked(store, "A").await, ["received", "accepted", "cancelling", "cancelled"]);
    let late = ParcelOutcome::Intended(intent(&claimed.work[0]));
    let written = store.settle_parcel(&claimed.work[0], late, at(2)).await.unwrap();
    assert_eq!(written, Written::Fenced);
    assert_eq!(parcels(store, at(999)).await.next_due, None);

    ingest(store, "B", 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(0)).await;
    assert_eq!(operate(store, "B", Action::Cancel, at(1)).await, done(OrderState::Cancelling));
    settle(store, &work, ParcelOutcome::Booked, at(2)).await;
    let undoing = parcel(store, at(2)).await;
    assert_eq!(undoing.state, ParcelState::Cancelling, "booked meanwhile, so undone");
    settle(store, &undoing, ParcelOutcome::Cancelled, at(3)).await;
    assert_eq!(order_state(store, "B").await, OrderState::Cancelled);
}

pub async fn an_order_that_cannot_be_called_back_any_more_is_told_after_all(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(0)).await;
    operate(store, "A", Action::Cancel, at(1)).await;
    settle(store, &work, ParcelOutcome::Booked, at(2)).await;
    let undoing = parcel(store, at(2)).await;
    settle(store, &undoing, ParcelOutcome::PickedUp, at(3)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Shipped, "not completed: nobody knows");
    told(store, &notice(store, at(3)).await, sent("M1"), at(4)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Completed);
}

pub async fn a_shipped_order_is_called_back_parcel_by_parcel(store: &dyn Store) {
    ingest(store, "A", 2).await;
    for work in parcels(store, at(0)).await.work {
        book(store, &work, at(0)).await;
    }
    assert_eq!(operate(store, "A", Action::Cancel, at(1)).await, done(OrderState::Cancelling));
    let undoing = parcels(store, at(1)).await.work;
    assert_eq!(undoing.len(), 2);
    settle(store, &undoing[0], ParcelOutcome::Cancelled, at(2)).await;
    settle(store, &undoing[1], ParcelOutcome::PickedUp, at(2)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Attention, "half of it is under way");
    let again = operate(store, "A", Action::Retry, at(3)).await;
    assert_eq!(again, done(OrderState::Accepted));
    let held = store.claim_notices(claim("w1", at(3))).await.unwrap();
    assert!(held.work.is_empty(), "nothing is told before all of it is booked: {held:?}");
    let work = parcel(store, at(3)).await;
    assert_eq!((work.key.number, work.intent.clone()), (1, None));
    book(store, &work, at(4)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Shipped);
    assert_eq!(invoices(&notice(store, at(4)).await).len(), 2);
}

pub async fn an_order_whose_message_is_being_sent_is_not_called_back(store: &dyn Store) {
    shipped(store, "A").await;
    notice(store, at(1)).await;
    assert!(is_refused(&operate(store, "A", Action::Cancel, at(2)).await, "being sent"));
    let later = operate(store, "A", Action::Cancel, at(31)).await;
    assert!(
        is_refused(&later, "under way"),
        "its worker did not come back, its request may: {later:?}"
    );
    let asked = notice(store, at(32)).await;
    told(store, &asked, NoticeOutcome::Sent { msg_key: None }, at(33)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Completed);
}

pub async fn an_order_whose_message_was_certainly_not_sent_is_called_back(store: &dyn Store) {
    shipped(store, "A").await;
    let tried = notice(store, at(1)).await;
    told(store, &tried, notice_put_back(at(9)), at(2)).await;
    let answer = operate(store, "A", Action::Cancel, at(3)).await;
    assert_eq!(answer, done(OrderState::Cancelling));
}

pub async fn what_the_state_does_not_allow_is_refused(store: &dyn Store) {
    for action in [Action::Retry, Action::Cancel, BOOKED] {
        assert_eq!(operate(store, "nobody", action, at(1)).await, Operated::NotFound);
    }
    ingest(store, "A", 1).await;
    let before = store.rows().await.unwrap();
    for action in [Action::Retry, BOOKED, NOT_BOOKED] {
        let answer = operate(store, "A", action.clone(), at(1)).await;
        assert!(matches!(answer, Operated::Refused(_)), "{action:?}: {answer:?}");
    }
    assert_eq!(store.rows().await.unwrap(), before);
    operate(store, "A", Action::Cancel, at(1)).await;
    assert!(is_refused(&operate(store, "A", Action::Cancel, at(2)).await, "cancelled"));
}

pub async fn the_same_operation_again_gets_the_same_answer(store: &dyn Store) {
    failed_bundle(store, "A").await;
    for _ in 0..3 {
        assert_eq!(operate(store, "A", Action::Retry, at(9)).await, done(OrderState::Accepted));
    }
    assert_eq!(walked(store, "A").await.len(), 4, "done once");
    assert!(is_refused(&operate(store, "A", Action::Retry, at(10)).await, "accepted"));
}

pub async fn each_action_is_in_the_audit_with_who_when_what_and_its_answer(store: &dyn Store) {
    failed_bundle(store, "A").await;
    parked(store, "B").await;
    let act = async |order: &str, action, by: &str, seconds| {
        let (order, by) = (order.to_owned(), by.to_owned());
        store.operate(Operation { order, action, by, now: at(seconds) }).await.unwrap()
    };
    act("B", Action::Resolve { parcel: Some(1), booked: false }, "lee", 10).await;
    act("A", Action::Retry, "kim", 11).await;
    act("A", Action::Retry, "kim", 11).await;
    act("A", Action::Cancel, "park", 12).await;
    act("A", Action::Cancel, "kim", 13).await;
    act("nobody", Action::Cancel, "kim", 14).await;
    let rows = store.audit(None, 100).await.unwrap();
    let told = |row: &Audited| {
        let Audited { at, order, action, by, answer } = row.clone();
        (at, order, action, by, answer.split(':').next().unwrap_or_default().to_owned())
    };
    let row = |seconds, order: &str, action: &str, by: &str, answer: &str| {
        (at(seconds), order.to_owned(), action.to_owned(), by.to_owned(), answer.to_owned())
    };
    let expected = [
        row(13, "A", "cancel", "kim", "refused"),
        row(12, "A", "cancel", "park", "cancelled"),
        row(11, "A", "retry", "kim", "accepted"),
        row(10, "B", "resolve parcel 1 not-booked", "lee", "delivery-failed"),
    ];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected);
    let of_b = store.audit(Some("B".to_owned()), 100).await.unwrap();
    assert_eq!(of_b, rows[3..]);
    assert_eq!(store.audit(None, 1).await.unwrap(), rows[..1]);
}
