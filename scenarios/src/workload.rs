//! The orders and sign-ups of a run, and when each is offered.

use std::time::Duration;

use clockwork::Entropy;
use oms_core::order::Order;
use serde::Serialize;

use crate::plan::Plan;

/// An order or a sign-up, and the moment at which a client first offers it, counted from the run's
/// start.
#[derive(Debug, Clone)]
pub struct Offer {
    /// When.
    pub after: Duration,
    /// What, as the API's JSON.
    pub body: String,
    /// Its id.
    pub id: String,
    /// It is called back so long after it was taken in.
    pub cancel_after: Option<Duration>,
}

const FAMILY: &[&str] = &["김", "이", "박", "최", "정", "강", "조", "윤", "장", "임"];
const GIVEN: &[&str] =
    &["민준", "서연", "도윤", "하은", "시우", "지유", "예준", "수아", "주원", "채원"];
const PLACES: &[(&str, &str)] = &[
    ("06236", "서울특별시 강남구 테헤란로 152"),
    ("04524", "서울특별시 중구 세종대로 110"),
    ("13529", "경기도 성남시 분당구 판교역로 166"),
    ("48058", "부산광역시 해운대구 센텀중앙로 79"),
    ("34126", "대전광역시 유성구 대학로 99"),
    ("61452", "광주광역시 동구 문화전당로 38"),
];

/// An order's JSON. It may break the rules of an order where the plan wants it to, so it is none.
#[derive(Serialize)]
struct Body<'a> {
    address: Address<'a>,
    customer: Customer,
    id: &'a str,
    items: Vec<Item>,
    #[serde(skip_serializing_if = "str::is_empty")]
    seller: &'a str,
}

#[derive(Serialize)]
struct Address<'a> {
    line1: &'a str,
    line2: String,
    postcode: &'a str,
}

#[derive(Serialize)]
struct Customer {
    name: String,
    phone: String,
}

#[derive(Serialize)]
struct Item {
    name: &'static str,
    parcel: u32,
    quantity: usize,
    sku: String,
    unit_price: u64,
}

/// The plan's workload: invented customers, each amount unique, so that a mixed-up order shows.
pub fn generate(plan: &Plan) -> Vec<Offer> {
    let entropy = Entropy::new(plan.seed).fork("workload", 0);
    (1..=plan.workload.orders).map(|index| offer(plan, entropy, index)).collect()
}

fn offer(plan: &Plan, entropy: Entropy, index: u32) -> Offer {
    let workload = &plan.workload;
    let id = workload.id(index);
    let draw = |what: &str| entropy.fork(what, index).seed() as usize;
    let other = workload.overridden(index).cloned().unwrap_or_default();
    let family = FAMILY[draw("family") % FAMILY.len()];
    let given = GIVEN[draw("given") % GIVEN.len()];
    let (postcode, line1) = PLACES[draw("place") % PLACES.len()];
    let items = (1..=workload.parcels_of(index)).map(|parcel| Item {
        sku: format!("SKU-{}", 100 + draw("sku") % 900),
        name: "면 티셔츠",
        quantity: 1 + draw("quantity") % 3,
        unit_price: 10_000 + u64::from(index) * 10 + u64::from(parcel),
        parcel,
    });
    let body = Body {
        id: &id,
        customer: Customer {
            name: other.name.unwrap_or_else(|| format!("{family}{given}")),
            phone: other.phone.unwrap_or_else(|| format!("010{:08}", 20_000_000 + index)),
        },
        address: Address {
            postcode: other.postcode.as_deref().unwrap_or(postcode),
            line1: other.line1.as_deref().unwrap_or(line1),
            line2: format!("{index}호"),
        },
        items: items.collect(),
        seller: workload.seller_of(index),
    };
    // Texts and numbers: nothing that JSON cannot write.
    let body = serde_json::to_string(&body).expect("texts and numbers are always JSON");
    let after = workload.arrival(index, entropy);
    let cancel_after = other.cancel_after;
    Offer { after, body, id, cancel_after }
}

/// The plan's sign-ups: invented people, each with a phone number of their own.
pub fn sign_ups(plan: &Plan) -> Vec<Offer> {
    let entropy = Entropy::new(plan.seed).fork("sign-ups", 0);
    (1..=plan.workload.members)
        .map(|index| {
            let id = plan.workload.member_id(index);
            let draw = |what: &str| entropy.fork(what, index).seed() as usize;
            let (family, given) =
                (FAMILY[draw("family") % FAMILY.len()], GIVEN[draw("given") % GIVEN.len()]);
            let body = serde_json::json!({
                "id": id,
                "name": format!("{family}{given}"),
                "phone": format!("010{:08}", 30_000_000 + index),
                "age": 20 + draw("age") % 50,
                "consents": { "terms": true, "privacy": true, "marketing": draw("ads") % 2 == 0 },
            });
            let after = plan.workload.sign_up_at(index);
            Offer { after, body: body.to_string(), id, cancel_after: None }
        })
        .collect()
}

/// The user's own orders, spread over the plan's arrival time.
pub fn from_orders(plan: &Plan, orders: &[Order]) -> Vec<Offer> {
    let gap = plan.workload.over / u32::try_from(orders.len().max(1)).unwrap_or(u32::MAX);
    (0..)
        .zip(orders)
        .map(|(place, order)| Offer {
            after: gap * place,
            // An order is plain data: it always serialises.
            body: serde_json::to_string(order).unwrap_or_default(),
            id: order.id.clone(),
            cancel_after: None,
        })
        .collect()
}
