//! Decides which call is hit.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clockwork::{Clock, Entropy, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::api::{Call, Described};
use crate::fault::{Error, Fault, When};
use crate::journal::{FaultHit, Journal, Ticket};
use crate::kind::{Kind, Target};

mod counter;
mod state;

use counter::Counted;
use state::State;

/// Decides which call is hit by which fault. Clones share the decision.
///
/// Of the faults in the list the first that matches wins. Requests are counted from the
/// installation of the list, with and without faults in it.
#[derive(Clone)]
pub struct Injector {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changes: watch::Sender<()>,
    listener: Mutex<Option<Listener>>,
}

type Listener = Arc<dyn Fn(CrashSignal) + Send + Sync>;

/// A fault and how often it fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    /// The fault.
    pub fault: Fault,
    /// How often it fired.
    pub times: u64,
}

/// How a connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFault {
    /// At once.
    Refused,
    /// Never; whoever waits for it gives up.
    Timeout,
}

/// A span of time in which no connection comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The fault's place in the list, from 0.
    pub index: usize,
    /// How connections fail.
    pub fault: ConnectFault,
    /// When it ends; `None` when only a change of the list ends it.
    pub until: Option<Timestamp>,
}

/// A node is to be killed, or halted for a while, because of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrashSignal {
    /// The fault's place in the list, from 0.
    pub index: usize,
    /// The fault: a `crash`, or a `stall` with its length in `by`.
    pub fault: Fault,
    /// The call that brought it on.
    pub call: Call,
    /// Whether the call has been processed.
    pub when: When,
}

/// A fault that fires.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The fault's place in the list, from 0.
    pub index: usize,
    /// The fault.
    pub fault: Arc<Fault>,
    /// The triggers that held.
    pub why: String,
}

impl Decision {
    fn hit(&self) -> FaultHit {
        FaultHit { index: self.index, kind: self.fault.kind, why: self.why.clone() }
    }
}

impl Injector {
    /// An injector without faults.
    pub fn new(clock: Arc<dyn Clock>, entropy: Entropy) -> Injector {
        let state = State::new(clock.now(), entropy);
        let shared = Shared {
            clock,
            state: Mutex::new(state),
            changes: watch::Sender::new(()),
            listener: Mutex::new(None),
        };
        Injector { shared: Arc::new(shared) }
    }

    /// Replaces the faults; `from` and `until` count from `start`. All counts start anew.
    ///
    /// # Errors
    /// [`Error::InList`] for the first fault that is wrong; the old ones stay then.
    pub fn install(&self, faults: Vec<Fault>, start: Timestamp) -> Result<(), Error> {
        let entropy = self.entropy();
        self.install_seeded(faults, start, entropy)
    }

    /// As [`Injector::install`], and rates are drawn from `entropy` from now on.
    ///
    /// # Errors
    /// As [`Injector::install`].
    pub fn install_seeded(
        &self,
        faults: Vec<Fault>,
        start: Timestamp,
        entropy: Entropy,
    ) -> Result<(), Error> {
        Fault::validate_all(&faults)?;
        self.change(|state| state.install(faults, start, entropy));
        Ok(())
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        self.change(State::clear);
    }

    /// No fault fires any more; the list and its counts stay to be read.
    pub fn heal(&self) {
        self.change(State::heal);
    }

    /// Starts all counts anew; the faults stay.
    pub fn reset(&self) {
        self.change(State::reset);
    }

    /// The faults and how often each fired, in order.
    pub fn fired(&self) -> Vec<Fired> {
        self.lock().fired()
    }

    /// Counts a firing that happened elsewhere, such as a node's crash at a scheduling point, or
    /// the beginning of an outage on a real port.
    pub fn note_fired(&self, index: usize) {
        self.lock().note_fired(index);
    }

    /// Counts an event of `target` and says which fault hits it.
    ///
    /// For those who do more to than calls: a simulated store asks with the operation as endpoint.
    pub fn decide(&self, target: Target, what: &Described) -> Option<Decision> {
        let now = self.shared.clock.now();
        let mut state = self.lock();
        let counted = state.count(target, what);
        state.hit(target, what, &counted, now)
    }

    /// Asked once for every connection by whoever accepts them.
    pub fn connect(&self, client: IpAddr) -> Option<ConnectFault> {
        // The client is part of the draw, so that two machines do not fail in step.
        let what = Described { endpoint: client.to_string(), key: None };
        let decision = self.decide(Target::Connection, &what)?;
        ConnectFault::of(decision.fault.kind)
    }

    /// The outage in force now: a connection fault that is bounded by time alone.
    pub fn outage(&self) -> Option<Outage> {
        self.lock().outage(self.shared.clock.now())
    }

    /// When the next outage begins.
    pub fn next_outage(&self) -> Option<Timestamp> {
        self.lock().next_outage(self.shared.clock.now())
    }

    /// Whom to tell when a call brings on a crash or a stall. Replaces an earlier listener.
    pub fn on_crash(&self, listener: Arc<dyn Fn(CrashSignal) + Send + Sync>) {
        *self.shared.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// What rates are drawn from.
    pub(crate) fn entropy(&self) -> Entropy {
        self.lock().entropy()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Resolves whenever the list was changed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.shared.changes.subscribe()
    }

    /// Counts a request, decides and writes it down: one step, so that the journal's order is the
    /// order of the counts. No fault hits a request that could not be read.
    pub(crate) fn begin(
        &self,
        journal: &Journal,
        client: IpAddr,
        what: Described,
        readable: bool,
    ) -> (Call, Ticket, Option<Decision>) {
        let at = self.shared.clock.now();
        let mut state = self.lock();
        let counted = state.count(Target::Call, &what);
        let decision = readable.then(|| state.hit(Target::Call, &what, &counted, at)).flatten();
        let Counted { endpoint, attempt, nth, .. } = counted;
        let key = what.key.map(Arc::from);
        let mut call = Call { id: 0, at, client, endpoint, key, attempt, nth };
        let ticket = journal.begin(&mut call, decision.as_ref().map(Decision::hit));
        (call, ticket, decision)
    }

    /// Tells the listener.
    pub(crate) fn signal(&self, signal: CrashSignal) {
        let listener = self.shared.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(listener) = listener {
            listener(signal);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.shared.changes.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, so it is never half changed.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectFault {
    fn of(kind: Kind) -> Option<ConnectFault> {
        match kind {
            Kind::ConnectRefused => Some(ConnectFault::Refused),
            Kind::ConnectTimeout => Some(ConnectFault::Timeout),
            _ => None,
        }
    }
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector").field("fired", &self.fired()).finish_non_exhaustive()
    }
}
