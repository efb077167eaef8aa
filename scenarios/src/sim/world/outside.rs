//! Who acts from outside: the shop's front, couriers, and somebody else on our address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;

use super::{OUR_ADDRESS, World, background};
use crate::offering::{Operator, Shop};
use crate::settled;
use crate::sim::host::{Host, Hosts};
use crate::workload::Offer;

impl World<'_> {
    pub(super) fn open_shop(&self, hosts: &Arc<[Arc<Host>]>, offers: &[Offer]) {
        let shop = Shop {
            front: Arc::new(Hosts(hosts.clone())),
            clock: self.clock.clone(),
            recorder: self.recorder.clone(),
            gives_up_at: self.gives_up_at(offers),
            refused: self.refused.clone(),
            awaited: self.awaited.clone(),
        };
        for (place, sign_up) in self.sign_ups.iter().enumerate() {
            background(shop.clone().sign_up(place, self.start, sign_up.clone()));
        }
        for (place, offer) in offers.iter().enumerate() {
            background(shop.clone().offer(place, self.start, offer.clone()));
        }
    }

    /// Somebody else on our address uses up the quota, and does not stop at a 429.
    pub(super) fn let_the_neighbour_call(&self) {
        let Some(neighbour) = self.plan().neighbour.clone() else { return };
        let (clock, router) = (self.clock.clone(), self.routers[0].clone());
        let from = self.start + neighbour.from;
        let gap = Duration::from_secs_f64(1.0 / neighbour.calls_per_second.max(0.001));
        background(async move {
            clock.sleep_until(from).await;
            while clock.now() < from + neighbour.lasting {
                call_as_neighbour(router.clone()).await;
                clock.sleep(gap).await;
            }
        });
    }

    pub(super) fn let_operators_act(&self) {
        for operation in &self.plan().operations {
            let operator = Operator {
                store: Arc::new(self.plain_store()),
                clock: self.clock.clone(),
                recorder: self.recorder.clone(),
                awaited: self.awaited.clone(),
            };
            let order = self.plan().workload.id(operation.order);
            background(operator.act(self.start + operation.at, order, operation.deed));
        }
    }

    pub(super) fn let_couriers_scan(&self) {
        for scan in &self.plan().scans {
            let (clock, carrier) = (self.clock.clone(), self.carrier.clone());
            let at = self.start + scan.at;
            let reference = settled::reference(self.plan(), scan);
            let state = scan.state;
            background(async move {
                clock.sleep_until(at).await;
                let bookings = carrier.ledger().bookings;
                let live = bookings.iter().find(|b| b.is_live() && b.cust_use_no == reference);
                if let Some(booking) = live {
                    // A number from the ledger is a number that the carrier knows.
                    let _ = carrier.scan(&booking.invoice_no, state);
                }
            });
        }
    }
}

/// A request that the carrier counts against our address: the cheapest that it answers at all.
async fn call_as_neighbour(router: axum::Router) {
    use axum::extract::ConnectInfo;
    use tower::ServiceExt;

    let Ok(mut request) = http::Request::post("/ReqOneGdsTrc").body(Body::from("{}")) else {
        return;
    };
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(OUR_ADDRESS, 50_000)));
    let Ok(_) = router.oneshot(request).await;
}
