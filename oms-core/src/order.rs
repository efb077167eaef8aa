//! An order as the shop takes it in.

use serde::{Deserialize, Serialize};

/// A valid order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The shop's id: 1 to 40 of `A-Z a-z 0-9 - _`.
    pub id: String,
    /// Who gets it.
    pub customer: Customer,
    /// Where to.
    pub address: Address,
    /// What.
    pub items: Vec<Item>,
    /// A word to the driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
}

/// Who gets it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Full name.
    pub name: String,
    /// A Korean phone number, digits only after validation.
    pub phone: String,
}

/// Where to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Five digits.
    pub postcode: String,
    /// Road name address.
    pub line1: String,
    /// Building, floor, room.
    #[serde(default)]
    pub line2: String,
}

/// One line of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The shop's code of the goods.
    pub sku: String,
    /// Their name.
    pub name: String,
    /// How many, 1 to 999.
    pub quantity: u32,
    /// Won for one.
    pub unit_price: u64,
    /// The parcel that it travels in, from 1.
    #[serde(default = "first_parcel")]
    pub parcel: u32,
}

fn first_parcel() -> u32 {
    1
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Order({})", self.id)
    }
}

impl Order {
    /// How many parcels it travels in.
    pub fn parcels(&self) -> u32 {
        self.items.iter().map(|item| item.parcel).max().unwrap_or(1)
    }

    /// The items of one parcel.
    pub fn items_of(&self, parcel: u32) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.parcel == parcel)
    }
}
