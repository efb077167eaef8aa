//! What a store is told when it is opened.

use std::sync::Arc;
use std::time::Duration;

use clockwork::{Clock, Timestamp};

use super::DiskFull;
use crate::env::Observer;
use crate::policy::OrderPolicy;
use crate::saga::SoundOrders;

/// What a store needs of its surroundings, and how large its pool is.
#[derive(Clone)]
pub struct Options {
    /// For the moments of its events, and for the wait for the pool. The time that is written comes
    /// with each use case.
    pub clock: Arc<dyn Clock>,
    /// Who is told of each transaction's begin and end.
    pub observer: Arc<dyn Observer>,
    /// What follows for an order when one of its parcels or notifications has changed.
    pub orders: Arc<dyn OrderPolicy>,
    /// At most so many transactions are held at once (see [`begin`]). On PostgreSQL they are
    /// connections, and the other use cases need one each, too.
    ///
    /// [`begin`]: crate::store::Store::begin
    pub pool_size: usize,
    /// A place in the pool is waited for at most so long, then the answer is [`Busy`].
    ///
    /// [`Busy`]: crate::store::Error::Busy
    pub pool_wait: Duration,
    /// The write lock of a file is waited for at most so long, in real time on the writer's thread,
    /// then the answer is [`Busy`]. Nobody else holds the lock of a database in memory.
    /// On PostgreSQL: so long for the lock of a row.
    ///
    /// [`Busy`]: crate::store::Error::Busy
    pub busy_wait: Duration,
    /// When a file's writes are waited for until they are on the medium.
    pub synchronous: Synchronous,
    /// By whose clock the moments of permits are kept.
    pub time: Time,
    /// For drills: whether the disk of the file is full just now. Then it does not grow, and what needs
    /// room is answered by [`Full`](crate::store::Error::Full).
    pub disk_full: Option<DiskFull>,
}

/// By whose clock the moments of permits are kept.
#[derive(Clone)]
pub enum Time {
    /// The callers': all workers of the database have one clock.
    Callers,
    /// That of the machine on which the database is.
    Database(Arc<dyn Clock>),
    /// That of PostgreSQL's server, of which the workers' clocks show so many seconds in each second.
    Server {
        /// How many.
        factor: f64,
    },
}

impl Time {
    /// How long `time` by the workers' clocks is by the machine's.
    pub(in crate::store) fn in_real_time(&self, time: Duration) -> Duration {
        match self {
            Time::Server { factor } => time.div_f64(*factor),
            Time::Callers | Time::Database(_) => time,
        }
    }

    /// A moment by the clock of a server that reads so many microseconds; `None` where it does not
    /// count.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a few microseconds"
    )]
    pub(in crate::store) fn of_server(&self, micros: i64) -> Option<Timestamp> {
        match self {
            Time::Server { factor } if *factor == 1.0 => Some(Timestamp::from_micros(micros)),
            Time::Server { factor } => {
                Some(Timestamp::from_micros((micros as f64 * factor) as i64))
            }
            Time::Callers | Time::Database(_) => None,
        }
    }
}

/// When SQLite waits until what it wrote is on the medium, and not only with the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// At each commit: a commit survives a power cut.
    Full,
    /// Before and after a checkpoint: a power cut may undo commits that were answered, though it
    /// breaks nothing. In most power cuts acknowledged orders were lost.
    Normal,
    /// Never: a power cut may break the file as well.
    Off,
}

impl Synchronous {
    /// The name, as SQLite writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
            Synchronous::Off => "OFF",
        }
    }
}

impl Options {
    /// The recommended consequences; a pool of ten that is waited for half a minute (the defaults
    /// of the pool that most services on the JVM use, HikariCP); five seconds for a busy file; each
    /// commit is on the medium.
    pub fn new(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Options {
        Options {
            clock,
            observer,
            orders: Arc::new(SoundOrders),
            pool_size: 10,
            pool_wait: Duration::from_secs(30),
            busy_wait: Duration::from_secs(5),
            synchronous: Synchronous::Full,
            time: Time::Callers,
            disk_full: None,
        }
    }
}
