//! An order with its parcels and notifications, as one transaction sees and changes it.
//!
//! An engine reads it whole; it is changed in memory along the edges of [`crate::state`], and the
//! engine writes it back: an illegal change is an error before anything is written. What is kept
//! here and nowhere else: which rows fall due when, who is fenced off, what an outcome changes, and
//! which edges are logged. No engine is known here.

mod notices;
mod operate;
mod records;
mod reports;
mod rest;
mod settle;

pub(super) use operate::{action_name, answer_name, answer_of};
pub(super) use records::{Edge, Lease, Notice, OrderRecord, Parcel};
pub(super) use settle::Right;

use clockwork::Timestamp;

use crate::policy::{Consequence, NoticeSnapshot, OrderPolicy, OrderSnapshot, ParcelSnapshot};
use crate::state::{By, NoticeState, OrderState, ParcelState};
use crate::store::{NoticeKey, ParcelKey};

/// A row holds what this program never writes, or would have to.
#[derive(Debug)]
pub(super) struct Corrupt {
    /// The table.
    pub(super) table: &'static str,
    /// What is wrong, without personal data.
    pub(super) reason: String,
}

impl Corrupt {
    pub(super) fn new(table: &'static str, reason: impl Into<String>) -> Corrupt {
        Corrupt { table, reason: reason.into() }
    }
}

/// A `Result` of this module.
pub(super) type Result<T> = std::result::Result<T, Corrupt>;

/// Who walked an edge, as the database keeps it.
pub(super) const fn by_name(by: By) -> &'static str {
    match by {
        By::Core => "core",
        By::Operator => "operator",
    }
}

/// The reverse of [`by_name`].
pub(super) fn by_of(name: &str) -> Result<By> {
    [By::Core, By::Operator]
        .into_iter()
        .find(|by| by_name(*by) == name)
        .ok_or_else(|| Corrupt::new("transitions", format!("`{name}` is nobody")))
}

/// A policy whose consequences have consequences that often will never come to rest.
const CONSEQUENCES_MAX: usize = 16;

/// An order with all that belongs to it.
pub(super) struct Aggregate {
    pub(super) order: OrderRecord,
    pub(super) parcels: Vec<Parcel>,
    pub(super) notices: Vec<Notice>,
    log: Vec<Edge>,
    /// It stands for a member, not for an order.
    of_member: bool,
}

impl Aggregate {
    /// An order as it was read.
    pub(super) fn new(order: OrderRecord, parcels: Vec<Parcel>, notices: Vec<Notice>) -> Aggregate {
        Aggregate { order, parcels, notices, log: Vec::new(), of_member: false }
    }

    /// A member's notifications. They walk the edges of an order's that is shipped and stays so:
    /// nothing holds them back, and nothing follows from them.
    pub(super) fn of_member(owner: &str, notices: Vec<Notice>) -> Aggregate {
        let order = OrderRecord {
            id: owner.to_owned(),
            state: OrderState::Shipped,
            called_back: false,
            reason: None,
            changed: false,
        };
        Aggregate { order, parcels: Vec::new(), notices, log: Vec::new(), of_member: true }
    }

    /// The edges that it has walked since, in their order.
    pub(super) fn walked(&self) -> &[Edge] {
        &self.log
    }

    /// Where the parcel `number` is in `parcels`.
    pub(super) fn parcel(&self, number: u32) -> Result<usize> {
        let found = self.parcels.iter().position(|parcel| parcel.number == number);
        found.ok_or_else(|| Corrupt::new("parcels", format!("{}/{number} missing", self.id())))
    }

    /// Where the notification of `event` is in `notices`.
    pub(super) fn notice(&self, event: &str) -> Result<usize> {
        let found = self.notices.iter().position(|notice| notice.event == event);
        found.ok_or_else(|| Corrupt::new("notices", format!("{}:{event} missing", self.id())))
    }

    /// Whether anything of it is to be written.
    pub(super) fn has_changed(&self) -> bool {
        self.order.changed
            || self.parcels.iter().any(|parcel| parcel.changed)
            || self.notices.iter().any(|notice| notice.changed)
    }

    /// Whether there is any notification of it.
    pub(super) fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    fn id(&self) -> &str {
        &self.order.id
    }

    /// Takes the parcel at `at` along an edge; staying where it is is no edge.
    pub(super) fn walk_parcel(&mut self, at: usize, to: ParcelState, by: By) -> Result<()> {
        let parcel = &mut self.parcels[at];
        let from = std::mem::replace(&mut parcel.state, to);
        parcel.changed = true;
        if from == to {
            return Ok(());
        }
        let key = ParcelKey { order: self.order.id.clone(), number: parcel.number }.to_string();
        if !from.may_become(to, by) {
            return Err(illegal("parcels", &key, from.as_str(), to.as_str()));
        }
        let edge = Edge { entity: "parcel", key, from: Some(from.as_str()), to: to.as_str(), by };
        self.log.push(edge);
        Ok(())
    }

    /// Takes the notification at `at` along an edge; staying where it is is no edge.
    pub(super) fn walk_notice(&mut self, at: usize, to: NoticeState, by: By) -> Result<()> {
        let notice = &mut self.notices[at];
        let from = std::mem::replace(&mut notice.state, to);
        notice.changed = true;
        if from == to {
            return Ok(());
        }
        let key = NoticeKey { order: self.order.id.clone(), event: notice.event.clone() };
        let key = key.to_string();
        if !from.may_become(to, by) {
            return Err(illegal("notices", &key, from.as_str(), to.as_str()));
        }
        let edge = Edge { entity: "notice", key, from: Some(from.as_str()), to: to.as_str(), by };
        self.log.push(edge);
        Ok(())
    }

    /// Takes the order along an edge, and holds or releases what depends on its state.
    pub(super) fn walk_order(&mut self, to: OrderState, by: By, now: Timestamp) -> Result<()> {
        let from = std::mem::replace(&mut self.order.state, to);
        if !from.may_become(to, by) {
            return Err(illegal("orders", self.id(), from.as_str(), to.as_str()));
        }
        let (key, from) = (self.order.id.clone(), Some(from.as_str()));
        self.log.push(Edge { entity: "order", key, from, to: to.as_str(), by });
        self.order.changed = true;
        self.order.reason = self.why(to);
        match to {
            OrderState::Cancelling => self.order.called_back = true,
            OrderState::Accepted | OrderState::Shipped => self.order.called_back = false,
            _ => {}
        }
        self.hold_or_release(now);
        Ok(())
    }

    /// Asks `policy` what follows, and does it, until nothing follows any more.
    pub(super) fn follow(&mut self, policy: &dyn OrderPolicy, now: Timestamp) -> Result<()> {
        if self.of_member {
            return Ok(());
        }
        for _ in 0..CONSEQUENCES_MAX {
            let consequence = policy.consequence(&self.snapshot());
            if !self.apply(consequence, now)? {
                return Ok(());
            }
        }
        Err(Corrupt::new("orders", format!("{}: consequences without end", self.id())))
    }

    fn snapshot(&self) -> OrderSnapshot {
        let parcels = self.parcels.iter().map(|parcel| ParcelSnapshot {
            number: parcel.number,
            state: parcel.state,
            picked_up: parcel.picked_up,
        });
        let notices = self.notices.iter().map(|notice| NoticeSnapshot {
            event: notice.event.clone(),
            state: notice.state,
            given_up: notice.given_up,
        });
        OrderSnapshot {
            state: self.order.state,
            parcels: parcels.collect(),
            notices: notices.collect(),
        }
    }

    /// Whether anything changed.
    fn apply(&mut self, next: Consequence, now: Timestamp) -> Result<bool> {
        let logged = self.log.len();
        for (number, to) in next.parcels {
            let at = self.parcel(number)?;
            if self.parcels[at].state != to {
                self.walk_parcel(at, to, By::Core)?;
                self.parcels[at].restart(now);
            }
        }
        for event in next.withdraw {
            let at = self.notice(&event)?;
            if self.notices[at].state != NoticeState::Withdrawn {
                self.walk_notice(at, NoticeState::Withdrawn, By::Core)?;
                self.notices[at].come_to_rest();
            }
        }
        if let Some(to) = next.becomes.filter(|to| *to != self.order.state) {
            self.walk_order(to, By::Core, now)?;
        }
        for event in next.notify {
            self.bear_notice(event, now);
        }
        Ok(self.log.len() > logged)
    }

    /// A new row of the outbox, unless there is one of this event.
    pub(super) fn bear_notice(&mut self, event: String, now: Timestamp) {
        if self.notices.iter().any(|notice| notice.event == event) {
            return;
        }
        let key = NoticeKey { order: self.order.id.clone(), event: event.clone() }.to_string();
        let to = NoticeState::Queued;
        let edge = Edge { entity: "notice", key, from: None, to: to.as_str(), by: By::Core };
        self.log.push(edge);
        let mut notice = Notice::born(event);
        notice.due_at = (!rest::holds_notices(self.order.state)).then_some(now);
        self.notices.push(notice);
    }
}

impl Aggregate {
    /// Says again why the order stands where it does.
    pub(super) fn explain(&mut self) {
        self.order.reason = self.why(self.order.state);
        self.order.changed = true;
    }

    /// Why an order becomes `to`, if that is no good news: the first culprit's reason.
    fn why(&self, to: OrderState) -> Option<String> {
        use ParcelState::{Attention, Booked, Refused};
        let parcel = |state: ParcelState| {
            let culprit = self.parcels.iter().find(|parcel| parcel.state == state)?;
            let reason = culprit.reason.as_deref().unwrap_or(state.as_str());
            Some(format!("parcel {}: {reason}", culprit.number))
        };
        match to {
            OrderState::DeliveryFailed => parcel(Refused),
            OrderState::Attention => parcel(Attention).or_else(|| {
                let kept = parcel(Booked)?;
                Some(format!("{kept} while another is not"))
            }),
            OrderState::NotifyFailed => {
                let failed =
                    |notice: &&Notice| notice.given_up || notice.state == NoticeState::Refused;
                self.notices.iter().find(failed)?.reason.clone()
            }
            _ => None,
        }
    }
}

fn illegal(table: &'static str, key: &str, from: &str, to: &str) -> Corrupt {
    Corrupt::new(table, format!("{key}: `{from}` never becomes `{to}`"))
}
