//! What kind of carrier this is: every rule that the public record leaves open is a knob.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tracking::ParcelState;

/// The carrier's settings. The defaults are a carrier that keeps to its contract.
///
/// Durations are written as `1s`, `300s`, `6h`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The one customer that the carrier knows (`CUST_ID`, `CLNTNUM`).
    pub cust_id: String,
    /// That customer's business registration number: ten digits, no hyphen.
    pub biz_reg_num: String,

    /// `off`: no windows and no bans.
    pub limits: Switch,
    /// How many calls a client address has in each window; all windows hold at once.
    pub windows: Vec<Window>,
    /// Where a window begins.
    pub window_kind: WindowKind,
    /// What a refused call is told about when to come back.
    pub retry_after: RetryAfter,
    /// So many refused calls in a row ban the address; 0 never bans.
    pub ban_after: u32,
    /// How long a ban lasts.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub ban_for: Duration,
    /// Whether a call made while banned starts the ban anew.
    pub ban_extends: bool,
    /// What a banned client sees.
    pub banned_sees: BannedSees,

    /// How long a token is valid.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub token_valid_for: Duration,
    /// A second request for a token sooner than this after the last one blocks the customer.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub token_spacing: Duration,
    /// How long that block lasts.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub token_block_for: Duration,
    /// What a blocked customer sees.
    pub token_blocked_sees: TokenBlockedSees,

    /// The numbers that `ReqInvcNo` hands out.
    pub invoice: Series,
    /// Numbers that the customer was given in advance.
    pub band: Option<Band>,
    /// What a second booking under one key gets.
    pub duplicates: Duplicates,
    /// Receivers' postcodes that the carrier does not serve.
    pub refuse_zip: Vec<String>,
    /// A parcel's way after its booking; empty: it moves only when told.
    pub tracking_steps: Vec<Step>,
    /// How long after a booking its tracking first shows.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub tracking_visible_after: Duration,

    /// How many bookings the book holds; a full book refuses, it never forgets.
    pub bookings_max: usize,
    /// How many entries each other list of the ledger keeps; older ones are counted and dropped.
    pub ledger_capacity: usize,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// In force.
    On,
    /// Not in force.
    Off,
}

/// So many calls in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The last call that passes.
    pub calls: u32,
    /// The window's length.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub per: Duration,
}

/// Where a window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WindowKind {
    /// It ends now: a call counts until exactly one length after it was made.
    Sliding,
    /// At whole multiples of its length since the Unix epoch.
    Fixed,
}

/// The `Retry-After` header of a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfter {
    /// No header.
    Absent,
    /// Whole seconds, rounded up.
    Seconds,
    /// An HTTP date, rounded up to the next second.
    Date,
}

/// What a banned client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BannedSees {
    /// HTTP 403.
    Forbidden,
    /// A connection cut without an answer.
    Refused,
}

/// What a customer sees who asked for tokens too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenBlockedSees {
    /// HTTP 429 with `RESULT_CD` `E`.
    TooManyRequests,
    /// HTTP 200 with `RESULT_CD` `E`.
    Failure,
}

/// What a second booking under one key gets, while the first is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// `E` and `ORA-00001`, as the real carrier does.
    Reject,
    /// The worst carrier: it books again.
    Accept,
    /// `S` once more, and nothing is booked.
    Replay,
}

/// The numbers that `ReqInvcNo` hands out, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The first two digits, 0 to 99.
    pub prefix: u8,
    /// The first body, nine digits.
    pub first: u32,
}

/// Numbers handed to the customer in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// The first two digits, 0 to 99.
    pub prefix: u8,
    /// The first body, nine digits.
    pub from: u32,
    /// The last body, nine digits, itself in the band.
    pub to: u32,
}

/// One step of a parcel's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What the parcel becomes.
    pub state: ParcelState,
    /// How long after the booking.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub after: Duration,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No TOML, an unknown key, or a value of the wrong form; the source names line and column.
    #[error("carrier settings")]
    Parse(#[source] toml::de::Error),
    /// A value that no carrier could have.
    #[error("carrier settings: `{key}` {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
}

/// What a [`clockwork::Timestamp`] can tell apart.
const MICROSECOND: Duration = Duration::from_micros(1);

/// The last body that nine digits can write.
pub const BODY_MAX: u32 = 999_999_999;

impl Default for Config {
    /// Limits as the project's seed text has them: 10 a second, 100 a minute, five violations in a
    /// row ban for five minutes. Token rules as the carrier's customers describe them.
    fn default() -> Config {
        let second = Duration::from_secs(1);
        let hour = Duration::from_hours(1);
        let step = |state, hours| Step { state, after: hour * hours };
        Config {
            cust_id: "30000001".to_owned(),
            biz_reg_num: "1234567890".to_owned(),
            limits: Switch::On,
            windows: vec![
                Window { calls: 10, per: second },
                Window { calls: 100, per: second * 60 },
            ],
            window_kind: WindowKind::Sliding,
            retry_after: RetryAfter::Absent,
            ban_after: 5,
            ban_for: second * 300,
            ban_extends: false,
            banned_sees: BannedSees::Forbidden,
            token_valid_for: hour * 24,
            token_spacing: second,
            token_block_for: second * 60,
            token_blocked_sees: TokenBlockedSees::TooManyRequests,
            invoice: Series { prefix: 65, first: 1 },
            band: None,
            duplicates: Duplicates::Reject,
            refuse_zip: Vec::new(),
            tracking_steps: vec![
                step(ParcelState::PickupOrdered, 0),
                step(ParcelState::PickedUp, 6),
                step(ParcelState::LineHaulLoaded, 10),
                step(ParcelState::LineHaulUnloaded, 18),
                step(ParcelState::OutForDelivery, 26),
                step(ParcelState::Delivered, 32),
            ],
            tracking_visible_after: Duration::ZERO,
            bookings_max: 1_000_000,
            ledger_capacity: 100_000,
        }
    }
}

impl Config {
    /// Reads and checks settings in TOML; absent keys keep their defaults.
    ///
    /// # Errors
    /// [`Error::Parse`] with line and column, [`Error::Value`] with the key.
    pub fn from_toml(text: &str) -> Result<Config, Error> {
        let config: Config = toml::from_str(text).map_err(Error::Parse)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`Error::Value`] for the first value that cannot be used.
    pub fn validate(&self) -> Result<(), Error> {
        let check = |good: bool, key, problem| {
            if good { Ok(()) } else { Err(Error::Value { key, problem }) }
        };
        let ten_digits =
            self.biz_reg_num.len() == 10 && self.biz_reg_num.bytes().all(|b| b.is_ascii_digit());
        check(!self.cust_id.is_empty(), "cust_id", "is empty")?;
        check(ten_digits, "biz_reg_num", "must be ten digits without hyphens")?;
        check(
            self.windows.iter().all(|window| window.calls > 0 && window.per >= MICROSECOND),
            "windows",
            "must each admit a call and last a microsecond",
        )?;
        check(!self.token_valid_for.is_zero(), "token_valid_for", "must be longer than nothing")?;
        check(self.invoice.prefix <= 99, "invoice.prefix", "must have two digits")?;
        check(self.invoice.first <= BODY_MAX, "invoice.first", "must have nine digits")?;
        if let Some(band) = self.band {
            check(band.prefix <= 99, "band.prefix", "must have two digits")?;
            check(
                band.from <= band.to && band.to <= BODY_MAX,
                "band",
                "must go from a number of nine digits to no smaller one",
            )?;
            check(
                band.prefix != self.invoice.prefix || band.to < self.invoice.first,
                "band",
                "overlaps the numbers that `invoice` hands out",
            )?;
        }
        check(
            self.tracking_steps.is_sorted_by_key(|step| step.after),
            "tracking_steps",
            "must be in the order of time",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_seeds_and_are_valid() {
        let config = Config::from_toml("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.windows[0], Window { calls: 10, per: Duration::from_secs(1) });
        assert_eq!(config.windows[1], Window { calls: 100, per: Duration::from_secs(60) });
        assert_eq!((config.ban_after, config.ban_for), (5, Duration::from_secs(300)));
    }

    #[test]
    fn every_setting_can_be_written_and_read_again() {
        let text = r#"
            limits = "off"
            windows = [{ calls = 3, per = "2s 500ms" }]
            window_kind = "fixed"
            retry_after = "date"
            banned_sees = "refused"
            token_blocked_sees = "failure"
            duplicates = "replay"
            band = { prefix = 60, from = 1, to = 10 }
            tracking_steps = [{ state = "11", after = "90m" }]
        "#;
        let config = Config::from_toml(text).unwrap();
        assert_eq!(config.windows[0].per, Duration::from_millis(2_500));
        assert_eq!(config.tracking_steps[0].state, ParcelState::PickedUp);
        let written = toml::to_string(&config).unwrap();
        assert_eq!(Config::from_toml(&written).unwrap(), config);
    }

    #[test]
    fn a_wrong_setting_is_refused_with_its_place() {
        let misspelt = Config::from_toml("duplicates = \"reject\"\nban_aftr = 5").unwrap_err();
        let Error::Parse(source) = misspelt else { panic!("{misspelt}") };
        assert!(source.to_string().contains("line 2"), "{source}");
        for (text, key) in [
            ("windows = [{ calls = 0, per = \"1s\" }]", "windows"),
            ("biz_reg_num = \"123-45-67890\"", "biz_reg_num"),
            ("invoice = { prefix = 100, first = 1 }", "invoice.prefix"),
            ("band = { prefix = 65, from = 0, to = 1 }", "band"),
            ("band = { prefix = 60, from = 2, to = 1 }", "band"),
        ] {
            let refused = Config::from_toml(text).unwrap_err();
            assert!(refused.to_string().contains(&format!("`{key}`")), "{text}: {refused}");
        }
    }

    #[test]
    fn the_schema_names_every_setting() {
        let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
        let described = schema["properties"].as_object().unwrap();
        let written = serde_json::to_value(Config::default()).unwrap();
        for key in written.as_object().unwrap().keys() {
            assert!(described.contains_key(key), "{key}");
        }
    }
}
