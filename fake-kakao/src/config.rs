//! What can be set of the gateway.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery::{Rates, Recipient};
use crate::templates::{Template, TemplateState};

/// The template that a shop sends when its parcel was handed to the carrier.
pub const ORDER_SHIPPED: &str = "ORDER_SHIPPED";

const ORDER_SHIPPED_TEXT: &str =
    "[#{shop}] #{name}님, 주문 #{order}의 배송이 접수되었습니다. 운송장번호 #{invoice}";

/// The template that a shop sends to a new member.
pub const MEMBER_WELCOME: &str = "MEMBER_WELCOME";

const MEMBER_WELCOME_TEXT: &str = "[#{shop}] #{name}님, 회원가입을 환영합니다.";

/// The gateway's configuration; every field has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The API key that is let in; without one, a key made from the seed.
    pub api_key: Option<Secret>,
    /// The registered sender profiles (`senderKey`); when empty, one made from the seed.
    pub sender_keys: Vec<String>,
    /// The registered templates.
    pub templates: Vec<Template>,
    /// The registered sender numbers for text messages.
    pub sms_senders: Vec<String>,
    /// Whether the limits hold.
    pub limits: Limits,
    /// Messages a second, counted by recipients (Bizgo: 200).
    pub sends_per_second: u32,
    /// Requests a second to everything but sending (Bizgo: 5).
    pub requests_per_second: u32,
    /// What a 429 says of when to come back. The provider documents nothing.
    pub retry_after: RetryAfter,
    /// Where the A301 of a repeated idempotency key stands.
    pub idempotency: DuplicateLevel,
    /// The gateway remembers no key at all: every repeat is sent again.
    pub forgets_keys: bool,
    /// What is known of single recipients; stronger than `rates`.
    pub recipients: Vec<Recipient>,
    /// How many of the other recipients cannot be reached, and why.
    pub rates: Rates,
    /// Whether a message of unknown outcome (63005) falls back to the next step.
    pub unknown_falls_back: bool,
    /// Whether a message of unknown outcome (63005) arrives in the end, so that with a fallback
    /// the customer gets two.
    pub unknown_arrives_late: bool,
    /// How long after sending such a message arrives.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub late_after: Duration,
    /// How long Kakao takes to tell what became of a message.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub alimtalk_report_after: Duration,
    /// How long a mobile operator takes to tell what became of a text message.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub sms_report_after: Duration,
    /// How long a batch of reports that was not acknowledged waits before it is handed out again.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub redeliver_after: Duration,
    /// How long the `ban` fault blocks a caller, when it does not say.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub ban_for: Duration,
    /// The longest text of an SMS, in bytes of EUC-KR (Bizgo: 90).
    pub sms_text_bytes_max: u32,
    /// How many messages, and how many rows of each other kind, the ledger keeps; older ones are
    /// dropped, and counted.
    pub ledger_capacity: usize,
}

impl Default for Config {
    fn default() -> Config {
        let approved = |code: &str, text: &str| Template {
            code: code.to_owned(),
            text: text.to_owned(),
            state: TemplateState::Approved,
        };
        Config {
            api_key: None,
            sender_keys: Vec::new(),
            templates: vec![
                approved(ORDER_SHIPPED, ORDER_SHIPPED_TEXT),
                approved(MEMBER_WELCOME, MEMBER_WELCOME_TEXT),
            ],
            sms_senders: vec!["0212345678".to_owned()],
            limits: Limits::On,
            sends_per_second: 200,
            requests_per_second: 5,
            retry_after: RetryAfter::Absent,
            idempotency: DuplicateLevel::Destination,
            forgets_keys: false,
            recipients: Vec::new(),
            rates: Rates::default(),
            unknown_falls_back: true,
            unknown_arrives_late: false,
            late_after: Duration::from_secs(60),
            alimtalk_report_after: Duration::from_secs(3),
            sms_report_after: Duration::from_secs(2),
            redeliver_after: Duration::from_secs(30),
            ban_for: Duration::from_secs(300),
            sms_text_bytes_max: 90,
            ledger_capacity: 100_000,
        }
    }
}

/// Whether the limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limits {
    /// They hold.
    #[default]
    On,
    /// Nothing is limited.
    Off,
}

/// What a 429 says of when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfter {
    /// Nothing.
    #[default]
    Absent,
    /// Whole seconds, rounded up.
    Seconds,
}

/// Where the A301 of a repeated idempotency key stands. Either was seen of the real gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicateLevel {
    /// HTTP 200, and A301 at each destination.
    #[default]
    Destination,
    /// HTTP 400 with A301 for the whole request.
    Request,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not TOML, an unknown key, or a value of another type; the source names line and column.
    #[error("unusable TOML")]
    Toml(#[source] toml::de::Error),
    /// A limit of nothing a second would let nothing through.
    #[error("`{0}` must be at least 1; `limits = \"off\"` takes the limits away")]
    ZeroLimit(&'static str),
    /// A ledger that keeps nothing is no evidence.
    #[error("`ledger_capacity` must be at least 1")]
    ZeroCapacity,
    /// Text messages need a sender.
    #[error("`sms_senders` must name at least one number")]
    NoSender,
    /// A share that is none.
    #[error("`rates`: each must be from 0 to 1, and those of kakao at most 1 together")]
    Rates,
    /// Two templates of one code.
    #[error("`templates`: `{0}` stands there twice")]
    TemplateTwice(String),
    /// Two rows for one recipient; `index` counts from 0.
    #[error("`recipients[{index}]`: the number stands there twice")]
    RecipientTwice {
        /// The row's place.
        index: usize,
    },
}

impl Config {
    /// From TOML, checked.
    ///
    /// # Errors
    /// [`Error`] with the place of what is wrong.
    pub fn from_toml(text: &str) -> Result<Config, Error> {
        let config: Config = toml::from_str(text).map_err(Error::Toml)?;
        config.validate()?;
        Ok(config)
    }

    /// Whether the values make sense together.
    ///
    /// # Errors
    /// The first [`Error`] found.
    pub fn validate(&self) -> Result<(), Error> {
        let limits = [
            ("sends_per_second", self.sends_per_second),
            ("requests_per_second", self.requests_per_second),
        ];
        if let Some((name, _)) = limits.into_iter().find(|(_, limit)| *limit == 0) {
            return Err(Error::ZeroLimit(name));
        }
        if self.ledger_capacity == 0 {
            return Err(Error::ZeroCapacity);
        }
        if self.sms_senders.is_empty() {
            return Err(Error::NoSender);
        }
        if !self.rates.are_shares() {
            return Err(Error::Rates);
        }
        let mut codes = BTreeSet::new();
        if let Some(twice) = self.templates.iter().find(|row| !codes.insert(&row.code)) {
            return Err(Error::TemplateTwice(twice.code.clone()));
        }
        let mut numbers = BTreeSet::new();
        match self.recipients.iter().position(|row| !numbers.insert(&row.to)) {
            Some(index) => Err(Error::RecipientTwice { index }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Kakao;

    #[test]
    fn nothing_set_is_the_default_and_the_default_is_valid() {
        assert_eq!(Config::from_toml("").unwrap(), Config::default());
    }

    #[test]
    fn a_configuration_is_read_and_survives_a_round_trip() {
        let text = r#"
            api_key = "k"
            limits = "off"
            idempotency = "request"
            forgets_keys = true
            redeliver_after = "5s"
            recipients = [{ to = "01012345678", kakao = "none" }]
            rates = { kakao_blocked = 0.1 }
        "#;
        let config = Config::from_toml(text).unwrap();
        assert_eq!(config.limits, Limits::Off);
        assert_eq!(config.redeliver_after, Duration::from_secs(5));
        assert_eq!(config.recipients[0].kakao, Kakao::None);
        let written = toml::to_string(&config).unwrap();
        assert_eq!(Config::from_toml(&written).unwrap(), config);
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        let refusals = [
            ("forgets_key = true", "unknown field `forgets_key`"),
            ("sends_per_second = 0", "sends_per_second"),
            ("ledger_capacity = 0", "ledger_capacity"),
            ("sms_senders = []", "sms_senders"),
            ("rates = { kakao_none = 0.6, kakao_blocked = 0.6 }", "rates"),
            ("templates = [{code='A',text='a'},{code='A',text='b'}]", "`A`"),
            ("recipients = [{to='010'},{to='010'}]", "recipients[1]"),
            ("late_after = 'soon'", "line 1, column"),
        ];
        for (text, place) in refusals {
            let error = Config::from_toml(text).unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let said = format!("{error} {}", source.unwrap_or_default());
            assert!(said.contains(place), "{text}: {said}");
        }
    }

    #[test]
    fn the_api_key_is_never_shown() {
        let config = Config { api_key: Some(Secret::new("sesame")), ..Config::default() };
        assert!(!format!("{config:?}").contains("sesame"));
    }

    #[test]
    fn the_default_template_reads_an_order_s_text() {
        let text = "[드릴상회] 홍길동님, 주문 A-1의 배송이 접수되었습니다. 운송장번호 123456789012";
        let values = Config::default().templates[0].variables(text).unwrap();
        assert_eq!(values["invoice"], "123456789012");
    }
}
