//! The member is saved in a transaction, and the message is sent after it: the member is safe, and
//! nobody remembers a message that was not sent.

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::member::Member;
use oms_core::store::{Result, SignedUp, Store};

use super::Form;
use super::desk::{self, Desk, SignsUp, WHOLE, save, save_log};

pub(super) const FORM: Form = Form {
    name: "apart",
    says: "`UserManager.saveSignUpUser` is the transaction, and `UserService.signUp` sends the \
           message after it. The member stays whatever becomes of the message; a message that \
           fails, or a crash before it, is forgotten.",
    seed: "the third text, the code as it was mended",
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
        if signed_up == SignedUp::Created {
            let msg_key = desk.send_alim_talk(member).await?;
            save_log(store, member, msg_key, now).await?;
        }
        Ok(signed_up)
    }
}
