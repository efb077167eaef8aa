//! What became of a step on a parcel, with all that follows for its order.

use clockwork::Timestamp;

use super::{Aggregate, Corrupt, Lease, Parcel, Result};
use crate::policy::OrderPolicy;
use crate::state::{By, ParcelState};
use crate::store::{ParcelOutcome, Tries, Written};

/// What a fencing token still allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Right {
    /// The lease is held: write.
    Held,
    /// This very write was made before: answer as then.
    Repeated,
    /// Somebody else has taken over, or the lease was given back otherwise.
    Lost,
}

/// What `token` allows on a row under `lease`, for a write of `outcome`.
pub(super) fn right(lease: &Lease, token: i64, outcome: &str) -> Right {
    match (lease.token == token, &lease.worker, &lease.settled) {
        (true, Some(_), _) => Right::Held,
        (true, None, Some(settled)) if settled == outcome => Right::Repeated,
        _ => Right::Lost,
    }
}

impl Aggregate {
    /// Whether `outcome` of a step on the parcel `number`, taken under the fencing token `token`,
    /// may be written.
    pub(in crate::store) fn parcel_right(
        &self,
        number: u32,
        token: i64,
        outcome: &ParcelOutcome,
    ) -> Result<Right> {
        let at = self.parcel(number)?;
        Ok(right(&self.parcels[at].lease, token, outcome.name()))
    }

    /// Takes `outcome` of a step on the parcel `number`, taken under the fencing token `token`, and
    /// does what follows. What it answers holds once it is saved.
    pub(in crate::store) fn settle_parcel(
        &mut self,
        policy: &dyn OrderPolicy,
        number: u32,
        token: i64,
        outcome: &ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        match self.parcel_right(number, token, outcome)? {
            Right::Held => {}
            Right::Repeated => return Ok(Written::Done),
            Right::Lost => return Ok(Written::Fenced),
        }
        let at = self.parcel(number)?;
        settle(self, at, outcome, now)?;
        self.follow(policy, now)?;
        Ok(Written::Done)
    }
}

impl ParcelOutcome {
    /// Its name, by which a repeated write is known.
    pub const fn name(&self) -> &'static str {
        match self {
            ParcelOutcome::Intended(_) => "intended",
            ParcelOutcome::Booked => "booked",
            ParcelOutcome::Refused { .. } => "refused",
            ParcelOutcome::Unknown { .. } => "unknown",
            ParcelOutcome::NotBooked { .. } => "not-booked",
            ParcelOutcome::PutBack { .. } => "put-back",
            ParcelOutcome::Attention { .. } => "attention",
            ParcelOutcome::Cancelled => "cancelled",
            ParcelOutcome::PickedUp => "picked-up",
        }
    }
}

/// The state that an outcome leads to from `from`.
fn target(from: ParcelState, outcome: &ParcelOutcome) -> ParcelState {
    match outcome {
        ParcelOutcome::Intended(_) => ParcelState::Intended,
        ParcelOutcome::Booked | ParcelOutcome::PickedUp => ParcelState::Booked,
        ParcelOutcome::Refused { .. } => ParcelState::Refused,
        ParcelOutcome::Unknown { .. } => ParcelState::Unknown,
        ParcelOutcome::NotBooked { .. } => ParcelState::Planned,
        ParcelOutcome::PutBack { .. } => from,
        ParcelOutcome::Attention { .. } => ParcelState::Attention,
        ParcelOutcome::Cancelled => ParcelState::Cancelled,
    }
}

fn settle(
    aggregate: &mut Aggregate,
    at: usize,
    outcome: &ParcelOutcome,
    now: Timestamp,
) -> Result<()> {
    let from = aggregate.parcels[at].state;
    if !fits(from, outcome) {
        let key = format!("{}/{}", aggregate.order.id, aggregate.parcels[at].number);
        let reason = format!("{key}: `{}` while it is `{from}`", outcome.name());
        return Err(Corrupt::new("parcels", reason));
    }
    aggregate.walk_parcel(at, target(from, outcome), By::Core)?;
    let parcel = &mut aggregate.parcels[at];
    if let ParcelOutcome::Intended(intent) = outcome {
        // The request is about to be sent under the same lease.
        parcel.intent = Some(intent.clone());
        return Ok(());
    }
    parcel.lease.give_back(outcome.name());
    parcel.due_at = None;
    note(parcel, from, outcome, now);
    if let Some(due) = retry_at(outcome) {
        aggregate.put_back_parcel(at, due);
    }
    Ok(())
}

/// Whether an outcome can be one of a step on a parcel in `from`, where the edges alone do not say
/// it: a parcel that stays as it is walks no edge.
fn fits(from: ParcelState, outcome: &ParcelOutcome) -> bool {
    use ParcelState::{Cancelling, Intended, Planned, Unknown};
    match outcome {
        ParcelOutcome::PutBack { .. } => {
            matches!(from, Planned | Intended | Unknown | Cancelling)
        }
        ParcelOutcome::NotBooked { .. } => from == Unknown,
        ParcelOutcome::PickedUp => from == Cancelling,
        ParcelOutcome::Booked => matches!(from, Intended | Unknown),
        ParcelOutcome::Refused { .. } => from == Intended,
        ParcelOutcome::Cancelled => from == Cancelling,
        ParcelOutcome::Attention { .. } => matches!(from, Unknown | Cancelling),
        ParcelOutcome::Intended(_) => matches!(from, Planned | Intended),
        ParcelOutcome::Unknown { .. } => matches!(from, Intended | Unknown),
    }
}

fn retry_at(outcome: &ParcelOutcome) -> Option<Timestamp> {
    match outcome {
        ParcelOutcome::Unknown { retry_at, .. }
        | ParcelOutcome::NotBooked { retry_at, .. }
        | ParcelOutcome::PutBack { retry_at, .. } => Some(*retry_at),
        _ => None,
    }
}

/// What is written beside the state and the due time.
fn note(parcel: &mut Parcel, from: ParcelState, outcome: &ParcelOutcome, now: Timestamp) {
    let tries = |parcel: &mut Parcel, tries: &Tries| {
        (parcel.attempts, parcel.rounds) = (tries.attempts, tries.rounds);
    };
    match outcome {
        ParcelOutcome::Intended(_) => {}
        ParcelOutcome::Booked => {
            // A request that was given up may still arrive, and would book anew once the booking
            // is cancelled: how late that can be is kept.
            let sent_until = parcel.sent_until;
            become_known(parcel);
            parcel.sent_until = sent_until;
            parcel.reason = None;
        }
        ParcelOutcome::Cancelled => {
            become_known(parcel);
            parcel.reason = None;
        }
        ParcelOutcome::PickedUp => {
            become_known(parcel);
            parcel.picked_up = true;
            parcel.reason = Some("picked up before it could be cancelled".to_owned());
        }
        ParcelOutcome::Refused { reason } => {
            become_known(parcel);
            parcel.reason = Some(reason.clone());
        }
        ParcelOutcome::Unknown { reason, sent_until, tries: spent, .. } => {
            parcel.unknown_since = parcel.unknown_since.or(Some(now));
            parcel.sent_until = parcel.sent_until.max(Some(*sent_until));
            parcel.reason = Some(reason.clone());
            tries(parcel, spent);
        }
        ParcelOutcome::NotBooked { reason, .. } => {
            let rounds = parcel.rounds + 1;
            become_known(parcel);
            parcel.rounds = rounds;
            parcel.reason = Some(reason.clone());
        }
        ParcelOutcome::PutBack { reason, tries: spent, .. } => {
            if from == ParcelState::Cancelling {
                parcel.unknown_since = parcel.unknown_since.or(Some(now));
            }
            parcel.reason = Some(reason.clone());
            tries(parcel, spent);
        }
        ParcelOutcome::Attention { reason } => {
            parcel.parked_from = Some(from);
            parcel.reason = Some(reason.clone());
        }
    }
}

/// The outcome is known: nothing is under way, and the next step begins afresh.
pub(super) fn become_known(parcel: &mut Parcel) {
    parcel.unknown_since = None;
    parcel.sent_until = None;
    (parcel.attempts, parcel.rounds) = (0, 0);
}
