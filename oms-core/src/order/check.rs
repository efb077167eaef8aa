//! The rules of an order.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::{Draft, Item, Order, Problem, phone};

/// An id of the shop. The carrier's `CUST_USE_NO` holds 50 (guide V3.9); a parcel's number and a
/// hyphen are added to the id.
pub const ID_LENGTH_MAX: usize = 40;
/// Bytes of a name. The guide's figure is not public: assumed.
pub const NAME_BYTES_MAX: usize = 50;
/// Bytes of each line of an address: `ReqAddrRfnSm` takes so many (guide V3.9).
pub const ADDRESS_BYTES_MAX: usize = 100;
/// Bytes of a code of goods. The guide's figure is not public: assumed.
pub const SKU_BYTES_MAX: usize = 50;
/// Bytes of a name of goods. The guide's figure is not public: assumed.
pub const ITEM_NAME_BYTES_MAX: usize = 100;
/// Bytes of a word to the driver. The guide's figure is not public: assumed.
pub const MEMO_BYTES_MAX: usize = 100;
/// Items of one order.
pub const ITEMS_MAX: usize = 50;
/// Pieces of one item.
pub const QUANTITY_MAX: u32 = 999;
/// Won for one piece. More is a slip of the hand, and a carrier insures none of it.
pub const UNIT_PRICE_MAX: u64 = 100_000_000;
/// Parcels of one order.
pub const PARCELS_MAX: u32 = 20;

/// The bytes that `text` takes at the carrier, which stores EUC-KR: one for ASCII, two for
/// anything else.
pub fn carrier_bytes(text: &str) -> usize {
    text.chars().map(|char| if char.is_ascii() { 1 } else { 2 }).sum()
}

/// Whether `text` may be an order's id.
pub(crate) fn is_id(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=ID_LENGTH_MAX).contains(&text.len()) && text.bytes().all(known)
}

/// The order that `draft` makes, with all rules that it breaks. It is valid when there are none.
pub(super) fn check(draft: Draft) -> (Order, Vec<Problem>) {
    let mut rules = Rules::default();
    let Draft { id, mut customer, mut address, mut items, memo, seller } = draft;
    rules.id(&id);
    rules.text("customer.name", &mut customer.name, 1, NAME_BYTES_MAX);
    rules.phone("customer.phone", &mut customer.phone);
    rules.postcode("address.postcode", &address.postcode);
    rules.text("address.line1", &mut address.line1, 1, ADDRESS_BYTES_MAX);
    rules.text("address.line2", &mut address.line2, 0, ADDRESS_BYTES_MAX);
    if !(1..=ITEMS_MAX).contains(&items.len()) {
        rules.broken("items", format!("must be 1 to {ITEMS_MAX}, not {}", items.len()));
    }
    // A body of a hundred thousand empty items shall not come back as half a million problems.
    for (index, item) in items.iter_mut().enumerate().take(ITEMS_MAX) {
        rules.item(index, item);
    }
    rules.parcels(&items);
    let mut memo = memo.unwrap_or_default();
    rules.text("memo", &mut memo, 0, MEMO_BYTES_MAX);
    let memo = Some(memo).filter(|memo| !memo.is_empty());
    let seller = seller.filter(|seller| !seller.is_empty());
    if seller.as_deref().is_some_and(|seller| !is_id(seller)) {
        rules.broken("seller", format!("must be 1 to {ID_LENGTH_MAX} of A-Z a-z 0-9 - _"));
    }
    (Order { id, customer, address, items, memo, seller }, rules.problems)
}

/// `items[2].quantity`.
struct ItemField {
    index: usize,
    name: &'static str,
}

impl Display for ItemField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "items[{}].{}", self.index, self.name)
    }
}

/// The rules that a draft breaks.
#[derive(Default)]
pub(crate) struct Rules {
    problems: Vec<Problem>,
}

impl Rules {
    pub(crate) fn broken(&mut self, field: impl Display, why: impl Into<String>) {
        self.problems.push(Problem { field: field.to_string(), why: why.into() });
    }

    /// An id of the shop.
    pub(crate) fn id(&mut self, id: &str) {
        if !is_id(id) {
            self.broken("id", format!("must be 1 to {ID_LENGTH_MAX} of A-Z a-z 0-9 - _"));
        }
    }

    /// Trims `text`; then it must be of `bytes_min` to `bytes_max` at the carrier.
    pub(crate) fn text(
        &mut self,
        field: impl Display,
        text: &mut String,
        bytes_min: usize,
        bytes_max: usize,
    ) {
        if text.trim().len() != text.len() {
            *text = text.trim().to_owned();
        }
        if text.chars().any(char::is_control) {
            self.broken(&field, "must not contain control characters");
        }
        let bytes = carrier_bytes(text);
        if bytes < bytes_min {
            self.broken(field, "must not be empty");
        } else if bytes > bytes_max {
            let why = format!(
                "must be at most {bytes_max} bytes, not {bytes} (Korean counts two a character)"
            );
            self.broken(field, why);
        }
    }

    /// Makes `phone` digits alone; it must be a Korean phone number.
    pub(crate) fn phone(&mut self, field: &str, phone: &mut String) {
        match phone::digits(phone.trim()) {
            Some(digits) if phone::parts(&digits).is_some() => *phone = digits,
            _ if phone.trim().is_empty() => self.broken(field, "must not be empty"),
            _ => {
                let masked = crate::telemetry::mask_phone(phone);
                self.broken(field, format!("must be a Korean phone number, not {masked}"));
            }
        }
    }

    /// Everything that was broken.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn postcode(&mut self, field: &str, postcode: &str) {
        if postcode.len() != 5 || !postcode.bytes().all(|byte| byte.is_ascii_digit()) {
            self.broken(field, "must be five digits");
        }
    }

    fn item(&mut self, index: usize, item: &mut Item) {
        // Most items break no rule, so their fields' names are made only when one does.
        let field = |name: &'static str| ItemField { index, name };
        self.text(field("sku"), &mut item.sku, 1, SKU_BYTES_MAX);
        self.text(field("name"), &mut item.name, 1, ITEM_NAME_BYTES_MAX);
        if !(1..=QUANTITY_MAX).contains(&item.quantity) {
            let why = format!("must be 1 to {QUANTITY_MAX}, not {}", item.quantity);
            self.broken(field("quantity"), why);
        }
        if item.unit_price > UNIT_PRICE_MAX {
            let why = format!("must be at most {UNIT_PRICE_MAX}, not {}", item.unit_price);
            self.broken(field("unit_price"), why);
        }
        if !(1..=PARCELS_MAX).contains(&item.parcel) {
            let why = format!("must be 1 to {PARCELS_MAX}, not {}", item.parcel);
            self.broken(field("parcel"), why);
        }
    }

    /// Parcels are counted from 1 without a gap: a gap is more likely a slip than a wish.
    fn parcels(&mut self, items: &[Item]) {
        let mut first_item: BTreeMap<u32, usize> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            first_item.entry(item.parcel).or_insert(index);
        }
        let gap = (1..).zip(&first_item).find(|(expected, (number, _))| *expected != **number);
        if let Some((expected, (number, index))) = gap
            && (1..=PARCELS_MAX).contains(number)
        {
            let why = format!("must leave no gap: parcel {number} without a parcel {expected}");
            self.broken(ItemField { index: *index, name: "parcel" }, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::good;
    use super::super::{Address, Customer, Error};
    use super::*;

    /// Breaks a good draft and expects exactly these fields to be named.
    #[track_caller]
    fn broken(change: impl FnOnce(&mut Draft), fields: &[&str]) {
        let mut draft = good();
        change(&mut draft);
        let named: Vec<String> = match Order::try_from(draft) {
            Ok(_) => Vec::new(),
            Err(Error::Invalid(problems)) => problems.into_iter().map(|p| p.field).collect(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(named, fields);
    }

    #[test]
    fn every_rule_names_its_field() {
        broken(|_| {}, &[]);
        broken(|draft| draft.id.clear(), &["id"]);
        broken(|draft| draft.id = "a".repeat(41), &["id"]);
        broken(|draft| draft.id = "주문-1".to_owned(), &["id"]);
        broken(|draft| draft.customer.name = "  ".to_owned(), &["customer.name"]);
        broken(|draft| draft.customer.name = "홍\u{7}길동".to_owned(), &["customer.name"]);
        broken(|draft| draft.customer.phone = "1588-1234".to_owned(), &["customer.phone"]);
        broken(|draft| draft.address.postcode = "0623".to_owned(), &["address.postcode"]);
        broken(|draft| draft.address.postcode = "０６２３６".to_owned(), &["address.postcode"]);
        broken(|draft| draft.address.line1.clear(), &["address.line1"]);
        broken(|draft| draft.address.line2 = "a\nb".to_owned(), &["address.line2"]);
        broken(|draft| draft.items.clear(), &["items"]);
        broken(|draft| draft.items = vec![draft.items[0].clone(); 51], &["items"]);
        broken(|draft| draft.items[0].sku.clear(), &["items[0].sku"]);
        broken(|draft| draft.items[1].name = "가".repeat(51), &["items[1].name"]);
        broken(|draft| draft.items[1].quantity = 0, &["items[1].quantity"]);
        broken(|draft| draft.items[1].quantity = 1_000, &["items[1].quantity"]);
        broken(|draft| draft.items[1].unit_price = u64::MAX, &["items[1].unit_price"]);
        broken(|draft| draft.items[1].parcel = 3, &["items[1].parcel"]);
        broken(|draft| draft.items[0].parcel = 0, &["items[0].parcel"]);
        broken(|draft| draft.items[1].parcel = 21, &["items[1].parcel"]);
        broken(|draft| draft.memo = Some("가".repeat(51)), &["memo"]);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let breaks = |draft: &mut Draft| {
            draft.id.clear();
            draft.customer.phone = "x".to_owned();
            draft.items[1].quantity = 0;
        };
        broken(breaks, &["id", "customer.phone", "items[1].quantity"]);
    }

    #[test]
    fn lengths_are_counted_in_the_carriers_bytes() {
        broken(|draft| draft.customer.name = "가".repeat(25), &[]);
        broken(|draft| draft.customer.name = "가".repeat(26), &["customer.name"]);
        broken(|draft| draft.customer.name = "a".repeat(50), &[]);
        broken(|draft| draft.customer.name = "a".repeat(51), &["customer.name"]);
    }

    #[test]
    fn a_wrong_phone_number_is_told_masked() {
        let mut draft = good();
        draft.customer.phone = "010-1234-56789".to_owned();
        let error = Order::try_from(draft).unwrap_err().to_string();
        assert!(error.contains("010-****"), "{error}");
        assert!(!error.contains("1234"), "{error}");
    }

    #[test]
    fn an_empty_memo_is_none() {
        let mut draft = good();
        draft.memo = Some("  ".to_owned());
        assert_eq!(Order::try_from(draft).unwrap().memo, None);
    }

    fn any_phone() -> impl Strategy<Value = String> {
        "(010|070)-?[0-9]{4}-?[0-9]{4}|(02|031|055|011|0502|0507)-?[0-9]{3,4}-?[0-9]{4}"
    }

    prop_compose! {
        fn any_item()(sku in "[A-Z0-9-]{1,50}", name in "[가-힣a-z]{1,50}", quantity in 1..=999_u32,
            unit_price in 0..=UNIT_PRICE_MAX) -> Item {
            Item { sku, name, quantity, unit_price, parcel: 1 }
        }
    }

    prop_compose! {
        fn any_draft()(id in "[A-Za-z0-9_-]{1,40}", name in "[가-힣]{1,25}", phone in any_phone(),
            postcode in "[0-9]{5}", line1 in "[가-힣0-9]{1,50}", line2 in "[ 가-힣0-9-]{0,50}",
            items in prop::collection::vec(any_item(), 1..=50), parcels in 1..=20_u32,
            memo in prop::option::of("[가-힣]{1,50}")) -> Draft {
            let items = (0..).zip(items).map(|(index, item): (u32, Item)| Item {
                parcel: index % parcels + 1,
                ..item
            });
            let customer = Customer { name, phone };
            let address = Address { postcode, line1, line2 };
            Draft { id, customer, address, items: items.collect(), memo, seller: None }
        }
    }

    proptest! {
        #[test]
        fn any_valid_draft_round_trips(draft in any_draft()) {
            let order = Order::try_from(draft).unwrap();
            let json = serde_json::to_vec(&order).unwrap();
            prop_assert_eq!(Order::from_json(&json).unwrap(), order.clone());
            let again: Order = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(again.content_hash(), order.content_hash());
            let parts = order.customer.phone_parts().unwrap();
            prop_assert!(parts.iter().all(|part| (2..=4).contains(&part.len())));
            prop_assert_eq!(parts.concat(), order.customer.phone.clone());
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Order::from_json(&bytes);
        }

        #[test]
        fn garbled_orders_never_panic(
            id in ".{0,50}", name in ".*", phone in "[-0-9]{0,14}|.*", postcode in ".*",
            line1 in ".*", memo in prop::option::of(".*"), sku in ".*",
            numbers in any::<(u32, u64, u32)>(), count in 0_usize..60,
        ) {
            let (quantity, unit_price, parcel) = numbers;
            let item = Item { sku, name: name.clone(), quantity, unit_price, parcel };
            let address = Address { postcode, line1: line1.clone(), line2: line1 };
            let customer = Customer { name, phone };
            let draft = Draft { id, customer, address, items: vec![item; count], memo, seller: None };
            let json = serde_json::to_vec(&draft).unwrap();
            prop_assert_eq!(Order::try_from(draft).is_ok(), Order::from_json(&json).is_ok());
        }
    }
}
