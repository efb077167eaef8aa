//! The orders that are shipped for `drill run --orders`.

use std::collections::BTreeSet;
use std::path::Path;

use oms_core::intake::read_orders;
use oms_core::order::Order;

fn orders(file: &str) -> Vec<Order> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("orders").join(file);
    let orders = read_orders(&path, None).expect("a file of orders");
    orders.collect::<Result<_, _>>().expect("every line is a valid order")
}

fn amount(order: &Order) -> u64 {
    order.items.iter().map(|item| u64::from(item.quantity) * item.unit_price).sum()
}

#[test]
fn all_two_hundred_are_valid_and_each_amount_is_one_of_a_kind() {
    let orders = orders("orders-200.jsonl");
    assert_eq!(orders.len(), 200);
    let ids: BTreeSet<_> = orders.iter().map(|order| &order.id).collect();
    let amounts: BTreeSet<_> = orders.iter().map(amount).collect();
    assert_eq!((ids.len(), amounts.len()), (200, 200));
}

#[test]
fn some_travel_in_two_parcels_and_a_dozen_customers_come_back() {
    let orders = orders("orders-200.jsonl");
    let bundles = orders.iter().filter(|order| order.parcels() == 2).count();
    assert!((10..=40).contains(&bundles), "{bundles}");
    let phones: BTreeSet<_> = orders.iter().map(|order| &order.customer.phone).collect();
    assert!((12..=20).contains(&(200 - phones.len())), "{}", phones.len());
}

#[test]
fn the_csv_holds_the_same_orders() {
    assert!(orders("orders-200.csv") == orders("orders-200.jsonl"));
}
