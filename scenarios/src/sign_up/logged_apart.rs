//! Send, log, ask for the result, update, each by itself: the log stays whatever follows.

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::member::Member;
use oms_core::store::{Result, SignedUp, Store};

use super::Form;
use super::desk::{self, Desk, SignsUp, WHOLE, save, save_log};

pub(super) const FORM: Form = Form {
    name: "logged-apart",
    says: "`sendAlimTalkAndSaveLog` without `@Transactional`: the log commits by itself before \
           the gateway is asked for the result. A question that fails changes nothing that is \
           written; a crash before the log still forgets the message.",
    seed: "the third text, sending and logging, mended",
    breaks: &["welcomes-agree"],
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
        let msg_key = desk.send_alim_talk(member).await?;
        save_log(store, member, msg_key, now).await?;
        let reports = desk.ask_for_the_result(member).await?;
        store.record_reports(reports, now).await?;
        Ok(signed_up)
    }
}
