//! Settings that can be read but make no sense.

use std::fmt;
use std::time::Duration;

use super::{Breaker, Calls, Config};
use crate::order;

/// The longest that the gateway remembers an idempotency key (Bizgo v1: 86,400 s).
const IDEMPOTENCY_TTL_MAX: Duration = Duration::from_secs(86_400);

/// A value that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible {
    /// The setting: `carrier.calls.attempts`.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.why)
    }
}

impl Config {
    /// Whether the settings make sense together. Empty URLs pass: the command line may give them.
    ///
    /// # Errors
    /// Every value that does not, by its key.
    pub fn check(&self) -> Result<(), Vec<Impossible>> {
        let mut found = Vec::new();
        self.check_shop(&mut found);
        self.check_carrier(&mut found);
        self.check_messenger(&mut found);
        self.check_service(&mut found);
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    fn check_shop(&self, found: &mut Vec<Impossible>) {
        let shop = &self.shop;
        let texts = [
            ("name", &shop.name, 1, order::NAME_BYTES_MAX),
            ("line1", &shop.line1, 1, order::ADDRESS_BYTES_MAX),
            ("line2", &shop.line2, 0, order::ADDRESS_BYTES_MAX),
        ];
        for (key, text, bytes_min, bytes_max) in texts {
            let bytes = order::carrier_bytes(text);
            let fits = (bytes_min..=bytes_max).contains(&bytes);
            refuse(found, !fits, &format!("shop.{key}"), || {
                format!("must be {bytes_min} to {bytes_max} of the carrier's bytes, not {bytes}")
            });
        }
        let phone = order::phone_parts(&shop.phone);
        refuse(found, phone.is_none(), "shop.phone", || "must be a Korean number".to_owned());
        let postcode = shop.postcode.len() == 5 && digits(&shop.postcode);
        refuse(found, !postcode, "shop.postcode", || "must be five digits".to_owned());
        for refused in &shop.refused_postcodes {
            let begins = (1..=5).contains(&refused.len()) && digits(refused);
            refuse(found, !begins, "shop.refused_postcodes", || {
                "must be the first one to five digits of postcodes".to_owned()
            });
        }
    }

    fn check_carrier(&self, found: &mut Vec<Impossible>) {
        let carrier = &self.carrier;
        let cust_id = (1..=20).contains(&carrier.cust_id.len()) && carrier.cust_id.is_ascii();
        refuse(found, !cust_id, "carrier.cust_id", || "must be 1 to 20 characters".to_owned());
        let number = carrier.biz_reg_num.len() == 10 && digits(&carrier.biz_reg_num);
        refuse(found, !number, "carrier.biz_reg_num", || {
            "must be ten digits without hyphens".to_owned()
        });
        refuse(found, carrier.rounds_max == 0, "carrier.rounds_max", at_least_one);
        // Else a person is called before "not found" can prove anything.
        let patient = carrier.unknown_patience > carrier.lateness_max;
        refuse(found, !patient, "carrier.unknown_patience", || {
            format!("must be longer than carrier.lateness_max, {:?}", carrier.lateness_max)
        });
        check_calls(found, "carrier", &carrier.calls);
    }

    fn check_messenger(&self, found: &mut Vec<Impossible>) {
        let messenger = &self.messenger;
        let header = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        for (key, text) in [
            ("api_key", &messenger.api_key),
            ("sender_key", &messenger.sender_key),
            ("template_code", &messenger.template_code),
            ("welcome_template_code", &messenger.welcome_template_code),
        ] {
            refuse(found, !header(text), &format!("messenger.{key}"), || {
                "must be visible ASCII characters, at least one".to_owned()
            });
        }
        let from = messenger.sms_from.is_empty() || digits(&messenger.sms_from);
        refuse(found, !from, "messenger.sms_from", || "must be digits, or empty".to_owned());
        let ttl = messenger.idempotency_ttl;
        let remembered = !ttl.is_zero() && ttl <= IDEMPOTENCY_TTL_MAX;
        refuse(found, !remembered, "messenger.idempotency_ttl", || {
            "must be more than 0s and at most 1day".to_owned()
        });
        let poll = messenger.report_poll;
        refuse(found, poll.is_zero(), "messenger.report_poll", more_than_zero);
        refuse(found, messenger.rounds_max == 0, "messenger.rounds_max", at_least_one);
        check_calls(found, "messenger", &messenger.calls);
    }

    fn check_service(&self, found: &mut Vec<Impossible>) {
        let service = &self.service;
        refuse(found, service.poll.is_zero(), "service.poll", more_than_zero);
        refuse(found, service.body_bytes_max == 0, "service.body_bytes_max", at_least_one);
        refuse(found, service.pool_size == 0, "service.pool_size", at_least_one);
        if let Some(Err(why)) = service.otlp.as_deref().map(check_url) {
            refuse(found, true, "service.otlp", || why.to_owned());
        }
        // Else a database that is slow for a moment costs a worker what it works on.
        refuse(found, service.lease < Duration::from_secs(1), "service.lease", || {
            "must be at least 1s".to_owned()
        });
    }
}

fn check_calls(found: &mut Vec<Impossible>, api: &str, calls: &Calls) {
    let key = |name: &str| format!("{api}.calls.{name}");
    if let Err(why) = check_url(&calls.url) {
        refuse(found, true, &key("url"), || why.to_owned());
    }
    for (name, value) in [
        ("connect_timeout", calls.connect_timeout),
        ("read_timeout", calls.read_timeout),
        ("deadline", calls.deadline),
    ] {
        refuse(found, value.is_zero(), &key(name), more_than_zero);
    }
    for (index, window) in calls.windows.iter().enumerate() {
        let name = format!("windows[{index}]");
        refuse(found, window.calls == 0, &key(&format!("{name}.calls")), at_least_one);
        refuse(found, window.per.is_zero(), &key(&format!("{name}.per")), more_than_zero);
    }
    refuse(found, calls.at_once == 0, &key("at_once"), at_least_one);
    refuse(found, calls.attempts == 0, &key("attempts"), at_least_one);
    check_breaker(found, api, &calls.breaker);
}

fn check_breaker(found: &mut Vec<Impossible>, api: &str, breaker: &Breaker) {
    let key = |name: &str| format!("{api}.calls.breaker.{name}");
    refuse(found, breaker.window_calls == 0, &key("window_calls"), at_least_one);
    let seen = (1..=breaker.window_calls).contains(&breaker.calls_min);
    refuse(found, !seen, &key("calls_min"), || "must be 1 to window_calls".to_owned());
    for (name, rate) in [("failure_rate", breaker.failure_rate), ("slow_rate", breaker.slow_rate)] {
        // Not so for what is no number either.
        let share = (0.0..=1.0).contains(&rate);
        refuse(found, !share, &key(name), || format!("must be 0 to 1, not {rate}"));
    }
    for (name, value) in [("slow_call", breaker.slow_call), ("open_for", breaker.open_for)] {
        refuse(found, value.is_zero(), &key(name), more_than_zero);
    }
    refuse(found, breaker.probes == 0, &key("probes"), at_least_one);
}

/// Whether `url` names a server and nothing else. The reason never repeats it: it may hold a
/// password.
fn check_url(url: &str) -> Result<(), &'static str> {
    if url.is_empty() {
        return Ok(());
    }
    let uri: http::Uri = url.parse().map_err(|_| "must be a URL such as http://127.0.0.1:8080")?;
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if !matches!(uri.scheme_str(), Some("http" | "https")) || authority.is_empty() {
        return Err("must begin with http:// or https:// and name a host");
    }
    if authority.contains('@') {
        return Err("must not hold a user name or password");
    }
    if uri.path() != "/" || url.ends_with('/') || uri.query().is_some() {
        return Err("must end after the host and port");
    }
    Ok(())
}

fn refuse(found: &mut Vec<Impossible>, wrong: bool, key: &str, why: impl FnOnce() -> String) {
    if wrong {
        found.push(Impossible { key: key.to_owned(), why: why() });
    }
}

fn at_least_one() -> String {
    "must be at least 1".to_owned()
}

fn more_than_zero() -> String {
    "must be more than 0s".to_owned()
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Window;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Config), keys: &[&str]) {
        let mut config = Config::default();
        change(&mut config);
        let found = config.check().err().unwrap_or_default();
        let found: Vec<&str> = found.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(found, keys);
    }

    #[test]
    fn the_defaults_make_sense() {
        refused(|_| {}, &[]);
    }

    #[test]
    fn every_impossible_value_is_named_by_its_key() {
        let seconds = Duration::from_secs;
        refused(|c| c.service.lease = Duration::from_millis(999), &["service.lease"]);
        refused(|c| c.service.poll = Duration::ZERO, &["service.poll"]);
        refused(|c| c.service.body_bytes_max = 0, &["service.body_bytes_max"]);
        refused(|c| c.service.otlp = Some("collector:4318".to_owned()), &["service.otlp"]);
        refused(|c| c.shop.name.clear(), &["shop.name"]);
        refused(|c| c.shop.phone = "1588".to_owned(), &["shop.phone"]);
        refused(|c| c.shop.postcode = "4524".to_owned(), &["shop.postcode"]);
        refused(
            |c| c.shop.refused_postcodes = vec!["63".into(), "제주".into()],
            &["shop.refused_postcodes"],
        );
        refused(|c| c.carrier.biz_reg_num = "123-45-67890".to_owned(), &["carrier.biz_reg_num"]);
        refused(|c| c.carrier.cust_id.clear(), &["carrier.cust_id"]);
        refused(|c| c.carrier.rounds_max = 0, &["carrier.rounds_max"]);
        refused(|c| c.carrier.lateness_max = seconds(7_200), &["carrier.unknown_patience"]);
        refused(|c| c.carrier.calls.attempts = 0, &["carrier.calls.attempts"]);
        refused(|c| c.carrier.calls.at_once = 0, &["carrier.calls.at_once"]);
        refused(|c| c.carrier.calls.read_timeout = Duration::ZERO, &["carrier.calls.read_timeout"]);
        let empty = Window { calls: 0, per: Duration::ZERO };
        refused(
            |c| c.carrier.calls.windows[1] = empty,
            &["carrier.calls.windows[1].calls", "carrier.calls.windows[1].per"],
        );
        refused(|c| c.messenger.api_key = "a b".to_owned(), &["messenger.api_key"]);
        refused(|c| c.messenger.sms_from = "02-1".to_owned(), &["messenger.sms_from"]);
        refused(|c| c.messenger.report_poll = Duration::ZERO, &["messenger.report_poll"]);
        refused(|c| c.messenger.idempotency_ttl = seconds(86_401), &["messenger.idempotency_ttl"]);
    }

    #[test]
    fn a_breaker_that_could_never_open_or_close_is_refused() {
        let key = |name: &str| format!("carrier.calls.breaker.{name}");
        let breaker = |change: fn(&mut Breaker), name: &str| {
            refused(|c| change(&mut c.carrier.calls.breaker), &[&key(name)]);
        };
        breaker(|b| b.failure_rate = 1.1, "failure_rate");
        breaker(|b| b.slow_rate = f64::NAN, "slow_rate");
        breaker(|b| b.slow_rate = -0.1, "slow_rate");
        breaker(|b| b.calls_min = 21, "calls_min");
        breaker(|b| b.probes = 0, "probes");
        breaker(|b| b.open_for = Duration::ZERO, "open_for");
    }

    #[test]
    fn a_url_names_a_server_and_nothing_else() {
        for good in ["", "http://127.0.0.1:8080", "https://dx.example.com", "http://[::1]:80"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "127.0.0.1:8080",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a/",
            "http://a?b",
            "http://user:pass@a",
            "http://user@a:1",
            "/RegBook",
            "http://a b",
        ] {
            let why = check_url(bad).expect_err(bad);
            assert!(!why.contains("pass@"), "{why}");
        }
    }
}
