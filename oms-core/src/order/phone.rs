//! Korean phone numbers, as the carrier and the gateway want them.

/// Area codes beside Seoul's `02`.
const AREAS: [&str; 16] = [
    "031", "032", "033", "041", "042", "043", "044", "051", "052", "053", "054", "055", "061",
    "062", "063", "064",
];

/// Mobile prefixes older than `010`, whose numbers may be a digit shorter.
const OLD_MOBILES: [&str; 5] = ["011", "016", "017", "018", "019"];

/// The digits of a phone number written with hyphens or without; `None` for any other character.
pub(super) fn digits(phone: &str) -> Option<String> {
    let known = |char: char| char.is_ascii_digit() || char == '-';
    phone.chars().all(known).then(|| phone.replace('-', ""))
}

/// Prefix, exchange and line of a number that is digits alone; `None` when it is no Korean phone
/// number of a person or a shop.
pub(super) fn parts(digits: &str) -> Option<[&str; 3]> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let prefix = prefix_length(digits)?;
    let (prefix, rest) = digits.split_at(prefix);
    let lengths = match prefix {
        "010" | "070" => 8..=8,
        _ => 7..=8,
    };
    if !lengths.contains(&rest.len()) {
        return None;
    }
    let (exchange, line) = rest.split_at(rest.len() - 4);
    Some([prefix, exchange, line])
}

fn prefix_length(digits: &str) -> Option<usize> {
    if digits.starts_with("02") {
        return Some(2);
    }
    // Safe numbers, which hide the customer's own: 0502 to 0508 today, the rest reserved.
    if digits.starts_with("050") {
        return (digits.len() > 4).then_some(4);
    }
    let prefix = digits.get(..3)?;
    let known =
        matches!(prefix, "010" | "070") || AREAS.contains(&prefix) || OLD_MOBILES.contains(&prefix);
    known.then_some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(phone: &str, expected: Option<&str>) {
        let digits = digits(phone);
        let parts = digits.as_deref().and_then(parts).map(|parts| parts.join(" "));
        assert_eq!(parts.as_deref(), expected, "{phone}");
    }

    #[test]
    fn korean_numbers_fall_into_three_parts() {
        check("010-1234-5678", Some("010 1234 5678"));
        check("01012345678", Some("010 1234 5678"));
        check("011-123-4567", Some("011 123 4567"));
        check("01912345678", Some("019 1234 5678"));
        check("02-123-4567", Some("02 123 4567"));
        check("0212345678", Some("02 1234 5678"));
        check("031-123-4567", Some("031 123 4567"));
        check("064-1234-5678", Some("064 1234 5678"));
        check("070-1234-5678", Some("070 1234 5678"));
        check("0502-123-4567", Some("0502 123 4567"));
        check("050712345678", Some("0507 1234 5678"));
    }

    #[test]
    fn others_are_refused() {
        for phone in [
            "",
            "-",
            "0",
            "02",
            "050",
            "0505",
            "010",
            "1588-1234",
            "080-123-4567",
            "010-123-4567",
            "010-1234-56789",
            "070-123-4567",
            "02-123-456",
            "02-12345-6789",
            "012-1234-5678",
            "+82-10-1234-5678",
            "010 1234 5678",
            "010-1234-567a",
            "０１０１２３４５６７８",
            "1012345678",
        ] {
            check(phone, None);
        }
    }
}
