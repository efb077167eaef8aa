//! Telling the customer. Whatever happens here, the record of the booking stays as it is.

use super::{Flow, Step, after};
use crate::call::{Backoff, Context, Outcome};
use crate::env::{Hands, Progress};
use crate::state::NoticeState;
use crate::store::{NoticeOutcome, NoticeWork, Row, Tries};

impl Flow {
    /// One step on a notification: sends it, under the one key that it ever has.
    pub async fn step_notice(&self, hands: &Hands, work: NoticeWork) -> Step {
        let row = Row::Notice(work.key.clone());
        let _held = self.leases.hold(row.clone(), &work.lease);
        let (about, what) = (work.key.order.as_str(), &work.key);
        let (attempt, rounds) = (work.attempts + 1, work.rounds);
        self.tell(&Progress::Begun { step: "notify", about, what, attempt, rounds });
        let step = self.notify(hands, row, work).await;
        self.ends(step);
        step
    }

    async fn notify(&self, hands: &Hands, row: Row, work: NoticeWork) -> Step {
        if let Some(reason) = self.gives_up(&work) {
            return self.settle_notice(&work, reason).await;
        }
        let context =
            Context { key: work.key.to_string(), tenure: self.leases.tenure(row, &work.lease) };
        let outcome = match self.messenger.send(hands, &context, &work).await {
            Outcome::Done(msg_key) => NoticeOutcome::Sent { msg_key },
            // The gateway had it before; it replays nothing, so reports must tell the key.
            Outcome::Duplicate => NoticeOutcome::Sent { msg_key: None },
            Outcome::Refused { reason } if work.state == NoticeState::Unknown => {
                // It says nothing of the first one: a gateway may look at template and sender
                // before it looks at keys. The same bytes will be refused again.
                NoticeOutcome::GivenUp { reason }
            }
            Outcome::Refused { reason } => NoticeOutcome::Refused { reason },
            Outcome::NotProcessed { reason, wait, spent } => {
                let (retry_at, tries) = self.next_send(&work, wait, spent);
                NoticeOutcome::PutBack { reason, retry_at, tries }
            }
            Outcome::Unknown { reason, wait } => {
                let (retry_at, tries) = self.next_send(&work, wait, true);
                NoticeOutcome::Unknown { reason, retry_at, tries }
            }
        };
        self.settle_notice(&work, outcome).await
    }

    /// Whether sending again would risk telling twice, or has been tried often enough.
    fn gives_up(&self, work: &NoticeWork) -> Option<NoticeOutcome> {
        let unknown = work.state == NoticeState::Unknown;
        let remembered_until =
            work.first_sent_at.map(|at| at + self.config.messenger.idempotency_ttl);
        if unknown && remembered_until.is_some_and(|until| self.now() >= until) {
            let reason = "the gateway no longer remembers its key".to_owned();
            return Some(NoticeOutcome::GivenUp { reason });
        }
        if work.rounds < self.config.messenger.rounds_max {
            return None;
        }
        let reason = format!("given up after {} rounds", work.rounds);
        Some(match unknown {
            true => NoticeOutcome::GivenUp { reason },
            false => NoticeOutcome::Refused { reason },
        })
    }

    fn next_send(
        &self,
        work: &NoticeWork,
        wait: Option<std::time::Duration>,
        spent: bool,
    ) -> (clockwork::Timestamp, Tries) {
        let tries = Tries { attempts: work.attempts, rounds: work.rounds };
        let backoff = Backoff::new(&self.config.messenger.calls, self.env.entropy);
        after(&backoff, self.now(), &work.key.to_string(), tries, wait, spent)
    }
}
