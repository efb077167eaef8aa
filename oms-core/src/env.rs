//! The seams: the only ways by which the core reaches the world.
//!
//! Domain code takes an [`Env`] and never a clock, a socket, a database or a task of its own. The
//! service hands in real edges, the simulator virtual ones; what lies between is the same code.

mod hands;
mod observer;
pub mod reqwest_transport;
mod spawner;
pub mod tls;
mod transport;

pub use hands::Hands;
pub use observer::{Event, NullObserver, Observer, Progress};
pub use reqwest_transport::ReqwestTransport;
pub use spawner::{Spawner, TaskId, TokioSpawner, current_task, scoped};
pub use transport::{Deadlines, Transport, TransportError};

use std::sync::Arc;

use clockwork::{Clock, Entropy};

use crate::policy::Policies;
use crate::store::Store;

/// Everything outside the core, as trait objects.
#[derive(Clone)]
pub struct Env {
    /// What time it is, and how to wait.
    pub clock: Arc<dyn Clock>,
    /// The way to the carrier's API.
    pub carrier: Arc<dyn Transport>,
    /// The way to the message gateway's API.
    pub messenger: Arc<dyn Transport>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Jitter, forked by name and key.
    pub entropy: Entropy,
    /// Where tasks run.
    pub spawner: Arc<dyn Spawner>,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
    /// The judgements that a drill may replace by bad ones.
    pub policies: Policies,
    /// This worker's name, as leases carry it; unique among the processes of one database.
    pub worker: String,
}
