//! What the forms have in common: the gateway's client, and a transaction of one's own.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::call::{Context, Outcome, Tenure};
use oms_core::config::Config;
use oms_core::env::{Env, Hands};
use oms_core::member::Member;
use oms_core::messenger::Messenger;
use oms_core::state::NoticeState;
use oms_core::store::{
    About, DeliveryReport, Error, Lease, MemberPart, NoticeOutcome, NoticeWork, Recipient, Result,
    SignedUp, Store, UnitOfWork, Written,
};

use crate::sabotage::second_pair;
use crate::sabotage::tapped_store::{Tap, TappedStore};

/// What of a member the shop's own tables hold.
pub(super) const WHOLE: [MemberPart; 3] =
    [MemberPart::Member, MemberPart::Profile, MemberPart::Consents];

/// `signUp` as a form has it.
#[async_trait]
pub(super) trait SignsUp: Send + Sync + Sized {
    /// Keeps `member`, whom nobody knows yet, and welcomes it.
    async fn sign_up(
        &self,
        desk: &Desk<Self>,
        store: &dyn Store,
        member: &Member,
        now: Timestamp,
    ) -> Result<SignedUp>;
}

/// A form at work.
pub(super) struct Desk<F> {
    messenger: Messenger,
    form: F,
}

/// Puts `form` in place of the store's own.
pub(super) fn open<F: SignsUp + 'static>(form: F, env: &mut Env, config: &Arc<Config>) {
    let desk = Desk { messenger: Messenger::new(env, config), form };
    env.store = Arc::new(TappedStore::new(env.store.clone(), desk));
}

#[async_trait]
impl<F: SignsUp> Tap for Desk<F> {
    async fn sign_up(
        &self,
        store: &dyn Store,
        member: &Member,
        now: Timestamp,
    ) -> Result<SignedUp> {
        // `validateUserInput`: "already a member" is all that it finds.
        if store.member(&member.id).await?.is_some() {
            return Ok(SignedUp::Same);
        }
        self.form.sign_up(self, store, member, now).await
    }
}

impl<F> Desk<F> {
    /// `sendAlimTalk`: the gateway's key of the message. All but a plain success is an exception.
    pub(super) async fn send_alim_talk(&self, member: &Member) -> Result<Option<String>> {
        let notice = NoticeWork {
            key: member.welcome(),
            about: About::Member(Recipient {
                name: member.name.clone(),
                phone: member.phone.clone(),
            }),
            state: NoticeState::Sending,
            lease: Lease { worker: String::new(), token: 0, until: Timestamp::MAX },
            attempts: 0,
            rounds: 0,
            first_sent_at: None,
        };
        let context = Context { key: notice.key.to_string(), tenure: Tenure::for_ever() };
        match self.messenger.send(&second_pair(), &context, &notice).await {
            Outcome::Done(msg_key) => Ok(msg_key),
            // It had the message before.
            Outcome::Duplicate => Ok(None),
            other => Err(exception(format!("message {}", other.name()))),
        }
    }

    /// `getSentAlimTalkMsgStatus`: what the gateway says by now of what became of messages.
    pub(super) async fn ask_for_the_result(&self, member: &Member) -> Result<Vec<DeliveryReport>> {
        let key = member.welcome().to_string();
        let context = Context { key: key.clone(), tenure: Tenure::for_ever() };
        match self.messenger.poll_reports(&second_pair(), &context).await {
            Outcome::Done(batch) => {
                let reports = batch.into_iter().flat_map(|batch| batch.reports);
                Ok(reports.filter(|report| report.reference == key).collect())
            }
            other => Err(exception(format!("status {}", other.name()))),
        }
    }
}

/// What leaves the method: the transaction around it is dropped, and rolls back. It is no answer
/// that a caller should try again.
pub(super) fn exception(reason: impl Into<String>) -> Error {
    Error::Engine { op: "sign-up", reason: reason.into() }
}

/// `@Transactional`: a connection from the pool, and a transaction on it.
pub(super) async fn begin<'h>(
    store: &dyn Store,
    hands: &'h mut Hands,
) -> Result<Box<dyn UnitOfWork + 'h>> {
    store.begin(hands).await.map_err(|error| match error {
        Error::Busy { .. } => exception("no connection of the pool became free in time"),
        error => error,
    })
}

/// `parts` of `member` in a transaction of their own.
pub(super) async fn save(
    store: &dyn Store,
    member: &Member,
    parts: &[MemberPart],
    now: Timestamp,
) -> Result<SignedUp> {
    let mut hands = second_pair();
    let mut transaction = begin(store, &mut hands).await?;
    for part in parts {
        transaction.keep_member(member, *part, now);
    }
    commit(transaction).await
}

/// `AlimTalkLog`: that the message was sent, in the transaction that is open.
pub(super) fn log(
    transaction: &mut dyn UnitOfWork,
    member: &Member,
    msg_key: Option<String>,
    now: Timestamp,
) {
    transaction.keep_member(member, MemberPart::Welcome, now);
    transaction.settle_notice(&member.welcome(), None, NoticeOutcome::Sent { msg_key }, now);
}

/// The same in a transaction of its own.
pub(super) async fn save_log(
    store: &dyn Store,
    member: &Member,
    msg_key: Option<String>,
    now: Timestamp,
) -> Result<SignedUp> {
    let mut hands = second_pair();
    let mut transaction = begin(store, &mut hands).await?;
    log(&mut *transaction, member, msg_key, now);
    commit(transaction).await
}

/// The end of the method, which commits.
pub(super) async fn commit(transaction: Box<dyn UnitOfWork + '_>) -> Result<SignedUp> {
    Ok(match transaction.commit().await? {
        Written::Done => SignedUp::Created,
        Written::Fenced => SignedUp::Taken,
    })
}
