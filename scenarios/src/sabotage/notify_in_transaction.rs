//! The message is sent inside the transaction that records the booking.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::call::{Context, Outcome, Tenure};
use oms_core::messenger::Messenger;
use oms_core::saga::SHIPPED;
use oms_core::state::NoticeState;
use oms_core::store::{
    About, Error, NoticeKey, NoticeOutcome, NoticeWork, ParcelOutcome, ParcelWork, Result, Store,
    Written,
};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage, second_pair};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "notify-in-transaction",
    family: Family::TransactionBorder,
    why: "the seed's `@Transactional` around both: the message fails, and the booking's record is \
          rolled back with it",
    breaks: "no-io-in-transaction",
    seen_in: &["gateway-down"],
    seams: |env, config| {
        let messenger = Messenger::new(env, config);
        let tap = TellsInside { messenger };
        env.store = Arc::new(TappedStore::new(env.store.clone(), tap));
    },
    ..Sabotage::NONE
};

struct TellsInside {
    messenger: Messenger,
}

#[async_trait]
impl Tap for TellsInside {
    async fn settle_parcel(
        &self,
        store: &dyn Store,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let single = work.order.parcels() == 1;
        let Some(intent) = work.intent.as_ref().filter(|_| single) else {
            return store.settle_parcel(work, outcome, now).await;
        };
        if outcome != ParcelOutcome::Booked {
            return store.settle_parcel(work, outcome, now).await;
        }
        let mut held = second_pair();
        let mut transaction = store.begin(&mut held).await?;
        transaction.settle_parcel(work, outcome, now);
        let key = NoticeKey { order: work.key.order.clone(), event: SHIPPED.to_owned() };
        let notice = NoticeWork {
            key: key.clone(),
            about: About::Order {
                order: work.order.clone(),
                invoices: vec![intent.invoice_no.clone()],
            },
            state: NoticeState::Sending,
            lease: work.lease.clone(),
            attempts: 0,
            rounds: 0,
            first_sent_at: None,
        };
        let context = Context { key: key.to_string(), tenure: Tenure::for_ever() };
        let msg_key = match self.messenger.send(&second_pair(), &context, &notice).await {
            Outcome::Done(msg_key) => msg_key,
            Outcome::Duplicate => None,
            other => {
                // The exception leaves the method: the transaction is dropped, and rolls back.
                let reason = format!("message {}", other.name());
                return Err(Error::Engine { op: "settle-parcel", reason });
            }
        };
        transaction.settle_notice(&key, None, NoticeOutcome::Sent { msg_key }, now);
        transaction.commit().await
    }
}
