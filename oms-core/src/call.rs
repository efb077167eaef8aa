//! How an external call is made: breaker, permit, deadline, one request, an [`Outcome`].
//!
//! [`Guard`] makes the call. What a reply means is said by each API's own table
//! (`carrier/reply.rs`, `messenger/reply.rs`); what holds of every API is said here:
//!
//! | what came back | outcome | may it have happened? |
//! |---|---|---|
//! | nothing was sent (breaker open, no permit, lease too short) | `NotProcessed`, not spent | no |
//! | the connection was refused or never stood | `NotProcessed` | no |
//! | sent, and no whole reply: reset, cut short, too large, too late | `Unknown` | yes |
//! | `Unknown` for a request that changes nothing (number, tracking) | `NotProcessed` | no |
//!
//! How many calls run at once is bounded by the service's lanes.

mod backoff;
mod breaker;
mod guard;
mod json;
mod outcome;
mod pause;
mod permits;
mod retry_after;
mod tenure;
mod words;

pub use backoff::Backoff;
pub use breaker::{Breaker, Ended, Phase, Ticket, Vain};
pub use guard::{Call, Context, Guard, Line, Reading};
pub(crate) use json::{object, read as read_json};
pub use outcome::{Effect, Outcome};
pub use pause::Brake;
pub use permits::{NotNow, Permit, Permits};
pub use tenure::Tenure;
pub(crate) use words::words;
