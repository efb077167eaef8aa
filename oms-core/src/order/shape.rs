//! Orders and members from JSON, with everything that is wrong told at once.
//!
//! serde stops at the first value of a wrong type. So text that it refuses is read a second time as
//! a tree, which is mended key by key while every fault is noted; what is left goes through the
//! rules as any other draft.

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value, json};

use super::{Draft, Error, Order, Problem};

/// What belongs under a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// True or false.
    Flag,
    /// A whole number from 0 to this.
    Number(u64),
    Object(&'static [Key]),
    List(&'static [Key]),
}

/// A key of an object.
#[derive(Debug)]
pub(crate) struct Key {
    name: &'static str,
    kind: Kind,
    required: bool,
}

/// A key that must be there.
pub(crate) const fn required(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: true }
}

/// A key that may be left out.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: false }
}

const ORDER: &[Key] = &[
    required("id", Kind::Text),
    required("customer", Kind::Object(CUSTOMER)),
    required("address", Kind::Object(ADDRESS)),
    required("items", Kind::List(ITEM)),
    optional("memo", Kind::Text),
    optional("seller", Kind::Text),
];

const CUSTOMER: &[Key] = &[required("name", Kind::Text), required("phone", Kind::Text)];

const ADDRESS: &[Key] = &[
    required("postcode", Kind::Text),
    required("line1", Kind::Text),
    optional("line2", Kind::Text),
];

const ITEM: &[Key] = &[
    required("sku", Kind::Text),
    required("name", Kind::Text),
    required("quantity", Kind::Number(u32::MAX as u64)),
    required("unit_price", Kind::Number(u64::MAX)),
    optional("parcel", Kind::Number(u32::MAX as u64)),
];

/// Reads an order.
pub(super) fn read(text: &[u8]) -> Result<Order, Error> {
    read_as::<Draft, Order>(text, ORDER)
}

/// Reads what a draft with these keys makes.
pub(crate) fn read_as<D, T>(text: &[u8], keys: &'static [Key]) -> Result<T, Error>
where
    D: DeserializeOwned,
    T: TryFrom<D, Error = Error>,
{
    match crate::call::read_json::<D>(text) {
        Ok(draft) => T::try_from(draft),
        Err(error) if error.classify() == Category::Data => diagnose::<D, T>(text, keys, &error),
        Err(error) => Err(malformed(&error)),
    }
}

/// Text that is no JSON.
pub(crate) fn malformed(error: &serde_json::Error) -> Error {
    Error::Malformed { line: error.line(), column: error.column(), reason: said(error) }
}

/// The parser's words without the place, which is told apart.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn diagnose<D, T>(text: &[u8], keys: &'static [Key], error: &serde_json::Error) -> Result<T, Error>
where
    D: DeserializeOwned,
    T: TryFrom<D, Error = Error>,
{
    // What follows the first wrong value was not looked at yet: it may be no JSON at all.
    let mut tree: Value = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
    let mut problems = Vec::new();
    if said(error).starts_with("duplicate field") {
        // A tree keeps the last of two values: which one is meant, nobody knows.
        problems.push(problem("", format!("has a {}", said(error))));
    }
    mend(&mut tree, Kind::Object(keys), "", &mut problems);
    let draft: D = match serde_json::from_value(tree) {
        Ok(draft) => draft,
        // Cannot be while this table and the draft's fields agree, which a test checks.
        Err(_) => return Err(Error::Invalid(vec![problem("", "has a wrong shape".to_owned())])),
    };
    match T::try_from(draft) {
        Ok(whole) if problems.is_empty() => Ok(whole),
        Ok(_) => Err(Error::Invalid(problems)),
        Err(Error::Invalid(broken)) => {
            // What was mended holds a placeholder: what the rules say of that is no news.
            let news = |new: &Problem| !problems.iter().any(|old| covers(&old.field, &new.field));
            let broken: Vec<Problem> = broken.into_iter().filter(news).collect();
            problems.extend(broken);
            Err(Error::Invalid(problems))
        }
        Err(error) => Err(error),
    }
}

/// Whether `inner` is `outer` or a part of it.
fn covers(outer: &str, inner: &str) -> bool {
    !outer.is_empty()
        && inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn problem(field: &str, why: String) -> Problem {
    Problem { field: field.to_owned(), why }
}

/// Makes `value` a value of `kind`, noting all that was wrong with it.
fn mend(value: &mut Value, kind: Kind, path: &str, problems: &mut Vec<Problem>) {
    let wanted = match (kind, &mut *value) {
        (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Bool(_)) => return,
        (Kind::Number(max), Value::Number(number)) if number.as_u64().is_some_and(|n| n <= max) => {
            return;
        }
        (Kind::Object(keys), Value::Object(object)) => {
            return mend_object(object, keys, path, problems);
        }
        (Kind::List(keys), Value::Array(list)) => {
            for (index, entry) in list.iter_mut().enumerate().take(super::ITEMS_MAX) {
                mend(entry, Kind::Object(keys), &format!("{path}[{index}]"), problems);
            }
            // Too many items are refused as such; those beyond need no look of their own.
            let beyond = list.iter_mut().skip(super::ITEMS_MAX);
            beyond.for_each(|entry| *entry = placeholder(Kind::Object(keys)));
            return;
        }
        (Kind::Text, _) => "a text",
        (Kind::Flag, _) => "true or false",
        (Kind::Number(_), _) => "a whole number",
        (Kind::Object(_), _) => "an object",
        (Kind::List(_), _) => "a list",
    };
    let why = match &*value {
        Value::Null => "is missing".to_owned(),
        other => format!("must be {wanted}, not {}", name_of(other)),
    };
    problems.push(problem(path, why));
    *value = placeholder(kind);
}

fn mend_object(
    object: &mut Map<String, Value>,
    keys: &'static [Key],
    path: &str,
    problems: &mut Vec<Problem>,
) {
    let place = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    object.retain(|name, _| {
        let known = keys.iter().any(|key| key.name == name);
        if !known {
            problems.push(unknown(name, keys, place));
        }
        known
    });
    for key in keys {
        if !key.required && object.get(key.name).is_none_or(Value::is_null) {
            object.remove(key.name);
            continue;
        }
        let value = object.entry(key.name).or_insert(Value::Null);
        mend(value, key.kind, &place(key.name), problems);
    }
}

/// A key that nobody asked for. It is repeated only when it looks like a name, since anything may
/// stand there, a phone number too.
fn unknown(name: &str, keys: &[Key], place: impl Fn(&str) -> String) -> Problem {
    let plain = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) {
        return problem(&place("?"), "is an unknown key".to_owned());
    }
    let why = match crate::config::near_match(name, keys.iter().map(|key| key.name)) {
        Some(near) => format!("is an unknown key; is `{near}` meant?"),
        None => "is an unknown key".to_owned(),
    };
    problem(&place(name), why)
}

fn placeholder(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!(""),
        Kind::Flag => json!(false),
        Kind::Number(_) => json!(0),
        Kind::List(_) => json!([]),
        Kind::Object(keys) => {
            let filled = keys.iter().map(|key| (key.name.to_owned(), placeholder(key.kind)));
            Value::Object(filled.collect())
        }
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "this number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::good;
    use super::*;

    /// The problems of a good order after `change`.
    #[track_caller]
    fn problems(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut tree = serde_json::to_value(good()).unwrap();
        change(&mut tree);
        match Order::from_json(tree.to_string().as_bytes()) {
            Ok(_) => Vec::new(),
            Err(Error::Invalid(problems)) => problems.iter().map(Problem::to_string).collect(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let found = problems(|tree| {
            tree["memmo"] = json!("x");
            tree["customer"]["phone"] = json!(1_012_345_678);
            tree["customer"]["name"] = json!(null);
            tree["address"]["postcode"] = json!("1");
            tree["items"][0]["quantity"] = json!(-1);
            tree["items"][1] = json!("SKU-2");
        });
        assert_eq!(
            found,
            [
                "memmo is an unknown key; is `memo` meant?",
                "customer.name is missing",
                "customer.phone must be a text, not this number",
                "items[0].quantity must be a whole number, not this number",
                "items[1] must be an object, not a text",
                "address.postcode must be five digits",
            ]
        );
    }

    #[test]
    fn a_missing_key_is_named_and_an_optional_one_is_not() {
        for (pointer, key, path) in [
            ("", "id", "id"),
            ("", "customer", "customer"),
            ("", "items", "items"),
            ("/customer", "phone", "customer.phone"),
            ("/address", "line1", "address.line1"),
            ("/items/1", "unit_price", "items[1].unit_price"),
        ] {
            let found = problems(|tree| {
                tree.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key);
            });
            assert_eq!(found, [format!("{path} is missing")]);
        }
        let optional = problems(|tree| {
            tree["memo"] = json!(null);
            tree["address"]["line2"] = json!(null);
            tree["items"][0]["parcel"] = json!(null);
        });
        assert!(optional.is_empty(), "{optional:?}");
    }

    #[test]
    fn the_table_of_keys_and_the_draft_agree() {
        let Value::Object(filled) = placeholder(Kind::Object(ORDER)) else { unreachable!() };
        let mut filled = Value::Object(filled);
        filled["items"] = json!([placeholder(Kind::Object(ITEM))]);
        let draft: Draft = serde_json::from_value(filled.clone()).unwrap();
        let mut written = serde_json::to_value(&draft).unwrap();
        written["memo"] = json!(draft.memo);
        assert_eq!(written, filled);
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let error = Order::from_json(b"{\n  \"id\": \"A\",,\n}").unwrap_err();
        assert!(matches!(error, Error::Malformed { line: 2, column: 13, .. }), "{error:?}");
        let late = Order::from_json(b"{\"id\": 1,\n\n oops").unwrap_err();
        assert!(matches!(late, Error::Malformed { line: 3, .. }), "{late:?}");
        assert!(matches!(Order::from_json(b"").unwrap_err(), Error::Malformed { .. }));
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let text = serde_json::to_string(&good()).unwrap().replacen('{', "{\"id\":\"X\",", 1);
        let error = Order::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "invalid: has a duplicate field `id`");
    }

    #[test]
    fn a_number_as_a_key_or_a_value_is_never_repeated() {
        let found = problems(|tree| {
            tree["01012345678"] = json!(1_012_345_678);
            tree["id"] = json!(1_012_345_678);
        });
        assert!(!found.join(" ").contains("1012345678"), "{found:?}");
        assert_eq!(found[0], "? is an unknown key");
    }
}
