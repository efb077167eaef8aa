//! The member is saved and the message sent in one transaction: a message that fails takes the member
//! with it.

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::member::Member;
use oms_core::store::{Result, SignedUp, Store};

use super::Form;
use super::desk::{self, Desk, SignsUp, WHOLE, begin, commit, log};
use crate::sabotage::second_pair;

pub(super) const FORM: Form = Form {
    name: "one-transaction",
    says: "`@Transactional` on `signUp`: it saves the member, then sends the welcome message. \
           An exception of the message rolls the member back.",
    seed: "the third text, the code as it was first written",
    breaks: &["no-lost-member", "no-io-in-transaction", "everything-settles"],
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
        let mut hands = second_pair();
        let mut transaction = begin(store, &mut hands).await?;
        for part in WHOLE {
            transaction.keep_member(member, part, now);
        }
        let msg_key = desk.send_alim_talk(member).await?;
        log(&mut *transaction, member, msg_key, now);
        commit(transaction).await
    }
}
