//! Faults as data, and what carries them out around any HTTP API.
//!
//! Knows neither carrier nor messenger nor order. In reading order:
//!
//! - [`Fault`] and [`Kind`]: the vocabulary, the same in a plan (TOML) and in `PUT /faults` (JSON);
//! - [`Api`]: what the layer must know of the API that it disturbs;
//! - [`Injector`]: decides which call is hit, under one lock, from seed, key and attempt;
//! - [`Journal`]: what truly happened to each request, in bounded memory;
//! - [`disturb`]: the layer that plays the faults around an [`axum::Router`];
//! - [`json`]: how bodies are read;
//! - [`serve`]: the socket edge, where a reset is a TCP reset;
//! - [`admin`] and [`fake`]: what the fakes' binaries share;
//! - [`keeper`]: what a fake keeps over the end of its process.

pub mod admin;
mod api;
mod body;
pub mod fake;
pub mod fault;
pub mod injector;
pub mod journal;
pub mod json;
pub mod keeper;
mod kind;
mod layer;
mod script;
mod server;

pub use api::{Api, Call, Described, Refuse, RequestId, Reset};
pub use fault::{Fault, Field, Mode, When};
pub use injector::{ConnectFault, CrashSignal, Decision, Fired, Injector, Outage};
pub use journal::{EndpointCounts, FaultHit, Journal, ReplyFate, RequestRecord};
pub use kind::{Kind, Target};
pub use layer::{BODY_LIMIT_BYTES, disturb};
pub use server::serve;
