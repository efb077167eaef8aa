//! Booking a parcel: write down the exact request, send it, and never guess what became of it.

use std::time::Duration;

use clockwork::Timestamp;

use super::{Flow, Step};
use crate::call::Outcome;
use crate::carrier::Tracking;
use crate::config::Duplicates;
use crate::env::{Event, Hands};
use crate::policy::Reconcile;
use crate::store::{Intent, ParcelOutcome, ParcelWork, Tries, Written};

/// An unknown outcome is looked into again after so long, doubled each time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// It is looked into at least so often.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(120);

impl Flow {
    /// `planned`: gets an invoice number, writes the request down, sends it.
    pub(super) async fn plan(&self, hands: &Hands, work: ParcelWork) -> Step {
        let intent = match &work.intent {
            Some(intent) if !self.env.policies.booking.renews_identity() => intent.clone(),
            _ => match self.new_intent(hands, &work).await {
                Ok(intent) => intent,
                Err(outcome) => return self.settle_parcel(&work, outcome).await,
            },
        };
        self.intend(hands, work, intent).await
    }

    /// Writes the request down, then sends it.
    async fn intend(&self, hands: &Hands, mut work: ParcelWork, intent: Intent) -> Step {
        let outcome = ParcelOutcome::Intended(intent.clone());
        if self.write_parcel(&work, &outcome).await != Some(Written::Done) {
            return Step::Lost;
        }
        work.intent = Some(intent);
        self.ends(Step::Moved);
        self.begins("book", &work);
        self.book(hands, work).await
    }

    /// A request under a new invoice number. A lost reply leaks a number, nothing else.
    async fn new_intent(&self, hands: &Hands, work: &ParcelWork) -> Result<Intent, ParcelOutcome> {
        let context = self.context(work);
        let (reason, wait, spent) = match self.carrier.allocate_invoice(hands, &context).await {
            Outcome::Done(invoice_no) => {
                let number = work.key.number;
                let now = self.now();
                return Ok(self.carrier.request_of(&work.order, number, &invoice_no, now));
            }
            Outcome::NotProcessed { reason, wait, spent } => (reason, wait, spent),
            Outcome::Unknown { reason, wait } => (reason, wait, true),
            Outcome::Refused { reason } => (reason, None, true),
            Outcome::Duplicate => ("invoice number refused as a duplicate".to_owned(), None, true),
        };
        let (retry_at, tries) = self.next_try(work, wait, spent);
        Err(ParcelOutcome::PutBack { reason, retry_at, tries })
    }

    /// `intended`: sends the request that was written down.
    pub(super) async fn book(&self, hands: &Hands, work: ParcelWork) -> Step {
        let Some(intent) = work.intent.clone() else {
            tracing::error!(parcel = %work.key, "intended without an intent");
            return Step::Lost;
        };
        let outcome = self.carrier.book(hands, &self.context(&work), &intent).await;
        let outcome = match self.env.policies.booking.reads(outcome) {
            // One invoice number was ever used for this parcel: whoever sent it, it is ours.
            Outcome::Done(()) | Outcome::Duplicate => ParcelOutcome::Booked,
            Outcome::Refused { reason } => ParcelOutcome::Refused { reason },
            Outcome::NotProcessed { reason, wait, spent } => {
                let (retry_at, tries) = self.next_try(&work, wait, spent);
                ParcelOutcome::PutBack { reason, retry_at, tries }
            }
            Outcome::Unknown { reason, wait } => self.unknown(&work, reason, wait),
        };
        self.settle_parcel(&work, outcome).await
    }

    fn unknown(&self, work: &ParcelWork, reason: String, wait: Option<Duration>) -> ParcelOutcome {
        let (retry_at, tries) = self.next_try(work, wait, true);
        ParcelOutcome::Unknown { reason, sent_until: self.now(), retry_at, tries }
    }

    /// `unknown`: finds out what became of the request.
    pub(super) async fn reconcile(&self, hands: &Hands, work: ParcelWork) -> Step {
        let since = work.unknown_since.unwrap_or_else(|| self.now());
        if self.now() > since + self.config.carrier.unknown_patience {
            let reason = "outcome still unknown after all patience".to_owned();
            return self.settle_parcel(&work, ParcelOutcome::Attention { reason }).await;
        }
        if self.env.policies.booking.renews_identity() {
            let reason = "to be sent under a new identity".to_owned();
            let retry_at = self.now() + pause_after(work.rounds);
            let outcome = ParcelOutcome::NotBooked { reason, retry_at };
            return self.settle_parcel(&work, outcome).await;
        }
        let advised = match self.config.carrier.duplicates {
            Duplicates::Accept => Reconcile::Ask,
            // Where repeating brought no answer, asking may: by turns, repeating first.
            Duplicates::Reject | Duplicates::Replay if work.attempts.is_multiple_of(2) => {
                Reconcile::Ask
            }
            Duplicates::Reject | Duplicates::Replay => Reconcile::Resend,
        };
        match self.env.policies.booking.reconcile(&work, advised) {
            Reconcile::Resend => self.resend(hands, work).await,
            Reconcile::Ask => self.ask(hands, work).await,
            Reconcile::Leave => {
                let (retry_at, tries) = self.look_again(&work, None);
                let reason = "left unknown".to_owned();
                let outcome = ParcelOutcome::PutBack { reason, retry_at, tries };
                self.settle_parcel(&work, outcome).await
            }
        }
    }

    /// Asks a carrier that books nothing twice, by sending the same bytes again.
    async fn resend(&self, hands: &Hands, work: ParcelWork) -> Step {
        let Some(intent) = work.intent.clone() else { return Step::Lost };
        let outcome = self.carrier.book(hands, &self.context(&work), &intent).await;
        let outcome = match self.env.policies.booking.reads(outcome) {
            Outcome::Done(()) | Outcome::Duplicate => {
                self.reconciled(&work, "booked", "resent");
                ParcelOutcome::Booked
            }
            // A refusal now says nothing of the first request: ask, and prove it never happened.
            Outcome::Refused { reason } => {
                let (retry_at, tries) = self.look_again(&work, None);
                ParcelOutcome::PutBack { reason, retry_at, tries }
            }
            Outcome::NotProcessed { reason, wait, .. } => {
                let (retry_at, tries) = self.look_again(&work, wait);
                ParcelOutcome::PutBack { reason, retry_at, tries }
            }
            Outcome::Unknown { reason, wait } => {
                let (retry_at, tries) = self.look_again(&work, wait);
                ParcelOutcome::Unknown { reason, sent_until: self.now(), retry_at, tries }
            }
        };
        self.settle_parcel(&work, outcome).await
    }

    /// Asks by invoice number. "Yes" settles; "no" only when nothing can be under way any longer.
    async fn ask(&self, hands: &Hands, work: ParcelWork) -> Step {
        let Some(intent) = work.intent.clone() else { return Step::Lost };
        let outcome =
            match self.carrier.track(hands, &self.context(&work), &intent.invoice_no).await {
                Outcome::Done(Tracking::At { .. }) => {
                    self.reconciled(&work, "booked", "asked");
                    ParcelOutcome::Booked
                }
                Outcome::Done(Tracking::None) => self.not_found(&work),
                Outcome::NotProcessed { reason, wait, .. } => {
                    let (retry_at, tries) = self.look_again(&work, wait);
                    ParcelOutcome::PutBack { reason, retry_at, tries }
                }
                Outcome::Unknown { reason, wait } => {
                    let (retry_at, tries) = self.look_again(&work, wait);
                    ParcelOutcome::PutBack { reason, retry_at, tries }
                }
                other @ (Outcome::Refused { .. } | Outcome::Duplicate) => {
                    let (retry_at, tries) = self.look_again(&work, None);
                    let reason = format!("tracking answered {}", other.name());
                    ParcelOutcome::PutBack { reason, retry_at, tries }
                }
            };
        self.settle_parcel(&work, outcome).await
    }

    fn not_found(&self, work: &ParcelWork) -> ParcelOutcome {
        let now = self.now();
        let proven_at = work.sent_until.unwrap_or(now) + self.config.carrier.lateness_max;
        if now < proven_at {
            let (retry_at, tries) = self.look_again(work, None);
            let retry_at = retry_at.min(proven_at);
            let reason = "not found, but may be under way".to_owned();
            return ParcelOutcome::PutBack { reason, retry_at, tries };
        }
        if work.rounds >= self.config.carrier.rounds_max {
            let reason = "never booked, however often it was sent".to_owned();
            return ParcelOutcome::Attention { reason };
        }
        self.reconciled(work, "not-booked", "asked");
        let reason = "not found after the longest time under way".to_owned();
        ParcelOutcome::NotBooked { reason, retry_at: now }
    }

    /// When to look into an unknown outcome again. Rounds stay as they are: they count how often
    /// the parcel was sent in vain, and looking is not sending.
    fn look_again(&self, work: &ParcelWork, wait: Option<Duration>) -> (Timestamp, Tries) {
        let tries = Tries { attempts: work.attempts + 1, rounds: work.rounds };
        (self.now() + pause_after(work.attempts).max(wait.unwrap_or_default()), tries)
    }

    fn reconciled(&self, work: &ParcelWork, to: &str, how: &str) {
        let event = Event::Reconciled {
            parcel: work.key.to_string(),
            to: to.to_owned(),
            how: how.to_owned(),
        };
        self.env.observer.observe(self.now(), event);
    }
}

/// How long an unknown outcome is left alone that was looked into so often.
fn pause_after(looks: u32) -> Duration {
    (LOOK_AGAIN * 2_u32.pow(looks.min(8))).min(LOOK_AGAIN_MAX)
}
