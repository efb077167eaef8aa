//! How an external call is made: bulkhead, breaker, permit, deadline, one request, an [`Outcome`].

mod outcome;

pub use outcome::{Effect, Outcome};
