//! The other side's words, made fit for a log.

/// Longer texts are cut: an Oracle message may be 5,000 characters.
const WORDS_MAX: usize = 200;
/// A Korean phone number has 9 to 12 digits.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 9..=12;

/// `text` without `secrets`, phone numbers and control characters, and not too long.
pub(crate) fn words(text: &str, secrets: &[&str]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        clean = clean.replace(secret, "****");
    }
    let clean = mask_phones(&clean);
    let shown: String = clean.chars().map(plain).take(WORDS_MAX).collect();
    match clean.chars().nth(WORDS_MAX) {
        Some(_) => shown + "…",
        None => shown,
    }
}

fn plain(char: char) -> char {
    if char.is_control() { ' ' } else { char }
}

/// Masks every run of digits and hyphens that looks like a phone number: it begins with 0 or with
/// Korea's 82. Invoice numbers and `ORA-00001` stay readable.
fn mask_phones(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|char: char| char.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let length = from.find(|char: char| !char.is_ascii_digit() && char != '-');
        let (run, after) = from.split_at(length.unwrap_or(from.len()));
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let dialled = run.starts_with('0') || run.starts_with("82");
        masked.push_str(before);
        masked.push_str(if dialled && PHONE_DIGITS.contains(&digits) { "***" } else { run });
        rest = after;
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_and_secrets_are_masked_and_codes_are_not() {
        let said = "ORA-00001: token tok-7, call 010-1234-5678 or 01012345678 or 82-10-1234-5678, \
                    invoice 650000000033";
        let expected = "ORA-00001: token ****, call *** or *** or ***, invoice 650000000033";
        assert_eq!(words(said, &["tok-7", ""]), expected);
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_lines_are_joined() {
        let cut = words(&"가\n".repeat(500), &[]);
        assert_eq!(cut.chars().count(), WORDS_MAX + 1);
        assert!(cut.starts_with("가 가 ") && cut.ends_with('…'));
    }
}
