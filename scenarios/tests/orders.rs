//! The orders that are shipped for `drill run --orders`.

use std::collections::BTreeSet;

use oms_core::order::Order;

const JSONL: &str = include_str!("../orders/orders-200.jsonl");
const CSV: &str = include_str!("../orders/orders-200.csv");

fn orders() -> Vec<Order> {
    JSONL.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn amount(order: &Order) -> u64 {
    order.items.iter().map(|item| u64::from(item.quantity) * item.unit_price).sum()
}

#[test]
fn all_two_hundred_are_valid_and_each_amount_is_one_of_a_kind() {
    let orders = orders();
    assert_eq!(orders.len(), 200);
    let ids: BTreeSet<_> = orders.iter().map(|order| &order.id).collect();
    let amounts: BTreeSet<_> = orders.iter().map(amount).collect();
    assert_eq!((ids.len(), amounts.len()), (200, 200));
}

#[test]
fn some_travel_in_two_parcels_and_a_dozen_customers_come_back() {
    let orders = orders();
    let bundles = orders.iter().filter(|order| order.parcels() == 2).count();
    assert!((10..=40).contains(&bundles), "{bundles}");
    let phones: BTreeSet<_> = orders.iter().map(|order| &order.customer.phone).collect();
    assert!((12..=20).contains(&(200 - phones.len())), "{}", phones.len());
}

#[test]
fn the_csv_holds_the_same_orders() {
    let mut rows = csv::Reader::from_reader(CSV.as_bytes());
    let rows = rows.records().map(|row| row.unwrap().iter().map(str::to_owned).collect());
    let rows: Vec<Vec<String>> = rows.collect();
    let digits = |phone: &str| phone.chars().filter(char::is_ascii_digit).collect::<String>();
    let mut expected = Vec::new();
    for Order { id, customer, address, items, memo, .. } in orders() {
        for item in items {
            let memo = memo.clone().unwrap_or_default();
            let (quantity, price) = (item.quantity.to_string(), item.unit_price.to_string());
            let parcel = item.parcel.to_string();
            let who = [id.clone(), customer.name.clone(), digits(&customer.phone)];
            let to = [&address.postcode, &address.line1, &address.line2].map(Clone::clone);
            let what = [memo, item.sku, item.name, quantity, price, parcel];
            expected.push([who.as_slice(), &to, &what].concat());
        }
    }
    let mended = rows.into_iter().map(|mut row| {
        row[2] = digits(&row[2]);
        row
    });
    assert_eq!(mended.collect::<Vec<_>>(), expected);
}
