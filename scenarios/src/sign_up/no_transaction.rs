//! Each row is saved by itself: what fails in between leaves half a member.

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::member::Member;
use oms_core::store::{Result, SignedUp, Store};

use super::Form;
use super::desk::{self, Desk, SignsUp, WHOLE, save, save_log};

pub(super) const FORM: Form = Form {
    name: "no-transaction",
    says: "No `@Transactional` at all, or one that a call from within its own class passes by: \
           each `save` commits by itself. What fails between two of them leaves half a member.",
    seed: "the third text, the two traps",
    breaks: &["whole-members", "welcomes-agree"],
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
        for part in WHOLE {
            let saved = save(store, member, &[part], now).await?;
            if saved != SignedUp::Created {
                return Ok(saved);
            }
        }
        let msg_key = desk.send_alim_talk(member).await?;
        save_log(store, member, msg_key, now).await
    }
}
