//! Another service writes to the very same database through a connection of its own: what it wrote
//! is not rolled back with ours.

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::member::Member;
use oms_core::store::{MemberPart, Result, SignedUp, Store};

use super::Form;
use super::desk::{self, Desk, SignsUp, begin, commit, log, save};
use crate::sabotage::second_pair;

pub(super) const FORM: Form = Form {
    name: "other-service",
    says: "Inside its transaction `signUp` calls another service, which saves the consents in \
           the same database, then sends the message. An exception rolls the member back, and \
           what the other service wrote stays.",
    seed: "the second text, whether an external call is rolled back",
    breaks: &["whole-members", "no-lost-member", "no-io-in-transaction", "everything-settles"],
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
        transaction.keep_member(member, MemberPart::Member, now);
        transaction.keep_member(member, MemberPart::Profile, now);
        save_by_the_other_service(store, member, now).await?;
        let msg_key = desk.send_alim_talk(member).await?;
        log(&mut *transaction, member, msg_key, now);
        commit(transaction).await
    }
}

/// What the other service does when it is called: a transaction of its own, over before it answers.
async fn save_by_the_other_service(
    store: &dyn Store,
    member: &Member,
    now: Timestamp,
) -> Result<SignedUp> {
    save(store, member, &[MemberPart::Consents], now).await
}
