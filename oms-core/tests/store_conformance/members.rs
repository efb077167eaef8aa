//! Sign-ups and their welcome messages.

use oms_core::member::Member;
use oms_core::state::NoticeState;
use oms_core::store::{
    About, Action, DeliveryReport, MemberPart, MemberView, NoticeOutcome, NoticeWork, Operated,
    Operation, SignedUp, Store, Tries, Written,
};

use crate::support::{LEASE, at, claim, hands, order, sent, walked};

pub fn member(id: &str, phone: &str) -> Member {
    let draft = serde_json::json!({
        "id": id, "name": "홍길동", "phone": phone, "age": 30,
        "consents": { "terms": true, "privacy": true },
    });
    serde_json::from_value(draft).unwrap()
}

fn first() -> Member {
    member("MEM-1", "010-1234-5678")
}

async fn view(store: &dyn Store, id: &str) -> MemberView {
    store.member(id).await.unwrap().unwrap()
}

async fn welcome(store: &dyn Store, seconds: u64) -> NoticeWork {
    let mut claimed = store.claim_notices(claim("w1", at(seconds))).await.unwrap();
    assert_eq!(claimed.work.len(), 1);
    claimed.work.remove(0)
}

pub async fn a_member_is_kept_whole_with_its_welcome_in_the_outbox(store: &dyn Store) {
    assert_eq!(store.sign_up(&first(), at(0)).await.unwrap(), SignedUp::Created);
    let kept = view(store, "MEM-1").await;
    assert!(kept.profile);
    assert_eq!(kept.consents, ["marketing", "privacy", "terms"]);
    assert_eq!(kept.notices[0].state, NoticeState::Queued);
    assert_eq!(walked(store, "member:MEM-1:welcome").await, ["queued"]);
    assert_eq!(store.rows().await.unwrap().members, [kept]);
    let census = store.census().await.unwrap();
    assert_eq!((census.members, census.welcomes), (1, 1));
}

pub async fn the_same_sign_up_again_changes_nothing_and_another_of_its_id_or_phone_is_refused(
    store: &dyn Store,
) {
    store.sign_up(&first(), at(0)).await.unwrap();
    let before = store.rows().await.unwrap();
    assert_eq!(store.sign_up(&first(), at(9)).await.unwrap(), SignedUp::Same);
    let same_phone = member("MEM-2", "01012345678");
    assert_eq!(store.sign_up(&same_phone, at(9)).await.unwrap(), SignedUp::Taken);
    let same_id = member("MEM-1", "010-9999-9999");
    assert_eq!(store.sign_up(&same_id, at(9)).await.unwrap(), SignedUp::Taken);
    assert_eq!(store.rows().await.unwrap(), before);
}

pub async fn a_welcome_is_claimed_sent_and_reported_as_any_notification(store: &dyn Store) {
    store.sign_up(&first(), at(0)).await.unwrap();
    let work = welcome(store, 1).await;
    assert_eq!(work.key, first().welcome());
    let About::Member(recipient) = &work.about else { panic!("not about a member") };
    assert_eq!((recipient.name.as_str(), recipient.phone.as_str()), ("홍길동", "01012345678"));
    let written = store.settle_notice(&work, sent("M1"), at(2)).await.unwrap();
    assert_eq!(written, Written::Done);
    assert_eq!(walked(store, "member:MEM-1:welcome").await, ["queued", "sending", "sent"]);
    assert_eq!(store.census().await.unwrap().welcomes, 0);
    assert!(store.awaits_reports(at(0)).await.unwrap());
    let report = DeliveryReport {
        msg_key: "M1".to_owned(),
        reference: work.key.to_string(),
        code: "10000".to_owned(),
        channel: "alimtalk".to_owned(),
        reported_at: Some(at(3)),
    };
    store.record_reports(vec![report], at(4)).await.unwrap();
    let notice = view(store, "MEM-1").await.notices.remove(0);
    assert_eq!(notice.report_code.as_deref(), Some("10000"));
    assert!(!store.awaits_reports(at(0)).await.unwrap());
}

pub async fn a_welcome_left_behind_is_unknown_and_its_old_holder_is_fenced_off(store: &dyn Store) {
    store.sign_up(&first(), at(0)).await.unwrap();
    let late = welcome(store, 1).await;
    let after = 1 + LEASE.as_secs();
    let heir = welcome(store, after).await;
    assert_eq!((heir.state, heir.first_sent_at), (NoticeState::Unknown, Some(at(1))));
    let written = store.settle_notice(&late, sent("M1"), at(after)).await.unwrap();
    assert_eq!(written, Written::Fenced);
    let outcome = NoticeOutcome::Unknown {
        reason: "no answer".to_owned(),
        retry_at: at(after + 5),
        tries: Tries { attempts: 1, rounds: 0 },
    };
    store.settle_notice(&heir, outcome, at(after)).await.unwrap();
    let again = welcome(store, after + 5).await;
    assert_eq!((again.state, again.attempts), (NoticeState::Unknown, 1));
    let given_up = NoticeOutcome::GivenUp { reason: "enough".to_owned() };
    store.settle_notice(&again, given_up, at(after + 6)).await.unwrap();
    assert_eq!(store.census().await.unwrap().welcomes, 0, "at rest, and the member stays");
    assert_eq!(view(store, "MEM-1").await.notices[0].reason.as_deref(), Some("enough"));
}

pub async fn an_operator_has_a_welcome_sent_again_that_failed_and_no_other(store: &dyn Store) {
    let operate = |action, seconds| {
        let (order, by) = ("member:MEM-1".to_owned(), "kim".to_owned());
        store.operate(Operation { order, action, by, now: at(seconds) })
    };
    assert_eq!(operate(Action::Retry, 0).await.unwrap(), Operated::NotFound);
    store.sign_up(&first(), at(0)).await.unwrap();
    let refused = |operated| matches!(operated, Operated::Refused(_));
    assert!(refused(operate(Action::Retry, 1).await.unwrap()), "nothing has failed");
    assert_eq!(operate(Action::Cancel, 1).await.unwrap(), Operated::NotFound);
    let refusal = NoticeOutcome::Refused { reason: "blocked".to_owned() };
    store.settle_notice(&welcome(store, 1).await, refusal, at(2)).await.unwrap();
    for again in [3, 3] {
        assert_eq!(operate(Action::Retry, again).await.unwrap(), Operated::MessageQueued);
    }
    let walk = ["queued", "sending", "refused", "queued", "sending", "sent"];
    assert_eq!(walked(store, "member:MEM-1:welcome").await, walk[..4], "and only once");
    store.settle_notice(&welcome(store, 3).await, sent("M1"), at(4)).await.unwrap();
    assert_eq!(walked(store, "member:MEM-1:welcome").await, walk);
    assert!(refused(operate(Action::Retry, 5).await.unwrap()), "it was sent");
}

pub async fn a_member_and_an_order_of_one_id_are_two_things(store: &dyn Store) {
    store.ingest(&order("MEM-1", 1), None, at(0)).await.unwrap();
    store.sign_up(&first(), at(0)).await.unwrap();
    assert!(store.order("MEM-1").await.unwrap().unwrap().notices.is_empty());
    assert_eq!(view(store, "MEM-1").await.notices.len(), 1);
    assert!(store.order("member:MEM-1").await.unwrap().is_none());
}

pub async fn a_unit_of_work_keeps_the_parts_that_it_is_told_to_all_or_none(store: &dyn Store) {
    let mut hands = hands();
    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.keep_member(&first(), MemberPart::Member, at(0));
    assert!(store.member("MEM-1").await.unwrap().is_none(), "nothing before the end");
    drop(unit);
    assert!(store.member("MEM-1").await.unwrap().is_none(), "rolled back");

    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.keep_member(&first(), MemberPart::Member, at(0));
    assert_eq!(unit.commit().await.unwrap(), Written::Done);
    let half = view(store, "MEM-1").await;
    assert!(!half.profile && half.consents.is_empty() && half.notices.is_empty());

    let mut unit = store.begin(&mut hands).await.unwrap();
    let other = member("MEM-2", "010-2222-2222");
    unit.keep_member(&other, MemberPart::Member, at(1));
    unit.keep_member(&member("MEM-3", "01012345678"), MemberPart::Member, at(1));
    assert_eq!(unit.commit().await.unwrap(), Written::Fenced, "the phone number is taken");
    assert!(store.member("MEM-2").await.unwrap().is_none(), "all or nothing");

    let mut unit = store.begin(&mut hands).await.unwrap();
    for part in MemberPart::ALL {
        unit.keep_member(&first(), part, at(2));
    }
    assert_eq!(unit.commit().await.unwrap(), Written::Done);
    let whole = view(store, "MEM-1").await;
    assert!(whole.profile && whole.consents.len() == 3 && whole.notices.len() == 1);
}
