//! An order with its parcels and notifications, as one transaction sees and changes it.
//!
//! It is read whole, changed in memory along the edges of [`crate::state`], and written back: an
//! illegal change is an error before anything is written. What is kept here and nowhere else: which
//! rows fall due when, who is fenced off, and that each walked edge is logged.

mod records;
mod rest;

pub(super) use records::{Lease, Notice, OrderRecord, Parcel, log, log_all};

use clockwork::Timestamp;
use rusqlite::Connection;

use super::failure::{Failure, Result};
use crate::policy::{Consequence, NoticeSnapshot, OrderPolicy, OrderSnapshot, ParcelSnapshot};
use crate::state::{By, NoticeState, OrderState, ParcelState};
use crate::store::{NoticeKey, ParcelKey};

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

/// One walked edge, to be logged.
pub(super) struct Edge {
    pub(super) entity: &'static str,
    pub(super) key: String,
    pub(super) from: Option<&'static str>,
    pub(super) to: &'static str,
    pub(super) by: By,
}

impl Aggregate {
    /// Reads the order `id`, if there is one.
    pub(super) fn load(db: &Connection, id: &str) -> Result<Option<Aggregate>> {
        let Some((order, parcels)) = records::order(db, id)? else { return Ok(None) };
        let notices = records::notices(db, id)?;
        Ok(Some(Aggregate { order, parcels, notices, log: Vec::new(), of_member: false }))
    }

    /// Reads what the notification `key` belongs to: an order with all of its own, or a member.
    pub(super) fn owning(db: &Connection, key: &NoticeKey) -> Result<Option<Aggregate>> {
        match key.member() {
            None => Aggregate::load(db, &key.order),
            Some(_) => Aggregate::of_member(db, &key.order).map(Some),
        }
    }

    /// A member's notifications. They walk the edges of an order's that is shipped and stays so:
    /// nothing holds them back, and nothing follows from them.
    pub(super) fn of_member(db: &Connection, owner: &str) -> Result<Aggregate> {
        let order = OrderRecord {
            id: owner.to_owned(),
            state: OrderState::Shipped,
            called_back: false,
            reason: None,
            changed: false,
        };
        let notices = records::notices(db, owner)?;
        Ok(Aggregate { order, parcels: Vec::new(), notices, log: Vec::new(), of_member: true })
    }

    /// Writes what has changed.
    pub(super) fn save(&mut self, db: &Connection, now: Timestamp) -> Result<()> {
        if self.order.changed {
            records::save_order(db, &self.order, now)?;
        }
        for parcel in self.parcels.iter().filter(|parcel| parcel.changed) {
            records::save_parcel(db, &self.order.id, parcel)?;
        }
        for notice in self.notices.iter().filter(|notice| notice.changed) {
            records::save_notice(db, &self.order.id, notice)?;
        }
        log_all(db, now, &self.log)?;
        self.log.clear();
        Ok(())
    }

    /// Where the parcel `number` is in `parcels`.
    pub(super) fn parcel(&self, number: u32) -> Result<usize> {
        let found = self.parcels.iter().position(|parcel| parcel.number == number);
        found.ok_or_else(|| Failure::corrupt("parcels", format!("{}/{number} missing", self.id())))
    }

    /// Where the notification of `event` is in `notices`.
    pub(super) fn notice(&self, event: &str) -> Result<usize> {
        let found = self.notices.iter().position(|notice| notice.event == event);
        found.ok_or_else(|| Failure::corrupt("notices", format!("{}:{event} missing", self.id())))
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
        Err(Failure::corrupt("orders", format!("{}: consequences without end", self.id())))
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

fn illegal(table: &'static str, key: &str, from: &str, to: &str) -> Failure {
    Failure::corrupt(table, format!("{key}: `{from}` never becomes `{to}`"))
}
