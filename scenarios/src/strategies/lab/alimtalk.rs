//! The gateway's client, `kakaoClient`: one try, and whatever goes wrong is an exception.

use std::sync::Arc;

use clockwork::Timestamp;
use oms_core::call::Outcome;
use oms_core::env::Hands;
use oms_core::messenger::Messenger;
use oms_core::order::Order;
use oms_core::saga::SHIPPED;
use oms_core::state::NoticeState;
use oms_core::store::{About, Lease, NoticeKey, NoticeWork};

use super::{Exception, Thrown, context, heedless};
use crate::sabotage::Keyless;
use crate::strategies::Setup;

/// The client.
pub(in crate::strategies) struct AlimtalkClient {
    messenger: Messenger,
    /// For code that sends under one key, whatever happens.
    keyed: Messenger,
    worker: String,
}

impl AlimtalkClient {
    /// `AlimtalkRequest.from(order, trackingNumber)` carries no key by which the gateway would know
    /// a message again.
    pub(super) fn new(setup: &Setup) -> AlimtalkClient {
        let mut env = heedless(&setup.env);
        let keyed = Messenger::new(&env, &setup.config);
        env.policies.messages = Arc::new(Keyless);
        let messenger = Messenger::new(&env, &setup.config);
        AlimtalkClient { messenger, keyed, worker: env.worker }
    }

    /// `send(AlimtalkRequest.from(order, trackingNumber))`: the gateway's key of the message.
    pub(in crate::strategies) async fn send(
        &self,
        hands: &Hands,
        order: &Order,
        tracking_numbers: Vec<String>,
    ) -> Thrown<Option<String>> {
        let key = NoticeKey { order: order.id.clone(), event: SHIPPED.to_owned() };
        let about = About::Order { order: order.clone(), invoices: tracking_numbers };
        let message = NoticeWork {
            key,
            about,
            state: NoticeState::Sending,
            lease: Lease { worker: self.worker.clone(), token: 0, until: Timestamp::MAX },
            attempts: 0,
            rounds: 0,
            first_sent_at: None,
        };
        self.send_message(hands, &message).await
    }

    /// The same of a message that is written down.
    pub(in crate::strategies) async fn send_message(
        &self,
        hands: &Hands,
        message: &NoticeWork,
    ) -> Thrown<Option<String>> {
        let key = message.key.to_string();
        match self.messenger.send(hands, &context(key.clone()), message).await {
            Outcome::Done(msg_key) => Ok(msg_key),
            other => Err(failed(key, &other)),
        }
    }

    /// Sends a message under the one key that it ever has, so that the gateway knows a second try
    /// again: for steps that must be fit to be repeated.
    pub(in crate::strategies) async fn send_once(
        &self,
        hands: &Hands,
        message: &NoticeWork,
    ) -> Thrown<Option<String>> {
        let key = message.key.to_string();
        match self.keyed.send(hands, &context(key.clone()), message).await {
            Outcome::Done(msg_key) => Ok(msg_key),
            Outcome::Duplicate => Ok(None),
            other => Err(failed(key, &other)),
        }
    }
}

fn failed<T>(message: String, outcome: &Outcome<T>) -> Exception {
    let refused = matches!(outcome, Outcome::Refused { .. });
    let why = outcome.reason().unwrap_or("sent before").to_owned();
    Exception::AlimtalkFailed { message, why, refused }
}
