//! What a person does to an order, or to a member's messages.

use clockwork::Timestamp;

use super::settle::become_known;
use super::{Aggregate, Notice, Result};
use crate::policy::OrderPolicy;
use crate::state::{By, NoticeState, OrderState, ParcelState, UnknownState};
use crate::store::{Action, Operated};

/// Why an action is not done.
type Refusal = String;

impl Aggregate {
    /// Does what an operator says, and all that follows; or says why not.
    pub(in crate::store) fn operate(
        &mut self,
        policy: &dyn OrderPolicy,
        action: &Action,
        now: Timestamp,
    ) -> Result<Operated> {
        if self.of_member {
            return retry_messages(self, now);
        }
        let refused = match *action {
            Action::Retry => retry(self, now)?.filter(|_| !self.take_up(now)),
            Action::Resolve { parcel, booked } => resolve(self, parcel, booked, now)?,
            Action::Cancel => cancel(self, now)?,
        };
        if let Some(reason) = refused {
            return Ok(Operated::Refused(reason));
        }
        self.follow(policy, now)?;
        Ok(Operated::Done(self.order.state))
    }
}

/// Reopens what failed or was parked.
fn retry(aggregate: &mut Aggregate, now: Timestamp) -> Result<Option<Refusal>> {
    match aggregate.order.state {
        OrderState::NotifyFailed => {
            reopen_notices(aggregate, now)?;
            aggregate.walk_order(OrderState::Shipped, By::Operator, now)?;
            Ok(None)
        }
        OrderState::DeliveryFailed | OrderState::Attention => {
            if let Some(reason) = unsure_of_a_cancellation(aggregate) {
                return Ok(Some(reason));
            }
            reopen_parcels(aggregate, now)?;
            aggregate.walk_order(OrderState::Accepted, By::Operator, now)?;
            Ok(None)
        }
        state => Ok(Some(format!("an order that is `{state}` is not tried again"))),
    }
}

/// A parcel whose cancellation is under way or in doubt cannot be booked again: the carrier would
/// know the old booking, or have two.
fn unsure_of_a_cancellation(aggregate: &Aggregate) -> Option<Refusal> {
    use ParcelState::{Attention, Cancelling};
    let unsure = aggregate.parcels.iter().find(|parcel| {
        let parked = parcel.state == Attention && parcel.parked_from == Some(Cancelling);
        parked || parcel.state == Cancelling
    })?;
    let number = unsure.number;
    Some(match unsure.state {
        Attention => format!("nobody knows whether parcel {number} is cancelled: resolve it first"),
        _ => format!("parcel {number} is being cancelled: wait for its end"),
    })
}

fn reopen_parcels(aggregate: &mut Aggregate, now: Timestamp) -> Result<()> {
    use ParcelState::{Attention, Cancelled, Planned, Refused};
    for at in 0..aggregate.parcels.len() {
        let from = aggregate.parcels[at].state;
        if !matches!(from, Refused | Cancelled | Attention) {
            continue;
        }
        aggregate.walk_parcel(at, Planned, By::Operator)?;
        let parcel = &mut aggregate.parcels[at];
        parcel.restart(now);
        parcel.parked_from = None;
        parcel.unknown_since = None;
        if from == Cancelled {
            // One that was refused or is in doubt sends the same bytes again; a booking that was
            // undone stays undone, so a new one needs another identity.
            parcel.forgets_intent = true;
        }
    }
    Ok(())
}

fn reopen_notices(aggregate: &mut Aggregate, now: Timestamp) -> Result<()> {
    use NoticeState::{Refused, Unknown, Withdrawn};
    for at in 0..aggregate.notices.len() {
        if matches!(aggregate.notices[at].state, Refused | Unknown | Withdrawn) {
            reopen_notice(aggregate, at, now)?;
        }
    }
    Ok(())
}

fn reopen_notice(aggregate: &mut Aggregate, at: usize, now: Timestamp) -> Result<()> {
    let from = aggregate.notices[at].state;
    aggregate.walk_notice(at, NoticeState::Queued, By::Operator)?;
    let notice = &mut aggregate.notices[at];
    notice.restart(now);
    if from != NoticeState::Unknown {
        notice.first_sent_at = None;
    }
    Ok(())
}

/// Has those messages of a member sent again that were refused or given up, or put aside.
fn retry_messages(aggregate: &mut Aggregate, now: Timestamp) -> Result<Operated> {
    let failed = |notice: &Notice| notice.given_up || notice.state == NoticeState::Refused;
    let places: Vec<usize> =
        (0..aggregate.notices.len()).filter(|at| failed(&aggregate.notices[*at])).collect();
    if places.is_empty() && !aggregate.take_up(now) {
        return Ok(Operated::Refused("no message of this member has failed".to_owned()));
    }
    for at in places {
        reopen_notice(aggregate, at, now)?;
    }
    Ok(Operated::MessageQueued)
}

/// Writes what truly happened to parked parcels, and settles the order once all are known.
fn resolve(
    aggregate: &mut Aggregate,
    number: Option<u32>,
    booked: bool,
    now: Timestamp,
) -> Result<Option<Refusal>> {
    let parked: Vec<usize> = (0..aggregate.parcels.len())
        .filter(|at| {
            let parcel = &aggregate.parcels[*at];
            parcel.state == ParcelState::Attention && number.is_none_or(|it| it == parcel.number)
        })
        .collect();
    if aggregate.order.state != OrderState::Attention || parked.is_empty() {
        let which = number.map_or("no parcel".to_owned(), |number| format!("not parcel {number}"));
        return Ok(Some(format!("{which} of this order waits for an answer")));
    }
    for at in parked {
        resolve_parcel(aggregate, at, booked)?;
    }
    match resolved(aggregate) {
        None => aggregate.explain(),
        Some(to) => aggregate.walk_order(to, By::Operator, now)?,
    }
    if aggregate.order.state == OrderState::Cancelled {
        withdraw(aggregate)?;
    }
    Ok(None)
}

fn resolve_parcel(aggregate: &mut Aggregate, at: usize, booked: bool) -> Result<()> {
    let was_cancelling = aggregate.parcels[at].parked_from == Some(ParcelState::Cancelling);
    let to = match (booked, was_cancelling) {
        (true, _) => ParcelState::Booked,
        (false, true) => ParcelState::Cancelled,
        (false, false) => ParcelState::Refused,
    };
    aggregate.walk_parcel(at, to, By::Operator)?;
    let parcel = &mut aggregate.parcels[at];
    parcel.come_to_rest();
    become_known(parcel);
    parcel.parked_from = None;
    // Its cancellation was tried and did not come through: it is not tried again.
    parcel.picked_up |= booked && was_cancelling;
    if to == ParcelState::Refused {
        parcel.reason = Some("not booked, says the operator".to_owned());
    }
    Ok(())
}

/// Where an order goes once a person is asked nothing more. One that was called back ends called
/// back or shipped, any other goes on as if the answers had come from the carrier. `None`: a parcel
/// still waits for an answer, or booked and cancelled ones are mixed and only a `retry` mends that.
fn resolved(aggregate: &Aggregate) -> Option<OrderState> {
    use ParcelState::{Attention, Booked, Cancelled, Refused};
    let parcels = &aggregate.parcels;
    if parcels.iter().any(|parcel| parcel.state == Attention) {
        return None;
    }
    if !aggregate.order.called_back {
        return Some(OrderState::Accepted);
    }
    if parcels.iter().all(|parcel| parcel.state == Booked) {
        return Some(OrderState::Shipped);
    }
    let undone = parcels.iter().all(|parcel| matches!(parcel.state, Cancelled | Refused));
    undone.then_some(OrderState::Cancelled)
}

fn withdraw(aggregate: &mut Aggregate) -> Result<()> {
    for at in 0..aggregate.notices.len() {
        if aggregate.notices[at].is_open() {
            aggregate.walk_notice(at, NoticeState::Withdrawn, By::Core)?;
            aggregate.notices[at].come_to_rest();
        }
    }
    Ok(())
}

/// Calls the order back, unless its customer may be reading of the shipment just now, or later
/// through a message that is still under way: only a notification that was certainly not sent, or
/// that has ended, is safe.
fn cancel(aggregate: &mut Aggregate, now: Timestamp) -> Result<Option<Refusal>> {
    let state = aggregate.order.state;
    if !state.may_become(OrderState::Cancelling, By::Operator) {
        return Ok(Some(format!("an order that is `{state}` is not called back")));
    }
    let under_way =
        aggregate.notices.iter().find(|notice| notice.is_open() && notice.first_sent_at.is_some());
    if let Some(notice) = under_way {
        let event = &notice.event;
        return Ok(Some(match notice.lease.end().is_some_and(|end| end > now) {
            true => format!("its notification `{event}` is being sent"),
            false => format!("its notification `{event}` may still be under way"),
        }));
    }
    aggregate.walk_order(OrderState::Cancelling, By::Operator, now)?;
    Ok(None)
}

/// The action as the audit keeps it.
pub(in crate::store) fn action_name(action: &Action) -> String {
    match action {
        Action::Retry => "retry".to_owned(),
        Action::Cancel => "cancel".to_owned(),
        Action::Resolve { parcel, booked } => {
            let which = parcel.map_or(String::new(), |number| format!(" parcel {number}"));
            format!("resolve{which} {}", if *booked { "booked" } else { "not-booked" })
        }
    }
}

/// An answer of [`Operated::MessageQueued`].
const MESSAGE_QUEUED: &str = "message-queued";
/// What the answer of a refusal begins with.
const REFUSED: &str = "refused: ";

/// The answer as the audit keeps it; `None` where nothing is kept.
pub(in crate::store) fn answer_name(operated: &Operated) -> Option<String> {
    match operated {
        Operated::Done(state) => Some(state.as_str().to_owned()),
        Operated::MessageQueued => Some(MESSAGE_QUEUED.to_owned()),
        Operated::Refused(reason) => Some(format!("{REFUSED}{reason}")),
        Operated::NotFound => None,
    }
}

/// The reverse of [`answer_name`], of what was done.
pub(in crate::store) fn answer_of(done: &str) -> std::result::Result<Operated, UnknownState> {
    match done {
        MESSAGE_QUEUED => Ok(Operated::MessageQueued),
        state => state.parse().map(Operated::Done),
    }
}
