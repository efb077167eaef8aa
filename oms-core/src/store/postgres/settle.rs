//! What became of steps, with all that follows for their orders: of one, or of many in one
//! transaction.

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::failure::Result;
use super::{records, reports};
use crate::policy::OrderPolicy;
use crate::store::aggregate::{Aggregate, Right};
use crate::store::{NoticeKey, NoticeOutcome, ParcelKey, ParcelOutcome, Written};

/// What became of one step, under the fencing token of its lease.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) outcome: Outcome,
    pub(super) token: i64,
    pub(super) now: Timestamp,
}

/// Of what, and what.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Parcel(ParcelKey, ParcelOutcome),
    Notice(NoticeKey, NoticeOutcome),
}

impl Step {
    /// The order, or the member, that it changes.
    pub(super) fn owner(&self) -> &str {
        match &self.outcome {
            Outcome::Parcel(key, _) => &key.order,
            Outcome::Notice(key, _) => &key.order,
        }
    }

    fn of_member(&self) -> bool {
        matches!(&self.outcome, Outcome::Notice(key, _) if key.member().is_some())
    }

    /// The notification's event, if it is one.
    fn event(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Parcel(..) => None,
            Outcome::Notice(key, _) => Some(&key.event),
        }
    }

    /// What a report that came before it would be kept under, if it is of a notification.
    fn reference(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Parcel(..) => None,
            Outcome::Notice(key, _) => Some(key.to_string()),
        }
    }

    /// Takes it; what follows for the order comes later.
    fn take(&self, aggregate: &mut Aggregate, policy: &dyn OrderPolicy) -> Result<Written> {
        Ok(match &self.outcome {
            Outcome::Parcel(key, outcome) => {
                aggregate.settle_parcel(policy, key.number, self.token, outcome, self.now)?
            }
            Outcome::Notice(key, outcome) => {
                match aggregate.settle_notice(&key.event, Some(self.token), outcome, self.now)? {
                    Right::Held | Right::Repeated => Written::Done,
                    Right::Lost => Written::Fenced,
                }
            }
        })
    }
}

/// Writes what became of `steps`, no two of one owner: what became of each write.
pub(super) async fn all(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    steps: &[&Step],
) -> Result<Vec<Written>> {
    let owners = |of_member: bool| -> Vec<&str> {
        let owners = steps.iter().filter(|step| step.of_member() == of_member);
        owners.map(|step| step.owner()).collect()
    };
    let references: Vec<String> = steps.iter().filter_map(|step| step.reference()).collect();
    let (mut loaded, early) =
        records::load_with_reports(db, &owners(false), &owners(true), &references).await?;
    let (mut written, mut taken) = (Vec::new(), Vec::new());
    for step in steps {
        let aggregate = loaded.remove(step.owner());
        let mut aggregate = aggregate.ok_or_else(|| records::missing(step.owner()))?;
        written.push(step.take(&mut aggregate, policy)?);
        taken.push((aggregate, *step));
    }
    let notices = taken.iter_mut().filter_map(|(aggregate, step)| {
        // One that was written before took its report then; nothing of it has changed.
        aggregate.has_changed().then_some((aggregate, step.event()?))
    });
    reports::take_early(db, &mut notices.collect::<Vec<_>>(), &early).await?;
    for (aggregate, step) in &mut taken {
        if step.event().is_some() && aggregate.has_changed() {
            aggregate.follow(policy, step.now)?;
        }
    }
    let changed = taken.iter().map(|(aggregate, step)| (aggregate, step.now));
    records::save_all(db, &changed.collect::<Vec<_>>()).await?;
    Ok(written)
}

/// Writes `outcome` of a step on a parcel, taken under the fencing token `token`.
pub(super) async fn parcel(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    key: &ParcelKey,
    token: i64,
    outcome: &ParcelOutcome,
    now: Timestamp,
) -> Result<Written> {
    let mut aggregate = records::load_known(db, &key.order).await?;
    let written = aggregate.settle_parcel(policy, key.number, token, outcome, now)?;
    records::save(db, &aggregate, now).await?;
    Ok(written)
}

/// Writes `outcome` of a step on a notification, taken under the fencing token `token`; without
/// one, of a notification that nobody has claimed: it may be born in this very transaction.
pub(super) async fn notice(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    key: &NoticeKey,
    token: Option<i64>,
    outcome: &NoticeOutcome,
    now: Timestamp,
) -> Result<Written> {
    let mut aggregate = records::load_owning(db, key).await?;
    match aggregate.settle_notice(&key.event, token, outcome, now)? {
        Right::Held => {}
        Right::Repeated => return Ok(Written::Done),
        Right::Lost => return Ok(Written::Fenced),
    }
    reports::apply_early(db, &mut [(&mut aggregate, &key.event)]).await?;
    aggregate.follow(policy, now)?;
    records::save(db, &aggregate, now).await?;
    Ok(Written::Done)
}
