//! The settings of the service, with the seed texts' values as defaults.
//!
//! Durations are texts such as `300ms`, `5s`, `10m`. Unknown keys and impossible values are refused
//! with their place. See [`load`] for files and environment.

mod check;
mod load;

pub use check::Impossible;
pub(crate) use load::near_match;
pub use load::{Error, load};

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::store::Window;

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The shop.
    pub shop: Shop,
    /// The carrier's API.
    pub carrier: Carrier,
    /// The message gateway's API.
    pub messenger: Messenger,
    /// How the service itself works.
    pub service: Service,
}

/// Who sends the parcels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shop {
    /// Its name, as customers read it.
    pub name: String,
    /// Its phone number, with hyphens.
    pub phone: String,
    /// Its postcode, five digits.
    pub postcode: String,
    /// Its address.
    pub line1: String,
    /// The rest of its address.
    pub line2: String,
    /// It does not ship to postcodes that begin so: such orders are rejected.
    pub refused_postcodes: Vec<String>,
}

impl Default for Shop {
    fn default() -> Shop {
        Shop {
            name: "드릴십 상점".to_owned(),
            phone: "02-123-4567".to_owned(),
            postcode: "04524".to_owned(),
            line1: "서울 중구 세종대로 110".to_owned(),
            line2: "1층".to_owned(),
            refused_postcodes: Vec::new(),
        }
    }
}

/// What the carrier does with a booking that it has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// It refuses (`ORA-00001`): sending the same bytes again asks whether it has it.
    Reject,
    /// It books again: it may only be asked by invoice number.
    Accept,
    /// It answers as it did the first time: the same bytes may be sent again.
    Replay,
}

/// The carrier's API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Carrier {
    /// The customer number of the contract.
    pub cust_id: String,
    /// The business registration number, ten digits, no hyphen.
    pub biz_reg_num: String,
    /// What it does with a booking that it has already.
    pub duplicates: Duplicates,
    /// The longest time that a request may still be under way after its caller gave up. A "not
    /// found" proves nothing before.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lateness_max: Duration,
    /// How long a booking stays unknown before a person must look.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub unknown_patience: Duration,
    /// At most so many bookings of one parcel that were proved not to have happened, or rounds of
    /// attempts, before a person must look.
    pub rounds_max: u32,
    /// After a 401 no new token is asked for before so long (the carrier's rule).
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub token_wait_after_401: Duration,
    /// How calls are made.
    #[serde(deserialize_with = "carrier_calls")]
    pub calls: Calls,
}

/// The message gateway's API.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Messenger {
    /// The key of the contract.
    pub api_key: String,
    /// The sender profile.
    pub sender_key: String,
    /// The template of the "shipped" message.
    pub template_code: String,
    /// The template of the welcome message.
    pub welcome_template_code: String,
    /// The sender of the SMS that the gateway falls back to, registered with it; empty for none.
    pub sms_from: String,
    /// How long the gateway remembers a key; at most a day.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub idempotency_ttl: Duration,
    /// How often delivery reports are polled while some are awaited.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub report_poll: Duration,
    /// For how long after a send its report is awaited.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub report_patience: Duration,
    /// At most so many rounds of attempts before a message is given up.
    pub rounds_max: u32,
    /// How calls are made.
    #[serde(deserialize_with = "messenger_calls")]
    pub calls: Calls,
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the keys: settings are printed, and then they are in a log.
        f.debug_struct("Messenger")
            .field("template_code", &self.template_code)
            .field("welcome_template_code", &self.welcome_template_code)
            .field("sms_from", &self.sms_from)
            .field("idempotency_ttl", &self.idempotency_ttl)
            .field("report_poll", &self.report_poll)
            .field("report_patience", &self.report_patience)
            .field("rounds_max", &self.rounds_max)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

/// How the service itself works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// When a worker is not heard of for so long, another takes its work over. A worker that lives
    /// renews its leases as long as it works; at least a second.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lease: Duration,
    /// How often the database is looked at for work that other processes left.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub poll: Duration,
    /// A larger body of an order is refused with 413.
    pub body_bytes_max: usize,
    /// At most so many transactions are held at once. The recommended flow holds none.
    pub pool_size: usize,
    /// A place in the pool is waited for at most so long.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub pool_wait: Duration,
    /// A service that is told to end (SIGTERM) has so long to answer the requests and to finish the
    /// steps that are under way. What is not finished by then is handed back, which takes two seconds
    /// more at most. The default leaves room for that within the 30 s after which most supervisors kill.
    // Nothing that is simulated depends on it: plans of which nobody changed it stay the bytes they were.
    #[serde(with = "humantime_serde", skip_serializing_if = "is_usual_end")]
    #[schemars(with = "String")]
    pub shutdown_within: Duration,
    /// Where traces go: the collector's address for OTLP over HTTP, `http://HOST:PORT` or `https://`,
    /// without a path. Where none is named, no traces are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,
}

/// How calls to one API are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Calls {
    /// `https://HOST:PORT`, or `http://` in front of it, without a path.
    pub url: String,
    /// A PEM file with the authorities, one of which must have signed an https host's certificate.
    /// Where none is named, the system's are trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Until the connection stands.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// From one byte of the reply to the next.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub read_timeout: Duration,
    /// For the whole call.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// The API's quota: all windows hold at once. Empty for none; where nothing is said, what the
    /// API is known to allow.
    #[serde(default = "unsaid")]
    #[schemars(default = "Vec::<Window>::new")]
    pub windows: Vec<Window>,
    /// A permit is waited for at most so long, then the work is put back.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub permit_wait: Duration,
    /// No call is made for so long after the API banned us, unless it says how long.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub ban_wait: Duration,
    /// Bulkhead: at most so many calls at once.
    pub at_once: usize,
    /// Attempts in a round.
    pub attempts: u32,
    /// The wait after the first attempt; doubled after each further one, jittered by a quarter.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub backoff: Duration,
    /// The wait between rounds; doubled each time up to sixteenfold.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub round_pause: Duration,
    /// The circuit breaker.
    pub breaker: Breaker,
}

/// A circuit breaker: closed passes, open refuses, half-open probes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// The last so many calls are looked at.
    pub window_calls: usize,
    /// It stays closed before so many calls were seen.
    pub calls_min: usize,
    /// It opens when this share of them failed, 0 to 1.
    pub failure_rate: f64,
    /// A call at least so long counts as slow.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub slow_call: Duration,
    /// It opens when this share of them was slow, 0 to 1.
    pub slow_rate: f64,
    /// How long it stays open.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub open_for: Duration,
    /// How many probes pass when half-open; all must succeed to close it.
    pub probes: usize,
}

/// Takes the slash from a URL's end, with which people write it as often as without.
pub(crate) fn trim_url(url: &mut String) {
    url.truncate(url.trim_end_matches('/').len());
}

/// Kubernetes kills after 30 s.
const SHUTDOWN_WITHIN: Duration = seconds(25);

fn is_usual_end(within: &Duration) -> bool {
    *within == SHUTDOWN_WITHIN
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Seed text: ten a second and a hundred a minute.
fn carrier_windows() -> Vec<Window> {
    vec![Window { calls: 10, per: seconds(1) }, Window { calls: 100, per: seconds(60) }]
}

/// Bizgo: 200 messages a second.
fn messenger_windows() -> Vec<Window> {
    vec![Window { calls: 200, per: seconds(1) }]
}

/// Stands where a table of calls says nothing of windows, until it is known whose calls they are:
/// without it, whoever wrote no more than a URL would have no limiter. Nobody can write it.
fn unsaid() -> Vec<Window> {
    vec![Window { calls: u32::MAX, per: Duration::MAX }]
}

fn carrier_calls<'de, D: Deserializer<'de>>(from: D) -> Result<Calls, D::Error> {
    calls_with(from, carrier_windows)
}

fn messenger_calls<'de, D: Deserializer<'de>>(from: D) -> Result<Calls, D::Error> {
    calls_with(from, messenger_windows)
}

fn calls_with<'de, D: Deserializer<'de>>(
    from: D,
    windows: fn() -> Vec<Window>,
) -> Result<Calls, D::Error> {
    let mut calls = Calls::deserialize(from)?;
    if calls.windows == unsaid() {
        calls.windows = windows();
    }
    Ok(calls)
}

impl Default for Carrier {
    fn default() -> Carrier {
        Carrier {
            cust_id: "30000001".to_owned(),
            biz_reg_num: "1234567890".to_owned(),
            duplicates: Duplicates::Reject,
            lateness_max: seconds(10 * 60),
            unknown_patience: seconds(2 * 3600),
            rounds_max: 12,
            token_wait_after_401: seconds(60),
            calls: Calls { windows: carrier_windows(), ..Calls::default() },
        }
    }
}

impl Default for Messenger {
    fn default() -> Messenger {
        Messenger {
            api_key: "drill-api-key".to_owned(),
            sender_key: "drill-sender-key".to_owned(),
            template_code: "ORDER_SHIPPED".to_owned(),
            welcome_template_code: "MEMBER_WELCOME".to_owned(),
            sms_from: "021234567".to_owned(),
            idempotency_ttl: seconds(86_400),
            report_poll: seconds(10),
            report_patience: seconds(3600),
            rounds_max: 20,
            calls: Calls { windows: messenger_windows(), ..Calls::default() },
        }
    }
}

impl Default for Service {
    fn default() -> Service {
        // HikariCP's pool, which most services on the JVM use.
        Service {
            // Work of a dead worker is another's within ten seconds.
            lease: seconds(8),
            poll: seconds(1),
            body_bytes_max: 64 * 1024,
            pool_size: 10,
            pool_wait: seconds(30),
            shutdown_within: SHUTDOWN_WITHIN,
            otlp: None,
        }
    }
}

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            url: String::new(),
            ca_file: None,
            // Seed text: connect 3 s, read 5 s, a permit is waited for 5 s, a ban lasts 5 min.
            connect_timeout: seconds(3),
            read_timeout: seconds(5),
            deadline: seconds(10),
            windows: Vec::new(),
            permit_wait: seconds(5),
            ban_wait: seconds(300),
            at_once: 32,
            attempts: 4,
            backoff: seconds(1),
            round_pause: seconds(30),
            breaker: Breaker::default(),
        }
    }
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker {
            window_calls: 20,
            calls_min: 10,
            failure_rate: 0.5,
            slow_call: seconds(4),
            slow_rate: 0.8,
            open_for: seconds(15),
            probes: 3,
        }
    }
}
