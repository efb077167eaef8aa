//! The other half of the client: a delivery taken back, for code that undoes what it did.

use oms_core::call::Outcome;
use oms_core::carrier::Tracking;
use oms_core::env::Hands;
use oms_core::store::{Intent, ParcelKey};

use super::{DeliveryClient, RestClientException, Tries, answer, context};

/// What came of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::strategies) enum Cancelled {
    /// The carrier holds no booking of it (any longer).
    Yes,
    /// The courier has it already.
    PickedUp,
    /// It was not to be found out.
    Failed(String),
}

impl DeliveryClient {
    /// `cancelDelivery(request)`. A refusal does not say whether there is nothing to cancel or the
    /// parcel is on its way, so then the carrier is asked where it is.
    pub(in crate::strategies) async fn cancel_delivery(
        &self,
        hands: &Hands,
        parcel: &ParcelKey,
        request: &Intent,
    ) -> Cancelled {
        let mut tries = Tries::new(self);
        loop {
            match self.do_cancel(hands, parcel, request).await {
                Ok(cancelled) => return cancelled,
                Err(exception) => {
                    if let Err(failure) = tries.again_after(exception).await {
                        return Cancelled::Failed(failure);
                    }
                }
            }
        }
    }

    async fn do_cancel(
        &self,
        hands: &Hands,
        parcel: &ParcelKey,
        request: &Intent,
    ) -> Result<Cancelled, RestClientException> {
        self.permission().await?;
        let context = context(parcel.to_string());
        let Err(refusal) = answer(self.carrier.cancel(hands, &context, request).await)? else {
            return Ok(Cancelled::Yes);
        };
        self.permission().await?;
        let tracked = self.carrier.track(hands, &context, &request.invoice_no).await;
        Ok(match tracked {
            Outcome::Done(Tracking::None) => Cancelled::Yes,
            Outcome::Done(at) if at.picked_up() => Cancelled::PickedUp,
            other => match answer(other)? {
                Ok(_) => Cancelled::Failed(refusal),
                Err(failure) => Cancelled::Failed(failure),
            },
        })
    }
}
