//! The first text's `NotificationService`: the message in a transaction of its own.

use clockwork::Timestamp;
use oms_core::env::Hands;
use oms_core::state::OrderState;
use oms_core::store::OrderView;

use super::{Lab, Thrown, inside_a_transaction, status};

impl Lab {
    /// `sendAlimtalk(orderId, trackingNumber)`, `REQUIRES_NEW`: reads the order again, sends, and
    /// sets its status, whatever the exception was. The call is inside the transaction.
    pub(in crate::strategies) async fn send_alimtalk(
        &self,
        hands: &mut Hands,
        order: &oms_core::order::Order,
    ) -> Thrown {
        let mut unit = self.begin(hands).await?;
        let Some(found) = self.find_shipped(&*unit, &order.id).await? else { return Ok(()) };
        let sent =
            self.alimtalk.send(&inside_a_transaction(), order, tracking_numbers(&found)).await;
        let now: Timestamp = self.now();
        match sent {
            Ok(msg_key) => status::mark_as_completed(&mut *unit, &order.id, msg_key, now),
            Err(exception) => {
                status::mark_as_alimtalk_failed(&mut *unit, &order.id, exception.to_string(), now);
            }
        }
        self.commit(unit, &[]).await
    }

    /// `orderRepository.findById(orderId)`; of a bundle only when its last parcel is sent.
    async fn find_shipped(
        &self,
        unit: &dyn oms_core::store::UnitOfWork,
        id: &str,
    ) -> Thrown<Option<OrderView>> {
        let found = unit.order(id).await?;
        Ok(found.filter(|order| order.state == OrderState::Shipped))
    }
}

/// The tracking numbers of an order's parcels.
fn tracking_numbers(order: &OrderView) -> Vec<String> {
    order.parcels.iter().filter_map(|parcel| parcel.invoice_no.clone()).collect()
}
