//! A carrier that speaks CJ Logistics' parcel API, keeps its limits, and misbehaves on command.
//!
//! Knows nothing of the system under test: the wire is written here a second time, so that drift
//! between the two shows. In reading order:
//!
//! - [`config`]: what kind of carrier this is; every rule the public record leaves open is a knob;
//! - [`windows`]: the quota of each client address and the ban, pure;
//! - [`token`], [`invoice`], [`tracking`], [`booking`]: the carrier's books, pure;
//! - [`columns`]: which fields of a booking must be filled and how long they may be;
//! - [`wire`]: envelopes, requests and replies with the carrier's own field names;
//! - `handlers`: the way of a call through all of these, under one lock;
//! - [`ledger`]: what truly happened, apart from what the API says.
//!
//! [`FakeCj`] puts them together behind `faults::disturb`.

mod api;
pub mod booking;
mod carrier;
pub mod columns;
pub mod config;
mod fake;
mod handlers;
pub mod invoice;
pub mod ledger;
pub mod token;
pub mod tracking;
pub mod windows;
pub mod wire;

pub use config::Config;
pub use fake::{Credentials, FakeCj, ScanError, main_with_args};
pub use ledger::Ledger;
