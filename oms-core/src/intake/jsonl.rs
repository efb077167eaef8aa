//! Orders as JSON lines.

use serde_json::Value;

use super::file::{Entry, LineError, LineProblem, no_utf8};
use crate::order::{self, Order};

/// The orders of `text`.
pub(super) fn entries(text: &[u8]) -> Vec<Entry> {
    (1..)
        .zip(text.split(|byte| *byte == b'\n'))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(line, bytes)| Entry { line, order: read(line, bytes) })
        .collect()
}

fn read(line: u64, bytes: &[u8]) -> Result<Order, LineError> {
    let whole = |why: String| vec![LineProblem { line, field: String::new(), why }];
    let refused = |problems| LineError { line, order: id_of(bytes), problems };
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(refused(whole(no_utf8(error.valid_up_to() + 1))));
    }
    Order::from_json(bytes).map_err(|error| match error {
        order::Error::Malformed { column, reason, .. } => {
            refused(whole(format!("is malformed JSON at column {column}: {reason}")))
        }
        order::Error::Invalid(problems) => {
            let placed = |problem: order::Problem| LineProblem {
                line,
                field: problem.field,
                why: problem.why,
            };
            refused(problems.into_iter().map(placed).collect())
        }
    })
}

/// The id of a refused order, if it is one.
fn id_of(bytes: &[u8]) -> Option<String> {
    let tree: Value = serde_json::from_slice(bytes).ok()?;
    let id = tree.get("id")?.as_str()?;
    order::is_id(id).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = concat!(
        r#"{"id":"A-1","customer":{"name":"홍길동","phone":"010-1234-5678"},"#,
        r#""address":{"postcode":"06236","line1":"서울 강남구"},"#,
        r#""items":[{"sku":"S","name":"상품","quantity":1,"unit_price":100}]}"#,
    );

    #[test]
    fn good_lines_are_read_and_bad_ones_are_told_by_line_and_field() {
        let bad = GOOD.replace("A-1", "A-2").replace("\"quantity\":1", "\"quantity\":0");
        let mut text = format!("{GOOD}\r\n\n  \n{bad}\n{{\"id\":\n").into_bytes();
        text.extend(b"{\"id\":\"\xb1\xe8\"}\n");
        let entries = entries(&text);
        let lines: Vec<u64> = entries.iter().map(|entry| entry.line).collect();
        assert_eq!(lines, [1, 4, 5, 6]);
        assert_eq!(entries[0].order.as_ref().unwrap().id, "A-1");
        let told = |index: usize| entries[index].order.as_ref().unwrap_err();
        assert_eq!(told(1).to_string(), "line 4: items[0].quantity must be 1 to 999, not 0");
        assert_eq!(told(1).order.as_deref(), Some("A-2"));
        assert!(told(2).to_string().starts_with("line 5: is malformed JSON at column 6: "));
        assert!(told(3).to_string().starts_with("line 6: is not UTF-8 from byte 8 on"));
        assert_eq!(told(3).order, None);
    }

    #[test]
    fn a_refused_phone_number_is_told_masked() {
        let text = GOOD.replace("010-1234-5678", "010-1234-56789");
        let told = entries(text.as_bytes())[0].order.as_ref().unwrap_err().to_string();
        assert!(told.contains("customer.phone") && !told.contains("1234"), "{told}");
    }
}
