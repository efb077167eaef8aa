//! Permits to call, and the windows that they keep.

use std::time::Duration;

use clockwork::Timestamp;
use serde::{Deserialize, Serialize};

/// At most `calls` in any `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// How many calls.
    pub calls: u32,
    /// In how long a time.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub per: Duration,
}

/// A request for permits to call. They belong to the address, so all workers share them.
#[derive(Debug, Clone)]
pub struct TakePermits {
    /// Which quota.
    pub quota: &'static str,
    /// Its windows; all must hold.
    pub windows: Vec<Window>,
    /// At most so many.
    pub want: u32,
    /// So many more, if they are free now and others do not need them.
    pub spare: u32,
    /// Now.
    pub now: Timestamp,
    /// Permits that are free within so long are given in advance.
    pub ahead: Duration,
    /// How long a permit counts if its call is never heard of: until the latest end of the call.
    pub hold: Duration,
    /// Permits whose calls have ended, and when. They count for one window more.
    pub ended: Vec<(i64, Timestamp)>,
}

/// One permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Its number, never given twice.
    pub id: i64,
    /// From when on its call may be made.
    pub from: Timestamp,
}

/// The answer to [`TakePermits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permits {
    /// These, at least one if any was wanted, in the order in which they may be used.
    Granted(Vec<Grant>),
    /// None before this moment.
    Wait(Timestamp),
}
