//! The fields of a fault, by name.

use std::fmt;

/// The optional fields of a [`Fault`](super::Fault).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the field of `Fault` with its name")]
pub enum Field {
    Endpoint,
    Key,
    Attempt,
    Nth,
    From,
    Until,
    Rate,
    Times,
    Processed,
    By,
    Status,
    RetryAfter,
    Detail,
    Bytes,
    Node,
    Point,
    When,
    Mode,
    Forgets,
}

/// The triggers that need a call: connections and whole nodes have none of these.
const CALL_TRIGGERS: &[Field] = &[Field::Endpoint, Field::Key, Field::Attempt];
/// The triggers that anything has that happens.
pub(super) const COMMON_TRIGGERS: &[Field] =
    &[Field::Nth, Field::From, Field::Until, Field::Rate, Field::Times];

impl Field {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Field::Endpoint => "endpoint",
            Field::Key => "key",
            Field::Attempt => "attempt",
            Field::Nth => "nth",
            Field::From => "from",
            Field::Until => "until",
            Field::Rate => "rate",
            Field::Times => "times",
            Field::Processed => "processed",
            Field::By => "by",
            Field::Status => "status",
            Field::RetryAfter => "retry_after",
            Field::Detail => "detail",
            Field::Bytes => "bytes",
            Field::Node => "node",
            Field::Point => "point",
            Field::When => "when",
            Field::Mode => "mode",
            Field::Forgets => "forgets",
        }
    }

    /// Whether this says when a fault fires, rather than how.
    pub fn is_trigger(self) -> bool {
        CALL_TRIGGERS.contains(&self) || COMMON_TRIGGERS.contains(&self)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
