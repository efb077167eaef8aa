//! Send, log, ask for the result, update, all in one transaction: a question that fails takes the log
//! of a message with it that was sent.

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::member::Member;
use oms_core::store::{Result, SignedUp, Store};

use super::Form;
use super::desk::{self, Desk, SignsUp, WHOLE, begin, commit, log, save};
use crate::sabotage::second_pair;

pub(super) const FORM: Form = Form {
    name: "logged-in-one-transaction",
    says: "`@Transactional` on `sendAlimTalkAndSaveLog`: send, log, ask the gateway for the \
           result, update the log. A question that fails rolls the log back, and the message is \
           out.",
    seed: "the third text, sending and logging",
    breaks: &["welcomes-agree", "no-io-in-transaction"],
    seams: |env, config| desk::open(SignUp, env, config),
};

struct SignUp;

#[async_trait]
impl SignsUp for SignUp {
    async fn sign_up(
        &self,
        desk: &Desk<Self>,
        store: &dyn Store,
        member: &Member,
        now: Timestamp,
    ) -> Result<SignedUp> {
        let signed_up = save(store, member, &WHOLE, now).await?;
        if signed_up != SignedUp::Created {
            return Ok(signed_up);
        }
        let mut hands = second_pair();
        let mut transaction = begin(store, &mut hands).await?;
        let msg_key = desk.send_alim_talk(member).await?;
        log(&mut *transaction, member, msg_key, now);
        let reports = desk.ask_for_the_result(member).await?;
        commit(transaction).await?;
        // The update, which SQLite writes apart from what a unit of work holds.
        store.record_reports(reports, now).await?;
        Ok(signed_up)
    }
}
