//! What the gateway tells later.

use oms_core::state::{NoticeState, OrderState};
use oms_core::store::{DeliveryReport, NoticeOutcome, Store};

use crate::members::member;
use crate::support::{
    at, claim, notice, notice_state, notice_unknown, order_state, sent, shipped, told, view, walked,
};

fn report(reference: &str, msg_key: &str, code: &str) -> DeliveryReport {
    DeliveryReport {
        msg_key: msg_key.to_owned(),
        reference: reference.to_owned(),
        code: code.to_owned(),
        channel: "alimtalk".to_owned(),
        reported_at: Some(at(50)),
    }
}

async fn completed(store: &dyn Store, id: &str) {
    shipped(store, id).await;
    told(store, &notice(store, at(1)).await, sent("M1"), at(2)).await;
}

pub async fn a_report_is_written_to_its_notice_once(store: &dyn Store) {
    completed(store, "A").await;
    let first = report("A:shipped", "M1", "10000");
    store.record_reports(vec![first.clone(), first.clone()], at(60)).await.unwrap();
    let written = view(store, "A").await;
    let notice = &written.notices[0];
    assert_eq!(notice.report_code.as_deref(), Some("10000"));
    assert_eq!(notice.report_channel.as_deref(), Some("alimtalk"));
    let redelivered = vec![report("A:shipped", "M1", "63018"), report("A:shipped", "M9", "63018")];
    store.record_reports(redelivered, at(70)).await.unwrap();
    assert_eq!(view(store, "A").await, written, "neither a repeat nor another message's");
}

pub async fn a_report_before_its_notice_waits_for_it(store: &dyn Store) {
    let early = report("A:shipped", "M1", "10000");
    store.record_reports(vec![early.clone(), early], at(0)).await.unwrap();
    store.record_reports(vec![report("nonsense", "M7", "10000")], at(0)).await.unwrap();
    completed(store, "A").await;
    let view = view(store, "A").await;
    assert_eq!(view.notices[0].report_code.as_deref(), Some("10000"));
    assert!(!store.awaits_reports(at(0)).await.unwrap());
}

pub async fn reports_that_come_together_are_each_written_where_they_belong(store: &dyn Store) {
    completed(store, "A").await;
    shipped(store, "B").await;
    let open = notice(store, at(3)).await;
    told(store, &open, notice_unknown(at(100)), at(4)).await;
    store.sign_up(&member("MEM-1", "01012345678"), at(5)).await.unwrap();
    told(store, &notice(store, at(5)).await, sent("M3"), at(6)).await;
    let together = vec![
        report("A:shipped", "M9", "63018"),
        report("C:shipped", "M4", "10000"),
        report("nonsense", "M7", "10000"),
        report("B:shipped", "M2", "10000"),
        report("A:shipped", "M1", "10000"),
        report("member:MEM-1:welcome", "M3", "63018"),
        report("C:shipped", "M4", "63018"),
        report("A:shipped", "M1", "63018"),
        report("A:unheard-of", "M8", "10000"),
    ];
    store.record_reports(together, at(60)).await.unwrap();
    let welcome = store.member("MEM-1").await.unwrap().unwrap().notices.remove(0);
    let a = view(store, "A").await.notices.remove(0);
    let b = view(store, "B").await.notices.remove(0);
    let codes = [a, b, welcome].map(|notice| notice.report_code.unwrap());
    assert_eq!(codes, ["10000", "10000", "63018"]);
    assert_eq!(order_state(store, "B").await, OrderState::Completed, "it proves that it was sent");
    shipped(store, "C").await;
    told(store, &notice(store, at(61)).await, sent("M4"), at(62)).await;
    let early = view(store, "C").await.notices.remove(0);
    assert_eq!(early.report_code.as_deref(), Some("10000"), "the first of two that came early");
}

pub async fn a_report_proves_an_unknown_notice_sent(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    told(store, &work, notice_unknown(at(100)), at(2)).await;
    store.record_reports(vec![report("A:shipped", "M1", "10000")], at(60)).await.unwrap();
    assert_eq!(notice_state(store, "A").await, NoticeState::Sent);
    assert_eq!(order_state(store, "A").await, OrderState::Completed);
    assert_eq!(view(store, "A").await.notices[0].msg_key.as_deref(), Some("M1"));
    assert_eq!(store.claim_notices(claim("w1", at(999))).await.unwrap().next_due, None);
    assert_eq!(walked(store, "A:shipped").await, ["queued", "sending", "unknown", "sent"]);

    shipped(store, "B").await;
    let work = notice(store, at(1)).await;
    told(store, &work, notice_unknown(at(5)), at(2)).await;
    let asked = notice(store, at(5)).await;
    told(store, &asked, NoticeOutcome::GivenUp { reason: "late".to_owned() }, at(6)).await;
    store.record_reports(vec![report("B:shipped", "M2", "10000")], at(60)).await.unwrap();
    assert_eq!(notice_state(store, "B").await, NoticeState::Sent, "given up, and yet sent");
    assert_eq!(order_state(store, "B").await, OrderState::NotifyFailed, "a person has it now");
}

pub async fn a_report_that_meets_a_send_under_way_settles_it_later(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    store.record_reports(vec![report("A:shipped", "M1", "10000")], at(2)).await.unwrap();
    assert_eq!(notice_state(store, "A").await, NoticeState::Sending, "its worker is still at it");
    told(store, &work, notice_unknown(at(9)), at(3)).await;
    assert_eq!(notice_state(store, "A").await, NoticeState::Sent, "the reply was lost, not it");
    assert_eq!(order_state(store, "A").await, OrderState::Completed);
}

pub async fn reports_are_awaited_until_they_have_come(store: &dyn Store) {
    assert!(!store.awaits_reports(at(0)).await.unwrap());
    shipped(store, "A").await;
    assert!(!store.awaits_reports(at(0)).await.unwrap(), "nothing is sent yet");
    told(store, &notice(store, at(1)).await, sent("M1"), at(2)).await;
    assert!(store.awaits_reports(at(1)).await.unwrap());
    assert!(!store.awaits_reports(at(2)).await.unwrap(), "not sent after that");
    store.record_reports(vec![report("A:shipped", "M1", "63018")], at(60)).await.unwrap();
    assert!(!store.awaits_reports(at(1)).await.unwrap());
    shipped(store, "B").await;
    told(store, &notice(store, at(70)).await, notice_unknown(at(99)), at(71)).await;
    assert!(store.awaits_reports(at(69)).await.unwrap(), "only its report may ever tell");
    assert!(!store.awaits_reports(at(70)).await.unwrap(), "not sent after that");
    store.record_reports(vec![report("B:shipped", "M2", "10000")], at(80)).await.unwrap();
    assert!(!store.awaits_reports(at(69)).await.unwrap());
}
