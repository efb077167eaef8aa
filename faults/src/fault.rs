//! A fault is data: what goes wrong, when, and how.

mod field;

pub use field::Field;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Kind, Target};
use field::COMMON_TRIGGERS;

/// One thing that goes wrong.
///
/// The fields up to `times` are its triggers: all that are given must hold. The rest are
/// parameters; which kind takes which is checked by [`Fault::validate`]. The same object stands in
/// a plan (TOML) and in `PUT /faults` (JSON). Durations are texts with a unit: `300ms`, `5s`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// To whom: `carrier`, `messenger`, `node`, `store`, `queue`. Checked by the plan, ignored here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,

    /// Only this endpoint (of a store or a queue: this operation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Only calls with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only the n-th request with its endpoint and key, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Only the n-th request of `endpoint`, or of all without one, from 1. Counts arrivals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Not before this much of the run has passed.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub from: Option<Duration>,
    /// No longer when this much of the run has passed.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Duration>,
    /// With this probability from 0 to 1, drawn from the seed for endpoint, key and attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// At most this often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,

    /// Whether the effect happens all the same; without it, no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<bool>,
    /// How long, or by how much.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub by: Option<Duration>,
    /// The HTTP status: 307, 429, 500, 502, 503 or 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The header `Retry-After`: `30s` (in seconds), `date:30s` (as a date) or `nonsense`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    /// The API's own code or text (`refuse`), or the body to send (`malformed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many bytes of the body are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Which node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// At the node's how-manieth scheduling point, or the disk's how-manieth operation, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<u64>,
    /// Before or after the call is processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// How a server is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Whether what is known of repeats is lost; without it, no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgets: Option<bool>,
}

/// How a database's server is ended, in PostgreSQL's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// In order: what is under way is rolled back, then it ends.
    Fast,
    /// At once, as if it were killed: what was committed is found again in its log.
    Immediate,
}

/// On which side of the processing of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The call is not processed.
    Before,
    /// The call was processed; its caller has no answer yet.
    After,
}

/// Why a fault, or a list of faults, cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A field that the kind has no use for.
    #[error("`{kind}` takes no `{field}`")]
    NotTaken {
        /// The fault's kind.
        kind: Kind,
        /// The field that is too much.
        field: Field,
    },
    /// A field that the kind cannot do without.
    #[error("`{kind}` needs `{field}`")]
    Missing {
        /// The fault's kind.
        kind: Kind,
        /// The field that is missing.
        field: Field,
    },
    /// A value that means nothing.
    #[error("`{kind}`: `{field}` {problem}")]
    Value {
        /// The fault's kind.
        kind: Kind,
        /// The field with that value.
        field: Field,
        /// What is wrong with it, to be read after the field's name.
        problem: String,
    },
    /// A fault of a list is wrong.
    #[error("fault {place} of the list")]
    InList {
        /// Which one, from 0.
        place: usize,
        /// What is wrong with it.
        #[source]
        source: Box<Error>,
    },
}

impl Error {
    /// The field that is there and should be another, or none.
    pub fn field(&self) -> Option<Field> {
        match self {
            Error::NotTaken { field, .. } | Error::Value { field, .. } => Some(*field),
            Error::Missing { .. } | Error::InList { .. } => None,
        }
    }
}

impl Fault {
    /// A fault without triggers (it always fires) and without parameters.
    pub fn new(kind: Kind) -> Fault {
        Fault {
            kind,
            on: None,
            endpoint: None,
            key: None,
            attempt: None,
            nth: None,
            from: None,
            until: None,
            rate: None,
            times: None,
            processed: None,
            by: None,
            status: None,
            retry_after: None,
            detail: None,
            bytes: None,
            node: None,
            point: None,
            when: None,
            mode: None,
            forgets: None,
        }
    }

    /// Checks that the kind takes each field given, that none is missing and each value means
    /// something.
    ///
    /// # Errors
    /// The first thing that is wrong, naming kind and field.
    pub fn validate(&self) -> Result<(), Error> {
        let kind = self.kind;
        let given = self.given();
        let taken = |field: &Field| kind.params().any(|param| param == *field);
        for field in given.iter().copied() {
            let fits = if field.is_trigger() { self.takes_trigger(field) } else { taken(&field) };
            if !fits {
                return Err(Error::NotTaken { kind, field });
            }
        }
        if let Some(&field) = kind.required().iter().find(|field| !given.contains(field)) {
            return Err(Error::Missing { kind, field });
        }
        self.check_triggers()?;
        self.check_parameters()?;
        kind.check(self)
    }

    /// Checks a list of faults.
    ///
    /// # Errors
    /// [`Error::InList`] for the first that is wrong.
    pub fn validate_all(faults: &[Fault]) -> Result<(), Error> {
        for (place, fault) in faults.iter().enumerate() {
            fault.validate().map_err(|source| Error::InList { place, source: source.into() })?;
        }
        Ok(())
    }

    /// Whether the fault is bounded by time alone: what a closed port can do.
    pub fn is_window(&self) -> bool {
        self.given().into_iter().all(|field| matches!(field, Field::From | Field::Until))
    }

    /// Why no real process or socket can do this fault; `None` when one can.
    pub fn only_simulated(&self) -> Option<&'static str> {
        match self.kind.target() {
            // Somebody else may hold a real database's write lock for a time.
            Target::Store if self.kind == Kind::Busy && self.is_window() => {
                self.until.is_none().then_some("a real lock is given back some time")
            }
            Target::Store if self.kind == Kind::PowerCut => Some("no real machine is switched off"),
            Target::Store => Some("a real store does not fail on command"),
            Target::Queue if self.kind == Kind::Reorder => {
                Some("a real broker holds no message back without counting a delivery")
            }
            Target::Node
                if self.point.is_some() || (self.rate.is_some() && self.when.is_none()) =>
            {
                Some("only the simulator has such points")
            }
            Target::Connection if self.kind == Kind::ConnectTimeout && !self.is_window() => {
                Some("a listening port cannot ignore one connection and take the next")
            }
            _ => None,
        }
    }

    /// The optional fields that are given, but for `on`.
    pub(crate) fn given(&self) -> Vec<Field> {
        let fields = [
            (Field::Endpoint, self.endpoint.is_some()),
            (Field::Key, self.key.is_some()),
            (Field::Attempt, self.attempt.is_some()),
            (Field::Nth, self.nth.is_some()),
            (Field::From, self.from.is_some()),
            (Field::Until, self.until.is_some()),
            (Field::Rate, self.rate.is_some()),
            (Field::Times, self.times.is_some()),
            (Field::Processed, self.processed.is_some()),
            (Field::By, self.by.is_some()),
            (Field::Status, self.status.is_some()),
            (Field::RetryAfter, self.retry_after.is_some()),
            (Field::Detail, self.detail.is_some()),
            (Field::Bytes, self.bytes.is_some()),
            (Field::Node, self.node.is_some()),
            (Field::Point, self.point.is_some()),
            (Field::When, self.when.is_some()),
            (Field::Mode, self.mode.is_some()),
            (Field::Forgets, self.forgets.is_some()),
        ];
        fields.into_iter().filter_map(|(field, given)| given.then_some(field)).collect()
    }

    fn takes_trigger(&self, field: Field) -> bool {
        match self.kind.target() {
            Target::Call => true,
            // A use case of the store has no key.
            Target::Store => !matches!(field, Field::Key | Field::Attempt),
            // Most kinds happen at one operation, which goes without saying.
            Target::Queue => field != Field::Endpoint || self.kind.endpoint().is_none(),
            Target::Connection => COMMON_TRIGGERS.contains(&field),
            Target::Server if self.kind == Kind::DiskFull => {
                matches!(field, Field::From | Field::Until)
            }
            // It happens once, at its moment.
            Target::Server => field == Field::From,
            // A node's fault either waits for a call or for a moment of its own.
            Target::Node if self.when.is_some() => true,
            // A clock is set forward at one moment, and back at another.
            Target::Node if self.kind == Kind::ClockSkew => {
                matches!(field, Field::From | Field::Until)
            }
            // By chance at each scheduling point.
            Target::Node if self.kind == Kind::Crash && field != Field::From => {
                matches!(field, Field::Rate | Field::Times)
            }
            Target::Node => {
                let falls = matches!(self.kind, Kind::Crash | Kind::Stall);
                falls && self.point.is_none() && self.rate.is_none() && field == Field::From
            }
        }
    }

    fn check_triggers(&self) -> Result<(), Error> {
        let at_least_one = [(Field::Attempt, self.attempt.map(u64::from)), (Field::Nth, self.nth)];
        for (field, value) in at_least_one {
            self.check(field, value != Some(0), "counts from 1")?;
        }
        self.check(Field::Times, self.times != Some(0), "must be 1 or more")?;
        let rate = self.rate.is_none_or(|rate| (0.0..=1.0).contains(&rate));
        self.check(Field::Rate, rate, "must be from 0 to 1")?;
        let ordered = self.until.is_none_or(|until| until > self.from.unwrap_or_default());
        self.check(Field::Until, ordered, "must be later than `from`")
    }

    fn check_parameters(&self) -> Result<(), Error> {
        self.check(Field::By, self.by != Some(Duration::ZERO), "must be more than nothing")?;
        self.check(Field::Point, self.point != Some(0), "counts from 1")
    }

    /// An [`Error::Value`] unless `holds`.
    pub(crate) fn check(&self, field: Field, holds: bool, problem: &str) -> Result<(), Error> {
        if holds {
            return Ok(());
        }
        Err(Error::Value { kind: self.kind, field, problem: problem.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(toml: &str) -> Fault {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named_by_kind_and_field() {
        for (toml, message) in [
            ("kind = 'reset-after'\nby = '1s'", "`reset-after` takes no `by`"),
            ("kind = 'delay-before'", "`delay-before` needs `by`"),
            ("kind = 'delay-before'\nby = '0s'", "`delay-before`: `by` must be more than nothing"),
            (
                "kind = 'late-delivery'\nby = '1s'\nprocessed = false",
                "`late-delivery` takes no `processed`",
            ),
            ("kind = 'status'", "`status` needs `status`"),
            (
                "kind = 'status'\nstatus = 418",
                "`status`: `status` must be 307, 429, 500, 502, 503 or 504",
            ),
            (
                "kind = 'status'\nstatus = 429\nretry_after = 'later'",
                "`status`: `retry_after` must be like `30s`, `date:30s` or `nonsense`",
            ),
            ("kind = 'refuse'\nbytes = 3", "`refuse` takes no `bytes`"),
            ("kind = 'empty'\nattempt = 0", "`empty`: `attempt` counts from 1"),
            ("kind = 'empty'\nnth = 0", "`empty`: `nth` counts from 1"),
            ("kind = 'empty'\ntimes = 0", "`empty`: `times` must be 1 or more"),
            ("kind = 'empty'\nrate = 1.5", "`empty`: `rate` must be from 0 to 1"),
            ("kind = 'empty'\nrate = nan", "`empty`: `rate` must be from 0 to 1"),
            (
                "kind = 'empty'\nfrom = '2s'\nuntil = '2s'",
                "`empty`: `until` must be later than `from`",
            ),
            (
                "kind = 'connect-refused'\nendpoint = 'RegBook'",
                "`connect-refused` takes no `endpoint`",
            ),
            ("kind = 'connect-timeout'\nkey = 'ORD-1'", "`connect-timeout` takes no `key`"),
            ("kind = 'crash'", "`crash` needs `point`"),
            ("kind = 'crash'\npoint = 0", "`crash`: `point` counts from 1"),
            ("kind = 'crash'\npoint = 3\nwhen = 'after'", "`crash` takes no `point`"),
            ("kind = 'crash'\npoint = 3\nendpoint = 'RegBook'", "`crash` takes no `endpoint`"),
            ("kind = 'stall'\nby = '40s'", "`stall` needs `point`"),
            ("kind = 'clock-skew'\nby = '9s'\nnth = 2", "`clock-skew` takes no `nth`"),
            (
                "kind = 'clock-skew'\nby = '9s'\nfrom = '5s'\nuntil = '5s'",
                "`clock-skew`: `until` must be later than `from`",
            ),
            ("kind = 'busy'\nby = '1s'", "`busy` takes no `by`"),
            ("kind = 'busy'\nkey = 'ORD-1'", "`busy` takes no `key`"),
            ("kind = 'crash'\npoint = 3\nrate = 0.1", "`crash` takes no `rate`"),
            ("kind = 'crash'\nrate = 0.1\nuntil = '9s'", "`crash` takes no `until`"),
            ("kind = 'crash'\nrate = 0.1\nfrom = '9s'", "`crash` takes no `from`"),
            ("kind = 'crash'\npoint = 3\nfrom = '9s'", "`crash` takes no `from`"),
            ("kind = 'crash'\nfrom = '9s'\nuntil = '10s'", "`crash` takes no `until`"),
            ("kind = 'stall'\nby = '9s'\npoint = 3\nfrom = '1s'", "`stall` takes no `from`"),
            ("kind = 'slow'", "`slow` needs `by`"),
            ("kind = 'power-cut'", "`power-cut` needs `point`"),
            ("kind = 'power-cut'\npoint = 9\nnth = 2", "`power-cut` takes no `nth`"),
            ("kind = 'power-cut'\nnode = 1\npoint = 9", "`power-cut` takes no `node`"),
            ("kind = 'busy'\npoint = 9", "`busy` takes no `point`"),
            ("kind = 'ack-lost'\nendpoint = 'ack'", "`ack-lost` takes no `endpoint`"),
            ("kind = 'ack-lost'\nby = '1s'", "`ack-lost` takes no `by`"),
            ("kind = 'redeliver'\nprocessed = true", "`redeliver` takes no `processed`"),
            ("kind = 'reorder'", "`reorder` needs `by`"),
            ("kind = 'broker-restart'", "`broker-restart` needs `by`"),
            ("kind = 'database-restart'\nby = '1s'", "`database-restart` needs `mode`"),
            ("kind = 'api-restart'", "`api-restart` needs `by`"),
            ("kind = 'api-restart'\nby = '1s'\nnth = 1", "`api-restart` takes no `nth`"),
            ("kind = 'disk-full'\nfrom = '1s'", "`disk-full` needs `until`"),
            ("kind = 'connections-ended'\nnth = 2", "`connections-ended` takes no `nth`"),
            ("kind = 'broker-restart'\nby = '1s'", "`broker-restart` needs `times`"),
        ] {
            assert_eq!(fault(toml).validate().unwrap_err().to_string(), message, "{toml}");
        }
    }

    #[test]
    fn each_kind_is_usable_and_says_whether_it_can_be_done_live() {
        for (toml, live) in [
            ("kind = 'connect-refused'\nrate = 0.1", true),
            ("kind = 'connect-timeout'\nuntil = '60s'", true),
            ("kind = 'connect-timeout'\nnth = 1", false),
            ("kind = 'status'\non = 'carrier'\nstatus = 429\nretry_after = 'date:1m'", true),
            ("kind = 'oversized'\nbytes = 0\nprocessed = true\ntimes = 1", true),
            ("kind = 'crash'\npoint = 1\nnode = 2", false),
            ("kind = 'crash'\nrate = 0.01\ntimes = 9", false),
            ("kind = 'crash'\nwhen = 'before'\nendpoint = 'RegBook'\nnth = 4", true),
            ("kind = 'stall'\nby = '40s'\nfrom = '5s'", true),
            ("kind = 'stall'\nby = '40s'\npoint = 9", false),
            ("kind = 'clock-skew'\nby = '90s'\nnode = 1", true),
            ("kind = 'clock-skew'\nby = '3s'\nfrom = '5s'\nuntil = '9s'", true),
            ("kind = 'busy'\nfrom = '5s'\nuntil = '9s'", true),
            ("kind = 'busy'\nendpoint = 'settle-parcel'\nrate = 0.02", false),
            ("kind = 'slow'\nby = '2s'", false),
            ("kind = 'power-cut'\npoint = 30", false),
            ("kind = 'publish-unknown'\nkey = 'ORD-1:booked'\nprocessed = true", true),
            ("kind = 'redeliver'\nnth = 2", true),
            ("kind = 'reorder'\nby = '3s'\nrate = 0.1", false),
            ("kind = 'ack-lost'\nattempt = 1", true),
            ("kind = 'broker-restart'\nby = '3s'\nendpoint = 'publish'\nnth = 1", true),
            ("kind = 'broker-restart'\nby = '3s'\nfrom = '9s'\ntimes = 1", true),
            ("kind = 'power-cut'\nendpoint = 'ingest'\nnth = 2", false),
            ("kind = 'database-restart'\nfrom = '9s'\nby = '3s'\nmode = 'immediate'", true),
            ("kind = 'connections-ended'\nfrom = '9s'", true),
            ("kind = 'api-restart'\nfrom = '9s'\nby = '3s'\nforgets = true", true),
            ("kind = 'disk-full'\nfrom = '9s'\nuntil = '20s'", true),
        ] {
            let fault = fault(toml);
            assert_eq!(fault.validate(), Ok(()), "{toml}");
            assert_eq!(fault.only_simulated().is_none(), live, "{toml}");
        }
    }

    #[test]
    fn a_fault_is_the_same_in_toml_and_json() {
        let toml = "kind = 'slow-body'\nendpoint = 'RegBook'\nfrom = '1m 5s'\nby = '300ms'\n";
        let json = serde_json::to_value(fault(toml)).unwrap();
        let expected = serde_json::json!(
            { "kind": "slow-body", "endpoint": "RegBook", "from": "1m 5s", "by": "300ms" }
        );
        assert_eq!(json, expected, "nothing that was not given");
        assert_eq!(serde_json::from_value::<Fault>(json).unwrap(), fault(toml));
        assert_eq!(fault(&toml::to_string(&fault(toml)).unwrap()), fault(toml));
    }

    #[test]
    fn every_field_of_the_schema_is_checked() {
        let schema = serde_json::to_value(schemars::schema_for!(Fault)).unwrap();
        let mut fields: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        fields.retain(|field| !["kind", "on"].contains(&field.as_str()));
        let everything = serde_json::json!({
            "kind": "crash", "endpoint": "e", "key": "k", "attempt": 1, "nth": 1, "from": "1s",
            "until": "2s", "rate": 1.0, "times": 1, "processed": true, "by": "1s", "status": 500,
            "retry_after": "1s", "detail": "d", "bytes": 1, "node": 1, "point": 1, "when": "after",
            "mode": "fast", "forgets": true,
        });
        let fault: Fault = serde_json::from_value(everything).unwrap();
        let mut given: Vec<_> = fault.given().iter().map(|field| field.name()).collect();
        given.sort_unstable();
        assert_eq!(given, fields);
    }
}
