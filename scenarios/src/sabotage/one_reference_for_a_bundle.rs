//! All parcels of an order share one reference at the carrier.

use std::sync::Arc;

use serde_json::Value;

use super::tapped_transport::{Fields, TappedTransport};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "one-reference-for-a-bundle",
    family: Family::Idempotency,
    why: "`CUST_USE_NO` is the order's id, from the days of one parcel an order: the carrier \
          takes the second parcel for a repeat of the first",
    breaks: "books-agree",
    seen_in: &["bundle-refused"],
    seams: |env, _| {
        let booking = TappedTransport::new(env.carrier.clone(), "RegBook", name_the_order);
        let both = TappedTransport::new(Arc::new(booking), "CnclBook", name_the_order);
        env.carrier = Arc::new(both);
    },
    ..Sabotage::NONE
};

/// Takes the parcel's number from the end of what the carrier knows a parcel by.
fn name_the_order(fields: &mut Fields) {
    let Some(Value::Object(data)) = fields.get_mut("DATA") else { return };
    for name in ["CUST_USE_NO", "MPCK_KEY"] {
        let Some(Value::String(reference)) = data.get_mut(name) else { continue };
        if let Some((order, _parcel)) = reference.rsplit_once('-') {
            *reference = order.to_owned();
        }
    }
}
