//! Where a fault is done: at which fake, at a node, at the store or at the queue.

use std::fmt;

use faults::{Fault, Kind, Target};
use serde::{Deserialize, Serialize};

use super::Plan;

/// The carrier's operations, as faults name them.
pub const CARRIER_ENDPOINTS: &[&str] = &[
    "ReqOneDayToken",
    "ReqAddrRfnSm",
    "ReqInvcNo",
    "RegBook",
    "CnclBook",
    "ReqOneGdsTrc",
    "ReqMssGdsTrc",
    "RcvMssGdsTrcCnfrm",
];

/// The message gateway's operations, as faults name them.
pub const MESSENGER_ENDPOINTS: &[&str] =
    &["send/omni", "report/polling", "report/ack", "report/inquiry", "message/inquiry"];

/// The store's use cases, as faults name them.
pub const STORE_OPERATIONS: &[&str] = &[
    "ingest",
    "sign-up",
    "claim-parcels",
    "settle-parcel",
    "claim-notices",
    "settle-notice",
    "take-permits",
    "block-quota",
    "record-reports",
    "awaits-reports",
    "operate",
    "order",
    "member",
    "orders",
    "census",
    "rows",
    "begin",
    "commit",
];

/// Who carries a fault out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// The fake carrier's injector.
    Carrier,
    /// The fake gateway's injector.
    Messenger,
    /// Whoever runs the nodes.
    Node,
    /// The wrapper around the store.
    Store,
    /// The message broker.
    Queue,
}

impl Site {
    /// All of them.
    pub const ALL: [Site; 5] =
        [Site::Carrier, Site::Messenger, Site::Node, Site::Store, Site::Queue];

    /// The name in plans (`on`), histories and verdicts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Site::Carrier => "carrier",
            Site::Messenger => "messenger",
            Site::Node => "node",
            Site::Store => "store",
            Site::Queue => "queue",
        }
    }

    /// Who carries `fault` out; `None` when it does not say at which API.
    pub fn of(fault: &Fault) -> Option<Site> {
        match fault.kind.target() {
            Target::Store => Some(Site::Store),
            Target::Queue => Some(Site::Queue),
            Target::Server if fault.kind == Kind::ApiRestart => api_named(fault),
            Target::Server => Some(Site::Store),
            // Who fells a node because of a call is the fake that sees the call.
            Target::Node if fault.when.is_some() => api_named(fault).or_else(|| api_called(fault)),
            Target::Node => Some(Site::Node),
            Target::Call | Target::Connection => api_named(fault),
        }
    }
}

fn api_named(fault: &Fault) -> Option<Site> {
    match fault.on.as_deref() {
        Some("carrier") => Some(Site::Carrier),
        Some("messenger") => Some(Site::Messenger),
        _ => None,
    }
}

fn api_called(fault: &Fault) -> Option<Site> {
    let endpoint = fault.endpoint.as_deref()?;
    if MESSENGER_ENDPOINTS.contains(&endpoint) {
        return Some(Site::Messenger);
    }
    CARRIER_ENDPOINTS.contains(&endpoint).then_some(Site::Carrier)
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Plan {
    /// The faults that `site` carries out, in the plan's order, each with its place in the plan
    /// (from 0).
    pub fn faults_at(&self, site: Site) -> impl Iterator<Item = (usize, &Fault)> {
        self.faults.iter().enumerate().filter(move |(_, fault)| Site::of(fault) == Some(site))
    }
}

#[cfg(test)]
mod tests {
    use faults::When;

    use super::*;

    #[test]
    fn a_fault_is_carried_out_where_it_is_seen() {
        let on = |kind, on: &str| Fault { on: Some(on.to_owned()), ..Fault::new(kind) };
        assert_eq!(Site::of(&on(Kind::ResetAfter, "carrier")), Some(Site::Carrier));
        assert_eq!(Site::of(&on(Kind::ConnectRefused, "messenger")), Some(Site::Messenger));
        assert_eq!(Site::of(&on(Kind::ResetAfter, "cartier")), None);
        assert_eq!(Site::of(&Fault::new(Kind::Busy)), Some(Site::Store));
        assert_eq!(Site::of(&Fault::new(Kind::Stall)), Some(Site::Node));
        assert_eq!(Site::of(&Fault::new(Kind::AckLost)), Some(Site::Queue));
    }

    #[test]
    fn a_crash_that_waits_for_a_call_belongs_to_the_fake_that_sees_it() {
        let crash = |endpoint: &str| Fault {
            endpoint: Some(endpoint.to_owned()),
            when: Some(When::After),
            ..Fault::new(Kind::Crash)
        };
        assert_eq!(Site::of(&crash("RegBook")), Some(Site::Carrier));
        assert_eq!(Site::of(&crash("send/omni")), Some(Site::Messenger));
        assert_eq!(Site::of(&crash("nowhere")), None);
        let named = Fault { on: Some("carrier".to_owned()), ..crash("nowhere") };
        assert_eq!(Site::of(&named), Some(Site::Carrier));
    }

    #[test]
    fn every_fault_keeps_its_place_in_the_plan() {
        let mut plan = Plan::healthy("p", 1);
        plan.faults = vec![Fault::new(Kind::Busy), Fault::new(Kind::Stall), Fault::new(Kind::Slow)];
        let places: Vec<_> = plan.faults_at(Site::Store).map(|(place, _)| place).collect();
        assert_eq!(places, [0, 2]);
    }
}
