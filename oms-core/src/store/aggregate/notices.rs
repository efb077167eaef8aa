//! What became of a step on a notification, with all that follows for its order.

use clockwork::Timestamp;

use super::settle::{Right, right};
use super::{Aggregate, Corrupt, Notice, Result};
use crate::state::{By, NoticeState};
use crate::store::{NoticeOutcome, Tries};

impl Aggregate {
    /// Whether `outcome` of a step on the notification of `event`, taken under the fencing token
    /// `token`, may be written. One that is not born yet may be.
    pub(in crate::store) fn notice_right(
        &self,
        event: &str,
        token: Option<i64>,
        outcome: &NoticeOutcome,
    ) -> Right {
        let born = self.notice(event).ok();
        born.map_or(Right::Held, |at| right_of(&self.notices[at], token, outcome))
    }

    /// Takes `outcome` of a step on the notification of `event`, taken under the fencing token
    /// `token`; without one, of a notification that nobody has claimed. What follows for the order
    /// is left to the caller, who may know a report that came early.
    pub(in crate::store) fn settle_notice(
        &mut self,
        event: &str,
        token: Option<i64>,
        outcome: &NoticeOutcome,
        now: Timestamp,
    ) -> Result<Right> {
        let at = self.notice(event)?;
        let right = right_of(&self.notices[at], token, outcome);
        if right != Right::Held {
            return Ok(right);
        }
        if token.is_none() && self.notices[at].state == NoticeState::Queued {
            self.walk_notice(at, NoticeState::Sending, By::Core)?;
            self.notices[at].first_sent_at = Some(now);
        }
        settle(self, at, outcome, now)?;
        Ok(right)
    }
}

fn right_of(notice: &Notice, token: Option<i64>, outcome: &NoticeOutcome) -> Right {
    match token {
        Some(token) => right(&notice.lease, token, outcome.name()),
        None if notice.lease.settled.as_deref() == Some(outcome.name()) => Right::Repeated,
        None if notice.lease.token == 0 && notice.is_open() => Right::Held,
        None => Right::Lost,
    }
}

impl NoticeOutcome {
    /// Its name, by which a repeated write is known.
    pub const fn name(&self) -> &'static str {
        match self {
            NoticeOutcome::Sent { .. } => "sent",
            NoticeOutcome::Refused { .. } => "refused",
            NoticeOutcome::Unknown { .. } => "unknown",
            NoticeOutcome::NotSent { .. } => "not-sent",
            NoticeOutcome::PutBack { .. } => "put-back",
            NoticeOutcome::GivenUp { .. } => "given-up",
        }
    }
}

/// The state that an outcome leads to from `from`; `None` where it cannot be one.
fn target(from: NoticeState, outcome: &NoticeOutcome) -> Option<NoticeState> {
    use NoticeState::{Queued, Refused, Sending, Sent, Unknown};
    match (outcome, from) {
        (NoticeOutcome::Sent { .. }, Sending | Unknown) => Some(Sent),
        (NoticeOutcome::Refused { .. }, Sending) => Some(Refused),
        (NoticeOutcome::Unknown { .. }, Sending | Unknown) => Some(Unknown),
        (NoticeOutcome::NotSent { .. }, Unknown) => Some(Queued),
        (NoticeOutcome::PutBack { .. }, Sending | Unknown) => Some(from),
        (NoticeOutcome::GivenUp { .. }, Unknown) => Some(Unknown),
        _ => None,
    }
}

fn settle(
    aggregate: &mut Aggregate,
    at: usize,
    outcome: &NoticeOutcome,
    now: Timestamp,
) -> Result<()> {
    let notice = &aggregate.notices[at];
    let from = notice.state;
    let Some(to) = target(from, outcome) else {
        let key = format!("{}:{}", aggregate.order.id, notice.event);
        let reason = format!("{key}: `{}` while it is `{from}`", outcome.name());
        return Err(Corrupt::new("notices", reason));
    };
    // A report is proof that the gateway accepted it, whatever this call saw.
    let proved = notice.report_code.is_some();
    let to = if proved { NoticeState::Sent } else { to };
    aggregate.walk_notice(at, to, By::Core)?;
    let notice = &mut aggregate.notices[at];
    notice.lease.give_back(outcome.name());
    notice.due_at = None;
    if proved {
        be_sent(notice, now);
        return Ok(());
    }
    note(notice, from, outcome, now);
    if let Some(due) = retry_at(outcome) {
        aggregate.put_back_notice(at, due);
    }
    Ok(())
}

fn retry_at(outcome: &NoticeOutcome) -> Option<Timestamp> {
    match outcome {
        NoticeOutcome::Unknown { retry_at, .. }
        | NoticeOutcome::NotSent { retry_at, .. }
        | NoticeOutcome::PutBack { retry_at, .. } => Some(*retry_at),
        _ => None,
    }
}

/// What is written beside the state and the due time.
fn note(notice: &mut Notice, from: NoticeState, outcome: &NoticeOutcome, now: Timestamp) {
    let spend = |notice: &mut Notice, tries: &Tries| {
        (notice.attempts, notice.rounds) = (tries.attempts, tries.rounds);
    };
    match outcome {
        NoticeOutcome::Sent { msg_key } => {
            notice.msg_key = notice.msg_key.take().or_else(|| msg_key.clone());
            be_sent(notice, now);
        }
        NoticeOutcome::Refused { reason } => notice.reason = Some(reason.clone()),
        NoticeOutcome::Unknown { reason, tries, .. } => {
            notice.reason = Some(reason.clone());
            spend(notice, tries);
        }
        NoticeOutcome::NotSent { reason, .. } => {
            notice.reason = Some(reason.clone());
            notice.first_sent_at = None;
            spend(notice, &Tries { attempts: 0, rounds: notice.rounds + 1 });
        }
        NoticeOutcome::PutBack { reason, tries, .. } => {
            notice.reason = Some(reason.clone());
            spend(notice, tries);
            if from == NoticeState::Sending {
                // No request of this message has ever gone out.
                notice.first_sent_at = None;
            }
        }
        NoticeOutcome::GivenUp { reason } => {
            notice.reason = Some(reason.clone());
            notice.given_up = true;
        }
    }
}

/// The gateway has it.
pub(super) fn be_sent(notice: &mut Notice, now: Timestamp) {
    notice.sent_at = notice.sent_at.or(Some(now));
    notice.given_up = false;
    notice.reason = None;
    (notice.attempts, notice.rounds) = (0, 0);
}
