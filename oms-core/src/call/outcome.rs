//! What became of an external call. "May I retry?" and "may it have happened?" are two questions.

use std::time::Duration;

/// Whether the other side may have acted on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It has, or had before.
    Done,
    /// It certainly has not.
    None,
    /// Nobody knows.
    Unknown,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It was done.
    Done(T),
    /// The other side has done the same before (`ORA-00001`, A301): it replays nothing.
    Duplicate,
    /// The other side refused for good: the same request will be refused again.
    Refused {
        /// Its words, without personal data.
        reason: String,
    },
    /// It certainly did not happen; it may be tried again.
    NotProcessed {
        /// Why.
        reason: String,
        /// Not before so long, if something is known.
        wait: Option<Duration>,
        /// Whether it counts as an attempt: waiting for a permit or an open breaker does not.
        spent: bool,
    },
    /// It was sent, or may have been, and was not answered in a way that can be understood.
    Unknown {
        /// What was seen.
        reason: String,
        /// Not before so long, if something is known.
        wait: Option<Duration>,
    },
}

impl<T> Outcome<T> {
    /// Whether the other side may have acted on it.
    pub fn effect(&self) -> Effect {
        match self {
            Outcome::Done(_) | Outcome::Duplicate => Effect::Done,
            Outcome::Refused { .. } | Outcome::NotProcessed { .. } => Effect::None,
            Outcome::Unknown { .. } => Effect::Unknown,
        }
    }

    /// Whether the same request may be made again and come to another end.
    pub fn retryable(&self) -> bool {
        matches!(self, Outcome::NotProcessed { .. } | Outcome::Unknown { .. })
    }

    /// The outcome's name in the history.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Done(_) => "done",
            Outcome::Duplicate => "duplicate",
            Outcome::Refused { .. } => "refused",
            Outcome::NotProcessed { .. } => "not-processed",
            Outcome::Unknown { .. } => "unknown",
        }
    }

    /// Why it did not go well.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Done(_) | Outcome::Duplicate => None,
            Outcome::Refused { reason }
            | Outcome::NotProcessed { reason, .. }
            | Outcome::Unknown { reason, .. } => Some(reason),
        }
    }

    /// The same outcome around another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Outcome::Done(value) => Outcome::Done(change(value)),
            Outcome::Duplicate => Outcome::Duplicate,
            Outcome::Refused { reason } => Outcome::Refused { reason },
            Outcome::NotProcessed { reason, wait, spent } => {
                Outcome::NotProcessed { reason, wait, spent }
            }
            Outcome::Unknown { reason, wait } => Outcome::Unknown { reason, wait },
        }
    }
}
