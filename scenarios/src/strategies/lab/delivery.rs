//! The carrier's client, `cjClient`: success or failure, and nothing in between.

mod cancelling;

pub(in crate::strategies) use cancelling::Cancelled;

use std::sync::Arc;
use std::time::Duration;

use clockwork::Clock;
use oms_core::call::Outcome;
use oms_core::carrier::Carrier;
use oms_core::env::Hands;
use oms_core::order::Order;
use oms_core::store::{Intent, ParcelKey};
use serde::{Deserialize, Serialize};

use super::limiter::RateLimiter;
use super::{Exception, Thrown, context, heedless};
use crate::strategies::Setup;

/// `@Retryable(maxAttempts = 3)`.
const MAX_ATTEMPTS: u32 = 3;
/// `@Backoff(delay = 1000, multiplier = 2)`.
const DELAY: Duration = Duration::from_secs(1);

/// What the carrier says of a booking that it has.
const REGISTERED_ALREADY: &str = "ORA-00001: unique constraint violated";

/// `DeliveryResult`: what a client of the texts says of a delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::strategies) struct DeliveryResult {
    /// The request that the answer is to.
    pub(in crate::strategies) request: Intent,
    /// Why it failed; `None` of a success.
    pub(in crate::strategies) failure: Option<String>,
}

impl DeliveryResult {
    /// `response.isSuccess()`.
    pub(in crate::strategies) fn is_success(&self) -> bool {
        self.failure.is_none()
    }

    /// `response.getTrackingNumber()`.
    pub(in crate::strategies) fn tracking_number(&self) -> String {
        self.request.invoice_no.clone()
    }

    /// "You are registered already": the carrier knows a booking of this key.
    pub(in crate::strategies) fn is_registered_already(&self) -> bool {
        self.failure.as_deref() == Some(REGISTERED_ALREADY)
    }

    /// `throw new DeliveryFailedException(response.getMessage())` where it is no success.
    pub(in crate::strategies) fn or_throw(self, parcel: &ParcelKey) -> Thrown<DeliveryResult> {
        match self.failure {
            Some(message) => Err(Exception::DeliveryFailed { parcel: parcel.clone(), message }),
            None => Ok(self),
        }
    }
}

/// A call that brought no answer that says success or failure: a time-out, a reset, a status that
/// is no 2xx (`RestClientException`).
struct RestClientException(String);

/// The client.
pub(in crate::strategies) struct DeliveryClient {
    carrier: Carrier,
    clock: Arc<dyn Clock>,
    limiter: Option<RateLimiter>,
    max_attempts: u32,
}

impl DeliveryClient {
    /// One try, as fast as one likes.
    pub(in crate::strategies) fn plain(setup: &Setup) -> DeliveryClient {
        let carrier = Carrier::new(&heedless(&setup.env), &setup.config);
        let clock = setup.env.clock.clone();
        DeliveryClient { carrier, clock, limiter: None, max_attempts: 1 }
    }

    /// Rate limit and retry.
    pub(in crate::strategies) fn stable(setup: &Setup) -> DeliveryClient {
        let limiter = Some(RateLimiter::new(setup.env.clock.clone()));
        DeliveryClient { limiter, max_attempts: MAX_ATTEMPTS, ..DeliveryClient::plain(setup) }
    }

    /// `sendDelivery(DeliveryRequest.from(order))`: a tracking number, and a booking under it.
    ///
    /// Tried again after an exception, from its begin; what is left of the last one is a failure,
    /// as `@Recover` has it.
    pub(in crate::strategies) async fn send_delivery(
        &self,
        hands: &Hands,
        order: &Order,
        number: u32,
    ) -> DeliveryResult {
        let begun = self.clock.now();
        let mut sent = None;
        let mut tries = Tries::new(self);
        let failure = loop {
            match self.do_send_delivery(hands, order, number, &mut sent).await {
                Ok(failure) => break failure,
                Err(exception) => match tries.again_after(exception).await {
                    Ok(()) => {}
                    Err(failure) => break Some(failure),
                },
            }
        };
        // Where no number was to be had, there is nothing that was sent.
        let unsent = || self.carrier.request_of(order, number, "", begun);
        DeliveryResult { request: sent.unwrap_or_else(unsent), failure }
    }

    /// One try; the failure that the carrier answered, if it did.
    async fn do_send_delivery(
        &self,
        hands: &Hands,
        order: &Order,
        number: u32,
        sent: &mut Option<Intent>,
    ) -> Result<Option<String>, RestClientException> {
        let request = match self.do_request_number(hands, order, number).await? {
            Ok(numbered) => sent.insert(numbered),
            Err(failure) => return Ok(Some(failure)),
        };
        self.do_book(hands, &key(order, number), request).await
    }

    /// The request for a delivery under a new tracking number, or the failure: for code that must
    /// know what it is going to send.
    pub(in crate::strategies) async fn prepare(
        &self,
        hands: &Hands,
        order: &Order,
        number: u32,
    ) -> Result<Intent, String> {
        let mut tries = Tries::new(self);
        loop {
            match self.do_request_number(hands, order, number).await {
                Ok(answer) => return answer,
                Err(exception) => tries.again_after(exception).await?,
            }
        }
    }

    /// Sends a request that was prepared.
    pub(in crate::strategies) async fn send_prepared(
        &self,
        hands: &Hands,
        parcel: &ParcelKey,
        request: Intent,
    ) -> DeliveryResult {
        let mut tries = Tries::new(self);
        let failure = loop {
            match self.do_book(hands, parcel, &request).await {
                Ok(failure) => break failure,
                Err(exception) => match tries.again_after(exception).await {
                    Ok(()) => {}
                    Err(failure) => break Some(failure),
                },
            }
        };
        DeliveryResult { request, failure }
    }

    async fn do_request_number(
        &self,
        hands: &Hands,
        order: &Order,
        number: u32,
    ) -> Result<Result<Intent, String>, RestClientException> {
        self.permission().await?;
        let context = context(key(order, number).to_string());
        let invoice_no = answer(self.carrier.allocate_invoice(hands, &context).await)?;
        let request = |no: String| self.carrier.request_of(order, number, &no, self.clock.now());
        Ok(invoice_no.map(request))
    }

    async fn do_book(
        &self,
        hands: &Hands,
        parcel: &ParcelKey,
        request: &Intent,
    ) -> Result<Option<String>, RestClientException> {
        self.permission().await?;
        let context = context(parcel.to_string());
        Ok(answer(self.carrier.book(hands, &context, request).await)?.err())
    }

    async fn permission(&self) -> Result<(), RestClientException> {
        match &self.limiter {
            Some(limiter) if !limiter.acquire().await => {
                Err(RestClientException("RequestNotPermitted".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Tries of one method.
struct Tries<'a> {
    client: &'a DeliveryClient,
    left: u32,
    delay: Duration,
}

impl<'a> Tries<'a> {
    fn new(client: &'a DeliveryClient) -> Tries<'a> {
        Tries { client, left: client.max_attempts, delay: DELAY }
    }

    /// Waits before the next try; after the last one there is a failure in its place.
    async fn again_after(&mut self, exception: RestClientException) -> Result<(), String> {
        self.left -= 1;
        if self.left == 0 {
            return Err(format!("retries exhausted: {}", exception.0));
        }
        self.client.clock.sleep(self.delay).await;
        self.delay *= 2;
        Ok(())
    }
}

fn key(order: &Order, number: u32) -> ParcelKey {
    ParcelKey { order: order.id.clone(), number }
}

/// What an outcome is to a client that knows answers and exceptions: that it may have happened all
/// the same is not one of its thoughts.
fn answer<T>(outcome: Outcome<T>) -> Result<Result<T, String>, RestClientException> {
    match outcome {
        Outcome::Done(value) => Ok(Ok(value)),
        Outcome::Duplicate => Ok(Err(REGISTERED_ALREADY.to_owned())),
        Outcome::Refused { reason } => Ok(Err(reason)),
        Outcome::NotProcessed { reason, .. } | Outcome::Unknown { reason, .. } => {
            Err(RestClientException(reason))
        }
    }
}
