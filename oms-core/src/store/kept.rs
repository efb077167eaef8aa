//! What became of an order or a member that came in.

use crate::state::OrderState;

/// What became of an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingested {
    /// The order is new and kept.
    Created(OrderState),
    /// The same order was kept before.
    Same(OrderState),
    /// Another content is kept under this id.
    Conflict,
}

/// What became of a sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedUp {
    /// The member is new and kept.
    Created,
    /// The same member was kept before.
    Same,
    /// The id or the phone number is another member's.
    Taken,
}

/// What is written down of a member, each in a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberPart {
    /// Who it is.
    Member,
    /// What else is known of it.
    Profile,
    /// What it agreed to.
    Consents,
    /// The outbox row of its welcome message.
    Welcome,
}

impl MemberPart {
    /// All that a sign-up writes.
    pub const ALL: [MemberPart; 4] =
        [MemberPart::Member, MemberPart::Profile, MemberPart::Consents, MemberPart::Welcome];
}
