//! The ways to place an external call around a transaction that a plan can be run under.

/// A way to place the calls.
pub struct Strategy {
    /// Its name after `--strategy`.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub says: &'static str,
}

/// All of them, the recommended one first.
pub const ALL: &[Strategy] = &[Strategy {
    name: "durable",
    says: "the request is written down before it is sent, outside any transaction; the outcome and \
           the outbox row commit together; an unknown outcome is asked about, never guessed",
}];
