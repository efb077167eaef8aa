//! What waits, what of each quota is used, and who works: for people.

use clockwork::Timestamp;
use serde::{Deserialize, Serialize};

use super::Presence;

/// How things stand at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Parcels, then notifications.
    pub queues: Vec<Queue>,
    /// By name.
    pub quotas: Vec<Quota>,
    /// Those that run and those that were not heard of any more, by name.
    pub workers: Vec<Presence>,
}

/// Work about which something is still to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// `parcels` or `notifications`.
    pub of: String,
    /// Due, and in nobody's hands.
    pub due: u64,
    /// Due later.
    pub later: u64,
    /// In a worker's hands, or left behind by one.
    pub leased: u64,
}

/// A quota that all workers share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Its name.
    pub name: String,
    /// Nobody may call before.
    pub closed_until: Option<Timestamp>,
    /// Permits whose calls are under way or may be.
    pub under_way: u64,
    /// Those, and calls that ended within the last second: what counts in a window of one second.
    pub of_a_second: u64,
    /// The same of a minute.
    pub of_a_minute: u64,
}

/// A [`Queue`] a row; both engines read it.
pub(super) const QUEUES: &str = "
    SELECT 'parcels', count(*) FILTER (WHERE lease_worker IS NULL AND due_at <= $1),
           count(*) FILTER (WHERE lease_worker IS NULL AND due_at > $1),
           count(*) FILTER (WHERE lease_worker IS NOT NULL)
    FROM parcels WHERE due_at IS NOT NULL
    UNION ALL
    SELECT 'notifications', count(*) FILTER (WHERE lease_worker IS NULL AND due_at <= $1),
           count(*) FILTER (WHERE lease_worker IS NULL AND due_at > $1),
           count(*) FILTER (WHERE lease_worker IS NOT NULL)
    FROM notices WHERE due_at IS NOT NULL";

/// A [`Quota`] a row; both engines read it.
pub(super) const QUOTAS: &str = "
    SELECT q.quota, q.blocked_until,
           (SELECT count(*) FROM permits p WHERE p.quota = q.quota AND p.ends_at > $1),
           (SELECT count(*) FROM permits p WHERE p.quota = q.quota AND p.ends_at + 1000000 > $1),
           (SELECT count(*) FROM permits p WHERE p.quota = q.quota AND p.ends_at + 60000000 > $1)
    FROM quotas q ORDER BY q.quota";

/// A row of [`QUEUES`].
pub(super) fn queue(of: String, [due, later, leased]: [i64; 3]) -> Queue {
    let [due, later, leased] = [due, later, leased].map(i64::unsigned_abs);
    Queue { of, due, later, leased }
}

/// A row of [`QUOTAS`] at `now`.
pub(super) fn quota(name: String, until: Timestamp, counts: [i64; 3], now: Timestamp) -> Quota {
    let [under_way, of_a_second, of_a_minute] = counts.map(i64::unsigned_abs);
    let closed_until = (until > now).then_some(until);
    Quota { name, closed_until, under_way, of_a_second, of_a_minute }
}
