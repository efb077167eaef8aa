//! What a person does to an order, with its audit row.

use clockwork::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::aggregate::Aggregate;
use super::failure::{Failure, Result};
use super::settle::{become_known, forget_intent};
use crate::policy::OrderPolicy;
use crate::state::{By, NoticeState, OrderState, ParcelState};
use crate::store::{Action, Operated, Operation};

/// Why an action is not done.
type Refusal = String;

/// Does what `operation` says, and all that follows.
///
/// The same operation again (same author, same moment) gets the same answer and does nothing.
pub(super) fn operate(
    db: &Connection,
    policy: &dyn OrderPolicy,
    operation: &Operation,
) -> Result<Operated> {
    if let Some(state) = done_before(db, operation)? {
        return Ok(Operated::Done(state));
    }
    let Some(mut aggregate) = Aggregate::load(db, &operation.order)? else {
        return Ok(Operated::NotFound);
    };
    let now = operation.now;
    let refused = match operation.action {
        Action::Retry => retry(db, &mut aggregate, now)?,
        Action::Resolve { parcel, booked } => resolve(&mut aggregate, parcel, booked, now)?,
        Action::Cancel => cancel(&mut aggregate, now)?,
    };
    if let Some(reason) = refused {
        audit(db, operation, &format!("refused: {reason}"))?;
        return Ok(Operated::Refused(reason));
    }
    aggregate.follow(policy, now)?;
    aggregate.save(db, now)?;
    audit(db, operation, aggregate.order.state.as_str())?;
    Ok(Operated::Done(aggregate.order.state))
}

/// Reopens what failed or was parked.
fn retry(db: &Connection, aggregate: &mut Aggregate, now: Timestamp) -> Result<Option<Refusal>> {
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
            reopen_parcels(db, aggregate, now)?;
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

fn reopen_parcels(db: &Connection, aggregate: &mut Aggregate, now: Timestamp) -> Result<()> {
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
            forget_intent(db, &aggregate.order.id, parcel.number)?;
        }
    }
    Ok(())
}

fn reopen_notices(aggregate: &mut Aggregate, now: Timestamp) -> Result<()> {
    use NoticeState::{Queued, Refused, Unknown, Withdrawn};
    for at in 0..aggregate.notices.len() {
        let from = aggregate.notices[at].state;
        if !matches!(from, Refused | Unknown | Withdrawn) {
            continue;
        }
        aggregate.walk_notice(at, Queued, By::Operator)?;
        let notice = &mut aggregate.notices[at];
        notice.restart(now);
        if from != Unknown {
            notice.first_sent_at = None;
        }
    }
    Ok(())
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

fn name(action: &Action) -> String {
    match action {
        Action::Retry => "retry".to_owned(),
        Action::Cancel => "cancel".to_owned(),
        Action::Resolve { parcel, booked } => {
            let which = parcel.map_or(String::new(), |number| format!(" parcel {number}"));
            format!("resolve{which} {}", if *booked { "booked" } else { "not-booked" })
        }
    }
}

/// The answer to this very operation, if it was done before.
fn done_before(db: &Connection, operation: &Operation) -> Result<Option<OrderState>> {
    let sql = "SELECT answer FROM audit
               WHERE order_id = ?1 AND at = ?2 AND action = ?3 AND done_by = ?4
                     AND answer NOT LIKE 'refused:%'";
    let (at, action) = (operation.now.micros(), name(&operation.action));
    let key = params![operation.order, at, action, operation.by];
    let answer: Option<String> =
        db.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?;
    let state = answer.map(|answer| answer.parse()).transpose();
    state.map_err(|error: crate::state::UnknownState| Failure::corrupt("audit", error.to_string()))
}

fn audit(db: &Connection, operation: &Operation, answer: &str) -> Result<()> {
    let sql = "INSERT INTO audit (at, order_id, action, done_by, answer)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![
        operation.now.micros(),
        operation.order,
        name(&operation.action),
        operation.by,
        answer,
    ])?;
    Ok(())
}
