//! An order as the shop takes it in.
//!
//! An [`Order`] is only ever made valid: from a [`Draft`], through the rules of the private module
//! `check`, or from JSON, which goes the same way. All broken rules are told at once.

mod check;
mod phone;
mod shape;

pub use check::{
    ADDRESS_BYTES_MAX, ID_LENGTH_MAX, ITEM_NAME_BYTES_MAX, ITEMS_MAX, MEMO_BYTES_MAX,
    NAME_BYTES_MAX, PARCELS_MAX, QUANTITY_MAX, SKU_BYTES_MAX, UNIT_PRICE_MAX, carrier_bytes,
};
pub(crate) use check::{Rules, is_id};
pub(crate) use shape::{Key, Kind, malformed, optional, read_as, required};

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A valid order. Texts are trimmed, the phone number is digits alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
#[non_exhaustive]
pub struct Order {
    /// The shop's id: 1 to 40 of `A-Z a-z 0-9 - _`.
    pub id: String,
    /// Who gets it.
    pub customer: Customer,
    /// Where to.
    pub address: Address,
    /// What, sorted as it was given.
    pub items: Vec<Item>,
    /// A word to the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// Who sells it, where several do: an id as the order's. Their work takes turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seller: Option<String>,
}

/// An order that nobody has looked at yet; [`Order::try_from`] does.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The shop's id.
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
    /// Who sells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<String>,
}

/// Who gets it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Full name.
    pub name: String,
    /// A Korean phone number; of a valid order, digits only.
    pub phone: String,
}

/// Where to.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: `customer.phone`, `items[2].quantity` (counted from 0, as JSON does).
    pub field: String,
    /// What is wrong. It never repeats personal data.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.why),
            field => write!(f, "{field} {}", self.why),
        }
    }
}

/// No valid order or member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rules are broken; all of them are listed.
    #[error("invalid: {}", sentences(.0))]
    Invalid(Vec<Problem>),
    /// No JSON at all.
    #[error("malformed JSON at line {line}, column {column}: {reason}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1; 0 when the text ended before a line's first character.
        column: usize,
        /// What the parser says.
        reason: String,
    },
}

fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

impl TryFrom<Draft> for Order {
    type Error = Error;

    fn try_from(draft: Draft) -> Result<Order, Error> {
        let (order, problems) = check::check(draft);
        if problems.is_empty() { Ok(order) } else { Err(Error::Invalid(problems)) }
    }
}

impl Order {
    /// An order from JSON text.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is no JSON, else [`Error::Invalid`] with every unknown key,
    /// missing value, wrong type and broken rule.
    pub fn from_json(text: &[u8]) -> Result<Order, Error> {
        shape::read(text)
    }

    /// The SHA-256 of the order's JSON, in hexadecimal. JSON has fixed keys in a fixed sequence
    /// here, so equal orders have equal hashes, however they were written when they came in.
    pub fn content_hash(&self) -> String {
        hash_of(&self.to_json())
    }

    /// The order's JSON, which [`Order::from_json`] reads.
    pub fn to_json(&self) -> String {
        // Strings and numbers alone: nothing that JSON cannot say.
        serde_json::to_string(self).expect("an order is plain JSON")
    }

    /// Who sells it; empty where nobody is named.
    pub fn sold_by(&self) -> &str {
        self.seller.as_deref().unwrap_or_default()
    }

    /// How many parcels it travels in.
    pub fn parcels(&self) -> u32 {
        self.items.iter().map(|item| item.parcel).max().unwrap_or(1)
    }

    /// The items of one parcel.
    pub fn items_of(&self, parcel: u32) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.parcel == parcel)
    }
}

/// The [`Order::content_hash`] of the order whose JSON this is, and the like of a member's.
pub(crate) fn hash_of(json: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = Sha256::digest(json);
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

impl Customer {
    /// The phone number in the carrier's three parts (`TEL_NO1..3`), each of at most four digits;
    /// `None` when it is no Korean phone number, which a valid order's always is.
    pub fn phone_parts(&self) -> Option<[&str; 3]> {
        phone::parts(&self.phone)
    }
}

/// The three parts of a Korean phone number, with hyphens or without: `["02", "123", "4567"]`.
/// `None` when it is none.
pub fn phone_parts(phone: &str) -> Option<[String; 3]> {
    let digits = phone::digits(phone)?;
    phone::parts(&digits).map(|parts| parts.map(str::to_owned))
}

// Personal data stays out of every log: who prints an order sees its id at most.

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Order({})", self.id)
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even the id: it is not known yet to be one.
        write!(f, "Draft({} items)", self.items.len())
    }
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Customer(..)")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A draft with nothing wrong.
    pub(crate) fn good() -> Draft {
        let item = |parcel, sku: &str| Item {
            sku: sku.to_owned(),
            name: "한라봉 3kg".to_owned(),
            quantity: 2,
            unit_price: 19_900,
            parcel,
        };
        Draft {
            id: "ORD-1".to_owned(),
            customer: Customer { name: "홍길동".to_owned(), phone: "010-1234-5678".to_owned() },
            address: Address {
                postcode: "06236".to_owned(),
                line1: "서울 강남구 테헤란로 1".to_owned(),
                line2: "101호".to_owned(),
            },
            items: vec![item(1, "SKU-1"), item(2, "SKU-2")],
            memo: Some("문 앞에 놓아 주세요".to_owned()),
            seller: None,
        }
    }

    #[test]
    fn a_seller_is_an_id_and_an_order_without_one_reads_as_before() {
        let sold = |seller: &str| Order::try_from(Draft { seller: Some(seller.into()), ..good() });
        assert_eq!(sold("shop-1").unwrap().sold_by(), "shop-1");
        let nobody = sold("").unwrap();
        assert_eq!((nobody.sold_by(), nobody.to_json().contains("seller")), ("", false));
        let error = sold("가게 하나").unwrap_err();
        assert!(error.to_string().contains("seller must be 1 to 40 of"), "{error}");
    }

    #[test]
    fn an_order_survives_its_own_json() {
        let order = Order::try_from(good()).unwrap();
        let json = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&json).unwrap(), order);
        assert_eq!(Order::from_json(json.as_bytes()).unwrap(), order);
    }

    #[test]
    fn deserialising_validates() {
        let json = serde_json::to_string(&good()).unwrap().replace("06236", "135-080");
        let error = serde_json::from_str::<Order>(&json).unwrap_err();
        assert!(error.to_string().contains("address.postcode must be five digits"), "{error}");
    }

    #[test]
    fn the_hash_sees_the_content_and_not_how_it_was_written() {
        let hash = Order::try_from(good()).unwrap().content_hash();
        assert_eq!(hash.len(), 64);
        let mut same = good();
        same.customer.phone = "01012345678".to_owned();
        same.customer.name = " 홍길동 ".to_owned();
        assert_eq!(Order::try_from(same).unwrap().content_hash(), hash);
        let mut other = good();
        other.items[0].quantity = 3;
        assert_ne!(Order::try_from(other).unwrap().content_hash(), hash);
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let draft = good();
        let shown = format!("{draft:?} {:?} {:?}", draft.customer, draft.address);
        let order = Order::try_from(draft).unwrap();
        let shown = format!("{shown} {order:?}");
        for secret in ["홍길동", "1234", "5678", "06236", "테헤란로", "101호", "문 앞"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("ORD-1"));
    }
}
