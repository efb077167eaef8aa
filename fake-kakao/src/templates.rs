//! Message templates: texts with variables written `#{name}`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A registered template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// `templateCode` on the wire.
    pub code: String,
    /// The approved text; `#{name}` stands for at least one character.
    pub text: String,
    /// What the gateway and Kakao make of it.
    #[serde(default)]
    pub state: TemplateState,
}

/// What becomes of messages of a template.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateState {
    /// Sent.
    #[default]
    Approved,
    /// Refused at once, A505.
    Unapproved,
    /// Accepted, but Kakao no longer finds it: report 63015.
    Removed,
}

impl Template {
    /// The values that make the template's text into `text`; `None` when nothing does.
    ///
    /// A variable takes as little as the text allows. Of a variable that occurs twice the first
    /// value is given.
    pub fn variables(&self, text: &str) -> Option<BTreeMap<String, String>> {
        let (first, rest) = parts(&self.text);
        let mut unread = text.strip_prefix(first)?;
        let mut values = BTreeMap::new();
        for (index, (name, literal)) in rest.iter().enumerate() {
            let end = if index + 1 == rest.len() {
                let end = unread.len().checked_sub(literal.len())?;
                (unread.is_char_boundary(end) && unread[end..] == **literal).then_some(end)?
            } else {
                let start = unread.chars().next()?.len_utf8();
                start + unread[start..].find(literal)?
            };
            if end == 0 {
                return None;
            }
            values.entry((*name).to_owned()).or_insert_with(|| unread[..end].to_owned());
            unread = &unread[end + literal.len()..];
        }
        unread.is_empty().then_some(values)
    }
}

/// `text` with every `#{name}` of `values` replaced; other variables stay as they are.
pub fn substitute(text: &str, values: &BTreeMap<String, String>) -> String {
    let (first, rest) = parts(text);
    let mut written = first.to_owned();
    for (name, literal) in rest {
        match values.get(name) {
            Some(value) => written.push_str(value),
            None => written.extend(["#{", name, "}"]),
        }
        written.push_str(literal);
    }
    written
}

/// The literal before the first variable, then each variable's name with the literal behind it.
fn parts(text: &str) -> (&str, Vec<(&str, &str)>) {
    let mut pieces = Vec::new();
    let (first, mut unread) = match text.find("#{") {
        Some(start) => text.split_at(start),
        None => (text, ""),
    };
    while let Some((name, behind)) = unread.strip_prefix("#{").and_then(|t| t.split_once('}')) {
        let end = behind.find("#{").unwrap_or(behind.len());
        pieces.push((name, &behind[..end]));
        unread = &behind[end..];
    }
    if pieces.is_empty() {
        return (text, pieces);
    }
    if let (Some(last), false) = (pieces.last_mut(), unread.is_empty()) {
        // An opening without an end is no variable but text.
        last.1 = &text[text.len() - unread.len() - last.1.len()..];
    }
    (first, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        let state = TemplateState::Approved;
        Template { code: "ORDER_SHIPPED".to_owned(), text: text.to_owned(), state }
    }

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_values_of_a_sent_text_are_read_back() {
        let shipped = template("[#{shop}] #{name}님, 주문 #{order}의 배송. 운송장번호 #{invoice}");
        let sent = "[드릴상회] 홍길동님, 주문 A-1의 배송. 운송장번호 123456789012";
        let pairs = [
            ("shop", "드릴상회"),
            ("name", "홍길동"),
            ("order", "A-1"),
            ("invoice", "123456789012"),
        ];
        assert_eq!(shipped.variables(sent), Some(values(&pairs)));
        assert_eq!(substitute(&shipped.text, &values(&pairs)), sent);
    }

    #[test]
    fn a_text_that_differs_anywhere_is_no_match() {
        let greeting = template("#{name}님, 안녕하세요.");
        assert!(greeting.variables("홍길동님, 안녕하세요.").is_some());
        for other in [
            "",
            "님, 안녕하세요.",
            "홍길동님, 안녕하세요",
            "홍길동님, 안녕하세요. 광고",
            "홍길동 님! 안녕하세요.",
        ] {
            assert_eq!(greeting.variables(other), None, "{other}");
        }
        assert!(template("고정").variables("고정").is_some());
        assert!(template("고정").variables("고정!").is_none());
    }

    #[test]
    fn what_is_no_whole_variable_is_text() {
        assert_eq!(substitute("#{a} #{b", &values(&[("a", "1"), ("b", "2")])), "1 #{b");
        assert_eq!(substitute("no end #{b", &values(&[("b", "2")])), "no end #{b");
        assert_eq!(substitute("#{a}#{b}", &values(&[("b", "2")])), "#{a}2");
        assert!(template("#{a} #{b").variables("1 #{b").is_some());
    }
}
