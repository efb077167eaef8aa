//! The carrier as its customers see it: requests in, answers out, and the ledger beside them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod addresses;
mod bookings;
mod disturbed;
mod limits;
mod process;
mod support;
mod tokens;
mod tracking;
mod wire_shapes;
