//! The vocabulary: one list, one small file a fault.
//!
//! To add a fault, write `kind/<name>.rs` and name it in the two places below.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Error, Fault, Field};
use crate::script::Script;

mod ack_lost;
mod api_restart;
mod auth_expired;
mod ban;
mod broker_restart;
mod clock_skew;
mod connect_refused;
mod connect_timeout;
mod connections_ended;
mod crash;
mod database_restart;
mod delay_after;
mod delay_before;
mod disk_full;
mod empty;
mod late_delivery;
mod maintenance;
mod malformed;
mod oversized;
mod power_cut;
mod publish_unknown;
mod redeliver;
mod refuse;
mod reorder;
mod reset_after;
mod reset_before;
mod slow_body;
mod stall;
mod status;
mod store;
mod truncated;

/// What a fault is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The opening of a connection: endpoint and key are not known yet.
    Connection,
    /// One request and its reply.
    Call,
    /// A process.
    Node,
    /// One operation of a database.
    Store,
    /// One operation of a message queue.
    Queue,
    /// A whole server, or its disk, whoever is being served.
    Server,
}

/// All that the rest of the crate knows of one kind.
pub(crate) struct Spec {
    name: &'static str,
    summary: &'static str,
    target: Target,
    /// The one endpoint at which it can happen; `None` for those that may happen at any.
    endpoint: Option<&'static str>,
    required: &'static [Field],
    optional: &'static [Field],
    /// What more must hold of the fields.
    check: fn(&Fault) -> Result<(), Error>,
    /// What it does to a call; `None` for what is done elsewhere.
    script: Option<fn(&Fault) -> Script>,
}

impl Spec {
    /// A fault without parameters.
    const fn new(name: &'static str, summary: &'static str, target: Target) -> Spec {
        Spec {
            name,
            summary,
            target,
            endpoint: None,
            required: &[],
            optional: &[],
            check: |_| Ok(()),
            script: None,
        }
    }

    /// A fault on a call.
    const fn call(name: &'static str, summary: &'static str, script: fn(&Fault) -> Script) -> Spec {
        Spec { script: Some(script), ..Spec::new(name, summary, Target::Call) }
    }

    /// It happens at this endpoint and at no other.
    const fn at(self, endpoint: &'static str) -> Spec {
        Spec { endpoint: Some(endpoint), ..self }
    }

    const fn required(self, required: &'static [Field]) -> Spec {
        Spec { required, ..self }
    }

    const fn optional(self, optional: &'static [Field]) -> Spec {
        Spec { optional, ..self }
    }

    const fn check(self, check: fn(&Fault) -> Result<(), Error>) -> Spec {
        Spec { check, ..self }
    }

    const fn script(self, script: fn(&Fault) -> Script) -> Spec {
        Spec { script: Some(script), ..self }
    }
}

macro_rules! kinds {
    ($($kind:ident = $spec:path,)*) => {
        /// What can go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "`Kind::summary` says it, once, in the kind's own file")]
        pub enum Kind { $($kind,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            fn spec(self) -> &'static Spec {
                match self { $(Kind::$kind => &$spec,)* }
            }
        }
    };
}

kinds! {
    ConnectRefused = connect_refused::SPEC,
    ConnectTimeout = connect_timeout::SPEC,
    ResetBefore = reset_before::SPEC,
    ResetAfter = reset_after::SPEC,
    DelayBefore = delay_before::SPEC,
    DelayAfter = delay_after::SPEC,
    LateDelivery = late_delivery::SPEC,
    Status = status::SPEC,
    Ban = ban::SPEC,
    Refuse = refuse::SPEC,
    Malformed = malformed::SPEC,
    Truncated = truncated::SPEC,
    Empty = empty::SPEC,
    SlowBody = slow_body::SPEC,
    Oversized = oversized::SPEC,
    AuthExpired = auth_expired::SPEC,
    Maintenance = maintenance::SPEC,
    Crash = crash::SPEC,
    Stall = stall::SPEC,
    ClockSkew = clock_skew::SPEC,
    Busy = store::BUSY,
    CommitFails = store::COMMIT_FAILS,
    CommitUnknown = store::COMMIT_UNKNOWN,
    Disconnect = store::DISCONNECT,
    Slow = store::SLOW,
    PowerCut = power_cut::SPEC,
    PublishUnknown = publish_unknown::SPEC,
    Redeliver = redeliver::SPEC,
    Reorder = reorder::SPEC,
    AckLost = ack_lost::SPEC,
    BrokerRestart = broker_restart::SPEC,
    DatabaseRestart = database_restart::SPEC,
    ConnectionsEnded = connections_ended::SPEC,
    DiskFull = disk_full::SPEC,
    ApiRestart = api_restart::SPEC,
}

impl Kind {
    /// The name as it is written in plans.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// What happens, in one line.
    pub fn summary(self) -> &'static str {
        self.spec().summary
    }

    /// What it is done to.
    pub fn target(self) -> Target {
        self.spec().target
    }

    /// The one endpoint at which it can happen, which need not be named then; `None` for a kind that
    /// may happen at any.
    pub fn endpoint(self) -> Option<&'static str> {
        self.spec().endpoint
    }

    /// The parameters that must be given.
    pub fn required(self) -> &'static [Field] {
        self.spec().required
    }

    /// The parameters that may or must be given; triggers apart.
    pub fn params(self) -> impl Iterator<Item = Field> {
        let spec = self.spec();
        spec.required.iter().chain(spec.optional).copied()
    }

    pub(crate) fn check(self, fault: &Fault) -> Result<(), Error> {
        (self.spec().check)(fault)
    }
}

impl Fault {
    /// What the fault does to a call, `None` when it is not done to calls.
    pub(crate) fn script(&self) -> Option<Script> {
        // A node's fault touches a call only where it waits for one.
        if self.kind.target() == Target::Node && self.when.is_none() {
            return None;
        }
        self.kind.spec().script.map(|script| script(self))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_as_its_file_names_it() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert!(!kind.summary().is_empty());
        }
    }

    #[test]
    fn whatever_is_done_to_a_call_has_a_script_and_nothing_else_has() {
        for &kind in Kind::ALL {
            let scripted = kind.spec().script.is_some();
            let calls = kind.target() == Target::Call || matches!(kind, Kind::Crash | Kind::Stall);
            assert_eq!(scripted, calls, "{kind}");
        }
    }
}
