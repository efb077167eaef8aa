//! Time and chance as values that are handed in, never taken from the surroundings.
//!
//! - [`Timestamp`]: a moment, in microseconds since the Unix epoch, and its date in Seoul;
//! - [`Clock`]: what time it is and how to wait; [`DrillClock`] serves both virtual and real time;
//! - [`Entropy`]: one seed, forked by name and key.
//!
//! Every crate of the workspace gets its time and its randomness from here, so that one plan gives
//! one history.

mod clock;
mod entropy;
mod timestamp;

pub use clock::{BoxFuture, Clock, ClockSpec, ClockSpecError, DrillClock, Elapsed, timeout};
pub use entropy::Entropy;
pub use timestamp::{Timestamp, TimestampError};
