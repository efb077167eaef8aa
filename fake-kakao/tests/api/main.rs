//! The gateway as its callers see it, and what its ledger says of them.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail it")]

mod disturbance;
mod evidence;
mod idempotency;
mod limits;
mod reporting;
mod sending;
mod sockets;
mod support;
