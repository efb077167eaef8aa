//! Text in columns of a terminal.

/// How many columns a report has.
pub(crate) const COLUMNS: usize = 80;

/// How many columns `text` takes: Korean takes two a character.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|char| if is_wide(char) { 2 } else { 1 }).sum()
}

fn is_wide(char: char) -> bool {
    // Hangul, CJK and their full-width forms (Unicode TR 11).
    matches!(u32::from(char), 0x1100..=0x115f | 0x2e80..=0xd7a3 | 0xf900..=0xfaff | 0xff00..=0xff60)
}

/// `text` in lines of at most [`COLUMNS`], each after `indent` spaces, broken between words.
pub(crate) fn wrap(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut lines = String::new();
    let mut line = margin.clone();
    for word in text.split_whitespace() {
        let empty = line.len() == indent;
        if !empty && width(&line) + 1 + width(word) > COLUMNS {
            lines += line.trim_end();
            lines.push('\n');
            line = format!("{margin}  {word}");
        } else {
            line += if empty { "" } else { " " };
            line += word;
        }
    }
    lines += line.trim_end();
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_never_passes_the_last_column() {
        let text = "an order was told shipped ".repeat(8);
        let wrapped = wrap(&text, 2);
        assert!(wrapped.lines().all(|line| width(line) <= COLUMNS), "{wrapped}");
        assert!(wrapped.lines().count() > 2);
        assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>().join(" "), text.trim());
    }

    #[test]
    fn korean_takes_two_columns_a_character() {
        assert_eq!(width("배송접수"), 8);
        assert_eq!(width("a → b"), 5);
        let wrapped = wrap(&"배송접수완료 ".repeat(10), 0);
        assert!(wrapped.lines().all(|line| width(line) <= COLUMNS), "{wrapped}");
    }
}
